"""A real worker of Django's tasks framework decides what is booked."""

import pytest
from django.db import connection

from example import models
from tests.example import processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

REQUEST = """
from assignments import api, tasks
from example.models import Booking
for booking in Booking.objects.all():
    api.request(booking_ref=str(booking.pk))
tasks.deliver_outbox.enqueue("--limit", "100")
"""
COUNT = """
from django_tasks_db.models import DBTaskResult
from assignments.models import Assignment
states = sorted(set(Assignment.objects.values_list("state", flat=True)))
print("said:", Assignment.objects.count(), states, sorted(set(DBTaskResult.objects.values_list("status", flat=True))))
"""


def test_a_database_worker_decides_what_is_booked(booked: models.Restaurant) -> None:
    name = f"{connection.settings_dict['NAME']}_tasks"
    variables = {"DATABASE_NAME": name, "DJANGO_SETTINGS_MODULE": "tests.queues.settings"}
    processes.copy_database(name)

    def run(*arguments: str) -> str:
        code, out, err = processes.run(*arguments, **variables)
        assert code == 0, err
        return out

    try:
        run("migrate", "django_tasks_database", "--verbosity", "0")
        run("shell", "-c", REQUEST)
        assert "said: 6 ['created'] ['READY']" in run("shell", "-c", COUNT)
        code, _out, err = processes.run_anew("db_worker", "--batch", "--no-startup-delay", "--no-reload", **variables)
        assert code == 0, err
        assert "said: 6 ['confirmed'] ['SUCCESSFUL']" in run("shell", "-c", COUNT)
    finally:
        processes.drop_database(name)
