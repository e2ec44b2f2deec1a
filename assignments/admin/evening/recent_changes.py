"""Recent changes on an evening, for others who have the page open and for users whose form came too late."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments.admin.actor import actor, names
from assignments.admin.host_lookup import label_of
from assignments.models import Assignment, StaffAction, StateTransition
from assignments.staff.day_version import RECENT

DONE: Mapping[str, Any] = {
    "seat": gettext_lazy("%(booking)s was given tables by %(who)s"),
    "displace": gettext_lazy("%(booking)s was moved by %(who)s"),
    "swap": gettext_lazy("%(booking)s was swapped by %(who)s"),
    "late": gettext_lazy("%(booking)s was noted as late by %(who)s"),
    "arrived": gettext_lazy("%(booking)s was noted as arrived by %(who)s"),
    "seated": gettext_lazy("%(booking)s was seated by %(who)s"),
    "left": gettext_lazy("%(booking)s was noted as gone by %(who)s"),
    "no_show": gettext_lazy("%(booking)s was noted as a no-show by %(who)s"),
    "extend": gettext_lazy("the end of %(booking)s was changed by %(who)s"),
    "pin": gettext_lazy("%(booking)s was pinned by %(who)s"),
    "unpin": gettext_lazy("%(booking)s was unpinned by %(who)s"),
    "free": gettext_lazy("the tables of %(booking)s were freed by %(who)s"),
    "release_hold": gettext_lazy("the hold of %(booking)s was released by %(who)s"),
    "undo": gettext_lazy("the last change of %(booking)s was undone by %(who)s"),
    "walk_in": gettext_lazy("%(booking)s was seated by %(who)s"),
    "wait_at_door": gettext_lazy("guests were put into the queue at the door by %(who)s"),
    "leave_door": gettext_lazy("guests were taken out of the queue at the door by %(who)s"),
    "close": gettext_lazy("tables were closed by %(who)s"),
    "edit_closure": gettext_lazy("the times of a closure were changed by %(who)s"),
    "lift": gettext_lazy("tables were opened again by %(who)s"),
    "freeze": gettext_lazy("the evening was frozen by %(who)s"),
    "unfreeze": gettext_lazy("the evening was unfrozen by %(who)s"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """An action of a user. ``ago``: its age in words; ``age``: in seconds, for the page's script.

    Not its time: the clock of whoever reads it may be wrong.
    """

    text: str
    ago: str
    age: int


def latest(request: HttpRequest, restaurant_ref: str, day: date, now: datetime) -> News | None:
    """Return the latest action of another user, if it is recent. At most two queries."""
    found = (
        StaffAction.objects.filter(restaurant_ref=restaurant_ref, service_date=day, at__gt=now - RECENT, what__in=DONE)
        .exclude(actor=actor(request))
        .order_by("-at")
        .first()
    )
    if found is None:
        return None
    text = _said(found.what, found.booking_ref, found.actor)
    return News(text=text, ago=ago(found.at, now), age=_seconds(now - found.at))


def meanwhile(assignment: Assignment, now: datetime) -> str:
    """Say who changed a booking last, and when, to a user whose form came too late."""
    did = StaffAction.objects.filter(booking_ref=assignment.booking_ref).order_by("-at").first()
    last = StateTransition.objects.filter(assignment=assignment).order_by("-version").first()
    if did is not None and (last is None or did.at >= last.at):
        what, at = _said(did.what, did.booking_ref, did.actor), did.at
    elif last is not None:
        values = {"booking": label_of(assignment.booking_ref), "who": names({last.actor})[last.actor]}
        what, at = _("%(booking)s was changed by %(who)s") % values, last.at
    else:
        return _("Nothing was changed: the booking changed meanwhile. This is its current state.")
    return _("Nothing was changed: %(what)s %(ago)s. This is its current state.") % {"what": what, "ago": ago(at, now)}


def _said(what: str, booking_ref: str, who: str) -> str:
    template = str(DONE.get(what, gettext_lazy("%(booking)s was changed by %(who)s")))
    return template % {"booking": label_of(booking_ref) if booking_ref else "", "who": names({who})[who]}


def ago(at: datetime, now: datetime) -> str:
    seconds = _seconds(now - at)
    if seconds < 60:
        return _("%(count)s s ago") % {"count": seconds}
    minutes = seconds // 60
    return ngettext("%(count)s minute ago", "%(count)s minutes ago", minutes) % {"count": minutes}


def _seconds(age: timedelta) -> int:
    return max(0, round(age.total_seconds()))
