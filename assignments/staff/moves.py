"""The tables at which one booking could sit: whether each fits, and if not, why and who would have to move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from assignments.coordination import edits, staff_actions
from assignments.coordination.snapshots import as_promised
from assignments.coordination.staff_actions import Possible
from assignments.integration.floor_cache import floor_of
from assignments.integration.host import Host, HostBooking
from assignments.integration.swaps import obstacle_to_swaps
from assignments.lifecycle import ledger
from assignments.models import GONE, Allocation, Assignment, Stage
from assignments.planning.floor import Floor, Table
from assignments.planning.natural_order import natural_key
from assignments.planning.reasons import PHYSICAL_REASONS, Refusal
from assignments.planning.snapshot import Occupied, occupied_by
from assignments.staff import review_queue
from assignments.staff.timeline import by_zone


class Fit(StrEnum):
    """How well a table suits a booking."""

    HERE = "here"
    """It has it."""
    FITS = "fits"
    """By the rules."""
    JOINED = "joined"
    """By the rules, together with other tables."""
    DESPITE = "despite"
    """Only if staff pass over a rule."""
    TAKEN = "taken"
    """Somebody else has it."""
    NEVER = "never"
    """Nobody can pass over what is against it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One table. ``table_refs``: the tables that the booking would get, which for a join are several.

    ``against``: refusals that speak against it. ``taken_by``: bookings that have it at that time.
    """

    table: Table
    fit: Fit
    table_refs: tuple[str, ...]
    against: tuple[Refusal, ...] = ()
    taken_by: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Moves:
    """The tables for a booking. ``ranked``: options within the rules, best first. ``choices``: each table, by zone."""

    floor: Floor
    place: Possible
    ranked: tuple[review_queue.Option, ...]
    choices: tuple[Choice, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class InTheWay:
    """A booking that has a table which another booking is to get.

    ``swap``: the rules that a swap would override; None if they cannot swap. ``elsewhere``: other tables that it could
    have instead; empty if there are none. ``sits``: whether its guests sit there now.
    """

    booking_ref: str
    elsewhere: tuple[str, ...] = ()
    swap: tuple[Refusal, ...] | None = None
    sits: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """The consequences of giving a booking some tables, before it is done."""

    table_refs: tuple[str, ...]
    against: tuple[Refusal, ...]
    in_the_way: tuple[InTheWay, ...] = ()

    @property
    def is_free(self) -> bool:
        """Return whether nobody else has these tables."""
        return not any(each.reason in PHYSICAL_REASONS for each in self.against)

    @property
    def may_be_passed_over(self) -> bool:
        return bool(self.against) and bool(review_queue.overridable(self.against))


def moves_of(
    booking: HostBooking, assignment: Assignment, seatings: list[Allocation], *, host: Host, now: datetime
) -> Moves:
    """Return the tables for the booking, which now has these ``seatings``.

    Raises LookupError, or InvalidFloorError, without a floor.
    """
    promised = as_promised(booking, assignment, seatings)
    floor = floor_of(promised.restaurant_ref, host=host)
    place = staff_actions.possible(assignment, promised, floor=floor, now=now, seatings=seatings)
    own = {row.table_ref for row in seatings}
    offered = review_queue.options(promised, assignment, host=host, now=now).fitting
    ranked = tuple(
        option for option in offered if set(option.table_refs) != own and not place.against(option.table_refs)
    )
    joins = {
        ref: option.table_refs for option in reversed(ranked) if len(option.table_refs) > 1 for ref in option.table_refs
    }
    choices = tuple(_choice(table, place, own=own, joins=joins) for _zone, tables in by_zone(floor) for table in tables)
    return Moves(floor=floor, place=place, ranked=ranked, choices=choices)


def _choice(table: Table, place: Possible, *, own: set[str], joins: Mapping[str, tuple[str, ...]]) -> Choice:
    if table.ref in own:
        return Choice(table=table, fit=Fit.HERE, table_refs=tuple(sorted(own, key=natural_key)))
    against = place.against([table.ref])
    if not against:
        return Choice(table=table, fit=Fit.FITS, table_refs=(table.ref,))
    if table.ref in joins:
        return Choice(table=table, fit=Fit.JOINED, table_refs=joins[table.ref])
    taken_by = who_has(place, [table.ref])
    fit = Fit.TAKEN if taken_by else Fit.DESPITE if review_queue.overridable(against) else Fit.NEVER
    return Choice(table=table, fit=fit, table_refs=(table.ref,), against=against, taken_by=taken_by)


def who_has(place: Possible, table_refs: Sequence[str]) -> tuple[str, ...]:
    """Return the bookings that have one of these tables at that time, by start."""
    window = place.window
    rows = sorted(place.snapshot.occupied, key=lambda each: (each.blocked_from, each.booking_ref or ""))
    return tuple(
        dict.fromkeys(
            each.booking_ref
            for each in rows
            if each.booking_ref
            and place.is_there(each)
            and each.table_ref in table_refs
            and each.blocked_from < window.blocked_until
            and window.blocked_from < each.blocked_until
        )
    )


def preview(
    booking: HostBooking, assignment: Assignment, moves: Moves, table_refs: Sequence[str], *, host: Host, now: datetime
) -> Preview:
    """Return the consequences of giving the booking these tables, for itself and for others."""
    place = moves.place
    refs = moves.floor.in_order(table_refs)
    against = place.against(refs)
    others = who_has(place, refs)
    if not others:
        return Preview(table_refs=refs, against=against)
    rows = {row.booking_ref: row for row in Assignment.objects.filter(booking_ref__in=others)}
    bookings, seated = host.bookings(others), ledger.seatings_of([*others, booking.ref])
    found = [
        _in_the_way(
            ref, rows, bookings, seated, booking, assignment, moves, refs, host=host, now=now, alone=len(others) == 1
        )
        for ref in others
    ]
    return Preview(table_refs=refs, against=against, in_the_way=tuple(found))


def _in_the_way(
    ref: str,
    rows: Mapping[str, Assignment],
    bookings: Mapping[str, HostBooking],
    seated: Mapping[str, list[Allocation]],
    booking: HostBooking,
    assignment: Assignment,
    moves: Moves,
    table_refs: tuple[str, ...],
    *,
    host: Host,
    now: datetime,
    alone: bool,
) -> InTheWay:
    other, theirs, seatings = rows.get(ref), bookings.get(ref), seated.get(ref, [])
    if other is None or theirs is None or theirs.problem or not seatings or other.stage in GONE:
        return InTheWay(booking_ref=ref)
    sits = other.stage == Stage.SEATED
    elsewhere: tuple[str, ...] = ()
    own = seated.get(booking.ref, [])
    if alone and not sits:
        # The other one moves first, while this one still has its own tables; for those there is the swap.
        instead = (*occupied_by(booking.ref, table_refs, moves.place.window), *map(_taken, own))
        answer = edits.tables_elsewhere(other, theirs, seatings, instead=instead, host=host, now=now)
        if answer is not None and not set(answer.table_refs) & set(table_refs):
            elsewhere = tuple(answer.table_refs)
    swap = None
    if own and alone and not obstacle_to_swaps():
        swap = _swap((assignment, booking, own), (other, theirs, seatings), floor=moves.floor, now=now)
    return InTheWay(booking_ref=ref, elsewhere=elsewhere, swap=swap, sits=sits)


def _taken(row: Allocation) -> Occupied:
    return Occupied(
        table_ref=row.table_ref,
        blocked_from=row.blocked.lower,
        blocked_until=row.blocked.upper,
        booking_ref=row.booking_ref,
        **ledger.sitting(row),
    )


_Party = tuple[Assignment, HostBooking, list[Allocation]]


def _swap(one: _Party, other: _Party, *, floor: Floor, now: datetime) -> tuple[Refusal, ...] | None:
    """Return the refusals that two bookings would override by swapping their tables; None if they cannot."""
    against: list[Refusal] = []
    for (row, booking, seatings), (_row, partner, theirs) in ((one, other), (other, one)):
        promised = as_promised(booking, row, seatings)
        place = staff_actions.possible(row, promised, floor=floor, now=now, seatings=seatings, leaving={partner.ref})
        against += place.against([each.table_ref for each in theirs])
    if any(not review_queue.overridable([each]) for each in against):
        return None
    return tuple(dict.fromkeys(against))
