"""The legacy planner: its penalties, its two transactions, and what a crash between them leaves."""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from assignments import api, conf
from assignments.concurrency import transactions
from assignments.coordination import dispatch, quarantine
from assignments.coordination.coordinator import Coordinator
from assignments.integration.host import Seating
from assignments.models import Allocation, Assignment, Attempt, BatchMark, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.planning.floor import Floor, Join
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot
from assignments.planning.units import unit_of
from assignments.telemetry import events
from assignments.testing import a_floor, a_service, a_table
from legacy_planner import engine
from legacy_planner.planner import DELAYS_SECONDS, MAX_ATTEMPTS, LegacyPlanner
from legacy_planner.scoring import penalty
from tests.assignments.conftest import HOST_PATH, TheHost, tonight
from tests.assignments.planning.restaurant import MORNING, real_day, with_keys

__all__ = ["tonight"]

FLOOR = a_floor(
    tables=[
        a_table("two-a", seats=2),
        a_table("two-b", seats=2),
        a_table("four-a"),
        a_table("four-b"),
        a_table("four-c"),
        a_table("eight", seats=8),
    ],
    adjacent=[("two-a", "four-a"), ("four-a", "four-b"), ("four-b", "four-c"), ("four-c", "eight")],
)


@pytest.mark.parametrize(
    ("tables", "party", "terms"),
    [
        (["two-a"], 2, (0, 0, 0, 0, 0, 1 / 2)),
        (["two-a"], 1, (5, 0, 0, 0, 0, 1 / 2)),
        (["four-a"], 2, (10, 0, 0, 0, 0, 1 / 3)),
        (["four-a", "four-b"], 8, (0, 3, 0, 0, 0, 2 / 3)),
        (["two-a", "four-a"], 6, (0, 3, 4, 0, 0, 1 / 2 + 1 / 3)),
        (["four-a", "four-b", "four-c"], 12, (0, 6, 0, 0, 1, 1)),
        (["eight"], 8, (0, 0, 0, 0, 0, 1)),
    ],
)
def test_each_penalty(tables: list[str], party: int, terms: tuple[float, ...]) -> None:
    found = penalty(FLOOR, unit_of(FLOOR, tables), party)
    assert (
        found.spare_seats,
        found.extra_tables,
        found.fragmentation,
        found.zone_spread,
        found.adjacency,
        found.scarcity,
    ) == pytest.approx(terms)
    assert found.total == pytest.approx(sum(terms))


def test_tables_of_two_zones_cost_four() -> None:
    floor = a_floor(tables=[a_table("inside", zone_ref="A"), a_table("outside", zone_ref="B")])
    assert penalty(floor, unit_of(floor, ["inside", "outside"]), 8).zone_spread == 4


def test_equal_tables_are_chosen_by_name_and_not_by_ref() -> None:
    names = {"97": "T10", "100": "T9", "5": "T2", "1": "T11"}
    floor = a_floor(
        tables=[a_table(ref, name=name) for ref, name in names.items()], adjacent=[("97", "1"), ("100", "5")]
    )
    four, eight = (engine.plan(snapshot(party, floor=floor)).plans for party in (4, 8))
    assert [each.table_refs for each in four[: len(names)]] == [("5",), ("100",), ("97",), ("1",)]
    assert [each.table_refs for each in eight] == [("5", "100"), ("97", "1")]


def seated_by_name(keys: Iterable[int]) -> list[tuple[str, ...]]:
    """The names of the tables that each booking of the real day gets, in the file's order; nothing for those without."""
    floor, requests = with_keys(real_day(), keys)
    occupied: list[Occupied] = []
    seated: list[tuple[str, ...]] = []
    for request in requests:
        decision = engine.plan(Snapshot(floor=floor, occupied=tuple(occupied), request=request, now=MORNING))
        refs = decision.best.table_refs if decision.best else ()
        seated.append(tuple(floor.table_by_ref[ref].name for ref in refs))
        if decision.window is not None:
            window = decision.window
            occupied += [
                Occupied(
                    table_ref=ref,
                    blocked_from=window.blocked_from,
                    blocked_until=window.blocked_until,
                    booking_ref=request.booking_ref,
                )
                for ref in refs
            ]
    return seated


def test_the_real_day_is_seated_alike_whatever_the_keys() -> None:
    expected = seated_by_name(range(1, 17))
    assert len(expected) == 117
    assert sum(map(bool, expected)) == 64
    for keys in (range(97, 113), range(1_000, 1_016), range(112, 96, -1)):
        assert seated_by_name(keys) == expected


def snapshot(party: int, *, taken: tuple[str, ...] = (), floor: Floor = FLOOR, **request: Any) -> Snapshot:
    start = datetime(2030, 1, 14, 19, tzinfo=UTC)
    return Snapshot(
        floor=floor,
        occupied=tuple(
            Occupied(table_ref=ref, blocked_from=start - timedelta(hours=1), blocked_until=start + timedelta(minutes=1))
            for ref in taken
        ),
        request=SeatingRequest(**{"booking_ref": "B1", "starts_at": start, "party": party, **request}),
        now=start - timedelta(days=1),
    )


@pytest.mark.parametrize(
    ("party", "taken", "tables"),
    [
        (2, (), ("two-a",)),
        (2, ("two-a",), ("two-b",)),
        (2, ("two-a", "two-b"), ("four-a",)),
        (8, (), ("eight",)),
        (8, ("eight",), ("four-a", "four-b")),
    ],
)
def test_the_lowest_penalty_wins(party: int, taken: tuple[str, ...], tables: tuple[str, ...]) -> None:
    best = engine.plan(snapshot(party, taken=taken)).best
    assert best is not None
    assert best.table_refs == tables


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"party": 0}, "invalid_party"),
        ({"party": 10_000}, "party_too_large"),
        ({"party": 21}, "party_too_large"),
        ({"party": 2, "zone_ref": "roof"}, "no_fit"),
        ({"party": 2, "pinned_table_refs": ("eight",)}, "pinned_tables_unfit"),
        ({"party": 2, "pinned_table_refs": ("four-a",), "taken": ("four-a",)}, "pinned_tables_taken"),
        ({"party": 2, "taken": ("two-a", "two-b", "four-a", "four-b", "four-c", "eight")}, "no_capacity"),
        ({"party": 2, "floor": a_floor()}, "no_tables"),
        ({"party": 2, "starts_at": datetime(2020, 1, 1, 19, tzinfo=UTC)}, "starts_in_past"),
        ({"party": 2, "starts_at": datetime(2030, 1, 14, 22, 30, tzinfo=UTC)}, "service_overrun"),
    ],
)
def test_why_there_is_no_table(changes: dict[str, Any], reason: str) -> None:
    decision = engine.plan(snapshot(**changes))
    assert decision.best is None
    assert decision.refusal is not None
    assert decision.refusal.reason == reason
    assert decision.refusal.detail


def test_its_cut_off_knows_no_grace() -> None:
    late = snapshot(party=2)
    late = replace(late, now=late.request.starts_at + timedelta(minutes=1), rules=PlanningRules(grace_minutes=15))
    refusal = engine.plan(late).refusal
    assert refusal is not None
    assert refusal.reason is Reason.STARTS_IN_PAST


@pytest.fixture
def host(settings: Any) -> TheHost:
    """The same small floor, with the legacy planner on duty."""
    settings.ASSIGNMENTS = {
        "HOST": HOST_PATH,
        "ROUTER": "rollout.routing.RolloutRouter",
        "EVENT_SINKS": ("assignments.telemetry.events.MemorySink",),
    }
    loaded: TheHost = conf.load(HOST_PATH)
    return loaded


def run_all() -> dict[str, Any]:
    dispatch.register_new()
    return {outcome.booking_ref: outcome for each in dispatch.run_pass() for outcome in each.outcomes}


def make_due() -> None:
    Assignment.objects.open().update(due_at=datetime(2020, 1, 1, tzinfo=UTC))


@pytest.mark.django_db(transaction=True)
class TestLoop:
    def test_it_holds_and_confirms_and_leaves_history_and_events(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight, party=2)
        outcome = run_all()["B1"]
        assert (outcome.kind, outcome.planner, outcome.table_refs) == (Kind.CONFIRMED, "legacy", ("T4",))
        assert Allocation.objects.get().kind == "seating"
        history = StateTransition.objects.order_by("version").values_list("name", "actor", "planner")
        assert [name for name, _actor, _planner in history] == [
            "verify_capacity",
            "queue",
            "begin",
            "assign",
            "confirm",
        ]
        assert {(actor, planner) for _name, actor, planner in history} == {("legacy", "legacy")}
        assert Attempt.objects.get().number == 1
        events.flush(5)
        assert [event.type for event in events.MemorySink.events if event.source == "auto_assign"] == [
            "auto_assign.started",
            "auto_assign.succeeded",
            "auto_assign.summary",
        ]

    def test_a_crash_between_its_transactions_loses_nothing(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        host.book("B1", starts_at=tonight, party=2)

        def die(*args: Any) -> None:
            raise SystemExit(9)

        monkeypatch.setattr(LegacyPlanner, "_confirm", die)
        with pytest.raises(SystemExit):
            run_all()
        monkeypatch.undo()
        assignment = Assignment.objects.get()
        assert assignment.state == State.ASSIGNMENT_IN_PROGRESS
        held = Allocation.objects.get()
        assert (held.kind, held.expires_at) == ("hold", assignment.due_at)
        assert assignment.due_at is not None
        assert assignment.due_at < datetime.now(UTC) + timedelta(seconds=60), "also if nobody notices the death"
        monkeypatch.setattr(quarantine._process, "run", uuid.uuid4())
        assert run_all() == {}, "to another run the process may be alive"
        BatchMark.objects.update(created_at=datetime(2020, 1, 1, tzinfo=UTC))
        assert run_all()["B1"].kind is Kind.CONFIRMED, "its hold is its own, so it need not wait until that has expired"
        assert list(Allocation.objects.values_list("kind", "table_ref")) == [("seating", "T4")]
        history = list(StateTransition.objects.order_by("version").values_list("source", "target"))
        assert [source for source, _target in history] == ["created", *[target for _source, target in history[:-1]]]
        assert history[-1][1] == "confirmed"

    def test_a_booking_that_ends_the_process_goes_to_review(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        on_confirmed = host.on_confirmed

        def die(seatings: Sequence[Seating]) -> None:
            if seatings[0].booking_ref == "poison":
                raise SystemExit(9)
            on_confirmed(seatings)

        monkeypatch.setattr(host, "on_confirmed", die)
        for ref in ("B1", "poison", "B2"):
            host.book(ref, starts_at=tonight, party=2)
        for _death in range(quarantine.MOST_DEATHS):
            with pytest.raises(SystemExit):
                run_all()
        outcome = run_all()["poison"]
        assert (outcome.kind, outcome.reason, outcome.planner) == (Kind.MANUAL_REVIEW, "poisonous", "legacy")
        assert dict(Assignment.objects.values_list("booking_ref", "state")) == {
            "B1": "confirmed",
            "B2": "confirmed",
            "poison": "manual_review",
        }

    def test_a_batch_that_takes_long_counts_no_death(self, host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
        """Between two of its transactions another process takes it for dead."""
        for ref in ("B1", "B2"):
            host.book(ref, starts_at=tonight, party=2)
        host.locked.add("B2")
        attempt = LegacyPlanner._attempt

        def slowly(self: LegacyPlanner, *args: Any) -> Any:
            BatchMark.objects.update(created_at=datetime(2020, 1, 1, tzinfo=UTC))
            quarantine.note_deaths()
            return attempt(self, *args)

        monkeypatch.setattr(LegacyPlanner, "_attempt", slowly)
        run_all()
        assert dict(Assignment.objects.values_list("booking_ref", "deaths")) == {"B1": 0, "B2": 0}

    def test_an_edit_between_its_transactions_wins(self, host: TheHost, tonight: datetime, monkeypatch: Any) -> None:
        from assignments import api

        host.book("B1", starts_at=tonight, party=2)
        confirm = LegacyPlanner._confirm

        def process_then_edit(self: Any, booking_ref: str, trigger: str, due_before: Any) -> Any:
            from assignments.concurrency import transactions

            held = transactions.run(lambda: self._hold(booking_ref, trigger, []))
            host.edit("B1", party=4)
            api.booking_changed(booking_ref="B1")
            return transactions.run(lambda: confirm(self, booking_ref, held, trigger))

        monkeypatch.setattr(LegacyPlanner, "_process", process_then_edit)
        outcome = run_all()["B1"]
        monkeypatch.undo()
        assert (outcome.kind, outcome.detail) == (Kind.NOOP, "changed meanwhile")
        assert not Allocation.objects.exists()
        assert run_all()["B1"].table_refs == ("T1",)

    @pytest.mark.parametrize(
        ("change", "kind", "reason"),
        [
            ({"wants_table": False}, Kind.NOOP, "terminal_state"),
            ({"wants_table": False, "keeps_tables": True}, Kind.NOOP, "terminal_state"),
            ({"party": 4}, Kind.RETRY, "booking_moved"),
            ({"restaurant_ref": "R2"}, Kind.RETRY, "booking_moved"),
            ({"zone_ref": "terrace"}, Kind.RETRY, "booking_moved"),
            ({"ends_at": datetime(2040, 1, 1, tzinfo=UTC)}, Kind.RETRY, "booking_moved"),
            (None, Kind.NOOP, "booking_not_found"),
        ],
    )
    def test_what_changed_without_a_word_between_its_transactions_is_not_seated(
        self,
        host: TheHost,
        tonight: datetime,
        monkeypatch: Any,
        change: dict[str, Any] | None,
        kind: Kind,
        reason: str,
    ) -> None:
        host.book("B1", starts_at=tonight, party=2)
        confirm = LegacyPlanner._confirm

        def change_first(self: Any, *args: Any) -> Any:
            if change is None:
                host.rows.pop("B1", None)
            else:
                host.edit("B1", **change)
            return confirm(self, *args)

        monkeypatch.setattr(LegacyPlanner, "_confirm", change_first)
        outcome = run_all()["B1"]
        assert (outcome.kind, outcome.reason) == (kind, reason)
        assert not Allocation.objects.exists()
        assert Assignment.objects.get().state == (State.ASSIGNMENT_PENDING if kind is Kind.RETRY else State.CANCELLED)

    def test_a_booking_that_was_moved_to_another_restaurant_is_planned_there(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.floors["R2"] = a_floor("R2", tables=[a_table("elsewhere")])
        host.book("B1", starts_at=tonight)
        dispatch.register_new()
        host.edit("B1", restaurant_ref="R2")
        outcomes = run_all()
        if outcomes["B1"].kind is not Kind.CONFIRMED:
            outcomes = run_all()
        assert outcomes["B1"].table_refs == ("elsewhere",)
        assert Allocation.objects.get().restaurant_ref == Assignment.objects.get().restaurant_ref == "R2"

    def test_a_booking_is_seated_at_the_tables_that_it_holds(self, host: TheHost, tonight: datetime) -> None:
        from assignments import api

        host.book("B1", starts_at=tonight, party=2)
        api.hold(booking_ref="B1", table_refs=["T2"])
        assert run_all()["B1"].table_refs == ("T2",)
        assert list(Allocation.objects.values_list("kind", "table_ref")) == [("seating", "T2")]

    def test_a_host_that_cannot_hear_of_a_review_does_not_keep_a_booking_from_it(
        self, host: TheHost, tonight: datetime
    ) -> None:
        host.book("B1", starts_at=tonight, party=30)
        host.raises["on_review"] = RuntimeError("down")
        for _ in range(MAX_ATTEMPTS):
            run_all()
            make_due()
        assert Assignment.objects.get().state == State.MANUAL_REVIEW

    def test_a_failure_that_cannot_be_stored_leaves_the_booking_due_and_the_pass_goes_on(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        from assignments.lifecycle.settlement import Settlement

        write = Settlement.write

        def fail(self: Any, **kwargs: Any) -> None:
            if any(outcome.booking_ref == "B1" for outcome in self.outcomes):
                raise ZeroDivisionError
            write(self, **kwargs)

        monkeypatch.setattr(Settlement, "write", fail)
        for ref in ("B1", "B2"):
            host.book(ref, starts_at=tonight)
        outcomes = run_all()
        assert (outcomes["B1"].kind, outcomes["B1"].unexpected) == (Kind.RETRY, True)
        assert outcomes["B2"].kind is Kind.CONFIRMED
        assert Assignment.objects.get(booking_ref="B1").due_at is not None

    @pytest.mark.parametrize("is_quick", [True, False])
    def test_a_newcomer_passes_nobody_however_many_asked_earlier(
        self, host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch, is_quick: bool
    ) -> None:
        """A whole handful waits for T1 at 19:00 in vain, and W asked for 21:00, long before N did."""
        host.floors["R1"] = a_floor(tables=[a_table("T1")])
        host.book("A", starts_at=tonight)
        assert run_all()["A"].table_refs == ("T1",)
        asked = datetime(2026, 1, 1, tzinfo=UTC)
        waiting = [f"E{number}" for number in range(dispatch.HANDED_OVER_AT_ONCE - 1)]
        for number, ref in enumerate([*waiting, "W", "N"]):
            later = timedelta(0) if ref in waiting else timedelta(hours=2)
            host.book(ref, starts_at=tonight + later, requested_at=asked + timedelta(minutes=number))
            api.request(booking_ref=ref)
        if is_quick:
            outcome = api.assign_now(booking_ref="N")
            assert Assignment.objects.get(booking_ref="W").state == State.CONFIRMED
        else:
            process = LegacyPlanner.process

            def slow(self: LegacyPlanner, refs: Sequence[str], **kwargs: Any) -> Any:
                invocations.append(list(refs))
                monkeypatch.setattr(dispatch, "time", SimpleNamespace(monotonic=lambda: inf))  # The time is up.
                return process(self, refs, **kwargs)

            invocations: list[list[str]] = []
            monkeypatch.setattr(LegacyPlanner, "process", slow)
            outcome = api.assign_now(booking_ref="N")
            assert (invocations, outcome.reason) == ([[*waiting, "W"]], "time_budget_exceeded")
            monkeypatch.undo()
        assert outcome.kind is not Kind.CONFIRMED
        run_all()
        assert dict(Allocation.objects.current().values_list("booking_ref", "table_ref")) == {"A": "T1", "W": "T1"}

    def test_two_passes_at_once_try_a_booking_once(self, host: TheHost, tonight: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T1")])
        for ref in ("A", "B"):
            host.book(ref, starts_at=tonight)
        dispatch.register_new()
        now = transactions.database_now()
        passes = [Coordinator(host).process_day("R1", tonight.date(), ["A", "B"], due_before=now) for _ in range(3)]
        assert [len(each.handed_over["legacy"]) for each in passes] == [2, 2, 2]
        for each in passes:
            LegacyPlanner(host).process(each.handed_over["legacy"], trigger="cron", due_before=now)
        assert set(Assignment.objects.values_list("attempts", flat=True)) == {1}

    def test_a_hold_taken_between_its_transactions_is_kept(
        self, host: TheHost, tonight: datetime, monkeypatch: Any
    ) -> None:
        from assignments import api

        host.book("B1", starts_at=tonight, party=2)
        confirm = LegacyPlanner._confirm

        def hold_first(self: Any, *args: Any) -> Any:
            api.hold(booking_ref="B1", table_refs=["T2"])
            return confirm(self, *args)

        monkeypatch.setattr(LegacyPlanner, "_confirm", hold_first)
        outcome = run_all()["B1"]
        monkeypatch.undo()
        assert (outcome.kind, outcome.unexpected) == (Kind.NOOP, False)
        assert list(Allocation.objects.values_list("kind", "table_ref")) == [("hold", "T2")]
        assert run_all()["B1"].table_refs == ("T2",)

    def test_a_naive_start_is_refused_at_once(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight.replace(tzinfo=None))
        outcome = run_all()["B1"]
        assert (outcome.kind, outcome.reason, outcome.unexpected) == (Kind.FAILED, "invalid_start", False)

    def test_a_dry_run_agrees_with_the_run_for_who_holds(self, host: TheHost, tonight: datetime) -> None:
        from assignments import api
        from assignments.coordination import dry_run

        host.floors["R1"] = a_floor(tables=[a_table("T1")])
        host.book("B1", starts_at=tonight, party=4)
        api.hold(booking_ref="B1", table_refs=["T1"])
        (day,) = dry_run.preview()
        best = day.decisions["legacy"][0].best
        assert best is not None
        assert best.table_refs == run_all()["B1"].table_refs == ("T1",)

    def test_a_batch_is_left_when_somebody_keeps_its_day_locked(
        self, host: TheHost, tonight: datetime, settings: Any, monkeypatch: Any
    ) -> None:
        refs = ["B1", "B2", "B3"]
        for ref in refs:
            host.book(ref, starts_at=tonight)
        dispatch.register_new()
        asked: list[str] = []

        def locked(self: Any, booking_ref: str, *args: Any) -> Any:
            asked.append(booking_ref)
            with connection.cursor() as cursor:
                cursor.execute("DO $$ BEGIN RAISE EXCEPTION 'locked' USING ERRCODE = '55P03'; END $$")

        monkeypatch.setattr(LegacyPlanner, "_hold", locked)
        (outcome,) = LegacyPlanner(host).process(refs, trigger="cron")
        assert (outcome.booking_ref, outcome.reason) == ("B1", "lock_contention")
        assert asked == ["B1", "B1"]

    def test_a_stop_is_heard_between_a_few_bookings_of_a_batch(self, host: TheHost, tonight: datetime) -> None:
        for number in range(25):
            host.book(f"B{number:02}", starts_at=tonight + timedelta(minutes=number))
        dispatch.register_new()
        limits = dispatch.PassLimits(should_stop=lambda: Assignment.objects.exclude(state="created").exists())
        (progress,) = dispatch.run_pass(limits)
        assert len(progress.outcomes) == 10
        assert dispatch.count_due() >= 15

    def test_it_tries_eleven_times_with_its_own_delays(self, host: TheHost, tonight: datetime) -> None:
        for number in range(4):
            host.book(f"B{number}", starts_at=tonight, party=4, requested_at=tonight - timedelta(days=9 - number))
        delays = []
        for _ in range(MAX_ATTEMPTS - 1):
            outcome = run_all()["B3"]
            assert outcome.kind is Kind.RETRY
            delays.append(outcome.delay_seconds)
            make_due()
        assert delays == [*DELAYS_SECONDS, *[45.0] * (MAX_ATTEMPTS - 1 - len(DELAYS_SECONDS))]
        last = run_all()["B3"]
        assert (last.kind, last.reason) == (Kind.MANUAL_REVIEW, "no_capacity")
        assert host.reviews == {"B3": "no_capacity"}

    def test_what_starts_too_soon_goes_to_review(self, host: TheHost, settings: Any) -> None:
        from datetime import time

        from assignments.testing import a_service

        all_day = a_service(key="all_day", starts=time(0), ends=time(0), allow_overrun=True)
        host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[all_day])
        host.book("B1", starts_at=datetime.now(UTC) + timedelta(minutes=5))
        outcome = run_all()["B1"]
        assert (outcome.kind, outcome.reason) == (Kind.MANUAL_REVIEW, "start_too_near")
        events.flush(5)
        assert "auto_assign.cutoff_skipped" in {event.type for event in events.MemorySink.events}

    def test_one_bad_booking_costs_only_itself_and_its_guest_stays_private(
        self, host: TheHost, tonight: datetime, caplog: Any
    ) -> None:
        for ref in ("B1", "B2", "B3"):
            host.book(ref, starts_at=tonight)
        host.raises["on_confirmed"] = RuntimeError("Guest Canary <canary@example.test>")
        host.raises_for = {"B2"}
        kinds = {ref: outcome.kind for ref, outcome in run_all().items()}
        assert kinds == {"B1": Kind.CONFIRMED, "B2": Kind.RETRY, "B3": Kind.CONFIRMED}
        assert not Allocation.objects.filter(booking_ref="B2").exists()
        events.flush(5)
        assert "auto_assign.attempt_error" in {event.type for event in events.MemorySink.events}
        assert "canary" not in (caplog.text + repr(events.MemorySink.events)).lower()

    def test_gone_cancelled_busy_and_malformed_bookings(self, host: TheHost, tonight: datetime) -> None:
        for ref in ("gone", "cancelled", "busy", "malformed", "zero"):
            host.book(ref, starts_at=tonight)
        dispatch.register_new()
        del host.rows["gone"]
        host.edit("cancelled", wants_table=False)
        host.locked.add("busy")
        host.edit("malformed", problem="The booking has no start.")
        host.edit("zero", party=0)
        outcomes = {ref: (outcome.kind, outcome.reason) for ref, outcome in run_all().items()}
        assert outcomes == {
            "gone": (Kind.NOOP, "booking_not_found"),
            "cancelled": (Kind.NOOP, "terminal_state"),
            "busy": (Kind.NOOP, "lock_contention"),
            "malformed": (Kind.FAILED, "invalid_booking"),
            "zero": (Kind.FAILED, "invalid_party"),
        }
        states = Counter(Assignment.objects.values_list("state", flat=True))
        assert states == {"cancelled": 2, "created": 1, "failed": 2}

    def test_it_leaves_alone_what_another_planner_owns(self, host: TheHost, tonight: datetime) -> None:
        host.book("B1", starts_at=tonight)
        dispatch.register_new()
        Assignment.objects.update(planner="v3")
        assert LegacyPlanner(host).process(["B1"], trigger="test")[0].reason == "pipeline_disabled"
        assert Assignment.objects.get().state == State.CREATED


@pytest.mark.django_db(transaction=True)
def test_a_woken_booking_that_has_tables_keeps_them_for_staff(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1")])
    host.book("B1", starts_at=tonight, party=2)
    api.assign(booking_ref="B1", table_refs=["T1"], actor="staff:1")
    host.edit("B1", starts_at=tonight.replace(hour=3) + timedelta(days=1))
    assert api.booking_changed(booking_ref="B1") is Change.TO_STAFF
    Assignment.objects.update(wake_at=tonight)
    (outcome,) = LegacyPlanner(host).process(["B1"], trigger="inline")
    assert outcome.kind is Kind.NOOP
    row = Assignment.objects.get()
    assert (row.state, row.reason, row.wake_at) == (State.MANUAL_REVIEW, "edit_unmet", None)
    assert Allocation.objects.get().table_ref == "T1"


def test_it_gives_nothing_that_the_floor_forbids_and_keeps_its_own_limits_of_joins() -> None:
    """Opening hours bind it too. Joins of four tables, which only their listing allows, are V3's."""
    tables = [a_table(ref) for ref in ("T1", "T2", "T3", "T4")]
    four = Join(table_refs=frozenset({"T1", "T2", "T3", "T4"}), seats=16)
    dinner = a_service(early_minutes=15)
    floor = a_floor(tables=tables, joins=[four], services=[dinner])

    def refusal(hour: int, minute: int, party: int) -> str:
        start = datetime(2030, 1, 14, hour, minute, tzinfo=UTC)
        request = SeatingRequest(booking_ref="B1", starts_at=start, party=party)
        decision = engine.plan(Snapshot(floor=floor, occupied=(), request=request, now=start - timedelta(days=1)))
        return decision.refusal.reason if decision.refusal else ""

    assert refusal(16, 44, 4) == "outside_service"
    assert refusal(16, 45, 4) == ""
    assert refusal(23, 0, 4) == "outside_service"
    assert refusal(19, 0, 16) == "party_too_large"
