"""A whole evening decided together: more guests sit, and nobody who sits is sent away."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import time, timedelta
from random import Random

import pytest

from assignments.planning import batch_planner, reseating
from assignments.planning.batch_planner import EveningPlanner, in_order
from assignments.planning.decision import Decision
from assignments.planning.engine import plan
from assignments.planning.floor import Floor, Join, Pacing
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.reseating import Party
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Occupied, PlanningRules, occupied_by
from assignments.planning.units import Unit
from tests.assignments.planning.feasibility import violations
from tests.assignments.planning.restaurant import (
    LUNCH,
    MORNING,
    ask,
    at,
    floor,
    minutes,
    real_day,
    snapshot,
    table,
    taken,
)

RULES = PlanningRules()


def planner(on: Floor, occupied: Sequence[Occupied] = ()) -> EveningPlanner:
    return EveningPlanner(floor=on, occupied=occupied, rules=RULES, now=MORNING)


def decided(on: Floor, requests: Sequence[SeatingRequest], *occupied: Occupied) -> Mapping[str, Decision]:
    """The final decisions, in the order given."""
    evening = planner(on, occupied)
    for request in requests:
        evening.decide(request)
    return evening.decisions


def tables(decision: Decision) -> tuple[str, ...]:
    assert decision.best is not None, decision.refusal
    return decision.best.table_refs


# The order


def test_who_asked_first_is_first() -> None:
    on = floor(table("A2", 2), table("B4", 4))
    early, late = MORNING - minutes(60), MORNING
    requests = [ask("x"), ask("c", party=2, asked=late), ask("b", party=4, start="19:00", asked=early)]
    assert [each.booking_ref for each in in_order(requests, floor=on, rules=RULES)] == ["b", "c", "x"]


def test_of_those_who_asked_together_pins_then_few_tables_then_early_starts_go_first() -> None:
    on = floor(table("A2", 2), table("B4", 4), table("C4", 4), adjacent=[("B4", "C4")])
    requests = [
        ask("joined", party=8, start="17:30"),
        ask("later", start="19:00"),
        ask("sooner", start="18:00", party=4),
        ask("same time, by ref", start="19:00"),
        ask("pinned", party=8, start="20:00", pins=("B4", "C4")),
    ]
    expected = ["pinned", "sooner", "later", "same time, by ref", "joined"]
    for seed in range(5):
        Random(seed).shuffle(requests)
        assert [each.booking_ref for each in in_order(requests, floor=on, rules=RULES)] == expected


def test_requests_that_are_wrong_in_themselves_can_be_ordered_too() -> None:
    on = floor(table("A2", 2))
    naive = replace(ask("naive"), starts_at=at("18:00").replace(tzinfo=None))
    odd = replace(ask("odd"), party="two")  # type: ignore[arg-type]
    assert len(in_order([naive, odd, ask(), ask("huge", party=10_000)], floor=on, rules=RULES)) == 4


# A batch


def test_a_batch_of_one_decides_as_plan_does() -> None:
    on, requests = real_day()
    occupied = (taken("D1-T04", "18:00", "20:00"),)
    for request in requests[::10]:
        assert planner(on, occupied).decide(request) == plan(snapshot(on, request, *occupied))


def test_later_requests_see_what_earlier_ones_took() -> None:
    decisions = decided(floor(table("A2", 2)), [ask("b1"), ask("b2"), ask("b3", start="19:05")])
    assert tables(decisions["b1"]) == tables(decisions["b3"]) == ("A2",)
    assert decisions["b2"].refusal is not None
    assert decisions["b2"].refusal.reason is Reason.NO_CAPACITY


def test_a_booking_is_decided_once() -> None:
    evening = planner(floor(table("A2", 2)))
    evening.decide(ask("b1"))
    with pytest.raises(ValueError, match="b1 has been decided"):
        evening.decide(ask("b1"))


def test_a_booking_alone_may_have_the_tables_that_it_has() -> None:
    own = Occupied(table_ref="A2", blocked_from=at("18:30"), blocked_until=at("19:30"), booking_ref="b1")
    gone = replace(own, table_ref="no longer there")
    nobodys = replace(own, blocked_from=at("20:30"), blocked_until=at("21:30"), booking_ref=None)
    evening = planner(floor(table("A2", 2)), [own, gone, nobodys])
    assert evening.decide(ask("before", start="18:00")).best is None
    assert tables(evening.decide(ask("b1", start="17:45"), own=[own, gone])) == ("A2",)
    assert evening.decide(ask("after", start="19:00")).best is None, "it has both until it is settled"
    assert tables(evening.decide(ask("b2", start="20:45"), own=[nobodys])) == ("A2",)


# Moves


HALL_AND_BAR = floor(table("B2", 2, "Bar"), table("H2", 2, "Hall"))


def test_a_party_changes_tables_so_that_another_one_can_sit() -> None:
    decisions = decided(HALL_AND_BAR, [ask("anywhere"), ask("bar", zone="Bar")])
    moved = decisions["anywhere"]
    assert tables(decisions["bar"]) == ("B2",)
    assert tables(moved) == ("H2",)
    assert moved.moved_from == ("B2",)
    assert moved.best is not None
    assert moved.best.score == pytest.approx(sum(moved.best.breakdown.values()))
    assert [each.table_refs for each in moved.plans] == [("H2",)]
    assert decisions["bar"].moved_from == ()
    assert decisions["bar"].moves == (), "nobody was confirmed"


def test_nobody_moves_any_more_once_moving_is_stopped() -> None:
    evening = planner(HALL_AND_BAR)
    evening.decide(ask("anywhere"))
    evening.stop_moving()
    assert evening.decide(ask("bar", zone="Bar")).best is None
    assert tables(evening.decide(ask("hall", zone="Hall"))) == ("H2",)


def test_moves_go_in_chains() -> None:
    on = floor(table("A2", 2, "A"), table("B4", 4, "B"), table("C7", 7, "C"))
    requests = [ask("two"), ask("four", party=4), ask("terrace", party=2, zone="A")]
    decisions = decided(on, requests)
    assert {ref: tables(decision) for ref, decision in decisions.items()} == {
        "terrace": ("A2",),
        "two": ("B4",),
        "four": ("C7",),
    }


def test_a_join_is_made_free_by_moving_those_who_sit_at_its_tables() -> None:
    on = floor(
        table("A4", 4, "Hall"),
        table("B4", 4, "Hall"),
        table("Y4", 4, "Bar"),
        table("Z4", 4, "Bar"),
        adjacent=[("A4", "B4")],
    )
    decisions = decided(on, [ask("b1", party=4), ask("b2", party=4), ask("large", party=8)])
    assert tables(decisions["large"]) == ("A4", "B4")
    assert {tables(decisions["b1"]), tables(decisions["b2"])} == {("Y4",), ("Z4",)}


def test_pinned_parties_do_not_move() -> None:
    decisions = decided(HALL_AND_BAR, [ask("pinned", pins=("B2",)), ask("bar", zone="Bar")])
    assert tables(decisions["pinned"]) == ("B2",)
    assert decisions["pinned"].considered == 1
    assert decisions["bar"].refusal is not None
    assert decisions["bar"].refusal.reason is Reason.NO_CAPACITY


def test_a_party_moves_from_the_table_that_is_pinned_for_another() -> None:
    decisions = decided(HALL_AND_BAR, [ask("anywhere"), ask("pinned", pins=("B2",))])
    assert tables(decisions["pinned"]) == ("B2",)
    assert tables(decisions["anywhere"]) == ("H2",)


def test_what_was_taken_before_the_batch_does_not_move() -> None:
    before = taken("B2", "17:00", "20:00")
    decisions = decided(HALL_AND_BAR, [ask("bar", zone="Bar")], before)
    assert decisions["bar"].best is None
    full = decided(HALL_AND_BAR, [ask("b1"), ask("bar", zone="Hall")], before)
    assert full["bar"].best is None
    assert tables(full["b1"]) == ("H2",)


def test_nobody_moves_to_a_table_that_is_taken_before_the_batch() -> None:
    on = floor(table("A2", 2, "A"), table("B2", 2, "B"))
    late = taken("B2", "18:30", "19:30")
    decisions = decided(on, [ask("b1"), ask("b2", zone="A")], late)
    assert tables(decisions["b1"]) == ("A2",)
    assert decisions["b2"].best is None


# The real day


def test_the_real_day_seats_nearly_as_many_as_can_be_proven_possible() -> None:
    on, requests = real_day()
    decisions = decided(on, in_order(requests, floor=on, rules=RULES))
    seated = [request for request in requests if decisions[request.booking_ref].best]
    assert violations(on, requests, decisions) == []
    assert len(seated) >= 75  # of at most 76; strict best fit in start order seats 66
    assert sum(request.party for request in seated) >= 238  # as many covers as best fit in start order
    refusals = [decision.refusal.reason for decision in decisions.values() if decision.refusal]
    assert refusals.count(Reason.SERVICE_OVERRUN) == 3
    assert set(refusals) == {Reason.SERVICE_OVERRUN, Reason.NO_CAPACITY}


def test_the_real_day_in_strict_start_order_seats_no_fewer_than_best_fit() -> None:
    on, requests = real_day()
    decisions = decided(on, requests)
    assert violations(on, requests, decisions) == []
    assert sum(decision.best is not None for decision in decisions.values()) >= 66


def test_shuffled_requests_get_the_same_tables() -> None:
    on, requests = real_day()
    expected = decided(on, in_order(requests, floor=on, rules=RULES))
    shuffled = requests[:]
    Random(1).shuffle(shuffled)
    again = replace(on, tables=on.tables[::-1])
    assert decided(again, in_order(shuffled, floor=again, rules=RULES)) == expected


# Any day


def random_floor(dice: Random) -> Floor:
    refs = [f"T{number:02}" for number in range(dice.randint(3, 14))]
    seats = {ref: dice.choice([2, 2, 4, 4, 4, 6, 8]) for ref in refs}
    return floor(
        *[
            table(
                ref,
                seats[ref],
                dice.choice(["Hall", "Bar", None]),
                min_party=1 if seats[ref] < 6 else dice.randint(1, 3),
                active=dice.random() > 0.1,
            )
            for ref in refs
        ],
        adjacent=[(one, other) for one in refs for other in refs if one < other and dice.random() < 0.4],
        joins=[Join(table_refs=frozenset(refs[:2]), seats=dice.randint(3, 9))],
        services=(LUNCH, replace(floor().services[1], ends=time(1), buffer_before_minutes=dice.choice([0, 10]))),
    )


def random_requests(dice: Random, on: Floor, count: int) -> list[SeatingRequest]:
    refs = [each.ref for each in on.tables]
    return [
        SeatingRequest(
            booking_ref=f"b{number:03}",
            starts_at=at("12:00") + timedelta(minutes=dice.randint(0, 800)),
            party=dice.choice([1, 2, 2, 2, 3, 4, 4, 5, 6, 8, 11]),
            zone_ref=dice.choice([None, None, None, "Hall", "Bar"]),
            requested_at=dice.choice([None, MORNING - minutes(dice.randint(0, 3))]),
            pinned_table_refs=(dice.choice(refs),) if dice.random() < 0.05 else (),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("seed", range(40))
def test_any_evening_is_feasible_and_whoever_has_a_seat_keeps_one(seed: int) -> None:
    dice = Random(seed)
    on = random_floor(dice)
    before: list[Occupied] = []
    for each in on.tables:
        start = at("12:00") + timedelta(minutes=dice.randint(0, 700))
        before.append(
            Occupied(table_ref=each.ref, blocked_from=start, blocked_until=start + minutes(dice.randint(20, 90)))
        )
    requests = random_requests(dice, on, 70)
    evening = planner(on, before)
    seated: set[str] = set()
    done: list[SeatingRequest] = []
    for request in in_order(requests, floor=on, rules=RULES):
        evening.decide(request)
        done.append(request)
        now_seated = {ref for ref, decision in evening.decisions.items() if decision.best}
        assert seated <= now_seated
        seated = now_seated
    assert violations(on, done, evening.decisions, occupied=before) == []
    assert seated
    assert all(each.moved_from != each.best.table_refs for each in evening.decisions.values() if each.best)


@pytest.mark.parametrize("seed", range(10))
def test_nobody_is_refused_who_could_have_been_seated_without_moves(seed: int) -> None:
    dice = Random(seed)
    on = random_floor(dice)
    evening = planner(on)
    blocked: list[Occupied] = []
    for request in random_requests(dice, on, 40):
        alone = plan(snapshot(on, request, *blocked))
        decision = evening.decide(request)
        assert decision.best is not None or alone.best is None
        blocked = [
            Occupied(table_ref=ref, blocked_from=each.window.blocked_from, blocked_until=each.window.blocked_until)
            for each in evening.decisions.values()
            if each.best and each.window
            for ref in each.best.table_refs
        ]


# Confirmed parties


def confirmed(ref: str, table_ref: str, start: str, until: str, party: int = 2) -> tuple[Movable, Occupied]:
    window = SeatingWindow(starts_at=at(start), ends_at=at(until), blocked_from=at(start), blocked_until=at(until))
    (taken_table,) = occupied_by(ref, (table_ref,), window)
    return Movable(booking_ref=ref, table_refs=(table_ref,), window=window, party=party), taken_table


def test_who_was_promised_tables_that_do_not_fit_stays_there_until_others_need_them() -> None:
    on = floor(table("A2", 2), table("B8", 8, "Bar"))
    mover, taken_table = confirmed("six", "A2", "18:00", "20:00", party=6)
    evening = EveningPlanner(floor=on, occupied=[taken_table], rules=RULES, now=MORNING, movable=[mover])
    assert evening.moves == {}
    two = evening.decide(ask("two", party=2))
    assert (tables(two), [move.to_table_refs for move in two.moves]) == (("A2",), [("B8",)])
    evening = EveningPlanner(floor=on, occupied=[taken_table], rules=RULES, now=MORNING, movable=[mover])
    assert tables(evening.decide(ask("seven", party=7))) == ("B8",)
    assert evening.moves == {}


def test_confirmed_parties_count_for_pacing() -> None:
    on = replace(floor(table("A2", 2), table("B4", 4)), pacing=(Pacing(most_covers=5),))
    mover, taken_table = confirmed("four", "B4", "18:00", "20:00", party=4)
    evening = EveningPlanner(floor=on, occupied=[taken_table], rules=RULES, now=MORNING, movable=[mover])
    assert evening.decide(ask("one", party=1)).best is not None
    refusal = evening.decide(ask("two", party=1)).refusal
    assert refusal is not None
    assert refusal.reason is Reason.PACING


def test_what_is_probed_names_the_confirmed_who_would_move_and_changes_nothing() -> None:
    on = floor(table("A2", 2, "A"), table("B4", 4, "B"), table("C4", 4, "C"), table("D4", 4, "C", active=False))
    mover, taken_table = confirmed("pair", "A2", "18:00", "20:00")
    evening = EveningPlanner(floor=on, occupied=[taken_table], rules=RULES, now=MORNING, movable=[mover])
    assert evening.probe(ask("two", zone="A")) == {"pair": ("B4",)}
    assert evening.probe(ask("two", zone="B")) == {}
    assert evening.probe(ask("ten", party=10)) is None
    assert evening.probe(ask("night", start="03:00")) is None
    assert evening.probe(ask("past", start="07:00")) is None
    assert evening.probe(ask("pinned", pins=("D4",))) is None
    assert tables(evening.decide(ask("batch", zone="B"))) == ("B4",)
    assert evening.probe(ask("two", zone="A")) == {"pair": ("C4",)}
    assert tables(evening.decide(ask("last", zone="C"))) == ("C4",)
    assert evening.probe(ask("two", zone="A")) is None
    assert (evening.moves, len(evening.decisions)) == ({}, 2)
    free_again = planner(floor(table("A2", 2, "A"), table("B4", 4, "B")))
    free_again.decide(ask("batch", zone=None))
    assert free_again.probe(ask("two", zone="A")) == {}, "who is moved is not confirmed"


def test_paced_times_are_not_probed() -> None:
    on = replace(floor(table("A2", 2), table("B2", 2)), pacing=(Pacing(most_parties=1),))
    evening = planner(on)
    evening.decide(ask("b1"))
    assert evening.probe(ask("b2")) is None
    assert not evening.is_full_for(ask("b2"))
    assert evening.probe(ask("b2", start="18:15")) == {}


def test_it_is_full_only_for_whom_some_table_that_fits_is_taken_and_not_closed() -> None:
    on = floor(table("A2", 2), table("B4", 4), table("C4", 4))
    closed = [replace(taken(ref, "17:00", "22:00", None), closed=True) for ref in ("A2", "B4")]
    both = planner(on, [*closed, taken("C4", "17:00", "21:00")])
    assert both.is_full_for(ask("two"))
    assert both.is_full_for(ask("four", party=4))
    assert not both.is_full_for(ask("ten", party=10))
    assert not both.is_full_for(ask("night", start="03:00"))
    assert not both.is_full_for(ask("pinned", pins=("A2",)))
    assert not both.is_full_for(ask("unfit", pins=("A2",), party=4))
    refused = both.decide(ask("four", party=4))
    assert (refused.considered, refused.rejected) == (3, {"too_few_seats": 1, "closed": 1, "table_taken": 1})
    assert both.decide(ask("two")).rejected == {"closed": 2, "table_taken": 1}
    all_closed = planner(on, [*closed, replace(closed[0], table_ref="C4")])
    assert not all_closed.is_full_for(ask("two"))
    assert all_closed.decide(ask("two")).refusal is not None
    free = planner(
        floor(table("A2", 2), table("B2", 2), table("C4", 4), adjacent=[("A2", "B2")]), [taken("C4", "17:00", "17:30")]
    )
    assert free.decide(ask("two")).rejected == {"more_tables_than_needed": 1}
    assert free.decide(ask("three", party=3)).rejected == {"too_few_seats": 2, "table_taken": 1}
    assert free.decide(ask("later", party=3, start="20:00")).rejected == {
        "too_few_seats": 2,
        "more_tables_than_needed": 1,
    }


def test_a_refusal_counts_the_tables_that_are_taken_or_closed() -> None:
    on = floor(table("A2", 2), table("B4", 4), table("C4", 4), adjacent=[("B4", "C4")])

    def said(party: int, *gone: str, pins: tuple[str, ...] = (), closed: bool = False) -> str:
        rows = [replace(taken(ref, "17:00", "22:00", None), closed=closed) for ref in gone]
        refusal = planner(on, rows).decide(ask(party=party, pins=pins)).refusal
        assert refusal is not None
        return refusal.detail

    assert said(2, "A2", "B4", "C4") == "Party of 2 at 18:00-19:00: all 3 tables and joins that fit are taken."
    assert said(7, "B4") == "Party of 7 at 18:00-19:30: the only table or join that fits is taken."
    assert (
        said(2, "A2", "B4", "C4", closed=True)
        == "Party of 2 at 18:00-19:00: all 3 tables and joins that fit are closed."
    )
    assert said(7, "B4", closed=True) == "Party of 7 at 18:00-19:30: the only table or join that fits is closed."
    assert said(7, "C4", pins=("C4", "B4")) == "Pinned to B4 + C4 at 18:00-19:30: C4 is taken."
    assert said(7, "B4", "C4", pins=("C4", "B4")) == "Pinned to B4 + C4 at 18:00-19:30: B4 + C4 is taken."


def test_the_nearest_times_have_tables_for_the_whole_stay() -> None:
    on = replace(floor(table("A2", 2)), pacing=(Pacing(most_parties=1, interval_minutes=30),))
    paced = replace(taken("B2", "18:00", "19:00"), party=2, starts_at=at("18:00"), ends_at=at("19:00"))
    evening = planner(on, [paced, taken("A2", "20:35", "21:00")])
    asked = replace(ask("b1", start="18:10"), ends_at=at("20:00"))
    refusal = evening.decide(asked).refusal
    assert refusal is not None
    assert refusal.detail.endswith("The nearest possible times are 17:40 and 18:40.")
    longer = evening.decide(replace(asked, booking_ref="b2", ends_at=at("20:10"))).refusal
    assert longer is not None
    assert longer.detail.endswith("The nearest possible time is 17:40.")


def test_times_at_which_the_same_parties_are_there_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = []

    def make_room(newcomer: Party, *, ejections: int | None = None) -> Mapping[Party, Unit] | None:
        searched.append(newcomer.start)
        return reseating.make_room(newcomer, ejections=ejections)

    monkeypatch.setattr(batch_planner, "make_room", make_room)
    on = floor(table("A2", 2), table("B4", 4))
    pairs = [confirmed("one", "A2", "18:00", "20:00"), confirmed("two", "B4", "18:00", "20:00", party=1)]
    movable, occupied = zip(*pairs, strict=True)
    evening = EveningPlanner(floor=on, occupied=occupied, rules=RULES, now=MORNING, movable=movable)
    monkeypatch.setattr(batch_planner, "is_overcrowded", lambda *_: False)
    for start in ("19:00", "19:15", "19:30"):
        assert evening.probe(ask("new", party=2, start=start)) is None
    assert len(searched) == 1
    evening.decide(ask("other", party=2, start="20:30"))
    assert evening.probe(ask("new", party=2, start="19:00")) is None
    assert evening.probe(ask("new", party=2, start="20:00")) == {}
    assert len(searched) == 2, "somebody was seated meanwhile"


def test_of_the_confirmed_parties_that_could_move_the_one_that_comes_latest_does() -> None:
    on = floor(table("A2", 2), table("B2", 2), table("C4", 4), table("D4", 4))
    pairs = [confirmed("sooner", "C4", "18:45", "20:15"), confirmed("later", "D4", "19:15", "20:45")]
    movable, occupied = zip(*pairs, strict=True)
    for order in (movable, movable[::-1]):
        evening = EveningPlanner(floor=on, occupied=occupied, rules=RULES, now=MORNING, movable=order)
        four = evening.decide(ask("four", party=4, start="19:00"))
        assert tables(four) == ("D4",)
        assert [(move.booking_ref, move.from_table_refs) for move in four.moves] == [("later", ("D4",))]
        assert set(evening.moves) == {"later"}


def test_without_need_nobody_who_is_confirmed_moves() -> None:
    on = floor(table("A2", 2), table("C4", 4), table("D4", 4))
    mover, taken_table = confirmed("pair", "C4", "19:00", "20:30")
    evening = EveningPlanner(floor=on, occupied=[taken_table], rules=RULES, now=MORNING, movable=[mover])
    four = evening.decide(ask("four", party=4, start="19:00"))
    assert (tables(four), four.moves, evening.moves) == (("D4",), (), {})


def test_who_may_be_moved_is_part_of_what_was_decided_on() -> None:
    on = floor(table("A2", 2), table("C4", 4))
    mover, taken_table = confirmed("pair", "C4", "19:00", "20:30")
    four = ask("four", party=4, start="19:00")
    stays = planner(on, [taken_table]).decide(four)
    moves = EveningPlanner(floor=on, occupied=[taken_table], rules=RULES, now=MORNING, movable=[mover]).decide(four)
    assert (stays.best, tables(moves)) == (None, ("C4",))
    assert stays.snapshot_hash != moves.snapshot_hash
