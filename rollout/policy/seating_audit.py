"""The seating audit: judging seatings and refusals of any planner by the restaurant's rules. It does no I/O.

It shares no code with a planner, because shared code would share its bugs. It reads the fields of immutable values and
calls none of their methods; even their types are imported only for the type checker. Verdicts, gates, the guard and
backtests use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from rollout.policy.audit_hours import stay
from rollout.policy.pacing_audit import is_too_many

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from assignments.planning.decision import Decision
    from assignments.planning.floor import Floor, Join, Table
    from assignments.planning.request import SeatingRequest
    from assignments.planning.seating_window import SeatingWindow
    from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot


class Flaw(StrEnum):
    """A flaw of a seating. Stored with guard runs; never rename one."""

    ANOTHER_BOOKING = "another_booking"
    WITHOUT_TIMES = "without_times"
    INVALID_PARTY = "invalid_party"
    UNKNOWN_TABLE = "unknown_table"
    TABLE_REPEATED = "table_repeated"
    TABLE_INACTIVE = "table_inactive"
    PINS_IGNORED = "pins_ignored"
    TOO_FEW_SEATS = "too_few_seats"
    TOO_MANY_SPARE_SEATS = "too_many_spare_seats"
    PARTY_OUTSIDE_TABLE_LIMITS = "party_outside_table_limits"
    TOO_MANY_TABLES = "too_many_tables"
    WRONG_ZONE = "wrong_zone"
    ZONES_DIFFER = "zones_differ"
    NOT_ADJACENT = "not_adjacent"
    OUTSIDE_SERVICE = "outside_service"
    KEPT_TOO_SHORT = "kept_too_short"
    KEPT_TOO_LONG = "kept_too_long"
    OTHER_TIMES = "other_times"
    TABLE_TAKEN = "table_taken"
    TABLE_CLOSED = "table_closed"
    FIXED_PARTY_MOVED = "fixed_party_moved"
    PACING = "pacing"
    NEEDS = "needs"
    WRITTEN_OTHERWISE = "written_otherwise"


PREFERENCES = frozenset({Flaw.TOO_MANY_SPARE_SEATS, Flaw.PARTY_OUTSIDE_TABLE_LIMITS, Flaw.TOO_MANY_TABLES})
"""No flaws in tables that the guests have already: whoever has been promised a seat may keep it."""
V3S_SETTINGS = frozenset({Flaw.TOO_MANY_SPARE_SEATS, Flaw.TOO_MANY_TABLES, Flaw.PACING, Flaw.NEEDS})
"""No flaws in what the legacy planner decides: these limits are settings of V3, and it has its own or none."""
UNKNOWN_TO_LEGACY = frozenset({Flaw.PACING, Flaw.NEEDS})
"""Rules that the legacy planner does not know: what it seats against them, V3 is right to refuse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """A party to seat. ``ends_at`` and ``zone_ref`` are set if the host knows them, ``pinned`` if staff chose its tables."""

    covers: int
    starts_at: datetime
    ends_at: datetime | None = None
    zone_ref: str | None = None
    pinned: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    wishes: frozenset[str] = frozenset()


def party_of(request: SeatingRequest) -> Party:
    """Return the party of a request."""
    return Party(
        covers=request.party,
        starts_at=request.starts_at,
        ends_at=request.ends_at,
        zone_ref=request.zone_ref,
        pinned=tuple(request.pinned_table_refs),
        needs=frozenset(request.needs),
        wishes=frozenset(request.wishes),
    )


def flaws_of(snapshot: Snapshot, decision: Decision) -> list[Flaw]:
    """Return the flaws of the decision; empty for a refusal, which ``could_be_seated`` judges."""
    request = snapshot.request
    found = [Flaw.ANOTHER_BOOKING] if decision.booking_ref != request.booking_ref else []
    if not decision.plans:
        return found
    table_refs, kept, party = decision.plans[0].table_refs, decision.window, party_of(request)
    found += place_flaws(snapshot.floor, party, table_refs, snapshot.rules)
    if set(table_refs) == set(request.current_table_refs):
        found = [flaw for flaw in found if flaw not in PREFERENCES]
    if kept is None:
        return [*found, Flaw.WITHOUT_TIMES]
    found += time_flaws(snapshot.floor, party, kept.blocked_from, kept.blocked_until, snapshot.now)
    window_ = window(snapshot.floor, party)
    if window_ is not None:
        if not _has_its_times(snapshot.floor, party, kept):
            found.append(Flaw.OTHER_TIMES)
        start = max(window_[0], _needed_from(party, window_[0], snapshot.now))
        found += _taken_flaws(snapshot.occupied, table_refs, start, window_[1])
        found += [Flaw.PACING] if exceeds_pacing(snapshot) else []
    return found


def exceeds_pacing(snapshot: Snapshot) -> bool:
    """Return whether the requesting party breaks the pacing. A party with a promise for that start does not."""
    request = snapshot.request
    if not snapshot.rules.is_paced or request.party <= request.promised_party:
        return False
    due = stay(snapshot.floor, request.party, request.starts_at, request.ends_at)
    others = [row for row in snapshot.occupied if row.booking_ref != request.booking_ref]
    return due is not None and is_too_many(snapshot.floor, request.party, due.starts_at, due.ends_at, others)


def could_be_seated(snapshot: Snapshot) -> bool:
    """Return whether free tables could have seated the party without moving anybody, so that refusing it was wrong."""
    party = party_of(snapshot.request)
    needed = window(snapshot.floor, party)
    if needed is None or exceeds_pacing(snapshot):
        return False
    start = _needed_from(party, needed[0], snapshot.now)
    taken = {
        row.table_ref
        for row in snapshot.occupied
        if row.booking_ref != snapshot.request.booking_ref
        if row.blocked_from < needed[1] and start < row.blocked_until
    }
    return could_seat(snapshot.floor, party, snapshot.now, taken, snapshot.rules)


def time_flaws(
    floor: Floor,
    party: Party,
    blocked_from: datetime,
    blocked_until: datetime,
    decided_at: datetime | None = None,
) -> list[Flaw]:
    """Return the flaws of the time for which tables are blocked."""
    needed = window(floor, party)
    if needed is None:
        return [Flaw.OUTSIDE_SERVICE]
    opens, until = needed
    found = []
    if blocked_from > _needed_from(party, opens, decided_at) or blocked_until < until:
        found.append(Flaw.KEPT_TOO_SHORT)
    if blocked_from < opens or blocked_until > until:
        found.append(Flaw.KEPT_TOO_LONG)
    return found


def place_flaws(floor: Floor, party: Party, table_refs: Sequence[str], rules: PlanningRules) -> list[Flaw]:
    """Return the flaws of these tables for the party, regardless of other seatings."""
    if not isinstance(party.covers, int) or not 1 <= party.covers <= rules.max_party:
        return [Flaw.INVALID_PARTY]
    tables = {table.ref: table for table in floor.tables}
    if not table_refs or not set(table_refs) <= tables.keys():
        return [Flaw.UNKNOWN_TABLE]
    refs = frozenset(table_refs)
    chosen = [tables[ref] for ref in sorted(refs)]
    listed = _listed(floor, refs)
    seats = _seats(floor, chosen)
    found = []
    if len(refs) < len(table_refs):
        found.append(Flaw.TABLE_REPEATED)
    if not all(table.active for table in chosen):
        found.append(Flaw.TABLE_INACTIVE)
    if party.pinned and refs != frozenset(party.pinned):
        found.append(Flaw.PINS_IGNORED)
    if seats < party.covers:
        found.append(Flaw.TOO_FEW_SEATS)
    else:
        found += _limit_flaws(floor, chosen[0] if len(chosen) == 1 else listed, seats, party, rules)
    return [*found, *_join_flaws(floor, party, chosen, rules)]


def _join_flaws(floor: Floor, party: Party, chosen: Sequence[Table], rules: PlanningRules) -> Iterator[Flaw]:
    refs = frozenset(table.ref for table in chosen)
    beats_limits = _listed(floor, refs) is not None and floor.stored_outside_minutes is None
    if len(refs) > rules.max_tables and not beats_limits:
        yield Flaw.TOO_MANY_TABLES
    if party.zone_ref is not None and any(table.zone_ref != party.zone_ref for table in chosen):
        yield Flaw.WRONG_ZONE
    if not all(_is_what_they_need(table, party) for table in chosen):
        yield Flaw.NEEDS
    if len({table.zone_ref for table in chosen}) > 1 and not beats_limits:
        yield Flaw.ZONES_DIFFER
    elif not _may_be_joined(floor, refs):
        yield Flaw.NOT_ADJACENT


def _limit_flaws(
    floor: Floor, place: Table | Join | None, seats: int, party: Party, rules: PlanningRules
) -> Iterator[Flaw]:
    """Yield the flaws by limits of the party. ``place``: the table or listed join; None for a join without own limits."""
    least = place.min_party if place else None
    most = place.max_party if place else None
    largest = seats if most is None else min(most, seats)
    if floor.stored_outside_minutes is not None:
        spare = seats - party.covers
    else:
        spare = seats - party.covers if least is None and most is None else 0
    if spare > rules.max_spare_seats:
        yield Flaw.TOO_MANY_SPARE_SEATS
    if not (1 if least is None else least) <= party.covers <= largest:
        yield Flaw.PARTY_OUTSIDE_TABLE_LIMITS


def _has_its_times(floor: Floor, party: Party, kept: SeatingWindow) -> bool:
    """Return whether the window has the party's own times, which the guests are told."""
    due = stay(floor, party.covers, party.starts_at, party.ends_at)
    return due is not None and (kept.starts_at, kept.ends_at) == (due.starts_at, due.ends_at)


def _taken_flaws(
    occupied: Collection[Occupied], table_refs: Sequence[str], start: datetime, until: datetime
) -> Iterator[Flaw]:
    meeting = [
        row
        for row in occupied
        if row.table_ref in table_refs and row.blocked_from < until and start < row.blocked_until
    ]
    if any(not row.closed for row in meeting):
        yield Flaw.TABLE_TAKEN
    if any(row.closed for row in meeting):
        yield Flaw.TABLE_CLOSED


def _needed_from(party: Party, opens: datetime, decided_at: datetime | None) -> datetime:
    return opens if decided_at is None or decided_at <= party.starts_at else decided_at


def has_better_table(
    floor: Floor, party: Party, table_refs: Collection[str], taken: Collection[str], rules: PlanningRules
) -> bool:
    """Return whether a single free table would have been better: fewer spare seats, or as few without a join.

    ``taken``: tables that other bookings had during the window.
    """
    if party.pinned or party.wishes:  # A wish may be worth a spare seat.
        return False
    tables = {table.ref: table for table in floor.tables}
    spare = _seats(floor, [tables[ref] for ref in table_refs]) - party.covers
    free = [table for table in floor.tables if table.ref not in taken and table.ref not in table_refs]
    # Each table of the join was free too, and may have been enough alone.
    free += [tables[ref] for ref in table_refs if len(table_refs) > 1]
    limit = spare if len(table_refs) > 1 else spare - 1
    return any(_fits_alone(table, party, rules, floor) and table.seats - party.covers <= limit for table in free)


def could_seat(floor: Floor, party: Party, decided_at: datetime, taken: Collection[str], rules: PlanningRules) -> bool:
    """Return whether some set of free tables could have seated the party, so that refusing it was wrong."""
    if not _is_due(floor, party, decided_at, rules):
        return False
    if party.pinned:
        return not set(party.pinned) & set(taken) and not place_flaws(floor, party, party.pinned, rules)
    free = {
        table.ref: table
        for table in floor.tables
        if table.active and table.ref not in taken and party.zone_ref in {None, table.zone_ref}
        if _is_what_they_need(table, party)
    }
    if any(_fits_alone(table, party, rules, floor) for table in free.values()):
        return True
    is_of_earlier_release = floor.stored_outside_minutes is not None
    for join in floor.joins:
        within_limits = not is_of_earlier_release or (
            len(join.table_refs) <= rules.max_tables
            and len({table.zone_ref for table in floor.tables if table.ref in join.table_refs}) == 1
        )
        if join.table_refs <= free.keys() and within_limits and _suits(floor, join, party, rules):
            return True
    listed = {join.table_refs for join in floor.joins}
    return any(
        0 <= _seats(floor, [free[ref] for ref in refs]) - party.covers <= rules.max_spare_seats
        for refs in _groups(floor, free, rules.max_tables)
        if refs not in listed
    )


def _is_due(floor: Floor, party: Party, decided_at: datetime, rules: PlanningRules) -> bool:
    """Return whether a planner may seat the party at all, by its size, its start and the hours."""
    if not isinstance(party.covers, int) or not 1 <= party.covers <= rules.max_party:
        return False
    if window(floor, party) is None or party.starts_at < decided_at - timedelta(minutes=rules.grace_minutes):
        return False
    due = stay(floor, party.covers, party.starts_at, party.ends_at)
    if due is None or due.ends_at <= decided_at:
        return False
    return max(party.starts_at - decided_at, timedelta(0)) >= timedelta(minutes=rules.min_lead_minutes)


def window(floor: Floor, party: Party) -> tuple[datetime, datetime] | None:
    """Return the time for which the party occupies its tables, including buffers; None outside of service."""
    due = stay(floor, party.covers, party.starts_at, party.ends_at)
    return due and (due.blocked_from, due.blocked_until)


def yardstick(floor: Floor, covers: int, table_refs: Collection[str]) -> tuple[int, int]:
    """Return spare seats and number of tables, measured on the floor. Raises KeyError for a table not on the floor."""
    tables = {table.ref: table for table in floor.tables}
    refs = set(table_refs)
    return _seats(floor, [tables[ref] for ref in refs]) - covers, len(refs)


def unmet_wishes(snapshot: Snapshot, table_refs: Collection[str]) -> int:
    """Count the guests' wishes that these tables do not meet. All tables of a join must meet a wish."""
    tables = [table for table in snapshot.floor.tables if table.ref in table_refs]
    return sum(1 for wish in snapshot.request.wishes if any(wish not in table.features for table in tables))


def _seats(floor: Floor, tables: Collection[Table]) -> int:
    """Return the seats listed for these tables, or else their sum corrected by each join listed among them."""
    refs = frozenset(table.ref for table in tables)
    total = sum(table.seats for table in tables)
    listed = _listed(floor, refs)
    if listed is not None:
        return listed.seats
    if floor.stored_outside_minutes is not None:
        return total
    inside = [join for join in floor.joins if join.table_refs < refs]
    outermost = [join for join in inside if all(not join.table_refs < other.table_refs for other in inside)]
    for join in outermost:
        total += join.seats - sum(table.seats for table in tables if table.ref in join.table_refs)
    return max([total] + [join.seats for join in outermost])


def _listed(floor: Floor, refs: frozenset[str]) -> Join | None:
    return next((join for join in floor.joins if join.table_refs == refs), None)


def _fits_alone(table: Table, party: Party, rules: PlanningRules, floor: Floor) -> bool:
    may_be = table.active and party.zone_ref in {None, table.zone_ref} and _is_what_they_need(table, party)
    return may_be and _suits(floor, table, party, rules)


def _is_what_they_need(table: Table, party: Party) -> bool:
    return all(need in table.features for need in party.needs)


def _suits(floor: Floor, place: Table | Join, party: Party, rules: PlanningRules) -> bool:
    """Return whether the place's limits allow the party. Without a smallest party, the limit of spare seats applies."""
    return place.seats >= party.covers and not list(_limit_flaws(floor, place, place.seats, party, rules))


def _may_be_joined(floor: Floor, refs: frozenset[str]) -> bool:
    if len(refs) == 1 or _listed(floor, refs):
        return True
    group, rest = {min(refs)}, set(refs) - {min(refs)}
    while near := {ref for ref in rest if any(frozenset((ref, other)) in floor.adjacent for other in group)}:
        group |= near
        rest -= near
    return not rest


def _groups(floor: Floor, free: Collection[str], largest: int) -> Iterator[frozenset[str]]:
    """Yield the connected sets of 2 to ``largest`` free tables of one zone, smallest first."""
    zones = {table.ref: table.zone_ref for table in floor.tables}
    beside: dict[str, set[str]] = {}
    for pair in floor.adjacent:
        one, other = pair
        if one in free and other in free and zones[one] == zones[other]:
            beside.setdefault(one, set()).add(other)
            beside.setdefault(other, set()).add(one)
    groups = {frozenset((ref,)) for ref in beside}
    for _ in range(2, largest + 1):
        groups = {group | {ref} for group in groups for member in group for ref in beside[member] if ref not in group}
        yield from groups
