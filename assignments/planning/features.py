"""Features of tables, such as step-free or by the window: each restaurant chooses its own words."""

from collections.abc import Iterable

MOST_FEATURES = 50
"""The most features of a table, needs or wishes of a booking."""
LONGEST_FEATURE = 60
"""The most characters of a feature."""


def words(given: Iterable[str] | str | None) -> frozenset[str]:
    """Return features as planning compares them: in lower case, with single spaces.

    A text may hold several, separated by commas or semicolons. Features that are too long are cut off, and those beyond
    the limit are dropped.
    """
    if given is None:
        return frozenset()
    parts = given.replace(";", ",").split(",") if isinstance(given, str) else given
    found = {" ".join(str(part).replace("\0", "").casefold().split())[:LONGEST_FEATURE] for part in parts}
    return frozenset(sorted(found - {""})[:MOST_FEATURES])


def listed(features: Iterable[str]) -> str:
    """Return features as a list for a sentence."""
    return ", ".join(sorted(features))
