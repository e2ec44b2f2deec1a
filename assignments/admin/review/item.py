"""Context of the review page of one booking."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby, pairwise
from typing import Any
from urllib.parse import urlencode

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from assignments import api
from assignments.admin import links
from assignments.admin.actor import names
from assignments.admin.host_lookup import guests_of, host_view, label_of, restaurant_names
from assignments.admin.review import sentences
from assignments.concurrency import transactions
from assignments.coordination import host_changes
from assignments.error_logging import log_error
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, is_cancelled
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger, staff_decisions, waiting
from assignments.models import OPEN_STATES, Allocation, Assignment, ReviewItem, State
from assignments.planning.floor import Floor
from assignments.planning.reasons import Refusal
from assignments.planning.snapshot import Occupied
from assignments.staff import labels, review_queue

logger = logging.getLogger("assignments.review")


def context(
    request: HttpRequest,
    assignment: Assignment,
    *,
    chosen: Sequence[str] = (),
    refusals: Sequence[Refusal] | None = None,
) -> dict[str, Any]:
    """Return the page's context. ``chosen``: selected tables. ``refusals``: reasons against them, if they were checked."""
    host, now = configured(), transactions.database_now()
    seen = host_view(assignment.booking_ref)
    booking, problem = seen.booking, seen.problem
    seatings = _seatings(assignment)
    if booking is not None and not booking.wants_table and (is_cancelled(booking) or not seatings):
        booking, problem = None, _("The booking no longer needs a table: it is cancelled or over.")
    floor = floor_or_none(assignment.restaurant_ref, host=host)
    arrived = review_queue.latest_transitions([assignment]).get(assignment.pk)
    undo = staff_decisions.undoable(assignment)
    actors = names({arrived.actor} if arrived else set())
    is_waiting = assignment.state in staff_decisions.WAITING_FOR_STAFF
    is_rejected = assignment.reason == staff_decisions.REJECTED
    evening_url = links.evening(request, assignment.restaurant_ref, assignment.starts_at, floor)
    found: dict[str, Any] = {
        "assignment": assignment,
        "label": seen.label,
        "guest": guests_of(request, [assignment.booking_ref]).get(assignment.booking_ref),
        "host_url": seen.url,
        "evening_url": f"{evening_url}&{urlencode({'booking': assignment.pk})}" if evening_url else "",
        "restaurant": restaurant_names([assignment.restaurant_ref])[assignment.restaurant_ref],
        "timezone": floor.timezone if floor else "UTC",
        "state": labels.state(assignment.state),
        "why": labels.reason(assignment.reason, "" if is_rejected or not arrived else arrived.detail),
        "detail": arrived.detail if is_rejected and arrived else _detail(assignment, floor),
        "since": arrived.at if arrived else assignment.requested_at,
        "by": actors[arrived.actor] if arrived else "",
        "zone_wish": sentences.zone(booking.zone_ref, floor) if booking else "",
        "pinned": sentences.tables(assignment.pinned_table_refs, floor) if assignment.pinned_table_refs else "",
        "is_late": assignment.start_to_decide < now,
        "is_waiting": is_waiting,
        "is_rejected": is_rejected,
        "is_open": assignment.state in OPEN_STATES,
        "undo": undo,
        "problem": problem,
        "promised": _promised(seatings, floor) if is_waiting else None,
        "asks_until": booking.ends_at if booking else None,
        "sharing": _sharing(request, seatings) if assignment.reason == waiting.OVERLAPPING else (),
        "may_be_rejected": is_waiting and not is_rejected and host_changes.may_be_rejected(assignment, seatings),
    }
    if assignment.state == State.CONFIRMED:
        found["seated"] = sentences.tables(_refs(seatings, floor), floor) if seatings else ""
    if is_waiting and not is_rejected and booking is not None:
        found |= _options(assignment, booking, host, now, seatings=seatings, chosen=chosen, refusals=refusals)
    return found


def _seatings(assignment: Assignment) -> list[Allocation]:
    if assignment.state not in {State.CONFIRMED, State.MANUAL_REVIEW}:
        return []
    return ledger.seatings_of([assignment.booking_ref]).get(assignment.booking_ref, [])


def _refs(seatings: Sequence[Allocation], floor: Floor | None) -> Sequence[str]:
    refs = [row.table_ref for row in seatings]
    return floor.in_order(refs) if floor else refs


def _promised(seatings: Sequence[Allocation], floor: Floor | None) -> dict[str, Any] | None:
    """Return what the guests keep while staff decide: tables, time and covers."""
    if not seatings:
        return None
    first = seatings[0]
    return {
        "tables": sentences.tables(_refs(seatings, floor), floor),
        "starts_at": first.starts_at,
        "ends_at": first.ends_at,
        "stays_until": first.overstays_until,
        "party": first.party,
    }


def _sharing(request: HttpRequest, seatings: Sequence[Allocation]) -> list[tuple[str, str]]:
    """Return the labels of other bookings that expect the same table, and the URLs at which staff decide about them."""
    refs = ledger.sharing_tables(seatings)
    found = {row.booking_ref: row for row in Assignment.objects.filter(booking_ref__in=refs)} if refs else {}

    def url(ref: str) -> str:
        row = found.get(ref)
        if row is None:
            return ""
        model = ReviewItem if row.state in staff_decisions.WAITING_FOR_STAFF else Assignment
        return links.permitted(request, model, row.pk)

    return [(label_of(ref), url(ref)) for ref in refs]


def _detail(assignment: Assignment, floor: Floor | None) -> str:
    """Return the planner's explanation with values, or "" if no planner sent the booking here."""
    last = assignment.tries.exclude(planner=api.MANUAL).order_by("-id").first()
    return labels.Words(floor).attempt(last) if last and last.reason == assignment.reason else ""


def _options(
    assignment: Assignment,
    booking: HostBooking,
    host: Host,
    now: datetime,
    *,
    seatings: Sequence[Allocation],
    chosen: Sequence[str],
    refusals: Sequence[Refusal] | None,
) -> dict[str, Any]:
    try:
        options = review_queue.options(booking, assignment, host=host, now=now, seatings=seatings)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (by type: a host's message may name a guest; retry and reject remain)
        log_error(logger, error, "Options for booking %s could not be determined", assignment.booking_ref)
        return {"problem": _("Available tables could not be determined (%(error)s).") % {"error": type(error).__name__}}
    floor = options.floor
    if floor is None:
        return {"problem": labels.render(options.problem)}
    return {
        "options": options,
        "fitting": _ranked(options.fitting, floor),
        "by_passing_over": [_option(option, floor) for option in options.by_passing_over],
        "refusal": labels.reason(options.refusal.reason) if options.refusal else "",
        "refusal_detail": labels.render(options.refusal.detail) if options.refusal else "",
        "lost": labels.lost(options.rejected),
        "other_zone": sentences.tables(options.other_zone.table_refs, floor) if options.other_zone else "",
        "other_times": [(hint.starts_at, sentences.tables(hint.table_refs, floor)) for hint in options.other_times],
        "places": _places(options.places, floor, chosen),
        "chosen": sentences.tables(chosen, floor) if chosen else "",
        "chosen_refs": chosen,
        "judged": refusals is not None,
        "refusals": [labels.render(each.detail) for each in refusals or ()],
        "overriding": sorted(review_queue.overridable(refusals or ())),
    }


def _ranked(options: Sequence[review_queue.Option], floor: Floor) -> list[dict[str, Any]]:
    """Add to each option why it ranks above the next."""
    rows, said = [_option(option, floor) for option in options], labels.Words(floor)
    plans = [option.plan for option in options if option.plan]
    reasons = [said.preferred(plan, following) for plan, following in pairwise(plans)]
    return [row | {"why": why} for row, why in zip(rows, [*reasons, ""], strict=False)]


def _option(option: review_queue.Option, floor: Floor) -> dict[str, Any]:
    """Return tables that can be assigned with one click. ``overriding``: the overridden rules, by reason and in words."""
    plan = option.plan
    return {
        "tables": sentences.tables(option.table_refs, floor),
        "table_refs": option.table_refs,
        "seats": option.seats,
        "spare_seats": max(option.spare_seats, 0),
        "missing_seats": max(-option.spare_seats, 0),
        "zone": sentences.zone(option.zone_ref, floor),
        "score": f"{plan.score:.1f}" if plan else "",
        "shares": sentences.shares(plan.breakdown) if plan else (),
        "overriding": [(each.reason.value, labels.render(each.detail)) for each in option.overriding],
    }


def _places(
    places: Sequence[review_queue.Place], floor: Floor, chosen: Sequence[str]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """Group the floor's tables by zone."""
    booking_labels = {
        taken.booking_ref: label_of(taken.booking_ref) for each in places for taken in each.taken if taken.booking_ref
    }
    return [
        (sentences.zone(zone_ref, floor), [_place(each, booking_labels, chosen) for each in of_zone])
        for zone_ref, of_zone in groupby(places, key=lambda each: each.table.zone_ref)
    ]


def _place(place: review_queue.Place, booking_labels: Mapping[str, str], chosen: Sequence[str]) -> dict[str, Any]:
    """Return a table to select by hand. ``taken``: label, start and end of each occupied time."""

    def who(taken: Occupied) -> str:
        return booking_labels[taken.booking_ref] if taken.booking_ref else _("closed")

    return {
        "ref": place.table.ref,
        "name": place.table.name,
        "seats": place.table.seats,
        "is_active": place.table.active,
        "is_chosen": place.table.ref in chosen,
        "taken": [(who(taken), taken.blocked_from, taken.blocked_until) for taken in place.taken],
    }
