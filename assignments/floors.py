"""Floors from the host, kept in this process until their fingerprint changes."""

from collections import OrderedDict

from assignments.host import Host, configured
from assignments.planning.floor import Floor, InvalidFloorError

_KEPT = 256
_floors: OrderedDict[tuple[str, str], Floor] = OrderedDict()


def floor_of(restaurant_ref: str, *, host: Host | None = None) -> Floor:
    """The restaurant's floor as it is now: one query when it is known already. Raises what ``Host.floor`` raises."""
    host = host or configured()
    key = (restaurant_ref, host.floor_fingerprint(restaurant_ref))
    floor = _floors.get(key)
    if floor is None:
        floor = _floors[key] = host.floor(restaurant_ref)
        while len(_floors) > _KEPT:
            _floors.popitem(last=False)
    return floor


def floor_or_none(restaurant_ref: str, *, host: Host | None = None) -> Floor | None:
    """The floor, or None where the host has none that is valid."""
    try:
        return floor_of(restaurant_ref, host=host)
    except (InvalidFloorError, LookupError):
        return None


def forget() -> None:
    """Start afresh, for tests and for hosts that were swapped."""
    _floors.clear()
