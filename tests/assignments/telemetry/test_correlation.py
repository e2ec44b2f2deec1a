"""One id links what an invocation did, whichever way the booking came in."""

import logging
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import transaction

from assignments import api
from assignments.coordination import dispatch
from assignments.maintenance import outbox, reconcile
from assignments.models import Assignment, Attempt, OutboxMessage, StateTransition
from assignments.signals import state_changed
from assignments.telemetry import correlation, events
from assignments.telemetry.log_formatters import CorrelationFilter
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)


class Lines(logging.Handler):
    """Log records with the ids that the filter gave them."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(CorrelationFilter())
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def receiver() -> Iterator[list[Any]]:
    """What a receiver of the host's finds around it."""
    found: list[Any] = []

    def heard(**kwargs: Any) -> None:
        found.append(correlation.current())
        logging.getLogger("host").error("told")

    state_changed.connect(heard, weak=False, dispatch_uid="test")
    yield found
    state_changed.disconnect(dispatch_uid="test")


def ids_of(booking_ref: str) -> dict[str, list[Any]]:
    """The ids that the booking's records carry, by kind, each once, oldest first."""
    events.flush(5)
    return {
        "history": _once(StateTransition.objects.filter(booking_ref=booking_ref).order_by("version")),
        "attempts": _once(Attempt.objects.filter(booking_ref=booking_ref).order_by("id")),
        "events": _once(each for each in events.MemorySink.events if each.booking_ref == booking_ref),
        "messages": list(
            dict.fromkeys(
                uuid.UUID(each.payload["correlation_id"])
                for each in OutboxMessage.objects.filter(booking_ref=booking_ref).order_by("id")
            )
        ),
    }


def _once(rows: Any) -> list[Any]:
    return list(dict.fromkeys(row.correlation_id for row in rows))


def the_one(booking_ref: str) -> uuid.UUID:
    """The id that all of the booking's records share."""
    found = ids_of(booking_ref)
    (known,) = found["history"]
    assert isinstance(known, uuid.UUID)
    if not found["messages"]:
        del found["messages"]  # The host hears nothing of a planner's steps.
    assert found == {kind: [known] for kind in found}
    return known


def test_cron(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    run_all()
    the_one("B1")


def test_inline_a_receiver_and_its_log_line_carry_it_too(
    host: TheHost, tonight: datetime, lines: Lines, receiver: list[Any]
) -> None:
    host.book("B1", starts_at=tonight, party=2)
    api.assign_now(booking_ref="B1")
    known = the_one("B1")
    assert {(each.correlation_id, each.booking_ref) for each in receiver} == {(known, "B1")}
    told = [each for each in lines.records if each.name == "host"]
    assert told
    assert {(each.correlation_id, each.booking_ref) for each in told} == {(str(known), "B1")}


def test_staff_who_assign_by_hand(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")
    the_one("B1")


def test_each_invocation_has_its_own(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    api.assign_now(booking_ref="B1")
    first = the_one("B1")
    api.release_tables(booking_ref="B1", actor="staff:7")
    api.assign_now(booking_ref="B1")
    found = ids_of("B1")
    assert len(found["history"]) == 3
    assert found["history"] == found["messages"]
    assert found["history"][0] == first
    assert found["attempts"] == [first, found["history"][2]]


def test_a_batch_shares_one_and_the_next_day_has_another(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    host.book("B2", starts_at=tonight, party=2)
    host.book("B3", starts_at=tonight.replace(day=15), party=2)
    run_all()
    assert the_one("B1") == the_one("B2") != the_one("B3")


def test_a_batch_that_failed_and_was_halved_is_still_one(host: TheHost, tonight: datetime, lines: Lines) -> None:
    host.book("B1", starts_at=tonight, party=2)
    host.book("B2", starts_at=tonight, party=2)
    host.raises["on_confirmed"], host.raises_for = RuntimeError("x"), {"B2"}
    run_all()
    known = the_one("B1")
    assert the_one("B2") == known
    failed = [each for each in lines.records if each.name == "assignments.coordinator"]
    assert {each.correlation_id for each in failed} == {str(known)}
    assert "B2" in {each.booking_ref for each in failed}


def test_what_a_host_does_in_a_scope_of_its_own_belongs_to_it(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    request_id = uuid.uuid4()
    with correlation.scope(request_id), transaction.atomic():
        api.request(booking_ref="B1")
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")
    assert the_one("B1") == request_id
    assert correlation.current() is None


@pytest.mark.parametrize("how", ["edit", "cancel", "the restaurant closes"])
def test_what_the_host_tells(host: TheHost, tonight: datetime, how: str) -> None:
    host.book("B1", starts_at=tonight, party=2)
    run_all()
    before = ids_of("B1")["history"]
    if how == "edit":
        host.edit("B1", party=4)
        api.booking_changed(booking_ref="B1")
    elif how == "cancel":
        api.booking_cancelled(booking_ref="B1")
    else:
        api.close(restaurant_ref="R1", starts_at=tonight, ends_at=tonight.replace(hour=20))
    found = ids_of("B1")
    assert len(found["history"]) == len(before) + 1
    assert found["history"] == found["messages"] == found["events"]


def test_reconciling_gives_each_discrepancy_one(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    host.book("B2", starts_at=tonight, party=2)
    run_all()
    del host.rows["B1"], host.rows["B2"]
    assert len(list(reconcile.reconcile())) == 2
    one, other = ids_of("B1")["history"], ids_of("B2")["history"]
    assert (len(one), len(other)) == (2, 2)
    assert one[-1] != other[-1]


def test_delivering_a_message_carries_the_id_of_what_it_tells_of(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    api.assign_now(booking_ref="B1")
    found: list[Any] = []
    host.deliver = lambda message: found.append(correlation.current())  # type: ignore[method-assign]
    outbox.deliver()
    assert {(each.correlation_id, each.booking_ref) for each in found} == {(the_one("B1"), "B1")}


def test_history_that_is_stored_without_an_invocation_has_an_id_too(host: TheHost, tonight: datetime) -> None:
    host.book("B1", starts_at=tonight, party=2)
    dispatch.register_new()
    assignment = Assignment.objects.get()
    assignment.verify_capacity(actor="test")
    with transaction.atomic():
        Assignment.objects.persist([assignment], correlation_id=uuid.uuid4())
    assert StateTransition.objects.get().correlation_id is not None
