"""Sanitizes other people's texts: no invisible characters, and no markup."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn"})
"""Control, format (text direction among them), private, surrogate and unassigned characters."""
_MARKUP = re.compile(r"[\\`*\[\]<>|~&$#]|(?<![^\W_])_|_(?![^\W_])")
"""Markdown markup. A bare URL stays a link: it shows its target."""


def visible(text: str) -> str:
    """The text on one line. White space becomes one space; invisible and direction-changing characters are replaced."""
    return "".join(
        REPLACEMENT if unicodedata.category(character) in _HIDDEN else character for character in " ".join(text.split())
    )


def markdown(text: str) -> str:
    """The text as Markdown that shows it, on one line: no markup, no HTML, no end of a table's cell."""
    return _MARKUP.sub(lambda found: f"\\{found.group()}", visible(text))


def plain(value: Any, escape: Callable[[str], str]) -> Any:
    """The value with every text in it escaped, keys too, so that a template cannot forget it. Moments become texts."""
    match value:
        case str():
            return escape(value)
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case date():
            return value.isoformat()
        case Mapping():
            return {plain(key, escape): plain(item, escape) for key, item in value.items()}
        case list() | tuple():
            return [plain(item, escape) for item in value]
    return value
