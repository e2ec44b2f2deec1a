from assignments.host import ModelHost


class GardenHost(ModelHost):
    booking_model = "garden.Picnic"
    table_model = "garden.Bench"
    start_field = "start"
    party_field = "people"
    status_field = "status"
    waiting_statuses = (0,)
    confirmed_status = 1
    cancelled_statuses = (2,)
    tables_field = "benches"
    table_adjacent_field = "beside"
