"""Floors from the host, kept in this process until their fingerprint changes."""

import logging
import time
from collections import OrderedDict

from django.db import DatabaseError

from assignments.host import Host, configured
from assignments.planning.floor import Floor, InvalidFloorError

logger = logging.getLogger("assignments.floors")

_KEPT = 256
_READS = 3
SHOWN_SECONDS = 600.0
_floors: OrderedDict[tuple[str, str], Floor] = OrderedDict()
_shown: OrderedDict[str, tuple[float, Floor | None]] = OrderedDict()


def floor_of(restaurant_ref: str, *, host: Host | None = None) -> Floor:
    """The restaurant's floor as it is now: one query when it is known already.

    A floor that somebody edits while it is read is read again, so that none is ever half old and half new. Raises
    InvalidFloorError, and LookupError for a restaurant that the host does not know.
    """
    host = host or configured()
    fingerprint = host.floor_fingerprint(restaurant_ref)
    floor = _floors.get((restaurant_ref, fingerprint))
    if floor is not None:
        return floor
    for _ in range(_READS):
        floor = host.floor(restaurant_ref)
        before, fingerprint = fingerprint, host.floor_fingerprint(restaurant_ref)
        if fingerprint == before:
            _floors[restaurant_ref, fingerprint] = floor
            while len(_floors) > _KEPT:
                _floors.popitem(last=False)
            return floor
    raise InvalidFloorError(f"The floor of restaurant {restaurant_ref!r} is being edited right now.")


def floor_or_problem(restaurant_ref: str, *, host: Host | None = None) -> tuple[Floor | None, str]:
    """The floor; or None, and a sentence that says why there is none. A host's own words are not repeated in it."""
    try:
        return floor_of(restaurant_ref, host=host), ""
    except InvalidFloorError as error:
        return None, str(error)
    except LookupError as error:
        return None, f"The host has no floor for restaurant {restaurant_ref!r} ({type(error).__name__})."


def floor_or_none(restaurant_ref: str, *, host: Host | None = None) -> Floor | None:
    """The floor, or None where the host has none that is valid, or raises: one restaurant's trouble is no other's."""
    try:
        return floor_or_problem(restaurant_ref, host=host)[0]
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (logged by type; whoever plans there meets it again, and reports it)
        logger.error("The host raised %s for the floor of restaurant %s.", type(error).__name__, restaurant_ref)
        return None


def floor_to_show(restaurant_ref: str, *, host: Host | None = None) -> Floor | None:
    """The floor as it was at most ten minutes ago, or None: no query for one that this process has looked at since then.

    For the names and the clock of a list with many restaurants; nothing may be decided by it.
    """
    now = time.monotonic()
    seen = _shown.get(restaurant_ref)
    if seen is not None and now - seen[0] < SHOWN_SECONDS:
        return seen[1]
    floor = floor_or_none(restaurant_ref, host=host)
    _shown[restaurant_ref] = (now, floor)
    while len(_shown) > _KEPT:
        _shown.popitem(last=False)
    return floor


def forget() -> None:
    """Start afresh, for tests and for hosts that were swapped."""
    _floors.clear()
    _shown.clear()
