"""The dashboards of ops/grafana: they can be imported, ask for what exists, and lead to what to do."""

import re
from collections import Counter
from typing import Any

import pytest

from tests.docs.document import DOCS
from tests.ops import anchors, catalogue, dashboards, expressions
from tests.ops.rules import alerts

WIDTH = 24
RUNBOOK = "${runbooks}"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


def names(dashboard: dict[str, Any]) -> str:
    return str(dashboard["title"])


@pytest.mark.parametrize("dashboard", dashboards.dashboards(), ids=names)
def test_a_dashboard_can_be_imported_anywhere(dashboard: dict[str, Any]) -> None:
    assert dashboard["id"] is None
    assert re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"])
    assert dashboard["refresh"] == "30s"
    assert dashboard["schemaVersion"] >= 36
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["environment"]["datasource"] == DATASOURCE
    for panel in dashboards.panels(dashboard):
        assert {str(each["datasource"]) for each in (panel, *panel["targets"])} == {str(DATASOURCE)}, panel["title"]


@pytest.mark.parametrize("dashboard", dashboards.dashboards(), ids=names)
def test_each_panel_says_what_it_shows_and_in_which_unit(dashboard: dict[str, Any]) -> None:
    panels = list(dashboards.panels(dashboard))
    assert len(panels) > 8
    for panel in panels:
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]
    titles = Counter(panel["title"] for panel in panels)
    assert [title for title, times in titles.items() if times > 1] == []


@pytest.mark.parametrize("dashboard", dashboards.dashboards(), ids=names)
def test_no_panel_lies_on_another(dashboard: dict[str, Any]) -> None:
    taken = Counter(
        (x, y)
        for panel in dashboard["panels"]
        for place in (panel["gridPos"],)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    )
    assert max(taken.values()) == 1
    assert max(x for x, _y in taken) < WIDTH
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_names_under_which_grafana_keeps_them_are_their_own() -> None:
    assert len({each["uid"] for each in dashboards.dashboards()}) == len(dashboards.dashboards()) == 3


def test_every_query_asks_for_one_environment_and_is_filled_in() -> None:
    for dashboard in dashboards.dashboards():
        for panel in dashboards.panels(dashboard):
            for target in panel["targets"]:
                for selector in expressions.selectors(target["expr"]):
                    assert 'environment=~"$environment"' in selector, (panel["title"], selector)
    assert [query for query in dashboards.queries() if "$" in query.expression] == []


@pytest.mark.django_db
def test_queries_name_metrics_that_exist() -> None:
    known = catalogue.known()
    unknown = {query.title: expressions.metrics(query.expression) - known for query in dashboards.queries()}
    assert {title: missing for title, missing in unknown.items() if missing} == {}


@pytest.mark.django_db
def test_every_metric_can_be_seen_or_calls_somebody() -> None:
    asked = [query.expression for query in dashboards.queries()] + [rule.expression for rule in alerts()]
    used = {name for expression in asked for name in expressions.metrics(expression)}
    unseen = {re.sub("_(bucket|sum|count)$", "", name) for name in catalogue.exposed() - used}
    assert unseen - {re.sub("_bucket$", "", name) for name in used} == {"assignment_process_decision_seconds"}


def test_links_lead_to_the_runbook() -> None:
    for dashboard in dashboards.dashboards():
        links = [*dashboard["links"], *(link for panel in dashboards.panels(dashboard) for link in panel["links"])]
        urls = [link["url"] for link in links if link.get("url")]
        assert urls
        assert [url for url in urls if not anchors.resolves(url.removeprefix(RUNBOOK))] == []


def test_every_alert_has_a_panel_that_shows_what_it_is_about() -> None:
    linked = {
        link["url"].partition("#")[2]
        for dashboard in dashboards.dashboards()
        for panel in dashboards.panels(dashboard)
        for link in panel["links"]
    }
    assert linked == {rule.name.lower() for rule in alerts()}


def test_the_document_says_which_dashboard_and_which_alerts_watch_a_component() -> None:
    written = {}
    section = (DOCS / "observability.md").read_text().partition("\n## Dashboards and alerts\n")[2].partition("\n## ")[0]
    for row in re.findall(r"^\| `(.+)` \| (.+) \| (.+) \|$", section, re.MULTILINE):
        component, dashboard, watching = row
        written[component] = (
            re.findall(r"`([\w./-]+)`", dashboard),
            re.findall(r"\[(\w+)\]\(alerts\.md#(\w+)\)", watching),
        )
    boards = {
        each["tags"][1]: f"ops/grafana/{path.name}"
        for path, each in zip(dashboards.FILES, dashboards.dashboards(), strict=True)
    }
    assert written == {
        component: (
            [boards[component]],
            [(rule.name, rule.name.lower()) for rule in alerts() if rule.labels["component"] == component],
        )
        for component in ("assignment.state_machine", "assignment.coordinator", "rollout")
    }
