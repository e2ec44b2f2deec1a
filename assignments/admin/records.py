"""What was recorded, in the admin: transitions, attempts, events, outbox, breakers."""

from django.contrib import admin
from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from assignments.admin.readonly import ReadOnlyAdmin
from assignments.models import Attempt, Breaker, Event, OutboxMessage, StateTransition


@admin.register(StateTransition)
class StateTransitionAdmin(ReadOnlyAdmin):
    list_display = ["booking_ref", "version", "name", "source", "target", "actor", "reason", "at"]
    list_filter = ["name", "actor", "at"]
    search_fields = ["=booking_ref"]
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
    list_filter = ["planner", "outcome", "trigger", "reason", "at"]
    search_fields = ["=booking_ref", "=correlation_id"]
    ordering = ["-id"]


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["at", "source", "type", "severity", "booking_ref", "why"]
    list_filter = ["source", "severity", "type", "at"]
    search_fields = ["=booking_ref", "=correlation_id"]

    @admin.display(description=_("why"))
    def why(self, event: Model) -> str:
        """What fits into a row; the whole context is on the event's own page."""
        assert isinstance(event, Event)
        return str(event.context.get("reason") or event.context.get("to_state") or "")


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = ["id", "topic", "booking_ref", "created_at", "delivered_at", "attempts", "last_error"]
    list_filter = ["topic", ("delivered_at", admin.EmptyFieldListFilter)]
    search_fields = ["=booking_ref"]
    ordering = ["-id"]


@admin.register(Breaker)
class BreakerAdmin(ReadOnlyAdmin):
    list_display = ["name", "failures", "successes", "opened_until", "updated_at"]
