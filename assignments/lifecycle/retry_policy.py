"""The delays after which a booking is tried again. They are due dates in the database, never sleeps."""

import random

from assignments import conf


def delay_seconds(booking_ref: str, attempts: int) -> float:
    """Return the seconds until the next try after ``attempts`` tries: min(30, 1 * 2^n), plus up to 1 s of jitter.

    The jitter depends on the booking and the attempt only, so that the same history always gives the same due date.
    """
    settings = conf.settings()
    base = min(settings.RETRY_MAX_SECONDS, settings.RETRY_BASE_SECONDS * 2.0 ** max(attempts - 1, 0))
    return float(base + random.Random(f"{booking_ref}:{attempts}").uniform(0, settings.RETRY_JITTER_SECONDS))


def is_exhausted(attempts: int) -> bool:
    """Return whether no tries are left after ``attempts`` tries."""
    return attempts >= conf.settings().MAX_ATTEMPTS
