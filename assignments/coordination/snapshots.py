"""Building the immutable values on which planning decides, from the host's bookings and the ledger."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from assignments import conf
from assignments.coordination.table_record import success_of
from assignments.integration.floor_cache import floor_of
from assignments.integration.host import Host, HostBooking
from assignments.lifecycle import intake, ledger, promise
from assignments.models import Allocation, Assignment, State
from assignments.planning.admission import admit, party_refusal
from assignments.planning.engine import judge
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.scoring import IDLE_HORIZON_SECONDS
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.service_day import touched_days
from assignments.planning.snapshot import Occupied, Snapshot, occupied_by


def seating_request(booking: HostBooking, assignment: Assignment) -> SeatingRequest:
    """Return the booking as planning sees it. An edit for the same start has its promise still, beside today's pacing."""
    needs, wishes = intake.asked_features(booking, assignment)
    place = (booking.restaurant_ref, intake.stored_start(booking))
    is_same_start = place == (assignment.restaurant_ref, assignment.starts_at)
    return SeatingRequest(
        booking_ref=booking.ref,
        starts_at=booking.starts_at,
        party=booking.party,
        ends_at=booking.ends_at,
        zone_ref=booking.zone_ref,
        requested_at=assignment.requested_at,
        pinned_table_refs=tuple(assignment.pinned_table_refs),
        needs=needs,
        wishes=wishes,
        promised_party=assignment.party if assignment.is_wish_undecided and is_same_start else 0,
    )


def is_plannable(booking: HostBooking, assignment: Assignment, restaurant_ref: str) -> bool:
    """Return whether the booking waits for a table of this restaurant, and may be given one.

    The host may still show a booking as confirmed whose guest asks for something other than was promised.
    """
    is_waiting = not booking.is_confirmed or assignment.is_wish_undecided
    return is_waiting and booking.wants_table and not booking.problem and booking.restaurant_ref == restaurant_ref


def plannable_requests(rows: Sequence[Assignment], restaurant_ref: str, *, host: Host) -> list[SeatingRequest]:
    """Return the requests of those bookings that could be planned here. One query, none without bookings."""
    bookings = host.bookings([row.booking_ref for row in rows]) if rows else {}
    return requests_of(rows, restaurant_ref, bookings)


def requests_of(
    rows: Iterable[Assignment], restaurant_ref: str, bookings: Mapping[str, HostBooking]
) -> list[SeatingRequest]:
    """As ``plannable_requests``, for bookings that are already read."""
    return [
        seating_request(bookings[row.booking_ref], row)
        for row in rows
        if row.booking_ref in bookings and is_plannable(bookings[row.booking_ref], row, restaurant_ref)
    ]


def as_promised(
    booking: HostBooking,
    assignment: Assignment,
    seatings: Sequence[Allocation],
    *,
    facts: Mapping[str, Any] | None = None,
) -> HostBooking:
    """Return the booking with its promised stay, whatever today's turn times are.

    It is returned unchanged if it asks for another time or party than was promised (``facts``, by default those of the
    assignment), or for another end than before; staff may have let the guests stay longer than the host knows. An edit
    that staff have rejected does not count: then the booking is returned as it was promised.
    """
    if not seatings:
        return booking
    if promise.is_turned_down(assignment, booking):
        return promise.promised(booking, assignment, seatings)
    before = promise.facts_of(assignment) if facts is None else facts
    is_same = (intake.stored_start(booking), booking.party) == (before["starts_at"], before["party"])
    if not is_same or (booking.ends_at is not None and booking.ends_at != before["asked_until"]):
        return booking
    return replace(booking, starts_at=seatings[0].starts_at, ends_at=seatings[0].stays_until)


def promised_request(
    booking: HostBooking, assignment: Assignment, seatings: Sequence[Allocation], floor: Floor
) -> SeatingRequest:
    """Return a booking's promise as a request, whatever the host shows now."""
    request = seating_request(promise.promised(booking, assignment, seatings), assignment)
    return to_be_kept(replace(request, needs=frozenset(assignment.needs)), assignment, seatings, floor)


def to_be_kept(
    request: SeatingRequest, assignment: Assignment, seatings: Sequence[Allocation], floor: Floor
) -> SeatingRequest:
    """Return the request with the tables of the booking's ``seatings`` and, at the same start, the promised covers."""
    first = seatings[0]
    promised = assignment.party if first.party is None else first.party
    return replace(
        request,
        current_table_refs=floor.in_order(row.table_ref for row in seatings),
        promised_party=promised if floor.is_paced and first.starts_at == request.starts_at else 0,
    )


def windows_of(requests: Iterable[SeatingRequest], floor: Floor) -> list[SeatingWindow]:
    """Return the seating windows of the requests that have one."""
    windows, rules = [], conf.settings().rules()
    for request in requests:
        if party_refusal(request, rules):
            continue
        window = seating_window(floor, starts_at=request.starts_at, party=request.party, ends_at=request.ends_at)
        if isinstance(window, SeatingWindow):
            windows.append(window)
    return windows


def touched_by(requests: Iterable[SeatingRequest], floor: Floor) -> set[date]:
    """Return the service days that these requests' seatings would touch. Whoever plans the requests locks them all."""
    return touched_during(windows_of(requests, floor), floor)


def touched_during(windows: Iterable[SeatingWindow], floor: Floor) -> set[date]:
    """As ``touched_by``, for seatings in these windows."""
    return {day for window in set(windows) for day in touched_days(floor, window)}


def occupied_during(
    requests: Iterable[SeatingRequest],
    floor: Floor,
    *,
    also: Iterable[SeatingWindow] = (),
    remove_expired: bool = False,
) -> tuple[Occupied, ...]:
    """Return what is taken or closed during these requests' seatings, and around them as far as scoring looks.

    Includes the tables that they have themselves. One query; none if none of them could be seated.

    ``also``: further windows, such as those of guests who are there outside the hours of any service.
    ``remove_expired``: see ``ledger.occupied``.
    """
    windows = [*windows_of(requests, floor), *(window for window in also if window.blocked_from < window.blocked_until)]
    if not windows:
        return ()
    horizon = timedelta(seconds=IDLE_HORIZON_SECONDS)
    start = min(window.blocked_from for window in windows) - horizon
    until = max(window.blocked_until for window in windows) + horizon
    return ledger.occupied(floor.restaurant_ref, start, until, floor=floor, remove_expired=remove_expired)


def shown_for_others(
    restaurant_ref: str, service_date: date, refs: Collection[str], floor: Floor, *, host: Host
) -> tuple[Occupied, ...]:
    """Return the tables that the host shows for bookings of the day without tables here, as if they were taken.

    If a row must have a table and allows no swaps, nobody else can have that table until the row has another one.
    Bookings in ``refs`` are left out. At most two queries.
    """
    waiting = Assignment.objects.of_day(restaurant_ref, service_date).exclude(booking_ref__in=sorted(refs))
    waiting = waiting.exclude(state__in=(State.CONFIRMED, State.CANCELLED)).order_by("id")
    bookings = [each for each in host.bookings([row.booking_ref for row in waiting]).values() if not each.problem]
    unread = [each.ref for each in bookings if each.table_refs is None]
    read = host.tables_of(unread) if unread else {}
    shown: list[Occupied] = []
    for booking in bookings:
        tables = read.get(booking.ref, ()) if booking.table_refs is None else booking.table_refs
        window = seating_window(floor, starts_at=booking.starts_at, party=booking.party, ends_at=booking.ends_at)
        if isinstance(window, SeatingWindow):
            shown += occupied_by(booking.ref, tables, window)
    return tuple(shown)


def held_tables(
    requests: Iterable[SeatingRequest], occupied: Iterable[Occupied], *, floor: Floor, now: datetime
) -> Mapping[str, tuple[str, ...]]:
    """Return the tables that these bookings hold themselves, by booking ref, if they still fit.

    A hold that does not fit any more (the party has grown, other tables are pinned) counts as taken by somebody else
    until it expires.
    """
    taken = tuple(occupied)
    rules = conf.settings().rules()
    own: dict[str, list[Occupied]] = {}
    for each in taken:
        if each.booking_ref:
            own.setdefault(each.booking_ref, []).append(each)
    held = {}
    for request in requests:
        refs = floor.in_order(each.table_ref for each in own.get(request.booking_ref, ()))
        if not refs or (request.pinned_table_refs and set(request.pinned_table_refs) != set(refs)):
            continue
        others = tuple(each for each in taken if each.booking_ref != request.booking_ref)
        snapshot = Snapshot(floor=floor, occupied=others, request=request, now=now, rules=rules)
        if isinstance(admit(floor, request, rules=rules, now=now), SeatingWindow) and not judge(snapshot, refs):
            held[request.booking_ref] = refs
    return held


def snapshot_of(
    booking: HostBooking,
    assignment: Assignment,
    *,
    host: Host,
    now: datetime,
    with_occupancy: bool = True,
    remove_expired: bool = False,
) -> Snapshot:
    """Return everything on which a decision about this booking depends; tables that it holds itself count as free.

    ``remove_expired``: see ``ledger.occupied``. Raises InvalidFloorError, or LookupError for an unknown restaurant.
    """
    floor = floor_of(booking.restaurant_ref, host=host)
    request = seating_request(booking, assignment)
    occupied = occupied_during([request], floor, remove_expired=remove_expired) if with_occupancy else ()
    return Snapshot(
        floor=floor,
        occupied=tuple(taken for taken in occupied if taken.booking_ref != booking.ref),
        request=request,
        now=now,
        rules=conf.settings().rules(),
        success=success_of(booking.restaurant_ref),
    )
