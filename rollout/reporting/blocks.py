"""What a document is made of, whatever its format. Texts are plain; the renderers escape them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """How something is to be taken. Never the only thing that says so."""

    NEUTRAL = "neutral"
    GOOD = "good"
    BAD = "bad"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A word with a tone: a status, a verdict."""

    text: str
    tone: Tone


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """An identifier: a switch, a reference, a code."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """A link to an http or https address."""

    text: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """A cell with a smaller text below."""

    cell: "str | Mark | Code | Link"
    note: str


Cell = str | Mark | Code | Link | Noted


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    title: str
    is_number: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Paragraph:
    text: str
    tone: Tone = Tone.NEUTRAL


@dataclass(frozen=True, kw_only=True, slots=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """``caption`` says what the rows are, for those who hear it."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar of a chart. ``value`` is 0 or more."""

    label: str
    value: int
    text: str
    tone: Tone = Tone.NEUTRAL


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    """A bar for each row of the table beside it, in its order. ``title`` and ``description`` stand for the picture."""

    title: str
    description: str
    bars: Sequence[Bar]
    table: Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """How much spoke for and against, at one point."""

    label: str
    above: int
    below: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Balances:
    """Points in time, each with a column up and one down, one for each row of the table beside it."""

    title: str
    description: str
    above: str
    below: str
    points: Sequence[Balance]
    table: Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One thing with a heading, some cells beside each other that name it, and a table."""

    title: str
    facts: Sequence[tuple[str, Cell]]
    table: Table


Block = Paragraph | Bullets | Table | Bars | Balances | Card


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """``summary`` comes first: the one thing to take away."""

    title: str
    summary: Paragraph
    sections: Sequence[Section]
