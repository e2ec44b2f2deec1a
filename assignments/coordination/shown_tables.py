"""Following tables that the host's staff gave to a booking with other tables here: taken over, or left to staff."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from assignments import conf
from assignments.concurrency import locks
from assignments.coordination import adoption, sharing
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking
from assignments.integration.planners import MANUAL
from assignments.lifecycle import buffers, intake, ledger, promise, seating_validity, sentences, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import GONE, Allocation, Assignment, Stage, State
from assignments.outcome import Change
from assignments.planning.describe import names
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.seating_window import SeatingWindow

TABLES_CHANGED_BY_HOST = waiting.TABLES_CHANGED_BY_HOST

MOST_EXCHANGED = 50
"""Bookings that change tables among themselves at once. More are left to staff."""


def changed(assignment: Assignment, booking: HostBooking, floor: Floor | None, *, host: Host) -> tuple[str, ...] | None:
    """Return the tables that the host shows for a booking if they differ from those that it was last told; else None.

    They are compared in the form in which the host can store them: a foreign key holds one table of a join. One query,
    unless the booking has its tables with it.
    """
    if assignment.told_table_refs is None:
        return None
    return differing(assignment, booking, shown(booking, host=host), floor, host=host)


def noted(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    tables: tuple[str, ...] | None,
    *,
    host: Host,
) -> tuple[str, ...] | None:
    """Return the tables that ``changed`` found; None if they are empty because the host stores no tables.

    The latter is noted in memory, so that staff are not asked again until the host is told other tables. A host that
    shows the booking's own tables after all has stored them late, and can clear them from then on.
    """
    if tables == () and assignment.state == State.CONFIRMED:
        if seating_validity.stores_tables(host, booking.ref, seatings):
            return tables
        assignment.told_table_refs = []
        assignment.touch()
        return None
    if tables is None and assignment.told_table_refs == [] and booking.table_refs:
        assignment.told_table_refs = list(booking.table_refs)
        assignment.touch()
    return tables


def shown(booking: HostBooking, *, host: Host) -> Sequence[str]:
    """Return the tables that the host shows for a booking. At most one query."""
    if booking.table_refs is not None:
        return booking.table_refs
    return host.tables_of([booking.ref]).get(booking.ref, ())


def differing(
    assignment: Assignment,
    booking: HostBooking,
    table_refs: Sequence[str],
    floor: Floor | None,
    *,
    host: Host,
    seatings: Sequence[Allocation] = (),
) -> tuple[str, ...] | None:
    """As ``changed``, for tables that are read already. Empty: they were cleared, and can still be used.

    Tables that are gone from the floor are gone from the host's booking too, unless that keeps them as a text or in an
    array: either way nobody has chosen others. No tables shown says nothing where the host does not read them along with
    its bookings, nor of a booking that it shows as waiting: it is told again. One query where it has stored none before,
    unless its ``seatings`` are read already.
    """
    told = tuple(assignment.told_table_refs or ())
    if not told and table_refs and assignment.told_table_refs is not None:  # It did not store them then.
        seatings = seatings or ledger.seatings_of([booking.ref]).get(booking.ref, [])
        told = tuple(row.table_ref for row in seatings)
    left = tuple(ref for ref in told if floor is None or ref in floor.table_by_ref)
    stored_form = getattr(host, "stored_form", tuple)
    if not table_refs:
        return () if _are_cleared(booking, told, floor, host=host) and stored_form(told) else None
    if not left:
        return None
    is_as_told = set(table_refs) in (set(stored_form(told)), set(stored_form(left)))
    return None if is_as_told else tuple(table_refs)


def _are_cleared(booking: HostBooking, told: Sequence[str], floor: Floor | None, *, host: Host) -> bool:
    """Return whether the host has cleared these tables of a confirmed booking, although all can still be used.

    The same goes for guests who sit: they have tables, and their own status in place of the confirmed one.
    """
    sits = booking.keeps_tables and not booking.wants_table
    is_waiting = host.tracks_confirmation and not booking.is_confirmed and not sits
    if booking.table_refs is None or floor is None or is_waiting:
        return False
    known = [floor.table_by_ref.get(ref) for ref in told]
    return all(table is not None and table.active for table in known)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """A booking, and the tables that the host shows for it. ``window``: when it would have them, with buffers.

    ``there``: allocations of others whose guests are at one of them then. ``against``: why its guests cannot sit there.
    ``impossible`` and ``too_few``: sentences that say why staff have to decide.
    """

    assignment: Assignment
    seatings: Sequence[Allocation]
    table_refs: tuple[str, ...]
    window: SeatingWindow
    taken: Sequence[Allocation]
    there: Sequence[Allocation]
    against: Sequence[Reason]
    impossible: str
    too_few: str

    @property
    def is_unfit(self) -> bool:
        return bool(self.impossible or self.too_few)

    @property
    def ref(self) -> str:
        return self.assignment.booking_ref

    def beside(self, moving: Collection[str]) -> list[Allocation]:
        """Return the allocations around that time of other bookings, except ``moving`` ones."""
        return [row for row in self.taken if row.booking_ref not in moving]


def adopt(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    table_refs: Sequence[str],
    *,
    host: Host,
    now: datetime,
    sits: bool = False,
) -> Change:
    """Take over the tables that the host gave to a booking with other tables, as a choice of staff.

    Bookings in the way that the host shows at other tables go there in the same transaction. Staff decide if other
    bookings are in the way, the floor has no such table, or there are fewer seats than guests; also if the host has
    cleared the tables, which does not end a promise. Nothing changes for a booking that already waits for staff about
    this. ``sits``: its guests sit there, which grants nothing else that they ask for.
    """
    keeps_facts = sits or promise.is_turned_down(assignment, booking)
    if keeps_facts:
        booking = promise.promised(booking, assignment, seatings)
    floor = floor_or_none(booking.restaurant_ref, host=host)
    ledger.note_promise(seatings, party=assignment.party, zone_ref=assignment.zone_ref)
    ours = _shown_at(assignment, booking, seatings, table_refs, host=host, now=now)
    others = [] if ours.is_unfit else _exchanging(ours, host=host, now=now)
    if others is None and assignment.state == State.MANUAL_REVIEW:
        return Change.NOTHING
    if ours.is_unfit and assignment.state == State.MANUAL_REVIEW:
        return Change.NOTHING
    promised = promise.facts_of(assignment)
    if not keeps_facts:
        intake.take_over_facts(assignment, booking, floor=floor)
    settlement = Settlement(host=host, planner=MANUAL, actor="host", trigger="edit", now=now, tells_host=False)
    if others is None or ours.is_unfit:
        others_there = {row.booking_ref for row in ours.there if row.booking_ref}
        taken = sentences.shown_elsewhere(names(ours.table_refs, floor), others_there)
        if not keeps_facts:
            promise.set_aside(assignment, promised)
        detail = ours.impossible or (taken if ours.there else ours.too_few)
        settlement.keep_for_review(assignment, reason=TABLES_CHANGED_BY_HOST, detail=detail)
        settlement.write()
        return Change.TO_STAFF
    _seat_all([ours, *others], settlement)
    for each in (*others, ours):
        sharing.ask_about_overstaying(each.assignment, host=host, now=now, actor="host", trigger="edit")
    return Change.MOVED if assignment.state == State.CONFIRMED else Change.TO_STAFF


def _shown_at(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    table_refs: Sequence[str],
    *,
    host: Host,
    now: datetime,
) -> _Shown:
    floor = floor_or_none(booking.restaurant_ref, host=host)
    tables = floor.in_order(table_refs) if floor else tuple(table_refs)
    window = _window(assignment, booking, seatings, floor, now=now)
    own = {row.pk for row in seatings}
    taken = [
        row
        for row in ledger.taken_at(booking.restaurant_ref, tables, window.blocked_from, window.blocked_until)
        if row.pk not in own
    ]
    rules = conf.settings().rules()
    against = seating_validity.against_tables(booking, tables, floor=floor, rules=rules) if floor else []
    return _Shown(
        assignment=assignment,
        seatings=seatings,
        table_refs=tables,
        window=window,
        taken=taken,
        there=buffers.in_the_way(taken, window, now=now),
        against=[each.reason for each in against],
        impossible=_why_impossible(tables, seatings, floor),
        too_few=next((each.detail for each in against if each.reason == Reason.TOO_FEW_SEATS), ""),
    )


def _why_impossible(tables: Sequence[str], seatings: Sequence[Allocation], floor: Floor | None) -> str:
    """Return why nobody can sit at the shown tables: none are shown, or the floor lacks one; "" if they exist."""
    if not tables:
        return sentences.shown_without_tables(names([row.table_ref for row in seatings], floor))
    unknown = seating_validity.unknown_tables(tables, floor)
    return sentences.not_on_the_floor(names(unknown, floor)) if unknown else ""


def _window(
    assignment: Assignment,
    booking: HostBooking,
    seatings: Sequence[Allocation],
    floor: Floor | None,
    *,
    now: datetime,
) -> SeatingWindow:
    """Return when the booking has the tables: from now on if its time has begun. Where it sat before stays on record."""
    if assignment.stage == Stage.SEATED:
        end = max(seatings[0].stays_until, now + timedelta(minutes=1))
        until = end + buffers.after(seatings[0], floor)
        return SeatingWindow(starts_at=now, ends_at=end, blocked_from=now, blocked_until=until)
    window = seating_validity.window_as_the_host_has_it(booking, floor)
    if window.starts_at < now < window.ends_at:
        return replace(window, blocked_from=now)
    return window


def _exchanging(ours: _Shown, *, host: Host, now: datetime) -> list[_Shown] | None:
    """Return the bookings that make way for this one by going where the host shows them; None if that is impossible.

    Only bookings of its own service days count, which are locked.
    """
    found = {ours.ref: ours}
    while missing := {row.booking_ref for each in found.values() for row in each.there} - set(found):
        if len(found) + len(missing) > MOST_EXCHANGED:
            return None
        for ref, other in _shown_elsewhere(missing, ours.assignment, host=host, now=now).items():
            found[ref] = other
        if not missing <= set(found):
            return None
    there = [row for each in found.values() for row in each.there]
    if any(row.kind == Allocation.Kind.HOLD or row.ended_at is not None for row in there):
        return None
    placed = list(found.values())
    for place, one in enumerate(placed):
        for other in placed[place + 1 :]:
            is_shared = set(one.table_refs) & set(other.table_refs)
            if is_shared and buffers.meet(buffers.stay_in(one.window), buffers.stay_in(other.window)):
                return None
    return [each for each in placed if each is not ours]


def _shown_elsewhere(refs: Collection[str], asking: Assignment, *, host: Host, now: datetime) -> dict[str, _Shown]:
    """Return those of these bookings that the host shows at other tables than they have, by ref, with locked rows.

    Bookings of other service days are left out: whoever works on such a day locks its rows after the day.
    """
    unlocked = Assignment.objects.filter(booking_ref__in=sorted(refs)).order_by("id")
    here = [row for row in unlocked if _is_of_the_days(row, asking)]
    here_refs = sorted(row.booking_ref for row in here)
    rows = locks.lock_rows(here_refs)
    bookings, seated = host.bookings(here_refs, lock=True), ledger.seatings_of(here_refs)
    found = {}
    for row in rows:
        booking, seatings = bookings.get(row.booking_ref), seated.get(row.booking_ref)
        waits = row.state == State.MANUAL_REVIEW and row.reason == TABLES_CHANGED_BY_HOST
        if not booking or not seatings or booking.problem or not _is_of_the_days(row, asking) or row.stage in GONE:
            continue
        if row.state != State.CONFIRMED and not waits:
            continue
        floor = floor_or_none(row.restaurant_ref, host=host)
        tables = changed(row, booking, floor, host=host)
        asks = booking.wants_table and seating_validity.asks_anew(row, booking, seatings, floor=floor)
        if not tables or asks:
            continue
        promised = promise.promised(booking, row, seatings)
        other = _shown_at(row, promised, seatings, tables, host=host, now=now)
        if not other.is_unfit:
            found[other.ref] = other
    return found


def _is_of_the_days(row: Assignment, asking: Assignment) -> bool:
    """Return whether all of its service days are among the locked ones of the asking booking."""
    return row.days <= asking.days and row.restaurant_ref == asking.restaurant_ref


def _seat_all(all_shown: Sequence[_Shown], settlement: Settlement) -> None:
    """Give these bookings the tables that the host shows: first all leave their tables, then all get the new ones."""
    moving = {each.ref for each in all_shown}
    settled: list[tuple[_Shown, SeatingWindow]] = []
    without_buffers = set()
    # Two of them may have the same neighbour, which gives up one buffer for each.
    neighbours: dict[int, Allocation] = {}
    for each in all_shown:
        beside = [neighbours.setdefault(row.pk, row) for row in each.beside(moving)]
        spans = buffers.spans(beside)
        for other in all_shown:
            if other is not each and set(other.table_refs) & set(each.table_refs):
                window = next((known for one, known in settled if one is other), buffers.bare(other.window))
                spans.append((window.blocked_from, window.blocked_until))
        window = buffers.fitted(each.window, spans)
        if window != each.window or any(buffers.shortened(row, window) for row in beside):
            without_buffers.add(each.ref)
        ledger.make_room(beside, window)
        settled.append((each, window))
    for each, fitted in settled:
        restaurant_ref = each.assignment.restaurant_ref
        window, overridden_by = adoption.over_closures(restaurant_ref, each.table_refs, fitted)
        despite = {*each.against, *([Reason.BUFFER] if each.ref in without_buffers else ())}
        settlement.reseat(
            each.assignment,
            each.seatings,
            table_refs=each.table_refs,
            window=window,
            strategy=MANUAL,
            planner=MANUAL,
            reason=TABLES_CHANGED_BY_HOST,
            despite=despite | ({Reason.CLOSED} if overridden_by else set()),
            overridden_by=overridden_by,
        )
    settlement.write()
