"""The decisions that staff may make about a booking, and which of them can be undone.

The rules behind ``api.reopen``, ``api.reject`` and ``api.undo``; nothing here writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from assignments.models import Assignment, Attempt, State, StateTransition
from assignments.outcome import CoordinatorReason

REJECTED = "rejected_by_staff"
"""The reason code of a booking that staff turned down."""
EDIT_REJECTED = "edit_rejected"
"""The reason code of a booking that keeps what was promised, because staff turned its guest's edit down."""
LONGEST_REASON = 2000
"""Maximum characters of the reason that staff give."""
WAITING_FOR_STAFF = frozenset({State.MANUAL_REVIEW, State.FAILED})
STAFF = "staff:"
"""What every actor who is a member of staff begins with."""

NOT_RESTORABLE = frozenset({CoordinatorReason.CONFIRMED_BY_HOST, "table_out_of_service"})
"""Reasons for a review of bookings that the host shows as confirmed: what tables it had stored for them is not known here,
so giving them others cannot be taken back, only changed again."""


class Undo(StrEnum):
    """The kind of step that is undone; the value is the reason code of the transition that undoes it."""

    ASSIGNMENT = "assignment_undone"
    REJECTION = "rejection_undone"
    STAGE = "stage_undone"
    MOVE = "move_undone"
    SWAP = "swap_undone"
    STAY = "stay_undone"
    WALK_IN = "walk_in_undone"
    RELEASE = "release_undone"


WALK_IN = "walk_in"
"""Reason code: guests came without a booking, and staff seated them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Undoable:
    """Staff's last decision on a booking, and the state of the booking before.

    ``state``, ``reason``, ``detail``, ``attempts`` and ``planner`` are those from before the decision.
    """

    what: Undo
    actor: str
    at: datetime
    state: str
    reason: str
    detail: str
    planner: str
    attempts: int

    @property
    def is_for_a_planner(self) -> bool:
        """Return whether a planner decides the booking once the decision is undone, rather than staff."""
        return self.state == State.ASSIGNMENT_PENDING


def undoable(assignment: Assignment, transitions: Sequence[StateTransition] | None = None) -> Undoable | None:
    """Return what can be undone now; None if anything else has happened. Two queries, one if given all ``transitions``."""
    if transitions is None:
        transitions = list(assignment.transitions.order_by("version"))
    found = _decision_of_staff(assignment, transitions)
    if found is None:
        return None
    what, begun, last, before = found
    tries = Attempt.objects.filter(assignment=assignment, planner=before.planner, at__lt=begun.at).order_by("-id")
    return Undoable(
        what=what,
        actor=last.actor,
        at=last.at,
        state=before.target,
        reason=before.reason,
        detail=before.detail,
        planner=before.planner,
        attempts=tries.values_list("number", flat=True).first() or 0,
    )


def _decision_of_staff(
    assignment: Assignment, transitions: Sequence[StateTransition]
) -> tuple[Undo, StateTransition, StateTransition, StateTransition] | None:
    """Return the decision, the transitions that began and ended it, and the one before it.

    The one before sent the booking to staff or queued it. A decision is one transaction: it reopens a booking that
    waits for staff and goes on from there, all by the same actor.
    """
    if not transitions or transitions[-1].version != assignment.version:
        return None
    last = transitions[-1]
    if (last.name, assignment.state) == ("confirm", State.CONFIRMED):
        what = Undo.ASSIGNMENT
    elif (last.name, last.reason) == ("fail", REJECTED):
        what = Undo.REJECTION
    else:
        return None
    begins = _beginning(transitions)
    if begins == 0 or not last.actor.startswith(STAFF) or last.reason in {WALK_IN, *Undo}:
        return None
    decision, before = transitions[begins:], transitions[begins - 1]
    if any(row.actor != last.actor or row.name == "put_back" for row in decision):
        return None
    waited = WAITING_FOR_STAFF | ({State.ASSIGNMENT_PENDING} if what is Undo.ASSIGNMENT else set())
    if before.target not in waited:
        return None
    if what is Undo.ASSIGNMENT and before.reason in NOT_RESTORABLE:
        return None
    return what, decision[0], last, before


def _beginning(transitions: Sequence[StateTransition]) -> int:
    """Return the index of the transition with which the last decision began; 0 if that cannot be told."""
    last = transitions[-1]
    name = "begin" if last.name == "confirm" else "reopen"
    place = max((place for place, row in enumerate(transitions) if row.name == name), default=0)
    before = transitions[place - 1]
    is_reopened = name == "begin" and before.name == "reopen" and before.transaction_id == last.transaction_id
    return place - 1 if place and is_reopened else place
