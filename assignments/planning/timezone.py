"""Time zones by their names."""

from zoneinfo import ZoneInfo


def time_zone(name: str) -> ZoneInfo:
    """The zone of that name in the IANA database, such as ``"Europe/London"``. Raises ValueError that names it.

    ``ZoneInfo`` itself fails in three ways: KeyError where there is none, ValueError for what no name may look like, and
    OSError for a folder of the database ("Europe") or a name that is too long for any file.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error
