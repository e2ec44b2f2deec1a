"""Read-only admin pages."""

import uuid
from datetime import UTC
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from assignments.admin import bounded_changelist
from assignments.admin.nul import RefusesNul
from assignments.admin.paginator import UncountedPaginator
from assignments.admin.restaurants import limited

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet
    from django.template.response import TemplateResponse


class ReadOnlyAdmin(RefusesNul):
    """A model's list and page, read-only whatever the user's permissions.

    Tables may be large, so nothing is counted in full. ``indexed``: columns and filter parameters that have an index;
    any other filter covers the latest rows only. ``ordering`` is by one of them, or by the key. ``search_fields``:
    columns with ``=`` match exactly (``=booking_ref``), others by words. ``correlation_id`` is searched if the term is
    one. ``restaurant_column``: by which rows belong to restaurants, of which users may see some only; empty for rows about
    the whole installation.
    """

    indexed: ClassVar[frozenset[str]] = frozenset()
    restaurant_column: ClassVar[str] = "restaurant_ref"

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    paginator = UncountedPaginator

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["assignments/pages.css"]}

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Model]":
        found = super().get_queryset(request)
        return limited(request, found, self.restaurant_column) if self.restaurant_column else found

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Show the page of one row, with times in UTC."""
        context["subtitle"] = _("%(row)s (times are UTC)") % {"row": context["original"]}
        response = super().render_change_form(request, context, *args, **kwargs)
        with timezone.override(UTC):
            return cast("TemplateResponse", response).render()

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Model]", search_term: str
    ) -> "tuple[QuerySet[Model], bool]":
        """Return rows with a column equal to the term, without duplicates."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found, others = Q(pk__in=()), Q(pk__in=())
        for name in self.get_search_fields(request):
            column = str(name).lstrip("=")
            if column == "correlation_id":
                known = _uuid(term)
                found |= Q(correlation_id=known) if known else Q(pk__in=())
            elif column in self.indexed:
                found |= Q(**{column: term})
            else:
                others |= Q(**{column if column != name else f"{column}__icontains": term})
        first = bounded_changelist.latest(self.model) if others else None
        return queryset.filter(found | (others if first is None else others & Q(pk__gt=first))), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return bounded_changelist.BoundedList


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
