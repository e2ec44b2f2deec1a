"""Reading covers, times and minutes from columns of other types. Ambiguous values are refused.

No message repeats the value, because a text may name a guest.
"""

import re
from datetime import time, timedelta
from decimal import Decimal
from typing import Any

from assignments.integration.written_time import read_clock
from assignments.planning.features import words

LARGEST = 10**6
"""Below it a number is a number of covers or minutes. Leaves out infinity, which is no whole number."""

_COVERS = re.compile(
    r"(?P<covers>\d{1,4})"
    r"(\s*(people|persons?|guests?|covers?|pax|pers\.?|personen|gast|gäste|personnes?|personas?|persone))?",
    re.IGNORECASE,
)


def covers(value: Any) -> int:
    """Return a party's covers: a whole number, its digits, or ``"2 people"``. Raises ValueError."""
    if isinstance(value, str):
        found = _COVERS.fullmatch(value.strip())
        if found:
            return int(found["covers"])
    number = _whole(value)
    if number is None:
        raise ValueError(f"The party is a {type(value).__name__}, not a number of covers.")
    return number


def clock(value: Any) -> time:
    """Return a time of day from a time, or from a text such as ``"18:30"``. Raises ValueError."""
    if isinstance(value, time):
        return value.replace(tzinfo=None)
    if isinstance(value, str):
        try:
            return read_clock(value)
        except ValueError:
            pass  # Its message would repeat the text.
    raise ValueError(f"The time is a {type(value).__name__}, not a time such as 18:30.")


def stay(value: Any) -> timedelta:
    """Return the length of a stay, from a duration or from minutes. Raises ValueError."""
    if isinstance(value, timedelta):
        return value
    minutes = number(value)
    if minutes is None:
        raise ValueError(f"The duration is a {type(value).__name__}, not a number of minutes.")
    return timedelta(minutes=minutes)


def number(value: Any) -> int | None:
    """Return a whole number, also from its digits; None for anything else."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,6}\s*", value):
        return int(value)
    return _whole(value)


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if not isinstance(value, Decimal | float) or not -LARGEST < value < LARGEST:
        return None
    return int(value) if value == int(value) else None


def features(value: Any) -> frozenset[str]:
    """Return features from a list of texts, or from a text with commas between them; none from anything else."""
    if isinstance(value, list | tuple):
        return words(str(each) for each in value if isinstance(each, str | int))
    return words(value if isinstance(value, str) else None)
