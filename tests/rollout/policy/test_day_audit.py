"""The audit of whole days: what is wrong with a batch, and that nothing is wrong with V3's. No database."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from assignments.planning.decision import Decision, TablePlan
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Snapshot
from assignments.testing import a_floor, a_service, a_table
from rollout.policy.day_audit import VERIFIED, DayTotals, audit_batch, taken_at
from rollout.policy.seating_audit import Flaw
from rollout.shadow import days
from rollout.shadow.candidate import v3
from tests.rollout.evidence import worse_batches

FIVE = datetime(2030, 1, 14, 17, tzinfo=UTC)
SIZES = (1, 2, 2, 2, 3, 4, 4, 5, 6, 7, 8)


def a_day(seed: int, *, bookings: int = 40, at_once: bool = False) -> days.DaySnapshot:
    """An evening of chance at twelve tables. ``at_once``: all have asked at the same moment."""
    source = random.Random(seed)
    floor = a_floor(
        tables=[a_table(f"T{number}", seats=source.choice((2, 2, 4, 4, 6, 8))) for number in range(12)],
        adjacent=[(f"T{number}", f"T{number + 1}") for number in range(11) if source.random() < 0.7],
        services=[a_service(ends=time(1), buffer_after_minutes=source.choice((0, 10)))],
    )
    requests = [
        SeatingRequest(
            booking_ref=f"B{number}",
            starts_at=FIVE + timedelta(minutes=15 * source.randrange(20)),
            party=source.choice(SIZES),
            requested_at=FIVE - timedelta(days=30) + timedelta(minutes=0 if at_once else source.randrange(30_000)),
        )
        for number in range(bookings)
    ]
    start = Snapshot(floor=floor, occupied=(), request=requests[0], now=FIVE - timedelta(days=1))
    return days.day_of(start, requests)


def together(candidate: Any) -> Callable[[Snapshot, Sequence[SeatingRequest]], Mapping[str, Decision]]:
    def decide(snapshot: Snapshot, requests: Sequence[SeatingRequest]) -> Mapping[str, Decision]:
        decided: Mapping[str, Decision] = candidate.together(
            requests,
            floor=snapshot.floor,
            occupied=snapshot.occupied,
            now=snapshot.now,
            rules=snapshot.rules,
            success=snapshot.success,
        )
        return decided

    return decide


def totals(candidate: Any, day: days.DaySnapshot) -> DayTotals:
    return days.by_v3(day, together(candidate))


@pytest.mark.parametrize("at_once", [False, True])
def test_nothing_is_wrong_with_v3s_own_batches(at_once: bool) -> None:
    """Most of these days are overbooked, and many a party is moved."""
    moved = refused = 0
    for seed in range(12):
        for batch_size in (200, 15):
            day = replace(a_day(seed, at_once=at_once), batch_size=batch_size)
            found = totals(v3, day)
            assert (found.unsafe, found.refused) == (set(), set()), seed
            assert found.feasible == len(found.seated)
            moved += len(found.moved)
            refused += len(day.requests) - len(found.seated)
    assert moved > 30
    assert refused > 100


@pytest.mark.parametrize(
    ("candidate", "what"),
    [
        (worse_batches.swaps_two, "unsafe"),
        (worse_batches.ignores_the_order, "refused"),
        (worse_batches.refuses_from_the_fourth_on, "refused"),
    ],
)
def test_a_fault_is_seen_on_a_single_day(candidate: Any, what: str) -> None:
    assert all(getattr(totals(candidate, a_day(seed)), what) for seed in range(4))


def a_small_day(*parties: int, tables: int = 2) -> days.DaySnapshot:
    """Parties that ask one after the other for the same hour, at tables for four."""
    floor = a_floor(tables=[a_table(f"T{number}") for number in range(tables)])
    requests = [
        SeatingRequest(
            booking_ref=f"B{number}",
            starts_at=FIVE,
            party=party,
            requested_at=FIVE - timedelta(days=9) + timedelta(hours=number),
        )
        for number, party in enumerate(parties)
    ]
    return days.day_of(Snapshot(floor=floor, occupied=(), request=requests[0], now=FIVE - timedelta(days=1)), requests)


def test_two_parties_at_one_table_are_both_unsafe_and_neither_is_seated() -> None:
    found = totals(worse_batches.gives_a_table_twice, a_small_day(4, 4, 3, tables=3))
    assert (found.unsafe, found.seated, found.covers) == ({"B0", "B1"}, {"B2"}, 3)
    assert found.flaws == {"table_taken": 2}


def test_a_right_refusal_is_none_that_was_feasible() -> None:
    found = totals(v3, a_small_day(4, 9, 4, 4))
    assert (found.seated, found.refused, found.feasible) == ({"B0", "B2"}, set(), 2)


def test_who_asked_first_is_refused_wrongly_if_somebody_later_has_the_table() -> None:
    found = totals(worse_batches.ignores_the_order, a_small_day(4, 4, 4))
    assert (found.seated, found.refused) == ({"B1", "B2"}, {"B0"})


def decided(**tables: str) -> dict[str, Decision]:
    """The decision on each booking: ``T0 T1`` are its tables, ``T0<T1`` are one and the one that it left for others."""
    found = {}
    for ref, text in tables.items():
        now, _left, before = text.partition("<")
        seated = TablePlan(
            table_refs=tuple(now.split()), seats=0, spare_seats=0, score=0.0, breakdown={}, strategy="test"
        )
        plans = (seated,) if now else ()
        found[ref] = Decision(booking_ref=ref, snapshot_hash="", plans=plans, moved_from=tuple(before.split()))
    return found


def wrongly_refused(
    decisions: Mapping[str, Decision], then: Mapping[str, Decision], asked: Mapping[str, int | None], *, tables: int = 2
) -> tuple[set[str], list[list[str]]]:
    """Who is, of fours that asked at these hours, if ``then`` is decided again; and who was asked about again."""
    start = a_small_day(4, tables=tables).start
    snapshots = {
        ref: replace(
            start,
            request=replace(
                start.request,
                booking_ref=ref,
                requested_at=None if hour is None else FIVE - timedelta(days=9) + timedelta(hours=hour),
            ),
        )
        for ref, hour in asked.items()
    }
    again: list[list[str]] = []

    def decide(refs: Sequence[str]) -> Mapping[str, Decision]:
        again.append(list(refs))
        return then

    return audit_batch(snapshots, decisions, again=decide).totals.refused, again


@pytest.mark.parametrize(
    ("then", "wrong"),
    [
        (decided(A="T0", B="T1"), True),
        (decided(A="T0", B=""), True),
        (decided(A="", B=""), True),
        # A had both tables then, and has left one of them since for a third.
        (decided(A="T0 T1", B=""), False),
        (decided(A="T0 T1", B="T1"), True),
        # It had left the other one before B asked.
        (decided(A="T0<T1", B=""), True),
        # It looks wrong, and nothing else is known.
        (decided(A="T0 T1"), True),
        (decided(B=""), True),
        ({}, True),
    ],
)
def test_a_refusal_is_wrong_if_there_was_room_when_they_asked(then: Mapping[str, Decision], wrong: bool) -> None:
    refused, again = wrongly_refused(decided(A="T0", B=""), then, {"A": 1, "B": 2})
    assert refused == ({"B"} if wrong else set())
    assert again == [["A", "B"]]


@pytest.mark.parametrize(
    ("decisions", "asked", "wrong"),
    [
        # Nobody asked before, or there is no room beside those who did.
        (decided(A="T0 T1", B=""), {"A": 3, "B": 2}, True),
        (decided(A="T0 T1", B=""), {"A": None, "B": 2}, True),
        (decided(A="T0 T1", B=""), {"A": 1, "B": 2}, False),
        (decided(A="T0 T1", B=""), {"A": 1, "B": None}, False),
        (decided(A="T0<T1", B=""), {"A": 1, "B": 2}, False),
        # Who asks at the same moment was asked about in an order that nobody knows.
        (decided(A="T0", B=""), {"A": 2, "B": 2}, True),
        (decided(A="T0", B=""), {"A": None, "B": None}, True),
        (decided(A="T0 T1", B=""), {"A": 2, "B": 2}, False),
        (decided(A="T0", B="", C="T1"), {"A": 2, "B": 2, "C": 3}, True),
        (decided(A="T0", B="", C="T1<T0"), {"A": 2, "B": 2, "C": 1}, False),
    ],
)
def test_nobody_is_asked_again_where_the_decisions_say_enough(
    decisions: Mapping[str, Decision], asked: dict[str, int | None], wrong: bool
) -> None:
    assert wrongly_refused(decisions, {}, asked) == ({"B"} if wrong else set(), [])


def test_where_somebody_moved_a_refusal_at_the_same_moment_is_not_judged() -> None:
    """The third table is free, and may not have been: whoever moved may have had it for a while."""
    at_once = {"A": 2, "B": 2, "C": 1}
    for tables, wrong in (("T0", {"B"}), ("T0<T1", set())):
        assert wrongly_refused(decided(A=tables, B="", C=""), {}, at_once, tables=3)[0] - {"C"} == wrong


def test_only_so_many_wrong_refusals_are_verified() -> None:
    refs = [f"B{number}" for number in range(VERIFIED + 3)]
    nobody = decided(**dict.fromkeys(refs, ""))
    refused, again = wrongly_refused(nobody, nobody, {ref: number for number, ref in enumerate(refs)})
    assert refused == {*refs}
    assert [each[-1] for each in again] == refs[1:VERIFIED], "the first of all needs no asking"


def test_limits_that_are_v3s_settings_bind_v3_alone() -> None:
    """One guest at a table for eight: too many spare seats, by V3's settings. And no window, which is any planner's."""
    start = a_small_day(1).start
    snapshots = {"B0": replace(start, floor=a_floor(tables=[a_table("T0", seats=8)]))}
    of_v3, of_any = {Flaw.TOO_MANY_SPARE_SEATS, Flaw.WITHOUT_TIMES}, {Flaw.WITHOUT_TIMES}
    for whose, flaws in (({}, of_v3), ({"is_v3": True}, of_v3), ({"is_v3": False}, of_any)):
        audited = audit_batch(snapshots, decided(B0="T0"), again=lambda refs: {}, **whose)
        assert audited.flaws == {"B0": frozenset(flaws)}
        assert audited.totals.unsafe == {"B0"}


def test_who_has_left_a_table_for_others_counts_as_moved() -> None:
    start = a_small_day(4).start
    for tables, moved in (("T0<T1", {"B0"}), ("T0", set())):
        assert audit_batch({"B0": start}, decided(B0=tables), again=lambda refs: {}).totals.moved == moved


def test_who_waits_is_asked_again_with_the_next_batch_and_nobody_is_counted_twice() -> None:
    seen: list[set[str]] = []

    def watched(snapshot: Snapshot, requests: Sequence[SeatingRequest]) -> Mapping[str, Decision]:
        seen.append({request.booking_ref for request in requests})
        return together(v3)(snapshot, requests)

    day = replace(a_small_day(4, 4, 4, 4), batch_size=3)
    found = days.by_v3(day, watched)
    assert seen == [{"B0", "B1", "B2"}, {"B2", "B3"}]
    assert (found.seated, found.refused) == ({"B0", "B1"}, set())


def test_decisions_on_others_than_were_asked_about_are_none() -> None:
    with pytest.raises(days.NoDecisionsError):
        totals(worse_batches.forgets_one, a_small_day(4, 4))


def test_a_day_is_read_as_it_was_written() -> None:
    day = a_day(1)
    assert days.day_from_json(day.to_json(), day.start.floor) == day
    with pytest.raises(ValueError, match="floor version"):
        days.day_from_json({**day.to_json(), "floor": "another"}, day.start.floor)


def test_who_comes_when_it_is_closed_takes_no_table() -> None:
    asked = SeatingRequest(booking_ref="B", starts_at=FIVE, party=2)
    open_then, closed_then = (
        a_floor(services=[a_service()]),
        a_floor(services=[a_service(starts=time(6), ends=time(7))]),
    )
    open_day, closed_day = (
        Snapshot(floor=each, occupied=(), request=asked, now=FIVE) for each in (open_then, closed_then)
    )
    assert [row.table_ref for row in taken_at(open_day, ["T1"])] == ["T1"]
    assert taken_at(closed_day, ["T1"]) == []
