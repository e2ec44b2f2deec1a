"""The review queue: bookings on which staff have to decide, and what would fit them.

Nothing here writes. Deciding is ``api.assign``, ``api.reopen`` (retry), ``api.reject`` and ``api.undo``, under the
rules of ``assignments.lifecycle.staff_decisions``.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from django.db.models import Case, Count, Q, When
from django.db.models.functions import Coalesce

from assignments.coordination import staff_actions
from assignments.coordination.snapshots import snapshot_of
from assignments.coordination.staff_actions import Possible
from assignments.integration.floor_cache import no_floor
from assignments.integration.host import Host, HostBooking
from assignments.lifecycle.staff_decisions import REJECTED, WAITING_FOR_STAFF
from assignments.models import Allocation, Assignment, State, StateTransition
from assignments.models.assignment import AssignmentQuerySet
from assignments.planning import engine
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.floor import Floor, InvalidFloorError, Table
from assignments.planning.occupancy import Occupancy
from assignments.planning.reasons import OVERRIDABLE, PREFERENCES, Reason, Refusal
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.planning.units import Unit, seatable_units, table_bits, unit_of
from assignments.staff.service_day import of_evening
from assignments.staff.timeline import by_zone

LATE = timedelta(hours=3)
"""Time after its start for which a booking still counts as upcoming, because its guests may be waiting."""
MOST_COUNTED = 1000
"""Maximum count of past bookings."""
MOST_OPTIONS = 6
MOST_JUDGED = 60
"""Maximum table combinations with enough seats that are judged one by one when nothing fits by the rules, smallest first."""
A_DAY = timedelta(days=1)
NEARBY_MINUTES = (-60, -30, 30, 60)


class Section(StrEnum):
    """Sections of the queue. ``REVIEW``, ``FAILED`` and ``REJECTED`` are upcoming; ``PAST`` was never decided."""

    REVIEW = "review"
    FAILED = "failed"
    REJECTED = "rejected"
    PAST = "past"

    def condition(self, now: datetime) -> Q:
        ahead = _from(now - LATE)
        match self:
            case Section.REVIEW:
                return ahead & Q(state=State.MANUAL_REVIEW)
            case Section.FAILED:
                return ahead & Q(state=State.FAILED) & ~Q(reason=REJECTED)
            case Section.REJECTED:
                return ahead & Q(state=State.FAILED, reason=REJECTED)
        return ~ahead & Q(starts_at__lt=now - LATE, state=State.MANUAL_REVIEW)


def _from(moment: datetime) -> Q:
    """Select bookings that start at ``moment`` or later, by their promise or by their open edit."""
    return Q(starts_at__gte=moment) | Q(asked_starts_at__isnull=False, asked_starts_at__gte=moment)


_START_TO_DECIDE = Case(
    When(state=State.MANUAL_REVIEW, then=Coalesce("asked_starts_at", "starts_at")), default="starts_at"
)
"""As ``Assignment.start_to_decide``."""


def queue(
    section: Section,
    *,
    now: datetime,
    restaurant_ref: str = "",
    day: date | None = None,
    floor: Floor | None = None,
    within: Collection[str] | None = None,
) -> AssignmentQuerySet:
    """Return a section's bookings, soonest first; past ones latest first.

    With the restaurant's ``floor``, ``day`` is its service day, which includes bookings after midnight. Otherwise it is
    the date of a booking's start. ``within``: refs of the only restaurants to include; None for all.
    """
    found = _narrowed(restaurant_ref, day, floor, within).filter(section.condition(now))
    return found.order_by("-starts_at", "-id") if section is Section.PAST else found.order_by(_START_TO_DECIDE, "id")


def counts(
    *,
    now: datetime,
    restaurant_ref: str = "",
    day: date | None = None,
    floor: Floor | None = None,
    within: Collection[str] | None = None,
) -> Mapping[Section, int]:
    """Count the bookings of each section, for ``PAST``, which only grows, up to MOST_COUNTED + 1.

    Two queries. Only ``PAST`` reads past bookings, because failed and rejected ones are kept for years.
    """
    wanted = _narrowed(restaurant_ref, day, floor, within)
    waiting = wanted.filter(_from(now - LATE), state__in=sorted(WAITING_FOR_STAFF))
    ahead = [section for section in Section if section is not Section.PAST]
    numbers = waiting.aggregate(**{section.value: Count("id", filter=section.condition(now)) for section in ahead})
    past = wanted.filter(Section.PAST.condition(now)).order_by().values("pk")[: MOST_COUNTED + 1].count()
    return {section: past if section is Section.PAST else numbers[section.value] for section in Section}


def to_decide(now: datetime, *, within: Collection[str] | None = None) -> tuple[int, int]:
    """Return how many upcoming bookings need a decision, and how many of these start within a day. One query."""
    waiting = queue(Section.REVIEW, now=now, within=within).order_by().annotate(start=_START_TO_DECIDE)
    numbers = waiting.aggregate(all=Count("id"), soon=Count("id", filter=Q(start__lt=now + A_DAY)))
    return numbers["all"], numbers["soon"]


def restaurants(now: datetime, *, within: Collection[str] | None = None) -> list[str]:
    """Return refs of restaurants with bookings in the queue; for ``PAST``, in its latest MOST_COUNTED. Two queries."""
    wanted = _narrowed("", None, None, within)
    ahead = wanted.filter(_from(now - LATE), state__in=sorted(WAITING_FOR_STAFF))
    past = queue(Section.PAST, now=now, within=within).values_list("restaurant_ref", flat=True)[:MOST_COUNTED]
    promised_and_asked = ahead.order_by().values_list("restaurant_ref", "asked_restaurant_ref").distinct()
    found = {ref for pair in promised_and_asked for ref in pair if ref is not None} | set(past)
    return sorted(found if within is None else found & set(within))


def latest_transitions(assignments: Sequence[Assignment]) -> Mapping[int, StateTransition]:
    """Return the latest transition of each assignment by key: time, actor and detail. One query."""
    rows = StateTransition.objects.filter(assignment__in=assignments).order_by("assignment_id", "-version")
    return {row.assignment_id: row for row in rows.distinct("assignment_id")}


def changes_since(assignment: Assignment, version: int) -> list[StateTransition]:
    """Return the transitions after ``version``, oldest first."""
    return list(assignment.transitions.filter(version__gt=version).order_by("version"))


def _narrowed(
    restaurant_ref: str, day: date | None, floor: Floor | None, within: Collection[str] | None
) -> AssignmentQuerySet:
    if within is not None and restaurant_ref and restaurant_ref not in within:
        return Assignment.objects.none()
    if restaurant_ref and day and floor:
        return of_evening(floor, restaurant_ref, day) | Assignment.objects.filter(
            asked_restaurant_ref=restaurant_ref, asked_date=day
        )
    wanted = Assignment.objects.all() if within is None else Assignment.objects.of_restaurants(within)
    if restaurant_ref:
        wanted = wanted.filter(Q(restaurant_ref=restaurant_ref) | Q(asked_restaurant_ref=restaurant_ref))
    return wanted.filter(Q(service_date=day) | Q(asked_date=day)) if day else wanted


# Options


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """Tables that the booking may be given.

    ``overriding``: the rules that staff override with it. ``plan``: its plan, if the engine has ranked it.
    """

    table_refs: tuple[str, ...]
    seats: int
    spare_seats: int
    zone_ref: str | None
    plan: TablePlan | None = None
    overriding: tuple[Refusal, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A table of the floor, and who occupies it during the booking."""

    table: Table
    taken: tuple[Occupied, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hint:
    """An option that needs the guests' agreement: another time or zone. It cannot be assigned as it is."""

    starts_at: datetime
    table_refs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options for a booking. ``api.assign`` accepts each of them now, with what it overrides.

    ``problem``: why there are no options, in the words of the floor or the host. ``refusal``: why no table combination
    fits by the rules; ``rejected`` counts those ruled out of ``considered``, by reason code. ``other_zone``,
    ``other_times``: only if nothing fits. ``places``: empty if the booking cannot be seated at all.
    """

    floor: Floor | None = None
    problem: str = ""
    window: SeatingWindow | None = None
    refusal: Refusal | None = None
    considered: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    fitting: tuple[Option, ...] = ()
    by_passing_over: tuple[Option, ...] = ()
    other_zone: Hint | None = None
    other_times: tuple[Hint, ...] = ()
    places: tuple[Place, ...] = ()


def options(
    booking: HostBooking,
    assignment: Assignment,
    *,
    host: Host,
    now: datetime,
    seatings: Sequence[Allocation] = (),
) -> Options:
    """Return the options for staff: ranked ones, those against a rule, and the reasons against others.

    A near or past start does not matter here, nor does a pin, because staff decide. ``seatings``: the booking's current
    ones.
    """
    if booking.problem:
        return Options(problem=booking.problem)
    try:
        snapshot = snapshot_of(booking, assignment, host=host, now=now)
    except InvalidFloorError as error:
        return Options(problem=error.said)
    except LookupError as error:
        return Options(problem=no_floor(booking.restaurant_ref, error))
    seen = as_staff_see_it(snapshot)
    found = options_in(seen)
    if found.fitting or found.refusal is None or found.refusal.is_invalid:
        return found
    place = staff_actions.possible(assignment, booking, floor=seen.floor, now=seen.now, seatings=seatings)
    return replace(
        found,
        window=place.window,
        by_passing_over=tuple(_by_passing_over(place)),
        places=_places(place.snapshot, place.window),
    )


def options_in(seen: Snapshot) -> Options:
    """Return the options for a snapshot, without those against a rule. Does no I/O."""
    decision = engine.plan(seen)
    found = Options(
        floor=seen.floor,
        window=decision.window,
        refusal=decision.refusal,
        considered=decision.considered,
        rejected=decision.rejected,
        fitting=tuple(_fitting(seen, decision)),
        places=_places(seen, decision.window) if decision.window else (),
    )
    if found.fitting:
        return found
    return replace(found, other_zone=_other_zone(seen), other_times=tuple(_other_times(seen)))


def as_staff_see_it(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot in which overdue guests need tables only from now on; a stay that is over stays as it was."""
    request, now = snapshot.request, snapshot.now
    rules = replace(snapshot.rules.by_staff(), ranked_plans=MOST_OPTIONS)
    if request.starts_at.tzinfo and request.starts_at < now:
        window = seating_window(
            snapshot.floor, starts_at=request.starts_at, party=request.party, ends_at=request.ends_at
        )
        if isinstance(window, SeatingWindow) and window.ends_at > now:
            rules = replace(rules, grace_minutes=(now - request.starts_at) // timedelta(minutes=1) + 1)
        else:
            now = request.starts_at
    return replace(snapshot, now=now, request=replace(request, pinned_table_refs=()), rules=rules)


def _fitting(snapshot: Snapshot, decision: Decision) -> Iterator[Option]:
    for plan in decision.plans:
        if not engine.judge(snapshot, plan.table_refs):
            yield Option(
                table_refs=plan.table_refs,
                seats=plan.seats,
                spare_seats=plan.spare_seats,
                zone_ref=plan.zone_ref,
                plan=plan,
            )


def _by_passing_over(place: Possible) -> list[Option]:
    """Return free tables that break a rule, those that break the least serious rules first.

    Joins that contain another option are not offered.
    """
    request = place.snapshot.request
    options: list[Option] = []
    for unit in _free_units(place):
        against = place.against(unit.table_refs)
        if not against or not overridable(against):
            continue
        if any(set(option.table_refs) <= set(unit.table_refs) for option in options if option.spare_seats >= 0):
            continue  # More tables than needed.
        options.append(
            Option(
                table_refs=unit.table_refs,
                seats=unit.seats,
                spare_seats=unit.seats - request.party,
                zone_ref=unit.zone_ref,
                overriding=against,
            )
        )
    return sorted(options, key=_gravity)[:MOST_OPTIONS]


def _free_units(place: Possible) -> list[Unit]:
    """Return units with no table that another booking has, the most suitable first, at most MOST_JUDGED.

    Includes tables that are closed or out of service, since they exist, and tables that only buffers block.
    """
    snapshot, window = place.snapshot, place.window
    floor, party = snapshot.floor, snapshot.request.party
    others = [each for each in snapshot.occupied if not each.closed and place.is_there(each)]
    taken = Occupancy(floor, others).taken(window.blocked_from, window.blocked_until)
    units = [unit for unit in seatable_units(floor, snapshot.rules.max_tables + 1) if not unit.mask & taken]
    bits = table_bits(floor)
    units += [unit_of(floor, [table.ref]) for table in floor.tables if not table.active and not bits[table.ref] & taken]
    enough = sorted(
        (unit for unit in units if unit.seats >= party), key=lambda unit: (unit.table_count, unit.seats, unit.places)
    )
    fewer = sorted(
        (unit for unit in units if unit.seats < party), key=lambda unit: (-unit.seats, unit.table_count, unit.places)
    )
    return [*enough[:MOST_JUDGED], *fewer[:MOST_OPTIONS]]


_GRAVE = (Reason.TOO_FEW_SEATS, Reason.TABLE_INACTIVE, Reason.CLOSED)
"""Rules that are passed over last: guests without a seat, and tables that somebody took out of use."""


def _gravity(option: Option) -> tuple[Any, ...]:
    reasons = {refusal.reason for refusal in option.overriding}
    grave = tuple(reason in reasons for reason in _GRAVE)
    spare = option.spare_seats
    return *grave, len(reasons - PREFERENCES), len(option.table_refs), spare if spare >= 0 else -spare


def _other_zone(snapshot: Snapshot) -> Hint | None:
    if snapshot.request.zone_ref is None:
        return None
    return _hint(replace(snapshot, request=replace(snapshot.request, zone_ref=None)))


def _other_times(snapshot: Snapshot) -> Iterator[Hint]:
    """Yield free tables at other times nearby. The snapshot must cover hours around the booking."""
    request = snapshot.request
    for minutes in NEARBY_MINUTES:
        shift = timedelta(minutes=minutes)
        ends_at = request.ends_at + shift if request.ends_at else None
        moved = replace(request, starts_at=request.starts_at + shift, ends_at=ends_at)
        hint = _hint(replace(snapshot, request=moved))
        if hint is not None:
            yield hint


def _hint(snapshot: Snapshot) -> Hint | None:
    best = engine.plan(snapshot).best
    return Hint(starts_at=snapshot.request.starts_at, table_refs=best.table_refs) if best else None


def _places(snapshot: Snapshot, window: SeatingWindow) -> tuple[Place, ...]:
    taken: dict[str, list[Occupied]] = {}
    for each in sorted(snapshot.occupied, key=lambda each: each.blocked_from):
        if each.blocked_from < window.blocked_until and window.blocked_from < each.blocked_until:
            taken.setdefault(each.table_ref, []).append(each)
    return tuple(
        Place(table=table, taken=tuple(taken.get(table.ref, ())))
        for _zone_ref, tables in by_zone(snapshot.floor)
        for table in tables
    )


def overridable(refusals: Collection[Refusal]) -> frozenset[Reason]:
    """Return the reasons that staff have to override by name; empty if one of them cannot be overridden."""
    reasons = frozenset(refusal.reason for refusal in refusals)
    return reasons if reasons <= OVERRIDABLE else frozenset()
