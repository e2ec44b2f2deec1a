"""A timeline in words for ``admin/assignments/page/timeline.html``, which draws it, and lists it for screen readers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from html import escape
from zoneinfo import ZoneInfo

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.planning.floor import Floor
from assignments.staff import labels
from assignments.staff.moments import moment
from assignments.staff.timeline import Bar, Gap, Group, Row, Span, Timeline, pixels

READABLE_WIDTH = 46
"""Minimum width of a gap with text in it. Narrower ones have it in their title and in the list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Caption:
    """The texts of a bar. ``look``: a class in pages.css; ``pattern``: the id of a pattern in the template, or empty.

    ``first`` and ``second``: the lines in the bar. ``title``: the full text, for the list and screen readers. ``url``:
    the page it opens, or empty. Where only the list is shown, ``title`` and ``url`` are enough.
    """

    title: str
    look: str = ""
    first: str = ""
    second: str = ""
    pattern: str = ""
    url: str = ""


Captions = Callable[[Bar], Caption]


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A drawn bar, and its line in the list. ``tables``: all tables of the booking."""

    bar: Bar
    caption: Caption
    tables: str
    is_repeated: bool
    """Whether a row above already has this booking. Then the keyboard skips this box."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """A drawn gap, and its line in the list."""

    gap: Gap
    table: str
    words: str
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TableRow:
    row: Row
    name: str
    note: str
    boxes: tuple[Box, ...]
    spaces: tuple[Space, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A drawn timeline. ``timezone``: the time zone's name. ``scroll_to``: the initial scroll position.

    ``taken`` and ``free`` are the lines of the list.
    """

    timeline: Timeline
    timezone: str
    zones: tuple[tuple[str, tuple[TableRow, ...]], ...]
    scroll_to: int
    window: Span | None
    taken: tuple[Box, ...]
    free: tuple[Space, ...]

    @property
    def services(self) -> list[tuple[Span, str]]:
        """Return where the service periods are, and their names."""
        return [(band.span, labels.service(band.key)) for band in self.timeline.bands]

    # Written here and not in a template: an evening has hundreds of lines.

    @property
    def taken_lines(self) -> SafeString:
        return SafeString("".join(map(self._taken_line, self.taken)))

    @property
    def free_lines(self) -> SafeString:
        return SafeString("".join(map(self._free_line, self.free)))

    def _taken_line(self, box: Box) -> str:
        title, taken = escape(box.caption.title), box.bar.taken
        says = f'<a href="{escape(box.caption.url)}">{title}</a>' if box.caption.url else title
        return (
            f'<tr><th scope="row" class="page-moment">{self._moment(taken.starts_at)}</th>'
            f'<td class="page-moment">{self._moment(taken.ends_at)}</td><td>{escape(box.tables)}</td>'
            f'<td class="page-words">{says}</td></tr>'
        )

    def _free_line(self, space: Space) -> str:
        return (
            f'<tr><th scope="row">{escape(space.table)}</th>'
            f'<td class="page-moment">{self._moment(space.gap.starts_at)}</td>'
            f'<td class="page-moment">{self._moment(space.gap.ends_at)}</td>'
            f'<td class="page-words">{escape(space.title)}</td></tr>'
        )

    def _moment(self, at: datetime) -> str:
        return moment(at, ZoneInfo(self.timezone))


def draw(timeline: Timeline, floor: Floor | None, captions: Captions, *, window: Span | None = None) -> Drawing:
    """Caption a timeline. ``window``: a time span to highlight in every row."""
    said = labels.Words(floor)
    seen: set[tuple[str, str, datetime]] = set()

    def box(bar: Bar) -> Box:
        taken = bar.taken
        party = (taken.booking_ref, taken.kind, taken.starts_at)
        is_repeated = bool(bar.joined) and party in seen
        seen.add(party)
        tables = said.tables(bar.joined or (taken.table_ref,))
        return Box(bar=bar, caption=captions(bar), tables=tables, is_repeated=is_repeated)

    def table_row(row: Row) -> TableRow:
        name = said.tables([row.table_ref])
        return TableRow(
            row=row,
            name=name,
            note=_note(row),
            boxes=tuple(box(bar) for bar in row.bars),
            spaces=tuple(_space(gap, name) for gap in row.gaps),
        )

    zones = tuple((_group_name(group, floor), tuple(map(table_row, group.rows))) for group in timeline.groups)
    rows = [row for _name, of_zone in zones for row in of_zone]
    taken = [box for row in rows for box in row.boxes if not box.is_repeated]
    return Drawing(
        timeline=timeline,
        timezone=floor.timezone if floor else "UTC",
        zones=zones,
        scroll_to=pixels(_interest(timeline, window)),
        window=window,
        taken=tuple(sorted(taken, key=lambda box: box.bar.taken.starts_at)),
        free=tuple(space for row in rows for space in row.spaces),
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


def _note(row: Row) -> str:
    if row.table is None:
        return ""
    note = seats(row.table.seats)
    return note if row.table.active else _("%(seats)s, out of service") % {"seats": note}


def _space(gap: Gap, table: str) -> Space:
    words = ""
    if gap.span.width >= READABLE_WIDTH:
        words = _("%(minutes)s min") % {"minutes": gap.minutes}
        if gap.largest_party is not None and gap.span.width >= 2 * READABLE_WIDTH:
            words = _("%(minutes)s min, up to %(party)s") % {"minutes": gap.minutes, "party": gap.largest_party}
    return Space(gap=gap, table=table, words=words, title=gap_words(gap))


def gap_words(gap: Gap) -> str:
    """Describe a gap: its length, and the largest party that fits."""
    minutes = ngettext("free for %(count)s minute", "free for %(count)s minutes", gap.minutes) % {"count": gap.minutes}
    if gap.largest_party is None:
        return _("%(free)s; no party fits") % {"free": minutes}
    return _("%(free)s; seats a party of up to %(party)s") % {"free": minutes, "party": gap.largest_party}
