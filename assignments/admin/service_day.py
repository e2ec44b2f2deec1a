"""The service timeline: a restaurant's tables over one day, and bookings without a table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments import api
from assignments.admin.host_lookup import label_of, restaurant_names
from assignments.admin.page import PageAdmin
from assignments.admin.restaurants import may_see, restaurants_of
from assignments.admin.timeline_svg import Caption, clock, draw
from assignments.concurrency import clock as movable_clock
from assignments.integration.planners import V3
from assignments.models import Allocation, ServiceDay, State
from assignments.planning.natural_order import natural_key
from assignments.planning.seating_window import FIRST_YEAR, LAST_YEAR
from assignments.staff import labels
from assignments.staff.service_day import LISTED, Booked, Venue, service_day, venues
from assignments.staff.service_day import ServiceDay as Day
from assignments.staff.timeline import A_DAY, CLOSURE, Bar, day_at

HOLD = Allocation.Kind.HOLD.value
LOOKS: Mapping[str, tuple[str, str]] = {
    V3: ("timeline-v3", ""),
    api.MANUAL: ("timeline-hand", "timeline-dots"),
}
"""CSS class by planner. Any other planner is the one before V3."""
OLD_PLANNER = ("timeline-old", "timeline-stripes")


@admin.register(ServiceDay)
class ServiceDayAdmin(PageAdmin):
    """Replaces the list: the tables of one restaurant over one day."""

    template = "admin/assignments/page/service_day.html"
    title = gettext_lazy("Service timeline")

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        moment = movable_clock.now()
        asked = request.GET.get("day", "")
        day = day_of(asked)
        if asked and day is None:
            text = _("%(asked)s is not a valid date (use 2026-12-31). Showing today.")
            messages.warning(request, text % {"asked": asked[:40]})
        found = venues(moment, day=day, within=restaurants_of(request))
        ref = request.GET.get("restaurant") or (found[0].ref if found else "")
        if not ref or "\0" in ref:
            return {"venues": _choices(found), "day": day}
        if not may_see(request, ref):
            raise PermissionDenied
        shown = service_day(ref, day, now=moment)
        today = day_at(shown.floor, moment)
        if all(venue.ref != ref for venue in found):
            found = [Venue(ref=ref, bookings=shown.bookings), *found]
        elif day or shown.day != today:
            found = [replace(venue, bookings=shown.bookings) if venue.ref == ref else venue for venue in found]
        choices = _choices(found)
        may_open = request.user.has_perm("assignments.view_assignment")
        captions = Captions(shown, may_open=may_open)
        return {
            "venues": choices[:LISTED],
            "has_more_venues": len(found) > LISTED,
            "venue_ref": ref,
            "venue_name": next(choice.name for choice in choices if choice.ref == ref),
            "day": shown.day,
            "shown": shown,
            "problem": labels.render(shown.problem),
            "today_link": "" if shown.day == today else link(ref, today),
            "previous_link": link(ref, shown.day - A_DAY),
            "next_link": link(ref, shown.day + A_DAY),
            "before_link": link(ref, shown.before) if shown.before else "",
            "after_link": link(ref, shown.after) if shown.after else "",
            "drawing": draw(shown.timeline, shown.floor, captions),
            "seated": captions.seated,
            "covers": captions.covers,
            "waiting": [captions.waiting(booked) for booked in shown.unseated],
            "waiting_rest": shown.unseated_count - len(shown.unseated),
        }


def _choices(found: Sequence[Venue]) -> list[Venue]:
    """Sort the restaurants by name. Asks the host once, or not at all if there are none."""
    names = restaurant_names([venue.ref for venue in found]) if found else {}
    named = [replace(venue, name=names[venue.ref]) for venue in found]
    return sorted(named, key=lambda venue: natural_key(venue.name))


class Captions:
    """Captions for the bars of a day. Call it with a bar."""

    def __init__(self, shown: Day, *, may_open: bool) -> None:
        self._shown = shown
        self._may_open = may_open
        self._words = labels.Words(shown.floor)
        self._zone = self._words.zone
        self._labels: dict[str, str] = {}

    def __call__(self, bar: Bar) -> Caption:
        taken = bar.taken
        times = _("%(start)s-%(end)s") % {
            "start": clock(taken.starts_at, self._zone),
            "end": clock(taken.ends_at, self._zone),
        }
        if taken.kind == CLOSURE:
            if taken.ends_at - taken.starts_at >= A_DAY:
                until = taken.ends_at.astimezone(self._zone)
                times = _("until %(until)s") % {"until": f"{until:%Y-%m-%d %H:%M}"}
            if taken.is_open_ended:
                times = _("until further notice")
            title = _("closed, %(times)s") % {"times": times}
            if taken.reason:
                title = _("%(what)s: %(reason)s") % {"what": title, "reason": taken.reason}
            return Caption(
                look="timeline-closure", pattern="timeline-cross", first=_("closed"), second=times, title=title
            )
        booked = self._shown.booked.get(taken.booking_ref)
        label = self._label(taken.booking_ref)
        first = f"{label} · {booked.party}" if booked else label
        parts = [label]
        if booked:
            parts.append(covers(booked.party))
        if bar.joined:
            tables = self._words.tables(bar.joined)
            first = f"{first} · {bar.joined.index(taken.table_ref) + 1}/{len(bar.joined)}"
            parts.append(_("joined tables %(tables)s") % {"tables": tables})
        look, pattern = LOOKS.get(taken.planner, OLD_PLANNER)
        if taken.kind == HOLD and taken.expires_at is not None:
            held = _("on hold until %(until)s") % {"until": clock(taken.expires_at, self._zone)}
            return Caption(
                look="timeline-hold", first=first, second=held, title=", ".join([*parts, held]), url=self._url(booked)
            )
        who = labels.planner(taken.planner) if taken.planner in LOOKS else _("legacy planner")
        parts += [_("seated"), _("planned: %(who)s") % {"who": who}]
        return Caption(
            look=look,
            pattern=pattern,
            first=first,
            second=f"{times} · {who}",
            title=", ".join(parts),
            url=self._url(booked),
        )

    @property
    def seated(self) -> int:
        """Number of bookings with a table on the timeline."""
        return len(self._seated())

    @property
    def covers(self) -> int:
        return sum(self._shown.booked[ref].party for ref in self._seated() if ref in self._shown.booked)

    def waiting(self, booked: Booked) -> dict[str, Any]:
        """A booking of the day without a table."""
        return {
            "booked": booked,
            "label": self._label(booked.booking_ref),
            "state": labels.state(booked.state),
            "reason": labels.reason(booked.reason),
            "is_review": booked.state == State.MANUAL_REVIEW,
            "url": self._url(booked),
        }

    def _seated(self) -> set[str]:
        seating = Allocation.Kind.SEATING.value
        bars = [bar for row in self._shown.timeline.rows for bar in row.bars]
        return {bar.taken.booking_ref for bar in bars if bar.taken.kind == seating}

    def _label(self, booking_ref: str) -> str:
        if booking_ref not in self._labels:
            self._labels[booking_ref] = label_of(booking_ref)
        return self._labels[booking_ref]

    def _url(self, booked: Booked | None) -> str:
        if booked is None or not self._may_open:
            return ""
        return reverse("admin:assignments_assignment_change", args=[booked.pk])


def covers(party: int) -> str:
    return ngettext("%(count)s cover", "%(count)s covers", party) % {"count": party}


def day_of(text: str) -> date | None:
    """Parse a date. Returns None if it is invalid or too far away to show."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_YEAR < day.year < LAST_YEAR else None


def link(restaurant_ref: str, day: date) -> str:
    query = urlencode({"restaurant": restaurant_ref, "day": day.isoformat()})
    return f"{reverse('admin:assignments_serviceday_changelist')}?{query}"
