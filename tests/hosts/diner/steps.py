from tests.hosts.diner.models import Order
from tests.hosts.steps import Steps


class DinerSteps(Steps):
    booking = Order
    seated = """
        SELECT id, "table", tsrange(date + slot::time, date + slot::time + interval '90 minutes')
          FROM diner_order WHERE status = 'confirmed'
    """

    def furnish(self):
        pass

    def tables(self):
        return ["T0", "T1", "T2", "T3"]

    def ref(self, table):
        return table

    def book(self, start, party):
        return self.post(date=start.date(), slot=f"{start:%H:%M}", size=f"{party} people", status="pending")

    def edit(self, row, party):
        self.patch(row, size=f"{party} people")

    def cancel(self, row):
        self.patch(row, status="cancelled")

    def give(self, row, table):
        self.patch(row, table=table)
