"""Walk-ins: guests who are there now, without a booking or before its time."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from assignments.coordination import availability, stays
from assignments.coordination.snapshots import snapshot_of
from assignments.coordination.staff_actions import Place, accepted, give_place, grant, possible
from assignments.exceptions import NoTableFreeError, TransitionRefusedError
from assignments.integration.host import Host, HostBooking
from assignments.lifecycle import intake, ledger
from assignments.lifecycle.staff_decisions import WALK_IN
from assignments.models import Assignment, Stage
from assignments.outcome import Outcome
from assignments.planning import engine
from assignments.planning.floor import Floor
from assignments.planning.reasons import OVERRIDABLE, Reason, Refusal
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.planning.text import Text, together
from assignments.planning.text import gettext as _
from assignments.planning.units import seatable_units, unit_of

_AS_THEY_SIT_DOWN = timedelta(minutes=1)
"""Enough to keep a walk-in from a table, because it would sit down now."""


def seat(
    assignment: Assignment,
    booking: HostBooking,
    table_refs: Sequence[str],
    *,
    host: Host,
    now: datetime,
    actor: str,
    until: datetime | None = None,
    overriding: Collection[Reason] = (),
    queued_id: int | None = None,
    is_new: bool = False,
) -> Outcome:
    """Seat guests who are there now, at these tables or at the best free ones. The row and its day are locked.

    ``queued_id``: their place in the queue at the door, if they have one. ``is_new``: the booking was made for them
    just now, so that it has no tables.
    """
    if not is_new and ledger.seatings_of([booking.ref]):
        raise TransitionRefusedError(f"Booking {booking.ref} has tables already: mark it as seated.")
    here = replace(booking, starts_at=now, ends_at=until or intake.asked_until(booking))
    if table_refs:
        place = accepted(assignment, here, table_refs, host=host, now=now, overriding=overriding)
    else:
        place = _best_now(assignment, here, host=host, now=now, overriding=overriding, queued_id=queued_id)
    stays.mark(assignment, Stage.SEATED, now=now)
    grant(assignment, booking, (), host=host)
    return give_place(assignment, booking, place, (), host=host, now=now, actor=actor, reason=WALK_IN)


def _best_now(
    assignment: Assignment,
    booking: HostBooking,
    *,
    host: Host,
    now: datetime,
    overriding: Collection[Reason] = (),
    queued_id: int | None = None,
) -> Place:
    snapshot = snapshot_of(booking, assignment, host=host, now=now, remove_expired=True)
    snapshot = replace(snapshot, rules=snapshot.rules.by_staff())
    decision = engine.plan(snapshot)
    if decision.best is not None and (in_use := _in_use(snapshot, now=now)):
        elsewhere = engine.plan(replace(snapshot, occupied=(*snapshot.occupied, *in_use)))
        decision = elsewhere if elsewhere.best is not None else decision
    despite: frozenset[Reason] = frozenset()
    if decision.refusal is not None and decision.refusal.reason is Reason.PACING and Reason.PACING in overriding:
        decision = engine.plan(replace(snapshot, rules=replace(snapshot.rules, is_paced=False)))
        despite = frozenset({Reason.PACING})
    if decision.best is not None and decision.window is not None:
        return Place(table_refs=decision.best.table_refs, window=decision.window, despite=despite)
    ways = _despite(assignment, booking, snapshot.floor, now=now)
    way = _best(way for way in ways if way.reasons.issubset(overriding))
    if way is not None and overriding:
        return Place(table_refs=way.table_refs, window=way.window, despite=way.reasons)
    refusal = decision.refusal
    assert refusal is not None, f"{booking.ref}: a decision has plans or a refusal"
    minutes = None if refusal.is_hard else _wait(snapshot, host=host, now=now, queued_id=queued_id)
    others = _best(way for way in ways if way.reasons.issubset(OVERRIDABLE))
    raise NoTableFreeError(
        together([_says_no(refusal, booking.party, minutes), refusal.detail]),
        minutes,
        table_refs=others.table_refs if others else (),
        against=others.against if others else (),
    )


def _in_use(snapshot: Snapshot, *, now: datetime) -> list[Occupied]:
    """Return the tables whose guests are seated past their time: they may still sit there. One query.

    They are the last choice, and no more, because staff may have forgotten to say that the guests have left.
    """
    rows = ledger.seated_past_their_time(snapshot.floor.restaurant_ref, now=now)
    return [Occupied(table_ref=ref, blocked_from=now, blocked_until=now + _AS_THEY_SIT_DOWN) for ref, _booking in rows]


ABOUT_ROOM = frozenset({Reason.NO_CAPACITY, Reason.NO_FIT, Reason.NO_TABLES, Reason.PARTY_TOO_LARGE})
"""Reasons that say that no table is free."""


def _says_no(refusal: Refusal, party: int, minutes: int | None) -> Text:
    if refusal.reason not in ABOUT_ROOM:
        if minutes is None:
            return _("A party of %(party)s cannot be seated now.", party=party)
        return _("A party of %(party)s can be seated in %(minutes)s minutes, not now.", party=party, minutes=minutes)
    if minutes is None:
        return _("No table is free for %(party)s now, nor within three hours.", party=party)
    return _("No table is free for %(party)s now; one in %(minutes)s minutes.", party=party, minutes=minutes)


def _wait(snapshot: Snapshot, *, host: Host, now: datetime, queued_id: int | None) -> int | None:
    """Return in how many minutes the party could be seated when its turn comes; None if not within three hours."""
    request = snapshot.request
    newcomer = availability.AtTheDoor(
        party=request.party, needs=request.needs, zone_ref=request.zone_ref, until=request.ends_at
    )
    waits = availability.waits(
        snapshot.floor.restaurant_ref, host=host, now=now, newcomer=None if queued_id else newcomer
    )
    return next((each.minutes for each in waits if each.queued_id == queued_id), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """Tables, and what is against them. ``rank``: few rules first, then a seat for all, few tables, few spare seats."""

    rank: tuple[int, ...]
    table_refs: tuple[str, ...]
    window: SeatingWindow
    against: tuple[Refusal, ...]

    @property
    def reasons(self) -> frozenset[Reason]:
        return frozenset(each.reason for each in self.against)


def _best(ways: Iterable[_Way]) -> _Way | None:
    return min(ways, key=lambda way: (way.rank, way.table_refs), default=None)


def _despite(assignment: Assignment, booking: HostBooking, floor: Floor, *, now: datetime) -> list[_Way]:
    """Return what is against each table and join. One query."""
    place = possible(assignment, booking, floor=floor, now=now)
    single = [(table.ref,) for table in floor.tables]
    joined = [
        unit.table_refs for unit in seatable_units(floor, place.snapshot.rules.max_tables) if unit.table_count > 1
    ]
    found = []
    for refs in (*single, *joined):
        against, unit = place.against(refs), unit_of(floor, refs)
        spare = unit.seats - booking.party
        rules = len({each.reason for each in against})
        rank = (rules, max(0, -spare), unit.table_count, spare, *unit.places)
        found.append(_Way(rank=rank, table_refs=refs, window=place.window, against=against))
    return found
