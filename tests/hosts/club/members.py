"""A project whose users are members of its own, from an empty database on: booked, seated, and moved by one of them."""

from datetime import UTC, datetime, timedelta

import django

django.setup()

from io import StringIO

from assignments.admin.actor import names
from assignments.models import Assignment, StateTransition
from django.core.management import call_command
from django.test import Client
from django.test.utils import override_settings
from django.urls import reverse
from tests.hosts.club.models import Member
from tests.hosts.club.steps import ClubSteps
from waffle.models import Flag

call_command("migrate", run_syncdb=True, verbosity=0)
assert Flag._meta.get_field("users").related_model is Member
steps = ClubSteps()
steps.furnish()
start = (datetime.now(UTC) + timedelta(days=30)).replace(hour=19, minute=0, second=0, microsecond=0)
call_command("rollout", "set", "v3", "on", "--reason", "members try it", stdout=StringIO())
row = steps.book(start, 2)
call_command("run_coordinator", stdout=StringIO())
assert list(steps.seated_rows()) == [str(row.pk)]

member = Member.objects.create(phone="030 5678")
override_settings(ROOT_URLCONF="tests.hosts.club.urls").enable()
client = Client()
client.force_login(member)
assignment = Assignment.objects.get()
page = reverse("admin:assignments_assignment_change", args=[assignment.pk])
assert client.get(page).status_code == 200

from assignments import api

actor = f"staff:{member.pk}"
largest = steps.tables()[-1]
api.move(booking_ref=str(row.pk), table_refs=[str(largest.pk)], actor=actor)
assert steps.seated_rows() == {str(row.pk): [str(largest.pk)]}
assert StateTransition.objects.filter(actor=actor).exists()
assert names([actor]) == {actor: member.phone}
assert member.phone in client.get(page).content.decode(), "history names the member"
print("moved by", member.phone)
