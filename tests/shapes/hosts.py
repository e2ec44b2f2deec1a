"""Their hosts, from field names alone."""

from assignments.host import ModelHost


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
