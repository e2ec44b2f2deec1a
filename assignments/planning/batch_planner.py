"""Planning of all waiting bookings of a restaurant-day.

Long because seating one party, moving others for it and seating more of the tied ones change one state, who sits where.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial, reduce
from itertools import chain, groupby, islice
from operator import or_

from assignments.planning.admission import admit, party_refusal
from assignments.planning.capacity_bound import is_overcrowded, size_classes
from assignments.planning.decision import Decision, TableMove, TablePlan
from assignments.planning.describe import names
from assignments.planning.feasibility import Fit, fit_of, misfit, objections
from assignments.planning.floor import Floor
from assignments.planning.natural_order import NaturalKey, natural_key
from assignments.planning.occupancy import Block, Occupancy
from assignments.planning.pacing import Pace
from assignments.planning.ranking import needed, rank
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.reseating import MAX_EJECTIONS, PROBED_EJECTIONS, Batch, Party, make_room
from assignments.planning.scoring import IDLE_HORIZON_SECONDS, Circumstances, check_weights, circumstances_of
from assignments.planning.seating_more import seat_more
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Occupied, PlanningRules, occupied_by
from assignments.planning.snapshot_hash import SnapshotDigest
from assignments.planning.text import gettext as _
from assignments.planning.units import Unit, table_bits, unit_of

_LAST = datetime.max.replace(tzinfo=UTC)


def in_order(requests: Iterable[SeatingRequest], *, floor: Floor, rules: PlanningRules) -> list[SeatingRequest]:
    """Return the requests in the order of decision.

    Requests are decided in the order in which they were made. Those without ``requested_at`` come last, as if made at
    the same time. Among requests made at the same time none has priority over the others: pinned ones go first, since
    no other tables will do for them; then those that need the fewest tables, because a party at two joined tables takes
    the place of two others; then by start, then by ref (9 before 10, because refs may differ between databases).
    """

    def key(request: SeatingRequest) -> tuple[datetime, int, datetime, NaturalKey]:
        tables = _tables_needed(floor, request, rules)
        return (
            _aware(request.requested_at or _LAST),
            tables,
            _aware(request.starts_at),
            natural_key(request.booking_ref),
        )

    return sorted(requests, key=key)


def seated_in_turn(requests: Iterable[SeatingRequest], decisions: Mapping[str, Decision]) -> list[int]:
    """Return how many have tables of those who asked at each moment, the earliest moment first.

    Of two plans for the same requests the one with the greater list is better: nobody gives way to more who asked later.
    """
    seated: dict[datetime, int] = {}
    for request in requests:
        moment = _aware(request.requested_at or _LAST)
        seated[moment] = seated.get(moment, 0) + (decisions[request.booking_ref].best is not None)
    return [seated[moment] for moment in sorted(seated)]


@dataclass(eq=False, slots=True)
class _Guest:
    """A request that can be seated, and its occupied tables while it is."""

    request: SeatingRequest
    window: SeatingWindow
    party: Party
    fit: Fit
    first_unit: Unit | None = None
    block: Block | None = None

    @property
    def is_loose(self) -> bool:
        """Return whether it may sit at any tables that fit: it is not pinned, and some are free apart from the batch."""
        return not self.request.pinned_table_refs and bool(self.party.options)

    def taken(self, unit: Unit, *, is_paced: bool) -> list[Occupied]:
        """Return its occupied tables at ``unit``. ``is_paced``: whether the floor's pacing counts it."""
        party = self.request.party if is_paced else 0
        return occupied_by(self.request.booking_ref, unit.table_refs, self.window, party=party)


class EveningPlanner:
    """Decides the requests of a restaurant-day one at a time, each given the decisions before it.

    A request gets the best free tables. If there are none, parties *of this batch* that were decided earlier may be
    moved to other tables to free some, and so may the confirmed ones that are ``movable``; they never lose their seat.
    Pinned parties and everybody else in ``occupied`` stay. ``decisions`` and ``moves`` are final once the last request is
    decided.

    ``occupied`` may contain a request's own tables only if they are given with it. ``now`` is aware; for ``success`` see
    Snapshot. Raises ValueError for unknown or negative weights.
    """

    def __init__(
        self,
        *,
        floor: Floor,
        occupied: Iterable[Occupied],
        rules: PlanningRules | None = None,
        now: datetime,
        success: Mapping[str, float] | None = None,
        movable: Iterable[Movable] = (),
    ) -> None:
        self._floor = floor
        self._rules = rules or PlanningRules()
        self._now = now
        self._success = success or {}
        check_weights(self._rules.weights)
        given = tuple(occupied)
        movers = {each.booking_ref: each for each in movable}
        stays = [each for each in given if each.booking_ref not in movers]
        self._given = Occupancy(floor, stays)
        self._closures = Occupancy(floor, (each for each in given if each.closed))
        self._occupancy = self._given.copy()
        self._free: dict[tuple[float, float], int] = {}
        self._fits: list[Fit] = []
        self._options: dict[tuple[int, int], tuple[list[Unit], dict[int, int]]] = {}
        self._digest = SnapshotDigest(floor, given, rules=self._rules, now=now, success=self._success, movable=movers)
        self._pace = Pace(floor, given)
        self._batch = Batch()
        self._guests: dict[Party, _Guest] = {}
        self._confirmed: list[_Guest] = []
        self._unseated: dict[str, _Guest] = {}
        self._decisions: dict[str, Decision] = {}
        self._no_room: dict[tuple[int, tuple[Party, ...]], int] = {}
        self._may_move = True
        for mover in movers.values():
            self._meet_confirmed(mover)

    @property
    def decisions(self) -> Mapping[str, Decision]:
        """Return the decisions so far by ref, in the order of the requests."""
        return dict(self._decisions)

    @property
    def moves(self) -> Mapping[str, TablePlan]:
        """Return the new tables of the confirmed parties that were moved, by ref."""
        return {
            guest.request.booking_ref: self._plan_at_its_place(guest)
            for guest in self._confirmed
            if guest.party.unit != guest.first_unit
        }

    def _meet_confirmed(self, mover: Movable) -> None:
        """Seat a confirmed party where it sits, so that it can be moved."""
        request = mover.request()
        guest = self._guest(request, mover.window, fit_of(self._floor, request, self._rules), is_confirmed=True)
        bits = table_bits(self._floor)
        own = sum(bits[ref] for ref in set(mover.table_refs))
        unit = next((each for each in guest.party.options if each.mask == own), None)
        if unit is None:  # It was promised these tables under other rules than today's.
            unit = unit_of(self._floor, mover.table_refs)
            guest.party.add_option(unit)
        self._guests[guest.party] = guest
        guest.first_unit = unit
        self._note_pace(guest)
        self._batch.seat(guest.party, unit)
        self._occupy(guest, unit)  # The digest has its tables already.
        self._confirmed.append(guest)

    def stop_moving(self) -> None:
        """Move nobody for the requests that are still to be decided: they get tables that are free, or none."""
        self._may_move = False

    def decide_all(
        self, requests: Iterable[SeatingRequest], own: Mapping[str, Sequence[Occupied]] | None = None
    ) -> Iterator[Collection[SeatingRequest]]:
        """Decide requests that are ``in_order``. Their ``decisions`` are final at the end.

        After each step it yields the requests that the step was for: one, or all those made at the same time. Of these as
        many as possible are seated, see ``seat_more``. ``own``: as for ``decide``, by ref.
        """
        own = own or {}
        for _moment, group in groupby(requests, key=lambda request: request.requested_at):
            first_two = list(islice(group, 2))
            together = chain(first_two, group)  # noqa: B031  (the rest of them)
            # With pacing nobody is seated out of turn, since that would change how many guests come when.
            if len(first_two) == 2 and not self._floor.is_paced:
                yield from self._decide_together(together, own)
                continue
            for request in together:
                self.decide(request, own.get(request.booking_ref, ()))
                yield (request,)

    def _decide_together(
        self, requests: Iterable[SeatingRequest], own: Mapping[str, Sequence[Occupied]]
    ) -> Iterator[Collection[SeatingRequest]]:
        """Decide requests made at the same time. Others are moved only for those who are left in the end."""
        together = {}
        for request in requests:
            together[request.booking_ref] = request
            self._decide_without_moves(request, own.get(request.booking_ref, ()))
            yield (request,)
        self.seat_more(together)
        yield together.values()
        # If nobody else may move, ``seat_more`` has let all of them take each other's tables.
        is_searched = len(together) == len(self._decisions) and not self._confirmed
        for ref, request in together.items():
            if ref in self._unseated:
                self._seat_by_moves(ref, own.get(ref, ()), ejections=0 if is_searched else MAX_EJECTIONS)
                yield (request,)
        if any(self._decisions[ref].moves for ref in together):
            self.seat_more(together)  # Where confirmed parties sat, nobody could be seated before.
        self._sit_closer(together)
        yield together.values()

    def decide(self, request: SeatingRequest, own: Sequence[Occupied] = ()) -> Decision:
        """Decide a request and occupy its tables. Raises ValueError if the booking is already decided.

        ``own``: what of ``occupied`` are the booking's own tables, which it alone may have.
        """
        ref = request.booking_ref
        self._decide_without_moves(request, own)
        if ref in self._unseated:
            self._seat_by_moves(ref, own)
        return self._decisions[ref]

    def _decide_without_moves(self, request: SeatingRequest, own: Sequence[Occupied]) -> None:
        """Give a request the best tables that are free. Without any it is ``_unseated``. Raises as ``decide``."""
        ref = request.booking_ref
        if ref in self._decisions:
            raise ValueError(f"Booking {ref} has been decided in this batch already.")
        with self._without(own):
            decided = partial(Decision, booking_ref=ref, snapshot_hash=self._digest.of(request))
            self._decisions[ref] = self._decide(request, decided)

    @contextmanager
    def _without(self, own: Sequence[Occupied]) -> Iterator[None]:
        """Count these rows of ``occupied`` as free meanwhile."""
        if not own:
            yield
            return
        bits = table_bits(self._floor)
        rows = [each for each in own if each.table_ref in bits]
        blocks = [
            Block(
                each.blocked_from.timestamp(),
                each.blocked_until.timestamp(),
                bits[each.table_ref],
                each.booking_ref or "",
            )
            for each in rows
        ]
        known, self._free = self._free, {}
        for occupancy in (self._given, self._occupancy):
            for block in blocks:
                occupancy.remove(block)
        yield
        for occupancy in (self._given, self._occupancy):
            for each, block in zip(rows, blocks, strict=True):
                occupancy.add(block.mask, each.blocked_from, each.blocked_until, block.booking_ref)
        self._free = known

    def probe(self, request: SeatingRequest) -> Mapping[str, tuple[str, ...]] | None:
        """Return the tables to which confirmed bookings would be moved to seat the request; None if it would be refused.

        It changes nothing: other requests are decided as if this one had not been probed. The search for moves is
        shorter than in ``decide``, so a seat found here is found there, too.
        """
        window = admit(self._floor, request, rules=self._rules, now=self._now)
        if isinstance(window, Refusal) or self._pace.refusal(request, window, self._rules):
            return None
        fit = self._fit(request)
        if isinstance(fit, Refusal) or not fit.units:
            return None
        guest = self._guest(request, window, fit)
        free = self._occupancy.free(window.blocked_from, window.blocked_until)
        if any(unit.mask & free == unit.mask for unit in guest.party.options):
            return {}
        room = self._room_for(guest, ejections=PROBED_EJECTIONS)
        return None if room is None else {p.ref: unit.table_refs for p, unit in room.items() if p.is_confirmed}

    def is_full_for(self, request: SeatingRequest) -> bool:
        """Return whether the request would be refused only because no fitting table is free."""
        window = admit(self._floor, request, rules=self._rules, now=self._now)
        if isinstance(window, Refusal) or self._pace.refusal(request, window, self._rules):
            return False
        fit = self._fit(request)
        if isinstance(fit, Refusal) or not fit.units:
            return False
        return self._closed_units(self._guest(request, window, fit), fit) < len(fit.units)

    def _room_for(self, guest: _Guest, *, ejections: int) -> Mapping[Party, Unit] | None:
        """Return the moves that seat a newcomer for whom nothing is free, or None.

        The result depends only on where the newcomer could sit and who is there at the same time. As long as nobody
        changes tables, a search that found nothing is not repeated for a party with the same options, or for another
        time with the same parties present.
        """
        newcomer = guest.party
        if not newcomer.options:
            return None
        self._batch.meet(newcomer)
        fixed = self._given.blocks(guest.window.blocked_from, guest.window.blocked_until)
        if is_overcrowded(newcomer, fixed, size_classes(self._floor)):
            return None
        key = (id(newcomer.options), tuple(newcomer.meets))
        if self._no_room.get(key, -1) >= ejections:
            return None
        room = make_room(newcomer, ejections=ejections)
        if room is None:
            self._no_room[key] = ejections
        return room

    def _decide(self, request: SeatingRequest, decided: Callable[..., Decision]) -> Decision:
        """Decide a request. ``decided``: makes a decision of what is known of it."""
        window = admit(self._floor, request, rules=self._rules, now=self._now)
        if isinstance(window, Refusal):
            return decided(refusal=window)
        fit = self._fit(request)
        if isinstance(fit, Refusal):
            return decided(window=window, refusal=fit)
        if not fit.units:
            refusal = misfit(self._floor, request, self._rules)
            return decided(window=window, refusal=refusal, considered=fit.considered, rejected=fit.rejected)
        paced = self._pace.refusal(request, window, self._rules)
        if paced is not None:
            paced = self._pace.with_nearest(paced, window.starts_at, partial(self._is_possible, request))
            return decided(window=window, refusal=paced, considered=fit.considered, rejected=fit.rejected)
        return self._choose(self._guest(request, window, fit), fit, partial(decided, window=window))

    def _is_possible(self, request: SeatingRequest, start: datetime) -> bool:
        """Return whether the party could come at ``start`` without moving anybody."""
        length = request.ends_at - request.starts_at if request.ends_at else None
        other = replace(request, starts_at=start, ends_at=start + length if length else None)
        window = admit(self._floor, other, rules=self._rules, now=self._now)
        if isinstance(window, Refusal) or self._pace.refusal(other, window, self._rules):
            return False
        fit = self._fit(other)
        free = self._occupancy.free(window.blocked_from, window.blocked_until)
        return not isinstance(fit, Refusal) and any(unit.mask & free == unit.mask for unit in fit.units)

    def _fit(self, request: SeatingRequest) -> Fit | Refusal:
        """Return the units that fit the party, or why its pinned tables do not."""
        pinned = request.pinned_table_refs
        if not pinned:
            return fit_of(self._floor, request, self._rules)
        unfit = list(objections(self._floor, request, self._rules, pinned))
        if unfit:
            return Refusal(Reason.PINNED_TABLES_UNFIT, _("The pinned tables will not do."), because=tuple(unfit))
        unit = unit_of(self._floor, pinned)
        return Fit(units=(unit,), considered=1, rejected={}, fewest_tables=unit.table_count)

    def _choose(self, guest: _Guest, fit: Fit, decided: Callable[..., Decision]) -> Decision:
        ranked, rejected = self._ranked(guest, fit)
        if ranked:
            self._seat(guest, ranked[0][0])
        else:
            self._unseated[guest.request.booking_ref] = guest
        return decided(
            plans=tuple(plan for _unit, plan in ranked),
            refusal=None if ranked else self._no_capacity(guest, fit),
            considered=fit.considered,
            rejected=rejected,
        )

    def _guest(self, request: SeatingRequest, window: SeatingWindow, fit: Fit, *, is_confirmed: bool = False) -> _Guest:
        start, until = window.blocked_from.timestamp(), window.blocked_until.timestamp()
        free = self._free.get((start, until))
        if free is None:
            free = self._free[start, until] = self._given.free(window.blocked_from, window.blocked_until)
        options, needs = self._options_of(fit, free)
        party = Party(
            request.booking_ref,
            start=start,
            until=until,
            options=options,
            is_confirmed=is_confirmed,
            needs=needs,
        )
        return _Guest(request=request, window=window, party=party, fit=fit)

    def _options_of(self, fit: Fit, free: int) -> tuple[list[Unit], dict[int, int]]:
        """Return the units that fit and are free apart from the batch, and a cache for them. Like parties share both."""
        key = (id(fit.units), free)  # Comparing units would take long. ``_fits`` keeps them, so that no id comes twice.
        if key not in self._options:
            self._options[key] = ([unit for unit in fit.units if unit.mask & free == unit.mask], {})
            self._fits.append(fit)
        return self._options[key]

    def _ranked(self, guest: _Guest, fit: Fit) -> tuple[list[tuple[Unit, TablePlan]], Mapping[str, int]]:
        """Return the best free units, and the number of others by reason."""
        free = self._occupancy.free(guest.window.blocked_from, guest.window.blocked_until)
        vacant = [unit for unit in guest.party.options if unit.mask & free == unit.mask]
        worthwhile = needed(vacant)
        lost = Counter(fit.rejected)
        closed = self._closed_units(guest, fit)
        lost[str(Reason.CLOSED)] += closed
        lost[str(Reason.TABLE_TAKEN)] += len(fit.units) - len(vacant) - closed
        lost[str(Reason.MORE_TABLES_THAN_NEEDED)] += len(vacant) - len(worthwhile)
        ranked = rank(worthwhile, self._circumstances(guest, worthwhile, free), self._rules) if worthwhile else []
        return ranked, {reason: count for reason, count in lost.items() if count}

    def _closed_units(self, guest: _Guest, fit: Fit) -> int:
        """Return how many of the units that fit have a table that is closed during the seating."""
        closed = self._closures.taken(guest.window.blocked_from, guest.window.blocked_until)
        return sum(1 for unit in fit.units if unit.mask & closed) if closed else 0

    def _circumstances(self, guest: _Guest, units: Sequence[Unit], free: int) -> Circumstances:
        """Return the circumstances for scoring these units. ``free``: the mask of the tables free during the seating."""
        start, until = guest.window.blocked_from, guest.window.blocked_until
        tables = reduce(or_, (unit.mask for unit in units))
        return circumstances_of(
            self._floor,
            party=guest.request.party,
            max_spare_seats=self._rules.max_spare_seats,
            tables=tables,
            free=free,
            idle_seconds=self._occupancy.idle_seconds(tables, start, until, IDLE_HORIZON_SECONDS),
            success=self._success,
            wishes=guest.request.wishes,
        )

    def _seat(self, guest: _Guest, unit: Unit) -> None:
        """Seat a newcomer. From now on it may change tables but not lose its seat."""
        self._no_room.clear()
        self._guests[guest.party] = guest
        guest.first_unit = unit
        self._note_pace(guest)
        self._batch.seat(guest.party, unit)
        self._take(guest, unit)

    def _note_pace(self, guest: _Guest) -> None:
        if self._floor.is_paced:
            window = guest.window
            self._pace.plan(guest.request.booking_ref, guest.request.party, window.starts_at, window.ends_at)

    def _seat_by_moves(self, booking_ref: str, own: Sequence[Occupied], *, ejections: int = MAX_EJECTIONS) -> None:
        """Seat a booking for which nothing was free by moving others, if there is a way."""
        guest, decision = self._unseated[booking_ref], self._decisions[booking_ref]
        with self._without(own):
            room = self._room_for(guest, ejections=ejections) if self._may_move else None
            if room is None:
                return
            moves = self._move(guest, room)
            plans = (self._plan_at_its_place(guest),)
        del self._unseated[booking_ref]
        self._decisions[booking_ref] = replace(decision, plans=plans, refusal=None, moves=moves)

    def _move(self, guest: _Guest, room: Mapping[Party, Unit]) -> tuple[TableMove, ...]:
        """Seat a newcomer, and others, at these units. Returns the moves of confirmed parties."""
        newcomer = guest.party
        moved = [self._guests[party] for party in room if party is not newcomer]
        moves = tuple(
            TableMove(
                booking_ref=other.request.booking_ref,
                from_table_refs=other.party.unit.table_refs,
                to_table_refs=room[other.party].table_refs,
            )
            for other in moved
            if other.party.is_confirmed and other.party.unit is not None
        )
        for other in moved:
            self._release(other)
        for other in moved:
            self._take(other, room[other.party])
        self._seat(guest, room[newcomer])
        for other in moved:
            if not other.party.is_confirmed:
                self._decisions[other.request.booking_ref] = self._decision_on_moved(other)
        return moves

    def seat_more(self, booking_refs: Collection[str]) -> None:
        """Seat more of these decided bookings, which asked at the same time, if some of them could not be seated.

        Others of them may lose their seat for that, because none of them has priority over the others. Pinned parties,
        and all other bookings, stay. Does nothing on a floor with pacing: seating other parties would change how many
        guests come when.
        """
        if self._floor.is_paced:
            return
        unseated = [guest for ref, guest in self._unseated.items() if ref in booking_refs and guest.is_loose]
        loose = [
            guest for guest in self._guests.values() if guest.request.booking_ref in booking_refs and guest.is_loose
        ]
        if unseated and loose:
            parties = [guest.party for guest in unseated], [guest.party for guest in loose]
            covers = {guest.party: guest.request.party for guest in (*unseated, *loose)}
            if found := seat_more(self._batch.seated, *parties, covers):
                self._seat_instead(unseated, loose, found)

    def _seat_instead(self, unseated: list[_Guest], loose: list[_Guest], found: Mapping[Party, Unit]) -> None:
        """Seat guests at their units in ``found``; those without one lose their seat."""
        self._no_room.clear()
        changed = [guest for guest in loose if found.get(guest.party) is not guest.party.unit]
        moving = [guest for guest in changed if guest.party in found]
        losing = [guest for guest in changed if guest.party not in found]
        newcomers = [guest for guest in unseated if guest.party in found]
        for guest in changed:
            self._release(guest)
        for guest in losing:
            self._batch.leave(guest.party)
            del self._guests[guest.party]
            self._unseated[guest.request.booking_ref] = guest
        for guest in moving:
            self._take(guest, found[guest.party])
        for guest in newcomers:
            self._seat(guest, found[guest.party])
            del self._unseated[guest.request.booking_ref]
        while any(self._moved_back_for(guest) for guest in changed):
            pass
        decisions = self._decisions
        for guest in moving:
            decisions[guest.request.booking_ref] = self._decision_on_moved(guest)
        for guest in newcomers:
            ref = guest.request.booking_ref
            decisions[ref] = replace(decisions[ref], plans=(self._plan_at_its_place(guest),), refusal=None)
        for guest in losing:
            ref, refusal = guest.request.booking_ref, self._no_capacity(guest, guest.fit)
            if moves := decisions[ref].moves:  # Others have the tables that these have freed.
                heir = _first_at_freed(moves, [*newcomers, *moving]).request.booking_ref
                decisions[heir] = replace(decisions[heir], moves=(*decisions[heir].moves, *moves))
            decisions[ref] = replace(decisions[ref], plans=(), refusal=refusal, moved_from=(), moves=())

    def _sit_closer(self, booking_refs: Collection[str]) -> None:
        """Give those of these bookings who sit at more or larger tables than they need the best that is free by now."""
        for guest in self._guests.values():
            unit = guest.party.unit
            if unit is None or guest.request.booking_ref not in booking_refs or not guest.is_loose:
                continue
            free = unit.mask | self._occupancy.free(guest.window.blocked_from, guest.window.blocked_until)
            vacant = [each for each in guest.party.options if each.mask & free == each.mask]
            size = unit.table_count, unit.seats
            if all((each.table_count, each.seats) >= size for each in vacant):
                continue
            self._release(guest)
            worthwhile = needed(vacant)
            best, _plan = rank(worthwhile, self._circumstances(guest, worthwhile, free), self._rules)[0]
            self._take(guest, best)
            self._decisions[guest.request.booking_ref] = self._decision_on_moved(guest)
            while self._moved_back_for(guest):
                pass

    def _moved_back_for(self, guest: _Guest) -> bool:
        """Give a confirmed party that was moved for this guest its earlier tables again, if one has them free now."""
        ref = guest.request.booking_ref
        decision = self._decisions[ref]
        for move in reversed(decision.moves):
            other = next(each for each in self._confirmed if each.request.booking_ref == move.booking_ref)
            unit = self._vacated(other, move)
            if unit is not None:
                self._release(other)
                self._take(other, unit)
                moves = tuple(each for each in decision.moves if each is not move)
                self._decisions[ref] = replace(decision, moves=moves)
                return True
        return False

    def _vacated(self, guest: _Guest, move: TableMove) -> Unit | None:
        """Return the tables that the guest left by this move, if they are free again; None if it was moved on since."""
        now = guest.party.unit
        if now is None or now.table_refs != move.to_table_refs:
            return None
        free = now.mask | self._occupancy.free(guest.window.blocked_from, guest.window.blocked_until)
        known = [guest.first_unit, *guest.party.options]
        former = next(unit for unit in known if unit is not None and unit.table_refs == move.from_table_refs)
        return former if former.mask & free == former.mask else None

    def _decision_on_moved(self, guest: _Guest) -> Decision:
        ref = guest.request.booking_ref
        first, unit = guest.first_unit, guest.party.unit
        moved_from = first.table_refs if first is not None and first != unit else ()
        return replace(self._decisions[ref], plans=(self._plan_at_its_place(guest),), moved_from=moved_from)

    def _plan_at_its_place(self, guest: _Guest) -> TablePlan:
        """Return the plan for the guest's current tables, with its current score."""
        unit = self._release(guest)
        free = self._occupancy.free(guest.window.blocked_from, guest.window.blocked_until)
        circumstances = self._circumstances(guest, [unit], free)
        self._take(guest, unit)
        ((_unit, plan),) = rank([unit], circumstances, self._rules)
        return plan

    def _take(self, guest: _Guest, unit: Unit) -> None:
        self._occupy(guest, unit)
        for taken in guest.taken(unit, is_paced=self._floor.is_paced):
            self._digest.add(taken)

    def _occupy(self, guest: _Guest, unit: Unit) -> None:
        window, ref = guest.window, guest.request.booking_ref
        guest.party.unit = unit
        guest.block = self._occupancy.add(unit.mask, window.blocked_from, window.blocked_until, ref)

    def _release(self, guest: _Guest) -> Unit:
        """Free the guest's tables and return them, until ``_take`` assigns some again."""
        unit, block = guest.party.unit, guest.block
        assert unit is not None, f"{guest.request.booking_ref} has no tables to free"
        assert block is not None, f"{guest.request.booking_ref} takes nothing of the occupancy"
        self._occupancy.remove(block)
        for taken in guest.taken(unit, is_paced=self._floor.is_paced):
            self._digest.remove(taken)
        return unit

    def _no_capacity(self, guest: _Guest, fit: Fit) -> Refusal:
        request, window, zone = guest.request, guest.window, self._floor.zone
        time = f"{window.starts_at.astimezone(zone):%H:%M}-{window.ends_at.astimezone(zone):%H:%M}"
        if self._closed_units(guest, fit) == len(fit.units):
            return closed_refusal(request.party, time, len(fit.units))
        if request.pinned_table_refs:
            free = self._occupancy.free(window.blocked_from, window.blocked_until)
            bits = table_bits(self._floor)
            pinned = fit.units[0].table_refs
            text = _(
                "Pinned to %(tables)s at %(time)s: %(taken)s is taken.",
                tables=names(pinned, self._floor),
                time=time,
                taken=names([ref for ref in pinned if not bits[ref] & free], self._floor),
            )
            return Refusal(Reason.PINNED_TABLES_TAKEN, text)
        if len(fit.units) == 1:
            text = _(
                "Party of %(party)s at %(time)s: the only table or join that fits is taken.",
                party=request.party,
                time=time,
            )
            return Refusal(Reason.NO_CAPACITY, text)
        text = _(
            "Party of %(party)s at %(time)s: all %(count)s tables and joins that fit are taken.",
            party=request.party,
            time=time,
            count=len(fit.units),
        )
        return Refusal(Reason.NO_CAPACITY, text)


def _first_at_freed(moves: Iterable[TableMove], guests: Sequence[_Guest]) -> _Guest:
    """Return the first of the guests who has a table that these moves have freed; the first of all if none has one."""
    freed = {table_ref for move in moves for table_ref in move.from_table_refs}
    having = (guest for guest in guests if guest.party.unit and freed & set(guest.party.unit.table_refs))
    return next(having, guests[0])


def closed_refusal(party: int, time: str, count: int) -> Refusal:
    """Return the refusal of a party because all ``count`` units that fit it are closed at ``time``."""
    if count == 1:
        text = _("Party of %(party)s at %(time)s: the only table or join that fits is closed.", party=party, time=time)
    else:
        text = _(
            "Party of %(party)s at %(time)s: all %(count)s tables and joins that fit are closed.",
            party=party,
            time=time,
            count=count,
        )
    return Refusal(Reason.CLOSED, text)


def _tables_needed(floor: Floor, request: SeatingRequest, rules: PlanningRules) -> int:
    """Return the minimum number of tables for the party; 0 if it does not matter (pinned, or cannot be seated)."""
    if request.pinned_table_refs or party_refusal(request, rules) is not None:
        return 0
    return fit_of(floor, request, rules).fewest_tables


def _aware(moment: datetime) -> datetime:
    # A naive start is refused later, in the decision; here it only has to sort.
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
