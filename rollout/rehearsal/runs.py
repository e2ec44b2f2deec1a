"""Drawing runs from outcomes that were decided once, and reading gates and guardrails as they add up.

A run draws as many decisions as gates require, one after another and with replacement, and reads the gates often, at
first after each decision, then more rarely. It plans nothing.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from random import Random
from statistics import median

from rollout.policy import gates, guardrails
from rollout.policy.confidence import ERROR, quantile_ranks
from rollout.policy.gates import Status
from rollout.policy.ladder import Ladder, Stage
from rollout.policy.measurements import COVERAGE, Comparisons, Facts, Outcomes, Percentile, Seatings
from rollout.policy.verdict import Verdict
from rollout.rehearsal.judging import Judged, Outcome

LONGEST = 3000
"""Comparisons of a run, unless the ladder asks for more."""
LONGEST_LIVE = 8000
"""Decisions of a run where V3 decides: the guard goes on watching."""
CAUGHT = 0.95
"""Share of the runs in which something has to catch a fault for it to count as caught."""
TRIED = frozenset({"unsafe", "refused", "parity", "candidate_errors", "candidate_p95_ms", "candidate_p99_ms"})
"""Gates that look at decisions one by one. All others look at what a run does not have, such as whole days or edits."""
NOW = datetime(2030, 1, 1, tzinfo=UTC)
"""A moment to measure at. Only how long ago things were matters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caught:
    """The rule that caught a fault most often, and the median number of decisions; empty and None if nothing did."""

    by: str = ""
    after: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """The gates and guardrails of an environment. ``watched``: the stages before V3 decides that have gates."""

    environment: str
    watched: Sequence[Stage]
    decides: str
    rails: Mapping[str, float]

    @classmethod
    def of(cls, ladder: Ladder, rails: Mapping[str, float]) -> "Rules":
        deciding = [stage.key for stage in ladder.stages if stage.decides]
        return cls(
            environment=ladder.environment,
            watched=tuple(stage for stage in ladder.stages if stage.gates and not stage.decides),
            decides=deciding[0] if deciding else ladder.stages[-1].key,
            rails=rails,
        )

    @property
    def not_tried(self) -> tuple[str, ...]:
        """Return the gates of the watched stages that cannot fail, whatever V3 decides in a run."""
        asked = dict.fromkeys(gate for stage in self.watched for gate in (*gates.ALWAYS, *stage.gates))
        return tuple(gate for gate in asked if gate not in TRIED and gate != "seatings")

    @property
    def comparisons(self) -> int:
        """Return the number of comparisons of a run."""
        return max([LONGEST, *(ceil(stage.gates.get("comparable", 0)) for stage in self.watched)])


def caught_by_gate(judged: Judged, rules: Rules, *, runs: int, seed: int) -> Caught:
    """Return the gate that fails in runs of this kind, before V3 decides for any restaurant."""
    return _most_often(
        [failed_gate(_draws(judged, rules.comparisons, f"{seed} gate {run}"), rules) for run in range(runs)]
    )


def caught_by_rail(judged: Judged, rules: Rules, *, runs: int, seed: int) -> Caught:
    """Return the guardrail that is breached in runs of this kind, where V3 decides."""
    return _most_often(
        [breached_rail(_draws(judged, LONGEST_LIVE, f"{seed} rail {run}"), rules) for run in range(runs)]
    )


def _most_often(found: Sequence[tuple[str, int] | None]) -> Caught:
    caught = [each for each in found if each is not None]
    if not found or len(caught) < CAUGHT * len(found):
        return Caught()
    ((by, _times),) = Counter(by for by, _after in caught).most_common(1)
    return Caught(by=by, after=round(median(after for _by, after in caught)))


def failed_gate(outcomes: Iterator[Outcome], rules: Rules) -> tuple[str, int] | None:
    """Return the first gate to fail as these are compared one after another, and after how many; None if none fails."""
    if not rules.watched:
        return None
    seen = _Seen()
    for outcome in outcomes:
        seen.add(outcome)
        if not seen.is_look:
            continue
        for stage in rules.watched:
            for result in gates.evaluate(stage, seen.compared(stage, rules)):
                if result.status is Status.FAIL:
                    return result.gate, seen.count
    return None


def breached_rail(outcomes: Iterator[Outcome], rules: Rules) -> tuple[str, int] | None:
    """Return the first guardrail breached as V3 decides these, and after how many; None if none is."""
    seen = _Seen()
    for outcome in outcomes:
        seen.add(outcome)
        if seen.is_look:
            found = guardrails.breaches(seen.decided(rules), rules.rails)
            if found:
                return found[0].rail, seen.count
    return None


def _draws(judged: Judged, longest: int, seed: str) -> Iterator[Outcome]:
    source = Random(f"{judged.kind.name} {seed}")
    number, share, draw = len(judged.broken), judged.kind.share, source.random
    for _ in range(longest):
        place = int(draw() * number)
        yield judged.broken[place] if share >= 1 or draw() < share else judged.intact[place]


class _Seen:
    """The draws so far."""

    def __init__(self) -> None:
        self.count = 0
        self._next_look = 1
        self._verdicts = Counter[str]()
        self._counts = Counter[str]()
        self._milliseconds: list[float] = []

    def add(self, outcome: Outcome) -> None:
        self.count += 1
        self._verdicts[outcome.verdict] += 1
        if not outcome.is_error:
            insort(self._milliseconds, outcome.milliseconds)
        for name in outcome.flags:
            self._counts[name] += 1

    @property
    def is_look(self) -> bool:
        """Return whether this decision is followed by a look: each of the first ones is, then each increase by a tenth."""
        if self.count < self._next_look:
            return False
        self._next_look = self.count + max(1, self.count // 10)
        return True

    def compared(self, stage: Stage, rules: Rules) -> Facts:
        """Return the facts as gates measure them. What no decision of V3 can change has good values."""
        began = NOW - timedelta(hours=stage.soak_hours + 1)
        return Facts(
            environment=rules.environment,
            stage=stage.key,
            now=NOW,
            stage_since=began,
            since=began,
            comparisons=Comparisons(
                total=self.count,
                verdicts=self._verdicts,
                not_waived=self._verdicts,
                expected=self.count,
                compared_live=self.count,
                p95=self._percentile(0.95, ERROR),
                p99=self._percentile(0.99, ERROR),
            ),
            coverage=dict.fromkeys(COVERAGE, self.count),
        )

    def decided(self, rules: Rules) -> Facts:
        """Return the facts as the guard measures them in the stage's first window."""
        counts, error = self._counts, guardrails.window_error(1)
        began = NOW - timedelta(hours=1)
        seatings = Seatings(
            checked=counts["is_seated"],
            unsafe=counts["is_unsafe"],
            reasons={"unsafe": counts["is_unsafe"]} if counts["is_unsafe"] else {},
            avoidable_joins=counts["is_avoidable_join"],
            oversized=counts["is_oversized"],
            untold=counts["is_untold"],
            dropped=counts["is_dropped"],
            refusals=counts["is_audited_refusal"],
            wrong_refusals=counts["is_wrong_refusal"],
        )
        verdicts = self._verdicts
        audited = Seatings(
            paired=verdicts.total() - verdicts[Verdict.V3_ERROR],
            better=verdicts[Verdict.BETTER] + verdicts[Verdict.ONLY_V3_SEATS],
            worse=verdicts[Verdict.WORSE],
            only_legacy=counts["is_only_legacy"],
        )
        bookings = self.count
        made = Outcomes(
            bookings=bookings,
            confirmed=counts["is_seated"],
            review=counts["is_feasible"] - counts["is_seated"],
            infeasible=bookings - counts["is_feasible"],
            attempts=bookings,
            errors=counts["is_error"],
            p95=self._percentile(0.95, error),
            p99=self._percentile(0.99, error),
        )
        return Facts(
            environment=rules.environment,
            stage=rules.decides,
            now=NOW,
            stage_since=began,
            since=began,
            v3=made,
            seatings=seatings,
            stage_seatings=audited,
            stage_v3=Outcomes(
                attempts=bookings,
                errors=counts["is_error"],
                p95=self._percentile(0.95, ERROR),
                p99=self._percentile(0.99, ERROR),
            ),
            reference_seated=counts["control_seats"],
            reference_bookings=bookings,
            reference_infeasible=bookings - counts["control_has_room"],
            lost=counts["is_lost"],
        )

    def _percentile(self, quantile: float, error: float) -> Percentile:
        sample = len(self._milliseconds)
        if not sample:
            return Percentile()
        lower, upper = _ranks(quantile, sample, error)

        def at(rank: int) -> float | None:
            return self._milliseconds[rank - 1] if 1 <= rank <= sample else None

        return Percentile(sample=sample, value=at(ceil(quantile * sample)), lower=at(lower), upper=at(upper))


_known_ranks: dict[tuple[float, int, float], tuple[int, int]] = {}


def _ranks(quantile: float, sample: int, error: float) -> tuple[int, int]:
    key = (quantile, sample, error)
    if key not in _known_ranks:
        _known_ranks[key] = quantile_ranks(quantile, sample, error=error)
    return _known_ranks[key]
