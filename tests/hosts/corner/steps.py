from tests.hosts.corner.models import Booking, Table
from tests.hosts.steps import Steps


class CornerSteps(Steps):
    booking, table = Booking, Table
    seated = """
        SELECT id, table_id, tsrange(day + time, day + time + interval '90 minutes')
          FROM corner_booking WHERE status = 'confirmed'
    """

    def furnish(self):
        for number, seats in enumerate(self.SEATS):
            Table.objects.create(name=f"T{number}", seats=seats)

    def book(self, start, party):
        return self.post(day=start.date(), time=start.time(), guests=party, status="pending")

    def edit(self, row, party):
        self.patch(row, guests=party)

    def cancel(self, row):
        self.patch(row, status="cancelled")

    def give(self, row, table):
        self.patch(row, table=table)
