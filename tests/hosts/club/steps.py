from typing import ClassVar

from tests.hosts.club.models import Evening, Member, Spot
from tests.hosts.steps import Steps


class ClubSteps(Steps):
    booking, table = Evening, Spot
    confirmed: ClassVar = {"state": "agreed"}
    seated = """
        SELECT id, spot_id, tstzrange(starts, starts + interval '90 minutes') FROM club_evening WHERE state = 'agreed'
    """

    def furnish(self):
        for number, seats in enumerate(self.SEATS):
            Spot.objects.create(label=str(number), seats=seats)

    def book(self, start, party):
        member, _is_new = Member.objects.get_or_create(phone="030 1234")
        children = party - 2 or None
        return self.post(member=member, starts=start, adults=2, children=children, state="asked")

    def edit(self, row, party):
        self.patch(row, adults=party - (row.children or 0))

    def cancel(self, row):
        self.patch(row, state="off")

    def give(self, row, table):
        self.patch(row, spot=table)
