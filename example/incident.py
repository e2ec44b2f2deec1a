"""Incidents in the demo's database, for practice and to see alerts fire.

Each starts with a good evening two hours ago, and then really breaks something: pages and metrics show real values, and
it stays broken until somebody fixes it. Data of the demo and of earlier incidents is kept; only the faults of earlier
incidents are fixed first.
"""

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection, models, transaction
from django.test.utils import override_settings
from django.urls import reverse

from assignments.coordination import dispatch
from assignments.integration.evening_file import EveningFile
from assignments.integration.floor_cache import floor_or_none
from assignments.models import Assignment, Breaker
from assignments.planning import admission
from assignments.staff.timeline import day_at
from assignments.telemetry import events
from example import evening
from example.booking import make_booking
from example.models import Restaurant
from example.takeover import make_due, without_buffers
from rollout import conf
from rollout.control import guard, steering

ACTOR = "command:demo"
AGO = timedelta(hours=2)
"""Time since the good evening was planned."""
LATE = 20
"""Number of bookings made afterwards."""


class Incident(StrEnum):
    BREAKER = "breaker"
    STUCK = "stuck"
    REGRESSION = "regression"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The place where an incident is visible: a page's path, its text, and the related metric and alert."""

    page: str
    sees: str
    metric: str = ""
    alert: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """The incident: what happened, where it is visible, and what to do, in order."""

    incident: Incident
    title: str
    happened: tuple[str, ...]
    look: tuple[Look, ...]
    do: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def seed(incident: Incident, source: EveningFile) -> Report:
    """Cause the incident, in the demo's database, which nobody else uses."""
    _move_back(AGO)  # Earlier incidents are moved back in time, outside the guard's window.
    restaurant = _a_good_evening(source)
    _move_back(AGO)
    return _INCIDENTS[incident](restaurant, source)


def _a_good_evening(source: EveningFile) -> Restaurant:
    """Fix earlier incidents, let V3 decide everywhere, and seat an evening."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP FUNCTION IF EXISTS {TRIGGER} CASCADE")
    Breaker.objects.all().delete()
    restaurant = evening.store(source).restaurants[0]
    position = steering.current() or steering.begin(actor=ACTOR, reason="The demo's ladder")
    if position.paused:
        position = steering.resume(actor=ACTOR, reason="The demo begins an incident")
    has_legacy_planner = bool(conf.settings().LEGACY_PLANNER)
    if has_legacy_planner and steering.plan().target is None:
        # What an earlier incident broke counts against the stage as long as it lasts.
        position = steering.roll_back(actor=ACTOR, reason="The demo begins another incident")
    while steering.plan().target is not None:
        position = steering.promote(
            from_stage=position.stage, actor=ACTOR, reason="A demo has no days to wait", override=True
        )
    _run_coordinator()
    assert guard.run().breaches == () or not has_legacy_planner
    return restaurant


def _breaker(restaurant: Restaurant, source: EveningFile) -> Report:
    """Break confirmations: a release of the booking project left a trigger that refuses them at one restaurant."""
    other = _another(replace(source, bookings=()))
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE FUNCTION {TRIGGER}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'loyalty points cannot be booked';
            END $$;
            CREATE TRIGGER {TRIGGER} BEFORE UPDATE ON example_booking FOR EACH ROW
                WHEN (NEW.restaurant_id = {int(other.pk)} AND NEW.status = 'confirmed') EXECUTE FUNCTION {TRIGGER}();
            """
        )
    # On two days: once fixed, each gives a success, and two successes close the breaker.
    _bookings_come_in(other, like=restaurant, days=2)
    # Open long enough to look at it; with the coordinator in cron it would keep reopening.
    with override_settings(ASSIGNMENTS={**settings.ASSIGNMENTS, "BREAKER_OPEN_SECONDS": 3600.0}):
        _run_coordinator()
        while not Breaker.objects.filter(opened_until__isnull=False).exists():
            make_due(other)
            _run_coordinator()
    events.flush(10)
    waiting = Assignment.objects.open().filter(restaurant_ref=str(other.pk)).count()
    return Report(
        incident=Incident.BREAKER,
        title=f"Nothing can be confirmed at {other.name}, and its circuit breaker is open",
        happened=(
            f"{LATE} bookings came in for {other.name}. The booking project raised an error at each confirmation.",
            f"Nothing was left half done: {waiting} bookings wait, none holds a table. {restaurant.name} is not affected.",
        ),
        look=(
            Look(
                page=_page("assignments_health"),
                sees="one breaker open, runs with unexpected errors",
                metric='assignment_breakers{state="open"}',
                alert="AssignmentBreakerOpen",
            ),
            Look(
                page=_page("assignments_event", severity__exact="error"),
                sees="coordinator.error and coordinator.circuit_open, each with its booking",
                metric='assignment_events_total{severity="error"}',
            ),
            Look(page=_timeline(other, first=True), sees=f"{other.name}: an empty floor, and who waits"),
        ),
        do=(
            "Do not roll back: the legacy planner would meet the same error.",
            f'Fix the booking project: python manage.py dbshell -- -c "DROP FUNCTION {TRIGGER} CASCADE"',
            "A breaker normally opens for 15 seconds. This one is open for an hour, for practice. End that hour: "
            f'python manage.py dbshell -- -c "{END_THE_WAIT}"',
            "Two successes close the breaker: python manage.py run_coordinator",
        ),
    )


TRIGGER = "example_loyalty_points"
END_THE_WAIT = (
    "UPDATE assignments_breaker SET opened_until = now(); "
    "UPDATE assignments_assignment SET due_at = now() WHERE due_at > now()"
)


def _stuck(restaurant: Restaurant, source: EveningFile) -> Report:
    """Stop cron an hour and a half ago; V3's flag is on, and bookings keep coming."""
    _bookings_come_in(restaurant, like=restaurant)
    _move_back(timedelta(minutes=90))
    due = dispatch.count_due()
    return Report(
        incident=Incident.STUCK,
        title="Bookings come in but are not decided: cron has stopped",
        happened=(
            "The last successful run was three and a half hours ago. V3's flag is on, so nobody else decides either.",
            f"{due} bookings are due, and have been for an hour and a half or longer.",
        ),
        look=(
            Look(
                page=_page("assignments_health"),
                sees="no successful run for hours, and the age of the oldest booking that is due",
                metric="assignment_last_success_timestamp_seconds",
                alert="AssignmentNoSuccessfulRun",
            ),
            Look(
                page=_page("assignments_health"),
                sees="the queue: how many are due",
                metric="assignment_oldest_due_age_seconds",
                alert="AssignmentQueueTooOld",
            ),
            Look(
                page=_page("rollout_position"),
                sees="V3 is on, by its switch",
                metric="rollout_v3_oldest_due_age_seconds",
                alert="RolloutV3Silent",
            ),
            Look(page=_timeline(restaurant), sees=f"{restaurant.name}: bookings that wait beside the evening"),
        ),
        do=(
            "Run one pass by hand and see whether it works: python manage.py run_coordinator",
            "Then fix cron. Until it works, run run_coordinator --watch under a supervisor.",
        ),
    )


def _regression(restaurant: Restaurant, source: EveningFile) -> Report:
    """Run a release with a bug that causes no double booking: it drops the buffers between seatings."""
    stage = steering.current()
    with mock.patch.object(admission, "seating_window", without_buffers):
        other = _another(source)
        _run_coordinator()
    seen = guard.run()
    events.flush(10)
    seated = Assignment.objects.filter(restaurant_ref=str(other.pk), state="confirmed").count()
    return Report(
        incident=Incident.REGRESSION,
        title="A bad release of V3 assigns tables too early, and the guard has rolled it back",
        happened=(
            f"At {stage.stage if stage else '-'}, a release dropped the buffers between seatings: "
            f"{seated} seatings at {other.name} break a rule of the floor. No table is booked twice.",
            *(breach.detail for breach in seen.breaches),
            f"The guard rolled back to {seen.rolled_back_to or 'nothing'}; promotion is locked until the cool-down ends.",
        ),
        look=(
            Look(
                page=_page("rollout_position"),
                sees="the guard's breach and rollback, the cool-down, the change with its reason",
                metric="rollout_guard_breaches",
            ),
            Look(
                page=_page("rollout_position"),
                sees="the stage, from which V3 decides for nobody",
                metric='rollout_rollbacks_total{by="guard"}',
                alert="RolloutGuardRolledBack",
            ),
            Look(page=_timeline(other), sees=f"{other.name}: parties back to back, without a gap"),
            Look(page=_page("assignments_event", severity__exact="error"), sees="rollout.guard_breached"),
        ),
        do=(
            "No rush: the legacy planner decides again, and finishes the waiting bookings.",
            f"Look at the seatings of {other.name}: V3 has assigned tables too early, and staff decide what to move.",
            "Roll the release back. Promote again only after a new time in shadow: python manage.py rollout plan",
        ),
    )


_INCIDENTS: dict[Incident, Callable[[Restaurant, EveningFile], Report]] = {
    Incident.BREAKER: _breaker,
    Incident.STUCK: _stuck,
    Incident.REGRESSION: _regression,
}


def _page(name: str, **query: str) -> str:
    return f"{reverse(f'admin:{name}_changelist')}{'?' if query else ''}{urlencode(query)}"


def _timeline(restaurant: Restaurant, *, first: bool = False) -> str:
    """Return the URL of the affected evening: the restaurant's last, or its first."""
    ref = str(restaurant.pk)
    found = Assignment.objects.filter(restaurant_ref=ref).order_by("starts_at" if first else "-starts_at")[0]
    day = day_at(floor_or_none(ref), found.starts_at)
    return _page("assignments_serviceday", restaurant=ref, day=day.isoformat(), waiting="1")


def _another(source: EveningFile) -> Restaurant:
    """Add a restaurant with that floor and those bookings."""
    number = Restaurant.objects.filter(name__startswith=ANOTHER).count() + 1
    return evening.store(source.called(f"{ANOTHER} {number}" if number > 1 else ANOTHER)).restaurants[0]


ANOTHER = "Corner House"


def _bookings_come_in(restaurant: Restaurant, *, like: Restaurant, days: int = 1) -> None:
    """Add bookings like the evening's first, on later empty days, so that each could be seated."""
    earlier = restaurant.bookings.filter(reference__contains="-late-").count() // LATE
    of_evening = like.bookings.exclude(reference__contains="-late-").order_by("start", "pk")
    for number, booking in enumerate(of_evening[:LATE]):
        make_booking(
            restaurant=restaurant,
            reference=f"{booking.reference}-late-{earlier + 1}",
            start=booking.start + timedelta(days=earlier + 1 + number % days),
            party=booking.party,
        )


def _run_coordinator() -> None:
    """Run the coordinator as cron does, ignoring an unexpected error, which it has reported."""
    with suppress(CommandError):
        call_command("run_coordinator", stdout=io.StringIO(), stderr=io.StringIO())


PLANNED = frozenset({"starts_at", "ends_at"})
"""Columns with times of seatings, which do not move with the records."""


def _move_back(by: timedelta) -> None:
    """Move all records back in time, append-only ones too. Only the demo's own database allows this."""
    kept = [
        model
        for model in apps.get_models()
        if model._meta.app_label in {"assignments", "rollout"} and model._meta.managed and not model._meta.proxy
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        for model in kept:
            cursor.execute(f"ALTER TABLE {model._meta.db_table} DISABLE TRIGGER USER")
        for model in kept:
            moments = [
                connection.ops.quote_name(str(field.column))
                for field in model._meta.concrete_fields
                if isinstance(field, models.DateTimeField) and field.name not in PLANNED
            ]
            if moments:
                moved = ", ".join(f"{moment} = {moment} - make_interval(secs => %s)" for moment in moments)
                cursor.execute(f"UPDATE {model._meta.db_table} SET {moved}", [by.total_seconds()] * len(moments))  # noqa: S608
        cursor.execute(
            "UPDATE example_booking SET created_at = created_at - make_interval(secs => %s)", [by.total_seconds()]
        )
        for model in kept:
            cursor.execute(f"ALTER TABLE {model._meta.db_table} ENABLE TRIGGER USER")
