"""A release: what makes another one of it, and what does not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assignments import conf
from assignments.integration import release
from assignments.planning.snapshot import DEFAULT_WEIGHTS


@pytest.fixture(autouse=True)
def _unnamed(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.delenv("ASSIGNMENT_PIPELINE_RELEASE", raising=False)
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS}  # What was read before is forgotten.


@pytest.fixture(scope="module")
def package(tmp_path_factory: Any) -> Path:
    there = tmp_path_factory.mktemp("release") / "assignments"
    shutil.copytree(release.PACKAGE, there)
    return Path(there)


def of_code(package: Path) -> str:
    return release.of_code.__wrapped__(package)


def test_by_default_it_is_a_fingerprint_that_stays_the_same() -> None:
    assert re.fullmatch(r"[0-9a-f]{16}", release.running())
    before = release.running()
    release.running.cache_clear()
    assert release.running() == before


@pytest.mark.parametrize(
    ("file", "is_another"),
    [
        ("planning/scoring.py", True),
        ("coordination/day_planner.py", True),
        ("telemetry/health.py", True),
        ("planning/more.sql", True),
        ("admin/page.py", False),
        ("templates/admin/assignments/more.html", False),
        ("locale/de/LC_MESSAGES/django.po", False),
        ("static/assignments/more.css", False),
        ("telemetry/metrics/counters.py", False),
        ("planning/__pycache__/scoring.pyc", False),
    ],
)
def test_a_changed_file_makes_another_release_unless_it_cannot_alter_a_decision(
    package: Path, file: str, is_another: bool
) -> None:
    before = of_code(package)
    (package / file).parent.mkdir(parents=True, exist_ok=True)
    with (package / file).open("a") as changed:
        changed.write("\n# Changed.\n")
    assert (of_code(package) != before) is is_another


@pytest.mark.parametrize(
    ("setting", "is_another"),
    [
        ({"MAX_SPARE_SEATS": 3}, True),
        ({"WEIGHTS": {"spare_seats": 3.0}}, True),
        ({"BATCH_SIZE": 7}, True),
        ({"HOST": "tests.elsewhere.Host"}, True),
        ({"EVENT_DAYS": 7}, False),
        ({"MAX_PARALLEL": 7}, False),
        ({"METRICS_TOKEN": "a" * 20}, False),
        ({"WEIGHTS": {}}, False),
    ],
    ids=str,
)
def test_settings_that_steer_decisions_belong_to_it(settings: Any, setting: dict[str, Any], is_another: bool) -> None:
    before = release.running()
    if setting.get("WEIGHTS"):
        setting = {"WEIGHTS": {next(iter(DEFAULT_WEIGHTS)): 7.5}}
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, **setting}
    assert (release.running() != before) is is_another


def test_processes_with_the_same_set_of_restaurants_run_the_same_release() -> None:
    """Each process hashes texts in its own way, so that a set of them has another order there."""
    code = """
from assignments import conf
from assignments.integration import release
steering = release.steering(conf.Settings(HOST="a.Host", REARRANGE={str(number) for number in range(20)}))
print(release.fingerprint("code", steering, "3.12.1", "2026a"))
"""
    found = set()
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "DJANGO_SETTINGS_MODULE": "tests.settings"}
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        found.add(run.stdout)
    assert len(found) == 1


def test_python_and_the_time_zones_belong_to_it() -> None:
    same = ("code", {"MAX_TABLES": 3}, "3.12.1", "2026a")
    assert release.fingerprint(*same) == release.fingerprint(*same)
    others = [("code", {"MAX_TABLES": 3}, "3.12.2", "2026a"), ("code", {"MAX_TABLES": 3}, "3.12.1", "2026b")]
    assert len({release.fingerprint(*each) for each in (same, *others)}) == 3
    assert release.of_time_zones()


def test_it_can_be_named_by_setting_or_variable(settings: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("ASSIGNMENT_PIPELINE_RELEASE", "2026.11")
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS}
    assert release.running() == "2026.11"
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "RELEASE": "1.4.0"}
    assert release.running() == "1.4.0"


@pytest.mark.parametrize("wrong", ["two words", "a" * 65, "café", 7, None, "line\n"])
def test_a_name_is_one_short_word(settings: Any, wrong: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "RELEASE": wrong}
    assert any("RELEASE" in problem for problem in conf.problems())
