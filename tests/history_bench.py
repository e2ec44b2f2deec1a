"""Whether a decision costs the same after years: ``make bench ARGS="--history DAYS"``.

Forty restaurants decide the same evening again on each of so many days, in a database made anew, and keep everything that
they stored. It prints the CPU of each decision in planning, in the rest of Python and in PostgreSQL.
"""

import time
from datetime import UTC, datetime, timedelta

from django.db import connection
from django.test import override_settings

from assignments.coordination import dispatch
from assignments.models import Assignment, StateTransition
from assignments.telemetry import events
from example import models
from tests import throughput

RESTAURANTS = 40
NEVER = datetime(2100, 1, 1, tzinfo=UTC)


@override_settings(DEBUG=False)  # As in production: otherwise Django logs each statement.
def main(days: int) -> None:
    """Decide these days in turn, and print each."""
    configured = connection.settings_dict["NAME"]
    throughput.new_database("_history")
    throughput.load(RESTAURANTS)
    planning = throughput.counted_planner()
    first = list(models.Booking.objects.order_by("pk"))
    print(f"{'':4} decisions  CPU ms of each: planning  Python  PostgreSQL   bookings and transitions by then")
    for day in range(days):
        if day:
            _book(first, day)
        _print(day + 1, planning)
    connection.close()
    connection.settings_dict["NAME"] = configured


def _book(first: list[models.Booking], day: int) -> None:
    """Have the guests of the first day come again, so many days later."""
    names = [field.attname for field in models.Booking._meta.concrete_fields if not field.primary_key]
    models.Booking.objects.bulk_create(
        models.Booking(
            **{
                **{name: getattr(booking, name) for name in names},
                "reference": f"{day}-{booking.reference}",
                "start": booking.start + timedelta(days=day),
            }
        )
        for booking in first
    )
    dispatch.register_new()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # As autovacuum does, at some time.


def _print(day: int, planning: list[float]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ((backend,),) = cursor.fetchall()
    planned, used, served = planning[0], time.process_time(), throughput.cpu_of(backend)
    decided = throughput.decide_all()
    events.flush(60)
    planned, used = planning[0] - planned, time.process_time() - used
    now = throughput.cpu_of(backend)
    server = f"{(now - served) / decided * 1000:11.2f}" if now is not None and served is not None else f"{'?':>11}"
    # Who found no table is not asked again: it would count on all later days.
    Assignment.objects.filter(due_at__isnull=False).update(due_at=NEVER)
    print(
        f"{day:4} {decided:9} {planned / decided * 1000:24.2f} {(used - planned) / decided * 1000:7.2f} {server}"
        f"   {Assignment.objects.count():8} {StateTransition.objects.count():8}",
        flush=True,
    )
