/* Draws each <figure class="page-chart" data-chart="ID"> from the JSON in the element ID:
   {x: [seconds since 1970], series: [{label, values}]}. The table below has the same numbers. */
"use strict";

(() => {
  const HEIGHT = 240;
  const COLOURS = ["--chart-1", "--chart-2", "--chart-3", "--chart-4", "--chart-5", "--chart-6"];
  const drawn = [];

  // As the page writes days, in its language.
  const language = document.documentElement.lang;
  const day = new Intl.DateTimeFormat(!language || language.startsWith("en") ? "en-GB" : language, { dateStyle: "medium" });

  const variable = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

  function options(data, width) {
    const quiet = variable("--body-quiet-color");
    const line = variable("--hairline-color");
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    return {
      width,
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      fmtDate: (template) => {
        const parts = template.replace("{h}", "{HH}").replace("{aa}", "").split("{day}").map((part) => uPlot.fmtDate(part));
        return (date) => parts.map((part) => part(date)).join(day.format(date));
      },
      // A single moment gets a range of an hour. uPlot would ask for a thousand days from it on.
      scales: {
        x: { range: (plot, first, last) => (data.x.length > 1 ? [first, last] : [(data.x[0] ?? first) - 1800, (data.x[0] ?? last) + 1800]) },
        y: { range: (plot, low, high) => [Math.min(0, low || 0), high > 0 ? high * 1.1 : 1] },
      },
      axes: [
        { ...axis, space: 90, values: [
          [86400, "{day}", null, null, null, null, null, null, 1],
          [3600, "{HH}:{mm}", "\n{day}", null, null, null, null, null, 1],
          [60, "{HH}:{mm}", "\n{day}", null, null, null, null, null, 1],
        ] },
        axis,
      ],
      series: [
        { label: "UTC", value: "{day}, {HH}:{mm}" },
        ...data.series.map((series, number) => ({
          label: series.label,
          stroke: variable(COLOURS[number % COLOURS.length]),
          width: 2,
          dash: [[], [8, 4], [2, 3]][number % 3],
          spanGaps: false,
          points: { show: data.x.length < 60, size: 6 },
        })),
      ],
    };
  }

  function draw(figure) {
    const data = JSON.parse(document.getElementById(figure.dataset.chart).textContent);
    const place = figure.querySelector(".page-plot");
    place.replaceChildren();
    const plot = new uPlot(
      options(data, Math.max(place.clientWidth, 200)),
      [data.x, ...data.series.map((series) => series.values)],
      place,
    );
    return { figure, place, plot };
  }

  function redraw() {
    drawn.forEach((chart, number) => {
      chart.plot.destroy();
      drawn[number] = draw(chart.figure);
    });
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("figure[data-chart]").forEach((figure) => drawn.push(draw(figure)));
    window.addEventListener("resize", () =>
      drawn.forEach(({ place, plot }) => plot.setSize({ width: Math.max(place.clientWidth, 200), height: HEIGHT })));
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  });
})();
