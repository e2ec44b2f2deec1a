"""Many rows are inserted by one statement, and are the same rows that Django would have written."""

import uuid
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from psycopg.types.range import TimestamptzRange

from assignments.concurrency.transactions import is_overlap
from assignments.models import (
    Allocation,
    Assignment,
    Attempt,
    Event,
    NewAllocation,
    NewAttempt,
    NewMessage,
    OutboxMessage,
    SeatingChange,
)
from assignments.models.insertion import BATCH, NewRow, blocked_range, insert, insert_records
from assignments.planning.text import gettext
from assignments.telemetry.events import EventRecord

pytestmark = pytest.mark.django_db(transaction=True)

EIGHT = datetime(2030, 6, 1, 20, 0, 0, 123456, tzinfo=UTC)
SAYS = 'It\'s "late", \\ 50 % \u2028 ünï 🍽 {a,b} NULL'


def an_assignment() -> Assignment:
    return Assignment.objects.create(
        booking_ref="B1",
        restaurant_ref="R1",
        service_date=EIGHT.date(),
        starts_at=EIGHT,
        party=2,
        requested_at=EIGHT,
        due_at=EIGHT,
    )


UNTIL = EIGHT + timedelta(hours=2)


def seating(ref: str, table_ref: str = "1", **columns: Any) -> NewAllocation:
    given = {"kind": Allocation.Kind.SEATING, "despite": (), "overridden_by": "", **columns}
    return NewAllocation(
        restaurant_ref="R1",
        table_ref=table_ref,
        booking_ref=ref,
        blocked=blocked_range(EIGHT, UNTIL),
        starts_at=EIGHT,
        ends_at=UNTIL,
        planner="v3",
        party=2,
        zone_ref=None,
        **given,
    )


class NewEvent(NewRow, frozen=True, kw_only=True):
    model: ClassVar[type[models.Model]] = Event

    source: str = "s"
    type: str
    severity: str = Event.Severity.INFO
    context: Any = {}
    booking_ref: str = ""
    restaurant_ref: str = ""
    at: datetime = EIGHT


def rows_to_write() -> list[NewRow]:
    """One row of each model, with values that need care."""
    return [
        seating(SAYS, despite=("closed", SAYS, ""), overridden_by=SAYS),
        seating("held", "2", kind="hold", expires_at=EIGHT, token=uuid.UUID(int=7)),
        NewAttempt(
            assignment_id=Assignment.objects.get().pk,
            booking_ref="B1",
            number=3,
            planner="v3",
            trigger="cron",
            outcome="retry",
            reason="",
            detail=gettext("Table %(name)s is taken.", name=SAYS),
            strategy="",
            table_refs=("1", SAYS),
            decision={"plans": [{"score": 0.1 + 0.2, "refs": ("1",)}], "refusal": None, SAYS: SAYS, "n": 10**15},
            snapshot_hash="",
            decision_ms=1 / 3,
            correlation_id=uuid.UUID(int=5),
            release="",
            batch=None,
        ),
        NewMessage(topic="booking.x", booking_ref=SAYS, payload={"state": "confirmed", "previous": None}),
        NewEvent(type="t", context={"count": 1}),
    ]


def stored() -> dict[str, Any]:
    """All that was written but keys, and the time at which it was."""
    own = {"id", "created_at", "stored_at", "at", "due_at"}
    return {
        model.__name__: [
            {name: value for name, value in row.items() if name not in own}
            for row in model._default_manager.order_by("pk").values()
        ]
        for model in (Allocation, Attempt, OutboxMessage, Event)
    }


def test_the_rows_are_those_that_django_would_have_written() -> None:
    an_assignment()
    found = []
    for write in (_by_django, _one_by_one, insert):
        with transaction.atomic():
            write(rows_to_write())
            found.append(stored())
            transaction.set_rollback(True)
    by_django, one_by_one, together = found
    assert one_by_one == by_django
    assert together == by_django
    assert all(together.values())


def _one_by_one(rows: list[NewRow]) -> None:
    for row in rows:
        insert([row])


def _by_django(rows: list[NewRow]) -> None:
    for row in rows:
        given = msgspec.structs.asdict(row)
        if isinstance(row, NewAllocation):
            given["blocked"] = TimestamptzRange(EIGHT, UNTIL)
        row.model._default_manager.bulk_create([row.model(**given)])


def test_the_database_fills_in_and_its_triggers_run() -> None:
    insert([seating("B1"), seating("B2", "2")])
    insert([NewMessage(topic=topic, booking_ref="B1", payload={}) for topic in ("x", "y")])
    assert Allocation.objects.filter(created_at__isnull=True).count() == 0
    assert list(SeatingChange.objects.values_list("booking_ref", "what")) == [("B1", "seated"), ("B2", "seated")]
    numbered = OutboxMessage.objects.order_by("id").values_list("topic", "subject", "number")
    assert [(topic, number) for topic, _subject, number in numbered] == [("x", 1), ("y", 2)]
    assert all(subject for _topic, subject, _number in numbered)


def test_an_overlap_is_told_as_django_tells_it_and_the_transaction_is_over() -> None:
    insert([seating("B1")])
    with transaction.atomic():
        with pytest.raises(IntegrityError) as refused:
            insert([seating("B3", "3"), seating("B2")])
        assert is_overlap(refused.value)
        with pytest.raises(TransactionManagementError):
            Allocation.objects.exists()
    assert list(Allocation.objects.values_list("booking_ref", flat=True)) == ["B1"]


def test_rows_of_several_models_need_one_statement() -> None:
    an_assignment()
    with CaptureQueriesContext(connection) as captured:
        insert(rows_to_write()[2:])
    assert len([each for each in captured if "INSERT" in each["sql"]]) == 1
    assert (Attempt.objects.count(), OutboxMessage.objects.count(), Event.objects.count()) == (1, 1, 1)


def test_rows_of_one_model_need_one_statement_and_keep_their_order() -> None:
    events = [NewEvent(type=f"{number}") for number in range(BATCH + 1)]
    with CaptureQueriesContext(connection) as captured:
        insert(events)
    assert len([each for each in captured if each["sql"].startswith("INSERT")]) == 2
    assert list(Event.objects.order_by("id").values_list("type", flat=True)) == [each.type for each in events]
    with CaptureQueriesContext(connection) as captured:
        insert([])
    assert len(captured) == 0


def test_records_become_the_same_rows_as_instances_and_keep_their_order() -> None:
    given: dict[str, Any] = {
        "source": SAYS,
        "severity": "info",
        "booking_ref": SAYS,
        "context": {"x": [SAYS, 1.5, None]},
        "at": EIGHT,
    }
    records = [EventRecord(type=f"{number}", correlation_id=uuid.UUID(int=7), **given) for number in range(BATCH + 1)]
    with CaptureQueriesContext(connection) as captured:
        insert_records(Event, records)
        insert_records(Event, [])
    assert len(captured) == 2
    columns = [field.name for field in fields(EventRecord)]
    assert list(Event.objects.order_by("id").values(*columns)) == [asdict(each) for each in records]


def test_a_value_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="object cannot be inserted"):
        insert([NewEvent(type="t", context={"x": object()})])
    with pytest.raises((DatabaseError, ValueError)):
        insert([NewEvent(type="nul\0")])
    assert not Event.objects.exists()
