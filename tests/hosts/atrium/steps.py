from datetime import timedelta

from tests.hosts.atrium.models import Lunch, Place
from tests.hosts.steps import Steps


class AtriumSteps(Steps):
    booking, table = Lunch, Place
    seated = """
        SELECT id, table_number, tstzrange(start_time, start_time + duration) FROM atrium_lunch WHERE status = 'confirmed'
    """

    def furnish(self):
        for number, seats in enumerate(self.SEATS):
            Place.objects.create(number=number + 10, seats=seats)

    def tables(self):
        return list(Place.objects.order_by("number"))

    def ref(self, table):
        return str(table.number)

    def book(self, start, party):
        return self.post(start_time=start, duration=timedelta(minutes=90), covers=party, status="pending")

    def edit(self, row, party):
        self.patch(row, covers=party)

    def cancel(self, row):
        self.patch(row, status="cancelled")

    def give(self, row, table):
        self.patch(row, table_number=table.number)
