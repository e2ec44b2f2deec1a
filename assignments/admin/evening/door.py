"""The queue at the door on the evening's page: who waits without a booking, for how long, and what can be done."""

from datetime import UTC, tzinfo
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments import api
from assignments.admin.evening.panel import Button
from assignments.admin.evening.state import State
from assignments.admin.timeline_svg import clock
from assignments.planning.features import listed
from assignments.planning.floor import Floor, InvalidFloorError


def lines(state: State, floor: Floor | None, *, may_act: bool) -> list[dict[str, Any]]:
    """Return the parties that wait at the door, in the order in which they came, each with its buttons."""
    try:
        waits = api.queue_at_the_door(restaurant_ref=state.restaurant)
    except (InvalidFloorError, LookupError):  # The page says what is wrong with the floor.
        return []
    zone: tzinfo = floor.zone if floor else UTC
    return [
        {
            "since": clock(wait.since, zone) if wait.since else "",
            "who": guests(wait.party),
            "needs": listed(wait.needs),
            "wait": in_words(wait.minutes),
            "buttons": _buttons(state, wait.queued_id, wait.party) if may_act else [],
        }
        for wait in waits
    ]


def guests(party: int) -> str:
    return ngettext("%(count)s guest", "%(count)s guests", party) % {"count": party}


def in_words(minutes: int | None) -> str:
    """Say how long a party still has to wait."""
    if minutes is None:
        return _("No table within three hours.")
    if minutes == 0:
        return _("Can be seated now.")
    return _("A table in about %(minutes)s minutes.") % {"minutes": minutes}


def _buttons(state: State, queued_id: int | None, party: int) -> list[Button]:
    hidden = (("queued", queued_id), ("party", party))
    about = guests(party)
    return [
        Button(url=state.bare.act("walk_in"), text=_("Seat now"), about=about, hidden=hidden),
        Button(url=state.bare.act("leave_door"), text=_("They went away"), about=about, hidden=hidden),
    ]
