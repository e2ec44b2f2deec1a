"""The review queue: who is in it, what would fit, and deciding, taking back and rejecting as whole transactions."""

import threading
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from assignments import api
from assignments.concurrency import locks, transactions
from assignments.coordination import dispatch
from assignments.exceptions import (
    BookingBusyError,
    ChangedMeanwhileError,
    InvalidBookingError,
    TablesRefusedError,
    TransitionRefusedError,
)
from assignments.integration.host import HostBooking
from assignments.lifecycle import staff_decisions
from assignments.lifecycle.transitions import OUTBOX_TOPIC
from assignments.models import Allocation, Assignment, OutboxMessage, State, StateTransition
from assignments.outcome import Kind
from assignments.planning.reasons import Reason
from assignments.staff import review_queue
from assignments.staff.review_queue import Section
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import TheHost, run_all
from tests.built import built_once
from tests.reading import reading

pytestmark = pytest.mark.django_db(transaction=True)

STAFF = "staff:7"


@pytest.fixture
def full(host: TheHost, tonight: datetime) -> TheHost:
    """Everything that B1 fits is taken: it waits in the queue."""
    return as_built("full", host, lambda: fill(host, tonight))


@pytest.fixture
def waiting(host: TheHost, tonight: datetime) -> TheHost:
    """B1 waits in the queue, and T1 has become free since."""

    def build() -> None:
        fill(host, tonight)
        cancelled(host, "S0")

    return as_built("waiting", host, build)


def fill(host: TheHost, tonight: datetime) -> None:
    for number, table in enumerate(("T1", "T2", "T3", "T4")):
        host.book(f"S{number}", starts_at=tonight, party=2)
        api.assign(booking_ref=f"S{number}", table_refs=[table], actor=STAFF)
    host.book("B1", starts_at=tonight, party=2)
    to_review()
    assert state_of("B1") == (State.MANUAL_REVIEW, "no_capacity")


def as_built(name: str, host: TheHost, build: Callable[[], None]) -> TheHost:
    """Have the rows that this leaves, and what the host remembers of it: built once, copied afterwards."""

    def and_remember() -> None:
        build()
        _remembered[name] = deepcopy(vars(host))

    built_once(name, and_remember, shared=False)  # The host's memory is this process's.
    vars(host).update(deepcopy(_remembered[name]))
    return host


_remembered: dict[str, dict[str, Any]] = {}


def to_review() -> None:
    """Have everything that is open tried until nothing is."""
    dispatch.register_new()
    while Assignment.objects.open().exists():
        Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))
        list(dispatch.run_pass())


def cancelled(host: TheHost, ref: str) -> None:
    host.edit(ref, wants_table=False)
    api.booking_cancelled(booking_ref=ref)


def of(ref: str) -> Assignment:
    return Assignment.objects.get(booking_ref=ref)


def state_of(ref: str) -> tuple[str, str]:
    assignment = of(ref)
    return assignment.state, assignment.reason


def tables_of(ref: str) -> list[str]:
    return sorted(Allocation.objects.filter(booking_ref=ref).values_list("table_ref", flat=True))


def history_of(ref: str, after: int = 0) -> list[tuple[str, str, str]]:
    rows = StateTransition.objects.filter(booking_ref=ref, version__gt=after).order_by("version")
    return list(rows.values_list("name", "actor", "reason"))


def told(ref: str) -> list[str]:
    """The states that the host was told of."""
    rows = OutboxMessage.objects.filter(booking_ref=ref, topic__startswith=OUTBOX_TOPIC).order_by("id")
    return [row.topic.removeprefix(OUTBOX_TOPIC) for row in rows]


class TestQueue:
    def test_it_holds_who_waits_for_staff_soonest_first(self, host: TheHost, tonight: datetime) -> None:
        host.book("late", starts_at=tonight + timedelta(hours=1), party=40)
        host.book("soon", starts_at=tonight, party=40)
        host.book("mad", starts_at=tonight, party=0)
        host.book("fine", starts_at=tonight, party=2)
        to_review()
        now = transactions.database_now()
        assert [each.booking_ref for each in review_queue.queue(Section.REVIEW, now=now)] == ["soon", "late"]
        assert [each.booking_ref for each in review_queue.queue(Section.FAILED, now=now)] == ["mad"]
        assert review_queue.counts(now=now) == {
            Section.REVIEW: 2,
            Section.FAILED: 1,
            Section.REJECTED: 0,
            Section.PAST: 0,
        }

    def test_guests_at_the_door_are_not_past_yet(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=40)
        to_review()
        assert review_queue.queue(Section.REVIEW, now=tonight + review_queue.LATE).exists()
        later = tonight + review_queue.LATE + timedelta(seconds=1)
        assert not review_queue.queue(Section.REVIEW, now=later).exists()
        assert review_queue.queue(Section.PAST, now=later).exists()

    def test_it_can_be_narrowed_to_a_restaurant_and_a_day(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R2"] = a_floor("R2", tables=[a_table("X1")])
        host.book("B1", starts_at=tonight, party=40)
        host.book("B2", starts_at=tonight + timedelta(days=1), party=40, restaurant_ref="R2")
        to_review()
        now = transactions.database_now()

        def refs(**wanted: Any) -> list[str]:
            return [each.booking_ref for each in review_queue.queue(Section.REVIEW, now=now, **wanted)]

        assert refs(restaurant_ref="R2") == ["B2"]
        assert refs(day=tonight.date()) == ["B1"]
        assert refs(restaurant_ref="R2", day=tonight.date()) == []
        assert review_queue.restaurants(now) == ["R1", "R2"]

    def test_what_is_over_is_read_for_the_past_alone_and_no_further_than_it_is_counted(
        self, host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host.book("ahead", starts_at=tonight, party=40)
        host.book("mad", starts_at=tonight, party=0)
        to_review()
        over("failed", 3000)
        over("manual_review", 300, restaurant_ref="R9")
        monkeypatch.setattr(review_queue, "MOST_COUNTED", 100)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE assignments_assignment")
        now = transactions.database_now()
        with reading() as scans:
            counts = review_queue.counts(now=now)
            restaurants = review_queue.restaurants(now)
        assert counts == {Section.REVIEW: 1, Section.FAILED: 1, Section.REJECTED: 0, Section.PAST: 101}
        assert restaurants == ["R1", "R9"]
        assert scans
        assert max(scan.rows for scan in scans) <= 101, scans


def over(state: str, count: int, *, restaurant_ref: str = "R1") -> None:
    """So many bookings of past days that ended so."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # Their history is of no interest here.
        cursor.execute(
            """
            INSERT INTO assignments_assignment (booking_ref, restaurant_ref, service_date, starts_at, party, state, version,
                   planner, attempts, reason, pinned_table_refs, requested_at, updated_at)
            SELECT %(state)s || n, %(ref)s, at::date, at, 2, %(state)s, 1, 'v3', 1, 'no_fit', '{}', at, at
              FROM (SELECT n, now() - interval '1 day' - n * interval '10 minutes' AS at
                      FROM generate_series(1, %(count)s) AS n) AS past
            """,
            {"state": state, "ref": restaurant_ref, "count": count},
        )
        cursor.execute("SET session_replication_role = DEFAULT")


class TestOptions:
    def options(self, host: TheHost, ref: str) -> review_queue.Options:
        return review_queue.options(host.rows[ref], of(ref), host=host, now=transactions.database_now())

    def test_what_fits_is_ranked_and_every_one_of_it_is_accepted(self, waiting: TheHost) -> None:
        cancelled(waiting, "S3")
        found = self.options(waiting, "B1")
        assert [option.table_refs for option in found.fitting] == [("T4",), ("T1",)]
        assert all(option.plan is not None and option.plan.breakdown for option in found.fitting)
        assert (found.refusal, found.by_passing_over, found.other_times) == (None, (), ())
        for option in found.fitting:
            assert api.judge(booking_ref="B1", table_refs=option.table_refs) == ()

    def test_when_all_is_taken_it_says_so_and_when_it_is_not(self, full: TheHost, tonight: datetime) -> None:
        found = self.options(full, "B1")
        assert found.fitting == ()
        assert found.refusal is not None
        assert found.refusal.reason == Reason.NO_CAPACITY
        assert found.rejected[Reason.TABLE_TAKEN] == 4
        assert {place.table.ref: [taken.booking_ref for taken in place.taken] for place in found.places} == {
            "T1": ["S0"],
            "T2": ["S1"],
            "T3": ["S2"],
            "T4": ["S3"],
        }
        assert found.other_times == ()  # They sit for two hours.

    def test_a_time_nearby_that_would_do_is_a_hint(self, full: TheHost, tonight: datetime) -> None:
        full.book("B2", starts_at=tonight + timedelta(minutes=90), party=2)
        to_review()
        (hint,) = self.options(full, "B2").other_times  # An hour later they would sit past the end of dinner.
        assert (hint.starts_at, hint.table_refs) == (tonight + timedelta(hours=2), ("T4",))

    def test_a_start_that_is_past_or_too_near_is_for_staff_no_obstacle(
        self, host: TheHost, tonight: datetime, settings: Any
    ) -> None:
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MIN_LEAD_MINUTES": 366 * 24 * 60}
        host = host_again(host)
        host.book("B1", starts_at=tonight, party=2)
        to_review()
        assert state_of("B1") == (State.MANUAL_REVIEW, "start_too_near")
        assert self.options(host, "B1").fitting[0].table_refs == ("T4",)
        late = review_queue.options(host.rows["B1"], of("B1"), host=host, now=tonight + timedelta(hours=1))
        assert late.fitting[0].table_refs == ("T4",)

    def test_a_rule_that_may_be_passed_over_is_named_and_passed_over(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("BIG", seats=10), a_table("BAR", seats=4, max_party=2)])
        host.book("B1", starts_at=tonight, party=3)
        to_review()
        found = self.options(host, "B1")
        assert {
            option.table_refs[0]: set(review_queue.overridable(option.overriding)) for option in found.by_passing_over
        } == {
            "BAR": {Reason.PARTY_OUTSIDE_TABLE_LIMITS},
            "BIG": {Reason.TOO_MANY_SPARE_SEATS},
        }
        assert [option.table_refs for option in found.by_passing_over] == [("BAR",), ("BIG",)]
        with pytest.raises(TablesRefusedError):
            api.assign(booking_ref="B1", table_refs=["BIG"], actor=STAFF)
        api.assign(booking_ref="B1", table_refs=["BIG"], actor=STAFF, overriding=[Reason.TOO_MANY_SPARE_SEATS])
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["BIG"])
        confirmed = StateTransition.objects.get(booking_ref="B1", name="confirm")
        assert confirmed.detail == "Despite too_many_spare_seats."

    def test_what_is_passed_over_for_a_booking_that_still_waits_is_kept_in_the_history_too(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("BIG", seats=10)])
        host.book("B1", starts_at=tonight)
        api.request(booking_ref="B1")
        api.assign(booking_ref="B1", table_refs=["BIG"], actor=STAFF, overriding=[Reason.TOO_MANY_SPARE_SEATS])
        confirmed = StateTransition.objects.get(booking_ref="B1", name="confirm")
        assert confirmed.detail == "Despite too_many_spare_seats."

    def test_what_must_not_be_passed_over_is_not(self, full: TheHost) -> None:
        assert self.options(full, "B1").by_passing_over == ()
        with pytest.raises(ValueError, match="table_taken"):
            api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=[Reason.TABLE_TAKEN])
        with pytest.raises(TablesRefusedError):
            api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, overriding=[Reason.TOO_MANY_SPARE_SEATS])
        assert tables_of("B1") == []

    def test_another_zone_is_a_hint_and_staff_may_pass_over_the_wish(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(
            tables=[a_table("IN", zone_ref="inside"), a_table("OUT", seats=2, zone_ref="terrace")]
        )
        host.book("B1", starts_at=tonight, party=4, zone_ref="terrace")
        to_review()
        found = self.options(host, "B1")
        assert found.other_zone is not None
        assert found.other_zone.table_refs == ("IN",)
        assert found.fitting == ()
        offered = [(*each.table_refs, *review_queue.overridable(each.overriding)) for each in found.by_passing_over]
        assert offered == [("IN", Reason.WRONG_ZONE), ("OUT", Reason.TOO_FEW_SEATS)]

    def test_a_pin_is_no_obstacle_either(self, full: TheHost) -> None:
        api.pin(booking_ref="B1", table_refs=["T4"], actor=STAFF)
        cancelled(full, "S0")
        to_review()
        assert self.options(full, "B1").fitting[0].table_refs == ("T1",)

    def test_nothing_can_be_said_where_host_or_floor_are_at_fault(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=40)
        to_review()
        host.edit("B1", problem="It has no start.")
        assert self.options(host, "B1").problem == "It has no start."
        host.edit("B1", problem=None)
        del host.floors["R1"]
        assert "R1" in self.options(host, "B1").problem


class TestUndo:
    def test_taken_back_an_assignment_is_as_if_it_had_not_been(self, waiting: TheHost) -> None:
        before = of("B1")
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        assert waiting.seated["B1"].table_refs == ("T1",)
        api.undo(booking_ref="B1", actor="staff:8", version=of("B1").version)
        now = of("B1")
        assert (now.state, now.reason, now.attempts, now.planner) == (
            State.MANUAL_REVIEW,
            "no_capacity",
            before.attempts,
            "v3",
        )
        assert (tables_of("B1"), now.due_at) == ([], None)
        assert waiting.released[-1] == "B1"
        assert waiting.reviews["B1"] == "no_capacity"
        assert "B1" not in waiting.seated
        assert history_of("B1", before.version)[-2:] == [
            ("reopen", "staff:8", "assignment_undone"),
            ("send_to_review", "staff:8", "no_capacity"),
        ]
        earlier, later = StateTransition.objects.filter(booking_ref="B1", target="manual_review").order_by("version")
        assert later.detail == earlier.detail != ""
        assert told("B1") == ["manual_review", "confirmed", "manual_review"]

    def test_its_tables_are_free_for_others_again(self, waiting: TheHost, tonight: datetime) -> None:
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        api.undo(booking_ref="B1", actor=STAFF)
        waiting.book("B2", starts_at=tonight, party=2)
        assert run_all()["B2"].table_refs == ("T1",)

    def test_a_failed_booking_that_staff_seated_fails_again(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=0)
        to_review()
        host.edit("B1", party=2)
        api.assign(booking_ref="B1", table_refs=["T4"], actor=STAFF)
        api.undo(booking_ref="B1", actor=STAFF)
        assert state_of("B1") == (State.FAILED, "invalid_party")
        assert "B1" not in host.reviews

    def test_it_can_be_done_once_and_again_after_the_next_decision(self, waiting: TheHost) -> None:
        for _ in range(2):
            api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
            api.undo(booking_ref="B1", actor=STAFF)
            with pytest.raises(TransitionRefusedError, match="B1"):
                api.undo(booking_ref="B1", actor=STAFF)
        assert state_of("B1") == (State.MANUAL_REVIEW, "no_capacity")

    @pytest.mark.parametrize(
        "happens",
        [
            lambda host: api.pin(booking_ref="B1", table_refs=["T1"], actor=STAFF),
            lambda host: cancelled(host, "B1"),
            lambda host: api.release_tables(booking_ref="B1"),
        ],
        ids=["pinned", "cancelled", "released"],
    )
    def test_not_once_anything_else_has_happened(self, waiting: TheHost, happens: Callable[[TheHost], Any]) -> None:
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        happens(waiting)
        before = of("B1").version
        assert staff_decisions.undoable(of("B1")) is None
        with pytest.raises(TransitionRefusedError, match="B1"):
            api.undo(booking_ref="B1", actor=STAFF)
        assert of("B1").version == before

    def test_what_a_planner_decided_is_not_taken_back(self, waiting: TheHost) -> None:
        api.reopen(booking_ref="B1", actor=STAFF)
        assert run_all()["B1"].kind is Kind.CONFIRMED
        with pytest.raises(TransitionRefusedError):
            api.undo(booking_ref="B1", actor=STAFF)

    def test_tables_that_staff_gave_to_who_had_others_cannot_be_taken_back(self, waiting: TheHost) -> None:
        api.assign(booking_ref="S3", table_refs=["T1"], actor=STAFF)
        assert staff_decisions.undoable(of("S3")) is None

    def test_guests_who_sit_stay(self, waiting: TheHost) -> None:
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        waiting.edit("B1", wants_table=False, keeps_tables=True)
        with pytest.raises(InvalidBookingError):
            api.undo(booking_ref="B1", actor=STAFF)
        assert tables_of("B1") == ["T1"]

    def test_a_booking_that_its_host_showed_as_confirmed_is_not_unconfirmed(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.book("B1", starts_at=tonight, party=2)
        api.request(booking_ref="B1")
        host.edit("B1", is_confirmed=True)
        list(dispatch.run_pass())
        assert state_of("B1") == (State.MANUAL_REVIEW, "confirmed_by_host")
        api.assign(booking_ref="B1", table_refs=["T4"], actor=STAFF)
        with pytest.raises(TransitionRefusedError):
            api.undo(booking_ref="B1", actor=STAFF)
        assert tables_of("B1") == ["T4"]

    def test_a_host_that_raises_keeps_it_as_it_was(self, waiting: TheHost) -> None:
        api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF)
        waiting.raises["on_released"] = RuntimeError("no")
        with pytest.raises(RuntimeError):
            api.undo(booking_ref="B1", actor=STAFF)
        assert (state_of("B1")[0], tables_of("B1")) == (State.CONFIRMED, ["T1"])


class TestReject:
    def test_it_ends_the_booking_with_the_reason_in_its_history(self, waiting: TheHost) -> None:
        version = of("B1").version
        api.reject(booking_ref="B1", actor=STAFF, reason="  The kitchen closes early. ", version=version)
        assert state_of("B1") == (State.FAILED, staff_decisions.REJECTED)
        last = StateTransition.objects.filter(booking_ref="B1").order_by("-version")[0]
        assert (last.actor, last.reason, last.detail) == (STAFF, staff_decisions.REJECTED, "The kitchen closes early.")
        assert told("B1")[-1] == "failed"
        assert run_all() == {}
        now = transactions.database_now()
        assert [each.booking_ref for each in review_queue.queue(Section.REJECTED, now=now)] == ["B1"]
        assert not review_queue.queue(Section.FAILED, now=now).exists()

    def test_a_hold_of_it_ends_with_it(self, waiting: TheHost) -> None:
        api.hold(booking_ref="B1", table_refs=["T1"])
        api.reject(booking_ref="B1", actor=STAFF, reason="no")
        assert tables_of("B1") == []

    def test_taken_back_it_waits_as_before(self, waiting: TheHost) -> None:
        attempts = of("B1").attempts
        api.reject(booking_ref="B1", actor=STAFF, reason="no")
        api.undo(booking_ref="B1", actor=STAFF)
        assert state_of("B1") == (State.MANUAL_REVIEW, "no_capacity")
        assert of("B1").attempts == attempts
        assert waiting.reviews["B1"] == "no_capacity"

    @pytest.mark.parametrize("reason", ["", "  \n", "x" * (staff_decisions.LONGEST_REASON + 1), "a\0b"])
    def test_it_needs_a_reason(self, waiting: TheHost, reason: str) -> None:
        with pytest.raises(ValueError, match="B1"):
            api.reject(booking_ref="B1", actor=STAFF, reason=reason)
        assert state_of("B1")[0] == State.MANUAL_REVIEW

    def test_only_who_waits_for_staff_can_be_rejected_and_once(self, waiting: TheHost) -> None:
        with pytest.raises(TransitionRefusedError, match="S1"):
            api.reject(booking_ref="S1", actor=STAFF, reason="no")
        api.reject(booking_ref="B1", actor=STAFF, reason="no")
        with pytest.raises(TransitionRefusedError, match="B1"):
            api.reject(booking_ref="B1", actor=STAFF, reason="no")

    def test_tried_again_after_all_it_is_planned(self, waiting: TheHost) -> None:
        api.reject(booking_ref="B1", actor=STAFF, reason="no")
        api.reopen(booking_ref="B1", actor=STAFF)
        assert run_all()["B1"].kind is Kind.CONFIRMED


DECISIONS: dict[str, Callable[[int], Any]] = {
    "assign": lambda version: api.assign(booking_ref="B1", table_refs=["T1"], actor=STAFF, version=version),
    "retry": lambda version: api.reopen(booking_ref="B1", actor=STAFF, version=version),
    "reject": lambda version: api.reject(booking_ref="B1", actor=STAFF, reason="no", version=version),
    "undo": lambda version: api.undo(booking_ref="B1", actor=STAFF, version=version),
}


@pytest.mark.parametrize("decision", DECISIONS)
def test_who_decides_on_what_has_changed_since_is_refused(waiting: TheHost, decision: str) -> None:
    stale = of("B1").version
    api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:8", version=stale)
    before = (of("B1").version, tables_of("B1"))
    with pytest.raises(ChangedMeanwhileError, match="B1"):
        DECISIONS[decision](stale)
    assert (of("B1").version, tables_of("B1")) == before
    (*_, last) = review_queue.changes_since(of("B1"), stale)
    assert (last.actor, last.target) == ("staff:8", State.CONFIRMED)


def at_once(*works: Callable[[], Any]) -> list[BaseException | None]:
    """Run these at the same moment, over a connection each; what each raised."""
    ready = threading.Barrier(len(works))
    raised: list[BaseException | None] = [None] * len(works)

    def run(number: int, work: Callable[[], Any]) -> None:
        try:
            ready.wait(10)
            work()
        except BaseException as error:  # noqa: BLE001  (given to the test)
            raised[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return raised


@pytest.mark.parametrize("other", ["assign", "retry", "reject"])
def test_of_two_who_decide_at_once_exactly_one_does(waiting: TheHost, other: str) -> None:
    for _ in range(5):
        version = of("B1").version
        raised = at_once(lambda: DECISIONS["assign"](version), lambda: DECISIONS[other](version))  # noqa: B023
        assert sorted(type(error).__name__ for error in raised) == ["ChangedMeanwhileError", "NoneType"]
        if state_of("B1")[0] in staff_decisions.WAITING_FOR_STAFF or state_of("B1")[0] == State.CONFIRMED:
            api.undo(booking_ref="B1", actor=STAFF)
        else:
            full_again(waiting)


def full_again(host: TheHost) -> None:
    """What was tried again is taken, so that it comes back to the queue."""
    closure_id = api.close(
        restaurant_ref="R1",
        table_refs=["T1"],
        starts_at=host.rows["B1"].starts_at - timedelta(hours=1),
        ends_at=host.rows["B1"].starts_at + timedelta(hours=3),
    )
    to_review()
    api.lift_closure(closure_id=closure_id, actor=STAFF)


def test_while_a_planner_is_at_the_evening_nothing_is_half_done(waiting: TheHost, settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "LOCK_TIMEOUT_MS": 50, "TRANSACTION_RETRIES": 1}
    waiting = host_again(waiting)
    has_it, may_end = threading.Event(), threading.Event()

    def planner() -> None:
        def work() -> None:
            assert locks.try_enter("R1", of("B1").service_date).granted
            has_it.set()
            may_end.wait(30)

        try:
            transactions.run(work)
        finally:
            connection.close()

    thread = threading.Thread(target=planner)
    thread.start()
    assert has_it.wait(30)
    try:
        version = of("B1").version
        for decision in ("assign", "retry", "reject"):
            with pytest.raises(Exception, match="lock timeout") as refused:
                DECISIONS[decision](version)
            assert transactions.is_lost_race(refused.value)
        assert of("B1").version == version
    finally:
        may_end.set()
        thread.join(30)
    DECISIONS["assign"](version)
    assert tables_of("B1") == ["T1"]


def test_a_booking_that_is_being_edited_is_left_alone(waiting: TheHost) -> None:
    version = of("B1").version
    waiting.locked.add("B1")
    with pytest.raises(BookingBusyError):
        DECISIONS["assign"](version)
    assert of("B1").version == version


def host_again(host: TheHost) -> TheHost:
    """The host under changed settings: the same one, with all its bookings."""
    from assignments import conf
    from tests.assignments.conftest import HOST_PATH

    now: TheHost = conf.load(HOST_PATH)
    now.rows, now.seated, now.floors = host.rows, host.seated, host.floors
    return now


def test_a_booking_whose_start_is_no_time_has_no_options(host: TheHost, tonight: datetime) -> None:
    booking = HostBooking(ref="B1", restaurant_ref="R1", starts_at=datetime(2030, 1, 1, 19), party=2)  # noqa: DTZ001
    host.book("B1", starts_at=tonight, party=40)
    to_review()
    found = review_queue.options(booking, of("B1"), host=host, now=transactions.database_now())
    assert found.refusal is not None
    assert (found.refusal.reason, found.places) == (Reason.INVALID_START, ())
