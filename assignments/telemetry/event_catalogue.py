"""The catalogue of events: what each one means, and what whoever sees it should do. English, marked for translation."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from django.utils.translation import gettext_noop as _

STATE_MACHINE = "assignment.state_machine"
COORDINATOR = "assignment.coordinator"


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextField:
    """A value that a context may hold: what it means, and its unit where it has one. Never personal data."""

    meaning: str
    unit: str = ""


ALLOWED_CONTEXT: Mapping[str, ContextField] = {
    "actor": ContextField(meaning=_("On whose behalf: a planner, host, or staff:<user id>; never a name.")),
    "attempt": ContextField(meaning=_("Which try at the booking it was, from 1.")),
    "bookings": ContextField(meaning=_("How many bookings it is about.")),
    "decision_ms": ContextField(meaning=_("Planning alone, without the database."), unit=_("milliseconds")),
    "delay_seconds": ContextField(meaning=_("Until the next try."), unit=_("seconds")),
    "detail": ContextField(meaning=_("What the reason or the event names: tables, numbers, stages.")),
    "error_type": ContextField(meaning=_("The type of what was raised; never its message.")),
    "failures": ContextField(meaning=_("Errors in a row.")),
    "from_state": ContextField(meaning=_("The state or stage before.")),
    "mode": ContextField(meaning=_("Which planners are on, as the rollout names it.")),
    "outcome": ContextField(meaning=_("confirmed, retry, manual_review, noop or failed.")),
    "party": ContextField(meaning=_("The size of the party."), unit=_("covers")),
    "planner": ContextField(meaning=_("The key of the planner that it belongs to.")),
    "reason": ContextField(meaning=_("A reason code, for ever the same; or why a person did it.")),
    "score": ContextField(meaning=_("The chosen plan's; comparable within one decision only.")),
    "service_date": ContextField(meaning=_("The restaurant's day, by its own clock.")),
    "slot": ContextField(meaning=_("The number of the permit, from 1.")),
    "strategy": ContextField(meaning=_("What set the chosen plan apart.")),
    "table_refs": ContextField(meaning=_("The tables, by the booking project's keys.")),
    "to_state": ContextField(meaning=_("The state or stage after.")),
    "total_ms": ContextField(meaning=_("All of it, wall time."), unit=_("milliseconds")),
    "transition": ContextField(meaning=_("The transition's name.")),
    "trigger": ContextField(meaning=_("What caused it: cron, inline, staff.")),
    "version": ContextField(meaning=_("The assignment's version after it.")),
    "wait_seconds": ContextField(meaning=_("From the request to this."), unit=_("seconds")),
}
"""What a context may hold. No names, e-mails, phones, notes: an unknown key is dropped and counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EventType:
    """A catalogue entry: what an event means, and what whoever sees it should do. English, marked for translation."""

    source: str
    type: str
    severity: str
    fields: tuple[str, ...]
    meaning: str
    action: str = ""


CATALOGUE: dict[tuple[str, str], EventType] = {}


class Declare(Protocol):
    """Adds an event type to the catalogue. Raises ValueError for fields that no context may hold."""

    def __call__(self, event: str, fields: str, meaning: str, action: str = "", /) -> None: ...


def declare(source: str) -> tuple[Declare, Declare, Declare]:
    """What declares this source's events of severity info, warning and error. Fields are given with spaces between."""
    return partial(_declare, source, "info"), partial(_declare, source, "warning"), partial(_declare, source, "error")


def _declare(source: str, severity: str, event: str, fields: str, meaning: str, action: str = "", /) -> None:
    names = tuple(fields.split())
    unknown = set(names) - ALLOWED_CONTEXT.keys()
    if unknown:
        raise ValueError(f"Event {source} {event} names fields that no context may hold: {sorted(unknown)}")
    CATALOGUE[source, event] = EventType(
        source=source, type=event, severity=severity, fields=names, meaning=meaning, action=action
    )


info, *_more = declare(STATE_MACHINE)
info(
    "state_machine.transition",
    "transition from_state to_state version actor planner reason detail",
    _("An assignment went from one state to another, and the transaction that did it has committed."),
)
info, warning, error = declare(COORDINATOR)
info(
    "coordinator.start",
    "trigger attempt",
    _("V3 begins to decide a booking. Exactly one of confirmed, retry, manual_review, noop, error follows."),
)
info(
    "coordinator.lock_acquired",
    "service_date bookings",
    _("A restaurant-day is locked for planning, with this many due bookings."),
)
info(
    "coordinator.lock_contention",
    "service_date detail",
    _("Somebody else plans this restaurant-day, or all its permits are taken; the next run sees to it."),
    _("Only when frequent: fewer workers at once, or a larger MAX_PARALLEL."),
)
warning(
    "coordinator.circuit_open",
    "failures delay_seconds",
    _("The restaurant's breaker is open after repeated errors; nothing is tried until it half-opens."),
    _("Look at the coordinator.error events of the restaurant."),
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
    _("No table this time; it is tried again when the delay has passed."),
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
    _("Nothing was to be done: pipeline_disabled, lock_contention, booking_not_found or terminal_state."),
)
error(
    "coordinator.error",
    "trigger attempt reason detail error_type",
    _("The booking failed: its request is invalid, or something unexpected was raised."),
    _("The reason says which; unexpected errors are in the log with the same correlation id."),
)
