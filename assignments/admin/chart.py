"""A chart over time, and its table for screen readers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A line of the chart: one value for each moment, or None."""

    label: str
    values: Sequence[float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A chart that ``assignments/charts.js`` draws where ``admin/assignments/page/chart.html`` is included.

    ``id``: the element's id, unique on the page. ``x``: aware datetimes, ascending, shown in UTC.
    """

    id: str
    caption: str
    x: Sequence[datetime]
    series: Sequence[Series]
    unit: str = ""

    def __post_init__(self) -> None:
        for each in self.series:
            if len(each.values) != len(self.x):
                problem = f"Chart {self.id}: {each.label} has {len(each.values)} values for {len(self.x)} moments."
                raise ValueError(problem)

    @property
    def data(self) -> dict[str, Any]:
        """The data for the script."""
        return {
            "x": [moment.timestamp() for moment in self.x],
            "series": [{"label": str(each.label), "values": list(each.values)} for each in self.series],
        }

    @property
    def rows(self) -> Iterator[tuple[datetime, list[float | None]]]:
        for number, moment in enumerate(self.x):
            yield moment, [each.values[number] for each in self.series]
