"""A sentence that is English at once, and keeps how it was made."""

import copy
import json
import pickle

import pytest

from assignments.planning.reasons import Reason, Refusal
from assignments.planning.text import Text, ngettext, together
from assignments.planning.text import gettext as _

INNER = _("%(count)s tables", count=2)
TEXTS = [
    _("Nothing."),
    _("100% taken."),
    _("Party of %(party)s: %(what)s.", party=4, what=INNER),
    ngettext("%(count)s seat of %(tables)s", "%(count)s seats of %(tables)s", 1, tables="T1"),
    ngettext("%(count)s seat of %(tables)s", "%(count)s seats of %(tables)s", 3, tables="T1"),
    together([_("One."), _("Two of %(what)s.", what=INNER)]),
    together([]),
]


def made(text: Text) -> tuple[object, ...]:
    return str(text), text.template, text.plural, dict(text.values)


def test_it_is_the_english_sentence() -> None:
    assert [str(text) for text in TEXTS] == [
        "Nothing.",
        "100% taken.",
        "Party of 4: 2 tables.",
        "1 seat of T1",
        "3 seats of T1",
        "One. Two of 2 tables.",
        "",
    ]


@pytest.mark.parametrize("text", TEXTS, ids=str)
def test_what_it_was_made_of_survives_json_and_copies(text: Text) -> None:
    assert made(Text.from_json(json.loads(json.dumps(text.to_json())))) == made(text)
    assert made(copy.deepcopy(text)) == made(pickle.loads(pickle.dumps(text))) == made(text)


def test_a_stored_refusal_is_read_with_the_reasons_behind_it() -> None:
    behind = Refusal(Reason.TABLE_INACTIVE, _("Table %(table)s is out of service.", table="T1"))
    refusal = Refusal(Reason.PINNED_TABLES_UNFIT, _("The pinned tables will not do."), (behind, behind))
    stored = json.loads(json.dumps(refusal.to_json()))
    assert stored["because"][0] == {
        "reason": "table_inactive",
        "text": "Table %(table)s is out of service.",
        "values": {"table": "T1"},
        "because": [],
    }
    assert made(Text.from_json(stored)) == made(refusal.detail)


@pytest.mark.parametrize(
    "stored", [{"template": "No.", "parameters": 3}, {"text": "%(x)s", "values": {"y": 1}}], ids=str
)
def test_what_is_no_text_is_not_read(stored: dict[str, object]) -> None:
    with pytest.raises((AttributeError, KeyError)):
        Text.from_json(stored)
