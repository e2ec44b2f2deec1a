"""The legacy planner can really be taken away: what `rollout removal` lists is carried out on a copy of the tree.

The list is the only source: what it does not name stays, and the copy's own tests, lint and import contracts would fail.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest
from django.db import connection

from rollout.removal import patterns
from rollout.removal.finding import MECHANICAL, Action, Kind, Risk
from rollout.removal.scope import Scope, find
from tests.example import processes
from tests.packaging import one_process

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

SELECT = """
import importlib, pathlib, pkgutil

TESTS = {tests!r}
CHANGED = {changed!r}
FILES = {{*CHANGED, *(name.split("::")[0] for name in TESTS)}}


def pytest_ignore_collect(collection_path, config):
    name = str(collection_path.relative_to(config.rootpath))
    return name not in FILES if collection_path.name.startswith("test_") else None


def pytest_collection_modifyitems(config, items):
    first = {{item.nodeid.split("[")[0]: item for item in reversed(items)}}
    kept = [item for name, item in first.items() if not {{name, name.split("::")[0]}}.isdisjoint(TESTS)][::-1]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_collection_finish():
    names = [
        each.name
        for package in ("assignments", "rollout", "example", "tests")
        for each in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{{package}}.")
        if not each.name.endswith((".bench", ".sandbox")) and not {{"hosts", "guesses"}} & {{*each.name.split(".")}}
    ]
    for name in names:
        importlib.import_module(name)
    assert len(names) > 400
"""
"""A plugin for pytest that imports every module, and runs these files and tests: of a parametrized test the first case.

The other cases run the same lines with other values. They are left to the full run. Files that were changed are collected,
too, where none of their tests runs.
"""

LEFT_OUT = (
    "tests/browser",
    "tests/example/test_contention.py",
    "tests/example/test_incidents.py",
    "tests/example/test_list_costs.py",
    "tests/example/test_page_costs.py",
    "tests/example/test_pooler.py",
    "tests/example/test_processes.py",
    "tests/example/test_worker_metrics.py",
    "tests/ops",
    "tests/packaging",
    "tests/queues",
    "tests/upgrade",
    "tests/assignments/planning",
)
"""Imported in the copy, but run there by neither test: each starts browsers, servers or many processes, or fills a large
database. That takes longer than all the others together, and proves what holds for them. What of it needs the legacy planner
is marked; the rest knows of none. And the planning core, which imports nothing else, and
upgrades, which need the history of the repository.
"""

LEFT_TO_THE_FULL_RUN = ("tests/example/test_friday.py",)
"""Affected, and half a minute long: it plays whole evenings."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the tree, in which Python finds nothing of this checkout (an editable install would still offer it).

    What is compiled already comes along: Python compiles anew what is edited.
    """
    tree = tmp_path / "project"
    made = (".venv*", ".audit", ".chaos", ".matrix", ".mutants", ".postgres", ".*_cache", "dist", "build")
    ignored = shutil.ignore_patterns(".git", *made)
    shutil.copytree(PROJECT, tree, ignore=ignored)
    (tree / "sitecustomize.py").write_text(
        f"import sys\n\nsys.path[:] = [path for path in sys.path if path != {str(PROJECT)!r}]\n"
    )
    return tree


@pytest.fixture
def variables(copy: Path, transactional_db: None) -> dict[str, str]:
    """The environment of the copy's processes: its own packages, and databases of its own on the tests' server."""
    connection.ensure_connection()
    settings = connection.settings_dict
    kept = {name: value for name, value in processes.environment().items() if not name.startswith("PYTEST_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)  # its many processes compile what was edited once
    port = f"&port={settings['PORT']}" if settings["PORT"] else ""
    return {
        **kept,
        "PYTHONPATH": str(copy),
        "DATABASE_URL": f"postgresql://{settings['USER']}@/postgres?host={settings['HOST']}{port}",
        "DATABASE_NAME": f"{settings['NAME']}_copy",
        "TEST_DATABASE_NAME": f"{settings['NAME']}_copy",
    }


@pytest.fixture
def with_tables(variables: dict[str, str]) -> Iterator[None]:
    """The copy's test database is there already, so that no process carries out all migrations: they are the same.

    The legacy planner has no tables. The full run migrates.
    """
    template, name = connection.settings_dict["TEST"].get("TEMPLATE"), variables["TEST_DATABASE_NAME"]
    processes.drop_database(name)
    if template:  # A server that somebody else provides has none.
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield
    processes.drop_database(name)


def run(copy: Path, variables: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(arguments, cwd=copy, env=variables, capture_output=True, text=True, timeout=840, check=False)
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-6000:]}{done.stderr[-3000:]}"
    return done.stdout


SCOPE = ("rollout", "removal", "--only", "scope", "--json")


def items_of(listed: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(listed)["scope"]["items"]
    return items


def carry_out(items: list[dict[str, Any]], root: Path) -> None:
    """What the list says, from the last line of a file to its first."""
    for item in sorted(items, key=lambda each: (each["path"], -each["line"])):
        place = root / item["path"]
        if item["action"] == "delete_folder":
            shutil.rmtree(place)
        elif item["action"] == "delete_file":
            place.unlink()
        elif item["action"] in MECHANICAL:
            lines = place.read_text().splitlines(keepends=True)
            new = [f"{item['replacement']}\n"] if item["action"] == "replace_lines" else []
            lines[item["line"] - 1 : item["end_line"]] = new
            place.write_text("".join(lines))


@pytest.fixture
def removed(copy: Path, variables: dict[str, str]) -> Path:
    """The copy after its own list has been carried out."""
    items = items_of(run(copy, variables, sys.executable, "manage.py", *SCOPE))
    for_people = {item["path"] for item in items if item["action"] == "by_hand"}
    assert {Path(path).suffix for path in for_people} <= {".md", ".sh"}, (
        "only sentences and the schedule may be left to people"
    )
    carry_out(items, copy)
    # The list cuts; what a cut leaves unused, or wrapped too early, is work for ruff.
    ruff = str(BIN / "ruff")
    run(copy, variables, ruff, "check", "--quiet", "--fix", "--select", "F401,I001", ".")
    run(copy, variables, ruff, "format", "--quiet", ".")
    # What is made from the code is made anew, as docs/legacy-planner-removal.md says.
    run(copy, variables, sys.executable, "-m", "tests.docs.catalogue")
    return copy


def run_tests(copy: Path, variables: dict[str, str], *arguments: str) -> int:
    """How many of the copy's tests passed; none may fail or be skipped."""
    given = ["-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    out = run(copy, variables, sys.executable, *given)
    assert "skipped" not in out
    passed = re.search(r"(\d+) passed", out)
    assert passed is not None
    return int(passed.group(1))


@pytest.mark.timeout(900)
def test_carried_out_from_its_list_the_removal_leaves_a_clean_tree_whose_tests_pass(
    removed: Path, variables: dict[str, str], with_tables: None
) -> None:
    """Those tests that the removal can affect: the whole suite of the copy is the next test's."""
    ruff = str(BIN / "ruff")
    run(removed, variables, ruff, "check", "--extend-exclude", "sitecustomize.py", ".")
    run(removed, variables, str(BIN / "lint-imports"), "--no-cache")
    # With all system checks, as before most commands.
    steps: list[dict[str, Any]] = [{"manage": ["makemigrations", "--check", "--dry-run"]}, {"manage": SCOPE}]
    environ = {**variables, "DJANGO_SETTINGS_MODULE": "example.settings"}
    (code, migrations), (_code, listed) = one_process.run(steps, sys.executable, folder=removed, environ=environ)
    assert code == 0, migrations
    left = [item for item in items_of(listed) if item["action"] in MECHANICAL or item["kind"] == "package"]
    assert left == []
    changed = differing_files(removed)
    tests = affected(removed, changed)
    assert "tests/docs/test_pages.py" in tests, "it reads documents that are edited"
    assert "tests/rollout/test_routing.py" not in tests, "most of its tests are what they were"
    assert any(each.startswith("tests/rollout/test_routing.py::") for each in tests), "some lost lines"
    # All modules are imported, and those tests that are affected run.
    (removed / "affected.py").write_text(SELECT.format(tests=tests, changed=sorted(map(str, changed))))
    assert run_tests(removed, variables, "-p", "affected", "--reuse-db") > 50


@pytest.mark.full_removal
@pytest.mark.timeout(1800)
def test_all_tests_pass_on_the_tree_that_the_removal_leaves(removed: Path, variables: dict[str, str]) -> None:
    arguments = ["-n", "3", "--dist", "loadgroup", *(f"--ignore={path}" for path in LEFT_OUT)]
    assert run_tests(removed, variables, *arguments) > 1500


def differing_files(copy: Path) -> set[Path]:
    return {path for path in {*files(PROJECT), *files(copy)} if not same(copy / path, PROJECT / path)}


def affected(copy: Path, differing: set[Path]) -> list[str]:
    """Test files that import or read what differs from the project, and in others the tests that differ.

    Without LEFT_OUT and LEFT_TO_THE_FULL_RUN.

    Imports count through others. A file is read by who names it, or looks for files of its kind. One thing is left to the
    full run: the settings, which differ too and rule every test.
    """
    after = set(files(copy))
    tests = {path for path in differing & after if path.name.startswith("test_")}
    others = {path.name for path in differing if path.suffix != ".py"}
    kinds = {path.suffix for path in differing}
    modules = {module_of(path): path for path in after if path.suffix == ".py"}
    reached = {name for name, path in modules.items() if path in differing - tests}
    for name, path in modules.items():
        text = (copy / path).read_text() if path.parts[0] == "tests" else ""
        if any(each in text for each in others) or kinds & set(re.findall(r'glob\("[^"]*(\.\w+)"', text)):
            reached.add(name)
    # The project's own graph: the copy has no import that is not in it.
    graph = grimp.build_graph("assignments", "rollout", "example", "tests", cache_dir=None)
    for name in reached & graph.modules:
        reached = reached | graph.find_downstream_modules(name)
    below = tuple(name.removesuffix("conftest") for name in reached if name.endswith(".conftest"))
    reached |= {name for name in modules if name.startswith(below)}
    whole = {modules[name] for name in reached & set(modules) if modules[name].name.startswith("test_")}
    found = [(path, str(path)) for path in whole]
    found += [(path, each) for path in tests - whole for each in differing_tests(path, copy)]
    without = (*LEFT_OUT, *LEFT_TO_THE_FULL_RUN)
    return sorted(each for path, each in found if not any(path.is_relative_to(left_out) for left_out in without))


def differing_tests(path: Path, copy: Path) -> list[str]:
    """The tests of a file that differ from the project's, or use what differs in it; the file, where that cannot be told.

    What is no longer imported says nothing: ruff finds who still uses it.
    """
    changed = differing_definitions((PROJECT / path).read_text(), (copy / path).read_text())
    if changed is None:
        return [str(path)]
    return [f"{path}::{name}" for name in changed if name.split("::")[-1].startswith("test_")]


def differing_definitions(old: str, new: str) -> set[str] | None:
    """What differs in a module, and what uses it there; None where more than definitions differ."""
    before, after = definitions(old), definitions(new)
    changed = {name for name, node in after.items() if name not in before or ast.dump(node) != ast.dump(before[name])}
    if any(name.startswith("<") for name in changed):
        return None
    used = {name: words(node) for name, node in after.items()}
    while more := {name for name in used if used[name] & {each.split("::")[-1] for each in changed}} - changed:
        changed |= more
    return changed


def definitions(text: str) -> dict[str, ast.AST]:
    """What a module and its classes define, by name ("Class::test"); the rest by what it says ("<...>")."""
    found: dict[str, ast.AST] = {}
    waiting: list[tuple[str, ast.AST]] = [("", each) for each in ast.parse(text).body]
    for prefix, node in waiting:
        match node:
            case ast.ClassDef(name=name, body=body, bases=bases, decorator_list=decorators):
                waiting += [(f"{prefix}{name}::", each) for each in body]
                for each in (*bases, *decorators):
                    found[f"<{prefix}{name}: {ast.dump(each)}>"] = each
            case ast.FunctionDef(name=name):
                found[prefix + name] = node
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if (
                name != "pytestmark"
            ):
                found[prefix + name] = node
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                for alias in names:
                    found[alias.asname or alias.name] = ast.Constant(f"{getattr(node, 'module', '')}: {alias.name}")
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass  # a docstring
            case _:
                found[f"<{prefix}{ast.dump(node)}>"] = node
    return found


def words(node: ast.AST) -> set[str]:
    """The names that it uses, those of fixtures included."""
    found: set[str] = set()
    for each in ast.walk(node):
        match each:
            case ast.Name(id=word) | ast.arg(arg=word) | ast.Attribute(attr=word) | ast.Constant(value=str(word)):
                found.add(word)
    return found


def files(root: Path) -> list[Path]:
    """Sources and documents, relative to the root."""
    kept = {".py", ".md", ".toml", ".yml", ".json"}
    found = [path.relative_to(root) for path in root.rglob("*") if path.suffix in kept and path.is_file()]
    return [path for path in found if not any(part.startswith((".", "__pycache__")) for part in path.parts)]


def same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.read_bytes() == other.read_bytes()


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def scope_below(root: Path) -> Scope:
    return find(root, patterns.current())


def test_the_list_names_every_event_switch_and_number_of_the_legacy_planner() -> None:
    found = scope_below(PROJECT).traces
    lines = (PROJECT / "legacy_planner" / "events.py").read_text().splitlines()
    events = [trace for trace in found if trace.kind is Kind.EVENT]
    assert len(events) == 7
    for trace in events:
        assert trace.text in lines[trace.line - 1]
    assert "auto_assign.succeeded decision_ms" in {trace.text for trace in found if trace.kind is Kind.METRIC}
    assert {"assignment_pipeline_v3", "assignment_pipeline_v3_shadow"} <= {
        trace.text for trace in found if trace.kind is Kind.SWITCH
    }
    assert [trace.text for trace in found if trace.kind is Kind.TABLE] == ["none"]


def test_who_imports_it_directly_relatively_or_through_others_is_named(tmp_path: Path, monkeypatch: Any) -> None:
    project = tmp_path / "venue_project"
    project.mkdir()
    (project / "__init__.py").touch()
    (project / "picker.py").write_text("from legacy_planner import engine\n")
    (project / "seam.py").write_text("import os\nfrom rollout.legacy import LegacyPlanner\n")
    (project / "views.py").write_text("import os\n\nfrom . import picker\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = {trace.place: trace for trace in scope_below(tmp_path).traces}
    direct, seam = found["venue_project/picker.py:1"], found["venue_project/seam.py:2"]
    through = found["venue_project/views.py:3"]
    assert (direct.kind, seam.kind, through.kind) == (Kind.IMPORT, Kind.IMPORT, Kind.DEPENDENT)
    assert {trace.action for trace in (direct, seam, through)} == {Action.BY_HAND}
    assert {trace.risk for trace in (direct, seam, through)} == {Risk.HIGH}
    assert "venue_project.views -> venue_project.picker -> legacy_planner" in through.what


def test_a_module_that_cannot_be_read_costs_the_graph_and_not_the_list(tmp_path: Path, monkeypatch: Any) -> None:
    project = tmp_path / "broken_project"
    project.mkdir()
    (project / "__init__.py").write_text("def (\n")
    (project / "picker.py").write_text("from legacy_planner import engine\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = scope_below(tmp_path)
    assert "broken_project" in found.missing
    assert "broken_project/picker.py:1" in {trace.place for trace in found.traces}


def test_a_test_is_affected_when_it_or_what_it_uses_has_changed_and_not_when_its_neighbour_went() -> None:
    before = """
from tests import gone, kept

LIMIT = 2

def helper(): return LIMIT

@pytest.fixture
def place(): return helper()

def test_by_fixture(place): assert place

@pytest.mark.parametrize("each", [1, 2])
def test_by_case(each): assert each

class TestGroup:
    def test_as_it_was(self): assert kept

def test_gone(): assert gone
"""
    after = before.replace("gone, ", "").replace("LIMIT = 2", "LIMIT = 1").replace("[1, 2]", "[1]")
    after = after.partition("def test_gone")[0]
    assert differing_definitions(before, after) == {"LIMIT", "helper", "place", "test_by_fixture", "test_by_case"}
    for changed in (f"{after}\npytestmark = pytest.mark.django_db\n", after.replace("TestGroup:", "TestGroup(Base):")):
        assert differing_definitions(before, changed) is None
