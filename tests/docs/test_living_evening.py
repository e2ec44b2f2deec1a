"""docs/living-evening.md cites tests that exist, calls that exist, and what really wakes whom."""

import re

import pytest

from assignments import api
from assignments.lifecycle.waiting import CURES, Freed
from tests.docs.document import DOCS, PROJECT

TEXT = (DOCS / "living-evening.md").read_text()


def table_of_cures() -> str:
    """The table of rule 5, as the code has it."""
    rows = []
    for reason in sorted(str(each) for each in frozenset().union(*CURES.values())):
        marks = ["yes" if reason in {str(each) for each in CURES[freed]} else "-" for freed in Freed]
        rows.append(f"| `{reason}` | {' | '.join(marks)} |")
    return "\n".join(rows)


@pytest.mark.legacy_planner  # Some of them are of both planners.
def test_every_test_that_is_cited_exists() -> None:
    cited = set(re.findall(r"`(test_\w+)`", TEXT))
    written = {
        name
        for path in (PROJECT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)\(", path.read_text())
    }
    assert len(cited) > 30
    assert cited - written == set()


def test_each_situation_stands_once_with_its_test() -> None:
    section = TEXT.partition("\n## Situations\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 29
    assert [row for row in rows if len(row) != 3 or not re.fullmatch(r"`test_\w+`(, `test_\w+`)*", row[2])] == []
    assert len({row[0] for row in rows}) == len(rows)


def test_the_table_says_what_wakes_whom() -> None:
    assert table_of_cures() in TEXT, f"docs/living-evening.md should say:\n{table_of_cures()}"


def test_every_call_of_an_example_exists() -> None:
    calls = set(re.findall(r"`api\.(\w+)\(", TEXT))
    assert {"move", "swap", "extend", "seat_walk_in", "close", "lift_closure", "undo"} <= calls
    assert {name for name in calls if not callable(getattr(api, name, None))} == set()
