"""A report as one page of HTML that needs nothing else: no script, no request, print and dark mode. Pure.

A content security policy in the page allows its own style sheet, by its hash, and nothing more. Whatever others wrote is
escaped; ids and classes are ours alone.
"""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape

from rollout.reporting import charts, sections
from rollout.reporting.blocks import (
    Balances,
    Bars,
    Block,
    Bullets,
    Card,
    Cell,
    Code,
    Link,
    Mark,
    Noted,
    Paragraph,
    Section,
    Table,
)
from rollout.reporting.sanitize import visible
from rollout.reporting.values import Report

STYLE = """
:root { color-scheme: light dark; --page: #fff; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --sheet: #f6f8fa;
  --good: #1a7f37; --bad: #cf222e; --open: #9a6700; --neutral: #57708c; --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --ink: #e6edf3; --soft: #9aa4af; --line: #343b44;
  --sheet: #161b22; --good: #3fb950; --bad: #ff7b72; --open: #d29922; --neutral: #8fa8c4; --link: #79c0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .5rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p, li, h1, h3, dd { overflow-wrap: anywhere; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: 1rem 0; padding: 0; }
code { font: .9em ui-monospace, monospace; }
.summary { font-size: 1.1rem; font-weight: 600; padding: .75rem 1rem; background: var(--sheet);
  border-left: .3rem solid var(--soft); }
.summary.good { border-color: var(--good); } .summary.bad { border-color: var(--bad); }
.summary.open { border-color: var(--open); }
p.bad, p.open { font-weight: 600; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .25rem; }
th, td { text-align: left; vertical-align: top; padding: .4rem .5rem; border-top: 1px solid var(--line);
  overflow-wrap: break-word; }
thead th { border-top: 0; vertical-align: bottom; }
tbody:last-child tr:last-child > * { border-bottom: 1px solid var(--line); }
tbody th { font-weight: 600; }
.more td { border-top: 0; padding-top: 0; overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number, .short { white-space: nowrap; }
.note { display: block; color: var(--soft); font-size: .85rem; font-weight: 400; }
.mark { font-weight: 600; }
.mark.good { color: var(--good); } .mark.bad { color: var(--bad); } .mark.open { color: var(--open); }
.scroll { overflow-x: auto; }
.scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.chart { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin: 1rem 0; align-items: flex-start; }
.chart > svg { flex: 1 1 20rem; max-width: 30rem; width: 100%; height: auto; }
.chart > .scroll { flex: 1 1 22rem; min-width: 0; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .small { font-size: 11px; fill: var(--soft); }
svg .track { fill: var(--sheet); stroke: var(--line); stroke-width: .5; }
svg .axis { stroke: var(--ink); stroke-width: 1; }
svg rect.good { fill: var(--good); } svg rect.bad { fill: var(--bad); }
svg rect.open { fill: var(--open); } svg rect.neutral { fill: var(--neutral); }
article { border: 1px solid var(--line); border-radius: .4rem; padding: 1rem; margin: 1rem 0; }
article table { margin-bottom: 0; table-layout: fixed; }
article thead th:first-child { width: 4.5rem; }
dl { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 0; }
dl div { display: flex; gap: .4rem; } dt { color: var(--soft); } dd { margin: 0; }
footer { color: var(--soft); font-size: .85rem; margin-top: 2.5rem; }
@media (max-width: 30rem) {
  main { padding: .75rem; } th, td { padding: .35rem .2rem; } table { font-size: .8rem; }
}
@media print {
  :root { --page: #fff; --ink: #000; --soft: #444; --line: #bbb; --sheet: #fff; --good: #1a7f37; --bad: #b3131f;
    --open: #7d5200; --neutral: #57708c; --link: #000; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; } nav { display: none; }
  h2, h3, thead, tr:has(+ .more) { break-after: avoid; } tr, article, svg { break-inside: avoid; }
  .scroll { overflow: visible; } .chart { display: block; } .chart > svg { max-width: 12cm; }
  svg rect { print-color-adjust: exact; }
}
"""

SHORT = 12
"""Cells of so many characters stay on one line: dates, numbers with a unit."""

_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'"


def render(report: Report, *, site: str = "") -> str:
    """The whole page. ``site``: see ``sections.document``."""
    document = sections.document(report, site=site)
    links = "".join(
        f'<li><a href="#section-{number}">{_text(section.title)}</a></li>'
        for number, section in enumerate(document.sections)
    )
    bodies = "\n".join(_section(section, f"section-{number}") for number, section in enumerate(document.sections))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="robots" content="noindex">\n'
        f"<title>{_text(document.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{_text(document.title)}</h1>\n<p class="summary {document.summary.tone}">{_text(document.summary.text)}</p>\n'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n{bodies}\n'
        "<footer>References only: nothing here names a guest. Milliseconds are of planning alone.</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def _section(section: Section, key: str) -> str:
    blocks = "\n".join(_block(block, f"{key}-{number}") for number, block in enumerate(section.blocks))
    heading = f'<h2 id="{key}-heading">{_text(section.title)}</h2>'
    return f'<section id="{key}" aria-labelledby="{key}-heading">\n{heading}\n{blocks}\n</section>'


def _block(block: Block, key: str) -> str:
    match block:
        case Paragraph():
            return f'<p class="{block.tone}">{_text(block.text)}</p>'
        case Bullets():
            return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in block.items)}</ul>"
        case Table():
            return _table(block)
        case Bars():
            return f'<div class="chart">{charts.bars(block, key)}{_table(block.table)}</div>'
        case Balances():
            return f'<div class="chart">{charts.balances(block, key)}{_table(block.table)}</div>'
        case Card():
            facts = "".join(f"<div><dt>{_text(name)}</dt><dd>{_cell(cell)}</dd></div>" for name, cell in block.facts)
            return f"<article>\n<h3>{_text(block.title)}</h3>\n<dl>{facts}</dl>\n{_table(block.table)}\n</article>"


def _table(table: Table) -> str:
    """With a scroll bar of its own where the page is too narrow for it: reachable by keyboard, and named."""
    numbers = [column.is_number for column in table.columns]
    head = "".join(
        f'<th scope="col"{_class(is_number)}>{_text(column.title)}</th>'
        for column, is_number in zip(table.columns, numbers, strict=True)
    )
    body = "\n".join(_row(row, numbers) for row in table.rows)
    caption = _text(table.caption)
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table>\n<caption>{caption}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def _row(row: Sequence[Cell], numbers: Sequence[bool]) -> str:
    """What is noted at a row's beginning goes below it, over the whole width: on a telephone it needs that."""
    first, *others = row
    more = ""
    if isinstance(first, Noted):
        more = f'<tr class="more"><td colspan="{len(row)}"><span class="note">{_breakable(first.note)}</span></td></tr>'
        first = first.cell
    cells = "".join(
        f"<td{_class(is_number)}>{_cell(cell)}</td>" for cell, is_number in zip(others, numbers[1:], strict=True)
    )
    return f'<tr><th scope="row"{_class(numbers[0])}>{_cell(first)}</th>{cells}</tr>{more}'


def _class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _cell(cell: Cell) -> str:
    match cell:
        case str():
            return f'<span class="short">{_text(cell)}</span>' if len(cell) <= SHORT else _breakable(cell)
        case Code():
            return f"<code>{_breakable(cell.text)}</code>"
        case Mark():
            return f'<span class="mark {cell.tone}">{_text(cell.text)}</span>'
        case Link():
            return f'<a href="{_text(cell.url)}">{_text(cell.text)}</a>'
        case Noted():
            return f'{_cell(cell.cell)}<span class="note">{_breakable(cell.note)}</span>'


def _breakable(text: str) -> str:
    """Long identifiers may go on in the next line, behind an underscore."""
    return _text(text).replace("_", "_<wbr>")


def _text(text: str) -> str:
    return escape(visible(text))
