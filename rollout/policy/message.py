"""A text that can be said in another language later: English, and how it was made. Pure.

Rules and commands use it as the English text that it is. Pages say it again in the user's language
(``rollout.admin.labels``). Import ``phrase`` as ``_``, so that ``makemessages`` finds the texts.
"""

from collections.abc import Sequence
from typing import Any


class Phrase(str):
    """The text, filled in. ``template`` has the places for ``parameters`` as ``%(name)s``."""

    __slots__ = ("parameters", "template")

    template: str
    parameters: dict[str, Any]

    def __new__(cls, template: str, parameters: dict[str, Any] | None = None) -> "Phrase":
        text = super().__new__(cls, template % parameters if parameters else template)
        text.template, text.parameters = template, parameters or {}
        return text

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is one too."""
        return Phrase, (self.template, self.parameters)

    def __deepcopy__(self, memo: Any) -> "Phrase":
        return self

    def to_json(self) -> dict[str, Any]:
        """How it was made, as values that JSON has. Parameters are phrases, texts or numbers."""
        return {
            "template": self.template,
            "parameters": {
                name: value.to_json() if isinstance(value, Phrase) else value for name, value in self.parameters.items()
            },
        }

    @classmethod
    def from_json(cls, kept: dict[str, Any]) -> "Phrase":
        """The phrase of which ``to_json`` told. Raises KeyError for what is none."""
        return cls(
            kept["template"],
            {
                name: cls.from_json(value) if isinstance(value, dict) else value
                for name, value in kept["parameters"].items()
            },
        )


def phrase(template: str, /, **parameters: Any) -> Phrase:
    """The phrase; parameters may be phrases themselves."""
    return Phrase(template, parameters)


def together(phrases: Sequence[Phrase], separator: str = " ") -> Phrase:
    """Several as one; empty when there are none."""
    places = {f"part{number}": each for number, each in enumerate(phrases)}
    return Phrase(separator.join(f"%({place})s" for place in places), places)
