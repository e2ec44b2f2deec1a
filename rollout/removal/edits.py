"""Turning cuts in a text into edits of whole lines, readable as a diff and applicable by a program."""

from collections.abc import Sequence
from dataclasses import dataclass

from rollout.removal.finding import Action, Kind, Trace


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A piece to cut: bytes ``start`` to ``end``, end excluded. ``label``: its name."""

    start: int
    end: int
    kind: Kind
    label: str = ""


def as_traces(path: str, source: bytes, cuts: Sequence[Cut]) -> list[Trace]:
    """The cuts as edits of lines; cuts that touch the same lines become one edit."""
    traces = []
    for first, last, members in _by_lines(source, cuts):
        start, end = _offset(source, first), _offset(source, last + 1)
        old = source[start:end].decode()
        new = _lines_without(source, start, end, members)
        traces.append(
            Trace(
                kind=members[0].kind,
                path=path,
                line=first,
                end_line=last,
                text=members[0].label or old.strip().splitlines()[0].strip(),
                action=Action.REPLACE_LINES if new else Action.DELETE_LINES,
                replacement=new,
            )
        )
    return traces


def without(source: bytes, traces: Sequence[Trace]) -> bytes:
    """The text after these edits."""
    lines = source.decode().splitlines(keepends=True)
    for trace in sorted(traces, key=lambda each: each.line, reverse=True):
        kept = f"{trace.replacement}\n" if trace.action is Action.REPLACE_LINES else ""
        lines[trace.line - 1 : trace.end_line] = [kept] if kept else []
    return "".join(lines).encode()


def _by_lines(source: bytes, cuts: Sequence[Cut]) -> list[tuple[int, int, list[Cut]]]:
    groups: list[tuple[int, int, list[Cut]]] = []
    for cut in sorted(cuts, key=lambda each: (each.start, -each.end)):
        first = source.count(b"\n", 0, cut.start) + 1
        last = source.count(b"\n", 0, max(cut.start, cut.end - 1)) + 1
        if groups and first <= groups[-1][1]:
            before = groups.pop()
            groups.append((before[0], max(last, before[1]), [*before[2], cut]))
        else:
            groups.append((first, last, [cut]))
    return groups


def _lines_without(source: bytes, start: int, end: int, cuts: Sequence[Cut]) -> str:
    kept, position = b"", start
    for cut in cuts:
        kept += source[position : max(position, cut.start)]
        position = max(position, cut.end)
    kept += source[position:end]
    return "\n".join(line.rstrip() for line in kept.decode().splitlines() if line.strip())


def _offset(source: bytes, line: int) -> int:
    """Start of a line, counted from 1; the end of the text for the line after the last."""
    position = 0
    for _ in range(line - 1):
        found = source.find(b"\n", position)
        if found < 0:
            return len(source)
        position = found + 1
    return position
