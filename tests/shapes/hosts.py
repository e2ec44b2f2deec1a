"""Their hosts, from field names alone."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from assignments.host import ModelHost
from tests.shapes.models import Given


class _BoardHost(ModelHost):
    table_model = "shapes.Board"
    table_name_field = "label"
    table_seats_field = "places"
    table_zone_field = "room"
    table_active_field = "in_use"
    table_min_party_field = "smallest"
    table_max_party_field = "largest"


class VisitHost(_BoardHost):
    booking_model = "shapes.Visit"
    date_field = "day"
    time_field = "hour"
    party_field = "guests"
    restaurant_field = "house"
    zone_field = "room"
    status_field = "stage"
    waiting_statuses = (0, 3)
    confirmed_status = 1
    cancelled_statuses = (2,)
    tables_field = "boards"
    table_restaurant_field = "house"


class StayHost(_BoardHost):
    booking_model = "shapes.Stay"
    start_field = "start"
    end_field = "until"
    party_field = "covers"
    confirmed_field = "accepted"
    tables_field = "board"


class TenantStayHost(StayHost):
    booking_model = "shapes.TenantStay"
    bookings_manager = "unscoped"
    table_model = "shapes.TenantBoard"
    tables_manager = "unscoped"


class CardHost(_BoardHost):
    booking_model = "shapes.Card"
    start_field = "start"
    party_field = "covers"
    status_field = "status"
    waiting_statuses = ("open",)
    tables_field = "board"


class NoteHost(_BoardHost):
    booking_model = "shapes.Note"
    start_field = "start"
    party_field = "covers"


class TicketHost(_BoardHost):
    booking_model = "shapes.Ticket"
    start_field = "start"
    party_field = "covers"
    status_field = "status"
    waiting_statuses = (None, "asked")
    tables_field = "boards"


class BanquetHost(_BoardHost):
    booking_model = "shapes.Banquet"
    start_field = "start"
    party_field = "covers"
    status_field = "status"
    tables_field = "board"


class CountedTicketHost(TicketHost):
    bookings_manager = "counted"


class ApartTicketHost(TicketHost):
    bookings_manager = "apart"


class RankedTicketHost(TicketHost):
    bookings_manager = "ranked"


class CountedBanquetHost(BanquetHost):
    bookings_manager = "counted"


class ApartBanquetHost(BanquetHost):
    bookings_manager = "apart"


class RankedBanquetHost(BanquetHost):
    bookings_manager = "ranked"


class SupperHost(ModelHost):
    booking_model = "shapes.Supper"
    date_field = "day"
    time_field = "slot__starts"
    party_field = "size"
    restaurant_field = "slot__house"
    status_field = "status"
    waiting_statuses = (0,)
    confirmed_status = 1
    cancelled_statuses = (2,)
    tables_field = "place_number"
    table_model = "shapes.Place"
    table_key_field = "number"
    table_zone_field = "area__name"
    table_restaurant_field = "area__house"
    table_adjacent_field = "beside"
    hours_model = "shapes.Opening"
    hours_restaurant_field = "house"
    hours_name_field = "meal"
    hours_weekday_field = "weekday"
    hours_monday = 1
    turn_model = "shapes.Turn"
    turn_restaurant_field = "house"
    turn_party_field = "up_to"
    turn_minutes_field = "stay"


class InvitationHost(_BoardHost):
    booking_model = "shapes.Invitation"
    date_field = "day"
    time_field = "hour"
    end_field = "until"
    party_field = ("adults", "children")
    cancelled_field = "cancelled_at"
    tables_field = "board"
    tables_mean_seated = True


class OrderHost(_BoardHost):
    booking_model = "shapes.Order"
    start_field = "start"
    duration_field = "minutes"
    party_field = "covers"
    status_field = "state"
    waiting_statuses = (0,)
    confirmed_status = 1
    cancelled_statuses = (9,)
    tables_field = "board"


class CallHost(_BoardHost):
    """Says itself what the names of fields cannot say: when guests come, how many, and where their tables are kept."""

    booking_model = "shapes.Call"
    read_fields = ("moment", "guests")
    duration_field = "stay"
    status_field = "status"
    waiting_statuses = ("NEW",)
    confirmed_status = "SET"
    cancelled_statuses = ("GONE",)
    cancelled_field = "is_off"

    def start_of(self, row: Mapping[str, Any]) -> datetime:
        day, clock = row["moment"].split(" at ")
        return self.moment(row, date.fromisoformat(day), time.fromisoformat(clock))

    def party_of(self, row: Mapping[str, Any]) -> int:
        return 1 + len(row["guests"].split(","))

    def write_tables(self, tables: Mapping[str, Sequence[str]]) -> None:
        Given.objects.filter(call__in=list(tables)).delete()
        Given.objects.bulk_create(
            Given(call_id=ref, board_id=board) for ref, boards in tables.items() for board in boards
        )

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for call, board in Given.objects.filter(call__in=refs).order_by("pk").values_list("call", "board"):
            found[str(call)] = (*found.get(str(call), ()), str(board))
        return found

    def stored_form(self, table_refs: Sequence[str]) -> tuple[str, ...]:
        return tuple(table_refs)


class ArrayHost(ModelHost):
    """Tables as an array of keys."""

    booking_model = "shapes.Plate"
    table_model = "shapes.Board"
    start_field = "start"
    party_field = "covers"
    status_field = "status"
    tables_field = "boards"
    table_key_field = "id"
    table_seats_field = "places"


class PlusHost(ArrayHost):
    """Tables as a text such as ``"B2+B4"``."""

    tables_field = "labels"
    table_key_field = "label"
    tables_separator = "+"
