"""Making room: which parties of one batch change tables so that one more can sit.

Nobody's booking is confirmed before its batch is, so a party that was given a table a moment ago may still be given
another one. It never loses its seat for that, and nothing that was taken before the batch is touched.
"""

from collections.abc import Mapping, Sequence

from assignments.planning.units import Unit

MAX_DEPTH = 6
"""A makes room for B, B for C, and so on. Nobody has been told a table yet, so a longer chain troubles nobody; it only
takes longer to find."""

MAX_STEPS = 400
"""Parties tried for one newcomer, so that a search ends within a few milliseconds on the fullest evening."""


class Party:
    """A party of the batch: when it needs tables, where it could sit, and where it does.

    ``options`` are the units that fit and that are not taken from outside the batch, the preferred ones first.
    ``start`` and ``until`` are seconds since the epoch, buffers included.
    """

    __slots__ = ("_needs", "meets", "options", "ref", "start", "unit", "until")

    def __init__(self, ref: str, *, start: float, until: float, options: Sequence[Unit]) -> None:
        self.ref = ref
        self.start = start
        self.until = until
        self.options = options
        self.unit: Unit | None = None
        self._needs: dict[int, int] = {}
        self.meets: list[Party] = []
        """The seated parties of the batch that are there at the same time."""

    def overlaps(self, other: "Party") -> bool:
        """Whether both need their tables at one moment."""
        return self.start < other.until and other.start < self.until

    def needs(self, tables: int) -> int:
        """How many of these ``tables`` (a mask) the party takes wherever it sits."""
        if tables not in self._needs:
            self._needs[tables] = min((unit.mask & tables).bit_count() for unit in self.options)
        return self._needs[tables]


class Batch:
    """The parties of a batch that have a seat."""

    def __init__(self) -> None:
        self._seated: list[Party] = []

    def meet(self, newcomer: Party) -> None:
        """Let ``newcomer`` see who is there at the same time."""
        newcomer.meets = [party for party in self._seated if party.overlaps(newcomer)]

    def seat(self, newcomer: Party, unit: Unit) -> None:
        """Give ``newcomer`` tables that are free."""
        newcomer.unit = unit
        for party in newcomer.meets:
            party.meets.append(newcomer)
        self._seated.append(newcomer)


def make_room(newcomer: Party) -> Mapping[Party, Unit] | None:
    """Who must sit where so that ``newcomer`` (included) can sit too; None when no chain of moves was found.

    Changes nothing. Short chains are looked for first: as few guests as possible change tables.
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
    """One depth-first search for a chain of moves. ``placed`` is where those that move would sit."""

    def __init__(self, newcomer: Party, steps: int) -> None:
        self.placed: dict[Party, Unit] = {}
        self.steps = steps
        self.could_go_deeper = False
        self._newcomer = newcomer
        self._failed: dict[Party, int] = {}

    def place(self, party: Party, depth: int) -> bool:
        """Find a place for ``party``, moving others at most ``depth`` deep."""
        # What failed once is not tried again from elsewhere: it could succeed there, but hardly ever does.
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
        # Fewest occupied tables first: the fewest guests have to move.
        clearable = [unit for unit in party.options if not unit.mask & settled]
        clearable.sort(key=lambda unit: (unit.mask & taken).bit_count())
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

    def _tables_around(self, party: Party) -> tuple[int, int]:
        """While ``party`` is there: the tables that this search has given away, and all that are taken."""
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
        # The newcomer has no seat yet, so nobody meets it.
        if party is not self._newcomer and party.overlaps(self._newcomer):
            return [*party.meets, self._newcomer]
        return party.meets

    def _stuck_around(self, party: Party, depth: int) -> int:
        """The tables of those for whom this search has found no other place, ``depth`` deep or deeper."""
        stuck = 0
        for other in party.meets:
            if other.unit is not None and self._failed.get(other, -1) >= depth:
                stuck |= other.unit.mask
        return stuck

    def _clear(self, unit: Unit, party: Party, depth: int) -> bool:
        """Give ``party`` the ``unit`` and find other places for those who sit there."""
        leaving = [other for other in party.meets if other.unit is not None and other.unit.mask & unit.mask]
        before = dict(self.placed)
        self.placed[party] = unit
        if all(other in self.placed or self.place(other, depth - 1) for other in leaving):
            return True
        self.placed = before
        return False
