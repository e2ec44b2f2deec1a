"""Context for the parts of the evening's page: version, grid, the line of bookings without a table, panel."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from assignments.admin import links
from assignments.admin.evening import door, panel, recent_changes
from assignments.admin.evening.captions import Captions, covers
from assignments.admin.evening.grid import grid_of
from assignments.admin.evening.panel import Button
from assignments.admin.evening.plan import plan_context
from assignments.admin.evening.state import ARRANGE, LIST, PLAN, ZOOMS, State
from assignments.admin.host_lookup import bookings_of, guests_of, label_of
from assignments.admin.timeline_svg import clock, draw
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Guest
from assignments.models import Allocation, Assignment, ReviewItem, TablePlace
from assignments.models import State as Decided
from assignments.planning.floor import Floor
from assignments.staff import labels, print_history, review_queue, seatable
from assignments.staff.day_version import DayVersion
from assignments.staff.print_history import Sat
from assignments.staff.service_day import Booked, service_day
from assignments.staff.service_day import ServiceDay as Day
from assignments.staff.timeline import Taken, day_at, day_span


def tag_of(found: DayVersion, *, now: datetime) -> str:
    """Return the page's ETag. It changes each minute too, because what is late depends on the time."""
    return f'"{found.version}-{int(now.timestamp() // 60)}-{get_language()}"'


def booking_of(state: State) -> Assignment | None:
    """Return the booking that the address names, if it is one of the restaurant."""
    if state.booking is None:
        return None
    return Assignment.objects.filter(pk=state.booking, restaurant_ref=state.restaurant).first()


def grid_context(
    request: HttpRequest, state: State, version: DayVersion, *, now: datetime, may: Mapping[str, bool]
) -> dict[str, Any]:
    """Return what the grid and the line above it show."""
    assert state.day is not None
    shown = service_day(state.restaurant, state.day, now=now, service=state.service)
    refs = {*shown.booked, *(each.booking_ref for each in shown.unseated)}
    refs |= {bar.taken.booking_ref for row in shown.timeline.rows for bar in row.bars} - {""}
    names = {ref: label_of(ref) for ref in refs}
    guests = guests_of(request, refs)
    captions = Captions(shown, names, may_open=request.user.has_perm("assignments.view_assignment"))
    drawing = draw(shown.timeline, shown.floor, captions)
    since = _changed_since(version.printed, shown) if version.printed else {}
    grid = grid_of(
        drawing,
        shown,
        state,
        names=names,
        guests=guests,
        since=since,
        may_act=may["assign"],
        may_edit_closures=may["lift"],
    )
    return {
        "plan": plan_context(grid, shown, state) if state.view else None,
        "is_arranged": state.view == ARRANGE and may["place"],
        "place_url": state.bare.act("place"),
        "most_x": TablePlace.PLAN_WIDTH,
        "most_y": TablePlace.PLAN_HEIGHT,
        "grid_link": state.bare.link(view="", at=None),
        "plan_link": state.bare.link(view=PLAN),
        "arrange_link": state.bare.link(view=PLAN if state.view == ARRANGE else ARRANGE) if may["place"] else "",
        "shown": shown,
        "guests": guests,
        "page_state": state,
        "problem": labels.render(shown.problem),
        "drawing": drawing,
        "grid": grid,
        "seated": captions.seated,
        "covers": captions.covers,
        "waiting": _waiting(request, shown, state, names, guests, now=now, may=may) if state.is_open else (),
        "door": door.lines(state, shown.floor, may_act=may["assign"])
        if version.queued and shown.day == day_at(shown.floor, now)
        else (),
        "waiting_rest": shown.unseated_count - len(shown.unseated),
        "open_link": state.link(is_open=not state.is_open),
        "before_link": state.bare.link(day=shown.before) if shown.before else "",
        "after_link": state.bare.link(day=shown.after) if shown.after else "",
        "services": [
            {"name": labels.service(key), "link": state.link(service=key), "is_here": key == state.service}
            for key in shown.services
        ],
        "whole_day_link": state.link(service=""),
        "zooms": [{"link": state.link(zoom=zoom), "zoom": zoom, "is_here": zoom == state.zoom} for zoom in ZOOMS],
        "walk_in_link": state.bare.link(panel="walk-in") if shown.day == day_at(shown.floor, now) else "",
        "house_link": "" if _is_over(shown.floor, shown.day, now) else state.bare.link(panel="house"),
        "sheet_link": f"{reverse('admin:assignments_serviceday_sheet')}?{state.bare.query}",
        "printed": clock(version.printed, labels.Words(shown.floor).zone) if version.printed else "",
        "is_frozen": version.is_frozen,
        "freeze": _freeze(state, is_frozen=version.is_frozen) if may["assign"] else None,
        "news": recent_changes.latest(request, state.restaurant, state.day, now) if version.has_news else None,
        "live_url": f"{reverse(LIST)}?{state.bare.query}",
        "extend_url": state.act("extend"),
        "reclose_url": state.bare.act("edit_closure") if may["lift"] else "",
    }


def _changed_since(printed: datetime, shown: Day) -> dict[str, str]:
    """Return what has changed since the day sheet was printed, in words, by booking. One query."""
    bars: dict[str, list[Taken]] = {}
    for row in shown.timeline.rows:
        for bar in row.bars:
            if bar.taken.kind == Allocation.Kind.SEATING and bar.taken.booking_ref:
                bars.setdefault(bar.taken.booking_ref, []).append(bar.taken)
    seated = {ref: _sits(own, shown.booked.get(ref)) for ref, own in bars.items()}
    words = labels.Words(shown.floor)
    found = print_history.changed_since(printed, seated)
    return {ref: _was(sat, seated[ref], words) if sat else _("not on the day sheet") for ref, sat in found.items()}


def _sits(own: list[Taken], booked: Booked | None) -> Sat:
    current = [each for each in own if not each.has_ended]
    return Sat(
        starts_at=min(each.starts_at for each in own),
        ends_at=max(each.ends_at for each in current) if current else None,
        party=booked.party if booked else None,
        table_refs=frozenset(each.table_ref for each in current or own),
    )


def _was(sat: Sat, sits: Sat, words: labels.Words) -> str:
    """Say what was otherwise on the day sheet."""
    found = []
    if sat.has_other_times(sits):
        times = _("%(start)s-%(end)s")
        end = clock(sat.ends_at, words.zone) if sat.ends_at else ""
        found.append(times % {"start": clock(sat.starts_at, words.zone), "end": end})
    if sat.has_other_party(sits):
        found.append(covers(sat.party or 0))
    if sat.table_refs != sits.table_refs:
        found.append(_("at %(tables)s") % {"tables": words.tables(sorted(sat.table_refs))})
    return _("%(what)s on the day sheet") % {"what": ", ".join(found)}


def _is_over(floor: Floor | None, day: date, now: datetime) -> bool:
    return day_span(floor, day)[1] <= now


def _freeze(state: State, *, is_frozen: bool) -> Button:
    if is_frozen:
        return Button(url=state.bare.act("unfreeze"), text=_("Unfreeze the evening"))
    return Button(url=state.bare.act("freeze"), text=_("Freeze the evening"))


def _waiting(
    request: HttpRequest,
    shown: Day,
    state: State,
    names: Mapping[str, str],
    guests: Mapping[str, Guest],
    *,
    now: datetime,
    may: Mapping[str, bool],
) -> list[dict[str, Any]]:
    """Return the bookings without a table, each with the table that it could have now."""
    refs = [each.booking_ref for each in shown.unseated if each.starts_at + review_queue.LATE >= now]
    best = seatable.best_tables(bookings_of(refs[: seatable.MOST]), shown.floor, now=now)
    words = labels.Words(shown.floor)

    def line(booked: Booked) -> dict[str, Any]:
        tables = best.get(booked.booking_ref, ())
        button = None
        if tables and may["assign"]:
            button = Button(
                url=state.act("seat", booking=booked.pk),
                text=_("Seat at %(tables)s") % {"tables": words.tables(tables)},
                about=names[booked.booking_ref],
                hidden=(("version", booked.version), *(("tables", ref) for ref in tables)),
            )
        is_review = booked.state == Decided.MANUAL_REVIEW
        return {
            "booked": booked,
            "label": names[booked.booking_ref],
            "guest": guests.get(booked.booking_ref),
            "state": labels.state(booked.state),
            "reason": labels.reason(booked.reason),
            "is_review": is_review,
            "url": state.bare.link(booking=booked.pk, is_open=True),
            "page": links.permitted(request, Assignment, booked.pk),
            "review": links.permitted(request, ReviewItem, booked.pk) if is_review else "",
            "tables": words.tables(tables) if tables else "",
            "button": button,
        }

    # First who can be seated, then who is still to come.
    first = sorted(
        shown.unseated, key=lambda each: (each.booking_ref not in best, each.starts_at < now, each.starts_at)
    )
    return [line(booked) for booked in first]


def panel_context(
    request: HttpRequest,
    state: State,
    *,
    now: datetime,
    may: Mapping[str, bool],
    guests: Mapping[str, Guest] | None = None,
) -> dict[str, Any]:
    """Return what the panel shows: "panel" is None if it shows nothing. ``guests``: those of the grid, if there is one."""
    found: dict[str, Any] | None = None
    if state.booking is not None:
        assignment = booking_of(state)
        if assignment is not None:
            floor = floor_or_none(state.restaurant)
            found = panel.booking_panel(request, assignment, state, floor=floor, now=now, may=may, guests=guests)
    elif state.closure is not None:
        found = panel.closure_panel(state, floor=floor_or_none(state.restaurant), now=now, may=may)
    elif state.table or state.zone or state.panel == "house":
        floor = floor_or_none(state.restaurant)
        is_over = state.day is not None and _is_over(floor, state.day, now)
        is_to_come = state.day is not None and day_span(floor, state.day)[0] > now
        found = panel.closing_panel(state, floor=floor, may=may, is_over=is_over, is_to_come=is_to_come)
    elif state.panel == "walk-in" and state.day == day_at(floor_or_none(state.restaurant), now):
        found = panel.walk_in_panel(state, may=may, party=request.POST.get("party", ""))
    return {"panel": found, "close_link": state.bare.link(), "page_state": state}
