"""What the database refuses of comparisons: invented verdicts, dates ahead, second verdicts, and DELETE."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from rollout.models import (
    FARTHEST_DAYS,
    Audit,
    AuditTally,
    Comparison,
    ComparisonTally,
    DayComparison,
    DayTally,
    FloorRecord,
    StoredBatch,
)
from tests.rollout.evidence.test_measuring import compared

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED = "rollout_comparison"


def soon(days: int) -> date:
    return datetime.now(UTC).date() + timedelta(days=days)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("verdict", lambda: "splendid"),
        ("service_date", lambda: soon(FARTHEST_DAYS)),
        ("recorded_at", lambda: datetime.now(UTC) + timedelta(days=365)),
        ("compared_at", lambda: datetime.now(UTC) + timedelta(days=365)),
    ],
)
def test_what_cannot_be_is_refused(column: str, value: Callable[[], Any]) -> None:
    wrong = {column: value()}  # Today's, if the day has changed since the tests were collected.
    with pytest.raises(IntegrityError, match=REFUSED):
        compared(**{"verdict": "same_tables", **wrong})
    assert not Comparison.objects.exists()
    compared("", service_date=soon(FARTHEST_DAYS - 2))
    with pytest.raises(IntegrityError, match=REFUSED):
        Comparison.objects.update(**wrong)


def test_a_verdict_is_set_once() -> None:
    compared("", 2)
    first, second = Comparison.objects.order_by("id")
    Comparison.objects.filter(pk=first.pk).update(verdict="worse", release="a")
    for change in ({"verdict": "better"}, {"verdict": ""}, {"release": "b"}, {"candidate_ms": 0.0}):
        with pytest.raises(IntegrityError, match="it has its verdict"):
            Comparison.objects.filter(pk=first.pk).update(**change)
    first.refresh_from_db()
    assert (first.verdict, first.release) == ("worse", "a")
    assert Comparison.objects.filter(pk=second.pk).update(verdict="better") == 1


@pytest.mark.parametrize("table", ["comparison", "daycomparison", "audit", "frozenbatch"])
def test_nothing_of_the_last_day_is_deleted_even_by_who_says_that_it_is_pruning(table: str) -> None:
    """No retention is shorter, so it cannot be pruning."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT prosrc FROM pg_proc WHERE proname = 'rollout_{table}_is_written_once'")
        ((source,),) = cursor.fetchall()
    assert "interval '1 day'" in source
    if table == "comparison":
        compared("only_legacy_seats", 2)
        compared("only_legacy_seats", 1, recorded_at=datetime.now(UTC) - timedelta(days=2))
        with pytest.raises(IntegrityError, match="DELETE refused"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL rollout.pruning = 'on'")
            cursor.execute("DELETE FROM rollout_comparison")
        assert Comparison.objects.count() == 3


def test_only_prune_deletes_and_it_keeps_the_counts() -> None:
    compared("same_tables", 3, recorded_at=datetime.now(UTC) - timedelta(days=100))
    compared("", 1)
    for rows in (Comparison.objects.all(), Comparison.objects.filter(verdict="")):
        with pytest.raises(IntegrityError, match="DELETE refused"), transaction.atomic():
            rows.delete()
    assert Comparison.objects.count() == 4
    call_command("rollout", "prune")
    assert (Comparison.objects.count(), ComparisonTally.objects.get().comparisons) == (1, 3)
    with pytest.raises(IntegrityError), connection.cursor() as cursor:
        cursor.execute("DELETE FROM rollout_comparison")


PRUNE_OF_THE_RELEASE_BEFORE = """
WITH deleted AS (DELETE FROM rollout_comparison WHERE verdict <> '' RETURNING recorded_at, restaurant_ref, origin, verdict)
INSERT INTO rollout_comparisontally AS tally
       (day, restaurant_ref, origin, verdict, comparisons, candidate_ms_sum, candidate_ms_max)
SELECT (recorded_at AT TIME ZONE 'UTC')::date, restaurant_ref, origin, verdict, count(*), 0, 0
  FROM deleted GROUP BY 1, 2, 3, 4
ON CONFLICT (day, restaurant_ref, origin, verdict) DO UPDATE SET comparisons = tally.comparisons + excluded.comparisons
"""


@pytest.mark.parametrize("delete", ["DELETE FROM rollout_comparison", PRUNE_OF_THE_RELEASE_BEFORE])
def test_who_says_that_it_is_pruning_deletes_nothing_uncounted(delete: str) -> None:
    """The database counts, once, even if a prune of the release before counts too."""
    for number in (3, 2):
        compared("only_legacy_seats", number, recorded_at=datetime.now(UTC) - timedelta(days=2))
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL rollout.pruning = 'on'")
            cursor.execute(delete)
    assert not Comparison.objects.exists()
    (tally,) = ComparisonTally.objects.all()
    assert (tally.verdict, tally.comparisons) == ("only_legacy_seats", 5)


def test_days_audits_and_batches_are_counted_by_whoever_deletes_them() -> None:
    old = datetime.now(UTC) - timedelta(days=2)
    at: dict[str, Any] = {"restaurant_ref": "R1", "service_date": old.date()}
    floor = FloorRecord.objects.create(version="f1", restaurant_ref="R1", content={})
    DayComparison.objects.create(**at, environment="dev", floor=floor, content={}, bookings=1, recorded_at=old)
    StoredBatch.objects.create(**at, key=uuid4(), floor_version="f1", content={}, attempts=4, refusals=1, at=old)
    for number, flaws in enumerate([[], ["table_taken"], []]):
        Audit.objects.create(
            **at, attempt=number, booking_ref=str(number), is_refusal=False, release="", flaws=flaws, decided_at=old
        )
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL rollout.pruning = 'on'")
        for table in ("daycomparison", "frozenbatch", "audit"):
            cursor.execute(f"DELETE FROM rollout_{table}")
    assert DayTally.objects.get().comparisons == 1
    tally = AuditTally.objects.get()
    assert (tally.decisions, tally.unsafe, tally.unaudited) == (3, 1, 4)
