"""Rows of the histories can be loaded over themselves since a migration, which can be taken back."""

from datetime import datetime

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection

from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)


def test_before_the_migration_they_were_refused_and_it_can_be_taken_back(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight)
    run_all()
    same = "UPDATE assignments_statetransition SET actor = actor"
    try:
        call_command("migrate", "assignments", "0021", verbosity=0)
        with pytest.raises(IntegrityError, match="append-only"), connection.cursor() as cursor:
            cursor.execute(same)
    finally:
        call_command("migrate", "assignments", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(same)
