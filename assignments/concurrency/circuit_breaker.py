"""The circuit breaker: after repeated errors a restaurant is left alone for a while. "No capacity" is not an error.

Closed -> open after ``BREAKER_FAILURES`` failures in a row, for ``BREAKER_OPEN_SECONDS``; then half open: the next
success counts, ``BREAKER_SUCCESSES`` of them close it, one failure opens it again.

Whether anything is ever tried again is not up to the breaker: where V3 no longer decides, or nobody books, it would stay
half open for ever. So it counts as *quiet* after a while (``STATE``), and ``assignments.maintenance.retention`` deletes it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction

from assignments import conf
from assignments.models import Breaker

QUIET_AFTER = timedelta(hours=1)
"""Half open for so long, a breaker is quiet: each failure opens it anew, so none has happened since."""
FORGOTTEN_AFTER = timedelta(days=1)
"""Nothing having happened for so long, a breaker is forgotten, and counts failures from the first again."""


class State(StrEnum):
    """What a breaker is for whoever looks. To the coordinator quiet is half open: the next failure opens it again."""

    OPEN = "open"
    HALF_OPEN = "half_open"
    QUIET = "quiet"
    CLOSED = "closed"


STATE = f"""
CASE WHEN opened_until IS NULL THEN '{State.CLOSED}'
     WHEN opened_until > now() THEN '{State.OPEN}'
     WHEN opened_until > now() - interval '{QUIET_AFTER.total_seconds():.0f} seconds' THEN '{State.HALF_OPEN}'
     ELSE '{State.QUIET}' END
"""
"""SQL that gives the ``State`` of a row of ``assignments_breaker``, by the database's clock. The one definition: metrics,
the alert and the Health page go by it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A breaker at one moment. ``failures`` in a row; ``successes`` since it half-opened."""

    failures: int = 0
    successes: int = 0
    opened_until: datetime | None = None

    def is_open(self, now: datetime) -> bool:
        return self.opened_until is not None and now < self.opened_until

    def seconds_left(self, now: datetime) -> float:
        return max(0.0, (self.opened_until - now).total_seconds()) if self.opened_until else 0.0

    def after_failure(self, now: datetime) -> "Reading":
        settings = conf.settings()
        failures = self.failures + 1
        if self.opened_until is not None or failures >= settings.BREAKER_FAILURES:
            return Reading(failures=failures, opened_until=now + timedelta(seconds=settings.BREAKER_OPEN_SECONDS))
        return replace(self, failures=failures)

    def after_success(self) -> "Reading":
        if self.opened_until is None:
            return Reading()
        successes = self.successes + 1
        return Reading() if successes >= conf.settings().BREAKER_SUCCESSES else replace(self, successes=successes)


CLOSED = Reading()


def name_for(restaurant_ref: str) -> str:
    """One breaker for each restaurant: a broken floor stops that restaurant, not the group."""
    return f"coordinator:{restaurant_ref}"


def record_failure(restaurant_ref: str, now: datetime) -> Reading:
    """Count a failure, in the caller's transaction, and give the new reading."""
    with transaction.atomic():
        row, _created = Breaker.objects.select_for_update().get_or_create(name=name_for(restaurant_ref))
        return _store(row, _reading(row).after_failure(now))


def record_success(restaurant_ref: str, before: Reading) -> None:
    """Count a success. Costs nothing while the breaker, as read ``before``, has seen no failure."""
    if before == CLOSED:
        return
    row = Breaker.objects.select_for_update().filter(name=name_for(restaurant_ref)).first()
    if row:
        _store(row, _reading(row).after_success())


def _reading(row: Breaker) -> Reading:
    return Reading(failures=row.failures, successes=row.successes, opened_until=row.opened_until)


def _store(row: Breaker, reading: Reading) -> Reading:
    row.failures, row.successes, row.opened_until = reading.failures, reading.successes, reading.opened_until
    row.save()
    return reading
