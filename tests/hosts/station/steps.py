from datetime import timedelta

from tests.hosts.station.models import Stop, Table
from tests.hosts.steps import Steps


class StationSteps(Steps):
    booking, table = Stop, Table
    seated = """
        SELECT id, table_id, tsrange(day + hour::time, day + until) FROM station_stop WHERE status = 'confirmed'
    """

    def furnish(self):
        for seats in self.SEATS:
            Table.objects.create(seats=str(seats))

    def book(self, start, party):
        until = (start + timedelta(minutes=90)).time()
        return self.post(day=start.date(), hour=f"{start:%I:%M %p}", until=until, party=str(party), status="pending")

    def edit(self, row, party):
        self.patch(row, party=str(party))

    def cancel(self, row):
        self.patch(row, status="cancelled")

    def give(self, row, table):
        self.patch(row, table=table)
