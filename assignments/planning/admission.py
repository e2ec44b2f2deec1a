"""Admission: checks of party, start and service period before any table is considered."""

from datetime import datetime, timedelta

from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, from_now_on, seating_window
from assignments.planning.snapshot import PlanningRules
from assignments.planning.text import by_the_clock
from assignments.planning.text import gettext as _


def admit(floor: Floor, request: SeatingRequest, *, rules: PlanningRules, now: datetime) -> SeatingWindow | Refusal:
    """Return the seating window, or the first reason why the party cannot be planned.

    A start up to ``rules.grace_minutes`` ago counts as now: the tables are blocked from now on, until the promised end.
    Raises TypeError for a naive ``now``, which is an error of the caller.
    """
    refusal = party_refusal(request, rules) or _start_refusal(request, floor, rules, now)
    if refusal is not None:
        return refusal
    window = seating_window(floor, starts_at=request.starts_at, party=request.party, ends_at=request.ends_at)
    if isinstance(window, Refusal):
        return window
    return from_now_on(window, now) if window.ends_at > now else _in_the_past(request, floor, now)


def party_refusal(request: SeatingRequest, rules: PlanningRules) -> Refusal | None:
    """Return why a party of this size cannot be planned on any floor, or None."""
    party = request.party
    if not isinstance(party, int) or party < 1:
        # A value that is not a number may be a name.
        text = _(
            "A party has at least one cover, as a whole number; this one has %(found)s.",
            found=party if isinstance(party, int) else f"a {type(party).__name__}",
        )
        return Refusal(Reason.INVALID_PARTY, text)
    if party > rules.max_party:
        text = _("Party of %(party)s: parties of up to %(most)s can be planned.", party=party, most=rules.max_party)
        return Refusal(Reason.PARTY_TOO_LARGE, text)
    return None


def _start_refusal(request: SeatingRequest, floor: Floor, rules: PlanningRules, now: datetime) -> Refusal | None:
    start = request.starts_at
    if start.tzinfo is None:
        return Refusal(Reason.INVALID_START, _("The start %(start)s has no time zone.", start=start.isoformat()))
    if start < now - timedelta(minutes=rules.grace_minutes):
        return _in_the_past(request, floor, now)
    lead = max(start - now, timedelta(0))
    if lead < timedelta(minutes=rules.min_lead_minutes):
        text = _(
            "It starts in %(minutes)s minutes; planning needs %(needed)s.",
            minutes=lead // timedelta(minutes=1),
            needed=rules.min_lead_minutes,
        )
        return Refusal(Reason.START_TOO_NEAR, text)
    return None


def _in_the_past(request: SeatingRequest, floor: Floor, now: datetime) -> Refusal:
    start = by_the_clock(request.starts_at, floor.zone)
    text = _("It should have started at %(start)s; now it is %(now)s.", start=start, now=by_the_clock(now, floor.zone))
    return Refusal(Reason.STARTS_IN_PAST, text)
