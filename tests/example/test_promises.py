"""A promise is judged by the facts on which it was made: settings, hours and floor edits apply to new bookings."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models import F

from assignments import api, conf
from assignments.coordination import dispatch
from assignments.integration import floor_cache
from assignments.integration.project_host import configured
from assignments.maintenance.reconcile import outdated_promises, reconcile
from assignments.models import Allocation, Assignment, CalendarEntry, PacingLimit, State
from assignments.outcome import Change
from assignments.planning.floor import CalendarEntry as Entry
from assignments.planning.floor import Floor, Join, Pacing, ServicePeriod, Table
from assignments.planning.snapshot import DEFAULT_WEIGHTS
from example import models
from example.host import ExampleHost
from tests.built import built_once
from tests.example.conftest import load

pytestmark = pytest.mark.django_db(transaction=True)

LONDON = ZoneInfo("Europe/London")
"""Where the restaurant of the real evening is."""


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


def open_an_hour_later() -> None:
    for service in models.ServicePeriod.objects.all():
        service.start = service.start.replace(hour=service.start.hour + 1)
        service.save()


def move_every_table_to_another_zone() -> None:
    restaurant = models.Restaurant.objects.get()
    models.Table.objects.update(zone=models.Zone.objects.create(restaurant=restaurant, name="Terrace"))


def the_date() -> date:
    return Assignment.objects.earliest("starts_at").service_date


def list_every_join(spare: int) -> None:
    """List each pair that stands side by side, and each join in use, with so many seats more than its tables have."""
    pairs = {frozenset(pair) for pair in models.TableAdjacency.objects.values_list("first", "second")}
    joins = {frozenset(map(int, promise[0::3])) for promise in seated().values() if len(promise) > 3}
    assert joins
    for tables in sorted(pairs | joins, key=sorted):
        seats = sum(models.Table.objects.filter(pk__in=tables).values_list("seats", flat=True))
        join = models.TableJoin.objects.create(seats=seats + spare, min_party=seats + spare, max_party=seats + spare)
        join.tables.set(tables)


def other_dates(**given: Any) -> CalendarEntry:
    restaurant_ref = str(models.Restaurant.objects.get().pk)
    return CalendarEntry.objects.create(
        restaurant_ref=restaurant_ref, first_date=the_date(), last_date=the_date(), **given
    )


def other_hours_on_the_date() -> None:
    entry = other_dates()
    for service in models.ServicePeriod.objects.all():
        entry.services.create(key=service.key, starts=time(9), ends=time(10), turn_minutes=15)


def pace(**limits: int) -> None:
    PacingLimit.objects.create(restaurant_ref=str(models.Restaurant.objects.get().pk), **limits)


EDITS: Mapping[str, Callable[[], object]] = {
    "turn times 5 minutes longer": lambda: models.TurnTime.objects.update(minutes=F("minutes") + 5),
    "turn times 15 minutes shorter": lambda: models.TurnTime.objects.update(minutes=F("minutes") - 15),
    "buffers": lambda: models.ServicePeriod.objects.update(buffer_after_minutes=30, buffer_before_minutes=10),
    "opening later": open_an_hour_later,
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
    "listed joins": lambda: list_every_join(spare=1),
    "a closed date": lambda: other_dates(closed=True),
    "a closed weekday": lambda: other_dates(closed=True, weekdays=[the_date().weekday()]),
    "other hours on the date": other_hours_on_the_date,
    "pacing limits": lambda: pace(interval_minutes=30, most_covers=1, most_parties=1, most_present=1),
    "pacing of a service on the date": lambda: PacingLimit.objects.create(
        restaurant_ref=str(models.Restaurant.objects.get().pk),
        service_key="dinner",
        first_date=the_date(),
        last_date=the_date(),
        weekdays=[the_date().weekday()],
        most_covers=1,
    ),
    "nobody comes early": lambda: models.ServicePeriod.objects.update(early_minutes=0),
    "guests may come late": lambda: models.ServicePeriod.objects.update(allow_overrun=True, late_minutes=90),
    "overruns": lambda: models.ServicePeriod.objects.update(allow_overrun=~F("allow_overrun")),
    "another time zone": lambda: models.Restaurant.objects.update(timezone="Asia/Tokyo"),
}

KINDS: Sequence[type[Any]] = [Floor, Table, Join, ServicePeriod, Entry, Pacing]
DEFAULTS = {(kind.__name__, each.name): each.default for kind in KINDS for each in fields(kind)}
"""What a floor consists of, and what each part of it is unless it is given."""

SETTINGS: Mapping[str, Any] = {
    "MAX_SPARE_SEATS": 0,
    "MAX_TABLES": 1,
    "MAX_PARTY": 1,
    "MIN_LEAD_MINUTES": 60 * 24 * 60,
    "GRACE_MINUTES": 0,
    "NO_SHOW_MINUTES": 1,
    "WEIGHTS": {**dict.fromkeys(DEFAULT_WEIGHTS, 0), "load_balancing": 9},
    "OPTIMIZE_FOR": "covers",
    "REARRANGE": False,
    "FIXED_MINUTES": 0,
    "MAX_MOVES": 1000,
    "FREEZE_MINUTES": 60 * 24 * 60,
    "BATCH_SIZE": 50,
    "MAX_ATTEMPTS": 1,
    "HOLD_SECONDS": 1,
    "RETRY_BASE_SECONDS": 0,
    "RETRY_MAX_SECONDS": 0,
    "RETRY_JITTER_SECONDS": 0,
}


def facts_of(floor: Floor) -> dict[tuple[str, str], dict[object, Any]]:
    """Each value that planning reads of a floor: by kind and field, then by row."""
    found: dict[tuple[str, str], dict[object, Any]] = {}
    rows: list[Any] = [floor, *floor.tables, *floor.joins, *floor.services, *floor.calendar, *floor.pacing]
    for row in rows:
        for each in fields(row):
            identity = getattr(row, "ref", getattr(row, "key", ""))
            found.setdefault((type(row).__name__, each.name), {})[identity] = getattr(row, each.name)
    return found


def test_every_fact_of_the_floor_is_edited_here(evening: models.Restaurant) -> None:
    host, edited = configured(), set()
    before = facts_of(host.floor(str(evening.pk)))
    edits: list[Callable[[], object]] = [*EDITS.values()]
    edits.append(lambda: UNUSABLE["inactive"](models.Table.objects.earliest("code")))
    for edit in edits:
        with transaction.atomic():
            edit()
            after = facts_of(host.floor(str(evening.pk)))
            for fact, by_row in after.items():
                then = before.get(fact, {})
                if any(value != then.get(row, DEFAULTS[fact]) for row, value in by_row.items()):
                    edited.add(fact)
            transaction.set_rollback(True)
    assert DEFAULTS.keys() - edited == {
        ("Floor", "restaurant_ref"),
        ("Floor", "stored_outside_minutes"),
        ("Table", "ref"),
        ("ServicePeriod", "key"),
        # This project stores neither: see test_other_features_and_priorities_unseat_nobody.
        ("Table", "features"),
        ("Table", "priority"),
    }


def test_every_setting_that_steers_decisions_is_changed_here() -> None:
    assert {each.name for each in fields(conf.Settings) if each.metadata["steers"]} == {"HOST", *SETTINGS}


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
    list(dispatch.run_pass())  # It notices the edit, and tries again who waits.
    after = seated()
    assert {ref: after.get(ref) for ref in before} == before


def test_other_features_and_priorities_unseat_nobody(
    evening: models.Restaurant, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor_of = ExampleHost.floor

    def furnish(**details: Any) -> None:
        def floor(host: ExampleHost, restaurant_ref: str) -> Floor:
            plain = floor_of(host, restaurant_ref)
            return replace(plain, tables=tuple(replace(table, **details) for table in plain.tables))

        monkeypatch.setattr(ExampleHost, "floor", floor)
        forget_floors()

    before = seated()
    furnish(features=frozenset({"step-free"}), priority=5)
    for booking_ref in list(before)[:3]:
        assert api.note_features(booking_ref=booking_ref, needs=["step-free"]) is Change.NOTHING
    furnish(features=frozenset(), priority=-5)
    assert list(reconcile()) == []
    list(dispatch.run_pass())
    after = seated()
    assert {ref: after.get(ref) for ref in before} == before


def test_an_edited_setting_unseats_nobody(evening: models.Restaurant, settings: Any) -> None:
    before = seated()
    assert len(before) == 76
    as_it_was = settings.ASSIGNMENTS
    for name, value in SETTINGS.items():
        assert getattr(conf.settings(), name) != value
        settings.ASSIGNMENTS = {**as_it_was, name: value}
        assert list(reconcile()) == [], name
        assert seated() == before, name
        settings.ASSIGNMENTS = as_it_was
    settings.ASSIGNMENTS = {**as_it_was, **SETTINGS}
    list(dispatch.run_pass())
    after = seated()
    assert {ref: after.get(ref) for ref in before} == before


def at_a_table(refs: Mapping[str, tuple[Any, ...]], table_ref: str) -> set[str]:
    return {booking_ref for booking_ref, promise in refs.items() if table_ref in promise}


def close(table: models.Table, hour: int = 0, hours: int = 24) -> None:
    starts_at = datetime.combine(the_date(), time(hour), tzinfo=LONDON)
    api.close(
        restaurant_ref=str(table.restaurant_id),
        table_refs=[str(table.pk)],
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=hours),
        actor="staff:7",
    )


UNUSABLE: Mapping[str, Callable[[models.Table], object]] = {
    "inactive": lambda table: models.Table.objects.filter(pk=table.pk).update(active=False),
    "too small": lambda table: models.Table.objects.filter(pk=table.pk).update(seats=1),
    "deleted": lambda table: table.delete(),
    "closed": close,
}


def whereabouts(refs: Collection[str], codes: Mapping[str, str]) -> dict[str, str]:
    """Where each of these is now, or why it waits; by the time and the number of its guests."""
    now, found = seated(), {}
    for row in Assignment.objects.filter(booking_ref__in=refs):
        where = "+".join(sorted(codes[table] for table in now.get(row.booking_ref, ())[0::3]))
        found[f"{row.starts_at.astimezone(LONDON):%H:%M} for {row.party}"] = where or f"{row.state}: {row.reason}"
    return found


def codes_of_tables() -> Mapping[str, str]:
    return {str(key): code for key, code in models.Table.objects.values_list("pk", "code")}


TO_STAFF = "manual_review: table_out_of_service"


@pytest.mark.parametrize("how", UNUSABLE)
def test_a_table_that_can_no_longer_be_used_concerns_only_who_sat_there(evening: models.Restaurant, how: str) -> None:
    before, codes = seated(), codes_of_tables()
    table = models.Table.objects.get(code="D1-T01")
    concerned = at_a_table(before, str(table.pk))
    assert whereabouts(concerned, codes) == {
        "11:54 for 4": "D1-T01+D1-T03",
        "13:15 for 5": "D1-T01+D1-T04",
        "16:43 for 2": "D1-T01",
        "18:20 for 2": "D1-T01",
        "19:37 for 2": "D1-T01",
        "20:50 for 2": "D1-T01",
    }
    UNUSABLE[how](table)
    forget_floors()
    found = {each.booking_ref for each in reconcile()}
    assert found <= concerned
    assert bool(found) == (how != "closed")  # Who sits at a table that closes is moved while it closes.
    expected = {
        "11:54 for 4": TO_STAFF,
        "13:15 for 5": "D1-T01+D1-T04" if how == "too small" else TO_STAFF,  # One seat and four are enough.
        "16:43 for 2": "D1-T02",
        "18:20 for 2": TO_STAFF,
        "19:37 for 2": TO_STAFF,
        "20:50 for 2": "D2-T01",
    }
    assert whereabouts(concerned, codes) == expected
    list(dispatch.run_pass())
    assert whereabouts(concerned, codes) == expected
    after = seated()
    assert {ref: after.get(ref) for ref in before if ref not in concerned} == {
        ref: promise for ref, promise in before.items() if ref not in concerned
    }
    for ref in concerned & after.keys():
        assert after[ref][1:3] == before[ref][1:3]


def test_a_table_that_is_closed_for_an_hour_concerns_only_who_sat_there_then(evening: models.Restaurant) -> None:
    before, codes = seated(), codes_of_tables()
    close(models.Table.objects.get(code="D1-T01"), hour=17, hours=1)
    moved = {ref for ref, promise in before.items() if seated().get(ref) != promise}
    assert whereabouts(moved, codes) == {"16:43 for 2": "D1-T02"}


def test_a_join_that_is_listed_with_fewer_seats_concerns_only_whom_it_does_not_seat(
    evening: models.Restaurant,
) -> None:
    before, codes = seated(), codes_of_tables()
    joined = {ref for ref, promise in before.items() if len(promise) > 3}
    were = whereabouts(joined, codes)
    list_every_join(spare=-2)
    forget_floors()
    list(reconcile())
    expected = {
        "11:51 for 6": TO_STAFF,
        "11:53 for 4": TO_STAFF,
        "11:54 for 4": TO_STAFF,
        "13:15 for 5": TO_STAFF,
        "16:05 for 6": "D1-T04+D1-T06",
        "17:00 for 6": were["17:00 for 6"],  # Two tables for four, listed with six seats.
    }
    assert whereabouts(joined, codes) == expected
    list(dispatch.run_pass())
    assert whereabouts(joined, codes) == expected
    after = seated()
    assert {ref: after.get(ref) for ref in before if ref not in joined} == {
        ref: promise for ref, promise in before.items() if ref not in joined
    }


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
