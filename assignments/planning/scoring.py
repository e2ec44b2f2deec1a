"""Scoring of a table combination for a party: strategies from 0 to 1, weighted and added up.

Unnecessary joins are not scored at all if a single table fits as well (see ``engine``).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from assignments.planning.floor import Floor
from assignments.planning.units import (
    DEFAULT_MAX_TABLES,
    Unit,
    each_bit,
    neighbours,
    seatable_units,
    size_masks,
    table_bits,
    zone_masks,
)

IDLE_HORIZON_SECONDS = 4 * 3600.0
"""Idle time that counts as the maximum."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """Input of the strategies besides the unit: the party, and the floor during its seating.

    Only free units may be scored. The mappings are by table bit, for the tables that are scored. ``idleness``: share (0..1)
    of IDLE_HORIZON_SECONDS before and after for which the table would be empty. ``choice``: number of free tables of that
    size. ``zone_room``: share of free tables in its zone. ``demand``: how much others need it (0..1). ``priority``: the
    restaurant's priority, scaled from 0 (its lowest) to 1. ``success``: see Snapshot.
    """

    party: int
    max_spare_seats: int
    idleness: Mapping[int, float]
    choice: Mapping[int, int]
    zone_room: Mapping[int, float]
    success: Mapping[int, float]
    beside: Mapping[int, int]
    wishes: frozenset[str] = frozenset()
    demand: Mapping[int, float] = field(default_factory=dict)
    priority: Mapping[int, float] = field(default_factory=dict)


Strategy = Callable[[Unit, Circumstances], float]


def optimal_fit(unit: Unit, now: Circumstances) -> float:
    """Prefer fewer spare seats, then less idle time: a table between two parties over one that would be idle.

    A spare seat counts at least as much as any idle time, so that sizes decide first. Below 0 only for more spare seats
    than the general limit, at tables whose own limits allow them.
    """
    spare = unit.seats - now.party
    return 1 - (spare + _mean(unit, now.idleness, 1.0)) / (now.max_spare_seats + 1)


def adjacency(unit: Unit, now: Circumstances) -> float:
    """Prefer a single table, then joins with fewer tables that are all adjacent to each other."""
    if unit.table_count == 1:
        return 1.0
    pairs = [(one, other) for one, other in combinations(each_bit(unit.mask), 2)]
    touching = sum(1 for one, other in pairs if now.beside[one] & other)
    return touching / len(pairs) / unit.table_count


def zone_preference(unit: Unit, now: Circumstances) -> float:
    """Prefer the zone with more free tables, to spread guests over the zones.

    A requested zone is a rule, not a preference: then all units are in it.
    """
    return _mean(unit, now.zone_room, 0.0)


def load_balancing(unit: Unit, now: Circumstances) -> float:
    """Prefer table sizes of which many are free, to keep the last table of a size for a party that needs it."""
    return sum(1 - 1 / now.choice[bit] for bit in each_bit(unit.mask)) / unit.table_count


def historical_success(unit: Unit, now: Circumstances) -> float:
    """Prefer tables whose past seatings were kept. A table without a record is neutral."""
    return _mean(unit, now.success, 0.5)


def wishes(unit: Unit, now: Circumstances) -> float:
    """Prefer tables that meet the guests' wishes, by the share of wishes met. Without wishes it does not count."""
    return len(now.wishes & unit.features) / len(now.wishes) if now.wishes else 0.0


def keep_free(unit: Unit, now: Circumstances) -> float:
    """Prefer tables that others need least: without free neighbours, and not part of a large join."""
    return 1 - _mean(unit, now.demand, 0.0)


def priority(unit: Unit, now: Circumstances) -> float:
    """Prefer tables with a high priority of the restaurant. If all are equal it does not count."""
    return _mean(unit, now.priority, 0.0)


STRATEGIES: Mapping[str, Strategy] = {
    strategy.__name__: strategy
    for strategy in (
        optimal_fit,
        adjacency,
        zone_preference,
        load_balancing,
        historical_success,
        wishes,
        keep_free,
        priority,
    )
}


def check_weights(weights: Mapping[str, float]) -> None:
    """Raise ValueError for an unknown strategy, or a weight that is not a number from 0 up.

    A strategy without a weight does not count.
    """
    unknown = sorted(weights.keys() - STRATEGIES.keys())
    if unknown:
        raise ValueError(f"Unknown strategies {', '.join(unknown)}; the strategies are {', '.join(STRATEGIES)}.")
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"The weight of {name} must be 0 or more, not {weight!r}.")


def breakdown(unit: Unit, circumstances: Circumstances, weights: Mapping[str, float]) -> dict[str, float]:
    """Return each strategy's weighted share of the unit's score."""
    return {name: weight * STRATEGIES[name](unit, circumstances) for name, weight in weights.items()}


def circumstances_of(
    floor: Floor,
    *,
    party: int,
    max_spare_seats: int,
    tables: int,
    free: int,
    idle_seconds: Mapping[int, float],
    success: Mapping[str, float],
    wishes: frozenset[str] = frozenset(),
) -> Circumstances:
    """Return the circumstances of a party for units of ``tables``, while the tables ``free`` are free (both are masks).

    ``idle_seconds``: from Occupancy.
    """
    known, bits = _traits(floor), tuple(each_bit(tables))
    return Circumstances(
        party=party,
        max_spare_seats=max_spare_seats,
        idleness={bit: idle / (2 * IDLE_HORIZON_SECONDS) for bit, idle in idle_seconds.items()},
        choice={bit: (known.same_size[bit] & free).bit_count() for bit in bits},
        zone_room={bit: (known.zone[bit] & free).bit_count() / known.zone[bit].bit_count() for bit in bits},
        success={bit: success[ref] for bit in bits if (ref := known.refs[bit]) in success} if success else {},
        beside=known.beside,
        wishes=wishes,
        # Half for its free neighbours, half for the largest join with it.
        demand={
            bit: (known.beside[bit] & free).bit_count() / known.most_beside / 2 + known.reach[bit] / 2 for bit in bits
        },
        priority=known.priority,
    )


class _Traits(NamedTuple):
    """What scoring asks of a floor's active tables again and again, by their bits.

    ``same_size``, ``zone``, ``beside``: the masks of active tables with as many seats, in its zone, and beside it.
    ``most_beside``: the most that any table has beside it, at least 1. ``reach``: the seats of the largest unit with it, as
    a share of the largest of all. ``priority``: see Circumstances; empty if all are equal.
    """

    refs: Mapping[int, str]
    same_size: Mapping[int, int]
    zone: Mapping[int, int]
    beside: Mapping[int, int]
    most_beside: int
    reach: Mapping[int, float]
    priority: Mapping[int, float]


@lru_cache(maxsize=64)
def _traits(floor: Floor) -> _Traits:
    beside = neighbours(floor)
    return _Traits(
        refs={bit: ref for ref, bit in table_bits(floor).items()},
        same_size={bit: mask for mask in size_masks(floor) for bit in each_bit(mask)},
        zone={bit: mask for mask in zone_masks(floor) for bit in each_bit(mask)},
        beside=beside,
        most_beside=max((around.bit_count() for around in beside.values()), default=0) or 1,
        reach=_reach(floor),
        priority=_priorities(floor),
    )


def _reach(floor: Floor) -> Mapping[int, float]:
    reach: dict[int, int] = {}
    # With the number, as planning asks: without it, the cache would keep the same units twice.
    for unit in seatable_units(floor, DEFAULT_MAX_TABLES):
        for bit in each_bit(unit.mask):
            reach[bit] = max(unit.seats, reach.get(bit, 0))
    largest = max(reach.values(), default=1)
    return {bit: seats / largest for bit, seats in reach.items()}


def _priorities(floor: Floor) -> Mapping[int, float]:
    lowest = min((table.priority for table in floor.tables), default=0)
    span = max((table.priority for table in floor.tables), default=0) - lowest
    bits = table_bits(floor)
    return {bits[table.ref]: (table.priority - lowest) / span for table in floor.tables} if span else {}


def _mean(unit: Unit, by_bit: Mapping[int, float], unknown: float) -> float:
    if unit.table_count == 1:
        return by_bit.get(unit.mask, unknown)
    return sum(by_bit.get(bit, unknown) for bit in each_bit(unit.mask)) / unit.table_count
