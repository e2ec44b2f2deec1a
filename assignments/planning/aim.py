"""The goal of an evening's optimum when not every booking can be seated."""

from enum import StrEnum


class Aim(StrEnum):
    """Whom to seat. ``ORDER``: who asked first, as the waiting list promises. ``NUMBER`` of bookings. ``COVERS``."""

    ORDER = "order"
    NUMBER = "number"
    COVERS = "covers"
