"""Candidates of these tests stand for releases of V3 that have a fault."""

import pytest

from rollout.shadow import comparator


@pytest.fixture(autouse=True)
def _candidates_are_v3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparator, "_of_candidate", lambda running: running)
