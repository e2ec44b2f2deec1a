"""Whether the promise of a confirmed booking stands: its tables, time, stay and party as they were confirmed."""

from collections.abc import Sequence, Set
from datetime import timedelta

from django.db import transaction

from assignments.concurrency import transactions
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, Move, Seating, lock_bookings, named_refusals, tell_of_moves
from assignments.lifecycle import intake, promise
from assignments.models import Allocation, Assignment, State
from assignments.planning.feasibility import objections
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import PlanningRules

UNUSABLE = frozenset({Reason.UNKNOWN_TABLE, Reason.TABLE_INACTIVE, Reason.TOO_FEW_SEATS})
"""What ends a promise from the tables' side: a table is gone or out of service, or there are fewer seats than guests."""

RULES = UNUSABLE | {Reason.ZONES_DIFFER, Reason.NOT_ADJACENT, Reason.WRONG_ZONE}
"""What a new booking's tables must also meet. Preferences, such as spare seats, are left to whoever plans."""

FALLBACK_MINUTES = 120


def stands(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    *,
    floor: Floor | None,
    rules: PlanningRules,
) -> bool:
    """Return whether the booking's promise still stands. ``seatings``: all of its seatings. Runs no query.

    A promise is judged by the facts on which it was made: settings, opening hours and floor edits apply to new
    bookings. It ends when the guest edits the booking, or when a table can no longer be used (docs/living-evening.md
    rule 1).
    """
    if not seatings or booking.problem or asks_anew(assignment, booking, seatings, floor=floor):
        return False
    return is_usable(booking, seatings, floor=floor, rules=rules)


def is_usable(
    booking: HostBooking, seatings: Sequence[Allocation], *, floor: Floor | None, rules: PlanningRules
) -> bool:
    """Return whether the promised party can still sit at these tables. Runs no query."""
    return floor is None or not _against(UNUSABLE, booking, seatings, floor=floor, rules=rules)


def against_tables(
    booking: HostBooking, table_refs: Sequence[str], *, floor: Floor, rules: PlanningRules
) -> list[Refusal]:
    """Return why guests cannot sit at tables that the host has given them; empty if they can. Runs no query."""
    request = SeatingRequest(
        booking_ref=booking.ref, starts_at=booking.starts_at, party=booking.party, zone_ref=booking.zone_ref
    )
    return [each for each in objections(floor, request, rules, table_refs) if each.reason in UNUSABLE]


def unknown_tables(table_refs: Sequence[str], floor: Floor | None) -> tuple[str, ...]:
    """Return the refs of these tables that the floor does not have; empty without a floor. Runs no query."""
    return tuple(ref for ref in table_refs if floor is not None and ref not in floor.table_by_ref)


def asks_anew(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, floor: Floor | None
) -> bool:
    """Return whether the guest asks for a restaurant, time, stay, party, zone or needs that differ from last time.

    A zone or a need that was not asked for when the seatings were made counts only if the tables do not meet it. Beside
    an edit that was not granted, any difference from that edit counts.
    """
    if assignment.has_wish:
        return not promise.is_shown(assignment, booking)
    asked = (booking.restaurant_ref, intake.stored_start(booking), intake.stored_party(booking))
    last_end, last_zone, last_needs = assignment.asked_until, assignment.zone_ref, set(assignment.needs)
    if asked != assignment.last_asked:
        return True
    end = intake.asked_until(booking)
    is_new_end = last_end is not None or any(row.ends_at != end for row in seatings)
    if end is not None and end != last_end and is_new_end:
        return True
    needs, _wishes = intake.asked_features(booking, assignment)
    if not needs <= last_needs and not have(needs, seatings, floor):
        return True
    wants_zone = bool(booking.zone_ref) and booking.zone_ref != last_zone
    if assignment.state == State.MANUAL_REVIEW and (needs < last_needs or (last_zone and not booking.zone_ref)):
        return True  # The need or the zone that could not be had may have been dropped.
    return wants_zone and not _are_in_zone(booking, seatings, floor)


def meets(assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, floor: Floor | None) -> bool:
    """Return whether these seatings meet what the booking asks for: restaurant, time, stay, party, zone and needs."""
    needs, _wishes = intake.asked_features(booking, assignment)
    start, end, party = intake.stored_start(booking), intake.asked_until(booking), intake.stored_party(booking)
    return (
        bool(seatings)
        and all((row.restaurant_ref, row.starts_at) == (booking.restaurant_ref, start) for row in seatings)
        and all(row.party in (None, party) for row in seatings)
        and (end is None or all(row.ends_at == end for row in seatings))
        and (not booking.zone_ref or _are_in_zone(booking, seatings, floor))
        and have(needs, seatings, floor)
    )


def have(needs: Set[str], seatings: Sequence[Allocation], floor: Floor | None) -> bool:
    """Return whether each of these tables has the needed features; one that the floor does not know counts as having."""
    if floor is None:
        return True
    tables = (floor.table_by_ref.get(row.table_ref) for row in seatings)
    return all(table is None or needs <= table.features for table in tables)


def _are_in_zone(booking: HostBooking, seatings: Sequence[Allocation], floor: Floor | None) -> bool:
    if floor is None:
        return True
    tables = (floor.table_by_ref.get(row.table_ref) for row in seatings)
    return all(table is None or table.zone_ref == booking.zone_ref for table in tables)


def outdated_because(
    booking: HostBooking, seatings: Sequence[Allocation], *, floor: Floor, rules: PlanningRules
) -> str:
    """Return the codes of the reasons why today's rules would not make this promise again; "" if they would."""
    window = seating_window(floor, starts_at=booking.starts_at, party=booking.party, ends_at=booking.ends_at)
    if not isinstance(window, SeatingWindow):
        return window.reason
    found = sorted({str(reason) for reason in _against(RULES, booking, seatings, floor=floor, rules=rules)})
    if any(row.ends_at != window.ends_at for row in seatings):
        found.append("other_turn_time")
    return ", ".join(found)


def _against(
    reasons: Set[Reason], booking: HostBooking, seatings: Sequence[Allocation], *, floor: Floor, rules: PlanningRules
) -> list[Reason]:
    promised = next((row.party for row in seatings if row.party is not None), booking.party)
    request = SeatingRequest(
        booking_ref=booking.ref, starts_at=booking.starts_at, party=promised, zone_ref=booking.zone_ref
    )
    refs = [row.table_ref for row in seatings]
    passed_over = {reason for row in seatings for reason in row.despite}
    return [
        refusal.reason
        for refusal in objections(floor, request, rules, refs)
        if refusal.reason in reasons and refusal.reason not in passed_over
    ]


def window_as_the_host_has_it(booking: HostBooking, floor: Floor | None) -> SeatingWindow:
    """Return the window of a booking that the host has seated by itself, even outside the hours of any service.

    Its end is the host's, else follows from its turn time, else from FALLBACK_MINUTES.
    """
    start, end = intake.stored_start(booking), intake.asked_until(booking)
    if floor is not None:
        window = seating_window(floor, starts_at=start, party=booking.party, ends_at=end)
        if isinstance(window, SeatingWindow):
            return window
    turns = [service.turn_minutes(booking.party) for service in floor.services] if floor is not None else []
    end = end or start + timedelta(minutes=max(turns, default=FALLBACK_MINUTES))
    return SeatingWindow(starts_at=start, ends_at=end, blocked_from=start, blocked_until=end)


def confirm_again(host: Host, booking_ref: str, seatings: Sequence[Allocation]) -> None:
    """Tell a host that shows the booking as waiting that it has its tables, in the caller's transaction."""
    lock_bookings(host, [booking_ref])
    table_refs: Sequence[str] = [row.table_ref for row in seatings]
    floor = floor_or_none(seatings[0].restaurant_ref, host=host)
    seating = Seating(
        booking_ref=booking_ref,
        table_refs=floor.in_order(table_refs) if floor else tuple(table_refs),
        starts_at=seatings[0].starts_at,
        ends_at=seatings[0].ends_at,
    )
    with named_refusals([booking_ref]):
        host.on_confirmed([seating])


def show_again(host: Host, booking_ref: str, seatings: Sequence[Allocation]) -> None:
    """Tell a host that shows other tables for a confirmed booking, or none, its own, in the caller's transaction."""
    lock_bookings(host, [booking_ref])
    refs = [row.table_ref for row in seatings]
    floor = floor_or_none(seatings[0].restaurant_ref, host=host)
    tables = floor.in_order(refs) if floor else tuple(refs)
    move = Move(
        booking_ref=booking_ref,
        from_table_refs=tables,
        to_table_refs=tables,
        starts_at=seatings[0].starts_at,
        ends_at=seatings[0].ends_at,
    )
    with named_refusals([booking_ref]):
        tell_of_moves(host, [move])


def stores_tables(host: Host, booking_ref: str, seatings: Sequence[Allocation]) -> bool:
    """Return whether the host would show the tables of a confirmed booking if it was told them now.

    It is told them in a savepoint, read again, and all of that is rolled back. True for a host that refuses to be told.
    """
    try:
        with transactions.atomic():
            show_again(host, booking_ref, seatings)
            shown = host.bookings([booking_ref]).get(booking_ref)
            transaction.set_rollback(True)
    except Exception as error:  # A host may raise anything to refuse.
        if transactions.is_database_away(error):
            raise
        return True
    return shown is None or shown.table_refs != ()
