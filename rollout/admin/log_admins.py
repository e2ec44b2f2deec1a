"""Read-only admin of the rollout's records: changes, guard runs, tallies, forced planners, waivers."""

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext_lazy as _

from assignments.admin.booking_column import booking
from assignments.admin.datetime_columns import recorded
from assignments.admin.filters import known, since
from assignments.admin.readonly import ReadOnlyAdmin
from assignments.admin.restaurant_column import NamedList, restaurant
from assignments.staff.labels import render
from rollout import conf
from rollout.models import (
    Audit,
    AuditTally,
    Change,
    ComparisonTally,
    DayComparison,
    DayTally,
    ForcedPlanner,
    GuardRun,
    Waiver,
)
from rollout.policy import guardrails


def as_block(value: Any) -> str:
    """JSON, a line for each entry."""
    return format_html('<pre class="page-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))


def stages() -> list[tuple[str, str]]:
    """Filters by stage of this environment's ladder."""
    return [(stage.key, stage.key) for stage in conf.current_ladder().stages]


def environments() -> list[tuple[str, str]]:
    """Filters by existing values."""
    return [(each, each) for each in conf.ENVIRONMENTS]


class KindFilter(admin.SimpleListFilter):
    """Filters by kind, for changes of any version."""

    title = _("kind")
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return list(Change.Kind.choices)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        kind = self.value()
        return queryset if kind is None else queryset.filter(pk__in=Change.objects.of_kind(kind).values("pk"))


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    restaurant_column = ""
    list_display = [
        recorded("at", _("when (UTC)")),
        "kind",
        "subject",
        "before",
        "after",
        "actor",
        "reason",
        "overridden",
        "environment",
    ]
    list_filter = [
        KindFilter,
        "overridden",
        known("environment", _("environment"), environments),
        since("at", _("when")),
    ]
    search_fields = ["=subject", "=actor", "reason"]
    ordering = ["-id"]
    indexed = frozenset({"kind"})
    readonly_fields = fields = (
        "at",
        "environment",
        "kind",
        "subject",
        "before",
        "after",
        "actor",
        "reason",
        "overridden",
        "what_was_known",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Skip the large evidence in the list; a change's own page loads it."""
        return super().get_queryset(request).defer("evidence")

    @admin.display(description=_("known at the time"))
    def what_was_known(self, change: Change) -> str:
        return as_block(change.evidence)


@admin.register(GuardRun)
class GuardRunAdmin(ReadOnlyAdmin):
    restaurant_column = ""
    list_display = [recorded("at", _("when (UTC)")), "stage", "found", "rolled_back_to", "environment"]
    list_filter = [
        known("stage", _("stage"), stages),
        known("rolled_back_to", _("rolled back to"), stages),
        known("environment", _("environment"), environments),
        since("at", _("when")),
    ]
    ordering = ["-at", "-id"]
    indexed = frozenset({"at", "since"})
    readonly_fields = fields = ("at", "environment", "stage", "rolled_back_to", "all_breaches", "all_measured")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return super().get_queryset(request).defer("measured")

    @admin.display(description=_("breaches"))
    def found(self, run: GuardRun) -> str:
        """The guardrails by name; a dash when nothing was wrong."""
        return ", ".join(str(breach["rail"]) for breach in run.breaches) or "-"

    @admin.display(description=_("breaches"))
    def all_breaches(self, run: GuardRun) -> str:
        if not run.breaches:
            return "-"
        words = ((breach["rail"], render(guardrails.said(breach))) for breach in run.breaches)
        return format_html("<ul>{}</ul>", format_html_join("", "<li><code>{}</code>: {}</li>", words))

    @admin.display(description=_("measured"))
    def all_measured(self, run: GuardRun) -> str:
        return as_block(run.measured)


class ByRestaurant(ReadOnlyAdmin):
    """Base of lists whose rows are about a restaurant, which they name."""

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return NamedList


@admin.register(ComparisonTally)
class ComparisonTallyAdmin(ByRestaurant):
    list_display = ["day", restaurant, "origin", "verdict", "comparisons", "candidate_ms_max"]
    list_filter = ["verdict", "origin", "day"]
    search_fields = ["=restaurant_ref"]


@admin.register(DayTally)
class DayTallyAdmin(ByRestaurant):
    list_display = ["service_date", restaurant, "origin", "comparisons", "worse", "unsafe", "errors"]
    list_filter = ["origin", "service_date"]
    search_fields = ["=restaurant_ref"]


@admin.register(AuditTally)
class AuditTallyAdmin(ByRestaurant):
    list_display = [
        "day",
        restaurant,
        "decisions",
        "refusals",
        "unsafe",
        "wrong_refusals",
        "avoidable_by_moves",
        "worse",
        "unjudged",
        "unaudited",
    ]
    list_filter = ["day"]
    search_fields = ["=restaurant_ref"]


@admin.register(DayComparison)
class DayComparisonAdmin(ByRestaurant):
    list_display = [
        "service_date",
        restaurant,
        "bookings",
        "candidate_seated",
        "control_seated",
        "candidate_refused",
        "control_refused",
        "candidate_moved",
        "candidate_unsafe",
        "control_unsafe",
        "error",
        "origin",
        recorded("recorded_at", _("when (UTC)")),
    ]
    list_filter = ["origin", since("recorded_at", _("when"))]
    search_fields = ["=restaurant_ref"]
    ordering = ["-id"]
    readonly_fields = fields = (
        "recorded_at",
        "environment",
        "release",
        "origin",
        "restaurant_ref",
        "service_date",
        "bookings",
        "candidate_seated",
        "candidate_covers",
        "candidate_refused",
        "candidate_moved",
        "candidate_unsafe",
        "control_seated",
        "control_covers",
        "control_refused",
        "control_unsafe",
        "all_flaws",
        "error",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Skip the stored day: it is for replaying, not for reading."""
        return super().get_queryset(request).defer("content")

    @admin.display(description=_("flaws"))
    def all_flaws(self, day: DayComparison) -> str:
        return as_block(day.flaws)


@admin.register(Audit)
class AuditAdmin(ByRestaurant):
    list_display = [
        recorded("decided_at", _("when (UTC)")),
        restaurant,
        booking,
        "is_refusal",
        "all_flaws",
        "wrong_refusal",
        "avoidable_by_moves",
        "verdict",
        "error",
    ]
    list_filter = ["wrong_refusal", "avoidable_by_moves", "verdict", since("decided_at", _("when"))]
    search_fields = ["=restaurant_ref", "=booking_ref"]
    ordering = ["-id"]
    readonly_fields = fields = (
        "decided_at",
        "audited_at",
        "release",
        "restaurant_ref",
        "service_date",
        "booking_ref",
        "is_refusal",
        "all_flaws",
        "wrong_refusal",
        "avoidable_by_moves",
        "avoidable_join",
        "oversized",
        "untold",
        "verdict",
        "error",
        "their_decision",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return super().get_queryset(request).defer("control")

    @admin.display(description=_("flaws"))
    def all_flaws(self, audit: Audit) -> str:
        return ", ".join(audit.flaws) or "-"

    @admin.display(description=_("the legacy planner's decision"))
    def their_decision(self, audit: Audit) -> str:
        return as_block(audit.control)


@admin.register(ForcedPlanner)
class ForcedPlannerAdmin(ByRestaurant):
    list_display = [restaurant, "planner", "actor", "reason", recorded("at", _("when (UTC)"))]
    list_filter = ["planner"]
    search_fields = ["=restaurant_ref"]


@admin.register(Waiver)
class WaiverAdmin(ByRestaurant):
    list_display = [
        "verdict",
        "refusal",
        restaurant,
        "owner",
        "reason",
        recorded("expires_at", _("expires (UTC)")),
        recorded("withdrawn_at", _("withdrawn (UTC)")),
    ]
    list_filter = ["verdict", ("withdrawn_at", admin.EmptyFieldListFilter), "expires_at"]
    search_fields = ["=restaurant_ref", "owner", "reason"]
