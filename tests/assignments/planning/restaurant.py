"""Small restaurants and requests for the planning tests, and one real day."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path

from assignments.planning.floor import Floor, Join, ServicePeriod, Table, TurnTime, adjacency
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import local_to_aware
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot

REAL_EVENING = Path(str(files("example"))) / "data" / "demo_evening.json"
MORNING = datetime(2025, 11, 6, 8, 0, tzinfo=UTC)
TURNS = (TurnTime(max_party=2, minutes=60), TurnTime(max_party=4, minutes=75), TurnTime(max_party=8, minutes=90))
LUNCH = ServicePeriod(
    key="lunch", starts=time(12), ends=time(15), turn_times=TURNS, allow_overrun=True, buffer_after_minutes=5
)
DINNER = ServicePeriod(key="dinner", starts=time(17), ends=time(22), turn_times=TURNS, buffer_after_minutes=5)
SERVICES = (LUNCH, DINNER)


def table(
    ref: str,
    seats: int,
    zone: str | None = "Hall",
    *,
    min_party: int | None = None,
    max_party: int | None = None,
    active: bool = True,
) -> Table:
    return Table(ref=ref, name=ref, seats=seats, zone_ref=zone, min_party=min_party, max_party=max_party, active=active)


def floor(
    *tables: Table,
    adjacent: Iterable[tuple[str, str]] = (),
    joins: Iterable[Join] = (),
    services: tuple[ServicePeriod, ...] = SERVICES,
    timezone: str = "Europe/London",
) -> Floor:
    return Floor(
        restaurant_ref="r1",
        timezone=timezone,
        tables=tables,
        services=services,
        adjacent=adjacency(adjacent),
        joins=tuple(joins),
    )


def at(clock: str, day: str = "2025-11-06", zone: Floor | None = None) -> datetime:
    """The UTC moment of a local wall time."""
    return local_to_aware(datetime.fromisoformat(f"{day}T{clock}"), (zone or floor()).zone)


def ask(
    ref: str = "b1",
    *,
    party: int = 2,
    start: str = "18:00",
    zone: str | None = None,
    pins: tuple[str, ...] = (),
    asked: datetime | None = None,
) -> SeatingRequest:
    return SeatingRequest(
        booking_ref=ref,
        starts_at=at(start),
        party=party,
        zone_ref=zone,
        pinned_table_refs=pins,
        requested_at=asked,
    )


def taken(table_ref: str, start: str, until: str, by: str | None = "other") -> Occupied:
    return Occupied(table_ref=table_ref, blocked_from=at(start), blocked_until=at(until), booking_ref=by)


def snapshot(
    on: Floor,
    request: SeatingRequest,
    *occupied: Occupied,
    rules: PlanningRules | None = None,
    now: datetime = MORNING,
    success: Mapping[str, float] | None = None,
) -> Snapshot:
    return Snapshot(
        floor=on, occupied=occupied, request=request, now=now, rules=rules or PlanningRules(), success=success or {}
    )


def real_day() -> tuple[Floor, list[SeatingRequest]]:
    """One real day: 16 tables, and 117 bookings that are all pending at once."""
    data = json.loads(REAL_EVENING.read_text())
    day_floor = Floor(
        restaurant_ref="demo",
        timezone=data["restaurant"]["timezone"],
        tables=tuple(
            Table(
                ref=each["code"],
                name=each["code"],
                seats=each["capacity"],
                zone_ref=each["zone"],
                min_party=each["min_party"],
                max_party=each["max_party"],
            )
            for each in data["tables"]
        ),
        services=tuple(
            ServicePeriod(
                key=each["key"],
                starts=time.fromisoformat(each["start"]),
                ends=time.fromisoformat(each["end"]),
                turn_times=tuple(TurnTime(max_party=party, minutes=minutes) for party, minutes in each["turn_minutes"]),
                allow_overrun=each["allow_overrun"],
                early_minutes=each["early_minutes"],
                buffer_before_minutes=each["buffer_minutes"]["before"],
                buffer_after_minutes=each["buffer_minutes"]["after"],
            )
            for each in data["services"]
        ),
        adjacent=adjacency((one, other) for one, other in data["adjacent"]),
    )
    day = data["restaurant"]["date"]
    requests = [
        SeatingRequest(booking_ref=each["ref"], party=each["party"], starts_at=at(each["start"], day, day_floor))
        for each in data["bookings"]
    ]
    return day_floor, requests


def with_keys(
    day: tuple[Floor, list[SeatingRequest]], keys: Iterable[int], *, first_booking: int = 1
) -> tuple[Floor, list[SeatingRequest]]:
    """The same day as another database has it: its tables have these keys as refs, in the order of their names, and its
    bookings those from ``first_booking`` on."""
    on, requests = day
    refs = {each.ref: str(key) for each, key in zip(on.tables, keys, strict=False)}
    rekeyed = replace(
        on,
        tables=tuple(replace(each, ref=refs[each.ref]) for each in on.tables),
        adjacent=frozenset(frozenset(refs[ref] for ref in pair) for pair in on.adjacent),
    )
    return rekeyed, [
        replace(request, booking_ref=str(key)) for key, request in enumerate(requests, start=first_booking)
    ]


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
