"""What rules say in English is shown in the reader's language; what the booking project says stays as it is."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, time
from enum import StrEnum
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from django.utils import translation

from assignments.integration import floor_cache
from assignments.lifecycle import sentences
from assignments.models import Assignment, Attempt, Stage
from assignments.outcome import CoordinatorReason
from assignments.planning.floor import InvalidFloorError, ServicePeriod
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.seating_window import seating_window
from assignments.planning.text import Text, ngettext, together
from assignments.planning.text import gettext as _
from assignments.staff import labels
from assignments.testing import MemoryHost, a_floor
from tests.assignments.planning.restaurant import TURNS


class ShiftingHost(MemoryHost):
    """Somebody edits its floor all the time."""

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        self.asked = getattr(self, "asked", 0) + 1
        return str(self.asked)


def test_our_own_sentence_about_a_floor_is_shown_in_the_readers_language() -> None:
    problem = floor_cache.floor_or_problem("R1", host=MemoryHost())[1]
    assert problem == labels.render(problem) == "The host has no floor for restaurant 'R1' (KeyError)."
    with translation.override("de"):
        assert labels.render(problem) == "Das Buchungsprojekt hat keinen Tischplan für das Restaurant 'R1' (KeyError)."
        assert labels.reason(CoordinatorReason.INVALID_FLOOR, problem).endswith("für das Restaurant 'R1' (KeyError).")


def test_so_is_what_an_attempt_kept_of_it_and_an_older_one_stays_english() -> None:
    problem = floor_cache.floor_or_problem("R1", host=MemoryHost())[1]
    assert isinstance(problem, Text)
    older = Attempt(reason=CoordinatorReason.INVALID_FLOOR, detail=str(problem))
    newer = Attempt(reason=older.reason, detail=older.detail, decision={"detail": problem.to_json()})
    with translation.override("de"):
        assert labels.Words(None).attempt(older).endswith("restaurant 'R1' (KeyError).")
        assert labels.Words(None).attempt(newer).endswith("für das Restaurant 'R1' (KeyError).")


def test_a_floor_that_is_being_edited_is_too() -> None:
    with pytest.raises(InvalidFloorError) as raised:
        floor_cache.floor_of("R1", host=ShiftingHost(floors=[a_floor()]))
    with translation.override("de"):
        assert labels.render(raised.value) == "Der Tischplan des Restaurants 'R1' wird gerade geändert."
        assert labels.render(raised.value.said) == "Der Tischplan des Restaurants 'R1' wird gerade geändert."


@pytest.mark.parametrize("sentence", ["", "table 'T1' has 0 seats", "The host raised a toast for its floors."])
def test_what_the_project_said_stays_as_it_was_said(sentence: str) -> None:
    with translation.override("de"):
        assert labels.render(sentence) == sentence
        assert labels.render(InvalidFloorError(sentence)) == sentence


def test_a_text_is_translated_with_all_that_is_inside_of_it() -> None:
    covers = ngettext("%(count)s cover", "%(count)s covers", 4)
    fits = _(
        "%(tables)s for %(party)s from %(start)s to %(end)s: it fits exactly.",
        tables="T1",
        party=covers,
        start=6,
        end=7,
    )
    both = together([fits, _("Staff rejected it.")])
    assert labels.render(both) == both == "T1 for 4 covers from 6 to 7: it fits exactly. Staff rejected it."
    with translation.override("de"):
        assert labels.render(both) == f"{labels.render(fits)} {labels.render(Text('Staff rejected it.'))}"
        assert "4 Personen" in labels.render(both)
        assert "cover" not in labels.render(both)


@pytest.mark.parametrize(
    ("value", "english", "german"),
    [
        ("2026-11-29 21:16", "29 Nov 2026, 21:16", "29. Nov 2026, 21:16"),
        ("2026-11-29", "29 Nov 2026", "29. Nov 2026"),
        ("2026-11-29T21:16:05+00:00", "29 Nov 2026, 21:16 UTC", "29. Nov 2026, 21:16 UTC"),
        ("2026-13-29 21:16", "2026-13-29 21:16", "2026-13-29 21:16"),
        ("2026-table", "2026-table", "2026-table"),
    ],
)
def test_a_moment_in_a_text_is_written_as_the_reader_writes_it(value: str, english: str, german: str) -> None:
    said = _("The restaurant is closed on %(date)s.", date=value)
    stored = Text.from_json(said.to_json())
    assert str(said) == f"The restaurant is closed on {value}.", "commands and the record keep it as it is"
    for text in (said, stored):
        assert labels.render(text) == f"The restaurant is closed on {english}."
        with translation.override("de"):
            assert labels.render(text) == f"Das Restaurant ist am {german} geschlossen."


def test_a_refusal_says_its_times_by_the_restaurants_clock_in_the_readers_language() -> None:
    floor = a_floor(timezone="America/New_York")
    refusal = seating_window(floor, starts_at=datetime(2026, 11, 29, 9, tzinfo=UTC), party=4)
    assert isinstance(refusal, Refusal)
    with translation.override("de"):
        assert labels.render(refusal.detail).startswith("29. Nov 2026, 04:00 liegt außerhalb der Servicezeiten")


@pytest.mark.parametrize(("key", "name"), [("dinner", "Abendessen"), ("tasting_menu", "tasting menu")])
def test_a_refusal_names_the_service_that_ends_in_the_readers_language(key: str, name: str) -> None:
    dinner = ServicePeriod(key=key, starts=time(18), ends=time(23), turn_times=TURNS)
    floor = a_floor(services=[dinner])
    refusal = seating_window(floor, starts_at=datetime(2026, 11, 29, 22, 30, tzinfo=UTC), party=4)
    assert isinstance(refusal, Refusal)
    assert f"; {key} ends at 2026-11-29 23:00" in refusal.detail
    with translation.override("de"):
        assert f"; {name} endet am 29. Nov 2026, 23:00" in labels.render(refusal.detail)


def test_a_code_is_shown_by_its_translation_where_it_has_one() -> None:
    class Code(StrEnum):
        KNOWN = "confirmed"
        UNKNOWN = "unheard_of"

    with translation.override("de"):
        assert (labels.render(Code.KNOWN), labels.render(Code.UNKNOWN)) == ("bestätigt", "unheard_of")


SOURCE = Path(labels.__file__).parent.parent


GIVEN = ("reason", "trigger", "actor")
"""The names by which our code gives codes."""


@cache
def _parsed() -> list[ast.Module]:
    """Modules of ours that name what codes are given by; to parse all of them takes a second."""
    paths = sorted(path for path in SOURCE.rglob("*.py") if "migrations" not in path.parts)
    texts = [path.read_text() for path in paths]
    return [ast.parse(text) for text in texts if re.search(rf"\b({'|'.join(GIVEN)})(?:: [^\n]+ )?=|eason code", text)]


@cache
def _given() -> list[tuple[str, str]]:
    """Every text that our code gives by a name: to a call, or as a default. Names and texts."""
    found: list[tuple[str, ast.expr | None]] = []
    for node in (node for module in _parsed() for node in ast.walk(module)):
        if isinstance(node, ast.keyword) and node.arg:
            found.append((node.arg, node.value))
        elif isinstance(node, ast.FunctionDef):
            named = [arg.arg for arg in node.args.kwonlyargs]
            found += zip(named, node.args.kw_defaults, strict=True)
    return [
        (name, each.value)
        for name, each in found
        if isinstance(each, ast.Constant) and isinstance(each.value, str) and each.value
    ]


def _said(name: str) -> Iterator[str]:
    """Every text that our code gives by this name."""
    assert name in GIVEN
    return (text for given, text in _given() if given == name)


def _reason_codes() -> Iterator[str]:
    """Codes written where they are used, and constants that are documented as such."""
    yield from _said("reason")
    for module in _parsed():
        for node, after in pairwise(module.body):
            says = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and str(after.value.value)
            if says and "eason code" in says and isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                yield str(node.value.value)


def test_every_code_that_history_keeps_has_words_in_both_languages() -> None:
    reasons, triggers, actors = set(_reason_codes()), set(_said("trigger")), set(_said("actor"))
    assert {"edit_unmet", "overlapping", "walk_in", "cancelled_by_call", "woken"} <= reasons
    assert {"edit", "woken", "staff"} <= triggers
    assert {"waitlist", "host"} <= actors
    transitions = {each.name for each in Assignment._meta.get_field("state").get_all_transitions(Assignment)}
    for words, codes in (
        (labels.reason, {*reasons, Stage.LEFT, Stage.NO_SHOW}),
        (labels.trigger, triggers - {"scheduled"}),
        (labels.actor, actors),
        (labels.transition, transitions),
    ):
        english = {code: words(code) for code in codes}
        with translation.override("de"):
            german = {code: words(code) for code in codes}
        unsaid = {code for code in codes if english[code] in {code, code.replace("_", " ")}}
        if words is labels.transition:  # Their names are words already.
            unsaid = codes - dict(labels.transitions()).keys()
        assert not unsaid
        assert {code for code in codes if english[code] == german[code]} == set()


def test_what_history_says_in_english_is_read_in_german() -> None:
    stored = str(sentences.expect_the_same_table({"B2", "B1"}))
    assert labels.reason("overlapping", stored) == (
        "Guests stay longer, and the next booking expects the same table. "
        "Its guests and those of booking B1, B2 expect the same table."
    )
    despite = str(sentences.despite({Reason.SERVICE_OVERRUN, Reason.TABLE_INACTIVE}))
    assert despite == "Despite service_overrun, table_inactive."
    assert labels.reason("by_hand", despite) == (
        "Staff chose its tables. "
        "Rules passed over: The party would sit past the end of the service; A table is out of service."
    )
    with translation.override("de"):
        assert "B1, B2" in labels.reason("overlapping", stored)
        assert "Its guests" not in labels.reason("overlapping", stored)
        assert "Tisch" in labels.reason("by_hand", despite)
    assert labels.reason("overlapping", "What somebody typed.") == labels.reason("overlapping")


def test_every_sentence_of_history_is_known_again() -> None:
    for each in (
        sentences.NO_FLOOR,
        sentences.SAT_THERE,
        sentences.shown_elsewhere("T1 + T2", ["B7"]),
        sentences.not_on_the_floor("T1 + T2"),
        sentences.shown_without_tables("T1 + T2"),
        sentences.more_guests_than_seats(4, 6),
        sentences.sit_without(["window", "step-free"]),
        sentences.came_after_all("T1 + T2", []),
        sentences.came_after_all("T1 + T2", ["B7"]),
    ):
        again = sentences.read(str(each))
        assert again == each
        assert again is not None
        assert again.template == each.template
        assert labels.reason("table_out_of_service", str(each)).endswith(str(each))
