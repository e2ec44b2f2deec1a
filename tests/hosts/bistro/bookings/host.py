from assignments.host import ModelHost


class BistroHost(ModelHost):
    booking_model = "bookings.Visit"
    date_field = "day"
    time_field = "hour"
    party_field = "guests"
    status_field = "stage"
    waiting_statuses = (0,)
    confirmed_status = 1
    cancelled_statuses = (2,)
    tables_field = "at"
    table_model = "bookings.DiningTable"
    table_name_field = "number"
    table_seats_field = "places"
