"""``python -m tests.chaos.survival``: bookings go through eight processes, of which one is killed every five seconds.

A process also dies after every 300th delivery, before it could record it. In the end no booking is lost, none has
two outcomes, and the host was told of each. What it was told twice carries the same key both times; a run in which nothing
was told twice has shown nothing, and fails.
"""

import argparse
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.chaos.setting_up import DIES_EVERY, STATE, TOLD, set_up

COORDINATORS, MESSENGERS = 4, 4
KILL_SECONDS = 5.0
LOSES_A_RECORD_EVERY = 300
"""Deliveries, after the last of which the process dies: at fixed numbers, so that no run is without a repeat by chance."""
LEAST_LOST = 3
"""Records that a run loses, even if it is so small that it has to lose them more often."""
AN_EVENING = 25
"""Bookings of a restaurant's evening."""
DAYS = 20
OUTCOMES = ("confirm", "send_to_review", "fail")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.survival", description=__doc__)
    parser.add_argument("--bookings", type=int, default=100_000)
    parser.add_argument("--kill-every", type=float, default=KILL_SECONDS, help="Seconds between two kills (default 5).")
    parser.add_argument("--minutes", type=float, default=360, help="Give up after so many (default 360).")
    parser.add_argument("--state", type=Path, default=STATE, help="Folder of the server.")
    options = parser.parse_args()
    told = options.state / "told"
    for file in (told, Path(f"{told}.number")):
        file.unlink(missing_ok=True)
    dies_every = min(LOSES_A_RECORD_EVERY, max(10, options.bookings // LEAST_LOST))
    os.environ[TOLD], os.environ[DIES_EVERY] = str(told), str(dies_every)
    with set_up(options.state) as server:
        found = survive(server, options, told)
    print(json.dumps(found, indent=1))
    is_wrong = any(found[name] for name in ("lost", "two_outcomes", "untold", "other_key", "violations"))
    return int(is_wrong or not found["told_twice"])


def survive(server: Any, options: argparse.Namespace, told: Path) -> dict[str, Any]:
    from django.db import connection

    from assignments.models import Assignment, OutboxMessage
    from tests.chaos.world import World, never_wait_for_the_disk, put_back

    never_wait_for_the_disk()
    world = World(server)
    put_back({})
    prepare(options.bookings)
    started = time.monotonic()
    processes = {number: start(world, number) for number in range(COORDINATORS + MESSENGERS)}
    chance, kills, kill_at = random.Random(1), Counter[str](), started + options.kill_every
    until = started + 60 * options.minutes
    while time.monotonic() < until:
        time.sleep(0.25)
        for number, process in processes.items():
            if process.has_ended():  # Cron or systemd starts it again.
                processes[number] = start(world, number)
        if time.monotonic() >= kill_at:
            kills[kill_one(chance.choice(list(processes.values())), chance)] += 1
            kill_at += options.kill_every
        is_decided = Assignment.objects.count() >= options.bookings and not Assignment.objects.open().exists()
        if is_decided and not OutboxMessage.objects.filter(delivered_at=None).exists():
            break
        connection.close()  # As each look is, so is a fork: without a session.
    seconds = time.monotonic() - started
    for process in processes.values():
        os.kill(process.pid, signal.SIGTERM)
    for process in processes.values():
        process.wait(60)
    return {
        "bookings": options.bookings,
        "seconds": round(seconds, 1),
        "kills": dict(kills),
        **counts(options.bookings, told),
        "violations": recovered_problems()[:20],
    }


def recovered_problems() -> list[str]:
    """What is wrong after one more pass, which follows what a worker and its supervisor left as both were killed."""
    from tests.chaos.world import problems, recover

    recover(1)
    return problems()


def prepare(bookings: int) -> None:
    """So many bookings, spread over restaurants and evenings, which the app does not know yet."""
    from example import models
    from tests.chaos.flows import v3
    from tests.chaos.world import a_restaurant, evening

    v3()
    chance = random.Random(7)
    restaurants = [a_restaurant(f"Chaos {number}") for number in range(-(-bookings // (AN_EVENING * DAYS)))]
    first = evening()
    models.Booking.objects.bulk_create(
        [
            models.Booking(
                restaurant=restaurants[number // (AN_EVENING * DAYS)],
                reference=f"B{number}",
                start=first + timedelta(days=number // AN_EVENING % DAYS, minutes=15 * chance.randrange(-16, 12)),
                party=chance.choice((1, 2, 2, 2, 3, 4, 4, 6)),
            )
            for number in range(bookings)
        ],
        batch_size=2000,
    )


def start(world: Any, number: int) -> Any:
    """Start a command with its supervisor, as it runs in production."""
    from django.core.management import execute_from_command_line

    watching = ["run_coordinator", "--watch", "--interval", "0.5"]
    arguments = ["manage.py", *(watching if number < COORDINATORS else ["deliver_outbox"])]
    return world.fork(lambda: execute_from_command_line(arguments))


def kill_one(process: Any, chance: random.Random) -> str:
    """Kill the worker, or one time in four its supervisor, with which the worker dies."""
    import psutil  # type: ignore[import-untyped]

    try:
        workers = psutil.Process(process.pid).children()
        if not workers or chance.random() < 0.25:
            os.kill(process.pid, signal.SIGKILL)
            return "supervisor"
        workers[0].kill()
    except psutil.Error:
        return "nobody"
    return "worker"


def counts(bookings: int, told: Path) -> dict[str, Any]:
    """What became of the bookings, and what the host heard."""
    from django.db.models import Count

    from assignments.models import Assignment, OutboxMessage, StateTransition

    outcomes = StateTransition.objects.filter(name__in=OUTCOMES).values("booking_ref").annotate(times=Count("id"))
    heard: dict[str, list[str]] = {}
    for line in told.read_text().splitlines() if told.exists() else []:
        key, rest = line.split(" ", 1)
        heard.setdefault(key, []).append(rest)
    messages = {
        str(key): f"{number} {ref} {topic}"
        for key, number, ref, topic in OutboxMessage.objects.values_list("id", "number", "booking_ref", "topic")
    }
    refs = {rest.split()[1] for each in heard.values() for rest in each}
    terminal = Assignment.objects.filter(state__in=("confirmed", "manual_review", "failed"))
    return {
        "outcomes": dict(Counter(terminal.values_list("state", flat=True))),
        "poisonous": terminal.filter(reason="poisonous").count(),
        "lost": bookings - terminal.count(),
        "two_outcomes": outcomes.filter(times__gt=1).count(),
        "untold": bookings - len(refs),
        "told": len(heard),
        "told_twice": sum(len(each) > 1 for each in heard.values()),
        "other_key": sum(set(each) != {messages.get(key, "")} for key, each in heard.items()),
    }


if __name__ == "__main__":
    sys.exit(main())
