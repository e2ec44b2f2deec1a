"""What a process remembers: floors, settings, its release, events, numbers for metrics, the language."""

from django.utils import translation

from assignments import conf
from assignments.coordination import table_record
from assignments.integration import floor_cache, release
from assignments.telemetry import events
from assignments.telemetry.metrics.collector import COLLECTOR
from rollout.shadow import recorder

_running = release.running
"""The function itself: a test may have put another one in its place."""


def forget() -> None:
    """Write what is still to be written, and remember nothing, like a process that has just started."""
    events.flush(timeout_seconds=5)
    events.MemorySink.events.clear()
    floor_cache.forget()
    table_record.forget()
    recorder.flush(5)
    COLLECTOR.forget()
    conf.settings.cache_clear()
    conf.load.cache_clear()
    _running.cache_clear()
    translation.deactivate()
