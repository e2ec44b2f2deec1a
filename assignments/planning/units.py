"""The seatable units of a floor: every single table, and every set of tables that may be joined for one party."""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from assignments.planning.floor import Floor, Join, Table

DEFAULT_MAX_TABLES = 3
MAX_JOINS_PER_ZONE = 5_000
"""More joins than this in one zone are more than anybody could lay, and more than can be scored in a few milliseconds.

A complete graph of 30 tables has 4,495 joins of two or three. Beyond the limit the largest joins of that zone are left
out, all those of one size together, so that what remains does not depend on any order. Listed joins always stay.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """Tables that may seat one party: one table, or a join within one zone.

    ``table_refs`` are in the floor's order, and ``places`` are their places in it: what decides between equal units.
    ``mask`` has the bits (see ``table_bits``) of its tables. ``seats`` is the sum, or what
    the host lists for exactly this join. Parties of ``min_party`` to ``max_party`` covers may sit here.
    """

    table_refs: tuple[str, ...]
    places: tuple[int, ...]
    mask: int
    seats: int
    min_party: int
    max_party: int
    zone_ref: str | None

    @property
    def table_count(self) -> int:
        return len(self.table_refs)


@lru_cache(maxsize=64)
def table_bits(floor: Floor) -> Mapping[str, int]:
    """Each table's own bit: ``1 << n`` at place ``n`` of the floor's order; inactive tables have theirs too."""
    return {ref: 1 << place for ref, place in floor.places.items()}


def active_mask(floor: Floor) -> int:
    """The mask of the tables that are in service."""
    bits = table_bits(floor)
    return sum(bits[table.ref] for table in floor.tables if table.active)


@lru_cache(maxsize=64)
def zone_masks(floor: Floor) -> tuple[int, ...]:
    """The active tables of each zone; those without a zone are a zone of their own."""
    return _grouped(floor, lambda table: table.zone_ref)


@lru_cache(maxsize=64)
def size_masks(floor: Floor) -> tuple[int, ...]:
    """The active tables of each number of seats."""
    return _grouped(floor, lambda table: table.seats)


@lru_cache(maxsize=64)
def neighbours(floor: Floor) -> Mapping[int, int]:
    """For each active table's bit, the mask of the active tables of its zone that stand next to it."""
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
    """Every unit of at most ``max_tables`` active tables, fewest tables first, then by their places.

    Joins are the connected sets of one zone (tables without a zone form a zone of their own), and the joins that the
    host lists, adjacent or not. A listed join says how many it seats and whom it takes; no join crosses zones.
    Computed once per floor and kept; see MAX_JOINS_PER_ZONE for very large zones.
    """
    bits = table_bits(floor)
    by_bit = {bits[ref]: table for ref, table in floor.table_by_ref.items() if table.active}
    listed = {_mask(bits, join): join for join in floor.joins if _may_be_joined(floor, join, max_tables)}
    masks = set(listed)
    for zone_mask in zone_masks(floor):
        masks.update(_connected_sets(zone_mask, neighbours(floor), max_tables))
    units = [_single(bit, table) for bit, table in by_bit.items()]
    units += [_join(mask, [by_bit[bit] for bit in each_bit(mask)], listed.get(mask)) for mask in masks]
    return tuple(sorted(units, key=lambda unit: (unit.table_count, unit.places)))


def unit_of(floor: Floor, table_refs: Collection[str]) -> Unit:
    """The unit that exactly these tables make, chosen by hand: it need not be one of ``seatable_units``.

    Raises KeyError for a table that the floor does not know, ValueError for no tables at all.
    """
    if not table_refs:
        raise ValueError("A unit needs a table.")
    tables = [floor.table_by_ref[ref] for ref in floor.in_order(set(table_refs))]
    bits = table_bits(floor)
    if len(tables) == 1:
        return _single(bits[tables[0].ref], tables[0])
    refs = frozenset(table.ref for table in tables)
    listed = next((join for join in floor.joins if join.table_refs == refs), None)
    return _join(sum(bits[ref] for ref in refs), tables, listed)


def is_connected(mask: int, beside: Mapping[int, int]) -> bool:
    """Whether the tables of ``mask`` form one group in which everybody can be reached from table to table."""
    reached = mask & -mask
    while True:
        wider = reached | (_around(reached, beside) & mask)
        if wider == reached:
            return reached == mask
        reached = wider


def each_bit(mask: int) -> Iterator[int]:
    """The bits of ``mask``, lowest (first place) first."""
    while mask:
        bit = mask & -mask
        yield bit
        mask ^= bit


def _grouped(floor: Floor, key: Callable[[Table], Hashable]) -> tuple[int, ...]:
    bits = table_bits(floor)
    masks: dict[Hashable, int] = {}
    for table in floor.tables:
        if table.active:
            masks[key(table)] = masks.get(key(table), 0) | bits[table.ref]
    return tuple(masks.values())


def _single(bit: int, table: Table) -> Unit:
    return Unit(
        table_refs=(table.ref,),
        places=(_place(bit),),
        mask=bit,
        seats=table.seats,
        min_party=table.min_party,
        max_party=_capped(table.max_party, table.seats),
        zone_ref=table.zone_ref,
    )


def _join(mask: int, tables: list[Table], listed: Join | None) -> Unit:
    # A table's own limits are for a party that sits at it alone: they say nothing about a join.
    seats = listed.seats if listed else sum(table.seats for table in tables)
    return Unit(
        table_refs=tuple(table.ref for table in tables),
        places=tuple(map(_place, each_bit(mask))),
        mask=mask,
        seats=seats,
        min_party=listed.min_party if listed else 1,
        max_party=_capped(listed.max_party if listed else None, seats),
        zone_ref=tables[0].zone_ref,
    )


def _place(bit: int) -> int:
    return bit.bit_length() - 1


def _capped(max_party: int | None, seats: int) -> int:
    return seats if max_party is None else min(max_party, seats)


def _mask(bits: Mapping[str, int], join: Join) -> int:
    return sum(bits[ref] for ref in join.table_refs)


def _may_be_joined(floor: Floor, join: Join, max_tables: int) -> bool:
    tables = [floor.table_by_ref[ref] for ref in join.table_refs]
    same_zone = len({table.zone_ref for table in tables}) == 1
    return len(tables) <= max_tables and same_zone and all(table.active for table in tables)


def _connected_sets(zone_mask: int, beside: Mapping[int, int], max_tables: int) -> set[int]:
    """The connected sets of 2..``max_tables`` tables of one zone, grown table by table."""
    found: set[int] = set()
    smaller = set(each_bit(zone_mask))
    for _ in range(2, max_tables + 1):
        larger: set[int] = set()
        for mask in smaller:
            larger.update(mask | bit for bit in each_bit(_around(mask, beside) & ~mask))
            if len(found) + len(larger) > MAX_JOINS_PER_ZONE:
                return found
        found |= larger
        smaller = larger
    return found


def _around(mask: int, beside: Mapping[int, int]) -> int:
    around = 0
    for bit in each_bit(mask):
        around |= beside[bit]
    return around
