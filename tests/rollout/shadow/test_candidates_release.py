"""Comparisons of a candidate that is not V3 are no evidence for V3."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from assignments.coordination import dispatch
from assignments.integration import release
from rollout.control import steering
from rollout.evidence import measuring
from rollout.models import Comparison, DayComparison
from rollout.shadow import recorder
from tests.example.conftest import load
from tests.rollout.control.test_steering import climb, configure

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]

OTHER = "tests.rollout.candidates.raises"


@pytest.fixture
def decided(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve decisions of the legacy planner that wait to be compared."""
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    configure(settings)
    load("legacy", bookings=12)
    climb("shadow")
    dispatch.register_new()
    list(dispatch.run_pass())
    assert recorder.flush()


def test_what_was_recorded_under_other_settings_does_not_speak_for_a_release_with_these(
    decided: None, settings: Any
) -> None:
    """V3 is asked by the rules of the snapshot, but the release that is deployed since decides by its own."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MAX_TABLES": 1}
    call_command("rollout", "compare", verbosity=0)
    found = set(Comparison.objects.exclude(verdict="").values_list("release", flat=True))
    assert found == {f"{release.running()}+other-rules"}
    position = steering.current()
    assert position is not None
    comparisons = measuring.measure(position).comparisons
    assert (comparisons.total, comparisons.others, comparisons.expected) == (0, 12, 0)
    day = DayComparison.objects.get()
    assert (day.release, day.content["rules"]["max_tables"]) == (release.running(), 1), "it is planned anew"


@pytest.mark.parametrize(
    ("more", "expected"), [({}, lambda running: running), ({"CANDIDATE": OTHER}, lambda running: f"{running}+{OTHER}")]
)
def test_they_belong_to_a_release_of_their_own(
    more: dict[str, Any], expected: Callable[[str], str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    configure(settings, **more)
    load("legacy", bookings=12)
    climb("shadow")
    dispatch.register_new()
    list(dispatch.run_pass())
    assert recorder.flush()
    call_command("rollout", "compare", verbosity=0)
    of = expected(release.running())
    assert set(Comparison.objects.exclude(verdict="").values_list("release", flat=True)) == {of}
    position = steering.current()
    assert position is not None
    counted = measuring.measure(position).comparisons.total
    assert (counted > 0) is (not more)
