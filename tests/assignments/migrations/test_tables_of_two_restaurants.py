"""Hosts may have a T1 in every restaurant, which the version before refused: its seatings are kept, and guarded."""

from collections.abc import Iterator

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection

from assignments.models import Allocation

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def before() -> Iterator[None]:
    """The database as the version before left it: table refs are unique across restaurants."""
    call_command("migrate", "assignments", "0010", verbosity=0)
    try:
        yield
    finally:
        call_command("migrate", verbosity=0)


def insert_seating(restaurant_ref: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO assignments_allocation
                   (restaurant_ref, table_ref, booking_ref, kind, planner, blocked, starts_at, ends_at)
            VALUES (%s, 'T1', %s, 'seating', 'v3', tstzrange('2030-01-14 19:00+00', '2030-01-14 21:00+00'),
                    '2030-01-14 19:00+00', '2030-01-14 21:00+00')
            """,
            [restaurant_ref, f"of {restaurant_ref}"],
        )


def test_seatings_of_the_version_before_are_kept_and_guarded(before: None) -> None:
    insert_seating("R1")
    with pytest.raises(IntegrityError, match="allocation_no_overlap"):
        insert_seating("R2")
    call_command("migrate", verbosity=0)
    insert_seating("R2")
    with pytest.raises(IntegrityError, match="allocation_no_overlap"):
        insert_seating("R1")
    assert sorted(Allocation.objects.values_list("restaurant_ref", "booking_ref")) == [("R1", "of R1"), ("R2", "of R2")]
    Allocation.objects.filter(restaurant_ref="R2").delete()  # The way back has room for one T1 only.
