"""Confirmed parties that nobody has told their table change tables, so that one more can be seated.

Each test is named after what happens at the restaurant.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from assignments import api, checks
from assignments.concurrency.transactions import database_now
from assignments.conf import A_YEAR_OF_MINUTES
from assignments.coordination import day_planner, floor_watch, rearrangement
from assignments.coordination.planned_day import PlannedDay, plan_requests
from assignments.integration.planners import Route
from assignments.integration.project_host import HostWithWalkIns, configured
from assignments.models import Allocation, Assignment, Attempt, HostMark, OutboxMessage, State, StateTransition
from assignments.outcome import Change, Kind
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable
from assignments.testing import a_floor, a_service, a_table
from rollout.flags import bucketing, resolution
from rollout.routing import RolloutRouter
from tests.assignments.conftest import Keeping, TheHost, asked, host_with, override, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def telling(host: TheHost, monkeypatch: pytest.MonkeyPatch) -> TheHost:
    """A host that knows who has been told the table; one table for two, and one for four that takes two as well."""
    host.floors["R1"] = a_floor(tables=[a_table("small", seats=2), a_table("large", seats=4)])
    monkeypatch.setattr(TheHost, "reports_told_tables", True, raising=False)
    return host


@pytest.fixture
def misplaced(telling: TheHost, tonight: datetime) -> Iterator[TheHost]:
    """The pair A sits at the large table, where it was the only free one; the small table is free again since."""
    telling.book("B", starts_at=tonight, party=2, requested_at=asked(0))
    telling.book("A", starts_at=tonight, party=2, requested_at=asked(1))
    run_all()
    assert (tables_of("B"), tables_of("A")) == (["small"], ["large"])
    telling.edit("B", wants_table=False)
    api.booking_changed(booking_ref="B")
    telling.book("four", starts_at=tonight, party=4, requested_at=asked(2))
    api.request(booking_ref="four")
    return telling  # type: ignore[return-value]


def test_a_pair_gives_the_large_table_to_a_party_of_four(misplaced: TheHost) -> None:
    outcome = api.assign_now(booking_ref="four")
    assert (outcome.kind, outcome.table_refs) == (Kind.CONFIRMED, ("large",))
    assert (tables_of("A"), tables_of("four")) == (["small"], ["large"])
    assert [(move.booking_ref, move.from_table_refs, move.to_table_refs) for move in misplaced.moves] == [
        ("A", ("large",), ("small",))
    ]
    pair = Assignment.objects.get(booking_ref="A")
    assert (pair.state, pair.reason, pair.moves, pair.planner) == (State.CONFIRMED, "rearranged", 1, "v3")
    last = StateTransition.objects.filter(booking_ref="A").latest("version")
    assert (last.name, last.reason, last.detail) == ("reseat", "rearranged", "four")
    assert OutboxMessage.objects.filter(topic="booking.reseated").get().booking_ref == "A"
    decision = Attempt.objects.filter(booking_ref="four").latest("number").decision
    assert decision["moves"] == [{"booking_ref": "A", "from": ["large"], "to": ["small"]}]


@pytest.mark.parametrize("is_in_turn", [True, False])
def test_a_host_whose_rows_allow_no_swaps_moves_guests_one_after_the_other_or_nobody(
    misplaced: TheHost, monkeypatch: pytest.MonkeyPatch, is_in_turn: bool
) -> None:
    monkeypatch.setattr(TheHost, "can_swap", False, raising=False)
    if not is_in_turn:
        monkeypatch.setattr(rearrangement, "in_turn", lambda movable, tables: False)
    kind = api.assign_now(booking_ref="four").kind
    assert (kind, tables_of("A")) == ((Kind.CONFIRMED, ["small"]) if is_in_turn else (Kind.RETRY, ["large"]))
    assert len(misplaced.moves) == is_in_turn


def test_who_waits_for_each_others_tables_at_the_same_time_cannot_move_in_turn(tonight: datetime) -> None:
    def at(ref: str, table: str, hours: int = 0) -> Movable:
        start, until = tonight + timedelta(hours=hours), tonight + timedelta(hours=hours + 2)
        window = SeatingWindow(starts_at=start, ends_at=until, blocked_from=start, blocked_until=until)
        return Movable(booking_ref=ref, table_refs=(table,), window=window, party=2)

    one, two, three = at("one", "T1"), at("two", "T2"), at("three", "T3")
    chain = {"one": ["T2"], "two": ["T3"], "three": ["T4"]}
    assert rearrangement.in_turn([one, two, three], chain)
    assert not rearrangement.in_turn([one, two, three], {**chain, "three": ["T1"]})
    assert rearrangement.in_turn([one, two, at("three", "T3", hours=2)], {**chain, "three": ["T1"]})
    assert rearrangement.in_turn([one, two], {"one": ["T2", "T1"], "two": ["T3"]}), "it may keep one of its own"
    assert rearrangement.in_turn([one, two], {"one": ["T3"]})


def test_the_cron_run_moves_it_too(misplaced: TheHost) -> None:
    assert run_all()["four"].table_refs == ("large",)
    assert tables_of("A") == ["small"]


@pytest.mark.parametrize(("requested", "moved"), [(3, True), (2, False), (1, False)])
def test_in_one_pass_it_is_moved_for_who_asked_first_though_another_would_sit_without(
    misplaced: TheHost, tonight: datetime, requested: int, moved: bool
) -> None:
    """Either the four or the pair can be seated, and without a move only the pair."""
    misplaced.book("pair", starts_at=tonight, party=2, requested_at=asked(requested))
    outcomes = run_all()
    assert tables_of("A") == (["small"] if moved else ["large"])
    assert outcomes["four"].table_refs == (("large",) if moved else ())
    assert outcomes["pair"].table_refs == (() if moved else ("small",))


def test_what_is_kept_of_the_batch_says_for_when_it_has_its_tables(misplaced: TheHost, keeping: Keeping) -> None:
    api.assign_now(booking_ref="four")
    (batch,) = keeping.kept
    row = Allocation.objects.get(booking_ref="A", ended_at=None)
    window = batch.placed["A"]
    assert (window.starts_at, window.ends_at) == (row.starts_at, row.ends_at)
    assert (window.blocked_from, window.blocked_until) == (row.blocked.lower, row.blocked.upper)
    assert set(batch.placed) == {"A", "four"}


def told(host: TheHost) -> None:
    host.edit("A", table_told=True)
    api.booking_changed(booking_ref="A")


def told_without_a_word(host: TheHost) -> None:
    host.edit("A", table_told=True)


def told_by_call(host: TheHost) -> None:
    api.table_told(booking_ref="A")


def kept_by_the_host(host: TheHost) -> None:
    host.edit("A", may_move=False)


def chosen_by_staff(host: TheHost) -> None:
    api.assign(booking_ref="A", table_refs=["large"], actor="staff:7")


def pinned(host: TheHost) -> None:
    api.pin(booking_ref="A", table_refs=["large"], actor="staff:7")


def arrived(host: TheHost) -> None:
    api.arrived(booking_ref="A", actor="staff:7")


def frozen(host: TheHost) -> None:
    day = Assignment.objects.get(booking_ref="A")
    assert api.freeze(restaurant_ref=day.restaurant_ref, service_date=day.service_date, actor="staff:7")
    assert not api.freeze(restaurant_ref=day.restaurant_ref, service_date=day.service_date, actor="staff:7")


def moved_often(host: TheHost) -> None:
    Assignment.objects.filter(booking_ref="A").update(moves=3)


def locked_by_the_host(host: TheHost) -> None:
    host.locked.add("A")


def chosen_in_the_host(host: TheHost) -> None:
    tables = [a_table("small", seats=2), a_table("large", seats=4), a_table("corner", seats=1)]
    host.floors["R1"] = a_floor(tables=tables)
    host.seated["A"] = replace(host.seated["A"], table_refs=("corner",))


def saved_in_the_host_a_moment_ago(host: TheHost) -> None:
    HostMark.objects.create(booking_ref="A")


@pytest.mark.parametrize(
    "fix",
    [
        told,
        told_without_a_word,
        told_by_call,
        kept_by_the_host,
        chosen_by_staff,
        pinned,
        arrived,
        frozen,
        moved_often,
        locked_by_the_host,
        chosen_in_the_host,
        saved_in_the_host_a_moment_ago,
    ],
)
def test_who_is_fixed_stays(misplaced: TheHost, fix: Any) -> None:
    fix(misplaced)
    if fix is not locked_by_the_host:  # Nobody asks for locks where nothing is written.
        four = Assignment.objects.get(booking_ref="four")
        assert four.starts_at not in api.availability(restaurant_ref="R1", service_date=four.service_date, party=4)
    assert api.assign_now(booking_ref="four").kind is Kind.RETRY
    assert tables_of("A") == ["large"]
    assert [move for move in misplaced.moves if move.from_table_refs != move.to_table_refs] == []


@pytest.mark.parametrize(
    "given",
    [
        {"REARRANGE": False},
        {"REARRANGE": ["R2"]},
        {"FIXED_MINUTES": A_YEAR_OF_MINUTES},
        {"FREEZE_MINUTES": A_YEAR_OF_MINUTES},
        {"MAX_MOVES": 0},
    ],
)
def test_a_setting_keeps_everybody(misplaced: TheHost, settings: Any, given: dict[str, Any]) -> None:
    with override(settings, rows=misplaced.rows, **given):
        assert api.assign_now(booking_ref="four").kind is Kind.RETRY
    assert tables_of("A") == ["large"]


def test_an_evening_that_is_no_longer_frozen_is_rearranged_again(misplaced: TheHost) -> None:
    frozen(misplaced)
    day = Assignment.objects.get(booking_ref="A")
    assert not api.unfreeze(restaurant_ref="elsewhere", service_date=day.service_date, actor="staff:7")
    assert api.unfreeze(restaurant_ref=day.restaurant_ref, service_date=day.service_date, actor="staff:7")
    assert api.assign_now(booking_ref="four").table_refs == ("large",)


def test_a_host_that_does_not_know_who_was_told_gets_no_moves(
    misplaced: TheHost, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(TheHost, "reports_told_tables", False)
    assert api.assign_now(booking_ref="four").kind is Kind.RETRY
    assert checks.check_rearrangement(None) == []
    with override(settings, rows=misplaced.rows, REARRANGE=True):
        assert [found.id for found in checks.check_rearrangement(None)] == ["assignments.W011"]


def test_a_host_that_is_not_told_of_moves_gets_none(misplaced: TheHost) -> None:
    class Untold(TheHost):
        on_moved = None  # type: ignore[assignment]

    assert rearrangement.is_possible(HostWithWalkIns(misplaced), "R1")
    assert not rearrangement.is_possible(HostWithWalkIns(Untold()), "R1")


def test_if_the_host_refuses_nobody_is_moved_and_the_request_is_decided_without(
    misplaced: TheHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: TheHost, moves: Any) -> None:
        raise RuntimeError("not today")

    monkeypatch.setattr(TheHost, "on_moved", refuse)
    outcome = api.assign_now(booking_ref="four")
    assert (outcome.kind, outcome.reason) == (Kind.RETRY, "no_capacity")
    assert tables_of("A") == ["large"]
    assert Assignment.objects.get(booking_ref="A").moves == 0
    assert run_all() == {}, "it waits for its next attempt"


def test_a_moved_party_keeps_the_zone_that_it_asked_for(telling: TheHost, tonight: datetime) -> None:
    telling.floors["R1"] = a_floor(
        tables=[
            a_table("small", seats=2, zone_ref="terrace"),
            a_table("large", seats=4, zone_ref="room"),
        ]
    )
    telling.book("A", starts_at=tonight, party=2, zone_ref="room", requested_at=asked(0))
    run_all()
    telling.book("four", starts_at=tonight, party=4, requested_at=asked(1))
    api.request(booking_ref="four")
    assert api.assign_now(booking_ref="four").kind is Kind.RETRY
    assert tables_of("A") == ["large"]


def test_a_chain_of_moves_keeps_every_time(telling: TheHost, tonight: datetime) -> None:
    """A leaves the large table for the small one, which C gives up for the bar."""
    telling.floors["R1"] = a_floor(
        tables=[a_table("bar", seats=1), a_table("small", seats=2), a_table("large", seats=4)]
    )
    for number, (ref, party, table) in enumerate([("gone", 1, "bar"), ("C", 1, "small"), ("A", 2, "large")]):
        telling.book(ref, starts_at=tonight, party=party, requested_at=asked(number))
        api.request(booking_ref=ref)
        assert api.assign_now(booking_ref=ref).table_refs == (table,)
    telling.edit("gone", wants_table=False)
    api.booking_changed(booking_ref="gone")
    before = dict(Allocation.objects.values_list("booking_ref", "blocked"))
    telling.book("four", starts_at=tonight, party=4, requested_at=asked(5))
    api.request(booking_ref="four")
    assert api.assign_now(booking_ref="four").table_refs == ("large",)
    assert (tables_of("A"), tables_of("C")) == (["small"], ["bar"])
    after = dict(Allocation.objects.exclude(booking_ref="four").values_list("booking_ref", "blocked"))
    assert after == before
    assert len(telling.moves) == 2


@pytest.fixture
def waiting(telling: TheHost, tonight: datetime) -> TheHost:
    """Two pairs have both tables, four wait for the large one, and the small one has just become free."""
    telling.book("X", starts_at=tonight, party=2, requested_at=asked(0))
    telling.book("M", starts_at=tonight, party=2, requested_at=asked(1))
    run_all()
    assert (tables_of("X"), tables_of("M")) == (["small"], ["large"])
    telling.book("W", starts_at=tonight, party=4, requested_at=asked(2))
    api.request(booking_ref="W")
    assert api.assign_now(booking_ref="W").kind is Kind.RETRY
    telling.edit("X", wants_table=False)
    api.booking_changed(booking_ref="X")
    telling.book("N", starts_at=tonight, party=2, requested_at=asked(9))
    api.request(booking_ref="N")
    return telling


def test_nobody_takes_the_table_to_which_others_would_move_for_who_asked_earlier(
    waiting: TheHost, tonight: datetime
) -> None:
    assert tonight not in api.availability(restaurant_ref="R1", service_date=tonight.date(), party=2)
    outcome = api.assign_now(booking_ref="N")
    assert (outcome.kind, outcome.reason) == (Kind.RETRY, "no_capacity")
    assert (tables_of("N"), tables_of("M"), waiting.moves) == ([], ["large"], []), "it is not yet the turn of the four"
    run_all()
    assert (tables_of("W"), tables_of("M"), tables_of("N")) == (["large"], ["small"], [])


def test_who_asked_later_is_seated_beside_the_tables_that_the_moves_for_an_earlier_one_need(
    waiting: TheHost, tonight: datetime
) -> None:
    tables = [a_table("small", seats=2), a_table("large", seats=4), a_table("third", seats=2)]
    waiting.floors["R1"] = a_floor(tables=tables)
    outcome = api.assign_now(booking_ref="N")
    assert (outcome.kind, tables_of("M"), waiting.moves) == (Kind.CONFIRMED, ["large"], [])
    run_all()
    assert (tables_of("W"), len({*tables_of("M"), *tables_of("N")} & {"small", "third"})) == (["large"], 2)


def test_moves_for_an_earlier_one_are_made_where_who_asked_later_needs_them(
    waiting: TheHost, tonight: datetime
) -> None:
    waiting.book("M2", starts_at=tonight + timedelta(hours=2), party=2, requested_at=asked(1))
    start = tonight + timedelta(hours=2)
    waiting.edit("N", starts_at=start, party=4)
    api.booking_changed(booking_ref="N")
    run_all()
    assert (tables_of("W"), tables_of("M")) == (["large"], ["small"])
    assert (tables_of("N"), tables_of("M2")) == (["large"], ["small"])


def test_if_the_moves_for_an_earlier_one_are_refused_who_asked_later_has_the_table(
    waiting: TheHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: TheHost, moves: Any) -> None:
        raise RuntimeError("not today")

    monkeypatch.setattr(TheHost, "on_moved", refuse)
    run_all()
    assert (tables_of("W"), tables_of("M"), tables_of("N")) == ([], ["large"], ["small"])


def test_if_the_host_refuses_a_pass_decides_all_its_requests_without_moves(
    misplaced: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: TheHost, moves: Any) -> None:
        raise RuntimeError("not today")

    monkeypatch.setattr(TheHost, "on_moved", refuse)
    misplaced.book("two", starts_at=tonight, party=2, requested_at=asked(3))
    misplaced.book("later", starts_at=tonight + timedelta(hours=2), party=4, requested_at=asked(4))
    found = run_all()
    assert {ref: each.kind for ref, each in found.items()} == {
        "four": Kind.RETRY,
        "two": Kind.CONFIRMED,
        "later": Kind.CONFIRMED,
    }
    assert (tables_of("A"), tables_of("two"), tables_of("later")) == (["large"], ["small"], ["large"])
    assert not Assignment.objects.filter(moves__gt=0)
    assert not OutboxMessage.objects.filter(topic="booking.reseated")


def two_alone_at_the_large_table(telling: TheHost, tonight: datetime) -> None:
    """A, with half an hour to clear the table; who had the small one has cancelled."""
    telling.floors["R1"] = small_and_large(buffer_after_minutes=30)
    telling.book("B", starts_at=tonight, party=2, requested_at=asked(0))
    telling.book("A", starts_at=tonight, party=2, requested_at=asked(1))
    run_all()
    telling.edit("B", wants_table=False)
    api.booking_changed(booking_ref="B")


def small_and_large(*, buffer_after_minutes: int) -> Floor:
    tables = [a_table("small", seats=2), a_table("large", seats=4)]
    return a_floor(tables=tables, services=[a_service(buffer_after_minutes=buffer_after_minutes)])


@pytest.mark.parametrize("is_squeezed", [False, True])
def test_who_gave_up_a_buffer_to_a_neighbour_does_not_go_elsewhere_without_it(
    telling: TheHost, tonight: datetime, is_squeezed: bool
) -> None:
    two_alone_at_the_large_table(telling, tonight)
    if is_squeezed:
        telling.book("next", starts_at=tonight + timedelta(hours=2), party=4, requested_at=asked(2))
        api.assign(booking_ref="next", table_refs=["large"], actor="staff:7", overriding=[Reason.BUFFER])
    whole = Allocation.objects.get(booking_ref="A", ended_at=None).blocked
    assert whole.upper == tonight + timedelta(minutes=120 if is_squeezed else 150)
    telling.book("four", starts_at=tonight - timedelta(minutes=30), party=4, requested_at=asked(3))
    run_all()
    assert (tables_of("A"), tables_of("four")) == ((["large"], []) if is_squeezed else (["small"], ["large"]))
    assert Allocation.objects.get(booking_ref="A", ended_at=None).blocked == whole


def test_who_was_confirmed_before_buffers_were_made_longer_stays(telling: TheHost, tonight: datetime) -> None:
    """As its table is blocked for less than today's rules ask for, elsewhere it would go on without the rest."""
    two_alone_at_the_large_table(telling, tonight)
    telling.floors["R1"] = small_and_large(buffer_after_minutes=45)
    telling.book("four", starts_at=tonight, party=4, requested_at=asked(3))
    run_all()
    assert (tables_of("A"), tables_of("four")) == (["large"], [])


def at_the_wrong_tables(host: TheHost, tonight: datetime, pairs: int) -> list[str]:
    """So many pairs at tables for four, since those for two, which are free by now, were taken when they asked."""
    tables = [a_table(f"{size}{number}", seats=size) for size in (2, 4) for number in range(pairs)]
    host.floors["R1"] = a_floor(tables=tables)
    for number in range(2 * pairs):
        start = tonight + timedelta(minutes=5 * (number % pairs))
        host.book(f"P{number}", starts_at=start, party=2, requested_at=asked(number))
    run_all()
    for number in range(pairs):
        host.edit(f"P{number}", wants_table=False)
        api.booking_changed(booking_ref=f"P{number}")
    misplaced = [f"P{number}" for number in range(pairs, 2 * pairs)]
    assert all(tables_of(ref)[0].startswith("4") for ref in misplaced)
    host.book("four", starts_at=tonight, party=4, requested_at=asked(90))
    api.request(booking_ref="four")
    return misplaced


def test_if_the_host_tells_many_their_table_in_one_query_another_one_is_moved(
    telling: TheHost, tonight: datetime
) -> None:
    first, *others = at_the_wrong_tables(telling, tonight, 6)
    for ref in others:  # They come later, so that they would be moved before the first one.
        telling.edit(ref, table_told=True)
    assert api.availability(restaurant_ref="R1", service_date=tonight.date(), party=4)
    assert api.assign_now(booking_ref="four", budget_seconds=60).kind is Kind.CONFIRMED
    assert [move.booking_ref for move in telling.moves] == [first]


def test_a_search_that_takes_long_is_not_repeated_for_busy_parties(
    telling: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    misplaced = at_the_wrong_tables(telling, tonight, 2)
    telling.locked |= {misplaced[-1]}
    monkeypatch.setattr(day_planner, "MOST_SECONDS", 0.0)
    assert api.assign_now(booking_ref="four", budget_seconds=60).kind is Kind.RETRY
    assert not telling.moves
    monkeypatch.setattr(day_planner, "MOST_SECONDS", 60.0)
    assert api.assign_now(booking_ref="four", budget_seconds=60).kind is Kind.CONFIRMED
    assert [move.booking_ref for move in telling.moves] == misplaced[:1]


def test_moves_are_not_sought_for_later_batches_once_there_is_no_time(
    telling: TheHost, tonight: datetime, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_wrong_tables(telling, tonight, 3)
    rows = dict(telling.rows)
    host = host_with(settings, BATCH_SIZE=1)
    host.rows, host.floors, host.seated = rows, telling.floors, telling.seated
    for number in range(3):
        host.book(f"later{number}", starts_at=tonight, party=4, requested_at=asked(100 + number))
    monkeypatch.setattr(day_planner, "MOST_SECONDS", 60.0)
    planned: list[list[str]] = []

    def noting(requests: Any, *, seconds: float, **given: Any) -> PlannedDay:
        found = plan_requests(requests, seconds=0.0, **given)
        planned.append(list(found.decisions))
        return found

    monkeypatch.setattr(rearrangement, "plan_requests", noting)
    outcomes = run_all()
    assert [ref for ref in planned[0] if ref != "four"] == []
    assert sum(outcome.kind is Kind.CONFIRMED for outcome in outcomes.values()) == 3


def test_a_search_ends_in_time_however_many_find_nothing_free(
    telling: TheHost, tonight: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise PostgreSQL would end the transaction, and nobody would be decided."""
    at_the_wrong_tables(telling, tonight, 3)
    for number in range(2):
        telling.book(f"later{number}", starts_at=tonight, party=4, requested_at=asked(100 + number))
    monkeypatch.setattr(rearrangement, "MOVES_SECONDS", 0.0)
    outcomes = run_all()
    assert {ref: outcome.kind for ref, outcome in outcomes.items()} == {
        "four": Kind.CONFIRMED,
        "later0": Kind.RETRY,
        "later1": Kind.RETRY,
    }
    assert len(telling.moves) == 1


@pytest.mark.parametrize(
    ("edit", "is_told"),
    [
        ({"starts_at": timedelta(days=1)}, False),
        ({"starts_at": timedelta(hours=1)}, True),
        ({"starts_at": timedelta(days=1), "party": 9}, True),
    ],
    ids=["another evening", "the same evening", "another evening with too many"],
)
def test_who_was_told_a_table_of_another_evening_may_be_moved(
    misplaced: TheHost, tonight: datetime, edit: dict[str, Any], is_told: bool
) -> None:
    told_by_call(misplaced)
    misplaced.edit("A", **{**edit, "starts_at": tonight + edit["starts_at"]})
    change = api.booking_changed(booking_ref="A")
    assert change is (Change.TO_STAFF if "party" in edit else Change.KEPT)
    assert Assignment.objects.get(booking_ref="A").table_told == is_told


def test_who_comes_another_evening_after_all_is_told_the_table_anew(misplaced: TheHost, tonight: datetime) -> None:
    """Nobody had decided about that edit when staff gave up the promise."""
    told_by_call(misplaced)
    misplaced.edit("A", starts_at=tonight + timedelta(days=1), party=9)
    assert api.booking_changed(booking_ref="A") is Change.TO_STAFF
    api.release_tables(booking_ref="A", actor="staff:7")
    row = Assignment.objects.get(booking_ref="A")
    assert (row.service_date, row.table_told) == (tonight.date() + timedelta(days=1), False)


def leave_to_staff(ref: str) -> None:
    """Nothing is found for it as often as it is tried."""
    Assignment.objects.filter(booking_ref=ref).update(attempts=4)
    assert run_all()[ref].kind is Kind.MANUAL_REVIEW
    Assignment.objects.filter(booking_ref=ref).update(wake_at=None)


def who_comes_later_passes_nobody(host: TheHost, tonight: datetime) -> None:
    host.book("later", starts_at=tonight, party=4, requested_at=asked(99))
    api.request(booking_ref="later")
    assert api.assign_now(booking_ref="later").kind is Kind.RETRY
    assert run_all()["four"].table_refs == ("large",)


def test_once_an_evening_is_no_longer_frozen_who_waits_goes_first(misplaced: TheHost, tonight: datetime) -> None:
    frozen(misplaced)
    leave_to_staff("four")
    api.unfreeze(restaurant_ref="R1", service_date=tonight.date(), actor="staff:7")
    who_comes_later_passes_nobody(misplaced, tonight)


def test_once_a_party_is_no_longer_pinned_who_waits_goes_first(misplaced: TheHost, tonight: datetime) -> None:
    pinned(misplaced)
    leave_to_staff("four")
    api.unpin(booking_ref="A", actor="staff:7")
    who_comes_later_passes_nobody(misplaced, tonight)


def test_once_a_setting_lets_parties_move_who_waits_is_tried_again(misplaced: TheHost, settings: Any) -> None:
    rows = misplaced.rows
    with override(settings, rows=rows, REARRANGE=False):
        leave_to_staff("four")
    with override(settings, rows=rows, REARRANGE=True):
        assert run_all()["four"].table_refs == ("large",)


class Switched(RolloutRouter):
    """V3 decides everything, and moves guests only while the project's switch is on."""

    def route(self, assignments: Sequence[Assignment]) -> Mapping[str, Route]:
        is_on = bucketing.read("R1").may_rearrange
        return {assignment.booking_ref: Route(planner="v3", may_rearrange=is_on) for assignment in assignments}


def test_once_the_switch_lets_parties_move_who_waits_goes_first(
    misplaced: TheHost, settings: Any, django_assert_num_queries: Any
) -> None:
    with override(settings, rows=misplaced.rows, ROUTER=f"{__name__}.{Switched.__name__}"):
        leave_to_staff("four")
        host, now = configured(), database_now()
        floor_watch.check(host, now=now)
        with django_assert_num_queries(2):
            assert floor_watch.check(host, now=now) == 0
        call_command("waffle_switch", resolution.REARRANGEMENT_SWITCH, "on", create=True)
        assert run_all()["four"].table_refs == ("large",)


def test_who_is_moved_away_from_the_window_that_it_wished_for_is_explained(telling: TheHost, tonight: datetime) -> None:
    tables = [a_table("small", seats=2), a_table("large", seats=4, features=frozenset({"window"}))]
    telling.floors["R1"] = a_floor(tables=tables)
    telling.book("B", starts_at=tonight, party=2, requested_at=asked(0))
    telling.book("A", starts_at=tonight, party=2, requested_at=asked(1), wishes=("window",))
    run_all()
    telling.edit("B", wants_table=False)
    api.booking_changed(booking_ref="B")
    assert "Wishes that it does not meet" not in api.explain(booking_ref="A").text
    telling.book("four", starts_at=tonight, party=4, requested_at=asked(2))
    run_all()
    text = api.explain(booking_ref="A").text
    assert "Assigned to small." in text
    assert "It was moved from large so that another party can sit too. Wishes that it does not meet: window." in text
