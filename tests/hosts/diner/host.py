from assignments.floor import Floor, ServicePeriod, Table, TurnTime
from assignments.host import ModelHost
from datetime import time

TABLES = tuple(Table(ref=f"T{number}", name=f"T{number}", seats=seats) for number, seats in enumerate((2, 4, 4, 6)))
DINNER = ServicePeriod(key="dinner", starts=time(17), ends=time(23), turn_times=(TurnTime(max_party=6, minutes=90),))


class DinerHost(ModelHost):
    booking_model = "diner.Order"
    date_field = "date"
    time_field = "slot"
    party_field = "size"
    status_field = "status"
    tables_field = "table"

    def floor(self, restaurant_ref):
        return Floor(restaurant_ref=restaurant_ref, timezone="UTC", tables=TABLES, services=(DINNER,))
