"""The grid in numbers and words: a row for each table, a bar for each booking, coloured by guests and trouble."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.admin.evening import markup
from assignments.admin.evening.captions import covers as in_covers
from assignments.admin.evening.markup import Block, Free
from assignments.admin.evening.state import State
from assignments.admin.timeline_svg import Drawing, TableRow, clock, seats
from assignments.integration.host import Guest
from assignments.models import Allocation, Stage
from assignments.models import State as Decided
from assignments.staff import labels
from assignments.staff.service_day import Booked
from assignments.staff.service_day import ServiceDay as Day
from assignments.staff.timeline import CLOSURE, Bar, Span

LANE = 48
"""Height of a bar's lane in pixels: a finger's, with a gap."""
SCALES: Mapping[int, float] = {1: 1.6, 2: 2.6, 3: 4.4}
"""Pixels a minute, by zoom."""
OVERDUE = timedelta(minutes=15)
"""How long after their time guests count as not here yet."""
HOLD = Allocation.Kind.HOLD.value


@dataclass(frozen=True, kw_only=True, slots=True)
class GridRow:
    ref: str
    name: str
    note: str
    height: int
    blocks: tuple[Block, ...]
    free: tuple[Free, ...]
    url: str
    is_known: bool

    @property
    def bars(self) -> SafeString:
        return SafeString("".join(markup.bar(block, self.ref) for block in self.blocks))

    @property
    def spaces(self) -> SafeString:
        return SafeString("".join(map(markup.free, self.free)))


@dataclass(frozen=True, kw_only=True, slots=True)
class GridZone:
    key: str
    name: str
    rows: tuple[GridRow, ...]
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """The grid as it is drawn. ``scale``: pixels a minute. ``starts``: its left edge, in seconds since 1970."""

    zones: tuple[GridZone, ...]
    width: int
    scale: float
    starts: int
    now_x: int | None
    scroll_to: int
    bands: tuple[tuple[int, int, str], ...]
    ticks: tuple[tuple[int, str], ...]
    timezone: str


def grid_of(
    drawing: Drawing,
    shown: Day,
    state: State,
    *,
    names: Mapping[str, str],
    guests: Mapping[str, Guest],
    since: Mapping[str, str],
    may_act: bool,
    may_edit_closures: bool,
) -> Grid:
    """Return the grid. ``names``: labels of the bookings. ``guests``: who comes, if the user may see it.

    ``since``: what has changed since the day sheet was printed, in words, by booking.
    """
    scale = SCALES[state.zoom]
    timeline = drawing.timeline
    phrases = _Phrases(shown, state)

    def x(minute: float) -> int:
        return round(minute * scale)

    def rows(table_rows: tuple[TableRow, ...]) -> tuple[GridRow, ...]:
        return tuple(
            GridRow(
                ref=row.row.table_ref,
                name=row.name,
                note=_note(row),
                height=row.row.lanes * LANE,
                blocks=tuple(
                    _block(
                        box.bar,
                        shown,
                        phrases,
                        scale,
                        names=names,
                        guests=guests,
                        since=since.get(box.bar.taken.booking_ref, ""),
                        is_repeated=box.is_repeated,
                        may_act=may_act,
                        may_edit_closures=may_edit_closures,
                    )
                    for box in row.boxes
                ),
                free=tuple(
                    Free(
                        x=x(space.gap.span.start),
                        width=max(1, x(space.gap.span.until) - x(space.gap.span.start)),
                        words=space.words,
                        title=space.title,
                    )
                    for space in row.spaces
                ),
                url=phrases.link("table", row.row.table_ref),
                is_known=row.row.table is not None,
            )
            for row in table_rows
        )

    groups = zip(timeline.groups, drawing.zones, strict=True)
    return Grid(
        zones=tuple(
            GridZone(
                key=group.zone_ref or "",
                name=name,
                rows=rows(table_rows),
                url=state.bare.link(zone=group.zone_ref) if group.zone_ref else "",
            )
            for group, (name, table_rows) in groups
        ),
        width=x(timeline.minutes),
        scale=scale,
        starts=round(timeline.starts_at.timestamp()),
        now_x=None if timeline.now is None else x(timeline.now),
        scroll_to=x(drawing.scroll_to / 2),
        bands=tuple(
            (x(band.span.start), x(band.span.until) - x(band.span.start), labels.service(band.key))
            for band in timeline.bands
        ),
        ticks=tuple((x(tick.minute), tick.text) for tick in timeline.ticks if tick.minute < timeline.minutes),
        timezone=drawing.timezone,
    )


class _Phrases:
    """Texts and links that hundreds of bars share, translated once."""

    def __init__(self, shown: Day, state: State) -> None:
        self.words = labels.Words(shown.floor)
        self.times = _("%(start)s-%(end)s")
        self._at = cache(lambda count: ngettext("table %(tables)s", "tables %(tables)s", count))
        self._page = state.bare.link()
        self.covers, self.stage = cache(in_covers), cache(labels.stage)

    def link(self, name: str, value: object) -> str:
        """Return the address of the page with this in its panel: the address has that last."""
        return f"{self._page}&{urlencode({name: value})}"

    def at(self, bar: Bar) -> str:
        """Name the bar's tables."""
        refs = bar.joined or (bar.taken.table_ref,)
        return str(self._at(len(refs)) % {"tables": self.words.tables(refs)})


def _note(row: TableRow) -> str:
    if row.row.table is None or row.row.table.active:
        return row.note
    return _("%(seats)s, out of service") % {"seats": seats(row.row.table.seats)}


def _block(
    bar: Bar,
    shown: Day,
    phrases: "_Phrases",
    scale: float,
    *,
    names: Mapping[str, str],
    guests: Mapping[str, Guest],
    since: str,
    is_repeated: bool,
    may_act: bool,
    may_edit_closures: bool,
) -> Block:
    words = phrases.words
    taken, booked = bar.taken, shown.booked.get(bar.taken.booking_ref)
    sat = bar.sat or bar.blocked
    place: dict[str, Any] = {
        "bar": bar,
        "x": round(sat.start * scale),
        "width": _width(sat, scale),
        "blocked_x": round(bar.blocked.start * scale),
        "blocked_width": _width(bar.blocked, scale),
        "y": bar.lane * LANE,
        "is_repeated": is_repeated,
    }
    at = phrases.at(bar)
    start, end = clock(taken.starts_at, words.zone), clock(taken.ends_at, words.zone)
    if taken.kind == CLOSURE:
        until = (
            _("until further notice") if taken.is_open_ended else _("%(start)s-%(end)s") % {"start": start, "end": end}
        )
        title = _("closed, %(times)s") % {"times": until}
        if taken.reason:
            title = _("%(what)s: %(reason)s") % {"what": title, "reason": taken.reason}
        return Block(
            look="evening-closed",
            first=_("closed"),
            second=taken.reason or until,
            title=f"{at}, {title}",
            url=phrases.link("closure", taken.closure_id),
            may_be_extended=may_edit_closures and _ends_here(bar, shown) and not taken.is_open_ended,
            may_begin_elsewhere=may_edit_closures and shown.now < taken.starts_at,
            **place,
        )
    label = names.get(taken.booking_ref, taken.booking_ref)
    guest = guests.get(taken.booking_ref)
    shown_as = guest.name if guest and guest.name else label
    party = f"{shown_as} · {booked.party}" if booked else shown_as
    if guest and guest.name:
        label = f"{guest.name}, {label}"
    if bar.joined:
        party = f"{party} · {bar.joined.index(taken.table_ref) + 1}/{len(bar.joined)}"
    url = phrases.link("booking", booked.pk) if booked else ""
    covers = phrases.covers(booked.party) if booked else ""
    if taken.kind == HOLD and taken.expires_at is not None:
        held = _("on hold until %(until)s") % {"until": clock(taken.expires_at, words.zone)}
        title = ", ".join(filter(None, [label, covers, at, held]))
        return Block(
            look="evening-hold",
            first=party,
            second=held,
            title=title,
            url=url,
            key=booked.pk if booked else None,
            **place,
        )
    stage = booked.stage if booked else Stage.EXPECTED
    says = trouble(booked, bar, shown.now)
    times = phrases.times % {"start": start, "end": end}
    said_stage = phrases.stage(stage)
    parts = [label, covers, at, times, said_stage, says, since]
    return Block(
        look=f"evening-{stage.replace('_', '-')}" + (" evening-trouble" if says else ""),
        first=party,
        second=says or f"{times} {said_stage}",
        title=", ".join(filter(None, parts)),
        url=url,
        key=booked.pk if booked else None,
        trouble=says,
        since=since,
        may_be_extended=may_act and booked is not None and not taken.has_ended and bar.sat is not None,
        sits=stage == Stage.SEATED and not taken.has_ended,
        **place,
    )


def _ends_here(bar: Bar, shown: Day) -> bool:
    """Return whether the bar ends where its closure does, not at the edge of the day that is shown."""
    return round(bar.blocked.until) < round(shown.timeline.minutes) and shown.now < bar.taken.ends_at


def _width(span: Span, scale: float) -> int:
    return max(2, round(span.until * scale) - round(span.start * scale))


def trouble(booked: Booked | None, bar: Bar, now: datetime) -> str:
    """Return what is wrong with a booking that has tables, in words; "" if nothing is."""
    taken = bar.taken
    if booked is None or taken.has_ended:
        return ""
    if taken.overstays:
        return _("stays into the next booking")
    if booked.state == Decided.MANUAL_REVIEW:
        return _("needs a decision")
    if booked.stage in {Stage.EXPECTED, Stage.LATE} and taken.starts_at + OVERDUE < now < taken.ends_at:
        return _("not here yet")
    if booked.stage in {Stage.EXPECTED, Stage.LATE, Stage.ARRIVED} and taken.ends_at <= now:
        return _("never seated")
    if booked.stage == Stage.SEATED and taken.ends_at < now:
        return _("should have left")
    return ""
