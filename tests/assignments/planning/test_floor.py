"""A floor that contradicts itself is refused, and says where."""

from collections.abc import Callable
from dataclasses import replace
from datetime import time

import pytest

from assignments.planning.floor import Floor, InvalidFloorError, Join, ServicePeriod, TurnTime
from tests.assignments.planning.restaurant import DINNER, floor, table

A, B = table("A", 4), table("B", 4)
NO_TURNS = ServicePeriod(key="brunch", starts=time(9), ends=time(12), turn_times=())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: floor(A, adjacent=[("A", "X9")]), "adjacency names unknown tables 'X9'"),
        (lambda: floor(A, A), "table 'A' is listed 2 times"),
        (lambda: floor(table("A", 0)), "table 'A' has 0 seats"),
        (lambda: floor(table("A", 4, min_party=3, max_party=2)), "parties of 3 to 2"),
        (lambda: floor(A, adjacent=[("A", "A")]), "two different tables"),
        (lambda: floor(A, joins=[Join(table_refs=frozenset({"A", "X9"}), seats=6)]), "unknown tables 'X9'"),
        (lambda: floor(A, joins=[Join(table_refs=frozenset({"A"}), seats=6)]), "needs two tables"),
        (lambda: floor(A, B, joins=[Join(table_refs=frozenset("AB"), seats=6)] * 2), "is listed 2 times"),
        (lambda: floor(A, B, joins=[Join(table_refs=frozenset("AB"), seats=6, min_party=5, max_party=4)]), "5 to 4"),
        (lambda: floor(A, services=(NO_TURNS,)), "service 'brunch' has no turn times"),
        (lambda: floor(A, services=(replace(DINNER, buffer_after_minutes=-1),)), "negative buffer"),
        (lambda: floor(A, services=(replace(DINNER, turn_times=(TurnTime(max_party=2, minutes=0),)),)), "a minute"),
        (lambda: floor(A, services=(replace(DINNER, turn_times=DINNER.turn_times[::-1]),)), "out of order"),
        (lambda: floor(A, timezone="Europe/Atlantis"), "unknown timezone 'Europe/Atlantis'"),
        (lambda: floor(A, timezone="Europe"), "unknown timezone 'Europe'"),  # a folder of the database
    ],
)
def test_a_contradiction_is_named(build: Callable[[], Floor], message: str) -> None:
    with pytest.raises(InvalidFloorError, match=message):
        build()


def test_the_version_follows_the_content_and_not_the_order_in_which_it_is_given() -> None:
    pairs = [("A", "B"), ("B", "C")]
    one = floor(A, B, table("C", 2), adjacent=pairs)
    same = floor(table("C", 2), B, A, adjacent=pairs[::-1])
    other = floor(A, B, table("C", 3), adjacent=pairs)
    assert one.version == same.version
    assert one.version != other.version


def test_what_an_error_says_is_its_message_where_it_has_one() -> None:
    assert InvalidFloorError("No such table.").said == "No such table."
    assert InvalidFloorError().said == ""
    assert InvalidFloorError("A", "B").said == "('A', 'B')"
