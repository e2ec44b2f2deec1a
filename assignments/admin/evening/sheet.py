"""The day sheet: an evening on paper, by time and by table, with what has changed since it was last printed."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from django.http import HttpRequest

from assignments.admin.evening.panel import Button
from assignments.admin.evening.state import State
from assignments.admin.host_lookup import guests_of, label_of, restaurant_names
from assignments.admin.timeline_svg import clock
from assignments.integration.host import Guest
from assignments.models import SeatingChange, StaffAction
from assignments.staff import labels
from assignments.staff.evening import Evening, Seated, Waiting, evening

What = SeatingChange.What


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A booking on paper. ``before``: its tables when the sheet was last printed, if they were others; ``is_new``: none."""

    label: str
    guest: Guest
    party: int
    start: str
    end: str
    tables: str
    stage: str
    before: str = ""
    is_new: bool = False


def sheet_context(request: HttpRequest, state: State, *, now: datetime) -> dict[str, Any]:
    """Return what is printed of the state's evening."""
    assert state.day is not None
    shown = evening(state.restaurant, state.day, now=now, with_help=False)
    printed = (
        StaffAction.objects.filter(restaurant_ref=state.restaurant, service_date=state.day, what="printed")
        .order_by("-at")
        .values_list("at", flat=True)
        .first()
    )
    before = _tables_at(printed, [each.booking_ref for each in shown.seated]) if printed else {}
    guests = guests_of(
        request, [*(each.booking_ref for each in shown.seated), *(each.booking_ref for each in shown.waiting)]
    )
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
        "waiting": [_waiting(each, shown.zone, guests.get(each.booking_ref, Guest())) for each in shown.waiting],
        "button": Button(url=state.bare.act("printed"), text=""),
        "back_link": state.bare.link(),
    }


def _line(seated: Seated, shown: Evening, before: dict[str, set[str]], guest: Guest, *, was_printed: bool) -> Line:
    was = before.get(seated.booking_ref)
    moved = was is not None and was != set(seated.table_refs)
    return Line(
        label=label_of(seated.booking_ref),
        guest=guest,
        party=seated.party,
        start=clock(seated.starts_at, shown.zone),
        end=clock(seated.ends_at, shown.zone),
        tables=" + ".join(shown.name(ref) for ref in seated.table_refs),
        stage=labels.stage(seated.stage),
        before=" + ".join(shown.name(ref) for ref in sorted(was or ())) if moved else "",
        is_new=was_printed and was is None,
    )


def _waiting(waiting: Waiting, zone: tzinfo, guest: Guest) -> dict[str, Any]:
    return {
        "label": label_of(waiting.booking_ref),
        "guest": guest,
        "party": waiting.party,
        "start": clock(waiting.starts_at, zone or UTC),
        "state": labels.state(waiting.state),
    }


def _tables_at(moment: datetime, booking_refs: list[str]) -> dict[str, set[str]]:
    """Return the tables that these bookings had at a moment, by the history of seatings. One query."""
    rows = SeatingChange.objects.filter(booking_ref__in=booking_refs, at__lte=moment).exclude(what=What.STAGE)
    had: dict[str, dict[int | None, str]] = defaultdict(dict)
    for row in rows.order_by("id"):
        if row.what in {What.ENDED, What.FREED}:
            had[row.booking_ref].pop(row.seating_id, None)
        else:
            had[row.booking_ref][row.seating_id] = row.table_ref
    return {ref: set(tables.values()) for ref, tables in had.items() if tables}
