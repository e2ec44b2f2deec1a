"""The demo: one evening, seated by the legacy planner (if installed) and, on a fresh copy, by V3, to compare them."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.db import connection

from assignments.coordination import dispatch
from assignments.integration.evening_file import EveningFile
from assignments.models import Assignment, State
from assignments.outcome import Kind, Outcome
from assignments.telemetry import events
from assignments.telemetry.percentiles import percentiles
from example import evening, models, takeover
from example.takeover import Step
from rollout import conf
from rollout.control import switches
from rollout.flags import resolution

REAL_EVENING = Path(__file__).parent / "data" / "demo_evening.json"

REPORTED = (
    ("Reported by the modelled system", 40, 191.83),
    ("Reported, second run", 5, 2077.96),
)
"""Confirmed of the same 117 bookings, and seconds, from run reports of the system that this one is modelled on."""
PROVEN_OPTIMUM = 76
"""Proven with a constraint solver for the real evening: 3 of the 117 would overrun dinner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One planner on its own copy of the evening. ``seconds`` of the whole pass, ``decision_ms`` of planning alone."""

    planner: str
    confirmed: int
    covers: int
    manual_review: int
    pending: int
    failed: int
    seconds: float
    decision_ms: dict[str, float]
    reasons: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Demo:
    """All runs, and the findings of independent SQL: overlapping seatings, and bookings without exactly one outcome."""

    bookings: int
    tables: int
    runs: tuple[Run, ...]
    overlaps: int
    lost: int
    steps: tuple[Step, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run(source: EveningFile, path: Path, report: Path, *, say: Callable[[str], None] = lambda text: None) -> Demo:
    """Run every installed planner on its own copy of the evening, V3 last; then V3's takeover.

    ``say`` is called with each step. ``path`` is the file that ``source`` was read from; the report goes to ``report``.
    """
    can_take_over = bool(source.bookings and conf.settings().LEGACY_PLANNER)
    steps: list[Step] = []
    if can_take_over:
        say("The legacy planner, alone and watched by V3 ...")
        steps.append(takeover.watched(source))
    runs, loaded = [], []
    old = [("legacy", False)] if conf.settings().LEGACY_PLANNER else []
    for planner, v3 in [*old, ("v3", True)]:
        copy = source.called(f"{source.name} ({planner})")
        restaurant = evening.store(copy).restaurants[0]
        loaded.append(restaurant)
        switches.set_switch(resolution.V3_SWITCH, active=v3, actor="demo", reason=f"The demo's {planner} run")
        say(f"{planner} seats the evening ...")
        runs.append(_run(planner, restaurant))
    events.flush(10)
    for step in takeover.taken_over(source, path, report) if can_take_over else ():
        steps.append(step)
        say(f"{step.title} ...")
    return Demo(
        bookings=loaded[0].bookings.count(),
        tables=loaded[0].tables.count(),
        runs=tuple(runs),
        overlaps=count_overlaps(),
        lost=count_lost(),
        steps=tuple(steps),
    )


def count_overlaps() -> int:
    """Count overlapping seatings of one table, independently of the constraint that forbids them."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*)
              FROM assignments_allocation AS one
              JOIN assignments_allocation AS other
                ON one.restaurant_ref = other.restaurant_ref AND one.table_ref = other.table_ref AND one.id < other.id
             WHERE lower(one.blocked) < upper(other.blocked) AND lower(other.blocked) < upper(one.blocked)
            """
        )
        return int(cursor.fetchone()[0])


def count_lost() -> int:
    """Count bookings without exactly one outcome: unknown, undecided without a next attempt, or inconsistent.

    A confirmed booking must be so in the host, in its assignment, and in the ledger, with the same tables.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT count(*)
              FROM example_booking AS booking
              LEFT JOIN assignments_assignment AS assignment ON assignment.booking_ref = booking.id::text
             WHERE booking.status IN ('pending', 'confirmed')
               AND (assignment.id IS NULL
                    OR (assignment.state IN ('created', 'capacity_verified', 'assignment_pending',
                                             'assignment_in_progress', 'assigned') AND assignment.due_at IS NULL)
                    OR (booking.status = 'confirmed') <> (assignment.state = 'confirmed')
                    OR (assignment.state <> 'created' AND assignment.reason = '' AND assignment.state <> 'confirmed')
                    OR ARRAY(SELECT table_id::text FROM example_booking_tables WHERE booking_id = booking.id ORDER BY 1)
                       <> ARRAY(SELECT table_ref FROM assignments_allocation
                                 WHERE booking_ref = booking.id::text ORDER BY 1)
                    OR (booking.status = 'confirmed'
                        AND NOT EXISTS (SELECT FROM assignments_allocation WHERE booking_ref = booking.id::text)))
            """
        )
        return int(cursor.fetchone()[0])


def _run(planner: str, restaurant: models.Restaurant) -> Run:
    restaurant_ref = str(restaurant.pk)
    started = time.perf_counter()
    dispatch.register_new(restaurant_ref)
    limits = dispatch.PassLimits(restaurant_ref=restaurant_ref)
    outcomes: list[Outcome] = [outcome for progress in dispatch.run_pass(limits) for outcome in progress.outcomes]
    seconds = time.perf_counter() - started
    states = Counter(Assignment.objects.filter(restaurant_ref=restaurant_ref).values_list("state", flat=True))
    return Run(
        planner=planner,
        confirmed=states[State.CONFIRMED],
        covers=sum(outcome.party for outcome in outcomes if outcome.kind is Kind.CONFIRMED),
        manual_review=states[State.MANUAL_REVIEW],
        pending=sum(count for state, count in states.items() if state not in _ENDED),
        failed=states[State.FAILED],
        seconds=round(seconds, 3),
        decision_ms=percentiles([outcome.decision_ms for outcome in outcomes]),
        reasons=dict(Counter(outcome.reason for outcome in outcomes if outcome.kind is not Kind.CONFIRMED)),
    )


_ENDED = {State.CONFIRMED, State.MANUAL_REVIEW, State.FAILED, State.CANCELLED}
