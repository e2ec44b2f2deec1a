"""Reading times as people and spreadsheets write them: a time, or a date and a time.

Only unambiguous texts are read. Any other raises ValueError, which says what to write instead.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo

YEARS = range(1970, 2200)
A_DAY = timedelta(days=1)

_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.(?P<fraction>\d{1,6}))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?"
)
_OFFSET = r"(?:\s*(?P<offset>[Zz]|[+-]\d{2}(?::?\d{2})?))?"
_ONLY_CLOCK = re.compile(rf"[Tt]?{_CLOCK}{_OFFSET}")
_DATE = (
    r"(?:(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})"
    r"|(?P<one>\d{1,2})(?P<other_mark>[-/.])(?P<other>\d{1,2})(?P=other_mark)(?P<last>\d{4}|\d{2}))"
)
_ONLY_DATE = re.compile(_DATE)
_BOTH = re.compile(rf"{_DATE}(?:[Tt]|\s+(?:,\s+)?|,\s+){_CLOCK}{_OFFSET}")
_SPREADSHEET_NUMBER = re.compile(r"\d{5}(?:[.,]\d+)?")
EXAMPLE = "2026-12-19T19:30"


def read_clock(text: str, *, is_end: bool = False) -> time:
    """Return a time of the floor, such as the start of a service. An end may be 24:00, which is midnight.

    Raises ValueError for anything else, an offset included: a floor has one time zone.
    """
    found = _ONLY_CLOCK.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a time; write it as 17:00")
    clock = _since_midnight(found, text)
    shown = f"{clock // timedelta(hours=1):02}:{clock // timedelta(minutes=1) % 60:02}"
    if found["offset"]:
        raise ValueError(f"{text!r} has an offset, but a floor has one time zone: write {shown!r}, its own time")
    if clock == A_DAY and not is_end:
        raise ValueError(f"{text!r} is not a start; write '00:00' for midnight at the beginning of the day")
    return _combined(date.min, clock % A_DAY, None).time()


def read_moment(text: str, day: date | None) -> tuple[datetime, bool]:
    """Return a moment, aware if an offset is given, and whether the text is only a time, which is then on ``day``.

    24:00 is midnight at the end of the day, and does not count as only a time. Raises ValueError if the text is
    ambiguous or unreadable.
    """
    text = text.strip()
    only_clock = _ONLY_CLOCK.fullmatch(text)
    if only_clock is not None:
        if day is None:
            raise ValueError(f"{text!r} has no date; give --date, or write it as {EXAMPLE}")
        clock = _since_midnight(only_clock, text)
        # 24:00 says which midnight is meant.
        return _combined(day, clock, _zone(only_clock, text)), clock != A_DAY
    if _ONLY_DATE.fullmatch(text) or _is_iso_date(text):
        raise ValueError(f"{text!r} is a date without a time; write it as {EXAMPLE}")
    if _SPREADSHEET_NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is how a spreadsheet counts days; format its column so that it shows {EXAMPLE}")
    both = _BOTH.fullmatch(text)
    if both is None:
        try:
            return datetime.fromisoformat(text), False  # Rarer forms, such as 20261219T1930.
        except ValueError:
            raise ValueError(f"must be a time or an ISO date and time, not {text!r}; write it as {EXAMPLE}") from None
    return _combined(_date(both, text), _since_midnight(both, text), _zone(both, text)), False


def read_date(text: str) -> date:
    """Return a date written as 2026-12-19. Raises ValueError."""
    try:
        found = date.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not a date; write it as 2026-12-19") from None
    if found.year not in YEARS:
        raise ValueError(f"{text!r} is not in the years {YEARS[0]} to {YEARS[-1]}")
    return found


def _is_iso_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _since_midnight(found: re.Match[str], text: str) -> timedelta:
    hour, minute, second = int(found["hour"]), int(found["minute"]), int(found["second"] or 0)
    if found["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(f"{text!r} is not a time: with a.m. and p.m. hours go from 1 to 12")
        hour = hour % 12 + (12 if found["half"] in "Pp" else 0)
    clock = timedelta(
        hours=hour, minutes=minute, seconds=second, microseconds=int((found["fraction"] or "").ljust(6, "0"))
    )
    if minute > 59 or second > 59 or clock > A_DAY:
        raise ValueError(f"{text!r} is not a time: it must lie between 00:00 and 24:00")
    return clock


def _zone(found: re.Match[str], text: str) -> tzinfo | None:
    offset = found["offset"]
    if not offset:
        return None
    if offset in "Zz":
        return UTC
    hours, minutes = int(offset[1:3]), int(offset[3:].removeprefix(":") or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(f"{text!r} has an offset that no place has")
    size = timedelta(hours=hours, minutes=minutes)
    return timezone(-size if offset[0] == "-" else size)


def _date(found: re.Match[str], text: str) -> date:
    if found["year"]:
        year, month, day = int(found["year"]), int(found["month"]), int(found["day"])
    else:
        year, month, day = _by_spreadsheet(found, text)
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"{text!r} names a day that no calendar has") from None


def _by_spreadsheet(found: re.Match[str], text: str) -> tuple[int, int, int]:
    """Return year, month and day of 19/12/2026, 12/19/2026 or 19.12.2026. With dots the day always comes first."""
    if len(found["last"]) == 2:
        raise ValueError(f"{text!r} has a year of two digits; write it as {EXAMPLE}")
    year, one, other = int(found["last"]), int(found["one"]), int(found["other"])
    if found["other_mark"] == "." or one > 12 or one == other:
        return year, other, one
    if other > 12:
        return year, one, other
    raise ValueError(
        f"{text!r} may be {year}-{other:02}-{one:02} or {year}-{one:02}-{other:02}; write the one you mean"
    )


def _combined(day: date, clock: timedelta, zone: tzinfo | None) -> datetime:
    """Return the time on the day. 24:00 must not overflow, because callers check the range of years."""
    if clock == A_DAY and day == date.max:
        raise ValueError(f"{day} 24:00 is beyond the end of the calendar")
    return datetime.combine(day, time(), tzinfo=zone) + clock
