"""Actions of the evening's page. All changes go through ``assignments.api``; each form acts once.

Long because it is a list: one short function for each thing that people do there.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext as _

from assignments import api
from assignments.admin import project_refusal
from assignments.admin.actor import actor, names
from assignments.admin.evening import door, recent_changes, record
from assignments.admin.evening.panel import UNDO, Button, lift_button
from assignments.admin.evening.state import State
from assignments.admin.host_lookup import in_labels, label_of
from assignments.admin.timeline_svg import clock
from assignments.concurrency import locks, transactions
from assignments.error_logging import log_error
from assignments.exceptions import (
    AssignmentNotFoundError,
    BookingBusyError,
    BookingNotFoundError,
    ChangedMeanwhileError,
    ClosureLiftedError,
    ClosureNotFoundError,
    InvalidBookingError,
    LockContentionError,
    NoTableFreeError,
    StaleAssignmentError,
    TablesRefusedError,
    TableTakenError,
    TransitionRefusedError,
)
from assignments.integration.floor_cache import floor_or_none
from assignments.lifecycle import ledger
from assignments.lifecycle.staff_decisions import Undo
from assignments.models import Allocation, Assignment, Closure, QueuedParty, StaffAction, TablePlace
from assignments.outcome import Change
from assignments.planning.floor import Floor
from assignments.planning.reasons import OVERRIDABLE, Reason
from assignments.planning.seating_window import local_to_aware
from assignments.staff import floor_plan, labels, timeline
from assignments.staff.moments import moment

logger = logging.getLogger("assignments.evening")

BUSY = (BookingBusyError, LockContentionError, StaleAssignmentError, TableTakenError)
GONE = (AssignmentNotFoundError, BookingNotFoundError, InvalidBookingError)
LONGEST_PARTY = 500
LONGEST_REASON = 200


class MistakenError(Exception):
    """Raised when a form was filled in wrongly; the message says how, in the user's language."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """The result of a form. ``level``: success, warning or error. ``state``: what the page shows next.

    ``undo``: the key of the assignment whose change can be taken back. ``offers``: what takes back a change of a closure.
    """

    level: str
    text: str
    state: State
    undo: int | None = None
    offers: tuple[Button, ...] = ()

    def kept(self) -> dict[str, Any]:
        """Return what a session keeps of it, for the page that a form without scripts leads to."""
        offers = [
            {"url": each.url, "text": each.text, "hidden": each.hidden, "look": each.look, "key": each.key}
            for each in self.offers
        ]
        return {"level": self.level, "text": self.text, "undo": self.undo, "offers": offers}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any], state: State) -> "Said":
        """Return what ``kept`` has given, with new ids for the forms of its buttons."""
        offers = tuple(Button(**{**each, "hidden": tuple(map(tuple, each["hidden"]))}) for each in kept["offers"])
        return cls(level=kept["level"], text=kept["text"], state=state, undo=kept["undo"], offers=offers)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """A form that was sent. ``assignment``: the booking that it is about, if any.

    ``offers``: what takes back what it did, where that is not a booking's *undo*.
    """

    request: HttpRequest
    state: State
    day: date
    floor: Floor | None
    now: datetime
    assignment: Assignment | None
    what: str
    offers: list[Button] = field(default_factory=list)

    @property
    def who(self) -> str:
        return actor(self.request)

    @property
    def booking(self) -> Assignment:
        if self.assignment is None:
            raise AssignmentNotFoundError
        return self.assignment

    def may(self, name: str) -> bool:
        """Return whether the user may do another action."""
        return bool(self.request.user.has_perm(f"assignments.{ACTIONS[name].needs}"))

    def tables(self, name: str = "tables") -> tuple[str, ...]:
        return tuple(dict.fromkeys(each for each in self.request.POST.getlist(name) if each and "\0" not in each))

    @property
    def overriding(self) -> list[Reason]:
        return [Reason(each) for each in self.request.POST.getlist("overriding") if each in OVERRIDABLE]

    def text(self, name: str) -> str:
        return self.request.POST.get(name, "").replace("\0", "").strip()

    def number(self, name: str) -> int | None:
        value = self.text(name)
        return int(value) if value.isdecimal() and len(value) < 12 else None

    def moment(self, name: str) -> datetime | None:
        try:
            value = datetime.fromisoformat(self.text(name))
        except ValueError:
            return None
        return value if value.tzinfo else None

    def second(self, name: str) -> datetime | None:
        """Return the moment that a field has in seconds since 1970."""
        value = self.number(name)
        return datetime.fromtimestamp(value, tz=UTC) if value is not None else None

    def by_the_clock(self, name: str) -> datetime | None:
        """Return the moment that two fields have by the restaurant's clock: None if both are empty."""
        day, clock_time = self.text(f"{name}_day"), self.text(f"{name}_time")
        if not (day or clock_time):
            return None
        try:
            naive = datetime.fromisoformat(f"{day}T{clock_time.zfill(5)}")
            return local_to_aware(naive, self.floor.zone if self.floor else ZoneInfo("UTC"))
        except ValueError:
            raise MistakenError(_("This is not a date and a time. Write the time like 20:15.")) from None

    def named(self, table_refs: Any) -> str:
        return labels.Words(self.floor).tables(tuple(table_refs))

    def at(self, moment: datetime) -> str:
        return clock(moment, self.floor.zone if self.floor else UTC)


_Result = tuple[tuple[str, ...], str, str]
"""The tables concerned, the level, and the sentence."""


def _seat(form: _Form) -> _Result:
    ref, tables = form.booking.booking_ref, form.tables()
    if not tables:
        raise MistakenError(_("Choose a table."))
    has_tables = bool(ledger.seatings_of([ref]))
    give = api.move if has_tables else api.assign
    outcome = give(
        booking_ref=ref,
        table_refs=tables,
        actor=form.who,
        version=form.number("version"),
        overriding=form.overriding,
    )
    said = _("%(booking)s has %(tables)s now.") % {"booking": label_of(ref), "tables": form.named(tables)}
    return _naming(outcome.passed, tables, said)


def _naming(passed: Iterable[str], tables: tuple[str, ...], said: str, level: str = "success") -> _Result:
    """Return the result of an action, with the bookings that asked earlier and were passed over by it."""
    bookings = ", ".join(label_of(each) for each in passed)
    if not bookings:
        return tables, level, said
    also = _("Asked earlier, and could have had it: %(bookings)s.") % {"bookings": bookings}
    return tables, "warning", f"{said} {also}"


def _displace(form: _Form) -> _Result:
    other, elsewhere = _other(form), form.tables("other_tables")
    api.move(booking_ref=other.booking_ref, table_refs=elsewhere, actor=form.who, version=form.number("other_version"))
    tables, level, said = _seat(form)
    also = _("%(booking)s was moved to %(tables)s.") % {
        "booking": label_of(other.booking_ref),
        "tables": form.named(elsewhere),
    }
    return tables, level, f"{said} {also}"


def _swap(form: _Form) -> _Result:
    other = _other(form)
    one, two = api.swap(
        booking_ref=form.booking.booking_ref,
        other_ref=other.booking_ref,
        actor=form.who,
        version=form.number("version"),
        other_version=form.number("other_version"),
        overriding=form.overriding,
    )
    said = _("%(booking)s has %(tables)s now, and %(other)s has %(others)s.") % {
        "booking": label_of(form.booking.booking_ref),
        "tables": form.named(one.table_refs),
        "other": label_of(other.booking_ref),
        "others": form.named(two.table_refs),
    }
    return _naming(dict.fromkeys([*one.passed, *two.passed]), one.table_refs, said)


def _other(form: _Form) -> Assignment:
    key = form.number("other")
    theirs = Assignment.objects.filter(pk=key, restaurant_ref=form.state.restaurant).first() if key else None
    if theirs is None:
        raise AssignmentNotFoundError
    version = form.number("other_version")
    if version is None:
        raise MistakenError(_("This form is incomplete. Load the page again."))
    if version != theirs.version:
        raise ChangedMeanwhileError(booking_ref=theirs.booking_ref, version=version)
    return theirs


def _other_ref(form: _Form) -> str:
    """Return the other booking that the form names; "" if it names none."""
    key = form.number("other")
    theirs = Assignment.objects.filter(pk=key, restaurant_ref=form.state.restaurant).first() if key else None
    return theirs.booking_ref if theirs else ""


_STAGES: Mapping[str, Callable[..., Any]] = {
    "late": api.late,
    "arrived": api.arrived,
    "seated": api.seated,
    "left": api.left,
    "no_show": api.no_show,
}


def _stage(form: _Form) -> _Result:
    ref = form.booking.booking_ref
    tables = _STAGES[form.what](booking_ref=ref, actor=form.who, version=form.number("version")) or ()
    said = _("%(booking)s: %(stage)s.") % {"booking": label_of(ref), "stage": labels.stage(form.what)}
    return tuple(tables), "success", said


def _extend(form: _Form) -> _Result:
    ref, until = form.booking.booking_ref, form.number("until")
    if until is None:
        raise MistakenError(_("Say until when."))
    end = datetime.fromtimestamp(until, tz=UTC)
    try:
        extension = api.extend(
            booking_ref=ref,
            until=end,
            actor=form.who,
            version=form.number("version"),
            overriding=form.overriding,
        )
    except ValueError:
        raise MistakenError(_("A stay must end after its start, and not in the past.")) from None
    values = {"booking": label_of(ref), "until": form.at(end)}
    if extension.change is Change.TO_STAFF:
        text = _("%(booking)s stays until %(until)s. There is no other table for the next booking: decide about both.")
        return _naming(extension.passed, (), text % values, "warning")
    return _naming(extension.passed, (), _("%(booking)s stays until %(until)s.") % values)


def _pin(form: _Form) -> _Result:
    ref = form.booking.booking_ref
    tables = form.tables() or tuple(ledger.tables_of([ref]).get(ref, ()))
    if not tables:
        raise MistakenError(_("Choose a table."))
    change = api.pin(booking_ref=ref, table_refs=tables, actor=form.who)
    form.offers[:] = [_way_back(form, "unpin", _("Unpin"))]
    values = {"booking": label_of(ref), "tables": form.named(tables)}
    if change is Change.TO_STAFF:
        return tables, "warning", _("%(booking)s is pinned to %(tables)s, which somebody else has.") % values
    return tables, "success", _("%(booking)s is pinned to %(tables)s.") % values


def _unpin(form: _Form) -> _Result:
    former = form.booking.pinned_table_refs
    api.unpin(booking_ref=form.booking.booking_ref, actor=form.who)
    if former:
        form.offers[:] = [_way_back(form, "pin", _("Pin again"), *(("tables", each) for each in former))]
    return (), "success", _("%(booking)s is no longer pinned.") % {"booking": label_of(form.booking.booking_ref)}


def _way_back(form: _Form, name: str, text: str, *hidden: tuple[str, Any]) -> Button:
    """Return the button that takes back what was just done to the booking, for the version that it has now."""
    version = Assignment.objects.values_list("version", flat=True).get(pk=form.booking.pk)
    return Button(url=form.state.act(name), text=text, hidden=(("version", version), *hidden), key="u")


def _free(form: _Form) -> _Result:
    ref = form.booking.booking_ref
    freed = api.release_tables(booking_ref=ref, actor=form.who)
    values = {"booking": label_of(ref), "tables": form.named(freed)}
    return freed, "success", _("%(tables)s: free. %(booking)s is planned again.") % values


def _release_hold(form: _Form) -> _Result:
    ref = form.booking.booking_ref
    holds = Allocation.objects.filter(booking_ref=ref, kind=Allocation.Kind.HOLD, expires_at__gt=form.now)
    tokens = sorted({each for each in holds.values_list("token", flat=True) if each})
    if not tokens:
        raise MistakenError(_("Nothing was changed: this hold has already ended."))
    for token in tokens:
        api.release_hold(token=token)
    said = _("The hold of %(booking)s is released. This cannot be taken back: seat the booking to give it a table.")
    return (), "success", said % {"booking": label_of(ref)}


def _undo(form: _Form) -> _Result:
    ref = form.booking.booking_ref
    api.undo(booking_ref=ref, actor=form.who, version=form.number("version"))
    return (), "success", _("Undone: the last change of %(booking)s.") % {"booking": label_of(ref)}


def _walk_in(form: _Form) -> _Result:
    queued = _queued(form) if form.text("queued") else None
    party = queued.party if queued else _party_there(form)
    before = _next_at_the_door(form, queued)
    outcome = api.seat_walk_in(
        actor=form.who,
        restaurant_ref=form.state.restaurant,
        party=party,
        table_refs=form.tables(),
        overriding=form.overriding,
        queued_id=queued.pk if queued else None,
    )
    theirs = Assignment.objects.get(booking_ref=outcome.booking_ref)
    url, text = form.state.bare.act("undo", booking=theirs.pk), str(UNDO[Undo.WALK_IN])
    form.offers[:] = [Button(url=url, text=text, hidden=(("version", theirs.version),), key="u")]
    values = {"party": party, "tables": form.named(outcome.table_refs)}
    said = _("%(party)s guests without a booking sit at %(tables)s.") % values
    level = "success"
    if there := _not_left(form, outcome.table_refs, but=outcome.booking_ref):
        bookings = ", ".join(map(label_of, there))
        also = _("Not noted as gone from there: %(bookings)s.") % {"bookings": bookings}
        level, said = "warning", f"{said} {also}"
    tables, level, said = _naming(outcome.passed, outcome.table_refs, said, level)
    passed = [each for each in before if each not in _next_at_the_door(form, queued)] if before else []
    if passed:
        parties = ", ".join(door.guests(each.party) for each in passed)
        also = _("At the door for longer, and could have had it: %(parties)s.") % {"parties": parties}
        level, said = "warning", f"{said} {also}"
    return tables, level, said


def _party_there(form: _Form) -> int:
    """Return how many guests have walked in."""
    party = form.number("party") or 0
    if form.day != timeline.day_at(form.floor, form.now):
        raise MistakenError(_("Walk-ins sit down today: open today's evening."))
    if not 1 <= party <= LONGEST_PARTY:
        raise MistakenError(_("Say how many guests there are."))
    return party


def _queued(form: _Form, **given: Any) -> QueuedParty:
    """Return the party at the door that the form is about."""
    parties = QueuedParty.objects.filter(restaurant_ref=form.state.restaurant, **given)
    queued = parties.filter(pk=form.number("queued") or 0).first()
    if queued is None or (not given and queued.left_at is not None):
        raise MistakenError(_("Nothing was changed: these guests no longer wait at the door."))
    return queued


@dataclass(frozen=True, slots=True)
class _AtTheDoor:
    queued_id: int | None
    party: int


def _next_at_the_door(form: _Form, queued: QueuedParty | None) -> list[_AtTheDoor]:
    """Return those who came to the door before these guests and could be seated now."""
    found = []
    for wait in api.queue_at_the_door(restaurant_ref=form.state.restaurant):
        if queued is not None and wait.since is not None and wait.since >= queued.joined_at:
            break
        if wait.minutes == 0:
            found.append(_AtTheDoor(wait.queued_id, wait.party))
    return found


def _wait_at_door(form: _Form) -> _Result:
    if form.text("queued"):
        queued = _queued(form, left_at__isnull=False, booking_ref="")
        api.rejoin_queue(queued_id=queued.pk)
        return (), "success", _("They wait at the door again, at their former place.")
    wait = api.join_queue(restaurant_ref=form.state.restaurant, party=_party_there(form), actor=form.who)
    form.offers[:] = [_door_button(form, "leave_door", _("They do not wait"), wait.queued_id)]
    values = {
        "guests": door.guests(form.number("party") or 0),
        "place": wait.place,
        "wait": door.in_words(wait.minutes),
    }
    return (), "success", _("At the door: %(guests)s, at place %(place)s. %(wait)s") % values


def _leave_door(form: _Form) -> _Result:
    queued = _queued(form)
    api.leave_queue(queued_id=queued.pk)
    form.offers[:] = [_door_button(form, "wait_at_door", _("They wait after all"), queued.pk)]
    return (), "success", _("%(guests)s: no longer at the door.") % {"guests": door.guests(queued.party)}


def _door_button(form: _Form, name: str, text: str, queued_id: int | None) -> Button:
    return Button(url=form.state.bare.act(name), text=text, hidden=(("queued", queued_id),), key="u")


def _instead(form: _Form, error: NoTableFreeError) -> list[Button]:
    """Return what can be done with guests for whom no table is free: let them wait, or seat them against the rules."""
    found = _seat_anyway(form, error)
    if error.wait_minutes is not None and not form.text("queued"):
        hidden = (("party", form.text("party")),)
        wait = Button(url=form.state.bare.act("wait_at_door"), text=_("Let them wait at the door"), hidden=hidden)
        found = [wait, *found]
    return found


def _not_left(form: _Form, table_refs: tuple[str, ...], *, but: str) -> list[str]:
    """Return the bookings whose guests sit at these tables past their time. One query."""
    found = ledger.seated_past_their_time(form.state.restaurant, now=form.now)
    return sorted({ref for table_ref, ref in found if table_ref in table_refs and ref != but})


def _seat_anyway(form: _Form, error: NoTableFreeError) -> list[Button]:
    """Return the button that seats a walk-in against the rules; none if no table is free at all.

    It names the rules that the message above it does not.
    """
    if not error.table_refs:
        return []
    said = labels.render(error)
    rules = [rule for rule in dict.fromkeys(in_labels(each.detail) for each in error.against) if rule not in said]
    text = _("Seat anyway at %(tables)s (against: %(rules)s)") if rules else _("Seat anyway at %(tables)s")
    hidden = (
        ("party", form.text("party")),
        *((("queued", form.text("queued")),) if form.text("queued") else ()),
        *(("tables", ref) for ref in error.table_refs),
        *(("overriding", code) for code in sorted({each.reason.value for each in error.against})),
    )
    values = {"tables": form.named(error.table_refs), "rules": " ".join(rules).removesuffix(".")}
    return [Button(url=form.state.bare.act("walk_in"), text=text % values, hidden=hidden, look="page-grave")]


def _close(form: _Form) -> _Result:
    tables, zone = form.tables(), form.text("zone")
    if not (tables or zone or form.text("house")):  # What names nothing would close everything.
        raise MistakenError(_("Choose a table."))
    start, until = timeline.day_span(form.floor, form.day)
    begins = max(form.now, form.second("starts_at") or start)
    if not begins < until:
        raise MistakenError(_("This day is over."))
    minutes = form.number("minutes")
    ends = begins + timedelta(minutes=minutes) if minutes else form.second("ends_at") or until
    _refuse_if_closed(form, tables, zone, begins, None if form.text("minutes") == "open" else ends)
    try:
        closure_id = api.close(
            restaurant_ref=form.state.restaurant,
            table_refs=() if zone else tables,
            zone_ref=zone,
            starts_at=begins,
            ends_at=None if form.text("minutes") == "open" else ends,
            reason=form.text("reason")[:LONGEST_REASON],
            actor=form.who,
        )
    except ValueError:
        raise MistakenError(_("These tables cannot be closed. Load the page again.")) from None
    if form.may("lift"):
        form.offers[:] = [replace(lift_button(form.state, Closure.objects.get(pk=closure_id)), key="u")]
    if zone:
        return (), "success", _("The zone is closed. Its guests have other tables, or are in review.")
    if not tables:
        return (), "success", _("The restaurant is closed. Its guests are in review.")
    values = {"tables": form.named(tables)}
    return tables, "success", _("%(tables)s: closed. Its guests have other tables, or are in review.") % values


def _refuse_if_closed(form: _Form, tables: tuple[str, ...], zone: str, begins: datetime, ends: datetime | None) -> None:
    """Refuse to close what another closure already closes for the whole of that time."""
    locks.lock_restaurant(form.state.restaurant)
    same = Closure.objects.not_lifted().filter(restaurant_ref=form.state.restaurant, starts_at__lte=begins)
    same = same.filter(Q(ends_at=None) | Q(ends_at__gte=ends) if ends else Q(ends_at=None))
    same = same.filter(zone_ref=zone) if zone else same.filter(zone_ref="")
    if not zone:
        same = same.filter(table_refs__contains=list(tables)) if tables else same.filter(table_refs=[])
    first = same.order_by("pk").first()
    if first is None:
        return
    at = form.floor.zone if form.floor else UTC
    said = _("Nothing was changed: this is closed already, from %(start)s until further notice, by %(who)s.")
    values = {"start": moment(first.starts_at, at), "who": names({first.author})[first.author]}
    if first.ends_at:
        said = _("Nothing was changed: this is closed already, from %(start)s until %(end)s, by %(who)s.")
        values["end"] = moment(first.ends_at, at)
    raise MistakenError(said % values)


def _closure(form: _Form) -> tuple[Closure, int]:
    """Return the closure that the form is about, and the version that was seen."""
    closure = Closure.objects.filter(pk=form.number("closure") or 0, restaurant_ref=form.state.restaurant).first()
    if closure is None:
        raise ClosureNotFoundError
    version = form.number("closure_version")
    if version is None:
        raise MistakenError(_("This form is incomplete. Load the page again."))
    return closure, version


def _edit_closure(form: _Form) -> _Result:
    closure, version = _closure(form)
    is_typed = "starts_day" in form.request.POST
    starts = form.by_the_clock("starts") if is_typed else form.second("starts_at")
    ends = form.by_the_clock("ends") if is_typed else form.second("ends_at") or closure.ends_at
    if form.text("ends_at") == "open":
        ends = None
    # Fields show minutes: what they show unchanged is unchanged.
    starts = closure.starts_at if starts is None or _same_minute(starts, closure.starts_at) else starts
    ends = closure.ends_at if ends and closure.ends_at and _same_minute(ends, closure.ends_at) else ends
    if not form.text("back"):
        if starts < form.now and starts != closure.starts_at:
            raise MistakenError(_("A closure cannot begin in the past."))
        if ends is not None and ends <= form.now:
            raise MistakenError(_("A closure cannot end in the past. To end it now, lift it."))
    try:
        api.edit_closure(closure_id=closure.pk, version=version, actor=form.who, starts_at=starts, ends_at=ends)
    except ValueError:
        raise MistakenError(_("A closure must end after it begins.")) from None
    hidden = (
        ("closure", closure.pk),
        ("closure_version", version + 1),
        ("starts_at", round(closure.starts_at.timestamp())),
        ("ends_at", round(closure.ends_at.timestamp()) if closure.ends_at else "open"),
        ("back", 1),
    )
    url = form.state.bare.act("edit_closure", closure=closure.pk)
    form.offers[:] = [Button(url=url, text=_("Undo the new times"), hidden=hidden, key="u")]
    zone = form.floor.zone if form.floor else UTC
    if ends is None:
        said = _("Closed from %(start)s until further notice.") % {"start": moment(starts, zone)}
    else:
        said = _("Closed from %(start)s until %(end)s.") % {"start": moment(starts, zone), "end": moment(ends, zone)}
    return tuple(closure.table_refs), "success", said


def _same_minute(one: datetime, other: datetime) -> bool:
    return one.replace(second=0, microsecond=0) == other.astimezone(one.tzinfo).replace(second=0, microsecond=0)


def _lift(form: _Form) -> _Result:
    closure, version = _closure(form)
    api.lift_closure(closure_id=closure.pk, actor=form.who, version=version)
    if closure.ends_at is None or closure.ends_at > form.now:
        hidden: list[tuple[str, Any]] = [
            *(("tables", ref) for ref in ([] if closure.zone_ref else closure.table_refs)),
            ("zone", closure.zone_ref),
            ("starts_at", round(closure.starts_at.timestamp())),
            ("reason", closure.reason),
            ("minutes", "open") if closure.ends_at is None else ("ends_at", round(closure.ends_at.timestamp())),
        ]
        if closure.is_whole_restaurant:
            hidden.append(("house", 1))
        if form.may("close"):
            url = form.state.bare.act("close")
            form.offers[:] = [Button(url=url, text=_("Close it again"), hidden=tuple(hidden), key="u")]
    return tuple(closure.table_refs), "success", _("The closure is lifted.")


def _freeze(form: _Form) -> _Result:
    api.freeze(restaurant_ref=form.state.restaurant, service_date=form.day, actor=form.who)
    form.offers[:] = [Button(url=form.state.act("unfreeze"), text=_("Unfreeze the evening"), key="u")]
    return (), "success", _("The evening is frozen: no planner moves anybody.")


def _unfreeze(form: _Form) -> _Result:
    api.unfreeze(restaurant_ref=form.state.restaurant, service_date=form.day, actor=form.who)
    form.offers[:] = [Button(url=form.state.act("freeze"), text=_("Freeze the evening"), key="u")]
    return (), "success", _("The evening is no longer frozen.")


def _printed(form: _Form) -> _Result:
    """Record that a day sheet was printed, at the moment whose evening it shows."""
    as_of = form.moment("as_of")
    if as_of is None:
        raise MistakenError(_("This form is incomplete. Load the page again."))
    StaffAction.objects.filter(pk=form.text("form")).update(at=min(as_of, form.now))
    return (), "success", _("Printed. The next day sheet marks what has changed since.")


def _place(form: _Form) -> _Result:
    """Store where a table stands on the floor plan."""
    (ref, *_others), table = form.tables() or ("",), None
    table = form.floor.table_by_ref.get(ref) if form.floor else None
    x, y, shape = form.number("x"), form.number("y"), form.text("shape")
    if table is None:
        raise MistakenError(_("Choose a table."))
    if x is None or y is None or x > TablePlace.PLAN_WIDTH or y > TablePlace.PLAN_HEIGHT:
        raise MistakenError(_("The table would stand outside the plan."))
    _require_place_seen(form, ref)
    form.offers[:] = [_back_to_its_place(form, ref)]
    values: dict[str, Any] = {"x": x, "y": y}
    if shape in TablePlace.Shape.values:
        values["shape"] = shape
    TablePlace.objects.update_or_create(
        restaurant_ref=form.state.restaurant, table_ref=ref, defaults=values, create_defaults=values
    )
    return (ref,), "success", _("%(table)s was placed.") % {"table": form.named([ref])}


def _require_place_seen(form: _Form, table_ref: str) -> None:
    """Refuse if somebody else has placed the table since the page was shown."""
    seen = form.text("seen")
    if not seen:
        return
    rows = TablePlace.objects.select_for_update().filter(restaurant_ref=form.state.restaurant, table_ref=table_ref)
    now = next((floor_plan.place_version(row.x, row.y, row.shape) for row in rows), "none")
    if now != seen:
        raise MistakenError(_("Nothing was changed: somebody else has placed this table. It stands there now."))


def _back_to_its_place(form: _Form, ref: str) -> Button:
    """Return the button that takes back what is about to be done to a table's place."""
    former = TablePlace.objects.filter(restaurant_ref=form.state.restaurant, table_ref=ref).first()
    hidden: tuple[tuple[str, Any], ...] = (("tables", ref),)
    if former is not None:
        hidden = (*hidden, ("x", former.x), ("y", former.y), ("shape", former.shape))
    url = form.state.act("place" if former else "unplace")
    return Button(url=url, text=_("Put it back"), hidden=hidden, key="u")


def _unplace(form: _Form) -> _Result:
    """Return a table to its zone's row."""
    refs = form.tables()
    for ref in refs:
        _require_place_seen(form, ref)
    form.offers[:] = [_back_to_its_place(form, ref) for ref in refs[:1]]
    TablePlace.objects.filter(restaurant_ref=form.state.restaurant, table_ref__in=refs).delete()
    return refs, "success", _("%(table)s is in its zone's row again.") % {"table": form.named(refs)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Action:
    """What a form of the page does. ``needs``: a permission of the app.

    ``is_undoable``: whether the page offers to take it back at once. ``keeps_panel``: whether the panel goes on to show
    what the form was about.
    """

    do: Callable[[_Form], _Result]
    needs: str = "assign"
    is_undoable: bool = False
    keeps_panel: bool = True


ACTIONS: Mapping[str, Action] = {
    "seat": Action(do=_seat, is_undoable=True),
    "displace": Action(do=_displace, is_undoable=True),
    "swap": Action(do=_swap, is_undoable=True),
    **{name: Action(do=_stage, is_undoable=True) for name in _STAGES},
    "extend": Action(do=_extend, is_undoable=True),
    "pin": Action(do=_pin),
    "unpin": Action(do=_unpin),
    "free": Action(do=_free, is_undoable=True),
    "release_hold": Action(do=_release_hold),
    "undo": Action(do=_undo),
    "walk_in": Action(do=_walk_in, keeps_panel=False),
    "wait_at_door": Action(do=_wait_at_door, keeps_panel=False),
    "leave_door": Action(do=_leave_door),
    "close": Action(do=_close, needs="add_closure", keeps_panel=False),
    "edit_closure": Action(do=_edit_closure, needs="change_closure"),
    "lift": Action(do=_lift, needs="change_closure", keeps_panel=False),
    "freeze": Action(do=_freeze),
    "unfreeze": Action(do=_unfreeze),
    "printed": Action(do=_printed),
    "place": Action(do=_place, needs="change_tableplace"),
    "unplace": Action(do=_unplace, needs="change_tableplace"),
}


def carry_out(request: HttpRequest, name: str, state: State, *, assignment: Assignment | None, day: date) -> Said:
    """Carry out a form, or say why nothing was changed. The permission was checked. Raises only if the database is away."""
    action = ACTIONS[name]
    now = transactions.database_now()
    form = _Form(
        request=request,
        state=state,
        day=day,
        floor=floor_or_none(state.restaurant),
        now=now,
        assignment=assignment,
        what=name,
    )
    after = replace(state, to=()) if action.keeps_panel else state.bare
    key, version = _key(request), form.number("version")
    if key is None or (assignment is not None and version is None):
        return Said(level="error", text=_("This form is incomplete. Load the page again."), state=state)
    result: _Result = ((), "", "")

    def work() -> tuple[str, ...]:
        nonlocal result
        result = action.do(form)
        return result[0]

    try:
        record.once(
            key,
            work,
            actor=form.who,
            what=name,
            restaurant_ref=state.restaurant,
            day=day,
            booking_ref=assignment.booking_ref if assignment else "",
            version=version,
            other_ref=_other_ref(form),
        )
    except record.DoneAlreadyError:
        return Said(level="success", text=_("This was done already; it was sent twice."), state=after)
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        text = _why(error, form)
        shown = replace(state, panel="walk-in") if name == "walk_in" else state
        return Said(level="error", text=text, state=shown, offers=tuple(form.offers))
    _tables, level, text = result
    undo = assignment.pk if action.is_undoable and assignment else None
    return Said(level=level, text=text, state=after, undo=undo, offers=tuple(form.offers))


def _why(error: Exception, form: _Form) -> str:
    """Say why nothing was changed, in the user's language."""
    match error:
        case MistakenError():
            return str(error)
        case ChangedMeanwhileError():
            return _changed_meanwhile(form)
        case TablesRefusedError():
            why = " ".join(in_labels(each.detail) for each in error.refusals)
            return _("Nothing was changed. %(why)s") % {"why": why}
        case NoTableFreeError():
            form.offers[:] = _instead(form, error)
            return labels.render(error)
        case ClosureLiftedError() | ClosureNotFoundError():
            return _("Nothing was changed: this closure was lifted already.")
        case TransitionRefusedError() if not project_refusal.is_by_constraint(error):
            if form.what == "undo":
                return _("Nothing was changed: there is nothing left to take back.")
            return _("Nothing was changed: this is not possible for the booking as it is now.")
    if isinstance(error, BUSY) or transactions.is_lost_race(error):
        return _("Nothing was changed: a planner or another user is processing this evening. Try again.")
    if isinstance(error, GONE):
        return _gone()
    log_error(logger, error, "The action %s on the evening's page failed", form.what)
    return project_refusal.sentence(error)


def _changed_meanwhile(form: _Form) -> str:
    if form.assignment is not None:
        return recent_changes.meanwhile(form.assignment, form.now)
    if form.what in {"lift", "edit_closure"}:
        return _("Nothing was changed: somebody else has changed this closure. These are its times now.")
    return _gone()


def _gone() -> str:
    return _("Nothing was changed: the booking was cancelled, is over, or was changed in the booking project.")


def _key(request: HttpRequest) -> uuid.UUID | None:
    try:
        return uuid.UUID(request.POST.get("form", ""))
    except ValueError:
        return None
