"""The optimizer seats who waits, by moving confirmed parties, and writes only what is still so."""

import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from assignments import api
from assignments.coordination import dispatch, optimizing, rearrangement
from assignments.coordination.optimizing import Result
from assignments.integration.planners import NOBODY, Route
from assignments.models import (
    Allocation,
    Assignment,
    Attempt,
    EveningOptimum,
    OptimizedEvening,
    OutboxMessage,
    State,
    StateTransition,
)
from assignments.planning import optimum
from assignments.testing import a_floor, a_table
from rollout.evidence import decision_audit
from rollout.models import Audit
from rollout.shadow import stored_batches
from tests.assignments.conftest import Keeping, TheHost, asked, override, run_all, tables_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiting(host: TheHost, tonight: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> TheHost:
    """The pair A sits at the large table; the small one is free again, and a party of four waits in review."""
    host.floors["R1"] = a_floor(tables=[a_table("small", seats=2), a_table("large", seats=4)])
    monkeypatch.setattr(TheHost, "reports_told_tables", True, raising=False)
    host.book("B", starts_at=tonight, party=2, requested_at=asked(0))
    host.book("A", starts_at=tonight, party=2, requested_at=asked(1))
    run_all()
    assert (tables_of("B"), tables_of("A")) == (["small"], ["large"])
    host.book("four", starts_at=tonight, party=4, requested_at=asked(2))
    api.request(booking_ref="four")
    for _attempt in range(5):
        api.assign_now(booking_ref="four")
    assert Assignment.objects.get(booking_ref="four").state == State.MANUAL_REVIEW
    host.edit("B", wants_table=False)
    api.booking_changed(booking_ref="B")
    host.moves.clear()
    return host


def optimized(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    call_command("optimize_evenings", "--days", "366", "--json", *arguments, stdout=out)
    (day,) = json.loads(out.getvalue())["evenings"]
    return dict(day)


def state() -> list[Any]:
    rows = Allocation.objects.order_by("id").values_list("booking_ref", "table_ref", "blocked")
    return [
        *rows,
        *Assignment.objects.order_by("id").values_list("booking_ref", "state", "version", "wake_at"),
        OutboxMessage.objects.count(),
        StateTransition.objects.count(),
        OptimizedEvening.objects.count(),
    ]


def test_a_waiting_party_is_seated_by_moving_another(waiting: TheHost) -> None:
    day = optimized()
    assert (day["result"], day["seated"], day["moved"], day["is_proven"]) == ("seated", ["four"], ["A"], True)
    assert (tables_of("A"), tables_of("four")) == (["small"], ["large"])
    assert [(move.booking_ref, move.to_table_refs) for move in waiting.moves] == [("A", ("small",))]
    moved, seated = (Assignment.objects.get(booking_ref=ref) for ref in ("A", "four"))
    assert (moved.state, moved.reason, moved.moves) == (State.CONFIRMED, "rearranged", 1)
    assert (seated.state, seated.planner, seated.wake_at) == (State.CONFIRMED, "v3", None)
    assert StateTransition.objects.filter(booking_ref="A").latest("version").detail == "four"
    assert OutboxMessage.objects.filter(topic="booking.reseated").get().booking_ref == "A"


@pytest.mark.parametrize("worse", ["", "beyond_its_seats"])
def test_its_decisions_and_the_moves_for_them_are_audited(waiting: TheHost, keeping: Keeping, worse: str) -> None:
    optimized()
    (batch,) = keeping.kept
    row = Allocation.objects.get(booking_ref="A", ended_at=None)
    assert (batch.placed["A"].blocked_from, batch.placed["A"].blocked_until) == (row.blocked.lower, row.blocked.upper)
    assert Attempt.objects.get(booking_ref="four", outcome="confirmed").batch == batch.key
    if worse:
        batch = replace(batch, movable=tuple(replace(each, party=3) for each in batch.movable))
    stored_batches.keep(batch)
    decision_audit.run()
    audit = Audit.objects.get(booking_ref="four")
    assert (audit.error, bool(audit.flaws)) == ("", bool(worse))


def test_what_is_possible_is_kept_for_pages_that_solve_nothing(waiting: TheHost, tonight: Any) -> None:
    optimized("--dry-run")
    assert not EveningOptimum.objects.exists()
    waiting.book("six", starts_at=tonight, party=4, requested_at=asked(3))
    api.request(booking_ref="six")
    day = optimized()
    assert day["evening"] == {"seated": 2, "possible": 2, "possible_in_any_order": 2, "is_proven": True}
    kept = EveningOptimum.objects.get()
    assert (kept.restaurant_ref, kept.service_date) == ("R1", tonight.date())
    assert (kept.seated, kept.waiting, kept.possible, kept.possible_in_any_order) == (2, 2, 2, 2)
    first = kept.examined_at
    assert optimized()["result"] == "nothing_to_gain"
    again = EveningOptimum.objects.get()
    assert (again.seated, again.waiting, again.possible, again.is_proven) == (2, 1, 2, True)
    assert again.examined_at > first


def test_where_requests_differ_both_optima_are_told(host: TheHost, tonight: Any, monkeypatch: Any) -> None:
    """Eight guests asked first, and take both tables that two parties who asked later would have had."""
    host.floors["R1"] = a_floor(
        tables=[a_table("1", seats=4), a_table("2", seats=4)],
        adjacent=[("1", "2")],
    )
    monkeypatch.setattr(TheHost, "reports_told_tables", True, raising=False)
    host.book("eight", starts_at=tonight, party=8, requested_at=asked(0))
    host.book("A", starts_at=tonight, party=4, requested_at=asked(1))
    host.book("B", starts_at=tonight, party=4, requested_at=asked(2))
    dispatch.register_new()
    day = optimized()
    assert (day["seated"], day["evening"]) == (
        ["eight"],
        {"seated": 1, "possible": 1, "possible_in_any_order": 2, "is_proven": True},
    )


def test_the_answer_is_kept_and_can_be_checked(waiting: TheHost) -> None:
    optimized()
    kept = OptimizedEvening.objects.get()
    assert (kept.answer["aim"], kept.answer["seated"], kept.answer["bound"]) == ("order", ["four"], 1)
    assert optimizing.replay(kept) == []
    kept.answer["tables"]["A"] = ["large"]
    assert optimizing.replay(kept) == ["four has a table that is taken"]
    del kept.answer["tables"]["A"]
    assert optimizing.replay(kept) == ["A has lost its seat"]


def test_a_command_checks_the_answers_that_were_written(waiting: TheHost) -> None:
    optimized()
    out = StringIO()
    call_command("optimize_evenings", "--check", stdout=out)
    assert out.getvalue() == "Answers of the last 14 days checked: 1. Breaking a rule: 0.\n"
    kept = OptimizedEvening.objects.get()
    kept.answer["tables"]["A"] = ["large"]
    kept.save()
    with pytest.raises(CommandError, match="break a rule: 1 of 1") as failed:
        call_command("optimize_evenings", "--check", "--json", stdout=out)
    assert failed.value.returncode == 1
    assert json.loads(out.getvalue().splitlines()[-1])["wrong"][0]["faults"] == ["four has a table that is taken"]
    with pytest.raises(CommandError, match="leave out --dry-run"):
        call_command("optimize_evenings", "--check", "--dry-run")


def test_a_dry_run_writes_nothing(waiting: TheHost) -> None:
    before = state()
    day = optimized("--dry-run")
    assert (day["result"], day["seated"], day["moved"]) == ("would_seat", ["four"], ["A"])
    assert state() == before
    assert waiting.moves == []


def test_an_evening_on_which_nobody_waits_is_left_alone(host: TheHost, tonight: Any) -> None:
    host.book("A", starts_at=tonight, party=2)
    run_all()
    out = StringIO()
    call_command("optimize_evenings", "--days", "366", stdout=out)
    assert out.getvalue() == "Nobody waits for a table in the next 366 days.\n"


def test_who_cannot_be_seated_waits_on(waiting: TheHost, tonight: Any) -> None:
    waiting.edit("B", wants_table=True)
    waiting.book("C", starts_at=tonight, party=2, requested_at=asked(3))
    run_all()
    before = state()
    day = optimized()
    assert (day["result"], day["seated"], day["possible"]) == ("nothing_to_gain", [], 0)
    assert state() == before


def test_an_evening_that_changed_meanwhile_is_solved_again(
    waiting: TheHost, tonight: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved = []
    solve = optimum.solve

    def slow(problem: Any, **options: Any) -> Any:
        answer = solve(problem, **options)
        solved.append(len(problem.requests))
        if len(solved) == 1:
            waiting.book("two", starts_at=tonight, party=2, requested_at=asked(3))
            api.request(booking_ref="two")
        return answer

    monkeypatch.setattr(optimum, "solve", slow)
    day = optimized()
    assert (day["result"], solved) == ("seated", [1, 2])
    assert tables_of("four") == ["large"]


def test_an_evening_that_changes_each_time_is_left_as_it_is(
    waiting: TheHost, tonight: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved = []
    solve = optimum.solve

    def slow(problem: Any, **options: Any) -> Any:
        answer = solve(problem, **options)
        solved.append(len(problem.requests))
        waiting.book(f"late {len(solved)}", starts_at=tonight, party=2, requested_at=asked(3))
        api.request(booking_ref=f"late {len(solved)}")
        return answer

    monkeypatch.setattr(optimum, "solve", slow)
    day = optimized()
    assert (day["result"], day["seated"], solved) == ("changed_meanwhile", [], [1, 2, 3])
    assert (tables_of("A"), tables_of("four")) == (["large"], [])
    assert OptimizedEvening.objects.count() == 0
    assert waiting.moves == []


def test_a_busy_party_counts_as_fixed(waiting: TheHost) -> None:
    waiting.locked.add("A")
    day = optimized()
    assert (day["result"], tables_of("A")) == ("nothing_to_gain", ["large"])


def test_a_host_that_refuses_keeps_everybody(waiting: TheHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, moves: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(TheHost, "on_moved", refuse)
    before = state()
    assert optimized()["result"] == "refused_by_host"
    assert state() == before


def test_a_host_whose_rows_allow_no_swaps_is_not_asked_for_any(
    waiting: TheHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TheHost, "can_swap", False, raising=False)
    with monkeypatch.context() as patched:
        patched.setattr(rearrangement, "in_turn", lambda movable, tables: False)
        assert (optimized()["result"], waiting.moves) == ("refused_by_host", [])
    assert optimized()["result"] == "seated"


@pytest.mark.parametrize(
    ("route", "result"),
    [(Route(planner=NOBODY), Result.NOT_V3), (Route(planner="v3", may_rearrange=False), Result.NOBODY_MOVES)],
)
def test_the_switches_are_respected(
    waiting: TheHost, monkeypatch: pytest.MonkeyPatch, route: Route, result: Result
) -> None:
    class Router:
        def route(self, assignments: Any) -> Any:
            return {assignment.booking_ref: route for assignment in assignments}

    monkeypatch.setattr(optimizing, "router", Router)
    before = state()
    assert optimized()["result"] == result.value
    assert state() == before


def test_the_setting_keeps_everybody(waiting: TheHost, settings: Any) -> None:
    with override(settings, rows=waiting.rows, REARRANGE=False):
        assert optimized()["result"] == "nobody_moves"
    assert tables_of("A") == ["large"]


def test_without_the_extra_it_says_what_to_install(waiting: TheHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ortools.sat.python", None)
    optimum._solver.cache_clear()
    with pytest.raises(CommandError, match=r"table-assignments\[optimizer\]") as refused:
        call_command("optimize_evenings")
    assert refused.value.returncode == 2
