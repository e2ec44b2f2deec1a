"""Where links into this repository's documents lead."""

import re

from tests.ops.prometheus import OPS

PROJECT = OPS.parent


def resolves(target: str) -> bool:
    """Whether ``docs/page.md#heading`` is there: the file, and a heading that gives this anchor."""
    path, _hash, anchor = target.partition("#")
    return (PROJECT / path).is_file() and anchor in anchors(path)


def anchors(path: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", (PROJECT / path).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
