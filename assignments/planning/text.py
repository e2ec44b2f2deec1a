"""A sentence that can be shown in any language: its English template, and the values in it. Does no I/O.

Rules and commands use a ``Text`` as an English string. Pages show it in the reader's language, with
``assignments.staff.labels.render``. Import ``gettext`` as ``_``, so that ``makemessages`` finds the templates.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, tzinfo
from typing import Any

LONGEST_MOMENT = len("2026-11-29T18:30:00.000000+00:00")


class Text(str):
    """The English sentence. ``template`` has places for ``values`` as ``%(name)s``; values are texts, strings or numbers.

    ``plural`` is the template, if any, for a value ``count`` other than 1. A template without values is not filled in,
    so it may contain a percent sign. Moments are values as ``by_the_clock`` writes them. Raises KeyError, TypeError or
    ValueError if template and values do not match.
    """

    __slots__ = ("plural", "template", "values")

    template: str
    values: Mapping[str, Any]
    plural: str

    def __new__(cls, template: str, values: Mapping[str, Any] | None = None, plural: str = "") -> "Text":
        english = plural if plural and values and values["count"] != 1 else template
        text = super().__new__(cls, english % values if values else english)
        text.template, text.values, text.plural = template, values or {}, plural
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep template and values when the text is pickled or copied."""
        return Text, (self.template, self.values, self.plural)

    def __deepcopy__(self, memo: Any) -> "Text":
        return self

    def to_json(self) -> dict[str, Any]:
        """Return template and values as JSON values."""
        return {
            "template": self.template,
            "parameters": {
                name: value.to_json() if isinstance(value, Text) else value for name, value in self.values.items()
            },
            **({"plural": self.plural} if self.plural else {}),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "Text":
        """Return the text that ``to_json`` has stored, or that of a stored refusal. Raises what the class raises.

        Older refusals were stored with the English ``detail``, or only a code, which gives an empty text.
        """
        if "template" not in stored:
            behind = [cls.from_json(each) for each in stored.get("because", ())]
            said = stored.get("text") or stored.get("detail", "")
            return together([_filled(said, stored.get("values", {})), *behind])
        return _filled(stored["template"], stored["parameters"], stored.get("plural", ""))


def gettext(template: str, /, **values: Any) -> Text:
    """Return a text with these values, which may be texts themselves."""
    return Text(template, values)


def ngettext(singular: str, plural: str, count: int, /, **values: Any) -> Text:
    """Return a text that depends on a number, which is ``%(count)s`` in it."""
    return Text(singular, {**values, "count": count}, plural)


def together(texts: Sequence[Text], separator: str = " ") -> Text:
    """Join several texts into one; empty if there are none."""
    if len(texts) == 1:
        return texts[0]
    places = {f"part{number}": each for number, each in enumerate(texts)}
    return Text(separator.join(f"%({place})s" for place in places), places)


def by_the_clock(moment: datetime, zone: tzinfo) -> str:
    """Write a moment by a restaurant's clock, as a value of a text: 2026-11-29 18:30.

    At the ends of the calendar, where the restaurant's clock would overflow, the moment's own zone is used.
    """
    with suppress(OverflowError):
        moment = moment.astimezone(zone)
    return f"{moment:%Y-%m-%d %H:%M}"


def day_or_moment(value: str) -> date | datetime | None:
    """Read a value of a text that is a day or a moment, in ISO format; None for any other."""
    if not 10 <= len(value) <= LONGEST_MOMENT or not (value[:4].isdecimal() and value[4] == value[7] == "-"):
        return None
    try:
        return date.fromisoformat(value) if len(value) == len("2026-11-29") else datetime.fromisoformat(value)
    except ValueError:
        return None


def _filled(template: str, values: Mapping[str, Any], plural: str = "") -> Text:
    made = {name: Text.from_json(value) if isinstance(value, dict) else value for name, value in values.items()}
    return Text(template, made, plural)
