"""Which confirmed parties had to keep their tables when others asked, by what was on record of them then.

It shares no code with a planner, does no I/O, and calls no method of an immutable value: see ``seating_audit``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rollout.policy.audit_hours import service_at

if TYPE_CHECKING:
    from assignments.planning.floor import Floor

BY_STAFF = "manual"
EXPECTED = "expected"


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed:
    """A confirmed party that was moved, as it was on record just after. ``moves``: how often it has been moved by then."""

    is_pinned: bool
    is_told: bool
    moves: int
    planner: str
    stage: str
    starts_at: datetime


def is_fixed(
    party: Confirmed, floor: Floor, now: datetime, *, fixed_minutes: int, freeze_minutes: int, max_moves: int
) -> bool:
    """Return whether no planner might move the party at that moment.

    It has tables that staff chose or its guests know, it has come or will come soon, or it was moved often enough.
    """
    if party.is_pinned or party.planner == BY_STAFF or party.is_told or party.stage != EXPECTED:
        return True
    if party.moves > max_moves or party.starts_at <= now + timedelta(minutes=fixed_minutes):
        return True
    if not freeze_minutes:
        return False
    service = service_at(floor, party.starts_at)
    begins = service[1] if service else party.starts_at
    return begins - timedelta(minutes=freeze_minutes) <= now
