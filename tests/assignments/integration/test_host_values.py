"""Covers, clocks and minutes in columns of other types: read where they can mean one thing only."""

from datetime import time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from assignments.integration.model_host import values


@pytest.mark.parametrize(
    ("value", "covers"),
    [(4, 4), ("4", 4), (" 4 ", 4), ("4 people", 4), ("1 person", 1), ("2 Gäste", 2), (Decimal("3.0"), 3), (2.0, 2)],
)
def test_covers(value: Any, covers: int) -> None:
    assert values.covers(value) == covers


@pytest.mark.parametrize(
    "value", [None, True, "", "two", "2-4", "8+", "2 or 3", "2 Smith", "-2", 2.5, Decimal("2.5"), float("nan"), [2]]
)
def test_what_could_mean_several_parties_is_refused_and_not_repeated(value: Any) -> None:
    with pytest.raises(ValueError, match="not a number of covers") as refused:
        values.covers(value)
    assert "Smith" not in str(refused.value)


def test_clocks_and_stays() -> None:
    assert values.clock("18:30") == values.clock("6:30 pm") == values.clock(time(18, 30)) == time(18, 30)
    assert values.stay("90") == values.stay(90) == values.stay(timedelta(minutes=90)) == timedelta(minutes=90)
    for read, value in (
        (values.clock, "half past six"),
        (values.clock, 18),
        (values.stay, "long"),
        (values.stay, None),
    ):
        with pytest.raises(ValueError, match=f"a {type(value).__name__}"):
            read(value)
