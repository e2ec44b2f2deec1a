"""The kinds of faults that a rehearsal tries: V3 made worse on purpose, each in one way.

A kind changes V3's input or its answer; everything else is V3's own. Some faults show only in certain situations, such
as with a pin. If the evidence has hardly any, the kind stages one: it changes the stored situation for both planners.

Long because it is a list: each kind is a few lines.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from assignments.planning.decision import Decision, TablePlan
from assignments.planning.floor import CalendarEntry, Floor, Pacing, Table
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.service_day import service_date
from assignments.planning.snapshot import Movable, Occupied, Snapshot, occupied_by
from assignments.planning.text import Text
from rollout.policy.measurements import LARGE_PARTY

Decide = Callable[[Snapshot], Decision]
"""V3, or whatever the settings name as the candidate."""
Break = Callable[[Snapshot, Decide], Decision]
Stage = Callable[[Snapshot, Decision], Snapshot | None]
"""From a situation, and what V3 decides in it, to one in which the fault can show; None: not from this one."""

A_QUARTER = timedelta(minutes=15)
SLOW_MS = 500.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """A booking that is seated by moving a confirmed party.

    ``before``: the situation, with ``movable`` at the tables that ``decision`` gives to the booking. ``is_fixed``:
    whether that party may not be moved. ``to`` and ``window``: its new tables, and when it has them.
    """

    before: Snapshot
    movable: Movable
    decision: Decision
    to: tuple[str, ...]
    window: SeatingWindow
    is_fixed: bool = False


Rearrange = Callable[[Moved], Moved | None]
"""From a move that is as it should be to one that is not; None: not this one."""


class RehearsedError(Exception):
    """The error of a V3 that raises on purpose."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of fault. ``share`` (0..1): the share of decisions that it affects, at random.

    ``slow_ms`` is added to the planning time. Only the guard can see the other four: ``is_untold``: the host is not
    told of the tables. ``is_lost``: the booking is confirmed and has no tables. ``is_dropped``: the booking is
    cancelled, and has none. ``moves``: a confirmed party is moved wrongly, while comparisons move nobody.
    """

    name: str
    does: str
    spoil: Break
    stage: Stage | None = None
    share: float = 1.0
    slow_ms: float = 0.0
    is_untold: bool = False
    is_lost: bool = False
    is_dropped: bool = False
    moves: "Rearrange | None" = None


def untouched(snapshot: Snapshot, decide: Decide) -> Decision:
    """Decide as V3 without a fault."""
    return decide(snapshot)


def _refuses(snapshot: Snapshot, decide: Decide) -> Decision:
    return _refusal(decide(snapshot))


def _refusal(decision: Decision) -> Decision:
    text = Text("Everything that fits is taken.")
    return replace(decision, plans=(), refusal=decision.refusal or Refusal(Reason.NO_CAPACITY, text))


def _refuses_large_parties(snapshot: Snapshot, decide: Decide) -> Decision:
    decision = decide(snapshot)
    return _refusal(decision) if snapshot.request.party >= LARGE_PARTY else decision


def _raises(snapshot: Snapshot, decide: Decide) -> Decision:
    raise RehearsedError


def _wastes_seats(snapshot: Snapshot, decide: Decide) -> Decision:
    decision = decide(snapshot)
    free = [table for table in _free(snapshot, decision) if _may_have(snapshot, table)]
    return _at(snapshot, decision, [max(free, key=lambda table: table.seats)]) if free else decision


def _may_have(snapshot: Snapshot, table: Table) -> bool:
    request = snapshot.request
    most = table.seats if table.max_party is None else table.max_party
    least = 1 if table.min_party is None else table.min_party
    if table.min_party is None and table.max_party is None:  # A limit that somebody has set beats that of spare seats.
        least = table.seats - snapshot.rules.max_spare_seats
    return request.zone_ref in {None, table.zone_ref} and least <= request.party <= min(most, table.seats)


def _seats_too_many(snapshot: Snapshot, decide: Decide) -> Decision:
    decision = decide(snapshot)
    free = _free(snapshot, decision)
    return _at(snapshot, decision, [min(free, key=lambda table: table.seats)]) if free else decision


def _joins_what_is_apart(snapshot: Snapshot, decide: Decide) -> Decision:
    decision = decide(snapshot)
    free, floor = _free(snapshot, decision), snapshot.floor
    listed = {join.table_refs for join in floor.joins}
    for number, one in enumerate(free):
        for other in free[number + 1 :]:
            pair = frozenset((one.ref, other.ref))
            if pair not in floor.adjacent and pair not in listed and one.seats + other.seats >= snapshot.request.party:
                return _at(snapshot, decision, [one, other])
    return decision


def _nothing_is_adjacent(snapshot: Snapshot, decision: Decision) -> Snapshot:
    return replace(snapshot, floor=replace(snapshot.floor, adjacent=frozenset(), joins=()))


def _ignores_pins(snapshot: Snapshot, decide: Decide) -> Decision:
    return decide(replace(snapshot, request=replace(snapshot.request, pinned_table_refs=())))


def _pinned_elsewhere(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    """Stage a pin to another table that would do as well."""
    if decision.best is None:
        return None
    others = [
        table
        for table in _free(snapshot, decision)
        if table.ref not in decision.best.table_refs and _may_have(snapshot, table)
    ]
    if not others:
        return None
    return replace(snapshot, request=replace(snapshot.request, pinned_table_refs=(others[0].ref,)))


def _ignores_zones(snapshot: Snapshot, decide: Decide) -> Decision:
    return decide(replace(snapshot, request=replace(snapshot.request, zone_ref=None)))


def _insists_on_another_zone(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    if decision.best is None:
        return None
    here = {table.zone_ref for table in snapshot.floor.tables if table.ref in decision.best.table_refs}
    others = sorted({table.zone_ref for table in snapshot.floor.tables if table.zone_ref is not None} - here, key=str)
    zone_ref = others[0] if others else "rehearsal: another zone"
    return replace(snapshot, request=replace(snapshot.request, zone_ref=zone_ref))


def _keeps_too_long(snapshot: Snapshot, decide: Decide) -> Decision:
    return _until(decide(snapshot), A_QUARTER)


def _keeps_too_short(snapshot: Snapshot, decide: Decide) -> Decision:
    return _until(decide(snapshot), -A_QUARTER)


def _until(decision: Decision, later: timedelta) -> Decision:
    if decision.window is None:
        return decision
    return replace(decision, window=replace(decision.window, blocked_until=decision.window.blocked_until + later))


def _ignores_buffers(snapshot: Snapshot, decide: Decide) -> Decision:
    return decide(replace(snapshot, floor=_with_buffers(snapshot.floor, 0)))


def _takes_time_to_clear(snapshot: Snapshot, decision: Decision) -> Snapshot:
    return replace(snapshot, floor=_with_buffers(snapshot.floor, 10))


def _with_buffers(floor: Floor, minutes: int) -> Floor:
    services = tuple(
        replace(service, buffer_before_minutes=0, buffer_after_minutes=minutes) for service in floor.services
    )
    calendar = tuple(
        replace(
            entry,
            services=tuple(
                replace(service, buffer_before_minutes=0, buffer_after_minutes=minutes) for service in entry.services
            ),
        )
        for entry in floor.calendar
    )
    return replace(floor, services=services, calendar=calendar)


def _an_hour_off(snapshot: Snapshot, decide: Decide) -> Decision:
    decision, hour = decide(snapshot), timedelta(hours=1)
    if decision.window is None:
        return decision
    window = replace(
        decision.window,
        starts_at=decision.window.starts_at + hour,
        ends_at=decision.window.ends_at + hour,
        blocked_from=decision.window.blocked_from + hour,
        blocked_until=decision.window.blocked_until + hour,
    )
    return replace(decision, window=window)


def _ignores_closures(snapshot: Snapshot, decide: Decide) -> Decision:
    return decide(replace(snapshot, occupied=tuple(row for row in snapshot.occupied if not row.closed)))


def _closed_there(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    rows = _rows(decision, None, closed=True)
    return replace(snapshot, occupied=(*snapshot.occupied, *rows)) if rows else None


def _ignores_the_calendar(snapshot: Snapshot, decide: Decide) -> Decision:
    return decide(replace(snapshot, floor=replace(snapshot.floor, calendar=())))


def _closed_that_day(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    if decision.best is None:
        return None
    day = service_date(snapshot.floor, snapshot.request.starts_at)
    return replace(snapshot, floor=replace(snapshot.floor, calendar=(CalendarEntry(first_date=day, last_date=day),)))


def _uses_tables_out_of_service(snapshot: Snapshot, decide: Decide) -> Decision:
    tables = tuple(replace(table, active=True) for table in snapshot.floor.tables)
    return decide(replace(snapshot, floor=replace(snapshot.floor, tables=tables)))


def _out_of_service(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    return _changed_tables(snapshot, decision, active=False)


def _forgets_limits(snapshot: Snapshot, decide: Decide) -> Decision:
    tables = tuple(replace(table, min_party=None, max_party=None) for table in snapshot.floor.tables)
    joins = tuple(replace(join, min_party=None, max_party=None) for join in snapshot.floor.joins)
    return decide(replace(snapshot, floor=replace(snapshot.floor, tables=tables, joins=joins)))


def _takes_fewer(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    if snapshot.request.party < 2 or decision.best is None or len(decision.best.table_refs) > 1:
        return None
    return _changed_tables(snapshot, decision, min_party=1, max_party=snapshot.request.party - 1)


def _changed_tables(snapshot: Snapshot, decision: Decision, **values: Any) -> Snapshot | None:
    if decision.best is None:
        return None
    chosen = decision.best.table_refs
    tables = tuple(replace(table, **values) if table.ref in chosen else table for table in snapshot.floor.tables)
    return replace(snapshot, floor=replace(snapshot.floor, tables=tables))


_TWIN = "rehearsal: decided before, in the same batch"


def _double_books(snapshot: Snapshot, decide: Decide) -> Decision:
    return decide(replace(snapshot, occupied=tuple(row for row in snapshot.occupied if row.booking_ref != _TWIN)))


def _one_like_it_before(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    """Stage a batch of two such bookings, of which the first has just been given the best tables."""
    rows = _rows(decision, _TWIN)
    return replace(snapshot, occupied=(*snapshot.occupied, *rows)) if rows else None


def _reorders(snapshot: Snapshot, decide: Decide) -> Decision:
    """Give tables to two such bookings later in its batch before it."""
    for number in range(2):
        earlier = decide(snapshot)
        rows = _rows(earlier, f"rehearsal: came later {number}")
        if not rows:
            break
        snapshot = replace(snapshot, occupied=(*snapshot.occupied, *rows))
    return decide(snapshot)


def _nothing_else_is_free(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    if decision.best is None or decision.window is None:
        return None
    others = [table.ref for table in snapshot.floor.tables if table.ref not in decision.best.table_refs]
    return replace(
        snapshot, occupied=(*snapshot.occupied, *occupied_by("rehearsal: everybody else", others, decision.window))
    )


def _ignores_pacing(snapshot: Snapshot, decide: Decide) -> Decision:
    return decide(replace(snapshot, floor=replace(snapshot.floor, pacing=())))


def _too_many_come(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    """Stage a pacing that allows fewer guests at once than are in this party."""
    if snapshot.request.party < 2 or decision.best is None:
        return None
    pacing = (Pacing(most_covers=snapshot.request.party - 1),)
    return replace(snapshot, floor=replace(snapshot.floor, pacing=pacing), rules=replace(snapshot.rules, is_paced=True))


def _ignores_needs(snapshot: Snapshot, decide: Decide) -> Decision:
    return decide(replace(snapshot, request=replace(snapshot.request, needs=frozenset())))


def _needs_what_no_table_has(snapshot: Snapshot, decision: Decision) -> Snapshot | None:
    if decision.best is None:
        return None
    return replace(snapshot, request=replace(snapshot.request, needs=frozenset({"rehearsal: a need"})))


def moved(snapshot: Snapshot, decision: Decision) -> Moved | None:
    """Stage a party of the same size at the booking's tables that moves elsewhere; None if it cannot."""
    best, window = decision.best, decision.window
    if best is None or window is None:
        return None
    here = best.zone_ref
    others = [
        table
        for table in _free(snapshot, decision)
        if table.ref not in best.table_refs and table.zone_ref == here and _may_have(snapshot, table)
    ]
    if not others:
        return None
    party = snapshot.request.party
    movable = Movable(
        booking_ref="rehearsal: confirmed before",
        table_refs=best.table_refs,
        window=window,
        party=party,
        zone_ref=here,
    )
    rows = occupied_by(movable.booking_ref, best.table_refs, window, party=party if snapshot.floor.pacing else 0)
    return Moved(
        before=replace(snapshot, occupied=(*snapshot.occupied, *rows)),
        movable=movable,
        decision=decision,
        to=(others[0].ref,),
        window=window,
    )


def _at_another_time(move: Moved) -> Moved:
    later = timedelta(hours=1)
    window = replace(
        move.window,
        starts_at=move.window.starts_at + later,
        ends_at=move.window.ends_at + later,
        blocked_from=move.window.blocked_from + later,
        blocked_until=move.window.blocked_until + later,
    )
    return replace(move, window=window)


def _to_too_few_seats(move: Moved) -> Moved | None:
    free = _free(move.before, move.decision)
    small = [table for table in free if table.seats < move.movable.party and table.zone_ref == move.movable.zone_ref]
    return replace(move, to=(small[0].ref,)) if small else None


def _though_it_is_fixed(move: Moved) -> Moved:
    return replace(move, is_fixed=True)


def _to_another_zone(move: Moved) -> Moved | None:
    there = [
        table
        for table in _free(move.before, move.decision)
        if table.zone_ref != move.movable.zone_ref and table.seats >= move.movable.party
    ]
    return replace(move, to=(there[0].ref,)) if there else None


def _free(snapshot: Snapshot, decision: Decision) -> list[Table]:
    """Return the tables in service that are free while the party sits; empty if it cannot be seated."""
    window = decision.window
    if decision.best is None or window is None:
        return []
    taken = {
        row.table_ref
        for row in snapshot.occupied
        if row.blocked_from < window.blocked_until and window.blocked_from < row.blocked_until
    }
    return [table for table in snapshot.floor.tables if table.active and table.ref not in taken]


def _at(snapshot: Snapshot, decision: Decision, tables: list[Table]) -> Decision:
    best = decision.best
    assert best is not None
    seats = sum(table.seats for table in tables)
    plan: TablePlan = replace(
        best,
        table_refs=tuple(table.ref for table in tables),
        seats=seats,
        spare_seats=seats - snapshot.request.party,
        zone_ref=tables[0].zone_ref,
    )
    return replace(decision, plans=(plan,))


def _rows(decision: Decision, booking_ref: str | None, *, closed: bool = False) -> tuple[Occupied, ...]:
    """Return the tables of the decision as occupied ones."""
    if decision.best is None or decision.window is None:
        return ()
    return tuple(
        Occupied(
            table_ref=ref,
            blocked_from=decision.window.blocked_from,
            blocked_until=decision.window.blocked_until,
            booking_ref=booking_ref,
            closed=closed,
        )
        for ref in decision.best.table_refs
    )


_ALL = (
    Kind(name="refuses_one_in_twenty", does="refuses one booking in twenty", spoil=_refuses, share=0.05),
    Kind(name="refuses_one_in_two_hundred", does="refuses one booking in 200", spoil=_refuses, share=0.005),
    Kind(
        name="refuses_large_parties",
        does=f"refuses parties of {LARGE_PARTY} and more",
        spoil=_refuses_large_parties,
    ),
    Kind(name="wastes_seats", does="seats guests at the largest table that may take them", spoil=_wastes_seats),
    Kind(
        name="seats_too_many", does="seats guests at the smallest table, however many they are", spoil=_seats_too_many
    ),
    Kind(
        name="joins_what_is_apart",
        does="joins tables that do not stand next to each other",
        spoil=_joins_what_is_apart,
        stage=_nothing_is_adjacent,
    ),
    Kind(
        name="ignores_pins",
        does="ignores the tables that staff have fixed",
        spoil=_ignores_pins,
        stage=_pinned_elsewhere,
    ),
    Kind(
        name="ignores_zones",
        does="ignores the zone that guests insist on",
        spoil=_ignores_zones,
        stage=_insists_on_another_zone,
    ),
    Kind(name="keeps_too_long", does="keeps tables 15 minutes too long", spoil=_keeps_too_long),
    Kind(name="keeps_too_short", does="keeps tables 15 minutes too short", spoil=_keeps_too_short),
    Kind(
        name="ignores_buffers",
        does="leaves no time to clear tables",
        spoil=_ignores_buffers,
        stage=_takes_time_to_clear,
    ),
    Kind(name="an_hour_off", does="is an hour off, on one decision in 50", spoil=_an_hour_off, share=0.02),
    Kind(name="ignores_closures", does="seats guests at closed tables", spoil=_ignores_closures, stage=_closed_there),
    Kind(
        name="ignores_the_calendar",
        does="seats guests on dates that are closed",
        spoil=_ignores_the_calendar,
        stage=_closed_that_day,
    ),
    Kind(
        name="uses_tables_out_of_service",
        does="seats guests at tables that are out of service",
        spoil=_uses_tables_out_of_service,
        stage=_out_of_service,
    ),
    Kind(
        name="forgets_limits",
        does="forgets how many guests a table takes",
        spoil=_forgets_limits,
        stage=_takes_fewer,
    ),
    Kind(
        name="double_books_in_a_batch",
        does="does not see what it has given to the booking before in the batch",
        spoil=_double_books,
        stage=_one_like_it_before,
    ),
    Kind(
        name="reorders_a_batch",
        does="serves bookings first that came later in the batch",
        spoil=_reorders,
        stage=_nothing_else_is_free,
    ),
    Kind(
        name="ignores_pacing",
        does="seats more guests at once than the restaurant allows",
        spoil=_ignores_pacing,
        stage=_too_many_come,
    ),
    Kind(
        name="ignores_needs",
        does="seats guests where tables lack what they need",
        spoil=_ignores_needs,
        stage=_needs_what_no_table_has,
    ),
    Kind(
        name="moves_to_another_time",
        does="gives a confirmed party that it moves its table an hour later",
        spoil=untouched,
        moves=_at_another_time,
    ),
    Kind(
        name="moves_to_too_few_seats",
        does="moves a confirmed party to a table that is too small",
        spoil=untouched,
        moves=_to_too_few_seats,
    ),
    Kind(
        name="moves_who_is_fixed",
        does="moves a confirmed party that has to stay where it is",
        spoil=untouched,
        moves=_though_it_is_fixed,
    ),
    Kind(
        name="moves_to_another_zone",
        does="moves a confirmed party out of the zone that it insists on",
        spoil=untouched,
        moves=_to_another_zone,
    ),
    Kind(name="raises", does="raises an error on one decision in 200", spoil=_raises, share=0.005),
    Kind(
        name="slow",
        does=f"takes {SLOW_MS:g} ms longer for one decision in 20",
        spoil=untouched,
        share=0.05,
        slow_ms=SLOW_MS,
    ),
    Kind(
        name="does_not_tell_the_host",
        does="does not tell the host of three confirmations in a hundred",
        spoil=untouched,
        share=0.03,
        is_untold=True,
    ),
    Kind(
        name="loses_tables",
        does="confirms one booking in 200 and keeps no tables for it",
        spoil=untouched,
        share=0.005,
        is_lost=True,
    ),
    Kind(
        name="drops_bookings",
        does="cancels three bookings in a hundred that the guests still want",
        spoil=untouched,
        share=0.03,
        is_dropped=True,
    ),
)

KINDS: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in _ALL})
"""Every kind, by name. Names are part of the command's output; never rename one."""
UNTOUCHED = Kind(name="untouched", does="decides as it is", spoil=untouched)
