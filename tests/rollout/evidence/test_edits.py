"""What V3 answers to edits is audited like its other decisions: once each, and refusals, too."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from assignments import api
from assignments.coordination import coordinator, planned_day, table_record
from assignments.integration import floor_cache
from assignments.models import Allocation, Assignment, Attempt
from example.booking import save_booking
from example.models import Booking
from rollout.control import steering
from rollout.evidence import decision_audit, measuring
from rollout.models import Audit, GuardRun, StoredBatch
from tests.built import built_once
from tests.rollout.control.test_steering import configure
from tests.rollout.evidence.test_decision_audit import decide, refused

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


@pytest.fixture
def audited(ladder: None) -> None:
    """An evening by V3, audited."""
    built_once("the evening by V3, to be audited", decide)
    decision_audit.run()


def seated() -> list[Booking]:
    refs = Assignment.objects.filter(state="confirmed", party=2).values_list("booking_ref", flat=True)
    return list(Booking.objects.filter(pk__in=map(int, refs)).order_by("pk"))


def edit(booking: Booking, *, party: int, hours: int = 0) -> None:
    with transaction.atomic():
        booking = Booking.objects.select_for_update().get(pk=booking.pk)
        booking.party, booking.start = party, booking.start + timedelta(hours=hours)
        save_booking(booking)


def asked_v3() -> Any:
    return Attempt.objects.filter(trigger="edit").exclude(batch=None)


def test_each_edit_that_v3_is_asked_about_has_an_audit_whatever_it_answers(audited: None) -> None:
    for booking in seated()[:12]:
        edit(booking, party=7)
    outcomes = set(asked_v3().values_list("outcome", flat=True))
    assert outcomes == {"confirmed", "manual_review"}, "some can be met, and some cannot"
    assert decision_audit.waiting()[0] == asked_v3().count()
    call_command("rollout", "guard")
    found = Audit.objects.filter(attempt__in=asked_v3().values("pk"))
    assert found.count() == asked_v3().count()
    assert not found.exclude(flaws=[], wrong_refusal=False, error="").exists(), "V3 has nothing wrong"
    assert not StoredBatch.objects.filter(audited_at=None).exists()


@pytest.mark.parametrize("party", [6, 60])
def test_an_edit_that_v3_decides_costs_at_most_twenty_queries(audited: None, party: int) -> None:
    booking = seated()[-1]
    booking.party = party
    floor_cache.floor_of(str(booking.restaurant_id))  # It is known from here on.
    table_record.success_of(str(booking.restaurant_id))
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        booking.save()
        api.booking_changed(booking_ref=str(booking.pk))
    assert asked_v3().exists()
    queries = [query["sql"][:150] for query in captured.captured_queries]
    assert len(queries) - 1 <= 20, "\n".join(queries)  # Without the project's own UPDATE, which comes before the call.


def test_an_edit_that_waits_for_staff_is_no_lost_booking(audited: None) -> None:
    """Its guests keep their tables until staff decide."""
    for booking in seated()[:12]:
        edit(booking, party=7)
    assert Assignment.objects.filter(state="manual_review", reason="edit_unmet").exists()
    position = steering.current()
    assert position is not None
    assert measuring.measure_live(position, minutes=60).lost == 0
    assert measuring.measure(position).lost == 0


def test_nor_is_one_whose_guests_have_been_there(audited: None) -> None:
    booking = str(seated()[0].pk)
    Allocation.objects.filter(booking_ref=booking).update(ended_at=Now())
    api.booking_cancelled(booking_ref=booking)
    position = steering.current()
    assert position is not None
    assert measuring.measure_live(position, minutes=60).lost == 0


def test_a_v3_that_refuses_edits_although_tables_are_free_is_rolled_back(
    audited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go to staff, and the guests keep their tables: without an audit nothing tells that V3 was wrong."""
    plan = planned_day.plan_requests

    def refuses(*args: Any, **options: Any) -> Any:
        planned = plan(*args, **options)
        return planned._replace(decisions={ref: refused(each) for ref, each in planned.decisions.items()})

    monkeypatch.setattr(coordinator, "plan_requests", refuses)
    for booking in seated()[:15]:
        edit(booking, party=4)
        edit(booking, party=6)
    with pytest.raises(CommandError) as stopped:
        call_command("rollout", "guard")
    assert stopped.value.returncode == 3
    assert "wrong_refusals" in {breach["rail"] for breach in GuardRun.objects.latest("id").breaches}
