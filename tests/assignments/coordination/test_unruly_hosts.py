"""Hosts that swallow errors, raise where nobody expects it, or go on without a word: each booking has one true outcome."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, IntegrityError, OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from assignments import api, conf
from assignments.concurrency import transactions
from assignments.coordination import dispatch
from assignments.coordination.coordinator import Coordinator
from assignments.exceptions import BrokenTransactionError
from assignments.integration import floor_cache
from assignments.integration.host import Seating
from assignments.maintenance import outbox
from assignments.maintenance.reconcile import reconcile
from assignments.models import Allocation, Assignment, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.planning.floor import InvalidFloorError
from assignments.testing import a_floor, a_service, a_table
from tests.assignments.conftest import TheHost, run_all
from tests.assignments.coordination.test_coordinator import emitted, make_due

pytestmark = pytest.mark.django_db(transaction=True)


def until_settled(ref: str) -> list[Any]:
    """The outcomes of the booking's attempts, until nothing is due any more."""
    outcomes = []
    for _ in range(8):
        make_due()
        outcome = run_all().get(ref)
        if outcome is None:
            break
        outcomes.append(outcome)
    return outcomes


class TestSwallowedDatabaseErrors:
    @pytest.fixture
    def swallowing(self, host: TheHost, monkeypatch: Any) -> TheHost:
        """Its callback meets a database error, and says nothing of it."""

        def on_confirmed(seatings: Sequence[Seating]) -> None:
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT no_such_column")
            except DatabaseError:
                pass

        monkeypatch.setattr(host, "on_confirmed", on_confirmed)
        return host

    def test_nobody_is_told_confirmed_when_nothing_was_stored(self, swallowing: TheHost, tonight: datetime) -> None:
        swallowing.book("B1", starts_at=tonight)
        outcome = run_all()["B1"]
        assert (outcome.kind, outcome.detail, outcome.unexpected) == (Kind.RETRY, "BrokenTransactionError", True)
        assert not Allocation.objects.exists()
        assert Assignment.objects.get().state == State.ASSIGNMENT_PENDING

    def test_staff_get_an_error_inside_a_transaction_of_their_own_and_outside(
        self, swallowing: TheHost, tonight: datetime
    ) -> None:
        swallowing.book("B1", starts_at=tonight)
        with pytest.raises(BrokenTransactionError):
            api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")
        with pytest.raises((BrokenTransactionError, DatabaseError)), transaction.atomic():
            api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")
        assert not Allocation.objects.exists()

    def test_a_transaction_marked_for_rollback_is_noticed_too(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        host.book("B1", starts_at=tonight)
        monkeypatch.setattr(host, "on_confirmed", lambda seatings: transaction.set_rollback(True))
        assert run_all()["B1"].detail == "BrokenTransactionError"


@pytest.mark.parametrize("error", [DatabaseError("no SQLSTATE"), OperationalError("the host's other database is away")])
def test_a_hosts_own_database_error_costs_its_booking_and_not_the_pass(
    host: TheHost, tonight: datetime, error: Exception
) -> None:
    for ref in ("B1", "B2", "B3"):
        host.book(ref, starts_at=tonight)
    host.raises["on_confirmed"], host.raises_for = error, {"B2"}
    kinds = {ref: outcome.kind for ref, outcome in run_all().items()}
    assert kinds == {"B1": Kind.CONFIRMED, "B2": Kind.RETRY, "B3": Kind.CONFIRMED}


def test_a_hosts_own_exclusion_constraint_is_no_race_that_passes(
    host: TheHost, tonight: datetime, monkeypatch: Any
) -> None:
    def refuse(seatings: Sequence[Seating]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'a room of the host' USING ERRCODE = '23P01'; END $$")

    monkeypatch.setattr(host, "on_confirmed", refuse)
    host.book("B1", starts_at=tonight)
    outcomes = until_settled("B1")
    assert [(each.kind, each.reason) for each in outcomes] == [(Kind.MANUAL_REVIEW, "refused_by_host")]
    assert {outcome.detail for outcome in outcomes} == {IntegrityError.__name__}
    assert not outcomes[0].unexpected


@pytest.mark.parametrize("party", [2, 14])
def test_a_host_that_cannot_hear_of_a_review_does_not_keep_a_booking_from_it(
    host: TheHost, tonight: datetime, party: int, caplog: Any
) -> None:
    host.book("B1", starts_at=tonight, party=party)
    host.raises["on_review"] = RuntimeError("Canary Guest")
    host.raises["on_confirmed"] = RuntimeError("Canary Guest")
    assert until_settled("B1")[-1].kind is Kind.MANUAL_REVIEW
    assert Assignment.objects.get().state == State.MANUAL_REVIEW
    assert "told that booking B1 went to review" in caplog.text
    assert "canary" not in caplog.text.lower()


def test_bookings_that_cannot_be_decided_now_do_not_keep_the_rest_of_the_day_waiting(
    host: TheHost, tonight: datetime, settings: Any
) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "BATCH_SIZE": 3}
    conf.load.cache_clear()
    host = conf.load("tests.assignments.conftest.TheHost")
    for number in range(10):
        host.book(f"B{number}", starts_at=tonight + timedelta(minutes=number), party=4)
    host.locked |= {"B0", "B1", "B2", "B3"}
    outcomes = run_all()
    assert {ref for ref, outcome in outcomes.items() if outcome.reason == "lock_contention"} == host.locked
    assert len(outcomes) == 10


class TestCommitHooks:
    """A mail that the host sends once the confirmation is committed, and cannot."""

    @pytest.fixture
    def mailing(self, host: TheHost, monkeypatch: Any) -> TheHost:
        tell = host.on_confirmed

        def on_confirmed(seatings: Sequence[Seating]) -> None:
            tell(seatings)
            transaction.on_commit(fail_to_mail)

        def fail_to_mail() -> None:
            raise RuntimeError("Canary Guest has no address")

        monkeypatch.setattr(host, "on_confirmed", on_confirmed)
        return host

    def test_what_was_stored_is_reported_and_announced(self, mailing: TheHost, tonight: datetime, caplog: Any) -> None:
        for ref in ("B1", "B2"):
            mailing.book(ref, starts_at=tonight)
        outcomes = run_all()
        assert [outcome.kind for outcome in outcomes.values()] == [Kind.CONFIRMED] * 2
        assert emitted("B1") == ["coordinator.start", "coordinator.confirmed"]
        assert "RuntimeError" in caplog.text
        assert "canary" not in caplog.text.lower()

    def test_inline_too(self, mailing: TheHost, tonight: datetime) -> None:
        mailing.book("B1", starts_at=tonight)
        assert api.assign_now(booking_ref="B1").kind is Kind.CONFIRMED

    def test_the_outbox_goes_on(self, host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
        for number in range(3):
            host.book(f"B{number}", starts_at=tonight + timedelta(days=number))
        run_all()
        monkeypatch.setattr(outbox, "BATCH", 1)
        monkeypatch.setattr(host, "deliver", lambda message: transaction.on_commit(lambda: 1 / 0))
        assert outbox.deliver().delivered == 3


def test_one_restaurants_floor_that_raises_is_nobody_elses_trouble(
    host: TheHost, tonight: datetime, capsys: Any
) -> None:
    host.book("sits", starts_at=tonight)
    run_all()
    host.edit("sits", wants_table=False)
    host.floors["R2"] = RuntimeError("Canary Guest")
    host.book("A1", starts_at=tonight, restaurant_ref="R2")
    host.book("B1", starts_at=tonight)
    call_command("run_coordinator", "--dry-run")
    assert "restaurant R2" in capsys.readouterr().out
    found = {each.booking_ref for each in reconcile()}
    assert "sits" in found
    outcomes = run_all()
    assert outcomes["B1"].kind is Kind.CONFIRMED
    assert outcomes["A1"].unexpected


@pytest.mark.parametrize("callback", ["floor_fingerprint", "bookings"])
def test_one_restaurants_edited_floor_at_which_the_host_raises_is_nobody_elses_trouble(
    host: TheHost, tonight: datetime, monkeypatch: Any, callback: str, caplog: Any
) -> None:
    """A restaurant was deleted, perhaps; the table of another one breaks, and its guests have to get another."""
    for ref in ("R0", "R9"):
        host.floors[ref] = a_floor(ref, tables=[a_table("T1"), a_table("T2")])
        host.book(f"of {ref}", starts_at=tonight, restaurant_ref=ref)
    run_all()
    for ref in ("R0", "R9"):
        host.floors[ref] = a_floor(ref, tables=[a_table("T2")])
    read = getattr(host, callback)

    def fail(asked: Any, **kwargs: Any) -> Any:
        if asked in ("R0", ["of R0"]):
            raise LookupError("Canary Guest")
        return read(asked, **kwargs)

    monkeypatch.setattr(host, callback, fail)
    run_all()
    assert Allocation.objects.get(booking_ref="of R9").table_ref == "T2"
    assert "canary" not in caplog.text.lower()


def test_a_database_of_the_hosts_own_that_is_away_costs_its_new_bookings_only(
    host: TheHost, tonight: datetime, monkeypatch: Any, capsys: Any
) -> None:
    host.book("B1", starts_at=tonight)
    api.request(booking_ref="B1")

    def unassigned(**kwargs: Any) -> Any:
        raise OperationalError("Canary Guest is on another server")

    monkeypatch.setattr(host, "unassigned", unassigned)
    with pytest.raises(CommandError) as partly:
        call_command("run_coordinator", "--json")
    assert partly.value.returncode == 1
    assert Assignment.objects.get().state == State.CONFIRMED
    captured = capsys.readouterr()
    assert "canary" not in (captured.out + captured.err).lower()


def test_taking_in_does_not_wait_for_a_request_in_an_open_transaction(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2", "B3"):
        host.book(ref, starts_at=tonight)
    requested, leave = threading.Event(), threading.Event()

    def guest() -> None:
        try:
            with transaction.atomic():
                api.request(booking_ref="B2")
                requested.set()
                leave.wait(60)
        finally:
            connection.close()

    thread = threading.Thread(target=guest)
    thread.start()
    requested.wait(20)
    try:
        assert dispatch.register_new().new == 2
    finally:
        leave.set()
        thread.join(20)
    assert set(Assignment.objects.values_list("booking_ref", flat=True)) == {"B1", "B2", "B3"}


def test_a_time_budget_is_for_all_statements_together(host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
    host.book("B1", starts_at=tonight)
    begun: list[int] = []

    def slow(seatings: Sequence[Seating]) -> None:
        for number in range(5):
            begun.append(number)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.7)")

    monkeypatch.setattr(host, "on_confirmed", slow)
    outcome = api.assign_now(booking_ref="B1", budget_seconds=1.0)
    assert outcome.reason == "time_budget_exceeded"
    assert begun == [0, 1], "the second one was cancelled half-way"


def test_a_limit_is_not_used_up_by_a_booking_that_somebody_edits(host: TheHost, tonight: datetime) -> None:
    for number in range(3):
        host.book(f"B{number}", starts_at=tonight, party=4)
    host.locked.add("B0")
    dispatch.register_new()
    outcomes = [each for progress in dispatch.run_pass(dispatch.PassLimits(limit=1)) for each in progress.outcomes]
    assert [(each.booking_ref, each.kind) for each in outcomes] == [("B0", Kind.NOOP), ("B1", Kind.CONFIRMED)]


def test_cancelled_and_moved_bookings_cost_no_query_each(host: TheHost, tonight: datetime) -> None:
    host.floors["R2"] = a_floor("R2", tables=[a_table("elsewhere")])
    floor_cache.floor_of("R2")
    counts = []
    for day, number in enumerate((2, 2, 30)):
        for each in range(number):
            for kind in ("cancelled", "moved"):
                host.book(f"{day} {kind} {each}", starts_at=tonight + timedelta(days=day))
        dispatch.register_new()
        for ref in [ref for ref in host.rows if ref.startswith(str(day))]:
            change: dict[str, Any] = {"wants_table": False} if "cancelled" in ref else {"restaurant_ref": "R2"}
            host.edit(ref, **change)
        with CaptureQueriesContext(connection) as captured:
            now = transactions.database_now()
            Coordinator(host).process_day("R1", (tonight + timedelta(days=day)).date(), list(host.rows), due_before=now)
        counts.append(len(captured))
    assert counts[1] == counts[2], counts


class TestHolds:
    def test_looking_leaves_an_expired_hold_alone(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        host.book("B2", starts_at=tonight)
        api.hold(booking_ref="B1", table_refs=["T4"])
        Allocation.objects.update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        before = list(Allocation.objects.values())
        assert api.evaluate(booking_ref="B2").plans[0].table_refs == ("T4",)
        assert api.judge(booking_ref="B2", table_refs=["T4"]) == ()
        from assignments.coordination import dry_run

        ((day),) = dry_run.preview()
        assert len(day.decisions["v3"]) == 2
        assert list(Allocation.objects.values()) == before
        assert run_all()["B2"].kind is Kind.CONFIRMED, "who takes tables removes it"

    def test_a_booking_is_seated_at_the_tables_that_it_holds(self, host: TheHost, tonight: datetime) -> None:
        host.book("early", starts_at=tonight, party=2, requested_at=tonight - timedelta(days=9))
        host.book("B1", starts_at=tonight, party=2, requested_at=tonight - timedelta(days=1))
        api.hold(booking_ref="B1", table_refs=["T2"])
        outcomes = run_all()
        assert outcomes["B1"].table_refs == ("T2",)
        assert outcomes["early"].table_refs == ("T4",)
        assert set(Allocation.objects.values_list("booking_ref", "kind")) == {("B1", "seating"), ("early", "seating")}

    def test_its_own_hold_is_not_what_keeps_it_out(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1")])
        host.book("B1", starts_at=tonight, party=4)
        api.hold(booking_ref="B1", table_refs=["T1"])
        assert api.assign_now(booking_ref="B1").table_refs == ("T1",)

    def test_a_hold_that_is_too_small_by_now_still_keeps_others_away(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=2)
        host.book("B2", starts_at=tonight, party=2)
        api.hold(booking_ref="B1", table_refs=["T4"])
        host.edit("B1", party=4)
        outcomes = run_all()
        assert outcomes["B1"].table_refs != ("T4",)
        assert outcomes["B2"].table_refs != ("T4",)
        assert {outcome.kind for outcome in outcomes.values()} == {Kind.CONFIRMED}


class TestGuestsOfAHostThatSaysNothingOfSeating:
    """No status says that they sit; the clock does."""

    ALL_DAY = a_service(key="all_day", starts=time(0), ends=time(0), allow_overrun=True)

    @pytest.fixture
    def sitting(self, host: TheHost) -> TheHost:
        host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")], services=[self.ALL_DAY])
        host.book("B1", starts_at=datetime.now(UTC) - timedelta(minutes=30), party=2)
        api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
        return host

    @pytest.mark.parametrize(
        ("change", "expected"),
        [({"party": 3}, Change.KEPT), ({"party": 9}, Change.TO_STAFF), ({"zone_ref": "terrace"}, Change.KEPT)],
    )
    def test_they_keep_their_table_whatever_is_edited(
        self, sitting: TheHost, change: dict[str, Any], expected: Change
    ) -> None:
        sitting.edit("B1", **change)
        assert api.booking_changed(booking_ref="B1") is expected
        assert Assignment.objects.get().state == (
            State.MANUAL_REVIEW if expected is Change.TO_STAFF else State.CONFIRMED
        )
        assert Allocation.objects.get().table_ref == "T1"
        assert sitting.released == []

    def test_a_longer_stay_keeps_the_table_for_as_long(self, sitting: TheHost) -> None:
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=5)
        sitting.edit("B1", ends_at=end)
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert Allocation.objects.get().ends_at == end

    def test_whoever_comes_next_to_their_table_gets_another_if_they_stay_longer(self, sitting: TheHost) -> None:
        before = Allocation.objects.get()
        until = before.ends_at + timedelta(hours=1)
        sitting.book("B2", starts_at=before.ends_at + timedelta(minutes=5), party=2)
        api.assign(booking_ref="B2", table_refs=["T1"], actor="staff:1")
        sitting.edit("B1", ends_at=until)
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert dict(Allocation.objects.values_list("booking_ref", "table_ref")) == {"B1": "T1", "B2": "T2"}
        assert Allocation.objects.get(booking_ref="B1").blocked.upper == until

    def test_if_there_is_no_other_table_staff_decide_about_both(self, sitting: TheHost) -> None:
        before = Allocation.objects.get()
        sitting.book("B2", starts_at=before.ends_at + timedelta(minutes=5), party=2)
        sitting.book("B3", starts_at=before.ends_at, party=2)
        api.assign(booking_ref="B2", table_refs=["T1"], actor="staff:1")
        api.assign(booking_ref="B3", table_refs=["T2"], actor="staff:1")
        sitting.edit("B1", ends_at=before.ends_at + timedelta(hours=1))
        assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
        row = Allocation.objects.get(booking_ref="B1")
        assert row.blocked.upper == before.ends_at + timedelta(minutes=5)
        assert row.overstays_until == before.ends_at + timedelta(hours=1)
        assert Allocation.objects.get(booking_ref="B2").table_ref == "T1"
        assert {ref: sitting.reviews.get(ref) for ref in ("B1", "B2", "B3")} == {
            "B1": "overlapping",
            "B2": "overlapping",
            "B3": None,
        }
        said = dict(StateTransition.objects.filter(reason="overlapping").values_list("booking_ref", "detail"))
        assert "booking B2" in said["B1"]
        assert "booking B1" in said["B2"]

    def test_who_moves_to_another_day_is_planned_there(self, sitting: TheHost, tonight: datetime) -> None:
        sitting.edit("B1", starts_at=tonight)
        assert [found.booking_ref for found in reconcile(dry_run=True)] == ["B1"]
        assert api.booking_changed(booking_ref="B1") is Change.KEPT
        assert run_all() == {}
        assert Allocation.objects.current().get().starts_at == tonight

    def test_if_their_table_breaks_staff_are_asked_to_move_them(self, sitting: TheHost) -> None:
        now = datetime.now(UTC)
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=now, ends_at=now + timedelta(hours=3))
        assert Assignment.objects.get().state == State.MANUAL_REVIEW
        assert sitting.reviews == {"B1": "table_out_of_service"}
        api.assign(booking_ref="B1", table_refs=["T2"], actor="staff:1")
        assert Assignment.objects.get().state == State.CONFIRMED

    def test_a_table_that_breaks_after_a_dinner_leaves_the_dinner_alone(self, sitting: TheHost) -> None:
        row = Allocation.objects.get()
        row.ends_at = datetime.now(UTC) - timedelta(minutes=1)
        row.save()
        starts_at = row.ends_at + timedelta(minutes=1)
        api.close(restaurant_ref="R1", table_refs=["T1"], starts_at=starts_at, ends_at=starts_at + timedelta(hours=9))
        assert Assignment.objects.get().state == State.CONFIRMED
        assert Allocation.objects.get().kind == "seating"


class TestSeatedGuests:
    def test_guests_who_sit_keep_their_table_whatever_is_told(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        run_all()
        host.edit("B1", wants_table=False, keeps_tables=True)
        assert api.booking_changed(booking_ref="B1") is Change.NOTHING
        assert Allocation.objects.get().booking_ref == "B1"
        assert Assignment.objects.get().state == State.CONFIRMED

    def test_who_was_seated_without_us_leaves_the_queue(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        host.book("B2", starts_at=tonight)
        host.book("never requested", starts_at=tonight, wants_table=False, keeps_tables=True)
        api.request(booking_ref="B1")
        api.request(booking_ref="B2")
        host.edit("B1", wants_table=False, keeps_tables=True)
        host.edit("B2", wants_table=False, keeps_tables=True)
        assert api.booking_changed(booking_ref="B2") is not Change.NOTHING
        assert api.booking_changed(booking_ref="never requested") is Change.NOTHING
        run_all()
        assert set(Assignment.objects.values_list("booking_ref", "state", "reason")) == {
            ("B1", State.CANCELLED, "no_table_wanted"),
            ("B2", State.CANCELLED, "no_table_wanted"),
        }


class TestClosures:
    @pytest.mark.parametrize(("restaurant_ref", "table_ref"), [("R1", "T44"), ("R2", "T4")])
    def test_a_table_that_the_restaurant_does_not_have_is_named(
        self, host: TheHost, tonight: datetime, restaurant_ref: str, table_ref: str
    ) -> None:
        host.floors["R2"] = a_floor("R2", tables=[a_table("elsewhere")])
        with pytest.raises(ValueError, match=f"{restaurant_ref}: it has no table {table_ref}"):
            api.close(
                restaurant_ref=restaurant_ref,
                table_refs=[table_ref],
                starts_at=tonight,
                ends_at=tonight + timedelta(hours=1),
            )
        assert not Allocation.objects.exists()


class TestFloors:
    def test_a_floor_that_is_edited_while_it_is_read_is_read_again(self, host: TheHost, monkeypatch: Any) -> None:
        before, after = a_floor(tables=[a_table("T1")]), a_floor(tables=[a_table("T1"), a_table("T2")])
        host.floors["R1"] = before

        def read_and_edit(restaurant_ref: str) -> Any:
            host.floors["R1"], read = after, host.floors["R1"]
            return read

        monkeypatch.setattr(host, "floor", read_and_edit)
        assert floor_cache.floor_of("R1") == after

    def test_a_floor_that_is_never_at_rest_is_named(self, host: TheHost, monkeypatch: Any) -> None:
        number = iter(range(100))
        monkeypatch.setattr(host, "floor_fingerprint", lambda restaurant_ref: str(next(number)))
        with pytest.raises(InvalidFloorError, match="R1"):
            floor_cache.floor_of("R1")


@pytest.mark.parametrize(
    "starts_at",
    [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), datetime(9999, 12, 31, 23)],  # noqa: DTZ001
)
def test_a_start_at_the_end_of_the_calendar_costs_only_its_booking(
    host: TheHost, tonight: datetime, starts_at: datetime
) -> None:
    host.book("B1", starts_at=starts_at)
    host.book("B2", starts_at=tonight)
    outcomes = run_all()
    assert outcomes["B1"].kind is Kind.FAILED
    assert outcomes["B1"].reason in {"invalid_start", "starts_in_past"}
    assert outcomes["B2"].kind is Kind.CONFIRMED


class TestFailuresThatCannotBeStored:
    def test_what_somebody_else_decided_meanwhile_counts(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        host.book("B1", starts_at=tonight)
        api.request(booking_ref="B1")
        coordinator = Coordinator(host)
        host.raises["on_confirmed"] = RuntimeError("down")
        record = coordinator._record_failure

        def staff_first(*args: Any) -> Any:
            host.raises.clear()
            api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:7")
            return record(*args)

        monkeypatch.setattr(coordinator, "_record_failure", staff_first)
        (outcome,) = coordinator.process_one("B1", trigger="test").outcomes
        assert (outcome.kind, outcome.reason, outcome.unexpected) == (Kind.NOOP, "terminal_state", False)
        assert Assignment.objects.get().state == State.CONFIRMED

    def test_a_failure_that_cannot_be_stored_leaves_the_booking_due(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        from assignments.lifecycle.settlement import Settlement

        def fail(self: Any, **kwargs: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(Settlement, "write", fail)
        host.book("B1", starts_at=tonight)
        outcome = run_all()["B1"]
        assert (outcome.kind, outcome.unexpected) == (Kind.RETRY, True)
        assert Assignment.objects.get().state == State.CREATED
        assert not StateTransition.objects.exists()
        monkeypatch.undo()
        assert run_all()["B1"].kind is Kind.CONFIRMED


def test_years_of_seatings_do_not_slow_the_look_at_one_evening(host: TheHost, tonight: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO assignments_allocation
                   (restaurant_ref, table_ref, booking_ref, kind, blocked, starts_at, ends_at, planner)
            SELECT 'R' || mod(number, 10), 'T' || mod(number, 100), 'B' || number, 'seating',
                   tstzrange(start, start + '1 hour'), start, start + '1 hour', 'test'
              FROM generate_series(1, 8000) AS number, LATERAL (SELECT %s - number * interval '1 day' / 9) AS at(start)
            """,
            [tonight],
        )
        cursor.execute("ANALYZE assignments_allocation")
    queryset = Allocation.objects.at("R1").filter(blocked__overlap=(tonight, tonight + timedelta(hours=2)))
    assert "allocation_occupancy" in queryset.explain()
    assert dispatch.count_due() == 0
