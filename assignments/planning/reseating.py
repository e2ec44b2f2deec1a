"""Reseating: moves of parties to other tables, to make room for one more.

Bookings are confirmed with their batch, so a party may be moved within it; so may confirmed parties that nobody has told
their table. None of them loses its seat, and other occupied tables are not touched.
"""

from collections.abc import Mapping, Sequence

from assignments.planning.units import Unit

MAX_DEPTH = 6
"""Maximum length of a chain of moves. No guest knows the table yet, so longer chains only take longer to find."""

MAX_STEPS = 400
"""Maximum parties tried for a newcomer, so that a search takes a few milliseconds at most."""


class Party:
    """A party of the batch: its time, its options and its current unit.

    ``options``: units that fit and are free apart from the batch, preferred ones first.
    ``start`` and ``until``: seconds since the epoch, with buffers. ``is_confirmed``: it was confirmed before this batch.
    """

    __slots__ = ("_needs", "is_confirmed", "meets", "options", "ref", "start", "unit", "until")

    def __init__(
        self, ref: str, *, start: float, until: float, options: Sequence[Unit], is_confirmed: bool = False
    ) -> None:
        self.ref = ref
        self.start = start
        self.until = until
        self.options = options
        self.is_confirmed = is_confirmed
        self.unit: Unit | None = None
        self._needs: dict[int, int] = {}
        self.meets: list[Party] = []
        """Seated parties of the batch at the same time."""

    def overlaps(self, other: "Party") -> bool:
        """Return whether both need tables at the same time."""
        return self.start < other.until and other.start < self.until

    def needs(self, tables: int) -> int:
        """Return how many of these ``tables`` (a mask) the party needs in any of its options."""
        if tables not in self._needs:
            self._needs[tables] = min((unit.mask & tables).bit_count() for unit in self.options)
        return self._needs[tables]


class Batch:
    """The seated parties of a batch."""

    def __init__(self) -> None:
        self._seated: list[Party] = []

    def meet(self, newcomer: Party) -> None:
        """Record the parties present at the same time as ``newcomer``."""
        newcomer.meets = [party for party in self._seated if party.overlaps(newcomer)]

    def seat(self, newcomer: Party, unit: Unit) -> None:
        """Seat ``newcomer`` at free tables."""
        newcomer.unit = unit
        for party in newcomer.meets:
            party.meets.append(newcomer)
        self._seated.append(newcomer)

    def leave(self, party: Party) -> None:
        """Take a seated party's seat back."""
        party.unit = None
        for other in party.meets:
            other.meets.remove(party)
        self._seated.remove(party)


def make_room(newcomer: Party) -> Mapping[Party, Unit] | None:
    """Return the moves that seat ``newcomer`` (included), or None if no chain was found.

    Changes nothing. Short chains are tried first, so that few parties move.
    """
    steps = 0
    for depth in range(1, MAX_DEPTH + 1):
        search = _Search(newcomer, steps)
        if search.place(newcomer, depth):
            return search.placed
        if not search.could_go_deeper:
            return None
        steps = search.steps
    return None


class _Search:
    """A depth-first search for a chain of moves. ``placed``: new units of parties that move."""

    def __init__(self, newcomer: Party, steps: int) -> None:
        self.placed: dict[Party, Unit] = {}
        self.steps = steps
        self.could_go_deeper = False
        self._newcomer = newcomer
        self._failed: dict[Party, int] = {}

    def place(self, party: Party, depth: int) -> bool:
        """Place ``party``, moving others up to ``depth`` deep."""
        # Failed placements are not tried again from elsewhere, where they rarely succeed.
        if self._failed.get(party, -1) >= depth:
            return False
        self.steps += 1
        found = self._place(party, depth)
        if not found:
            self._failed[party] = depth
        return found

    def _place(self, party: Party, depth: int) -> bool:
        settled, taken = self._tables_around(party)
        for unit in party.options:
            if not unit.mask & taken:
                self.placed[party] = unit
                return True
        if depth == 0:
            self.could_go_deeper = True
            return False
        clearable = self._by_cost([unit for unit in party.options if not unit.mask & settled], party, taken)
        stuck = self._stuck_around(party, depth - 1)
        for unit in clearable:
            if unit.mask & stuck:
                continue
            if self.steps >= MAX_STEPS:
                return False
            if self._clear(unit, party, depth):
                return True
            stuck = self._stuck_around(party, depth - 1)
        return False

    def _by_cost(self, units: list[Unit], party: Party, taken: int) -> list[Unit]:
        """Fewest occupied tables first, so that few parties move; then those whose confirmed parties come latest."""
        confirmed = [other for other in party.meets if other.is_confirmed and other.unit is not None]

        def cost(unit: Unit) -> tuple[int, float]:
            tables = (unit.mask & taken).bit_count()
            starts = [other.start for other in confirmed if other.unit is not None and other.unit.mask & unit.mask]
            return tables, -min(starts, default=float("inf"))

        return sorted(units, key=cost)

    def _tables_around(self, party: Party) -> tuple[int, int]:
        """Return the tables assigned by this search, and all occupied ones, during ``party``'s time."""
        settled = 0
        taken = 0
        for other in self._met_by(party):
            unit = self.placed.get(other)
            if unit is not None:
                settled |= unit.mask
            elif other.unit is not None:
                taken |= other.unit.mask
        return settled, settled | taken

    def _met_by(self, party: Party) -> Sequence[Party]:
        # The newcomer has no seat yet, so no party has it in ``meets``.
        if party is not self._newcomer and party.overlaps(self._newcomer):
            return [*party.meets, self._newcomer]
        return party.meets

    def _stuck_around(self, party: Party, depth: int) -> int:
        """Return the tables of parties that this search could not move, at ``depth`` or deeper."""
        stuck = 0
        for other in party.meets:
            if other.unit is not None and self._failed.get(other, -1) >= depth:
                stuck |= other.unit.mask
        return stuck

    def _clear(self, unit: Unit, party: Party, depth: int) -> bool:
        """Place ``party`` at ``unit`` and move the parties there."""
        leaving = [other for other in party.meets if other.unit is not None and other.unit.mask & unit.mask]
        before = dict(self.placed)
        self.placed[party] = unit
        if all(other in self.placed or self.place(other, depth - 1) for other in leaving):
            return True
        self.placed = before
        return False
