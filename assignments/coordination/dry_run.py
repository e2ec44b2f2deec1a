"""Dry run: what a pass would decide now, in a transaction that PostgreSQL keeps read-only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db import DatabaseError

from assignments import conf
from assignments.concurrency import transactions
from assignments.coordination.coordinator import Coordinator
from assignments.coordination.snapshots import occupied_during, seating_request
from assignments.coordination.table_record import success_of
from assignments.integration.floor_cache import floor_or_any_problem, floor_or_none
from assignments.integration.host import Host, HostBooking
from assignments.integration.planners import NOBODY, V3, Preview, router, routes_of
from assignments.integration.project_host import configured
from assignments.lifecycle import intake
from assignments.models import Assignment
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied
from assignments.planning.text import gettext as _


@dataclass(frozen=True, kw_only=True, slots=True)
class DayPreview:
    """The decisions of each planner for one restaurant-day, in a dry run.

    If the day cannot be planned, ``floor`` is None and ``problem`` says why.
    """

    restaurant_ref: str
    service_date: date
    decisions: Mapping[str, Sequence[Decision]]
    floor: Floor | None = None
    problem: str = ""


def preview(*, restaurant_ref: str | None = None, limit: int = 0) -> Iterator[DayPreview]:
    """Plan everything that waits, without writing.

    The transaction is READ ONLY: a host or planner that tries to write gets PostgreSQL's refusal
    (ReadOnlySqlTransaction, as InternalError), which is not swallowed.
    """
    host = configured()
    with transactions.read_only():
        now = transactions.database_now()
        for (ref, day), assignments in sorted(_waiting(host, now, restaurant_ref, limit).items()):
            yield _preview_day(host, ref, day, assignments, now)


def preview_of(bookings: Sequence[HostBooking], *, now: datetime) -> Iterator[DayPreview]:
    """Plan these bookings and no others, whether they are known here or not. Call it in ``transactions.read_only``."""
    host = configured()
    known = {row.booking_ref: row for row in Assignment.objects.filter(booking_ref__in=[each.ref for each in bookings])}
    by_day: dict[tuple[str, date], list[Assignment]] = {}
    for booking in bookings:
        assignment = known.get(booking.ref) or intake.unsaved(
            booking, floor=floor_or_none(booking.restaurant_ref, host=host), now=now
        )
        by_day.setdefault((assignment.restaurant_ref, assignment.service_date), []).append(assignment)
    for (ref, day), assignments in sorted(by_day.items()):
        yield _preview_day(host, ref, day, assignments, now)


def _waiting(
    host: Host, now: datetime, restaurant_ref: str | None, limit: int
) -> Mapping[tuple[str, date], list[Assignment]]:
    """Return the due assignments, and those that the next pass would request, by restaurant-day."""
    due = Assignment.objects.due(now).order_by("due_at", "id")
    if restaurant_ref:
        due = due.filter(restaurant_ref=restaurant_ref)
    waiting = list(due[:limit] if limit else due)
    floors: dict[str, Floor | None] = {}
    since = intake.look_back(now)
    for bookings in intake.chunks_of_unassigned(host, since=since, restaurant_ref=restaurant_ref):
        if limit and len(waiting) >= limit:
            break
        known = set(
            Assignment.objects.filter(booking_ref__in=[booking.ref for booking in bookings]).values_list(
                "booking_ref", flat=True
            )
        )
        for booking in bookings:
            if booking.ref in known:
                continue
            if booking.restaurant_ref not in floors:
                floors[booking.restaurant_ref] = floor_or_none(booking.restaurant_ref, host=host)
            waiting.append(intake.unsaved(booking, floor=floors[booking.restaurant_ref], now=now))
    by_day: dict[tuple[str, date], list[Assignment]] = {}
    for assignment in waiting[: limit or None]:
        by_day.setdefault((assignment.restaurant_ref, assignment.service_date), []).append(assignment)
    return by_day


def _preview_day(
    host: Host, restaurant_ref: str, service_date: date, assignments: Sequence[Assignment], now: datetime
) -> DayPreview:
    try:
        routes = routes_of(assignments)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (named by type; other restaurants are planned all the same)
        failed = _("The router raised %(error)s.", error=type(error).__name__)
        return DayPreview(restaurant_ref=restaurant_ref, service_date=service_date, decisions={}, problem=failed)
    bookings = host.bookings([assignment.booking_ref for assignment in assignments])
    requests: dict[str, list[SeatingRequest]] = {}
    for assignment in assignments:
        booking = bookings.get(assignment.booking_ref)
        if booking is not None and booking.wants_table and not booking.problem:
            requests.setdefault(routes[assignment.booking_ref].planner, []).append(seating_request(booking, assignment))
    floor, problem = floor_or_any_problem(restaurant_ref, host=host)
    if floor is None:
        return DayPreview(restaurant_ref=restaurant_ref, service_date=service_date, decisions={}, problem=problem)
    occupied = occupied_during([request for group in requests.values() for request in group], floor)
    decisions = {
        planner: _decisions(planner, floor, occupied, group, now)
        for planner, group in requests.items()
        if planner != NOBODY
    }
    return DayPreview(restaurant_ref=restaurant_ref, service_date=service_date, decisions=decisions, floor=floor)


def _decisions(
    planner: str, floor: Floor, occupied: tuple[Occupied, ...], requests: Sequence[SeatingRequest], now: datetime
) -> Sequence[Decision]:
    its_planner = Coordinator() if planner == V3 else router().planner(planner)
    return its_planner.preview(
        Preview(
            floor=floor,
            occupied=occupied,
            requests=tuple(requests),
            now=now,
            rules=conf.settings().rules(),
            success=success_of(floor.restaurant_ref),
        )
    )
