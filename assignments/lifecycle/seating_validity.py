"""Whether the tables that a booking has are still right for it, after its host, its floor or its time has changed."""

from collections.abc import Sequence
from datetime import timedelta

from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, Seating, lock_bookings
from assignments.lifecycle import intake
from assignments.models import Allocation, Assignment
from assignments.planning.feasibility import objections
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import PlanningRules

FACTS = frozenset(
    {
        Reason.UNKNOWN_TABLE,
        Reason.TABLE_INACTIVE,
        Reason.TOO_FEW_SEATS,
        Reason.ZONES_DIFFER,
        Reason.NOT_ADJACENT,
        Reason.WRONG_ZONE,
    }
)
"""What makes tables wrong. How many seats may stay empty is a preference of whoever plans: nobody is moved for it."""

FALLBACK_MINUTES = 120


def still_stands(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    *,
    floor: Floor | None,
    rules: PlanningRules,
) -> bool:
    """Whether these seatings (all that the booking has) are where, when and for whom the booking is now. No query."""
    if not seatings or floor is None or booking.problem or intake.stored_party(booking) != assignment.party:
        return False
    if any(row.restaurant_ref != booking.restaurant_ref for row in seatings):
        return False
    window = seating_window(floor, starts_at=booking.starts_at, party=booking.party, ends_at=booking.ends_at)
    if not isinstance(window, SeatingWindow):
        return False
    if any((row.starts_at, row.ends_at) != (window.starts_at, window.ends_at) for row in seatings):
        return False
    request = SeatingRequest(
        booking_ref=booking.ref, starts_at=booking.starts_at, party=booking.party, zone_ref=booking.zone_ref
    )
    refs = [row.table_ref for row in seatings]
    return not any(refusal.reason in FACTS for refusal in objections(floor, request, rules, refs))


def window_as_the_host_has_it(booking: HostBooking, floor: Floor | None) -> SeatingWindow:
    """When a booking sits that the host has seated by itself, also where no service would have seated it then.

    Its end is the host's; else its turn time, or FALLBACK_MINUTES where nothing says.
    """
    start = intake.stored_start(booking)
    if floor is not None:
        window = seating_window(floor, starts_at=start, party=booking.party, ends_at=booking.ends_at)
        if isinstance(window, SeatingWindow):
            return window
    turns = [service.turn_minutes(booking.party) for service in floor.services] if floor is not None else []
    end = booking.ends_at or start + timedelta(minutes=max(turns, default=FALLBACK_MINUTES))
    return SeatingWindow(starts_at=start, ends_at=end, blocked_from=start, blocked_until=end)


def seatings_of(booking_ref: str) -> list[Allocation]:
    """The booking's seatings, by table."""
    rows = Allocation.objects.filter(booking_ref=booking_ref, kind=Allocation.Kind.SEATING)
    return list(rows.order_by("table_ref"))


def confirm_again(host: Host, booking_ref: str, seatings: Sequence[Allocation]) -> None:
    """Tell a host that shows the booking as waiting that it has its tables, in the caller's transaction."""
    lock_bookings(host, [booking_ref])
    table_refs: Sequence[str] = [row.table_ref for row in seatings]
    floor = floor_or_none(seatings[0].restaurant_ref, host=host)
    host.on_confirmed(
        [
            Seating(
                booking_ref=booking_ref,
                table_refs=floor.in_order(table_refs) if floor else tuple(table_refs),
                starts_at=seatings[0].starts_at,
                ends_at=seatings[0].ends_at,
            )
        ]
    )
