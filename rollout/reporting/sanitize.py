"""Texts of others, with nothing in them that a reader cannot see."""

import unicodedata

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
"""Control, format (text direction among them), private, surrogate and unassigned characters."""


def visible(text: str) -> str:
    """The text on one line: white space becomes one blank, what has no glyph or turns the direction a replacement."""
    return "".join(
        REPLACEMENT if unicodedata.category(character) in _HIDDEN else character for character in " ".join(text.split())
    )
