"""Stored snapshots, floors and decisions: rows that an earlier release wrote are read as what they were.

``data/stored_rows.json`` holds such rows: of the real evening, as both planners decided it, and of the values below.
"""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from assignments.planning import engine
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.floor import CalendarEntry, Floor, Join, ServicePeriod, Table, TurnTime, adjacency
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import DEFAULT_WEIGHTS, Occupied, PlanningRules, Snapshot
from assignments.planning.text import Text
from rollout.policy.seating_audit import flaws_of
from rollout.policy.verdict import compare
from rollout.shadow.serialization import (
    decision_from_json,
    decision_to_json,
    floor_from_json,
    floor_to_json,
    snapshot_from_json,
    snapshot_to_json,
)

STORED = json.loads((Path(__file__).parents[1] / "data" / "stored_rows.json").read_text())

SEVEN = datetime(2030, 1, 14, 19, tzinfo=UTC)
EVERY_FIELD = Floor(
    restaurant_ref="R1",
    timezone="Europe/Berlin",
    tables=(
        Table(ref="1", name="Fenster", seats=4, zone_ref="z1", min_party=2, max_party=4),
        Table(ref="2", name="Ofen", seats=4, zone_ref="z1", min_party=1),
        Table(ref="3", name="Tür", seats=2, min_party=1, active=False),
    ),
    services=(
        ServicePeriod(
            key="dinner",
            starts=time(17, 30),
            ends=time(1),
            turn_times=(TurnTime(max_party=2, minutes=60), TurnTime(max_party=8, minutes=120)),
            allow_overrun=True,
            buffer_before_minutes=5,
            buffer_after_minutes=10,
            weekdays=frozenset({0, 4, 5}),
        ),
    ),
    adjacent=adjacency([("2", "1")]),
    joins=(Join(table_refs=frozenset({"2", "1"}), seats=6, min_party=5, max_party=6),),
    stored_outside_minutes=30,
    zone_names={"z1": "Saal"},
)
FEWEST_FIELDS = Floor(
    restaurant_ref="R2",
    timezone="Europe/London",
    tables=(Table(ref="1", name="1", seats=2, min_party=1),),
    services=(ServicePeriod(key="d", starts=time(17), ends=time(23), turn_times=(TurnTime(max_party=2, minutes=60),)),),
    stored_outside_minutes=120,
)
FULL = Snapshot(
    floor=EVERY_FIELD,
    occupied=(
        Occupied(table_ref="1", blocked_from=SEVEN, blocked_until=SEVEN + timedelta(hours=2), booking_ref="B9"),
        Occupied(table_ref="2", blocked_from=SEVEN, blocked_until=SEVEN + timedelta(minutes=90, microseconds=1)),
    ),
    request=SeatingRequest(
        booking_ref="B1",
        starts_at=datetime(2030, 1, 14, 20, tzinfo=ZoneInfo("Europe/Berlin")),
        party=4,
        ends_at=SEVEN + timedelta(hours=2),
        zone_ref="z1",
        requested_at=SEVEN - timedelta(days=3, microseconds=7),
        pinned_table_refs=("2", "1"),
    ),
    now=SEVEN - timedelta(days=1),
    # A project may give its weights as whole numbers, and the digest tells 30 from 30.0.
    rules=PlanningRules(
        max_spare_seats=2, max_tables=2, min_lead_minutes=15, weights={"optimal_fit": 30, "adjacency": 0.5}
    ),
    success={"1": 0.75, "2": 1},
)
FIRST_WEIGHTS = ("optimal_fit", "adjacency", "zone_preference", "load_balancing", "historical_success")
"""The strategies that there were when the rows were stored."""
BARE = Snapshot(
    floor=FEWEST_FIELDS,
    occupied=(),
    request=SeatingRequest(booking_ref="B2", starts_at=SEVEN, party=2),
    now=SEVEN - timedelta(days=1),
    rules=PlanningRules(weights={name: DEFAULT_WEIGHTS[name] for name in FIRST_WEIGHTS}),
)
NO_ZONE = replace(BARE, request=replace(BARE.request, booking_ref="B3", starts_at=datetime(2030, 1, 14, 19)))  # noqa: DTZ001


def seats(snap: Snapshot, *table_refs: str) -> Decision:
    until = SEVEN + timedelta(hours=2)
    window = SeatingWindow(
        starts_at=SEVEN,
        ends_at=until,
        blocked_from=SEVEN - timedelta(minutes=5),
        blocked_until=until + timedelta(minutes=10),
        service_key=snap.floor.services[0].key,
    )
    plan = TablePlan(
        table_refs=table_refs,
        seats=4,
        spare_seats=0,
        score=61.5,
        breakdown={"optimal_fit": 40.0, "adjacency": 21.5},
        strategy="optimal_fit",
        zone_ref="z1",
    )
    return Decision(
        booking_ref=snap.request.booking_ref,
        snapshot_hash="1f" * 16,
        window=window,
        plans=(plan, replace(plan, score=20.25, zone_ref=None)),
        considered=7,
        rejected={Reason.TABLE_TAKEN: 3, Reason.TOO_FEW_SEATS: 2},
    )


def refuses(snap: Snapshot, reason: Reason) -> Decision:
    behind = Refusal(reason=Reason.TABLE_TAKEN, text=Text("100% taken: %(tables)s."))
    refusal = Refusal(
        reason=reason,
        text=Text("No table for %(party)s at %(time)s.", {"party": 4, "time": "20:00"}),
        because=(replace(behind, text=Text("Taken.")), replace(behind, because=(behind,))),
    )
    return Decision(booking_ref=snap.request.booking_ref, snapshot_hash="2e" * 16, refusal=refusal)


NEW = {Reason.PACING, Reason.NEEDS, Reason.BUFFER}
"""Reasons that no release had when the rows were stored."""
BY_HAND = {
    "every field": (FULL, seats(FULL, "2", "1"), seats(FULL, "2")),
    "fewest fields": (BARE, seats(BARE, "1"), refuses(BARE, Reason.NO_FIT)),
    "no time zone": (NO_ZONE, refuses(NO_ZONE, Reason.INVALID_START), refuses(NO_ZONE, Reason.INVALID_START)),
    **{f"refused: {reason}": (BARE, refuses(BARE, reason), seats(BARE, "1")) for reason in Reason if reason not in NEW},
}


def read(row: dict[str, Any]) -> tuple[Snapshot, Decision, Decision]:
    snapshot = snapshot_from_json(row["snapshot"], floor_from_json(STORED["floors"][row["snapshot"]["floor"]]))
    return snapshot, decision_from_json(row["control"]), decision_from_json(row["candidate"])


ROWS = pytest.mark.parametrize("row", STORED["rows"], ids=[row["name"] for row in STORED["rows"]])


@ROWS
def test_a_stored_row_has_its_digest_and_its_verdict(row: dict[str, Any]) -> None:
    snapshot, control, candidate = read(row)
    assert engine.snapshot_hash(snapshot) == row["hash"]
    if "kept_too_long" in flaws_of(snapshot, candidate):  # When these rows were made, nobody minded.
        assert compare(snapshot, control, candidate) == "unsafe"
        candidate = replace(candidate, window=engine.plan(snapshot).window)
    assert compare(snapshot, control, candidate) == row["verdict"]


@pytest.mark.parametrize("name", BY_HAND)
def test_a_stored_row_is_read_as_the_values_that_it_was_made_of(name: str) -> None:
    (row,) = (each for each in STORED["rows"] if each["name"] == name)
    found, expected = read(row), BY_HAND[name]
    assert found == expected
    assert found[0].floor.version == expected[0].floor.version
    assert found[0].floor.zone_names == expected[0].floor.zone_names


@ROWS
def test_what_is_written_today_has_the_form_of_the_stored_rows(row: dict[str, Any]) -> None:
    """So that an earlier release reads it, while both run; one that writes UTC as +00:00 reads Z too."""
    snapshot, control, candidate = read(row)
    decisions = [decision_to_json(control), decision_to_json(candidate)]
    written = [floor_to_json(snapshot.floor), snapshot_to_json(snapshot), *decisions]
    stored = [STORED["floors"][snapshot.floor.version], row["snapshot"], row["control"], row["candidate"]]
    assert json.loads(json.dumps(written).replace('Z"', '+00:00"')) == stored


def test_closed_tables_and_a_calendar_are_read_as_what_they_were() -> None:
    special = replace(FEWEST_FIELDS.services[0], starts=time(12), ends=time(15), early_minutes=0, late_minutes=0)
    calendar = (
        CalendarEntry(first_date=date(2030, 1, 14), last_date=date(2030, 1, 14), services=(special,)),
        CalendarEntry(first_date=date(2030, 2, 1), last_date=date(2030, 2, 9), weekdays=frozenset({0, 1})),
    )
    closed = Occupied(table_ref="1", blocked_from=SEVEN, blocked_until=SEVEN + timedelta(days=90), closed=True)
    snapshot = replace(
        BARE,
        floor=replace(FEWEST_FIELDS, stored_outside_minutes=None, services=(), calendar=calendar),
        occupied=(closed,),
    )
    written = json.loads(json.dumps([floor_to_json(snapshot.floor), snapshot_to_json(snapshot)]))
    found = snapshot_from_json(written[1], floor_from_json(written[0]))
    assert (found, found.floor.version) == (snapshot, snapshot.floor.version)
    assert found.closures == (closed,)
    assert engine.snapshot_hash(found) == engine.snapshot_hash(snapshot)
    assert engine.snapshot_hash(replace(found, occupied=(replace(closed, closed=False),))) != engine.snapshot_hash(
        found
    )
    assert found.floor.version != FEWEST_FIELDS.version


def test_the_tables_that_a_booking_has_are_kept_and_a_later_version_is_refused() -> None:
    asked = replace(BARE, request=replace(BARE.request, current_table_refs=("1", "2")))
    written = json.loads(json.dumps(snapshot_to_json(asked)))
    found = snapshot_from_json(written, BARE.floor)
    assert (found, written["version"]) == (asked, 2)
    assert engine.snapshot_hash(found) == engine.snapshot_hash(asked) != engine.snapshot_hash(BARE)
    with pytest.raises(ValueError, match="has version 4; this release reads 1 to 3"):
        snapshot_from_json({**written, "version": 4}, BARE.floor)


def test_a_floor_without_zone_names_and_a_refusal_without_its_parts_are_read() -> None:
    floor = {key: value for key, value in floor_to_json(EVERY_FIELD).items() if key != "zone_names"}
    assert floor_from_json(floor) == EVERY_FIELD
    decision = {**decision_to_json(refuses(BARE, Reason.NO_FIT)), "refusal": ["no_fit", "100% taken."]}
    assert decision_from_json(decision).refusal == Refusal(reason=Reason.NO_FIT, text=Text("100% taken."))


def test_a_floor_of_today_keeps_its_hours_and_is_told_from_one_of_an_earlier_release() -> None:
    (service,) = EVERY_FIELD.services
    today = replace(
        EVERY_FIELD, services=(replace(service, early_minutes=15, late_minutes=0),), stored_outside_minutes=None
    )
    written = json.loads(json.dumps(floor_to_json(today)))
    again = floor_from_json(written)
    assert (again, again.version) == (today, today.version)
    assert not again.is_of_earlier_release
    assert (again.services[0].early_minutes, again.services[0].late_minutes) == (15, 0)
    assert len({today.version, EVERY_FIELD.version, replace(today, services=(service,)).version}) == 3


def test_a_stored_evening_is_judged_by_the_hours_and_limits_that_it_was_made_under() -> None:
    floor = floor_from_json(STORED["floors"][EVERY_FIELD.version])
    assert [(each.early_minutes, each.late_minutes) for each in floor.services] == [(30, 30)]
    assert floor_from_json(STORED["floors"][FEWEST_FIELDS.version]).services[0].late_minutes == 120
    early = replace(BARE.request, starts_at=SEVEN.replace(hour=16))
    assert engine.plan(replace(BARE, request=early)).best is not None
    (service,) = FEWEST_FIELDS.services
    bound = replace(service, early_minutes=0, late_minutes=0)
    today = replace(FEWEST_FIELDS, services=(bound,), stored_outside_minutes=None)
    refusal = engine.plan(replace(BARE, request=early, floor=today)).refusal
    assert refusal is not None
    assert refusal.reason is Reason.OUTSIDE_SERVICE


@pytest.mark.parametrize(
    "answer", [None, "no", {"plans": []}, Refusal(reason=Reason.NO_FIT, text=Text("No."))], ids=str
)
def test_what_is_no_decision_is_not_written(answer: Any) -> None:
    with pytest.raises(AttributeError):
        decision_to_json(answer)
