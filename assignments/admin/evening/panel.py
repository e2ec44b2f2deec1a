"""The panel beside the grid: one booking, table, zone or closure, and what can be done with it.

Long because each kind of panel is a list of what can be done, and the kinds share their buttons and refusals.
"""

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments.admin import links
from assignments.admin.evening.grid import OVERDUE
from assignments.admin.evening.state import State
from assignments.admin.host_lookup import guests_of, host_view, in_labels, label_of
from assignments.admin.timeline_svg import clock, seats, zone_name
from assignments.coordination import staff_actions, undoing
from assignments.error_logging import log_error
from assignments.integration.host import Guest, HostBooking
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger, staff_decisions
from assignments.models import GONE, Allocation, Assignment, Closure, ReviewItem, Stage, TablePlace
from assignments.models import State as Decided
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.staff import floor_plan, labels, moves, review_queue
from assignments.staff.moments import moment
from assignments.staff.moves import Choice, Fit, InTheWay, Moves

logger = logging.getLogger("assignments.evening")

STEP = timedelta(minutes=15)
BEST = 3
"""Options that the panel shows at once."""
USUAL_PARTY = 2

UNDO: Mapping[str, Any] = {
    staff_decisions.Undo.ASSIGNMENT: gettext_lazy("Take back the tables"),
    staff_decisions.Undo.REJECTION: gettext_lazy("Take back the rejection"),
    staff_decisions.Undo.STAGE: gettext_lazy("Undo the last stage"),
    staff_decisions.Undo.MOVE: gettext_lazy("Move back"),
    staff_decisions.Undo.SWAP: gettext_lazy("Swap back"),
    staff_decisions.Undo.STAY: gettext_lazy("Undo the new end"),
    staff_decisions.Undo.WALK_IN: gettext_lazy("They did not sit down"),
    staff_decisions.Undo.RELEASE: gettext_lazy("Assign the tables again"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """A form of one button. ``key``: the shortcut. ``about``: more words for its name, for screen readers."""

    url: str
    text: str
    hidden: tuple[tuple[str, Any], ...] = ()
    look: str = ""
    key: str = ""
    about: str = ""
    to: str = ""
    form: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A table, or tables, in the panel. ``button``: gives them to the booking. ``url``: shows what that would mean."""

    ref: str
    name: str
    note: str
    fit: str
    why: str
    button: Button | None = None
    url: str = ""


def booking_panel(
    request: HttpRequest,
    assignment: Assignment,
    state: State,
    *,
    floor: Floor | None,
    now: datetime,
    may: Mapping[str, bool],
    guests: Mapping[str, Guest] | None = None,
) -> dict[str, Any]:
    """Return what the panel says about a booking, and its buttons. ``guests``: who comes, as far as it is known already."""
    ref = assignment.booking_ref
    known = guests if guests and ref in guests else guests_of(request, [ref])
    zone: tzinfo = floor.zone if floor else UTC
    words = labels.Words(floor)
    seen = host_view(assignment.booking_ref)
    seatings = ledger.seatings_of([assignment.booking_ref]).get(assignment.booking_ref, [])
    holds = _holds(assignment, now) if not seatings else []
    rows = seatings or holds
    booking = seen.booking
    found: dict[str, Any] = {
        "kind": "booking",
        "assignment": assignment,
        "label": seen.label or label_of(assignment.booking_ref),
        "guest": known.get(ref),
        "tables": words.tables([row.table_ref for row in rows]) if rows else "",
        "times": _("%(start)s-%(end)s")
        % {"start": clock(rows[0].starts_at, zone), "end": clock(rows[0].stays_until, zone)}
        if rows
        else clock(assignment.starts_at, zone),
        "is_held": bool(holds),
        "stage": labels.stage(assignment.stage),
        "state": labels.state(assignment.state),
        "planner": labels.planner(assignment.planner) if assignment.planner else "",
        "trouble": _trouble(assignment, seatings, now),
        "pinned": words.tables(assignment.pinned_table_refs) if assignment.pinned_table_refs else "",
        "zone_wish": zone_name(booking.zone_ref, floor) if booking and booking.zone_ref else "",
        "problem": seen.problem,
        "links": _links(request, assignment, seen.url),
        "may_act": may["assign"],
    }
    common = (("version", assignment.version),)
    if may["assign"]:
        found["stages"] = _stages(assignment, seatings, state, common, now)
        found["stays"] = _stays(assignment, seatings, state, common, now, floor)
        found["others"] = _others(assignment, seatings, holds, state, common)
        found |= _undo(assignment, state, common, now)
    is_to_sit = assignment.stage not in GONE or "undo_refused" in found  # They may be back, and their table taken.
    if booking is not None and floor is not None and is_to_sit and assignment.state != Decided.CANCELLED:
        found |= _where(assignment, booking, seatings, state, floor, common, now=now, may_act=may["assign"])
    return found


def _holds(assignment: Assignment, now: datetime) -> list[Allocation]:
    return list(
        Allocation.objects.filter(
            booking_ref=assignment.booking_ref, kind=Allocation.Kind.HOLD, expires_at__gt=now
        ).order_by("table_ref")
    )


def _trouble(assignment: Assignment, seatings: Sequence[Allocation], now: datetime) -> str:
    """Say what is wrong, and the way out."""
    if assignment.state in staff_decisions.WAITING_FOR_STAFF:
        shared = ledger.sharing_tables(seatings) if seatings else []
        if shared:
            text = _("%(why)s The other booking: %(others)s. Move one of them, shorten the stay, or note who has left.")
            others = ", ".join(label_of(ref) for ref in shared)
            return text % {"why": labels.reason(assignment.reason), "others": others}
        return labels.reason(assignment.reason)
    if not seatings or assignment.stage in GONE:
        return ""
    first = seatings[0]
    is_awaited = assignment.stage in {Stage.EXPECTED, Stage.LATE}
    if is_awaited and first.starts_at + OVERDUE < now:
        return _("The guests are not here yet. Note that they are late, or that they did not come.")
    if assignment.stage == Stage.ARRIVED and first.stays_until <= now:
        return _("The guests arrived and were never seated. Note that they sit or have left, or let them stay longer.")
    if assignment.stage == Stage.SEATED and first.stays_until < now:
        return _("The guests should have left. Note that they have, or let them stay longer.")
    return ""


def _links(request: HttpRequest, assignment: Assignment, host_url: str) -> list[tuple[str, str]]:
    found = [(links.permitted(request, Assignment, assignment.pk), _("History and reasons"))]
    if assignment.state in staff_decisions.WAITING_FOR_STAFF:
        found.append((links.permitted(request, ReviewItem, assignment.pk), _("Review queue")))
    found.append((host_url, _("In the booking project")))
    return [(url, text) for url, text in found if url]


_STAGES = (
    (Stage.LATE, gettext_lazy("Late"), "e"),
    (Stage.ARRIVED, gettext_lazy("Arrived"), "a"),
    (Stage.SEATED, gettext_lazy("Seated"), "s"),
    (Stage.LEFT, gettext_lazy("Left"), "l"),
    (Stage.NO_SHOW, gettext_lazy("No-show"), "n"),
)
_FOLLOWING: Mapping[str, frozenset[str]] = {
    Stage.EXPECTED: frozenset({Stage.LATE, Stage.ARRIVED, Stage.SEATED, Stage.NO_SHOW}),
    Stage.LATE: frozenset({Stage.ARRIVED, Stage.SEATED, Stage.NO_SHOW}),
    Stage.ARRIVED: frozenset({Stage.SEATED, Stage.LEFT}),
    Stage.SEATED: frozenset({Stage.LEFT}),
}


def _stages(
    assignment: Assignment,
    seatings: Sequence[Allocation],
    state: State,
    common: tuple[tuple[str, Any], ...],
    now: datetime,
) -> list[Button]:
    if not seatings:
        return []
    offered = set(_FOLLOWING.get(assignment.stage, ()))
    if seatings[0].starts_at > now:
        offered -= {Stage.NO_SHOW}
    return [
        Button(url=state.act(stage.value), text=str(text), hidden=common, key=key)
        for stage, text, key in _STAGES
        if stage in offered
    ]


def _stays(
    assignment: Assignment,
    seatings: Sequence[Allocation],
    state: State,
    common: tuple[tuple[str, Any], ...],
    now: datetime,
    floor: Floor | None,
) -> list[Button]:
    if not seatings or assignment.stage in GONE:
        return []
    first, zone = seatings[0], floor.zone if floor else UTC
    ends = first.stays_until
    found = []
    for step, key in ((-STEP, "-"), (STEP, "+")):
        # Guests who sit there after their time stay a quarter of an hour from now on.
        until = max(ends, now.replace(second=0, microsecond=0)) + step if step > timedelta(0) else ends + step
        if until > max(now, first.starts_at):
            minutes = int(step / timedelta(minutes=1))
            text, about = _("%(minutes)s min"), _("until %(until)s") % {"until": clock(until, zone)}
            against = staff_actions.closing_before(seatings, until, floor=floor)
            if against:
                text = _("%(minutes)s min, not by the rules")
                about = " ".join([about, *(str(in_labels(each.detail)) for each in against)])
            found.append(
                Button(
                    url=state.act("extend"),
                    text=text % {"minutes": f"{minutes:+d}"},
                    about=about,
                    hidden=(
                        *common,
                        ("until", round(until.timestamp())),
                        *(("overriding", code) for code in sorted({each.reason.value for each in against})),
                    ),
                    key=key,
                    look="page-grave" if against else "",
                )
            )
    return found


def _others(
    assignment: Assignment,
    seatings: Sequence[Allocation],
    holds: Sequence[Allocation],
    state: State,
    common: tuple[tuple[str, Any], ...],
) -> list[Button]:
    found = []
    if assignment.pinned_table_refs:
        found.append(Button(url=state.act("unpin"), text=_("Unpin"), hidden=common, key="p"))
    elif seatings and assignment.stage not in GONE:
        found.append(Button(url=state.act("pin"), text=_("Pin"), hidden=common, key="p"))
    if seatings and assignment.stage not in {Stage.SEATED, *GONE}:
        found.append(Button(url=state.act("free"), text=_("Free tables"), hidden=common, key="f", look="page-grave"))
    if holds:
        found.append(Button(url=state.act("release_hold"), text=_("Release hold"), hidden=common, key="f"))
    return found


def _undo(assignment: Assignment, state: State, common: tuple[tuple[str, Any], ...], now: datetime) -> dict[str, Any]:
    offer = undoing.offered(assignment, now=now, host=configured())
    if offer is None:
        return {}
    text = str(UNDO[offer.what])
    if offer.partner_ref and offer.what is not staff_decisions.Undo.SWAP:
        text = _("%(undo)s, and move %(booking)s back") % {"undo": text, "booking": label_of(offer.partner_ref)}
    if offer.against:
        return {"undo_refused": text, "undo_against": [in_labels(each.detail) for each in offer.against]}
    return {"undo": Button(url=state.act("undo"), text=text, hidden=common, key="u")}


# Where it could sit


def _where(
    assignment: Assignment,
    booking: HostBooking,
    seatings: list[Allocation],
    state: State,
    floor: Floor,
    common: tuple[tuple[str, Any], ...],
    *,
    now: datetime,
    may_act: bool,
) -> dict[str, Any]:
    host = configured()
    try:
        found = moves.moves_of(booking, assignment, seatings, host=host, now=now)
        shown = moves.preview(booking, assignment, found, state.to, host=host, now=now) if state.to else None
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (by type: a host's message may name a guest; the other buttons remain)
        log_error(logger, error, "Tables for booking %s could not be determined", assignment.booking_ref)
        return {"problem": _("Available tables could not be determined (%(error)s).") % {"error": type(error).__name__}}
    if not seatings and found.place.window.ends_at <= now:  # Tables for that time would be free again at once.
        return {"problem": _("The time of this booking is over. If its guests are here, seat them as a walk-in.")}
    words = labels.Words(floor)
    return {
        "best": [_option(option, state, words, common, may_act=may_act) for option in found.ranked[:BEST]],
        "places": [_place(choice, state, words, common, may_act=may_act) for choice in found.choices],
        "preview": _preview(shown, found, state, words, common, may_act=may_act) if shown else None,
    }


def _give(
    table_refs: Sequence[str],
    state: State,
    common: tuple[tuple[str, Any], ...],
    *,
    text: str,
    about: str = "",
    against: Iterable[Refusal] = (),
    look: str = "",
    to: str = "",
) -> Button:
    hidden = (
        *common,
        *(("tables", ref) for ref in table_refs),
        *(("overriding", code) for code in sorted({each.reason.value for each in against})),
    )
    return Button(url=state.act("seat"), text=text, about=about, hidden=hidden, look=look, to=to)


def _option(
    option: review_queue.Option,
    state: State,
    words: labels.Words,
    common: tuple[tuple[str, Any], ...],
    *,
    may_act: bool,
) -> Place:
    name = words.tables(option.table_refs)
    spare = option.spare_seats
    note = (
        ngettext("%(count)s spare seat", "%(count)s spare seats", spare) % {"count": spare} if spare else _("exact fit")
    )
    button = (
        _give(option.table_refs, state, common, text=_("Seat at %(tables)s") % {"tables": name}) if may_act else None
    )
    return Place(ref=" ".join(option.table_refs), name=name, note=note, fit=Fit.FITS, why="", button=button)


_FITS: Mapping[Fit, Any] = {
    Fit.HERE: gettext_lazy("has the table"),
    Fit.FITS: gettext_lazy("fits"),
    Fit.JOINED: gettext_lazy("fits together with others"),
    Fit.DESPITE: gettext_lazy("against a rule"),
    Fit.TAKEN: gettext_lazy("taken"),
    Fit.NEVER: gettext_lazy("not possible"),
}


def _place(
    choice: Choice, state: State, words: labels.Words, common: tuple[tuple[str, Any], ...], *, may_act: bool
) -> Place:
    name = choice.table.name
    why = str(_FITS[choice.fit])
    if choice.fit is Fit.TAKEN:
        why = _("taken by %(bookings)s") % {"bookings": ", ".join(label_of(ref) for ref in choice.taken_by)}
        others = [in_labels(each.detail) for each in choice.against if each.reason is not Reason.TABLE_TAKEN]
        why = ". ".join([why, *others])
    elif choice.fit is Fit.JOINED:
        why = _("fits as %(tables)s") % {"tables": words.tables(choice.table_refs)}
    elif choice.against:
        why = " ".join(in_labels(each.detail) for each in choice.against)
    fits = choice.fit in {Fit.FITS, Fit.JOINED}
    button = None
    if may_act and fits:
        button = _give(
            choice.table_refs, state, common, text=_("Seat"), about=words.tables(choice.table_refs), to=choice.table.ref
        )
    return Place(
        ref=choice.table.ref,
        name=name,
        note=seats(choice.table.seats),
        fit=choice.fit.value,
        why=why,
        button=button,
        url=state.link(to=choice.table_refs) if choice.fit in {Fit.DESPITE, Fit.TAKEN} else "",
    )


def _preview(
    shown: moves.Preview,
    found: Moves,
    state: State,
    words: labels.Words,
    common: tuple[tuple[str, Any], ...],
    *,
    may_act: bool,
) -> dict[str, Any]:
    tables = words.tables(shown.table_refs)
    buttons: list[Button] = []
    lines: list[str] = []
    if not shown.against:
        lines.append(_("Nobody else moves."))
        buttons.append(_give(shown.table_refs, state, common, text=_("Move to %(tables)s") % {"tables": tables}))
    elif shown.is_free:
        lines += [in_labels(each.detail) for each in shown.against]
        if shown.may_be_passed_over:
            buttons.append(_give(shown.table_refs, state, common, text=_("Move anyway"), against=shown.against))
    else:
        rows = {
            row.booking_ref: row
            for row in Assignment.objects.filter(booking_ref__in=[e.booking_ref for e in shown.in_the_way])
        }
        for each in shown.in_the_way:
            row = rows.get(each.booking_ref)
            lines.append(_("%(booking)s has it then.") % {"booking": label_of(each.booking_ref)})
            if each.sits:
                lines.append(_("Its guests sit there now."))
            if row is not None:
                buttons += _around(each, row, shown, state, words, common)
        if not buttons:
            lines.append(_("It cannot sit anywhere else. Choose another table."))
    return {"tables": tables, "lines": lines, "buttons": buttons if may_act else []}


def _around(
    way: InTheWay,
    row: Assignment,
    shown: moves.Preview,
    state: State,
    words: labels.Words,
    common: tuple[tuple[str, Any], ...],
) -> list[Button]:
    found = []
    label = label_of(way.booking_ref)
    other = (*common, ("other", row.pk), ("other_version", row.version))
    rules = [each for each in shown.against if each.reason is not Reason.TABLE_TAKEN]
    if way.elsewhere:
        hidden = (
            *other,
            *(("tables", ref) for ref in shown.table_refs),
            *(("other_tables", ref) for ref in way.elsewhere),
            *(("overriding", code) for code in sorted({each.reason.value for each in rules})),
        )
        text = _("Move both: %(booking)s to %(tables)s") % {"booking": label, "tables": words.tables(way.elsewhere)}
        found.append(Button(url=state.act("displace"), text=text, hidden=hidden))
    if way.swap is not None:
        codes = sorted({each.reason.value for each in way.swap})
        about = " ".join(in_labels(each.detail) for each in way.swap)
        found.append(
            Button(
                url=state.act("swap"),
                text=_("Swap with %(booking)s") % {"booking": label},
                about=about,
                hidden=(*other, *(("overriding", code) for code in codes)),
            )
        )
    return found


# Tables, zones, closures, walk-ins


def closing_panel(
    state: State, *, floor: Floor | None, may: Mapping[str, bool], is_over: bool, is_to_come: bool
) -> dict[str, Any] | None:
    """Return the form that closes a table, a zone or the restaurant; None if the floor does not have it.

    ``is_over``: nothing can be closed on a day that is over. ``is_to_come``: a later day is closed as a whole.
    """
    if floor is None:
        return None
    hidden: tuple[tuple[str, Any], ...]
    place: dict[str, Any] = {}
    if state.table:
        table = floor.table_by_ref.get(state.table)
        if table is None:
            return None
        title = _("Table %(name)s") % {"name": table.name}
        note, hidden, text = seats(table.seats), (("tables", table.ref),), _("Close the table")
        if state.view and may["place"]:
            place = _place_form(state, floor, table.ref)
    elif state.zone:
        if state.zone not in {table.zone_ref for table in floor.tables}:
            return None
        title, note = zone_name(state.zone, floor), ""
        hidden, text = (("zone", state.zone),), _("Close the zone")
    else:
        title, note, hidden, text = _("The whole restaurant"), "", (("house", 1),), _("Close the restaurant")
    button = Button(url=state.bare.act("close"), text=text, hidden=hidden, look="page-grave")
    return {
        "kind": "closing",
        "label": title,
        "note": note,
        "button": button if may["close"] and not is_over else None,
        "is_over": is_over,
        "is_to_come": is_to_come,
        **place,
    }


def _place_form(state: State, floor: Floor, table_ref: str) -> dict[str, Any]:
    """Return the form that says where a table stands on the floor plan. One query."""
    places = floor_plan.places_of(floor.restaurant_ref)
    found = floor_plan.plan_of(floor, places)
    at = next(each for each in found.tables if each.table.ref == table_ref)
    hidden = (("tables", table_ref), ("seen", at.version))
    return {
        "place": Button(url=state.act("place"), text=_("Place the table"), hidden=hidden),
        "unplace": Button(url=state.act("unplace"), text=_("Back to its zone's row"), hidden=hidden)
        if at.is_placed
        else None,
        "x": at.x,
        "y": at.y,
        "shape": at.shape,
        "shapes": TablePlace.Shape.choices,
        "most_x": TablePlace.PLAN_WIDTH,
        "most_y": TablePlace.PLAN_HEIGHT,
    }


def closure_panel(
    state: State, *, floor: Floor | None, now: datetime, may: Mapping[str, bool]
) -> dict[str, Any] | None:
    """Return what the panel says about a closure; None if there is no such closure."""
    closure = Closure.objects.not_lifted().filter(pk=state.closure or 0, restaurant_ref=state.restaurant).first()
    if closure is None:
        return None
    zone: tzinfo = floor.zone if floor else UTC
    if closure.is_whole_restaurant:
        what = _("all tables")
    else:
        what = (
            zone_name(closure.zone_ref, floor) if closure.zone_ref else labels.Words(floor).tables(closure.table_refs)
        )
    ends = moment(closure.ends_at, zone) if closure.ends_at else _("until further notice")
    common = (("closure", closure.pk), ("closure_version", closure.version))
    return {
        "closure": closure.pk,
        "edit": Button(url=state.act("edit_closure"), text=_("Change the times"), hidden=common, look="default"),
        "stays": _other_ends(closure, state, common, now, zone),
        "fields": [
            _when("starts", _("From"), closure.starts_at, zone, is_needed=True),
            _when("ends", _("Until"), closure.ends_at, zone, is_needed=False),
        ],
        "kind": "closure",
        "label": _("Closed: %(what)s") % {"what": what},
        "starts": moment(closure.starts_at, zone),
        "ends": ends,
        "reason": closure.reason,
        "button": lift_button(state, closure) if may["lift"] else None,
    }


def lift_button(state: State, closure: Closure) -> Button:
    hidden = (("closure", closure.pk), ("closure_version", closure.version))
    return Button(url=state.bare.act("lift"), text=_("Lift the closure"), hidden=hidden)


def _when(name: str, text: str, at: datetime | None, zone: tzinfo, *, is_needed: bool) -> dict[str, Any]:
    """Return what the fields of a moment show: a date, and a time of 24 hours."""
    local = at.astimezone(zone) if at else None
    return {
        "name": name,
        "text": text,
        "day": f"{local:%Y-%m-%d}" if local else "",
        "time": f"{local:%H:%M}" if local else "",
        "is_needed": is_needed,
    }


def _other_ends(
    closure: Closure, state: State, common: tuple[tuple[str, Any], ...], now: datetime, zone: tzinfo
) -> list[Button]:
    if closure.ends_at is None:
        return []
    return [
        Button(
            url=state.act("edit_closure"),
            text=_("%(minutes)s min") % {"minutes": f"{round(step / timedelta(minutes=1)):+d}"},
            about=_("until %(until)s") % {"until": clock(closure.ends_at + step, zone)},
            hidden=(*common, ("ends_at", round((closure.ends_at + step).timestamp()))),
            key=key,
        )
        for step, key in ((-STEP, "-"), (STEP, "+"))
        if closure.ends_at + step > max(now, closure.starts_at)
    ]


def walk_in_panel(state: State, *, may: Mapping[str, bool], party: str = "") -> dict[str, Any]:
    """Return the form that seats guests who have just come in. ``party``: what was written there before."""
    button = Button(url=state.bare.act("walk_in"), text=_("Seat now"), look="default")
    return {
        "kind": "walk_in",
        "label": _("Walk-in"),
        "button": button if may["assign"] else None,
        "party": party if party.isdecimal() else USUAL_PARTY,
    }
