"""Run tests in a process that is forked from this warm one, with one mistake in the code or without any."""

import importlib.machinery
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any
from unittest import mock

import pytest

from tests.mutants.operators import Mutant, mutated

LEFT_OUT = ("--ignore=tests/assignments/migrations", "--ignore=tests/rollout/migrations")
"""Tests of migrations: one that is broken off leaves other tables to the next run, which uses the database again."""
ARGUMENTS = (
    "-q",
    "-x",
    "-n",
    "0",
    "-p",
    "no:cacheprovider",
    "--no-header",
    "--hypothesis-seed=0",
    "--reuse-db",
    *LEFT_OUT,
)
PASSED, FAILED = int(pytest.ExitCode.OK), int(pytest.ExitCode.TESTS_FAILED)
TIMEOUT = "timeout"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``by``: the test that fails; "timeout" if one never ended; empty if none noticed."""

    by: str
    seconds: float


class FirstFailure:
    """A plugin of pytest that runs tests in the order in which they are given, and notes the first that fails."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.by = ""
        self.import_error = ""
        self._order = {test: number for number, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items.sort(key=lambda item: self._order.get(item.nodeid, len(self._order)))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.import_error:
            self.import_error = f"{report.nodeid} as it is collected"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.by:
            self.by = report.nodeid


def verdict(
    mutant: Mutant, source: str, tests: Sequence[str], *, database: str, most_seconds: float, anew: bool
) -> Verdict:
    """Whether one of these tests notices this mistake. ``anew``: on a new database, as after a run that was killed."""
    if not tests:  # Without any argument pytest runs all that there are.
        return Verdict(by="", seconds=0.0)
    started = time.monotonic()
    said = in_a_child(lambda: _try(mutant, source, tests, database, anew), most_seconds)
    by = TIMEOUT if said is None else said
    return Verdict(by=by, seconds=round(time.monotonic() - started, 1))


def _try(mutant: Mutant, source: str, tests: Sequence[str], database: str, anew: bool) -> str:
    tree = mutated(source, mutant)
    file = Path(mutant.file).resolve()
    failure = FirstFailure(tests)
    loader = importlib.machinery.SourceFileLoader
    compile_source, run_module = loader.get_code, loader.exec_module
    is_loaded = False

    def get_code(self: Any, name: str) -> CodeType | None:
        nonlocal is_loaded
        if Path(self.path).resolve() == file:
            is_loaded = True
            return compile(tree, str(file), "exec", dont_inherit=True)
        return compile_source(self, name)

    def exec_module(self: Any, module: ModuleType) -> None:
        try:
            run_module(self, module)
        except Exception as error:
            if has_run(error, file):
                failure.import_error = failure.import_error or f"{type(error).__name__} as the app starts"
            raise

    with mock.patch.object(loader, "get_code", get_code), mock.patch.object(loader, "exec_module", exec_module):
        try:
            code = run_tests(tests, failure, database=database, anew=anew)
        except Exception as error:
            if not is_loaded:
                raise
            # Another module may fail, by what the mistake gives it.
            return failure.import_error or f"{type(error).__name__} as the app starts"
    return noticed_by(code, failure)


def noticed_by(code: int, failure: FirstFailure) -> str:
    """The test that fails; empty if all pass. An end of another kind says nothing about the mistake, and is raised.

    Without the mistake every module is imported and every test is collected, so where that fails, it is noticed, too.
    """
    if code == PASSED:
        return ""
    if code == FAILED and failure.by:
        return failure.by
    if failure.import_error:
        return failure.import_error
    raise RuntimeError(f"pytest ends with {code}, and no test has failed")


def has_run(error: BaseException, file: Path) -> bool:
    """Whether the error came through this file."""
    return any(Path(frame.filename).resolve() == file for frame in traceback.extract_tb(error.__traceback__))


def run_tests(tests: Sequence[str], plugin: object, *, database: str, anew: bool) -> int:
    """Run these tests in this process; pytest's exit code."""
    os.environ["TEST_DATABASE_NAME"] = database
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    return int(pytest.main([*ARGUMENTS, *(["--create-db"] if anew else []), *tests], plugins=[plugin]))


def in_a_child(work: Callable[[], str], seconds: float) -> str | None:
    """What the work returns, done by a child; None if it takes longer, and is killed with all that it has started."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.setsid()
        os.close(reader)
        with open(os.devnull, "w") as nothing:  # noqa: PTH123
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        try:
            answer = f"={work()}"
        except BaseException:  # noqa: BLE001  (the parent raises it)
            answer = traceback.format_exc()
        os.write(writer, answer.encode())
        sys.exit(0)  # What the process has registered for its end is done: it frees the server.
    os.close(writer)
    try:
        if not select.select([reader], [], [], seconds)[0]:
            return None
        answer = os.read(reader, 65536).decode()
    finally:
        os.close(reader)
        _end(pid)
    if not answer.startswith("="):
        raise RuntimeError(f"The run breaks off: {answer or 'it says nothing'}")
    return answer[1:]


def _end(pid: int, seconds: float = 30) -> None:
    """Let the child end, or end it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
