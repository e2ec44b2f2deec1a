"""One evening of a restaurant: who sits where and when, what is closed, and which bookings wait and why.

``manage.py show_evening`` prints it. Bookings are identified by their refs; guests are never named.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from assignments import conf
from assignments.coordination.snapshots import seating_request
from assignments.coordination.table_record import success_of
from assignments.integration.floor_cache import floor_or_any_problem
from assignments.integration.host import Host, HostBooking
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger
from assignments.models import GONE, Allocation, Assignment, Closure, Stage, State, StateTransition
from assignments.planning import engine
from assignments.planning.floor import Floor, Table
from assignments.planning.natural_order import natural_key
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.staff import labels, review_queue, timeline
from assignments.staff.service_day import of_evening, venues

HELPED = 60
"""Of so many waiting bookings it is worked out what would help, in the order in which they asked."""
LOOK_AHEAD = timedelta(hours=3)
"""How long after the time that was asked for a table is looked for."""


class UnknownRestaurantError(LookupError):
    """Neither the host nor the ledger knows this restaurant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seated:
    """A booking with tables, or one whose guests have left its tables.

    ``ends_at``: when its guests leave or left, even if they overstay. ``before``: tables at which they sat earlier.
    ``trouble``: the reason code for staff to look at it; ``says``: its sentence.
    """

    booking_ref: str
    party: int
    starts_at: datetime
    ends_at: datetime
    table_refs: tuple[str, ...]
    stage: str
    before: tuple[str, ...] = ()
    overstays: bool = False
    trouble: str = ""
    says: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A booking without a table. ``why``: the reason code. ``says``: its sentence. ``helps``: what would help."""

    booking_ref: str
    party: int
    starts_at: datetime
    requested_at: datetime
    state: str
    stage: str
    why: str
    says: str
    helps: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Closed:
    """A closure. Without ``table_refs`` the whole restaurant is closed; without ``ends_at`` until further notice."""

    pk: int
    table_refs: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime | None
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Evening:
    """A restaurant's evening. Without a valid floor ``problem`` says why, and times are UTC.

    ``seated`` is ordered by start, ``waiting`` by the time of the request.
    """

    restaurant_ref: str
    day: date
    now: datetime
    zone: tzinfo
    tables: tuple[Table, ...]
    seated: tuple[Seated, ...]
    waiting: tuple[Waiting, ...]
    closures: tuple[Closed, ...]
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        return not (self.seated or self.waiting or self.closures)

    @property
    def stages(self) -> Mapping[str, int]:
        """Return the number of bookings with tables at each stage, in the order of the stages."""
        counted = Counter(each.stage for each in self.seated)
        return {stage.value: counted[stage] for stage in Stage if counted[stage]}

    def name(self, table_ref: str) -> str:
        """Return a table's name; its ref if the floor no longer has it."""
        return next((table.name for table in self.tables if table.ref == table_ref), table_ref)

    def by_table(self) -> Iterator[tuple[Table | None, str, list[Seated], list[Closed]]]:
        """Yield each table with its ref, its bookings and its closures; tables that the floor no longer has come last."""
        sits: dict[str, list[Seated]] = defaultdict(list)
        for each in self.seated:
            for ref in each.table_refs:
                sits[ref].append(each)
        for table in self.tables:
            closed = [each for each in self.closures if not each.table_refs or table.ref in each.table_refs]
            yield table, table.ref, sits.pop(table.ref, []), closed
        for ref in sorted(sits, key=natural_key):
            yield None, ref, sits[ref], [each for each in self.closures if ref in each.table_refs]


def evening(
    restaurant_ref: str, day: date | None, *, now: datetime, host: Host | None = None, with_help: bool = True
) -> Evening:
    """Return a restaurant's evening.

    ``day``: by default today by its clock. ``with_help``: whether to find out what would help waiting bookings. The
    number of queries does not depend on the number of bookings. Raises UnknownRestaurantError, which names the known
    restaurants.
    """
    host = host or configured()
    floor, problem = floor_or_any_problem(restaurant_ref, host=host)
    if floor is None:
        known = [venue.ref for venue in venues(now)]
        if restaurant_ref not in known:
            raise UnknownRestaurantError(
                f"There is no restaurant {restaurant_ref!r}. "
                + (f"Known are: {', '.join(sorted(known))}." if known else "No restaurant has any bookings yet.")
            )
    day = day or timeline.day_at(floor, now)
    start, until = timeline.day_span(floor, day)
    rows = list(
        Allocation.objects.at(restaurant_ref)
        .filter(kind=Allocation.Kind.SEATING, starts_at__gte=start, starts_at__lt=until)
        .order_by("starts_at", "table_ref", "id")
    )
    known_here = {row.booking_ref for row in rows}
    assignments = {
        each.booking_ref: each
        for each in Assignment.objects.filter(booking_ref__in=sorted(known_here))
        | of_evening(floor, restaurant_ref, day)
    }
    details = _details([each for each in assignments.values() if each.state not in {State.CONFIRMED, State.CANCELLED}])
    seated = tuple(_seated(rows, assignments, details, floor))
    has_tables = {each.booking_ref for each in seated}
    unseated = sorted(
        (
            each
            for each in assignments.values()
            if each.booking_ref not in has_tables
            and each.stage not in GONE
            and each.state not in {State.CONFIRMED, State.CANCELLED, State.FAILED}
        ),
        key=lambda each: (each.requested_at, each.pk),
    )
    return Evening(
        restaurant_ref=restaurant_ref,
        day=day,
        now=now,
        zone=floor.zone if floor else UTC,
        tables=tuple(table for _zone, tables in timeline.by_zone(floor) for table in tables),
        seated=seated,
        waiting=tuple(_waiting(unseated, details, floor, start, until, host=host, now=now, with_help=with_help)),
        closures=tuple(_closures(restaurant_ref, floor, start, until)),
        problem=problem,
    )


def _details(assignments: Sequence[Assignment]) -> Mapping[str, str]:
    """Return the detail of each assignment's last transition. One query."""
    last = (
        StateTransition.objects.filter(assignment__in=assignments)
        .order_by("assignment_id", "-version")
        .distinct("assignment_id")
        .values_list("booking_ref", "detail")
    )
    return dict(last) if assignments else {}


def _seated(
    rows: Sequence[Allocation],
    assignments: Mapping[str, Assignment],
    details: Mapping[str, str],
    floor: Floor | None,
) -> Iterator[Seated]:
    by_booking: dict[str, list[Allocation]] = defaultdict(list)
    for row in rows:
        by_booking[row.booking_ref].append(row)
    for ref, own in by_booking.items():
        assignment = assignments.get(ref)
        last = _last_seating(own)
        tables = _in_order({row.table_ref for row in last}, floor)
        stage = assignment.stage if assignment else Stage.EXPECTED
        in_review = assignment is not None and assignment.state == State.MANUAL_REVIEW
        trouble = assignment.reason if assignment and in_review else ""
        if in_review and all(row.ended_at for row in last) and stage not in GONE:
            continue  # Its table broke, so it waits for another.
        yield Seated(
            booking_ref=ref,
            party=last[0].party or (assignment.party if assignment else 0),
            starts_at=min(row.starts_at for row in own),
            ends_at=max(row.ended_at or row.stays_until for row in last),
            table_refs=tables,
            stage=stage,
            before=_in_order({row.table_ref for row in own} - set(tables), floor),
            overstays=any(row.overstays_until for row in last),
            trouble=trouble,
            says=(details.get(ref) or labels.reason(trouble)) if trouble else "",
        )


def _last_seating(rows: Sequence[Allocation]) -> list[Allocation]:
    """Return the current rows of a booking; if its guests have left, those that they left last."""
    current = [row for row in rows if row.ended_at is None]
    if current:
        return current
    last = max(row.ended_at for row in rows if row.ended_at)
    return [row for row in rows if row.ended_at == last]


def _in_order(refs: Collection[str], floor: Floor | None) -> tuple[str, ...]:
    return floor.in_order(refs) if floor else tuple(sorted(refs, key=natural_key))


def _closures(restaurant_ref: str, floor: Floor | None, start: datetime, until: datetime) -> Iterator[Closed]:
    closures = Closure.objects.not_lifted().during(start, until).filter(restaurant_ref=restaurant_ref)
    for closure in closures.order_by("starts_at", "id"):
        tables = (
            () if closure.is_whole_restaurant else ledger.tables_closed(closure.table_refs, closure.zone_ref, floor)
        )
        yield Closed(
            pk=closure.pk,
            table_refs=_in_order(tables, floor),
            starts_at=closure.starts_at,
            ends_at=closure.ends_at,
            reason=closure.reason,
        )


# What would help


def _waiting(
    assignments: Sequence[Assignment],
    details: Mapping[str, str],
    floor: Floor | None,
    start: datetime,
    until: datetime,
    *,
    host: Host,
    now: datetime,
    with_help: bool = True,
) -> Iterator[Waiting]:
    if not assignments:
        return
    bookings = host.bookings([each.booking_ref for each in assignments[:HELPED]]) if with_help else {}
    taken: tuple[Occupied, ...] = ()
    success: Mapping[str, float] = {}
    if floor is not None:
        success = success_of(floor.restaurant_ref)
        around = timedelta(hours=12)
        taken = ledger.occupied(floor.restaurant_ref, start - around, until + around, floor=floor)
    for each in assignments:
        yield Waiting(
            booking_ref=each.booking_ref,
            party=each.party,
            starts_at=each.starts_at,
            requested_at=each.requested_at,
            state=each.state,
            stage=each.stage,
            why=each.reason,
            says=details.get(each.booking_ref) or labels.reason(each.reason),
            helps=_help(each, bookings.get(each.booking_ref), floor, taken, now=now, success=success),
        )


def _help(
    assignment: Assignment,
    booking: HostBooking | None,
    floor: Floor | None,
    taken: Sequence[Occupied],
    *,
    now: datetime,
    success: Mapping[str, float],
) -> str:
    """Return what would help a booking without a table; "" if that is not known."""
    if booking is None or floor is None or booking.problem:
        return ""
    if booking.starts_at + review_queue.LATE < now:
        return "Nothing: its time is over."
    others = tuple(each for each in taken if each.booking_ref != booking.ref)
    snapshot = Snapshot(
        floor=floor,
        occupied=others,
        request=seating_request(booking, assignment),
        now=now,
        rules=conf.settings().rules(),
        success=success,
    )
    options = review_queue.options_in(review_queue.as_staff_see_it(snapshot))
    if options.fitting:
        return f"{_named(floor, options.fitting[0].table_refs)} would do."
    helps = []
    if options.by_passing_over:
        option = options.by_passing_over[0]
        rules = ", ".join(sorted(refusal.reason.value for refusal in option.overriding))
        helps.append(f"{_named(floor, option.table_refs)} would do, despite {rules}.")
    if options.other_zone:
        helps.append(f"{_named(floor, options.other_zone.table_refs)} in another zone is free.")
    later = _first_free(snapshot)
    if later is not None:
        moment, tables = later
        is_are = "is" if len(tables) == 1 else "are"
        helps.append(f"{_named(floor, tables)} {is_are} free from {moment.astimezone(floor.zone):%H:%M}.")
    earlier = [hint for hint in options.other_times if now <= hint.starts_at < booking.starts_at]
    if earlier:
        helps.append(
            f"At {earlier[-1].starts_at.astimezone(floor.zone):%H:%M}, {_named(floor, earlier[-1].table_refs)} would do."
        )
    return " ".join(helps) or "No table within three hours: a cancellation, or another day."


def _first_free(snapshot: Snapshot) -> tuple[datetime, tuple[str, ...]] | None:
    """Return the first later moment at which the party could have tables, and these; None if there is none.

    Tries each moment at which a table becomes free.
    """
    request = snapshot.request
    first = max(request.starts_at, snapshot.now)
    moments = {each.blocked_until for each in snapshot.occupied if first < each.blocked_until <= first + LOOK_AHEAD}
    if first > request.starts_at:
        moments.add(first)
    for moment in sorted(moments):
        rounded = _up_to_five_minutes(moment)
        ends_at = request.ends_at + (rounded - request.starts_at) if request.ends_at else None
        moved = replace(request, starts_at=rounded, ends_at=ends_at, pinned_table_refs=())
        best = engine.plan(replace(snapshot, request=moved)).best
        if best is not None:
            return rounded, best.table_refs
    return None


def _up_to_five_minutes(moment: datetime) -> datetime:
    """Return the moment rounded up to five minutes, as one would tell a guest."""
    whole = moment.replace(second=0, microsecond=0)
    whole -= timedelta(minutes=whole.minute % 5)
    return whole if whole == moment else whole + timedelta(minutes=5)


def _named(floor: Floor, table_refs: Sequence[str]) -> str:
    return " + ".join(floor.table_by_ref[ref].name for ref in floor.in_order(table_refs))
