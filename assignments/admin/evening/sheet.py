"""The day sheet: an evening on paper, by time and by table, with what has changed since it was last printed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _

from assignments.admin.evening.captions import covers
from assignments.admin.evening.panel import Button
from assignments.admin.evening.state import State
from assignments.admin.host_lookup import guests_of, label_of, restaurant_names
from assignments.admin.timeline_svg import clock
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Guest
from assignments.models import GONE, Assignment, SeatingChange
from assignments.planning.natural_order import natural_key
from assignments.staff import labels, print_history, timeline
from assignments.staff.evening import Evening, Seated, Waiting, evening
from assignments.staff.print_history import Sat


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A booking on paper.

    ``before``: its tables, times and covers when the sheet was last printed, as far as they were others; ``is_new``: it was
    not there.
    """

    label: str
    guest: Guest
    party: int
    start: str
    end: str
    tables: str
    stage: str
    before: str = ""
    is_new: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Gone:
    """A booking that was on the last sheet, and has no table of this evening any more."""

    label: str
    guest: Guest
    party: int
    start: str
    tables: str
    state: str


def sheet_context(request: HttpRequest, state: State, *, now: datetime, may_note: bool) -> dict[str, Any]:
    """Return what is printed of the state's evening. ``may_note``: the user may note that it was printed."""
    assert state.day is not None
    shown = evening(state.restaurant, state.day, now=now, with_help=False)
    printed = print_history.last_printed(state.restaurant, state.day)
    seated = [each.booking_ref for each in shown.seated]
    before: dict[str, Sat] = {}
    if printed:
        since = SeatingChange.objects.filter(at__gt=printed, restaurant_ref=state.restaurant).exclude(
            what=SeatingChange.What.STAGE
        )
        others = since.exclude(booking_ref__in=seated).order_by("booking_ref")
        changed = others.values_list("booking_ref", flat=True).distinct()
        before = print_history.seatings_at(printed, [*seated, *changed])
    still = set(seated)
    start, until = timeline.day_span(floor_or_none(state.restaurant), shown.day)
    gone = sorted(
        (ref for ref, sat in before.items() if ref not in still and start <= sat.starts_at < until),
        key=lambda ref: (before[ref].starts_at, ref),
    )
    guests = guests_of(request, [*seated, *(each.booking_ref for each in shown.waiting), *gone])
    states = dict(Assignment.objects.filter(booking_ref__in=gone).values_list("booking_ref", "state")) if gone else {}
    lines = {
        each.booking_ref: _line(
            each, shown, before, guests.get(each.booking_ref, Guest()), was_printed=printed is not None
        )
        for each in shown.seated
    }
    return {
        "shown": shown,
        "page_state": state,
        "restaurant": restaurant_names([state.restaurant])[state.restaurant],
        "day": shown.day,
        "printed": clock(printed, shown.zone) if printed else "",
        "now": clock(now, shown.zone),
        "lines": list(lines.values()),
        "covers": sum(each.party for each in shown.seated),
        "tables": [
            (shown.name(ref), table.seats if table else None, [lines[each.booking_ref] for each in seated], closed)
            for table, ref, seated, closed in shown.by_table()
        ],
        "gone": [
            Gone(
                label=label_of(ref),
                guest=guests.get(ref, Guest()),
                party=before[ref].party or 0,
                start=clock(before[ref].starts_at, shown.zone),
                tables=_named(before[ref].table_refs, shown),
                state=labels.state(states[ref]) if ref in states else "",
            )
            for ref in gone
        ],
        "waiting": [_waiting(each, shown.zone, guests.get(each.booking_ref, Guest())) for each in shown.waiting],
        "button": Button(url=state.bare.act("printed"), text=_("It was printed"), hidden=(("as_of", now.isoformat()),))
        if may_note
        else None,
        "back_link": state.bare.link(),
    }


def _line(seated: Seated, shown: Evening, before: dict[str, Sat], guest: Guest, *, was_printed: bool) -> Line:
    was = before.get(seated.booking_ref)
    is_gone = seated.stage in GONE
    sits = Sat(
        starts_at=seated.starts_at,
        ends_at=None if is_gone else seated.ends_at,
        party=seated.party,
        table_refs=frozenset(seated.table_refs),
    )
    return Line(
        label=label_of(seated.booking_ref),
        guest=guest,
        party=seated.party,
        start=clock(seated.starts_at, shown.zone),
        end=clock(seated.ends_at, shown.zone),
        tables=" + ".join(shown.name(ref) for ref in seated.table_refs),
        stage=labels.stage(seated.stage),
        before=_before(was, sits, shown) if was is not None else "",
        is_new=was_printed and was is None,
    )


def _before(was: Sat, sits: Sat, shown: Evening) -> str:
    """Return what was otherwise: tables, times, covers."""
    found = [_named(was.table_refs, shown)] if was.table_refs != sits.table_refs else []
    if was.has_other_times(sits):
        end = clock(was.ends_at, shown.zone) if was.ends_at else ""
        found.append(f"{clock(was.starts_at, shown.zone)}\N{EN DASH}{end}")
    if was.has_other_party(sits):
        found.append(covers(was.party or 0))
    return ", ".join(found)


def _waiting(waiting: Waiting, zone: tzinfo, guest: Guest) -> dict[str, Any]:
    return {
        "label": label_of(waiting.booking_ref),
        "guest": guest,
        "party": waiting.party,
        "start": clock(waiting.starts_at, zone or UTC),
        "state": labels.state(waiting.state),
    }


def _named(table_refs: Collection[str], shown: Evening) -> str:
    return " + ".join(sorted((shown.name(ref) for ref in table_refs), key=natural_key))
