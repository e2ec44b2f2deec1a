"""Tables that were out of service before closures had a table of their own stay closed, and the way back keeps them so."""

from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from django.core.management import call_command
from django.db import connection

from assignments.models import Allocation, Closure

SEVEN = datetime(2030, 1, 14, 19, tzinfo=UTC)
MIGRATION = "assignments.migrations.0012_closures"

OUT_OF_SERVICE = """
INSERT INTO assignments_allocation (restaurant_ref, table_ref, booking_ref, kind, blocked, starts_at, ends_at, planner)
VALUES ('R1', 'T1', '', 'closure', tstzrange(%(start)s, %(until)s), %(start)s, %(until)s, ''),
       ('R1', 'T2', 'B1', 'seating', tstzrange(%(start)s, %(until)s), %(start)s, %(until)s, 'v3')
"""


@pytest.mark.django_db(transaction=True)
def test_a_table_out_of_service_becomes_a_closure_and_the_way_back_merges_those_that_overlap() -> None:
    ((_app, before),) = import_module(MIGRATION).Migration.dependencies
    after = MIGRATION.rpartition(".")[2]  # Later ones leave closures as they are.
    until = SEVEN + timedelta(hours=2)
    try:
        call_command("migrate", "assignments", before, verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute(OUT_OF_SERVICE, {"start": SEVEN, "until": until})
        call_command("migrate", "assignments", after, verbosity=0)
        closure = Closure.objects.get()
        assert (closure.restaurant_ref, closure.table_refs, closure.author) == ("R1", ["T1"], "host")
        assert (closure.starts_at, closure.ends_at, closure.lifted_at) == (SEVEN, until, None)
        assert Allocation.objects.values_list("booking_ref").get() == ("B1",)
        hour = timedelta(hours=1)
        Closure.objects.create(
            restaurant_ref="R1", table_refs=["T1", "T3"], starts_at=SEVEN + hour, ends_at=until + hour
        )
        Closure.objects.create(restaurant_ref="R1", table_refs=["T3"], starts_at=SEVEN, lifted_at=SEVEN)
        call_command("migrate", "assignments", before, verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_ref, starts_at, ends_at FROM assignments_allocation WHERE kind = 'closure' ORDER BY 1"
            )
            assert cursor.fetchall() == [("T1", SEVEN, until + hour), ("T3", SEVEN + hour, until + hour)]
    finally:
        call_command("migrate", "assignments", verbosity=0)
