"""What each strategy says of tables, worked out by hand for one small floor."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.floor import Floor
from assignments.planning.ranking import needed, rank
from assignments.planning.request import SeatingRequest
from assignments.planning.scoring import IDLE_HORIZON_SECONDS, STRATEGIES, Circumstances, circumstances_of
from assignments.planning.snapshot import PlanningRules
from assignments.planning.units import Unit, bits_of, seatable_units, table_bits
from tests.assignments.planning.restaurant import floor, table

FLOOR = floor(
    replace(table("A2", 2), priority=-3, features=frozenset({"window"})),
    table("B2", 2),
    replace(table("C4", 4), priority=5),
    replace(table("D4", 4, "Bar"), priority=1, features=frozenset({"quiet", "window"})),
    adjacent=[("A2", "B2"), ("B2", "C4")],
)
UNITS = {"+".join(unit.table_refs): unit for unit in seatable_units(FLOOR)}
BITS = table_bits(FLOOR)


def circumstances_on(on: Floor) -> Circumstances:
    """A party of three comes. C4 is taken, and A2 has been for an hour before and after."""
    return circumstances_of(
        on,
        party=3,
        max_spare_seats=4,
        tables=sum(table_bits(on).values()),
        free=BITS["A2"] | BITS["B2"] | BITS["D4"],
        idle_seconds={BITS["A2"]: 3600.0},
        success={"A2": 1.0, "no longer there": 0.25},
        wishes=frozenset({"quiet", "window"}),
    )


CIRCUMSTANCES = circumstances_on(FLOOR)


def by_ref(by_bit: Mapping[int, float]) -> dict[str, float]:
    return {ref: by_bit[bit] for ref, bit in BITS.items() if bit in by_bit}


def test_circumstances_are_shares_of_what_the_floor_has() -> None:
    found = circumstances_on(replace(FLOOR, restaurant_ref="r2"))
    assert by_ref(found.idleness) == {"A2": 1 / 8}  # one hour of twice four
    assert by_ref(found.choice) == {"A2": 2, "B2": 2, "C4": 1, "D4": 1}
    assert by_ref(found.zone_room) == {"A2": 2 / 3, "B2": 2 / 3, "C4": 2 / 3, "D4": 1}
    assert by_ref(found.success) == {"A2": 1}
    # Half for free neighbours, of whom B2 has two, and half for the largest join: A2, B2 and C4 seat eight.
    assert by_ref(found.demand) == {"A2": 1 / 4 + 1 / 2, "B2": 1 / 4 + 1 / 2, "C4": 1 / 4 + 1 / 2, "D4": 4 / 8 / 2}
    assert by_ref(found.priority) == {"A2": 0, "B2": 3 / 8, "C4": 1, "D4": 4 / 8}
    below = floor(*(replace(table(ref, 4), priority=number) for ref, number in [("A", -4), ("B", -3), ("C", -2)]))
    assert list(circumstances_on(below).priority.values()) == [0, 1 / 2, 1]


@pytest.mark.parametrize(
    ("strategy", "tables", "score"),
    [
        ("optimal_fit", "A2", 1 - (-1 + 0.125) / 5),  # one hour of twice four before and after
        ("optimal_fit", "A2+B2", 1 - (1 + (0.125 + 1) / 2) / 5),
        ("optimal_fit", "D4", 1 - (1 + 1) / 5),
        ("adjacency", "A2", 1),
        ("adjacency", "A2+B2", 1 / 2),
        ("adjacency", "A2+B2+C4", 2 / 3 / 3),  # two pairs of three touch
        ("zone_preference", "A2", 2 / 3),
        ("zone_preference", "A2+B2", 2 / 3),
        ("zone_preference", "D4", 1),
        ("load_balancing", "A2", 1 / 2),
        ("load_balancing", "A2+B2", 1 / 2),
        ("load_balancing", "D4", 0),  # the last of its size
        ("historical_success", "A2", 1),
        ("historical_success", "A2+B2", (1 + 0.5) / 2),
        ("historical_success", "D4", 0.5),
        ("wishes", "A2", 1 / 2),
        ("wishes", "A2+B2", 0),
        ("wishes", "D4", 1),
        ("keep_free", "A2", 1 - (1 / 2 / 2 + 8 / 8 / 2)),  # one of at most two neighbours, and part of the largest join
        ("keep_free", "B2", 1 - (1 / 2 / 2 + 8 / 8 / 2)),  # its other neighbour is taken
        ("keep_free", "A2+B2", 1 / 4),
        ("keep_free", "D4", 1 - 4 / 8 / 2),
        ("priority", "A2", 0),
        ("priority", "A2+B2", 3 / 8 / 2),
        ("priority", "D4", 4 / 8),
    ],
)
def test_a_strategy_says_what_can_be_worked_out_by_hand(strategy: str, tables: str, score: float) -> None:
    assert STRATEGIES[strategy](UNITS[tables], CIRCUMSTANCES) == pytest.approx(score)


def test_without_wishes_and_priorities_they_do_not_count() -> None:
    plain = floor(table("A2", 2))
    circumstances = circumstances_of(plain, party=2, max_spare_seats=4, tables=1, free=1, idle_seconds={}, success={})
    (unit,) = seatable_units(plain)
    shares = {name: strategy(unit, circumstances) for name, strategy in STRATEGIES.items()}
    assert shares == {
        "optimal_fit": 1 - 1 / 5,
        "adjacency": 1,
        "zone_preference": 1,
        "load_balancing": 0,
        "historical_success": 0.5,
        "wishes": 0,
        "keep_free": 1 - 1 / 2,  # nobody can join it, but no table seats more
        "priority": 0,
    }


def test_idle_time_counts_up_to_four_hours() -> None:
    assert IDLE_HORIZON_SECONDS == 4 * 60 * 60


def test_a_join_is_needed_only_if_it_leaves_fewer_seats_empty_than_any_single_table() -> None:
    free = [UNITS[name] for name in ("C4", "D4", "A2+B2", "B2+C4")]
    assert needed(free) == [UNITS["C4"], UNITS["D4"]]
    assert needed(free[2:]) == free[2:]
    assert needed([UNITS["A2"], UNITS["C4"], UNITS["A2+B2"]]) == [UNITS["A2"], UNITS["C4"]]
    six = replace(UNITS["D4"], seats=6)
    assert needed([six, UNITS["A2+B2"], UNITS["B2+C4"]]) == [six, UNITS["A2+B2"]]


def ranked(units: list[Unit], circumstances: Circumstances, **rules: object) -> list[str]:
    return [
        "+".join(plan.table_refs)
        for _unit, plan in rank(units, circumstances, PlanningRules(**rules))  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(("most", "plans"), [(0, 1), (1, 1), (2, 2), (9, 3)])
def test_as_many_plans_are_ranked_as_asked_for_and_at_least_one(most: int, plans: int) -> None:
    units = [UNITS[name] for name in ("A2+B2", "C4", "D4")]
    assert len(ranked(units, CIRCUMSTANCES, ranked_plans=most)) == plans


def test_of_equal_scores_fewer_tables_then_the_first_places_come_first() -> None:
    units = [UNITS[name] for name in ("B2+C4", "A2+B2", "D4", "C4")]
    assert ranked(units, CIRCUMSTANCES, weights={}) == ["C4", "D4", "A2+B2", "B2+C4"]
    # They differ by noise only.
    noise = replace(CIRCUMSTANCES, priority={BITS["C4"]: 0.3, BITS["D4"]: 0.1 + 0.2})
    assert ranked(units[2:], noise, weights={"priority": 1.0}) == ["C4", "D4"]
    assert ranked(units[2:], noise, weights={"priority": 1e8}) == ["D4", "C4"]


def test_a_plan_names_the_strategy_by_which_it_leads_the_others() -> None:
    units = [UNITS["C4"], UNITS["D4"]]
    weights = {"adjacency": 50.0, "zone_preference": 3.0, "priority": 2.0}
    found = {plan.table_refs: plan for _unit, plan in rank(units, CIRCUMSTANCES, PlanningRules(weights=weights))}
    # Each has 50 for adjacency. C4 leads by 2 x 4/8 for priority, and D4 by 3 x 1/3 for its zone.
    assert {refs: plan.strategy for refs, plan in found.items()} == {("C4",): "priority", ("D4",): "zone_preference"}
    assert found["D4",].breakdown == {"adjacency": 50, "zone_preference": 3, "priority": 1}
    assert (found["D4",].score, found["C4",].score) == (54, 54)
    assert (found["D4",].spare_seats, found["D4",].unmet_wishes, found["C4",].unmet_wishes) == (
        1,
        (),
        ("quiet", "window"),
    )
    three = rank([*units, UNITS["A2+B2"]], CIRCUMSTANCES, PlanningRules(weights=weights))
    # The mean of the two others: the join is 25 behind for adjacency, 1/2 for its zone and 9/8 for priority.
    assert {plan.table_refs: plan.strategy for _unit, plan in three} == {
        ("C4",): "adjacency",
        ("D4",): "adjacency",
        ("A2", "B2"): "zone_preference",
    }
    ((_unit, alone),) = rank(units[:1], CIRCUMSTANCES, PlanningRules(weights=weights))
    assert alone.strategy == "adjacency", "nothing to compare it with"
    ((_unit, plain),) = rank(units[:1], CIRCUMSTANCES, PlanningRules(weights={}))
    assert plain.strategy == ""


def test_the_bits_of_the_tables_in_question_are_not_remembered() -> None:
    bits_of.cache_clear()
    circumstances_on(FLOOR)
    assert bits_of.cache_info().currsize == 0, "other tables are free for each party"


def test_the_units_of_a_floor_are_worked_out_once_for_fitting_and_for_scoring() -> None:
    new = replace(FLOOR, restaurant_ref="decided for the first time")
    start = datetime(2026, 3, 13, 18, tzinfo=UTC)
    misses = seatable_units.cache_info().misses
    decision = EveningPlanner(floor=new, occupied=(), now=start).decide(
        SeatingRequest(booking_ref="b1", starts_at=start, party=2)
    )
    assert decision.best is not None
    assert seatable_units.cache_info().misses == misses + 1
