"""Audits V3's seatings and refusals. Pure, and deliberately independent of V3's planning.

Shared code would share its bugs: nothing here calls ``assignments.planning`` functions; it only uses their value types.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from assignments.planning.floor import Floor, Join, ServicePeriod, Table
from assignments.planning.snapshot import PlanningRules


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """A party to seat. ``ends_at`` and ``zone_ref`` are set if the host knows them."""

    covers: int
    starts_at: datetime
    ends_at: datetime | None = None
    zone_ref: str | None = None


def flaws(
    floor: Floor,
    party: Party,
    table_refs: Collection[str],
    blocked_from: datetime,
    blocked_until: datetime,
    decided_at: datetime | None = None,
) -> list[str]:
    """Flaws of a seating that guests or staff would notice, as codes; empty if there are none.

    A party that should have been there when it was decided needs its tables from then on.
    """
    tables = {table.ref: table for table in floor.tables}
    if not table_refs or not set(table_refs) <= tables.keys():
        return ["unknown_table"]
    chosen = [tables[ref] for ref in table_refs]
    found = []
    if _seats(floor, chosen) < party.covers:
        found.append("too_few_seats")
    if party.zone_ref is not None and any(table.zone_ref != party.zone_ref for table in chosen):
        found.append("wrong_zone")
    listed = _listed(floor, frozenset(table_refs)) if not floor.is_of_earlier_release else None
    if len({table.zone_ref for table in chosen}) > 1 and listed is None:
        found.append("zones_differ")
    elif not _may_be_joined(floor, frozenset(table_refs)):
        found.append("not_adjacent")
    needed = window(floor, party)
    if needed is None:
        found.append("outside_service")
    elif blocked_from > _needed_from(party, needed[0], decided_at) or blocked_until < needed[1]:
        found.append("kept_too_short")
    return found


def _needed_from(party: Party, opens: datetime, decided_at: datetime | None) -> datetime:
    return opens if decided_at is None or decided_at <= party.starts_at else decided_at


def has_better_table(
    floor: Floor, party: Party, table_refs: Collection[str], taken: Collection[str], rules: PlanningRules
) -> bool:
    """Whether a single free table would have been better: fewer spare seats, or as few without a join.

    ``taken``: tables that other bookings had during the window.
    """
    tables = {table.ref: table for table in floor.tables}
    spare = _seats(floor, [tables[ref] for ref in table_refs]) - party.covers
    free = [table for table in floor.tables if table.ref not in taken and table.ref not in table_refs]
    # Each table of the join was free too, and may have sufficed alone.
    free += [tables[ref] for ref in table_refs if len(table_refs) > 1]
    limit = spare if len(table_refs) > 1 else spare - 1
    return any(_fits_alone(table, party, rules, floor) and table.seats - party.covers <= limit for table in free)


def could_seat(floor: Floor, party: Party, decided_at: datetime, taken: Collection[str], rules: PlanningRules) -> bool:
    """Whether some set of free tables could have seated the party, so that refusing it was wrong."""
    if not 1 <= party.covers <= rules.max_party or party.starts_at < decided_at - timedelta(
        minutes=rules.grace_minutes
    ):
        return False
    lead = max(party.starts_at - decided_at, timedelta(0))
    if lead < timedelta(minutes=rules.min_lead_minutes) or window(floor, party) is None:
        return False
    if party.ends_at is not None and party.ends_at <= decided_at:
        return False
    free = {
        table.ref: table
        for table in floor.tables
        if table.active and table.ref not in taken and party.zone_ref in {None, table.zone_ref}
    }
    if any(_fits_alone(table, party, rules, floor) for table in free.values()):
        return True
    for join in floor.joins:
        within_limits = not floor.is_of_earlier_release or (
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


def window(floor: Floor, party: Party) -> tuple[datetime, datetime] | None:
    """The time for which the party occupies its tables, including buffers; None outside of service."""
    start = party.starts_at.astimezone(UTC)
    on_now, coming, over = [], [], []
    for period, opens, closes in _services_around(floor, start):
        if opens <= start < closes:
            on_now.append((opens, closes, period))
        elif start < opens <= start + timedelta(minutes=period.early_minutes):
            coming.append((opens, closes, period))
        elif (period.late_minutes or floor.is_of_earlier_release) and (
            closes <= start <= closes + timedelta(minutes=period.late_minutes)
        ):
            over.append((closes, closes, period))
    if on_now:
        _opens, closes, period = max(on_now, key=lambda each: each[0])
    elif coming:
        _opens, closes, period = min(coming, key=lambda each: each[0])
    elif over:
        _opens, closes, period = max(over, key=lambda each: each[0])
    else:
        return None
    minutes = next((turn.minutes for turn in period.turn_times if party.covers <= turn.max_party), None)
    end = party.ends_at or start + timedelta(minutes=minutes or period.turn_times[-1].minutes)
    if end <= start or (end > closes and not period.allow_overrun):
        return None
    return (
        start - timedelta(minutes=period.buffer_before_minutes),
        end + timedelta(minutes=period.buffer_after_minutes),
    )


def _services_around(floor: Floor, start: datetime) -> Iterator[tuple[ServicePeriod, datetime, datetime]]:
    today = start.astimezone(floor.zone).date()
    for day in (today - timedelta(days=1), today, today + timedelta(days=1)):
        for period in _periods_of(floor, day):
            last_day = day if period.ends > period.starts else day + timedelta(days=1)
            opens = datetime.combine(day, period.starts, tzinfo=floor.zone)
            closes = datetime.combine(last_day, period.ends, tzinfo=floor.zone)
            yield period, opens.astimezone(UTC), closes.astimezone(UTC)


def _periods_of(floor: Floor, day: date) -> Collection[ServicePeriod]:
    """The services of a date: those of its weekday, changed by the calendar, whose shortest entry has the last word."""
    found = [period for period in floor.services if day.weekday() in period.weekdays]
    about = [
        each for each in floor.calendar if each.first_date <= day <= each.last_date and day.weekday() in each.weekdays
    ]
    about.sort(key=lambda each: (each.first_date - each.last_date, each.first_date, not each.services))
    for entry in about:
        kept = found if entry.services else []
        found = [each for each in kept if all(each.key != other.key for other in entry.services)] + list(entry.services)
    return found


def _seats(floor: Floor, tables: Collection[Table]) -> int:
    """What is listed for these tables, or their sum with what each join listed among them gives or takes."""
    refs = frozenset(table.ref for table in tables)
    total = sum(table.seats for table in tables)
    listed = _listed(floor, refs)
    if listed is not None:
        return listed.seats
    if floor.is_of_earlier_release:
        return total
    inside = [join for join in floor.joins if join.table_refs < refs]
    outermost = [join for join in inside if all(not join.table_refs < other.table_refs for other in inside)]
    for join in outermost:
        total += join.seats - sum(table.seats for table in tables if table.ref in join.table_refs)
    return max([total] + [join.seats for join in outermost])


def _listed(floor: Floor, refs: frozenset[str]) -> Join | None:
    return next((join for join in floor.joins if join.table_refs == refs), None)


def _fits_alone(table: Table, party: Party, rules: PlanningRules, floor: Floor) -> bool:
    return table.active and party.zone_ref in {None, table.zone_ref} and _suits(floor, table, party, rules)


def _suits(floor: Floor, place: Table | Join, party: Party, rules: PlanningRules) -> bool:
    """Whether its own limits take the party. Where it has no least party, the limit of spare seats is the least."""
    largest = place.seats if place.max_party is None else min(place.max_party, place.seats)
    if floor.is_of_earlier_release:
        least = max(place.min_party or 1, place.seats - rules.max_spare_seats)
    elif place.min_party is None:
        least = largest - rules.max_spare_seats
    else:
        least = place.min_party
    return least <= party.covers <= largest


def _may_be_joined(floor: Floor, refs: frozenset[str]) -> bool:
    if len(refs) == 1 or _listed(floor, refs):
        return True
    group, rest = {min(refs)}, set(refs) - {min(refs)}
    while near := {ref for ref in rest if any(frozenset((ref, other)) in floor.adjacent for other in group)}:
        group |= near
        rest -= near
    return not rest


def _groups(floor: Floor, free: Collection[str], largest: int) -> Iterator[frozenset[str]]:
    """The sets of 2 to ``largest`` free tables of one zone that stand next to each other, smallest first."""
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
