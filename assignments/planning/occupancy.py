"""Occupied tables over time, as bitmasks."""

from bisect import bisect_left, insort
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from assignments.planning.floor import Floor
from assignments.planning.snapshot import Occupied
from assignments.planning.units import active_mask, bits_of, table_bits


class Block(NamedTuple):
    """Tables occupied for ``[start, until)`` (seconds since the epoch), and their booking."""

    start: float
    until: float
    mask: int
    booking_ref: str


class Occupancy:
    """The occupied tables of a floor. Intervals are half-open: a table is free again when its block ends.

    Tables not on the floor (removed since) are ignored.
    """

    def __init__(self, floor: Floor, occupied: Iterable[Occupied] = ()) -> None:
        self._floor = floor
        self._bits = table_bits(floor)
        self._active = active_mask(floor)
        self._blocks: list[Block] = []
        self._longest = 0.0
        for taken in occupied:
            bit = self._bits.get(taken.table_ref)
            if bit is not None:
                self.add(bit, taken.blocked_from, taken.blocked_until, taken.booking_ref or "")

    def copy(self) -> "Occupancy":
        """Return a copy with the same blocks."""
        other = Occupancy(self._floor)
        other._blocks, other._longest = list(self._blocks), self._longest
        return other

    def free(self, start: datetime, until: datetime) -> int:
        """Return the mask of active tables that are free for all of ``[start, until)``."""
        return self._active & ~self.taken(start, until)

    def taken(self, start: datetime, until: datetime) -> int:
        """Return the mask of tables that are occupied at some time of ``[start, until)``."""
        taken = 0
        for block in self.blocks(start, until):
            taken |= block.mask
        return taken

    def blocks(self, start: datetime, until: datetime) -> list[Block]:
        """Return the blocks that overlap ``[start, until)``, by start."""
        return self._between(start.timestamp(), until.timestamp())

    def idle_seconds(self, tables: int, start: datetime, until: datetime, horizon: float) -> dict[int, float]:
        """Return the idle time of each table of a mask (by bit) just before ``start`` plus just after ``until``.

        Each side counts up to ``horizon`` seconds. Tables not in the result have no blocks within it.
        """
        first, last = start.timestamp(), until.timestamp()
        before: dict[int, float] = {}
        after: dict[int, float] = {}
        for block in self._between(first - horizon, last + horizon):
            if not block.mask & tables:
                continue
            side, gap = (before, first - block.until) if block.until <= first else (after, block.start - last)
            if gap < 0:
                continue
            for bit in bits_of(block.mask & tables):
                side[bit] = min(gap, side.get(bit, horizon))
        return {bit: before.get(bit, horizon) + after.get(bit, horizon) for bit in {*before, *after}}

    def add(self, mask: int, start: datetime, until: datetime, booking_ref: str = "") -> Block:
        """Occupy the tables of ``mask`` for ``[start, until)``. Pass the returned block to ``remove`` to free them."""
        block = Block(start.timestamp(), until.timestamp(), mask, booking_ref)
        insort(self._blocks, block)
        self._longest = max(self._longest, block.until - block.start)
        return block

    def remove(self, block: Block) -> None:
        """Free a block of ``add``. Raises ValueError if it is not there."""
        position = bisect_left(self._blocks, block)
        if self._blocks[position : position + 1] != [block]:
            raise ValueError(f"Nothing to free: {block} is not in the occupancy.")
        del self._blocks[position]

    def _between(self, first: float, last: float) -> list[Block]:
        # A block that began longer ago than the longest block lasts is over.
        earliest = bisect_left(self._blocks, (first - self._longest,))
        latest = bisect_left(self._blocks, (last,))
        return [block for block in self._blocks[earliest:latest] if block.until > first]
