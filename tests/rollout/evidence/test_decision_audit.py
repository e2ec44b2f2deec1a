"""Each of V3's decisions is audited once, by what V3 was given, and compared with the legacy planner's."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import Count

from assignments import api
from assignments.concurrency import clock
from assignments.coordination import day_planner, dispatch, planned_day
from assignments.coordination.planned_day import PlannedDay
from assignments.integration import release
from assignments.integration.host import HostBooking, Seating
from assignments.integration.planners import Batch
from assignments.lifecycle import ledger
from assignments.models import Allocation, Attempt
from assignments.planning.decision import Decision
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.text import Text
from example.host import ExampleHost
from example.models import Booking, Restaurant
from rollout.control import steering
from rollout.evidence import decision_audit, measuring
from rollout.models import Audit, AuditTally, FloorRecord, GuardRun, StoredBatch
from rollout.policy import gates, guardrails
from rollout.policy.measurements import Facts, Seatings
from rollout.policy.seating_audit import Flaw
from rollout.shadow import stored_batches
from tests.built import built_once
from tests.example.conftest import load
from tests.rollout.control.test_steering import climb, configure
from tests.rollout.policy.test_batch_audit import who_moved, window_of, with_moves

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


def decide(bookings: int = 0) -> None:
    load("v3", bookings=bookings)
    climb("full")
    dispatch.register_new()
    list(dispatch.run_pass())


@pytest.fixture
def evening(ladder: None) -> None:
    built_once("the evening by V3, to be audited", decide)


def decide_with(monkeypatch: pytest.MonkeyPatch, change: Callable[[int, Decision], Decision]) -> None:
    """Have V3 decide the evening, and change its decisions before they are settled."""
    plan = planned_day.plan_requests

    def changed(*args: Any, **options: Any) -> PlannedDay:
        planned = plan(*args, **options)
        decisions = {ref: change(number, each) for number, (ref, each) in enumerate(planned.decisions.items())}
        return planned._replace(decisions=decisions)

    monkeypatch.setattr(day_planner, "plan_requests", changed)
    decide()


def refused(decision: Decision) -> Decision:
    refusal = Refusal(reason=Reason.NO_CAPACITY, text=Text("Everything that fits is taken."))
    return replace(decision, plans=(), window=None, refusal=refusal)


def contents() -> Mapping[str, Any]:
    with connection.cursor() as cursor:
        found = {}
        for table in connection.introspection.table_names():
            if not table.startswith(("rollout_", "django_", "pg_")):
                cursor.execute(f"SELECT md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM \"{table}\" AS t")
                found[table] = cursor.fetchone()
        return found


def test_each_decision_of_an_evening_is_audited_once_and_a_healthy_v3_has_nothing_wrong(evening: None) -> None:
    attempts = Attempt.objects.exclude(batch=None)
    assert attempts.count() == Attempt.objects.filter(planner="v3").count() > 100
    batches = StoredBatch.objects.values_list("key", flat=True)
    assert set(batches) == set(attempts.values_list("batch", flat=True))
    assert decision_audit.waiting()[0] == attempts.count()
    before = contents()
    assert decision_audit.run() == attempts.count()
    assert contents() == before, "neither the audit nor the legacy planner writes anything but audits"
    assert set(Audit.objects.values_list("attempt", flat=True)) == set(attempts.values_list("pk", flat=True))
    wrong = Audit.objects.exclude(flaws=[]) | Audit.objects.filter(wrong_refusal=True) | Audit.objects.exclude(error="")
    assert not list(wrong.values())
    assert decision_audit.waiting() == (0, 0)
    assert decision_audit.run() == 0
    assert Audit.objects.count() == attempts.count()
    position = steering.current()
    assert position is not None
    facts = measuring.measure_live(position, minutes=60)
    assert facts.stage_seatings.checked + facts.stage_seatings.refusals == attempts.count()
    assert not guardrails.breaches(facts, guardrails.DEFAULT)


def test_floors_that_only_batches_have_get_a_record(evening: None) -> None:
    assert StoredBatch.objects.filter(floor__isnull=False).exists()
    decision_audit.run()
    versions = set(StoredBatch.objects.values_list("floor_version", flat=True))
    assert versions <= set(FloorRecord.objects.values_list("version", flat=True))


def test_batches_with_refusals_come_first_and_a_run_is_bounded(evening: None, settings: Any) -> None:
    batch = StoredBatch.objects.get()
    key = "00000000-0000-0000-0000-00000000000%d"
    for number in range(3):
        columns = {"restaurant_ref": "9", "service_date": batch.service_date, "floor_version": batch.floor_version}
        StoredBatch.objects.create(
            key=key % number, content=batch.content, attempts=1, refusals=0, at=batch.at - timedelta(days=1), **columns
        )
    settings.ROLLOUT = {**settings.ROLLOUT, "AUDITED_PER_RUN": 1}
    decision_audit.run()
    batch.refresh_from_db()
    assert batch.audited_at is not None, "it has refusals, and the older ones have none"
    assert StoredBatch.objects.filter(audited_at=None).count() == 3
    call_command("rollout", "status")


def measured() -> Facts:
    position = steering.current()
    assert position is not None
    return measuring.measure_live(position, minutes=60)


def test_rates_are_of_what_was_decided_before_the_oldest_that_waits_and_unsafe_counts_at_once(evening: None) -> None:
    decision_audit.run()
    batch = StoredBatch.objects.get()
    before = Audit.objects.earliest("decided_at").decided_at - timedelta(milliseconds=1)
    everything = measured().stage_seatings
    assert everything.checked > 50
    columns = {"restaurant_ref": "9", "service_date": batch.service_date, "floor_version": batch.floor_version}
    columns |= {"content": batch.content, "attempts": 1, "refusals": 0, "release": batch.release}
    later = StoredBatch.objects.create(key=uuid4(), at=batch.at + timedelta(seconds=30), **columns)
    assert measured().stage_seatings == everything
    StoredBatch.objects.create(key=uuid4(), at=before, **{**columns, "release": "another"})
    assert measured().stage_seatings == everything
    StoredBatch.objects.create(key=uuid4(), at=before, **columns)
    assert measured().stage_seatings.paired == 0
    assert measured().stage_seatings.wrong_refusals == 0
    long_ago = {"decided_at": batch.at - timedelta(days=30), "release": batch.release, "flaws": ["table_taken"]}
    of = {"booking_ref": "1", "restaurant_ref": "9", "service_date": batch.service_date, "is_refusal": False}
    Audit.objects.create(attempt=10**9, **of, **long_ago)
    found = measured()
    assert (found.unsettled.unsafe, found.stage_seatings.unsafe, found.stage_seatings.checked) == (1, 1, 0)
    assert [breach.rail for breach in guardrails.breaches(found, guardrails.DEFAULT)] == ["unsafe_seatings"]
    assert later.audited_at is None


def test_untold_is_a_confirmed_booking_that_the_host_still_waits_for(evening: None) -> None:
    Booking.objects.update(status="pending")
    confirmed = list(Attempt.objects.filter(outcome="confirmed").order_by("pk"))
    other, smaller, tried_again = (Booking.objects.get(pk=int(each.booking_ref)) for each in confirmed[:3])
    Booking.objects.filter(pk=other.pk).update(start=other.start + timedelta(minutes=15))
    Booking.objects.filter(pk=smaller.pk).update(party=smaller.party + 1)
    again = Attempt.objects.get(pk=confirmed[2].pk)
    again.pk, again.batch, again.number, again.outcome = None, None, again.number + 1, "retry"
    again.save(force_insert=True)
    decision_audit.run()
    told = {str(each.pk) for each in (other, smaller, tried_again)}
    assert (
        set(Audit.objects.filter(untold=True).values_list("booking_ref", flat=True))
        == {each.booking_ref for each in confirmed} - told
    )


def test_a_host_that_shows_one_table_of_a_join_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a foreign key holds the table."""
    decide()
    joined = Allocation.objects.values("booking_ref").annotate(many=Count("pk")).filter(many__gt=1)
    assert joined.exists()
    bookings, tables_of = ExampleHost.bookings, ExampleHost.tables_of

    def without_tables(self: ExampleHost, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        return {ref: replace(each, table_refs=None) for ref, each in bookings(self, refs, lock=lock).items()}

    def first_of(self: ExampleHost, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        return {ref: tables[:1] for ref, tables in tables_of(self, refs).items()}

    monkeypatch.setattr(ExampleHost, "bookings", without_tables)
    monkeypatch.setattr(ExampleHost, "tables_of", first_of)
    decision_audit.run()
    assert Audit.objects.exists()
    assert not Audit.objects.filter(untold=True).exists()


@pytest.mark.legacy_planner
def test_a_host_that_is_told_other_tables_than_the_guests_have_is_untold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fourth booking gets the tables of the one before it, as the host is told."""
    tell, swapped = ExampleHost.on_confirmed, set[str]()

    def tell_otherwise(self: ExampleHost, seatings: Sequence[Seating]) -> None:
        told = list(seatings)
        for number in range(3, len(told), 4):
            told[number] = replace(told[number], table_refs=told[number - 1].table_refs)
            if not set(told[number].table_refs) <= set(seatings[number].table_refs):
                swapped.add(told[number].booking_ref)
        tell(self, told)

    monkeypatch.setattr(ExampleHost, "on_confirmed", tell_otherwise)
    decide()
    with pytest.raises(CommandError, match="Rolled back"):
        call_command("rollout", "guard")
    assert set(Audit.objects.filter(untold=True).values_list("booking_ref", flat=True)) == swapped
    assert "untold" in {breach["rail"] for breach in GuardRun.objects.get().breaches}


@pytest.mark.legacy_planner
def test_the_verdict_is_that_of_the_latest_decision_whichever_was_audited_first(evening: None) -> None:
    decision_audit.run()
    before, latest = measured().stage_seatings, Attempt.objects.latest("pk").pk
    of = {"restaurant_ref": "9", "service_date": datetime.now(UTC).date(), "booking_ref": "B"}
    of |= {"release": release.running(), "is_refusal": True, "decided_at": datetime.now(UTC)}
    Audit.objects.create(attempt=latest + 2, verdict="both_refuse", **of)
    Audit.objects.create(attempt=latest + 1, verdict="only_legacy_seats", **of)
    after = measured().stage_seatings
    assert (after.paired, after.only_legacy) == (before.paired + 1, before.only_legacy)


def test_a_run_begins_nothing_once_its_time_is_over(evening: None) -> None:
    assert decision_audit.run(seconds=0) == 0
    assert not Audit.objects.exists()


@pytest.mark.legacy_planner
def test_a_legacy_planner_that_asks_the_database_in_vain_leaves_the_rest_of_the_audit(monkeypatch: Any) -> None:
    load("v3", bookings=30)  # So few that nobody is moved: then the legacy planner is asked.
    climb("full")
    dispatch.register_new()
    list(dispatch.run_pass())

    legacy, asked = decision_audit._legacy_judge(), []
    assert legacy is not None

    def judge(snapshot: Any) -> Any:
        asked.append(snapshot)
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table" if len(asked) == 1 else "SELECT 1")
        return legacy(snapshot)

    monkeypatch.setattr(decision_audit, "_legacy_judge", lambda: judge)
    assert decision_audit.run() == Attempt.objects.count() == len(asked)
    assert Audit.objects.filter(verdict="", error="").count() == 1


@pytest.mark.legacy_planner
def test_wrong_refusals_are_found_at_once_and_roll_back(monkeypatch: pytest.MonkeyPatch) -> None:
    decide_with(monkeypatch, lambda number, each: refused(each) if number % 4 == 0 and each.plans else each)
    with pytest.raises(CommandError) as stopped:
        call_command("rollout", "guard")
    assert stopped.value.returncode == 3
    assert Audit.objects.filter(wrong_refusal=True).count() >= 10
    run = GuardRun.objects.latest("id")
    assert "wrong_refusals" in {breach["rail"] for breach in run.breaches}
    assert run.rolled_back_to == "shadow"
    position = steering.current()
    assert position is not None
    assert position.stage == "shadow"


def test_a_confirmed_party_that_is_moved_to_another_time_is_unsafe() -> None:
    evening = with_moves()
    for_whom, mover = who_moved(evening)
    promised = window_of(evening, mover)
    hour = timedelta(hours=1)
    later = replace(promised, starts_at=promised.starts_at + hour, blocked_from=promised.blocked_from + hour)
    for placed, flaws in (({}, set()), ({mover: promised}, set()), ({mover: later}, {Flaw.OTHER_TIMES})):
        key = uuid4()
        before = evening.before
        stored_batches.keep(
            Batch(
                key=key,
                service_date=before.now.date(),
                floor=before.floor,
                occupied=before.occupied,
                requests=tuple(evening.requests),
                now=before.now,
                rules=before.rules,
                decisions=evening.decisions,
                movable=tuple(evening.movable),
                placed=placed,
            )
        )
        content = StoredBatch.objects.get(key=key).content
        judged = decision_audit._judge(stored_batches.read(content, before.floor), stored_batches.movers_of(content))
        assert judged[for_whom].flaws == flaws


def at_another_table(placement: ledger.Placement) -> ledger.Placement:
    return replace(placement, table_refs=("another",))


def for_less_time(placement: ledger.Placement) -> ledger.Placement:
    window = placement.window
    return replace(placement, window=replace(window, blocked_until=window.blocked_until - timedelta(minutes=1)))


def nowhere(placement: ledger.Placement) -> ledger.Placement:
    return replace(placement, table_refs=())


@pytest.mark.parametrize("otherwise", [at_another_table, for_less_time, nowhere])
def test_a_ledger_that_gets_other_than_what_was_decided_is_unsafe(
    otherwise: Callable[[ledger.Placement], ledger.Placement], monkeypatch: pytest.MonkeyPatch
) -> None:
    """V3 decides well, but what is written of one decision is another table, another time or nothing."""
    seat, changed = ledger.seat, list[str]()

    def seat_otherwise(placements: Iterable[ledger.Placement]) -> None:
        first, *others = placements
        changed.append(first.booking_ref)
        seat([otherwise(first), *others])

    monkeypatch.setattr(ledger, "seat", seat_otherwise)
    decide(30)
    decision_audit.run()
    unsafe = Audit.objects.exclude(flaws=[])
    assert [(audit.booking_ref, *audit.flaws) for audit in unsafe] == [(changed[0], "written_otherwise")]
    assert "unsafe_seatings" in {breach.rail for breach in guardrails.breaches(measured(), guardrails.DEFAULT)}


def test_what_was_given_and_what_was_found_are_written_once(evening: None) -> None:
    now = datetime.now(UTC)
    with pytest.raises(DatabaseError, match="have no audit"), transaction.atomic():
        StoredBatch.objects.update(audited_at=now)
    for columns in ({"restaurant_ref": "9"}, {"attempts": 1}, {"service_date": now.date() - timedelta(days=99)}):
        with pytest.raises(DatabaseError, match="written once"), transaction.atomic():
            StoredBatch.objects.update(audited_at=now, **columns)
    decision_audit.run()
    ahead = StoredBatch.objects.get()
    ahead.pk, ahead.at = uuid4(), now + timedelta(hours=1)
    with pytest.raises(DatabaseError, match="dated ahead"), transaction.atomic():
        ahead.save(force_insert=True)
    audit = Audit.objects.earliest("pk")
    audit.pk, audit.attempt, audit.decided_at = None, 10**9, now + timedelta(hours=1)
    with pytest.raises(DatabaseError, match="dated ahead"), transaction.atomic():
        audit.save()
    for change in (
        lambda: StoredBatch.objects.update(content={}),
        lambda: StoredBatch.objects.update(audited_at=None),
        lambda: StoredBatch.objects.all().delete(),
        lambda: Audit.objects.update(wrong_refusal=True),
        lambda: Audit.objects.all().delete(),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    again = Audit.objects.order_by("id")[0]
    again.pk = None
    with pytest.raises(DatabaseError), transaction.atomic():
        again.save()


def test_a_batch_that_cannot_be_read_is_audited_as_unreadable(evening: None) -> None:
    batch = StoredBatch.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE rollout_frozenbatch DISABLE TRIGGER USER")
        cursor.execute("UPDATE rollout_frozenbatch SET content = content - 'requests'")
        cursor.execute("ALTER TABLE rollout_frozenbatch ENABLE TRIGGER USER")
    assert decision_audit.run() == batch.attempts
    assert set(Audit.objects.values_list("error", flat=True)) == {"KeyError"}
    assert measured().stage_seatings.unjudged == batch.attempts


@pytest.mark.legacy_planner
def test_audits_that_all_fail_hold_the_gate_and_roll_back(evening: None) -> None:
    """Nobody knows whether V3 decides well then, and no other figure stands in for that."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE rollout_frozenbatch DISABLE TRIGGER USER")
        cursor.execute("UPDATE rollout_frozenbatch SET content = content - 'requests'")
        cursor.execute("ALTER TABLE rollout_frozenbatch ENABLE TRIGGER USER")
    decision_audit.run()
    position = steering.current()
    assert position is not None
    facts = measuring.measure(position)
    assert facts.seatings.checked > 50
    gate = gates.ALWAYS["seatings"](facts, 0)
    assert (gate.status, "failed" in str(gate.detail)) == (gates.Status.INCONCLUSIVE, True)
    assert measured().stage_seatings.checked == 0
    with pytest.raises(CommandError, match="Rolled back to shadow") as breached:
        guard_run()
    assert breached.value.returncode == 3
    assert [each["rail"] for each in GuardRun.objects.latest("pk").breaches] == ["unjudged"]


def raising(monkeypatch: pytest.MonkeyPatch, refs: Collection[str]) -> None:
    """Have the database refuse what is written of these bookings."""
    of = decision_audit._audit_of

    def audit_of(batch: StoredBatch, attempt: Attempt, error: str) -> Audit:
        audit = of(batch, attempt, error)
        if attempt.booking_ref in refs and error == "":
            audit.verdict = "a verdict that there is not \0"
        return audit

    monkeypatch.setattr(decision_audit, "_audit_of", audit_of)


class Slow:
    """Audits of some decisions end only when the database cancels them, on a clock of its own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, attempts: Collection[int]) -> None:
        self.seconds = 0.0
        audit_of = decision_audit._Chunk.audit

        def audit(chunk: decision_audit._Chunk, timeout_ms: int) -> None:
            asked = chunk.attempts or [each for key in chunk.keys for each in chunk._waiting_of(key)]
            if set(attempts).intersection(asked):
                chunk._is_read = True
                self.seconds += timeout_ms / 1000
                raise OperationalError("canceling statement due to statement timeout")
            audit_of(chunk, timeout_ms)

        monkeypatch.setattr(decision_audit._Chunk, "audit", audit)
        monkeypatch.setattr(decision_audit, "monotonic", lambda: self.seconds)

    def run(self) -> tuple[int, float]:
        """How many audits with an error a run writes, and how long it takes."""
        before, began = Audit.objects.exclude(error="").count(), self.seconds
        decision_audit.run()
        return Audit.objects.exclude(error="").count() - before, self.seconds - began


def guard_run() -> None:
    call_command("rollout", "guard", stdout=StringIO(), stderr=StringIO())


def decided(seatings: Seatings) -> int:
    return seatings.checked + seatings.refusals


class TestDecisionsThatCannotBeAudited:
    @pytest.fixture(autouse=True)
    def many_are_tolerated(self, ladder: None, settings: Any) -> None:
        settings.ROLLOUT = {**settings.ROLLOUT, "GUARD": {"unjudged": 1}}

    def test_one_keeps_no_other_from_its_audit_and_gets_one_that_says_so(
        self, evening: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = Attempt.objects.count()
        one = Attempt.objects.filter(outcome="confirmed").order_by("pk")[40].booking_ref
        raising(monkeypatch, {one})
        guard_run()
        assert Audit.objects.count() == attempts - 1
        assert decision_audit.waiting()[0] == attempts, "a batch waits until all of it is audited"
        with clock.shifted(decision_audit.IN_TIME):
            guard_run()
        failed = Audit.objects.exclude(error="").get()
        assert (failed.booking_ref, failed.error) == (one, "DataError")
        assert decision_audit.waiting() == (0, 0)
        found = measured()
        assert (decided(found.stage_seatings), found.stage_seatings.unjudged) == (attempts - 1, 1)
        assert found.unaudited == 0

    def test_nor_do_several_and_what_is_decided_later_counts(
        self, evening: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refs = set(Attempt.objects.order_by("pk").values_list("booking_ref", flat=True)[10:14])
        raising(monkeypatch, refs)
        restaurant = Restaurant.objects.get()
        with clock.shifted(decision_audit.IN_TIME):
            booking = restaurant.bookings.exclude(status="confirmed")[0]
            booking.pk, booking.reference, booking.start = None, "later", booking.start + timedelta(days=1)
            booking.save()
            api.request(booking_ref=str(booking.pk))
            api.assign_now(booking_ref=str(booking.pk))
            guard_run()
            found = measured().stage_seatings
        assert set(Audit.objects.exclude(error="").values_list("booking_ref", flat=True)) == refs
        assert (decided(found), found.unjudged) == (Attempt.objects.count() - 4, 4)

    def test_a_batch_that_the_database_does_not_give_away_is_given_up_as_a_whole(
        self, evening: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = Attempt.objects.count()
        asked = []

        def read(content: Any, floor: Any) -> Any:
            asked.append(content)
            raise OperationalError("canceling statement due to statement timeout")

        monkeypatch.setattr(stored_batches, "read", read)
        guard_run()
        assert not Audit.objects.exists()
        with clock.shifted(decision_audit.IN_TIME):
            guard_run()
        assert list(Audit.objects.values_list("error", flat=True)) == ["OperationalError"] * attempts
        assert len(asked) == 2, "once in each run"

    def test_of_many_that_take_too_long_each_run_writes_off_several_in_a_bounded_time(
        self, evening: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = list(Attempt.objects.order_by("pk").values_list("pk", flat=True))
        slow = Slow(monkeypatch, attempts[5::10])
        runs = []
        with clock.shifted(decision_audit.IN_TIME):
            while decision_audit.waiting() != (0, 0):
                runs.append(slow.run())
        assert min(given_up for given_up, _seconds in runs[:-1]) >= 3
        assert max(seconds for _given_up, seconds in runs) < 75
        assert set(Audit.objects.exclude(error="").values_list("attempt", flat=True)) == set(attempts[5::10])

    def test_however_many_do_they_are_written_off_within_a_day(
        self, evening: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        slow = Slow(monkeypatch, Attempt.objects.values_list("pk", flat=True))
        with clock.shifted(decision_audit.FOR_LONG):
            runs = [slow.run(), slow.run()]
        assert decision_audit.waiting() == (0, 0)
        assert max(seconds for _given_up, seconds in runs) < 75
        assert Audit.objects.exclude(error="").count() == Attempt.objects.count()

    def test_a_host_that_is_away_costs_no_decision_its_audit(
        self, evening: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def bookings(self: Any, refs: Any) -> Any:
            raise ConnectionError

        seated = Attempt.objects.filter(outcome="confirmed").order_by("pk").values_list("pk", flat=True)[:8]
        refused = Attempt.objects.exclude(outcome="confirmed").order_by("pk").values_list("pk", flat=True)[:4]
        few = [*seated, *refused]
        Attempt.objects.exclude(pk__in=few).update(batch=None)
        with monkeypatch.context() as away:
            away.setattr(ExampleHost, "bookings", bookings)
            decision_audit.run()
            assert not Audit.objects.filter(is_refusal=False).exists()
            with clock.shifted(decision_audit.IN_TIME):
                decision_audit.run()
        assert decision_audit.waiting() == (0, 0)
        assert set(Audit.objects.filter(error="").values_list("attempt", flat=True)) == set(few)
        assert not Audit.objects.exclude(error="").exists()

    def test_a_run_that_ends_in_the_middle_leaves_the_rest_to_the_next(
        self, evening: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = Attempt.objects.count()
        with monkeypatch.context() as failing:
            raising(failing, set(Attempt.objects.order_by("pk").values_list("booking_ref", flat=True)[:1]))
            moments = iter([0.0, 0.0, 100.0, 100.0])
            failing.setattr(decision_audit, "monotonic", lambda: next(moments, 1000.0))
            assert decision_audit.run() == 0
        assert Audit.objects.count() == 0
        assert decision_audit.run() == attempts == Audit.objects.count()


def test_pruning_keeps_what_waits_for_its_audit_and_counts_it(evening: None) -> None:
    batch = StoredBatch.objects.get()
    with clock.at(datetime.now(UTC) + timedelta(days=8)):
        call_command("rollout", "prune")
    assert StoredBatch.objects.exists()
    with clock.at(datetime.now(UTC) + timedelta(days=100)):
        call_command("rollout", "prune")
    assert not StoredBatch.objects.exists()
    tally = AuditTally.objects.get()
    assert (tally.day, tally.decisions, tally.unaudited) == (batch.at.date(), 0, batch.attempts)


def test_pruning_keeps_counts(evening: None) -> None:
    decision_audit.run()
    refusals = Audit.objects.filter(is_refusal=True).count()
    decisions = Audit.objects.count()
    call_command("rollout", "prune")
    assert Audit.objects.count() == decisions
    assert StoredBatch.objects.exists()
    with clock.at(datetime.now(UTC) + timedelta(days=8)):
        call_command("rollout", "prune")
    assert not StoredBatch.objects.exists()
    assert Audit.objects.count() == decisions
    with clock.at(datetime.now(UTC) + timedelta(days=100)):
        call_command("rollout", "prune")
    assert not Audit.objects.exists()
    tally = AuditTally.objects.get()
    assert (tally.decisions, tally.refusals, tally.unsafe, tally.wrong_refusals) == (decisions, refusals, 0, 0)


@pytest.mark.legacy_planner
class TestTheLegacyPlannerIsAskedTheSame:
    """Bookings decided one by one, as they come in: nobody is moved."""

    def decided(self, monkeypatch: pytest.MonkeyPatch, change: Callable[[int, Decision], Decision]) -> Any:
        restaurant = load("v3")
        climb("full")
        plan, number = planned_day.plan_requests, iter(range(1000))

        def changed(*args: Any, **options: Any) -> PlannedDay:
            planned = plan(*args, **options)
            decisions = {ref: change(next(number), each) for ref, each in planned.decisions.items()}
            return planned._replace(decisions=decisions)

        monkeypatch.setattr(day_planner, "plan_requests", changed)
        for booking in restaurant.bookings.order_by("start")[:24]:
            api.request(booking_ref=str(booking.pk))
            api.assign_now(booking_ref=str(booking.pk))
        assert decision_audit.run() == Attempt.objects.count()
        position = steering.current()
        assert position is not None
        return measuring.measure_live(position, minutes=60)

    def test_a_healthy_v3_refuses_nobody_whom_it_seats(self, monkeypatch: pytest.MonkeyPatch) -> None:
        facts = self.decided(monkeypatch, lambda number, each: each)
        assert facts.stage_seatings.paired == 24
        assert facts.stage_seatings.only_legacy == 0
        assert not guardrails.breaches(facts, guardrails.DEFAULT)
        same = Audit.objects.filter(verdict="same_tables")
        assert same.exclude(control__plans=[]).count() == same.count() > 10

    def test_whom_v3_refuses_and_it_seats_is_a_rail(self, monkeypatch: pytest.MonkeyPatch) -> None:
        facts = self.decided(monkeypatch, lambda number, each: refused(each) if number % 2 else each)
        found = {breach.rail: breach for breach in guardrails.breaches(facts, guardrails.DEFAULT)}
        assert found["only_legacy_seats"].sample == found["wrong_refusals"].sample == 24
        assert found["only_legacy_seats"].value == found["wrong_refusals"].value > 0.2
