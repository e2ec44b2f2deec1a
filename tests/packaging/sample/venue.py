"""Host classes as a booking project writes them: by field names with its own reading, and whole."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from assignments.exceptions import AssignmentsError
from assignments.floor import Floor, ServicePeriod, Table, TurnTime
from assignments.host import Host, HostBooking, Message, ModelHost, Move, MovesGuests, Seating


class FieldsHost(ModelHost):
    booking_model = "bookings.Visit"
    party_field = ("adults", "children")
    read_fields = ("arrival",)
    status_field = "status"
    cancelled_statuses = ("cancelled",)
    tables_field = "tables"
    table_model = "bookings.Table"

    def start_of(self, row: Mapping[str, Any]) -> datetime:
        return datetime.fromtimestamp(int(row["arrival"]), UTC)

    def end_of(self, row: Mapping[str, Any]) -> datetime | None:
        return self.start_of(row) + timedelta(hours=2)

    def party_of(self, row: Mapping[str, Any]) -> int:
        return super().party_of(row)


class WholeHost:
    """A host without models."""

    def __init__(self) -> None:
        self.moved: list[str] = []

    @property
    def tracks_confirmation(self) -> bool:
        return False

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        starts_at = datetime(2030, 5, 3, 19, tzinfo=UTC)
        return {ref: HostBooking(ref=ref, restaurant_ref="R1", starts_at=starts_at, party=4) for ref in refs}

    def unassigned(
        self, *, after: str | None, limit: int, now: datetime, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        return ()

    def history(
        self, *, start: datetime, until: datetime, after: str | None, limit: int, restaurant_ref: str | None = None
    ) -> Sequence[HostBooking]:
        return ()

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        return {}

    def floor(self, restaurant_ref: str) -> Floor:
        turn_times = (TurnTime(max_party=20, minutes=120),)
        return Floor(
            restaurant_ref=restaurant_ref,
            timezone="Europe/London",
            tables=(Table(ref="T1", name="1", seats=4),),
            services=(ServicePeriod(key="dinner", starts=time(17), ends=time(23), turn_times=turn_times),),
        )

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        return "1"

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        self.moved += [table_ref for seating in seatings for table_ref in seating.table_refs]

    def on_review(self, reasons: Mapping[str, str]) -> None: ...

    def on_released(self, booking_refs: Sequence[str]) -> None: ...

    def on_moved(self, moves: Sequence[Move]) -> None:
        self.on_confirmed([move.seating for move in moves])

    def restaurant_names(self, restaurant_refs: Sequence[str]) -> Mapping[str, str]:
        return dict.fromkeys(restaurant_refs, "Corner House")

    def label(self, booking_ref: str) -> str:
        return booking_ref

    def admin_url(self, booking_ref: str) -> str | None:
        return None

    def deliver(self, message: Message) -> None:
        if not message.booking_ref:
            raise AssignmentsError(message.topic)


fields: Host = FieldsHost()
whole: Host = WholeHost()
moves: MovesGuests = WholeHost()
