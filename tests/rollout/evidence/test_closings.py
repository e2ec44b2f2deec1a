"""What V3 decides when tables close is audited like its other decisions, whoever decides new bookings."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from assignments import api
from assignments.coordination import closures
from assignments.models import Allocation, Attempt
from assignments.planning.batch_planner import EveningPlanner
from rollout.control import steering
from rollout.evidence import decision_audit, measuring
from rollout.models import Audit, GuardRun, StoredBatch
from tests.built import built_once
from tests.rollout.control.test_steering import WHO, configure
from tests.rollout.evidence.test_decision_audit import decide, refused

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


@pytest.fixture
def audited(ladder: None) -> None:
    """An evening by V3, audited."""
    built_once("the evening by V3, to be audited", decide)
    decision_audit.run()


def close(tables: Callable[[Sequence[str]], Sequence[str]]) -> int:
    """Close these of the restaurant's occupied tables over its evening."""
    rows = Allocation.objects.filter(kind="seating").order_by("table_ref")
    begin = min(row.blocked.lower for row in rows)
    refs = tables(list(dict.fromkeys(row.table_ref for row in rows)))
    restaurant_ref, until = rows[0].restaurant_ref, begin + timedelta(days=1)
    return api.close(restaurant_ref=restaurant_ref, table_refs=refs, starts_at=begin, ends_at=until)


def decided() -> Any:
    return Attempt.objects.filter(trigger="staff", planner="v3").exclude(batch=None)


@pytest.mark.parametrize("stage", ["full", "shadow"])
def test_each_booking_that_loses_its_table_has_an_audit_whatever_v3_finds(audited: None, stage: str) -> None:
    if stage == "shadow":
        steering.roll_back(**WHO)
    close(lambda refs: refs[:4])
    assert set(decided().values_list("outcome", flat=True)) == {"confirmed", "manual_review"}
    assert not Attempt.objects.filter(trigger="staff", planner="v3", batch=None).exists()
    assert not decided().filter(decision_ms=0).exists()
    assert decision_audit.waiting()[0] == decided().count()
    call_command("rollout", "guard")
    found = Audit.objects.filter(attempt__in=decided().values("pk"))
    assert found.count() == decided().count()
    wrong = found.exclude(flaws=[], wrong_refusal=False, error="")
    assert not list(wrong.values()), "V3 has nothing wrong"
    assert not StoredBatch.objects.filter(audited_at=None).exists()


def test_a_booking_that_no_other_table_takes_is_no_lost_booking(audited: None) -> None:
    close(lambda refs: refs[:4])
    position = steering.current()
    assert position is not None
    assert measuring.measure_live(position, minutes=60).lost == 0


def test_a_v3_that_finds_no_other_tables_although_some_are_free_is_rolled_back(
    audited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refuses(EveningPlanner):
        def decide(self, request: Any, own: Any = ()) -> Any:
            self._decisions[request.booking_ref] = refused(super().decide(request, own))
            return self._decisions[request.booking_ref]

    monkeypatch.setattr(closures, "EveningPlanner", Refuses)
    for _number in range(8):  # Each leaves a free table for those at the next.
        api.lift_closure(closure_id=close(lambda refs: refs[:1]), actor="host")
    with pytest.raises(CommandError) as stopped:
        call_command("rollout", "guard")
    assert stopped.value.returncode == 3
    assert "wrong_refusals" in {breach["rail"] for breach in GuardRun.objects.latest("id").breaches}
