"""Which tests run which lines of the code that is mutated, and how long each takes."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest

TESTS = (
    "tests/assignments/planning",
    "tests/assignments/lifecycle",
    "tests/assignments/coordination",
    "tests/assignments/test_api.py",
    "tests/assignments/test_living_evening.py",
    "tests/assignments/test_rearrangement.py",
    "tests/assignments/test_teeth.py",
    "tests/rollout/policy",
    "tests/rollout/evidence/test_measuring.py",
)
"""The tests that are meant to hold the mutated code. Pages and commands notice its mistakes, too, but late and by chance."""


class Recorder:
    """A plugin of pytest that notes, by test, the lines that it runs."""

    def __init__(self, files: list[str], project: Path) -> None:
        self._project = project
        self._coverage = coverage.Coverage(data_file=None, config_file=False, include=[str(project / f) for f in files])
        self._seconds: dict[str, float] = {}
        self.failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or (report.nodeid if report.failed else "")

    def pytest_sessionstart(self) -> None:
        self._coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        started = time.monotonic()
        self._coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._coverage.switch_context("")
            self._seconds[item.nodeid] = round(time.monotonic() - started, 3)

    def store(self, file: Path, version: str) -> None:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines = {
            str(Path(measured).relative_to(self._project)): {
                str(line): sorted(filter(None, contexts))
                for line, contexts in data.contexts_by_lineno(measured).items()
                if any(contexts)
            }
            for measured in data.measured_files()
        }
        file.write_text(json.dumps({"version": version, "seconds": self._seconds, "lines": lines}))


def version_of(file: Path) -> str:
    """The version of code and tests for which this file was recorded; empty without one."""
    return str(json.loads(file.read_text()).get("version", "")) if file.exists() else ""


class Covering:
    """What was recorded."""

    def __init__(self, file: Path) -> None:
        recorded = json.loads(file.read_text())
        self._seconds: dict[str, float] = recorded["seconds"]
        self._lines: dict[str, dict[str, list[str]]] = recorded["lines"]

    def tests(self, file: str, first: int, last: int, *, most_seconds: float) -> list[str]:
        """The tests that run one of these lines, the quickest first, as many as take so long together.

        What is run as the module is imported has no test of its own: then these are all that run anything of the module,
        or are in a test file of its name.
        """
        lines = self._lines.get(file, {})
        found = {test for line in range(first, last + 1) for test in lines.get(str(line), [])}
        if not found:
            found = {test for tests in lines.values() for test in tests}
            found |= {test for test in self._seconds if f"/test_{Path(file).stem}.py::" in test}
        chosen: list[str] = []
        taken = 0.0
        for test in sorted(found, key=lambda each: (self._seconds[each], each)):
            taken += self._seconds[test]
            if chosen and taken > most_seconds:
                break
            chosen.append(test)
        return chosen
