"""Auditing a planner's decisions on a whole day: no two parties at a table, and no party refused that could be seated.

Like the seating audit, which it uses, it does no I/O and shares no code with a planner: it reads the fields of immutable
values, and calls none of their methods.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollout.policy import seating_audit
from rollout.policy.audit_hours import stay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from assignments.planning.decision import Decision
    from assignments.planning.snapshot import Snapshot

    Again = Callable[[Sequence[str]], Mapping[str, Decision]]
    """What the planner decides on some of the batch's bookings alone."""

_LAST = datetime.max.replace(tzinfo=UTC)
"""Whoever has no time of asking comes after all others."""

VERIFIED = 5
"""How many wrong refusals of a batch are verified by asking again. Further ones that look wrong count as they look."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A table that a party of the day has. It has the same fields as a snapshot's ``Occupied``."""

    table_ref: str
    blocked_from: datetime
    blocked_until: datetime
    booking_ref: str | None
    closed: bool = False
    party: int = 0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    is_wish: bool = False


@dataclass(kw_only=True, slots=True)
class DayTotals:
    """A planner's result for a day: booking refs, and ``covers`` of those ``seated``.

    ``refused``: refused although, without moving anybody, tables were free that no earlier request has. ``moved``:
    changed tables for others of their batch. ``unsafe``: given tables with a flaw, so they count as not seated;
    ``flaws`` counts the flaws by kind.
    """

    seated: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    unsafe: set[str] = field(default_factory=set)
    covers: int = 0
    flaws: Counter[str] = field(default_factory=Counter)

    @property
    def feasible(self) -> int:
        """Return the number of bookings that it has seated or could have seated."""
        return len(self.seated | self.refused | self.unsafe)

    def add(self, other: DayTotals) -> None:
        """Add the totals of another batch of the day."""
        self.seated |= other.seated
        self.refused |= other.refused
        self.moved |= other.moved
        self.unsafe |= other.unsafe
        self.covers += other.covers
        self.flaws += other.flaws


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditedBatch:
    """The audit of a batch, and the tables of its parties, for as long as the floor says that they sit.

    ``flaws``: the flaws of each unsafe seating, by booking ref.
    """

    totals: DayTotals
    taken: tuple[Taken, ...]
    flaws: Mapping[str, frozenset[seating_audit.Flaw]] = field(default_factory=dict)


def audit_batch(
    snapshots: Mapping[str, Snapshot],
    decisions: Mapping[str, Decision],
    *,
    again: Again,
    is_v3: bool = True,
) -> AuditedBatch:
    """Audit the decisions on bookings that were planned together, by booking ref.

    ``snapshots``: the day before the batch as each booking sees it. ``is_v3``: whether the limits in V3's settings bind
    the planner. ``again``: decides again the requests before a refused booking if others have been moved since.
    """
    chosen = {ref: _taken_by(snapshots[ref], decisions[ref]) for ref in snapshots if decisions[ref].plans}
    totals, safe = DayTotals(), list[Taken]()
    found: dict[str, frozenset[seating_audit.Flaw]] = {}
    for ref, own in chosen.items():
        flaws = _flaws(snapshots[ref], decisions[ref], chosen)
        if not is_v3:
            flaws -= seating_audit.V3S_SETTINGS
        if decisions[ref].moved_from:
            totals.moved.add(ref)
        if flaws:
            totals.unsafe.add(ref)
            found[ref] = flaws
            totals.flaws.update(str(flaw) for flaw in flaws)
        else:
            totals.seated.add(ref)
            totals.covers += snapshots[ref].request.party
            safe += own
    held = {ref: _taken_by(snapshots[ref], decisions[ref], with_former_tables=True) for ref in chosen}
    for ref in snapshots:
        # A limit: a planner with many wrong refusals is not asked without end.
        ask = again if len(totals.refused) < VERIFIED else _nobody
        if ref not in chosen and _was_wrong_to_refuse(ref, snapshots, decisions, held, ask):
            totals.refused.add(ref)
    return AuditedBatch(totals=totals, taken=tuple(safe), flaws=found)


def _nobody(_refs: Sequence[str]) -> Mapping[str, Decision]:
    return {}


def _flaws(
    snapshot: Snapshot, decision: Decision, chosen: Mapping[str, Sequence[Taken]]
) -> frozenset[seating_audit.Flaw]:
    own = snapshot.request.booking_ref
    others = tuple(row for ref, rows in chosen.items() if ref != own for row in rows)
    return frozenset(seating_audit.flaws_of(_beside(snapshot, others), decision))


def _was_wrong_to_refuse(
    ref: str,
    snapshots: Mapping[str, Snapshot],
    decisions: Mapping[str, Decision],
    held: Mapping[str, Sequence[Taken]],
    again: Again,
) -> bool:
    """Return whether free tables could have seated it at its turn, beside parties that asked no later.

    ``held``: the tables of those who were seated, and the ones from which they were moved, by booking ref.
    If parties have been moved since, the tables that were free then are no longer visible. So the planner is asked
    again with only the requests before this one. That is exact only if none asked at the same moment; otherwise, if any
    party was moved, the refusal is not judged.
    """
    snapshot = snapshots[ref]
    before = [other for other in snapshots if other != ref and _asked(snapshots[other]) <= _asked(snapshot)]
    if not _has_room(snapshot, held, before):
        return False
    if any(_asked(snapshots[other]) == _asked(snapshot) for other in before):
        return not any(decisions[other].moved_from for other in before)
    if not before:
        return True
    then = again([*before, ref])
    if not {*before, ref} <= then.keys():
        return True
    held_then = {other: _taken_by(snapshots[other], then[other]) for other in before if then[other].plans}
    return bool(then[ref].plans) or _has_room(snapshot, held_then, before)


def _has_room(snapshot: Snapshot, held: Mapping[str, Sequence[Taken]], before: Sequence[str]) -> bool:
    taken = tuple(row for other in before for row in held.get(other, ()))
    return seating_audit.could_be_seated(_beside(snapshot, taken))


def _taken_by(snapshot: Snapshot, decision: Decision, *, with_former_tables: bool = False) -> list[Taken]:
    """Return the tables that the decision gives, for as long as the floor says that the party sits."""
    refs = {*decision.plans[0].table_refs, *(decision.moved_from if with_former_tables else ())}
    return taken_at(snapshot, sorted(refs))


def taken_at(snapshot: Snapshot, table_refs: Iterable[str]) -> list[Taken]:
    """Return these tables as taken by the requesting party, for as long as the floor says that it sits."""
    request = snapshot.request
    due = stay(snapshot.floor, request.party, request.starts_at, request.ends_at)
    if due is None:
        return []
    guests = (request.party, due.starts_at, due.ends_at)
    return [Taken(ref, due.blocked_from, due.blocked_until, request.booking_ref, False, *guests) for ref in table_refs]


def _beside(snapshot: Snapshot, others: tuple[Taken, ...]) -> Snapshot:
    return replace(snapshot, occupied=(*snapshot.occupied, *others))  # type: ignore[arg-type]


def _asked(snapshot: Snapshot) -> datetime:
    return snapshot.request.requested_at or _LAST
