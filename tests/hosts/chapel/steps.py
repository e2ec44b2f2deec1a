from tests.hosts.chapel.models import Feast, Pew
from tests.hosts.steps import Steps


class ChapelSteps(Steps):
    booking, table = Feast, Pew
    seated = """
        SELECT id, seat_id, tstzrange(starts, starts + interval '90 minutes') FROM chapel_feast
         WHERE status = 'confirmed'
    """

    def furnish(self):
        for seats in self.SEATS:
            Pew.objects.create(seats=seats)

    def book(self, start, party):
        return self.post(starts=start, party=party, status="pending")

    def edit(self, row, party):
        self.patch(row, party=party)

    def cancel(self, row):
        self.patch(row, status="cancelled")

    def give(self, row, table):
        self.patch(row, seat=table)
