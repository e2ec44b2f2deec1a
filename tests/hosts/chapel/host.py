from assignments.host import ModelHost


class ChapelHost(ModelHost):
    booking_model = "chapel.Feast"
    table_model = "chapel.Pew"
    start_field = "starts"
    status_field = "status"
    tables_field = "seat"


class RefusedHost(ChapelHost):
    tables_field = "pew"
