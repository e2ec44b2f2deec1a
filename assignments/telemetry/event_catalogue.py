"""The catalogue of events: the meaning of each, and what to do about it. English, marked for translation."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from django.utils.translation import gettext_noop as _

STATE_MACHINE = "assignment.state_machine"
COORDINATOR = "assignment.coordinator"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextField:
    """A field that a context may have: its meaning and unit. Never personal data."""

    meaning: str
    unit: str = ""


ALLOWED_CONTEXT: Mapping[str, ContextField] = {
    "actor": ContextField(meaning=_("Actor: a planner, host, or staff:<user id>; never a name.")),
    "attempt": ContextField(meaning=_("Number of the attempt, from 1.")),
    "bookings": ContextField(meaning=_("Number of bookings.")),
    "decision_ms": ContextField(meaning=_("Planning time, without the database."), unit=_("milliseconds")),
    "delay_seconds": ContextField(meaning=_("Time until the next attempt."), unit=_("seconds")),
    "detail": ContextField(meaning=_("Details of the reason or event: tables, numbers, stages.")),
    "error_type": ContextField(meaning=_("Type of the error; never its message.")),
    "failures": ContextField(meaning=_("Consecutive errors.")),
    "from_table_refs": ContextField(meaning=_("Tables before, by their keys in the booking project.")),
    "from_state": ContextField(meaning=_("Previous state or stage.")),
    "mode": ContextField(meaning=_("Active planners, in the rollout's terms.")),
    "outcome": ContextField(meaning=_("confirmed, retry, manual_review, noop or failed.")),
    "party": ContextField(meaning=_("Party size."), unit=_("covers")),
    "planner": ContextField(meaning=_("Key of the planner.")),
    "reason": ContextField(meaning=_("A stable reason code, or a person's reason.")),
    "score": ContextField(meaning=_("Score of the chosen plan; comparable within one decision only.")),
    "service_date": ContextField(meaning=_("Service day, in the restaurant's time zone.")),
    "slot": ContextField(meaning=_("Number of the permit, from 1.")),
    "stage": ContextField(meaning=_("How far the guests are: expected, late, arrived, seated, left or no_show.")),
    "strategy": ContextField(meaning=_("Strategy that decided in favour of the chosen plan.")),
    "table_refs": ContextField(meaning=_("Tables, by their keys in the booking project.")),
    "to_state": ContextField(meaning=_("New state or stage.")),
    "total_ms": ContextField(meaning=_("Total wall time."), unit=_("milliseconds")),
    "transition": ContextField(meaning=_("Name of the transition.")),
    "trigger": ContextField(meaning=_("Trigger: cron, inline or staff.")),
    "version": ContextField(meaning=_("The assignment's version after the transition.")),
    "wait_seconds": ContextField(meaning=_("Time since the request."), unit=_("seconds")),
}
"""Fields allowed in a context. No names, e-mails, phone numbers or notes. Unknown keys are dropped and counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventType:
    """A catalogue entry: an event's meaning, and the action to take. English, marked for translation."""

    source: str
    type: str
    severity: str
    fields: tuple[str, ...]
    meaning: str
    action: str = ""


CATALOGUE: dict[tuple[str, str], EventType] = {}


class Declare(Protocol):
    """Adds an event type to the catalogue. Raises ValueError for fields not allowed in contexts."""

    def __call__(self, event: str, fields: str, meaning: str, action: str = "", /) -> None: ...


def declare(source: str) -> tuple[Declare, Declare, Declare]:
    """Return functions that declare this source's events of severity info, warning and error.

    They take the fields as one text, separated by spaces.
    """
    return partial(_declare, source, "info"), partial(_declare, source, "warning"), partial(_declare, source, "error")


def _declare(source: str, severity: str, event: str, fields: str, meaning: str, action: str = "", /) -> None:
    names = tuple(fields.split())
    unknown = set(names) - ALLOWED_CONTEXT.keys()
    if unknown:
        raise ValueError(f"Event {source} {event} names fields that are not allowed in contexts: {sorted(unknown)}")
    CATALOGUE[source, event] = EventType(
        source=source, type=event, severity=severity, fields=names, meaning=meaning, action=action
    )


info, warning, _error = declare(STATE_MACHINE)
info(
    "state_machine.transition",
    "transition from_state to_state version actor planner reason detail",
    _("An assignment changed state. The transaction has committed."),
)
info(
    "seating.moved",
    "from_table_refs table_refs reason",
    _("A confirmed booking has other tables, or its tables for another time."),
)
info(
    "seating.reseated",
    "from_table_refs table_refs reason",
    _("A confirmed booking has other tables for the same stay, so that somebody else could be seated."),
)
info(
    "seating.extended",
    "table_refs actor reason",
    _("Guests stay longer than they were promised, and nobody else needs their tables meanwhile."),
)
info("seating.shortened", "table_refs actor reason", _("Guests give their tables back earlier."))
info(
    "seating.stage",
    "stage actor",
    _("Guests are late, have arrived, have been seated, have left, or did not come."),
)
info(
    "seating.seated_from_waitlist",
    "table_refs",
    _("A booking in review was seated, because a table became free for it."),
)
warning(
    "seating.overlapping",
    "table_refs detail",
    _("Guests stay into the time of the next booking at their table, and there is no other table for it."),
    _("Staff have to move one of the two. The detail names the other booking."),
)
info(
    "seating.woken",
    "bookings",
    _("A table may have become free: this number of waiting bookings is tried again at once."),
)
info(
    "closure.closed",
    "table_refs detail actor",
    _(
        "Tables, a zone or the restaurant were closed. No tables named: the whole restaurant. The detail is the closure."
    ),
)
info("closure.edited", "table_refs detail actor", _("A closure was changed. The detail is the closure."))
info("closure.lifted", "table_refs detail actor", _("A closure was lifted. The detail is the closure."))
info("evening.frozen", "service_date actor", _("From now on, no booking of this service day is moved to seat another."))
info("evening.unfrozen", "service_date actor", _("Confirmed bookings of the service day may be moved again."))
info, warning, error = declare(COORDINATOR)
info(
    "coordinator.start",
    "trigger attempt",
    _("V3 starts to decide a booking. Exactly one of confirmed, retry, manual_review, noop, error follows."),
)
info(
    "coordinator.lock_acquired",
    "service_date bookings",
    _("A restaurant-day is locked for planning, with this number of due bookings."),
)
info(
    "coordinator.lock_contention",
    "service_date detail",
    _("Another worker holds this restaurant-day, or all permits are taken. The next run tries again."),
    _("Only if frequent: run fewer workers, or increase MAX_PARALLEL."),
)
warning(
    "coordinator.circuit_open",
    "failures delay_seconds",
    _("The restaurant's breaker is open after repeated errors. No attempts are made until it half-opens."),
    _("See the coordinator.error events of the restaurant."),
)
info(
    "coordinator.rate_permit_acquired",
    "service_date slot",
    _("One of the restaurant's MAX_PARALLEL permits was taken."),
)
info(
    "coordinator.confirmed",
    "trigger attempt strategy table_refs decision_ms score party wait_seconds",
    _("The booking has its tables."),
)
info(
    "coordinator.retry",
    "trigger attempt reason detail delay_seconds decision_ms",
    _("No table was found. The booking is retried after the delay."),
)
warning(
    "coordinator.manual_review",
    "trigger attempt reason detail decision_ms",
    _("Staff have to decide."),
    _("Work the review queue."),
)
info(
    "coordinator.noop",
    "trigger reason",
    _("There was nothing to do: pipeline_disabled, lock_contention, booking_not_found or terminal_state."),
)
error(
    "coordinator.error",
    "trigger attempt reason detail error_type",
    _("The booking failed: its request is invalid, or an unexpected error occurred."),
    _("See the reason. Unexpected errors are in the log with the same correlation id."),
)
