"""docs/checks.md has every check's id, what it means, and what to do."""

import re

from tests.docs.document import PROJECT

TEXT = (PROJECT / "docs" / "checks.md").read_text()
ROW = re.compile(r"^\| `((?:assignments|rollout)\.[EW]\d{3})` \| (.+?) \| (.+?) \|$", re.MULTILINE)


def ids_in_the_code() -> set[str]:
    """Those written in full, and those to which a check adds its app: ``"E020"``."""
    return {
        id_ if "." in id_ else f"{package}.{id_}"
        for package in ("assignments", "rollout")
        for path in (PROJECT / package).rglob("*.py")
        for id_ in re.findall(r"\"((?:(?:assignments|rollout)\.)?[EW]\d{3})\"", path.read_text())
    }


def test_every_id_is_documented_and_none_besides() -> None:
    documented = [id_ for id_, _found, _cure in ROW.findall(TEXT)]
    assert sorted(documented) == sorted(ids_in_the_code())
    assert len(documented) == len(set(documented))


def test_each_says_what_was_found_and_what_to_do_in_sentences() -> None:
    for id_, found, cure in ROW.findall(TEXT):
        assert found.endswith("."), id_
        assert cure.endswith("."), id_
