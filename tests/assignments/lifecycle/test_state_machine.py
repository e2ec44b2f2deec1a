"""The state machine: which transitions exist, and that history, versions and guards hold in the database."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from assignments import signals
from assignments.exceptions import StaleAssignmentError, TransitionRefusedError
from assignments.lifecycle import transitions
from assignments.models import OPEN_STATES, TERMINAL_STATES, Assignment, OutboxMessage, State, StateTransition
from assignments.telemetry import events

NOW = datetime(2030, 1, 14, 19, tzinfo=UTC)

# The states and transitions of the pipeline. Every other pair must be refused.
ALLOWED: dict[tuple[State, str], State] = {
    (State.CREATED, "verify_capacity"): State.CAPACITY_VERIFIED,
    (State.CREATED, "fail"): State.FAILED,
    (State.CAPACITY_VERIFIED, "queue"): State.ASSIGNMENT_PENDING,
    (State.CAPACITY_VERIFIED, "fail"): State.FAILED,
    (State.ASSIGNMENT_PENDING, "begin"): State.ASSIGNMENT_IN_PROGRESS,
    (State.ASSIGNMENT_PENDING, "send_to_review"): State.MANUAL_REVIEW,
    (State.ASSIGNMENT_PENDING, "fail"): State.FAILED,
    (State.ASSIGNMENT_IN_PROGRESS, "assign"): State.ASSIGNED,
    (State.ASSIGNMENT_IN_PROGRESS, "put_back"): State.ASSIGNMENT_PENDING,
    (State.ASSIGNMENT_IN_PROGRESS, "fail"): State.FAILED,
    (State.ASSIGNMENT_IN_PROGRESS, "send_to_review"): State.MANUAL_REVIEW,
    (State.ASSIGNED, "confirm"): State.CONFIRMED,
    (State.ASSIGNED, "put_back"): State.ASSIGNMENT_PENDING,
    (State.ASSIGNED, "send_to_review"): State.MANUAL_REVIEW,
    (State.CONFIRMED, "send_to_review"): State.MANUAL_REVIEW,
    (State.CONFIRMED, "reseat"): State.CONFIRMED,
    (State.MANUAL_REVIEW, "reseat"): State.CONFIRMED,
    (State.MANUAL_REVIEW, "restore"): State.CONFIRMED,
    (State.FAILED, "restore"): State.CONFIRMED,
    **{(state, "reopen"): State.ASSIGNMENT_PENDING for state in TERMINAL_STATES},
    **{(state, "cancel"): State.CANCELLED for state in State if state != State.CANCELLED},
}
METHODS = sorted({method for _state, method in ALLOWED})
WAY_TO = {
    State.CREATED: (),
    State.CAPACITY_VERIFIED: ("verify_capacity",),
    State.ASSIGNMENT_PENDING: ("verify_capacity", "queue"),
    State.ASSIGNMENT_IN_PROGRESS: ("verify_capacity", "queue", "begin"),
    State.ASSIGNED: ("verify_capacity", "queue", "begin", "assign"),
    State.CONFIRMED: ("verify_capacity", "queue", "begin", "assign", "confirm"),
    State.FAILED: ("fail",),
    State.MANUAL_REVIEW: ("verify_capacity", "queue", "send_to_review"),
    State.CANCELLED: ("cancel",),
}


def make(ref: str = "B1", state: State = State.CREATED) -> Assignment:
    assignment = Assignment(
        booking_ref=ref,
        restaurant_ref="R1",
        service_date=NOW.date(),
        starts_at=NOW,
        party=2,
        requested_at=NOW,
        due_at=NOW,
    )
    for method in WAY_TO[state]:
        getattr(assignment, method)(actor="test")
    return assignment


def stored(ref: str = "B1", state: State = State.CREATED) -> Assignment:
    assignment = make(ref)
    assignment.save()
    for method in WAY_TO[state]:
        getattr(assignment, method)(actor="test")
    with transaction.atomic():
        transitions.store([assignment])
    return Assignment.objects.get(pk=assignment.pk)


@pytest.mark.parametrize("state", list(State), ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_every_pair_of_state_and_transition_is_either_listed_or_refused(state: State, method: str) -> None:
    assignment = make(state=state)
    version = assignment.version
    if (state, method) in ALLOWED:
        getattr(assignment, method)(actor="test")
        assert assignment.state == ALLOWED[state, method]
        assert assignment.version == version + 1
        assert (assignment.unsaved_transitions[-1].source, assignment.unsaved_transitions[-1].target) == (
            state,
            ALLOWED[state, method],
        )
    else:
        with pytest.raises(TransitionRefusedError, match="B1"):
            getattr(assignment, method)(actor="test")
        assert (assignment.state, assignment.version) == (state, version)


def test_no_method_of_the_model_makes_a_transition_that_is_not_listed() -> None:
    made = {
        (State(transition.source), transition.name)
        for transition in Assignment().get_all_state_transitions()  # type: ignore[attr-defined]
        if transition.source != "+"
    }
    assert made == {pair for pair in ALLOWED if pair[1] != "cancel"}


def test_the_state_cannot_be_set_directly() -> None:
    assignment = make()
    with pytest.raises(AttributeError):
        assignment.state = State.CONFIRMED


@pytest.mark.django_db(transaction=True)
class TestStoring:
    def test_history_equals_the_transitions(self) -> None:
        assignment = stored(state=State.CONFIRMED)
        rows = list(StateTransition.objects.filter(assignment=assignment).values_list("version", "source", "target"))
        assert rows == [
            (1, "created", "capacity_verified"),
            (2, "capacity_verified", "assignment_pending"),
            (3, "assignment_pending", "assignment_in_progress"),
            (4, "assignment_in_progress", "assigned"),
            (5, "assigned", "confirmed"),
        ]
        assert (assignment.state, assignment.version, assignment.due_at) == ("confirmed", 5, None)

    def test_many_assignments_cost_two_queries(self, django_assert_num_queries: object) -> None:
        assignments = [stored(f"B{number}", State.ASSIGNMENT_PENDING) for number in range(20)]
        for assignment in assignments:
            assignment.begin(actor="test")
            assignment.assign(actor="test")
            assignment.confirm(actor="test")
        with transaction.atomic(), django_assert_num_queries(2):  # type: ignore[operator]
            transitions.store(assignments)
        assert Assignment.objects.filter(state=State.CONFIRMED).count() == 20

    def test_of_two_writers_one_loses_and_leaves_no_trace(self) -> None:
        first = stored(state=State.ASSIGNMENT_PENDING)
        second = Assignment.objects.get(pk=first.pk)
        first.begin(actor="first")
        with transaction.atomic():
            transitions.store([first])
        second.send_to_review(actor="second")
        with pytest.raises(StaleAssignmentError, match="B1"), transaction.atomic():
            transitions.store([second])
        assert Assignment.objects.get().state == State.ASSIGNMENT_IN_PROGRESS
        assert not StateTransition.objects.filter(actor="second").exists()

    @pytest.mark.parametrize(
        "statement", ["UPDATE assignments_statetransition SET reason = 'x'", "DELETE FROM assignments_statetransition"]
    )
    def test_history_can_be_neither_updated_nor_deleted(self, statement: str) -> None:
        stored(state=State.CONFIRMED)
        with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
            cursor.execute(statement)
        assert StateTransition.objects.count() == 5

    def test_a_state_without_history_cannot_be_committed_even_by_raw_sql(self) -> None:
        assignment = stored(state=State.ASSIGNMENT_PENDING)
        with pytest.raises(DatabaseError, match="has no history"):
            Assignment.objects.filter(pk=assignment.pk).update(state=State.CONFIRMED, due_at=None)
        assert Assignment.objects.get().state == State.ASSIGNMENT_PENDING

    @pytest.mark.parametrize("state", sorted(OPEN_STATES))
    def test_an_open_assignment_always_has_a_due_date(self, state: State) -> None:
        assignment = stored(state=state)
        with pytest.raises(DatabaseError, match="assignment_open_iff_due"):
            Assignment.objects.filter(pk=assignment.pk).update(due_at=None)

    def test_a_transition_is_announced_when_it_has_committed_and_only_then(self) -> None:
        assignment = stored(state=State.ASSIGNMENT_PENDING)
        events.flush(5)
        events.MemorySink.events.clear()
        OutboxMessage.objects.all().delete()
        assignment.begin(actor="test")
        with pytest.raises(RuntimeError), transaction.atomic():
            transitions.store([assignment])
            raise RuntimeError("rolled back")
        events.flush(5)
        assert events.MemorySink.events == []
        assert not OutboxMessage.objects.exists()

        again = Assignment.objects.get()
        again.planner = "v3"
        again.begin(actor="test")
        with transaction.atomic():
            transitions.store([again])
            assert events.MemorySink.events == []
        events.flush(5)
        (event,) = events.MemorySink.events
        assert (event.source, event.context["to_state"]) == ("assignment.state_machine", "assignment_in_progress")
        assert (event.context["planner"], event.context.get("reason")) == ("v3", None)
        assert not OutboxMessage.objects.exists(), "a planner's step is told nobody"

    def test_a_receiver_hears_of_every_new_state_and_of_whatever_the_host_is_told(self) -> None:
        heard: list[tuple[str, str]] = []

        def hear(**told: Any) -> None:
            heard.append((told["previous"], told["state"]))

        def after(state: State, *methods: str) -> list[tuple[str, str]]:
            assignment = stored(f"B {len(heard)} {methods}", state)
            heard.clear()
            for method in methods:
                getattr(assignment, method)(actor="test")
            with transaction.atomic():
                transitions.store([assignment])
            return heard[:]

        signals.state_changed.connect(hear, weak=False, dispatch_uid="test")
        try:
            assert after(State.ASSIGNMENT_PENDING, "begin") == [("assignment_pending", "assignment_in_progress")]
            assert after(State.ASSIGNMENT_PENDING, "begin", "put_back") == [], "a planner has tried"
            assert after(State.CONFIRMED, "reseat") == [], "a move has its own message"
            assert after(State.CONFIRMED, "send_to_review", "restore") == [("confirmed", "confirmed")]
            assert after(State.MANUAL_REVIEW, "reseat") == [("manual_review", "confirmed")]
        finally:
            signals.state_changed.disconnect(dispatch_uid="test")

    def test_storing_outside_a_transaction_is_refused(self) -> None:
        assignment = stored()
        assignment.verify_capacity(actor="test")
        with pytest.raises(transaction.TransactionManagementError):
            transitions.store([assignment])

    def test_what_happens_to_a_booking_is_stored_and_announced_with_what_is_told_of_it(self) -> None:
        assignment = stored(state=State.CONFIRMED)
        events.flush(5)
        events.MemorySink.events.clear()
        mine = uuid.uuid4()
        told = transitions.message(
            assignment, "moved", correlation_id=mine, actor="staff:7", table_refs=["T2"], detail=""
        )
        assert (told.topic, told.booking_ref) == ("booking.moved", "B1")
        expected = {"restaurant_ref": "R1", "state": "confirmed", "reason": "", "correlation_id": str(mine)}
        assert told.payload == {"actor": "staff:7", "table_refs": ["T2"], "detail": "", **expected}
        with transaction.atomic():
            transitions.store([], correlation_id=mine, messages=[told])
        events.flush(5)
        (event,) = events.MemorySink.events
        assert (event.type, event.correlation_id, event.booking_ref) == ("seating.moved", mine, "B1")
        assert {name: event.context.get(name) for name in ("actor", "table_refs", "detail")} == {
            "actor": "staff:7",
            "table_refs": ["T2"],
            "detail": None,
        }
        assert OutboxMessage.objects.filter(topic="booking.moved").exists()


@pytest.mark.parametrize(
    ("state", "way"),
    [
        (State.CREATED, ["verify_capacity", "queue", "begin"]),
        (State.CAPACITY_VERIFIED, ["queue", "begin"]),
        (State.ASSIGNMENT_PENDING, ["begin"]),
        (State.ASSIGNMENT_IN_PROGRESS, ["put_back", "begin"]),
        (State.ASSIGNED, ["put_back", "begin"]),
        (State.MANUAL_REVIEW, ["reopen", "begin"]),
    ],
)
def test_a_planner_starts_from_wherever_a_booking_is(state: State, way: list[str]) -> None:
    assignment = make(state=state)
    assignment.attempts = 4
    if state == State.MANUAL_REVIEW:
        assignment.wake_at = NOW
    before = len(assignment.unsaved_transitions)
    assert transitions.is_open(assignment) is (state in OPEN_STATES)
    transitions.start(assignment, actor="worker", planner="v3")
    made = assignment.unsaved_transitions[before:]
    assert [row.name for row in made] == way
    assert {row.actor for row in made} == {"worker"}
    assert (assignment.state, assignment.planner) == (State.ASSIGNMENT_IN_PROGRESS, "v3")
    assert assignment.attempts == (1 if state == State.MANUAL_REVIEW else 4)
