"""Building the frozen snapshot of one booking, for whoever asks without planning a whole day."""

from datetime import datetime

from assignments import conf, ledger
from assignments.coordinator import seating_request
from assignments.floors import floor_of
from assignments.host import Host, HostBooking
from assignments.models import Assignment
from assignments.planning.snapshot import Snapshot
from assignments.planning.window import SeatingWindow, seating_window


def snapshot_of(
    booking: HostBooking, assignment: Assignment, *, host: Host, now: datetime, with_occupancy: bool = True
) -> Snapshot:
    """Everything that a decision on this booking depends on; what it holds itself counts as free.

    Raises InvalidFloorError, or LookupError for an unknown restaurant.
    """
    floor = floor_of(booking.restaurant_ref, host=host)
    window = seating_window(floor, starts_at=booking.starts_at, party=booking.party, ends_at=booking.ends_at)
    occupied = ()
    if with_occupancy and isinstance(window, SeatingWindow):
        occupied = tuple(
            taken
            for taken in ledger.occupied(booking.restaurant_ref, window.blocked_from, window.blocked_until)
            if taken.booking_ref != booking.ref
        )
    return Snapshot(
        floor=floor,
        occupied=occupied,
        request=seating_request(booking, assignment),
        now=now,
        rules=conf.settings().rules(),
    )
