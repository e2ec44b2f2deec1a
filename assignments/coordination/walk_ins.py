"""Walk-ins: guests who are there now, without a booking or before its time."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from assignments.coordination import availability, stays
from assignments.coordination.snapshots import snapshot_of
from assignments.coordination.staff_actions import Place, accepted, give_place, grant, possible
from assignments.exceptions import NoTableFreeError, TransitionRefusedError
from assignments.integration.host import Host, HostBooking
from assignments.lifecycle import intake, ledger
from assignments.models import Assignment, Stage
from assignments.outcome import Outcome
from assignments.planning import engine
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.snapshot import Snapshot
from assignments.planning.text import gettext as _
from assignments.planning.text import together
from assignments.planning.units import seatable_units, unit_of

WALK_IN = "walk_in"
"""Reason code: guests came without a booking, and staff seated them."""


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
) -> Outcome:
    """Seat guests who are there now, at these tables or at the best free ones. The row and its day are locked.

    ``queued_id``: their place in the queue at the door, if they have one.
    """
    if ledger.seatings_of([booking.ref]):
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
    despite: frozenset[Reason] = frozenset()
    if decision.refusal is not None and decision.refusal.reason is Reason.PACING and Reason.PACING in overriding:
        decision = engine.plan(replace(snapshot, rules=replace(snapshot.rules, is_paced=False)))
        despite = frozenset({Reason.PACING})
    if decision.best is not None and decision.window is not None:
        return Place(table_refs=decision.best.table_refs, window=decision.window, despite=despite)
    if overriding and (place := _best_despite(assignment, booking, snapshot.floor, now=now, overriding=overriding)):
        return place
    refusal = decision.refusal
    assert refusal is not None, f"{booking.ref}: a decision has plans or a refusal"
    minutes = None if refusal.is_hard else _wait(snapshot, host=host, now=now, queued_id=queued_id)
    if minutes is None:
        problem = _("No table is free for %(party)s now, nor within three hours.", party=booking.party)
    else:
        problem = _(
            "No table is free for %(party)s now; one in %(minutes)s minutes.", party=booking.party, minutes=minutes
        )
    raise NoTableFreeError(together([problem, refusal.detail]), minutes)


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


def _best_despite(
    assignment: Assignment, booking: HostBooking, floor: Floor, *, now: datetime, overriding: Collection[Reason]
) -> Place | None:
    """Return the tables against which nothing speaks but what staff pass over; None if there are none.

    The fewest rules are passed over; then a seat for everybody counts, then few tables and few spare seats.
    """
    place = possible(assignment, booking, floor=floor, now=now)
    single = [(table.ref,) for table in floor.tables]
    joined = [
        unit.table_refs for unit in seatable_units(floor, place.snapshot.rules.max_tables) if unit.table_count > 1
    ]
    found = []
    for refs in (*single, *joined):
        against = frozenset(each.reason for each in place.against(refs))
        if against.issubset(overriding):
            unit = unit_of(floor, refs)
            spare = unit.seats - booking.party
            found.append(((len(against), max(0, -spare), unit.table_count, spare, unit.places), refs, against))
    if not found:
        return None
    _rank, refs, despite = min(found)
    return Place(table_refs=refs, window=place.window, despite=despite)
