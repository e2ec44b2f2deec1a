"""Reseating: moves of parties to other tables, to make room for one more.

A party of the batch may be moved, because bookings are confirmed only with their whole batch; so may confirmed parties
that have not been told their table. None of them loses its seat, and other occupied tables are not touched.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence

from assignments.planning.units import Unit, bits_of

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
    """The seats of all parties while a search tries moves, and the tables taken at some moments.

    Two parties are there at the same time exactly if one of these moments lies in the stays of both. The last arrivals
    before somebody leaves are enough: who is there at another arrival is still there at the next one.
    """

    __slots__ = ("_meeting", "placed", "spans", "taken")

    def __init__(self, parties: Collection[Party]) -> None:
        arrivals = sorted({party.start for party in parties})
        ends = {party.until for party in parties}
        moments = sorted({arrivals[bisect_left(arrivals, until) - 1] for until in ends})
        place_of = {moment: bisect_left(moments, moment) for moment in (*arrivals, *ends)}
        self.spans = {party: (place_of[party.start], place_of[party.until]) for party in parties}
        self.taken = [0] * len(moments)
        self._meeting: dict[Party, list[Party]] = {}
        self.placed: dict[Party, Unit] = {}
        for party in parties:
            if party.unit is not None:
                self.sit(party, party.unit)

    def sit(self, party: Party, unit: Unit) -> None:
        """Seat a party at tables that are free during its stay."""
        self.placed[party] = unit
        first, last = self.spans[party]
        mask, taken = unit.mask, self.taken
        for moment in range(first, last):
            taken[moment] |= mask

    def rise(self, party: Party) -> Unit:
        """Free a party's tables, and return them."""
        unit = self.placed.pop(party)
        first, last = self.spans[party]
        left, taken = ~unit.mask, self.taken
        for moment in range(first, last):
            taken[moment] &= left
        return unit

    def taken_around(self, party: Party) -> int:
        """Return the tables that are taken during the party's stay."""
        first, last = self.spans[party]
        around = 0
        for mask in self.taken[first:last]:
            around |= mask
        return around

    def parties_at(self, mask: int, stay: Party) -> dict[int, list[Party]]:
        """Return the parties at each of these tables (by bit) during a stay. Each table must be taken then."""
        placed = self.placed
        found: dict[int, list[Party]] = {}
        for other in self._met_by(stay):
            unit = placed.get(other)
            if unit is None or not (tables := unit.mask & mask):
                continue
            for bit in (tables,) if len(unit.places) == 1 else bits_of(tables):
                if bit in found:
                    found[bit].append(other)
                else:
                    found[bit] = [other]
        return found

    def _met_by(self, party: Party) -> list[Party]:
        """Return all parties that would be there at the same time, at any table."""
        met = self._meeting.get(party)
        if met is None:
            first, last = self.spans[party]
            met = self._meeting[party] = [
                other
                for other, (begin, end) in self.spans.items()
                if begin < last and first < end and other is not party
            ]
        return met


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
        self._failed: dict[Party, int] = {}

    def place(self, party: Party, depth: int) -> bool:
        """Place ``party``, which has no tables now, moving others up to ``depth`` deep."""
        # Failed placements are not tried again from elsewhere, where they rarely succeed.
        if self._failed.get(party, -1) >= depth:
            self.is_exhaustive = False
            return False
        self.steps += 1
        found = self._place(party, depth)
        if not found:
            self._failed[party] = depth
        return found

    def _place(self, party: Party, depth: int) -> bool:
        taken = self._grid.taken_around(party)
        for unit in party.options:
            if not unit.mask & taken:
                self._settle(party, unit)
                return True
        if depth == 0:
            self.could_go_deeper = True
            return False
        for unit, leaving in self._clearable(party, taken):
            if any(self._failed.get(other, -1) >= depth - 1 for other in leaving):
                self.is_exhaustive = False
                continue
            if self.steps >= MAX_STEPS:
                self.is_exhaustive = False
                return False
            if self._clear(unit, leaving, party, depth):
                return True
        return False

    def _clearable(self, party: Party, taken: int) -> list[tuple[Unit, list[Party]]]:
        """Return the units whose parties could all move, with these parties.

        Units with the fewest tables come first, so that few parties move; then those whose confirmed parties come
        latest.
        """
        at_table = self._grid.parties_at(taken & party.tables, party)
        settled = self.settled
        fixed = 0
        soonest = {}
        for bit, others in at_table.items():
            start = _NEVER
            for other in others:
                if other in settled:
                    fixed |= bit
                elif other.is_confirmed and other.start < start:
                    start = other.start
            soonest[bit] = start
        found = []
        for number, unit in enumerate(party.options):
            tables = unit.mask & taken
            if tables & fixed:
                continue
            if tables in at_table:
                found.append((1, -soonest[tables], number, unit, at_table[tables]))
                continue
            bits = bits_of(tables)
            leaving = list(dict.fromkeys(other for bit in bits for other in at_table[bit]))
            found.append((len(bits), -min(soonest[bit] for bit in bits), number, unit, leaving))
        found.sort(key=_cost)
        return [(each[3], each[4]) for each in found]

    def _clear(self, unit: Unit, leaving: Sequence[Party], party: Party, depth: int) -> bool:
        """Place ``party`` at ``unit`` and move the parties there."""
        seats, risen = len(self.settled), len(self._risen)
        for other in leaving:
            self._risen.append((other, self._grid.rise(other)))
        self._settle(party, unit)
        if all(self.place(other, depth - 1) for other in leaving):
            return True
        while len(self.settled) > seats:
            self._grid.rise(self.settled.popitem()[0])
        while len(self._risen) > risen:
            self._grid.sit(*self._risen.pop())
        return False

    def _settle(self, party: Party, unit: Unit) -> None:
        self.settled[party] = unit
        self._grid.sit(party, unit)


def _cost(found: tuple[int, float, int, Unit, list[Party]]) -> tuple[int, float, int]:
    return found[:3]


class _Ejections:
    """Search: seat a party where others sit, then those others in the same way, until everybody has a seat.

    A party weighs more each time it is ejected, so that later others are tried instead. That finds moves that no single
    chain makes. Changes the grid.
    """

    def __init__(self, grid: Grid, newcomer: Party) -> None:
        self._grid = grid
        self._newcomer = newcomer
        self._weight: dict[Party, int] = {}

    def find(self, most: int) -> Mapping[Party, Unit] | None:
        """Return the new units of the parties that move, or None if no way was found in ``most`` steps."""
        unseated = [self._newcomer]
        for _ in range(most):
            party = unseated.pop()
            unit, leaving = self._lightest(party)
            for other in leaving:
                self._grid.rise(other)
                self._weight[other] = self._weight.get(other, 1) + 1
            self._grid.sit(party, unit)
            unseated += leaving
            if not unseated:
                moves = self._moves()
                return moves if len(moves) <= MOST_MOVED else None
        return None

    def _lightest(self, party: Party) -> tuple[Unit, list[Party]]:
        """Return the unit whose parties weigh least, and these parties."""
        grid = self._grid
        taken = grid.taken_around(party)
        for unit in party.options:
            if not unit.mask & taken:
                return unit, []
        at_table = grid.parties_at(taken & party.tables, party)
        weight = self._weight
        weights = {}
        for bit, others in at_table.items():
            weights[bit] = weight.get(others[0], 1) if len(others) == 1 else self._weight_of(others)
        least, best, best_leaving = _NEVER, party.options[0], None
        for unit in party.options:
            tables = unit.mask & taken
            if tables in weights:
                total = weights[tables]
                if total < least:
                    least, best, best_leaving = total, unit, at_table[tables]
                    if total == 1:  # Nothing weighs less.
                        break
                continue
            bits = bits_of(tables)
            # A party at several of them counts once, but a part never weighs more than the whole.
            if max([weights[bit] for bit in bits]) >= least:
                continue
            leaving = list(dict.fromkeys(other for bit in bits for other in at_table[bit]))
            total = self._weight_of(leaving)
            if total < least:
                least, best, best_leaving = total, unit, leaving
        assert best_leaving is not None
        return best, best_leaving

    def _weight_of(self, parties: Iterable[Party]) -> int:
        weight = self._weight
        return sum([weight.get(party, 1) for party in parties])

    def _moves(self) -> dict[Party, Unit]:
        """Return the new units. A party that can keep its unit does."""
        grid = self._grid
        for party, unit in list(grid.placed.items()):
            if party.unit is not None and unit is not party.unit:
                grid.rise(party)
                grid.sit(party, unit if party.unit.mask & grid.taken_around(party) else party.unit)
        return {party: unit for party, unit in grid.placed.items() if unit is not party.unit}
