"""Requesting assignments: a booking gets a row here, so that it is not forgotten."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, OperationalError, connection
from django.db.models import Max, Min

from assignments import conf
from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, pages
from assignments.integration.project_host import HostWithWalkIns, new_walk_in
from assignments.models import Assignment, Run
from assignments.models.assignment import SERVICE_RULE
from assignments.planning.features import words
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.service_day import service_date

logger = logging.getLogger("assignments.intake")

CHUNK = 500
_CREATE = transactions.Limits(lock=200)
LARGEST_STORED = 2**31 - 1
LONGEST_LOOK_BACK = timedelta(hours=24)


def stored_start(booking: HostBooking) -> datetime:
    """Return the start as a column can hold it. A naive one, which planning refuses, is stored as if it were UTC."""
    return booking.starts_at if booking.starts_at.tzinfo else booking.starts_at.replace(tzinfo=UTC)


def stored_party(booking: HostBooking) -> int:
    """Return the covers as a column can hold them, so that planning, not the insert, refuses invalid ones."""
    party = booking.party
    return max(-LARGEST_STORED, min(party, LARGEST_STORED)) if isinstance(party, int) else 0


def asked_until(booking: HostBooking) -> datetime | None:
    """Return the host's end of the stay; None if it has none, or one that is not after the start."""
    end = booking.ends_at
    return end if end is not None and end.tzinfo is not None and end > stored_start(booking) else None


def unsaved(
    booking: HostBooking, *, floor: Floor | None, now: datetime, missed_since: datetime | None = None
) -> Assignment:
    """Return a new assignment for the booking, due at once and not stored.

    ``missed_since``: a booking that started since then counts as requested in time; this app was late.
    """
    requested_at = booking.requested_at or now
    if missed_since is not None and missed_since < stored_start(booking) < now:
        requested_at = min(requested_at, stored_start(booking))
    return Assignment(
        booking_ref=booking.ref,
        restaurant_ref=booking.restaurant_ref,
        service_date=service_date(floor, booking.starts_at),
        # Without a floor its service is unknown: the first pass that has a floor corrects the day.
        service_rule=SERVICE_RULE if floor else None,
        starts_at=stored_start(booking),
        party=stored_party(booking),
        zone_ref=booking.zone_ref or "",
        needs=sorted(words(booking.needs)),
        wishes=sorted(words(booking.wishes)),
        asked_until=asked_until(booking),
        requested_at=requested_at,
        due_at=now,
    )


def take_over_facts(assignment: Assignment, booking: HostBooking, *, floor: Floor | None) -> bool:
    """Take over restaurant, day, time, stay, party, zone, needs and wishes from the host, in memory.

    ``floor``: the floor of the booking's restaurant. Returns whether the restaurant-day changed. It changes only with
    the booking's time or restaurant, never because of new opening hours.
    """
    before = (assignment.restaurant_ref, assignment.service_date)
    is_dated = assignment.service_rule is not None
    if not is_dated or (assignment.restaurant_ref, assignment.starts_at) != (
        booking.restaurant_ref,
        stored_start(booking),
    ):
        assignment.service_date = service_date(floor, booking.starts_at)
        assignment.service_rule = SERVICE_RULE if floor else None
    assignment.restaurant_ref = booking.restaurant_ref
    assignment.starts_at, assignment.party = stored_start(booking), stored_party(booking)
    assignment.zone_ref, assignment.asked_until = booking.zone_ref or "", asked_until(booking)
    assignment.needs, assignment.wishes = (sorted(each) for each in asked_features(booking, assignment))
    assignment.forget_wish()
    is_elsewhere = (assignment.restaurant_ref, assignment.service_date) != before
    if is_elsewhere:
        assignment.table_told = booking.table_told  # What the guests were told before was a table of another evening.
    return is_elsewhere


def asked_features(booking: HostBooking, assignment: Assignment) -> tuple[frozenset[str], frozenset[str]]:
    """Return the booking's needs and wishes, from the host and from ``api.note_features``."""
    needs = words(booking.needs) | frozenset(assignment.told_needs)
    return needs, (words(booking.wishes) | frozenset(assignment.told_wishes)) - needs


def came_too_late(assignment: Assignment, refusal: Refusal) -> bool:
    """Return whether a booking was requested in time, and its start passed before a planner looked at it.

    It is not the guest's fault, so staff have to decide.
    """
    grace = timedelta(minutes=conf.settings().GRACE_MINUTES)
    return refusal.reason is Reason.STARTS_IN_PAST and assignment.requested_at <= assignment.starts_at + grace


def request(bookings: Sequence[HostBooking], *, now: datetime, host: Host, missed_since: datetime | None = None) -> int:
    """Create the missing assignments, and return their number. It is safe to repeat, even concurrently.

    ``missed_since``: see ``unsaved``.
    """
    known = set(
        Assignment.objects.filter(booking_ref__in=[booking.ref for booking in bookings]).values_list(
            "booking_ref", flat=True
        )
    )
    missing = [booking for booking in bookings if booking.ref not in known]
    floors = {ref: floor_or_none(ref, host=host) for ref in {booking.restaurant_ref for booking in missing}}
    return _create(
        [
            unsaved(booking, floor=floors[booking.restaurant_ref], now=now, missed_since=missed_since)
            for booking in missing
        ]
    )


def request_walk_in(host: Host, *, restaurant_ref: str, party: int, now: datetime, until: datetime | None) -> str:
    """Request an assignment for walk-in guests. Return the ref of their booking: the host's, or ours."""
    ref = None
    if isinstance(host, HostWithWalkIns):
        ref = host.walk_in(restaurant_ref=restaurant_ref, party=party, starts_at=now, ends_at=until)
    booking = host.bookings([ref]).get(ref) if ref else None
    if booking is None:
        ref = new_walk_in()
        booking = HostBooking(ref=ref, restaurant_ref=restaurant_ref, starts_at=now, party=party, ends_at=until)
    request([booking], now=now, host=host)
    return booking.ref


def _create(assignments: Sequence[Assignment]) -> int:
    """Store the assignments, and return their number.

    Outside a transaction it does not wait for rows that somebody else is storing, and does not count them.
    """
    if not assignments:
        return 0
    if connection.in_atomic_block:
        Assignment.objects.bulk_create(assignments, ignore_conflicts=True)
        return len(assignments)
    try:
        with transactions.atomic(limits=_CREATE):
            Assignment.objects.bulk_create(assignments, ignore_conflicts=True)
    except OperationalError as error:
        if transactions.sqlstate(error) != transactions.LOCK_NOT_AVAILABLE:
            raise
        if len(assignments) == 1:
            return 0
        middle = len(assignments) // 2
        return _create(assignments[:middle]) + _create(assignments[middle:])
    return len(assignments)


def chunks_of_unassigned(
    host: Host, *, since: datetime, restaurant_ref: str | None = None
) -> Iterable[Sequence[HostBooking]]:
    """Return the host's waiting bookings that start after ``since``, ``CHUNK`` at a time, so that memory stays flat."""
    return pages(lambda after: host.unassigned(after=after, limit=CHUNK, now=since, restaurant_ref=restaurant_ref))


def look_back(now: datetime) -> datetime:
    """Return the start from which the host is asked for bookings that no run has seen.

    It is at most 24 hours ago, and never before the first run, when this app was installed. It includes bookings that
    were made during that run, or a while after their start. One query. See docs/living-evening.md rule 4.
    """
    try:
        runs: dict[str, datetime | None] = Run.objects.aggregate(
            succeeded_at=Max("succeeded_at"), first_at=Min("started_at")
        )
    except DatabaseError as error:
        if connection.in_atomic_block or transactions.is_database_away(error):
            raise
        log_error(logger, error, "The record of earlier runs could not be read")  # New bookings are still registered.
        return now
    if runs["first_at"] is None:
        return now
    settings = conf.settings()
    since: datetime = now - LONGEST_LOOK_BACK
    if runs["succeeded_at"] is not None:
        overlap = timedelta(minutes=settings.GRACE_MINUTES, seconds=settings.CRON_SECONDS)
        since = max(since, runs["succeeded_at"] - overlap)
    return min(max(since, runs["first_at"]), now)


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """Counts of the host's new bookings, and of those that have started and are still unknown here."""

    new: int
    unseen: int


def register_new(host: Host, *, now: datetime, restaurant_ref: str | None = None) -> Registered:
    """Request an assignment for every booking that waits in the host and is unknown here."""
    since, new = look_back(now), 0
    started: list[str] = []
    for bookings in chunks_of_unassigned(host, since=since, restaurant_ref=restaurant_ref):
        started += [booking.ref for booking in bookings if since < stored_start(booking) <= now]
        new += request(bookings, now=now, host=host, missed_since=since)
    known = Assignment.objects.filter(booking_ref__in=started).count() if started else 0
    return Registered(new=new, unseen=len(started) - known)
