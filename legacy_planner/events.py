"""The legacy planner's events, source ``auto_assign``."""

from django.utils.translation import gettext_noop as _

from assignments.telemetry.event_catalogue import declare

SOURCE = "auto_assign"

info, warning, error = declare(SOURCE)
info("auto_assign.started", "trigger bookings", _("The legacy planner begins with a number of bookings."))
info(
    "auto_assign.attempt",
    "trigger attempt reason detail delay_seconds decision_ms",
    _("It found no table this time; it tries again when the delay has passed."),
)
error(
    "auto_assign.attempt_error",
    "trigger attempt error_type",
    _("Something unexpected was raised while it tried a booking."),
    _("The log names the place."),
)
info("auto_assign.succeeded", "trigger attempt table_refs decision_ms party", _("The booking has its tables."))
warning(
    "auto_assign.failed",
    "trigger attempt reason detail decision_ms",
    _("It gave the booking up: staff have to decide, or the request is invalid."),
    _("Work the review queue."),
)
warning(
    "auto_assign.cutoff_skipped",
    "trigger reason",
    _("The booking starts too soon for the legacy planner; staff have to decide."),
    _("Work the review queue."),
)
info("auto_assign.summary", "trigger bookings detail total_ms", _("What became of the bookings that it started with."))
