from assignments.host import ModelHost


class ClubHost(ModelHost):
    booking_model = "club.Evening"
    table_model = "club.Spot"
    start_field = "starts"
    party_field = ("adults", "children")
    status_field = "state"
    waiting_statuses = ("asked",)
    confirmed_status = "agreed"
    cancelled_statuses = ("off",)
    tables_field = "spot"
    table_name_field = "label"
