"""Fixtures for all tests."""

from collections.abc import Iterator

import pytest
from django.utils import translation

from assignments import conf, events, floors, success
from assignments.metrics.collector import COLLECTOR
from rollout import shadow


@pytest.fixture(autouse=True)
def _fresh_process_state() -> Iterator[None]:
    """What a process remembers (floors, settings, events, the language) is forgotten between tests."""
    yield
    events.flush(timeout_seconds=5)
    events.MemorySink.events.clear()
    floors.forget()
    success.forget()
    shadow.flush(5)
    shadow.is_on.set(False)
    COLLECTOR.forget()
    conf.settings.cache_clear()
    conf.load.cache_clear()
    translation.deactivate()
