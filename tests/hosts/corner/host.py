from assignments.host import ModelHost


class CornerHost(ModelHost):
    booking_model = "corner.Booking"
    table_model = "corner.Table"
    date_field = "day"
    time_field = "time"
    party_field = "guests"
    status_field = "status"
    tables_field = "table"
    table_name_field = "name"
