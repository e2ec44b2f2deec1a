"""Having a broken V3 decide stored situations, and judging each decision as comparisons and the guard would."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from time import thread_time
from typing import Protocol

from assignments.planning.decision import Decision
from assignments.planning.snapshot import Snapshot
from rollout.policy import batch_audit, seating_audit
from rollout.policy.measurements import AUDITED_REASONS
from rollout.policy.verdict import Verdict, compare, compare_with_a_sound_control
from rollout.rehearsal.kinds import UNTOUCHED, Decide, Kind, Moved, moved

STAGED_EVERY = 10
"""Where a situation is staged, one case in so many has it."""
ENOUGH = 0.01
"""Share of the cases in which a fault has to show, or its situation is staged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A stored situation, and what the control decided in it."""

    snapshot: Snapshot
    control: Decision


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What comparisons and the guard would see of one decision. Milliseconds are of processor time, for planning alone.

    ``is_feasible``: V3 seats the party, or its refusal is wrong. ``control_seats``: the control seats the party.
    ``control_has_room``: the control seats the party, or its refusal is wrong. ``is_only_legacy``: V3 refuses a party
    that the control seats without breaking a rule.
    """

    verdict: Verdict
    milliseconds: float
    is_error: bool = False
    is_seated: bool = False
    is_feasible: bool = False
    is_unsafe: bool = False
    is_audited_refusal: bool = False
    is_wrong_refusal: bool = False
    is_only_legacy: bool = False
    is_oversized: bool = False
    is_avoidable_join: bool = False
    is_untold: bool = False
    is_lost: bool = False
    is_dropped: bool = False
    control_seats: bool = False
    control_has_room: bool = False

    @cached_property
    def flags(self) -> tuple[str, ...]:
        """Return the names of the facts that are true of it."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) is True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The outcomes of a kind of fault in each case: intact, and with the fault. ``staged``: how many cases were staged."""

    kind: Kind
    intact: Sequence[Outcome]
    broken: Sequence[Outcome]
    staged: int = 0


class Advance(Protocol):
    """Called for each case that was decided."""

    def __call__(self) -> None: ...


def judged(
    kind: Kind, cases: Sequence[Case], intact: Sequence[tuple[Outcome, Decision | None]], decide: Decide
) -> Judged:
    """Decide every case with this kind of fault. ``intact``: the outcomes and decisions of V3 without a fault."""
    outcomes = [outcome for outcome, _decision in intact]
    if kind.moves is not None:
        return _with_moves(kind, cases, intact)
    broken = [outcome_of(case, kind, decide)[0] for case in cases]
    differ = sum(_seen(one) != _seen(other) for one, other in zip(outcomes, broken, strict=True))
    if kind.stage is None or differ >= ENOUGH * len(cases):
        return Judged(kind=kind, intact=outcomes, broken=broken)
    staged = list(_staged(kind, cases, intact, decide, wanted=max(1, len(cases) // STAGED_EVERY)))
    for place, as_it_is, at_fault in staged:
        outcomes[place], broken[place] = as_it_is, at_fault
    return Judged(kind=kind, intact=outcomes, broken=broken, staged=len(staged))


def _with_moves(kind: Kind, cases: Sequence[Case], intact: Sequence[tuple[Outcome, Decision | None]]) -> Judged:
    """Judge cases in which a confirmed party makes room for the booking, without and with this kind of fault."""
    outcomes = [outcome for outcome, _decision in intact]
    broken, left = list(outcomes), max(1, len(cases) // STAGED_EVERY)
    staged = 0
    for place, (case, (outcome, decision)) in enumerate(zip(cases, intact, strict=True)):
        if staged == left:
            break
        move = moved(case.snapshot, decision) if decision is not None and not outcome.is_unsafe else None
        at_fault = kind.moves(move) if move is not None and kind.moves is not None else None
        if move is None or at_fault is None or _is_unsafe(move):
            continue
        broken[place] = replace(outcome, is_unsafe=_is_unsafe(at_fault))
        staged += 1
    return Judged(kind=kind, intact=outcomes, broken=broken, staged=staged)


def _is_unsafe(move: Moved) -> bool:
    """Return whether the guard finds the move unsafe."""
    booking, mover = move.before.request.booking_ref, move.movable.booking_ref
    found = batch_audit.judge(
        move.before,
        [move.before.request],
        {booking: move.decision},
        movable=(move.movable,),
        moves={mover: move.to},
        moved_windows={mover: move.window},
        moved_for={booking: (mover,)},
        fixed=(mover,) if move.is_fixed else (),
        again=lambda _refs: {booking: move.decision},
    )
    return bool(found[booking].flaws)


def _seen(outcome: Outcome) -> tuple[object, ...]:
    return outcome.verdict, outcome.is_error, outcome.is_unsafe, outcome.is_wrong_refusal


def _staged(
    kind: Kind,
    cases: Sequence[Case],
    intact: Sequence[tuple[Outcome, Decision | None]],
    decide: Decide,
    *,
    wanted: int,
) -> Iterator[tuple[int, Outcome, Outcome]]:
    """Yield staged cases that V3 without a fault decides well: their index, and both outcomes."""
    assert kind.stage is not None
    for place, (case, (_outcome, decision)) in enumerate(zip(cases, intact, strict=True)):
        if not wanted:
            return
        snapshot = kind.stage(case.snapshot, decision) if decision is not None else None
        if snapshot is None:
            continue
        # Who controls a situation that nobody was in decides it well: as V3 does, unless it is broken.
        control, milliseconds = timed(lambda asked=snapshot: decide(asked))  # type: ignore[misc]
        if control is None:
            continue
        there = Case(snapshot=snapshot, control=control)
        as_it_is = _judge(there, UNTOUCHED, control, milliseconds)
        at_fault, _decision = outcome_of(there, kind, decide)
        if not as_it_is.is_unsafe and not as_it_is.is_wrong_refusal and _seen(as_it_is) != _seen(at_fault):
            wanted -= 1
            yield place, as_it_is, at_fault


def outcome_of(case: Case, kind: Kind, decide: Decide) -> tuple[Outcome, Decision | None]:
    """Return the outcome and the decision of this kind in the case; no decision if it raises."""
    decision, milliseconds = timed(lambda: kind.spoil(case.snapshot, decide))
    return _judge(case, kind, decision, milliseconds), decision


def timed(decide: Callable[[], Decision]) -> tuple[Decision | None, float]:
    """Return the decision (None if it raises) and its milliseconds."""
    started = thread_time()
    try:
        decision = decide()
    except Exception:  # noqa: BLE001  (whatever it raises is its answer, as in shadow mode)
        return None, (thread_time() - started) * 1000
    return decision, (thread_time() - started) * 1000


def _judge(case: Case, kind: Kind, decision: Decision | None, milliseconds: float) -> Outcome:
    snapshot, milliseconds = case.snapshot, milliseconds + kind.slow_ms
    control_seats = case.control.best is not None
    control = {
        "control_seats": control_seats,
        "control_has_room": control_seats or seating_audit.could_be_seated(snapshot),
    }
    if decision is None:
        return Outcome(verdict=Verdict.V3_ERROR, milliseconds=milliseconds, is_error=True, **control)
    verdict = compare(snapshot, case.control, decision)
    best, kept = decision.best, decision.window
    if best is None:
        is_wrong = seating_audit.could_be_seated(snapshot)
        is_audited = decision.refusal is not None and decision.refusal.reason in AUDITED_REASONS
        return Outcome(
            verdict=verdict,
            milliseconds=milliseconds,
            is_feasible=is_wrong,
            is_audited_refusal=is_audited,
            is_wrong_refusal=is_audited and is_wrong,
            is_only_legacy=compare_with_a_sound_control(snapshot, case.control, decision) is Verdict.ONLY_LEGACY_SEATS,
            **control,
        )
    is_unsafe, has_better = verdict is Verdict.UNSAFE, False
    if not is_unsafe and kept is not None:
        taken = {
            row.table_ref
            for row in snapshot.occupied
            if row.blocked_from < kept.blocked_until and kept.blocked_from < row.blocked_until
        }
        party = seating_audit.party_of(snapshot.request)
        has_better = seating_audit.has_better_table(snapshot.floor, party, best.table_refs, taken, snapshot.rules)
    if kind.is_dropped:
        return Outcome(verdict=verdict, milliseconds=milliseconds, is_dropped=True, **control)
    is_join = len(best.table_refs) > 1
    return Outcome(
        verdict=verdict,
        milliseconds=milliseconds,
        is_seated=True,
        is_feasible=True,
        is_unsafe=is_unsafe,
        is_oversized=has_better and not is_join,
        is_avoidable_join=has_better and is_join,
        is_untold=kind.is_untold,
        is_lost=kind.is_lost,
        **control,
    )
