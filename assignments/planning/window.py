"""When a party sits, and how long its tables are blocked: the seating window."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class SeatingWindow:
    """Guests sit over ``[starts_at, ends_at)``; the tables are blocked over ``[blocked_from, blocked_until)``."""

    starts_at: datetime
    ends_at: datetime
    blocked_from: datetime
    blocked_until: datetime
    service_key: str | None = None
