"""Floors from the host, kept in this process until their fingerprint changes."""

import logging
from collections import OrderedDict
from collections.abc import Collection, Mapping

from django.db import DatabaseError

from assignments.error_logging import log_error
from assignments.integration.host import Host, configured
from assignments.planning.floor import Floor, InvalidFloorError
from assignments.planning.text import gettext as _

logger = logging.getLogger("assignments.floors")

_KEPT = 256
_READS = 3
_floors: OrderedDict[tuple[str, str], Floor] = OrderedDict()


def floor_of(restaurant_ref: str, *, host: Host | None = None, fingerprint: str = "") -> Floor:
    """The restaurant's floor as it is now: one query when it is known already, none where its ``fingerprint`` is given.

    A floor that somebody edits while it is read is read again, so that none is ever half old and half new. Raises
    InvalidFloorError, and LookupError for a restaurant that the host does not know.
    """
    host = host or configured()
    fingerprint = fingerprint or host.floor_fingerprint(restaurant_ref)
    floor = _floors.get((restaurant_ref, fingerprint))
    if floor is not None:
        return floor
    for _read in range(_READS):
        floor = host.floor(restaurant_ref)
        before, fingerprint = fingerprint, host.floor_fingerprint(restaurant_ref)
        if fingerprint == before:
            _floors[restaurant_ref, fingerprint] = floor
            while len(_floors) > _KEPT:
                _floors.popitem(last=False)
            return floor
    raise InvalidFloorError(
        _("The floor of restaurant %(restaurant)s is being edited right now.", restaurant=repr(restaurant_ref))
    )


def floor_or_problem(
    restaurant_ref: str, *, host: Host | None = None, fingerprint: str = ""
) -> tuple[Floor | None, str]:
    """The floor; or None, and a sentence that says why there is none. A host's own words are not repeated in it."""
    try:
        return floor_of(restaurant_ref, host=host, fingerprint=fingerprint), ""
    except InvalidFloorError as error:
        return None, error.said
    except LookupError as error:
        return None, no_floor(restaurant_ref, error)


def floor_or_any_problem(restaurant_ref: str, *, host: Host | None = None) -> tuple[Floor | None, str]:
    """The same, also where the host raises what it should not: by type, since its message may name a guest."""
    try:
        return floor_or_problem(restaurant_ref, host=host)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (one restaurant's trouble is no other's)
        return None, _("The host raised %(error)s for its floor.", error=type(error).__name__)


def no_floor(restaurant_ref: str, error: LookupError) -> str:
    """A sentence that says that the host knows no such restaurant, without the host's own words."""
    return _(
        "The host has no floor for restaurant %(restaurant)s (%(error)s).",
        restaurant=repr(restaurant_ref),
        error=type(error).__name__,
    )


def floors_or_none(restaurant_refs: Collection[str]) -> dict[str, Floor | None]:
    """The floors of several restaurants, None as in ``floor_or_none``. Where the host gives fingerprints many at once
    (``ModelHost.floor_fingerprints``), one query for all that are known already."""
    host = configured()
    try:
        fingerprints: Mapping[str, str] = getattr(host, "floor_fingerprints", lambda refs: {})(restaurant_refs)
    except DatabaseError:
        raise
    except Exception:  # noqa: BLE001  (one restaurant's trouble: each is asked by itself, and that is logged)
        fingerprints = {}
    return {ref: floor_or_none(ref, host=host, fingerprint=fingerprints.get(ref, "")) for ref in restaurant_refs}


def floor_or_none(restaurant_ref: str, *, host: Host | None = None, fingerprint: str = "") -> Floor | None:
    """The floor, or None where the host has none that is valid, or raises: one restaurant's trouble is no other's."""
    try:
        return floor_or_problem(restaurant_ref, host=host, fingerprint=fingerprint)[0]
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (logged by type; whoever plans there meets it again, and reports it)
        log_error(logger, error, "The host failed for the floor of restaurant %s", restaurant_ref)
        return None


def forget() -> None:
    """Start afresh, for tests and for hosts that were swapped."""
    _floors.clear()
