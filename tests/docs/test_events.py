"""docs/events.md is what the code says, and says it of every event."""

import pytest

from assignments.telemetry.event_catalogue import ALLOWED_CONTEXT, CATALOGUE
from tests.docs import catalogue


def test_the_reference_is_current() -> None:
    assert catalogue.EVENTS.read_text() == catalogue.reference(), "python -m tests.docs.catalogue writes it anew"


def test_every_event_of_every_installed_app_is_in_it() -> None:
    text = catalogue.reference()
    for known in CATALOGUE.values():
        assert f"### `{known.type}`" in text
    sources = {line.removeprefix("## ").strip("`") for line in text.splitlines() if line.startswith("## `")}
    assert {"assignment.state_machine", "assignment.coordinator", "assignment.rollout"} <= sources


@pytest.mark.legacy_planner
def test_the_legacy_planners_events_are_in_it_as_long_as_it_is_installed() -> None:
    assert "## `auto_assign`" in catalogue.reference()


def test_every_field_has_a_meaning_and_is_used() -> None:
    used = {name for known in CATALOGUE.values() for name in known.fields}
    for name, field in ALLOWED_CONTEXT.items():
        assert field.meaning.endswith("."), name
    assert used <= ALLOWED_CONTEXT.keys()


def test_the_runbook_has_the_short_form_of_the_same_events() -> None:
    for known in CATALOGUE.values():
        assert f"| `{known.type}` | {known.severity} |" in catalogue.cheat_sheet()
