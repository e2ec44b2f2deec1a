"""What must hold before any table is looked at: the party, its start, and a service that seats it."""

from datetime import datetime, timedelta

from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules
from assignments.planning.window import SeatingWindow, seating_window


def admit(floor: Floor, request: SeatingRequest, *, rules: PlanningRules, now: datetime) -> SeatingWindow | Refusal:
    """When the party would sit, or the first reason why it cannot be planned at all.

    Raises TypeError for a naive ``now``, which is the caller's mistake and not the guest's.
    """
    refusal = party_refusal(request, rules) or _start_refusal(request, rules, now)
    if refusal is not None:
        return refusal
    return seating_window(floor, starts_at=request.starts_at, party=request.party, ends_at=request.ends_at)


def party_refusal(request: SeatingRequest, rules: PlanningRules) -> Refusal | None:
    """Why a party of this size can never be planned, whatever the floor; None when it can."""
    party = request.party
    if not isinstance(party, int) or party < 1:
        # What is no number may be a name.
        found = party if isinstance(party, int) else f"a {type(party).__name__}"
        detail = f"A party has at least one cover, as a whole number; this one has {found}."
        return Refusal(reason=Reason.INVALID_PARTY, detail=detail)
    if party > rules.max_party:
        detail = f"Party of {party}: parties of up to {rules.max_party} can be planned."
        return Refusal(reason=Reason.PARTY_TOO_LARGE, detail=detail)
    return None


def _start_refusal(request: SeatingRequest, rules: PlanningRules, now: datetime) -> Refusal | None:
    start = request.starts_at
    if start.tzinfo is None:
        return Refusal(reason=Reason.INVALID_START, detail=f"The start {start.isoformat()} has no time zone.")
    if start < now:
        detail = f"It should have started at {start.isoformat()}; now it is {now.isoformat()}."
        return Refusal(reason=Reason.STARTS_IN_PAST, detail=detail)
    if start - now < timedelta(minutes=rules.min_lead_minutes):
        minutes = (start - now) // timedelta(minutes=1)
        detail = f"It starts in {minutes} minutes; planning needs {rules.min_lead_minutes}."
        return Refusal(reason=Reason.START_TOO_NEAR, detail=detail)
    return None
