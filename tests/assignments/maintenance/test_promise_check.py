"""``reconcile_assignments --check`` finds each broken promise, also where no constraint would let it be broken."""

import io
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from assignments import api, conf
from assignments.coordination import dispatch
from assignments.integration import floor_cache
from assignments.integration.host import Seating
from assignments.integration.planners import NOBODY, Route, SoleRouter
from assignments.maintenance import promise_check, reconcile
from assignments.maintenance.host_reading import MOST_ALONE, Reading
from assignments.models import Allocation, Assignment, HostMark, OutboxMessage, State
from assignments.testing import a_floor, a_table
from tests.assignments.conftest import HOST_PATH, TheHost, rewritten_history, run_all

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def evening(host: TheHost, tonight: datetime) -> TheHost:
    """Two confirmed bookings, one that was too large, and one that was cancelled."""
    for ref in ("B1", "B2", "gone"):
        host.book(ref, starts_at=tonight)
    host.book("large", starts_at=tonight, party=50)
    run_all()
    host.edit("gone", wants_table=False)
    call_command("reconcile_assignments", stdout=io.StringIO())
    return host


def checked(**options: Any) -> tuple[int, list[tuple[str, str]]]:
    out, code = io.StringIO(), 0
    try:
        call_command("reconcile_assignments", check=True, json=True, stdout=out, **options)
    except CommandError as error:
        code = error.returncode
    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    return code, [(row["promise"], row["booking_ref"]) for row in rows]


def test_an_evening_as_it_should_be_has_no_finding(evening: TheHost) -> None:
    assert checked() == (0, [])
    out = io.StringIO()
    call_command("reconcile_assignments", "--check", stdout=out)
    assert out.getvalue() == "Every promise holds.\n"


def test_the_floor_of_a_restaurant_is_read_once_to_compare_its_tables(
    evening: TheHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    fingerprint = TheHost.floor_fingerprint

    def noted(host: TheHost, restaurant_ref: str) -> str:
        read.append(restaurant_ref)
        return fingerprint(host, restaurant_ref)

    monkeypatch.setattr(TheHost, "floor_fingerprint", noted)
    assert list(promise_check.shown_twice(reading=Reading())) == []
    assert len(read) == 1


def move_over() -> None:
    """B2 sits at B1's table, as it could without the exclusion constraint."""
    table = Allocation.objects.get(booking_ref="B1").table_ref
    Allocation.objects.filter(booking_ref="B2").update(table_ref=table)


def lose_tables() -> None:
    Allocation.objects.filter(booking_ref="B1").delete()


def never_due() -> None:
    host: TheHost = conf.load(HOST_PATH)
    host.book("waits", starts_at=host.rows["B1"].starts_at)
    dispatch.register_new()
    Assignment.objects.filter(booking_ref="waits").update(due_at=None)


def seat_twice() -> None:
    seated = Allocation.objects.get(booking_ref="B1")
    seated.pk, later = None, timedelta(hours=3)
    seated.starts_at, seated.ends_at = seated.starts_at + later, seated.ends_at + later
    seated.table_ref = "T3"
    seated.blocked = (seated.starts_at, seated.ends_at)
    seated.save(force_insert=True)


def keep_what_was_cancelled() -> None:
    Allocation.objects.filter(booking_ref="B1").update(booking_ref="gone")


def say_nothing() -> None:
    Assignment.objects.filter(booking_ref="large").update(reason="")


def break_the_chain() -> None:
    with rewritten_history() as cursor:
        cursor.execute(
            "DELETE FROM assignments_statetransition WHERE id = (SELECT min(id) FROM assignments_statetransition"
            " WHERE booking_ref = 'B1' AND source <> 'created' AND target <> 'confirmed')"
        )


def lose_a_message() -> None:
    OutboxMessage.objects.filter(booking_ref="B1").delete()


def lose_the_first_of_two_messages() -> None:
    assert OutboxMessage.objects.filter(booking_ref="gone").count() == 2
    OutboxMessage.objects.filter(booking_ref="gone").earliest("id").delete()


def lose_the_message_of_a_move() -> None:
    api.move(booking_ref="B1", table_refs=["T3"], actor="staff:7")
    OutboxMessage.objects.get(booking_ref="B1", topic="booking.moved").delete()


def wait_for_hours() -> None:
    host: TheHost = conf.load(HOST_PATH)
    host.book("waits", starts_at=host.rows["B1"].starts_at)
    dispatch.register_new()
    Assignment.objects.filter(booking_ref="waits").update(due_at=datetime.now().astimezone() - timedelta(hours=3))


def be_woken_in_vain() -> None:
    Assignment.objects.filter(booking_ref="large").update(wake_at=datetime.now().astimezone() - timedelta(hours=3))


def follow_nothing() -> None:
    HostMark.objects.create(booking_ref="B1", created_at=datetime.now().astimezone() - timedelta(minutes=6))


def set_a_message_aside() -> None:
    OutboxMessage.objects.filter(booking_ref="B1").update(set_aside_at=datetime.now().astimezone())


def leave_an_orphan() -> None:
    Allocation.objects.filter(booking_ref="B1").update(booking_ref="nobody")


def leave_a_hold() -> None:
    hour = datetime.now().astimezone() - timedelta(hours=1)
    Allocation.objects.filter(booking_ref="B2").update(
        kind="hold", expires_at=hour, token="6fa459ea-ee8a-3ca4-894e-db77e160355e"
    )


def die() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO assignments_batchmark (id, run, restaurant_ref, service_date, booking_refs, created_at)"
            " VALUES (gen_random_uuid(), gen_random_uuid(), 'R1', '2026-01-14', '{B1}', now() - interval '1 hour')"
        )


@pytest.mark.parametrize(
    ("breaks", "promise", "ref"),
    [
        (move_over, "no table is double-booked", "B1"),
        (lose_tables, "no booking is lost", "B1"),
        (never_due, "no booking is lost", "waits"),
        (seat_twice, "a booking has one outcome", "B1"),
        (keep_what_was_cancelled, "a booking has one outcome", "gone"),
        (say_nothing, "an outcome has a reason", "large"),
        (break_the_chain, "the history is one chain to the state", "B1"),
        (lose_a_message, "the host is told of everything", "B1"),
        (lose_the_first_of_two_messages, "the host is told of everything", "gone"),
        (lose_the_message_of_a_move, "the host is told of everything", "B1"),
        (wait_for_hours, "nothing waits for long", "waits"),
        (be_woken_in_vain, "nothing waits for long", "large"),
        (follow_nothing, "nothing waits for long", "B1"),
        (set_a_message_aside, "the host is told of everything", "B1"),
        (leave_an_orphan, "tables belong to bookings", "nobody"),
        (leave_a_hold, "holds end", "B2"),
        (die, "a batch that ended is cleared up", "B1"),
    ],
)
def test_a_broken_promise_is_found(evening: TheHost, breaks: Any, promise: str, ref: str) -> None:
    kept = _without_constraints(breaks)
    try:
        code, found = checked()
    finally:
        _restore(kept)
    assert code == 4
    assert (promise, ref) in found


def test_what_is_due_is_no_finding_where_nobody_is_meant_to_decide(evening: TheHost, monkeypatch: Any) -> None:
    wait_for_hours()
    assert checked() == (4, [(promise_check.WAITS, "waits")])
    monkeypatch.setattr(
        SoleRouter, "route", lambda _self, rows: {row.booking_ref: Route(planner=NOBODY) for row in rows}
    )
    assert checked() == (0, [])


@pytest.mark.parametrize("answer", ["an error", "no route"])
def test_a_router_that_raises_is_no_traceback_and_hides_no_other_finding(
    evening: TheHost, monkeypatch: Any, capsys: Any, answer: str
) -> None:
    wait_for_hours()
    evening.rows.pop("B1")

    def route(_self: SoleRouter, rows: Any) -> dict[str, Route]:
        if answer == "an error":
            raise ValueError("Canary Guest")
        return {}

    monkeypatch.setattr(SoleRouter, "route", route)
    with pytest.raises(CommandError) as ended:
        call_command("reconcile_assignments", "--check")
    out, _err = capsys.readouterr()
    error = "ValueError" if answer == "an error" else "LookupError"
    assert f"waits: {promise_check.WAITS}: it has been due for 180 minutes, and the router raised {error}" in out
    assert f"B1: {promise_check.HOST_AND_LEDGER}" in out
    assert ended.value.returncode == 4
    assert "Canary" not in out


@pytest.mark.parametrize("name", ["floor", "floor_fingerprint"])
def test_a_floor_that_the_host_cannot_give_is_a_finding_since_tables_cannot_be_compared(
    evening: TheHost, monkeypatch: Any, capsys: Any, name: str
) -> None:
    def callback(_ref: str) -> Any:
        raise ValueError("Canary Guest")

    floor_cache.forget()
    monkeypatch.setattr(evening, name, callback)
    with pytest.raises(CommandError) as ended:
        call_command("reconcile_assignments", "--check")
    out, _err = capsys.readouterr()
    assert f"host: {promise_check.HOST_AND_LEDGER}: the floor of restaurant R1 cannot be read (ValueError)\n" in out
    assert ended.value.returncode == 4
    assert "Canary" not in out


@pytest.mark.parametrize("route", [lambda _self, _rows: {}, lambda _self, _rows: 1 / 0])
def test_a_pass_says_that_the_router_fails(evening: TheHost, monkeypatch: Any, route: Any) -> None:
    wait_for_hours()
    monkeypatch.setattr(SoleRouter, "route", route)
    out = io.StringIO()
    call_command("run_coordinator", dry_run=True, stdout=out)
    assert "The router raised" in out.getvalue()
    with pytest.raises(CommandError, match="Unexpected error with a booking"):
        call_command("run_coordinator", stdout=out)


CONSTRAINTS = ("allocation_no_overlap", "assignment_open_iff_due")


def _without_constraints(breaks: Any) -> list[tuple[str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = ANY(%s)",
            [list(CONSTRAINTS)],
        )
        kept: list[tuple[str, str, str]] = cursor.fetchall()
        for table, name, _definition in kept:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
    breaks()
    return kept


def _restore(kept: list[tuple[str, str, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE assignments_allocation, assignments_assignment CASCADE")
        for table, name, definition in kept:
            cursor.execute(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')


def test_what_the_host_has_otherwise_is_found_and_nothing_is_repaired(evening: TheHost, tonight: datetime) -> None:
    evening.rows.pop("B1")
    evening.book("unseen", starts_at=tonight)
    before = list(Assignment.objects.values_list("booking_ref", "state", "version"))
    assert checked() == (4, [(promise_check.HOST_AND_LEDGER, "unseen"), (promise_check.HOST_AND_LEDGER, "B1")])
    assert list(Assignment.objects.values_list("booking_ref", "state", "version")) == before


@pytest.mark.parametrize("options", [{"days": 3}, {"check": True, "repair": 2}])
def test_options_that_do_not_go_together_are_refused(host: TheHost, options: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as refused:
        call_command("reconcile_assignments", **options)
    assert refused.value.returncode == 2


@pytest.fixture
def two_restaurants(host: TheHost, tonight: datetime) -> TheHost:
    host.floors["R2"] = a_floor("R2", tables=[a_table("T1")])
    for number in range(3):
        host.book(f"A{number}", starts_at=tonight)
    host.book("Z", restaurant_ref="R2", starts_at=tonight)
    run_all()
    host.edit("A2", wants_table=False)
    host.edit("Z", wants_table=False)
    return host


def raises_for(host: TheHost, monkeypatch: Any, name: str, ref: str) -> None:
    """The host raises an error, which quotes a guest, whenever it is asked about this booking."""
    original = getattr(host, name)

    def callback(refs: Any, **more: Any) -> Any:
        if ref in refs:
            raise KeyError("Canary Guest <canary@example.test>")
        return original(refs, **more)

    monkeypatch.setattr(host, name, callback)


@pytest.mark.parametrize("name", ["bookings", "tables_of"])
def test_a_booking_for_which_the_host_raises_keeps_no_other_from_being_compared(
    two_restaurants: TheHost, monkeypatch: Any, capsys: Any, caplog: Any, name: str
) -> None:
    raises_for(two_restaurants, monkeypatch, name, "A1")
    for options, code in ((["--check"], 4), (["--dry-run"], 1), ([], 1)):
        with pytest.raises(CommandError) as ended:
            call_command("reconcile_assignments", *options)
        assert ended.value.returncode == code
        out, _err = capsys.readouterr()
        lines = out.splitlines()
        assert any(line.startswith("A1: ") and "KeyError" in line for line in lines), out
        assert {line.split(":")[0] for line in lines if "cancelled in the host" in line} == {"A2", "Z"}, out
        assert "Canary" not in out + caplog.text + str(ended.value)
    assert set(Assignment.objects.filter(state=State.CANCELLED).values_list("booking_ref", flat=True)) == {"A2", "Z"}


@pytest.mark.parametrize("name", ["history", "unassigned"])
def test_a_restaurant_whose_bookings_the_host_cannot_list_keeps_no_other_from_being_compared(
    two_restaurants: TheHost, tonight: datetime, monkeypatch: Any, capsys: Any, name: str
) -> None:
    original = getattr(two_restaurants, name)
    new = two_restaurants.book("new", restaurant_ref="R2", starts_at=tonight)
    if name == "history":
        two_restaurants.rows["new"] = replace(new, is_confirmed=True)
        two_restaurants.seated["new"] = Seating(
            booking_ref="new", table_refs=("T1",), starts_at=tonight, ends_at=tonight + timedelta(hours=2)
        )

    def callback(**asked: Any) -> Any:
        if asked.get("restaurant_ref") in (None, "R1"):
            raise KeyError("Canary Guest <canary@example.test>")
        return original(**asked)

    monkeypatch.setattr(two_restaurants, name, callback)
    with pytest.raises(CommandError) as ended:
        call_command("reconcile_assignments")
    out, _err = capsys.readouterr()
    assert ended.value.returncode == 1
    assert "host: the host raised an error for the list of bookings of restaurant R1 -> not repaired (KeyError)" in out
    assert {"A2", "Z", "new"} <= {line.split(":")[0] for line in out.splitlines()}
    assert "Canary" not in out


def test_of_many_bookings_for_which_the_host_raises_not_each_is_asked_for_alone(
    host: TheHost, tonight: datetime, monkeypatch: Any
) -> None:
    for number in range(200):
        host.book(f"B{number:03}", starts_at=tonight)
    dispatch.register_new()
    asked: list[Any] = []

    def callback(refs: Any, **_more: Any) -> Any:
        asked.append(refs)
        raise KeyError("Canary")

    monkeypatch.setattr(host, "bookings", callback)
    found = list(reconcile.reconcile(dry_run=True))
    assert len(asked) < 100
    assert sum(bool(each.booking_ref) for each in found) <= MOST_ALONE + 1
    assert {each.error for each in found} == {"KeyError"}
    assert any("bookings, B" in each.problem for each in found)
