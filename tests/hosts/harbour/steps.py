from datetime import timedelta

from tests.hosts.harbour.models import Reservation, Restaurant, Table
from tests.hosts.steps import Steps


class HarbourSteps(Steps):
    booking, table = Reservation, Table
    seated = """
        SELECT id, table_id, tstzrange(starts_at, ends_at) FROM harbour_reservation WHERE status = 'confirmed'
    """

    def furnish(self):
        house = Restaurant.objects.create(name="Harbour")
        for seats in self.SEATS:
            Table.objects.create(restaurant=house, capacity=seats)

    def book(self, start, party):
        table = Table.objects.filter(capacity__gte=party).first()  # What the guest's form offered.
        return self.post(
            restaurant=table.restaurant, table=table, starts_at=start, ends_at=start + timedelta(minutes=90),
            guests=party, status="pending",
        )  # fmt: skip

    def edit(self, row, party):
        self.patch(row, guests=party)

    def cancel(self, row):
        self.patch(row, status="cancelled")

    def give(self, row, table):
        self.patch(row, table=table)
