"""One booking in, one pass, one confirmed booking out, in the host's own tables."""

import datetime
import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from assignments.models import Assignment, TableDetails, AdjacentTables
from bookings.models import DiningTable, Visit
from django.core.management import call_command

one, two = (DiningTable.objects.create(number=number, places=4) for number in ("1", "2"))
for table in (one, two):
    TableDetails.objects.create(restaurant_ref="venue", table_ref=str(table.pk), zone="room")
AdjacentTables.objects.create(restaurant_ref="venue", first_table_ref=str(one.pk), second_table_ref=str(two.pk))
day = datetime.date.today() + datetime.timedelta(days=60)
visit = Visit.objects.create(day=day, hour=datetime.time(20), guests=7)
skipped = Visit.objects.create(day=datetime.date(2031, 3, 30), hour=datetime.time(2, 30), guests=2)
call_command("run_coordinator")
visit.refresh_from_db()
skipped.refresh_from_db()
assert (visit.stage, sorted(visit.at.values_list("number", flat=True))) == (1, ["1", "2"]), visit.__dict__
assert skipped.stage == 0, "a booking in the hour that the clocks skip is not confirmed"

from assignments import api

text = api.explain(booking_ref=str(skipped.pk)).text
assert "does not exist" in text, text

visit.guests = 3
visit.save()  # That is all: this project calls nothing.
visit.refresh_from_db()
planner = Assignment.objects.get(booking_ref=str(visit.pk)).planner
assert (visit.stage, visit.at.count()) == (1, 1), visit.__dict__
assert planner == os.environ["EXPECTED_PLANNER"], planner
print("confirmed by", planner)
