"""The Rollout page: flags, position and next step, with a button for each permitted action."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import URLPattern, path
from django.utils.translation import gettext_lazy as _

from assignments.admin.page import PageAdmin
from rollout.admin import confirmations
from rollout.admin.overview import overview
from rollout.models import Position


@admin.register(Position)
class RolloutAdmin(PageAdmin):
    """Replaces the list of positions, since an environment has only one."""

    restaurant_column = ""
    template = "admin/rollout/page/page.html"
    title = _("Rollout")
    buttons = ("promote", "roll_back", "pause", "force_planner", "waive", "override_gates", "toggle")

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        return overview(self.may(request))

    def get_urls(self) -> list[URLPattern]:
        def confirm(route: str, confirmation: type[confirmations.Confirmation], name: str) -> URLPattern:
            view = confirmation.as_view(admin_site=self.admin_site)
            return path(route, self.admin_site.admin_view(view), name=f"rollout_{name}")

        return [
            confirm("begin/", confirmations.Begin, "begin"),
            confirm("promote/", confirmations.Promote, "promote"),
            confirm("roll-back/", confirmations.RollBack, "roll_back"),
            confirm("pause/", confirmations.Pause, "pause"),
            confirm("resume/", confirmations.Resume, "resume"),
            confirm("switches/<str:name>/<str:value>/", confirmations.Toggle, "toggle"),
            confirm("force/", confirmations.ForcePlanner, "force"),
            confirm("unforce/<path:restaurant_ref>/", confirmations.UnforcePlanner, "unforce"),
            confirm("waive/", confirmations.Waive, "waive"),
            confirm("withdraw/<int:waiver_id>/", confirmations.Withdraw, "withdraw"),
            *super().get_urls(),
        ]
