from assignments.host import ModelHost


class AtriumHost(ModelHost):
    booking_model = "atrium.Lunch"
    table_model = "atrium.Place"
    start_field = "start_time"
    duration_field = "duration"
    party_field = "covers"
    status_field = "status"
    tables_field = "table_number"
    table_key_field = "number"
