"""Two bookings in, one pass, two confirmed bookings out at different tables, in the host's own tables."""

import os
from datetime import UTC, datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
django.setup()

from assignments import api
from assignments.models import Assignment
from django.core.management import call_command
from reservations.models import Board, Reservation

small, large = Board.objects.create(seats=2), Board.objects.create(seats=6)
start = datetime.now(UTC) + timedelta(days=60)
pair = Reservation.objects.create(starts=start, heads=2, board=large)
group = Reservation.objects.create(starts=start, heads=5, board=small)
call_command("run_coordinator")
pair.refresh_from_db()
group.refresh_from_db()
assert (pair.board, group.board) == (small, large)
states = set(Assignment.objects.values_list("state", flat=True))
assert states == {"confirmed"}, states
call_command("run_coordinator")
assert Assignment.objects.count() == 2

api.booking_cancelled(booking_ref=str(group.pk))
pair.heads = 4
pair.save()  # That is all: this project calls nothing.
pair.refresh_from_db()
planner = Assignment.objects.get(booking_ref=str(pair.pk)).planner
assert (pair.board, planner) == (large, os.environ["EXPECTED_PLANNER"]), (pair.board, planner)
assert api.explain(booking_ref=str(pair.pk)).state == "confirmed"
from assignments.integration.project_host import configured

then = {"start": start, "until": start + timedelta(minutes=1)}
assert {booking.ref for booking in configured().history(**then, after=None, limit=5)} == {str(pair.pk), str(group.pk)}
print("confirmed by", planner)
