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
    """Counts no further than the pages that anybody would turn: at most ``MOST_PAGES``, from where filters help.

    A full count of a large table reads all of it, each time that a page of it is opened.
    """

    @cached_property
    def count(self) -> int:
        """How many rows there are, or as many as are shown of more."""
        rows: Any = self.object_list
        if isinstance(rows, Sequence):
            return len(rows)
        most = self.per_page * MOST_PAGES
        return int(rows.order_by().values("pk")[:most].count())
