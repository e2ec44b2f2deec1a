"""Context of the review queue's list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from assignments.admin.actor import names
from assignments.admin.evening.state import day_of
from assignments.admin.host_lookup import bookings_of, guests_of, label_of, restaurant_names
from assignments.admin.paginator import UncountedPaginator
from assignments.admin.restaurants import restaurants_of
from assignments.admin.review import sentences
from assignments.concurrency import transactions
from assignments.integration.floor_cache import floor_or_none, floors_or_none
from assignments.integration.host import Guest, HostBooking
from assignments.lifecycle import staff_decisions
from assignments.models import Assignment, StateTransition
from assignments.planning.floor import Floor
from assignments.staff import labels, review_queue
from assignments.staff.review_queue import Section

PER_PAGE = 50
KEPT = ("show", "restaurant", "date", "page")
"""Parameters of the list that links to a booking keep, for the way back."""

SECTIONS: Mapping[Section, Any] = {
    Section.REVIEW: gettext_lazy("Needs decision"),
    Section.FAILED: gettext_lazy("Failed"),
    Section.REJECTED: gettext_lazy("Rejected"),
    Section.PAST: gettext_lazy("Past"),
}
EMPTY: Mapping[Section, Any] = {
    Section.REVIEW: gettext_lazy("No bookings need a decision. A booking appears here when no planner could seat it."),
    Section.FAILED: gettext_lazy(
        "No bookings have failed. A booking appears here when it cannot be planned, for example without covers or a "
        "time."
    ),
    Section.REJECTED: gettext_lazy(
        "No upcoming bookings are rejected. Rejected bookings are listed here until their time has passed."
    ),
    Section.PAST: gettext_lazy(
        "No bookings. Those that were never decided are listed here once their time has passed."
    ),
}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """The selected section, restaurant and day of the queue."""

    section: Section = Section.REVIEW
    restaurant_ref: str = ""
    day: date | None = None

    @classmethod
    def of(cls, request: HttpRequest) -> "Filter":
        """Read the filter from the query string, ignoring invalid values."""
        show, restaurant, day = (request.GET.get(name, "") for name in ("show", "restaurant", "date"))
        return cls(
            section=Section(show) if show in list(Section) else Section.REVIEW,
            restaurant_ref="" if "\0" in restaurant else restaurant,
            day=day_of(day),
        )

    @property
    def values(self) -> dict[str, Any]:
        return {"restaurant_ref": self.restaurant_ref, "day": self.day, "floor": self.floor}

    @cached_property
    def floor(self) -> Floor | None:
        """The floor of the selected restaurant and day, by which a night belongs to its evening."""
        return floor_or_none(self.restaurant_ref) if self.restaurant_ref and self.day else None


def kept(request: HttpRequest, **changes: str) -> str:
    """Return the query string of the list, with these changes: ``?...``, or ""."""
    values = {name: request.GET.get(name, "") for name in KEPT} | changes
    query = urlencode({name: value for name, value in values.items() if value})
    return f"?{query}" if query else ""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the list. ``arrived``: the transition to the current state."""

    assignment: Assignment
    label: str
    restaurant: str
    booking: HostBooking | None
    floor: Floor | None
    arrived: StateTransition | None
    actors: Mapping[str, str]
    now: datetime
    guest: Guest | None = None

    @property
    def timezone(self) -> str:
        return self.floor.timezone if self.floor else "UTC"

    @property
    def is_late(self) -> bool:
        return self.assignment.start_to_decide < self.now

    @property
    def zone(self) -> str:
        return sentences.zone(self.booking.zone_ref, self.floor) if self.booking else ""

    @property
    def is_rejected(self) -> bool:
        return self.assignment.reason == staff_decisions.REJECTED

    @property
    def why(self) -> str:
        return labels.reason(self.assignment.reason, self.arrived.detail if self.arrived else "")

    @property
    def since(self) -> datetime:
        return self.arrived.at if self.arrived else self.assignment.requested_at

    @property
    def by(self) -> str:
        return self.actors[self.arrived.actor] if self.arrived else ""


def rows(request: HttpRequest, assignments: Sequence[Assignment], *, now: datetime) -> list[Row]:
    """Return the rows of a page of the list, with a constant number of queries."""
    bookings = bookings_of([each.booking_ref for each in assignments])
    refs = sorted({each.restaurant_ref for each in assignments})
    restaurants, floors = restaurant_names(refs), floors_or_none(refs) if refs else {}
    arrived = review_queue.latest_transitions(assignments) if assignments else {}
    actors = names({each.actor for each in arrived.values()})
    guests = guests_of(request, [each.booking_ref for each in assignments])
    return [
        Row(
            assignment=each,
            label=label_of(each.booking_ref),
            guest=guests.get(each.booking_ref),
            restaurant=restaurants[each.restaurant_ref],
            booking=bookings.get(each.booking_ref),
            floor=floors[each.restaurant_ref],
            arrived=arrived.get(each.pk),
            actors=actors,
            now=now,
        )
        for each in assignments
    ]


def _at_most(count: int) -> str:
    return f"{review_queue.MOST_COUNTED}+" if count > review_queue.MOST_COUNTED else str(count)


def page_context(request: HttpRequest) -> dict[str, Any]:
    """Return the list's context for this query string."""
    wanted, now, within = Filter.of(request), transactions.database_now(), restaurants_of(request)
    counts = review_queue.counts(now=now, within=within, **wanted.values)
    found = review_queue.queue(wanted.section, now=now, within=within, **wanted.values)
    page = UncountedPaginator(found, PER_PAGE).get_page(request.GET.get("page"))
    refs = review_queue.restaurants(now, within=within)
    return {
        "wanted": wanted,
        "tabs": [
            (SECTIONS[each], _at_most(counts[each]), kept(request, show=each, page=""), each is wanted.section)
            for each in Section
        ],
        "page": page,
        "rows": rows(request, list(page.object_list), now=now),
        "empty": EMPTY[wanted.section],
        "is_narrowed": bool(wanted.restaurant_ref or wanted.day),
        "restaurants": sorted(restaurant_names(refs).items(), key=lambda each: (each[1], each[0])),
        "earlier": kept(request, page=str(page.previous_page_number())) if page.has_previous() else "",
        "later": kept(request, page=str(page.next_page_number())) if page.has_next() else "",
        "everything": kept(request, restaurant="", date="", page=""),
        "kept": kept(request),
    }
