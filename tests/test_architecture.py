"""What import-linter cannot see: dotted strings, and names."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def mentions(pattern: str, *folders: str) -> set[str]:
    """Python files of these folders, relative to the project, in which the pattern occurs."""
    return {
        str(path.relative_to(PROJECT))
        for folder in folders
        for path in (PROJECT / folder).rglob("*.py")
        if re.search(pattern, path.read_text())
    }


@pytest.mark.legacy_planner
def test_nothing_but_the_seam_and_the_settings_names_the_old_planners_package() -> None:
    named = mentions(r"\blegacy_planner\b(?!\")", "assignments", "rollout", "example")
    assert named == {"rollout/legacy.py"}
    quoted = mentions(r"\"legacy_planner\"", "assignments", "rollout", "example")
    assert quoted == {"example/settings.py", "rollout/removal/patterns.py"}


@pytest.mark.legacy_planner
def test_only_settings_name_the_seam() -> None:
    assert mentions(r"rollout\.legacy", "assignments", "legacy_planner", "example") == {"example/settings.py"}
    assert mentions(r"(?m)^\s*(?:from \S+ )?import .*\blegacy\b|from rollout\.legacy", "rollout") == set()


@pytest.mark.legacy_planner
def test_the_assignments_app_does_not_name_the_old_planner() -> None:
    assert mentions(r"legacy_planner", "assignments") == set()


def test_the_assignments_app_does_not_name_the_rollout() -> None:
    assert mentions(r"import rollout|from rollout|[\"']rollout\.", "assignments") == set()


def test_no_module_is_a_grab_bag() -> None:
    names = {
        path.stem
        for folder in ("assignments", "legacy_planner", "rollout", "example")
        for path in (PROJECT / folder).rglob("*.py")
    }
    assert not names & {"utils", "util", "helpers", "helper", "services", "service", "misc", "common"}


def test_every_published_name_is_importable() -> None:
    from assignments import api

    public = {
        name
        for name in vars(api)
        if not name.startswith("_") and getattr(vars(api)[name], "__module__", "") == api.__name__
    }
    assert {
        "request", "assign_now", "evaluate", "judge", "hold", "release_hold", "assign", "pin", "unpin", "release_tables",
        "reopen", "reject", "undo",
        "booking_changed", "booking_cancelled", "table_out_of_service", "table_in_service", "explain",
    } <= public  # fmt: skip
