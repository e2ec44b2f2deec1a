"""Charts of few moments: which time their axes show."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]

HOUR = 3600
NOON = 1_795_953_600
ADDED = """(data) => {
    const figure = document.createElement("figure");
    figure.dataset.chart = "few";
    figure.innerHTML = '<div class="page-plot"></div><script id="few" type="application/json"></script>';
    figure.querySelector("script").textContent = data;
    document.querySelector("#content").append(figure);
    const Drawn = uPlot;
    window.drawn = [];
    window.uPlot = function (...given) { const plot = new Drawn(...given); window.drawn.push(plot); return plot; };
    Object.assign(window.uPlot, Drawn);
}"""


@pytest.mark.parametrize(
    ("moments", "shown"),
    [
        ([NOON], [NOON - HOUR / 2, NOON + HOUR / 2]),
        ([NOON, NOON + HOUR], [NOON, NOON + HOUR]),
        ([NOON, NOON + HOUR, NOON + 5 * HOUR], [NOON, NOON + 5 * HOUR]),
    ],
)
def test_the_axis_spans_the_moments_and_one_has_its_hour(page: Page, moments: list[int], shown: list[float]) -> None:
    page.goto("/admin/")
    page.add_script_tag(url="/static/assignments/vendor/uplot/uPlot.iife.min.js")
    data: dict[str, Any] = {"x": moments, "series": [{"label": "V3", "values": [50] * len(moments)}]}
    page.evaluate(ADDED, json.dumps(data))
    page.add_script_tag(url="/static/assignments/charts.js")
    page.evaluate("document.dispatchEvent(new Event('DOMContentLoaded'))")
    assert page.evaluate("drawn.map((plot) => [plot.scales.x.min, plot.scales.x.max])") == [shown]


@pytest.mark.parametrize(("language", "written"), [("en", "29 Nov 2026"), ("de", "29.11.2026")])
def test_the_axis_writes_days_in_the_language_of_the_page(page: Page, language: str, written: str) -> None:
    page.goto("/admin/")
    page.add_script_tag(url="/static/assignments/vendor/uplot/uPlot.iife.min.js")
    data: dict[str, Any] = {"x": [NOON, NOON + HOUR], "series": [{"label": "V3", "values": [50, 60]}]}
    page.evaluate(ADDED, json.dumps(data))
    page.evaluate("(language) => { document.documentElement.lang = language; }", language)
    page.add_script_tag(url="/static/assignments/charts.js")
    page.evaluate("document.dispatchEvent(new Event('DOMContentLoaded'))")
    assert page.evaluate("drawn[0].axes[0]._values[0]").endswith(f"\n{written}")
