"""Seating more of the bookings that asked at the same time, none of which has priority over the others.

Deciding one after another may seat fewer than possible. This search seats as many as it can: one party takes a seat,
the party that loses it looks for another, and the result with the most parties, then the most covers, is kept. Its
steps are random from a fixed seed, so that the same evening is always seated alike.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from random import Random

from assignments.planning.reseating import Grid, Party, running_unions
from assignments.planning.units import Unit, bits_of

STEPS_EACH = 300
"""Steps for each party without a seat. More find little."""
MOST_STEPS = 24_000
"""Maximum steps, so that a batch takes about a second at most."""
PATIENCE_EACH = 60
"""Steps for each party without a seat after which the search ends if they have found nothing."""
_LONGER = 0.1
"""How often a party may take the seat of one that takes up less room. Now and then it leads on."""


def seat_more(
    seated: Sequence[Party], unseated: Sequence[Party], loose: Collection[Party], covers: Mapping[Party, int]
) -> Mapping[Party, Unit]:
    """Return units for parties of ``loose`` and ``unseated``, more than are seated now; empty if none were found.

    All other seated parties stay where they are. A party of ``loose`` or ``unseated`` without a unit in the result has
    no seat. ``covers``: the covers of each of these parties. Changes nothing.
    """
    search = _Search(seated, [party for party in unseated if party.options], loose, covers)
    search.run()
    if search.best:
        search.prefer_covers()
    return search.best


class _Search:
    def __init__(
        self,
        seated: Sequence[Party],
        unseated: Sequence[Party],
        loose: Collection[Party],
        covers: Mapping[Party, int],
    ) -> None:
        self.best: dict[Party, Unit] = {}
        self._grid = Grid([*seated, *unseated])
        self._in_vain = 0
        """Who has found no seat, and around whom nobody has risen since, as a mask."""
        self._joined = 0
        """Who sits at a join, as a mask."""
        for party, unit in self._grid.placed.items():
            self._note_joined(party, unit)
        self._loose = set(loose) | set(unseated)
        self._unseated = list(unseated)
        self._covers = covers
        self._order = {party: number for number, party in enumerate([*seated, *unseated])}
        self._turned_away = sum(covers[party] for party in unseated)
        """Covers of those without a seat."""
        self._least = len(unseated), self._turned_away
        self._random = Random(0).random
        bits = self._grid.bits
        self._all_loose = sum(bits[party] for party in self._loose)
        rooms = {party: self._room_of(party) for party in self._loose}
        largest, as_large = running_unions((-room, bits[party]) for party, room in rooms.items())
        self._as_large = {party: as_large[bisect_right(largest, -room)] for party, room in rooms.items()}
        """The loose parties that take up at least as much room as a party."""
        numbers, smaller = running_unions((covers[party], bits[party]) for party in self._loose)
        self._smaller = {party: smaller[bisect_left(numbers, covers[party])] for party in self._loose}
        """Those that have fewer covers than a party."""

    @staticmethod
    def _room_of(party: Party) -> float:
        """Return the least room that a party takes up, in table-hours."""
        return min(unit.table_count for unit in party.options) * (party.until - party.start) / 3600

    def run(self) -> None:
        """Run the search. Afterwards ``best`` has the units of the best evening found."""
        left = patience = PATIENCE_EACH * len(self._unseated)
        for _ in range(min(STEPS_EACH * len(self._unseated), MOST_STEPS)):
            self._step()
            left -= 1
            if not left:
                return
            now = len(self._unseated), self._turned_away
            is_more = now[0] < self._least[0]
            if is_more:
                left = patience
            if is_more or (self.best and now < self._least):
                self._least = now
                self.best = {party: unit for party, unit in self._grid.placed.items() if party in self._loose}
                if not self._unseated:
                    return

    def prefer_covers(self) -> None:
        """Let larger parties take the seats of smaller ones in ``best``, without seating fewer parties."""
        for party in self._loose & self._grid.placed.keys():
            self._rise(party)
        for party, unit in self.best.items():
            self._sit(party, unit)
        self._unseated = sorted(self._loose - self.best.keys(), key=self._by_covers)
        self._in_vain = 0  # So far everybody has been asked to give way to others than now.
        while self._exchange():
            pass
        self.best = {party: unit for party, unit in self._grid.placed.items() if party in self._loose}

    def _by_covers(self, party: Party) -> tuple[int, int]:
        return -self._covers[party], self._order[party]

    def _exchange(self) -> bool:
        """Seat one unseated party at free tables or in place of a smaller party. Returns whether any could be seated."""
        for party in self._unseated:
            bit = self._grid.bits[party]
            chosen = None if bit & self._in_vain else self._free_or_of_smaller(party)
            if chosen is not None:
                self._unseated.remove(party)
                self._seat(party, *chosen)
                self._unseated.sort(key=self._by_covers)
                return True
            self._in_vain |= bit
        return False

    def _free_or_of_smaller(self, party: Party) -> tuple[Unit, int] | None:
        """Return a unit that is free, or taken by one smaller party (its bit, or 0); None if there is none."""
        there = self._grid.around(party)
        taken = sum(there)
        givers = self._alone(there, self._smaller[party])
        kept = taken & ~sum(givers)
        if kept == party.tables:
            return None
        for unit in party.options:
            if unit.mask & kept:
                continue
            other = self._only_one_at(unit.mask & taken, givers)
            if other or not unit.mask & taken:
                return unit, other
        return None

    def _step(self) -> None:
        unseated = self._unseated
        place = int(self._random() * len(unseated))
        party = unseated[place]
        chosen = self._choice(party)
        if chosen is None:
            return
        unseated[place] = unseated[-1]
        unseated.pop()
        self._turned_away -= self._covers[party]
        self._seat(party, *chosen)

    def _choice(self, party: Party) -> tuple[Unit, int] | None:
        """Return a unit that is free, or taken by one other party (its bit, or 0), for this party; None if there is none."""
        options, bit = party.options, self._grid.bits[party]
        is_in_vain = bool(bit & self._in_vain)  # Then nothing is free, either.
        there = {} if is_in_vain else self._grid.around(party)
        if not is_in_vain and (free := self._free_unit(party, sum(there))):
            return free, 0
        is_polite = self._random() > _LONGER
        first = int(self._random() * len(options))
        if is_in_vain:
            if is_polite:
                return None
            there = self._grid.around(party)
        givers = self._alone(there, self._as_large[party] if is_polite else self._all_loose)
        if givers:
            taken = sum(there)
            kept = taken & ~sum(givers)
            # Start anywhere among the options, so that all of them are tried in the long run.
            for unit in (*options[first:], *options[:first]):
                if not unit.mask & kept and (other := self._only_one_at(unit.mask & taken, givers)):
                    return unit, other
        self._in_vain |= bit
        return None

    @staticmethod
    def _free_unit(party: Party, taken: int) -> Unit | None:
        """Return the first of the party's options that is free. ``taken``: those of its tables that are not."""
        if taken == party.tables:
            return None
        return next((unit for unit in party.options if not unit.mask & taken), None)

    @staticmethod
    def _alone(there: Mapping[int, int], parties: int) -> dict[int, int]:
        """Return who sits at a table alone, by the table's bit, of those who are ``there`` and among these parties."""
        return {table: others for table, others in there.items() if others & parties and not others & (others - 1)}

    def _only_one_at(self, tables: int, alone: Mapping[int, int]) -> int:
        """Return who sits at these tables, if it is the only one, else 0. ``alone``: who sits alone at a table."""
        if tables in alone:
            return alone[tables]
        other = alone.get(tables & -tables, 0) & self._joined
        return other if other and all(alone.get(table) == other for table in bits_of(tables)) else 0

    def _seat(self, party: Party, unit: Unit, bit: int) -> None:
        """Seat a party at a unit; the one who sits there, if any, has to look for another seat."""
        other = self._grid.party_of(bit) if bit else None
        if other is not None:
            self._rise(other)
        self._sit(party, unit)
        if other is not None:
            self._sit_or_stand(other)

    def _sit_or_stand(self, party: Party) -> None:
        if free := self._free_unit(party, sum(self._grid.around(party))):
            self._sit(party, free)
        else:
            self._unseated.append(party)
            self._turned_away += self._covers[party]

    def _sit(self, party: Party, unit: Unit) -> None:
        self._grid.sit(party, unit)
        self._note_joined(party, unit)

    def _note_joined(self, party: Party, unit: Unit) -> None:
        if unit.table_count > 1:
            self._joined |= self._grid.bits[party]

    def _rise(self, party: Party) -> None:
        self._grid.rise(party)
        self._in_vain &= ~self._grid.met_by[party]
        self._joined &= ~self._grid.bits[party]
