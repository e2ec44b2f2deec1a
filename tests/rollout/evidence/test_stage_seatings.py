"""What the audit finds adds up over the stage, and refusals that a move would have avoided are told apart."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from assignments.integration import release
from assignments.integration.host import HostBooking
from assignments.planning.snapshot import PlanningRules
from assignments.testing import a_floor, a_service, a_table
from rollout.control import steering
from rollout.evidence import measuring
from rollout.evidence.live_decisions import _Decided, _Inspection
from rollout.evidence.movable import Movable, Taken
from rollout.models import GuardRun, Position
from rollout.policy import guardrails
from rollout.policy.measurements import Seatings
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

    def looked(self, window: int, wrong: int, *, late: float = 0.0, **more: Any) -> None:
        since = self.began + timedelta(hours=window - 1 + late)
        values = {"environment": "dev", "stage": "full", "release": release.running(), **more}
        seatings = {"checked": 100, "refusals": 20, "wrong_refusals": wrong, "reasons": {}, "unknown": 1}
        GuardRun.objects.create(measured={"window": window, "since": since.isoformat(), "seatings": seatings}, **values)

    def wrong_refusals(self) -> int:
        position = steering.current()
        assert position is not None
        return measuring.measure_live(position, minutes=60).stage_seatings.wrong_refusals

    def test_windows_that_do_not_overlap_are_added_up_as_they_were_last_looked_at(self) -> None:
        for window, wrong in ((1, 1), (1, 2), (2, 50), (3, 4)):
            self.looked(window, wrong)
        assert self.wrong_refusals() == 6

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


class TestAvoidableByMoves:
    """A party of two sits at the table for four; a party of four was refused; the table for two is free."""

    def audited(self, *, may_move: bool = True, **mover: Any) -> Seatings:
        floor = a_floor(
            tables=[a_table("four", seats=4), a_table("two", seats=2)], services=[a_service()], timezone="UTC"
        )
        refused = _Decided(
            booking_ref="refused",
            restaurant_ref="R1",
            service_date=EVENING[1],
            outcome="retry",
            reason="no_capacity",
            at=NOW,
            starts_at=START,
            party=4,
            pinned=(),
            strategy="",
            tables=(),
            blocked_from=None,
            blocked_until=None,
            is_unsure=False,
            is_adjusted=False,
            is_altered=False,
        )
        asking = HostBooking(ref="refused", restaurant_ref="R1", starts_at=START, party=4)
        sitting = HostBooking(ref="mover", restaurant_ref="R1", starts_at=START, party=2, may_move=may_move)
        taken = [
            Taken(
                table_ref="four",
                booking_ref="mover",
                blocked_from=START,
                blocked_until=START + timedelta(hours=2),
                at=NOW - timedelta(hours=1),
            )
        ]
        movers = [Movable(**{"booking_ref": "mover", "party": 2, "starts_at": START, "zone_ref": "", **mover})]
        seatings, _right = _Inspection(
            {"R1": floor},
            {"refused": asking, "mover": sitting},
            {EVENING: taken},
            rules=PlanningRules(),
            movable={EVENING: movers},
        ).of([refused])
        return seatings

    def test_it_is_found_and_is_not_called_wrong(self) -> None:
        found = self.audited()
        assert (found.refusals, found.wrong_refusals, found.avoidable_by_moves) == (1, 0, 1)

    def test_not_if_the_other_party_is_somebody_who_may_not_be_moved(self) -> None:
        assert self.audited(booking_ref="another").avoidable_by_moves == 0

    def test_not_if_the_host_wants_it_to_stay(self) -> None:
        assert self.audited(may_move=False).avoidable_by_moves == 0

    def test_not_if_the_other_party_comes_too_soon_to_be_moved(self) -> None:
        assert self.audited(starts_at=NOW + timedelta(minutes=1)).avoidable_by_moves == 0

    def test_not_if_the_other_party_is_too_large_for_the_free_table(self) -> None:
        assert self.audited(party=3).avoidable_by_moves == 0
