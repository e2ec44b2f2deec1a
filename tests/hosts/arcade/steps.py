from tests.hosts.arcade.models import Area, House, Reservation, Table
from tests.hosts.steps import Steps


class ArcadeSteps(Steps):
    booking, table = Reservation, Table
    seated = """
        SELECT id, table_id, tstzrange(start, start + interval '90 minutes') FROM arcade_reservation
         WHERE status = 'confirmed'
    """

    def furnish(self):
        self.house = House.objects.create(name="Arcade")
        areas = [Area.objects.create(house=self.house, name=name) for name in ("bar", "hall")]
        for number, seats in enumerate(self.SEATS):
            Table.objects.create(area=areas[number % 2], number=str(number), seats=seats)

    def book(self, start, party):
        return self.post(house=self.house, start=start, party=party, status="pending")

    def edit(self, row, party):
        self.patch(row, party=party)

    def cancel(self, row):
        self.patch(row, status="cancelled")

    def give(self, row, table):
        self.patch(row, table=table)
