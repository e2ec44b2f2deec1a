"""A slow checker of the rules that the documents state, written apart from the audit and from every planner.

It counts minutes and tries every set of tables. The rules of hours, calendar and limits are 7, 9 and 10 in
``docs/living-evening.md``, and that of pacing is under "Pacing" there.
"""

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import chain, combinations
from zoneinfo import ZoneInfo

from assignments.planning.floor import Floor, Pacing, ServicePeriod
from assignments.planning.snapshot import Occupied, Snapshot

MINUTE = timedelta(minutes=1)


@cache
def minutes_of(zone: str, day: date) -> dict[datetime, datetime]:
    """Each minute that a clock on the wall shows on ``day`` and around it, and when it first does."""
    first = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=2)
    shown: dict[datetime, datetime] = {}
    for minute in range(5 * 24 * 60):
        moment = first + minute * MINUTE
        shown.setdefault(moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None), moment)
    return shown


def by_the_wall_clock(zone: str, local: datetime) -> datetime:
    """The moment; of a minute that the clocks skip, as many minutes after the last one before it that they show."""
    shown, back = minutes_of(zone, local.date()), 0
    while local - back * MINUTE not in shown:
        back += 1
    return shown[local - back * MINUTE] + back * MINUTE


def services_of(floor: Floor, day: date) -> list[ServicePeriod]:
    """What is served on a date: as on its weekday, unless the calendar says otherwise; its narrowest entry speaks last."""
    served = {each.key: each for each in floor.services if day.weekday() in each.weekdays}
    about = [each for each in floor.calendar if each.first_date <= day <= each.last_date]
    for entry in sorted(about, key=lambda each: each.last_date - each.first_date, reverse=True):
        if day.weekday() not in entry.weekdays:
            continue
        served = {**served, **{each.key: each for each in entry.services}} if entry.services else {}
    return list(served.values())


def service_at(floor: Floor, start: datetime) -> tuple[ServicePeriod, datetime, datetime] | None:
    """The service that a party comes to, and when it begins and ends."""
    best: tuple[int, timedelta, ServicePeriod, datetime, datetime] | None = None
    today = start.astimezone(ZoneInfo(floor.timezone)).date()
    for day in (today + timedelta(days=number) for number in range(-2, 3)):
        for each in services_of(floor, day):
            begins = by_the_wall_clock(floor.timezone, datetime.combine(day, each.starts))
            last = day + timedelta(days=each.ends <= each.starts)
            ends = by_the_wall_clock(floor.timezone, datetime.combine(last, each.ends))
            if begins <= start < ends:
                found = (0, start - begins, each, begins, ends)
            elif start < begins and start >= begins - each.early_minutes * MINUTE:
                found = (1, begins - start, each, begins, ends)
            elif each.late_minutes and start >= ends and start <= ends + each.late_minutes * MINUTE:
                found = (2, start - ends, each, begins, ends)
            else:
                continue
            if best is None or found[:2] < best[:2]:
                best = found
    return best and best[2:]


def blocked(snapshot: Snapshot) -> tuple[datetime, datetime, datetime] | None:
    """From when and until when its tables are the party's, and when it leaves; None where the hours do not allow it."""
    floor, request = snapshot.floor, snapshot.request
    start = request.starts_at
    found = service_at(floor, start)
    if found is None:
        return None
    service, _begins, ends = found
    leaves = request.ends_at
    if leaves is None:
        enough = [each for each in service.turn_times if each.max_party >= request.party] or [service.turn_times[-1]]
        leaves = start + enough[0].minutes * MINUTE
    if leaves <= start or (leaves > ends and not service.allow_overrun):
        return None
    since = start - service.buffer_before_minutes * MINUTE if start >= snapshot.now else snapshot.now
    return since, leaves + service.buffer_after_minutes * MINUTE, leaves


def sets_of_tables(floor: Floor, most: int) -> Iterator[frozenset[str]]:
    """Every set that anybody could think of: up to ``most`` tables, and the listed joins."""
    refs = [table.ref for table in floor.tables]
    every = chain.from_iterable(combinations(refs, count) for count in range(1, most + 1))
    return iter({*map(frozenset, every), *(join.table_refs for join in floor.joins)})


def seats(floor: Floor, refs: frozenset[str]) -> int:
    by_ref = {table.ref: table.seats for table in floor.tables}
    for join in floor.joins:
        if join.table_refs == refs:
            return join.seats
    inside = [join for join in floor.joins if join.table_refs < refs]
    widest = [join for join in inside if not [other for other in inside if join.table_refs < other.table_refs]]
    together = sum(by_ref[ref] for ref in refs)
    for join in widest:
        together -= sum(by_ref[ref] for ref in join.table_refs) - join.seats
    return max(together, *(join.seats for join in widest), 0)


def will_do(snapshot: Snapshot, refs: frozenset[str]) -> bool:
    """Whether these tables take the party, by the floor's rules and the general limits."""
    floor, request, rules = snapshot.floor, snapshot.request, snapshot.rules
    chosen = [table for table in floor.tables if table.ref in refs]
    if len(chosen) < len(refs) or not refs or not all(table.active for table in chosen):
        return False
    if request.pinned_table_refs and set(request.pinned_table_refs) != refs:
        return False
    if request.zone_ref is not None and {table.zone_ref for table in chosen} != {request.zone_ref}:
        return False
    if any(request.needs - table.features for table in chosen):
        return False
    listed = [join for join in floor.joins if join.table_refs == refs]
    if len(chosen) > 1 and not listed:
        if len(chosen) > rules.max_tables or len({table.zone_ref for table in chosen}) > 1:
            return False
        if not in_one_piece(floor, refs):
            return False
    there = seats(floor, refs)
    own = chosen[0] if len(chosen) == 1 else (listed[0] if listed else None)
    least, most = (own.min_party, own.max_party) if own else (None, None)
    if request.party > there:
        return False
    if least is None and most is None:
        return there - request.party <= rules.max_spare_seats
    return (least is None or request.party >= least) and (most is None or request.party <= most)


def in_one_piece(floor: Floor, refs: frozenset[str]) -> bool:
    """Whether no two parts of them could be told apart: every part has a neighbour in the rest."""
    for count in range(1, len(refs)):
        for part in map(frozenset, combinations(sorted(refs), count)):
            if not any(frozenset((one, other)) in floor.adjacent for one in part for other in refs - part):
                return False
    return True


def is_free(snapshot: Snapshot, refs: frozenset[str], since: datetime, until: datetime) -> bool:
    return not any(
        row.table_ref in refs and max(row.blocked_from, since) < min(row.blocked_until, until)
        for row in snapshot.occupied
    )


def may_be_seated(snapshot: Snapshot) -> set[frozenset[str]]:
    """All sets of tables at which a planner may seat the party now; none where it has to refuse."""
    request, rules, kept = snapshot.request, snapshot.rules, blocked(snapshot)
    if kept is None or not 1 <= request.party <= rules.max_party:
        return set()
    since, until, leaves = kept
    lead = (request.starts_at - snapshot.now) / MINUTE
    if lead < -rules.grace_minutes or max(lead, 0) < rules.min_lead_minutes or leaves <= snapshot.now:
        return set()
    if breaks_pacing(snapshot):
        return set()
    possible = sets_of_tables(snapshot.floor, rules.max_tables)
    if request.pinned_table_refs:
        possible = iter([frozenset(request.pinned_table_refs)])
    return {refs for refs in possible if will_do(snapshot, refs) and is_free(snapshot, refs, since, until)}


def ruling(floor: Floor, service: str, day: date) -> Pacing | None:
    """The limits for a service on a date: those of the shortest dates, then those that name the service."""
    found = None
    for each in floor.pacing:
        if each.service_key not in {None, service} or day.weekday() not in each.weekdays:
            continue
        if (each.first_date and day < each.first_date) or (each.last_date and day > each.last_date):
            continue
        days = (each.last_date or date.max) - (each.first_date or date.min)
        if found is None or (days, each.service_key is None) < found[0]:
            found = (days, each.service_key is None), each
    return found and found[1]


def breaks_pacing(snapshot: Snapshot) -> bool:
    """Whether too many come or are there with this party. Who has been promised that start may come."""
    floor, request, kept = snapshot.floor, snapshot.request, blocked(snapshot)
    if kept is None or not snapshot.rules.is_paced or request.party <= request.promised_party:
        return False
    found = service_at(floor, request.starts_at)
    assert found is not None
    service, begins, _ends = found
    limits = ruling(floor, service.key, begins.astimezone(ZoneInfo(floor.timezone)).date())
    if limits is None:
        return False
    guests = {row.booking_ref: row for row in snapshot.occupied if row.booking_ref and row.starts_at}
    since = begins  # The interval in which the party comes, stepped to from the start of the service.
    while since > request.starts_at:
        since -= limits.interval_minutes * MINUTE
    while since + limits.interval_minutes * MINUTE <= request.starts_at:
        since += limits.interval_minutes * MINUTE
    coming = [
        row
        for row in guests.values()
        if row.starts_at and since <= row.starts_at < since + limits.interval_minutes * MINUTE
    ]
    if limits.most_covers is not None and request.party + sum(row.party for row in coming) > limits.most_covers:
        return True
    if limits.most_parties is not None and len(coming) >= limits.most_parties:
        return True
    minute = request.starts_at
    while limits.most_present is not None and minute < kept[2]:
        there = [row.party for row in guests.values() if is_there(row, minute)]
        if request.party + sum(there) > limits.most_present:
            return True
        minute += MINUTE
    return False


def is_there(row: Occupied, minute: datetime) -> bool:
    return row.starts_at is not None and row.starts_at <= minute < (row.ends_at or row.blocked_until)


def may_be_seated_by_a_move(snapshot: Snapshot, movers: Collection[Snapshot]) -> bool:
    """Whether one of the others, as it would ask, could leave its tables for one free table and make room so."""
    for mover in movers:
        ref = mover.request.booking_ref
        rest = tuple(row for row in snapshot.occupied if row.booking_ref != ref)
        own = [row for row in snapshot.occupied if row.booking_ref == ref]
        for table in snapshot.floor.tables:
            there = frozenset({table.ref})
            is_own = any(row.table_ref == table.ref for row in own)
            if is_own or any(row.table_ref == table.ref for row in rest) or not will_do(mover, there):
                continue
            moved = replace(own[0], table_ref=table.ref)
            if may_be_seated(replace(snapshot, occupied=(*rest, moved))):
                return True
    return False
