"""An evening whose bookings are decided one at a time, as guests make them: without moves, and with them."""

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from waffle import get_waffle_switch_model

from assignments import api, conf
from assignments.concurrency import clock
from assignments.coordination import optimizing
from assignments.integration.evening_file import EveningFile
from assignments.models import Assignment, State
from assignments.planning import optimum
from assignments.planning.optimum import Optimum, Problem
from example import demo, evening, models
from rollout.control import switches
from rollout.flags import resolution

PLANNERS = {"v3-fixed": False, "v3": True}
"""Whether each of them moves confirmed parties that have not been told their table."""
LONGEST_AHEAD = 366
"""Days within which the evening of a demo is."""
OPTIMIZER = "v3-optimizer"
"""As ``v3``; whoever is left waiting is then looked at by ``optimize_evenings``, if the extra is installed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The result of the evening: bookings confirmed, their covers, and moves of confirmed parties."""

    planner: str
    confirmed: int
    covers: int
    moved: int
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class OneByOne:
    """All runs on the same order of bookings, and what independent SQL found.

    ``possible``: how many bookings the solver could seat, in any order and without promises; None if it is not
    installed. ``is_proven``: whether it is proven that no more can be seated.
    """

    bookings: int
    tables: int
    seed: int
    runs: tuple[Run, ...]
    overlaps: int
    lost: int
    possible: int | None = None
    is_proven: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def play(source: EveningFile, *, seed: int, say: Callable[[str], None] = lambda text: None) -> OneByOne:
    """Decide the bookings in an order that ``seed`` fixes, once for each planner, each on its own copy of the evening."""
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="demo", reason="The demo decides one at a time")
    runs, loaded = [], []
    has_solver = optimum.is_installed()
    for planner, rearranges in {**PLANNERS, **({OPTIMIZER: True} if has_solver else {})}.items():
        say(f"{planner} seats the evening, one booking at a time ...")
        restaurant = evening.store(source.called(f"{source.name} ({planner})")).restaurants[0]
        loaded.append(restaurant)
        get_waffle_switch_model().objects.update_or_create(
            name=resolution.REARRANGEMENT_SWITCH, defaults={"active": rearranges}
        )
        runs.append(_run(planner, restaurant, seed))
    best = _possible(source) if has_solver else None
    return OneByOne(
        bookings=loaded[0].bookings.count(),
        tables=loaded[0].tables.count(),
        seed=seed,
        runs=tuple(runs),
        overlaps=demo.count_overlaps(),
        lost=demo.count_lost(),
        possible=best.value if best else None,
        is_proven=bool(best and best.is_proven),
    )


def _possible(source: EveningFile) -> Optimum:
    requests = source.requests()
    long_before = min((request.starts_at for request in requests), default=clock.now()) - timedelta(days=1)
    problem = Problem(
        floor=source.floor(),
        occupied=(),
        movable=(),
        requests=requests,
        now=long_before,
        rules=conf.settings().rules(),
    )
    return optimum.possible(problem)


def _run(planner: str, restaurant: models.Restaurant, seed: int) -> Run:
    bookings = list(restaurant.bookings.order_by("reference"))
    random.Random(seed).shuffle(bookings)
    first = min((booking.created_at for booking in bookings), default=None)
    for number, booking in enumerate(bookings):
        assert first is not None
        booking.created_at = first - timedelta(minutes=len(bookings) - number)
    models.Booking.objects.bulk_update(bookings, ["created_at"])
    started = time.perf_counter()
    for booking in bookings:
        api.request(booking_ref=str(booking.pk))
        api.assign_now(booking_ref=str(booking.pk))
    if planner == OPTIMIZER:
        list(optimizing.optimize(days=LONGEST_AHEAD, restaurant_ref=str(restaurant.pk)))
    seconds = time.perf_counter() - started
    rows = Assignment.objects.filter(restaurant_ref=str(restaurant.pk), state=State.CONFIRMED)
    total = rows.aggregate(covers=Sum("party"), moved=Sum("moves"))
    return Run(
        planner=planner,
        confirmed=rows.count(),
        covers=total["covers"] or 0,
        moved=total["moved"] or 0,
        seconds=round(seconds, 3),
    )
