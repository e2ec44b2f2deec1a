"""Reseating: moves of parties to other tables, to make room for one more.

A party of the batch may be moved, because bookings are confirmed only with their whole batch; so may confirmed parties
that have not been told their table. None of them loses its seat, and other occupied tables are not touched.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import or_

from assignments.planning.units import Unit, bits_of, each_bit

MAX_DEPTH = 6
"""Maximum length of a chain of moves. No guest knows the table yet, so longer chains only take longer to find."""

MAX_STEPS = 150
"""Maximum parties tried for a newcomer by chains, so that a search takes a few milliseconds at most."""

MAX_EJECTIONS = 150
"""Maximum parties seated where others sit, when no chain was found; as many take about as long as the chains."""

PROBED_EJECTIONS = 40
"""As many for a time that is only asked about, since a form asks about a whole day. More find hardly anything."""

MOST_MOVED = 14
"""Maximum parties with other tables in the end, the newcomer included. To move half the evening for one is too much."""


_NEVER = float("inf")


class Party:
    """A party of the batch: its time, its options and its current unit.

    ``options``: units that fit and are free apart from the batch, preferred ones first. ``needs``: a cache shared by
    parties with the same options, see the method. ``start`` and ``until``: seconds since the epoch, with buffers.
    ``is_confirmed``: whether it was confirmed before this batch.
    """

    __slots__ = ("_needs", "_tables", "batch", "is_confirmed", "meets", "options", "ref", "start", "unit", "until")

    def __init__(
        self,
        ref: str,
        *,
        start: float,
        until: float,
        options: Sequence[Unit],
        is_confirmed: bool = False,
        needs: dict[int, int] | None = None,
    ) -> None:
        self.ref = ref
        self.start = start
        self.until = until
        self.options = options
        self.is_confirmed = is_confirmed
        self.unit: Unit | None = None
        self.batch: Batch | None = None
        self._needs = {} if needs is None else needs
        self._tables: int | None = None
        self.meets: list[Party] = []
        """Parties that were seated at the same time when it came."""

    def add_option(self, unit: Unit) -> None:
        """Add ``unit`` as the last option."""
        self.options = [*self.options, unit]
        self._needs = {}
        self._tables = None

    @property
    def tables(self) -> int:
        """Return the mask of all tables at which it could sit."""
        if self._tables is None:
            self._tables = 0
            for unit in self.options:
                self._tables |= unit.mask
        return self._tables

    def overlaps(self, other: "Party") -> bool:
        """Return whether both need tables at the same time."""
        return self.start < other.until and other.start < self.until

    def needs(self, tables: int) -> int:
        """Return the least number of ``tables`` (a mask) that any of the party's options uses."""
        needed = self._needs.get(tables)
        if needed is None:
            needed = self._needs[tables] = min((unit.mask & tables).bit_count() for unit in self.options)
        return needed


class Batch:
    """The seated parties of a batch."""

    def __init__(self) -> None:
        self.seated: list[Party] = []

    def meet(self, newcomer: Party) -> None:
        """Record the parties present at the same time as ``newcomer``."""
        newcomer.batch = self
        start, until = newcomer.start, newcomer.until
        newcomer.meets = [party for party in self.seated if party.start < until and start < party.until]

    def seat(self, newcomer: Party, unit: Unit) -> None:
        """Seat ``newcomer`` at free tables."""
        newcomer.unit = unit
        self.seated.append(newcomer)

    def leave(self, party: Party) -> None:
        """Free the seat of a seated party."""
        party.unit = None
        self.seated.remove(party)


def make_room(newcomer: Party, *, ejections: int | None = None) -> Mapping[Party, Unit] | None:
    """Return the moves that seat ``newcomer`` (included), or None if none were found.

    Changes nothing. Short chains are tried first, so that few parties move. If no chain is found, parties take each
    other's tables until everybody has some. ``ejections``: the most steps of that, by default MAX_EJECTIONS; a larger
    limit finds everything that a smaller one finds.
    """
    if not newcomer.options:
        return None
    seated = newcomer.meets if newcomer.batch is None else newcomer.batch.seated
    grid = Grid([*seated, newcomer])
    steps = 0
    for depth in range(1, MAX_DEPTH + 1):
        search = _Chains(grid, steps)
        if search.place(newcomer, depth):
            return search.settled
        if not search.could_go_deeper:
            break
        steps = search.steps
    if search.is_exhaustive and not search.could_go_deeper:
        return None
    return _Ejections(grid, newcomer).find(MAX_EJECTIONS if ejections is None else ejections)


class Grid:
    """The seats of all parties while a search tries moves.

    A set of parties is a mask, as a set of tables is: each party has a bit, in the order in which they are given. So one
    operation says who is at a table during a stay, however many parties there are.
    """

    def __init__(self, parties: Iterable[Party]) -> None:
        self.bits = {party: 1 << number for number, party in enumerate(parties)}
        self._of_bit = {bit: party for party, bit in self.bits.items()}
        self._starts, self._arrived = running_unions((party.start, bit) for party, bit in self.bits.items())
        self._ends, self._gone = running_unions((party.until, bit) for party, bit in self.bits.items())
        self.confirmed = sum(bit for party, bit in self.bits.items() if party.is_confirmed)
        self.met_by = {party: self._overlapping(party) for party in self.bits}
        self._soonest: dict[int, float] = {}
        self.at: defaultdict[int, int] = defaultdict(int)
        """Who sits at a table at any time, by the table's bit."""
        self.placed: dict[Party, Unit] = {}
        for party in self.bits:
            if party.unit is not None:
                self.sit(party, party.unit)

    def sit(self, party: Party, unit: Unit) -> None:
        """Seat a party at tables that are free during its stay."""
        self.placed[party] = unit
        bit = self.bits[party]
        for table in bits_of(unit.mask):
            self.at[table] |= bit

    def rise(self, party: Party) -> Unit:
        """Free a party's tables, and return them."""
        unit = self.placed.pop(party)
        bit = self.bits[party]
        for table in bits_of(unit.mask):
            self.at[table] ^= bit
        return unit

    def around(self, party: Party) -> dict[int, int]:
        """Return who is at each table (by bit) during the party's stay, of those that are taken and would do for it.

        The sum of the keys is the mask of these tables.
        """
        met, at = self.met_by[party], self.at
        return {table: there for table in bits_of(party.tables) if (there := at[table] & met)}

    def _overlapping(self, party: Party) -> int:
        """Return all parties that would be there at the same time, at any table."""
        arrived = self._arrived[bisect_left(self._starts, party.until)]
        return arrived & ~self._gone[bisect_right(self._ends, party.start)]

    def party_of(self, bit: int) -> Party:
        """Return the party that has this bit."""
        return self._of_bit[bit]

    def soonest(self, parties: int) -> float:
        """Return when the first of these parties that are confirmed comes. There must be one."""
        confirmed = parties & self.confirmed
        soonest = self._soonest.get(confirmed)
        if soonest is None:
            soonest = self._soonest[confirmed] = min(self._of_bit[bit].start for bit in each_bit(confirmed))
        return soonest

    def listed(self, tables: int, there: Mapping[int, int]) -> list[Party]:
        """Return who is at these tables, of those who are ``there`` (see ``around``), table by table."""
        if tables in there:
            return [self._of_bit[bit] for bit in each_bit(there[tables])]
        # Who sits at several of them comes once.
        bits = dict.fromkeys(bit for table in bits_of(tables) for bit in each_bit(there[table]))
        return [self._of_bit[bit] for bit in bits]


def running_unions(masks: Iterable[tuple[float, int]]) -> tuple[list[float], list[int]]:
    """Return the numbers that the masks have, in order, and the union of the masks before each of them, and of all."""
    ordered = sorted(masks)
    return [number for number, _mask in ordered], list(accumulate((mask for _number, mask in ordered), or_, initial=0))


def at_any(tables: int, there: Mapping[int, int]) -> int:
    """Return who is at any of these tables, of those who are ``there`` (see ``Grid.around``)."""
    parties = 0
    for table in bits_of(tables):
        parties |= there[table]
    return parties


class _Chains:
    """A depth-first search for a chain of moves. It tries them on the grid, and restores the grid if nothing is found.

    ``settled``: the new units of parties that move. ``is_exhaustive``: whether no possible chain was left out.
    """

    def __init__(self, grid: Grid, steps: int) -> None:
        self.steps = steps
        self.settled: dict[Party, Unit] = {}
        self.could_go_deeper = False
        self.is_exhaustive = True
        self._grid = grid
        self._risen: list[tuple[Party, Unit]] = []
        self._settled = 0
        """Those in ``settled``, as a mask."""
        self._failed = [0] * (MAX_DEPTH + 1)
        """Who could not be placed, by how deep others may be moved."""

    def place(self, party: Party, depth: int) -> bool:
        """Place ``party``, which has no tables now, moving others up to ``depth`` deep."""
        self.steps += 1
        found = self._place(party, depth)
        if not found:
            for shallower in range(depth + 1):
                self._failed[shallower] |= self._grid.bits[party]
        return found

    def _place(self, party: Party, depth: int) -> bool:
        there = self._grid.around(party)
        taken = sum(there)
        if taken != party.tables:
            for unit in party.options:
                if not unit.mask & taken:
                    self._settle(party, unit)
                    return True
        if depth == 0:
            self.could_go_deeper = True
            return False
        for *_cost, unit, leaving in self._clearable(party, taken, there):
            if leaving & self._failed[depth - 1]:  # From elsewhere, too, they could rarely be placed.
                self.is_exhaustive = False
                continue
            if self.steps >= MAX_STEPS:
                self.is_exhaustive = False
                return False
            if self._clear(unit, self._grid.listed(unit.mask & taken, there), party, depth):
                return True
        return False

    def _clearable(self, party: Party, taken: int, there: Mapping[int, int]) -> list[tuple[int, float, int, Unit, int]]:
        """Return the units whose parties could all move, with these parties, and what comes first.

        Units with the fewest tables come first, so that few parties move; then those whose confirmed parties come
        latest.
        """
        settled, confirmed, soonest = self._settled, self._grid.confirmed, self._grid.soonest
        found = []
        for number, unit in enumerate(party.options):
            tables = unit.mask & taken
            leaving = there[tables] if tables in there else at_any(tables, there)
            if not leaving & settled:
                first = soonest(leaving) if leaving & confirmed else _NEVER
                found.append((tables.bit_count(), -first, number, unit, leaving))
        found.sort()  # No two have the same number, so that units are never compared.
        return found

    def _clear(self, unit: Unit, leaving: Sequence[Party], party: Party, depth: int) -> bool:
        """Place ``party`` at ``unit`` and move the parties there."""
        seats, risen = len(self.settled), len(self._risen)
        for other in leaving:
            self._risen.append((other, self._grid.rise(other)))
        self._settle(party, unit)
        if all(self.place(other, depth - 1) for other in leaving):
            return True
        while len(self.settled) > seats:
            other, _unit = self.settled.popitem()
            self._settled ^= self._grid.bits[other]
            self._grid.rise(other)
        while len(self._risen) > risen:
            self._grid.sit(*self._risen.pop())
        return False

    def _settle(self, party: Party, unit: Unit) -> None:
        self.settled[party] = unit
        self._settled |= self._grid.bits[party]
        self._grid.sit(party, unit)


class _Ejections:
    """Search: seat a party where others sit, then those others in the same way, until everybody has a seat.

    A party weighs more each time it is ejected, so that later others are tried instead. That finds moves that no single
    chain makes. Changes the grid.
    """

    def __init__(self, grid: Grid, newcomer: Party) -> None:
        self._grid = grid
        self._newcomer = newcomer
        self._ejected: dict[int, int] = {}
        """How often a party has been ejected, by its bit."""
        self._heavier = 0
        """Those in ``_ejected``, as a mask."""

    def find(self, most: int) -> Mapping[Party, Unit] | None:
        """Return the new units of the parties that move, or None if no way was found in ``most`` steps."""
        grid = self._grid
        unseated = [self._newcomer]
        for _ in range(most):
            party = unseated.pop()
            unit, leaving = self._lightest(party)
            for other in leaving:
                grid.rise(other)
                self._note_ejected(other)
            grid.sit(party, unit)
            unseated += leaving
            if not unseated:
                moves = self._moves()
                return moves if len(moves) <= MOST_MOVED else None
        return None

    def _lightest(self, party: Party) -> tuple[Unit, list[Party]]:
        """Return the unit whose parties weigh least, and these parties."""
        there = self._grid.around(party)
        taken = sum(there)
        if taken != party.tables:
            for unit in party.options:
                if not unit.mask & taken:
                    return unit, []
        least, best = _NEVER, party.options[0]
        for unit in party.options:
            tables = unit.mask & taken
            parties = there[tables] if tables in there else at_any(tables, there)
            weight = self._weight_of(parties)
            if weight < least:
                least, best = weight, unit
                if weight == 1:  # Nothing weighs less.
                    break
        return best, self._grid.listed(best.mask & taken, there)

    def _note_ejected(self, party: Party) -> None:
        bit = self._grid.bits[party]
        self._ejected[bit] = self._ejected.get(bit, 0) + 1
        self._heavier |= bit

    def _weight_of(self, parties: int) -> int:
        """Return one for each of these parties, and one more for each time that it was ejected."""
        weight = parties.bit_count()
        heavier = parties & self._heavier
        while heavier:  # Here ``each_bit`` would take most of the time.
            bit = heavier & -heavier
            weight += self._ejected[bit]
            heavier ^= bit
        return weight

    def _moves(self) -> dict[Party, Unit]:
        """Return the new units. A party that can keep its unit does."""
        grid = self._grid
        for party, unit in list(grid.placed.items()):
            if party.unit is not None and unit is not party.unit:
                grid.rise(party)
                grid.sit(party, unit if party.unit.mask & sum(grid.around(party)) else party.unit)
        return {party: unit for party, unit in grid.placed.items() if unit is not party.unit}
