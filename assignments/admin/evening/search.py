"""Search bookings by label, number or guest. The text arrives by POST and is never stored."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from time import monotonic
from typing import Any

from django.db.models import Q
from django.http import HttpRequest

from assignments.admin.evening.state import State as PageState
from assignments.admin.host_lookup import find, guests_of, label_of, may_see_guests, restaurant_names
from assignments.admin.restaurants import limited
from assignments.integration.floor_cache import floors_or_none
from assignments.integration.host import Guest
from assignments.models import Assignment, State
from assignments.staff import labels
from assignments.staff.timeline import A_DAY, day_at

MOST = 50
"""Maximum bookings that are listed."""
LONGEST = 100
LABELLED = 2000
"""Maximum bookings whose labels are compared."""
PATIENCE = 0.5
"""Maximum seconds that labels are asked for: a project's may cost a query each."""
SHORTEST = 3
"""Characters from which a part of a label will do."""

NUMBERS = re.compile(r"\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    assignment: Assignment
    label: str
    guest: Guest | None
    restaurant: str
    day: date
    at: str
    state: str
    url: str


def search_context(request: HttpRequest, *, now: datetime) -> dict[str, Any]:
    """Return what a search found: the booking of that number, then those to come, nearest first."""
    text = request.POST.get("q", "").replace("\0", "").strip()[:LONGEST]
    labelled = _by_label(request, text, now) if text else None
    found = _found(request, text, now, labelled) if labelled else []
    return {
        "labels_until": labelled.until if labelled and not labelled.named else None,
        "asked": bool(text),
        "text": text,
        "found": found[:MOST],
        "has_more": len(found) > MOST,
        "may_see_guests": may_see_guests(request),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Labelled:
    """The bookings whose label is the text, and those whose label has it. ``until``: the last day that was looked at."""

    named: frozenset[str]
    similar: frozenset[str]
    until: date | None = None


def _by_label(request: HttpRequest, text: str, now: datetime) -> _Labelled:
    """Compare the labels of bookings of tonight and to come, soonest first. One query.

    At most ``LABELLED`` are looked at, for ``PATIENCE``, and none in a restaurant that the user may not see.
    """
    coming = Assignment.objects.filter(starts_at__gte=now - A_DAY).exclude(state=State.CANCELLED)
    rows = limited(request, coming).order_by("starts_at", "id").values_list("booking_ref", "service_date")[:LABELLED]
    wanted, named, similar = text.casefold(), set(), []
    ends, until = monotonic() + PATIENCE, None
    for ref, day in rows:
        if monotonic() > ends:
            until = day
            break
        label = label_of(ref).casefold()
        if label == wanted:
            named.add(ref)
        elif len(wanted) >= SHORTEST and wanted in label:
            similar.append(ref)
    return _Labelled(
        named=frozenset(named), similar=frozenset() if named else frozenset(similar[: MOST + 1]), until=until
    )


def _found(request: HttpRequest, text: str, now: datetime, labelled: _Labelled) -> list[Found]:
    named, similar = labelled.named, labelled.similar
    exact = {text, *NUMBERS.findall(text)[-1:], *named}
    refs = {*find(request, text, limit=MOST + 1), *exact, *similar}
    # A walk-in's label ends with the end of its ref.
    walk_in = Q(booking_ref__startswith="walk-in:", booking_ref__endswith=text[-4:]) if len(text) >= 4 else Q(pk__in=[])
    wanted = limited(request, Assignment.objects.filter(Q(booking_ref__in=refs) | walk_in))
    rows = list(wanted.order_by("-starts_at")[: 4 * MOST])
    rows.sort(key=lambda row: (row.booking_ref not in exact, row.starts_at < now, abs(row.starts_at - now)))
    rows = rows[: MOST + 1]
    venues = sorted({row.restaurant_ref for row in rows})
    names, floors = (restaurant_names(venues), floors_or_none(venues)) if venues else ({}, {})
    guests = guests_of(request, [row.booking_ref for row in rows])

    def shown(row: Assignment) -> Found:
        floor = floors[row.restaurant_ref]
        zone = labels.Words(floor).zone
        day = day_at(floor, row.starts_at)
        return Found(
            assignment=row,
            label=label_of(row.booking_ref),
            guest=guests.get(row.booking_ref),
            restaurant=names[row.restaurant_ref],
            day=day,
            at=f"{row.starts_at.astimezone(zone):%H:%M}",
            state=labels.state(row.state),
            url=PageState(restaurant=row.restaurant_ref, day=day, booking=row.pk).link(),
        )

    return [shown(row) for row in rows]
