"""Read-only lists in the admin: transitions, attempts, outbox messages, circuit breakers."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from assignments.admin.booking_column import booking
from assignments.admin.datetime_columns import recorded
from assignments.admin.filters import known, since
from assignments.admin.natural_order import natural_column
from assignments.admin.readonly import ReadOnlyAdmin
from assignments.admin.restaurants import restaurants_of
from assignments.concurrency.circuit_breaker import name_for
from assignments.lifecycle import set_aside
from assignments.lifecycle.transitions import OUTBOX_TOPIC
from assignments.models import Assignment, Attempt, Breaker, OutboxMessage, State, StateTransition
from assignments.staff import labels


@admin.register(StateTransition)
class StateTransitionAdmin(ReadOnlyAdmin):
    restaurant_column = "assignment__restaurant_ref"
    list_display = [
        booking,
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
    restaurant_column = "assignment__restaurant_ref"
    list_display = [
        booking,
        "number",
        "planner",
        "outcome",
        "reason",
        "strategy",
        natural_column(Attempt, "table_refs"),
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
    restaurant_column = ""  # See get_queryset.
    list_display = [
        "id",
        "topic",
        booking,
        "number",
        recorded("created_at", _("created (UTC)")),
        recorded("delivered_at", _("delivered (UTC)")),
        recorded("set_aside_at", _("set aside (UTC)")),
        "attempts",
        "last_error",
    ]
    list_filter = [
        known("topic", _("topic"), lambda: [(f"{OUTBOX_TOPIC}{state}", state.label) for state in State]),
        ("delivered_at", admin.EmptyFieldListFilter),
        ("set_aside_at", admin.EmptyFieldListFilter),
    ]
    actions = ["retry"]
    search_fields = ["=booking_ref"]
    ordering = ["-id"]
    indexed = frozenset({"booking_ref"})

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("assignments.change_outboxmessage"))

    @admin.action(description=_("Deliver the selected messages again that were set aside"), permissions=["retry"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        due = set_aside.retry(list(queryset.values_list("pk", flat=True)))
        text = ngettext("%(count)s message is due again.", "%(count)s messages are due again.", due)
        self.message_user(request, text % {"count": due}, messages.SUCCESS if due else messages.WARNING)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Messages are about a booking, or name their restaurant (closures)."""
        found, allowed = super().get_queryset(request), restaurants_of(request)
        if allowed is None:
            return found
        theirs = Assignment.objects.filter(restaurant_ref__in=sorted(allowed)).values("booking_ref")
        return found.filter(Q(booking_ref__in=theirs) | Q(booking_ref="", payload__restaurant_ref__in=sorted(allowed)))


@admin.register(Breaker)
class BreakerAdmin(ReadOnlyAdmin):
    restaurant_column = ""  # See get_queryset.
    list_display = [
        "name",
        "failures",
        "successes",
        recorded("opened_until", _("open until (UTC)")),
        recorded("updated_at", _("changed (UTC)")),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """A breaker is named after its restaurant."""
        found, allowed = super().get_queryset(request), restaurants_of(request)
        return found if allowed is None else found.filter(name__in=[name_for(ref) for ref in sorted(allowed)])
