"""Storing transitions, and announcing them once they are committed.

django-fsm changes memory only. Here the changes are stored (guarded by version, with history and outbox in the same
transaction), and only a committed transition is announced: as an event, and as a signal.
"""

import uuid
from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from assignments import signals
from assignments.concurrency.transactions import require_transaction
from assignments.models import OPEN_STATES, Assignment, NewAttempt, NewMessage, State
from assignments.models.insertion import insert
from assignments.models.transition import NewTransition
from assignments.telemetry import correlation, events
from assignments.telemetry.event_catalogue import STATE_MACHINE

TOPIC = "booking."
"""Prefix of the topics of what happens to a booking besides its state."""
OUTBOX_TOPIC = f"{TOPIC}assignment_state."
_SAID = ("actor", "table_refs", "from_table_refs", "stage", "detail", "reason", "delay_seconds")
"""What an event tells of a message."""
_TOLD = frozenset({"confirm", "restore", "send_to_review", "fail", "cancel", "reopen"})
"""Transitions that the host hears of, even when they end in the state in which they began. Others are a planner's steps."""


def message(assignment: Assignment, what: str, *, correlation_id: uuid.UUID, **payload: Any) -> NewMessage:
    """Return an unsaved message that something happened to the booking: topic ``booking.<what>``.

    Storing it announces the event ``seating.<what>`` as well.
    """
    return NewMessage(
        topic=f"{TOPIC}{what}",
        booking_ref=assignment.booking_ref,
        payload={
            **payload,
            "restaurant_ref": assignment.restaurant_ref,
            "state": assignment.state,
            "reason": assignment.reason,
            "correlation_id": str(correlation_id),
        },
    )


def store(
    assignments: Sequence[Assignment],
    *,
    correlation_id: uuid.UUID | None = None,
    messages: Sequence[NewMessage] = (),
    attempts: Sequence[NewAttempt] = (),
) -> None:
    """Store the changes made in memory, in the caller's transaction, and announce them on commit.

    For any number of assignments this takes one guarded query for states and history, and one for the ``attempts`` and
    the outbox messages: the given ``messages``, and one for each assignment of whose change the host must be told.
    History, messages and events carry ``correlation_id``, by default the current one.

    Raises StaleAssignmentError, and TransactionManagementError outside a transaction.
    """
    require_transaction()
    correlation_id = correlation_id or correlation.id_or_new()
    changed = [assignment for assignment in assignments if assignment.is_changed]
    transitions = [row for assignment in changed for row in assignment.unsaved_transitions]
    moved = [(assignment, assignment.stored_state) for assignment in changed if assignment.unsaved_transitions]
    told = [(assignment, previous, state) for assignment, previous in moved if (state := _told_state(assignment))]
    Assignment.objects.persist(changed, correlation_id=correlation_id)
    due = [
        NewMessage(
            topic=f"{OUTBOX_TOPIC}{state}",
            booking_ref=assignment.booking_ref,
            payload={
                "state": state,
                "previous": previous,
                "reason": assignment.reason,
                "version": assignment.version,
                "correlation_id": str(correlation_id),
            },
        )
        for assignment, previous, state in told
    ]
    insert([*due, *messages, *attempts])
    events.emit_all([_said(each, correlation_id) for each in messages])
    restaurants = {assignment.pk: assignment.restaurant_ref for assignment in changed}
    events.emit_all([_event(row, restaurants[row.assignment_id], correlation_id) for row in transitions])
    heard = {assignment.pk for assignment, _previous, _state in told}
    changes = [
        {
            "sender": Assignment,
            "booking_ref": assignment.booking_ref,
            "previous": previous,
            "state": assignment.state,
            "reason": assignment.reason,
        }
        for assignment, previous in moved
        if assignment.state != previous or assignment.pk in heard
    ]
    if changes:
        send_on_commit(signals.state_changed, changes, correlation_id=correlation_id)


def send_on_commit(signal: Signal, told: Sequence[dict[str, Any]], *, correlation_id: uuid.UUID) -> None:
    """Send the signal once for each of these arguments, when the current transaction has committed.

    Whatever its receivers log has this correlation id, and the booking's ref if they are told of one.
    """

    def send() -> None:
        for each in told if signal.receivers else ():
            with correlation.scope(correlation_id, booking_ref=each.get("booking_ref", "")):
                signal.send_robust(**each)

    transaction.on_commit(send, robust=True)


def start(assignment: Assignment, *, actor: str, planner: str) -> None:
    """Bring an open or a woken assignment to ``assignment_in_progress``, through every state on the way."""
    if assignment.is_woken:
        assignment.reopen(actor=actor, reason="woken")
        assignment.attempts = 1
    assignment.planner = planner
    if assignment.state == State.CREATED:
        assignment.verify_capacity(actor=actor)
    if assignment.state == State.CAPACITY_VERIFIED:
        assignment.queue(actor=actor)
    if assignment.state in {State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED}:
        # Left behind by a planner that died between its transactions.
        assignment.put_back(actor=actor, reason="abandoned")
    assignment.begin(actor=actor)


def is_open(assignment: Assignment) -> bool:
    """Return whether a planner still has to decide it."""
    return assignment.state in OPEN_STATES


def _told_state(assignment: Assignment) -> str:
    """Return the state of which the host must be told; "" for a mere step of a planner.

    A change of tables has its own message (``moved``) unless the state changes with it.
    """
    for row in reversed(assignment.unsaved_transitions):
        if row.name in _TOLD or (row.name == "reseat" and assignment.stored_state != row.target):
            return row.target
    return ""


def _said(told: NewMessage, correlation_id: uuid.UUID) -> events.EventRecord:
    known = {name: told.payload[name] for name in _SAID if told.payload.get(name)}
    return events.event(
        STATE_MACHINE,
        f"seating.{told.topic.removeprefix(TOPIC)}",
        booking_ref=told.booking_ref,
        restaurant_ref=told.payload["restaurant_ref"],
        correlation_id=correlation_id,
        **known,
    )


def _event(row: NewTransition, restaurant_ref: str, correlation_id: uuid.UUID | None) -> events.EventRecord:
    return events.event(
        STATE_MACHINE,
        "state_machine.transition",
        booking_ref=row.booking_ref,
        restaurant_ref=restaurant_ref,
        correlation_id=correlation_id,
        transition=row.name,
        from_state=row.source,
        to_state=row.target,
        version=row.version,
        actor=row.actor,
        planner=row.planner or None,
        reason=row.reason or None,
    )
