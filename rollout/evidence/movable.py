"""Reads who could still be moved on an evening, so that the audit can tell whether a move would have made room."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from assignments import api
from assignments import conf as assignments_conf
from assignments.concurrency.sql import dicts
from assignments.integration.host import HostBooking
from assignments.planning.floor import Floor
from rollout.policy.moves_audit import Mover
from rollout.policy.seating_audit import Party

LONGEST_SERVICE = timedelta(hours=12)
"""Added to the time for which evenings are frozen: they are from the beginning of the service, which is not looked up."""
EVERY_TABLE = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A table that is taken, since when, and by whom. No booking: it is closed; no table: all of them are."""

    table_ref: str
    booking_ref: str
    blocked_from: datetime
    blocked_until: datetime
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Movable:
    """A confirmed party that was not told its tables, and may still sit elsewhere."""

    booking_ref: str
    party: int
    starts_at: datetime
    zone_ref: str


def movable_on(evenings: Collection[tuple[str, date]]) -> Mapping[tuple[str, date], Sequence[Movable]]:
    """The parties that may be moved, by restaurant and date. One query, none without evenings."""
    found: dict[tuple[str, date], list[Movable]] = {}
    if not evenings:
        return found
    refs, days = zip(*sorted(evenings), strict=True)
    limit = assignments_conf.settings().MAX_MOVES
    for row in dicts(_MOVABLE, refs=list(refs), days=list(days), most=limit, manual=api.MANUAL):
        found.setdefault((row.pop("ref"), row.pop("day")), []).append(Movable(**row))
    return found


def may_move(movable: Movable, host: HostBooking | None, at: datetime) -> bool:
    """Whether it could still be moved at that time, as far as is known for certain."""
    if host is None or host.table_told or not host.may_move or not host.wants_table:
        return False
    limits = assignments_conf.settings()
    fixed = timedelta(minutes=limits.FIXED_MINUTES)
    if limits.FREEZE_MINUTES:
        fixed = max(fixed, timedelta(minutes=limits.FREEZE_MINUTES) + LONGEST_SERVICE)
    return movable.starts_at > at + fixed


def mover_of(movable: Movable, taken: Sequence[Taken], floor: Floor, window: tuple[datetime, datetime]) -> Mover | None:
    """It as the audit wants to know it; None if it does not sit during the window. ``taken``: by whom, at that time."""
    own = [row for row in taken if row.booking_ref == movable.booking_ref]
    if not any(row.blocked_from < window[1] and window[0] < row.blocked_until for row in own):
        return None
    since, until = min(row.blocked_from for row in own), max(row.blocked_until for row in own)
    others = {
        row.table_ref
        for row in taken
        if row.booking_ref != movable.booking_ref and row.blocked_from < until and since < row.blocked_until
    }
    return Mover(
        party=Party(covers=movable.party, starts_at=movable.starts_at, zone_ref=movable.zone_ref or None),
        table_refs=tuple(row.table_ref for row in own),
        taken=frozenset({table.ref for table in floor.tables} if EVERY_TABLE in others else others),
    )


_MOVABLE = """
SELECT evening.ref, evening.day, seated.booking_ref, seated.party, seated.starts_at, seated.zone_ref
  FROM unnest(%(refs)s::text[], %(days)s::date[]) AS evening(ref, day)
  JOIN assignments_assignment AS seated
    ON seated.restaurant_ref = evening.ref AND seated.service_date = evening.day
 WHERE seated.state = 'confirmed' AND seated.stage = 'expected' AND NOT seated.table_told AND seated.moves < %(most)s
   AND seated.pinned_table_refs = '{}' AND seated.planner <> %(manual)s
   AND NOT EXISTS (SELECT FROM assignments_frozenevening AS frozen
                    WHERE frozen.restaurant_ref = evening.ref AND frozen.service_date = evening.day)
"""
