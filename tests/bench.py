"""``make bench``: measure on this machine, and print. Ratios come from one run; nothing here ever fails on a time.

``make bench ARGS=--help`` lists what can be measured alone, and what beside another commit, in turn. All is measured on a
database of its own, named like the configured one with a suffix.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django
import numpy as np

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, reset_queries  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import CaptureQueriesContext, override_settings  # noqa: E402
from waffle.models import Switch  # noqa: E402

from assignments import api  # noqa: E402
from assignments.coordination import dispatch  # noqa: E402
from assignments.coordination.planned_day import plan_requests  # noqa: E402
from assignments.integration import floor_cache  # noqa: E402
from assignments.planning.request import SeatingRequest  # noqa: E402
from assignments.telemetry import events  # noqa: E402
from assignments.telemetry.percentiles import percentiles  # noqa: E402
from example import demo, demo_database, evening, models  # noqa: E402
from example.host import ExampleHost  # noqa: E402
from rollout import conf as rollout_conf  # noqa: E402
from rollout.control import guard, steering, switches  # noqa: E402
from rollout.evidence import decision_audit  # noqa: E402
from rollout.flags import resolution  # noqa: E402
from rollout.models import Comparison, DayComparison  # noqa: E402
from rollout.reporting import builder  # noqa: E402
from rollout.reporting.render import FORMATS  # noqa: E402
from rollout.shadow import comparator, recorder  # noqa: E402
from tests import crowd, evening_bench, history_bench, inline_bench, throughput  # noqa: E402
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
    for _ in range(10):
        planned = plan_requests(requests, floor=floor, occupied=(), now=datetime.now(UTC), success={})
        milliseconds += planned.milliseconds.values()
    seated = sum(1 for decision in planned.decisions.values() if decision.best)
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


TURN = 13
"""Decisions of a turn. An evening has 117 bookings: nine turns, so each booking comes in either mode in two rounds."""


def shadow_on_and_off(decisions: int = 150) -> None:
    """The legacy planner's time for one booking with shadow on and off, in turn, in one run: at least so many of each.

    They take turns of ``TURN`` decisions. What shadow mode writes in the background is written before the others' turn, so
    that it takes the time of its own decisions.
    """
    milliseconds: dict[bool, list[float]] = {True: [], False: []}
    round_number = 0
    while min(map(len, milliseconds.values())) < decisions:
        restaurant = load(f"Shadow {round_number}", days=90)
        switches.set_switch(resolution.V3_SWITCH, active=False, actor="bench", reason="bench")
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor="bench", reason="bench")
        dispatch.register_new(str(restaurant.pk))
        for number, pk in enumerate(restaurant.bookings.order_by("start").values_list("pk", flat=True)):
            is_on = (number // TURN + round_number) % 2 == 0
            if number % TURN == 0:
                recorder.flush()
                events.flush(10)
            Switch.objects.update_or_create(name=resolution.SHADOW_SWITCH, defaults={"active": is_on})
            started = time.perf_counter()
            api.assign_now(booking_ref=str(pk))
            milliseconds[is_on].append((time.perf_counter() - started) * 1000)
        round_number += 1
    switches.set_switch(resolution.SHADOW_SWITCH, active=False, actor="bench", reason="bench")
    for is_on, values in sorted(milliseconds.items()):
        name = f"shadow {'on' if is_on else 'off'}"
        print(f"legacy planner, {name:11} ms {percentiles(values)}, {len(values)} decisions")
    for percent in (50, 95):
        ratio, lower, upper = _ratio(milliseconds[True], milliseconds[False], percent)
        print(
            f"                      shadow costs a factor of {ratio:.3f} at p{percent} (95 %: {lower:.3f} to {upper:.3f})"
        )


def _ratio(on: list[float], off: list[float], percent: int, *, resamples: int = 1000) -> tuple[float, float, float]:
    """The ratio of a percentile, with the interval that holds 95 % of the ratios of resamples (bootstrap)."""
    source = np.random.default_rng(0)

    def drawn(values: list[float]) -> np.ndarray:
        resampled = source.choice(np.array(values), (resamples, len(values)))
        return np.asarray(np.percentile(resampled, percent, axis=1))

    lower, upper = np.percentile(drawn(on) / drawn(off), [2.5, 97.5])
    return float(np.percentile(on, percent) / np.percentile(off, percent)), float(lower), float(upper)


def _processor() -> float:
    """Seconds of CPU that this process has taken, and the database for it, if that runs on this machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        stat = Path(f"/proc/{cursor.fetchone()[0]}/stat")
    ticks = map(int, stat.read_text().rpartition(")")[2].split()[11:13]) if stat.exists() else ()
    return time.process_time() + sum(ticks) / os.sysconf("SC_CLK_TCK")


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
    _copy_comparisons(str(restaurant.pk), comparisons)
    day = DayComparison.objects.values()[0]
    DayComparison.objects.bulk_create(
        DayComparison(**{**day, "id": None, "restaurant_ref": f"R{number}"}) for number in range(200)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE rollout_comparison, rollout_daycomparison")
    reset_queries()  # The log of queries is bounded, and a full one counts no more.
    started, before = time.perf_counter(), _processor()
    with CaptureQueriesContext(connection) as captured:
        plan = steering.plan()
    seconds, processor = time.perf_counter() - started, _processor() - before
    total = plan.facts.comparisons.total
    print(
        f"gates                 {total} comparisons measured in {seconds:.2f} s ({processor:.2f} s of CPU), "
        f"{len(captured)} queries"
    )
    report_over()


def _copy_comparisons(restaurant_ref: str, comparisons: int) -> None:
    """Copy a restaurant's comparisons by SQL, until there are so many, to 200 restaurants."""
    changed = {
        "recorded_at": "now()",
        "snapshot_hash": "snapshot_hash || '-' || number",
        "booking_ref": "booking_ref || '-' || number",
        "restaurant_ref": "'R' || number %% 200",
    }
    columns = [str(field.column) for field in Comparison._meta.concrete_fields if not field.primary_key]
    values = ", ".join(changed.get(column, column) for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO rollout_comparison ({', '.join(columns)}) SELECT {values} "
            "FROM rollout_comparison CROSS JOIN generate_series(1, 1 + %(wanted)s / "
            "(SELECT count(*) FROM rollout_comparison WHERE restaurant_ref = %(ref)s)) AS number "
            "WHERE restaurant_ref = %(ref)s",
            {"wanted": comparisons, "ref": restaurant_ref},
        )


def guard_over(restaurants: int, *, bookings: int = 10) -> None:
    """Runs of the guard after V3 has decided so many bookings at each restaurant: the last one without audits."""
    position = steering.current() or steering.begin(actor="bench", reason="bench")
    while steering.plan().target is not None:
        position = steering.promote(from_stage=position.stage, override=True, actor="bench", reason="bench")
    source = evening.parse_json_ahead(demo.REAL_EVENING.read_text(), datetime.now(UTC) + timedelta(days=150))
    few = replace(source, bookings=source.bookings[40 : 40 + bookings])
    for number in range(restaurants):
        evening.store(few, restaurant_name=f"Guard {number}")
    dispatch.register_new()
    decided = sum(len(each.outcomes) for each in dispatch.run_pass())
    is_audited = False
    while not is_audited:
        waiting, _refusals = decision_audit.waiting()
        is_audited = not waiting
        reset_queries()  # The log of queries is bounded, and a full one counts no more.
        floor_cache.forget()  # As a run from cron begins.
        started, before = time.perf_counter(), _processor()
        with CaptureQueriesContext(connection) as captured:
            findings = guard.run()
        seconds, processor = time.perf_counter() - started, _processor() - before
        print(
            f"guard                 {decided} decisions at {restaurants} restaurants, {waiting} to be audited: "
            f"{seconds:.2f} s ({processor:.2f} s of CPU), {len(captured)} queries, {len(findings.breaches)} breaches"
        )


def report_over() -> None:
    """The report over what is there, and writing it in each format."""
    reset_queries()  # The log of queries is bounded, and a full one counts no more.
    started, before = time.perf_counter(), _processor()
    with CaptureQueriesContext(connection) as captured:
        report = builder.build()
    seconds, processor = time.perf_counter() - started, _processor() - before
    total = report.plan.facts.comparisons.total
    print(
        f"report                {total} comparisons gathered in {seconds:.2f} s ({processor:.2f} s of CPU), "
        f"{len(captured)} queries"
    )
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


def evidence() -> None:
    """Gates and report over 100,000 comparisons, and the guard over 200 restaurants."""
    with override_settings(ROLLOUT={**settings.ROLLOUT, "ENVIRONMENT": "production"}):
        gates_over(100_000)
        guard_over(200)


def main() -> None:
    """Run the benchmark that the arguments name, or all of them."""
    parser = argparse.ArgumentParser(prog="make bench", description="Measure on this machine, and print.")
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument(
        "--inline", action="store_true", help="only how long guests wait for an answer, and availability"
    )
    alone.add_argument("--evening", action="store_true", help="only the page of a large evening")
    alone.add_argument("--evidence", action="store_true", help="only gates, report and guard over 100,000 comparisons")
    alone.add_argument(
        "--shadow", action="store_true", help="only what 4,000 decisions cost with shadow mode and without"
    )
    alone.add_argument(
        "--history",
        type=int,
        metavar="DAYS",
        help="only what decisions cost day after day, with all days' history kept",
    )
    parser.add_argument(
        "--against",
        metavar="COMMIT",
        help="measure this commit too: only bookings per second, or --inline or --evening",
    )
    parser.add_argument("--workers", nargs="+", metavar="N", help="only bookings per second, with so many workers")
    parser.add_argument("--evenings", metavar="N", help="only bookings per second, over so many evenings")
    given = parser.parse_args()
    if given.history is not None and given.history < 1:
        parser.error("--history takes a number of days, 1 or more.")
    against = ["--against", given.against] if given.against else []
    if given.inline:
        inline_bench.main(against)
    elif given.history:
        history_bench.main(given.history)
    elif given.evening:
        evening_bench.main(against)
    elif given.evidence or given.shadow:
        demo_database.use_another("_bench")
        evidence() if given.evidence else shadow_on_and_off(4000)
        events.flush(10)
    elif against or given.workers or given.evenings:
        workers = ["--workers", *given.workers] if given.workers else []
        throughput.main([*against, *workers, *(["--evenings", given.evenings] if given.evenings else [])])
    else:
        everything()


def everything() -> None:
    """Run all benchmarks, without another commit."""
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
        evidence()
    demo_database.empty()
    call_command("migrate", verbosity=0)
    pages_at_two_sizes()
    events.flush(10)
    throughput.main([])
    inline_bench.main([])
    evening_bench.main([])


if __name__ == "__main__":
    main()
