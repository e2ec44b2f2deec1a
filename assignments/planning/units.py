"""The seatable units of a floor: its single tables and its joins."""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

from assignments.planning.floor import Floor, Join, Table

DEFAULT_MAX_TABLES = 3
MAX_JOINS_PER_ZONE = 5_000
"""Maximum joins in a zone, to keep scoring within a few milliseconds.

A complete graph of 30 tables has 4,495 joins of two or three. Beyond the limit the largest joins of the zone are left
out, all of one size together, so that the result does not depend on an order. Listed joins always stay.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """Tables that may seat a party: one table, a join within a zone, or a listed join.

    ``table_refs`` are in the floor's order; ``places`` are their places in it, which decide between equal units.
    ``mask`` has the bits (see ``table_bits``) of its tables. ``seats``: see ``seats_of``. Parties of ``min_party`` to
    ``max_party`` covers may sit here. ``filled_at``: the covers from which spare seats are counted, or None if the
    restaurant has set a smallest or a largest party. ``zone_ref``: None for a listed join across zones. ``features``:
    those that all of its tables have.
    """

    table_refs: tuple[str, ...]
    places: tuple[int, ...]
    mask: int
    seats: int
    min_party: int
    max_party: int
    zone_ref: str | None
    filled_at: int | None
    is_listed: bool = False
    features: frozenset[str] = frozenset()

    def has_too_many_spare(self, party: int, max_spare_seats: int) -> bool:
        """Return whether more seats would stay empty than the limit allows. The table's own limits override it."""
        return self.filled_at is not None and self.filled_at - party > max_spare_seats

    @property
    def table_count(self) -> int:
        return len(self.table_refs)


@lru_cache(maxsize=64)
def table_bits(floor: Floor) -> Mapping[str, int]:
    """Return each table's bit by ref: ``1 << n`` at place ``n`` of the floor's order, inactive tables included."""
    return {ref: 1 << place for ref, place in floor.places.items()}


def active_mask(floor: Floor) -> int:
    """Return the mask of tables in service."""
    bits = table_bits(floor)
    return sum(bits[table.ref] for table in floor.tables if table.active)


@lru_cache(maxsize=64)
def zone_masks(floor: Floor) -> tuple[int, ...]:
    """Return the masks of active tables by zone. Tables without a zone count as a zone."""
    return _grouped(floor, lambda table: table.zone_ref)


@lru_cache(maxsize=64)
def size_masks(floor: Floor) -> tuple[int, ...]:
    """Return the masks of active tables by number of seats."""
    return _grouped(floor, lambda table: table.seats)


@lru_cache(maxsize=64)
def neighbours(floor: Floor) -> Mapping[int, int]:
    """Return, for each active table's bit, the mask of adjacent active tables in its zone."""
    bits = table_bits(floor)
    beside = {bits[table.ref]: 0 for table in floor.tables if table.active}
    for first, second in map(tuple, floor.adjacent):
        one, other = floor.table_by_ref[first], floor.table_by_ref[second]
        if one.active and other.active and one.zone_ref == other.zone_ref:
            beside[bits[first]] |= bits[second]
            beside[bits[second]] |= bits[first]
    return beside


@lru_cache(maxsize=64)
def seatable_units(floor: Floor, max_tables: int = DEFAULT_MAX_TABLES) -> tuple[Unit, ...]:
    """Return every unit of at most ``max_tables`` active tables, fewest tables first, then by their places.

    Joins are the connected sets within a zone (tables without a zone count as one), and the host's listed joins, which
    may be of any number of tables, not adjacent, and across zones. A listed join defines its seats and party sizes.
    Cached by floor; see MAX_JOINS_PER_ZONE for very large zones.
    """
    bits = table_bits(floor)
    by_bit = {bits[ref]: table for ref, table in floor.table_by_ref.items() if table.active}
    listed = {_mask(bits, join): join for join in floor.joins if _may_be_joined(floor, join, max_tables)}
    masks = set(listed)
    for zone_mask in zone_masks(floor):
        masks.update(_connected_sets(zone_mask, neighbours(floor), max_tables)[0])
    units = [_single(floor, bit, table) for bit, table in by_bit.items()]
    units += [_join(floor, mask, [by_bit[bit] for bit in each_bit(mask)], listed.get(mask)) for mask in masks]
    return tuple(sorted(units, key=lambda unit: (unit.table_count, unit.places)))


@lru_cache(maxsize=64)
def zones_too_large(floor: Floor, max_tables: int = DEFAULT_MAX_TABLES) -> Mapping[str | None, int]:
    """Return zones for which large joins are left out: the most tables of a join there, by ref (None: no zone)."""
    zone_of = {table_bits(floor)[table.ref]: table.zone_ref for table in floor.tables}
    grown = {zone_mask: _connected_sets(zone_mask, neighbours(floor), max_tables)[1] for zone_mask in zone_masks(floor)}
    return {zone_of[zone_mask & -zone_mask]: size for zone_mask, size in grown.items() if size < max_tables}


def unit_of(floor: Floor, table_refs: Collection[str]) -> Unit:
    """Return the unit of exactly these tables, chosen by hand. It need not be in ``seatable_units``.

    Raises KeyError for a table not on the floor, ValueError for no tables.
    """
    if not table_refs:
        raise ValueError("A unit needs a table.")
    tables = [floor.table_by_ref[ref] for ref in floor.in_order(set(table_refs))]
    bits = table_bits(floor)
    if len(tables) == 1:
        return _single(floor, bits[tables[0].ref], tables[0])
    refs = frozenset(table.ref for table in tables)
    listed = next((join for join in floor.joins if join.table_refs == refs), None)
    return _join(floor, sum(bits[ref] for ref in refs), tables, listed)


def seats_of(floor: Floor, table_refs: Collection[str]) -> int:
    """Return how many guests these tables seat together: the seats listed for exactly this join, or else calculated.

    The calculation is the sum of their seats, corrected by every join listed among them: if A + B is listed with two
    seats fewer than the two have, A + B + C has two fewer too. Raises KeyError for a table not on the floor.
    """
    refs = frozenset(table_refs)
    exactly = floor.join_by_tables.get(refs)
    if exactly is not None:
        return exactly.seats

    def apart(tables: Collection[str]) -> int:
        return sum(floor.table_by_ref[ref].seats for ref in tables)

    if floor.is_of_earlier_release:
        return apart(refs)
    within = _joins_within(floor, refs)
    # A join within a larger listed one is counted there.
    largest = [join for join in within if not any(join.table_refs < other.table_refs for other in within)]
    together = apart(refs) + sum(join.seats - apart(join.table_refs) for join in largest)
    return max([together, *(join.seats for join in largest)])


def _joins_within(floor: Floor, refs: frozenset[str]) -> list[Join]:
    """Return the listed joins within these tables. A floor may list thousands, while a unit has few tables."""
    if 1 << len(refs) > len(floor.joins):
        return [join for join in floor.joins if join.table_refs <= refs]
    subsets = (frozenset(each) for count in range(2, len(refs) + 1) for each in combinations(refs, count))
    return [floor.join_by_tables[each] for each in subsets if each in floor.join_by_tables]


def is_connected(mask: int, beside: Mapping[int, int]) -> bool:
    """Return whether the tables of ``mask`` are connected."""
    reached = mask & -mask
    while True:
        wider = reached | (_around(reached, beside) & mask)
        if wider == reached:
            return reached == mask
        reached = wider


def each_bit(mask: int) -> Iterator[int]:
    """Yield the bits of ``mask``, lowest (first place) first."""
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit


@lru_cache(maxsize=4_096)
def bits_of(mask: int) -> tuple[int, ...]:
    """Return the bits of ``mask``, lowest first: ``each_bit`` for masks that searches meet again and again.

    Not for masks that hardly come twice, such as that of the free tables: they would fill the memory of each process.
    """
    return tuple(each_bit(mask))


def _grouped(floor: Floor, key: Callable[[Table], Hashable]) -> tuple[int, ...]:
    bits = table_bits(floor)
    masks: dict[Hashable, int] = {}
    for table in floor.tables:
        if table.active:
            masks[key(table)] = masks.get(key(table), 0) | bits[table.ref]
    return tuple(masks.values())


def _single(floor: Floor, bit: int, table: Table) -> Unit:
    least, most = _limits(table.min_party, table.max_party, table.seats)
    return Unit(
        table_refs=(table.ref,),
        places=(_place(bit),),
        mask=bit,
        seats=table.seats,
        min_party=least,
        max_party=most,
        zone_ref=table.zone_ref,
        filled_at=_filled_at(floor, table, table.seats),
        features=table.features,
    )


def _join(floor: Floor, mask: int, tables: list[Table], listed: Join | None) -> Unit:
    # A table's own limits apply to a party at it alone, not to a join.
    seats = seats_of(floor, [table.ref for table in tables])
    min_party, max_party = (listed.min_party, listed.max_party) if listed else (None, None)
    least, most = _limits(min_party, max_party, seats)
    return Unit(
        table_refs=tuple(table.ref for table in tables),
        places=tuple(map(_place, each_bit(mask))),
        mask=mask,
        seats=seats,
        min_party=least,
        max_party=most,
        zone_ref=tables[0].zone_ref if len({table.zone_ref for table in tables}) == 1 else None,
        filled_at=_filled_at(floor, listed, seats),
        is_listed=listed is not None,
        features=frozenset.intersection(*(table.features for table in tables)),
    )


def _limits(min_party: int | None, max_party: int | None, seats: int) -> tuple[int, int]:
    """Return the smallest and the largest party. The largest is at most the seats, whatever the limits say."""
    return (1 if min_party is None else min_party), (seats if max_party is None else min(max_party, seats))


def _filled_at(floor: Floor, place: Table | Join | None, seats: int) -> int | None:
    """Return the seats; None if the restaurant has set party sizes here, which override the limit of spare seats."""
    is_set = place is not None and (place.min_party is not None or place.max_party is not None)
    return None if is_set and not floor.is_of_earlier_release else seats


def _place(bit: int) -> int:
    return bit.bit_length() - 1


def _mask(bits: Mapping[str, int], join: Join) -> int:
    return sum(bits[ref] for ref in join.table_refs)


def _may_be_joined(floor: Floor, join: Join, max_tables: int) -> bool:
    tables = [floor.table_by_ref[ref] for ref in join.table_refs]
    if not all(table.active for table in tables):
        return False
    # The limits of joins apply only to joins that are not listed.
    same_zone = len({table.zone_ref for table in tables}) == 1
    return not floor.is_of_earlier_release or (len(tables) <= max_tables and same_zone)


def _connected_sets(zone_mask: int, beside: Mapping[int, int], max_tables: int) -> tuple[set[int], int]:
    """Return the connected sets of 2..``max_tables`` tables of a zone, and the size up to which they are complete."""
    found: set[int] = set()
    smaller = set(each_bit(zone_mask))
    for size in range(2, max_tables + 1):
        larger: set[int] = set()
        for mask in smaller:
            larger.update(mask | bit for bit in each_bit(_around(mask, beside) & ~mask))
            if len(found) + len(larger) > MAX_JOINS_PER_ZONE:
                return found, size - 1
        found |= larger
        smaller = larger
    return found, max_tables


def _around(mask: int, beside: Mapping[int, int]) -> int:
    around = 0
    for bit in each_bit(mask):
        around |= beside[bit]
    return around
