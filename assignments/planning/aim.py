"""Whom the optimum of an evening seats, if it cannot seat everybody."""

from enum import StrEnum


class Aim(StrEnum):
    """Whom to seat. ``ORDER``: who asked first, as the waiting list promises. ``NUMBER`` of bookings. ``COVERS``."""

    ORDER = "order"
    NUMBER = "number"
    COVERS = "covers"
