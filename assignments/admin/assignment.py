"""One booking's assignment in the admin: state, history, attempts, and the decision in words."""

from django.contrib import admin
from django.db.models import Model
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from assignments import explanation
from assignments.admin.readonly import ReadOnlyAdmin, ReadOnlyInline
from assignments.host import configured
from assignments.models import Assignment, Attempt, StateTransition


class TransitionInline(ReadOnlyInline):
    model = StateTransition
    readonly_fields = fields = ("version", "name", "source", "target", "actor", "reason", "detail", "at")


class AttemptInline(ReadOnlyInline):
    model = Attempt
    readonly_fields = fields = (
        "number",
        "planner",
        "trigger",
        "outcome",
        "reason",
        "strategy",
        "table_refs",
        "decision_ms",
        "at",
    )


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ["booking_ref", "starts_at", "party", "state", "reason", "planner", "attempts", "due_at"]
    list_filter = ["state", "planner", "service_date"]
    search_fields = ["=booking_ref", "=restaurant_ref"]
    date_hierarchy = "service_date"
    inlines = [TransitionInline, AttemptInline]
    readonly_fields = fields = (
        "booking",
        "why",
        "state",
        "reason",
        "planner",
        "attempts",
        "due_at",
        "restaurant_ref",
        "service_date",
        "starts_at",
        "party",
        "pinned_table_refs",
        "version",
        "requested_at",
        "updated_at",
    )

    @admin.display(description=_("booking"))
    def booking(self, assignment: Model) -> str:
        """The host's name for the booking, linked to its page there."""
        assert isinstance(assignment, Assignment)
        host = configured()
        label, url = host.label(assignment.booking_ref), host.admin_url(assignment.booking_ref)
        return format_html('<a href="{}">{}</a>', url, label) if url else label

    @admin.display(description=_("in words"))
    def why(self, assignment: Model) -> str:
        assert isinstance(assignment, Assignment)
        return explanation.explain(assignment.booking_ref).text
