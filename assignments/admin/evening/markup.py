"""The grid's bars and free times as SVG. Written here and not in a template: an evening has hundreds of them."""

from dataclasses import dataclass
from html import escape

from django.utils.safestring import SafeString, mark_safe

from assignments.staff.timeline import Bar

AGAIN = 400
"""Pixels after which a closure's words come again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A bar as it is drawn. ``look``: a CSS class. ``trouble``: what is wrong, as a sentence. ``key``: of the assignment.
    ``since``: what has changed since the day sheet was printed. ``may_begin_elsewhere``: whether its start can be dragged.

    ``is_repeated``: a row above has this booking already. ``sits``: its guests sit there and have not left.
    """

    bar: Bar
    look: str
    first: str
    second: str
    title: str
    url: str
    x: int
    width: int
    blocked_x: int
    blocked_width: int
    y: int
    key: int | None = None
    trouble: str = ""
    is_repeated: bool = False
    since: str = ""
    may_be_extended: bool = False
    may_begin_elsewhere: bool = False
    sits: bool = False

    @property
    def ends(self) -> int:
        """The end of the stay or the closure, in seconds since 1970."""
        return round(self.bar.taken.ends_at.timestamp())

    @property
    def starts(self) -> int:
        """The start of the closure, in seconds since 1970."""
        return round(self.bar.taken.starts_at.timestamp())

    @property
    def closure(self) -> int | None:
        return self.bar.taken.closure_id

    @property
    def end_x(self) -> int:
        return self.x + self.width


@dataclass(frozen=True, kw_only=True, slots=True)
class Free:
    x: int
    width: int
    words: str
    title: str


def bar(block: Block, table_ref: str) -> SafeString:
    """Return a bar as SVG: a link to its booking or closure, or a picture without a link."""
    title = escape(block.title)
    if not block.url:
        return mark_safe(f'<g role="img" aria-label="{title}">{_inside(block, title)}</g>')  # noqa: S308  (escaped)
    url, more = escape(block.url), ""
    if block.key:
        more += f' data-booking="{block.key}"'
    if block.closure:
        version, starts = block.bar.taken.closure_version, block.starts
        more += f' data-closure="{block.closure}" data-version="{version}" data-starts="{starts}"'
    if block.may_be_extended:
        more += f' data-ends="{block.ends}"'
    if block.is_repeated:
        more += ' tabindex="-1"'
    focus = f"bar:{block.key or url}:{escape(table_ref)}"
    return mark_safe(  # noqa: S308  (escaped)
        f'<a class="timeline-link evening-bar" href="{url}" aria-label="{title}" data-panel data-focus="{focus}"{more}>'
        f"{_inside(block, title)}</a>"
    )


def _inside(block: Block, title: str) -> str:
    x, y, width = block.x, block.y, block.width
    box = f'x="{x}" y="{y + 2}" width="{width}" height="44"'
    buffer = f'x="{block.blocked_x}" y="{y + 14}" width="{block.blocked_width}" height="20"'
    marks = ("! " if block.trouble else "") + ("* " if block.since else "")
    grips = ""
    if block.may_begin_elsewhere:
        grips += f'<rect class="evening-grip evening-grip-start" x="{x}" y="{y + 2}" width="10" height="44"/>'
    if block.may_be_extended:
        grips += f'<rect class="evening-grip" x="{block.end_x - 10}" y="{y + 2}" width="10" height="44"/>'
    cross = f'<rect fill="url(#timeline-cross)" {box} rx="4"/>' if block.look == "evening-closed" else ""
    first, second = marks + escape(block.first), escape(block.second)
    # A closure may last all day: whatever part of it is in view says what it is.
    texts = "".join(
        f'<text class="timeline-first" x="{at}" y="19">{first}</text>'
        f'<text class="timeline-second" x="{at}" y="36">{second}</text>'
        for at in range(7, width if cross else 8, AGAIN)
    )
    return (
        f'<title>{title}</title><rect class="timeline-buffer" {buffer}/><rect fill="url(#timeline-hatch)" {buffer}/>'
        f'<rect class="timeline-box {block.look}" {box} rx="4"/>{cross}<svg {box}>'
        f"{texts}</svg>{grips}"
    )


def free(space: Free) -> SafeString:
    """Return a free time as SVG, with its text if there is room for it."""
    title, words = escape(space.title), ""
    if space.words:
        text = f'<text class="timeline-free-words" x="6" y="28">{escape(space.words)}</text>'
        words = f'<svg x="{space.x}" y="0" width="{space.width}" height="48">{text}</svg>'
    return mark_safe(  # noqa: S308  (escaped)
        f'<g role="img" aria-label="{title}"><title>{title}</title>'
        f'<rect class="timeline-free" x="{space.x}" y="8" width="{space.width}" height="32" rx="3"/>{words}</g>'
    )
