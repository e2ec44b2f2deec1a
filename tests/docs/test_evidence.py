"""docs/evidence.md names tests that exist."""

import re
from pathlib import Path

import pytest

from tests.docs.document import DOCS
from tests.rollout.evidence.test_worse_planners import WAYS

TESTS = Path(__file__).parents[1] / "rollout"


@pytest.mark.legacy_planner
def test_the_table_of_faults_names_tests_that_exist() -> None:
    text = (DOCS / "evidence.md").read_text()
    rows = [line for line in text.split("## Faults and the tests that hold them")[1].splitlines() if line[:3] != "| #"]
    named = [re.findall(r"`([a-z_/0-9]+(?:\.py)?)`", row) for row in rows if re.match(r"\| \d+ \|", row)]
    assert len(named) == 31
    for number, names in enumerate(named, 1):
        module, held_by = "", 0
        for name in names:
            if name.endswith(".py"):
                module = (TESTS / name).read_text()
            elif name.startswith("test_"):
                assert f"def {name}(" in module, name
                held_by += 1
            elif name in WAYS:
                held_by += 1
        assert held_by, f"row {number} names no test"
