from assignments.host import ModelHost


class FerryHost(ModelHost):
    booking_model = "ferry.Crossing"
    table_model = "ferry.Table"
    start_field = "at"
    party_field = "passengers"
    confirmed_field = "accepted"
    cancelled_field = "is_cancelled"
    tables_field = "table"
