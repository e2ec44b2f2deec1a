from typing import ClassVar

from tests.hosts.mill.models import Table, Visit
from tests.hosts.steps import Steps


class MillSteps(Steps):
    booking, table = Visit, Table
    confirmed: ClassVar = {"status": "C"}
    seated = """
        SELECT id, table_id, tstzrange("when", "when" + interval '90 minutes') FROM mill_visit WHERE status = 'C'
    """

    def furnish(self):
        for seats in self.SEATS:
            Table.objects.create(seats=seats)

    def book(self, start, party):
        return self.post(when=start, pax=party, status="P")

    def edit(self, row, party):
        self.patch(row, pax=party)

    def cancel(self, row):
        self.patch(row, status="X")

    def give(self, row, table):
        self.patch(row, table=table)
