"""Admin pages that show and never change."""

import uuid
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest

from assignments.admin.paginator import UncountedPaginator

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    _ModelAdmin = admin.ModelAdmin[Model]
    _TabularInline = admin.TabularInline[Model, Model]
else:
    # Django's admin classes cannot be subscripted at run time.
    _ModelAdmin = admin.ModelAdmin
    _TabularInline = admin.TabularInline


class ReadOnlyMixin:
    """No adding, changing or deleting, whatever permissions somebody has."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnlyMixin, _ModelAdmin):
    """A list and a page of a model, read-only. Tables may be large: nothing is counted in full, and what is searched for is
    looked up by index, as it is written: ``search_fields`` name columns, ``correlation_id`` is searched where it is one.
    """

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    paginator = UncountedPaginator

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Model]", search_term: str
    ) -> "tuple[QuerySet[Model], bool]":
        """Rows of which a column is the term; never duplicates."""
        term = search_term.strip()
        if not term:
            return queryset, False
        wanted = Q()
        for name in self.get_search_fields(request):
            column = str(name).lstrip("=^@")
            if column != "correlation_id":
                wanted |= Q(**{column: term})
            elif (known := _uuid(term)) is not None:
                wanted |= Q(correlation_id=known)
        return queryset.filter(wanted), False


class ReadOnlyInline(ReadOnlyMixin, _TabularInline):
    extra = 0
    can_delete = False
    show_change_link = False


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
