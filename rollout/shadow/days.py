"""Reading a restaurant's service day as the control met it, and replaying it through both planners.

Comparing bookings one by one says nothing about batches. So each day is planned again as a whole: by V3 in batches, as
``run_coordinator`` plans waiting bookings, and by the control booking by booking. Both start with the same tables taken
by others, and each fills its own evening.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from assignments import conf as assignments_conf
from assignments.concurrency import transactions
from assignments.concurrency.sql import rows
from assignments.error_logging import log_error
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, Snapshot
from rollout import conf
from rollout.models import Comparison, DayComparison, FloorRecord
from rollout.policy.day_audit import DayTotals, Taken, audit_batch
from rollout.shadow.recorder import keep_floors
from rollout.shadow.serialization import (
    floor_from_json,
    requests_from_json,
    requests_to_json,
    snapshot_from_json,
    snapshot_to_json,
)

logger = logging.getLogger("rollout.shadow")

Together = Callable[[Snapshot, Sequence[SeatingRequest]], Mapping[str, Decision]]
"""A planner's decisions on a batch, by booking ref. The snapshot's own request is one of the batch."""
Judge = Callable[[Snapshot], Decision]

_LAST = datetime.max.replace(tzinfo=UTC)


class NoDecisionsError(Exception):
    """A planner gave no decisions on a batch. The message says why, as the ``error`` of an ``Answer``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DaySnapshot:
    """All that both planners need. ``requests`` are in the order in which the control decided them.

    ``start``: the day before any of them is seated; its own request is the first one.
    """

    start: Snapshot
    requests: tuple[SeatingRequest, ...]
    batch_size: int

    def to_json(self) -> dict[str, Any]:
        """Return the day as JSON values, with the floor's version in place of the floor."""
        requests = requests_to_json(self.requests)
        return {**snapshot_to_json(self.start), "requests": requests, "batch_size": self.batch_size}


def day_from_json(stored: Mapping[str, Any], floor: Floor) -> DaySnapshot:
    """Read a day. Raises KeyError, TypeError or ValueError if it is invalid, or belongs to another floor."""
    return DaySnapshot(
        start=snapshot_from_json(stored, floor),
        requests=tuple(requests_from_json(stored["requests"])),
        batch_size=int(stored["batch_size"]),
    )


def day_of(start: Snapshot, requests: Iterable[SeatingRequest], occupied: Iterable[Occupied] = ()) -> DaySnapshot:
    """Return a day on which these bookings ask for tables, beside what others have ``occupied``. None has tables yet."""
    asking = tuple(replace(request, current_table_refs=()) for request in requests)
    return DaySnapshot(
        start=replace(start, request=asking[0], occupied=tuple(occupied)),
        requests=asking,
        batch_size=assignments_conf.settings().BATCH_SIZE,
    )


def by_v3(day: DaySnapshot, together: Together) -> DayTotals:
    """Return V3's decisions for the day, batch by batch, with bookings that still wait. Raises NoDecisionsError."""
    totals = DayTotals()
    start, waiting = day.start, list[SeatingRequest]()
    queue = sorted(day.requests, key=lambda request: request.requested_at or _LAST)
    for first in range(0, len(queue), day.batch_size):
        batch = [*waiting, *queue[first : first + day.batch_size]]
        by_ref = {request.booking_ref: request for request in batch}

        def decide(refs: Collection[str], at: Snapshot = start, asking: Mapping[str, SeatingRequest] = by_ref) -> Any:
            requests = [asking[ref] for ref in refs]
            return together(replace(at, request=requests[0]), requests)

        decisions = decide(by_ref)
        if decisions.keys() != by_ref.keys():
            raise NoDecisionsError("nonsense: not one decision for each booking")
        snapshots = {ref: replace(start, request=request) for ref, request in by_ref.items()}
        audited = audit_batch(snapshots, decisions, again=decide)
        totals.add(audited.totals)
        start = _beside(start, audited.taken)
        waiting = [request for request in batch if not decisions[request.booking_ref].plans]
    return totals


def by_the_control(day: DaySnapshot, judge: Judge) -> DayTotals:
    """Return the control's decisions for the day, booking by booking."""
    totals, start = DayTotals(), day.start
    for request in day.requests:
        snapshot = replace(start, request=request)
        ref = request.booking_ref
        audited = audit_batch({ref: snapshot}, {ref: judge(snapshot)}, again=lambda refs: {}, is_v3=False)
        totals.add(audited.totals)
        start = _beside(start, audited.taken)
    return totals


def _beside(snapshot: Snapshot, taken: Iterable[Taken]) -> Snapshot:
    more = tuple(
        Occupied(
            table_ref=row.table_ref,
            blocked_from=row.blocked_from,
            blocked_until=row.blocked_until,
            booking_ref=row.booking_ref,
            party=row.party,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
        )
        for row in taken
    )
    return replace(snapshot, occupied=(*snapshot.occupied, *more))


def recorded(restaurant_ref: str, service_date: date) -> DaySnapshot | None:
    """Return the day as shadow mode has recorded it; None if nothing of it can be read.

    Each booking has its last recorded request. Taken is everything without a recorded decision: closed tables,
    walk-ins, seatings by staff, whenever they were seen. The rules are those of the settings, whatever they were when
    the day was recorded, because they belong to the release that plans it now.
    """
    kept = list(
        Comparison.objects.filter(
            restaurant_ref=restaurant_ref, service_date=service_date, origin=Comparison.Origin.SHADOW
        )
        .order_by("id")
        .values_list("booking_ref", "floor_id", "snapshot")
    )
    if not kept:
        return None
    version = kept[-1][1]
    floor = floor_from_json(FloorRecord.objects.get(version=version).content)
    last = snapshot_from_json(kept[-1][2], floor)
    asked = {ref: snapshot["request"] for ref, _version, snapshot in kept}
    tables = {table.ref for table in floor.tables}
    others = {
        tuple(row)
        for _ref, _version, snapshot in kept
        for row in snapshot["occupied"]
        if row[3] not in asked and row[0] in tables
    }
    first = min((snapshot["now"] for _ref, _version, snapshot in kept), key=datetime.fromisoformat)
    merged = {**kept[-1][2], "now": first, "occupied": sorted(others, key=str)}
    start = snapshot_from_json(merged, floor)
    rules = assignments_conf.settings().rules()
    return day_of(replace(last, now=start.now, rules=rules), requests_from_json(asked.values()), start.occupied)


def compare(
    day: DaySnapshot,
    *,
    service_date: date,
    origin: str,
    together: Together,
    judge: Judge | None,
    release: Callable[[], str],
) -> DayComparison:
    """Replay both planners, and store each one's result for the day.

    ``judge``: the control; None if it is no longer installed. ``release``: returns the candidate's release, once it has
    decided.
    """
    numbers: dict[str, Any] = {}
    try:
        v3 = by_v3(day, together)
    except NoDecisionsError as error:
        numbers["error"] = str(error)
    else:
        numbers["flaws"] = dict(v3.flaws)
        numbers.update(_columns("candidate", v3), candidate_moved=len(v3.moved))
    if judge is not None:
        try:
            with transactions.read_only():
                control = by_the_control(day, judge)
            numbers.update(_columns("control", control))
        except Exception as error:  # noqa: BLE001  (a planner may raise anything on a day that never was)
            log_error(
                logger, error, "The control could not decide the day of restaurant %s", day.start.floor.restaurant_ref
            )
    with transactions.atomic():
        keep_floors([day.start.floor])
        return DayComparison.objects.create(
            origin=origin,
            environment=conf.settings().ENVIRONMENT,
            release=release(),
            restaurant_ref=day.start.floor.restaurant_ref,
            service_date=service_date,
            floor_id=day.start.floor.version,
            content=day.to_json(),
            bookings=len(day.requests),
            **numbers,
        )


def _columns(who: str, totals: DayTotals) -> dict[str, int]:
    return {
        f"{who}_seated": len(totals.seated),
        f"{who}_covers": totals.covers,
        f"{who}_refused": len(totals.refused),
        f"{who}_unsafe": len(totals.unsafe),
    }


def waiting(touched: Collection[tuple[str, date]], release: str) -> list[tuple[str, date]]:
    """Return the days to compare: those ``touched`` just now, and the last ones, that have grown enough since.

    A day that is not over is compared again when twice as many bookings have been decided, so that a day takes few
    comparisons, however often this is called.
    """
    refs, dates = [ref for ref, _day in touched], [day for _ref, day in touched]
    environment = conf.settings().ENVIRONMENT
    found = rows(_WAITING, refs=refs, dates=dates, release=release, past=PAST_DAYS, environment=environment)
    return [(ref, day) for ref, day in found]


PAST_DAYS = 3
"""How many days after its service a day is still compared, if decisions have come since."""

_WAITING = """
WITH touched AS (
     SELECT DISTINCT * FROM unnest(%(refs)s::text[], %(dates)s::date[]) AS given (restaurant_ref, service_date)),
     decided AS (
     SELECT restaurant_ref, service_date, count(DISTINCT booking_ref) AS bookings,
            service_date < (assignments_now() AT TIME ZONE 'UTC')::date AS is_over
       FROM rollout_comparison
      WHERE origin = 'shadow'
        AND ((restaurant_ref, service_date) IN (SELECT restaurant_ref, service_date FROM touched)
             OR service_date BETWEEN (assignments_now() AT TIME ZONE 'UTC')::date - %(past)s
                                 AND (assignments_now() AT TIME ZONE 'UTC')::date - 1)
      GROUP BY restaurant_ref, service_date
     HAVING bool_and(verdict <> ''))
SELECT restaurant_ref, service_date
  FROM decided
  LEFT JOIN LATERAL (
       SELECT max(day.bookings) AS bookings FROM rollout_daycomparison AS day
        WHERE day.restaurant_ref = decided.restaurant_ref AND day.service_date = decided.service_date
          AND day.origin = 'shadow' AND day.release = %(release)s AND day.environment = %(environment)s) AS known ON true
 WHERE known.bookings IS NULL OR decided.bookings >= 2 * known.bookings
    OR (decided.is_over AND decided.bookings > known.bookings)
 ORDER BY service_date, restaurant_ref
"""
