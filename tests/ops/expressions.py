"""What a PromQL expression asks for."""

import re

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\bgroup_(?:left|right)\b")
_SELECTOR = re.compile(r"(?<![\w:$])(?P<name>[a-zA-Z_:][\w:]*)\b\s*(?P<matchers>\{[^}]*\})?(?!\s*\()")
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


def selectors(expression: str) -> dict[str, str]:
    """Each selector of the expression without its window, such as ``up{job="booking"}``, and its metric's name."""
    strings: list[str] = []

    def put_aside(found: re.Match[str]) -> str:
        strings.append(found[0])
        return f"${len(strings) - 1}$"

    bare = _GROUPING.sub(" ", re.sub(r"\[[^\]]*\]", " ", _STRING.sub(put_aside, expression)))
    return {
        re.sub(r"\$(\d+)\$", lambda each: strings[int(each[1])], " ".join(found[0].split())): found["name"]
        for found in _SELECTOR.finditer(bare)
        if found["name"].lower() not in _WORDS
    }


def metrics(expression: str) -> set[str]:
    """The names of the metrics in it."""
    return set(selectors(expression).values())
