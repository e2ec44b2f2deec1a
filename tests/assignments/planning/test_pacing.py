"""Pacing: how many guests may come within an interval and be there at once, as V3 and the audit read it."""

import itertools
import random
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.engine import judge, plan, snapshot_hash
from assignments.planning.floor import CalendarEntry, Floor, InvalidFloorError, Pacing
from assignments.planning.pacing import Ceiling, Pace, limits_on
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import Occupied, PlanningRules, occupied_by
from assignments.planning.text import gettext as _
from assignments.testing import a_floor, a_service, a_table
from rollout.policy.seating_audit import Flaw, could_be_seated, flaws_of
from tests.assignments.planning.restaurant import DINNER, MORNING, ask, at, floor, snapshot, table

RULES = PlanningRules()
TABLES = [table(f"T{number}", 4) for number in range(1, 9)]


def paced(**limits: Any) -> Floor:
    return replace(floor(*TABLES), pacing=(Pacing(**limits),))


def guests(ref: str, start: str, until: str, party: int, *tables: str) -> list[Occupied]:
    rows = [
        Occupied(table_ref=each, blocked_from=at(start), blocked_until=at(until), booking_ref=ref) for each in tables
    ]
    return [replace(row, party=party, starts_at=at(start), ends_at=at(until)) for row in rows]


def test_refuses_covers_beyond_the_interval_and_names_the_nearest_times() -> None:
    on = paced(most_covers=8)
    taken = guests("a", "19:00", "20:30", 4, "T1") + guests("b", "19:14", "20:30", 3, "T2")
    decision = plan(snapshot(on, ask(party=2, start="19:05"), *taken))
    refusal = decision.refusal
    assert refusal is not None
    assert refusal.reason is Reason.PACING
    assert not refusal.is_hard
    assert "at most 8 covers may come from 19:00 to 19:15; 7 do already" in refusal.detail
    assert "The nearest possible times are 18:50 and 19:20." in refusal.detail
    assert plan(snapshot(on, ask(party=1, start="19:05"), *taken)).best
    assert plan(snapshot(on, ask(party=2, start="19:15"), *taken)).best, "the next interval begins here"


def test_nearest_times_have_tables_and_are_paced_themselves() -> None:
    on = paced(most_parties=1)
    taken = guests("a", "19:00", "20:30", 4, "T1") + guests("b", "19:15", "20:30", 4, "T2")
    # From 18:00 to 19:00 nothing is free before.
    taken += guests("c", "17:30", "18:50", 4, *(each.ref for each in TABLES))
    refusal = plan(snapshot(on, ask(party=2, start="19:00"), *taken)).refusal
    assert refusal is not None
    assert refusal.detail == (
        "Party of 2: at most 1 parties may come from 19:00 to 19:15; 1 do already. The nearest possible time is 19:30."
    )


def test_counts_a_party_at_two_tables_once_and_not_the_one_that_asks() -> None:
    on = paced(most_covers=8, most_parties=2)
    joined = guests("a", "19:00", "20:30", 6, "T1", "T2")
    assert plan(snapshot(on, ask(party=2, start="19:00"), *joined)).best
    own = guests("b1", "19:00", "20:30", 6, "T1", "T2")
    assert plan(snapshot(on, ask("b1", party=2, start="19:00"), *joined, *own)).best


def test_counts_a_party_that_asks_for_another_time_at_both_until_it_is_settled() -> None:
    on = paced(most_covers=5)
    had = guests("a", "19:00", "20:30", 4, "T1")
    asked = [replace(row, is_wish=True) for row in guests("a", "20:00", "21:30", 4, "T1")]
    both = had + asked
    for start, may_come in [("19:00", False), ("19:30", True), ("20:00", False)]:
        one = snapshot(on, ask(party=2, start=start), *both)
        decision = plan(one)
        assert bool(decision.best) is may_come
        assert could_be_seated(one) is may_come
        assert bool(judge(one, ["T2"])) is not may_come
    again = snapshot(paced(most_present=6), ask(party=2, start="20:10"), *both)
    assert plan(again).best, "while both times overlap it is there once"
    assert could_be_seated(again)
    granted = snapshot(on, ask(party=2, start="19:00"), *had, *guests("a", "20:00", "21:30", 4, "T1"))
    assert snapshot_hash(granted) != snapshot_hash(snapshot(on, ask(party=2, start="19:00"), *both))


def test_limits_covers_that_are_there_at_once() -> None:
    on = paced(most_present=8)
    taken = guests("a", "18:30", "19:30", 4, "T1") + guests("b", "19:40", "21:00", 4, "T2")
    assert plan(snapshot(on, ask(party=4, start="18:00"), *taken)).best, "it leaves before b comes"
    assert plan(snapshot(on, ask(party=4, start="19:00"), *taken)).best, "a and b are never there together"
    as_it_leaves = guests("d", "20:15", "21:00", 1, "T3")
    assert plan(snapshot(on, ask(party=4, start="19:00"), *taken, *as_it_leaves)).best
    refusal = plan(snapshot(on, ask(party=4, start="19:00"), *taken, *guests("c", "19:45", "21:00", 1, "T3"))).refusal
    assert refusal is not None
    assert refusal.reason is Reason.PACING
    assert "at most 8 covers may be there at once, and 5 are" in refusal.detail


def test_a_batch_is_paced_by_its_own_decisions_in_the_order_of_requests() -> None:
    on = paced(most_parties=2)
    evening = EveningPlanner(floor=on, occupied=(), rules=RULES, now=MORNING)
    decisions = [evening.decide(ask(f"b{number}", party=2, start="19:00")) for number in range(4)]
    assert [bool(each.best) for each in decisions] == [True, True, False, False]
    seated = [each for each in decisions if each.best and each.window]
    occupied = [
        row
        for each in seated
        if each.best and each.window
        for row in occupied_by(each.booking_ref, each.best.table_refs, each.window, party=2)
    ]
    assert decisions[2].snapshot_hash == snapshot_hash(snapshot(on, ask("b2", party=2, start="19:00"), *occupied))


def test_staff_hear_of_it_and_a_promise_stays() -> None:
    on = paced(most_covers=4)
    taken = guests("a", "19:00", "20:30", 4, "T1")
    asked = snapshot(on, ask(party=2, start="19:00"), *taken)
    assert [each.reason for each in judge(asked, ["T2"])] == [Reason.PACING]
    promised = replace(asked, request=replace(asked.request, promised_party=2))
    assert judge(promised, ["T2"]) == ()
    grown = replace(promised, request=replace(promised.request, party=3))
    assert [each.reason for each in judge(grown, ["T2"])] == [Reason.PACING]
    unpaced = replace(asked, rules=replace(asked.rules, is_paced=False))
    assert plan(unpaced).best
    assert len({snapshot_hash(each) for each in (asked, promised, unpaced)}) == 3


def test_the_shortest_dates_rule_then_the_named_service() -> None:
    christmas = date(2025, 12, 24)
    always = Pacing(most_covers=10)
    dinner = Pacing(most_covers=20, service_key="dinner")
    december = Pacing(most_covers=30, first_date=date(2025, 12, 1), last_date=date(2025, 12, 31))
    that_day = Pacing(most_covers=40, first_date=christmas, last_date=christmas)
    on = replace(floor(*TABLES), pacing=(december, always, that_day, dinner))
    assert limits_on(on, "lunch", date(2025, 11, 6)) == always
    assert limits_on(on, "dinner", date(2025, 11, 6)) == dinner
    assert limits_on(on, "dinner", date(2025, 12, 2)) == december
    assert limits_on(on, "dinner", christmas) == that_day
    fridays = Pacing(most_covers=1, weekdays=frozenset({4}))
    assert limits_on(replace(on, pacing=(fridays,)), "dinner", date(2025, 11, 6)) is None


def test_a_floor_without_pacing_keeps_its_version_and_a_paced_one_has_its_own() -> None:
    plain = floor(*TABLES)
    versions = {plain.version, paced(most_covers=8).version, paced(most_covers=9).version}
    assert len(versions) == 3
    assert replace(plain, pacing=()).version == plain.version
    both = (Pacing(most_covers=8), Pacing(most_covers=9, service_key="dinner"))
    assert replace(plain, pacing=both).version == replace(plain, pacing=both[::-1]).version


@pytest.mark.parametrize(
    "wrong",
    [
        Pacing(interval_minutes=0),
        Pacing(interval_minutes=241),
        Pacing(most_covers=-1),
        Pacing(first_date=date(2025, 2, 2), last_date=date(2025, 2, 1)),
    ],
)
def test_a_floor_refuses_impossible_pacing(wrong: Pacing) -> None:
    with pytest.raises(InvalidFloorError, match="pacing"):
        replace(floor(*TABLES), pacing=(wrong,))


def test_the_audit_agrees_on_random_evenings() -> None:
    """The audit shares no code with V3. Whatever V3 decides is without flaw, and what pacing refuses could not be seated."""
    dice = random.Random(18)
    late = CalendarEntry(first_date=date(2025, 11, 6), last_date=date(2025, 11, 6), services=(replace(DINNER),))
    refused = 0
    for _evening in range(150):
        limits: dict[str, Any] = {name: dice.choice([None, 4, 8, 12]) for name in ("most_covers", "most_present")}
        rules = [
            Pacing(
                interval_minutes=dice.choice([10, 15, 30]),
                most_parties=dice.choice([None, 1, 2]),
                service_key=dice.choice([None, "dinner", "lunch"]),
                first_date=dice.choice([None, date(2025, 11, 1)]),
                last_date=dice.choice([None, date(2025, 11, 8)]),
                **limits,
            )
            for _rule in range(dice.randint(1, 3))
        ]
        on = replace(floor(*TABLES), pacing=tuple(rules), calendar=dice.choice([(), (late,)]))
        taken: list[Occupied] = []
        for number in range(5):
            start = at("18:00") + timedelta(minutes=5 * dice.randint(0, 20))
            end = start + timedelta(minutes=dice.choice([30, 90]))
            row = Occupied(
                table_ref=f"T{number + 1}", blocked_from=start, blocked_until=end, booking_ref=f"g{number % 4}"
            )
            taken.append(replace(row, party=dice.randint(1, 4), starts_at=start, ends_at=end))
        minutes = 5 * dice.randint(0, 20)
        request = replace(ask(party=dice.randint(1, 4)), starts_at=at("18:00") + timedelta(minutes=minutes))
        asked = snapshot(on, request, *taken)
        decision = plan(asked)
        assert flaws_of(asked, decision) == []
        if decision.refusal is None:
            continue
        assert not could_be_seated(asked), decision.refusal.detail
        if decision.refusal.reason is Reason.PACING:
            refused += 1
            anyway = plan(replace(asked, rules=replace(asked.rules, is_paced=False)))
            assert flaws_of(asked, anyway) in ([Flaw.PACING], [])
            if anyway.best:
                assert flaws_of(asked, anyway) == [Flaw.PACING]
    assert refused > 20


def window_of(on: Floor, request: SeatingRequest) -> SeatingWindow:
    window = seating_window(on, starts_at=request.starts_at, party=request.party, ends_at=request.ends_at)
    assert isinstance(window, SeatingWindow)
    return window


def test_ceilings_name_whom_they_bind_and_what_is_left_for_them() -> None:
    on = paced(most_covers=8, most_parties=3)
    pace = Pace(on, guests("there", "19:00", "20:00", 3, "T1", "T2"))
    four, promised, two = (
        ask("four", party=4, start="19:00"),
        replace(ask("promised", party=3, start="19:10"), promised_party=3),
        ask("two", party=2, start="19:14"),
    )
    waiting = [(each, window_of(on, each)) for each in (four, promised, two, ask("later", start="19:15"))]
    assert list(pace.ceilings(waiting, RULES)) == [
        Ceiling("four", {"four": 4}, 5, 0),
        Ceiling("two", {"four": 4, "promised": 3, "two": 2}, 5, 3),  # the promised party may come all the same
        Ceiling("four", {"four": 1}, 2, 0),
        Ceiling("two", {"four": 1, "promised": 1, "two": 1}, 2, 1),
        Ceiling("later", {"later": 2}, 8, 0),
        Ceiling("later", {"later": 1}, 3, 0),
    ]
    assert list(pace.ceilings([waiting[0], waiting[2]], RULES)) == [
        Ceiling("two", {"four": 4, "two": 2}, 5, 0),  # the last one's says it for both
        Ceiling("two", {"four": 1, "two": 1}, 2, 0),
    ]
    full = Pace(on, guests("there", "19:00", "20:00", 9, "T1"))
    assert list(full.ceilings(waiting[:1], RULES)) == [
        Ceiling("four", {"four": 4}, -1, 1),  # nobody has to leave
        Ceiling("four", {"four": 1}, 2, 0),
    ]
    assert list(pace.ceilings(waiting[1:2], RULES)) == []


def test_whoever_leaves_as_a_promised_party_comes_is_not_there_with_it() -> None:
    on = paced(most_present=5)
    leaving, coming = ask("leaving", party=4, start="18:00"), ask("coming", party=3, start="19:15")
    waiting = [(each, window_of(on, each)) for each in (leaving, replace(coming, promised_party=3))]
    assert list(Pace(on).ceilings(waiting, RULES)) == [Ceiling("leaving", {"leaving": 4}, 5, 0)]


def clocks(on: Floor, start: str) -> list[str]:
    return [f"{each:%H:%M}" for each in Pace(on).starts_near(at(start))]


def test_other_times_are_looked_for_within_four_hours_and_within_the_service() -> None:
    dinner = replace(DINNER, starts=time(12), late_minutes=30, early_minutes=60, allow_overrun=True)
    on = replace(paced(most_covers=8, interval_minutes=120), services=(dinner,))
    assert clocks(on, "17:00") == ["15:00", "19:00", "13:00", "21:00"]
    assert clocks(on, "13:00") == ["11:00", "15:00", "17:00"]  # the first early minute is one
    assert clocks(on, "20:30") == ["18:30", "22:30", "16:30"]  # and so is the last late one
    assert clocks(on, "13:01") == ["11:01", "15:01", "17:01"]
    assert clocks(on, "20:31") == ["18:31", "16:31"]
    assert clocks(on, "12:59") == ["14:59", "16:59"]
    assert clocks(on, "03:00") == [], "nothing is served"
    assert clocks(replace(on, pacing=(Pacing(most_covers=8, service_key="lunch"),)), "17:00") == []


@pytest.mark.parametrize(
    ("possible", "said"),
    [
        ([], ""),
        (["18:00"], "The nearest possible time is 18:00."),
        (["20:30", "21:00"], "The nearest possible time is 20:30."),
        (["17:30", "18:00", "20:30", "21:00"], "The nearest possible times are 18:00 and 20:30."),
    ],
)
def test_the_nearest_possible_times_are_named(possible: list[str], said: str) -> None:
    refusal = Refusal(Reason.PACING, _("Too many."))
    times = [at(clock) for clock in possible]
    pace = Pace(paced(most_covers=8, interval_minutes=30))
    assert pace.with_nearest(refusal, at("19:00"), times.__contains__).detail == f"Too many. {said}".strip()


def test_a_row_without_times_is_not_counted() -> None:
    row = Occupied(table_ref="T1", blocked_from=at("18:00"), blocked_until=at("20:00"), booking_ref="a", party=4)
    closed = replace(row, table_ref="T2", booking_ref=None, closed=True)
    assert plan(snapshot(paced(most_covers=2), ask(party=2, start="18:00"), row, closed)).best


def test_guests_who_have_left_do_not_count_though_their_table_is_not_free_yet() -> None:
    on = paced(most_present=4)
    (row,) = guests("a", "18:00", "19:30", 4, "T1")
    asked = ask(party=4, start="19:00")
    for end, may_come in [(at("19:00"), True), (at("19:01"), False), (None, False)]:
        assert bool(plan(snapshot(on, asked, replace(row, ends_at=end))).best) is may_come


@pytest.mark.parametrize("seed", range(40))
def test_ceilings_allow_whom_pacing_lets_come_one_after_another(seed: int) -> None:
    dice = random.Random(seed)
    limits = [
        Pacing(
            interval_minutes=30,
            most_covers=dice.choice([None, 5, 7]),
            most_parties=dice.choice([None, 2]),
            most_present=dice.choice([None, 4, 6, 9]),
            service_key=key,
        )
        for key in ("lunch", "dinner")
    ]
    on = replace(floor(*TABLES), pacing=tuple(limits))
    there = guests("a", "14:00", "17:30", 2, "T1") + guests("b", "18:30", "19:30", 3, "T2", "T3")
    waiting = []
    for number in range(6):
        start = at(dice.choice(["14:45", "18:00", "18:15", "18:30", "19:15", "19:30"]))
        party = dice.randint(1, 4)
        request = SeatingRequest(
            booking_ref=f"w{number}",
            starts_at=start,
            ends_at=start + dice.choice([45, 60, 75, 150]) * timedelta(minutes=1),
            party=party,
            promised_party=dice.choice([0, 0, party]),
        )
        waiting.append((request, window_of(on, request)))
    ceilings = list(Pace(on, there).ceilings(waiting, RULES))
    for chosen in itertools.product([False, True], repeat=len(waiting)):
        come = [each for each, comes in zip(waiting, chosen, strict=True) if comes]
        pace = Pace(on, there)
        are_let_in = True
        for request, window in come:
            are_let_in &= pace.refusal(request, window, RULES) is None
            pace.add(request.booking_ref, request.party, window.starts_at, window.ends_at)
        refs = {request.booking_ref for request, _window in come}
        kept = [_weight(each, refs) <= each.most + (0 if each.whom in refs else each.slack) for each in ceilings]
        assert all(kept) is are_let_in


def _weight(ceiling: Ceiling, refs: set[str]) -> int:
    return sum(weight for ref, weight in ceiling.counted.items() if ref in refs)


LONDON = ZoneInfo("Europe/London")
NIGHTS = {"any night": date(2026, 1, 15), "clocks go forward": date(2026, 3, 29), "clocks go back": date(2026, 10, 25)}
"""Dates of the small hours. The clocks change at one."""


def comes_at(day: date, hour: int, minute: int, *, fold: int = 0, party: int = 2) -> SeatingRequest:
    start = datetime.combine(day, time(hour, minute, fold=fold), tzinfo=LONDON).astimezone(UTC)
    return SeatingRequest(booking_ref=f"{hour}:{minute}-{fold}", starts_at=start, party=party)


def night_planner(night: date, **limits: Any) -> EveningPlanner:
    evening = night - timedelta(days=1)
    on = a_floor(
        tables=[a_table(f"T{number}") for number in range(9)],
        services=[a_service(starts=time(19), ends=time(4), allow_overrun=True)],
        pacing=[Pacing(interval_minutes=30, first_date=evening, last_date=evening, **limits)],
        timezone="Europe/London",
    )
    return EveningPlanner(floor=on, occupied=(), now=datetime.combine(evening, time(9), tzinfo=UTC))


@pytest.mark.parametrize("night", NIGHTS.values(), ids=NIGHTS)
def test_a_night_is_paced_by_the_evening_on_which_it_began(night: date) -> None:
    planner = night_planner(night, most_parties=1)
    before, after = comes_at(night - timedelta(days=1), 23, 50), comes_at(night, 0, 10)
    assert planner.decide(before).best
    assert planner.decide(after).best, "the next half hour begins at midnight"
    refusal = planner.decide(comes_at(night, 0, 29)).refusal
    assert refusal is not None
    assert "from 00:00 to 00:30" in refusal.detail
    assert "The nearest possible times are" in refusal.detail


@pytest.mark.parametrize("night", NIGHTS.values(), ids=NIGHTS)
def test_who_came_before_midnight_is_still_there_after_it(night: date) -> None:
    planner = night_planner(night, most_present=4)
    assert planner.decide(comes_at(night - timedelta(days=1), 23, 0, party=3)).best
    late = planner.decide(comes_at(night, 0, 59)).refusal
    assert late is not None
    assert late.reason is Reason.PACING
    two_hours = datetime.combine(night, time(1), tzinfo=UTC) - (
        LONDON.utcoffset(datetime.combine(night, time(0))) or timedelta()
    )
    gone = SeatingRequest(booking_ref="gone", starts_at=two_hours, party=2)
    assert planner.decide(gone).best, "two hours have passed, whatever the clock says"


def test_an_hour_that_comes_twice_is_paced_twice() -> None:
    night = NIGHTS["clocks go back"]
    planner = night_planner(night, most_parties=1)
    assert planner.decide(comes_at(night, 1, 10)).best
    assert planner.decide(comes_at(night, 1, 10, fold=1)).best
    assert planner.decide(comes_at(night, 1, 20)).best is None
    assert planner.decide(comes_at(night, 1, 20, fold=1)).best is None


def test_an_hour_that_is_left_out_is_no_interval() -> None:
    night = NIGHTS["clocks go forward"]
    planner = night_planner(night, most_parties=1)
    assert planner.decide(comes_at(night, 0, 50)).best
    assert planner.decide(comes_at(night, 2, 10)).best, "twenty minutes later"
    refusal = planner.decide(comes_at(night, 0, 40)).refusal
    assert refusal is not None
    assert "from 00:30 to 02:00" in refusal.detail
