"""Weeks on the database: V3 decides, and ``rollout guard`` itself looks, several times a day, with the clock moved on.

A small part of what ``weeks`` draws, since each booking is stored, decided and audited: a few restaurants, some moments of
each day. Here it is the command, its queries and its rows that are tried, not the bounds.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any
from unittest import mock

from django.core.management import CommandError, call_command
from django.db import connection, transaction

from assignments.concurrency import clock
from assignments.coordination import day_planner, dispatch, planned_day
from assignments.coordination.planned_day import PlannedDay
from assignments.integration.evening_file import EveningFile, as_aware
from assignments.planning.decision import Decision
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.text import Text
from example import demo, evening
from example.host import ExampleHost
from example.models import Booking
from rollout.control import steering
from rollout.models import Audit, GuardRun
from tests import process_state
from tests.power.weeks import BEGAN, POPULARITY

RESTAURANTS = 2
DAYS = 7
HOURS = (9, 13, 16, 19)
"""When bookings come together, each day; the guard looks then, and an hour later."""
USUAL = 0.35
"""The share of the real evening's bookings at a restaurant of middling popularity."""
KEPT = ("django_migrations", "django_content_type", "auth_permission")
WHO: Mapping[str, Any] = {"actor": "power", "reason": "a simulated week"}
STOPPED = 3


@dataclass(frozen=True, kw_only=True)
class Found:
    """What came of a week. ``breached``: the guardrails. ``stage``: the last one."""

    decisions: int
    audits: int
    guard_runs: int
    breached: Counter[str]
    stage: str


def week(seed: int, *, wrongly_refused: float = 0.0, days: int = DAYS) -> Found:
    """Play a week from an empty database, until the guard rolls back.

    One evening has two refusals too many, and at one moment the host cannot be read, as in ``weeks``. ``wrongly_refused``:
    the share of V3's decisions that are turned into refusals.
    """
    source = Random(seed)
    _empty()
    process_state.forget()
    file = demo.REAL_EVENING.read_text()
    shares = [USUAL * source.lognormvariate(0, POPULARITY) for _ in range(RESTAURANTS)]
    misjudged, outage = source.randrange(days), source.randrange(days)
    decisions = runs = 0
    with clock.at(BEGAN):
        _climb()
        for day in range(days):
            parsed = evening.parse_json(file, on=(BEGAN + timedelta(days=day + 1)).date())
            evenings = [_Evening.of(parsed, f"{day}-{number}", share, source) for number, share in enumerate(shares)]
            for number, hour in enumerate(HOURS):
                with _from(BEGAN + timedelta(days=day, hours=hour)):
                    for each in evenings:
                        each.book(number)
                    turned = 2 if day == misjudged and number == 2 else 0
                    with _turning(source, turned, wrongly_refused):
                        decisions += _decide()
                    runs += 1
                    if _guard(is_host_away=day == outage and number == 1):
                        return _found(decisions, runs)
                with _from(BEGAN + timedelta(days=day, hours=hour + 1)):
                    runs += 1
                    if _guard():
                        return _found(decisions, runs)
    return _found(decisions, runs)


@contextmanager
def _from(moment: datetime) -> Iterator[None]:
    with clock.at(moment):
        yield


@dataclass(frozen=True)
class _Evening:
    """A restaurant's bookings of one evening, by when they come."""

    restaurant: Any
    bookings: Sequence[Sequence[Booking]]

    @classmethod
    def of(cls, parsed: EveningFile, name: str, share: float, source: Random) -> "_Evening":
        restaurant = evening.store(replace(parsed, bookings=()), restaurant_name=name).restaurants[0]
        rows = [row for row in parsed.bookings if source.random() < share]
        moments: list[list[Booking]] = [[] for _ in HOURS]
        for row in rows:
            start = as_aware(row.start, parsed.timezone)
            booking = Booking(restaurant=restaurant, reference=f"{name}-{row.ref}", start=start, party=row.party)
            source.choice(moments).append(booking)
        return cls(restaurant, moments)

    def book(self, moment: int) -> None:
        Booking.objects.bulk_create(self.bookings[moment])
        dispatch.register_new(str(self.restaurant.pk))


def _decide() -> int:
    return sum(len(progress.outcomes) for progress in dispatch.run_pass())


def _guard(*, is_host_away: bool = False) -> bool:
    """Run the command; whether it found a breach."""
    away: Callable[..., Any] = mock.Mock(side_effect=ConnectionError)
    changed = mock.patch.object(ExampleHost, "bookings", away) if is_host_away else mock.patch.dict({}, {})
    try:
        with changed:
            call_command("rollout", "guard", stdout=io.StringIO(), stderr=io.StringIO())
    except ConnectionError:
        return False  # As cron sees it: it fails, and is run again.
    except CommandError as error:
        if error.returncode != STOPPED:
            raise
        return True
    return False


@contextmanager
def _turning(source: Random, number: int, share: float) -> Iterator[None]:
    """Have V3 refuse so many whom it would seat, and this share of all."""
    plan, left = planned_day.plan_requests, [number]

    def turned(ref: str, decision: Decision) -> Decision:
        is_turned = decision.best is not None and not decision.moves and (left[0] > 0 or source.random() < share)
        left[0] -= is_turned
        refusal = Refusal(reason=Reason.NO_CAPACITY, text=Text("Everything that fits is taken."))
        return replace(decision, plans=(), window=None, refusal=refusal) if is_turned else decision

    def changed(*args: Any, **options: Any) -> PlannedDay:
        planned = plan(*args, **options)
        decisions: Mapping[str, Decision] = {ref: turned(ref, each) for ref, each in planned.decisions.items()}
        return planned._replace(decisions=decisions)

    with mock.patch.object(day_planner, "plan_requests", changed):
        yield


def _climb() -> None:
    position = steering.begin(**WHO)
    while steering.plan().target is not None:
        position = steering.promote(from_stage=position.stage, override=True, **WHO)


def _found(decisions: int, runs: int) -> Found:
    position = steering.current()
    assert position is not None
    breached = Counter(breach["rail"] for run in GuardRun.objects.all() for breach in run.breaches)
    return Found(
        decisions=decisions,
        audits=Audit.objects.count(),
        guard_runs=runs,
        breached=breached,
        stage=position.stage,
    )


def _empty() -> None:
    tables = [table for table in connection.introspection.table_names() if table not in KEPT]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"TRUNCATE {', '.join(map(connection.ops.quote_name, tables))} CASCADE")
