"""Shadow mode: it writes nothing but comparisons, and whatever the candidate does, the legacy planner's outcome stands."""

import json
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from assignments import api
from assignments.coordination import dispatch, table_record
from example import models, twins
from rollout.control import switches
from rollout.flags import resolution
from rollout.legacy import LegacyPlanner
from rollout.models import Comparison, FloorRecord
from rollout.policy import verdict
from rollout.shadow import comparator, recorder
from tests.built import built_once
from tests.example.conftest import load

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.legacy_planner]


@pytest.fixture(autouse=True)
def _for_the_candidates_process(transactional_db: Any, monkeypatch: Any) -> None:
    """It is to work on this test's database."""
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


ABOUT_THE_PROCESS = frozenset({"hangs", "exits", "leaves", "prints", "opens_another_connection", "no_such_candidate"})
"""Candidates whose process itself is tested: its end, its pipes, its variables. The others' processes are forked."""


@pytest.fixture
def as_it_starts(request: pytest.FixtureRequest, name: str) -> None:
    """The process of the candidate with this name, started as it really is where that matters."""
    if name in ABOUT_THE_PROCESS:
        request.getfixturevalue("really_started")


@pytest.fixture
def evening(transactional_db: Any) -> models.Restaurant:
    """Twenty bookings of the real evening, the legacy planner on duty, V3 in its shadow."""
    built_once("twenty bookings in shadow mode", begin)
    return models.Restaurant.objects.get()


@pytest.fixture
def recorded(transactional_db: Any) -> models.Restaurant:
    """The same, decided: each decision is kept, and waits for V3."""

    def decide() -> None:
        begin()
        run()

    built_once("twenty decisions that wait for V3", decide)
    return models.Restaurant.objects.get()


def begin() -> None:
    load("legacy", bookings=20)
    models.Booking.objects.update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, actor="test", reason="test")


def run() -> None:
    dispatch.register_new()
    assert sum(len(progress.outcomes) for progress in dispatch.run_pass()) == 20
    assert recorder.flush()


def verdicts() -> Counter[str]:
    return Counter(Comparison.objects.values_list("verdict", flat=True))


def test_the_database_is_the_same_with_and_without_shadow_but_for_the_comparisons(
    evening: models.Restaurant, capsys: Any
) -> None:
    twins.start_over()
    run()
    call_command("rollout", "compare")
    with_shadow = twins.contents()
    assert Comparison.objects.count() == 20
    switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor="test", reason="test")
    twins.start_over()
    run()
    assert twins.differences(with_shadow, twins.contents()) == []
    assert Comparison.objects.count() == 20
    models.Booking.objects.filter(status="confirmed").first().tables.clear()  # type: ignore[union-attr]
    assert twins.differences(with_shadow, twins.contents()) == ["example.Booking_tables"], "a difference would be seen"


@pytest.mark.usefixtures("really_started")
def test_every_decision_is_kept_compared_and_can_be_asked_again(recorded: models.Restaurant, capsys: Any) -> None:
    capsys.readouterr()
    call_command("rollout", "compare", "--json")
    report = json.loads(capsys.readouterr().out)
    assert report["compared"] == 20
    assert sum(report["verdicts"].values()) == 20
    assert report["verdicts"]["unsafe"] == report["verdicts"]["v3_error"] == 0
    assert FloorRecord.objects.count() == 1
    for comparison in Comparison.objects.all():
        assert comparison.verdict
        assert comparison.candidate is not None
        assert comparison.candidate["snapshot_hash"] == comparison.snapshot_hash
        assert comparison.control_repeats is True
        assert comparison.control_ms > 0
        assert comparison.candidate_ms is not None
        assert comparison.compared_at is not None
    call_command("rollout", "compare")
    assert "No decisions are waiting" in capsys.readouterr().out


def test_an_edit_that_needs_other_tables_is_compared_and_one_that_does_not_is_nobodys_decision(
    recorded: models.Restaurant,
) -> None:
    """Edits are settled by the app, whichever planner decides: only what it asks the planner is its decision."""
    call_command("rollout", "compare", verbosity=0)
    booking = models.Booking.objects.filter(status="confirmed", party__lte=3).order_by("pk")[0]
    had = sorted(str(pk) for pk in booking.tables.values_list("pk", flat=True))
    edit(booking, party=booking.party)
    assert Comparison.objects.count() == 20
    edit(booking, party=6)
    asked = Comparison.objects.latest("id")
    assert (Comparison.objects.count(), asked.booking_ref) == (21, str(booking.pk))
    assert (asked.snapshot["version"], asked.snapshot["request"]["current_table_refs"]) == (2, had)
    assert not {table for table, _from, _until, ref in asked.snapshot["occupied"] if ref == str(booking.pk)}
    call_command("rollout", "compare", verbosity=0)
    asked.refresh_from_db()
    assert asked.verdict not in {"", "unsafe", "v3_error"}
    assert asked.control_repeats is True
    assert asked.candidate is not None
    assert asked.candidate["snapshot_hash"] == asked.snapshot_hash


def edit(booking: models.Booking, *, party: int) -> None:
    with transaction.atomic():
        models.Booking.objects.filter(pk=booking.pk).update(party=party)
        api.booking_changed(booking_ref=str(booking.pk))
    assert recorder.flush()


def test_the_legacy_planner_repeats_what_was_kept_when_tables_were_listed_by_key(evening: models.Restaurant) -> None:
    kept = json.loads((Path(__file__).parents[1] / "data" / "kept_by_key.json").read_text())
    floor = FloorRecord.objects.create(version=kept["version"], restaurant_ref="r1", content=kept["floor"])
    Comparison.objects.create(
        booking_ref="b1",
        restaurant_ref="r1",
        floor=floor,
        snapshot=kept["snapshot"],
        snapshot_hash=kept["control"]["snapshot_hash"],
        control=kept["control"],
        control_ms=1.0,
    )
    list(comparator.compare_waiting())
    comparison = Comparison.objects.get()
    assert (comparison.verdict, comparison.control_repeats) == ("same_tables", True)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("raises", "ZeroDivisionError"),
        ("hangs", "timeout"),
        ("exits", "exited"),
        ("leaves", "exited"),
        ("talks_nonsense", "AttributeError"),
        ("updates", "InternalError"),
        ("inserts", "InternalError"),
        ("deletes", "InternalError"),
        ("holds", "InternalError"),
        ("writes_history", "InternalError"),
        ("assigns", "InternalError"),
        ("calls_the_host", "InternalError"),
        ("makes_itself_writable", "InternalError"),
        ("commits_first", "InternalError"),
        ("opens_another_connection", "ReadOnlySqlTransaction"),
        ("no_such_candidate", "not_started"),
    ],
)
@pytest.mark.usefixtures("as_it_starts")
def test_a_candidate_that_misbehaves_is_an_error_and_changes_nothing(
    recorded: models.Restaurant, settings: Any, name: str, error: str
) -> None:
    before = twins.contents()
    settings.ROLLOUT = {
        **settings.ROLLOUT,
        "CANDIDATE": f"tests.rollout.candidates.{name}",
        "CANDIDATE_SECONDS": 1.0 if name == "hangs" else 5.0,
    }
    list(comparator.compare_waiting(limit=2))
    assert twins.contents() == before
    done = Comparison.objects.exclude(verdict="")
    assert [(each.verdict, each.error) for each in done] == [("v3_error", error)] * 2


@pytest.mark.usefixtures("as_it_starts")
@pytest.mark.parametrize("name", ["prints", "locks_for_ever", "acts_on_commit", "mails"])
def test_a_candidate_that_tries_what_leads_nowhere_is_compared_all_the_same(
    recorded: models.Restaurant, settings: Any, name: str
) -> None:
    before = twins.contents()
    settings.ROLLOUT = {**settings.ROLLOUT, "CANDIDATE": f"tests.rollout.candidates.{name}"}
    list(comparator.compare_waiting(limit=2))
    assert twins.contents() == before
    assert verdicts()["v3_error"] == 0
    with connection.cursor() as cursor:  # the lock ended with the candidate's process
        cursor.execute("SELECT pg_try_advisory_xact_lock(424242)")
        assert cursor.fetchone() == (True,)


def test_a_candidate_that_takes_taken_tables_is_found_out(recorded: models.Restaurant, settings: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "CANDIDATE": "tests.rollout.candidates.takes_a_taken_table"}
    list(comparator.compare_waiting())
    assert verdicts()["unsafe"] > 5


def test_a_planner_that_raises_on_a_snapshot_holds_up_no_other_comparison(
    recorded: models.Restaurant, monkeypatch: Any
) -> None:
    first, second, *_others = Comparison.objects.order_by("id").values_list("pk", flat=True)
    judge = LegacyPlanner.judge

    def raises(snapshot: Any) -> Any:
        if snapshot.request.booking_ref == Comparison.objects.get(pk=first).booking_ref:
            raise ZeroDivisionError
        return judge(snapshot)

    def raises_too(snapshot: Any, *decisions: Any) -> Any:
        if snapshot.request.booking_ref == Comparison.objects.get(pk=second).booking_ref:
            raise RecursionError
        return verdict.compare(snapshot, *decisions)

    monkeypatch.setattr(LegacyPlanner, "judge", staticmethod(raises))
    monkeypatch.setattr(comparator, "compare", raises_too)
    list(comparator.compare_waiting())
    assert not Comparison.objects.filter(verdict="").exists(), "no row is met again"
    assert Comparison.objects.get(pk=first).control_repeats is False
    assert list(Comparison.objects.exclude(error="").values_list("pk", "verdict", "error")) == [
        (second, "v3_error", "not comparable: RecursionError")
    ]


def test_recording_that_fails_costs_a_comparison_and_nothing_else(
    evening: models.Restaurant, monkeypatch: Any, caplog: Any
) -> None:
    def fail(*args: Any) -> None:
        raise RuntimeError("Canary Guest")

    monkeypatch.setattr(recorder, "_store", fail)
    before = recorder.counters().get("dropped_failure", 0)
    run()
    assert models.Booking.objects.filter(status="confirmed").count() > 10
    assert (recorder.counters()["dropped_failure"] - before, Comparison.objects.count()) == (20, 0)
    assert "Canary" not in caplog.text


def test_a_database_that_hangs_for_comparisons_holds_up_nobody(evening: models.Restaurant, monkeypatch: Any) -> None:
    release = threading.Event()

    def hang(batch: Any) -> None:
        release.wait(30)

    monkeypatch.setattr(recorder, "_store", hang)
    monkeypatch.setattr(recorder, "BUFFER_SIZE", 3)
    before = recorder.counters().get("dropped_overflow", 0)
    try:
        dispatch.register_new()
        assert sum(len(progress.outcomes) for progress in dispatch.run_pass()) == 20
        assert recorder.flush(0.01) is False
        assert recorder.counters()["dropped_overflow"] > before
    finally:
        release.set()


@pytest.mark.parametrize("mode", ["legacy", "active"])
def test_outside_shadow_mode_nothing_is_kept(evening: models.Restaurant, mode: str) -> None:
    switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor="test", reason="test")
    switches.set_switch(resolution.V3_SWITCH, active=mode == "active", actor="test", reason="test")
    run()
    assert not Comparison.objects.exists()


def test_v3_is_compared_with_the_rules_and_the_record_that_it_would_decide_with(
    evening: models.Restaurant, settings: Any, monkeypatch: Any
) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MAX_SPARE_SEATS": 2, "WEIGHTS": {"optimal_fit": 9}}
    table = str(evening.tables.order_by("pk").values_list("pk", flat=True)[0])
    monkeypatch.setitem(table_record._kept, str(evening.pk), (float("inf"), {table: 0.5}))
    run()
    for comparison in Comparison.objects.all():
        assert comparison.snapshot["rules"]["max_spare_seats"] == 2
        assert comparison.snapshot["rules"]["weights"]["optimal_fit"] == 9
        assert comparison.snapshot["success"] == {table: 0.5}
