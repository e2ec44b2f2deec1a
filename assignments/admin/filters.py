"""List filters with known choices, so that a large table need not be read for them."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from assignments.admin.restaurants import may_see
from assignments.concurrency import clock

_SINCE: Mapping[str, tuple[Any, timedelta]] = {
    "hour": (_("the last hour"), timedelta(hours=1)),
    "day": (_("the last 24 hours"), timedelta(days=1)),
    "week": (_("the last 7 days"), timedelta(days=7)),
    "month": (_("the last 30 days"), timedelta(days=30)),
}
_COMING: Mapping[str, tuple[Any, timedelta]] = {
    "next-day": (_("the next 24 hours"), timedelta(days=1)),
    "next-week": (_("the next 7 days"), timedelta(days=7)),
    "next-month": (_("the next 30 days"), timedelta(days=30)),
}


def known(
    column: str,
    title: Any,
    choices: Callable[[], Iterable[tuple[str, Any]]],
    *,
    parameter: str = "",
    empty: str = "",
) -> type[admin.SimpleListFilter]:
    """Return a filter of a text column by known values and their labels.

    ``parameter``: its name in URLs, if not the column. ``empty``: the choice that stands for rows without a value.
    """

    class KnownFilter(admin.SimpleListFilter):
        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
            return [each for each in choices() if column != "restaurant_ref" or may_see(request, each[0])]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
            value = self.value()
            return queryset if value is None else queryset.filter(**{column: "" if value == empty else value})

    KnownFilter.title, KnownFilter.parameter_name = title, parameter or column
    return KnownFilter


def since(column: str, title: Any, *, coming: bool = False) -> type[admin.SimpleListFilter]:
    """Return a filter of a datetime by its age. With ``coming``, also by how soon it is."""
    ahead = _COMING if coming else {}

    class SinceFilter(admin.SimpleListFilter):
        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
            return [(key, name) for key, (name, _length) in {**ahead, **_SINCE}.items()]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model]:
            now, value = clock.now(), self.value() or ""
            if value in ahead:
                return queryset.filter(**{f"{column}__range": (now, now + ahead[value][1])})
            if value not in _SINCE:
                return queryset
            first = now - _SINCE[value][1]
            return queryset.filter(**{f"{column}__range": (first, now)} if coming else {f"{column}__gte": first})

    SinceFilter.title, SinceFilter.parameter_name = title, "since"
    return SinceFilter
