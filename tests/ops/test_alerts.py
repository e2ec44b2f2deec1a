"""The rules of ops/prometheus, as promtool takes them, and what is promised of each."""

import os
import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.utils import timezone

from assignments.outcome import CoordinatorReason, Kind
from assignments.planning.reasons import HARD_REASONS, INVALID_REASONS, Reason
from assignments.telemetry.metrics.labels import V3_REASONS
from example.models import Booking, Restaurant
from rollout.models import Position
from tests.debian import program
from tests.docs.document import DOCS, run, steps
from tests.ops import anchors, catalogue, expressions
from tests.ops.prometheus import OPS, RULES, scaled
from tests.ops.rules import Rule, alerts, rules

TESTS = sorted((OPS / "prometheus" / "tests").glob("*.test.yml"))
RUNBOOK = "{{ $externalLabels.runbooks }}"
COMPONENTS = {"assignment.coordinator", "assignment.state_machine", "rollout"}


def promtool(*arguments: str | Path) -> None:
    """Raises AssertionError with what it says when it is not content."""
    done = subprocess.run(
        [program("promtool", "prometheus"), *map(str, arguments)],
        env={**os.environ, "GOGC": "800"},  # otherwise it spends a quarter of its time on collecting garbage
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def cases() -> list[dict[str, Any]]:
    """Each thing that a promtool test says of an alert."""
    return [
        case for path in TESTS for test in yaml.safe_load(path.read_text())["tests"] for case in test["alert_rule_test"]
    ]


@pytest.mark.parametrize("factor", [1, 60])
def test_prometheus_takes_the_rules_also_with_a_minute_made_a_second(tmp_path: Path, factor: int) -> None:
    for path in RULES:
        (tmp_path / path.name).write_text(scaled(path.read_text(), factor))
    promtool("check", "rules", *sorted(tmp_path.iterdir()))


def test_a_minute_made_a_second_is_so_everywhere() -> None:
    text = "expr: time() - x > 2 * 60 and increase(y[15m]) > 1\n  for: 1h\n"
    assert scaled(text, 60) == "expr: time() - x > 2 * 60 / 60 and increase(y[15000ms]) > 1\n  for: 60000ms\n"
    for rule in alerts():
        assert not re.search(r"(age_seconds|time\(\)).*[<>] \d+(?! \* 60\b)[.\d]*$", rule.expression, re.MULTILINE), (
            rule
        )


def test_prometheus_takes_the_example_of_a_configuration() -> None:
    promtool("check", "config", "--syntax-only", OPS / "prometheus" / "prometheus.yml")
    config = yaml.safe_load((OPS / "prometheus" / "prometheus.yml").read_text())
    assert config["rule_files"] == [path.name for path in RULES]
    assert config["global"]["external_labels"]["runbooks"].endswith("/")
    assert config["scrape_configs"][0]["job_name"] == "booking"


def test_alerts_fire_when_they_must_and_else_stay_silent() -> None:
    promtool("test", "rules", *TESTS)


def test_a_change_of_a_threshold_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    rules_path, tests_path = tmp_path / RULES[0].name, tmp_path / "tests" / TESTS[0].name
    rules_path.write_text(RULES[0].read_text().replace("> 5 * 60", "> 50 * 60"))
    written = yaml.safe_load(TESTS[0].read_text())
    written["tests"] = [test for test in written["tests"] if test["name"].startswith("AssignmentQueueTooOld")]
    tests_path.write_text(yaml.safe_dump(written))
    with pytest.raises(AssertionError, match="AssignmentQueueTooOld"):
        promtool("test", "rules", tests_path)


def test_every_alert_is_tested_for_firing_and_for_staying_silent() -> None:
    names = {rule.name for rule in alerts()}
    assert {case["alertname"] for case in cases() if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases() if not case["exp_alerts"]} == names


def test_names_are_given_once() -> None:
    assert [name for name, times in Counter(rule.name for rule in rules()).items() if times > 1] == []


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule.name)
def test_an_alert_says_how_grave_it_is_what_it_is_about_and_what_to_do(rule: Rule) -> None:
    assert rule.labels["severity"] in {"page", "ticket"}
    assert rule.labels["component"] in COMPONENTS
    assert rule.annotations["summary"]
    assert rule.annotations["description"]
    assert rule.annotations["runbook_url"] == f"{RUNBOOK}docs/alerts.md#{rule.name.lower()}"
    assert anchors.resolves(rule.annotations["runbook_url"].removeprefix(RUNBOOK))


def test_the_runbook_says_the_same_four_things_of_every_alert_and_of_no_other() -> None:
    sections = re.split(r"^#{2,3} (.+)$", (DOCS / "alerts.md").read_text(), flags=re.MULTILINE)
    found = dict(zip(sections[1::2], sections[2::2], strict=True))
    told = {title: text for title, text in found.items() if title.startswith(("Assignment", "Rollout"))}
    assert set(told) == {rule.name for rule in alerts()}
    for title, text in told.items():
        for word in ("**Meaning**", "**Look at**", "**Roll back**"):
            assert word in text, (title, word)
        assert re.search(r"\*\*Do\*\*|\*\*do\*\*", text), title


def test_links_of_the_documents_resolve() -> None:
    for document in ("alerts.md", "observability.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", (DOCS / document).read_text()):
            if "://" not in target:
                path = f"docs/{target}" if not target.startswith("#") else f"docs/{document}{target}"
                is_there = anchors.resolves(path) if "#" in path else (DOCS / target).resolve().exists()
                assert is_there, (document, target)


@pytest.mark.django_db
def test_expressions_name_metrics_that_exist() -> None:
    known = catalogue.known()
    unknown = {rule.name: expressions.metrics(rule.expression) - known for rule in rules()}
    assert {name: missing for name, missing in unknown.items() if missing} == {}


def test_nobody_fails_what_no_set_of_tables_could_seat() -> None:
    full = {Reason.NO_CAPACITY, Reason.PINNED_TABLES_TAKEN, Reason.PACING}
    others = {
        CoordinatorReason.INVALID_BOOKING,
        CoordinatorReason.CONFIRMED_BY_HOST,
        CoordinatorReason.STARTED_UNDECIDED,
    }
    expected = {*HARD_REASONS, *INVALID_REASONS, *full, *others}
    written = [set(found.split("|")) for rule in rules() for found in re.findall(r'reason!~"([^"]+)"', rule.expression)]
    assert written == [{str(reason) for reason in expected}] * 4
    assert expected >= V3_REASONS[Kind.FAILED]


@pytest.mark.django_db(transaction=True)
@pytest.mark.legacy_planner
def test_what_the_runbook_has_people_run_can_be_run(restaurant: Restaurant) -> None:
    Booking.objects.exclude(pk__in=list(Booking.objects.values_list("pk", flat=True)[:5])).delete()
    Position.objects.create(environment="dev", stage="full", percent=100, since=timezone.now())
    done = steps(DOCS / "alerts.md")
    assert len(done) > 12
    for step in done:
        run(step)
