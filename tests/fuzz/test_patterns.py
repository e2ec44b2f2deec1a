"""No text makes a regular expression of ours search for long; no text of ours runs in a spreadsheet or a page."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.example import processes
from tests.fuzz.patterns_under_limit import CASES
from tests.server import PROJECT

PACKAGES = ("assignments", "rollout", "legacy_planner", "example")
OWN_INPUT = frozenset(
    {"example/embedded/base.py", "rollout/reporting/render.py", "assignments/maintenance/scaffold.py"}
)
"""Modules that read with regular expressions only what this project has written, or names in its models. The second removes
empty lines between texts of one line each."""


def modules() -> set[str]:
    return {
        str(path.relative_to(PROJECT))
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*.py")
        if "migrations" not in path.parts and imports(path, "re")
    }


def imports(path: Path, name: str) -> bool:
    text = path.read_text()
    if not re.search(rf"^\s*(?:import|from)\b.*\b{name}\b", text, re.MULTILINE):
        return False  # To parse all of them takes seconds.
    nodes = ast.walk(ast.parse(text))
    return any(
        (isinstance(node, ast.Import) and name in {each.name for each in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module == name)
        for node in nodes
    )


def test_each_module_with_regular_expressions_is_among_the_cases() -> None:
    assert modules() - OWN_INPUT == CASES.keys()


def test_long_texts_take_no_long_search() -> None:
    """The system ends the process at the first text that takes more than its share of the processor."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.patterns_under_limit"],
        cwd=PROJECT,
        env={**processes.environment(), "DATABASE_NAME": "none"},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    *_, last = done.stdout.splitlines() or [""]
    assert (done.returncode, last) == (0, "done"), done.stderr[-2000:]


def test_nothing_is_written_as_a_table_for_spreadsheets() -> None:
    """Where something is, its texts need an apostrophe before what a spreadsheet would calculate: see SECURITY.md."""
    writers = {
        path.name
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*.py")
        if imports(path, "csv") and "writer" in path.read_text().lower()
    }
    assert writers == set()
