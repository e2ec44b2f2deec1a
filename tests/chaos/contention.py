"""``python -m tests.chaos.contention``: eight processes want the same few tables, again and again, and nobody shares one.

Most go straight to the ledger, past every lock of ours: only PostgreSQL keeps them apart. A hundredth goes the whole way,
by ``api.assign_now``.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from tests.chaos.progress import Progress, shared_counts
from tests.chaos.setting_up import STATE, set_up

PROCESSES = 8
TABLES = 3
STARTS = 24
"""Quarters of an hour at which somebody may begin: a stay of two hours overlaps fifteen of them."""
FREED_EVERY = 25
"""After so many attempts a process gives up its seatings, so that tables are free again."""
EVENINGS = 4
"""Evenings between which ``assign_now`` is asked for one, so that a process does not only wait for the others' decisions."""
KEPT = 6
"""Bookings that a process keeps, all together more than there is room for."""
SEVEN = datetime(2031, 1, 14, 17, tzinfo=UTC)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.contention", description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--inline", type=int, help="Attempts by assign_now (default: a hundredth).")
    parser.add_argument("--minutes", type=float, default=90, help="Begin no attempt after so many, in either way.")
    parser.add_argument("--state", type=Path, default=STATE, help="Folder of the server.")
    options = parser.parse_args()
    inline = options.attempts // 100 if options.inline is None else options.inline
    with set_up(options.state) as server:
        from tests.chaos.world import World, never_wait_for_the_disk, put_back

        never_wait_for_the_disk()
        world = World(server)
        put_back({})
        said = {
            "ledger": in_parallel(
                world, "ledger.seat", options.attempts, by_ledger, judge=double_bookings, minutes=options.minutes
            ),
            "assign_now": in_parallel(
                world, "assign_now", inline, inline_attempts, judge=broken_promises, minutes=options.minutes
            ),
        }
    print(json.dumps(said, indent=1))
    return int(not all(is_right(each) for each in said.values()))


def is_right(counted: dict[str, Any]) -> bool:
    """Whether nobody shared a table, and it was contended: some had one, and some went without."""
    is_clean = not counted["overlaps"] and not counted["errors"] and not counted["violations"]
    return is_clean and 0 < counted["seated"] < counted["attempts"]


def in_parallel(
    world: Any,
    what: str,
    attempts: int,
    work: Callable[[int, Callable[[], bool]], dict[str, int]],
    *,
    judge: Callable[[], list[str]],
    minutes: float,
) -> dict[str, Any]:
    """Have eight processes share so many attempts; the sum of what they count, and what is wrong in the end."""
    from tests.chaos.world import put_back

    prepare_restaurant()
    started, progress, done = time.monotonic(), Progress(what, attempts), shared_counts(PROCESSES)

    def child(number: int) -> None:
        def goes_on() -> bool:
            done[number] += 1
            return bool(done[number] <= attempts // PROCESSES and time.monotonic() < started + 60 * minutes)

        print(json.dumps(work(number, goes_on)))

    children = [world.fork(partial(child, number)) for number in range(PROCESSES)]
    while not all(each.has_ended() for each in children):
        time.sleep(0.2)
        progress.show(sum(done))
    total: dict[str, Any] = {"attempts": 0, "seated": 0, "overlaps": 0, "errors": []}
    for each in children:
        end = each.wait()
        if end.code:
            total["errors"].append(end.output)
            continue
        for name, value in json.loads(end.output).items():
            total[name] = total.get(name, 0) + value
    total["seconds"] = round(time.monotonic() - started, 1)
    total["overlaps"] += overlaps()
    total["violations"] = judge()[:20]
    put_back({})
    return total


def double_bookings() -> list[str]:
    """What ``reconcile_assignments --check`` finds wrong in the ledger, whose seatings belong to no bookings here."""
    from assignments.concurrency import sql
    from assignments.maintenance import promise_check

    found = sql.rows(promise_check.CHECKS["no table is double-booked"], days=2)
    return [f"{booking_ref}: {detail}" for booking_ref, detail in found]


def broken_promises() -> list[str]:
    """What ``reconcile_assignments --check`` finds after one more pass, for bookings whose day others had each time."""
    from assignments.maintenance import promise_check
    from tests.chaos.world import recover

    recover(1)
    return [f"{each.promise}: {each.booking_ref}: {each.detail}" for each in promise_check.violations(days=2)]


def prepare_restaurant() -> None:
    from example import models
    from tests.chaos.flows import v3
    from tests.chaos.world import a_restaurant

    restaurant = a_restaurant()
    models.Table.objects.filter(restaurant=restaurant).exclude(code__in=["T4", "T5", "T6"]).delete()
    v3()


def overlaps() -> int:
    """Pairs of rows of one table at one time, counted without the constraint's index."""
    from assignments.concurrency import sql

    found = sql.rows(
        "SELECT count(*) FROM assignments_allocation AS one JOIN assignments_allocation AS other"
        "    ON one.id < other.id AND one.restaurant_ref = other.restaurant_ref AND one.table_ref = other.table_ref"
        "   AND lower(one.blocked) < upper(other.blocked) AND lower(other.blocked) < upper(one.blocked)"
    )
    return int(found[0][0])


def by_ledger(number: int, goes_on: Callable[[], bool]) -> dict[str, int]:
    """Attempts of one process to take one of the tables."""
    from django.db import transaction

    from assignments.concurrency.transactions import is_lost_race
    from assignments.lifecycle import ledger
    from assignments.planning.seating_window import SeatingWindow

    chance, counted = random.Random(number), {"attempts": 0, "seated": 0, "overlaps": 0}
    mine: list[str] = []
    while goes_on():
        attempt = counted["attempts"]
        counted["attempts"] += 1
        start = SEVEN + timedelta(minutes=15 * chance.randrange(STARTS))
        end = start + timedelta(hours=2)
        placement = ledger.Placement(
            restaurant_ref="R",
            booking_ref=f"{number}-{attempt}",
            table_refs=(f"T{chance.randrange(TABLES)}",),
            window=SeatingWindow(starts_at=start, ends_at=end, blocked_from=start, blocked_until=end),
            planner="chaos",
        )
        try:
            with transaction.atomic():
                ledger.seat([placement])
            mine.append(placement.booking_ref)
            counted["seated"] += 1
        except Exception as error:
            if not is_lost_race(error):
                raise
        if attempt % FREED_EVERY == FREED_EVERY - 1 and mine:
            with transaction.atomic():
                ledger.release(mine)
            mine.clear()
        if attempt % 500 == 0:
            counted["overlaps"] += overlaps()
    return counted


def inline_attempts(number: int, goes_on: Callable[[], bool]) -> dict[str, int]:
    """Bookings of one process, each decided at once, and cancelled a few bookings later."""
    from assignments import api
    from assignments.outcome import Kind
    from example import models
    from example.booking import cancel_booking, make_booking

    restaurant = models.Restaurant.objects.get()
    chance, counted = random.Random(number), {"attempts": 0, "calls": 0, "seated": 0, "overlaps": 0}
    mine: list[models.Booking] = []
    evening = (datetime.now(UTC) + timedelta(days=30)).replace(hour=17, minute=0, second=0, microsecond=0)
    while goes_on():
        attempt = counted["attempts"]
        counted["attempts"] += 1
        booking = make_booking(
            restaurant=restaurant,
            reference=f"{number}-{attempt}",
            start=evening + timedelta(days=chance.randrange(EVENINGS), minutes=15 * chance.randrange(STARTS)),
            party=chance.randint(1, 4),
        )
        for _ in range(10):
            outcome = api.assign_now(booking_ref=str(booking.pk))
            counted["calls"] += 1
            if outcome.kind is not Kind.NOOP:
                break
            time.sleep(chance.uniform(0.01, 0.05))  # Somebody else decides this day: their turn first.
        counted["seated"] += outcome.kind is Kind.CONFIRMED
        mine.append(booking)
        if len(mine) == KEPT:
            cancel_booking(mine.pop(0))
        if attempt % 50 == 0:
            counted["overlaps"] += overlaps()
    return counted


if __name__ == "__main__":
    sys.exit(main())
