"""Finding seatings of which the host was not told, or told otherwise."""

from collections.abc import Mapping

from assignments.integration.host import Host, HostBooking
from assignments.models import Allocation
from assignments.planning.request import SeatingRequest


def is_untold(booking: HostBooking, request: SeatingRequest, told_others: bool) -> bool:
    """Return whether the host still waits to be told of the decision, or was told of other tables.

    Once it has changed the booking, neither counts.
    """
    is_the_same = (booking.starts_at, booking.party) == (request.starts_at, request.party)
    return is_the_same and booking.wants_table and (told_others or not booking.is_confirmed)


def told_others(bookings: Mapping[str, HostBooking], host: Host) -> set[str]:
    """Return the bookings for which the host shows a table that is not theirs. At most two queries.

    It may show fewer than they have: a foreign key holds one table of a join.
    """
    if not bookings:
        return set()
    known = {ref: booking.table_refs for ref, booking in bookings.items() if booking.table_refs is not None}
    unknown = sorted(bookings.keys() - known.keys())
    shown = {**known, **(host.tables_of(unknown) if unknown else {})}
    theirs: dict[str, set[str]] = {}
    seated = Allocation.objects.filter(booking_ref__in=shown, kind=Allocation.Kind.SEATING, ended_at=None)
    for ref, table_ref in seated.values_list("booking_ref", "table_ref"):
        theirs.setdefault(ref, set()).add(table_ref)
    return {ref for ref, tables in theirs.items() if not tables.issuperset(shown[ref])}
