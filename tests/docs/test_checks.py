"""docs/checks.md has every check's id, what it means, and what to do."""

import re

from tests.docs.document import PROJECT

TEXT = (PROJECT / "docs" / "checks.md").read_text()
ROW = re.compile(r"^\| `((?:assignments|rollout)\.[EW]\d{3})` \| (.+?) \| (.+?) \|$", re.MULTILINE)


def ids_in_the_code() -> set[str]:
    """Every id that the code writes in full, and those of a ModelHost, which it writes without the app."""
    whole = {
        id_
        for package in ("assignments", "rollout")
        for path in (PROJECT / package).rglob("*.py")
        for id_ in re.findall(r"\"((?:assignments|rollout)\.[EW]\d{3})\"", path.read_text())
    }
    checking = (PROJECT / "assignments" / "integration" / "model_host" / "checking.py").read_text()
    of_hosts = set(re.findall(r"\"([EW]\d{3})\"", checking))
    assert {"E020", "W021"} <= of_hosts
    return whole | {f"assignments.{id_}" for id_ in of_hosts}


def test_every_id_is_documented_and_none_besides() -> None:
    documented = [id_ for id_, _found, _cure in ROW.findall(TEXT)]
    assert sorted(documented) == sorted(ids_in_the_code())
    assert len(documented) == len(set(documented))


def test_each_says_what_was_found_and_what_to_do_in_sentences() -> None:
    for id_, found, cure in ROW.findall(TEXT):
        assert found.endswith("."), id_
        assert cure.endswith("."), id_
