"""How fast a large evening's page is: ``make bench ARGS="--evening [--against COMMIT]"``.

60 tables and 300 bookings, decided by V3, in a database made anew: milliseconds of the server for the page, its parts and
actions, and of the browser until the page can be used. The first two are CPU-bound on the server; the browser is Debian's
Chromium on the same machine, and is left out where there is none.

``--against`` measures another commit too, in a temporary worktree. So this file runs on its own in old trees: apart from
``tests.throughput``, which does so too, it imports nothing of ``tests``.
"""

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
TABLES, BOOKINGS = 60, 300
ROUNDS = 9
LIMITS = {"page": 150, "panel": 150, "moved": 150, "stage": 150, "poll": 150, "interactive": 400}
"""Milliseconds at the median that are wanted on the machine on which this is developed."""
CHROMIUM = "/usr/bin/chromium"
DATABASE_SUFFIX = "_evening"


def _throughput() -> Any:
    """Load the module beside this file, not that of the tree that is measured."""
    spec = importlib.util.spec_from_file_location("throughput_here", HERE.with_name("throughput.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(against: str | None) -> None:
    """Measure here, and at the other commit, and print both."""
    throughput = _throughput()
    found: dict[str, dict[str, float]] = {}
    if against is not None:
        commit = throughput.known(against)
        with throughput.worktree(commit) as tree:
            found[commit[:9]] = throughput.answer_of(tree, HERE, "--measure")
    found["here"] = throughput.answer_of(HERE.parents[1], HERE, "--measure")
    names = list(dict.fromkeys(name for each in found.values() for name in each))
    print(f"evening of {TABLES} tables, {BOOKINGS} bookings; median ms" + "".join(f"{name:>12}" for name in found))
    for name in names:
        values = "".join(f"{each[name]:12.0f}" if name in each else f"{'-':>12}" for each in found.values())
        limit = f"   at most {LIMITS[name]}" if name in LIMITS else ""
        print(f"  {name:46}{values}{limit}")


# What runs in the tree that is measured


def _fill() -> Any:
    """Make the restaurant and have V3 decide its evening, which is today's or tomorrow's."""
    from django.core.management import call_command
    from waffle.models import Switch

    from assignments.coordination import dispatch
    from example import models
    from rollout.flags import resolution

    call_command("migrate", verbosity=0)
    Switch.objects.update_or_create(name=resolution.V3_SWITCH, defaults={"active": True})
    restaurant = models.Restaurant.objects.create(name="A large one", timezone="UTC")
    for number in range(TABLES):
        zone, _made = models.Zone.objects.get_or_create(restaurant=restaurant, name=f"Room {number // 15 + 1}")
        seats = (2, 4, 4, 6)[number % 4]
        models.Table.objects.create(restaurant=restaurant, zone=zone, code=f"T{number + 1}", seats=seats)
    tables = list(restaurant.tables.order_by("pk"))
    for one, other in pairwise(tables):
        if one.zone_id == other.zone_id:
            models.TableAdjacency.objects.create(first=one, second=other)
    service = models.ServicePeriod.objects.create(
        restaurant=restaurant, key="dinner", start=clock_time(16), end=clock_time(23, 55), buffer_after_minutes=5
    )
    models.TurnTime.objects.create(service=service, max_party=8, minutes=75)
    day = (datetime.now(UTC) + timedelta(days=1)).replace(hour=16, minute=0, second=0, microsecond=0)
    models.Booking.objects.bulk_create(
        models.Booking(
            restaurant=restaurant,
            reference=f"B{number}",
            start=day + timedelta(minutes=80 * (number % 5)),
            party=(2, 3, 4, 5)[number // 5 % 4],
            guest_name=f"Guest {number}",
            guest_phone=f"020 7946 0{number:03d}",
        )
        for number in range(BOOKINGS)
    )
    dispatch.register_new(str(restaurant.pk))
    while any(each.outcomes for each in dispatch.run_pass()):
        pass
    return restaurant, day


def _median(name: str, work: Callable[[int], Any]) -> dict[str, float]:
    """Return the median of milliseconds, and of those in which Python worked: the rest is PostgreSQL, or others' work."""
    milliseconds, of_python = [], []
    for number in range(ROUNDS + 1):
        started, worked = time.perf_counter(), time.process_time()
        answer = work(number)
        milliseconds.append((time.perf_counter() - started) * 1000)
        of_python.append((time.process_time() - worked) * 1000)
        if answer.status_code not in {200, 304}:
            raise RuntimeError(f"It answered with {answer.status_code}.")
    # The first one fills caches.
    return {name: statistics.median(milliseconds[1:]), f"{name}, in Python": statistics.median(of_python[1:])}


def _measure() -> dict[str, float]:
    sys.path.remove(str(HERE.parent))  # Its folder "example" is not the package that is measured.
    import django

    django.setup()
    _throughput().new_database(DATABASE_SUFFIX)
    restaurant, day = _fill()
    from django.contrib.auth import get_user_model
    from django.test import Client
    from django.urls import reverse

    from assignments.models import Assignment

    user = get_user_model().objects.create_superuser("bench")
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    url = reverse("admin:assignments_serviceday_changelist")
    query = {"restaurant": str(restaurant.pk), "day": day.date().isoformat()}
    found = _median("page", lambda _number: client.get(url, query))
    rows = list(Assignment.objects.filter(state="confirmed").order_by("-starts_at", "pk"))
    found["seated"] = float(len(rows))
    try:
        act = reverse("admin:assignments_serviceday_act", args=["arrived"])
    except Exception:  # noqa: BLE001  (an old tree, in which nothing could be done there)
        act = ""
    if act:
        tag = client.get(url, {**query, "part": "live"})["ETag"]
        found |= _median(
            "poll", lambda _number: client.get(url, {**query, "part": "live"}, headers={"If-None-Match": tag})
        )
        found |= _median(
            "panel", lambda number: client.get(url, {**query, "part": "panel", "booking": str(rows[number].pk)})
        )

        def send(name: str, number: int, **values: Any) -> Any:
            row = Assignment.objects.get(pk=rows[number].pk)
            data = {"form": str(uuid.uuid4()), "version": row.version, **values}
            where = reverse("admin:assignments_serviceday_act", args=[name])
            about = {**query, "booking": str(row.pk)}
            return client.post(where, data, query_params=about, headers={"X-Evening": "1"})

        found |= _median("stage", lambda number: send("arrived", number))
        found |= _median(
            "moved",
            lambda number: send("extend", 20 + number, until=round(rows[20 + number].starts_at.timestamp()) + 4200),
        )
    if Path(CHROMIUM).exists():
        found["interactive"] = _interactive(client, f"{url}?restaurant={query['restaurant']}&day={query['day']}")
    return found


def _interactive(client: Any, path: str) -> float:
    """Milliseconds from the request until the page's script has run, at the median; the server's part is in them."""
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    from django.conf import settings
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.test.testcases import LiveServerThread
    from playwright.sync_api import sync_playwright

    thread = LiveServerThread("localhost", StaticFilesHandler)
    thread.daemon = True
    thread.start()
    thread.is_ready.wait()
    origin = f"http://localhost:{thread.port}"
    milliseconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": origin}])
        page = context.new_page()
        for _round in range(ROUNDS + 1):
            page.goto(origin + path, wait_until="load")
            milliseconds.append(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
        browser.close()
    thread.terminate()
    return float(statistics.median(milliseconds[1:]))


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
