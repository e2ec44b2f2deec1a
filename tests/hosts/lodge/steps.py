from typing import ClassVar

from django.utils import timezone

from tests.hosts.lodge.models import Nook, Supper
from tests.hosts.steps import Steps


class LodgeSteps(Steps):
    booking, table = Supper, Nook
    confirmed: ClassVar = {}
    seated = """
        SELECT id, nook_id, tstzrange(begins, begins + interval '90 minutes') FROM lodge_supper
         WHERE nook_id IS NOT NULL AND cancelled_at IS NULL
    """

    def furnish(self):
        for number, seats in enumerate(self.SEATS):
            Nook.objects.create(title=f"Nook {number}", seats=seats)

    def book(self, start, party):
        return self.post(begins=start, party=party)

    def edit(self, row, party):
        self.patch(row, party=party)

    def cancel(self, row):
        self.patch(row, cancelled_at=timezone.now())

    def give(self, row, table):
        self.patch(row, nook=table)
