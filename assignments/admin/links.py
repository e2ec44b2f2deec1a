"""Links between admin pages, by permission. Other apps register their own links for a booking."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.exceptions import NotRegistered
from django.db.models import Model
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from assignments.models import Assignment, ServiceDay
from assignments.planning.floor import Floor
from assignments.staff.timeline import day_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A page that the request's user may open, and the text of the link."""

    url: str
    text: str


Provider = Callable[[HttpRequest, Assignment], Iterable[Link]]

_providers: list[Provider] = []


def register(provider: Provider) -> Provider:
    """Register links for a booking's page. The provider must check permissions and make no query."""
    _providers.append(provider)
    return provider


def links_of(request: HttpRequest, assignment: Assignment) -> list[Link]:
    """Return the links of other apps."""
    return [link for provider in _providers for link in provider(request, assignment)]


def permitted(request: HttpRequest, model: type[Model], *key: object, **query: str) -> str:
    """Return the URL of a model's list, or of one row, with this query; "" if there is none or the user may not see it."""
    page = "change" if key else "changelist"
    try:
        if not admin.site.get_model_admin(model).has_view_permission(request):
            return ""
        found = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=key)
    except (NotRegistered, NoReverseMatch):
        return ""
    return f"{found}?{urlencode(query)}" if query else found


def evening(request: HttpRequest, restaurant_ref: str, starts_at: datetime, floor: Floor | None) -> str:
    """Return the URL of the service timeline for a booking's evening, by the current floor.

    During a service that runs past midnight this is the previous day. "" if the user may not see it.
    """
    day = day_at(floor, starts_at)
    return permitted(request, ServiceDay, restaurant=restaurant_ref, day=day.isoformat())
