"""The Rollout page: what is on, why, what would happen next, and a button for whatever the user may do about it."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from assignments.admin.readonly import ReadOnlyAdmin
from rollout.admin import confirmations
from rollout.admin.overview import overview
from rollout.models import Position

STEERING = ("promote", "roll_back", "hold", "pin", "explain", "override_gates", "toggle")
"""The permissions on ``Position``, one for each kind of button."""


@admin.register(Position)
class RolloutAdmin(ReadOnlyAdmin):
    """In place of a list of positions, of which an environment has one."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may steer has to see what."""
        return super().has_view_permission(request, obj) or any(self._may(request).values())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Rollout"),
            "opts": self.opts,
            "may": self._may(request),
            **overview(),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/rollout/page/page.html", context)

    def get_urls(self) -> list[URLPattern]:
        def confirm(route: str, confirmation: type[confirmations.Confirmation], name: str) -> URLPattern:
            view = confirmation.as_view(admin_site=self.admin_site)
            return path(route, self.admin_site.admin_view(view), name=f"rollout_{name}")

        return [
            confirm("begin/", confirmations.Begin, "begin"),
            confirm("promote/", confirmations.Promote, "promote"),
            confirm("roll-back/", confirmations.RollBack, "roll_back"),
            confirm("hold/", confirmations.Hold, "hold"),
            confirm("release/", confirmations.Release, "release"),
            confirm("switches/<str:name>/<str:value>/", confirmations.Toggle, "toggle"),
            confirm("pin/", confirmations.PinRestaurant, "pin"),
            confirm("unpin/<path:restaurant_ref>/", confirmations.Unpin, "unpin"),
            confirm("explain/", confirmations.Explain, "explain"),
            confirm("withdraw/<int:explanation_id>/", confirmations.Withdraw, "withdraw"),
            *super().get_urls(),
        ]

    @staticmethod
    def _may(request: HttpRequest) -> dict[str, bool]:
        return {each: request.user.has_perm(f"rollout.{each}") for each in STEERING}
