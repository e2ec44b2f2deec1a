"""Charts as inline SVG. Pure. No style of their own and no script: the page's style sheet colours their classes.

Drawn for a width of 360 units, so that on a telephone a unit is a pixel and their texts stay readable.
"""

from html import escape

from rollout.reporting.blocks import Balances, Bars
from rollout.reporting.sanitize import visible

WIDTH = 360
ROW = 34
BAR = 10
HALF = 70
"""Height of the longest column, up or down."""
TOP = 22
LABELS = 5


def bars(chart: Bars, key: str) -> str:
    """A bar for each row, its label and number above it. ``key`` makes the ids unique within the page."""
    most = max((bar.value for bar in chart.bars), default=0)
    shapes = []
    for number, bar in enumerate(chart.bars):
        top = number * ROW
        width = _length(bar.value, most, WIDTH)
        shapes.append(
            f'<text x="0" y="{top + 14}">{_text(bar.label)}</text>'
            f'<text x="{WIDTH}" y="{top + 14}" text-anchor="end">{_text(bar.text)}</text>'
            f'<rect class="track" x="0" y="{top + 19}" width="{WIDTH}" height="{BAR}" rx="2"/>'
            f'<rect class="{bar.tone}" x="0" y="{top + 19}" width="{width:g}" height="{BAR}" rx="2"/>'
        )
    return _svg(chart.title, chart.description, key, height=len(chart.bars) * ROW, shapes=shapes)


def balances(chart: Balances, key: str) -> str:
    """A column up and one down for each point, on one scale."""
    most = max((max(point.above, point.below) for point in chart.points), default=0)
    step = WIDTH / max(len(chart.points), 1)
    # One point alone would be as wide as the chart.
    width = min(0.7 * step, 40)
    middle = TOP + HALF
    every = max(1, -(-len(chart.points) // LABELS))
    shapes = [
        f'<text x="0" y="14">{_text(chart.above)}</text>',
        f'<text class="small" x="{WIDTH}" y="14" text-anchor="end">longest column: {most}</text>',
        f'<text x="0" y="{middle + HALF + 16}">{_text(chart.below)}</text>',
    ]
    for number, point in enumerate(chart.points):
        left = number * step + (step - width) / 2
        up, down = _length(point.above, most, HALF), _length(point.below, most, HALF)
        shapes.append(
            f'<rect class="good" x="{left:.1f}" y="{middle - up:g}" width="{width:.1f}" height="{up:g}"/>'
            f'<rect class="open" x="{left:.1f}" y="{middle:g}" width="{width:.1f}" height="{down:g}"/>'
        )
        if number % every == 0:
            # At the edges a centred label would be cut off.
            at = min(max(left + width / 2, 20), WIDTH - 20)
            shapes.append(
                f'<text class="small" x="{at:.1f}" y="{middle + HALF + 34}" text-anchor="middle">{_text(point.label)}</text>'
            )
    shapes.append(f'<line class="axis" x1="0" y1="{middle}" x2="{WIDTH}" y2="{middle}"/>')
    return _svg(chart.title, chart.description, key, height=middle + HALF + 40, shapes=shapes)


def _svg(title: str, description: str, key: str, *, height: int, shapes: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="{key}-title {key}-description">'
        f'<title id="{key}-title">{_text(title)}</title><desc id="{key}-description">{_text(description)}</desc>'
        f"{''.join(shapes)}</svg>"
    )


def _length(value: int, most: int, longest: int) -> float:
    """At least 2 units for what is not 0."""
    return round(max(2.0, longest * value / most), 1) if value else 0.0


def _text(text: str) -> str:
    return escape(visible(text))
