"""Admission: checks of party, start and service period before any table is considered."""

from datetime import datetime, timedelta

from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal, gettext_noop
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import PlanningRules


def admit(floor: Floor, request: SeatingRequest, *, rules: PlanningRules, now: datetime) -> SeatingWindow | Refusal:
    """Return the seating window, or the first reason why the party cannot be planned.

    Raises TypeError for a naive ``now``, which is an error of the caller.
    """
    refusal = party_refusal(request, rules) or _start_refusal(request, rules, now)
    if refusal is not None:
        return refusal
    return seating_window(floor, starts_at=request.starts_at, party=request.party, ends_at=request.ends_at)


def party_refusal(request: SeatingRequest, rules: PlanningRules) -> Refusal | None:
    """Return why a party of this size cannot be planned on any floor, or None."""
    party = request.party
    if not isinstance(party, int) or party < 1:
        # A value that is not a number may be a name.
        return Refusal(
            reason=Reason.INVALID_PARTY,
            text=gettext_noop("A party has at least one cover, as a whole number; this one has %(found)s."),
            values={"found": party if isinstance(party, int) else f"a {type(party).__name__}"},
        )
    if party > rules.max_party:
        return Refusal(
            reason=Reason.PARTY_TOO_LARGE,
            text=gettext_noop("Party of %(party)s: parties of up to %(most)s can be planned."),
            values={"party": party, "most": rules.max_party},
        )
    return None


def _start_refusal(request: SeatingRequest, rules: PlanningRules, now: datetime) -> Refusal | None:
    start = request.starts_at
    if start.tzinfo is None:
        return Refusal(
            reason=Reason.INVALID_START,
            text=gettext_noop("The start %(start)s has no time zone."),
            values={"start": start.isoformat()},
        )
    if start < now:
        return Refusal(
            reason=Reason.STARTS_IN_PAST,
            text=gettext_noop("It should have started at %(start)s; now it is %(now)s."),
            values={"start": start.isoformat(), "now": now.isoformat()},
        )
    if start - now < timedelta(minutes=rules.min_lead_minutes):
        return Refusal(
            reason=Reason.START_TOO_NEAR,
            text=gettext_noop("It starts in %(minutes)s minutes; planning needs %(needed)s."),
            values={"minutes": (start - now) // timedelta(minutes=1), "needed": rules.min_lead_minutes},
        )
    return None
