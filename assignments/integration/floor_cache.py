"""The cache of the host's floors in this process, by fingerprint."""

import logging
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import DatabaseError

from assignments import conf
from assignments.error_logging import log_error
from assignments.integration.host import Host
from assignments.integration.project_host import configured
from assignments.planning.floor import Floor, InvalidFloorError
from assignments.planning.text import gettext as _
from assignments.planning.units import zones_too_large

logger = logging.getLogger("assignments.floors")

_KEPT = 256
_READS = 3
_floors: OrderedDict[tuple[str, str], Floor] = OrderedDict()


_reading: ContextVar[dict[str, str] | None] = ContextVar("reading", default=None)


@contextmanager
def one_reading() -> Iterator[None]:
    """Read each restaurant's fingerprint only once inside, so that one call of the api sees one floor throughout."""
    if _reading.get() is not None:
        yield
        return
    token = _reading.set({})
    try:
        yield
    finally:
        _reading.reset(token)


def _fingerprint(restaurant_ref: str, host: Host) -> str:
    known = _reading.get()
    if known is None:
        return host.floor_fingerprint(restaurant_ref)
    if restaurant_ref not in known:
        known[restaurant_ref] = host.floor_fingerprint(restaurant_ref)
    return known[restaurant_ref]


def floor_of(restaurant_ref: str, *, host: Host | None = None, fingerprint: str = "") -> Floor:
    """Return the restaurant's current floor. One query if cached, none if its ``fingerprint`` is given.

    If the floor changes while it is read, it is read again, so that it is never a mix of old and new. Raises
    InvalidFloorError, and LookupError for an unknown restaurant.
    """
    host = host or configured()
    fingerprint = fingerprint or _fingerprint(restaurant_ref, host)
    floor = _floors.get((restaurant_ref, fingerprint))
    if floor is not None:
        return floor
    for _read in range(_READS):
        floor = host.floor(restaurant_ref)
        before, fingerprint = fingerprint, host.floor_fingerprint(restaurant_ref)
        if fingerprint == before:
            if (known := _reading.get()) is not None:
                known[restaurant_ref] = fingerprint
            _floors[restaurant_ref, fingerprint] = floor
            _say_what_is_left_out(floor)
            while len(_floors) > _KEPT:
                _floors.popitem(last=False)
            return floor
    problem = _("The floor of restaurant %(restaurant)s is being edited right now.", restaurant=repr(restaurant_ref))
    raise InvalidFloorError(problem)


def _say_what_is_left_out(floor: Floor) -> None:
    for zone_ref, size in zones_too_large(floor, conf.settings().rules().max_tables).items():
        logger.warning(
            "Restaurant %s: zone %s has more joins than can be planned; those of more than %d tables are left out",
            floor.restaurant_ref,
            zone_ref,
            size,
        )


def floor_or_problem(
    restaurant_ref: str, *, host: Host | None = None, fingerprint: str = ""
) -> tuple[Floor | None, str]:
    """Return the floor, or None and the reason as a sentence. It does not contain the host's own message."""
    try:
        return floor_of(restaurant_ref, host=host, fingerprint=fingerprint), ""
    except InvalidFloorError as error:
        return None, error.said
    except LookupError as error:
        return None, no_floor(restaurant_ref, error)


def floor_or_any_problem(restaurant_ref: str, *, host: Host | None = None) -> tuple[Floor | None, str]:
    """Like ``floor_or_problem``, but for any exception of the host, named by type because its message may name a guest."""
    try:
        return floor_or_problem(restaurant_ref, host=host)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (one restaurant must not affect others)
        return None, _("The host raised %(error)s for its floor.", error=type(error).__name__)


def no_floor(restaurant_ref: str, error: LookupError) -> str:
    """Return the reason for an unknown restaurant, without the host's own message."""
    return _(
        "The host has no floor for restaurant %(restaurant)s (%(error)s).",
        restaurant=repr(restaurant_ref),
        error=type(error).__name__,
    )


def fingerprints_of(restaurant_refs: Collection[str]) -> Mapping[str, str]:
    """Return the fingerprints of these floors, in one query, if the host has ``floor_fingerprints``.

    Empty for a host without it, or if it raises.
    """
    try:
        found: Mapping[str, str] = getattr(configured(), "floor_fingerprints", lambda refs: {})(restaurant_refs)
    except DatabaseError:
        raise
    except Exception:  # noqa: BLE001  (each is then asked for by itself, and logged)
        found = {}
    return found


def floors_or_none(
    restaurant_refs: Collection[str], *, fingerprints: Mapping[str, str] | None = None
) -> dict[str, Floor | None]:
    """Return the floors of several restaurants, each as ``floor_or_none`` does.

    One query for all cached floors if the host has ``floor_fingerprints`` (as ``ModelHost`` does); none if the
    ``fingerprints`` are given.
    """
    host = configured()
    known = fingerprints_of(restaurant_refs) if fingerprints is None else fingerprints
    return {ref: floor_or_none(ref, host=host, fingerprint=known.get(ref, "")) for ref in restaurant_refs}


def floor_or_none(restaurant_ref: str, *, host: Host | None = None, fingerprint: str = "") -> Floor | None:
    """Return the floor, or None if it is invalid or the host raises."""
    try:
        return floor_or_problem(restaurant_ref, host=host, fingerprint=fingerprint)[0]
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (logged by type; planning reports it again)
        log_error(logger, error, "The host raised an error when reading the floor of restaurant %s", restaurant_ref)
        return None


def is_known_by(fingerprint: str, floor: Floor) -> bool:
    """Return whether this process has read this very floor by this fingerprint."""
    return _floors.get((floor.restaurant_ref, fingerprint)) is floor


def forget() -> None:
    """Clear the cache, for tests and for replaced hosts."""
    _floors.clear()
