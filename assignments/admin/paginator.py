"""Paging through a large table without counting it."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator

if TYPE_CHECKING:
    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

MOST_PAGES = 200


class UncountedPaginator(_Paginator):
    """A paginator that counts at most ``MOST_PAGES`` pages.

    A full count of a large table would read all of it for every page. Beyond that many pages, filters help.
    """

    @cached_property
    def count(self) -> int:
        """The number of rows, up to the maximum shown."""
        rows: Any = self.object_list
        if isinstance(rows, Sequence):
            return len(rows)
        most = self.per_page * MOST_PAGES
        return int(rows.order_by().values("pk")[:most].count())
