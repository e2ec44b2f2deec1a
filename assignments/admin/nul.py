"""Requests with a NUL character, which no text of PostgreSQL can hold, are refused before they become queries."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Any]
else:
    _ModelAdmin = admin.ModelAdmin

NUL = "\0"


class RefusesNul(_ModelAdmin):
    """A list that answers a NUL in its address with 400, and knows no row by such a key."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if any(NUL in text for name, values in request.GET.lists() for text in (name, *values)):
            raise BadRequest("A NUL character cannot be searched for.")
        return super().changelist_view(request, extra_context)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return None if NUL in object_id else super().get_object(request, object_id, from_field)
