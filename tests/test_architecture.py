"""What import-linter cannot see: dotted strings; and that the old planner can really be taken away."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from tests.example import processes

PROJECT = Path(__file__).resolve().parents[1]


def mentions(pattern: str, *folders: str) -> set[str]:
    """Python files of these folders, relative to the project, in which the pattern occurs."""
    return {
        str(path.relative_to(PROJECT))
        for folder in folders
        for path in (PROJECT / folder).rglob("*.py")
        if re.search(pattern, path.read_text())
    }


def test_nothing_but_the_seam_and_the_settings_names_the_old_planners_package() -> None:
    named = mentions(r"\blegacy_planner\b(?!\")", "assignments", "rollout", "example")
    assert named == {"rollout/legacy.py"}
    assert mentions(r"\"legacy_planner\"", "assignments", "rollout", "example") == {"example/settings.py"}


def test_only_settings_name_the_seam() -> None:
    assert mentions(r"rollout\.legacy", "assignments", "legacy_planner", "example") == {"example/settings.py"}
    assert mentions(r"import.*\blegacy\b|from rollout\.legacy", "rollout") == set()


def test_the_assignments_app_names_neither_of_the_others() -> None:
    assert mentions(r"legacy_planner|import rollout|from rollout|[\"']rollout\.", "assignments") == set()


def test_no_module_is_a_grab_bag() -> None:
    names = {
        path.stem
        for folder in ("assignments", "legacy_planner", "rollout", "example")
        for path in (PROJECT / folder).rglob("*.py")
    }
    assert not names & {"utils", "util", "helpers", "helper", "services", "service", "misc", "common"}


@pytest.fixture
def copy_without_the_old_planner(tmp_path: Path) -> Path:
    """The tree after the commit that removes the old planner: its folder, the seam, two settings lines, its tests."""
    copy = tmp_path / "project"
    shutil.copytree(
        PROJECT, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".postgres", "__pycache__", ".*_cache", "dist")
    )
    shutil.rmtree(copy / "legacy_planner")
    shutil.rmtree(copy / "tests" / "legacy_planner")
    (copy / "rollout" / "legacy.py").unlink()
    settings = copy / "example" / "settings.py"
    lines = settings.read_text().splitlines(keepends=True)
    kept = [line for line in lines if '"legacy_planner"' not in line and '"LEGACY_PLANNER"' not in line]
    assert len(lines) - len(kept) == 2
    settings.write_text("".join(kept))
    # An editable install would still offer this checkout's packages.
    (copy / "sitecustomize.py").write_text(
        f"import sys\n\nsys.path[:] = [path for path in sys.path if path != {str(PROJECT)!r}]\n"
    )
    return copy


def in_copy(copy: Path, *arguments: str) -> str:
    """Run Python in the copy, where nothing of this checkout can be imported."""
    environ = {
        **processes.environment(PYTHONPATH=str(copy)),
        "DATABASE_URL": f"postgresql://{connection.settings_dict['USER']}@/postgres?host={connection.settings_dict['HOST']}",
        "DATABASE_NAME": f"{connection.settings_dict['NAME']}_copy",
        "TEST_DATABASE_NAME": f"{connection.settings_dict['NAME']}_copy",
        "FEATURE_ASSIGNMENT_PIPELINE_V3": "true",
    }
    environ.pop("PYTEST_XDIST_WORKER", None)
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=copy,
        env={name: value for name, value in environ.items() if not name.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.xdist_group("copy")
def test_without_the_old_planner_v3_still_runs_and_its_tests_pass(
    copy_without_the_old_planner: Path, transactional_db: None
) -> None:
    copy = copy_without_the_old_planner
    connection.ensure_connection()
    where = in_copy(
        copy, "-c", "import rollout, importlib.util as u; print(rollout.__file__, u.find_spec('legacy_planner'))"
    )
    assert where.startswith(str(copy))
    assert where.endswith(" None\n")
    in_copy(copy, "manage.py", "check", "--settings", "example.settings")
    in_copy(copy, "manage.py", "makemigrations", "--check", "--dry-run", "--settings", "example.settings")
    status = in_copy(
        copy,
        "-W",
        "ignore",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/planning",
        "tests/assignments",
        "tests/example/test_queries.py",
    )
    passed = re.search(r"(\d+) passed", status)
    assert passed is not None
    assert int(passed.group(1)) > 300
    assert "failed" not in status
    assert "skipped" not in status


def test_every_published_name_is_importable() -> None:
    from assignments import api

    public = {
        name
        for name in vars(api)
        if not name.startswith("_") and getattr(vars(api)[name], "__module__", "") == api.__name__
    }
    assert {
        "request", "assign_now", "evaluate", "judge", "hold", "release_hold", "assign", "pin", "unpin", "release", "reopen",
        "booking_changed", "booking_cancelled", "table_out_of_service", "table_in_service", "explain",
    } <= public  # fmt: skip
