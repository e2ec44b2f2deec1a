"""The mistakes are those that are meant, each is one change, and what decides nothing is left alone."""

import ast

import pytest

from tests.mutants.operators import mutants_of, mutated

SOURCE = '''
"""A docstring."""
from dataclasses import dataclass

LIMIT = 5


@dataclass(kw_only=True)
class Rule:
    most: int = 3

    def holds(self, given: int | None, strict: bool) -> bool:
        """Another one."""
        if given is None or not strict:
            raise ValueError(f"{given + 1} is wrong")
        self.seen = given
        return given - 1 < self.most
'''


def test_each_mistake_is_there_once_and_nothing_else_is() -> None:
    found = [(mutant.line, mutant.operator, mutant.becomes) for mutant in mutants_of(SOURCE, "rule.py")]
    assert found == [
        (5, "constant", "6"),
        (10, "constant", "4"),
        (14, "boolean", "And"),
        (14, "comparison", "IsNot at 0"),
        (14, "boolean", "without not"),
        (15, "statement", "removed"),
        (16, "statement", "removed"),
        (17, "return", "None"),
        (17, "comparison", "LtE at 0"),
        (17, "comparison", "GtE at 0"),
        (17, "arithmetic", "Add"),
        (17, "constant", "2"),
    ]
    assert len({mutant.name for mutant in mutants_of(SOURCE, "rule.py")}) == len(found)


@pytest.mark.parametrize("number", range(12))
def test_a_mistake_changes_one_line(number: int) -> None:
    whole = ast.unparse(ast.parse(SOURCE)).splitlines()
    mutant = mutants_of(SOURCE, "rule.py")[number]
    changed = ast.unparse(mutated(SOURCE, mutant)).splitlines()
    differing = [(was, becomes) for was, becomes in zip(whole, changed, strict=True) if was != becomes]
    assert len(differing) == 1


def test_a_mistake_is_made_at_its_place() -> None:
    names: dict[str, object] = {}
    minus = next(each for each in mutants_of(SOURCE, "rule.py") if each.operator == "arithmetic")
    exec(compile(mutated(SOURCE, minus), "rule.py", "exec"), names)
    assert names["Rule"]().holds(2, True) is False  # type: ignore[operator]
    with pytest.raises(LookupError):
        mutated("pass", minus)


def test_the_lines_of_a_compound_statement_are_its_head() -> None:
    condition = next(each for each in mutants_of(SOURCE, "rule.py") if each.line == 14)
    assert (condition.first, condition.last) == (14, 14)
