from assignments.host import ModelHost


class TavernHost(ModelHost):
    booking_model = "reservations.Reservation"
    start_field = "starts"
    party_field = "heads"
    tables_field = "board"
    table_model = "reservations.Board"
