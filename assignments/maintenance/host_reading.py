"""Reading from the host for a report, which goes on after whatever the host raises an error for."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.integration.host import HostBooking
from assignments.models import Assignment

logger = logging.getLogger("assignments.host_reading")

_T = TypeVar("_T")
_R = TypeVar("_R")

MOST_ALONE = 20
"""Bookings that are found one by one if the host raises an error for them; after that their chunk stays together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """What could not be read: a booking, or more if ``booking_ref`` is empty. ``error``: the error's type."""

    booking_ref: str
    what: str
    error: str


@dataclass(kw_only=True, slots=True)
class Reading:
    """Reads from the host. ``goes_on``: note errors as ``troubles`` and read the rest; otherwise they are raised."""

    goes_on: bool = True
    troubles: list[Trouble] = field(default_factory=list)

    def of(
        self, items: Sequence[_T], read: Callable[[Sequence[_T]], Iterable[_R]], *, ref: Callable[[_T], str]
    ) -> Iterator[_R]:
        """Yield what ``read`` returns for these items: for all at once, or for parts of them if the host raises."""
        parts = [items] if items else []
        while parts:
            part = parts.pop()
            try:
                found = list(read(part))
            except Exception as error:
                if self._is_fatal(error):
                    raise
                if len(part) > 1 and len(self.troubles) < MOST_ALONE:
                    middle = len(part) // 2
                    parts += [part[middle:], part[:middle]]
                elif len(part) > 1:
                    self._note(error, "", f"{len(part)} bookings, {ref(part[0])} to {ref(part[-1])}")
                else:
                    self._note(error, ref(part[0]), "this booking")
            else:
                yield from found

    def pages(
        self, read: Callable[[str | None, str | None], Sequence[HostBooking]], restaurant_ref: str | None
    ) -> Iterator[Sequence[HostBooking]]:
        """Yield pages of bookings, read after a ref, of one restaurant or of all.

        If the host raises for all, the rest is read one restaurant after another.
        """
        yield from self._pages(read, restaurant_ref or None, None)

    def _pages(
        self,
        read: Callable[[str | None, str | None], Sequence[HostBooking]],
        restaurant_ref: str | None,
        after: str | None,
    ) -> Iterator[Sequence[HostBooking]]:
        while True:
            try:
                page = read(after, restaurant_ref)
            except Exception as error:
                if self._is_fatal(error):
                    raise
                whose = f"restaurant {restaurant_ref}" if restaurant_ref else "all restaurants"
                self._note(error, "", f"the list of bookings of {whose}")
                break
            if not page:
                return
            yield page
            after = page[-1].ref
        if restaurant_ref is None:
            known = Assignment.objects.order_by("restaurant_ref").values_list("restaurant_ref", flat=True).distinct()
            for each in list(known):
                yield from self._pages(read, each, after)

    def _is_fatal(self, error: Exception) -> bool:
        return not self.goes_on or transactions.is_database_away(error)

    def _note(self, error: Exception, booking_ref: str, what: str) -> None:
        # By its type, never by what it says: a host's message may name a guest.
        log_error(logger, error, "The host could not be asked about %s", booking_ref or what)
        trouble = Trouble(booking_ref=booking_ref, what=what, error=type(error).__name__)
        if trouble not in self.troubles:
            self.troubles.append(trouble)
