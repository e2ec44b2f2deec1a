from assignments.host import ModelHost


class HarbourHost(ModelHost):
    booking_model = "harbour.Reservation"
    table_model = "harbour.Table"
    restaurant_field = "restaurant"
    table_restaurant_field = "restaurant"
    start_field = "starts_at"
    end_field = "ends_at"
    party_field = "guests"
    status_field = "status"
    tables_field = "table"
    table_seats_field = "capacity"
