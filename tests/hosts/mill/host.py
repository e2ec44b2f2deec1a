from assignments.host import ModelHost


class MillHost(ModelHost):
    booking_model = "mill.Visit"
    table_model = "mill.Table"
    start_field = "when"
    party_field = "pax"
    status_field = "status"
    waiting_statuses = ("P",)
    confirmed_status = "C"
    cancelled_statuses = ("X",)
    tables_field = "table"
