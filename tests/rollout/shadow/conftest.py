"""The candidate's process as it really starts, for tests in which it is what is tested."""

import subprocess
from typing import Any

import pytest

from rollout.shadow import comparator


@pytest.fixture
def really_started(monkeypatch: Any) -> None:
    monkeypatch.setattr(comparator, "subprocess", subprocess)
