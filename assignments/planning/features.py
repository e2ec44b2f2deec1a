"""Features of tables, such as step-free or by the window: free words, which each restaurant chooses for itself."""

from collections.abc import Iterable

MOST_FEATURES = 50
"""The most features of a table, needs or wishes of a booking."""
LONGEST_FEATURE = 60
"""The most characters of a feature."""


def words(given: Iterable[str] | str | None) -> frozenset[str]:
    """Return features as planning compares them: in small letters, with single spaces.

    A text holds several, between commas or semicolons. One that is too long is cut off, and so are those that are too many.
    """
    if given is None:
        return frozenset()
    parts = given.replace(";", ",").split(",") if isinstance(given, str) else given
    found = {" ".join(str(part).replace("\0", "").casefold().split())[:LONGEST_FEATURE] for part in parts}
    return frozenset(sorted(found - {""})[:MOST_FEATURES])


def listed(features: Iterable[str]) -> str:
    """Return features as a sentence names them."""
    return ", ".join(sorted(features))
