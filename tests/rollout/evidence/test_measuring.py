"""Measuring: each fact from a database in which it is known, in a number of queries that does not grow."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from psycopg.types.range import TimestamptzRange

from assignments import api
from assignments.coordination import dispatch
from assignments.integration import release
from assignments.models import Allocation, Assignment, Attempt, Closure
from example import models
from rollout.control import steering, switches
from rollout.evidence import known_floors, live_decisions, measuring
from rollout.flags import resolution
from rollout.models import Comparison, FloorRecord, Position
from rollout.policy import gates
from rollout.policy.measurements import Facts
from rollout.policy.verdict import Verdict
from rollout.shadow import comparator, recorder
from tests.built import built_once
from tests.example.conftest import load
from tests.rewriting import rewriting
from tests.rollout.control.test_steering import WHO, climb, configure

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def environment(settings: Any, monkeypatch: Any) -> None:
    configure(settings)
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


def compared(verdict: str, count: int = 1, **more: Any) -> Sequence[Comparison]:
    """Comparisons with this verdict, as shadow mode would have kept them."""
    floor, _new = FloorRecord.objects.get_or_create(version="f1", defaults={"restaurant_ref": "R1", "content": {}})
    first = Comparison.objects.count()
    defaults: dict[str, Any] = {
        "restaurant_ref": "R1",
        "floor": floor,
        "snapshot": {},
        "control": {"refusal": None},
        "candidate": {"refusal": ["no_capacity", "x"]},
        "control_ms": 1.0,
        "candidate_ms": 2.0,
        "control_repeats": True,
        "verdict": verdict,
        "release": release.running() if verdict else "",
        "party": 2,
    }
    return Comparison.objects.bulk_create(
        [
            Comparison(
                **{"booking_ref": f"B{first + number}", "snapshot_hash": f"h{first + number}", **defaults, **more}
            )
            for number in range(count)
        ]
    )


def measured() -> Facts:
    position = steering.current()
    assert position is not None
    return measuring.measure(position)


def live(minutes: float = 60) -> Facts:
    position = steering.current()
    assert position is not None
    return measuring.measure_live(position, minutes=minutes)


class TestComparisons:
    @pytest.fixture(autouse=True)
    def _shadow(self, environment: None) -> None:
        climb("shadow")

    def test_verdicts_are_counted(self) -> None:
        compared("same_tables", 5)
        compared("worse", 2, control_repeats=False)
        compared("v3_error", 1, error="timeout", candidate_ms=0.0, control_repeats=None)
        compared("", 4)
        found = measured().comparisons
        assert (found.total, found.verdicts) == (8, {"same_tables": 5, "worse": 2, "v3_error": 1})
        assert (found.asked_twice, found.repeated) == (7, 5)
        assert found.p95.sample == 7, "an error's time says nothing"

    def test_restaurants_are_told_apart(self) -> None:
        compared("same_tables", 6)
        compared("better", 19, restaurant_ref="R2")
        compared("worse", 2, restaurant_ref="R2")
        compared("only_legacy_seats", 19, restaurant_ref="R3")
        found = measured().comparisons
        assert (found.restaurants, found.largest, found.differing) == (3, 21, {"R2": (19, 2)})
        assert (found.total, found.verdicts["better"], found.with_bookings) == (46, 19, 0)

    def test_a_replay_that_was_run_again_counts_once_as_it_was_the_last_time(self) -> None:
        same: dict[str, Any] = {"booking_ref": "B1", "snapshot_hash": "h", "origin": "backtest"}
        for verdict in ("better", "worse", "same_tables"):
            compared(verdict, **same)
        assert measured().comparisons.verdicts == {"same_tables": 1}

    def test_backtests_are_evidence_too(self) -> None:
        compared("same_tables", 3, origin="backtest")
        assert measured().comparisons.total == 3

    def test_percentiles_come_with_the_order_statistics_that_bound_them(self) -> None:
        rows = compared("same_tables", 1000)
        with rewriting():
            Comparison.objects.update(candidate_ms=F("pk") - rows[0].pk + 1)
        found = measured().comparisons
        assert (found.p95.sample, found.p95.value, found.p99.value) == (1000, 950.0, 990.0)
        assert (found.p95.lower, found.p95.upper) == (915.0, 980.0)
        assert (found.p99.lower, found.p99.upper) == (973.0, 1000.0)

    def test_of_a_few_values_the_bounds_are_not_known(self) -> None:
        compared("same_tables", 20)
        assert (measured().comparisons.p99.value, measured().comparisons.p99.upper) == (2.0, None)

    @pytest.mark.parametrize(
        ("waiver", "not_waived"),
        [
            ({"verdict": "worse"}, {"only_legacy_seats": 2}),
            ({"verdict": "only_legacy_seats"}, {"worse": 1}),
            ({"verdict": "only_legacy_seats", "refusal": "no_capacity"}, {"worse": 1, "only_legacy_seats": 1}),
            (
                {"verdict": "only_legacy_seats", "refusal": "no_fit", "restaurant_ref": "R2"},
                {"worse": 1, "only_legacy_seats": 2},
            ),
            ({"verdict": "worse", "restaurant_ref": "R2"}, {"worse": 1, "only_legacy_seats": 2}),
            ({"verdict": "worse", "restaurant_ref": "R1"}, {"only_legacy_seats": 2}),
        ],
    )
    def test_a_waiver_covers_what_it_names_and_nothing_else(
        self, waiver: dict[str, str], not_waived: dict[str, int]
    ) -> None:
        compared("worse", candidate={"refusal": None})
        compared("only_legacy_seats")
        compared("only_legacy_seats", candidate={"refusal": ["no_fit", "x"]})
        soon = datetime.now(UTC) + timedelta(days=1)
        steering.waive(**{**WHO, **waiver}, owner="us", expires_at=soon)
        found = measured()
        assert found.comparisons.not_waived == not_waived
        assert (found.waivers_valid, found.waivers_expired) == (1, 0)

    def test_a_blanket_waiver_covers_no_more_than_its_ceiling(self) -> None:
        compared("worse", 14)
        steering.waive(verdict="worse", owner="x", at_most=5, expires_at=datetime.now(UTC) + timedelta(days=1), **WHO)
        found = measured().comparisons
        assert (found.verdicts["worse"], found.not_waived["worse"]) == (14, 9)

    def test_many_waivers_cover_no_more_than_the_ceiling_that_they_share(self) -> None:
        compared("same_tables", 40)
        soon = datetime.now(UTC) + timedelta(days=1)
        for number in range(5):
            compared("only_legacy_seats", 12, restaurant_ref=f"R{number}")
            steering.waive(
                verdict="only_legacy_seats", owner="x", restaurant_ref=f"R{number}", at_most=200, expires_at=soon, **WHO
            )
        facts = measured()
        found = facts.comparisons
        assert (found.total, found.waived, found.over_ceiling, found.ceiling) == (100, 20, 40, 20)
        assert gates.GATES["refused"](facts, 0).status is gates.Status.FAIL
        assert gates.GATES["parity"](facts, 0.5).status is gates.Status.FAIL
        detail = str(gates.GATES["explanations"](facts, 0).detail)
        assert "20 comparisons are waived, and 40 more would be" in detail

    def test_of_many_comparisons_one_in_a_hundred_may_be_waived(self) -> None:
        compared("same_tables", 2900)
        compared("only_legacy_seats", 100)
        soon = datetime.now(UTC) + timedelta(days=1)
        steering.waive(verdict="only_legacy_seats", owner="x", at_most=200, expires_at=soon, **WHO)
        found = measured().comparisons
        assert (found.waived, found.over_ceiling, found.not_waived["only_legacy_seats"]) == (30, 70, 70)

    def test_the_retries_of_one_booking_are_one_decision(self) -> None:
        """The final one counts; but what was unsafe is not taken back by trying again."""
        for number in range(30):
            compared("only_legacy_seats", booking_ref="B1", snapshot_hash=f"{number}")
        compared("same_tables", booking_ref="B1", snapshot_hash="last")
        compared("unsafe", booking_ref="B2", snapshot_hash="first")
        compared("same_tables", booking_ref="B2", snapshot_hash="last")
        found = measured().comparisons
        assert (found.total, found.verdicts) == (2, {"same_tables": 1, "unsafe": 1})

    @pytest.mark.parametrize("first", ["shadow", "backtest"])
    def test_neither_a_backtest_nor_shadow_mode_takes_back_what_the_other_has_found(self, first: str) -> None:
        then = {"shadow": "backtest", "backtest": "shadow"}[first]
        compared("only_legacy_seats", booking_ref="B1", origin=first, snapshot_hash="1")
        compared("same_tables", booking_ref="B1", origin=then, snapshot_hash="2")
        compared("unsafe", booking_ref="B2", origin=first, snapshot_hash="1")
        compared("same_tables", booking_ref="B2", origin=then, snapshot_hash="2")
        compared("same_tables", booking_ref="B2", origin=first, snapshot_hash="3")
        found = measured().comparisons
        assert found.verdicts == {"only_legacy_seats": 1, "unsafe": 1, "same_tables": 2}

    def test_of_fed_decisions_that_are_the_same_but_for_their_names_one_counts(self) -> None:
        for number in range(3):
            named: dict[str, Any] = {"restaurant_ref": f"R{number}", "booking_ref": f"B{number}", "origin": "backtest"}
            compared("unsafe" if number == 1 else "same_tables", content_digest="the same", **named)
        compared("same_tables", booking_ref="B9", origin="backtest", content_digest="another")
        found = measured().comparisons
        assert (found.total, found.verdicts) == (2, {"unsafe": 1, "same_tables": 1})

    def test_an_expired_waiver_covers_nothing_and_is_counted(self) -> None:
        compared("worse")
        soon = datetime.now(UTC) + timedelta(days=1)
        waiver = steering.waive(verdict="worse", owner="us", expires_at=soon, **WHO)
        type(waiver).objects.update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        found = measured()
        assert (found.comparisons.not_waived, found.waivers_expired) == ({"worse": 1}, 1)
        steering.withdraw(waiver_id=waiver.pk, **WHO)
        assert measured().waivers_expired == 0

    def test_evidence_ages(self) -> None:
        compared("same_tables", recorded_at=datetime.now(UTC) - timedelta(days=40))
        assert measured().comparisons.total == 0

    @pytest.mark.legacy_planner
    def test_evidence_from_before_v3_began_again_is_about_another_v3(self) -> None:
        compared("unsafe")
        assert measured().comparisons.total == 1
        steering.roll_back(to="off", **WHO)
        climb("shadow")
        assert measured().comparisons.total == 0

    @pytest.mark.legacy_planner
    def test_a_rollback_by_hand_keeps_the_evidence_and_one_by_the_guard_does_not(self) -> None:
        compared("same_tables", 3)
        position = climb("some")
        steering.roll_back(**WHO)
        assert measured().comparisons.total == 3
        position = climb("some")
        steering.roll_back(seen=position, actor="guard", reason="errors")
        assert measured().comparisons.total == 0

    @pytest.mark.legacy_planner
    def test_what_was_seen_is_counted_by_kind(self) -> None:
        compared("same_tables", 3, peak=True, service_date="2026-01-01")
        compared("same_tables", 2, peak=True, service_date="2026-01-02")
        compared("worse", 4, party=6)
        compared("better", 5, joined=True)
        restaurant = load("legacy", bookings=20)
        dispatch.register_new()
        list(dispatch.run_pass())
        seated = list(restaurant.bookings.filter(status="confirmed", party__lt=4)[:3])
        for booking in seated[:2]:
            booking.party = 8
            booking.save()
            api.booking_changed(booking_ref=str(booking.pk))
        seated[2].status = "cancelled"
        seated[2].save()
        api.booking_cancelled(booking_ref=str(seated[2].pk))
        assert dict(measured().coverage) == {
            "peak evenings": 2,
            "large parties": 4,
            "joins": 5,
            "edits": 2,
            "cancellations": 1,
        }


@pytest.mark.legacy_planner
class TestComplete:
    def decide(self) -> None:
        load("legacy", bookings=20)
        climb("shadow")
        dispatch.register_new()
        list(dispatch.run_pass())
        assert recorder.flush()

    def decided(self) -> None:
        built_once("twenty bookings in shadow mode", self.decide)

    def test_every_decision_is_compared(self) -> None:
        self.decided()
        before = measured().comparisons
        assert (before.expected, before.compared_live, before.waiting) == (20, 0, 20)
        list(comparator.compare_waiting(limit=12))
        after = measured().comparisons
        assert (after.expected, after.compared_live, after.waiting) == (20, 12, 8)

    def test_an_edit_that_the_legacy_planner_was_asked_about_is_compared(self) -> None:
        self.decided()
        booking = models.Booking.objects.filter(status="confirmed", party__lte=3).order_by("pk")[0]
        with transaction.atomic():
            models.Booking.objects.filter(pk=booking.pk).update(party=6)
            assert api.booking_changed(booking_ref=str(booking.pk)) == "moved"
        assert recorder.flush()
        list(comparator.compare_waiting())
        found = measured().comparisons
        assert (found.expected, found.compared_live, found.waiting) == (21, 21, 0)

    def test_what_is_too_far_ahead_to_be_recorded_is_not_expected(self) -> None:
        self.decided()
        booking = models.Booking.objects.order_by("pk").last()
        assert booking is not None
        booking.pk, booking.reference, booking.status = None, "next-but-one", "pending"
        booking.start += timedelta(days=371)
        booking.save()
        api.request(booking_ref=str(booking.pk))
        api.assign_now(booking_ref=str(booking.pk))  # A pass would try again who was refused, too.
        assert Attempt.objects.filter(booking_ref=str(booking.pk)).exclude(snapshot_hash="").exists()
        assert recorder.flush()
        list(comparator.compare_waiting())
        found = measured().comparisons
        assert (found.expected, found.compared_live, found.waiting) == (20, 20, 0)

    def test_a_lost_comparison_is_missed(self) -> None:
        self.decided()
        list(comparator.compare_waiting())
        with rewriting():
            Comparison.objects.filter(pk__in=Comparison.objects.values("pk")[:5]).delete()
        found = measured().comparisons
        assert (found.expected, found.compared_live, found.waiting) == (20, 15, 0)
        assert gates.GATES["complete"](measured(), 0.99).status is gates.Status.FAIL

    def test_a_replay_does_not_stand_in_for_it(self) -> None:
        self.decided()
        list(comparator.compare_waiting())
        compared = Comparison.objects.exclude(verdict="")
        assert list(compared.values_list("release", flat=True)) == [release.running()] * 20
        with rewriting():
            Comparison.objects.update(origin="backtest")
        found = measured().comparisons
        assert (found.total, found.expected, found.compared_live) == (20, 20, 0)

    def test_of_a_sample_only_the_sample_is_expected(self, settings: Any) -> None:
        configure(settings, SHADOW_SAMPLE=0.4)
        self.decide()
        refs = Assignment.objects.values_list("booking_ref", flat=True)
        sampled = sum(recorder.is_sampled(ref) for ref in refs)
        assert 0 < sampled < 20
        found = measured().comparisons
        assert (found.expected, found.waiting) == (sampled, sampled)


def decide_by_v3() -> None:
    load("v3")
    climb("full")
    dispatch.register_new()
    list(dispatch.run_pass())


class TestV3:
    @pytest.fixture
    def evening(self, environment: None) -> models.Restaurant:
        """The real evening, decided by V3 in one batch."""
        built_once("the evening by V3", decide_by_v3)
        return models.Restaurant.objects.get()

    def seated(self) -> Allocation:
        return Allocation.objects.filter(kind="seating").order_by("id")[0]

    def test_what_became_of_its_bookings(self, evening: models.Restaurant) -> None:
        v3 = live().v3
        confirmed = Assignment.objects.filter(state="confirmed").count()
        assert (v3.bookings, v3.confirmed, v3.attempts, v3.errors) == (117, confirmed, 117, 0)
        assert v3.review == 0, "the three that would overrun dinner are nobody's failure"
        assert v3.infeasible == 117 - confirmed
        assert v3.p95.sample == Attempt.objects.filter(decision_ms__gt=0).count()

    def test_its_seatings_stand_up_to_rules_of_their_own(self, evening: models.Restaurant) -> None:
        found = live().seatings
        assert found.checked == Assignment.objects.filter(state="confirmed").count()
        assert (found.unsafe, found.avoidable_joins, found.oversized, found.untold) == (0, 0, 0, 0)

    def test_who_could_have_been_seated_is_feasible_whatever_v3_says(self, evening: models.Restaurant) -> None:
        before = live().v3
        refused = Assignment.objects.filter(state="assignment_pending").order_by("pk")[0]
        Allocation.objects.filter(starts_at__gte=refused.starts_at - timedelta(hours=4)).delete()
        assert live().v3.feasible > before.feasible

    def test_nor_is_it_where_the_tables_were_closed_when_it_was_refused(self, evening: models.Restaurant) -> None:
        before = live().v3
        refused = Assignment.objects.filter(state="assignment_pending").order_by("pk")[0]
        Allocation.objects.filter(starts_at__gte=refused.starts_at - timedelta(hours=4)).delete()
        evening_before = refused.starts_at - timedelta(hours=12)
        closure = Closure.objects.create(
            restaurant_ref=str(evening.pk),
            starts_at=evening_before,
            created_at=refused.requested_at - timedelta(days=1),
        )
        assert live().v3.feasible == before.feasible
        closure.delete()
        assert live().v3.feasible > before.feasible

    def test_but_not_when_somebody_left_only_since(self, evening: models.Restaurant) -> None:
        before = live().v3
        for booking in evening.bookings.filter(status="confirmed")[:10]:
            booking.status = "cancelled"
            booking.save()
            api.booking_cancelled(booking_ref=str(booking.pk))
        assert live().v3.feasible == before.feasible

    def test_a_guest_who_gives_up_waiting_is_nobodys_failure(self, evening: models.Restaurant) -> None:
        before = live().v3
        waiting = Assignment.objects.filter(state="assignment_pending")[0]
        models.Booking.objects.filter(pk=waiting.booking_ref).update(status="cancelled")
        api.booking_cancelled(booking_ref=waiting.booking_ref)
        assert (live().v3.bookings, live().v3.confirmed) == (before.bookings - 1, before.confirmed)

    def test_what_the_host_had_confirmed_by_itself_is_nobodys_failure(self, evening: models.Restaurant) -> None:
        Allocation.objects.all().delete()  # there would be tables for it
        before = live().v3
        waiting = Assignment.objects.filter(state="assignment_pending")[0]
        models.Booking.objects.filter(pk=waiting.booking_ref).update(status="confirmed")
        assert api.assign_now(booking_ref=waiting.booking_ref).reason == "confirmed_by_host"
        now = live().v3
        assert (now.bookings, now.review, now.feasible) == (before.bookings - 1, before.review, before.feasible - 1)

    def test_errors_and_reviews_are_counted(self, evening: models.Restaurant) -> None:
        Attempt.objects.filter(pk__in=Attempt.objects.filter(outcome="retry").values("pk")[:3]).update(
            reason="unexpected_error"
        )
        assert live().v3.errors == 3

    def test_the_window_and_the_stage_bound_it(self, evening: models.Restaurant) -> None:
        Attempt.objects.update(at=datetime.now(UTC) - timedelta(minutes=30))
        assert live(minutes=10).v3.bookings == 0
        Position.objects.update(since=datetime.now(UTC) - timedelta(hours=2))
        assert live(minutes=60).v3.bookings == 117

    def test_a_seating_that_breaks_a_rule_is_unsafe_and_says_which(self, evening: models.Restaurant) -> None:
        row = self.seated()
        shorter = TimestamptzRange(row.blocked.lower, row.blocked.upper - timedelta(minutes=1))
        Allocation.objects.filter(booking_ref=row.booking_ref).update(blocked=shorter)
        found = live().seatings
        assert (found.unsafe, found.reasons) == (1, {"kept_too_short": 1})

    def test_a_floor_that_was_edited_since_makes_nothing_unsafe(self, evening: models.Restaurant) -> None:
        models.ServicePeriod.objects.update(buffer_after_minutes=60)
        assert live().seatings.unsafe == 0, "the batch knows its floor"

    def test_nor_does_it_of_what_was_decided_without_a_batch(self, evening: models.Restaurant) -> None:
        Attempt.objects.update(batch=None)
        with known_floors.one_look():
            known_floors.current([str(evening.pk)])
        models.ServicePeriod.objects.update(buffer_after_minutes=60)
        assert live().seatings.unsafe == 0
        FloorRecord.objects.all().delete()
        assert live().seatings.unsafe > 50

    def test_a_booking_that_the_host_edited_behind_our_back_is_not_judged(self, evening: models.Restaurant) -> None:
        before = live().seatings
        models.Booking.objects.filter(pk=self.seated().booking_ref).update(party=40)
        after = live().seatings
        assert (after.checked, after.unsafe) == (before.checked - 1, 0)

    def test_a_booking_with_tables_of_which_the_host_knows_nothing_is_untold(self, evening: models.Restaurant) -> None:
        models.Booking.objects.filter(pk=self.seated().booking_ref).update(status="pending")
        assert live().seatings.untold == 1
        assert gates.ALWAYS["integrity"](live(), 0).status is gates.Status.FAIL

    def test_more_decisions_than_are_judged_are_taken_to_be_like_those(
        self, evening: models.Restaurant, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr(live_decisions, "INSPECTED", 60)
        v3 = live().v3
        assert v3.infeasible == v3.bookings - v3.confirmed
        assert live().seatings.checked < v3.confirmed


class TestIntegrity:
    @pytest.fixture
    def evening(self, environment: None) -> models.Restaurant:
        built_once("the evening by V3", decide_by_v3)
        return models.Restaurant.objects.get()

    def test_a_good_evening_has_none(self, evening: models.Restaurant) -> None:
        assert (live().overlaps, live().lost) == (0, 0)

    def test_an_overlap_is_found_without_the_constraint_that_forbids_it(self, evening: models.Restaurant) -> None:
        """The constraint is taken away and put back: both are rolled back."""
        position = steering.current()
        assert position is not None
        row = Allocation.objects.order_by("table_ref", "starts_at")[0]
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE assignments_allocation DROP CONSTRAINT allocation_no_overlap")
            row.pk, row.booking_ref = None, "somebody else"
            row.save()
            assert measuring.measure_live(position, minutes=60).overlaps == 1
            transaction.set_rollback(True)

    def test_confirmed_without_tables_is_lost(self, evening: models.Restaurant) -> None:
        Allocation.objects.filter(booking_ref=Allocation.objects.all()[0].booking_ref).delete()
        assert live().lost == 1

    def test_tables_without_a_confirmed_booking_are_lost_too(self, evening: models.Restaurant) -> None:
        row = Allocation.objects.all()[0]
        Allocation.objects.filter(pk=row.pk).update(booking_ref="nobody")
        assert live().lost >= 1

    def test_what_the_legacy_planner_lost_is_not_v3s(self, evening: models.Restaurant) -> None:
        Allocation.objects.filter(booking_ref=Allocation.objects.all()[0].booking_ref).delete()
        Assignment.objects.update(planner="legacy")
        assert live().lost == 0


@pytest.mark.legacy_planner
class TestReference:
    def decide(self, restaurants: int) -> None:
        """The legacy planner decides twenty bookings at each of so many restaurants, in shadow mode."""

        def build() -> None:
            for number in range(restaurants):
                load("legacy", name=f"Restaurant {number}", bookings=20)
            climb("shadow")
            dispatch.register_new()
            list(dispatch.run_pass())

        built_once(f"twenty bookings by the legacy planner at {restaurants}", build)

    @pytest.fixture
    def _few_are_enough(self, monkeypatch: Any) -> None:
        monkeypatch.setattr(live_decisions, "ENOUGH_MEANWHILE", 10)

    def test_it_is_the_legacy_planner_elsewhere_in_the_same_time(self) -> None:
        self.decide(2)
        Position.objects.update(since=datetime.now(UTC) - timedelta(hours=1))
        found = measured()
        assert (found.reference_bookings, found.reference) == (
            40,
            "the legacy planner at other restaurants in the same period",
        )

    @pytest.mark.usefixtures("_few_are_enough")
    def test_who_was_refused_before_and_is_tried_again_says_nothing_of_who_comes_now(self) -> None:
        self.decide(1)
        Attempt.objects.exclude(outcome="confirmed").update(at=datetime.now(UTC) - timedelta(hours=2))
        Position.objects.update(since=datetime.now(UTC) - timedelta(hours=1))
        seated = Assignment.objects.filter(state="confirmed").count()
        Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        list(dispatch.run_pass())
        assert Attempt.objects.count() > 20 > seated
        found = measured()
        assert (found.reference_seated, found.reference_bookings) == (seated, seated)

    @pytest.mark.usefixtures("_few_are_enough")
    def test_what_the_host_had_confirmed_by_itself_says_nothing_of_how_it_seats(self) -> None:
        self.decide(1)
        Position.objects.update(since=datetime.now(UTC) - timedelta(hours=1))
        refused = Attempt.objects.exclude(outcome="confirmed")[:3]
        assert len(refused) == 3
        Attempt.objects.filter(pk__in=refused.values("pk")).update(outcome="manual_review", reason="confirmed_by_host")
        assert measured().reference_bookings == 20 - 3

    @pytest.mark.usefixtures("_few_are_enough")
    def test_of_its_bookings_too_only_the_feasible_ones_count(self) -> None:
        """Whom it refused rightly counts against nobody; whom it refused although tables were free is feasible."""
        self.decide(1)
        Position.objects.update(since=datetime.now(UTC) - timedelta(hours=1))
        found = live()
        seated = Assignment.objects.filter(state="confirmed").count()
        assert (found.reference_seated, found.reference_bookings, found.reference_feasible) == (seated, 20, seated)
        refused = Assignment.objects.filter(state="confirmed")[0].booking_ref
        Allocation.objects.filter(booking_ref=refused).delete()
        Attempt.objects.filter(booking_ref=refused).update(outcome="failed", reason="no_capacity")
        found = live()
        assert (found.reference_seated, found.reference_feasible) == (seated - 1, seated)

    def test_where_v3_decides_everything_it_is_the_legacy_planner_before_the_stage(self) -> None:
        self.decide(1)
        seated = Assignment.objects.filter(state="confirmed").count()
        climb("full")
        found = measured()
        assert (found.reference_seated, found.reference_bookings, found.reference) == (
            seated,
            20,
            "the legacy planner before this stage",
        )
        assert live().reference_bookings == 0, "the guard compares with the same time only"


def test_the_number_of_queries_does_not_grow_with_comparisons_and_bookings(settings: Any) -> None:
    climb("full")
    load("v3", name="One", bookings=20)
    dispatch.register_new()
    list(dispatch.run_pass())
    compared("same_tables", 10)
    measured()
    with CaptureQueriesContext(connection) as few:
        measured()
    compared("same_tables", 3000)
    compared("worse", 500)
    for number in range(40):
        compared("better", 2, restaurant_ref=f"R{number}")
    with CaptureQueriesContext(connection) as many:
        measured()
    assert len(many) == len(few) <= 30


def test_measuring_leaves_nothing_behind_and_sees_one_moment(settings: Any) -> None:
    climb("shadow")
    with CaptureQueriesContext(connection) as captured:
        measured()
    statements = [query["sql"] for query in captured]
    assert any("REPEATABLE READ" in sql for sql in statements)
    assert statements[-1].upper().startswith("ROLLBACK")
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone()[0] == "0"


def test_the_flags_of_a_stage_that_nobody_knows_any_more_are_adrift(settings: Any) -> None:
    climb("shadow")
    assert measured().drift == ""
    Position.objects.update(percent=7)
    assert "V3 decides for 7 % of restaurants, but the settings say 0 %" in measured().drift
    Position.objects.update(stage="canary-25")
    assert "no stage 'canary-25'" in measured().drift


def test_facts_are_ready_for_json() -> None:
    import json

    climb("shadow")
    for verdict in Verdict:
        compared(verdict)
    facts = json.loads(json.dumps(measured().as_dict()))
    assert facts["comparisons"]["verdicts"]["unsafe"] == 1
    assert facts["stage"] == "shadow"
    switches.set_switch(resolution.SHADOW_SWITCH, active=False, **WHO)
    assert "should be on" in measured().as_dict()["drift"]
