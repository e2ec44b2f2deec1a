"""How long a guest waits for an answer: ``make bench ARGS="--inline [--against COMMIT]"``.

Guests of real evenings book one after another, in a seeded random order, and ``assign_now`` answers each of them, in a
database made anew: milliseconds, of which most are PostgreSQL's or others' work. Then ``availability`` lists the times of a
generated evening of 40 tables that is full, with and without moves, and while guests wait for a table and when none does.

``--against`` measures another commit too, in turn, in a temporary worktree. So this file runs on its own in old trees: apart
from ``tests.throughput``, which does so too, it imports nothing of ``tests`` there.
"""

import argparse
import importlib.util
import json
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
EVENINGS = 6
"""With 117 bookings each."""
ROUNDS = 2
LISTS = 30
PARTIES = (2, 4, 6)
DATABASE_SUFFIX = "_inline"


def _throughput() -> Any:
    """Load the module beside this file, not that of the tree that is measured."""
    spec = importlib.util.spec_from_file_location("throughput_here", HERE.with_name("throughput.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(against: str | None) -> None:
    """Measure here, and at the other commit in turn, and print both."""
    throughput = _throughput()
    print(f"{'milliseconds':54} answers     p50     p95")
    if against is None:
        _print("here", throughput.answer_of(HERE.parents[1], HERE, "--measure"))
        return
    commit = throughput.known(against)
    with throughput.worktree(commit) as tree:
        for _round in range(ROUNDS):
            before = _print(commit[:9], throughput.answer_of(tree, HERE, "--measure"))
            here = _print("here", throughput.answer_of(HERE.parents[1], HERE, "--measure"))
            ratio = here["assign_now"][1] / before["assign_now"][0]
            print(f"{'':54} the p95 of assign_now here is {ratio:.2f} times its p50 at {commit[:9]}", flush=True)


def _print(name: str, found: dict[str, list[float]]) -> dict[str, tuple[float, float]]:
    summed = {}
    for what, milliseconds in found.items():
        p50, p95 = summed[what] = _percentiles(milliseconds)
        print(f"{name:10} {what:43} {len(milliseconds):7} {p50:7.1f} {p95:7.1f}", flush=True)
    return summed


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(values, n=20)
    return cuts[9], cuts[18]


# What runs in the tree that is measured


def _measure() -> dict[str, list[float]]:
    sys.path.remove(str(HERE.parent))  # Its folder "example" is not the package that is measured.
    import django

    django.setup()
    from django.core.management import call_command

    _throughput().new_database(DATABASE_SUFFIX)
    call_command("migrate", verbosity=0)
    _turn("assignment_pipeline_v3", on=True)
    _turn("assignment_rearrangement", on=True)
    from assignments import api

    found: dict[str, list[float]] = {"assign_now": []}
    moves = 0
    for number in range(EVENINGS):
        for outcome, milliseconds in _answers(_real_evening(f"Inline {number}"), seed=number):
            found["assign_now"].append(milliseconds)
            before, moves = moves, _moves()
            kind = "with moves" if moves > before else "confirmed" if outcome.kind == "confirmed" else "refused"
            found.setdefault(f"assign_now, {kind}", []).append(milliseconds)
    if hasattr(api, "availability"):
        found |= _availability()
    _events().flush(10)
    return found


def _events() -> Any:
    return _throughput()._module("assignments.telemetry.events", "assignments.events")


def _moves() -> int:
    """Return how often parties have changed tables; 0 in an old tree, where nobody does."""
    from django.db.models import Sum

    from assignments.models import Assignment

    if not hasattr(Assignment, "moves"):
        return 0
    return Assignment.objects.aggregate(all=Sum("moves"))["all"] or 0


def _turn(switch: str, *, on: bool) -> None:
    from waffle.models import Switch

    Switch.objects.update_or_create(name=switch, defaults={"active": on})


def _real_evening(name: str) -> Any:
    from example import demo, evening

    ahead, text = datetime.now(UTC) + timedelta(days=45), demo.REAL_EVENING.read_text()
    parse = getattr(evening, "parse_json_ahead", None)
    source = parse(text, ahead) if parse else demo.moved_to_coming_day(text, ahead.date())  # type: ignore[attr-defined]
    return _stored(replace(source, name=name))


def _stored(source: Any) -> Any:
    from example import evening, models

    evening.store(source)
    return models.Restaurant.objects.get(name=source.name)


def _answers(restaurant: Any, *, seed: int) -> Iterator[tuple[Any, float]]:
    """Book the restaurant's bookings anew, one after another, and yield each outcome with its milliseconds."""
    from assignments import api

    bookings = list(restaurant.bookings.order_by("reference"))
    restaurant.bookings.all().delete()
    random.Random(seed).shuffle(bookings)
    for booking in bookings:
        booking.pk, booking._state.adding = None, True
        booking.save()
        started = time.perf_counter()
        outcome = api.assign_now(booking_ref=str(booking.pk))
        yield outcome, (time.perf_counter() - started) * 1000


def _availability() -> dict[str, list[float]]:
    """Return the milliseconds of listing an evening's times, while parties may be moved and while nobody may."""
    from assignments import api
    from example import evening
    from tests import evenings  # Of the tree.

    ahead = datetime.now(UTC).date() + timedelta(days=45)
    text = json.dumps(evenings.generate(evenings.SEEDS[1]))
    restaurant = _stored(replace(evening.parse_json(text, on=ahead), name="Availability"))
    outcomes = [(outcome.booking_ref, outcome.kind) for outcome, _milliseconds in _answers(restaurant, seed=0)]
    waiting = [ref for ref, kind in outcomes if kind != "confirmed"]
    found: dict[str, list[float]] = {}

    def measure(wait: int) -> None:
        for name, is_on in (("moves", True), ("no moves", False)):
            _turn("assignment_rearrangement", on=is_on)
            title = f"availability, {len(outcomes) - len(waiting)} sit, {wait} wait, {name}"
            times = found[title] = []
            for number in range(LISTS):
                party = PARTIES[number % len(PARTIES)]
                started = time.perf_counter()
                api.availability(restaurant_ref=str(restaurant.pk), service_date=ahead, party=party)
                times.append((time.perf_counter() - started) * 1000)

    measure(len(waiting))
    for ref in waiting:
        api.booking_cancelled(booking_ref=ref)
    measure(0)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", metavar="COMMIT", help="Measure this commit too.")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.measure:
        print(json.dumps(_measure()))
    else:
        compare(given.against)


if __name__ == "__main__":
    main()
