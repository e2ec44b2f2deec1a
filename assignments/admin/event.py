"""Events in the admin. Filters use indexes and nothing is counted in full, because there may be millions."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from assignments.admin import links
from assignments.admin.datetime_columns import recorded
from assignments.admin.filters import known, since
from assignments.admin.host_lookup import label_of, restaurant_names
from assignments.admin.page import RowPageAdmin
from assignments.models import Assignment, Attempt, Event, StateTransition
from assignments.staff import labels
from assignments.telemetry.event_catalogue import ALLOWED_CONTEXT, CATALOGUE


def _sources() -> list[tuple[str, str]]:
    return [(each, each) for each in sorted({source for source, _type in CATALOGUE})]


class TypeFilter(admin.SimpleListFilter):
    """Filter by type, limited to the selected source if there is one. It filters by source too, for the index."""

    title = gettext_lazy("type")
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        source = request.GET.get("source")
        return [(each.type, each.type) for each in CATALOGUE.values() if source in {None, each.source}]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
        value = self.value()
        if value is None:
            return queryset
        sources = [each.source for each in CATALOGUE.values() if each.type == value]
        return queryset.filter(type=value, source__in=sources) if sources else queryset.filter(type=value)


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldView:
    """A value of an event's context, with its meaning."""

    name: str
    value: str
    meaning: str
    unit: str


@admin.register(Event)
class EventAdmin(RowPageAdmin):
    row_template = "admin/assignments/event/page.html"
    missing = gettext_lazy("Event %(id)s does not exist; it may have been pruned.")
    list_display = [
        recorded("at", gettext_lazy("when (UTC)"), seconds=True),
        "event_type",
        "level",
        "booking",
        "why",
        "invocation",
    ]
    list_display_links = ["event_type"]
    list_filter = [
        since("at", gettext_lazy("when")),
        "severity",
        known("source", gettext_lazy("source"), _sources),
        TypeFilter,
    ]
    search_fields = ["=booking_ref", "=correlation_id"]
    ordering = ["-at", "-id"]
    indexed = frozenset({"at", "booking_ref", "correlation_id", "severity", "since", "source", "type"})

    @admin.display(description=gettext_lazy("event"))
    def event_type(self, event: Event) -> str:
        return event.type

    @admin.display(description=gettext_lazy("severity"), ordering="severity")
    def level(self, event: Event) -> str:
        return event.get_severity_display()

    @admin.display(description=gettext_lazy("booking"))
    def booking(self, event: Event) -> str:
        """Link to all other events of the booking."""
        ref = event.booking_ref
        return _filtered("booking_ref", ref, label_of(ref) if ref else "")

    @admin.display(description=gettext_lazy("why"))
    def why(self, event: Event) -> str:
        """Return the reason, short enough for a row. The event's page shows the whole context."""
        if reason := event.context.get("reason"):
            return labels.reason(str(reason))
        return labels.state(str(event.context.get("to_state") or ""))

    @admin.display(description=gettext_lazy("invocation"))
    def invocation(self, event: Event) -> str:
        """Link to all other events of the same invocation."""
        known = str(event.correlation_id or "")
        return _filtered("correlation_id", known, known[:8])

    def row_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return page_of(request, row)


def page_of(request: HttpRequest, event: Event) -> dict[str, Any]:
    """Return the page's context. One query, for the link to the booking; the host names its restaurant."""
    known = CATALOGUE.get((event.source, event.type))
    assignment = Assignment.objects.of(event.booking_ref).only("pk").first() if event.booking_ref else None
    recorded = [name for name in (known.fields if known else ()) if name in event.context]
    names = [*recorded, *sorted(event.context.keys() - set(recorded))]
    reason = event.context.get("reason")
    return {
        "title": event.type,
        "event": event,
        "label": label_of(event.booking_ref) if event.booking_ref else "",
        "severity": event.get_severity_display(),
        "status_class": {"error": "page-fail", "warning": "page-warning"}.get(event.severity, ""),
        "meaning": _(known.meaning) if known else "",
        "action": _(known.action) if known and known.action else "",
        "is_known": known is not None,
        "reason": labels.reason(str(reason)) if reason else "",
        "restaurant": restaurant_names([event.restaurant_ref])[event.restaurant_ref] if event.restaurant_ref else "",
        "fields": [_field(name, event.context[name]) for name in names],
        "booking_url": links.permitted(request, Assignment, assignment.pk) if assignment is not None else "",
        "related": _related(request, event),
    }


def _related(request: HttpRequest, event: Event) -> list[links.Link]:
    """Return links to other records of the same invocation that the user may see."""
    if event.correlation_id is None:
        return []
    known = str(event.correlation_id)
    places = (
        (links.permitted(request, Event, correlation_id=known), _("Events of the same invocation")),
        (links.permitted(request, Attempt, q=known), _("Attempts of the same invocation")),
        (links.permitted(request, StateTransition, q=known), _("History of the same invocation")),
    )
    return [links.Link(url=url, text=text) for url, text in places if url]


def _field(name: str, value: object) -> FieldView:
    known = ALLOWED_CONTEXT.get(name)
    text = ", ".join(str(each) for each in value) if isinstance(value, list) else str(value)
    return FieldView(
        name=name,
        value=text,
        meaning=_(known.meaning) if known else pgettext("an event's value", "No longer in the catalogue."),
        unit=_(known.unit) if known and known.unit else "",
    )


def _filtered(name: str, value: str, text: str) -> str:
    if not value:
        return ""
    return format_html('<a href="?{}">{}</a>', urlencode({name: value}), text)
