"""Where things can be looked at elsewhere in the admin, by whoever may. Other apps add their own places for a booking."""

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
    """A place that the user of the request may open. ``text`` says what is there."""

    url: str
    text: str


Provider = Callable[[HttpRequest, Assignment], Iterable[Link]]

_providers: list[Provider] = []


def register(provider: Provider) -> Provider:
    """Have a booking's page link to what this gives. It must ask for permissions, and cost no query."""
    _providers.append(provider)
    return provider


def links_of(request: HttpRequest, assignment: Assignment) -> list[Link]:
    """The places of other apps."""
    return [link for provider in _providers for link in provider(request, assignment)]


def permitted(request: HttpRequest, model: type[Model], *key: object, **query: str) -> str:
    """The model's page in the admin, or that of one row, with this query; "" where there is none, or not for this user."""
    page = "change" if key else "changelist"
    try:
        if not admin.site.get_model_admin(model).has_view_permission(request):
            return ""
        found = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=key)
    except (NotRegistered, NoReverseMatch):
        return ""
    return f"{found}?{urlencode(query)}" if query else found


def evening(request: HttpRequest, restaurant_ref: str, starts_at: datetime, floor: Floor | None) -> str:
    """The service timeline of the evening to which a booking of that start belongs, by the floor as it is now.

    After midnight, while the night's service goes on, that is the day before. "" where the user may not see it.
    """
    day = day_at(floor, starts_at)
    return permitted(request, ServiceDay, restaurant=restaurant_ref, day=day.isoformat())
