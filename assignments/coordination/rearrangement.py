"""Re-arrangement: confirmed parties that nobody has told their table change tables, so that one more can be seated.

Guests are promised a seat, not a table. Whoever is fixed stays: pinned, chosen by staff, told their table, arrived, about to
come, moved often enough, or of an evening that is frozen.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from assignments import conf
from assignments.coordination import shown_tables
from assignments.coordination.planned_day import plan_requests
from assignments.coordination.snapshots import windows_of
from assignments.integration import planners
from assignments.integration.host import Host, HostBooking, MovesGuests
from assignments.integration.project_host import able
from assignments.integration.swaps import obstacle_to_swaps
from assignments.lifecycle import intake, ledger
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, FrozenEvening, HostMark, Stage, State
from assignments.planning.batch_planner import seated_in_turn
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.floor import Floor
from assignments.planning.request import SeatingRequest
from assignments.planning.scoring import IDLE_HORIZON_SECONDS
from assignments.planning.seating_window import SeatingWindow, seating_window, service_of
from assignments.planning.service_day import touched_days
from assignments.planning.snapshot import Movable, Occupied

SEARCHES = 3
"""How often the search runs: whoever turns out to be busy counts as fixed in the next one."""

MOVES_SECONDS = 2.0
"""How long one search moves others, so that the transaction stays short however many find nothing free."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed:
    """A confirmed booking that may be moved, as it was read: its seatings, and as planning sees it."""

    assignment: Assignment
    seatings: list[Allocation]
    movable: Movable


@dataclass(frozen=True, kw_only=True, slots=True)
class Rearrangement:
    """Decisions on the requests, and the confirmed bookings that change tables for them. Their rows are locked.

    ``movable``: all that might have been moved. ``occupied``: what was taken, as far as they sit.
    """

    decisions: Mapping[str, Decision]
    milliseconds: Mapping[str, float]
    moves: Sequence[tuple[Confirmed, TablePlan]] = ()
    movable: tuple[Movable, ...] = ()
    occupied: tuple[Occupied, ...] = ()

    def serves(self, refs: Collection[str]) -> bool:
        """Return whether one of these bookings can have its tables only once the others have moved."""
        left = [confirmed.movable for confirmed, _plan in self.moves]
        for decision in (self.decisions[ref] for ref in refs):
            if decision.moves:
                return True
            if decision.best is not None and decision.window is not None:
                tables, window = set(decision.best.table_refs), decision.window
                if any(_meet(each.window, window) and tables & set(each.table_refs) for each in left):
                    return True
        return False

    def apply(self, settlement: Settlement) -> None:
        """Have the settlement write the moves."""
        causes = [decision for decision in self.decisions.values() if decision.moves]
        for confirmed, plan in self.moves:
            ref = confirmed.assignment.booking_ref
            for_whom = [each.booking_ref for each in causes if ref in {move.booking_ref for move in each.moves}]
            settlement.rearrange(
                confirmed.assignment,
                confirmed.seatings,
                table_refs=plan.table_refs,
                detail=", ".join(for_whom),
            )


def is_possible(host: Host, restaurant_ref: str) -> bool:
    """Whether confirmed bookings of the restaurant may be moved, as far as the settings and the host say."""
    knows = bool(getattr(host, "reports_told_tables", False)) and able(host, MovesGuests) is not None
    return knows and conf.settings().rearranges(restaurant_ref)


def find(
    requests: Sequence[SeatingRequest],
    decisions: Mapping[str, Decision],
    *,
    floor: Floor,
    service_date: date,
    host: Host,
    now: datetime,
    success: Mapping[str, float],
    may_wait: Collection[str] = (),
    seconds: float,
) -> Rearrangement | None:
    """Return decisions that seat more bookings than ``decisions`` do, by moving others, if there are any.

    One more who asked earlier is worth more than any number of those who asked later. ``may_wait``: those whose decision may
    be left out after ``seconds``; no further search begins after that time, either. Without moves they are the
    ``decisions``; None if nobody may be moved.

    The service day is locked. The rows of the moved bookings are locked here, the host's too: those that somebody else has
    locked or changed count as fixed.
    """
    confirmed = movable_of(floor, service_date, now=now)
    if not confirmed:
        return None
    deadline = time.monotonic() + seconds
    movable: tuple[Movable, ...] = ()
    occupied: tuple[Occupied, ...] = ()
    for search in range(SEARCHES):
        if not confirmed:
            break
        if search and time.monotonic() >= deadline:
            return None
        movable = tuple(each.movable for each in confirmed.values())
        occupied = occupied_around(requests, movable, floor, remove_expired=True)
        found, milliseconds, moves = plan_requests(
            requests,
            floor=floor,
            occupied=occupied,
            now=now,
            success=success,
            movable=movable,
            may_wait=may_wait,
            seconds=deadline - time.monotonic(),
            moves_seconds=MOVES_SECONDS,
        )
        decided = [request for request in requests if request.booking_ref in found]
        if not moves or seated_in_turn(decided, found) <= seated_in_turn(decided, decisions):
            break
        tables = {ref: plan.table_refs for ref, plan in moves.items()}
        if obstacle_to_swaps() and not in_turn([each.movable for each in confirmed.values()], tables):
            break
        busy = lock([confirmed[ref] for ref in sorted(moves)], floor=floor, host=host)
        if not busy:
            return Rearrangement(
                decisions=found,
                milliseconds=milliseconds,
                moves=[(confirmed[ref], plan) for ref, plan in sorted(moves.items())],
                movable=movable,
                occupied=occupied,
            )
        confirmed = {ref: each for ref, each in confirmed.items() if ref not in busy}
        if not search:  # Whom the host has told, perhaps many of them in one query, has left no mark here.
            confirmed = still_movable(confirmed, floor=floor, host=host)
    else:
        return None  # Too many are busy; who of the others is, nobody has asked.
    return (
        Rearrangement(decisions=decisions, milliseconds={}, movable=movable, occupied=occupied) if confirmed else None
    )


def in_turn(movable: Sequence[Movable], tables: Mapping[str, Sequence[str]]) -> bool:
    """Return whether these can get their new ``tables`` one after the other, each once nobody else of them is there."""
    left = [each for each in movable if each.booking_ref in tables]
    while left:
        ready = [each for each in left if not any(_is_in_the_way(other, each, tables) for other in left)]
        if not ready:
            return False
        left = [each for each in left if each not in ready]
    return True


def _is_in_the_way(other: Movable, mover: Movable, tables: Mapping[str, Sequence[str]]) -> bool:
    wanted = set(tables[mover.booking_ref])
    return other is not mover and _meet(other.window, mover.window) and not wanted.isdisjoint(other.table_refs)


def _meet(one: SeatingWindow, other: SeatingWindow) -> bool:
    return one.blocked_from < other.blocked_until and other.blocked_from < one.blocked_until


def movable_of(floor: Floor, service_date: date, *, now: datetime) -> dict[str, Confirmed]:
    """Return the confirmed bookings of the service day that are not fixed, by ref. At most three queries."""
    settings = conf.settings()
    unread = HostMark.objects.values("booking_ref")  # Nobody knows yet what the host has written there.
    rows = Assignment.objects.of_day(floor.restaurant_ref, service_date).filter(
        state=State.CONFIRMED,
        stage=Stage.EXPECTED,
        table_told=False,
        moves__lt=settings.MAX_MOVES,
        pinned_table_refs=[],
        starts_at__gt=now + timedelta(minutes=settings.FIXED_MINUTES),
    )
    assignments = {
        row.booking_ref: row for row in rows.exclude(planner=planners.MANUAL).exclude(booking_ref__in=unread)
    }
    if not assignments or FrozenEvening.objects.filter(restaurant_ref=floor.restaurant_ref, service_date=service_date):
        return {}
    seatings = ledger.seatings_of(sorted(assignments))
    found = {}
    for ref, own in seatings.items():
        assignment = assignments[ref]
        if _is_frozen(floor, assignment.starts_at, now) or any(row.despite or row.overstays_until for row in own):
            continue
        movable = _movable(assignment, own, floor)
        if _lacks_a_buffer(own, movable, floor):
            continue
        if set(touched_days(floor, movable.window)) == {service_date} and set(movable.table_refs) <= set(floor.places):
            found[ref] = Confirmed(assignment=assignment, seatings=own, movable=movable)
    return found


def _is_frozen(floor: Floor, start: datetime, now: datetime) -> bool:
    minutes = conf.settings().FREEZE_MINUTES
    if not minutes:
        return False
    service = service_of(floor, start)
    return (service.starts_at if service else start) - timedelta(minutes=minutes) <= now


def _lacks_a_buffer(seatings: Sequence[Allocation], movable: Movable, floor: Floor) -> bool:
    """Return whether the party has given up some of its buffers to a neighbour: elsewhere it would go on without them."""
    if any(row.blocked != seatings[0].blocked for row in seatings):
        return True
    own = movable.window
    whole = seating_window(floor, starts_at=own.starts_at, party=movable.party, ends_at=own.ends_at)
    if not isinstance(whole, SeatingWindow):
        return False
    return own.blocked_from > whole.blocked_from or own.blocked_until < whole.blocked_until


def _movable(assignment: Assignment, seatings: Sequence[Allocation], floor: Floor) -> Movable:
    first = seatings[0]
    return Movable(
        booking_ref=assignment.booking_ref,
        table_refs=floor.in_order(row.table_ref for row in seatings),
        window=SeatingWindow(
            starts_at=first.starts_at,
            ends_at=first.ends_at,
            blocked_from=first.blocked.lower,
            blocked_until=first.blocked.upper,
        ),
        party=assignment.party if first.party is None else first.party,
        zone_ref=(assignment.zone_ref if first.zone_ref is None else first.zone_ref) or None,
        needs=frozenset(assignment.needs),
        wishes=frozenset(assignment.wishes),
    )


def occupied_around(
    requests: Sequence[SeatingRequest], movable: Sequence[Movable], floor: Floor, *, remove_expired: bool
) -> tuple[Occupied, ...]:
    """Return what is taken or closed while any of them sits or would sit. For ``remove_expired`` see ``ledger.occupied``."""
    windows = [*windows_of(requests, floor), *(each.window for each in movable)]
    horizon = timedelta(seconds=IDLE_HORIZON_SECONDS)
    start = min(window.blocked_from for window in windows) - horizon
    until = max(window.blocked_until for window in windows) + horizon
    return ledger.occupied(floor.restaurant_ref, start, until, floor=floor, remove_expired=remove_expired)


def lock(confirmed: Sequence[Confirmed], *, floor: Floor, host: Host) -> set[str]:
    """Lock these bookings, here and in the host, and return the refs of those that are busy or have changed meanwhile."""
    versions = {each.assignment.booking_ref: each for each in confirmed}
    rows = Assignment.objects.filter(booking_ref__in=sorted(versions)).order_by("id").claim()
    ours = {row.booking_ref for row in rows if row.version == versions[row.booking_ref].assignment.version}
    theirs = host.bookings(sorted(ours), lock=True) if ours else {}
    return versions.keys() - as_promised(theirs, versions, floor=floor, host=host).keys()


def still_movable(confirmed: Mapping[str, Confirmed], *, floor: Floor, host: Host) -> dict[str, Confirmed]:
    """Return those of these bookings that may be moved by what the host shows, too. Two queries at most."""
    theirs = host.bookings(sorted(confirmed)) if confirmed else {}
    return as_promised(theirs, confirmed, floor=floor, host=host)


def as_promised(
    bookings: Mapping[str, HostBooking], confirmed: Mapping[str, Confirmed], *, floor: Floor, host: Host
) -> dict[str, Confirmed]:
    """Return those whose booking in the host is still the one that was confirmed, at the tables that it was told.

    One query, none where the host gives tables with its bookings.
    """
    unread = [ref for ref, booking in bookings.items() if ref in confirmed and booking.table_refs is None]
    shown = host.tables_of(unread) if unread else {}
    found = {}
    for ref, each in confirmed.items():
        booking = bookings.get(ref)
        if booking is None or not stays_as_promised(booking, each):
            continue
        tables = shown.get(ref, ()) if booking.table_refs is None else booking.table_refs
        if not shown_tables.differing(each.assignment, booking, tables, floor, host=host, seatings=each.seatings):
            found[ref] = each
    return found


def stays_as_promised(booking: HostBooking, confirmed: Confirmed) -> bool:
    """Return whether the host's booking is still the one that was confirmed, and may still be moved."""
    promise = confirmed.movable
    is_same = (booking.party, booking.zone_ref or None) == (promise.party, promise.zone_ref)
    starts_then = not booking.problem and booking.starts_at == promise.window.starts_at
    is_expected = booking.wants_table and booking.stage in {None, Stage.EXPECTED}
    needs, _wishes = intake.asked_features(booking, confirmed.assignment)
    is_free_to_go = booking.may_move and not booking.table_told
    return is_same and starts_then and is_expected and is_free_to_go and needs <= promise.needs
