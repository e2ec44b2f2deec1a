"""The order in which people list names: T2 before T10."""

import re
import unicodedata

NaturalKey = tuple[tuple[tuple[int, int, str], ...], str]


def natural_key(text: str) -> NaturalKey:
    """Return a sort key by which numbers in a text count as numbers, and case does not matter.

    A number comes before a letter. Texts that are otherwise equal (``T2`` and ``t02``) are ordered as plain text, so
    that two different texts never have equal keys.
    """
    parts = re.split(r"(\d+)", unicodedata.normalize("NFKC", text).casefold())
    return tuple(_number(part) if part.isdecimal() else (1, 0, part) for part in parts if part), text


def _number(digits: str) -> tuple[int, int, str]:
    # By length, then digit by digit: the order that int() would give, if it did not refuse very long numbers.
    plain = "".join(str(unicodedata.decimal(digit)) for digit in digits).lstrip("0")
    return (0, len(plain), plain)
