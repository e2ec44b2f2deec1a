"""What was stored in English is said in the reader's language, as far as it is ours to say."""

import pytest
from django.utils import translation

from assignments.integration import floor_cache
from assignments.outcome import CoordinatorReason
from assignments.planning.floor import InvalidFloorError
from assignments.staff import labels
from assignments.testing import MemoryHost, a_floor


class ShiftingHost(MemoryHost):
    """Somebody edits its floor all the time."""

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        self.asked = getattr(self, "asked", 0) + 1
        return str(self.asked)


def test_our_own_sentence_about_a_floor_is_said_again_where_it_is_read() -> None:
    stored = floor_cache.floor_or_problem("R1", host=MemoryHost())[1]
    assert stored == "The host has no floor for restaurant 'R1' (KeyError)."
    assert labels.said(stored) == stored
    with translation.override("de"):
        assert labels.said(stored) == "Das Buchungsprojekt hat keinen Tischplan für das Restaurant 'R1' (KeyError)."
        assert labels.reason(CoordinatorReason.INVALID_FLOOR, stored).endswith("für das Restaurant 'R1' (KeyError).")


def test_a_floor_that_is_being_edited_is_said_again_too() -> None:
    with pytest.raises(InvalidFloorError) as raised:
        floor_cache.floor_of("R1", host=ShiftingHost(floors=[a_floor()]))
    with translation.override("de"):
        assert labels.said(str(raised.value)) == "Der Tischplan des Restaurants 'R1' wird gerade geändert."


@pytest.mark.parametrize("sentence", ["", "table 'T1' has 0 seats", "The host raised a toast for its floors."])
def test_what_the_project_said_stays_as_it_was_said(sentence: str) -> None:
    with translation.override("de"):
        assert labels.said(sentence) == sentence
