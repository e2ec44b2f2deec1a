"""Running a backtest: past evenings through both planners. Its decisions count for the gates only on request.

The control runs in this process, inside a READ ONLY transaction; the candidate runs as in shadow mode, in a separate
process with read-only connections.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection

from assignments import conf as assignments_conf
from assignments.concurrency import transactions
from assignments.concurrency.transactions import read_only
from assignments.integration import release
from assignments.models.moment import DatabaseNow
from assignments.planning.decision import Decision
from assignments.planning.snapshot import Snapshot
from rollout import conf
from rollout.backtest.content import decision_digest, evening_digest
from rollout.backtest.history import DAY, Evening
from rollout.backtest.possible import Possible, possible
from rollout.backtest.replay import Answer, Planner, Replay, Scoreboard, Step
from rollout.models import Comparison, FedFile
from rollout.shadow import days
from rollout.shadow.comparator import CandidateProcess
from rollout.shadow.days import Together
from rollout.shadow.recorder import LIMITS, about, is_joined, is_within_reason, keep_floors
from rollout.shadow.serialization import decision_from_json, decision_to_json, floor_to_json, snapshot_to_json


class Backtest:
    """Replays evenings, each restaurant's in order of date; ``scoreboard`` covers all so far.

    With ``feed`` the decisions are stored as comparisons, of which the last one of each booking counts for its release;
    ``fed`` counts them. Evenings more than a year away are replayed, but not stored. With ``counts_once`` neither is an
    evening that was stored for this release before, under whatever names and date; ``counted_already`` counts these.
    With ``together``, a function for V3's decisions on a batch, each evening is also compared as a whole. With
    ``says_possible`` each evening is also solved, which needs the optimizer and takes seconds.
    """

    def __init__(
        self,
        *,
        control: Planner,
        candidate: Planner,
        feed: bool = False,
        counts_once: bool = False,
        candidate_release: Callable[[], str] = release.running,
        together: Together | None = None,
        says_possible: bool = False,
    ) -> None:
        self.scoreboard = Scoreboard()
        self.evenings = 0
        self.fed = 0
        self.counted_already = 0
        self._control, self._candidate = control, candidate
        self._feeds, self._counts_once = feed, counts_once
        self._release = candidate_release
        self._together = together
        self.possible: Possible | None = Possible() if says_possible else None
        """How many bookings could have been seated at best on all evenings so far; None: not solved."""
        self.last_possible: Possible | None = None
        """The same of the last evening alone."""
        self._replays: dict[str, Replay] = {}

    @property
    def restaurants(self) -> int:
        """Number of restaurants so far."""
        return len(self._replays)

    def replay(self, evening: Evening, *, on_step: Callable[[], None] = lambda: None) -> Scoreboard:
        """Replay one evening and return its scoreboard. Calls ``on_step`` after each booking."""
        scoreboard = Scoreboard()
        kept: list[tuple[Step, bool]] = []
        replay = self._replay_of(evening)
        with read_only():
            for request in evening.requests:
                step = replay.decide(request)
                scoreboard.add(step)
                self.scoreboard.add(step)
                if self._feeds and step.verdict is not None and is_within_reason(step.snapshot):
                    again = self._control(step.snapshot)
                    kept.append((step, set(again.table_refs) == set(step.control.answer.table_refs)))
                on_step()
        self.evenings += 1
        if self.possible is not None:
            self.last_possible = possible(evening.floor, evening.requests, rules=assignments_conf.settings().rules())
            self.possible += self.last_possible
        if kept:
            digest = evening_digest(evening) if self._counts_once else ""
            if feed(kept, decided_by=self._release(), digest=digest):
                self.fed += len(kept)
                self._compare_day(evening, [step.snapshot for step, _repeats in kept])
            else:
                self.counted_already += 1
        return scoreboard

    def _compare_day(self, evening: Evening, snapshots: Sequence[Snapshot]) -> None:
        """Compare the evening as a whole: nobody has tables yet, and all ask at the time of the first."""
        path = conf.settings().LEGACY_PLANNER
        if self._together is None:
            return
        start = replace(snapshots[0], now=min(snapshot.now for snapshot in snapshots))
        days.compare(
            days.day_of(start, [snapshot.request for snapshot in snapshots]),
            service_date=evening.service_date,
            origin=Comparison.Origin.BACKTEST,
            together=self._together,
            judge=assignments_conf.load(path).judge if path else None,
            release=self._release,
        )

    def _replay_of(self, evening: Evening) -> Replay:
        ref = evening.floor.restaurant_ref
        if ref not in self._replays:
            self._replays[ref] = Replay(
                evening.floor,
                control=self._control,
                candidate=self._candidate,
                rules=assignments_conf.settings().rules(),
                success=evening.success,
            )
        elif evening.requests:
            # Guests of the night before may still be seated.
            self._replays[ref].forget(min(request.starts_at for request in evening.requests) - DAY)
        return self._replays[ref]


def feed(steps: Sequence[tuple[Step, bool]], *, decided_by: str = "", digest: str = "") -> bool:
    """Store one restaurant's steps as comparisons, each with whether the control repeated its tables.

    ``decided_by``: the candidate's release, by default that of this process. Comparisons are never rewritten: those of
    earlier backtests stay, the last one of a release counts, and an identical one is not stored again. Parallel feeds
    of the same bookings wait for each other. If ``digest`` was given for this release before, return False and store
    nothing.
    """
    decided_by = decided_by or release.running()
    restaurant_ref = steps[0][0].snapshot.floor.restaurant_ref
    with transactions.atomic(limits=LIMITS):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"rollout:backtest:{restaurant_ref}"]
            )
        if digest:
            kept = {"comparisons": len(steps)}
            _fed, is_new = FedFile.objects.get_or_create(digest=digest, release=decided_by, defaults=kept)
            if not is_new:
                return False
        keep_floors(step.snapshot.floor for step, _repeats in steps)
        comparisons = [_comparison(step, repeats, decided_by) for step, repeats in steps]
        times = Counter[str]()
        for comparison, (step, _repeats) in zip(comparisons, steps, strict=True):
            asked = decision_digest(step.snapshot)
            times[asked] += 1  # Two parties may ask for exactly the same.
            comparison.content_digest = f"{asked}:{times[asked]}"
        earlier = Comparison.objects.filter(
            origin=Comparison.Origin.BACKTEST,
            restaurant_ref=restaurant_ref,
            release=decided_by,
            booking_ref__in=[each.booking_ref for each in comparisons],
        )
        last = earlier.order_by("booking_ref", "-id").distinct("booking_ref")
        known = set(last.values_list("booking_ref", "snapshot_hash", "verdict"))
        Comparison.objects.bulk_create(
            each for each in comparisons if (each.booking_ref, each.snapshot_hash, each.verdict) not in known
        )
    return True


def _comparison(step: Step, repeats: bool, decided_by: str) -> Comparison:
    control, candidate = step.control.answer.decision, step.compared.decision
    assert control is not None, "a step without the control's decision is not comparable"
    assert step.verdict is not None, "a step without a verdict is not comparable"
    comparison = Comparison(
        booking_ref=step.snapshot.request.booking_ref,
        **about(step.snapshot, control),
        control_ms=step.control.answer.milliseconds,
        control_repeats=repeats,
        candidate=decision_to_json(candidate) if candidate else None,
        candidate_ms=step.compared.milliseconds,
        verdict=step.verdict,
        error=step.compared.error,
        release=decided_by,
        compared_at=DatabaseNow(),
        origin=Comparison.Origin.BACKTEST,
    )
    comparison.joined = is_joined(control) or (candidate is not None and is_joined(candidate))
    return comparison


def control_planner() -> Planner:
    """Return the legacy planner, timed. Raises ImproperlyConfigured if it is not installed."""
    path = conf.settings().LEGACY_PLANNER
    if not path:
        raise ImproperlyConfigured(
            f"There is no legacy planner to compare with: {conf.NAME}['LEGACY_PLANNER'] is empty."
        )
    judge: Callable[[Snapshot], Decision] = assignments_conf.load(path).judge

    def ask(snapshot: Snapshot) -> Answer:
        started = time.perf_counter()
        try:
            decision = judge(snapshot)
        except DatabaseError:
            raise  # It tried to write, or the database is unavailable: not counted.
        except Exception as error:  # noqa: BLE001  (one undecidable booking must not stop the evening; counted by type)
            return Answer(error=type(error).__name__, milliseconds=(time.perf_counter() - started) * 1000)
        return Answer(decision=decision, milliseconds=(time.perf_counter() - started) * 1000)

    return ask


def candidate(process: CandidateProcess) -> Planner:
    """Return V3 (``ROLLOUT["CANDIDATE"]``) in its own process.

    Calling it raises ImproperlyConfigured if the process cannot start.
    """
    floors: dict[str, object] = {}

    def ask(snapshot: Snapshot) -> Answer:
        version = snapshot.floor.version
        if version not in floors:
            floors[version] = floor_to_json(snapshot.floor)
        said = process.ask({"snapshot": snapshot_to_json(snapshot), "floor": floors[version]})
        if said.error == "not_started":
            raise ImproperlyConfigured(
                f"{conf.NAME}['CANDIDATE'] is {conf.settings().CANDIDATE!r}, which did not start; standard error says why."
            )
        if said.error:
            return Answer(error=said.error, milliseconds=said.milliseconds)
        try:
            return Answer(decision=decision_from_json(said.decision or {}), milliseconds=said.milliseconds)
        except (KeyError, TypeError, ValueError) as error:
            return Answer(error=f"nonsense: {type(error).__name__}", milliseconds=said.milliseconds)

    return ask
