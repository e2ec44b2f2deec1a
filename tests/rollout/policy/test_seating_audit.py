"""The rules of its own by which V3 is judged: each of them, and that V3 as it is passes all of them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import product
from random import Random
from typing import Any

import pytest

from assignments.planning.decision import Decision, TablePlan
from assignments.planning.engine import plan
from assignments.planning.floor import Floor, Join
from assignments.planning.reasons import Reason
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import Occupied, PlanningRules
from rollout.policy.seating_audit import (
    Flaw,
    Party,
    could_be_seated,
    could_seat,
    flaws_of,
    has_better_table,
    place_flaws,
    time_flaws,
    unmet_wishes,
    window,
)
from tests.assignments.planning.restaurant import MORNING, ask, at, floor, real_day, snapshot, table, taken

RULES = PlanningRules()
FLOOR = floor(
    table("A2", 2),
    table("B4", 4),
    table("C4", 4, max_party=3),
    table("D6", 6),
    table("T4", 4, "Terrace"),
    table("U4", 4, "Terrace"),
    adjacent=[("B4", "D6"), ("B4", "T4"), ("T4", "U4")],
    joins=[Join(table_refs=frozenset({"A2", "D6"}), seats=7)],
)
# Four at seven sit for 75 minutes; five minutes to clear.
FROM, UNTIL = at("19:00"), at("20:20")


def flaws(
    on: Floor,
    who: Party,
    tables: Sequence[str],
    start: datetime,
    until: datetime,
    decided_at: datetime | None = None,
) -> list[Flaw]:
    return [*place_flaws(on, who, tables, RULES), *time_flaws(on, who, start, until, decided_at)]


def pinned(*table_refs: str) -> Party:
    return Party(covers=4, starts_at=at("19:00"), pinned=table_refs)


def party(covers: int = 4, start: str = "19:00", zone: str | None = None) -> Party:
    return Party(covers=covers, starts_at=at(start), zone_ref=zone)


@pytest.mark.parametrize(
    ("who", "tables", "minutes", "found"),
    [
        (party(), ["B4"], 0, []),
        (party(), ["B4"], 1, ["kept_too_short"]),
        (party(), ["B4"], -15, ["kept_too_long"]),
        (party(3), ["B4"], 0, []),
        (party(1), ["D6"], -15, ["too_many_spare_seats", "kept_too_long"]),
        (party(), ["C4"], 0, ["party_outside_table_limits"]),
        (party(3), ["C4"], 0, []),
        (party(), ["B4", "B4"], 0, ["table_repeated"]),
        (pinned("B4"), ["B4"], 0, []),
        (pinned("D6"), ["B4"], 0, ["pins_ignored"]),
        (party(), ["A2"], 0, ["too_few_seats"]),
        (party(7), ["A2", "D6"], -15, []),
        (party(8), ["A2", "D6"], -15, ["too_few_seats"]),
        (party(8), ["B4", "D6"], -15, []),
        (party(8), ["B4", "C4"], -15, ["not_adjacent"]),
        (party(8), ["B4", "T4"], -15, ["zones_differ"]),
        (party(zone="Terrace"), ["T4"], 0, []),
        (party(zone="Terrace"), ["B4"], 0, ["wrong_zone"]),
        (party(), ["B4", "Z9"], 0, ["unknown_table"]),
        (party(), [], 0, ["unknown_table"]),
        (party(start="04:00"), ["B4"], 0, ["outside_service"]),
        (party(0), ["B4"], 0, ["invalid_party", "kept_too_long"]),
    ],
)
def test_each_flaw_is_found(who: Party, tables: list[str], minutes: int, found: list[str]) -> None:
    assert flaws(FLOOR, who, tables, FROM, UNTIL - timedelta(minutes=minutes)) == found


@pytest.mark.parametrize(
    ("who", "tables", "rules", "found", "as_before"),
    [
        (party(1), ("D6",), {}, ["too_many_spare_seats"], []),
        (party(2), ("D6", "A2"), {}, ["too_many_spare_seats"], []),
        (party(4), ("C4",), {}, ["party_outside_table_limits"], []),
        (party(8), ("B4", "D6"), {"max_tables": 1}, ["too_many_tables"], []),
        (party(4), ("A2",), {}, ["too_few_seats"], ["too_few_seats"]),
        (party(1, zone="Terrace"), ("D6",), {}, ["too_many_spare_seats", "wrong_zone"], ["wrong_zone"]),
    ],
)
def test_who_has_a_promise_may_keep_tables_that_are_too_large_or_too_many(
    who: Party, tables: tuple[str, ...], rules: dict[str, Any], found: list[str], as_before: list[str]
) -> None:
    due = seating_window(FLOOR, starts_at=who.starts_at, party=who.covers)
    assert isinstance(due, SeatingWindow)
    chosen = TablePlan(table_refs=tables, seats=0, spare_seats=0, score=0.0, breakdown={}, strategy="test")
    decision = Decision(booking_ref="b1", snapshot_hash="", window=due, plans=(chosen,))
    for current, expected in (((), found), (("B4",), found), (tuple(sorted(tables)), as_before)):
        asks = replace(ask(party=who.covers, start="19:00", zone=who.zone_ref), current_table_refs=current)
        assert flaws_of(snapshot(FLOOR, asks, rules=PlanningRules(**rules)), decision) == expected, current


def test_a_buffer_before_counts_too() -> None:
    (lunch, dinner) = FLOOR.services
    with_buffer = replace(FLOOR, services=(lunch, replace(dinner, buffer_before_minutes=10)))
    assert flaws(with_buffer, party(), ["B4"], FROM, UNTIL) == ["kept_too_short"]
    assert flaws(with_buffer, party(), ["B4"], FROM - timedelta(minutes=10), UNTIL) == []


@pytest.mark.parametrize(
    ("who", "tables", "taken", "better"),
    [
        (party(), ["D6"], set(), True),
        (party(), ["D6"], {"B4", "T4", "U4"}, False),
        (party(), ["D6"], {"B4"}, True),
        (party(zone="Hall"), ["D6"], {"B4"}, False),
        (party(), ["B4"], set(), False),
        (party(8), ["B4", "D6"], set(), False),
        (party(6), ["B4", "D6"], set(), True),
        (party(4), ["T4", "U4"], {"B4", "D6"}, True),
    ],
)
def test_a_better_table_is_found_where_one_was_free(
    who: Party, tables: list[str], taken: set[str], better: bool
) -> None:
    assert has_better_table(FLOOR, who, tables, taken, RULES) is better


@pytest.mark.parametrize(
    ("who", "taken", "possible"),
    [
        (party(), set(), True),
        (party(), {"B4", "D6", "T4", "U4"}, False),
        (party(7), {"B4", "T4", "U4"}, True),
        (party(8), {"B4"}, True),
        (party(8), {"B4", "T4"}, False),
        (party(40), set(), False),
        (party(0), set(), False),
        (party(start="04:00"), set(), False),
        (party(zone="Attic"), set(), False),
    ],
)
def test_whether_anybody_could_have_seated_them(who: Party, taken: set[str], possible: bool) -> None:
    assert could_seat(FLOOR, who, MORNING, taken, RULES) is possible


@pytest.mark.parametrize(
    ("covers", "possible"), [(-1, False), (0, False), (1, True), (3, True), (4, False), (2.5, False), (None, False)]
)
def test_a_party_of_a_size_that_nobody_may_seat_is_refused_rightly(covers: Any, possible: bool) -> None:
    """Three may come at most. The two tables, alone or together, would do for each other number, too."""
    on = floor(table("A2", 2), table("B2", 2), adjacent=[("A2", "B2")])
    assert could_seat(on, Party(covers=covers, starts_at=at("19:00")), MORNING, set(), PlanningRules(max_party=3)) is (
        possible
    )


@pytest.mark.parametrize(
    ("since", "until", "by", "now", "possible"),
    [
        ("17:00", "19:00", "other", "18:00", True),
        ("17:00", "19:01", "other", "18:00", False),
        ("20:19", "22:00", "other", "18:00", False),
        ("20:20", "22:00", "other", "18:00", True),
        ("19:30", "19:40", "other", "18:00", False),
        ("19:30", "19:40", None, "18:00", False),
        ("19:30", "19:40", "b1", "18:00", True),
        # Who is there already needs a table from now on.
        ("17:00", "19:10", "other", "19:10", True),
        ("17:00", "19:11", "other", "19:10", False),
    ],
)
def test_a_table_is_free_from_the_moment_that_others_leave_until_others_come(
    since: str, until: str, by: str | None, now: str, possible: bool
) -> None:
    """Four at seven sit until 20:15, and their table is cleared at 20:20."""
    asked = snapshot(
        floor(table("B4", 4)),
        ask(party=4, start="19:00"),
        taken("B4", since, until, by),
        rules=PlanningRules(grace_minutes=15),
        now=at(now),
    )
    assert could_be_seated(asked) is possible


@pytest.mark.parametrize(
    ("zones", "seated_then"),
    [
        ((None, None, None), True),
        (("Terrace", "Terrace", "Terrace"), True),
        ((None, None, "Terrace"), False),
        ((None, None, None, None), False),
    ],
)
def test_a_listed_join_of_any_zones_and_size_seats_them_since_hours_are_binding(
    zones: tuple[str | None, ...], seated_then: bool
) -> None:
    """Floors that were stored before keep their rule: one zone, and no more tables than the limit (3)."""
    tables = [table(f"T{number}", 2, zone) for number, zone in enumerate(zones)]
    listed = Join(table_refs=frozenset(each.ref for each in tables), seats=9)
    today = floor(*tables, joins=[listed])
    assert could_seat(today, party(9), MORNING, set(), RULES)
    assert could_seat(replace(today, stored_outside_minutes=120), party(9), MORNING, set(), RULES) is seated_then


def test_what_has_begun_or_begins_too_soon_could_not_be_seated() -> None:
    assert could_seat(FLOOR, party(), at("19:01"), set(), RULES) is False
    assert could_seat(FLOOR, party(), at("18:30"), set(), PlanningRules(min_lead_minutes=60)) is False


def test_what_has_begun_within_the_grace_could_have_been_seated() -> None:
    rules = PlanningRules(grace_minutes=15)
    assert could_seat(FLOOR, party(), at("19:15"), set(), rules) is True
    assert could_seat(FLOOR, party(), at("19:16"), set(), rules) is False
    assert could_seat(FLOOR, party(), at("19:05"), set(), PlanningRules(grace_minutes=15, min_lead_minutes=1)) is False


def test_whose_stay_is_over_could_not_be_seated() -> None:
    """Four at seven leave at 20:15."""
    rules = PlanningRules(grace_minutes=90)
    assert could_seat(FLOOR, party(), at("20:14"), set(), rules) is True
    assert could_seat(FLOOR, party(), at("20:15"), set(), rules) is False


@pytest.mark.parametrize(("spare", "possible"), [(1, False), (2, True)])
def test_tables_together_leave_as_many_seats_empty_as_may_be(spare: int, possible: bool) -> None:
    on = floor(table("A4", 4), table("B4", 4), adjacent=[("A4", "B4")])
    assert could_seat(on, party(6), MORNING, set(), PlanningRules(max_spare_seats=spare)) is possible


def test_a_party_that_is_there_already_needs_its_tables_from_the_decision_on() -> None:
    later = FROM + timedelta(minutes=5)
    assert flaws(FLOOR, party(), ["B4"], later, UNTIL) == ["kept_too_short"]
    assert flaws(FLOOR, party(), ["B4"], later, UNTIL, later) == []
    assert flaws(FLOOR, party(), ["B4"], later, UNTIL, FROM - timedelta(minutes=5)) == ["kept_too_short"]


@pytest.mark.parametrize("timezone", ["Europe/London", "America/New_York", "Australia/Lord_Howe"])
def test_the_window_is_v3s_window(timezone: str) -> None:
    """Two implementations of one rule, on every quarter of an hour around both clock changes."""
    (lunch, dinner) = FLOOR.services
    late = replace(dinner, key="late", starts=time(23), ends=time(3), allow_overrun=True, weekdays=frozenset({4, 5, 6}))
    late = replace(late, late_minutes=45)
    on = replace(
        FLOOR,
        services=(replace(lunch, early_minutes=15), replace(dinner, early_minutes=120, buffer_before_minutes=5), late),
        timezone=timezone,
    )
    earlier = replace(on, stored_outside_minutes=120)
    for first, each in product(("2025-10-25", "2026-03-07", "2026-03-28", "2026-04-04"), (on, earlier)):
        for quarter in range(3 * 24 * 4):
            starts_at = at("00:00", first) + timedelta(minutes=15 * quarter)
            theirs = seating_window(each, starts_at=starts_at, party=quarter % 9 + 1)
            ours = window(each, Party(covers=quarter % 9 + 1, starts_at=starts_at))
            expected = (theirs.blocked_from, theirs.blocked_until) if isinstance(theirs, SeatingWindow) else None
            assert ours == expected, starts_at


def random_evening(source: Random) -> tuple[Floor, list[Occupied]]:
    day, _requests = real_day()
    refs = [each.ref for each in day.tables]
    busy = source.sample(refs, source.randrange(len(refs)))
    starts_at = at("18:00", "2025-11-08", day)
    return day, [
        Occupied(
            table_ref=ref, blocked_from=starts_at, blocked_until=starts_at + timedelta(hours=4), booking_ref="other"
        )
        for ref in busy
    ]


@pytest.mark.parametrize("seed", range(200))
def test_v3_has_no_flaw_wastes_no_table_and_refuses_nobody_who_could_be_seated(seed: int) -> None:
    source = Random(seed)
    on, occupied = random_evening(source)
    zones = [None, None, *sorted({each.zone_ref for each in on.tables if each.zone_ref})]
    request = replace(
        ask(party=source.randint(1, 14)), starts_at=at("19:00", "2025-11-08", on), zone_ref=source.choice(zones)
    )
    decision = plan(snapshot(on, request, *occupied))
    who = Party(covers=request.party, starts_at=request.starts_at, zone_ref=request.zone_ref)
    taken = {each.table_ref for each in occupied}
    if decision.best is None:
        assert decision.refusal is not None
        assert could_seat(on, who, MORNING, taken, RULES) is False, decision.refusal
        assert decision.refusal.reason in {Reason.NO_CAPACITY, Reason.NO_FIT, Reason.PARTY_TOO_LARGE}
        return
    assert decision.window is not None
    tables = decision.best.table_refs
    assert flaws(on, who, tables, decision.window.blocked_from, decision.window.blocked_until) == []
    assert could_seat(on, who, MORNING, taken, RULES) is True
    if len(tables) > 1:
        assert has_better_table(on, who, tables, taken, RULES) is False


@pytest.mark.parametrize(("tables", "unmet"), [(["T1"], 1), (["T2"], 2), (["T3"], 0), (["T1", "T3"], 1)])
def test_a_wish_is_met_by_tables_that_all_have_it(tables: list[str], unmet: int) -> None:
    features = {"T1": {"window"}, "T2": set[str](), "T3": {"window", "quiet"}}
    where = floor(*(replace(table(ref, 4), features=frozenset(has)) for ref, has in features.items()))
    assert unmet_wishes(snapshot(where, replace(ask(), wishes=frozenset({"window", "quiet"}))), tables) == unmet
