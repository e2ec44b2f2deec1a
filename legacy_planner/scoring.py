"""The legacy planner's penalties. Lower is better. Unchanged, because V3 is compared with them."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from assignments.planning.floor import Floor, Table
from assignments.planning.units import Unit

SPARE_SEAT = 5.0
EXTRA_TABLE = 3.0
FRAGMENTATION = 2.0
ZONE_SPREAD = 4.0
ADJACENCY = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Penalty:
    """The weighted terms of one table combination for one party."""

    spare_seats: float
    extra_tables: float
    fragmentation: float
    zone_spread: float
    adjacency: float
    scarcity: float

    @property
    def total(self) -> float:
        return (
            self.spare_seats
            + self.extra_tables
            + self.fragmentation
            + self.zone_spread
            + self.adjacency
            + self.scarcity
        )

    def as_breakdown(self) -> dict[str, float]:
        """Return the terms as negative shares of a score, where higher is better."""
        return {
            "spare_seats": -self.spare_seats,
            "extra_tables": -self.extra_tables,
            "fragmentation": -self.fragmentation,
            "zone_spread": -self.zone_spread,
            "adjacency": -self.adjacency,
            "scarcity": -self.scarcity,
        }


def penalty(floor: Floor, unit: Unit, party: int) -> Penalty:
    """Return the penalty for seating ``party`` covers at ``unit``.

    * spare seats: 5 for each seat that stays empty;
    * extra tables: 3 for each table after the first;
    * fragmentation: 2 for each seat by which the largest table of the set exceeds the smallest (mixed sets leave odd
      remainders on the floor);
    * zone spread: 4 for each zone after the first;
    * adjacency cost: 1 for each pair that is not adjacent;
    * scarcity: for each table, 1 divided by the number of active tables of its size.
    """
    tables = [floor.table_by_ref[ref] for ref in unit.table_refs]
    sizes = _sizes(floor)
    return Penalty(
        spare_seats=SPARE_SEAT * (unit.seats - party),
        extra_tables=EXTRA_TABLE * (len(tables) - 1),
        fragmentation=FRAGMENTATION * (max(table.seats for table in tables) - min(table.seats for table in tables)),
        zone_spread=ZONE_SPREAD * (len({table.zone_ref for table in tables}) - 1),
        adjacency=ADJACENCY * _pairs_apart(floor, tables),
        scarcity=sum(1 / sizes[table.seats] for table in tables),
    )


@lru_cache(maxsize=64)
def _sizes(floor: Floor) -> Counter[int]:
    """Count the active tables of each size."""
    return Counter(table.seats for table in floor.tables if table.active)


def _pairs_apart(floor: Floor, tables: list[Table]) -> int:
    return sum(1 for one, other in combinations(tables, 2) if frozenset({one.ref, other.ref}) not in floor.adjacent)
