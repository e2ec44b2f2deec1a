from assignments.host import ModelHost


class ArcadeHost(ModelHost):
    booking_model = "arcade.Reservation"
    table_model = "arcade.Table"
    restaurant_field = "house"
    table_restaurant_field = "area__house"
    table_zone_field = "area"
    table_name_field = "number"
    start_field = "start"
    status_field = "status"
    tables_field = "table"
