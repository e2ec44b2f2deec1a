"""Replaying bookings through both planners, each on its own evening, which fills up as it decides.

Each booking is decided once, when it was made, and keeps its tables: cancellations, moves and retries are not replayed.
Each planner gets the same input as in production: the tables taken during the seating.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot, occupied_by
from assignments.telemetry.percentiles import percentiles
from rollout.policy import seating_audit
from rollout.policy.audit_hours import stay
from rollout.policy.verdict import Verdict, compare, is_unsafe, yardstick

_LAST = datetime.max.replace(tzinfo=UTC)
UNKNOWN_LEAD = timedelta(days=1)
"""Default time between making a booking and its start, if unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A planner's answer: a decision, or the type of its error. Milliseconds are of planning alone."""

    decision: Decision | None = None
    milliseconds: float = 0.0
    error: str = ""

    @property
    def table_refs(self) -> tuple[str, ...]:
        """Return the chosen tables; empty for a refusal."""
        best = self.decision.best if self.decision else None
        return best.table_refs if best else ()


Planner = Callable[[Snapshot], Answer]


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One planner's decision on its own evening.

    ``impossible``: the tables are not available (taken, unknown, or against a rule of the floor), so nobody is seated
    there. ``seats``: those of the chosen tables, measured on the floor. ``other_would_seat``: it refused, but the other
    planner would have seated the party on the same evening.
    """

    answer: Answer
    is_seated: bool = False
    impossible: bool = False
    seats: int = 0
    other_would_seat: bool = False

    @property
    def refusal(self) -> str:
        """Return the reason code of the refusal; "" for none."""
        refusal = self.answer.decision.refusal if self.answer.decision else None
        return refusal.reason.value if refusal else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One booking, decided by both.

    ``snapshot`` is the control's. ``compared`` is the candidate's answer on it, and ``verdict`` compares both; None if
    the control raised.
    """

    snapshot: Snapshot
    control: Turn
    candidate: Turn
    compared: Answer
    verdict: Verdict | None


def in_booking_order(requests: Iterable[SeatingRequest]) -> list[SeatingRequest]:
    """Sort by booking time, then by ref (so that 9 comes before 10); unknown times last."""

    def key(request: SeatingRequest) -> tuple[datetime, int, str]:
        return (request.requested_at or _LAST, len(request.booking_ref), request.booking_ref)

    return sorted(requests, key=key)


def made_at(request: SeatingRequest) -> datetime:
    """Return when the booking counts as made: never after its start, since walk-ins are entered late."""
    if request.requested_at is None:
        return request.starts_at - UNKNOWN_LEAD
    return min(request.requested_at, request.starts_at)


class Replay:
    """Replays one restaurant's bookings through both planners."""

    def __init__(
        self,
        floor: Floor,
        *,
        control: Planner,
        candidate: Planner,
        rules: PlanningRules | None = None,
        success: Mapping[str, float] | None = None,
    ) -> None:
        self.floor = floor
        self._rules = rules or PlanningRules()
        self._success = success or {}
        self._control, self._candidate = control, candidate
        self._controls, self._candidates = _Evening(), _Evening()

    def decide(self, request: SeatingRequest) -> Step:
        """Have both planners decide one booking, and seat it on each planner's evening."""
        needed = stay(self.floor, request.party, request.starts_at, request.ends_at)
        window = None
        if needed:
            starts_at, ends_at, since, until = needed
            window = SeatingWindow(starts_at=starts_at, ends_at=ends_at, blocked_from=since, blocked_until=until)
        controls = self._snapshot(request, self._controls, window)
        candidates = self._snapshot(request, self._candidates, window)
        same = controls == candidates
        control, compared = self._control(controls), self._candidate(controls)
        answer = compared if same else self._candidate(candidates)
        verdict = None
        if control.decision is not None:
            verdict = compare(controls, control.decision, compared.decision) if compared.decision else Verdict.V3_ERROR
        return Step(
            snapshot=controls,
            control=self._control_turn(controls, window, control, compared),
            candidate=self._candidate_turn(candidates, window, answer, control if same else None),
            compared=compared,
            verdict=verdict,
        )

    def forget(self, until: datetime) -> None:
        """Drop seatings that ended by then; later bookings cannot overlap them."""
        self._controls.forget(until)
        self._candidates.forget(until)

    def _snapshot(self, request: SeatingRequest, evening: "_Evening", window: SeatingWindow | None) -> Snapshot:
        return Snapshot(
            floor=self.floor,
            occupied=evening.during(window) if window else (),
            request=request,
            now=made_at(request),
            rules=self._rules,
            success=self._success,
        )

    def _control_turn(
        self, snapshot: Snapshot, window: SeatingWindow | None, answer: Answer, candidate: Answer
    ) -> Turn:
        if not answer.table_refs:
            seats = _ledger_takes(snapshot, window, candidate) and not _is_unsafe(snapshot, candidate)
            return Turn(answer=answer, other_would_seat=answer.decision is not None and seats)
        is_possible = _ledger_takes(snapshot, window, answer) and not _breaks_a_rule(snapshot, answer)
        return self._seated(self._controls, snapshot, window, answer, is_possible=is_possible)

    def _candidate_turn(
        self, snapshot: Snapshot, window: SeatingWindow | None, answer: Answer, control: Answer | None
    ) -> Turn:
        if not answer.table_refs:
            if answer.decision is None:
                return Turn(answer=answer)
            control = control or self._control(snapshot)
            return Turn(answer=answer, other_would_seat=_ledger_takes(snapshot, window, control))
        is_possible = _ledger_takes(snapshot, window, answer) and not _is_unsafe(snapshot, answer)
        return self._seated(self._candidates, snapshot, window, answer, is_possible=is_possible)

    def _seated(
        self,
        evening: "_Evening",
        snapshot: Snapshot,
        window: SeatingWindow | None,
        answer: Answer,
        *,
        is_possible: bool,
    ) -> Turn:
        best = answer.decision.best if answer.decision else None
        if window is None or best is None or not is_possible:
            return Turn(answer=answer, impossible=True)
        # The floor, not the planner, determines how long the party stays.
        evening.seat(best.table_refs, window, snapshot.request.booking_ref)
        spare_seats, _tables = yardstick(snapshot, best)
        return Turn(answer=answer, is_seated=True, seats=snapshot.request.party + spare_seats)


def _ledger_takes(snapshot: Snapshot, window: SeatingWindow | None, answer: Answer) -> bool:
    """Return whether the chosen tables exist and are free."""
    refs = set(answer.table_refs)
    if window is None or not refs or not refs <= snapshot.floor.table_by_ref.keys():
        return False
    return refs.isdisjoint(taken.table_ref for taken in snapshot.occupied)


def _is_unsafe(snapshot: Snapshot, answer: Answer) -> bool:
    return answer.decision is not None and is_unsafe(snapshot, answer.decision)


def _breaks_a_rule(snapshot: Snapshot, answer: Answer) -> bool:
    """Return whether the control's decision breaks a rule that binds every planner."""
    return answer.decision is not None and bool(
        set(seating_audit.flaws_of(snapshot, answer.decision)) - seating_audit.V3S_SETTINGS
    )


class _Evening:
    """Seatings on one planner's evening. A day has few: scanning them is cheaper than an index."""

    def __init__(self) -> None:
        self._taken: list[Occupied] = []

    def during(self, window: SeatingWindow) -> tuple[Occupied, ...]:
        """Return the tables taken at any time in the window."""
        return tuple(
            taken
            for taken in self._taken
            if taken.blocked_from < window.blocked_until and window.blocked_from < taken.blocked_until
        )

    def seat(self, table_refs: Iterable[str], window: SeatingWindow, booking_ref: str) -> None:
        self._taken += occupied_by(booking_ref, table_refs, window)

    def forget(self, until: datetime) -> None:
        self._taken = [taken for taken in self._taken if taken.blocked_until > until]


@dataclass(kw_only=True)
class Tally:
    """One planner's results. ``refused`` and ``other_would_seat`` count by reason."""

    seated: int = 0
    covers: int = 0
    seats: int = 0
    joins: int = 0
    impossible: int = 0
    seated_alone: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    other_would_seat: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    milliseconds: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, turn: Turn, *, party: int, alone: bool) -> None:
        self.milliseconds.append(turn.answer.milliseconds)
        self.impossible += turn.impossible
        if turn.answer.error:
            self.errors[turn.answer.error] += 1
        if turn.refusal:
            self.refused[turn.refusal] += 1
            self.other_would_seat[turn.refusal] += turn.other_would_seat
        if turn.is_seated:
            self.seated += 1
            self.covers += party
            self.seats += turn.seats
            self.joins += len(turn.answer.table_refs) > 1
            self.seated_alone += alone

    @property
    def seat_use(self) -> float:
        """Return the share (0..1) of the seats at assigned tables that were used."""
        return self.covers / self.seats if self.seats else 0.0

    @property
    def decision_ms(self) -> dict[str, float]:
        """Return p50, p95 and maximum decision time in milliseconds, on its own evenings."""
        return percentiles(self.milliseconds)

    def as_dict(self) -> dict[str, Any]:
        return {
            "seated": self.seated,
            "covers": self.covers,
            "seat_use": round(self.seat_use, 4),
            "joins": self.joins,
            "seated_alone": self.seated_alone,
            "refused": dict(sorted(self.refused.items())),
            "refused_other_would_seat": dict(sorted((+self.other_would_seat).items())),
            "impossible": self.impossible,
            "errors": dict(sorted(self.errors.items())),
            "decision_ms": self.decision_ms,
        }


@dataclass(kw_only=True)
class Scoreboard:
    """Both planners' results side by side. Only timings grow with the number of bookings."""

    bookings: int = 0
    covers: int = 0
    control: Tally = field(default_factory=Tally)
    candidate: Tally = field(default_factory=Tally)
    verdicts: Counter[str] = field(default_factory=Counter)
    """Decisions on the control's evening, by verdict."""

    def add(self, step: Step) -> None:
        party = step.snapshot.request.party
        self.bookings += 1
        self.covers += party
        self.control.add(step.control, party=party, alone=not step.candidate.is_seated)
        self.candidate.add(step.candidate, party=party, alone=not step.control.is_seated)
        if step.verdict is not None:
            self.verdicts[step.verdict.value] += 1
