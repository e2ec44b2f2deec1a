"""``python -m tests.chaos.survival``: bookings go through eight processes, of which one is killed every five seconds.

A process also dies after every 300th delivery, before it could record it. In the end no booking is lost, none has
two outcomes, and the host was told of each. What it was told twice carries the same key both times; a run in which nothing
was told twice has shown nothing, and fails.
"""

import argparse
import gc
import io
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

from tests.chaos.progress import Progress
from tests.chaos.setting_up import DIES_EVERY, STATE, TOLD, set_up

COORDINATORS, MESSENGERS = 4, 4
KILL_SECONDS = 5.0
LOSES_A_RECORD_EVERY = 300
"""Deliveries, after the last of which the process dies: at fixed numbers, so that no run is without a repeat by chance."""
LEAST_LOST = 3
"""Records that a run loses, even if it is so small that it has to lose them more often."""
AN_EVENING = 25
"""Bookings of a restaurant's evening."""
RESTAURANTS = 20
MOST_WAITING = 1_000
"""Bookings that nobody has decided yet: guests come all the time, and not all at once."""
LOOK_SECONDS = 1.0
"""From one look at the rows to the next."""
REST_SECONDS = 5.0
"""From one start of a command to the next one at least: cron or systemd start it again, and not at once."""
COORDINATOR = ("run_coordinator", "--watch", "--interval", "1", "--json")
MESSENGER = ("deliver_outbox", "--limit", "100000")
DECIDED = ("confirmed", "manual_review", "failed")
OUTCOMES = ("confirm", "send_to_review", "fail")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.survival", description=__doc__)
    parser.add_argument("--bookings", type=int, default=100_000)
    parser.add_argument("--kill-every", type=float, default=KILL_SECONDS, help="Seconds between two kills (default 5).")
    parser.add_argument("--minutes", type=float, default=90, help="Give up after so many (default 90).")
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
    from tests.chaos.world import World, never_wait_for_the_disk, put_back

    never_wait_for_the_disk()
    put_back({})
    guests, progress = Guests(options.bookings), Progress("survival", options.bookings)
    guests.book()
    started = time.monotonic()
    fleet = Fleet(World(server), COORDINATORS + MESSENGERS)
    chance, kills, kill_at, look_at = random.Random(1), Counter[str](), started + options.kill_every, started
    until = started + 60 * options.minutes
    while time.monotonic() < until:
        time.sleep(0.1)
        fleet.restart()
        if time.monotonic() >= kill_at:
            kills[fleet.kill_one(chance)] += 1
            kill_at += options.kill_every
        if time.monotonic() >= look_at:
            decided, is_all = so_far(guests)
            progress.show(decided)
            if is_all:
                break
            look_at = time.monotonic() + LOOK_SECONDS
    seconds = time.monotonic() - started
    fleet.stop()
    print("survival: judging", file=sys.stderr, flush=True)
    return {
        "bookings": options.bookings,
        "seconds": round(seconds, 1),
        "kills": dict(kills),
        "starts": fleet.starts,
        **counts(options.bookings, told),
        "violations": recovered_problems()[:20],
    }


def so_far(guests: "Guests") -> tuple[int, bool]:
    """How many bookings are decided, and whether that is all and the host was told. More guests book meanwhile."""
    from django.db import connection

    from assignments.models import Assignment, OutboxMessage

    try:
        decided = Assignment.objects.filter(state__in=DECIDED).count()
        guests.book(decided - decided % AN_EVENING)
        is_told = decided >= guests.number and not OutboxMessage.objects.filter(delivered_at=None).exists()
        return decided, is_told and not Assignment.objects.open().exists()
    finally:
        connection.close()  # A fork comes without a session.


def recovered_problems() -> list[str]:
    """What is wrong after one more pass, which follows what a worker and its supervisor left as both were killed."""
    from tests.chaos.world import problems, recover

    recover(1)
    return problems()


class Guests:
    """So many bookings, spread over restaurants and evenings, which the app does not know yet."""

    def __init__(self, number: int) -> None:
        from tests.chaos.flows import v3
        from tests.chaos.world import a_restaurant, evening

        v3()
        self.number, self._made = number, 0
        self._first, self._chance = evening(), random.Random(7)
        evenings = -(-number // AN_EVENING)
        self._restaurants = [a_restaurant(f"Chaos {each}") for each in range(min(evenings, RESTAURANTS))]

    def book(self, decided: int = 0, *, most_waiting: int = MOST_WAITING) -> None:
        """Book until so many wait: an evening at each restaurant, then the next evening."""
        from example import models

        until = min(self.number, decided + most_waiting)
        models.Booking.objects.bulk_create((self._booking(each) for each in range(self._made, until)), batch_size=2000)
        self._made = max(self._made, until)

    def _booking(self, number: int) -> Any:
        from example import models

        day, place = divmod(number // AN_EVENING, len(self._restaurants))
        return models.Booking(
            restaurant=self._restaurants[place],
            reference=f"B{number}",
            start=self._first + timedelta(days=day, minutes=15 * self._chance.randrange(-32, 16)),
            party=self._chance.choice((1, 2, 2, 2, 3, 4, 4, 6)),
        )


class Fleet:
    """The commands, each with its supervisor, as they run in production: first the coordinators, then the messengers.

    They are forked from this process, which has loaded what they need.
    """

    def __init__(self, world: Any, number: int) -> None:
        from django.core.management import call_command, load_command_class

        call_command("check", stdout=io.StringIO())
        for name, *_arguments in (COORDINATOR, MESSENGER):
            load_command_class("assignments", name)
        gc.freeze()  # Collections in the forks pass over what this process has made.
        self.starts = 0
        self._world = world
        self._processes: dict[int, Any] = {}
        self._started_at: dict[int, float] = {}
        for each in range(number):
            self._start(each)

    def restart(self) -> None:
        """Start each again that has ended, as cron or systemd does."""
        for number, process in list(self._processes.items()):
            if process.has_ended() and time.monotonic() - self._started_at[number] >= REST_SECONDS:
                process.wait()
                self._start(number)

    def kill_one(self, chance: random.Random) -> str:
        """Kill a worker, or one time in four its supervisor, with which the worker dies."""
        import psutil  # type: ignore[import-untyped]

        running = [process for process in self._processes.values() if not process.has_ended()]
        if not running:
            return "nobody"
        process = chance.choice(running)
        try:
            workers = psutil.Process(process.pid).children()
            if not workers or chance.random() < 0.25:
                os.kill(process.pid, signal.SIGKILL)
                return "supervisor"
            workers[0].kill()
        except psutil.Error:
            return "nobody"
        return "worker"

    def stop(self) -> None:
        for process in self._processes.values():
            if not process.has_ended():
                os.kill(process.pid, signal.SIGTERM)
        for process in self._processes.values():
            process.wait(60)

    def _start(self, number: int) -> None:
        from django.core.management import execute_from_command_line

        command = COORDINATOR if number < COORDINATORS else MESSENGER
        self._processes[number] = self._world.fork(lambda: execute_from_command_line(["manage.py", *command]))
        self._started_at[number] = time.monotonic()
        self.starts += 1


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
    terminal = Assignment.objects.filter(state__in=DECIDED)
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
