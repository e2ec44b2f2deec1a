"""Digests of what a backtest is given, so that the same evening under other names or another date counts once."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

from assignments.planning.calendar import periods_on
from assignments.planning.floor import EVERY_WEEKDAY, Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Snapshot
from rollout.backtest.history import Evening
from rollout.shadow.serialization import floor_to_json, requests_to_json, snapshot_to_json

TABLE_NAMES = 2
"""How many of a stored table's values say what it is called: they come first."""
ROUNDS = 3
"""How far around a table what stands there tells which table it is."""
REQUEST_NAMES = ("booking_ref", "requested_at")
ANY_MIDNIGHT = datetime(2000, 1, 1, tzinfo=UTC)
"""From here the times of an evening are counted, whatever its date."""


def decision_digest(snapshot: Snapshot) -> str:
    """Return a digest of the floor and the request that does not depend on the names of restaurant, tables or booking."""
    names = _by_what_they_are(snapshot.floor)
    asked = _nameless(snapshot_to_json(snapshot)["request"])
    places, rules = _floor(snapshot.floor, names)
    return _hashed([places, [rules, _renamed(asked, names)]])


def evening_digest(evening: Evening) -> str:
    """Return a digest of an evening's floor and bookings that depends neither on names nor on the date.

    Times are counted from the evening's midnight, the hours and limits are those of its date, and the order in which
    the bookings were made does not matter.
    """
    floor = _on_the_date(evening.floor, evening.service_date)
    names = _by_what_they_are(floor)
    midnight = datetime.combine(evening.service_date, time(), tzinfo=floor.zone).astimezone(UTC)
    asking = requests_to_json(_since(midnight, request) for request in evening.requests)
    asked = sorted(_hashed(_renamed(_nameless(request), names)) for request in asking)
    return _hashed([*_floor(replace(floor, timezone="UTC"), names), asked])


def _on_the_date(floor: Floor, day: date) -> Floor:
    """Return the floor with nothing but the services and limits of a date, the services by their order."""
    periods = sorted(periods_on(floor, day), key=lambda period: period.starts)
    keys = {period.key: f"service {number}" for number, period in enumerate(periods)}
    return replace(
        floor,
        services=tuple(replace(period, key=keys[period.key], weekdays=EVERY_WEEKDAY) for period in periods),
        pacing=tuple(
            replace(
                pacing,
                service_key=keys.get(pacing.service_key or ""),
                first_date=None,
                last_date=None,
                weekdays=EVERY_WEEKDAY,
            )
            for pacing in floor.pacing
            if pacing.covers(day) and (pacing.service_key is None or pacing.service_key in keys)
        ),
        calendar=(),
    )


def _since(midnight: datetime, request: SeatingRequest) -> SeatingRequest:
    starts_at = ANY_MIDNIGHT + (request.starts_at - midnight)
    ends_at = request.ends_at and ANY_MIDNIGHT + (request.ends_at - midnight)
    return replace(request, starts_at=starts_at, ends_at=ends_at)


def _nameless(request: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in request.items() if name not in REQUEST_NAMES}


def _floor(floor: Floor, names: Mapping[str, str]) -> tuple[Any, Any]:
    """Return a floor's places and its rules, with these names for tables and zones."""
    said = floor_to_json(floor)
    tables, adjacent = said.pop("tables"), said.pop("adjacent")
    for name in ("restaurant_ref", "zone_names"):
        said.pop(name, None)
    said["joins"] = sorted(
        json.dumps([sorted(each) if isinstance(each, list) else each for each in _renamed(join, names)], default=str)
        for join in said["joins"]
    )
    places = [
        sorted(names[table[0]] for table in tables),
        sorted(sorted(names[ref] for ref in pair) for pair in adjacent),
    ]
    return places, _renamed(said, names)


def _by_what_they_are(floor: Floor) -> Mapping[str, str]:
    """Return names for a floor's tables and zones that are made of their properties and neighbours."""
    said = floor_to_json(floor)
    tables = {row[0]: row for row in said["tables"]}
    zones = {row[3] for row in tables.values() if row[3] is not None}
    names = {ref: _hashed([*row[TABLE_NAMES:3], *row[4:]]) for ref, row in tables.items()}
    of_zones: dict[str, str] = {}
    for _round in range(ROUNDS):
        of_zones = {zone: _hashed(sorted(names[ref] for ref in tables if tables[ref][3] == zone)) for zone in zones}
        beside: dict[str, list[str]] = {ref: [] for ref in tables}
        for one, other in said["adjacent"]:
            beside[one].append(names[other])
            beside[other].append(names[one])
        names = {
            ref: _hashed([names[ref], of_zones.get(row[3], ""), sorted(beside[ref])]) for ref, row in tables.items()
        }
    return {**of_zones, **names}


def _hashed(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {_renamed(key, names): _renamed(each, names) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value
