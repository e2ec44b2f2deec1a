"""The floor plan in numbers and words: a shape for each table, and who sits there at a chosen time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from assignments.admin.evening.grid import Grid, GridRow
from assignments.admin.evening.markup import Block
from assignments.admin.evening.state import State
from assignments.admin.timeline_svg import clock, seats, zone_name
from assignments.models import Allocation
from assignments.staff import labels
from assignments.staff.floor_plan import FloorPlan, Placed, places_of, plan_of
from assignments.staff.service_day import ServiceDay as Day
from assignments.staff.timeline import CLOSURE

STEP = timedelta(minutes=15)
LETTERS = 16
"""Letters of a line for which a table has room."""
HOLD = Allocation.Kind.HOLD.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """A table on the plan. ``block``: who has it at that time, or None. ``lines``: its text."""

    placed: Placed
    row: GridRow
    block: Block | None
    look: str
    lines: tuple[str, ...]
    title: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The floor plan. ``joins``: lines between the tables of one party, as x and y of both ends. ``at``: the time shown."""

    spots: tuple[Spot, ...]
    headings: tuple[tuple[int, int, str], ...]
    joins: tuple[tuple[int, int, int, int], ...]
    width: int
    height: int
    at: str
    is_now: bool
    earlier_link: str
    later_link: str
    now_link: str
    timezone: str


def moment_of(state: State, shown: Day) -> datetime:
    """Return the time that the plan shows: the chosen one, else now, else when the last service begins."""
    timeline = shown.timeline
    zone = labels.Words(shown.floor).zone
    if state.at is not None:
        assert state.day is not None
        chosen = datetime.combine(state.day, state.at, tzinfo=zone)
        return chosen if chosen >= timeline.starts_at else chosen + timedelta(days=1)
    if timeline.starts_at <= shown.now < timeline.ends_at:
        return shown.now
    return max((band.starts_at for band in timeline.bands[-1:]), default=timeline.starts_at)


def plan_context(grid: Grid, shown: Day, state: State) -> Plan | None:
    """Return the plan; None without a valid floor. One query for the places."""
    if shown.floor is None:
        return None
    found: FloorPlan = plan_of(shown.floor, places_of(shown.restaurant_ref))
    moment = moment_of(state, shown)
    zone = shown.floor.zone
    rows = {row.ref: row for of_zone in grid.zones for row in of_zone.rows}
    spots = tuple(
        _spot(each, rows[each.table.ref], moment, zone, now=shown.now)
        for each in found.tables
        if each.table.ref in rows
    )
    is_now = state.at is None and moment == shown.now

    def link(at: datetime) -> str:
        return state.bare.link(at=at.astimezone(zone).time().replace(second=0, microsecond=0))

    rounded = moment - (moment - datetime.min.replace(tzinfo=moment.tzinfo)) % STEP
    return Plan(
        spots=spots,
        headings=tuple((each.x, each.y, zone_name(each.zone_ref, shown.floor)) for each in found.headings),
        joins=tuple(_joins(spots)),
        width=found.width,
        height=found.height,
        at=clock(moment, zone),
        is_now=is_now,
        earlier_link=link(rounded - STEP if rounded == moment else rounded),
        later_link=link(rounded + STEP),
        now_link=state.bare.link(at=None),
        timezone=grid.timezone,
    )


def _spot(placed: Placed, row: GridRow, moment: datetime, zone: Any, *, now: datetime) -> Spot:
    here = [block for block in row.blocks if _is_at(block, moment, now=now)]
    # Guests count before what closes the table, both before what is only kept, and those who sit before those to come.
    here.sort(
        key=lambda block: (
            block.bar.taken.kind == HOLD,
            block.bar.taken.kind == CLOSURE,
            not block.sits,
            block.bar.taken.ends_at <= moment,
        )
    )
    block = here[0] if here else None
    following = [each for each in row.blocks if each.bar.taken.starts_at > moment and not each.bar.taken.has_ended]
    after = min(following, key=lambda each: each.bar.taken.starts_at, default=None)
    then = clock(after.bar.taken.starts_at, zone) if after else ""
    if block is not None:
        end = clock(block.bar.taken.ends_at, zone)
        until = "" if block.bar.taken.is_open_ended else _("until %(time)s") % {"time": end}
        mark = "! " if block.trouble else ""
        return Spot(
            placed=placed,
            row=row,
            block=block,
            look=block.look,
            lines=tuple(filter(None, [mark + _short(block.first), until])),
            title=block.title,
        )
    free = _("free")
    if not placed.table.active:
        free = _("out of service")
    elif then:
        free = _("free until %(time)s") % {"time": then}
    return Spot(
        placed=placed,
        row=row,
        block=None,
        look="plan-free" if placed.table.active else "plan-off",
        lines=(free, _short(after.first)) if after and placed.table.active else (free,),
        title=", ".join([_("Table %(name)s") % {"name": row.name}, seats(placed.table.seats), free]),
    )


def _short(text: str) -> str:
    """Cut a text to what a table has room for, but keep the number of guests at its end."""
    name, separator, rest = text.partition(" · ")
    most = LETTERS - len(separator + rest)
    return text if len(name) <= most else f"{name[: most - 1].rstrip()}…{separator}{rest}"


def _is_at(block: Block, moment: datetime, *, now: datetime) -> bool:
    """Return whether the table is taken then. Guests who have not left sit there until now, whatever their time."""
    taken = block.bar.taken
    is_overdue = block.sits and taken.ends_at <= moment <= now
    return taken.starts_at <= moment and not taken.has_ended and (moment < taken.ends_at or is_overdue)


def _joins(spots: tuple[Spot, ...]) -> list[tuple[int, int, int, int]]:
    """Return a line from each table of a party to the next one."""
    at: Mapping[str, Spot] = {spot.row.ref: spot for spot in spots}
    lines = []
    for spot in spots:
        joined = spot.block.bar.joined if spot.block else ()
        if spot.row.ref not in joined:
            continue
        follower = at.get(next(iter(joined[joined.index(spot.row.ref) + 1 :]), ""))
        if follower is not None:
            lines.append((spot.placed.x, spot.placed.y, follower.placed.x, follower.placed.y))
    return lines
