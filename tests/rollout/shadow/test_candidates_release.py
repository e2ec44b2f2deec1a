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
from rollout.models import Comparison
from rollout.shadow import recorder
from tests.example.conftest import keep_few, load
from tests.rollout.control.test_steering import climb, configure

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]

OTHER = "tests.rollout.candidates.raises"


@pytest.mark.parametrize(
    ("more", "expected"), [({}, lambda running: running), ({"CANDIDATE": OTHER}, lambda running: f"{running}+{OTHER}")]
)
def test_they_belong_to_a_release_of_their_own(
    more: dict[str, Any], expected: Callable[[str], str], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")
    configure(settings, **more)
    keep_few(load("legacy"), 12)
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
