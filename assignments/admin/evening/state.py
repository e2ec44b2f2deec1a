"""The state of the evening's page, as its address holds it: every step is a link and works without scripts."""

from dataclasses import dataclass, replace
from datetime import date, time
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from assignments.planning.seating_window import FIRST_YEAR, LAST_YEAR

LIST = "admin:assignments_serviceday_changelist"
ACT = "admin:assignments_serviceday_act"
ZOOMS = (1, 2, 3)
USUAL_ZOOM = 2
PLAN, ARRANGE = "plan", "arrange"
VIEWS = frozenset({PLAN, ARRANGE})
LONGEST = 200
"""Maximum characters of a value in the address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What the page shows, as its address says. ``day`` None: today. ``service``: only the hours around it.

    The panel shows ``booking`` (the key of its assignment) and what giving it ``to`` would mean, or a ``table``, ``zone``
    or ``closure``, or asks for a ``walk_in`` or for what closes the whole ``house``. ``view``: ``plan`` for the floor
    plan ``at`` a time (None: now), or ``arrange`` to place its tables; else the timeline.
    """

    restaurant: str = ""
    day: date | None = None
    service: str = ""
    zoom: int = USUAL_ZOOM
    is_open: bool = False
    booking: int | None = None
    to: tuple[str, ...] = ()
    table: str = ""
    zone: str = ""
    closure: int | None = None
    panel: str = ""
    view: str = ""
    at: time | None = None

    @property
    def query(self) -> str:
        values: dict[str, Any] = {"restaurant": self.restaurant}
        if self.day:
            values["day"] = self.day.isoformat()
        if self.service:
            values["service"] = self.service
        if self.zoom != USUAL_ZOOM:
            values["zoom"] = self.zoom
        if self.is_open:
            values["waiting"] = 1
        if self.view:
            values["view"] = self.view
        if self.at is not None:
            values["at"] = f"{self.at:%H:%M}"
        for name in ("booking", "to", "table", "zone", "closure", "panel"):
            value = getattr(self, name)
            if value:
                values[name] = value
        return urlencode(values, doseq=True)

    def link(self, **changes: Any) -> str:
        """Return the address of the page with these changes."""
        return f"{reverse(LIST)}?{replace(self, **changes).query}"

    def act(self, name: str, **changes: Any) -> str:
        """Return where a form sends an action; the page that follows is this one with these changes."""
        return f"{reverse(ACT, args=[name])}?{replace(self, **changes).query}"

    @property
    def bare(self) -> "State":
        """The page without anything in its panel."""
        return replace(self, booking=None, to=(), table="", zone="", closure=None, panel="")


def state_of(request: HttpRequest) -> State:
    """Return the state that the address holds. Values that are not understood are ignored."""
    given = request.GET

    def text(name: str) -> str:
        value = given.get(name, "")
        return "" if "\0" in value else value[:LONGEST]

    def key(name: str) -> int | None:
        value = given.get(name, "")
        return int(value) if value.isdecimal() and len(value) < 19 else None

    zoom = key("zoom")
    return State(
        restaurant="" if "\0" in given.get("restaurant", "") else given.get("restaurant", ""),
        day=day_of(given.get("day", "")),
        service=text("service"),
        zoom=zoom if zoom in ZOOMS else USUAL_ZOOM,
        is_open=bool(given.get("waiting")),
        booking=key("booking"),
        to=tuple(each for each in given.getlist("to")[:10] if each and "\0" not in each),
        table=text("table"),
        zone=text("zone"),
        closure=key("closure"),
        panel=text("panel"),
        view=given.get("view", "") if given.get("view") in VIEWS else "",
        at=time_of(given.get("at", "")),
    )


def time_of(text: str) -> time | None:
    """Parse a time of day. Returns None if it is invalid."""
    try:
        return time.fromisoformat(text.zfill(5)).replace(second=0, microsecond=0, tzinfo=None)
    except ValueError:
        return None


def day_of(text: str) -> date | None:
    """Parse a date. Returns None if it is invalid or too far away to show."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_YEAR < day.year < LAST_YEAR else None
