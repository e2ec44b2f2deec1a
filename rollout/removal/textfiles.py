"""Finding references to the legacy planner in other files: packaging, documents, cron lines, variables.

Array elements, table rows and cron lines can be cut out by a program; sentences are left to people.
"""

import re
import tomllib
from dataclasses import replace
from pathlib import PurePath

from rollout import conf
from rollout.removal import edits
from rollout.removal.finding import Action, Kind, Trace
from rollout.removal.patterns import RUNBOOK, SETTING, Names
from rollout.removal.pythonfiles import IGNORE

DOCUMENTS = frozenset({".md", ".rst", ".txt", ".adoc"})

_CRON_LINE = re.compile(r"^\s*(?:@\w+|[\d*][\d*/,-]*(?:\s+[\d*a-zA-Z/,-]+){4})\s")
_COMPARING = re.compile(r"""\brollout["',\s\]\[]+(?:compare|guard)\b""")
_VARIABLE = re.compile(rf"\b({'|'.join(sorted(conf.VARIABLES, key=len, reverse=True))})\b")
_PROSE = re.compile(r"\b(?:old|legacy) planner", re.IGNORECASE)
_FENCE = re.compile(r"^\s*(?:```|~~~)")

_VARIABLES = {
    conf.V3_VARIABLE: "It stays on: while it is off, nobody decides.",
    conf.SHADOW_VARIABLE: "It stays off: while it is on, nobody decides.",
    conf.KILL_VARIABLE: "It stays unset: while it is set, nobody decides.",
}


def traces(path: str, text: str, names: Names) -> list[Trace]:
    """All traces in one file."""
    if any(found.group(1) for found in IGNORE.finditer(text)):
        return []
    suffix, stem = PurePath(path).suffix, PurePath(path).stem
    if stem == RUNBOOK:
        return [Trace(kind=Kind.DOCUMENT, path=path, action=Action.DELETE_FILE)]
    if suffix == ".toml":
        return _toml(path, text, names)
    if stem.upper().startswith("CHANGELOG"):
        return [
            replace(trace, action=Action.KEEP, what="It is history. Add a line under Removed.")
            for trace in _document(path, text, names)
            if names.mention.search(trace.text)
        ]
    return _document(path, text, names) if suffix in DOCUMENTS else _other(path, text, names)


def _toml(path: str, text: str, names: Names) -> list[Trace]:
    """Elements of arrays; a table of an array of tables goes whole when an array of it becomes empty."""
    lines = text.splitlines()
    found: list[Trace] = []
    for number, line in enumerate(lines, 1):
        if IGNORE.search(line) or not names.mention.search(line):
            continue
        if line.lstrip().startswith("#"):
            found.append(_edit(Kind.PACKAGING, path, number, line, "", what="A comment: reword or delete."))
        else:
            found.append(_edit(Kind.PACKAGING, path, number, line, without_element(line, names)))
    found = _whole_tables(path, lines, found)
    try:
        tomllib.loads(
            edits.without(text.encode(), [each for each in found if each.action is not Action.BY_HAND]).decode()
        )
    except tomllib.TOMLDecodeError:
        return [replace(each, action=Action.BY_HAND, replacement="", what="Remove it.") for each in found]
    return found


def _whole_tables(path: str, lines: list[str], found: list[Trace]) -> list[Trace]:
    for trace in list(found):
        if trace.action is not Action.REPLACE_LINES or not re.search(r"=\s*\[\s*\]\s*$", trace.replacement):
            continue
        first = trace.line
        while first > 1 and not lines[first - 1].startswith("["):
            first -= 1
        if not lines[first - 1].startswith("[["):
            continue
        last = trace.line
        while last < len(lines) and not lines[last].startswith("["):
            last += 1
        whole = Trace(
            kind=trace.kind,
            path=path,
            line=first,
            end_line=last,
            text=f"{lines[first - 1]} {trace.text}",
            action=Action.DELETE_LINES,
        )
        found = [each for each in found if not first <= each.line <= last] + [whole]
    return sorted(found, key=lambda each: each.line)


def _document(path: str, text: str, names: Names) -> list[Trace]:
    found, fenced = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        if IGNORE.search(line):
            continue
        if trace := _cron(path, number, line):
            found.append(trace)
        elif names.mention.search(line):
            new: str | None = None
            if fenced:
                new = without_element(line, names)
            elif re.match(rf"\s*(?:\||[-*+]|\d+\.)\s*\W{{0,3}}(?:docs/)?(?:{names.package}|{RUNBOOK})\b", line):
                new = ""
            found.append(_edit(Kind.DOCUMENT, path, number, line, new, what="Reword or delete."))
        elif _PROSE.search(line) or names.decided.search(line):
            found.append(_edit(Kind.DOCUMENT, path, number, line, None, what="Reword or delete."))
    return found


def _other(path: str, text: str, names: Names) -> list[Trace]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if IGNORE.search(line):
            continue
        if trace := _cron(path, number, line):
            found.append(trace)
        elif names.events in line and names.mention.search(line):
            found.append(_edit(Kind.METRIC, path, number, line, None, what="Count assignment.coordinator's events."))
        elif names.decided.search(line):
            found.append(_edit(Kind.METRIC, path, number, line, None, what="It counts only past rows."))
        elif names.mention.search(line):
            found.append(_edit(Kind.MENTION, path, number, line, None, what="Remove it."))
        elif _COMPARING.search(line):
            found.append(_edit(Kind.CRON, path, number, line, None, what="Remove the command from the schedule."))
        elif (variable := _VARIABLE.search(line)) and not line.lstrip().startswith(("#", "//")):
            found.append(
                replace(
                    _edit(Kind.SWITCH, path, number, line, None, what=_VARIABLES[variable.group(1)]), action=Action.KEEP
                )
            )
    return found


def _cron(path: str, number: int, line: str) -> Trace | None:
    if _CRON_LINE.match(line) and _COMPARING.search(line):
        return _edit(Kind.CRON, path, number, line, "")
    return None


def _edit(kind: Kind, path: str, number: int, line: str, new: str | None, *, what: str = "") -> Trace:
    """``new`` is the line afterwards: nothing for none, None where only a person can say."""
    if new is None:
        action = Action.BY_HAND
    else:
        action, what = (Action.REPLACE_LINES if new else Action.DELETE_LINES), ""
    return Trace.of_line(path, number, kind=kind, text=line.strip(), action=action, replacement=new or "", what=what)


def without_element(line: str, names: Names) -> str | None:
    """A line of code without the quoted elements that name the legacy planner; None when something of it would be left.

    A line with nothing else in it goes: an element on a line of its own, or a key with its only value.
    """
    quoted = names.quoted.match(line.lstrip())
    if quoted and line.lstrip()[quoted.end() :].startswith("="):
        return ""  # The key of a table.
    setting = re.compile(rf"""(["'])?{SETTING}\1?\]?\s*[:=]\s*(["']).*?\2\s*,?\s*""")
    new = setting.sub("", line)
    new = names.quoted.sub("", new)
    new = re.sub(r",\s*([\])}])", r"\1", new).rstrip()
    if names.mention.search(new):
        return None
    alone = re.fullmatch(r"""(?:[\w.\-"']+\s*[:=]\s*)?(?:\[\])?,?""", new.strip())
    if alone and "[" in line and not line.strip().startswith(("'", '"')):
        return new  # An array that is empty now: its key says more than we know here.
    return "" if alone else new
