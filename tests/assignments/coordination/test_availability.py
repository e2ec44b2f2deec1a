"""What a booking form may offer: whatever it is, it is given. And how long guests at the door wait."""

from dataclasses import replace
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from assignments import api
from assignments.coordination import rearrangement
from assignments.exceptions import NoTableFreeError, TransitionRefusedError
from assignments.floor import Pacing, Table
from assignments.models import Allocation, Assignment, Attempt, QueuedParty, StateTransition
from assignments.outcome import Change, Kind
from assignments.testing import a_floor, a_service, a_table, at
from tests.assignments.conftest import TheHost, asked, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)


def offers(tonight: datetime, party: int = 2, **given: Any) -> list[str]:
    found = api.availability(restaurant_ref="R1", service_date=tonight.date(), party=party, **given)
    return [f"{start:%H:%M}" for start in found]


@pytest.fixture
def small(host: TheHost) -> TheHost:
    """Two tables, open from six to ten, stays of two hours."""
    tables = [a_table("T1", seats=2), a_table("T2", seats=4, features=frozenset({"step-free"}))]
    host.floors["R1"] = a_floor(tables=tables, services=[a_service(starts=time(18), ends=time(22))])
    return host


def test_offers_times_at_which_something_is_free_and_writes_nothing(small: TheHost, tonight: datetime) -> None:
    small.book("B1", starts_at=tonight, party=2)
    run_all()
    kept = [Assignment, Allocation, Attempt, StateTransition]
    before = [model._default_manager.count() for model in kept]
    assert offers(tonight, step_minutes=30) == ["18:00", "18:30", "19:00", "19:30", "20:00"]
    assert [model._default_manager.count() for model in kept] == before
    small.book("B2", starts_at=tonight, party=4, requested_at=asked(2))
    run_all()
    assert offers(tonight, step_minutes=30) == [], "both stay from seven to nine"
    small.edit("B1", wants_table=False)
    api.booking_changed(booking_ref="B1")
    assert offers(tonight, step_minutes=30) == ["18:00", "18:30", "19:00", "19:30", "20:00"]
    assert offers(tonight, 4, step_minutes=30) == []
    assert offers(tonight, needs=["Step-free"], step_minutes=30) == []
    assert offers(tonight, 9) == []
    with pytest.raises(ValueError, match="at least 1"):
        offers(tonight, 0)
    with pytest.raises(LookupError):
        api.availability(restaurant_ref="elsewhere", service_date=tonight.date(), party=2)


def test_a_project_whose_bookings_have_an_end_asks_for_the_stay(small: TheHost, tonight: datetime) -> None:
    """Otherwise a time is offered after which the table is needed before these guests leave."""
    for number, ref in enumerate(["B1", "B2"]):
        small.book(ref, starts_at=tonight + timedelta(hours=1), party=2, requested_at=asked(number))
    run_all()
    assert offers(tonight, step_minutes=30) == ["18:00"], "others come at eight"
    assert offers(tonight, step_minutes=30, stay_minutes=90) == ["18:00", "18:30"]
    assert offers(tonight, step_minutes=30, stay_minutes=150) == []
    start = tonight - timedelta(minutes=30)
    small.book("new", starts_at=start, ends_at=start + timedelta(minutes=90), party=2, requested_at=asked(9))
    api.request(booking_ref="new")
    assert api.assign_now(booking_ref="new").kind is Kind.CONFIRMED
    with pytest.raises(ValueError, match="stay"):
        offers(tonight, stay_minutes=0)


def test_who_waits_already_is_served_first(small: TheHost, tonight: datetime) -> None:
    for number, ref in enumerate(["B1", "B2"]):
        small.book(ref, starts_at=tonight, party=2, requested_at=asked(number))
        api.request(booking_ref=ref)
    assert offers(tonight) == []
    before = StateTransition.objects.count()
    assert offers(tonight) == []
    assert StateTransition.objects.count() == before


def test_pacing_and_moves_count(host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TheHost, "reports_told_tables", True, raising=False)
    services = [a_service(starts=time(19), ends=time(21))]
    tables = [a_table("small", seats=2), a_table("large", seats=4)]
    host.floors["R1"] = a_floor(tables=tables, services=services)
    host.book("B", starts_at=tonight, party=2, requested_at=asked(0))
    host.book("A", starts_at=tonight, party=2, requested_at=asked(1))
    run_all()
    host.edit("B", wants_table=False)
    api.booking_changed(booking_ref="B")
    assert tables_of("A") == ["large"]
    assert offers(tonight, 4) == ["19:00"], "A may go to the small table"
    host.floors["R1"] = a_floor(tables=tables, services=services, pacing=[Pacing(most_covers=5)])
    assert offers(tonight, 4) == []
    host.floors["R1"] = a_floor(tables=tables, services=services)
    api.table_told(booking_ref="A")
    assert offers(tonight, 4) == []


def test_who_asks_for_this_evening_instead_of_what_was_promised_goes_first(host: TheHost, tonight: datetime) -> None:
    host.floors["R1"] = a_floor(tables=[a_table("T1")], services=[a_service(starts=time(19), ends=time(21))])
    host.book("X", starts_at=tonight, party=4, requested_at=asked(0))
    host.book("W", starts_at=tonight + timedelta(days=1), party=4, requested_at=asked(1))
    run_all()
    host.edit("W", starts_at=tonight)
    assert api.booking_changed(booking_ref="W") is Change.TO_STAFF
    host.edit("X", wants_table=False)
    api.booking_changed(booking_ref="X")
    assert offers(tonight) == [], "the table is for W"
    host.book("new", starts_at=tonight, party=2, requested_at=asked(9))
    api.request(booking_ref="new")
    assert api.assign_now(booking_ref="new").kind is Kind.RETRY


def test_moves_that_the_hosts_rows_do_not_allow_are_not_counted_on(
    host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TheHost, "reports_told_tables", True, raising=False)
    monkeypatch.setattr(TheHost, "can_swap", False, raising=False)
    tables = [a_table("T1", seats=2), a_table("T2", seats=3), a_table("T3", seats=4)]
    host.floors["R1"] = a_floor(tables=tables, services=[a_service(starts=time(19), ends=time(21))])
    host.book("three", starts_at=tonight, party=3, requested_at=asked(0))
    host.book("one", starts_at=tonight, party=1, requested_at=asked(1))
    run_all()
    monkeypatch.setattr(rearrangement, "in_turn", lambda movable, tables: True)
    host.edit("one", zone_ref="elsewhere", wants_table=True)
    host.edit("one", zone_ref=None)
    api.move(booking_ref="three", table_refs=["T3"], actor="staff:7")
    Assignment.objects.update(planner="v3")
    assert offers(tonight, 4) == ["19:00"]
    monkeypatch.setattr(rearrangement, "in_turn", lambda movable, tables: False)
    assert offers(tonight, 4) == []
    assert offers(tonight, 2) == ["19:00"]


def queries(tonight: datetime) -> int:
    offers(tonight)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        offers(tonight, 3)
    return len(captured)


def test_the_number_of_queries_does_not_grow(host: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TheHost, "reports_told_tables", True, raising=False)
    host.floors["R1"] = a_floor(tables=[a_table(f"T{number}") for number in range(12)])

    def fill(first: int, last: int) -> None:
        for number in range(first, last):
            host.book(f"B{number}", starts_at=tonight, party=2, requested_at=asked(number))
        run_all()
        host.book(f"waits{first}", starts_at=tonight, party=4, requested_at=asked(100))
        api.request(booking_ref=f"waits{first}")

    fill(0, 2)
    few = queries(tonight)
    fill(2, 9)
    assert queries(tonight) == few <= 12


PARTIES = st.tuples(
    st.integers(0, 16), st.integers(1, 6), st.sets(st.sampled_from(["step-free", "window"]), max_size=1)
)


def test_what_is_offered_is_given_and_nothing_else_is(host: TheHost, tonight: datetime) -> None:
    offered: list[bool] = []
    _what_is_given_is_what_is_offered(host, tonight, offered)
    assert len(offered) / 8 <= sum(offered) <= 7 * len(offered) / 8, "with few of one kind it shows little"


def keep_by_the_host(host: TheHost, ref: str, start: datetime) -> None:
    host.edit(ref, may_move=False)


def tell_without_a_word(host: TheHost, ref: str, start: datetime) -> None:
    host.edit(ref, table_told=True)


def pin(host: TheHost, ref: str, start: datetime) -> None:
    api.pin(booking_ref=ref, table_refs=tables_of(ref), actor="staff:7")


def freeze(host: TheHost, ref: str, start: datetime) -> None:
    api.freeze(restaurant_ref="R1", service_date=start.date(), actor="staff:7")


def close(host: TheHost, ref: str, start: datetime) -> None:
    api.close(
        restaurant_ref="R1",
        table_refs=["T1"],
        starts_at=start,
        ends_at=start + timedelta(hours=1),
        reason="broken",
        actor="staff:7",
    )


def choose_in_the_host(host: TheHost, ref: str, start: datetime) -> None:
    host.seated[ref] = replace(host.seated[ref], table_refs=("T0",))


def call_off(host: TheHost, ref: str, start: datetime) -> None:
    host.edit(ref, wants_table=False)
    api.booking_changed(booking_ref=ref)


HAPPENINGS = [keep_by_the_host, tell_without_a_word, pin, freeze, close, choose_in_the_host, call_off]


@settings(
    max_examples=40,
    derandomize=True,  # Else there are sometimes too few of one kind.
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
@given(
    seats=st.lists(st.integers(2, 6), min_size=2, max_size=4),
    booked=st.lists(PARTIES, max_size=7),
    waiting=st.lists(PARTIES, max_size=2),
    party=st.integers(1, 7),
    needs=st.sets(st.sampled_from(["step-free", "window"]), max_size=1),
    most=st.sampled_from([None, 4, 8]),
    moves=st.booleans(),
    happens=st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 6)), max_size=3),
    choice=st.integers(0, 100),
)
def _what_is_given_is_what_is_offered(
    host: TheHost,
    tonight: datetime,
    offered: list[bool],
    seats: Any,
    booked: Any,
    waiting: Any,
    party: Any,
    needs: Any,
    most: Any,
    moves: Any,
    happens: Any,
    choice: Any,
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE assignments_assignment, assignments_allocation, assignments_outboxmessage CASCADE")
        cursor.execute("TRUNCATE assignments_closure, assignments_frozenevening CASCADE")
    host.rows.clear()
    host.seated.clear()
    TheHost.reports_told_tables = moves  # type: ignore[attr-defined]
    try:
        refs = [f"T{number}" for number in range(len(seats))]
        tables: list[Table] = [
            a_table(ref, seats=size, features=frozenset({["step-free", "window"][number % 2]} if number else ()))
            for number, (ref, size) in enumerate(zip(refs, seats, strict=True))
        ]
        host.floors["R1"] = a_floor(
            tables=tables,
            adjacent=list(pairwise(refs)),
            pacing=[Pacing(most_covers=most)] * bool(most),
        )
        start = tonight - timedelta(hours=2)
        for number, (quarter, covers, wants) in enumerate(booked):
            host.book(
                f"B{number}",
                starts_at=start + quarter * timedelta(minutes=15),
                party=covers,
                needs=tuple(wants),
                requested_at=asked(number),
            )
            api.request(booking_ref=f"B{number}")
            api.assign_now(booking_ref=f"B{number}", budget_seconds=60)
        for happening, number in happens:
            if tables_of(f"B{number}"):
                happening(host, f"B{number}", tonight)
        for number, (quarter, covers, wants) in enumerate(waiting):
            host.book(
                f"W{number}",
                starts_at=start + quarter * timedelta(minutes=15),
                party=covers,
                needs=tuple(wants),
                requested_at=asked(50 + number),
            )
            api.request(booking_ref=f"W{number}")
        found = api.availability(restaurant_ref="R1", service_date=tonight.date(), party=party, needs=needs)
        times = [start + number * timedelta(minutes=15) for number in range(-4, 20)]
        chosen = found[choice % len(found)] if found and choice % 4 else times[choice % len(times)]
        offered.append(chosen in found)
        host.book("new", starts_at=chosen, party=party, needs=tuple(needs))
        api.request(booking_ref="new")
        outcome = api.assign_now(booking_ref="new", budget_seconds=60)
        assert (outcome.kind is Kind.CONFIRMED) == (chosen in found), outcome
    finally:
        del TheHost.reports_told_tables  # type: ignore[attr-defined]


def test_guests_at_the_door_are_told_how_long_and_their_place(small: TheHost, tonight: datetime) -> None:
    tables = [a_table("T1", seats=2), a_table("T2", seats=4)]
    small.floors["R1"] = a_floor(tables=tables, services=[a_service(allow_overrun=True)])
    small.book("B1", starts_at=tonight - timedelta(minutes=60), party=2, requested_at=asked(0))
    small.book("B2", starts_at=tonight - timedelta(minutes=30), party=4, requested_at=asked(1))
    run_all()
    with at(tonight):
        first = api.join_queue(restaurant_ref="R1", party=2, actor="staff:7")
        assert (first.minutes, first.place) == (60, 1), "B1 leaves at eight"
        second = api.quote_wait(restaurant_ref="R1", party=2)
        assert (second.minutes, second.place) == (90, 2), "the first goes before, and B2 leaves at half past eight"
        assert api.quote_wait(restaurant_ref="R1", party=9).minutes is None
        assert [(each.place, each.minutes, each.party) for each in api.queue_at_the_door(restaurant_ref="R1")] == [
            (1, 60, 2)
        ]
        assert first.queued_id is not None
        assert api.leave_queue(queued_id=first.queued_id, booking_ref="walk-in:1")
        assert not api.leave_queue(queued_id=first.queued_id)
        assert api.quote_wait(restaurant_ref="R1", party=2).minutes == 60
        assert api.queue_at_the_door(restaurant_ref="R1") == ()
    assert QueuedParty.objects.get().booking_ref == "walk-in:1"


def test_who_is_seated_from_the_queue_gets_what_they_need_and_leaves_it(small: TheHost, tonight: datetime) -> None:
    tables = [a_table("T1", seats=2), a_table("T2", seats=2, features=frozenset({"step-free"}))]
    small.floors["R1"] = a_floor(tables=tables, services=[a_service(allow_overrun=True)])
    with at(tonight):
        queued = api.join_queue(restaurant_ref="R1", party=2, actor="staff:7", needs=["Step-free"]).queued_id
        assert queued is not None
        seated = api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", queued_id=queued)
        assert seated.table_refs == ("T2",)
        assert api.queue_at_the_door(restaurant_ref="R1") == ()
        assert QueuedParty.objects.get().booking_ref == seated.booking_ref
        row = Assignment.objects.get(booking_ref=seated.booking_ref)
        assert (row.told_needs, row.needs) == (["step-free"], ["step-free"])
        with pytest.raises(TransitionRefusedError):
            api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", queued_id=queued)
        with pytest.raises(NoTableFreeError):
            api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", needs=["step-free"])
        another = api.join_queue(restaurant_ref="R1", party=2, actor="staff:7", needs=["step-free"]).queued_id
        with pytest.raises(NoTableFreeError):
            api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", queued_id=another)
        assert [each.queued_id for each in api.queue_at_the_door(restaurant_ref="R1")] == [another], "it waits on"
        small.floors["R2"] = a_floor("R2", tables=tables)
        with pytest.raises(ValueError, match="waits at restaurant R1"):
            api.seat_walk_in(restaurant_ref="R2", party=2, actor="staff:7", queued_id=another)


def test_guests_hear_of_one_wait_wherever_they_ask(small: TheHost, tonight: datetime) -> None:
    small.floors["R1"] = a_floor(tables=[a_table("T1", seats=2)], services=[a_service(allow_overrun=True)])
    small.book("B1", starts_at=tonight - timedelta(minutes=60), party=2, requested_at=asked(0))
    run_all()

    def refused(**given: Any) -> int | None:
        with pytest.raises(NoTableFreeError) as found:
            api.seat_walk_in(restaurant_ref="R1", party=2, actor="staff:7", **given)
        return found.value.wait_minutes

    with at(tonight):
        assert refused() == 60
        queued = api.join_queue(restaurant_ref="R1", party=2, actor="staff:7").queued_id
        assert refused(queued_id=queued) == 60
        assert refused() == api.quote_wait(restaurant_ref="R1", party=2).minutes == 180, "behind those at the door"
        assert refused(until=tonight + timedelta(minutes=90), queued_id=queued) == 60
        assert refused(until=tonight + timedelta(minutes=60)) is None, "they have to leave before"
