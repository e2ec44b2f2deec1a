"""A promise is judged by the facts on which it was made: settings, hours and floor edits apply to new bookings."""

from collections.abc import Callable, Mapping
from datetime import time, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F

from assignments import api, conf
from assignments.coordination import dispatch
from assignments.integration import floor_cache
from assignments.maintenance.reconcile import outdated_promises, reconcile
from assignments.models import Allocation, Assignment, State
from assignments.outcome import Change
from example import models
from tests.built import built_once
from tests.example.conftest import load

pytestmark = pytest.mark.django_db(transaction=True)


def confirm_the_evening() -> None:
    load()
    dispatch.register_new()
    list(dispatch.run_pass())


@pytest.fixture
def evening(transactional_db: Any) -> models.Restaurant:
    """The real evening with its 76 bookings confirmed."""
    built_once("a confirmed evening", confirm_the_evening)
    assert seated() != {}
    return models.Restaurant.objects.get()


def seated() -> Mapping[str, tuple[Any, ...]]:
    """What each confirmed booking was promised: tables and times, by booking ref."""
    found: dict[str, tuple[Any, ...]] = {}
    confirmed = Assignment.objects.filter(state=State.CONFIRMED).values("booking_ref")
    for row in Allocation.objects.filter(booking_ref__in=confirmed).order_by("table_ref"):
        found[row.booking_ref] = (*found.get(row.booking_ref, ()), row.table_ref, row.starts_at, row.ends_at)
    return found


def forget_floors() -> None:
    floor_cache.forget()
    conf.settings.cache_clear()


def close_an_hour_earlier() -> None:
    for service in models.ServicePeriod.objects.all():
        service.end = time((service.end.hour - 1) % 24, service.end.minute)
        service.save()


def move_every_table_to_another_zone() -> None:
    restaurant = models.Restaurant.objects.get()
    models.Table.objects.update(zone=models.Zone.objects.create(restaurant=restaurant, name="Terrace"))


EDITS: Mapping[str, Callable[[], object]] = {
    "turn times 5 minutes longer": lambda: models.TurnTime.objects.update(minutes=F("minutes") + 5),
    "turn times 15 minutes shorter": lambda: models.TurnTime.objects.update(minutes=F("minutes") - 15),
    "buffers": lambda: models.ServicePeriod.objects.update(buffer_after_minutes=30, buffer_before_minutes=10),
    "closing earlier": close_an_hour_earlier,
    "closed that weekday": lambda: models.ServicePeriod.objects.update(
        weekdays=[day for day in range(7) if day != Assignment.objects.earliest("starts_at").starts_at.weekday()]
    ),
    "no service at all": lambda: models.ServicePeriod.objects.all().delete(),
    "no tables adjacent": lambda: models.TableAdjacency.objects.all().delete(),
    "party limits": lambda: models.Table.objects.update(min_party=1, max_party=1),
    "another zone": move_every_table_to_another_zone,
    "other names": lambda: [
        models.Table.objects.filter(pk=table.pk).update(code=f"X{table.pk}") for table in models.Table.objects.all()
    ],
    "more seats": lambda: models.Table.objects.update(seats=F("seats") + 10),
}

SETTINGS: Mapping[str, Any] = {
    "MAX_SPARE_SEATS": 0,
    "MAX_TABLES": 1,
    "MAX_PARTY": 1,
    "MIN_LEAD_MINUTES": 60 * 24 * 60,
    "WEIGHTS": {"optimal_fit": 0, "load_balancing": 9},
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_an_edited_floor_unseats_nobody(evening: models.Restaurant, edit: Callable[[], object]) -> None:
    before = seated()
    assert len(before) == 76
    edit()
    forget_floors()
    assert list(reconcile()) == []
    assert seated() == before
    for booking_ref in list(before)[:5]:
        assert api.booking_changed(booking_ref=booking_ref) is Change.NOTHING
    assert seated() == before


@pytest.mark.parametrize("name", SETTINGS)
def test_an_edited_setting_unseats_nobody(evening: models.Restaurant, settings: Any, name: str) -> None:
    before = seated()
    assert len(before) == 76
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, name: SETTINGS[name]}
    assert list(reconcile()) == []
    assert seated() == before


def at_a_table(refs: Mapping[str, tuple[Any, ...]], table_ref: str) -> set[str]:
    return {booking_ref for booking_ref, promise in refs.items() if table_ref in promise}


UNUSABLE: Mapping[str, Callable[[models.Table], object]] = {
    "inactive": lambda table: models.Table.objects.filter(pk=table.pk).update(active=False),
    "too small": lambda table: models.Table.objects.filter(pk=table.pk).update(seats=1),
    "deleted": lambda table: table.delete(),
}


@pytest.mark.parametrize("end", UNUSABLE.values(), ids=UNUSABLE)
def test_a_table_that_can_no_longer_be_used_concerns_only_who_sat_there(
    evening: models.Restaurant, end: Callable[[models.Table], object]
) -> None:
    before = seated()
    table = models.Table.objects.filter(seats=2).order_by("code").first()
    assert table is not None
    concerned = at_a_table(before, str(table.pk))
    assert concerned
    end(table)
    forget_floors()
    found = {each.booking_ref for each in reconcile()}
    assert found <= concerned
    list(dispatch.run_pass())
    after = seated()
    assert {ref: promise for ref, promise in after.items() if ref not in concerned} == {
        ref: promise for ref, promise in before.items() if ref not in concerned
    }
    for ref in concerned & after.keys():
        tables = models.Table.objects.filter(pk__in=after[ref][0::3], active=True)
        assert len(tables) == len(after[ref]) // 3
        assert sum(each.seats for each in tables) >= models.Booking.objects.get(pk=ref).party


def test_promises_that_todays_rules_would_not_make_are_listed_and_kept(evening: models.Restaurant, capsys: Any) -> None:
    before = seated()
    models.TurnTime.objects.update(minutes=F("minutes") + 5)
    forget_floors()
    call_command("reconcile_assignments")
    out = capsys.readouterr().out
    assert "Host and ledger agree." in out
    assert "not by today's rules (other_turn_time) -> kept" in out
    assert f"{len(list(outdated_promises()))} confirmed bookings would be seated differently today." in out
    assert seated() == before


def test_repair_plans_at_most_so_many_again_and_nobody_loses_a_table(evening: models.Restaurant) -> None:
    before = seated()
    models.TurnTime.objects.update(minutes=F("minutes") - 5)
    forget_floors()
    everybody = len(list(outdated_promises()))
    repaired = [each for each in outdated_promises(repair=3) if each.remedy == "planned again"]
    assert len(repaired) == 3
    after = seated()
    assert after.keys() == before.keys()
    changed = {ref for ref in before if after[ref] != before[ref]}
    assert changed == {each.booking_ref for each in repaired}
    for ref in changed:  # At its own tables, five minutes less.
        assert after[ref][0::3] == before[ref][0::3]
        assert after[ref][2] == before[ref][2] - timedelta(minutes=5)
    assert len(list(outdated_promises())) == everybody - 3


def test_who_cannot_be_seated_by_todays_rules_keeps_the_promise_when_repaired(evening: models.Restaurant) -> None:
    before = seated()
    models.ServicePeriod.objects.all().delete()
    forget_floors()
    assert {each.remedy for each in outdated_promises(repair=2)} == {"kept: nothing else fits", "kept"}
    assert seated() == before


@pytest.mark.parametrize(
    ("field", "value"), [("party", 1), ("start", timedelta(minutes=30)), ("end", timedelta(minutes=200))]
)
def test_the_guests_own_edit_is_an_edit(evening: models.Restaurant, field: str, value: Any) -> None:
    ref = min(ref for ref, promise in seated().items() if len(promise) == 3)
    booking = models.Booking.objects.get(pk=ref)
    new = value if field == "party" else booking.start + value
    models.Booking.objects.filter(pk=ref).update(**{field: new})
    assert [each.booking_ref for each in reconcile(dry_run=True)] == [ref]
    assert api.booking_changed(booking_ref=ref) is not Change.NOTHING


def test_an_end_that_is_not_after_the_start_is_no_edit(evening: models.Restaurant) -> None:
    before = seated()
    models.Booking.objects.update(end=F("start"))
    assert list(reconcile()) == []
    assert seated() == before


def test_a_wish_for_another_zone_is_an_edit_unless_they_sit_there(evening: models.Restaurant) -> None:
    ref, promise = next(iter(seated().items()))
    own = models.Table.objects.get(pk=promise[0]).zone
    other = models.Zone.objects.create(restaurant=evening, name="Balcony")
    models.Booking.objects.filter(pk=ref).update(zone=own)
    assert api.booking_changed(booking_ref=ref) is Change.NOTHING
    models.Booking.objects.filter(pk=ref).update(zone=other)
    assert api.booking_changed(booking_ref=ref) is not Change.NOTHING
