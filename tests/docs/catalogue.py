"""What the documents say of events, made from the catalogue in the code: ``python -m tests.docs.catalogue`` writes it anew.

All of it is in docs/events.md; the runbook has the short form between two markers.
"""

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.docs.document import DOCS

if TYPE_CHECKING:
    from assignments.telemetry.event_catalogue import EventType

RUNBOOK = DOCS / "assignment-pipeline-rollout.md"
EVENTS = DOCS / "events.md"

_BETWEEN = re.compile(r"(?<=<!-- events: begin -->\n).*?(?=<!-- events: end -->)", re.DOTALL)

_HEAD = """# Events

All events of this project's apps. Generated from the code by `python -m tests.docs.catalogue`; a test fails if it is
not current. For sinks and pages see [observability](observability.md).

Each event has a source, a type, a severity (`info`, `warning`, `error`) and a time (UTC). If applicable it has a
booking, a restaurant, and a correlation id, shared with other records of the same invocation: attempts, history, outbox
messages, log lines. The rest is its context: only the fields below, at most 4 KB. Fields without a value are left out.

"""


def cheat_sheet() -> str:
    """For the runbook: a table for each source, its events in the order of the catalogue."""
    tables = []
    for source, events in _by_source():
        lines = [
            f"| `{each.type}` | {each.severity} | {each.meaning} | {each.action or 'Nothing.'} |" for each in events
        ]
        head = f"### `{source}`\n\n| Event | Severity | Meaning | What to do |\n|---|---|---|---|\n"
        tables.append(head + "\n".join(lines) + "\n")
    return "\n" + "\n".join(tables) + "\n"


def reference() -> str:
    """docs/events.md: each event with its fields, and what the fields mean."""
    from assignments.telemetry.event_catalogue import ALLOWED_CONTEXT

    sections = []
    for source, events in _by_source():
        lines = [f"## `{source}`", ""]
        for each in events:
            fields = ", ".join(f"`{name}`" for name in each.fields)
            lines += [f"### `{each.type}`", "", f"Severity `{each.severity}`. {each.meaning}", ""]
            lines += [f"- Fields: {fields}", f"- What to do: {each.action or 'Nothing.'}", ""]
        sections.append("\n".join(lines))
    rows = [f"| `{name}` | {field.meaning} | {field.unit} |" for name, field in sorted(ALLOWED_CONTEXT.items())]
    fields = "## Fields\n\n| Field | Meaning | Unit |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    return _HEAD + "\n".join(sections) + "\n" + fields


def written() -> str:
    """What the runbook has between its markers."""
    found = _BETWEEN.search(RUNBOOK.read_text())
    assert found, f"{RUNBOOK} has lost its markers"
    return found.group()


def write() -> None:
    """Write both. The runbook goes with the legacy planner."""
    EVENTS.write_text(reference())
    if RUNBOOK.exists():
        text = cheat_sheet()
        RUNBOOK.write_text(_BETWEEN.sub(lambda _: text, RUNBOOK.read_text()))


def _by_source() -> Iterator[tuple[str, list["EventType"]]]:
    """The sources of the installed apps, each with its events."""
    from assignments.telemetry.event_catalogue import CATALOGUE

    for source in sorted({each.source for each in CATALOGUE.values()}):
        yield source, [each for each in CATALOGUE.values() if each.source == source]


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    write()


if __name__ == "__main__":
    main()
