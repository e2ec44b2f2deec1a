"""Times that can be booked, and the wait of a party without a booking. Writes nothing."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, partial

from assignments import conf
from assignments.coordination import rearrangement
from assignments.coordination.planned_day import planned_evening
from assignments.coordination.rearrangement import Confirmed
from assignments.coordination.snapshots import plannable_requests, windows_of
from assignments.coordination.table_record import success_of
from assignments.integration.floor_cache import floor_of
from assignments.integration.host import Host
from assignments.integration.planners import NOBODY, V3, Preview, router
from assignments.integration.swaps import obstacle_to_swaps
from assignments.lifecycle import ledger
from assignments.models import Assignment, QueuedParty
from assignments.planning.batch_planner import EveningPlanner, seated_in_turn
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.scoring import IDLE_HORIZON_SECONDS
from assignments.planning.seating_window import services_on
from assignments.planning.service_day import service_date
from assignments.planning.snapshot import Movable, Occupied

NEWCOMER = "\x1fnewcomer"
"""The ref of a booking that nobody has made yet. No host has such a ref."""
LONGEST_WAIT = timedelta(hours=3)
WAIT_STEP = timedelta(minutes=5)
"""Steps in which a wait is quoted."""
QUEUE_LASTS = timedelta(hours=6)
"""Who has waited for longer is not there any more."""


def times(
    restaurant_ref: str,
    day: date,
    *,
    party: int,
    needs: frozenset[str],
    zone_ref: str | None,
    step: timedelta,
    stay: timedelta | None = None,
    host: Host,
    now: datetime,
) -> Iterator[datetime]:
    """Yield the starts of a service day at which a new booking would be seated, as the deciding transaction would do it.

    ``stay``: how long it stays; None: by the turn times. The number of queries does not depend on the number of
    bookings. Raises InvalidFloorError, LookupError.
    """
    floor = floor_of(restaurant_ref, host=host)
    asked = [
        SeatingRequest(
            booking_ref=NEWCOMER,
            starts_at=start,
            ends_at=None if stay is None else start + stay,
            party=party,
            zone_ref=zone_ref,
            needs=needs,
            requested_at=now,
        )
        for start in _starts(floor, day, step)
        if start > now
    ]
    if not asked:
        return
    newcomer = Assignment(booking_ref=NEWCOMER, restaurant_ref=restaurant_ref, service_date=day, requested_at=now)
    route = router().route([newcomer])[NEWCOMER]
    if route.planner == NOBODY:
        return
    first = _waiting(restaurant_ref, day, host=host)
    moves = route.planner == V3 and route.may_rearrange and rearrangement.is_possible(host, restaurant_ref)
    confirmed = rearrangement.movable_of(floor, day, now=now) if moves else {}
    windows = [*windows_of([*first, *asked], floor), *(each.movable.window for each in confirmed.values())]
    if not windows:
        return
    occupied = _occupied(floor, min(w.blocked_from for w in windows), max(w.blocked_until for w in windows))
    if route.planner != V3:
        yield from _by_another(route.planner, asked, floor, occupied, now)
        return
    plan = partial(planned_evening, first, floor=floor, occupied=occupied, now=now, success=success_of(restaurant_ref))
    evening, _took = plan()

    @cache
    def moving() -> EveningPlanner | None:
        """Return the evening as it is if others may move; None if nobody may, or if it is worse for those who wait."""
        movable = [each.movable for each in rearrangement.still_movable(confirmed, floor=floor, host=host).values()]
        with_moves, _took = plan(movable=movable)
        return with_moves if movable and seated(with_moves) >= seated(evening) else None

    def seated(evening: EveningPlanner) -> list[int]:
        return seated_in_turn(first, evening.decisions)

    for request in asked:
        if _would_be_seated(request, evening, moving, confirmed, seated):
            yield request.starts_at


def _would_be_seated(
    request: SeatingRequest,
    evening: EveningPlanner,
    moving: Callable[[], EveningPlanner | None],
    confirmed: Mapping[str, Confirmed],
    seated: Callable[[EveningPlanner], list[int]],
) -> bool:
    """Return whether a newcomer would be seated on the evening, or by moves if these are to be tried.

    Those that wait go first: where one of them can be seated by moves, the newcomer gets no table that it needs then.
    """
    found = evening.probe(request)
    first_want = any(
        decision.refusal is not None and decision.refusal.reason is Reason.NO_CAPACITY
        for decision in evening.decisions.values()
    )
    is_tried = confirmed and (first_want or (found is None and evening.is_full_for(request)))
    with_moves = moving() if is_tried else None
    if with_moves is None or (found is not None and seated(with_moves) == seated(evening)):
        return found is not None
    moved = with_moves.probe(request)
    tables = {ref: plan.table_refs for ref, plan in with_moves.moves.items()} | dict(moved or {})
    movable = [each.movable for each in confirmed.values()]
    tables = {each.booking_ref: tables[each.booking_ref] for each in movable if _changes(each, tables)}
    if not tables or (obstacle_to_swaps() and not rearrangement.in_turn(movable, tables)):
        return found is not None
    return moved is not None


def _changes(movable: Movable, tables: Mapping[str, Sequence[str]]) -> bool:
    return set(tables.get(movable.booking_ref, movable.table_refs)) != set(movable.table_refs)


def _starts(floor: Floor, day: date, step: timedelta) -> list[datetime]:
    """Return the starts of the day's services, in steps from the start of each, early and late ones included."""
    found = set()
    for service in services_on(floor, day):
        earlier = (service.starts_at - service.opens_at) // step
        number = -earlier
        while (start := service.starts_at + number * step) <= service.closes_at:
            found.add(start)
            number += 1
    return sorted(start for start in found if service_date(floor, start) == day)


def _waiting(restaurant_ref: str, day: date, *, host: Host) -> list[SeatingRequest]:
    """Return who waits for a table on that day, and is decided before a newcomer. At most two queries."""
    rows = list(Assignment.objects.waiting().asking_for(restaurant_ref, day).order_by("requested_at", "id"))
    return plannable_requests(rows, restaurant_ref, host=host)


def _occupied(floor: Floor, start: datetime, until: datetime) -> tuple[Occupied, ...]:
    horizon = timedelta(seconds=IDLE_HORIZON_SECONDS)
    return ledger.occupied(floor.restaurant_ref, start - horizon, until + horizon, floor=floor)


def _by_another(
    planner: str, asked: Sequence[SeatingRequest], floor: Floor, occupied: tuple[Occupied, ...], now: datetime
) -> Iterator[datetime]:
    """Yield the starts that another planner than V3 would give, each asked for by itself."""
    rules, success = conf.settings().rules(), success_of(floor.restaurant_ref)
    for request in asked:
        (decision,) = (
            router()
            .planner(planner)
            .preview(
                Preview(floor=floor, occupied=occupied, requests=(request,), now=now, rules=rules, success=success)
            )
        )
        if decision.best is not None:
            yield request.starts_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """The wait of a party without a table. ``minutes``: None if not within three hours; ``place``: 1 is next.

    ``since``: when it joined the queue; ``needs``: what it said there.
    """

    minutes: int | None
    place: int
    queued_id: int | None = None
    party: int = 0
    since: datetime | None = None
    needs: frozenset[str] = frozenset()


def in_queue(restaurant_ref: str, *, now: datetime) -> list[QueuedParty]:
    """Return the parties that wait at the door, in the order in which they came. One query."""
    rows = QueuedParty.objects.filter(
        restaurant_ref=restaurant_ref, left_at__isnull=True, joined_at__gt=now - QUEUE_LASTS
    )
    return list(rows.order_by("joined_at", "id"))


@dataclass(frozen=True, kw_only=True, slots=True)
class AtTheDoor:
    """A party that waits at the door since then, and what it wants. ``until``: when it has to leave, if it said so."""

    party: int
    needs: frozenset[str] = frozenset()
    zone_ref: str | None = None
    until: datetime | None = None
    queued_id: int | None = None
    since: datetime | None = None


def waits(restaurant_ref: str, *, host: Host, now: datetime, newcomer: AtTheDoor | None = None) -> list[Wait]:
    """Return what each party in the queue has to wait, by expected departures; then ``newcomer``.

    Who came first is seated first, where both could have the table. Raises InvalidFloorError, LookupError.
    """
    floor = floor_of(restaurant_ref, host=host)
    waiting = [
        AtTheDoor(party=row.party, needs=frozenset(row.needs), queued_id=row.pk, since=row.joined_at)
        for row in in_queue(restaurant_ref, now=now)
    ]
    if newcomer is not None:
        waiting.append(newcomer)
    if not waiting:
        return []
    occupied = _occupied(floor, now, now + 2 * LONGEST_WAIT)
    evening = EveningPlanner(
        floor=floor,
        occupied=occupied,
        rules=conf.settings().rules().by_staff(),
        now=now,
        success=success_of(restaurant_ref),
    )
    found = []
    for place, each in enumerate(waiting, 1):
        minutes = _first_minutes(evening, f"{NEWCOMER}{place}", each, now)
        found.append(
            Wait(
                minutes=minutes,
                place=place,
                queued_id=each.queued_id,
                party=each.party,
                since=each.since,
                needs=each.needs,
            )
        )
    return found


def _first_minutes(evening: EveningPlanner, ref: str, waiting: AtTheDoor, now: datetime) -> int | None:
    """Seat the party as soon as tables are free without moving anybody, and return in how many minutes that is."""
    for number in range(LONGEST_WAIT // WAIT_STEP + 1):
        start = now + number * WAIT_STEP
        if waiting.until is not None and waiting.until <= start:
            return None
        request = SeatingRequest(
            booking_ref=ref,
            starts_at=start,
            ends_at=waiting.until,
            party=waiting.party,
            needs=waiting.needs,
            zone_ref=waiting.zone_ref,
        )
        if evening.probe(request) is not None:
            evening.decide(request)
            return number * (WAIT_STEP // timedelta(minutes=1))
    return None
