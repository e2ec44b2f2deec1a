"""The legacy planner's events, source ``auto_assign``."""

from django.utils.translation import gettext_noop as _

from assignments.telemetry.events import EventType, register

SOURCE = "auto_assign"

register(
    EventType(
        source=SOURCE,
        type="auto_assign.started",
        severity="info",
        fields=("trigger", "bookings"),
        meaning=_("The legacy planner starts with a number of bookings."),
    ),
    EventType(
        source=SOURCE,
        type="auto_assign.attempt",
        severity="info",
        fields=("trigger", "attempt", "reason", "detail", "delay_seconds", "decision_ms"),
        meaning=_("No table was found; the booking is retried after the delay."),
    ),
    EventType(
        source=SOURCE,
        type="auto_assign.attempt_error",
        severity="error",
        fields=("trigger", "attempt", "error_type"),
        meaning=_("An unexpected error occurred for a booking."),
        action=_("See the log for the location."),
    ),
    EventType(
        source=SOURCE,
        type="auto_assign.succeeded",
        severity="info",
        fields=("trigger", "attempt", "table_refs", "decision_ms", "party"),
        meaning=_("The booking has its tables."),
    ),
    EventType(
        source=SOURCE,
        type="auto_assign.failed",
        severity="warning",
        fields=("trigger", "attempt", "reason", "detail", "decision_ms"),
        meaning=_("The booking could not be planned: staff have to decide, or the request is invalid."),
        action=_("Work the review queue."),
    ),
    EventType(
        source=SOURCE,
        type="auto_assign.cutoff_skipped",
        severity="warning",
        fields=("trigger", "reason"),
        meaning=_("The booking starts too soon for the legacy planner; staff have to decide."),
        action=_("Work the review queue."),
    ),
    EventType(
        source=SOURCE,
        type="auto_assign.summary",
        severity="info",
        fields=("trigger", "bookings", "detail", "total_ms"),
        meaning=_("The outcomes of the bookings."),
    ),
)
