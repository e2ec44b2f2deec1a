"""Where a booking can be looked at elsewhere in the admin. Other apps add their own places."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from assignments.models import Assignment


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


def url(name: str, *args: object, **query: str) -> str:
    """The admin page of this name with this query; "" where the project's admin has no such page."""
    try:
        found = reverse(f"admin:{name}", args=args)
    except NoReverseMatch:
        return ""
    return f"{found}?{urlencode(query)}" if query else found
