"""The service timeline: a restaurant's tables over one day, bookings without a table, and what staff do with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseNotModified,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from assignments.admin.evening import actions, search, sheet
from assignments.admin.evening import page as evening_page
from assignments.admin.evening.state import State, state_of
from assignments.admin.host_lookup import restaurant_names
from assignments.admin.page import PageAdmin
from assignments.admin.restaurants import may_see, restaurants_of
from assignments.concurrency import clock as movable_clock
from assignments.integration.floor_cache import floor_or_none, one_reading
from assignments.models import ServiceDay
from assignments.planning.natural_order import natural_key
from assignments.staff.day_version import DayVersion, day_version
from assignments.staff.evening import UnknownRestaurantError
from assignments.staff.service_day import LISTED, Venue, opening_day, venues
from assignments.staff.timeline import A_DAY, day_at

PLACE = "assignments.change_tableplace"
SAID = "assignments_evening_said"
"""Where a session keeps what a form without scripts has done, for the page that follows."""
LEVELS: Mapping[str, int] = {"success": messages.SUCCESS, "warning": messages.WARNING, "error": messages.ERROR}


@admin.register(ServiceDay)
class ServiceDayAdmin(PageAdmin):
    """Shows a restaurant's tables over one day in place of a list, and carries out what staff do there."""

    template = "admin/assignments/page/service_day.html"
    title = gettext_lazy("Service timeline")
    buttons = ("assign",)

    def get_urls(self) -> list[URLPattern]:
        return [
            path("act/<str:name>/", self.admin_site.admin_view(self.act), name="assignments_serviceday_act"),
            path("find/", self.admin_site.admin_view(self.find), name="assignments_serviceday_find"),
            path("sheet/", self.admin_site.admin_view(self.sheet), name="assignments_serviceday_sheet"),
            *super().get_urls(),
        ]

    def may(self, request: HttpRequest) -> dict[str, bool]:
        """Return what the user may do here: bookings as in the review queue, closures and places as in their lists."""
        others = {"close": "assignments.add_closure", "lift": "assignments.change_closure", "place": PLACE}
        return super().may(request) | {name: request.user.has_perm(needed) for name, needed in others.items()}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        allowed = super(PageAdmin, self).has_view_permission(request, obj)
        return allowed or request.user.has_perm("assignments.assign")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the page, or only the part of it that a script asks for."""
        part = request.GET.get("part", "")
        if part not in {"live", "panel", "all"}:
            return super().changelist_view(request, extra_context)
        if not self.has_view_permission(request):
            raise PermissionDenied
        state = state_of(request)
        if not state.restaurant or state.day is None:
            raise Http404
        if not may_see(request, state.restaurant):
            raise PermissionDenied
        now = movable_clock.now()
        version = day_version(state.restaurant, state.day, now=now)
        tag = evening_page.tag_of(version, now=now)
        if part == "live" and request.headers.get("If-None-Match") == tag:
            answer: HttpResponse = HttpResponseNotModified()
        else:
            answer = self._parts(request, state, version, part=part)
        answer["ETag"] = tag
        answer["Cache-Control"] = "no-store"
        return answer

    def _parts(
        self, request: HttpRequest, state: State, version: DayVersion, *, part: str, said: actions.Said | None = None
    ) -> HttpResponse:
        moment = movable_clock.now()
        tag = evening_page.tag_of(version, now=moment)
        may = self.may(request)
        context: dict[str, Any] = {"may": may, "said": said, "tag": tag, "part": part}
        with one_reading():
            if part != "panel":
                context |= evening_page.grid_context(request, state, version, now=moment, may=may)
            if part != "live":
                guests = context.get("guests")
                context |= evening_page.panel_context(request, state, now=moment, may=may, guests=guests)
        return TemplateResponse(request, "admin/assignments/evening/parts.html", context)

    def act(self, request: HttpRequest, name: str) -> HttpResponse:
        """Carry out a form: then show the page again, or to a script the parts of it."""
        action = actions.ACTIONS.get(name)
        state = state_of(request)
        if action is None or not state.restaurant or state.day is None:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        may = request.user.has_perm(f"assignments.{action.needs}")
        if not (self.has_view_permission(request) and may and may_see(request, state.restaurant)):
            raise PermissionDenied
        assignment = evening_page.booking_of(state)
        if state.booking is not None and assignment is None:
            text = _("Nothing was changed: this booking is at another restaurant by now, or no longer exists.")
            said = actions.Said(level="error", text=text, state=state.bare)
        else:
            said = actions.carry_out(request, name, state, assignment=assignment, day=state.day)
        if request.headers.get("X-Evening"):
            version = day_version(state.restaurant, state.day, now=movable_clock.now())
            answer = self._parts(request, said.state, version, part="all", said=said)
            answer["Cache-Control"] = "no-store"
            return answer
        if name == "printed":
            messages.add_message(request, LEVELS[said.level], said.text)
            return HttpResponseRedirect(f"{reverse('admin:assignments_serviceday_sheet')}?{state.bare.query}")
        request.session[SAID] = said.kept()
        return HttpResponseRedirect(said.state.link())

    def find(self, request: HttpRequest) -> HttpResponse:
        """Find bookings. What is looked for comes by POST, so that no log of addresses has it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = search.search_context(request, now=movable_clock.now())
        context = {**self.admin_site.each_context(request), "title": _("Find a booking"), "opts": self.opts, **found}
        answer = TemplateResponse(request, "admin/assignments/page/search.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    def sheet(self, request: HttpRequest) -> HttpResponse:
        """Show the day sheet, which is printed."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        state = state_of(request)
        if not state.restaurant or state.day is None:
            raise Http404
        if not may_see(request, state.restaurant):
            raise PermissionDenied
        try:
            may_note = self.may(request)["assign"]
            with one_reading():
                found = sheet.sheet_context(request, state, now=movable_clock.now(), may_note=may_note)
        except UnknownRestaurantError as error:
            raise Http404 from error
        context = {**self.admin_site.each_context(request), "title": _("Day sheet"), "opts": self.opts, **found}
        return TemplateResponse(request, "admin/assignments/evening/sheet.html", context)

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        """Return the page's context. The admin's list of apps is left out: a tablet needs the room for the grid."""
        with one_reading():
            return {"is_nav_sidebar_enabled": False, **self._page_context(request)}

    def _page_context(self, request: HttpRequest) -> dict[str, Any]:
        moment = movable_clock.now()
        asked = request.GET.get("day", "")
        state = state_of(request)
        if asked and state.day is None:
            text = _("%(asked)s is not a valid date (use 2026-12-31). Showing today.")
            messages.warning(request, text % {"asked": asked[:40]})
        found = venues(moment, day=state.day, within=restaurants_of(request))
        ref = state.restaurant or (found[0].ref if found else "")
        if not ref:
            return {"venues": _choices(found), "day": state.day}
        if not may_see(request, ref):
            raise PermissionDenied
        is_dated = state.day is not None
        day = state.day or opening_day(floor_or_none(ref), ref, moment)
        state = replace(state, restaurant=ref, day=day)
        version = day_version(ref, day, now=moment)
        may = self.may(request)
        context = evening_page.grid_context(request, state, version, now=moment, may=may)
        shown = context["shown"]
        today = day_at(shown.floor, moment)
        if all(venue.ref != ref for venue in found):
            found = [Venue(ref=ref, bookings=shown.bookings), *found]
        elif is_dated or shown.day != today:
            found = [replace(venue, bookings=shown.bookings) if venue.ref == ref else venue for venue in found]
        choices = _choices(found)
        kept = request.session.pop(SAID, None)
        return {
            **context,
            "said": actions.Said.from_kept(kept, state) if kept else None,
            **evening_page.panel_context(request, state, now=moment, may=may, guests=context["guests"]),
            "part": "page",
            "tag": evening_page.tag_of(version, now=moment),
            "venues": choices[:LISTED],
            "has_more_venues": len(found) > LISTED,
            "venue_ref": ref,
            "venue_name": next(choice.name for choice in choices if choice.ref == ref),
            "day": state.day,
            "today_link": "" if shown.day == today else state.bare.link(day=today),
            "previous_link": state.bare.link(day=shown.day - A_DAY),
            "next_link": state.bare.link(day=shown.day + A_DAY),
        }


def _choices(found: Sequence[Venue]) -> list[Venue]:
    """Sort the restaurants by name. Asks the host once, or not at all if there are none."""
    names = restaurant_names([venue.ref for venue in found]) if found else {}
    named = [replace(venue, name=names[venue.ref]) for venue in found]
    return sorted(named, key=lambda venue: natural_key(venue.name))
