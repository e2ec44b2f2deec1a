"""Converting snapshots to JSON and back, so that any planner can decide them again later.

The floor is stored separately, by version, since an evening's snapshots share it. A snapshot keeps its digest through the
round trip.

Values are written as msgspec writes dataclasses, except types that occur many times: they are lists of field values, in the
order of declaration.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import msgspec

from assignments.planning.decision import Decision
from assignments.planning.floor import Floor, Join, Table, TurnTime
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Occupied, PlanningRules, Snapshot
from assignments.planning.text import Text

UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""Errors on reading what another release wrote, or somebody by hand."""
SNAPSHOT_VERSION = 3
"""The latest version. 2 has the tables of the booking; 3 has pacing, needs or wishes. What has none of it names none."""
OCCUPIED_AT_LEAST = 4
"""Values that every row of ``occupied`` has; the others follow in their order, up to the last that is not as usual."""
_USUAL = tuple(field.default for field in fields(Occupied)[OCCUPIED_AT_LEAST:])
TABLE_AT_LEAST = 7
"""Values that every table has; its features and its priority follow if it has any."""
_USUAL_TABLE: tuple[Any, ...] = ([], 0)
OUTSIDE_MINUTES = "outside_service_minutes"
"""A floor's tolerance around its services, in earlier releases."""


def snapshot_to_json(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot without its floor, which is named by its version."""
    request: dict[str, Any] = _plain(snapshot.request)
    # As earlier releases wrote it, which read it, too.
    version = 2 if request["current_table_refs"] else 1
    for name in ("current_table_refs", "promised_party", "needs", "wishes"):
        if not request[name]:
            del request[name]
    asked = snapshot.request
    if snapshot.floor.is_paced or not snapshot.rules.is_paced or asked.needs or asked.wishes:
        version = 3
    return {
        **({"version": version} if version > 1 else {}),
        "floor": snapshot.floor.version,
        "now": _plain(snapshot.now),
        "request": request,
        "occupied": [_occupied_to_json(row) for row in _lists(_plain(snapshot.occupied))],
        "rules": _rules_to_json(snapshot.rules),
        "success": dict(snapshot.success),
    }


def _rules_to_json(rules: PlanningRules) -> dict[str, Any]:
    content: dict[str, Any] = _plain(rules)
    if not rules.grace_minutes:
        del content["grace_minutes"]  # As earlier releases wrote it; without it there is none.
    if rules.is_paced:
        del content["is_paced"]
    return content


def snapshot_from_json(stored: Mapping[str, Any], floor: Floor) -> Snapshot:
    """Read a snapshot of this version or an earlier one.

    Raises KeyError, TypeError or ValueError if it is invalid, belongs to another floor, or to a later version.
    """
    if (version := stored.get("version", 1)) not in range(1, SNAPSHOT_VERSION + 1):
        raise ValueError(f"This snapshot has version {version}; this release reads 1 to {SNAPSHOT_VERSION}.")
    if stored["floor"] != floor.version:
        raise ValueError(f"This snapshot belongs to floor version {stored['floor']}, not {floor.version}.")
    return Snapshot(
        floor=floor,
        now=msgspec.convert(stored["now"], datetime),
        request=msgspec.convert(stored["request"], SeatingRequest),
        occupied=msgspec.convert(_named(Occupied, map(_occupied_from_json, stored["occupied"])), tuple[Occupied, ...]),
        # As they were given: the digest tells a weight of 30 from one of 30.0.
        rules=PlanningRules(**stored["rules"]),
        success=stored["success"],
    )


def requests_to_json(requests: Iterable[SeatingRequest]) -> list[dict[str, Any]]:
    """Write the requests of a batch."""
    return [_plain(request) for request in requests]


def requests_from_json(stored: Iterable[Mapping[str, Any]]) -> list[SeatingRequest]:
    """Read the requests of a batch. Raises TypeError or ValueError if they are invalid."""
    return [msgspec.convert(each, SeatingRequest) for each in stored]


def movable_to_json(movable: Movable) -> dict[str, Any]:
    """Write a confirmed party that may be moved."""
    content: dict[str, Any] = _plain(movable)
    return content


def movable_from_json(stored: Mapping[str, Any]) -> Movable:
    """Read a confirmed party that may be moved. Raises TypeError or ValueError if it is invalid."""
    return msgspec.convert(stored, Movable)


def window_to_json(window: SeatingWindow) -> dict[str, Any]:
    """Write when a party has its tables."""
    content: dict[str, Any] = _plain(window)
    return content


def window_from_json(stored: Mapping[str, Any]) -> SeatingWindow:
    """Read when a party has its tables. Raises TypeError or ValueError if it is invalid."""
    return msgspec.convert(stored, SeatingWindow)


def floor_to_json(floor: Floor) -> dict[str, Any]:
    content = _plain(floor)
    if not floor.calendar:
        del content["calendar"]  # As earlier releases wrote it.
    if not floor.pacing:
        del content["pacing"]
    if (minutes := content.pop("stored_outside_minutes")) is not None:
        content[OUTSIDE_MINUTES] = minutes
    special = [service for entry in content.get("calendar", ()) for service in entry["services"]]
    for service in [*content["services"], *special]:
        if minutes is not None:  # Written as it was: an earlier release may still read it.
            del service["early_minutes"], service["late_minutes"]
        service["turn_times"] = _lists(service["turn_times"])
    return {
        **content,
        "tables": [_trimmed(row, TABLE_AT_LEAST, _USUAL_TABLE) for row in _lists(content["tables"])],
        "adjacent": sorted(content["adjacent"]),
        "joins": _lists(content["joins"]),
    }


def floor_from_json(stored: Mapping[str, Any]) -> Floor:
    """Read a floor, with the same version. Raises KeyError, TypeError or ValueError if it is invalid.

    A floor that an earlier release stored gets OUTSIDE_MINUTES, and is judged by the rules of that release.
    """
    tables = _named(Table, (_padded(row, Table, _USUAL_TABLE) for row in stored["tables"]))
    joins = _named(Join, stored["joins"])
    calendar = [{**entry, "services": _services_from_json(entry["services"])} for entry in stored.get("calendar", ())]
    parts = {
        "tables": tables,
        "services": _services_from_json(stored["services"]),
        "joins": joins,
        "calendar": calendar,
        "pacing": stored.get("pacing", ()),
        "stored_outside_minutes": stored.get(OUTSIDE_MINUTES),
    }
    return msgspec.convert({**stored, **parts}, Floor)


def _services_from_json(stored: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{**each, "turn_times": _named(TurnTime, each["turn_times"])} for each in stored]


def decision_to_json(decision: Decision) -> dict[str, Any]:
    """Write a decision. Raises AttributeError for any other value."""
    other = {
        "window": decision.window and _lists([_plain(decision.window)])[0],
        "refusal": decision.refusal and _refusal_to_json(decision.refusal),
    }
    content = {**_plain(decision), **other}
    for plan in content["plans"]:
        if not plan["unmet_wishes"]:
            del plan["unmet_wishes"]
    del content["moved_from"], content["moves"]  # Of confirmed bookings nobody is moved.
    return content


def batch_decision_to_json(decision: Decision) -> dict[str, Any]:
    """Write a decision of a batch, in which parties may have been moved for others."""
    moved = {"moved_from": list(decision.moved_from)} if decision.moved_from else {}
    return {**decision_to_json(decision), **moved}


def decision_from_json(stored: Mapping[str, Any]) -> Decision:
    """Read a decision. Raises KeyError, TypeError or ValueError if it is invalid."""
    window, refusal = stored["window"], stored["refusal"]
    parts = {
        "window": window and _named(SeatingWindow, [window])[0],
        "refusal": refusal and _refusal_from_json(refusal),
    }
    decision = msgspec.convert({**stored, **parts}, Decision)
    if bool(decision.plans) == bool(decision.refusal):
        raise ValueError("A decision has plans or a refusal, and not both.")
    if decision.plans and decision.window is None:
        raise ValueError("A decision with plans has a window.")
    return decision


def _occupied_to_json(row: list[Any]) -> list[Any]:
    """Drop default values at the end of a row, so that earlier releases can read it."""
    return _trimmed(row, OCCUPIED_AT_LEAST, _USUAL)


def _occupied_from_json(row: Sequence[Any]) -> Sequence[Any]:
    return _padded(row, Occupied, _USUAL)


def _trimmed(row: list[Any], least: int, usual: Sequence[Any]) -> list[Any]:
    length = len(row)
    while length > least and row[length - 1] == usual[length - 1 - least]:
        length -= 1
    return row[:length]


def _padded(row: Sequence[Any], kind: type, usual: Sequence[Any]) -> Sequence[Any]:
    missing = len(fields(kind)) - len(row)
    return [*row, *usual[-missing:]] if 0 < missing <= len(usual) else row


def _refusal_to_json(refusal: Refusal) -> list[Any]:
    """Write the reason and the sentence, then the sentence's parts, so that it can be shown in other languages."""
    because = [_refusal_to_json(each) for each in refusal.because]
    return [refusal.reason.value, str(refusal.detail), refusal.text.template, dict(refusal.text.values), because]


def _refusal_from_json(stored: Sequence[Any]) -> Refusal:
    reason, detail, *made_from = stored
    # Earlier releases kept no parts.
    text, values, because = made_from or (detail, {}, ())
    behind = tuple(_refusal_from_json(each) for each in because)
    refusal = Refusal(Reason(reason), Text(text, msgspec.convert(values, dict[str, str | int])), behind)
    if refusal.detail != detail:
        raise ValueError(f"A refusal says {detail!r}, and is made from what says {refusal.detail!r}.")
    return refusal


def _plain(value: Any) -> Any:
    """Sets of texts and numbers are sorted; of mappings msgspec knows dicts alone, and of strings no ``Text``."""
    return msgspec.to_builtins(
        value, enc_hook=lambda each: str(each) if isinstance(each, str) else dict(each), order="deterministic"
    )


def _lists(rows: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
    return [list(row.values()) for row in rows]


def _named(kind: type, rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Check a row. Raises ValueError for a wrong length."""
    names = [field.name for field in fields(kind)]
    return [dict(zip(names, row, strict=True)) for row in rows]
