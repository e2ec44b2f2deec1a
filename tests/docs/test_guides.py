"""The short how-to guides: their commands run, their tables name what there is, and their examples of tests pass."""

import re
import sys
from types import ModuleType
from typing import Any

import pytest
from django.db import connection
from django.test import override_settings

from assignments.lifecycle.transitions import OUTBOX_TOPIC
from assignments.models import State
from assignments.outcome import CoordinatorReason
from assignments.planning.reasons import Reason
from assignments.staff import labels
from assignments.telemetry.event_catalogue import CATALOGUE
from example import models
from tests.docs.document import DOCS, run, steps

GUIDES = ("host-class", "production", "upgrading")


def python_blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.django_db(transaction=True)
def test_every_command_of_the_guides_runs(restaurant: models.Restaurant) -> None:
    variables = {
        "DATABASE_NAME": str(connection.settings_dict["NAME"]),
        "DJANGO_SETTINGS_MODULE": "tests.docs.settings",
    }
    commands = {step.text: step for page in GUIDES for step in steps(DOCS / f"{page}.md")}
    assert len(commands) == 6
    said = {text: run(step, **variables) for text, step in commands.items()}
    assert "Bookings: 117" in said["python manage.py inspect_host"]
    assert "Dry run: nothing was written." in said["python manage.py run_coordinator --dry-run"]


@pytest.mark.legacy_planner
def test_the_crontab_is_the_runbooks_without_the_rollout() -> None:
    def crontab(page: str) -> set[str]:
        return set(
            re.findall(
                r"cd /srv/booking && \.venv/bin/(python manage\.py .*)$", (DOCS / page).read_text(), re.MULTILINE
            )
        )

    everything = crontab("assignment-pipeline-rollout.md")
    assert crontab("production.md") == {each for each in everything if "manage.py rollout" not in each}


def test_what_guests_are_told_names_topics_and_reasons_that_exist() -> None:
    text = (DOCS / "telling-guests.md").read_text().partition("## What to say")[2].partition("## In the view")[0]
    topics = set(re.findall(r"`((?:booking|closure)\.[\w.]+)`", text))
    states = {f"{OUTBOX_TOPIC}{state.value}" for state in State}
    types = {each.type for each in CATALOGUE.values()}
    others = {each.replace("seating.", "booking.") for each in types if each.startswith(("seating.", "closure."))}
    assert topics <= states | others
    # Every message that a guest could hear of is there; what an open booking goes through is one row.
    assert others <= topics
    assert {f"{OUTBOX_TOPIC}{state}" for state in ("confirmed", "manual_review", "failed", "cancelled")} <= topics
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    reasons = {code for said in re.findall(r"reason ([^|]*)", rows) for code in re.findall(r"`(\w+)`", said)}
    assert reasons >= {"no_capacity", "edit_unmet", "rejected_by_staff", "invalid_party"}
    known = {*map(str, labels._REASONS), *Reason, *CoordinatorReason}
    assert reasons <= known


@pytest.mark.django_db(transaction=True)
def test_the_host_in_memory_seats_a_booking_as_the_guide_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    host_block, test_block = (block for block in python_blocks("testing") if "T1" in block)
    module = ModuleType("tests.hosts")
    exec(host_block, vars(module))
    monkeypatch.setitem(sys.modules, "tests.hosts", module)

    def without_rollout(ASSIGNMENTS: dict[str, Any]) -> override_settings:  # noqa: N803  (as the guide calls it)
        return override_settings(ASSIGNMENTS={**ASSIGNMENTS, "ROUTER": "assignments.integration.planners.SoleRouter"})

    names: dict[str, Any] = {"override_settings": without_rollout}
    exec(test_block.replace("from django.test import override_settings\n", ""), names)
    names["test_two_guests_get_the_small_table"]()
