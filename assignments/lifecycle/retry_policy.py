"""The delays after which a booking is tried again. They are due dates in the database, never sleeps."""

import random
from datetime import date

from assignments import conf


def delay_seconds(restaurant_ref: str, service_date: date, attempts: int) -> float:
    """Return the seconds until the next try after ``attempts`` tries: min(30, 1 * 2^n), plus up to 1 s of jitter.

    The jitter depends on the service day and the attempt only. So the bookings of a day that are refused together are tried
    again together, in the order in which they asked, and the same history always gives the same due date.
    """
    settings = conf.settings()
    base = min(settings.RETRY_MAX_SECONDS, settings.RETRY_BASE_SECONDS * 2.0 ** max(attempts - 1, 0))
    jitter = random.Random(f"{restaurant_ref}:{service_date}:{attempts}").uniform(0, settings.RETRY_JITTER_SECONDS)
    return float(base + jitter)


def is_exhausted(attempts: int) -> bool:
    """Return whether no tries are left after ``attempts`` tries."""
    return attempts >= conf.settings().MAX_ATTEMPTS
