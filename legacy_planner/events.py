"""The legacy planner's events, source ``auto_assign``."""

from django.utils.translation import gettext_noop as _

from assignments.telemetry.event_catalogue import declare

SOURCE = "auto_assign"

info, warning, error = declare(SOURCE)
info("auto_assign.started", "trigger bookings", _("The legacy planner starts with a number of bookings."))
info(
    "auto_assign.attempt",
    "trigger attempt reason detail delay_seconds decision_ms",
    _("No table was found; the booking is retried after the delay."),
)
error(
    "auto_assign.attempt_error",
    "trigger attempt error_type",
    _("An unexpected error occurred for a booking."),
    _("See the log for the location."),
)
info("auto_assign.succeeded", "trigger attempt table_refs decision_ms party", _("The booking has its tables."))
warning(
    "auto_assign.failed",
    "trigger attempt reason detail decision_ms",
    _("The booking could not be planned: staff have to decide, or the request is invalid."),
    _("Work the review queue."),
)
warning(
    "auto_assign.cutoff_skipped",
    "trigger reason",
    _("The booking starts too soon for the legacy planner; staff have to decide."),
    _("Work the review queue."),
)
info("auto_assign.summary", "trigger bookings detail total_ms", _("The outcomes of the bookings."))
