"""What counts as noticed: a test that fails, or an import that does. Any other end says nothing, and is raised."""

import json
from argparse import Namespace
from pathlib import Path

import pytest

from tests.mutants import __main__ as mutants
from tests.mutants.covering import Covering, version_of
from tests.mutants.running import FirstFailure, noticed_by


def failure(*, by: str = "", import_error: str = "") -> FirstFailure:
    found = FirstFailure(())
    found.by, found.import_error = by, import_error
    return found


def test_a_failed_test_and_a_failed_import_count_as_noticed() -> None:
    assert noticed_by(pytest.ExitCode.OK, failure()) == ""
    assert noticed_by(pytest.ExitCode.TESTS_FAILED, failure(by="test_a")) == "test_a"
    for code in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR):
        assert noticed_by(code, failure(import_error="NameError as the app starts")) == "NameError as the app starts"


@pytest.mark.parametrize("code", [code for code in pytest.ExitCode if code != pytest.ExitCode.OK])
def test_another_end_is_raised(code: pytest.ExitCode) -> None:
    with pytest.raises(RuntimeError, match=f"pytest ends with {int(code)}, and no test has failed"):
        noticed_by(int(code), failure())


def test_lines_of_tests_belong_to_one_version_of_code_and_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "PROJECT", tmp_path)
    (tmp_path / "one.py").write_text("a = 1\n")
    before = mutants.digest(["*.py"])
    assert mutants.digest(["*.py"]) == before
    (tmp_path / "one.py").write_text("a = 2\n")
    changed = mutants.digest(["*.py"])
    (tmp_path / "one.py").rename(tmp_path / "two.py")
    assert len({before, changed, mutants.digest(["*.py"])}) == 3


def test_lines_that_were_recorded_without_a_version_are_of_none(tmp_path: Path) -> None:
    file = tmp_path / "covering.json"
    assert version_of(file) == ""
    file.write_text('{"seconds": {}, "lines": {}}')
    assert version_of(file) == ""


def test_what_runs_at_import_is_held_by_tests_that_run_the_module_or_have_its_name(tmp_path: Path) -> None:
    file = tmp_path / "covering.json"
    seconds = {"tests/test_a.py::test_x": 0.1, "tests/test_b.py::test_y": 0.2, "tests/test_c.py::test_z": 0.3}
    lines = {"app/a.py": {"7": ["tests/test_b.py::test_y"]}}
    file.write_text(json.dumps({"version": "", "seconds": seconds, "lines": lines}))
    covering = Covering(file)
    assert covering.tests("app/a.py", 7, 7, most_seconds=60) == ["tests/test_b.py::test_y"]
    assert covering.tests("app/a.py", 1, 1, most_seconds=60) == ["tests/test_a.py::test_x", "tests/test_b.py::test_y"]


def test_a_part_of_a_path_that_no_file_has_is_an_error(tmp_path: Path) -> None:
    options = Namespace(state=tmp_path, anew=False, only=["NOTHING"])
    with pytest.raises(SystemExit, match="No file that is mutated has NOTHING in its path"):
        mutants.run(options)


def test_what_was_noticed_stands_until_its_file_or_the_test_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "PROJECT", tmp_path)
    (tmp_path / "test_a.py").write_text("def test_it(): ...")
    by = "test_a.py::test_it[1 of 2]"
    row = {"by": by, "source": mutants.digest_of("x = 1"), "test": mutants.digest_of(mutants.text_of(by))}
    assert mutants.stands(row, "x = 1")
    assert not mutants.stands(row, "x = 2")
    assert not mutants.stands(row | {"by": ""}, "x = 1"), "a survivor may have a test by now"
    ended = row | {"by": "timeout", "test": mutants.digest_of("")}
    assert mutants.stands(ended, "x = 1")
    (tmp_path / "test_a.py").write_text("def test_it(): pass")
    assert not mutants.stands(row, "x = 1")
