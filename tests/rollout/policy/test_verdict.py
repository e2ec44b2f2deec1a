"""One test for each verdict, and that a stored snapshot is the snapshot."""

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from assignments.planning import engine
from assignments.planning.decision import Decision
from assignments.planning.floor import Join
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot
from assignments.planning.text import Text
from assignments.testing import a_floor, a_service, a_table
from rollout.policy.verdict import Verdict, compare, compare_with_a_sound_control, yardstick
from rollout.shadow.serialization import (
    decision_from_json,
    decision_to_json,
    floor_from_json,
    floor_to_json,
    snapshot_from_json,
    snapshot_to_json,
)

SEVEN = datetime(2030, 1, 14, 19, tzinfo=UTC)
FLOOR = a_floor(
    tables=[
        a_table("two", seats=2),
        a_table("four-a"),
        a_table("four-b"),
        a_table("six", seats=6, min_party=3),
        a_table("far", zone_ref="terrace"),
    ],
    adjacent=[("two", "four-a"), ("four-a", "four-b"), ("four-b", "six")],
    joins=[Join(table_refs=frozenset({"four-a", "six"}), seats=9)],
    services=[a_service(buffer_after_minutes=5), a_service(key="late", starts=time(23), ends=time(2))],
)


def snapshot(party: int = 4, *, taken: tuple[str, ...] = ()) -> Snapshot:
    return Snapshot(
        floor=FLOOR,
        occupied=tuple(
            Occupied(table_ref=ref, blocked_from=SEVEN, blocked_until=SEVEN + timedelta(hours=1), booking_ref="other")
            for ref in taken
        ),
        request=SeatingRequest(booking_ref="B1", starts_at=SEVEN, party=party, requested_at=SEVEN - timedelta(days=3)),
        now=SEVEN - timedelta(days=1),
        rules=PlanningRules(),
        success={"two": 0.5},
    )


def at(snap: Snapshot, *table_refs: str) -> Decision:
    """A decision for exactly these tables."""
    decision = engine.plan(snap)
    best = engine.plan(snapshot()).plans[0]
    window = decision.window or engine.plan(snapshot()).window
    return replace(decision, window=window, refusal=None, plans=(replace(best, table_refs=tuple(table_refs)),))


def refused(snap: Snapshot) -> Decision:
    refusal = Refusal(reason=Reason.NO_CAPACITY, text=Text("Everything is taken."))
    return replace(engine.plan(snap), plans=(), refusal=refusal)


@pytest.mark.parametrize(
    ("control", "candidate", "verdict"),
    [
        (("four-a",), ("four-a",), Verdict.SAME_TABLES),
        (("four-a",), ("four-b",), Verdict.EQUIVALENT),
        (("six",), ("four-a",), Verdict.BETTER),
        (("four-a",), ("six",), Verdict.WORSE),
        (("two", "four-a"), ("six",), Verdict.BETTER),
        ((), ("four-a",), Verdict.ONLY_V3_SEATS),
        (("four-a",), (), Verdict.ONLY_LEGACY_SEATS),
        ((), (), Verdict.BOTH_REFUSE),
    ],
)
def test_each_pair_has_its_verdict(control: tuple[str, ...], candidate: tuple[str, ...], verdict: Verdict) -> None:
    snap = snapshot(4)
    first, second = (at(snap, *refs) if refs else refused(snap) for refs in (control, candidate))
    assert compare(snap, first, second) is verdict


def test_to_leave_guests_where_they_are_is_never_worse() -> None:
    """Three of four guests stay at a table for six, where the control would move them to a smaller one."""
    snap = snapshot(4)
    sits = replace(snap, request=replace(snap.request, current_table_refs=("six",)))
    assert compare(snap, at(snap, "four-a"), at(snap, "six")) is Verdict.WORSE
    assert compare(sits, at(sits, "four-a"), at(sits, "six")) is Verdict.EQUIVALENT
    assert compare(sits, at(sits, "six"), at(sits, "four-a")) is Verdict.BETTER
    taken = replace(sits, occupied=snapshot(taken=("six",)).occupied)
    assert compare(taken, at(sits, "four-a"), at(sits, "six")) is Verdict.UNSAFE


@pytest.mark.parametrize(
    "tables", [("two",), ("nowhere",), ("four-a", "four-b", "six"), ("two", "six"), ("four-a", "far")], ids=" + ".join
)
def test_tables_that_will_not_do_are_unsafe(tables: tuple[str, ...]) -> None:
    snap = snapshot(4)
    assert compare(snap, at(snap, "four-a"), at(snap, *tables)) is Verdict.UNSAFE


def test_a_start_within_the_grace_is_safe_when_the_tables_are_kept_from_now_on() -> None:
    late = replace(snapshot(4), now=SEVEN + timedelta(minutes=5), rules=PlanningRules(grace_minutes=15))
    decision = engine.plan(late)
    assert decision.window is not None
    assert decision.window.blocked_from == late.now
    assert compare(late, refused(late), decision) is Verdict.ONLY_V3_SEATS
    too_short = replace(decision.window, blocked_from=late.now + timedelta(minutes=1))
    assert compare(late, refused(late), replace(decision, window=too_short)) is Verdict.UNSAFE


def test_a_taken_table_is_unsafe_also_where_the_control_refuses() -> None:
    snap = snapshot(4, taken=("four-a",))
    assert compare(snap, refused(snap), at(snap, "four-a")) is Verdict.UNSAFE
    assert compare(snap, refused(snap), at(snap, "four-b")) is Verdict.ONLY_V3_SEATS


def test_whom_the_control_seats_against_a_rule_v3_need_not_seat() -> None:
    snap = snapshot(4, taken=("four-a",))
    for tables in ("four-a", "two"):
        assert compare(snap, at(snap, tables), refused(snap)) is Verdict.ONLY_LEGACY_SEATS, "as it is stored"
        assert compare_with_a_sound_control(snap, at(snap, tables), refused(snap)) is Verdict.BOTH_REFUSE
    assert compare_with_a_sound_control(snap, at(snap, "four-b"), refused(snap)) is Verdict.ONLY_LEGACY_SEATS
    assert compare_with_a_sound_control(snap, at(snap, "four-a"), at(snap, "four-b")) is not Verdict.BOTH_REFUSE
    wasteful = replace(snap, rules=PlanningRules(max_spare_seats=0))
    found = compare_with_a_sound_control(wasteful, at(snap, "six"), refused(snap))
    assert found is Verdict.ONLY_LEGACY_SEATS, "it has limits of its own"


@pytest.mark.parametrize("minutes", [1, 5, 60])
def test_tables_kept_for_too_short_a_time_are_unsafe(minutes: int) -> None:
    snap = snapshot(4)
    good = at(snap, "four-a")
    assert good.window is not None
    short = replace(good.window, blocked_until=good.window.blocked_until - timedelta(minutes=minutes))
    assert compare(snap, good, replace(good, window=short)) is Verdict.UNSAFE
    assert compare(snap, good, replace(good, window=None)) is Verdict.UNSAFE


def test_an_answer_for_another_booking_is_unsafe() -> None:
    snap = snapshot(4)
    assert compare(snap, at(snap, "four-a"), replace(at(snap, "four-a"), booking_ref="B2")) is Verdict.UNSAFE


def test_the_yardstick_measures_the_floor_and_not_the_plan() -> None:
    snap = snapshot(4)
    boast = replace(at(snap, "six").plans[0], seats=4, spare_seats=0, score=1e9)
    assert yardstick(snap, boast) == (2, 1)
    listed = at(snapshot(8), "four-a", "six").plans[0]
    assert yardstick(snapshot(8), listed) == (1, 2)


@pytest.mark.parametrize("party", [1, 4, 8, 99])
def test_a_frozen_snapshot_is_the_snapshot(party: int) -> None:
    snap = snapshot(party, taken=("four-a",))
    text = json.dumps([snapshot_to_json(snap), floor_to_json(snap.floor), decision_to_json(engine.plan(snap))])
    stored, floor, decision = json.loads(text)
    again = snapshot_from_json(stored, floor_from_json(floor))
    assert again == snap
    assert again.floor.version == snap.floor.version
    assert engine.snapshot_hash(again) == engine.snapshot_hash(snap)
    assert engine.plan(again) == engine.plan(snap)
    assert decision_from_json(decision) == engine.plan(snap)


def test_what_was_kept_when_tables_were_listed_by_key_is_the_same_snapshot_still() -> None:
    kept = json.loads((Path(__file__).parents[1] / "data" / "kept_by_key.json").read_text())
    floor = floor_from_json(kept["floor"])
    assert [table.name for table in floor.tables] == ["T1", "T2", "T10"]
    assert floor.version == kept["version"]
    snap = snapshot_from_json(kept["snapshot"], floor)
    assert engine.snapshot_hash(snap) == kept["control"]["snapshot_hash"]
    control, candidate = decision_from_json(kept["control"]), engine.plan(snap)
    assert control.plans[0].table_refs == ("100", "97")
    assert candidate.plans[0].table_refs == ("97", "100")
    assert compare(snap, control, candidate) is Verdict.SAME_TABLES


def test_a_snapshot_is_not_read_on_another_floor() -> None:
    with pytest.raises(ValueError, match="floor version"):
        snapshot_from_json(snapshot_to_json(snapshot()), a_floor(tables=[a_table("one")]))


@pytest.mark.parametrize(
    "change",
    [
        {"plans": []},
        {"refusal": ["no_capacity", "x"]},
        {"window": None},
        {"plans": [{"table_refs": ["four-a"]}]},
        {"refusal": ["because", "x"], "plans": []},
    ],
    ids=str,
)
def test_what_is_no_decision_is_refused(change: dict[str, Any]) -> None:
    stored = decision_to_json(engine.plan(snapshot()))
    with pytest.raises((ValueError, TypeError)):
        decision_from_json({**stored, **change})
