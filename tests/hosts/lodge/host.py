from assignments.host import ModelHost


class LodgeHost(ModelHost):
    booking_model = "lodge.Supper"
    table_model = "lodge.Nook"
    start_field = "begins"
    cancelled_field = "cancelled_at"
    tables_field = "nook"
    tables_mean_seated = True
    table_name_field = "title"
