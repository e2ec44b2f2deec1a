"""In which order the tests run on several processes, which are left out of the quick run, and where the time went."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import BuiltinFunctionType, ModuleType
from typing import Any

import pytest

RECORD = "tests/seconds"
LEAST_RECORDED_SECONDS = 0.5
SHOWN = 10

ELSEWHERE = frozenset(
    {
        "admin",
        "browser",
        "docs",
        "example",
        "fuzz",
        "hosts",
        "migrations",
        "ops",
        "packaging",
        "queues",
        "upgrade",
    }
)
"""Folders of pages, browsers, servers, other programs, whole projects and earlier tables: the quick run passes them over."""

EXPENSIVE = frozenset(
    {
        "example.demo",
        "subprocess",
        "tests.crowd",
        "tests.debian",
        "tests.example.processes",
        "tests.power.database",
        "tests.rollout.policy.brute_force",
        "tests.showcase",
    }
)
WHOLE_EVENINGS = frozenset({"built_once", "decide", "generate", "load", "restaurant", "run_state_machine_as_test"})
CLOCKS = frozenset({"sleep", "time"})
"""Where there are threads besides, sessions wait for one another."""


class Schedule:
    """One whole run of pytest.

    What took longest in the last run here starts first, so that no process is left alone with it at the end; where there
    is no last run, tests with a time limit of their own and large groups do. Tests of one ``xdist_group`` count, and stay,
    together.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """All processes have to collect in one order."""
        node.workerinput["seconds"] = self._recorded()

    def pytest_ignore_collect(self, collection_path: Path, config: pytest.Config) -> bool | None:
        is_elsewhere = collection_path.is_dir() and collection_path.name in ELSEWHERE
        return True if is_elsewhere and config.getoption("--quick") else None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if config.getoption("--quick"):
            left_out = [item for item in items if not is_quick(item)]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if is_quick(item)]
        given = getattr(config, "workerinput", {}).get("seconds")
        if given is not None and not config.pluginmanager.hasplugin("randomly"):
            items[:] = longest_first(items, given)
        if getattr(config.option, "loadgroup", False):
            _check_groups(items)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid.partition("@")[0]] += report.duration

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._config.getoption("numprocesses", None) or not self._seconds:
            return
        terminalreporter.section("seconds by folder, and the slowest tests")
        for lines in (by_folder(self._seconds), sorted(self._seconds.items(), key=lambda each: -each[1])[:SHOWN]):
            for name, seconds in lines:
                terminalreporter.write_line(f"{seconds:8.1f}  {name}")
            terminalreporter.write_line("")
        cache = self._cache()
        if cache is not None:
            kept = {**self._recorded(), **self._seconds}
            long = {name: round(seconds, 1) for name, seconds in kept.items() if seconds >= LEAST_RECORDED_SECONDS}
            cache.set(RECORD, long)

    def _recorded(self) -> dict[str, float]:
        cache = self._cache()
        recorded: dict[str, float] = cache.get(RECORD, {}) if cache is not None else {}
        return recorded

    def _cache(self) -> pytest.Cache | None:
        """Return pytest's cache; None where it is off (``-p no:cacheprovider``)."""
        return getattr(self._config, "cache", None)


def _check_groups(items: Iterable[pytest.Item]) -> None:
    """Raise UsageError if xdist does not keep groups together: what they build once would be built by each process."""
    alone = [item.nodeid for item in items if item.get_closest_marker("xdist_group") and "@" not in item.nodeid]
    if alone:
        raise pytest.UsageError(f"pytest-xdist does not know that {alone[0]} belongs to a group. Does it fit pytest?")


def is_quick(item: pytest.Item) -> bool:
    """Whether the test runs in this process, without another one, waiting, or a whole evening."""
    module = item.getparent(pytest.Module)
    held = vars(module.obj) if module is not None else {}
    used = {value.__name__ for value in held.values() if isinstance(value, ModuleType | BuiltinFunctionType)}
    waits = "threading" in used and CLOCKS & used
    return not (waits or used & EXPENSIVE or held.keys() & WHOLE_EVENINGS)


def longest_first(items: Iterable[pytest.Item], seconds: dict[str, float]) -> list[pytest.Item]:
    """The units in which tests are handed out, the longest first; otherwise as they came."""
    units: dict[str, list[pytest.Item]] = {}
    for item in items:
        group = item.get_closest_marker("xdist_group")
        units.setdefault(f"@{group.args[0]}" if group else item.nodeid, []).append(item)
    unrecorded = {name: max(_limit(unit[0]), len(unit) if len(unit) > 1 else 0.0) for name, unit in units.items()}
    expected = {
        name: sum(seconds.get(item.nodeid.partition("@")[0], 0.0) for item in unit) or unrecorded[name]
        for name, unit in units.items()
    }
    return [item for name in sorted(units, key=lambda each: -expected[each]) for item in units[name]]


def by_folder(seconds: dict[str, float]) -> list[tuple[str, float]]:
    sums: defaultdict[str, float] = defaultdict(float)
    for name, each in seconds.items():
        sums[str(Path(name.partition("::")[0]).parent)] += each
    return sorted(sums.items(), key=lambda each: -each[1])


def _limit(item: pytest.Item) -> float:
    """The time limit that the test sets itself, in seconds; 0 for none."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker and marker.args else 0.0
