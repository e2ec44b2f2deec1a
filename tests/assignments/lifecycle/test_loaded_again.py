"""The rows of this app can be dumped, and loaded over themselves; the histories stay append-only."""

import io
from datetime import datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from assignments.models import SeatingChange, StateTransition
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

HISTORIES = ("assignments_statetransition", "assignments_seatingchange")


def test_the_same_rows_load_a_second_time_and_others_are_refused(
    host: TheHost, tonight: datetime, tmp_path: Path
) -> None:
    host.book("B1", starts_at=tonight)
    run_all()
    with connection.cursor() as cursor:  # As a first loading leaves them: a fixture's times have milliseconds.
        for table in HISTORIES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(f"UPDATE {table} SET at = date_trunc('milliseconds', at)")
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    dumped = tmp_path / "assignments.json"
    call_command("dumpdata", "assignments", output=str(dumped), stdout=io.StringIO())
    counted = (StateTransition.objects.count(), SeatingChange.objects.count())
    call_command("loaddata", str(dumped), stdout=io.StringIO())
    assert (StateTransition.objects.count(), SeatingChange.objects.count()) == counted
    assert min(counted) > 0
    for table in HISTORIES:
        for change in (f"UPDATE {table} SET planner = 'x'", f"DELETE FROM {table}"):
            with (
                pytest.raises(IntegrityError, match="append-only"),
                transaction.atomic(),
                connection.cursor() as cursor,
            ):
                cursor.execute(change)
