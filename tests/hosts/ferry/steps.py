from typing import ClassVar

from tests.hosts.ferry.models import Crossing, Table
from tests.hosts.steps import Steps


class FerrySteps(Steps):
    booking, table = Crossing, Table
    confirmed: ClassVar = {"accepted": True}
    seated = """
        SELECT id, table_id, tstzrange(at, at + interval '90 minutes') FROM ferry_crossing
         WHERE accepted AND NOT is_cancelled
    """

    def furnish(self):
        for seats in self.SEATS:
            Table.objects.create(seats=seats)

    def book(self, start, party):
        return self.post(at=start, passengers=party)

    def edit(self, row, party):
        self.patch(row, passengers=party)

    def cancel(self, row):
        self.patch(row, is_cancelled=True)

    def give(self, row, table):
        self.patch(row, table=table)
