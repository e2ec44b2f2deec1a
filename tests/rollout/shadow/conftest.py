"""The candidate's process as it really starts: here it is what is tested."""

import subprocess
from typing import Any

import pytest

from rollout.shadow import comparator


@pytest.fixture(autouse=True)
def _candidates_start_themselves(monkeypatch: Any) -> None:
    monkeypatch.setattr(comparator, "subprocess", subprocess)
