"""Delivering messages: each is told at least once, none holds up the others, and none is tried for ever."""

import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.sites import site
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from assignments import api
from assignments.integration.host import Message
from assignments.maintenance import outbox
from assignments.models import OutboxMessage
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)

STAFF = "staff:7"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Died(BaseException):
    """Stands for the death of the process: nothing of ours handles it."""


def message(ref: str = "", *, topic: str = "t", **values: Any) -> OutboxMessage:
    created = OutboxMessage.objects.create(topic=topic, booking_ref=ref, **values)
    created.refresh_from_db()
    return created


def later() -> None:
    """All that waits is due."""
    OutboxMessage.objects.filter(delivered_at=None).update(due_at=LONG_AGO)


def dies_at(host: TheHost, ref: str) -> None:
    deliver = host.deliver

    def deadly(each: Message) -> None:
        if each.booking_ref == ref:
            raise Died
        deliver(each)

    host.deliver = deadly  # type: ignore[method-assign,assignment]


def test_messages_are_numbered_for_each_booking_and_each_restaurant() -> None:
    many = [OutboxMessage(topic="t", booking_ref=ref) for ref in ("B1", "B2", "B1")]
    OutboxMessage.objects.bulk_create(many)
    message(payload={"restaurant_ref": "R1"})
    message(payload={"restaurant_ref": "R2"})
    message(payload={"restaurant_ref": "R1"})
    message("B1")
    found = OutboxMessage.objects.order_by("id").values_list("subject", "number")
    assert list(found) == [
        ("B1", 1),
        ("B2", 1),
        ("B1", 2),
        ("restaurant:R1", 1),
        ("restaurant:R2", 1),
        ("restaurant:R1", 2),
        ("B1", 3),
    ]


def test_the_host_is_given_the_number(host: TheHost) -> None:
    message("B1")
    message("B1")
    outbox.deliver()
    assert [each.number for each in host.delivered] == [1, 2]


def test_each_message_takes_two_queries(host: TheHost) -> None:
    for number in range(16):
        message(f"B{number}")
    asked = []
    for limit in (4, 12):
        with CaptureQueriesContext(connection) as captured:
            outbox.deliver(limit=limit)
        asked.append(sum("assignments_outboxmessage" in each["sql"] for each in captured))
    assert asked[1] - asked[0] == 2 * (12 - 4)
    assert len(host.delivered) == 16


def test_what_was_accepted_is_not_told_again_when_the_process_dies_at_another_message(
    host: TheHost, monkeypatch: Any
) -> None:
    monkeypatch.setattr(outbox, "FIRST_DELAY_SECONDS", 0)
    for ref in ("B1", "poison", "B3", "poison"):
        message(ref)
    dies_at(host, "poison")
    for deaths in (1, 2, 3):
        with pytest.raises(Died):
            outbox.deliver()
        poison = OutboxMessage.objects.filter(booking_ref="poison").earliest("id")
        assert (poison.attempts, poison.deaths) == (deaths, deaths - 1), "the attempt is committed, its result missing"
        later()
        if deaths == 1:
            assert [each.booking_ref for each in host.delivered] == ["B1"]
    poison.refresh_from_db()
    with pytest.raises(Died):
        outbox.deliver()  # The second message of the booking: the first one does not hold it up any more.
    poison.refresh_from_db()
    assert poison.set_aside_at is not None
    assert (poison.deaths, poison.last_error) == (3, "ProcessDied")
    assert [each.booking_ref for each in host.delivered] == ["B1", "B3"]


def test_a_death_of_the_same_run_is_known_at_once_and_of_another_when_its_time_is_up(host: TheHost) -> None:
    message("poison")
    dies_at(host, "poison")
    run = uuid.uuid4()
    with pytest.raises(Died):
        outbox.deliver(run=run)
    assert outbox.deliver().waiting == 1, "another run leaves it to the one that claimed it"
    assert OutboxMessage.objects.get().deaths == 0
    with pytest.raises(Died):
        outbox.deliver(run=run)
    assert OutboxMessage.objects.get().deaths == 1


def test_a_process_that_was_taken_for_dead_changes_nothing(host: TheHost) -> None:
    message("B1")

    def slowly(each: Message) -> None:
        OutboxMessage.objects.update(claimed_by=uuid.uuid4(), attempts=2)

    host.deliver = slowly  # type: ignore[method-assign,assignment]
    outbox.deliver()
    left = OutboxMessage.objects.get()
    assert (left.delivered_at, left.attempts) == (None, 2)


@pytest.mark.parametrize("error", [RuntimeError("Canary Guest"), SystemExit(0), GeneratorExit()])
def test_what_the_host_raises_is_no_death_and_is_tried_for_a_day(host: TheHost, error: BaseException) -> None:
    message("B1")
    host.raises["deliver"] = error  # type: ignore[assignment]
    for _ in range(outbox.MOST_FAILURES + 2):
        later()
        assert outbox.deliver().refused == 1
    waiting = OutboxMessage.objects.get()
    assert (waiting.deaths, waiting.set_aside_at, waiting.last_error) == (0, None, type(error).__name__)
    assert waiting.due_at <= datetime.now(UTC) + timedelta(seconds=outbox.LONGEST_DELAY_SECONDS)
    OutboxMessage.objects.update(failed_since=datetime.now(UTC) - timedelta(hours=25), due_at=LONG_AGO)
    assert outbox.deliver().set_aside == 1
    assert outbox.deliver().refused == 0


def test_a_host_that_passes_over_a_database_error_is_told_again(host: TheHost, monkeypatch: Any) -> None:
    """What it wrote before is rolled back with the rest of the transaction."""
    message("B1")

    def passes_over(each: Message) -> None:
        host.delivered.append(each)
        with suppress(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")

    with monkeypatch.context() as patched:
        patched.setattr(host, "deliver", passes_over)
        assert outbox.deliver().refused == 1
    assert OutboxMessage.objects.get().last_error == "BrokenTransactionError"
    later()
    assert outbox.deliver().delivered == 1


def test_a_message_that_fails_alone_is_set_aside_early(host: TheHost) -> None:
    message("B1", attempts=outbox.MOST_FAILURES, failed_since=datetime.now(UTC) - timedelta(minutes=20))
    message("B2", delivered_at=datetime.now(UTC))
    host.raises["deliver"] = RuntimeError("x")
    assert outbox.deliver().set_aside == 1


def test_the_first_success_makes_due_what_failed_before(host: TheHost) -> None:
    soon, before = datetime.now(UTC) + timedelta(seconds=50), datetime.now(UTC) - timedelta(minutes=5)
    for number in range(3):
        message(f"B{number}", attempts=4, failed_since=before, due_at=soon)
    message("B9")
    assert outbox.deliver().delivered == 4
    assert [each.booking_ref for each in host.delivered] == ["B9", "B0", "B1", "B2"]


def test_a_closure_that_cannot_be_told_holds_up_its_restaurant_alone(host: TheHost) -> None:
    for restaurant in ("R1", "R1", "R2"):
        message(payload={"restaurant_ref": restaurant})
    message("B1")
    deliver = host.deliver

    def refuses(each: Message) -> None:
        if each.payload.get("restaurant_ref") == "R1":
            raise RuntimeError("x")
        deliver(each)

    host.deliver = refuses  # type: ignore[method-assign,assignment]
    result = outbox.deliver()
    assert (result.delivered, result.refused, result.waiting) == (2, 1, 2)
    assert [(each.booking_ref, each.payload.get("restaurant_ref")) for each in host.delivered] == [
        ("", "R2"),
        ("B1", None),
    ]


def test_a_message_that_was_set_aside_is_retried_by_hand(host: TheHost, capsys: Any, rf: Any, admin_user: Any) -> None:
    aside = [message(f"B{number}", set_aside_at=LONG_AGO, deaths=3, attempts=3) for number in range(3)]
    call_command("deliver_outbox")
    assert "0 delivered, 0 refused, 0 waiting, 3 set aside." in capsys.readouterr().out
    call_command("deliver_outbox", "--retry", str(aside[0].pk))
    assert "1 delivered, 0 refused, 0 waiting, 2 set aside." in capsys.readouterr().out
    page = site.get_model_admin(OutboxMessage)
    request = rf.post("/")
    request.user = admin_user
    told: list[str] = []
    page.message_user = lambda request, text, level: told.append(text)  # type: ignore[method-assign,assignment,misc]
    page.retry(request, OutboxMessage.objects.all())  # type: ignore[attr-defined]
    assert told == ["2 messages are due again."]
    assert outbox.deliver().delivered == 2


class TestWhatIsTold:
    """One message for each thing that happened to the guest, and none for a planner's steps."""

    def topics(self, ref: str) -> list[str]:
        rows = OutboxMessage.objects.filter(booking_ref=ref).order_by("id").values_list("topic", flat=True)
        return [topic.removeprefix("booking.").removeprefix("assignment_state.") for topic in rows]

    def test_a_booking_that_is_tried_again_and_seated(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        host.floors["R1"], floor = RuntimeError("x"), host.floors["R1"]
        run_all()
        assert self.topics("B1") == []
        host.floors["R1"] = floor
        api.assign_now(booking_ref="B1")
        assert self.topics("B1") == ["confirmed"]

    def test_staff_reject_what_had_failed(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, problem="no party")
        run_all()
        assert self.topics("B1") == ["failed"]
        host.edit("B1", problem="")
        api.reject(booking_ref="B1", actor=STAFF, reason="no_table")
        assert self.topics("B1") == ["failed", "failed"]

    def test_staff_move_a_confirmed_booking(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        other = "T2" if host.seated["B1"].table_refs != ("T2",) else "T1"
        api.move(booking_ref="B1", table_refs=[other], actor=STAFF)
        assert self.topics("B1") == ["confirmed", "moved"]
