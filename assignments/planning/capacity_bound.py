"""Capacity bound: a quick proof that no moves can help, because at some moment there are too few tables."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from assignments.planning.floor import Floor
from assignments.planning.occupancy import Block
from assignments.planning.reseating import Party
from assignments.planning.units import size_masks, table_bits


@lru_cache(maxsize=64)
def size_classes(floor: Floor) -> tuple[int, ...]:
    """Return, for each table size, the mask of active tables of at least that size."""
    seats = {bit: floor.table_by_ref[ref].seats for ref, bit in table_bits(floor).items()}
    sizes = {seats[mask & -mask]: mask for mask in size_masks(floor)}
    return tuple(sum(mask for size, mask in sizes.items() if size >= least) for least in sorted(sizes))


def is_overcrowded(newcomer: Party, fixed: Sequence[Block], classes: Sequence[int]) -> bool:
    """Return whether at some moment of the newcomer's seating no moves could seat everybody.

    ``fixed``: tables occupied from outside the batch. For each class of tables, it compares the number that the present
    parties need at least with the number that exists. False proves nothing.
    """
    # Demand only grows when a party arrives, so these moments are enough.
    arrivals = {newcomer.start}
    arrivals.update(start for start in _starts(newcomer, fixed) if start > newcomer.start)
    return any(_is_overfull(moment, newcomer, fixed, classes) for moment in arrivals)


def _starts(newcomer: Party, fixed: Iterable[Block]) -> Iterable[float]:
    yield from (party.start for party in newcomer.meets)
    yield from (block.start for block in fixed)


def _is_overfull(moment: float, newcomer: Party, fixed: Iterable[Block], classes: Iterable[int]) -> bool:
    gone = 0
    for block in fixed:
        if block.start <= moment < block.until:
            gone |= block.mask
    present = [party for party in newcomer.meets if party.start <= moment < party.until]
    present.append(newcomer)
    return any(sum(party.needs(tables) for party in present) > (tables & ~gone).bit_count() for tables in classes)
