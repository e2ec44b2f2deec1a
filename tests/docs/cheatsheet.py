"""The runbook's event cheat sheet, made from the catalogue: ``python -m tests.docs.cheatsheet`` writes it anew."""

import os
import re

from tests.docs.document import DOCS

RUNBOOK = DOCS / "assignment-pipeline-rollout.md"

_BETWEEN = re.compile(r"(?<=<!-- events: begin -->\n).*?(?=<!-- events: end -->)", re.DOTALL)


def cheat_sheet() -> str:
    """A table for each source, its events in the order of the catalogue."""
    from django.utils.module_loading import import_string

    from assignments.events import CATALOGUE
    from rollout import conf

    if conf.settings().LEGACY_PLANNER:
        import_string(conf.settings().LEGACY_PLANNER)  # Its events are in the catalogue once it is loaded.
    tables = []
    for source in sorted({each.source for each in CATALOGUE.values()}):
        rows = [each for each in CATALOGUE.values() if each.source == source]
        lines = [f"| `{each.type}` | {each.severity} | {each.meaning} | {each.action or 'Nothing.'} |" for each in rows]
        if lines:
            head = f"### `{source}`\n\n| Event | Severity | Meaning | What to do |\n|---|---|---|---|\n"
            tables.append(head + "\n".join(lines) + "\n")
    return "\n" + "\n".join(tables) + "\n"


def written() -> str:
    """What the document has between its markers."""
    found = _BETWEEN.search(RUNBOOK.read_text())
    assert found, f"{RUNBOOK} has lost its markers"
    return found.group()


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    text = cheat_sheet()
    RUNBOOK.write_text(_BETWEEN.sub(lambda _: text, RUNBOOK.read_text()))


if __name__ == "__main__":
    main()
