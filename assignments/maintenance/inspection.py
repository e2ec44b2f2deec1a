"""Inspecting a project's host: what it returns for its real rows, and what would happen to the next bookings.

Writes nothing, and calls no ``on_*``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, models
from django.db.models.constants import LOOKUP_SEP

from assignments import conf
from assignments.concurrency import transactions
from assignments.coordination import dry_run
from assignments.error_logging import place_of
from assignments.integration.floor_cache import floor_or_any_problem
from assignments.integration.host import Host, HostBooking, is_cancelled, pages
from assignments.integration.model_host import ALL_DAY, ModelHost
from assignments.models import Assignment
from assignments.planning.decision import Decision
from assignments.planning.describe import describe
from assignments.planning.floor import Floor
from assignments.planning.units import zones_too_large

MOST_BOOKINGS = 5000
"""Bookings that are read, newest first."""
MOST_RESTAURANTS = 50
MOST_ODD = 20
NAMED = 5
"""Restaurants that are named to whoever asked for an unknown one."""
CHUNK = 500
PLANNED = 10
PAST_AND_FUTURE = timedelta(days=366)
"""How far around now a host that is no ``ModelHost`` is asked for its bookings."""


@dataclass(kw_only=True)
class RestaurantFound:
    """A restaurant's floor. ``problems``: why its bookings cannot be planned, or not well."""

    ref: str
    name: str = ""
    tables: int = 0
    seats: int = 0
    out_of_service: int = 0
    largest: int = 0
    timezone: str = ""
    services: list[str] = field(default_factory=list)
    has_own_hours: bool = True
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """The predicted result for a booking. ``decision``: None if no planner was asked."""

    booking: HostBooking
    says: str
    planner: str = ""
    decision: Decision | None = None
    is_problem: bool = False


@dataclass(kw_only=True)
class Inspection:
    """The findings. ``bookings``: counts by kind: waiting, confirmed, seated or left, cancelled, odd."""

    host: str
    fields: dict[str, str] = field(default_factory=dict)
    total: int | None = None
    bookings: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)
    restaurants: list[RestaurantFound] = field(default_factory=list)
    planned: list[Planned] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def has_problems(self) -> bool:
        """Return whether anything would go wrong."""
        return bool(
            self.problems
            or self.odd
            or any(each.problems for each in self.restaurants)
            or any(each.is_problem for each in self.planned)
        )


def inspect(*, restaurant_ref: str | None = None) -> Inspection:
    """Read the host's rows and plan its next bookings, in a READ ONLY transaction."""
    path = conf.settings().HOST
    host: Host = conf.load(path)
    found = Inspection(host=path)
    with transactions.read_only():
        now = transactions.database_now()
        if isinstance(host, ModelHost):
            found.fields = _fields(host)
            found.total = host.known_bookings().count()
            found.problems += _hidden(host)
        refs, others = Counter[str](), Counter[str]()
        for booking in _read(host, found, now, restaurant_ref):
            if restaurant_ref in {None, booking.restaurant_ref}:
                found.bookings[_state_of(booking)] += 1
                if booking.problem:
                    found.odd.append(f"Booking {booking.ref}: {booking.problem}")
                elif booking.restaurant_ref:
                    refs[booking.restaurant_ref] += 1
            elif booking.restaurant_ref:
                others[booking.restaurant_ref] += 1
        chosen = [restaurant_ref] if restaurant_ref else [ref for ref, _count in refs.most_common(MOST_RESTAURANTS)]
        found.restaurants = _restaurants(host, chosen, found)
        found.planned = _plan(host, found, now, restaurant_ref)
        if restaurant_ref and not refs and _is_unknown(found.restaurants):
            found.problems.append(_unknown(host, restaurant_ref, [ref for ref, _count in others.most_common(NAMED)]))
        elif not refs and not found.odd:
            found.problems.append("No bookings were found, so little could be tried. Add one and run this again.")
    return found


def _hidden(host: ModelHost) -> Iterator[str]:
    """Say which managers find no row, although there are some."""
    found = {"bookings_manager": host.known_bookings()}
    if host.table_model:
        found["tables_manager"] = host.known_tables()
    for name, rows in found.items():
        if not rows.exists() and rows.model._base_manager.exists():  # noqa: SLF001
            yield (
                f"{rows.model._meta.label} has rows, but the default manager hides them all. If it only shows those of a "
                f"tenant or a user, set {name} to the name of a manager that finds all."
            )


def _is_unknown(restaurants: Sequence[RestaurantFound]) -> bool:
    """Return whether the host knows neither a name nor a floor of these restaurants."""
    return not any(each.name or each.timezone for each in restaurants)


def _unknown(host: Host, ref: str, known: Sequence[str]) -> str:
    """Say that a restaurant is unknown, and which ones bookings name."""
    names = _names(host, known, Inspection(host=""))
    others = ", ".join(f"{each} ({names[each]})" if names.get(each) else each for each in known)
    named = f" Bookings name {others}." if others else ""
    return f"Restaurant {ref!r} is unknown: the host has no floor for it, and no booking names it.{named}"


def said(error: BaseException) -> str:
    """Return an error by its type and place, because its message may name a guest."""
    return f"{type(error).__name__} at {place_of(error)}"


def _fields(host: ModelHost) -> dict[str, str]:
    """Return the host's attributes that name models, fields and statuses, each with what it found."""
    named = {}
    for name in sorted(dir(type(host))):
        if name.startswith("_") or not name.endswith(("_model", "_field", "_status", "_statuses")):
            continue
        kind = name.partition("_")[0]
        if kind in {"hours", "turn"} and not getattr(host, f"{kind}_model", None):
            continue  # A default for a model that this project does not have.
        if kind == "table" and not host.table_model:
            continue
        value = getattr(host, name)
        if value in (None, "", (), {}):
            continue
        model = host.tables_table if name.startswith("table_") else host.bookings_table
        named[name] = f"{value!r}{_type(model, value) if name.endswith('_field') else ''}"
    return named


def _type(model: type[models.Model], value: Any) -> str:
    """Return the types of the fields that an attribute names, in brackets; empty where they cannot be found."""
    types = []
    for each in [value] if isinstance(value, str) else value:
        here: Any = model
        try:
            for part in str(each).split(LOOKUP_SEP):
                found: Any = here._meta.get_field(part)
                here = found.related_model
        except (LookupError, AttributeError, FieldDoesNotExist):
            return ""
        types.append(type(found).__name__)
    return f" ({', '.join(types)})"


def _read(host: Host, found: Inspection, now: datetime, restaurant_ref: str | None) -> Iterator[HostBooking]:
    """Yield the host's bookings, newest first for a ``ModelHost``. Unreadable ones are noted as odd."""
    if not isinstance(host, ModelHost):
        yield from islice(_around_now(host, now, restaurant_ref), MOST_BOOKINGS)
        return
    keys = host.known_bookings().order_by("-pk").values_list("pk", flat=True)[:MOST_BOOKINGS]
    refs = [str(key) for key in keys]
    for start in range(0, len(refs), CHUNK):
        yield from _bookings(host, refs[start : start + CHUNK], found)


def _bookings(host: Host, refs: Sequence[str], found: Inspection) -> Sequence[HostBooking]:
    """Return these bookings. If the host raises, each is read by itself, to name the unreadable ones."""
    try:
        with transactions.atomic():
            return list(host.bookings(refs).values())
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        if len(refs) == 1:
            found.bookings["odd"] += 1
            found.odd.append(f"Booking {refs[0]}: bookings() raised {said(error)}.")
            return []
    if len(found.odd) >= MOST_ODD:
        found.problems.append(
            f"bookings() raised for some of {len(refs)} more bookings, which were not read one by one."
        )
        return []
    middle = len(refs) // 2
    return [*_bookings(host, refs[:middle], found), *_bookings(host, refs[middle:], found)]


def _around_now(host: Host, now: datetime, restaurant_ref: str | None) -> Iterator[HostBooking]:
    for page in pages(
        lambda after: host.history(
            start=now - PAST_AND_FUTURE,
            until=now + PAST_AND_FUTURE,
            after=after,
            limit=CHUNK,
            restaurant_ref=restaurant_ref,
        )
    ):
        yield from page


def _state_of(booking: HostBooking) -> str:
    if booking.problem:
        return "odd"
    if is_cancelled(booking):
        return "cancelled"
    if booking.is_confirmed:
        return "confirmed"
    return "waiting" if booking.wants_table else "seated or left"


def _restaurants(host: Host, refs: Sequence[str], found: Inspection) -> list[RestaurantFound]:
    names = _names(host, refs, found)
    return [_restaurant(host, ref, names.get(ref, "")) for ref in sorted(refs)]


def _names(host: Host, refs: Sequence[str], found: Inspection) -> Mapping[str, str]:
    try:
        with transactions.atomic():
            return host.restaurant_names(refs)
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        found.problems.append(f"restaurant_names() raised {said(error)}.")
    return {}


def _restaurant(host: Host, ref: str, name: str) -> RestaurantFound:
    result = RestaurantFound(ref=ref, name=name)
    try:
        with transactions.atomic():
            floor, problem = floor_or_any_problem(ref)
    except DatabaseError as error:
        if transactions.is_database_away(error):
            raise
        floor, problem = None, f"floor() raised {said(error)}."
    if floor is None:
        result.problems.append(problem)
        return result
    active = [table for table in floor.tables if table.active]
    result.tables, result.seats = len(active), sum(table.seats for table in active)
    result.out_of_service = len(floor.tables) - len(active)
    result.largest = max((table.seats for table in active), default=0)
    result.timezone = floor.timezone
    result.services = [f"{each.key} {each.starts:%H:%M}-{each.ends:%H:%M}" for each in floor.services]
    result.has_own_hours = floor.services != (ALL_DAY,)
    result.problems += _floor_problems(host, ref, floor)
    return result


def _floor_problems(host: Host, ref: str, floor: Floor) -> Iterator[str]:
    if not any(table.active for table in floor.tables):
        yield "No table is in service, so nobody can be seated."
    if without := [table.name for table in floor.tables if table.active and table.seats < 1]:
        yield f"Tables without seats: {', '.join(without)}."
    for zone_ref, size in zones_too_large(floor, conf.settings().rules().max_tables).items():
        zone = floor.zone_names.get(zone_ref or "", zone_ref or "without a name")
        yield f"Zone {zone} has more joins than can be planned: those of more than {size} tables are left out."
    if isinstance(host, ModelHost) and type(host).floor is ModelHost.floor:
        yield from (f"{problem}." for problem in host.passed_over(ref))


def _plan(host: Host, found: Inspection, now: datetime, restaurant_ref: str | None) -> list[Planned]:
    """Return what would happen to the waiting bookings that start next."""
    try:
        with transactions.atomic():
            waiting = pages(
                lambda after: host.unassigned(after=after, limit=CHUNK, now=now, restaurant_ref=restaurant_ref)
            )
            read = list(islice((each for page in waiting for each in page), MOST_BOOKINGS))
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        found.problems.append(f"unassigned() raised {said(error)}.")
        return []
    soonest = sorted(read, key=lambda each: (each.starts_at, each.ref))[:PLANNED]
    states = dict(
        Assignment.objects.filter(booking_ref__in=[each.ref for each in soonest]).values_list("booking_ref", "state")
    )
    planned = {each.ref: _not_asked(each, states.get(each.ref, "")) for each in soonest}
    plannable = [each for each in soonest if planned[each.ref] is None]
    try:
        with transactions.atomic():
            for day in dry_run.preview_of(plannable, now=now):
                _explain(day, planned, {each.ref: each for each in plannable})
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        found.problems.append(f"Planning the next bookings raised {said(error)}.")
    return [
        planned[each.ref]
        or Planned(booking=each, says="Nobody would decide: no planner is in charge of it.", is_problem=True)
        for each in soonest
    ]


def _not_asked(booking: HostBooking, state: str) -> Planned | None:
    """Return what happens to a booking without asking a planner; None for one that is planned."""
    if booking.problem:
        return Planned(booking=booking, says=f"It would fail: {booking.problem}", is_problem=True)
    if state in {"failed", "manual_review", "cancelled", "confirmed"}:
        word = state.replace("_", " ")
        return Planned(
            booking=booking, says=f"Nothing: it is decided already ({word}), and waits for an edit or staff."
        )
    return None


def _explain(day: dry_run.DayPreview, planned: dict[str, Planned | None], bookings: Mapping[str, HostBooking]) -> None:
    if day.floor is None:
        for ref, booking in bookings.items():
            if booking.restaurant_ref == day.restaurant_ref and planned[ref] is None:
                says = f"It would be tried again and again: {day.problem}"
                planned[ref] = Planned(booking=booking, says=says, is_problem=True)
        return
    for planner, decisions in day.decisions.items():
        for decision in decisions:
            words = describe(decision.to_json(), day.floor)
            planned[decision.booking_ref] = Planned(
                booking=bookings[decision.booking_ref],
                says=words if decision.best else f"No table: {words}",
                planner=planner,
                decision=decision,
                is_problem=decision.refusal is not None and decision.refusal.is_invalid,
            )
