"""Which tables fit a party, in which order they are preferred, and what is said where none does."""

import pytest

from assignments.planning.feasibility import fit_of, misfit
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules
from tests.assignments.planning.restaurant import ask, floor, table

RULES = PlanningRules()


def test_those_that_fit_go_by_seats_then_tables_then_places() -> None:
    on = floor(
        table("A6", 6),
        table("B4", 4),
        table("C2", 2),
        table("D4", 4),
        table("E5", 5),
        adjacent=[("B4", "C2"), ("C2", "D4"), ("B4", "D4")],
    )
    fit = fit_of(on, ask(party=5), RULES)
    assert ["+".join(unit.table_refs) for unit in fit.units] == ["E5", "A6", "B4+C2", "C2+D4", "B4+D4"]
    assert (fit.considered, fit.rejected, fit.fewest_tables) == (
        9,
        {"too_few_seats": 3, "too_many_spare_seats": 1},
        1,
    )
    assert fit_of(on, ask(party=7), RULES).fewest_tables == 2
    none = fit_of(on, ask(party=11), RULES)
    assert (none.units, none.fewest_tables) == ((), 0)


@pytest.mark.parametrize(
    ("on", "request_", "said"),
    [
        (
            floor(table("A6", 6), table("B9", 9)),
            ask(party=1),
            "Party of 1: no table or join takes it. The nearest, A6, seats 6 and takes parties of 1 to 6; 4 seats may stay "
            "empty.",
        ),
        (
            floor(table("A6", 6), table("B9", 9, "Bar")),
            ask(party=1, zone="Bar"),
            "Party of 1: no table or join in zone Bar takes it. The nearest, B9, seats 9 and takes parties of 1 to 9; 4 "
            "seats may stay empty.",
        ),
        (
            floor(table("A4", 4, min_party=4), table("B2", 2), table("C2", 2, max_party=1), adjacent=[("B2", "C2")]),
            ask(party=2, zone="Bar"),
            "Party of 2: there is no table in service in zone Bar.",
        ),
        (floor(), ask(party=2), "The restaurant has no table in service."),
        (floor(table("A4", 4)), ask(party=5), "Party of 5: the largest table seats 4."),
        (
            floor(table("A4", 4), table("B4", 4), adjacent=[("A4", "B4")]),
            ask(party=9),
            "Party of 9: the largest join seats 8.",
        ),
        (
            floor(table("A4", 4, "Bar"), table("B9", 9)),
            ask(party=5, zone="Bar"),
            "Party of 5: the largest table in zone Bar seats 4.",
        ),
        (
            floor(table("A4", 4, "Bar"), table("B4", 4, "Bar"), table("C9", 9), adjacent=[("A4", "B4")]),
            ask(party=9, zone="Bar"),
            "Party of 9: the largest join in zone Bar seats 8.",
        ),
    ],
)
def test_where_nothing_fits_the_sentence_says_why(on: Floor, request_: SeatingRequest, said: str) -> None:
    assert fit_of(on, request_, RULES).units == ()
    assert misfit(on, request_, RULES).detail == said


@pytest.mark.parametrize(
    ("party", "fits"), [(2, False), (3, True), (7, True), (8, False)], ids=["spare", "fewest", "most", "seats"]
)
def test_a_table_fits_from_its_seats_less_those_that_may_stay_empty(party: int, fits: bool) -> None:
    assert bool(fit_of(floor(table("A7", 7)), ask(party=party), RULES).units) is fits


@pytest.mark.parametrize(("party", "fits"), [(2, False), (3, True), (5, True), (6, False)])
def test_a_table_fits_within_its_own_limits(party: int, fits: bool) -> None:
    assert bool(fit_of(floor(table("A9", 9, min_party=3, max_party=5)), ask(party=party), RULES).units) is fits
