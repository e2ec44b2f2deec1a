"""The admin: everything to look at, nothing to change by hand."""

from assignments.admin.allocation import AllocationAdmin
from assignments.admin.assignment import AssignmentAdmin
from assignments.admin.records import AttemptAdmin, BreakerAdmin, EventAdmin, OutboxMessageAdmin, StateTransitionAdmin

__all__ = [
    "AllocationAdmin",
    "AssignmentAdmin",
    "AttemptAdmin",
    "BreakerAdmin",
    "EventAdmin",
    "OutboxMessageAdmin",
    "StateTransitionAdmin",
]
