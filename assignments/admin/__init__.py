"""The admin: read-only pages, except for floor data that the host does not have."""

from assignments.admin import first_page
from assignments.admin.allocation import AllocationAdmin
from assignments.admin.assignment import AssignmentAdmin
from assignments.admin.closure import ClosureAdmin
from assignments.admin.event import EventAdmin
from assignments.admin.floor import (
    AdjacentTablesAdmin,
    CalendarEntryAdmin,
    ListedJoinAdmin,
    PacingLimitAdmin,
    ServiceHoursAdmin,
    TableDetailsAdmin,
    VenueSettingsAdmin,
    ZonePriorityAdmin,
)
from assignments.admin.health import HealthAdmin
from assignments.admin.log_admins import AttemptAdmin, BreakerAdmin, OutboxMessageAdmin, StateTransitionAdmin
from assignments.admin.review import ReviewItemAdmin
from assignments.admin.service_day import ServiceDayAdmin

first_page.install()

__all__ = [
    "AdjacentTablesAdmin",
    "AllocationAdmin",
    "AssignmentAdmin",
    "AttemptAdmin",
    "BreakerAdmin",
    "CalendarEntryAdmin",
    "ClosureAdmin",
    "EventAdmin",
    "HealthAdmin",
    "ListedJoinAdmin",
    "OutboxMessageAdmin",
    "PacingLimitAdmin",
    "ReviewItemAdmin",
    "ServiceDayAdmin",
    "ServiceHoursAdmin",
    "StateTransitionAdmin",
    "TableDetailsAdmin",
    "VenueSettingsAdmin",
    "ZonePriorityAdmin",
]
