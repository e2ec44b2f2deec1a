"""Refusals that one move would have avoided, as the audit finds them."""

from datetime import UTC, datetime
from typing import Any

from assignments.planning.snapshot import PlanningRules
from assignments.testing import a_floor, a_service, a_table
from rollout.policy.moves_audit import Mover, could_seat_by_a_move
from rollout.policy.seating_audit import Party

DECIDED = datetime(2030, 5, 3, 9, tzinfo=UTC)
START = datetime(2030, 5, 3, 18, tzinfo=UTC)
FOUR, TWO = Party(covers=4, starts_at=START), Party(covers=2, starts_at=START)


def found(*movers: Mover, taken: set[str], party: Party = FOUR, **tables: Any) -> bool:
    floor = a_floor(
        tables=[a_table("four", seats=4), a_table("two", seats=2, **tables)],
        services=[a_service()],
        adjacent=[("four", "two")],
        timezone="UTC",
    )
    return could_seat_by_a_move(floor, party, DECIDED, taken, movers, PlanningRules())


def at_the_four(**more: Any) -> Mover:
    return Mover(party=more.pop("party", TWO), table_refs=("four",), taken=frozenset(more.pop("taken", ())))


def test_two_guests_at_the_four_could_sit_at_the_two() -> None:
    assert found(at_the_four(), taken={"four"})


def test_not_if_nobody_may_be_moved() -> None:
    assert not found(taken={"four"})


def test_not_if_the_two_is_taken_while_they_sit() -> None:
    assert not found(at_the_four(taken={"two"}), taken={"four"})


def test_not_if_the_mover_does_not_fit_there() -> None:
    assert not found(at_the_four(party=FOUR), taken={"four"})


def test_not_to_a_table_out_of_service() -> None:
    assert not found(at_the_four(), taken={"four"}, active=False)


def test_not_if_their_table_would_not_help() -> None:
    assert not found(at_the_four(), taken={"four"}, party=Party(covers=9, starts_at=START))


def test_not_if_they_need_the_table_to_which_it_would_move_as_well() -> None:
    six = Party(covers=6, starts_at=START)
    assert not found(at_the_four(), taken={"four"}, party=six)
