"""A V3 that moves parties which have to stay is found, although its own list of whom it may move names them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments import api
from assignments.conf import A_YEAR_OF_MINUTES
from assignments.coordination import rearrangement
from assignments.integration.planners import Batch, SoleRouter
from assignments.models import Assignment, FrozenEvening
from assignments.testing import a_floor, a_table
from rollout.evidence import decision_audit
from rollout.models import Audit, StoredBatch
from rollout.shadow import stored_batches
from tests.assignments.conftest import HOST_PATH, TheHost, asked, host_with, run_all, tables_of

ROUTER = "tests.rollout.evidence.test_fixed_parties.KeepsBatches"
YEARS = timedelta(days=800)
TONIGHT = (datetime.now(UTC) + timedelta(days=30)).replace(hour=19, minute=0, second=0, microsecond=0)


class KeepsBatches(SoleRouter):
    """A router for which V3 decides everything, and which stores the batches."""

    def keep(self, batch: Batch) -> None:
        stored_batches.keep(batch)


def pair_at_the_large_table(settings: Any, **more: Any) -> None:
    """The pair A sits at the large table, the small one is free again, and four ask."""
    host = host_with(settings, HOST=HOST_PATH, ROUTER=ROUTER, **more)
    host.floors["R1"] = a_floor(tables=[a_table("small", seats=2), a_table("large", seats=4)])
    host.book("B", starts_at=TONIGHT, party=2, requested_at=asked(0))
    host.book("A", starts_at=TONIGHT, party=2, requested_at=asked(1))
    run_all()
    assert tables_of("A") == ["large"]
    host.edit("B", wants_table=False)
    api.booking_changed(booking_ref="B")
    host.book("four", starts_at=TONIGHT, party=4, requested_at=asked(2))
    api.request(booking_ref="four")


def forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on V3 takes everybody for movable."""
    movable_of = rearrangement.movable_of

    def everybody(floor: Any, service_date: Any, *, now: datetime) -> Any:
        rows = Assignment.objects.filter(booking_ref="A")
        (before,) = rows.values("table_told", "pinned_table_refs", "planner", "moves")
        frozen = list(FrozenEvening.objects.all())
        FrozenEvening.objects.all().delete()
        rows.update(table_told=False, pinned_table_refs=[], planner="v3", moves=0)
        found = movable_of(floor, service_date, now=now - YEARS)
        rows.update(**before)
        FrozenEvening.objects.bulk_create(frozen)
        for each in found.values():
            vars(each.assignment).update(before)
        return found

    monkeypatch.setattr(rearrangement, "movable_of", everybody)


def nothing() -> None:
    pass


def tell() -> None:
    Assignment.objects.filter(booking_ref="A").update(table_told=True)


def pin() -> None:
    Assignment.objects.filter(booking_ref="A").update(pinned_table_refs=["large"])


def choose() -> None:
    Assignment.objects.filter(booking_ref="A").update(planner="manual")


def move_often() -> None:
    Assignment.objects.filter(booking_ref="A").update(moves=3)


def freeze() -> None:
    pair = Assignment.objects.get(booking_ref="A")
    api.freeze(restaurant_ref=pair.restaurant_ref, service_date=pair.service_date, actor="staff:7")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("fix", "more", "flaws"),
    [
        (nothing, {}, []),
        (tell, {}, ["fixed_party_moved"]),
        (pin, {}, ["fixed_party_moved"]),
        (choose, {}, ["fixed_party_moved"]),
        (move_often, {}, ["fixed_party_moved"]),
        (freeze, {}, ["fixed_party_moved"]),
        (nothing, {"FIXED_MINUTES": A_YEAR_OF_MINUTES}, ["fixed_party_moved"]),
        (nothing, {"FREEZE_MINUTES": A_YEAR_OF_MINUTES}, ["fixed_party_moved"]),
    ],
)
def test_a_party_that_had_to_stay_is_moved(
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    fix: Callable[[], None],
    more: dict[str, Any],
    flaws: list[str],
) -> None:
    monkeypatch.setattr(TheHost, "reports_told_tables", True, raising=False)
    pair_at_the_large_table(settings, **more)
    fix()
    forgets(monkeypatch)
    api.assign_now(booking_ref="four")
    assert (tables_of("A"), tables_of("four")) == (["small"], ["large"])
    decision_audit.run()
    found = dict(Audit.objects.values_list("booking_ref", "flaws"))
    assert found["four"] == flaws
    assert not StoredBatch.objects.filter(audited_at=None).exists()
