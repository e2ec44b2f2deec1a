"""A sentence that is English at once, and keeps how it was made."""

import copy
import json
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from assignments.planning.reasons import Reason, Refusal
from assignments.planning.text import Text, by_the_clock, day_or_moment, ngettext, together
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


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("2026-11-29", date(2026, 11, 29)),
        ("2026-11-29T18:30", datetime(2026, 11, 29, 18, 30)),  # noqa: DTZ001
        ("2026-11-29T18:30:00+00:00", datetime(2026, 11, 29, 18, 30, tzinfo=UTC)),
        ("2026-11-29T18:30:00.000001+01:00", datetime(2026, 11, 29, 18, 30, 0, 1, timezone(timedelta(hours=1)))),
        ("2026-11-29T18:30:00.000001+01:00:00", None),  # longer than any moment that is written
        ("2026-11-2", None),
        ("2026-13-29", None),
        ("2026-11/29", None),
        ("2026/11-29", None),
        ("2026-W48-7", None),
        ("20261129T183000", None),
        ("Table 2026-11-29", None),
        ("12-34-5678-9", None),
        ("", None),
    ],
)
def test_a_day_or_a_moment_is_read_as_it_is_written(value: str, read: date | datetime | None) -> None:
    found = day_or_moment(value)
    assert (found, type(found)) == (read, type(read))


def test_a_moment_is_written_by_the_restaurants_clock_but_not_beyond_the_calendar() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    assert by_the_clock(datetime(2026, 11, 29, 18, 30, tzinfo=UTC), tokyo) == "2026-11-30 03:30"
    assert by_the_clock(datetime(9999, 12, 31, 18, 30, tzinfo=UTC), tokyo) == "9999-12-31 18:30"
