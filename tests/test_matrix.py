"""``make matrix``: it covers what is supported, and what could not be run is never passed over."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import matrix
from tests.matrix import CELLS, MissingError, Result

SUPPORTED = re.compile(r"^Supported: Python 3\.(\d+) to 3\.(\d+), .* PostgreSQL (\d+) to (\d+)", re.MULTILINE)


def test_every_supported_version_is_in_a_cell_and_there_are_few_cells() -> None:
    project = tomllib.loads((matrix.PROJECT / "pyproject.toml").read_text())["project"]
    named = [each.rpartition(" :: ") for each in project["classifiers"]]
    assert {cell.python for cell in CELLS} == {
        version for of, _is, version in named if of.endswith(":: Python") and "." in version
    }
    assert {cell.django for cell in CELLS} == {
        version for of, _is, version in named if of.endswith("Framework :: Django")
    }
    found = SUPPORTED.search((matrix.PROJECT / "README.md").read_text())
    assert found is not None
    first, last = int(found[3]), int(found[4])
    assert {cell.postgresql for cell in CELLS} == {str(number) for number in range(first, last + 1)}
    assert len(CELLS) <= 9
    assert [cell for cell in CELLS if cell.django >= "6.0" and cell.python < "3.12"] == []
    assert [cell for cell in CELLS if cell.django == "6.1" and cell.postgresql < "15"] == []


@pytest.fixture
def machine(monkeypatch: Any) -> dict[str, str]:
    """What becomes of each cell, by Python; passed unless the test says something else."""
    outcomes: dict[str, str] = {}

    @contextmanager
    def running(binaries: Path) -> Iterator[str]:
        yield "postgresql://"

    def environment(cell: matrix.Cell) -> Path:
        if outcomes.get(cell.python) == "missing":
            raise MissingError(f"Python {cell.python} is not installed")
        return Path("python")

    def tested(cell: matrix.Cell, python: Path, url: str, **options: Any) -> Result:
        versions = f"{cell.python}.9, {cell.django}.8, {cell.postgresql}.7"
        return Result(cell=cell, outcome=outcomes.get(cell.python, "passed"), detail="12 tests", versions=versions)

    monkeypatch.setattr(matrix, "running", running)
    monkeypatch.setattr(matrix, "environment", environment)
    monkeypatch.setattr(matrix, "find_server", lambda version: Path("bin"))
    monkeypatch.setattr(matrix, "_tested", tested)
    return outcomes


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [({}, 0), ({"3.14": "missing"}, 3), ({"3.11": "failed"}, 1), ({"3.14": "missing", "3.11": "failed"}, 1)],
)
def test_what_failed_or_is_missing_is_named_and_shows_in_the_exit_code(
    machine: dict[str, str], outcomes: dict[str, str], code: int, capsys: Any
) -> None:
    machine.update(outcomes)
    assert matrix.main([]) == code
    out = capsys.readouterr().out
    assert len(re.findall(r"^\| 3\.", out, re.MULTILINE)) == len(CELLS)
    for python, outcome in outcomes.items():
        assert re.search(rf"^\| {re.escape(python)}.* {outcome}: ", out, re.MULTILINE)
    assert ("| 3.14 | 6.1 | 17 | missing: Python 3.14 is not installed |" in out) is ("3.14" in outcomes)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("words", "count"), [(["pg14"], 1), (["3.11", "pg14"], 1), (["3.11", "django6.0"], 3)])
def test_words_choose_cells(words: list[str], count: int, capsys: Any) -> None:
    assert matrix.main([part for word in words for part in ("--only", word)]) == 0
    assert len(re.findall(r"^== ", capsys.readouterr().out, re.MULTILINE)) == count


def test_a_word_that_chooses_none_is_refused(capsys: Any) -> None:
    with pytest.raises(SystemExit) as refused:
        matrix.main(["--only", "3.10"])
    assert refused.value.code == 2
    assert "no cell has 3.10; there are: python3.11 django5.2 pg14" in capsys.readouterr().err


@pytest.mark.usefixtures("machine")
def test_the_page_is_written_with_the_date_in_place_of_the_last_results(tmp_path: Path, monkeypatch: Any) -> None:
    page = tmp_path / "matrix.md"
    page.write_text((matrix.PROJECT / "docs" / "matrix.md").read_text())
    monkeypatch.setattr(matrix, "RESULT", page)
    monkeypatch.setattr(matrix, "PROJECT", tmp_path)
    for _again in range(2):
        matrix.main(["--only", "pg14", "--write", "--quick"])
    others = [line for line in page.read_text().splitlines() if line.startswith("| 3.13.")]
    matrix.main(["--only", "pg15", "--write"])
    text = page.read_text()
    assert text.startswith("# What was tested together\n")
    day = r"\d{4}-\d\d-\d\d"
    assert (
        len(re.findall(rf"^\| 3.11.9 \| .* \| passed: 12 tests \| {day}, the quick tests \|$", text, re.MULTILINE)) == 1
    )
    assert len(re.findall(rf"^\| 3.12.9 \| .* \| passed: 12 tests \| {day}, all tests \|$", text, re.MULTILINE)) == 1
    # What was not run again stays, with its own date.
    assert [line for line in text.splitlines() if line.startswith("| 3.13.")] == others
    assert others


def test_a_python_that_is_not_there_is_named() -> None:
    with pytest.raises(MissingError, match=r"Python 3\.1 is not installed"):
        matrix.find_python("3.1")


def test_the_newest_python_that_is_there_runs_the_newest_django(machine: dict[str, str], monkeypatch: Any) -> None:
    run: list[Any] = []

    def pytest_run(command: Any, **options: Any) -> Any:
        run.append(command)
        return SimpleNamespace(returncode=1 if "fails" in command else 0)

    seen: list[matrix.Cell] = []
    there = matrix.environment

    def environment(cell: matrix.Cell) -> Path:
        seen.append(cell)
        return there(cell)

    monkeypatch.setattr(matrix, "environment", environment)
    monkeypatch.setattr(subprocess, "run", pytest_run)
    machine["3.14"] = "missing"
    assert matrix.main(["--newest", "tests/some.py"]) == 0
    assert (seen[-1].python, seen[-1].django) == ("3.13", "6.1")
    assert run[-1][-1] == "tests/some.py"
    assert matrix.main(["--newest", "fails"]) == matrix.EXIT_FAILED
    machine.update(dict.fromkeys({cell.python for cell in CELLS}, "missing"))
    assert matrix.main(["--newest"]) == matrix.EXIT_MISSING
