"""Sentences about single bookings that the history keeps, and how they are recognised again.

A transition keeps a sentence in English only. ``read`` finds its template and its values, so that it can be shown to
staff in their own language.
"""

import re
from collections.abc import Collection

from assignments.planning.reasons import Reason
from assignments.planning.text import Text
from assignments.planning.text import gettext as _

NO_FLOOR = _("Its table was closed, and the restaurant has no floor to plan with.")
SAT_THERE = _("Its guests sat there when the table was taken out of service.")
SIT_ALREADY = _("Its guests sit already: they change tables only when staff move them.")
SIT_SOMEWHERE = _("Its guests sit, and nobody has said at which table.")
UNUSABLE = _("Its table is out of service, gone, or has too few seats.")


def sits_where_it_closes(clock: str) -> Text:
    """Say when guests who sit have to be moved, because their table closes."""
    return _("Its guests sit at a table that closes at %(time)s.", time=clock)


STILL_ASKED = _("Nobody has decided yet about what its guests ask for instead.")


def expect_the_same_table(other_refs: Collection[str]) -> Text:
    """Say which other bookings expect the same table."""
    return _(
        "Its guests and those of booking %(booking)s expect the same table.", booking=", ".join(sorted(other_refs))
    )


def shown_elsewhere(tables: str, other_refs: Collection[str]) -> Text:
    """Say why tables that the host chose cannot be taken over. ``tables``: their names, here and below."""
    return _(
        "The booking project shows it at %(tables)s, where booking %(booking)s is seated.",
        tables=tables,
        booking=", ".join(sorted(other_refs)),
    )


def not_on_the_floor(tables: str) -> Text:
    """Say that tables that the host chose do not exist on the floor."""
    return _(
        "The booking project shows it at %(tables)s, which is not on this restaurant's floor.",
        tables=tables,
    )


def shown_without_tables(tables: str) -> Text:
    """Say that the host has cleared tables that the booking still has here."""
    return _("The booking project shows no table for it, and here it has %(tables)s.", tables=tables)


def more_guests_than_seats(seats: int, party: int) -> Text:
    """Say that seated guests are more than their tables have seats."""
    return _("Its guests sit at %(seats)s seats, and are %(party)s now.", seats=seats, party=party)


def sit_without(features: Collection[str]) -> Text:
    """Say that seated guests need what their tables lack."""
    return _("Its guests sit at tables without %(features)s.", features=", ".join(sorted(features)))


def came_after_all(tables: str, other_refs: Collection[str]) -> Text:
    """Say why guests who are there, though they were marked as gone, have no tables."""
    if not other_refs:
        return _("Its guests are there after all, and %(tables)s cannot be used.", tables=tables)
    return _(
        "Its guests are there after all, and booking %(booking)s has %(tables)s now.",
        tables=tables,
        booking=", ".join(sorted(other_refs)),
    )


def refused_by_host(constraint: str) -> Text:
    """Say why the tables could not be stored in the booking project."""
    return _("The booking project's database refuses other tables: %(constraint)s.", constraint=constraint)


LONGEST = 5000
"""Characters of the longest text that is taken for a sentence of this module: a pattern with several values takes long to
fail."""
DESPITE = "Despite %(reasons)s."


def despite(reasons: Collection[Reason]) -> Text:
    """Say which rules staff overrode, by their codes."""
    return Text(DESPITE, {"reasons": ", ".join(sorted(reasons))})


def passed_over(reasons: str) -> Text:
    """Say which rules staff overrode, in words."""
    return _("Rules passed over: %(reasons)s.", reasons=reasons)


_KNOWN = (
    NO_FLOOR,
    SAT_THERE,
    sits_where_it_closes(""),
    SIT_ALREADY,
    SIT_SOMEWHERE,
    UNUSABLE,
    STILL_ASKED,
    expect_the_same_table(()),
    shown_elsewhere("", ()),
    not_on_the_floor(""),
    shown_without_tables(""),
    more_guests_than_seats(0, 0),
    sit_without(()),
    came_after_all("", ()),
    came_after_all("", ("",)),
    refused_by_host(""),
    despite(()),
)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"%\((\w+)\)s", template)  # Texts and names of values alternate.
    return re.compile("".join(f"(?P<{part}>.+)" if place % 2 else re.escape(part) for place, part in enumerate(parts)))


_PATTERNS = tuple((_pattern(each.template), each.template) for each in _KNOWN)


def read(english: str) -> Text | None:
    """Return the translatable sentence of this module for its English text; None if it is not from here."""
    if isinstance(english, Text):
        return english
    if len(english) > LONGEST:
        return None
    for pattern, template in _PATTERNS:
        found = pattern.fullmatch(english)
        if found:
            return Text(template, found.groupdict())
    return None
