"""Time zones by name."""

from zoneinfo import ZoneInfo


def time_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone of this name, such as ``"Europe/London"``. Raises ValueError with the name.

    ``ZoneInfo`` itself raises KeyError for an unknown name, ValueError for an invalid one, and OSError for a folder of
    the database ("Europe") or a name that is too long for a file.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error
