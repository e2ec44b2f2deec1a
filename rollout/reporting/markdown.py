"""A report as Markdown (GitHub's flavour, for its tables). Pure; whatever others wrote is escaped."""

import re
from collections.abc import Sequence
from math import ceil

from rollout.reporting import sections
from rollout.reporting.blocks import (
    Balances,
    Bars,
    Block,
    Bullets,
    Card,
    Cell,
    Code,
    Column,
    Link,
    Mark,
    Noted,
    Paragraph,
    Table,
    Tone,
)
from rollout.reporting.sanitize import visible
from rollout.reporting.values import Report

BAR = 20
"""Characters of the longest text bar."""

_ACTIVE = re.compile(r"[\\`*\[\]<|~&$]|(?<![^\W_])_|_(?![^\W_])")
"""What Markdown would take for markup. A bare address stays one: it leads where it says."""
_TONES = {Tone.NEUTRAL: "", Tone.GOOD: "", Tone.BAD: "**", Tone.OPEN: "*"}


def render(report: Report, *, site: str = "") -> str:
    """The whole document. ``site``: see ``sections.document``."""
    document = sections.document(report, site=site)
    parts = [f"# {escape(document.title)}", f"**{escape(document.summary.text)}**"]
    for section in document.sections:
        parts.append(f"## {escape(section.title)}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """The text as Markdown that shows it, on one line: no markup, no HTML, no end of a table's cell."""
    return _ACTIVE.sub(lambda found: f"\\{found.group()}", visible(text))


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            marks = "**" if block.tone is Tone.BAD else ""
            return f"{marks}{escape(block.text)}{marks}"
        case Bullets():
            return "\n".join(f"- {escape(item)}" for item in block.items)
        case Table():
            return _table(block.columns, block.rows)
        case Bars():
            most = max((bar.value for bar in block.bars), default=0)
            cells = [f"{_bar('█', bar.value, most)} {bar.text}".strip() for bar in block.bars]
            return f"{escape(block.description)}\n\n{_with_column(block.table, '', cells)}"
        case Balances():
            most = max((max(point.above, point.below) for point in block.points), default=0)
            cells = [f"{_bar('█', point.above, most)}{_bar('░', point.below, most)}" for point in block.points]
            return f"{escape(block.description)}\n\n{_with_column(block.table, f'█ {block.above}, ░ {block.below}', cells)}"
        case Card():
            facts = ", ".join(f"{escape(name)}: {_cell(cell)}" for name, cell in block.facts)
            return f"### {escape(block.title)}\n\n{facts}\n\n{_table(block.table.columns, block.table.rows)}"


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    lines = [
        [escape(column.title) for column in columns],
        ["---:" if column.is_number else "---" for column in columns],
        *([_cell(cell) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _with_column(table: Table, title: str, cells: Sequence[str]) -> str:
    return _table(
        [*table.columns, Column(title=title)], [[*row, cell] for row, cell in zip(table.rows, cells, strict=True)]
    )


def _cell(cell: Cell) -> str:
    match cell:
        case str():
            return escape(cell)
        case Code():
            return _code(cell.text)
        case Mark():
            marks = _TONES[cell.tone]
            return f"{marks}{escape(cell.text)}{marks}"
        case Link():
            return f"[{escape(cell.text)}](<{_address(cell.url)}>)"
        case Noted():
            return f"{_cell(cell.cell)}: {escape(cell.note)}"


def _code(text: str) -> str:
    """Between backticks nothing is escaped: what holds some of its own, or ends a cell, is shown as a text."""
    shown = visible(text)
    return escape(text) if not shown or set("`|\\") & set(shown) else f"`{shown}`"


def _address(url: str) -> str:
    return re.sub(r"[^\w\-./:?=&%#@]", lambda found: "".join(f"%{byte:02X}" for byte in found.group().encode()), url)


def _bar(character: str, value: int, most: int) -> str:
    """At least one character for what is not 0."""
    return character * ceil(BAR * value / most) if most else ""
