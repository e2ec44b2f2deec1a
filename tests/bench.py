"""``make bench``: measure on this machine, and print. Ratios come from one run; nothing here ever fails on a time.

``--against COMMIT`` measures only the bookings per second, here and at that commit in turn, see ``tests.throughput``;
``--evening`` only the page of a large evening, also with ``--against``, see ``tests.evening_bench``.

Everything is measured on a database of its own, named like the configured one with ``_bench`` behind.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, reset_queries  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext, override_settings  # noqa: E402
from waffle.models import Switch  # noqa: E402

from assignments import api, conf  # noqa: E402
from assignments.coordination import dispatch  # noqa: E402
from assignments.planning.batch_planner import EveningPlanner, in_order  # noqa: E402
from assignments.planning.request import SeatingRequest  # noqa: E402
from assignments.telemetry import events  # noqa: E402
from assignments.telemetry.percentiles import percentiles  # noqa: E402
from example import demo, demo_database, evening, models  # noqa: E402
from example.host import ExampleHost  # noqa: E402
from rollout import conf as rollout_conf  # noqa: E402
from rollout.control import steering, switches  # noqa: E402
from rollout.flags import resolution  # noqa: E402
from rollout.models import Comparison, DayComparison  # noqa: E402
from rollout.reporting import builder  # noqa: E402
from rollout.reporting.render import FORMATS  # noqa: E402
from rollout.shadow import comparator, recorder  # noqa: E402
from tests import crowd, evening_bench, throughput  # noqa: E402
from tests.pages import PAGES, Page  # noqa: E402
from tests.showcase import show  # noqa: E402


def load(name: str, days: int = 30) -> models.Restaurant:
    source = evening.parse_json_ahead(demo.REAL_EVENING.read_text(), datetime.now(UTC) + timedelta(days=days))
    return evening.store(replace(source, name=name)).restaurants[0]


def planning_alone() -> None:
    """The pure core on the real evening: no database."""
    restaurant = load("Planning")
    host = ExampleHost()
    floor = host.floor(str(restaurant.pk))
    bookings = host.bookings([str(pk) for pk in restaurant.bookings.values_list("pk", flat=True)]).values()
    requests = [
        SeatingRequest(booking_ref=each.ref, starts_at=each.starts_at, party=each.party, requested_at=each.requested_at)
        for each in bookings
    ]
    milliseconds: list[float] = []
    seated = 0
    for _ in range(10):
        planner = EveningPlanner(floor=floor, occupied=(), rules=conf.settings().rules(), now=datetime.now(UTC))
        started = time.perf_counter()
        for _request in planner.decide_all(in_order(requests, floor=floor, rules=conf.settings().rules())):
            milliseconds.append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()
        seated = sum(1 for decision in planner.decisions.values() if decision.best)
    print(f"planning alone        {seated} of {len(requests)} seated; ms {percentiles(milliseconds)}")


def whole_evening(planner: str) -> float:
    """One pass over the real evening, database and host included."""
    restaurant = load(f"Evening {planner}")
    switches.set_switch(resolution.V3_SWITCH, active=planner == "v3", actor="bench", reason="bench")
    started = time.perf_counter()
    dispatch.register_new(str(restaurant.pk))
    limits = dispatch.PassLimits(restaurant_ref=str(restaurant.pk))
    reset_queries()  # The log of queries is bounded, and a full one counts no more.
    with CaptureQueriesContext(connection) as captured:
        outcomes = [outcome for each in dispatch.run_pass(limits) for outcome in each.outcomes]
    seconds = time.perf_counter() - started
    confirmed = sum(1 for outcome in outcomes if outcome.kind == "confirmed")
    print(
        f"evening by {planner:10} {confirmed} of {len(outcomes)} confirmed in {seconds:.2f} s, {len(captured)} queries"
    )
    return seconds


def inline(label: str) -> float:
    """``assign_now`` for the bookings of an evening, one by one; the median in milliseconds."""
    restaurant = load(f"Inline {label}", days=60)
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="bench", reason="bench")
    dispatch.register_new(str(restaurant.pk))
    milliseconds = []
    for pk in restaurant.bookings.order_by("start").values_list("pk", flat=True):
        started = time.perf_counter()
        api.assign_now(booking_ref=str(pk))
        milliseconds.append((time.perf_counter() - started) * 1000)
    print(f"inline, {label:13} ms {percentiles(milliseconds)}")
    return statistics.median(milliseconds)


def shadow_on_and_off() -> None:
    """The legacy planner's time for one booking with shadow on and off, booking by booking in turn, in one run."""
    milliseconds: dict[bool, list[float]] = {True: [], False: []}
    for round_number in range(3):
        restaurant = load(f"Shadow {round_number}", days=90)
        switches.set_switch(resolution.V3_SWITCH, active=False, actor="bench", reason="bench")
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor="bench", reason="bench")
        dispatch.register_new(str(restaurant.pk))
        for number, pk in enumerate(restaurant.bookings.order_by("start").values_list("pk", flat=True)):
            is_on = (number + round_number) % 2 == 0
            Switch.objects.update_or_create(name=resolution.SHADOW_SWITCH, defaults={"active": is_on})
            started = time.perf_counter()
            api.assign_now(booking_ref=str(pk))
            milliseconds[is_on].append((time.perf_counter() - started) * 1000)
    switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor="bench", reason="bench")
    on, off = percentiles(milliseconds[True]), percentiles(milliseconds[False])
    print(f"legacy planner, shadow off  ms {off}")
    print(f"legacy planner, shadow on   ms {on}")
    p50, p95 = on["p50"] / off["p50"], on["p95"] / off["p95"]
    print(f"                      shadow costs a factor of {p50:.2f} at p50, {p95:.2f} at p95")


def gates_over(comparisons: int) -> None:
    """What a promotion measures, over so many comparisons: real ones of an evening, copied to 200 restaurants."""
    for name in (resolution.V3_SWITCH, resolution.SHADOW_SWITCH):
        switches.set_switch(name, active=False, actor="bench", reason="bench")
    steering.begin(actor="bench", reason="bench")
    steering.promote(from_stage="off", override=True, actor="bench", reason="bench")
    restaurant = load("Gates", days=120)
    dispatch.register_new(str(restaurant.pk))
    list(dispatch.run_pass(dispatch.PassLimits(restaurant_ref=str(restaurant.pk))))
    recorder.flush()
    list(comparator.compare_waiting())
    rows = list(Comparison.objects.filter(restaurant_ref=str(restaurant.pk)).values())
    copies = (
        Comparison(
            **{
                **row,
                "id": None,
                "recorded_at": datetime.now(UTC),
                "snapshot_hash": f"{row['id']}-{number}",
                "booking_ref": f"{row['booking_ref']}-{number}",
                "restaurant_ref": f"R{number % 200}",
            }
        )
        for number in range(comparisons // len(rows) + 1)
        for row in rows
    )
    Comparison.objects.bulk_create(copies, batch_size=1000)
    day = DayComparison.objects.values()[0]
    DayComparison.objects.bulk_create(
        DayComparison(**{**day, "id": None, "restaurant_ref": f"R{number}"}) for number in range(200)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE rollout_comparison, rollout_daycomparison")
    started = time.perf_counter()
    reset_queries()  # The log of queries is bounded, and a full one counts no more.
    with CaptureQueriesContext(connection) as captured:
        plan = steering.plan()
    seconds = time.perf_counter() - started
    total = plan.facts.comparisons.total
    print(f"gates                 {total} comparisons measured in {seconds:.2f} s, {len(captured)} queries")
    report_over()


def report_over() -> None:
    """The report over what is there, and writing it in each format."""
    started = time.perf_counter()
    reset_queries()  # The log of queries is bounded, and a full one counts no more.
    with CaptureQueriesContext(connection) as captured:
        report = builder.build()
    seconds = time.perf_counter() - started
    total = report.plan.facts.comparisons.total
    print(f"report                {total} comparisons gathered in {seconds:.2f} s, {len(captured)} queries")
    for name, render in FORMATS.items():
        started = time.perf_counter()
        text = render(report)
        print(f"                      {name} of {len(text) // 1024} KiB in {time.perf_counter() - started:.3f} s")


def pages_at_two_sizes() -> None:
    """Each page of staff and operators over one evening, and over ten thousand bookings; the server's part alone."""
    restaurant = show(_Overriding())
    client = Client(headers={"host": "localhost"})
    client.force_login(get_user_model().objects.create_superuser("bench"))
    small = {page: _median_ms(client, page) for page in PAGES}
    started = time.perf_counter()
    crowd.grow(restaurant)
    print(f"crowd                 {models.Booking.objects.count()} bookings in {time.perf_counter() - started:.1f} s")
    for page in PAGES:
        big = _median_ms(client, page)
        print(f"page {page.key:16} ms {small[page]:.0f}, with the crowd {big:.0f}: a factor of {big / small[page]:.2f}")


class _Overriding:
    """The settings; what is set on it is overridden until the end of the process."""

    def __getattr__(self, name: str) -> Any:
        return getattr(settings, name)

    def __setattr__(self, name: str, value: Any) -> None:
        override_settings(**{name: value}).enable()


def _median_ms(client: Client, page: Page) -> float:
    milliseconds = []
    for _ in range(6):
        started = time.perf_counter()
        answer = client.get(page.path())
        milliseconds.append((time.perf_counter() - started) * 1000)
        if answer.status_code != 200:
            raise RuntimeError(f"{page.path()} answered with {answer.status_code}.")
    return statistics.median(milliseconds[1:])  # The first one fills caches.


def main() -> None:
    if len(sys.argv) > 1:
        if not evening_bench.only_that(sys.argv[1:]):
            throughput.main()
        return
    demo_database.use_another("_bench")
    planning_alone()
    is_legacy_planner_there = bool(rollout_conf.settings().LEGACY_PLANNER)
    legacy = whole_evening("legacy") if is_legacy_planner_there else 0.0
    v3 = whole_evening("v3")
    if is_legacy_planner_there:
        print(f"                      V3 takes {v3 / legacy:.2f} of the legacy planner's time")
    inline("warm-up")
    with_events = inline("with events")
    silenced: Callable[[object], None] = lambda records: None  # noqa: E731
    emit_all, events.emit_all = events.emit_all, silenced  # type: ignore[assignment]
    without = inline("without events")
    events.emit_all = emit_all
    print(f"                      events cost a factor of {with_events / without:.2f} at the median")
    if is_legacy_planner_there:
        shadow_on_and_off()
        with override_settings(ROLLOUT={**settings.ROLLOUT, "ENVIRONMENT": "production"}):
            gates_over(100_000)
    demo_database.empty()
    call_command("migrate", verbosity=0)
    pages_at_two_sizes()
    events.flush(10)
    throughput.main([])
    evening_bench.main([])


if __name__ == "__main__":
    main()
