"""One request, one answer: which tables, or why none."""

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from assignments.planning.engine import plan, snapshot_hash
from assignments.planning.floor import Floor, Join
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import DEFAULT_WEIGHTS, Occupied, PlanningRules
from tests.assignments.planning.restaurant import MORNING, ask, at, floor, real_day, snapshot, table, taken

JOINABLE = [("A4", "B4")]
MIXED = floor(table("A4", 4), table("B4", 4), table("C8", 8), adjacent=JOINABLE)


def best(on: Floor, request: SeatingRequest, *occupied: Occupied, **rest: Any) -> tuple[str, ...]:
    decision = plan(snapshot(on, request, *occupied, **rest))
    assert decision.best is not None, decision.refusal
    return decision.best.table_refs


def reason(on: Floor, request: SeatingRequest, *occupied: Occupied, **rest: Any) -> Reason:
    decision = plan(snapshot(on, request, *occupied, **rest))
    assert decision.refusal is not None, decision.best
    assert decision.plans == ()
    return decision.refusal.reason


def detail(on: Floor, request: SeatingRequest, *occupied: Occupied, **rest: Any) -> str:
    decision = plan(snapshot(on, request, *occupied, **rest))
    assert decision.refusal is not None, decision.best
    return decision.refusal.detail


# What is chosen


@pytest.mark.parametrize(("party", "expected"), [(1, "A2"), (2, "A2"), (3, "B4"), (4, "B4"), (5, "C6"), (6, "C6")])
def test_a_party_gets_the_table_with_the_fewest_spare_seats(party: int, expected: str) -> None:
    assert best(floor(table("A2", 2), table("B4", 4), table("C6", 6)), ask(party=party)) == (expected,)


@pytest.mark.parametrize(
    "weights", [DEFAULT_WEIGHTS, {"load_balancing": 100.0}, {"zone_preference": 100.0}, {"historical_success": 9.0}]
)
def test_one_eight_top_goes_before_two_joined_four_tops_whatever_the_weights(weights: dict[str, float]) -> None:
    rules = PlanningRules(weights=weights)
    assert best(MIXED, ask(party=8), rules=rules, success={"C8": 0.0, "A4": 1.0, "B4": 1.0}) == ("C8",)


def test_two_four_tops_are_joined_when_the_eight_top_is_taken() -> None:
    assert best(MIXED, ask(party=8), taken("C8", "17:00", "19:00")) == ("A4", "B4")


def test_a_join_with_fewer_spare_seats_may_go_before_a_larger_table() -> None:
    on = floor(table("A2", 2), table("B4", 4), table("C8", 8), adjacent=[("A2", "B4")])
    assert best(on, ask(party=6)) == ("A2", "B4")


def test_no_table_is_joined_that_the_party_does_not_need() -> None:
    on = floor(table("A2", 2), table("B2", 2), table("C4", 4), adjacent=[("A2", "B2"), ("B2", "C4")])
    decision = plan(snapshot(on, ask(party=2)))
    assert [each.table_refs for each in decision.plans] == [("A2",), ("B2",), ("C4",)]
    assert decision.rejected[Reason.MORE_TABLES_THAN_NEEDED] == 2


def test_the_last_free_table_of_a_size_is_kept_for_who_needs_it() -> None:
    on = floor(table("A5", 5), table("B6", 6), table("C6", 6), table("D6", 6))
    only_scarcity = PlanningRules(weights={"load_balancing": 1.0})
    assert best(on, ask(party=4), rules=only_scarcity) == ("B6",)
    assert best(
        on, ask(party=4), taken("B6", "17:00", "20:00"), taken("C6", "17:00", "20:00"), rules=only_scarcity
    ) == ("A5",)


def test_among_equal_tables_the_one_between_two_parties_is_taken() -> None:
    on = floor(table("A4", 4), table("B4", 4), table("C4", 4))
    around = [taken("C4", "17:00", "18:25"), taken("C4", "19:55", "21:00"), taken("B4", "17:00", "17:30")]
    assert best(on, ask(party=4, start="18:30"), *around) == ("C4",)


def test_a_spare_seat_counts_more_than_idle_time() -> None:
    on = floor(table("A4", 4), table("B5", 5))
    around = [taken("B5", "17:00", "18:30"), taken("B5", "19:50", "21:00")]
    rules = PlanningRules(weights={"optimal_fit": 1.0})
    assert best(on, ask(party=4, start="18:30"), *around, rules=rules) == ("A4",)


def test_without_a_wish_the_zone_with_more_room_is_preferred() -> None:
    on = floor(*[table(ref, 4, ref[0]) for ref in ("A1", "A2", "A3", "B1", "B2", "B3")])
    assert best(on, ask(party=4), taken("A2", "17:00", "20:00")) == ("B1",)


def test_tables_whose_seatings_were_kept_are_preferred() -> None:
    on = floor(table("A4", 4), table("B4", 4))
    assert best(on, ask(party=4), success={"A4": 0.2, "B4": 0.9}) == ("B4",)
    assert best(on, ask(party=4), success={"A4": 0.4}) == ("B4",)


def test_equal_tables_go_by_ref() -> None:
    on = floor(table("B4", 4), table("A4", 4), table("C4", 4))
    assert [each.table_refs for each in plan(snapshot(on, ask(party=4))).plans] == [("A4",), ("B4",), ("C4",)]


def test_a_zone_is_a_lock() -> None:
    on = floor(table("A4", 4, "Hall"), table("B8", 8, "Terrace"))
    assert best(on, ask(party=4)) == ("A4",)
    assert best(on, ask(party=4, zone="Terrace")) == ("B8",)
    assert reason(on, ask(party=4, zone="Hall"), taken("A4", "17:00", "20:00")) is Reason.NO_CAPACITY


def test_a_listed_join_seats_what_the_host_says() -> None:
    round_tables = floor(
        table("A4", 4), table("B4", 4), joins=[Join(table_refs=frozenset({"A4", "B4"}), seats=6)], adjacent=JOINABLE
    )
    assert best(round_tables, ask(party=6)) == ("A4", "B4")
    assert reason(round_tables, ask(party=7)) is Reason.PARTY_TOO_LARGE


def test_a_table_out_of_service_is_not_chosen() -> None:
    on = floor(table("A4", 4, active=False), table("B6", 6))
    assert best(on, ask(party=4)) == ("B6",)


@pytest.mark.parametrize(("until", "expected"), [("17:55", ("A2",)), ("18:00", ("A2",)), ("18:01", ("B4",))])
def test_a_table_may_be_taken_again_at_the_moment_it_is_free(until: str, expected: tuple[str, ...]) -> None:
    assert best(floor(table("A2", 2), table("B4", 4)), ask(), taken("A2", "17:00", until)) == expected


@pytest.mark.parametrize(("next_guest", "is_free"), [("19:05", True), ("19:04", False)])
def test_five_minutes_between_two_parties_are_enough_and_four_are_not(next_guest: str, is_free: bool) -> None:
    decision = plan(snapshot(floor(table("A2", 2)), ask(), taken("A2", next_guest, "21:00")))
    assert (decision.best is not None) is is_free


# What a plan tells


def test_a_plan_shows_where_its_score_comes_from() -> None:
    decision = plan(snapshot(MIXED, ask(party=3), taken("A4", "17:00", "17:30")))
    first, second = decision.plans
    assert set(first.breakdown) == set(DEFAULT_WEIGHTS)
    assert sum(first.breakdown.values()) == pytest.approx(first.score)
    assert all(0 <= share <= DEFAULT_WEIGHTS[name] for name, share in first.breakdown.items())
    assert first.score > second.score
    assert (first.table_refs, first.seats, first.spare_seats, first.zone_ref) == (("A4",), 4, 1, "Hall")
    assert first.strategy == "optimal_fit"


def test_every_set_of_tables_is_ranked_or_rejected_with_a_reason() -> None:
    on, _requests = real_day()
    rules = PlanningRules(ranked_plans=1000)
    at_seven = ask(party=6, start="19:00", zone="Dining 1")
    decision = plan(snapshot(on, at_seven, taken("D1-T01", "18:00", "20:00"), rules=rules))
    assert decision.considered == 184
    assert len(decision.plans) + sum(decision.rejected.values()) == 184
    assert set(decision.rejected) == {
        Reason.WRONG_ZONE,
        Reason.TOO_FEW_SEATS,
        Reason.TOO_MANY_SPARE_SEATS,
        Reason.MORE_TABLES_THAN_NEEDED,
        Reason.TABLE_TAKEN,
    }


def test_no_more_plans_are_ranked_than_asked_for() -> None:
    on, _requests = real_day()
    assert len(plan(snapshot(on, ask(party=4), rules=PlanningRules(ranked_plans=3))).plans) == 3
    assert len(plan(snapshot(on, ask(party=4))).plans) == 5, "by default"


def test_weights_must_be_those_of_known_strategies() -> None:
    with pytest.raises(ValueError, match=r"optimal_fitt.*optimal_fit, adjacency"):
        plan(snapshot(MIXED, ask(), rules=PlanningRules(weights={"optimal_fitt": 1.0})))
    for weight in (-1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"adjacency must be 0 or more, not {weight}"):
            plan(snapshot(MIXED, ask(), rules=PlanningRules(weights={"adjacency": weight})))


# Why there is none


@pytest.mark.parametrize("party", [0, -1, 2.5, None, "4"])
def test_a_party_that_is_no_number_of_covers_is_invalid(party: object) -> None:
    request = replace(ask(), party=party)  # type: ignore[arg-type]
    assert reason(MIXED, request) is Reason.INVALID_PARTY
    named = repr(party) if isinstance(party, int) else type(party).__name__  # What is no number may be a name.
    assert named in detail(MIXED, request)


@pytest.mark.parametrize("party", [13, 999, 10_000])
def test_a_party_larger_than_any_table_or_join_is_too_large(party: int) -> None:
    assert reason(MIXED, ask(party=party)) is Reason.PARTY_TOO_LARGE
    assert str(party) in detail(MIXED, ask(party=party))


@pytest.mark.parametrize(("party", "is_seated"), [(7, True), (8, True), (9, False)])
def test_a_party_may_be_as_large_as_the_largest_that_is_taken(party: int, is_seated: bool) -> None:
    on = floor(table("A12", 12))
    decision = plan(snapshot(on, ask(party=party), rules=PlanningRules(max_party=8, max_spare_seats=9)))
    assert (decision.best is not None) is is_seated


@pytest.mark.parametrize(
    ("request_", "is_hard", "is_invalid"),
    [
        (ask(party=0), False, True),
        (ask(party=8, start="03:00"), False, True),
        (ask(party=99), True, False),
        (ask(party=2, pins=("gone",)), True, False),
    ],
)
def test_what_is_wrong_in_itself_is_invalid_and_what_never_fits_is_hard(
    request_: SeatingRequest, is_hard: bool, is_invalid: bool
) -> None:
    refusal = plan(snapshot(MIXED, request_)).refusal
    assert refusal is not None
    assert (refusal.is_hard, refusal.is_invalid) == (is_hard, is_invalid)


def test_a_naive_start_is_invalid() -> None:
    naive = replace(ask(), starts_at=at("18:00").replace(tzinfo=None))
    assert detail(MIXED, naive) == "The start 2025-11-06T18:00:00 has no time zone."
    assert reason(MIXED, replace(ask(), starts_at=at("18:00").replace(tzinfo=None))) is Reason.INVALID_START


def test_a_start_in_the_past_is_invalid() -> None:
    assert reason(MIXED, ask(), now=at("18:01")) is Reason.STARTS_IN_PAST
    assert best(MIXED, ask(), now=at("18:00")) == ("A4",)


@pytest.mark.parametrize(("now", "is_seated"), [("18:15", True), ("18:16", False)])
def test_a_start_within_the_grace_counts_as_now(now: str, is_seated: bool) -> None:
    decision = plan(snapshot(MIXED, ask(), now=at(now), rules=PlanningRules(grace_minutes=15)))
    assert (decision.best is not None) is is_seated
    promised = plan(snapshot(MIXED, ask(), now=at("17:00"))).window
    if decision.window is not None:
        assert promised is not None
        assert decision.window == replace(promised, blocked_from=at(now))


def test_a_stay_that_is_over_is_not_seated_whatever_the_grace() -> None:
    short = replace(ask(), ends_at=at("18:10"))
    decision = plan(snapshot(MIXED, short, now=at("18:10"), rules=PlanningRules(grace_minutes=15)))
    assert decision.refusal is not None
    assert decision.refusal.reason is Reason.STARTS_IN_PAST


def test_a_start_within_the_grace_needs_the_lead_time_unless_staff_ask() -> None:
    rules = PlanningRules(grace_minutes=15, min_lead_minutes=30)
    refused = plan(snapshot(MIXED, ask(), now=at("18:05"), rules=rules))
    assert refused.refusal is not None
    assert refused.refusal.reason is Reason.START_TOO_NEAR
    assert plan(snapshot(MIXED, ask(), now=at("18:05"), rules=rules.by_staff())).best is not None


def test_a_grace_changes_the_digest_and_none_leaves_it_as_it_was() -> None:
    without, with_it = (snapshot(MIXED, ask(), rules=PlanningRules(grace_minutes=minutes)) for minutes in (0, 15))
    assert snapshot_hash(without) == snapshot_hash(snapshot(MIXED, ask(), rules=PlanningRules()))
    assert snapshot_hash(without) != snapshot_hash(with_it)


@pytest.mark.parametrize(("now", "is_too_near"), [("17:31", True), ("17:30", False)])
def test_a_start_within_the_lead_time_is_too_near(now: str, is_too_near: bool) -> None:
    decision = plan(snapshot(MIXED, ask(), now=at(now), rules=PlanningRules(min_lead_minutes=30)))
    if is_too_near:
        assert decision.refusal is not None
        assert decision.refusal.detail == "It starts in 29 minutes; planning needs 30."
    assert (decision.refusal is not None and decision.refusal.reason is Reason.START_TOO_NEAR) is is_too_near


@pytest.mark.parametrize("on", [floor(), floor(table("A4", 4, active=False))])
def test_a_floor_without_a_table_in_service_seats_nobody(on: Floor) -> None:
    assert reason(on, ask()) is Reason.NO_TABLES


@pytest.mark.parametrize(
    ("on", "request_", "words"),
    [
        (floor(table("A8", 8)), ask(party=3), ["Party of 3", "A8", "seats 8", "4 seats may stay empty"]),
        (floor(table("A4", 4, min_party=3)), ask(party=2), ["Party of 2", "A4", "3 to 4"]),
        (floor(table("A4", 4, max_party=3)), ask(party=4), ["Party of 4", "A4", "1 to 3"]),
        (MIXED, ask(party=2, zone="Roof"), ["zone Roof", "no table in service"]),
        (
            floor(table("A4", 4, "Terrace"), table("B4", 4, "Terrace"), table("C9", 9), adjacent=JOINABLE),
            ask(party=9, zone="Terrace"),
            ["Party of 9: the largest join in zone Terrace seats 8."],
        ),
    ],
)
def test_what_no_table_could_ever_fit_is_refused_for_good(
    on: Floor, request_: SeatingRequest, words: list[str]
) -> None:
    decision = plan(snapshot(on, request_))
    assert decision.refusal is not None
    assert decision.refusal.reason is Reason.NO_FIT
    assert decision.refusal.is_hard
    assert all(word in decision.refusal.detail for word in words), decision.refusal.detail
    assert sum(decision.rejected.values()) == decision.considered > 0


def test_when_all_that_fits_is_taken_it_may_be_tried_again() -> None:
    decision = plan(snapshot(floor(table("A4", 4)), ask(party=4), taken("A4", "17:00", "18:10")))
    assert decision.refusal is not None
    assert decision.refusal.reason is Reason.NO_CAPACITY
    assert not decision.refusal.is_hard
    assert decision.rejected == {Reason.TABLE_TAKEN: 1}


# Pinned tables


def test_a_pinned_party_sits_at_its_tables_or_nowhere() -> None:
    pinned = ask(party=2, pins=("B4",))
    assert best(MIXED, pinned) == ("B4",)
    assert plan(snapshot(MIXED, pinned)).considered == 1
    assert reason(MIXED, pinned, taken("B4", "17:00", "20:00")) is Reason.PINNED_TABLES_TAKEN
    assert "B4" in detail(MIXED, pinned, taken("B4", "17:00", "20:00"))


def test_more_tables_than_needed_may_be_pinned() -> None:
    assert best(MIXED, ask(party=4, pins=("B4", "A4"))) == ("A4", "B4")


@pytest.mark.parametrize("pins", [("A4", "C8"), ("gone",), ("A4",)])
def test_tables_that_could_never_seat_the_party_cannot_be_pinned(pins: tuple[str, ...]) -> None:
    assert reason(MIXED, ask(party=8, pins=pins)) is Reason.PINNED_TABLES_UNFIT


# The same snapshot, the same answer


def test_the_order_of_what_is_given_changes_nothing() -> None:
    on, requests = real_day()
    occupied = [taken(each.ref, f"{17 + n % 3}:00", f"{18 + n % 3}:30") for n, each in enumerate(on.tables)]
    request = replace(requests[60], starts_at=at("19:10"))
    expected = plan(snapshot(on, request, *occupied))
    for seed in range(5):
        tables, shuffled = list(on.tables), occupied[:]
        Random(seed).shuffle(tables)
        Random(seed).shuffle(shuffled)
        assert plan(snapshot(replace(on, tables=tuple(tables)), request, *shuffled)) == expected


def test_the_hash_changes_with_whatever_a_decision_depends_on() -> None:
    base = snapshot(MIXED, ask(), taken("A4", "17:00", "18:00"))
    others = [
        replace(base, floor=floor(table("A4", 4))),
        replace(base, occupied=()),
        replace(base, occupied=(*base.occupied, *base.occupied)),
        replace(base, occupied=(taken("A4", "17:00", "18:01"),)),
        replace(base, request=ask(party=3)),
        replace(base, request=ask(pins=("A4",))),
        replace(base, now=MORNING + timedelta(seconds=1)),
        replace(base, rules=PlanningRules(max_spare_seats=2)),
        replace(base, rules=PlanningRules(weights={"optimal_fit": 1.0})),
        replace(base, success={"A4": 0.5}),
    ]
    assert len({snapshot_hash(each) for each in [base, *others]}) == 11
    assert plan(base).snapshot_hash == snapshot_hash(base)
