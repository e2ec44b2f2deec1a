"""The goal of an evening's optimum when not every booking can be seated."""

from enum import StrEnum


class Aim(StrEnum):
    """Which bookings to seat.

    ``ORDER``: those that asked first, as the waiting list promises. ``NUMBER``: the most bookings. ``COVERS``: the most
    covers.
    """

    ORDER = "order"
    NUMBER = "number"
    COVERS = "covers"
