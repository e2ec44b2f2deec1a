"""The wheel: what is in it, and that it works in projects that are shaped differently from the example."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from packaging.requirements import Requirement

from tests.night import clock
from tests.packaging import one_process, readme, tutorial

pytestmark = pytest.mark.xdist_group("wheel")  # one process builds and installs it

PROJECT = Path(__file__).resolve().parents[2]
HOSTS = PROJECT / "tests" / "hosts"
PACKAGES = {"assignments", "legacy_planner", "rollout"}
SDIST_FILES = {"README.md", "LICENSE", "CHANGELOG.md"}
SAMPLE = PROJECT / "tests" / "packaging" / "sample"
CACHE = PROJECT / ".mypy_cache" / "wheel"
"""mypy takes from it what has the same contents as last time, wherever it is installed."""
CHECKS_AND_SCENARIO = """
import django
from django.core.management import call_command
django.setup()
call_command("check", databases=["default"], fail_level="WARNING")
call_command("makemigrations", check_changes=True, dry_run=True)

import runpy
runpy.run_path("scenario.py")
"""
"""Each start of a project takes a second."""
BUILT_OTHERWISE = (
    "import sys; from hatchling import build; build.build_wheel(sys.argv[1]); build.build_sdist(sys.argv[1])"
)


def run(*arguments: str | Path, **options: Any) -> str:
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(argument) for argument in arguments], capture_output=True, text=True, timeout=300, check=False, **options
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """What is published, built twice: here, and elsewhere by somebody else with another tool."""

    wheel: Path
    sdist: Path
    again: tuple[Path, Path]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    elsewhere = folder / "elsewhere"
    shutil.copytree(PROJECT, elsewhere, ignore=lambda at, names: {name for name in names if not _is_source(at, name)})
    for path in elsewhere.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    build = (sys.executable, "-m", "build", "--wheel", "--sdist", "--no-isolation", "--outdir")
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    run(*build, folder / "first", PROJECT, env=environ)
    (folder / "second").mkdir()
    run(sys.executable, "-c", BUILT_OTHERWISE, folder / "second", cwd=elsewhere, env=environ)
    (wheel,), (sdist,) = (folder / "first").glob("*.whl"), (folder / "first").glob("*.tar.gz")
    again = (folder / "second" / wheel.name, folder / "second" / sdist.name)
    return Built(wheel=wheel, sdist=sdist, again=again)


def _is_source(folder: str, name: str) -> bool:
    """Whether a build from elsewhere needs it."""
    if Path(folder) == PROJECT:
        return name in {*PACKAGES, *SDIST_FILES, "pyproject.toml", ".gitignore"}
    return name != "__pycache__"


@pytest.fixture(scope="module")
def wheel(built: Built) -> Path:
    return built.wheel


def test_building_it_again_elsewhere_gives_the_same_files_byte_by_byte(built: Built) -> None:
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (built.wheel, built.sdist, *built.again)]
    assert digests[:2] == digests[2:]


def test_the_source_distribution_has_what_the_wheel_is_built_from_and_nothing_else(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    own = {"PKG-INFO", "pyproject.toml", ".gitignore"}
    assert names - own == source_files() | SDIST_FILES


def source_files() -> set[str]:
    """Everything under the packages that belongs to them."""
    return {
        str(path.relative_to(PROJECT))
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_it_holds_the_packages_whole_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == PACKAGES
    assert names == source_files()
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    for name in (
        "assignments/migrations/0001_initial.py",
        "rollout/templates/admin/rollout/page/page.html",
        "rollout/templates/admin/rollout/switch/delete_confirmation.html",
        "assignments/static/assignments/pages.css",
    ):
        assert name in names


@pytest.fixture(scope="module")
def fresh_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in which the wheel and what it needs are installed, and nothing of this checkout.

    What it needs is linked from this environment, compiled already: downloading and unpacking it is not what is tested.
    """
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile", "--no-deps", wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    (own,) = packages.glob("table_assignments-*.dist-info")
    declared = [Requirement(each) for each in metadata.Distribution.at(own).requires or ()]
    for requirement in (*declared, Requirement("psycopg[binary]"), Requirement("tzdata")):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            link(requirement, packages)
    return python


def link(requirement: Requirement, packages: Path) -> None:
    """Have there what is required, and what that requires, as this environment has it. Extras only where asked for."""
    extras = {"", *requirement.extras}
    found = metadata.distribution(requirement.name)
    assert requirement.specifier.contains(found.version), f"{requirement}, but {found.version} is installed"
    tops = {Path(str(path)).parts[0] for path in found.files or ()} - {"..", "__pycache__"}
    for top in tops:
        if not (packages / top).exists():
            (packages / top).symlink_to(str(found.locate_file(top)))
    folder = packages.parents[2] / "bin"
    for entry in found.entry_points.select(group="console_scripts"):
        script = folder / entry.name
        script.write_text(f"#!{folder}/python\nfrom {entry.module} import {entry.attr}\n{entry.attr}()\n")
        script.chmod(0o755)
    for needed in map(Requirement, found.requires or ()):
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
            link(needed, packages)


def variables_of(database: str) -> dict[str, str]:
    """What a process of a host needs to find this database on the tests' server."""
    return {
        **clock.inherited(),
        "PATH": os.environ["PATH"],
        "DATABASE_NAME": database,
        "DATABASE_HOST": str(connection.settings_dict["HOST"]),
        "DATABASE_USER": str(connection.settings_dict["USER"]),
        "PGPASSWORD": str(connection.settings_dict.get("PASSWORD") or ""),
        "PGPORT": str(connection.settings_dict.get("PORT") or "5432"),
    }


def create(database: str, *, template: str = "") -> None:
    """Create the database, empty or as a copy."""
    drop(database)
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{database}"' + (f' TEMPLATE "{template}"' if template else ""))


def drop(database: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


@pytest.fixture(scope="module")
def migrated(fresh_python: Path, django_db_setup: None, django_db_blocker: Any) -> Any:
    """A database with all of this host's migrations, made by its own Python when first asked for; its name."""
    made: dict[str, str] = {}

    def of(host: str) -> str:
        if host not in made:
            name = f"{connection.settings_dict['NAME']}_{host}"
            # The bistro has what the tavern has, and more.
            create(name, template="" if host == "tavern" else of("tavern"))
            made[host] = name
            run(fresh_python, "manage.py", "migrate", "--verbosity", "0", cwd=HOSTS / host, env=variables_of(name))
        return made[host]

    yield of
    with django_db_blocker.unblock():
        for name in made.values():
            drop(name)


class TestTypesOfThePublicApi:
    """A project's type checker sees the installed wheel's types: what is right passes, and each mistake is found."""

    @staticmethod
    def marked(name: str) -> set[str]:
        lines = (SAMPLE / name).read_text().splitlines()
        return {f"{name}:{number}" for number, line in enumerate(lines, 1) if line.endswith("# refused")}

    def test_mypy(self, fresh_python: Path) -> None:
        # Django has no types of its own, and this project has not installed any.
        options = ("--strict", "--no-error-summary", "--disable-error-code=import-untyped", "--config-file=")
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *options, "--cache-dir", CACHE, "--python-executable", fresh_python, "."],
            cwd=SAMPLE,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        found = set(re.findall(r"^(\w+\.py:\d+): error", done.stdout, re.MULTILINE))
        assert found == self.marked("wrong.py"), done.stdout + done.stderr

    def test_pyright(self, fresh_python: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pyright", "--pythonpath", fresh_python, "--outputjson", "."],
            cwd=SAMPLE,
            env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        diagnostics = json.loads(done.stdout)["generalDiagnostics"]
        found = {
            f"{Path(each['file']).name}:{each['range']['start']['line'] + 1}"
            for each in diagnostics
            if each["severity"] == "error"
        }
        assert found == self.marked("wrong.py"), done.stdout


@pytest.fixture
def database(migrated: Callable[[str], str], transactional_db: None) -> Any:
    """Makes a database of this host's on the tests' server; its variables."""
    connection.ensure_connection()
    name = f"{connection.settings_dict['NAME']}_host"

    def of(host: str) -> dict[str, str]:
        create(name, template=migrated(host))
        return variables_of(name)

    yield of
    drop(name)


@pytest.mark.parametrize(
    ("host", "variables", "planner"),
    [
        pytest.param("bistro", {"FEATURE_ASSIGNMENT_PIPELINE_V3": "true"}, "v3", id="bistro with V3 on"),
        pytest.param("tavern", {}, "v3", id="tavern without rollout"),
    ],
)
def test_it_confirms_a_booking_in_a_project_of_another_shape(
    fresh_python: Path, database: Callable[[str], dict[str, str]], host: str, variables: dict[str, str], planner: str
) -> None:
    environ = {**database(host), **variables, "EXPECTED_PLANNER": planner}
    project = HOSTS / host
    environ["DJANGO_SETTINGS_MODULE"] = "settings"
    said = run(fresh_python, "-c", CHECKS_AND_SCENARIO, cwd=project, env=environ)
    assert said.endswith(f"confirmed by {planner}\n")


@pytest.mark.legacy_planner
def test_a_project_with_v3_off_is_decided_replayed_and_shown_what_a_removal_takes(
    fresh_python: Path, database: Callable[[str], dict[str, str]]
) -> None:
    project = HOSTS / "bistro"
    environ = {**database("bistro"), "EXPECTED_PLANNER": "legacy", "DJANGO_SETTINGS_MODULE": "settings"}
    today = datetime.now(UTC).date()
    days = ["--from", str(today), "--to", str(today + timedelta(days=90))]
    steps: list[dict[str, Any]] = [
        {"python": CHECKS_AND_SCENARIO},
        {"manage": ["rollout", "backtest", *days, "--json"]},
        {"manage": ["rollout", "removal", "--only", "scope", "--json"]},
    ]
    said = one_process.run(steps, fresh_python, folder=project, environ=environ)
    assert [code for code, _printed in said] == [0, 0, 0], said
    scenario, replay, removal = (printed for _code, printed in said)
    assert scenario.endswith("confirmed by legacy\n")

    replayed = _json_in(replay)
    seated = {planner: tally["seated"] for planner, tally in replayed["planners"].items()}
    assert (replayed["bookings"], seated, replayed["verdicts"]["v3_error"]) == (1, {"legacy": 1, "v3": 1}, 0)

    # It has not the sources: it sees its own lines, and how to get the import graph.
    items = _json_in(removal)["scope"]["items"]
    package = next(item for item in items if item["kind"] == "package")
    assert (package["action"], "site-packages" in package["path"]) == ("by_hand", True)
    assert "table-assignments" in package["what"]
    lines = (project / "settings.py").read_text().splitlines()
    own = {item["line"]: item["action"] for item in items if item["path"] == "settings.py"}
    assert {lines[number - 1].strip(): action for number, action in own.items()} == {
        '"legacy_planner",': "delete_lines",
    }
    assert "pip install 'table-assignments[removal]'" in removal


def _json_in(printed: str) -> Any:
    """The object that a command has printed among its messages."""
    found, _end = json.JSONDecoder().raw_decode(printed[printed.index("{") :])
    return found


@pytest.mark.legacy_planner
def test_the_tutorial_leads_from_an_empty_folder_to_the_first_comparison(
    fresh_python: Path, transactional_db: None, tmp_path: Path
) -> None:
    connection.ensure_connection()
    name = f"{connection.settings_dict['NAME']}_tutorial"
    variables = variables_of(name)
    environ = {
        **clock.inherited(),
        "PATH": f"{fresh_python.parent}:{variables['PATH']}",
        "PGHOST": variables["DATABASE_HOST"],
        "PGUSER": variables["DATABASE_USER"],
        "PGPASSWORD": variables["PGPASSWORD"],
        "PGPORT": variables["PGPORT"],
    }
    create(name)
    try:
        done = tutorial.follow(tmp_path, environ, database=name)
    finally:
        drop(name)
    assert "5 compared" in done["python manage.py rollout compare"]


@pytest.mark.legacy_planner
def test_the_readme_leads_a_project_to_its_first_decisions_block_by_block(
    fresh_python: Path, transactional_db: None, tmp_path: Path
) -> None:
    connection.ensure_connection()
    name = f"{connection.settings_dict['NAME']}_readme"
    follower = readme.Follower(tmp_path, fresh_python, variables_of(name))
    create(name)
    try:
        follower.follow()
    finally:
        drop(name)
    said = follower.printed
    assert readme.attributes(follower.scaffolded) == {**readme.attributes(follower.host), "table_name_field": "name"}
    assert said["check --database default"] == ["System check identified no issues (0 silenced).\n"] * 2
    without_bookings, with_one = said["inspect_host"]
    assert "No bookings were found" in without_bookings
    assert "Booking 1 (" in with_one
    assert [said[url][0].split()[-2:] for url in ("/health/", "/metrics")] == [["200", "200"], ["401", "200"]]
    assert "1 confirmed" in said["run_coordinator --max-seconds 50"][0]
    (at_once,) = [printed for name, printed in said.items() if name.startswith("api.assign_now(")]
    assert "confirmed" in at_once[0]
    assert re.search(r"^Mode +legacy$", said["rollout status"][0], re.MULTILINE)


@pytest.mark.parametrize(
    ("kind", "text"), [("yaml", "a: 1\n"), ("", "output\n"), ("python", "# other.py\n"), ("phrase", "manage unknown")]
)
def test_what_the_readme_has_and_nobody_runs_is_an_error(kind: str, text: str, tmp_path: Path) -> None:
    follower = readme.Follower(tmp_path, Path(sys.executable), {})
    with pytest.raises(AssertionError, match="nobody runs"):
        follower.do(kind, text)


def test_every_block_for_a_project_is_in_a_section_that_is_followed() -> None:
    sections = [each.partition("\n") for each in readme.README.read_text().split("\n## ")[1:]]
    found = tuple(name for name, _newline, text in sections if re.search(r"^```(python|cron)$", text, re.MULTILINE))
    assert found == readme.SECTIONS
