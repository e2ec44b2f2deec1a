"""A promise, and what its guest asks for instead: the assignment has the facts of both.

An edit that cannot be met (``wish`` in the code) is *open* until it is decided. It is *turned down* only once staff
have rejected it. In the meantime the booking is planned, moved and listed by its promise, while the host shows the
edit. See docs/living-evening.md rule 2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from assignments.integration.host import HostBooking
from assignments.lifecycle import intake, waiting
from assignments.models import Allocation, Assignment, State
from assignments.planning.floor import Floor

OPEN_WISHES = frozenset({waiting.EDIT_UNMET, waiting.TABLES_CHANGED_BY_HOST})
"""Reasons for a review in which staff decide about what the guest asks for."""

_PLACE = ("restaurant_ref", "service_date", "service_rule", "starts_at")
_FACTS = (*_PLACE, "asked_until", "party", "zone_ref", "needs")


def facts_of(assignment: Assignment) -> dict[str, Any]:
    """Return the facts of the promise, as attributes of the assignment."""
    return {name: getattr(assignment, name) for name in _FACTS}


def from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of the promise from a database record of a given-up seating (``SeatingChange.facts``)."""
    facts = {name: record[name] for name in _FACTS}
    facts["service_date"] = date.fromisoformat(facts["service_date"])
    return facts | {name: moment(facts[name]) for name in ("starts_at", "asked_until")}


def moment(text: str | None) -> datetime | None:
    """Return a time from its recorded text."""
    return datetime.fromisoformat(text) if text else None


def set_aside(assignment: Assignment, promised: Mapping[str, Any]) -> None:
    """Restore the promise in memory, and note the facts that the assignment has now as the wish."""
    wish = facts_of(assignment)
    for name, value in promised.items():
        setattr(assignment, name, value)
    if facts_of(assignment) == wish:
        assignment.forget_wish()
        return
    assignment.asked_restaurant_ref, assignment.asked_date = wish["restaurant_ref"], wish["service_date"]
    assignment.asked_starts_at, assignment.asked_ends_at = wish["starts_at"], wish["asked_until"]
    assignment.asked_party = wish["party"]
    assignment.asked_zone_ref, assignment.asked_needs = wish["zone_ref"], wish["needs"]
    assignment.wish_settled = False


def take_over_here(assignment: Assignment, booking: HostBooking, *, floor: Floor | None) -> None:
    """Take over the host's facts about guests who sit, except another time or restaurant: they sit here and now."""
    place = {name: getattr(assignment, name) for name in _PLACE}
    intake.take_over_facts(assignment, booking, floor=floor)
    if (assignment.restaurant_ref, assignment.starts_at) != (place["restaurant_ref"], place["starts_at"]):
        set_aside(assignment, place)
        assignment.wish_settled = assignment.state == State.CONFIRMED  # They are here, so there is nothing to decide.


def is_open(assignment: Assignment) -> bool:
    """Return whether staff have to decide about a wish."""
    is_in_review = assignment.state == State.MANUAL_REVIEW and assignment.reason in OPEN_WISHES
    return assignment.is_wish_undecided and is_in_review


def last_end_asked(assignment: Assignment) -> datetime | None:
    """Return the end, if any, that the host gave for the guest's last request, granted or not."""
    end: datetime | None = assignment.asked_ends_at if assignment.has_wish else assignment.asked_until
    return end


def is_turned_down(assignment: Assignment, booking: HostBooking) -> bool:
    """Return whether the host shows exactly the wish that staff have rejected."""
    return assignment.wish_settled and is_shown(assignment, booking)


def is_shown(assignment: Assignment, booking: HostBooking) -> bool:
    """Return whether the host shows exactly the noted wish, decided or not."""
    return assignment.has_wish and asks_the_same(assignment, booking)


def asks_the_same(assignment: Assignment, booking: HostBooking) -> bool:
    """Return whether the host shows exactly what the guest asked for last, granted or not: place, time, stay, party, needs.

    A zone that an earlier release did not record counts as the same.
    """
    zone, end, needs = assignment.zone_ref, assignment.asked_until, assignment.needs
    if assignment.has_wish:
        zone, end, needs = assignment.asked_zone_ref, assignment.asked_ends_at, assignment.asked_needs or []
    shown = (booking.restaurant_ref, intake.stored_start(booking), intake.stored_party(booking))
    return (
        shown == assignment.last_asked
        and zone in (None, booking.zone_ref or "")
        and intake.asked_until(booking) == end
        and intake.asked_features(booking, assignment)[0] == set(needs)
    )


def is_withdrawn(assignment: Assignment, booking: HostBooking) -> bool:
    """Return whether the host shows what was promised, or less, in place of the noted wish, decided or not."""
    if not assignment.has_wish or is_shown(assignment, booking):
        return False
    shown = (booking.restaurant_ref, intake.stored_start(booking), intake.stored_party(booking))
    return (
        shown == (assignment.restaurant_ref, assignment.starts_at, assignment.party)
        and (booking.zone_ref or "") in ("", assignment.zone_ref)
        and intake.asked_until(booking) in (None, assignment.asked_until)
        and intake.asked_features(booking, assignment)[0] <= set(assignment.needs)
    )


def asks_no_more(
    assignment: Assignment, booking: HostBooking, seatings: Sequence[Allocation], *, facts: Mapping[str, Any]
) -> bool:
    """Return whether the booking asks for what was promised or less: the same start, no more guests, time or needs.

    ``facts``: those of the promise.
    """
    place = (booking.restaurant_ref, intake.stored_start(booking))
    until = min(seatings[0].stays_until, seatings[0].blocked.upper)
    return (
        place == (facts["restaurant_ref"], facts["starts_at"])
        and intake.stored_party(booking) <= facts["party"]
        and (booking.ends_at is None or booking.ends_at <= until)
        and (booking.zone_ref or "") in ("", facts["zone_ref"])
        and intake.asked_features(booking, assignment)[0] <= set(facts["needs"])
    )


def promised(
    booking: HostBooking, assignment: Assignment, seatings: Sequence[Allocation], *, keeps_stay: bool = True
) -> HostBooking:
    """Return the booking as it was promised, whatever the host shows now.

    ``keeps_stay``: False for a stay by today's turn times.
    """
    return replace(
        booking,
        restaurant_ref=assignment.restaurant_ref,
        starts_at=seatings[0].starts_at,
        party=assignment.party,
        zone_ref=assignment.zone_ref or None,
        ends_at=seatings[0].stays_until if keeps_stay else None,
        needs=tuple(assignment.needs),
    )
