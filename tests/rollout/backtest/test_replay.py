"""Replaying through both planners: the order, an evening for each, and what is counted. Pure."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from assignments.planning import engine
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Snapshot
from assignments.planning.text import Text
from assignments.testing import a_floor, a_service, a_table
from rollout.backtest.replay import Answer, Planner, Replay, Scoreboard, Step, in_booking_order, made_at
from tests.assignments.planning.restaurant import real_day

SEVEN = datetime(2030, 1, 14, 19, tzinfo=UTC)
MONTH_BEFORE = SEVEN - timedelta(days=30)
FLOOR = a_floor(
    tables=[a_table("two", seats=2), a_table("four"), a_table("six", seats=6)],
    adjacent=[("two", "four"), ("four", "six")],
    services=[a_service(ends=time(2), buffer_after_minutes=10)],
)


def ask(
    ref: str, party: int = 2, *, at: datetime = SEVEN, requested_at: datetime | None = MONTH_BEFORE
) -> SeatingRequest:
    return SeatingRequest(booking_ref=ref, party=party, starts_at=at, requested_at=requested_at)


def gives(**tables: str) -> Planner:
    """A planner that seats each booking, by ref, at these tables (joined by +), and refuses all others."""

    def planner(snapshot: Snapshot) -> Answer:
        return Answer(decision=decision(snapshot, tables.get(snapshot.request.booking_ref, "")), milliseconds=1.0)

    return planner


def decision(snapshot: Snapshot, tables: str) -> Decision:
    ours = engine.plan(snapshot)
    window = ours.window or engine.plan(Snapshot(floor=FLOOR, occupied=(), request=ask("x"), now=MONTH_BEFORE)).window
    if not tables:
        refusal = Refusal(reason=Reason.NO_CAPACITY, text=Text("Everything is taken."))
        return Decision(booking_ref=snapshot.request.booking_ref, snapshot_hash="", refusal=refusal)
    plan = TablePlan(
        table_refs=tuple(tables.split("+")), seats=99, spare_seats=99, score=0.0, breakdown={}, strategy="by hand"
    )
    return Decision(booking_ref=snapshot.request.booking_ref, snapshot_hash="", window=window, plans=(plan,))


def v3(snapshot: Snapshot) -> Answer:
    return Answer(decision=engine.plan(snapshot), milliseconds=1.0)


def raises(snapshot: Snapshot) -> Answer:
    return Answer(error="ZeroDivisionError")


def replay(
    control: Planner, candidate: Planner, *requests: SeatingRequest, floor: Floor = FLOOR
) -> tuple[Scoreboard, list[Step]]:
    scoreboard, both = Scoreboard(), Replay(floor, control=control, candidate=candidate)
    steps = [both.decide(request) for request in requests]
    for step in steps:
        scoreboard.add(step)
    return scoreboard, steps


class TestOrder:
    def test_who_booked_first_comes_first_whatever_the_start(self) -> None:
        late = ask("1", at=SEVEN - timedelta(hours=1), requested_at=MONTH_BEFORE + timedelta(days=1))
        early = ask("2", at=SEVEN, requested_at=MONTH_BEFORE)
        assert in_booking_order([late, early]) == [early, late]

    def test_at_the_same_moment_refs_count_as_numbers_where_they_are(self) -> None:
        assert [each.booking_ref for each in in_booking_order([ask("10"), ask("9"), ask("B1")])] == ["9", "10", "B1"]

    def test_bookings_of_which_it_is_not_known_come_last(self) -> None:
        unknown = ask("1", requested_at=None)
        assert in_booking_order([unknown, ask("2")])[1] == unknown

    @pytest.mark.parametrize(
        ("requested_at", "made"),
        [
            (MONTH_BEFORE, MONTH_BEFORE),
            (SEVEN + timedelta(minutes=5), SEVEN),
            (None, SEVEN - timedelta(days=1)),
        ],
    )
    def test_a_booking_is_decided_when_it_was_made_and_never_after_its_start(
        self, requested_at: datetime | None, made: datetime
    ) -> None:
        request = ask("1", requested_at=requested_at)
        assert made_at(request) == made
        _board, (step,) = replay(v3, v3, request)
        assert step.snapshot.now == made
        assert step.control.is_seated


class TestEvenings:
    def test_each_planner_goes_on_with_what_it_gave_away_itself(self) -> None:
        seen: dict[str, list[set[str]]] = {"control": [], "candidate": []}

        def watched(name: str, planner: Planner) -> Planner:
            def watching(snapshot: Snapshot) -> Answer:
                seen[name].append({taken.table_ref for taken in snapshot.occupied})
                return planner(snapshot)

            return watching

        control, candidate = gives(B1="six", B2="four"), gives(B1="two", B2="four")
        replay(watched("control", control), watched("candidate", candidate), ask("B1"), ask("B2"), ask("B3"))
        assert seen["control"] == [
            set(),
            {"six"},
            {"six", "four"},
            {"two", "four"},
        ]  # the last: would it have seated B3?
        # Where the evenings differ, the candidate is asked about the control's first: that is what is compared.
        assert seen["candidate"] == [set(), {"six"}, {"two"}, {"six", "four"}, {"two", "four"}]

    def test_both_are_compared_on_the_same_evening_the_controls(self) -> None:
        board, steps = replay(gives(B1="six", B2="two+four"), v3, ask("B1"), ask("B2", 6))
        assert [step.verdict for step in steps] == ["better", "same_tables"]
        assert steps[1].compared.table_refs == ("four", "two")
        assert steps[1].candidate.answer.table_refs == ("six",)
        assert board.verdicts == {"better": 1, "same_tables": 1}

    def test_tables_are_kept_for_as_long_as_guests_sit_and_tables_are_cleared(self) -> None:
        tables = {"B1": "two", "B2": "two", "B3": "two"}
        after = SEVEN + timedelta(minutes=129), SEVEN + timedelta(minutes=130)
        board, steps = replay(gives(**tables), gives(), ask("B1"), ask("B2", at=after[0]), ask("B3", at=after[1]))
        assert [step.control.is_seated for step in steps] == [True, False, True]
        assert board.control.impossible == 1

    def test_what_ended_is_forgotten_and_what_goes_on_is_not(self) -> None:
        both = Replay(FLOOR, control=gives(B1="two", B2="two"), candidate=v3)
        both.decide(ask("B1"))
        both.forget(SEVEN + timedelta(minutes=129))
        assert {taken.booking_ref for taken in both.decide(ask("B3")).snapshot.occupied} == {"B1"}
        both.forget(SEVEN + timedelta(minutes=130))
        assert both.decide(ask("B4")).snapshot.occupied == ()

    def test_a_planner_sees_no_more_than_sits_there_meanwhile_however_long_the_evening(self) -> None:
        all_day = a_service(starts=SEVEN.time(), ends=SEVEN.time())
        floor = a_floor(tables=[a_table(f"T{number}") for number in range(4)], services=[all_day])
        asked: list[int] = []

        def counted(snapshot: Snapshot) -> Answer:
            asked.append(len(snapshot.occupied))
            return v3(snapshot)

        requests = [ask(f"B{number}", at=SEVEN + timedelta(minutes=10 * number)) for number in range(144)]
        board, _steps = replay(v3, counted, *requests, floor=floor)
        assert board.candidate.seated > 40
        assert max(asked) <= 2 * len(floor.tables)
        assert len(asked) == len(requests)  # asked once: both planners are the same, and so are their evenings


class TestCounting:
    def test_seats_covers_and_joins_are_measured_on_the_floor(self) -> None:
        board, _steps = replay(gives(B1="two+four", B2="six"), gives(), ask("B1", 5), ask("B2", 3), ask("B3", 1))
        control = board.control.as_dict()
        assert (board.bookings, board.covers) == (3, 9)
        assert (control["seated"], control["covers"], control["joins"]) == (2, 8, 1)
        assert control["seat_use"] == round(8 / 12, 4)
        assert (control["seated_alone"], control["refused"]) == (2, {"no_capacity": 1})
        assert control["decision_ms"] == {"p50": 1.0, "p95": 1.0, "max": 1.0}

    @pytest.mark.parametrize(("control", "candidate"), [("six", ""), ("", "six")])
    def test_refusals_that_the_other_would_have_seated_on_the_same_evening(self, control: str, candidate: str) -> None:
        board, _steps = replay(gives(B1=control), gives(B1=candidate), ask("B1"))
        refusing, seating = (board.control, board.candidate) if candidate else (board.candidate, board.control)
        assert refusing.other_would_seat == {"no_capacity": 1}
        assert not +seating.other_would_seat
        assert seating.seated_alone == 1

    def test_a_refusal_is_not_held_against_a_planner_whose_own_evening_is_full(self) -> None:
        """The control seats B2 only because its own evening is emptier: on the candidate's, it could not."""
        control, candidate = gives(B1="two", B2="six"), gives(B1="six")
        board, steps = replay(control, candidate, ask("B1", 2), ask("B2", 6))
        assert steps[1].control.is_seated
        assert board.candidate.refused == {"no_capacity": 1}
        assert not +board.candidate.other_would_seat

    @pytest.mark.parametrize("tables", ["two", "nowhere", "two+six", "two+four"], ids=str)
    def test_tables_that_must_not_be_given_seat_nobody(self, tables: str) -> None:
        """Too small, unknown, not adjacent, and (the second of two) taken."""
        board, steps = replay(gives(), gives(B1="four", B2=tables), ask("B1", 4), ask("B2", 4))
        assert [step.candidate.is_seated for step in steps] == [True, False]
        assert (board.candidate.impossible, board.candidate.covers) == (1, 4)

    def test_a_candidate_that_errs_costs_that_booking_and_is_no_refusal(self) -> None:
        board, _steps = replay(v3, raises, ask("B1"), ask("B2"))
        assert board.candidate.errors == {"ZeroDivisionError": 2}
        assert not board.candidate.refused
        assert (board.control.seated, board.verdicts) == (2, {"v3_error": 2})

    def test_where_the_legacy_planner_errs_nothing_is_compared(self) -> None:
        board, (step,) = replay(raises, v3, ask("B1"))
        assert step.verdict is None
        assert (board.control.errors, board.verdicts, board.candidate.seated) == ({"ZeroDivisionError": 1}, {}, 1)

    def test_a_request_that_cannot_sit_is_refused_by_both_with_the_reason(self) -> None:
        noon = SEVEN.replace(hour=9)
        board, _steps = replay(v3, v3, ask("B1", at=noon), ask("B2", 99))
        assert board.control.refused == board.candidate.refused == {"outside_service": 1, "party_too_large": 1}


@pytest.mark.parametrize("side", ["control", "candidate"])
def test_on_the_real_evening_no_table_is_given_twice(side: str) -> None:
    floor, requests = real_day()

    def worse(snapshot: Snapshot) -> Answer:
        return v3(snapshot) if snapshot.request.party > 2 else raises(snapshot)

    board, steps = replay(v3, worse, *in_booking_order(requests), floor=floor)
    taken: list[tuple[str, Any]] = []
    for step in steps:
        turn = getattr(step, side)
        if turn.is_seated:
            window = turn.answer.decision.window
            for ref in turn.answer.table_refs:
                assert not any(
                    other == ref and window.blocked_from < met.blocked_until and met.blocked_from < window.blocked_until
                    for other, met in taken
                )
                taken.append((ref, window))
    assert board.control.seated > 55
    assert board.candidate.seated < board.control.seated
