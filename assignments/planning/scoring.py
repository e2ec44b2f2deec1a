"""How good a set of tables is for a party: five strategies, each from 0 to 1, weighted and added up.

No strategy can make up for a join that is not needed: while a single table fits as well, joins are not even scored
(see ``engine``).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

from assignments.planning.floor import Floor
from assignments.planning.units import Unit, each_bit, neighbours, size_masks, table_bits, zone_masks

IDLE_HORIZON_SECONDS = 4 * 3600.0
"""A table that nobody has for four hours counts as idle as can be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What the strategies know besides the unit: the party, and the floor while it would be there.

    Only units that are free may be scored. The mappings are by table bit: ``idleness`` is the share (0..1) of
    IDLE_HORIZON_SECONDS before and after that the table would stand empty; ``choice`` is how many free tables of that
    size there are; ``zone_room`` is the share of its zone's tables that are free; ``success`` see Snapshot.
    """

    party: int
    max_spare_seats: int
    idleness: Mapping[int, float]
    choice: Mapping[int, int]
    zone_room: Mapping[int, float]
    success: Mapping[int, float]
    beside: Mapping[int, int]


Strategy = Callable[[Unit, Circumstances], float]


def optimal_fit(unit: Unit, now: Circumstances) -> float:
    """Waste the fewest seats; among equals, the least time: a table between two parties before one that idles.

    A spare seat always counts at least as much as any idle time, so that the sizes decide first.
    """
    spare = unit.seats - now.party
    return max(0.0, 1 - (spare + _mean(unit, now.idleness, 1.0)) / (now.max_spare_seats + 1))


def adjacency(unit: Unit, now: Circumstances) -> float:
    """A table of one's own is best; of joins, the one with fewer tables that all stand next to each other."""
    if unit.table_count == 1:
        return 1.0
    pairs = [(one, other) for one, other in combinations(each_bit(unit.mask), 2)]
    touching = sum(1 for one, other in pairs if now.beside[one] & other)
    return touching / len(pairs) / unit.table_count


def zone_preference(unit: Unit, now: Circumstances) -> float:
    """Prefer the zone that has more of its tables free: calmer for guests and staff, and no zone fills up first.

    A zone that the request locks is a rule and not a preference: then all units are in it.
    """
    return _mean(unit, now.zone_room, 0.0)


def load_balancing(unit: Unit, now: Circumstances) -> float:
    """Take from the sizes of which many are free: the last free table of its size is kept for who needs it."""
    return sum(1 - 1 / now.choice[bit] for bit in each_bit(unit.mask)) / unit.table_count


def historical_success(unit: Unit, now: Circumstances) -> float:
    """Prefer tables whose past seatings were kept; a table without a past is neutral."""
    return _mean(unit, now.success, 0.5)


STRATEGIES: Mapping[str, Strategy] = {
    strategy.__name__: strategy
    for strategy in (optimal_fit, adjacency, zone_preference, load_balancing, historical_success)
}


def check_weights(weights: Mapping[str, float]) -> None:
    """Raises ValueError for a strategy that does not exist, and for a weight that is not a number from 0 up.

    A strategy without a weight does not count.
    """
    unknown = sorted(weights.keys() - STRATEGIES.keys())
    if unknown:
        raise ValueError(f"Unknown strategies {', '.join(unknown)}; the strategies are {', '.join(STRATEGIES)}.")
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"The weight of {name} must be 0 or more, not {weight!r}.")


def breakdown(unit: Unit, circumstances: Circumstances, weights: Mapping[str, float]) -> dict[str, float]:
    """Each weighted strategy's part of the unit's score."""
    return {name: weight * STRATEGIES[name](unit, circumstances) for name, weight in weights.items()}


def circumstances_of(
    floor: Floor,
    *,
    party: int,
    max_spare_seats: int,
    free: int,
    idle_seconds: Mapping[int, float],
    success: Mapping[str, float],
) -> Circumstances:
    """The circumstances of a party while the tables of ``free`` are free; ``idle_seconds`` as Occupancy gives them."""
    bits = table_bits(floor)
    choice: dict[int, int] = {}
    zone_room: dict[int, float] = {}
    for mask in size_masks(floor):
        choice.update(dict.fromkeys(each_bit(mask), (mask & free).bit_count()))
    for mask in zone_masks(floor):
        zone_room.update(dict.fromkeys(each_bit(mask), (mask & free).bit_count() / mask.bit_count()))
    return Circumstances(
        party=party,
        max_spare_seats=max_spare_seats,
        idleness={bit: idle / (2 * IDLE_HORIZON_SECONDS) for bit, idle in idle_seconds.items()},
        choice=choice,
        zone_room=zone_room,
        success={bits[ref]: share for ref, share in success.items() if ref in bits},
        beside=neighbours(floor),
    )


def _mean(unit: Unit, by_bit: Mapping[int, float], unknown: float) -> float:
    if unit.table_count == 1:
        return by_bit.get(unit.mask, unknown)
    return sum(by_bit.get(bit, unknown) for bit in each_bit(unit.mask)) / unit.table_count
