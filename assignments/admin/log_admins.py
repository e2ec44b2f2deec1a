"""Read-only lists in the admin: transitions, attempts, outbox messages, circuit breakers."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from assignments.admin.datetime_columns import recorded
from assignments.admin.filters import known, since
from assignments.admin.readonly import ReadOnlyAdmin
from assignments.lifecycle.transitions import OUTBOX_TOPIC
from assignments.models import Attempt, Breaker, OutboxMessage, State, StateTransition
from assignments.staff import labels


@admin.register(StateTransition)
class StateTransitionAdmin(ReadOnlyAdmin):
    list_display = [
        "booking_ref",
        "version",
        "name",
        "source",
        "target",
        "actor",
        "reason",
        recorded("at", _("when (UTC)"), seconds=True),
    ]
    list_filter = [known("name", _("transition"), labels.transitions), since("at", _("when"))]
    search_fields = ["=booking_ref", "=correlation_id"]
    ordering = ["-at", "-id"]
    indexed = frozenset({"at", "booking_ref", "since"})


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
        recorded("at", _("when (UTC)"), seconds=True),
    ]
    list_filter = [
        known("planner", _("planner"), labels.planners),
        known("outcome", _("outcome"), labels.outcomes),
        known("trigger", _("trigger"), labels.triggers),
        since("at", _("when")),
    ]
    search_fields = ["=booking_ref", "=correlation_id"]
    ordering = ["-at", "-id"]
    indexed = frozenset({"at", "booking_ref", "since"})


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "topic",
        "booking_ref",
        recorded("created_at", _("created (UTC)")),
        recorded("delivered_at", _("delivered (UTC)")),
        "attempts",
        "last_error",
    ]
    list_filter = [
        known("topic", _("topic"), lambda: [(f"{OUTBOX_TOPIC}{state}", state.label) for state in State]),
        ("delivered_at", admin.EmptyFieldListFilter),
    ]
    search_fields = ["=booking_ref"]
    ordering = ["-id"]
    indexed = frozenset({"booking_ref"})


@admin.register(Breaker)
class BreakerAdmin(ReadOnlyAdmin):
    list_display = [
        "name",
        "failures",
        "successes",
        recorded("opened_until", _("open until (UTC)")),
        recorded("updated_at", _("changed (UTC)")),
    ]
