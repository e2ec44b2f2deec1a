from typing import ClassVar

from tests.hosts.garden.models import Bench, Picnic
from tests.hosts.steps import Steps


class GardenSteps(Steps):
    booking, table = Picnic, Bench
    confirmed: ClassVar = {"status": 1}
    seated = """
        SELECT picnic_id, bench_id, tstzrange(start, start + interval '90 minutes')
          FROM garden_picnic_benches JOIN garden_picnic ON garden_picnic.id = picnic_id
         WHERE status = 1 AND NOT deleted
    """

    def furnish(self):
        benches = [Bench.objects.create(seats=seats) for seats in self.SEATS]
        benches[0].beside.add(benches[1])

    def book(self, start, party):
        return self.post(start=start, people=party, status=0)

    def edit(self, row, party):
        self.patch(row, people=party)

    def cancel(self, row):
        self.patch(row, deleted=True)

    def give(self, row, table):
        self.patch(row, benches=[table])
