"""Seating more of the bookings that asked at the same time, none of which has priority over the others.

Deciding one after another may seat fewer than possible. This search seats as many as it can: one party takes a seat,
the party that loses it looks for another, and the result with the most parties, then the most covers, is kept. Its
steps are random from a fixed seed, so that the same evening is always seated alike.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from random import Random

from assignments.planning.reseating import Grid, Party
from assignments.planning.units import Unit

STEPS_EACH = 300
"""Steps for each party without a seat. More find little."""
MOST_STEPS = 24_000
"""Maximum steps, so that a batch takes about a second at most."""
PATIENCE_EACH = 120
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


_Stay = tuple[int, int, Party]
"""A party with its span of moments, from the first to behind the last."""


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
        self._stays = {party: (*span, party) for party, span in self._grid.spans.items()}
        self._at_table: defaultdict[int, list[_Stay]] = defaultdict(list)
        """Who sits at a table at any time, by the table's place."""
        self._arrivals = [0] * len(self._grid.taken)
        """The tables (a mask) at which somebody has sat down since the moment before."""
        self._joined = [0] * len(self._grid.taken)
        """The tables that are part of a join at each moment."""
        for party, unit in self._grid.placed.items():
            self._note(party, unit)
        self._loose = set(loose) | set(unseated)
        self._unseated = list(unseated)
        self._covers = covers
        self._order = {party: number for number, party in enumerate([*seated, *unseated])}
        self._turned_away = sum(covers[party] for party in unseated)
        """Covers of those without a seat."""
        self._least = len(unseated), self._turned_away
        self._random = Random(0).random
        self._room = {party: self._room_of(party) for party in self._loose}

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
        while self._exchange():
            pass
        self.best = {party: unit for party, unit in self._grid.placed.items() if party in self._loose}

    def _by_covers(self, party: Party) -> tuple[int, int]:
        return -self._covers[party], self._order[party]

    def _exchange(self) -> bool:
        """Seat one unseated party at free tables or in place of a smaller party. Returns whether any could be seated."""
        for party in self._unseated:
            taken = self._grid.taken_around(party)
            for unit in party.options:
                other = self._only_one_at(unit, party)
                is_smaller = other in self._loose and self._covers[other] < self._covers[party]
                if unit.mask & taken and not is_smaller:
                    continue
                if other is not None:
                    self._rise(other)
                self._sit(party, unit)
                self._unseated.remove(party)
                if other is not None:
                    self._sit_or_stand(other)
                    self._unseated.sort(key=self._by_covers)
                return True
        return False

    def _step(self) -> None:
        unseated = self._unseated
        place = int(self._random() * len(unseated))
        party = unseated[place]
        chosen = self._choice(party)
        if chosen is None:
            return
        unit, other = chosen
        if other is not None:
            self._rise(other)
        self._sit(party, unit)
        unseated[place] = unseated[-1]
        unseated.pop()
        self._turned_away -= self._covers[party]
        if other is not None:
            self._sit_or_stand(other)

    def _choice(self, party: Party) -> tuple[Unit, Party | None] | None:
        """Return a unit that is free, or taken by one other party, for this party; None if there is none."""
        options = party.options
        taken, shared = self._taken_during(party)
        if party.tables & ~taken:
            for unit in options:
                if not unit.mask & taken:
                    return unit, None
        alone = taken & ~self._joined_during(party)
        least = self._room[party] if self._random() > _LONGER else 0.0
        first = int(self._random() * len(options))
        # Start anywhere among the options, so that all of them are tried in the long run.
        for unit in (*options[first:], *options[:first]):
            if unit.mask & shared:
                continue
            occupied = unit.mask & taken
            if occupied & alone and occupied & (occupied - 1):  # Who sits at one of these tables is not at the others.
                continue
            other = self._only_one_at(unit, party)
            if other is not None and other in self._loose and self._room[other] >= least:
                return unit, other
        return None

    def _taken_during(self, party: Party) -> tuple[int, int]:
        """Return the tables that are taken during the stay, and those of them where two parties sit in turn."""
        first, last = self._grid.spans[party]
        taken, shared = self._grid.taken[first], 0
        for arrivals in self._arrivals[first + 1 : last]:
            shared |= taken & arrivals
            taken |= arrivals
        return taken, shared

    def _joined_during(self, party: Party) -> int:
        """Return the tables that are part of a join at some time of the stay."""
        first, last = self._grid.spans[party]
        joined = 0
        for mask in self._joined[first:last]:
            joined |= mask
        return joined

    def _only_one_at(self, unit: Unit, party: Party) -> Party | None:
        """Return the party that sits at the unit during the stay, if it is the only one."""
        begins, ends = self._grid.spans[party]
        found = None
        for place in unit.places:
            for begin, end, other in self._at_table[place]:
                if begin < ends and begins < end and other is not found:
                    if found is not None:
                        return None
                    found = other
        return found

    def _sit_or_stand(self, party: Party) -> None:
        taken = self._grid.taken_around(party)
        for unit in party.options:
            if not unit.mask & taken:
                self._sit(party, unit)
                return
        self._unseated.append(party)
        self._turned_away += self._covers[party]

    def _sit(self, party: Party, unit: Unit) -> None:
        self._grid.sit(party, unit)
        self._note(party, unit)

    def _note(self, party: Party, unit: Unit) -> None:
        stay = self._stays[party]
        self._arrivals[stay[0]] |= unit.mask
        if len(unit.places) > 1:
            for moment in range(stay[0], stay[1]):
                self._joined[moment] |= unit.mask
        for place in unit.places:
            self._at_table[place].append(stay)

    def _rise(self, party: Party) -> None:
        stay, unit = self._stays[party], self._grid.rise(party)
        self._arrivals[stay[0]] &= ~unit.mask
        if len(unit.places) > 1:
            for moment in range(stay[0], stay[1]):
                self._joined[moment] &= ~unit.mask
        for place in unit.places:
            self._at_table[place].remove(stay)
