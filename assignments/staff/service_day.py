"""A restaurant's service day for staff: seatings by table, and bookings without a table."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta

from django.db.models import Q

from assignments.concurrency.sql import rows
from assignments.integration.floor_cache import floor_or_any_problem
from assignments.integration.host import Host
from assignments.lifecycle import ledger
from assignments.models import GONE, Allocation, Assignment, Closure, State
from assignments.models.assignment import AssignmentQuerySet
from assignments.planning.floor import Floor
from assignments.staff import timeline
from assignments.staff.timeline import Taken, Timeline

LISTED = 200
"""Maximum restaurants offered, and waiting bookings listed."""
RECENT = timedelta(days=90)
AROUND = timedelta(hours=12)


@dataclass(frozen=True, kw_only=True, slots=True)
class Venue:
    """A restaurant to choose. ``bookings``: their number on the requested date, or within twelve hours of now.

    ``name``: its display name, once the host has been asked.
    """

    ref: str
    bookings: int
    name: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Booked:
    """A booking, from its assignment."""

    pk: int
    booking_ref: str
    party: int
    starts_at: datetime
    state: str
    reason: str
    planner: str
    stage: str
    version: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceDay:
    """A restaurant's service day.

    ``floor`` is None if there is no valid one; then ``problem`` has the reason and times are UTC.

    ``services``: the keys of the day's service periods. ``booked``: visible bookings by ref. ``unseated``: the day's
    bookings that have no table and are not cancelled, by start, at most LISTED; ``unseated_count``: their number.
    ``bookings``: number of the day's bookings, seated or not. ``before`` and ``after``: the nearest days with bookings, if
    this one has none.
    """

    restaurant_ref: str
    day: date
    now: datetime
    floor: Floor | None
    problem: str
    timeline: Timeline
    services: Sequence[str]
    booked: Mapping[str, Booked]
    unseated: Sequence[Booked]
    unseated_count: int
    bookings: int
    before: date | None = None
    after: date | None = None

    @property
    def is_empty(self) -> bool:
        return not self.unseated and not any(row.bars for row in self.timeline.rows)


def venues(now: datetime, *, day: date | None = None, within: Collection[str] | None = None) -> list[Venue]:
    """Return up to LISTED restaurants with recent or upcoming bookings, plus one if there are more.

    Those with the most bookings come first. ``within``: refs of the only restaurants to include; None for all.

    One query. The host is not asked for its restaurants, because it need not have a list of them.
    """
    first, last = (day, day) if day else ((now - AROUND).date() - timedelta(days=1), (now + AROUND).date())
    found = rows(
        _VENUES,
        recent=now.date() - RECENT,
        recently=now - RECENT,
        first=first,
        last=last + timedelta(days=0 if day else 1),
        start=None if day else now - AROUND,
        until=None if day else now + AROUND,
        within=None if within is None else sorted(within),
        limit=LISTED + 1,
    )
    return [Venue(ref=ref, bookings=bookings) for ref, bookings in found]


# Skips from one restaurant to the next in the index, and never reads all rows.
_VENUES = """
WITH RECURSIVE assigned(ref) AS (
    (SELECT restaurant_ref FROM assignments_assignment ORDER BY restaurant_ref LIMIT 1)
    UNION ALL
    SELECT (SELECT restaurant_ref FROM assignments_assignment
             WHERE restaurant_ref > assigned.ref ORDER BY restaurant_ref LIMIT 1)
      FROM assigned WHERE assigned.ref IS NOT NULL),
taken(ref) AS (
    (SELECT restaurant_ref FROM assignments_allocation ORDER BY restaurant_ref LIMIT 1)
    UNION ALL
    SELECT (SELECT restaurant_ref FROM assignments_allocation
             WHERE restaurant_ref > taken.ref ORDER BY restaurant_ref LIMIT 1)
      FROM taken WHERE taken.ref IS NOT NULL),
recent(ref) AS (
    SELECT ref FROM assigned
     WHERE EXISTS (SELECT FROM assignments_assignment AS assignment
                    WHERE assignment.restaurant_ref = assigned.ref AND assignment.service_date >= %(recent)s)
    UNION
    SELECT ref FROM taken
     WHERE EXISTS (SELECT FROM assignments_allocation AS allocation
                    WHERE allocation.restaurant_ref = taken.ref AND allocation.starts_at >= %(recently)s))
SELECT recent.ref, booked.bookings
  FROM recent,
       LATERAL (SELECT count(*) AS bookings FROM assignments_assignment AS assignment
                 WHERE assignment.restaurant_ref = recent.ref AND assignment.state <> 'cancelled'
                   AND assignment.service_date BETWEEN %(first)s AND %(last)s
                   AND (%(start)s::timestamptz IS NULL OR assignment.starts_at BETWEEN %(start)s AND %(until)s)) AS booked
 WHERE %(within)s::text[] IS NULL OR recent.ref = ANY(%(within)s::text[])
 ORDER BY booked.bookings DESC, recent.ref
 LIMIT %(limit)s
"""


def of_evening(floor: Floor | None, restaurant_ref: str, day: date) -> AssignmentQuerySet:
    """Return the bookings of a service day.

    Bookings after midnight, during the night's service, belong to the evening before.
    """
    start, until = timeline.day_span(floor, day)
    # Rows of an earlier release have a calendar date, so times decide; the range of dates is for the index.
    dates = (day - timedelta(days=1), day + timedelta(days=1))
    by_calendar = Q(service_rule__isnull=True, starts_at__gte=start, starts_at__lt=until)
    return Assignment.objects.filter(
        Q(service_rule__isnull=False, service_date=day) | by_calendar,
        restaurant_ref=restaurant_ref,
        service_date__range=dates,
    )


def service_day(
    restaurant_ref: str, day: date | None, *, now: datetime, host: Host | None = None, service: str = ""
) -> ServiceDay:
    """Return the restaurant's service day; ``day`` is by default that of ``opening_day``.

    ``service``: show only the hours around this service period; it has no effect if the day has none of this key.

    At most five queries besides the floor's, whatever the number of bookings; one more without ``day``, two more for a
    day without bookings.
    """
    floor, problem = floor_or_any_problem(restaurant_ref, host=host)
    day = day or opening_day(floor, restaurant_ref, now)
    start, until = timeline.day_span(floor, day)
    taken = _taken(restaurant_ref, start, until + timeline.LOOK_AHEAD, now)
    taken += _closed(restaurant_ref, floor, start, until + timeline.LOOK_AHEAD)
    picture = timeline.lay_out(floor, taken, day=day, now=now, within=timeline.hours_of(floor, day, service))
    shown = {bar.taken.booking_ref for row in picture.rows for bar in row.bars} - {""}
    of_day = of_evening(floor, restaurant_ref, day)
    coming = _booked(of_day.exclude(state=State.CANCELLED).order_by("starts_at", "id"))
    seating = Allocation.Kind.SEATING
    sits = {
        each.booking_ref for each in taken if each.kind == seating and not each.has_ended and each.starts_at < until
    }
    listed = [each for each in coming if each.state != State.CONFIRMED and each.booking_ref not in sits]
    listed = [each for each in listed if each.stage not in GONE]
    booked = {each.booking_ref: each for each in coming if each.booking_ref in shown}
    if others := shown - booked.keys():  # Bookings of an adjacent day, or cancelled by now.
        booked |= {
            each.booking_ref: each for each in _booked(Assignment.objects.filter(booking_ref__in=sorted(others)))
        }
    is_empty = not shown and not listed
    before, after = _nearest(floor, restaurant_ref, day) if is_empty else (None, None)
    return ServiceDay(
        restaurant_ref=restaurant_ref,
        day=day,
        now=now,
        floor=floor,
        problem=problem,
        timeline=picture,
        services=timeline.service_keys(floor, day),
        booked=booked,
        unseated=listed[:LISTED],
        unseated_count=len(listed),
        bookings=len(coming),
        before=before,
        after=after,
    )


def opening_day(floor: Floor | None, restaurant_ref: str, now: datetime) -> date:
    """Return today in the restaurant's time zone if it has bookings, else the next day that has some, else today.

    One query.
    """
    today = timeline.day_at(floor, now)
    start, _until = timeline.day_span(floor, today)
    coming = Assignment.objects.filter(restaurant_ref=restaurant_ref).exclude(state=State.CANCELLED)
    # The dates are for the index; the moments decide.
    coming = coming.filter(service_date__gte=today - timedelta(days=1), starts_at__gte=start)
    first = coming.order_by("service_date", "starts_at").values_list("starts_at", flat=True).first()
    return timeline.day_at(floor, first) if first else today


def _taken(restaurant_ref: str, start: datetime, until: datetime, now: datetime) -> list[Taken]:
    """Return the ledger's entries in ``[start, until)``, without expired holds."""
    rows = Allocation.objects.at(restaurant_ref).filter(blocked__overlap=(start, until))
    return [
        Taken(
            table_ref=row.table_ref,
            kind=row.kind,
            starts_at=row.starts_at,
            ends_at=row.ended_at or row.stays_until,
            blocked_from=row.blocked.lower,
            blocked_until=row.blocked.upper,
            booking_ref=row.booking_ref,
            planner=row.planner,
            expires_at=row.expires_at,
            has_ended=row.ended_at is not None,
            overstays=row.overstays_until is not None,
        )
        for row in rows.exclude(kind=Allocation.Kind.HOLD, expires_at__lte=now)
    ]


def _closed(restaurant_ref: str, floor: Floor | None, start: datetime, until: datetime) -> list[Taken]:
    """Return each table that is closed in ``[start, until)``, once for each closure."""
    closures = Closure.objects.not_lifted().during(start, until).filter(restaurant_ref=restaurant_ref)
    return [
        Taken(
            table_ref=table_ref,
            kind=timeline.CLOSURE,
            starts_at=closure.starts_at,
            ends_at=closure.ends_at or until,
            blocked_from=closure.starts_at,
            blocked_until=closure.ends_at or until,
            reason=closure.reason,
            is_open_ended=closure.ends_at is None,
            closure_id=closure.pk,
            closure_version=closure.version,
        )
        for closure in closures
        for table_ref in ledger.tables_closed(closure.table_refs, closure.zone_ref, floor)
    ]


def _booked(assignments: AssignmentQuerySet) -> list[Booked]:
    return [Booked(**columns) for columns in assignments.values(*(column.name for column in fields(Booked)))]


def _nearest(floor: Floor | None, restaurant_ref: str, day: date) -> tuple[date | None, date | None]:
    """Return the nearest evenings before and after ``day`` with bookings. Dates are for the index; the times decide."""
    start, until = timeline.day_span(floor, day)
    coming = Assignment.objects.filter(restaurant_ref=restaurant_ref).exclude(state=State.CANCELLED)
    earlier = coming.filter(service_date__lte=day + timedelta(days=1), starts_at__lt=start)
    later = coming.filter(service_date__gte=day - timedelta(days=1), starts_at__gte=until)
    last = earlier.order_by("-service_date", "-starts_at").values_list("starts_at", flat=True).first()
    following = later.order_by("service_date", "starts_at").values_list("starts_at", flat=True).first()
    return (
        timeline.day_at(floor, last) if last else None,
        timeline.day_at(floor, following) if following else None,
    )
