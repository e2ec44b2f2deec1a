"""The circuit breaker: after repeated errors a restaurant is skipped for a while. "No capacity" is not an error.

Closed -> open after ``BREAKER_FAILURES`` consecutive failures, for ``BREAKER_OPEN_SECONDS``. Then half open:
``BREAKER_SUCCESSES`` successes close it, one failure opens it again.

Without further attempts, for example without bookings or after a rollback, it would stay half open forever. So it
counts as *quiet* (idle) after a while (``STATE``), and ``assignments.maintenance.retention`` deletes it.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from assignments import conf
from assignments.concurrency import transactions
from assignments.models import Breaker

QUIET_AFTER = timedelta(hours=1)
"""Time in half open after which a breaker is idle."""
FORGOTTEN_AFTER = timedelta(days=1)
"""Time without changes after which a breaker is deleted, so that failures count from zero."""


class State(StrEnum):
    """The displayed state of a breaker. For the coordinator, quiet is the same as half open: the next failure opens it."""

    OPEN = "open"
    HALF_OPEN = "half_open"
    QUIET = "quiet"
    CLOSED = "closed"


STATE = f"""
CASE WHEN opened_until IS NULL THEN '{State.CLOSED}'
     WHEN opened_until > assignments_now() THEN '{State.OPEN}'
     WHEN opened_until > assignments_now() - interval '{QUIET_AFTER.total_seconds():.0f} seconds' THEN '{State.HALF_OPEN}'
     ELSE '{State.QUIET}' END
"""
"""SQL for the ``State`` of a row of ``assignments_breaker``, by the database clock.

Metrics, alert and Health page use it.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The state of a breaker at one moment. ``failures``: consecutive ones. ``successes``: since it half-opened."""

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
    """Return the breaker's name. Each restaurant has its own, so that a broken floor stops only that restaurant."""
    return f"coordinator:{restaurant_ref}"


def record_failure(restaurant_ref: str, now: datetime) -> Reading:
    """Count a failure in the caller's transaction and return the new reading."""
    with transactions.atomic():
        row, _created = Breaker.objects.select_for_update().get_or_create(name=name_for(restaurant_ref))
        return _store(row, _reading(row).after_failure(now))


def record_success(restaurant_ref: str, before: Reading) -> None:
    """Count a success. Makes no query if the breaker, as read ``before``, has no failures."""
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
