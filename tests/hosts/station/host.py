from assignments.host import ModelHost


class StationHost(ModelHost):
    booking_model = "station.Stop"
    table_model = "station.Table"
    date_field = "day"
    time_field = "hour"
    end_field = "until"
    status_field = "status"
    tables_field = "table"
