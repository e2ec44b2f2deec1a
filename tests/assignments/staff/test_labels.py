"""What rules say in English is shown in the reader's language; what the booking project says stays as it is."""

from enum import StrEnum

import pytest
from django.utils import translation

from assignments.integration import floor_cache
from assignments.models import Attempt
from assignments.outcome import CoordinatorReason
from assignments.planning.floor import InvalidFloorError
from assignments.planning.text import Text, ngettext, together
from assignments.planning.text import gettext as _
from assignments.staff import labels
from assignments.testing import MemoryHost, a_floor


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


def test_a_code_is_shown_by_its_translation_where_it_has_one() -> None:
    class Code(StrEnum):
        KNOWN = "confirmed"
        UNKNOWN = "unheard_of"

    with translation.override("de"):
        assert (labels.render(Code.KNOWN), labels.render(Code.UNKNOWN)) == ("bestätigt", "unheard_of")
