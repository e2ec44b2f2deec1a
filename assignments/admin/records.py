"""What was recorded, in the admin: transitions, attempts, events, outbox, breakers."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from assignments import wording
from assignments.admin.filters import known
from assignments.admin.readonly import ReadOnlyAdmin
from assignments.models import Attempt, Breaker, OutboxMessage, State, StateTransition
from assignments.statemachine import OUTBOX_TOPIC


@admin.register(StateTransition)
class StateTransitionAdmin(ReadOnlyAdmin):
    list_display = ["booking_ref", "version", "name", "source", "target", "actor", "reason", "at"]
    list_filter = [known("name", _("transition"), wording.transitions), "at"]
    search_fields = ["=booking_ref", "=correlation_id"]
    ordering = ["-id"]


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = [
        "booking_ref",
        "number",
        "planner",
        "outcome",
        "reason",
        "strategy",
        "table_refs",
        "decision_ms",
        "at",
    ]
    list_filter = [
        known("planner", _("planner"), wording.planners),
        known("outcome", _("outcome"), wording.outcomes),
        known("trigger", _("trigger"), wording.triggers),
        "at",
    ]
    search_fields = ["=booking_ref", "=correlation_id"]
    ordering = ["-id"]


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ["id", "topic", "booking_ref", "created_at", "delivered_at", "attempts", "last_error"]
    list_filter = [
        known("topic", _("topic"), lambda: [(f"{OUTBOX_TOPIC}{state}", state.label) for state in State]),
        ("delivered_at", admin.EmptyFieldListFilter),
    ]
    search_fields = ["=booking_ref"]
    ordering = ["-id"]


@admin.register(Breaker)
class BreakerAdmin(ReadOnlyAdmin):
    list_display = ["name", "failures", "successes", "opened_until", "updated_at"]
