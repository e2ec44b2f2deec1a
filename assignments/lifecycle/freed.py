"""Capacity that has become free: who waits for it is to hear of it."""

from collections.abc import Collection
from datetime import datetime


def capacity_freed(
    restaurant_ref: str, starts_at: datetime, until: datetime | None, *, table_refs: Collection[str] | None = None
) -> None:
    """Tell those who wait that tables (None: any) can be had over ``[starts_at, until)``; without ``until``, from then on.

    Called in the transaction that frees them. Nobody is woken by it yet.
    """
