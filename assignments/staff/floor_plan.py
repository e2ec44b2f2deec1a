"""Positions of tables on the floor plan: where staff have placed them, else in rows by zone. No markup, no texts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assignments.models import TablePlace
from assignments.planning.floor import Floor, Table
from assignments.staff.timeline import by_zone

WIDTH, HEIGHT = 136, 92
"""Size of a table for up to six, in pixels: its texts have to fit."""
GAP = 12
IN_A_ROW = 5
HEADING = 34


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A table on the plan. ``x`` and ``y``: its centre. ``is_placed``: whether staff have put it there."""

    table: Table
    x: int
    y: int
    width: int
    height: int
    shape: str
    is_placed: bool

    @property
    def version(self) -> str:
        """Return a text that changes when staff place the table elsewhere."""
        return place_version(self.x, self.y, self.shape) if self.is_placed else "none"

    @property
    def left(self) -> int:
        return self.x - self.width // 2

    @property
    def top(self) -> int:
        return self.y - self.height // 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    zone_ref: str | None
    x: int
    y: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FloorPlan:
    tables: tuple[Placed, ...]
    headings: tuple[Heading, ...]
    width: int
    height: int


def place_version(x: int, y: int, shape: str) -> str:
    return f"{x}.{y}.{shape}"


def places_of(restaurant_ref: str) -> Mapping[str, TablePlace]:
    """Return the places that staff have chosen, by table ref. One query."""
    return {each.table_ref: each for each in TablePlace.objects.filter(restaurant_ref=restaurant_ref)}


def plan_of(floor: Floor, places: Mapping[str, TablePlace]) -> FloorPlan:
    """Return the floor plan. Tables without a place stand below those that have one, in rows by zone."""
    placed = [_placed(table, places[table.ref]) for table in floor.tables if table.ref in places]
    y = max((each.top + each.height for each in placed), default=0)
    y += GAP if placed else 0
    headings = []
    for zone_ref, tables in by_zone(floor):
        waiting = [table for table in tables if table.ref not in places]
        if not waiting:
            if zone_ref is not None:
                headings += _above(zone_ref, [each for each in placed if each.table.zone_ref == zone_ref])
            continue
        headings.append(Heading(zone_ref=zone_ref, x=GAP, y=y + HEADING - 12))
        y += HEADING
        for number, table in enumerate(waiting):
            width, height, shape = _size(table, "")
            placed.append(
                Placed(
                    table=table,
                    x=GAP + (number % IN_A_ROW) * (WIDTH + GAP) + WIDTH // 2,
                    y=y + (number // IN_A_ROW) * (HEIGHT + GAP) + HEIGHT // 2,
                    width=min(width, WIDTH),
                    height=height,
                    shape=shape,
                    is_placed=False,
                )
            )
        y += -(-len(waiting) // IN_A_ROW) * (HEIGHT + GAP)
    order = {table.ref: number for number, table in enumerate(floor.tables)}
    return FloorPlan(
        tables=tuple(sorted(placed, key=lambda each: order[each.table.ref])),
        headings=tuple(headings),
        width=max([each.left + each.width for each in placed], default=0) + GAP,
        height=max([y, *(each.top + each.height for each in placed)]) + GAP,
    )


def _above(zone_ref: str, tables: Iterable[Placed]) -> list[Heading]:
    """Return the zone's name above its placed tables, if there is room."""
    there = list(tables)
    top, left = min(each.top for each in there), min(each.left for each in there)
    return [Heading(zone_ref=zone_ref, x=left, y=top - 8)] if top >= HEADING - 10 else []


def _placed(table: Table, place: TablePlace) -> Placed:
    width, height, shape = _size(table, place.shape)
    return Placed(
        table=table,
        x=max(place.x, width // 2),
        y=max(place.y, height // 2),
        width=width,
        height=height,
        shape=shape,
        is_placed=True,
    )


def _size(table: Table, shape: str) -> tuple[int, int, str]:
    """Return width, height and shape. A long table, as chosen by staff, grows with its seats."""
    shape = shape or TablePlace.Shape.SQUARE
    long = WIDTH + max(0, min(table.seats, 12) - 4) * 14
    if shape == TablePlace.Shape.LONG:
        return long, HEIGHT, shape
    if shape == TablePlace.Shape.TALL:
        return WIDTH, long, shape
    return WIDTH, HEIGHT, shape
