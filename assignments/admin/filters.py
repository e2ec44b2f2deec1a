"""Filters of the lists whose choices are known: asking a large table for them would read all of it."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest


def known(column: str, title: Any, choices: Callable[[], Iterable[tuple[str, Any]]]) -> type[admin.SimpleListFilter]:
    """A filter of a text column by values that the code knows, with what each is called."""

    class KnownFilter(admin.SimpleListFilter):
        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
            return list(choices())

        def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
            value = self.value()
            return queryset if value is None else queryset.filter(**{column: value})

    KnownFilter.title, KnownFilter.parameter_name = title, column
    return KnownFilter
