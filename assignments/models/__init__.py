"""The models. Import them from here. Migrations and hosts depend on these paths."""

from assignments.models.allocation import NO_OVERLAP_CONSTRAINT, Allocation, NewAllocation
from assignments.models.assignment import GONE, OPEN_STATES, TERMINAL_STATES, Assignment, Stage, State
from assignments.models.attempt import Attempt, NewAttempt
from assignments.models.batch_mark import BatchMark
from assignments.models.breaker import Breaker
from assignments.models.calendar import CalendarEntry, CalendarService, PacingLimit
from assignments.models.closure import Closure
from assignments.models.evening_optimum import EveningOptimum
from assignments.models.event import Event
from assignments.models.failed_invocation import FailedInvocation
from assignments.models.floor import (
    AdjacentTables,
    ListedJoin,
    ServiceHours,
    TableDetails,
    TablePlace,
    TurnMinutes,
    VenueSettings,
    ZonePriority,
)
from assignments.models.floor_seen import FloorSeen
from assignments.models.frozen_evening import FrozenEvening
from assignments.models.host_mark import HostMark
from assignments.models.optimized_evening import OptimizedEvening
from assignments.models.outbox import NewMessage, OutboxMessage
from assignments.models.pages import Health, ReviewItem, ServiceDay
from assignments.models.queued_party import QueuedParty
from assignments.models.run import Run
from assignments.models.seating_change import SeatingChange
from assignments.models.staff_action import StaffAction
from assignments.models.total import Folded, Total
from assignments.models.transition import StateTransition

__all__ = [
    "GONE",
    "NO_OVERLAP_CONSTRAINT",
    "OPEN_STATES",
    "TERMINAL_STATES",
    "AdjacentTables",
    "Allocation",
    "Assignment",
    "Attempt",
    "BatchMark",
    "Breaker",
    "CalendarEntry",
    "CalendarService",
    "Closure",
    "EveningOptimum",
    "Event",
    "FailedInvocation",
    "FloorSeen",
    "Folded",
    "FrozenEvening",
    "Health",
    "HostMark",
    "ListedJoin",
    "NewAllocation",
    "NewAttempt",
    "NewMessage",
    "OptimizedEvening",
    "OutboxMessage",
    "PacingLimit",
    "QueuedParty",
    "ReviewItem",
    "Run",
    "SeatingChange",
    "ServiceDay",
    "ServiceHours",
    "StaffAction",
    "Stage",
    "State",
    "StateTransition",
    "TableDetails",
    "TablePlace",
    "Total",
    "TurnMinutes",
    "VenueSettings",
    "ZonePriority",
]
