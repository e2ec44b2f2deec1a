"""Charts of few moments: which time their axes show."""

import json

import pytest
from playwright.sync_api import Page

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]

HOUR = 3600
NOON = 1_795_953_600
ADDED = """(charts) => {
    charts.forEach((data, number) => {
        const figure = document.createElement("figure");
        figure.dataset.chart = `chart-${number}`;
        figure.innerHTML = `<div class="page-plot"></div><script id="chart-${number}" type="application/json"></script>`;
        figure.querySelector("script").textContent = data;
        document.querySelector("#content").append(figure);
    });
    const Drawn = uPlot;
    window.drawn = [];
    window.uPlot = function (...given) { const plot = new Drawn(...given); window.drawn.push(plot); return plot; };
    Object.assign(window.uPlot, Drawn);
}"""


def draw(page: Page, *all_moments: list[int], language: str = "en") -> None:
    """Open a page in this language that has a chart of each of these moments."""
    page.goto("/admin/")
    page.add_script_tag(url="/static/assignments/vendor/uplot/uPlot.iife.min.js")
    charts = [{"x": moments, "series": [{"label": "V3", "values": [50] * len(moments)}]} for moments in all_moments]
    page.evaluate(ADDED, [json.dumps(each) for each in charts])
    page.evaluate("(language) => { document.documentElement.lang = language; }", language)
    page.add_script_tag(url="/static/assignments/charts.js")
    page.evaluate("document.dispatchEvent(new Event('DOMContentLoaded'))")


def test_the_axis_spans_the_moments_and_one_has_its_hour(page: Page) -> None:
    draw(page, [NOON], [NOON, NOON + HOUR], [NOON, NOON + HOUR, NOON + 5 * HOUR])
    assert page.evaluate("drawn.map((plot) => [plot.scales.x.min, plot.scales.x.max])") == [
        [NOON - HOUR / 2, NOON + HOUR / 2],
        [NOON, NOON + HOUR],
        [NOON, NOON + 5 * HOUR],
    ]


@pytest.mark.parametrize(("language", "written"), [("en", "29 Nov 2026"), ("de", "29.11.2026")])
def test_the_axis_writes_days_in_the_language_of_the_page(page: Page, language: str, written: str) -> None:
    draw(page, [NOON, NOON + HOUR], language=language)
    assert page.evaluate("drawn[0].axes[0]._values[0]").endswith(f"\n{written}")
