"""The removal of the old planner: what is found in files and what becomes of them; when an environment is ready for it.

Whether the list is complete is shown on a copy of the tree, where the old planner's own tests are.
"""
# rollout-removal: ignore-file

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from assignments.models import Allocation, Assignment, Attempt
from rollout.control import switches
from rollout.flags import resolution
from rollout.models import Explanation, Pin, Position
from rollout.policy.gates import Status
from rollout.removal import edits, imports, pythonfiles, readiness, scope, textfiles, usage
from rollout.removal.finding import MECHANICAL, Action, Kind, Risk, Trace
from rollout.removal.patterns import Names
from rollout.removal.usage import Remaining

NAMES = Names(path="rollout.legacy.LegacyPlanner")


def edited(text: str, found: list[Trace]) -> str:
    return edits.without(text.encode(), [each for each in found if each.action in MECHANICAL]).decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            'APPS = [\n    "waffle",\n    "legacy_planner",\n    "rollout",\n]\n',
            'APPS = [\n    "waffle",\n    "rollout",\n]\n',
        ),
        ('APPS = [\n    "legacy_planner",  # the old one\n    "x",  # new\n]\n', 'APPS = [\n    "x",  # new\n]\n'),
        ('APPS += ["waffle", "legacy_planner", "rollout"]\n', 'APPS += ["waffle", "rollout"]\n'),
        ('APPS += ["rollout", "legacy_planner"]\n', 'APPS += ["rollout"]\n'),
        ('APPS += ["rollout", "legacy_planner.apps.LegacyPlannerConfig"]\n', 'APPS += ["rollout"]\n'),
        ('A = 1\nAPPS += ["legacy_planner"]\nB = 2\n', "A = 1\nB = 2\n"),
        ('A = 1\nAPPS.append("legacy_planner")\n', "A = 1\n"),
        ('APPS = ("waffle", "legacy_planner", "rollout")\n', 'APPS = ("waffle", "rollout")\n'),
        ('R = {"A": 1, "LEGACY_PLANNER": "rollout.legacy.LegacyPlanner"}\n', 'R = {"A": 1}\n'),
        (
            'R = {\n    "LEGACY_PLANNER": "rollout.legacy.LegacyPlanner",\n    "A": "é",\n}\n',
            'R = {\n    "A": "é",\n}\n',
        ),
        ('A = 1\nR["LEGACY_PLANNER"] = "rollout.legacy.LegacyPlanner"\n', "A = 1\n"),
        ('R = dict(A=1, LEGACY_PLANNER="rollout.legacy.LegacyPlanner")\n', "R = dict(A=1)\n"),
        ('L = {"loggers": {"legacy_planner": {"level": "INFO"}, "x": {}}}\n', 'L = {"loggers": {"x": {}}}\n'),
        ('WATCHED = ["auto_assign.failed", "coordinator.error"]\n', 'WATCHED = ["coordinator.error"]\n'),
        ('É = ["é", "legacy_planner", "z"]\n', 'É = ["é", "z"]\n'),
    ],
)
def test_elements_and_settings_are_cut_out_and_nothing_else(before: str, after: str) -> None:
    assert edited(before, pythonfiles.traces("settings.py", before, NAMES, is_test=False)) == after


MARKED = """
import pytest


def test_one() -> None:
    pass


@pytest.mark.legacy_planner
@pytest.mark.parametrize("x", [1])
def test_two(x: int) -> None:
    assert x


class TestThree:
    @pytest.mark.legacy_planner
    def test_a(self) -> None:
        pass

    def test_b(self) -> None:
        pass


@pytest.mark.parametrize("planner", ["v3", pytest.param("legacy", marks=pytest.mark.legacy_planner)])
def test_four(planner: str) -> None:
    pass
"""


def test_marked_tests_and_cases_are_cut_out() -> None:
    found = pythonfiles.traces("tests/test_x.py", MARKED, NAMES, is_test=True)
    assert [(each.kind, each.action) for each in found] == [
        (Kind.TEST, Action.DELETE_LINES),
        (Kind.TEST, Action.DELETE_LINES),
        (Kind.TEST, Action.REPLACE_LINES),
    ]
    after = edited(MARKED, found)
    assert "test_two" not in after
    assert "test_a" not in after
    assert "test_b" in after
    assert '@pytest.mark.parametrize("planner", ["v3"])\ndef test_four' in after
    compile(after, "test_x.py", "exec")


@pytest.mark.parametrize("marks", ["pytest.mark.legacy_planner", "[pytest.mark.django_db, pytest.mark.legacy_planner]"])
def test_a_marked_file_goes_whole(marks: str) -> None:
    text = f"import pytest\npytestmark = {marks}\n"
    assert pythonfiles.traces("tests/test_x.py", text, NAMES, is_test=True) == [
        Trace(kind=Kind.TEST, path="tests/test_x.py", action=Action.DELETE_FILE)
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("from legacy_planner import engine\n", Kind.IMPORT),
        ("import legacy_planner.engine as e\n", Kind.IMPORT),
        ("from rollout.legacy import LegacyPlanner\n", Kind.IMPORT),
        ("from rollout import legacy\n", Kind.IMPORT),
        ('load("legacy_planner.engine.plan")\n', Kind.SETTING),
        ('APPS = ("legacy_planner", "rollout")\n', Kind.SETTING),
        ('APPS = {"legacy_planner"}\n', Kind.SETTING),
        ("# like legacy_planner\n", Kind.MENTION),
        ('if assignment.planner == "legacy":\n    pass\n', Kind.MENTION),
        ('if kind == "auto_assign.failed":\n    pass\n', Kind.EVENT),
    ],
)
def test_what_the_syntax_cannot_decide_is_left_to_people(text: str, kind: Kind) -> None:
    found = pythonfiles.traces("booking/views.py", text, NAMES, is_test=False)
    assert [(each.kind, each.action, each.line) for each in found] == [(kind, Action.BY_HAND, 1)]
    assert found[0].what


def test_rows_of_the_past_in_a_test_are_data() -> None:
    text = 'rows = Attempt.objects.filter(planner="legacy")\n'
    assert pythonfiles.traces("tests/test_x.py", text, NAMES, is_test=True) == []
    assert len(pythonfiles.traces("booking/views.py", text, NAMES, is_test=False)) == 1


def test_a_migration_that_depends_on_it_is_named() -> None:
    text = 'class Migration:\n    dependencies = [("legacy_planner", "0001_initial")]\n'
    found = pythonfiles.traces("booking/migrations/0007_x.py", text, NAMES, is_test=False)
    assert [(each.kind, each.risk, each.action) for each in found] == [(Kind.MIGRATION, Risk.HIGH, Action.BY_HAND)]


def test_an_edit_that_would_break_the_file_is_left_to_people() -> None:
    text = "class TestOnly:\n    @pytest.mark.legacy_planner\n    def test_a(self):\n        pass\n"
    assert {each.action for each in pythonfiles.traces("test_x.py", text, NAMES, is_test=True)} == {Action.BY_HAND}


@pytest.mark.parametrize(
    "line", ['OLD = "legacy_planner"  # rollout-removal: ignore\n', '"""The old planner."""\n', "legacy = 1\n"]
)
def test_what_is_none_of_its_business_is_left_out(line: str) -> None:
    assert pythonfiles.traces("booking/views.py", line, NAMES, is_test=False) == []


TOML = """
[tool.x]
packages = ["assignments", "legacy_planner", "rollout"]
many = [
    "a",
    "legacy_planner: a marker",
]

[[tool.importlinter.contracts]]
id = "one-seam"
protected_modules = ["legacy_planner"]
allowed_importers = ["rollout.legacy"]

[[tool.importlinter.contracts]]
id = "layers"
layers = ["rollout", "legacy_planner"]
"""


def test_in_toml_elements_go_and_a_contract_about_nothing_else_goes_whole() -> None:
    assert (
        edited(TOML, textfiles.traces("pyproject.toml", TOML, NAMES))
        == """
[tool.x]
packages = ["assignments", "rollout"]
many = [
    "a",
]

[[tool.importlinter.contracts]]
id = "layers"
layers = ["rollout"]
"""
    )


MARKDOWN = """# Booking
The legacy planner decides.

| Package | What |
|---|---|
| `legacy_planner` | old |

```python
INSTALLED_APPS += ["waffle", "legacy_planner", "rollout"]
ROLLOUT = {
    "LEGACY_PLANNER": "rollout.legacy.LegacyPlanner",
}
```

```cron
* * * * *    cd /srv && python manage.py run_coordinator
*/5 * * * *  cd /srv && python manage.py rollout compare
```
"""


def test_in_documents_code_and_rows_go_and_sentences_are_left_to_people() -> None:
    found = textfiles.traces("README.md", MARKDOWN, NAMES)
    assert [each.line for each in found if each.action is Action.BY_HAND] == [2]
    after = edited(MARKDOWN, found)
    assert "legacy_planner" not in after
    assert "LEGACY_PLANNER" not in after
    assert 'INSTALLED_APPS += ["waffle", "rollout"]' in after
    assert "run_coordinator" in after
    assert "rollout compare" not in after
    assert [each.kind for each in found if each.line == 17] == [Kind.CRON]


def test_a_changelog_is_history() -> None:
    found = textfiles.traces("CHANGELOG.md", "- `legacy_planner`: the planner that V3 replaces.\n", NAMES)
    assert [each.action for each in found] == [Action.KEEP]


@pytest.mark.parametrize(
    ("path", "line", "kind", "action"),
    [
        ("crontab", "*/5 * * * * booking cd /srv && ./manage.py rollout guard", Kind.CRON, Action.DELETE_LINES),
        ("k8s.yml", 'args: ["rollout", "compare"]', Kind.CRON, Action.BY_HAND),
        ("alerts.yml", 'expr: rate(events{type="auto_assign.failed"}[5m])', Kind.METRIC, Action.BY_HAND),
        ("board.sql", "SELECT count(*) FROM assignments_attempt WHERE planner = 'legacy'", Kind.METRIC, Action.BY_HAND),
        (".env", "ASSIGNMENT_PIPELINE_KILL=", Kind.SWITCH, Action.KEEP),
        (".env", "FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW=true", Kind.SWITCH, Action.KEEP),
        ("Dockerfile", "COPY legacy_planner /srv/legacy_planner", Kind.MENTION, Action.BY_HAND),
    ],
)
def test_in_other_files(path: str, line: str, kind: Kind, action: Action) -> None:
    assert [(each.kind, each.action, each.line) for each in textfiles.traces(path, f"# x\n{line}\n", NAMES)] == [
        (kind, action, 2)
    ]


def test_the_variable_that_must_stay_on_is_told_from_the_one_that_must_stay_off() -> None:
    text = "FEATURE_ASSIGNMENT_PIPELINE_V3=true\nFEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW=false\n"
    first, second = textfiles.traces(".env", text, NAMES)
    assert "stays on" in first.what
    assert "stays off" in second.what


@pytest.fixture
def host_project(tmp_path: Path) -> Path:
    """A booking project of somebody else's, with what must not be read beside it."""
    files = {
        "booking/settings.py": 'INSTALLED_APPS = [\n    "legacy_planner",\n]\n',
        "booking/latin.py": "# legacy_planner, caf\xe9\n",
        "booking/broken.py": "def (legacy_planner\n",
        "tests/legacy_planner/test_old.py": "import legacy_planner\n",
        "venv/pyvenv.cfg": "",
        "venv/lib/x.py": '["legacy_planner"]\n',
        "node_modules/x.md": "legacy_planner\n",
        ".git/config": "legacy_planner\n",
        ".github/workflows/ci.yml": "run: pytest --ignore legacy_planner\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="latin-1")
    (tmp_path / "binary.bin").write_bytes(b"legacy_planner\0")
    (tmp_path / "loop").symlink_to(tmp_path)
    return tmp_path


def test_a_projects_own_files_are_read_and_nobody_elses(host_project: Path) -> None:
    found = scope.find(host_project, NAMES)
    assert {(each.place, each.action) for each in found.traces if not Path(each.path).is_absolute() and each.path} == {
        ("booking/settings.py:2", Action.DELETE_LINES),
        ("booking/broken.py:1", Action.BY_HAND),
        ("tests/legacy_planner", Action.DELETE_FOLDER),
        (".github/workflows/ci.yml:1", Action.BY_HAND),
    }


def test_a_planner_of_the_projects_own_is_left_to_people(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "own_planners.py").write_text("import os\n\n\nclass Pen:\n    pass\n\n\nclass Old:\n    key = 'pen'\n")
    (tmp_path / "settings.py").write_text('ROLLOUT = {"A": 1, "LEGACY_PLANNER": "own_planners.Old"}\n')
    monkeypatch.syspath_prepend(tmp_path)
    found = scope.find(tmp_path, Names(path="own_planners.Old"))
    places = {each.place: each.action for each in found.traces if not Path(each.path).is_absolute() and each.path}
    assert places == {"own_planners.py:8": Action.BY_HAND, "settings.py:1": Action.REPLACE_LINES}


def test_every_trace_says_what_may_go_wrong(host_project: Path) -> None:
    for item in scope.find(host_project, NAMES).as_dict()["items"]:
        assert item["risk"] in {"low", "medium", "high"}
        assert item["why"].endswith(".")
        assert item["what"] or item["action"] in MECHANICAL


def test_without_the_import_graph_it_says_how_to_get_it(host_project: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(__import__("sys").modules, "grimp", None)
    found = scope.find(host_project, NAMES)
    assert imports.INSTALL in found.missing
    assert found.mechanical


# Readiness

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)
READY = Remaining(
    environment="production",
    now=NOW,
    since=NOW - timedelta(days=7),
    stage="full",
    top="full",
    percent=100,
    stage_since=NOW - timedelta(days=7),
    held=False,
    cool_down_until=None,
    drift="",
    old_decisions=0,
    last_old_decision=None,
    v3_decisions=1,
    in_flight=0,
    holds=0,
    explanations_open=0,
    explanations_expired=0,
    pins=(),
)


def test_all_pass_is_ready() -> None:
    results = readiness.evaluate(READY)
    assert readiness.is_ready(results)
    assert len(results) == 8


@pytest.mark.parametrize(
    ("change", "gate", "status"),
    [
        ({"stage": ""}, "stage", Status.HOLD),
        ({"stage": "canary-50", "percent": 50}, "stage", Status.FAIL),
        ({"percent": 99}, "stage", Status.FAIL),
        ({"stage_since": NOW - timedelta(days=6, hours=23)}, "soak", Status.HOLD),
        ({"stage_since": None}, "soak", Status.HOLD),
        ({"drift": "v3 is off"}, "flags", Status.FAIL),
        ({"old_decisions": 1, "last_old_decision": NOW}, "old_decisions", Status.FAIL),
        ({"v3_decisions": 0}, "old_decisions", Status.HOLD),
        ({"in_flight": 1}, "in_flight", Status.FAIL),
        ({"holds": 1}, "in_flight", Status.FAIL),
        ({"explanations_open": 1}, "explanations", Status.HOLD),
        ({"explanations_expired": 1}, "explanations", Status.FAIL),
        ({"pins": ("R1",)}, "pins", Status.FAIL),
        ({"held": True}, "held", Status.HOLD),
        ({"cool_down_until": NOW + timedelta(hours=1)}, "held", Status.HOLD),
    ],
)
def test_one_thing_that_is_left_is_enough_not_to_be_ready(change: dict[str, Any], gate: str, status: Status) -> None:
    results = readiness.evaluate(replace(READY, **change))
    assert {each.gate: each.status for each in results}[gate] is status
    assert not readiness.is_ready(results)


def booking(ref: str, *, planner: str) -> Assignment:
    """An open one."""
    now = timezone.now()
    return Assignment.objects.create(
        booking_ref=ref,
        restaurant_ref="R1",
        service_date=now.date(),
        starts_at=now,
        party=2,
        planner=planner,
        due_at=now,
        requested_at=now,
    )


def decided(assignment: Assignment, planner: str, days_ago: float) -> None:
    Attempt.objects.create(
        assignment=assignment,
        booking_ref=assignment.booking_ref,
        number=1,
        planner=planner,
        trigger="cron",
        outcome="confirmed",
        correlation_id=uuid4(),
        at=timezone.now() - timedelta(days=days_ago),
    )


@pytest.fixture
def ended(db: Any) -> Position:
    """V3 has decided everything for ten days; the old planner's last decision is eight days old."""
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")
    position = Position.objects.create(
        environment="dev", stage="full", percent=100, since=timezone.now() - timedelta(days=10)
    )
    first = booking("B1", planner="v3")
    decided(first, "legacy", 8)
    decided(first, "v3", 1)
    return position


def measure(days: int = 7) -> dict[str, Status]:
    results = readiness.evaluate(usage.read(now=timezone.now(), days=days))
    return {result.gate: result.status for result in results}


@pytest.mark.django_db
def test_what_the_database_says(ended: Position, settings: Any, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(7):
        assert set(measure().values()) == {Status.PASS}
    assert measure(days=9)["old_decisions"] is Status.FAIL
    assert measure(days=11)["soak"] is Status.HOLD
    now = timezone.now()
    waiting = booking("B2", planner="legacy")
    assert measure()["in_flight"] is Status.FAIL
    Assignment.objects.filter(pk=waiting.pk).delete()
    hold = Allocation(
        restaurant_ref="R1", table_ref="T1", booking_ref="B3", kind="hold", planner="legacy", token=uuid4(),
        blocked=(now, now + timedelta(hours=2)), starts_at=now, ends_at=now + timedelta(hours=2),
        expires_at=now + timedelta(minutes=3),
    )  # fmt: skip
    hold.save()
    assert measure()["in_flight"] is Status.FAIL
    Allocation.objects.update(expires_at=now - timedelta(minutes=3))
    assert measure()["in_flight"] is Status.PASS
    known = Explanation.objects.create(
        verdict="worse", owner="floor team", reason="terrace", expires_at=now + timedelta(days=1)
    )
    assert measure()["explanations"] is Status.HOLD
    Explanation.objects.update(expires_at=now - timedelta(days=1))
    assert measure()["explanations"] is Status.FAIL
    Explanation.objects.filter(pk=known.pk).update(withdrawn_at=now)
    assert measure()["explanations"] is Status.PASS
    Pin.objects.create(restaurant_ref="R1", planner="v3", actor="test", reason="test")
    assert measure()["pins"] is Status.PASS
    Pin.objects.update(planner="legacy")
    assert measure()["pins"] is Status.FAIL
    Position.objects.update(held=True)
    assert measure()["held"] is Status.HOLD
    switches.set_switch(resolution.V3_SWITCH, active=False, actor="test", reason="test")
    assert measure()["flags"] is Status.FAIL


@pytest.mark.parametrize("is_begun", [True, False])
@pytest.mark.django_db
def test_the_kill_variable_fails_it_and_is_named(ended: Position, settings: Any, is_begun: bool) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
    if not is_begun:
        ended.delete()
    results = readiness.evaluate(usage.read(now=timezone.now(), days=7))
    (found,) = [each for each in results if each.gate == "flags"]
    assert found.status is Status.FAIL
    assert "ASSIGNMENT_PIPELINE_KILL is set" in found.detail


class TestCommand:
    @pytest.mark.django_db
    def test_ready_exits_with_nothing_to_say_against_it(self, ended: Position, host_project: Path, capsys: Any) -> None:
        call_command("rollout", "removal", "--json", "--root", str(host_project))
        report = json.loads(capsys.readouterr().out)
        assert report["ready"] is True
        assert {result["status"] for result in report["readiness"]} == {"pass"}
        assert report["scope"]["root"] == str(host_project)

    @pytest.mark.django_db
    def test_not_ready_is_refused_and_names_what_is_open(
        self, ended: Position, host_project: Path, capsys: Any
    ) -> None:
        Pin.objects.create(restaurant_ref="R7", planner="legacy", actor="test", reason="test")
        with pytest.raises(CommandError, match="pins") as refused:
            call_command("rollout", "removal", "--days", "9", "--root", str(host_project))
        assert refused.value.returncode == 1
        assert "old_decisions" in str(refused.value)
        out = capsys.readouterr().out
        assert "R7" in out
        assert "booking/settings.py:2" in out

    def test_the_scope_alone_asks_no_database(self, host_project: Path, capsys: Any) -> None:
        call_command("rollout", "removal", "--only", "scope", "--json", "--root", str(host_project))
        assert "readiness" not in json.loads(capsys.readouterr().out)

    @pytest.mark.django_db
    def test_readiness_alone_reads_no_files(self, ended: Position, monkeypatch: Any, capsys: Any) -> None:
        monkeypatch.setattr(scope, "find", None)
        call_command("rollout", "removal", "--only", "readiness", "--json")
        assert "scope" not in json.loads(capsys.readouterr().out)

    def test_a_root_that_is_no_folder_is_named(self, capsys: Any) -> None:
        with pytest.raises(CommandError, match="nowhere"):
            call_command("rollout", "removal", "--root", "nowhere")
