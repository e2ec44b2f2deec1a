"""Who sits when all asked at the same time: as many as possible, and the others lose nothing by it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from assignments.planning.batch_planner import EveningPlanner, in_order
from assignments.planning.decision import Decision
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, PlanningRules, occupied_by
from tests.assignments.planning.restaurant import MORNING, ask, at, floor, table

RULES = PlanningRules()
ONE_TABLE = floor(table("A2", 2))


def decided(
    on: Floor, requests: Sequence[SeatingRequest], *, together: bool = True, now: object = MORNING
) -> Mapping[str, Decision]:
    evening = EveningPlanner(floor=on, occupied=(), rules=RULES, now=now)  # type: ignore[arg-type]
    ordered = in_order(requests, floor=on, rules=RULES)
    if together:
        assert [each.booking_ref for each in evening.decide_all(ordered)] == [each.booking_ref for each in ordered]
    else:
        for request in ordered:
            evening.decide(request)
    return evening.decisions


def seated(decisions: Mapping[str, Decision]) -> list[str]:
    return sorted(ref for ref, decision in decisions.items() if decision.best is not None)


def a_long_stay_and_two_short_ones() -> list[SeatingRequest]:
    return [
        replace(ask("long", party=2, start="18:00"), ends_at=at("21:00")),
        replace(ask("first", party=2, start="18:15"), ends_at=at("19:15")),
        replace(ask("second", party=2, start="19:30"), ends_at=at("20:30")),
    ]


def test_two_short_stays_have_the_table_instead_of_a_long_one_that_asked_at_the_same_time() -> None:
    requests = a_long_stay_and_two_short_ones()
    assert seated(decided(ONE_TABLE, requests, together=False)) == ["long"]
    decisions = decided(ONE_TABLE, requests)
    assert seated(decisions) == ["first", "second"]
    lost = decisions["long"]
    assert lost.refusal is not None
    assert (lost.plans, lost.refusal.reason) == ((), Reason.NO_CAPACITY)
    assert all(decisions[ref].refusal is None for ref in ("first", "second"))


def with_a_pair_moved(on: Floor, requests: Sequence[SeatingRequest]) -> EveningPlanner:
    """The evening once these have asked at the same time, with a confirmed pair at the table for four."""
    window = SeatingWindow(
        starts_at=at("18:00"), ends_at=at("21:00"), blocked_from=at("18:00"), blocked_until=at("21:00")
    )
    pair = Movable(booking_ref="pair", table_refs=("B4",), window=window, party=2)
    taken = occupied_by("pair", ("B4",), window)
    evening = EveningPlanner(floor=on, occupied=taken, rules=RULES, now=MORNING, movable=[pair])
    list(evening.decide_all(in_order(requests, floor=on, rules=RULES)))
    return evening


def test_who_was_moved_for_a_party_that_gives_way_was_moved_for_those_who_sit_there_instead() -> None:
    requests = [replace(each, party=4) for each in a_long_stay_and_two_short_ones()]
    evening = with_a_pair_moved(floor(table("A2", 2), table("B4", 4)), requests)
    assert seated(evening.decisions) == ["first", "second"]
    assert {ref: plan.table_refs for ref, plan in evening.moves.items()} == {"pair": ("A2",)}
    named = {ref: [move.booking_ref for move in decision.moves] for ref, decision in evening.decisions.items()}
    assert named == {"first": ["pair"], "second": [], "long": []}


def test_who_was_moved_for_a_party_that_gives_way_has_the_table_again_that_nobody_else_needs() -> None:
    long, *short = a_long_stay_and_two_short_ones()
    at_window = [replace(table(ref, 3), features=frozenset({"window"})) for ref in ("C3", "D3")]
    on = floor(table("A2", 2), table("B4", 4), *at_window, adjacent=[("B4", "C3"), ("C3", "D3")])
    requests = [replace(long, party=7), *(replace(each, party=6, needs=frozenset({"window"})) for each in short)]
    assert set(with_a_pair_moved(on, requests[:1]).moves) == {"pair"}
    evening = with_a_pair_moved(on, requests)
    assert seated(evening.decisions) == ["first", "second"]
    assert evening.moves == {}
    assert not any(decision.moves for decision in evening.decisions.values())


def test_who_asked_first_keeps_the_table() -> None:
    long, *short = a_long_stay_and_two_short_ones()
    requests = [replace(long, requested_at=at("09:00")), *(replace(each, requested_at=at("09:01")) for each in short)]
    assert seated(decided(ONE_TABLE, requests)) == ["long"]


def test_whom_staff_pinned_keeps_the_table() -> None:
    long, *short = a_long_stay_and_two_short_ones()
    assert seated(decided(ONE_TABLE, [replace(long, pinned_table_refs=("A2",)), *short])) == ["long"]
