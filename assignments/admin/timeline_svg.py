"""A timeline in pixels for ``admin/assignments/page/timeline.html``, and as a list for screen readers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.planning.floor import Floor
from assignments.staff import labels
from assignments.staff.timeline import Bar, Gap, Group, Row, Span, Timeline

PIXELS_A_MINUTE = 2
LANE = 42
BAR_TOP, BAR_HEIGHT = 3, 36
"""Within the lane."""
READABLE_WIDTH = 46
"""Minimum width of a gap with text in it. Narrower ones have it in their title and in the list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """The texts of a bar. ``look``: a class in pages.css; ``pattern``: the id of a pattern in the template, or empty.

    ``first`` and ``second``: the lines in the bar. ``title``: the full text, for the list and screen readers. ``url``:
    the page it opens, or empty.
    """

    look: str
    first: str
    second: str
    title: str
    pattern: str = ""
    url: str = ""


Captions = Callable[[Bar], Caption]


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A bar: the blocked time with buffers, and the seating within it."""

    caption: Caption
    blocked_x: int
    blocked_width: int
    x: int
    y: int
    width: int
    words_x: int
    is_repeated: bool
    """Whether a row above already has this booking. Then the keyboard skips this box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """A gap."""

    x: int
    width: int
    words: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A part of the line that connects joined tables. ``dot_y``: where it meets the bar, or None."""

    x: int
    y1: int
    y2: int
    dot_y: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    name: str
    note: str
    label: str
    height: int
    boxes: tuple[Box, ...]
    spaces: tuple[Space, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Zone:
    name: str
    rows: tuple[TableRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A mark on the scale: a service period or an hour."""

    x: int
    width: int
    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A line of the list: a booking's tables, or a gap. Times are local."""

    starts_at: datetime
    ends_at: datetime
    tables: str
    words: str
    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A drawn timeline. ``timezone``: the time zone's name. ``scroll_to``: the initial scroll position."""

    width: int
    timezone: str
    zones: tuple[Zone, ...]
    bands: tuple[Mark, ...]
    hours: tuple[Mark, ...]
    now_x: int | None
    scroll_to: int
    window: Mark | None
    taken: tuple[Listed, ...]
    free: tuple[Listed, ...]


def draw(timeline: Timeline, floor: Floor | None, captions: Captions, *, window: Span | None = None) -> Drawing:
    """Lay out a timeline. ``window``: a time span to highlight in every row."""
    timezone = floor.timezone if floor else "UTC"
    said = labels.Words(floor)
    seen: set[tuple[str, str, datetime]] = set()
    zones, taken, free = [], [], []
    for group in timeline.groups:
        rows = []
        for row in group.rows:
            name = said.tables([row.table_ref])
            boxes = []
            for bar in row.bars:
                caption = captions(bar)
                party = (bar.taken.booking_ref, bar.taken.kind, bar.taken.starts_at)
                boxes.append(_box(bar, caption, is_repeated=bool(bar.joined) and party in seen))
                if not (bar.joined and party in seen):
                    taken.append(_listed(bar, caption, said))
                seen.add(party)
            spaces = [_space(gap) for gap in row.gaps]
            free += [_listed_gap(gap, name) for gap in row.gaps]
            rows.append(_row(row, name, tuple(boxes), tuple(spaces)))
        zones.append(Zone(name=_group_name(group, floor), rows=tuple(rows)))
    return Drawing(
        width=_pixels(timeline.minutes),
        timezone=timezone,
        zones=tuple(zones),
        bands=tuple(_mark(band.span, band.key.replace("_", " ")) for band in timeline.bands),
        hours=tuple(
            Mark(
                x=_pixels(tick.minute),
                width=0,
                words=f"{tick.moment:%H:%M}" + (f" ({tick.moment:%Z})" if tick.is_repeated else ""),
            )
            for tick in timeline.ticks
            if tick.minute < timeline.minutes
        ),
        now_x=_pixels(timeline.now) if timeline.now is not None else None,
        scroll_to=_pixels(_interest(timeline, window)),
        window=_mark(window, "") if window else None,
        taken=tuple(sorted(taken, key=lambda line: line.starts_at)),
        free=tuple(free),
    )


def zone_name(zone_ref: str | None, floor: Floor | None) -> str:
    if zone_ref is None:
        return _("Tables without a zone")
    return (floor.zone_names if floor else {}).get(zone_ref, zone_ref)


def clock(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%H:%M}"


def seats(count: int) -> str:
    return ngettext("%(count)s seat", "%(count)s seats", count) % {"count": count}


def _group_name(group: Group, floor: Floor | None) -> str:
    if group.is_known:
        return zone_name(group.zone_ref, floor)
    return _("Tables not on the floor plan") if floor else _("Tables")


def _interest(timeline: Timeline, window: Span | None) -> float:
    if timeline.now is not None:
        return timeline.now
    if window is not None:
        return window.start
    return min((bar.blocked.start for row in timeline.rows for bar in row.bars), default=0)


def _pixels(minutes: float) -> int:
    return round(minutes * PIXELS_A_MINUTE)


def _mark(span: Span, words: str) -> Mark:
    return Mark(x=_pixels(span.start), width=max(1, _pixels(span.minutes)), words=words)


def _box(bar: Bar, caption: Caption, *, is_repeated: bool) -> Box:
    sat = bar.sat or bar.blocked
    return Box(
        caption=caption,
        blocked_x=_pixels(bar.blocked.start),
        blocked_width=max(1, _pixels(bar.blocked.minutes)),
        x=_pixels(sat.start),
        y=bar.lane * LANE + BAR_TOP,
        width=max(1, _pixels(sat.minutes)),
        words_x=14 if bar.joined else 7,
        is_repeated=is_repeated,
    )


def _space(gap: Gap) -> Space:
    width = _pixels(gap.span.minutes)
    words = ""
    if width >= READABLE_WIDTH:
        words = _("%(minutes)s min") % {"minutes": gap.minutes}
        if gap.largest_party is not None and width >= 2 * READABLE_WIDTH:
            words = _("%(minutes)s min, up to %(party)s") % {"minutes": gap.minutes, "party": gap.largest_party}
    return Space(x=_pixels(gap.span.start), width=max(1, width), words=words, title=gap_words(gap))


def gap_words(gap: Gap) -> str:
    """Describe a gap: its length, and the largest party that fits."""
    minutes = ngettext("free for %(count)s minute", "free for %(count)s minutes", gap.minutes) % {"count": gap.minutes}
    if gap.largest_party is None:
        return _("%(free)s; no party fits") % {"free": minutes}
    return _("%(free)s; seats a party of up to %(party)s") % {"free": minutes, "party": gap.largest_party}


def _row(row: Row, name: str, boxes: tuple[Box, ...], spaces: tuple[Space, ...]) -> TableRow:
    height = row.lanes * LANE
    note = seats(row.table.seats) if row.table else ""
    if row.table and not row.table.active:
        note = _("%(seats)s, out of service") % {"seats": note}
    lines = []
    for tie in row.ties:
        middle = tie.lane * LANE + BAR_TOP + BAR_HEIGHT // 2
        lines.append(
            Line(
                x=_pixels(tie.minute) + 6,
                y1=0 if tie.from_above else middle,
                y2=height if tie.to_below else middle,
                dot_y=middle if tie.is_end else None,
            )
        )
    return TableRow(
        name=name,
        note=note,
        label=_("Table %(name)s") % {"name": name},
        height=height,
        boxes=boxes,
        spaces=spaces,
        lines=tuple(lines),
    )


def _listed(bar: Bar, caption: Caption, said: labels.Words) -> Listed:
    return Listed(
        starts_at=bar.taken.starts_at,
        ends_at=bar.taken.ends_at,
        tables=said.tables(bar.joined or (bar.taken.table_ref,)),
        words=caption.title,
        url=caption.url,
    )


def _listed_gap(gap: Gap, name: str) -> Listed:
    return Listed(starts_at=gap.starts_at, ends_at=gap.ends_at, tables=name, words=gap_words(gap))
