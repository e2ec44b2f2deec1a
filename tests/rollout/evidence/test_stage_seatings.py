"""What the audit finds adds up over the stage."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from assignments.integration import release
from rollout.control import steering
from rollout.evidence import measuring
from rollout.models import GuardRun, Position
from rollout.policy import guardrails
from rollout.policy.measurements import Outcomes, Seatings
from tests.rollout.control.test_steering import climb, configure
from tests.rollout.policy.test_gates import facts

NOW = datetime(2030, 5, 3, 9, tzinfo=UTC)
START = datetime(2030, 5, 3, 18, tzinfo=UTC)
EVENING = ("R1", date(2030, 5, 3))


class TestAddedUp:
    @pytest.fixture(autouse=True)
    def at_the_stage_for_four_hours_and_a_half(self, settings: Any, transactional_db: Any) -> None:
        configure(settings)
        climb("full")
        self.began = datetime.now(UTC) - timedelta(hours=4, minutes=30)
        Position.objects.update(since=self.began, release_since=None)

    def looked(
        self, window: int, wrong: int, *, late: float = 0.0, v3: Mapping[str, int] | None = None, **more: Any
    ) -> None:
        since = self.began + timedelta(hours=window - 1 + late)
        values = {"environment": "dev", "stage": "full", "release": release.running(), **more}
        seatings = {"checked": 100, "refusals": 20, "wrong_refusals": wrong, "reasons": {}, "unknown": 1}
        measured = {"window": window, "since": since.isoformat(), "seatings": seatings, "v3": v3}
        GuardRun.objects.create(measured=measured, **values)

    def wrong_refusals(self) -> int:
        position = steering.current()
        assert position is not None
        return measuring.measure_live(position, minutes=60).stage_seatings.wrong_refusals

    def test_windows_that_do_not_overlap_are_added_up_as_they_were_last_looked_at(self) -> None:
        for window, wrong in ((1, 1), (1, 2), (2, 50), (3, 4)):
            self.looked(window, wrong)
        assert self.wrong_refusals() == 6

    def test_reviews_add_up_too(self) -> None:
        v3 = {"bookings": 120, "confirmed": 80, "review": 8, "infeasible": 20}
        for window in (1, 2, 3):
            self.looked(window, 0, v3=v3)
        position = steering.current()
        assert position is not None
        facts = measuring.measure_live(position, minutes=60)
        assert (facts.stage_v3.review, facts.stage_v3.feasible, facts.v3.bookings) == (16, 200, 0)

    def test_what_belongs_to_another_release_stage_or_length_does_not_count(self) -> None:
        self.looked(1, 5, release="another")
        self.looked(1, 5, stage="some")
        self.looked(3, 5, late=0.5)
        self.looked(1, 1)
        assert self.wrong_refusals() == 1


def test_small_harm_that_no_window_shows_breaches_over_the_stage() -> None:
    little = Seatings(checked=190, refusals=10, wrong_refusals=2)
    added = little
    for _window in range(5):
        added += little
    assert not guardrails.breaches(facts(seatings=little, window=9), guardrails.DEFAULT)
    (breach,) = guardrails.breaches(facts(seatings=little, stage_seatings=added, window=9), guardrails.DEFAULT)
    assert (breach.rail, breach.sample) == ("wrong_refusals", 1200)


def test_reviews_that_no_window_shows_breach_over_the_stage() -> None:
    little = Outcomes(bookings=100, confirmed=90, review=9)
    whole = Outcomes(bookings=2000, confirmed=1800, review=180)
    assert not guardrails.breaches(facts(v3=little, window=9), guardrails.DEFAULT)
    (breach,) = guardrails.breaches(facts(v3=little, stage_v3=whole, window=9), guardrails.DEFAULT)
    assert (breach.rail, breach.sample) == ("review", 2000)
