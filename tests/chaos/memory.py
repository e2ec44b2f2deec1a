"""``python -m tests.chaos.memory``: the memory of one worker after 10,000 bookings, after 100,000, and the ratio of both.

A worker that lives for weeks must not grow with what it has decided. Exit code 1 if it has grown by more than a tenth.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos.progress import Progress, shared_counts
from tests.chaos.setting_up import STATE, set_up

MOST_GROWTH = 1.1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.memory", description=__doc__)
    parser.add_argument("--first", type=int, default=10_000, help="Bookings at the first look (default 10,000).")
    parser.add_argument("--last", type=int, default=100_000, help="Bookings at the last look (default 100,000).")
    parser.add_argument("--state", type=Path, default=STATE, help="Folder of the server.")
    options = parser.parse_args()
    with set_up(options.state) as server:
        from tests.chaos.survival import Guests
        from tests.chaos.world import World, never_wait_for_the_disk, put_back

        never_wait_for_the_disk()
        put_back({})
        Guests(options.last).book(most_waiting=options.last)
        progress, done = Progress("memory", options.last), shared_counts(1)
        worker = World(server).fork(lambda: decide([options.first, options.last], done))
        while not worker.has_ended():
            time.sleep(0.2)
            progress.show(done[0])
        end = worker.wait()
    if end.code:
        print(f"The worker ended with {end.code}: {end.output}")
        return 1
    first, last = (int(line) for line in end.output.split())
    print(f"{options.first:,} bookings: {first / 2**20:.1f} MiB")
    print(f"{options.last:,} bookings: {last / 2**20:.1f} MiB")
    print(f"ratio: {last / first:.3f} (at most {MOST_GROWTH})")
    return int(last / first > MOST_GROWTH)


def decide(marks: list[int], done: Any) -> None:
    """Decide as a worker does, pass by pass, and print this process's memory in bytes when so many are decided.

    ``done``: where it notes how many are.
    """
    from django.conf import settings

    from assignments import conf
    from assignments.coordination import dispatch

    # That of tests keeps all events in memory.
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": ("assignments.telemetry.events.DatabaseSink",)}
    conf.settings.cache_clear()
    decided = 0
    while marks:
        dispatch.register_new()
        before = decided
        for progress in dispatch.run_pass():
            decided += len(progress.outcomes)
            done[0] = decided
            while marks and decided >= marks[0]:
                marks.pop(0)
                print(resident())
        if decided == before:
            raise RuntimeError(f"Nothing is left to decide after {decided} bookings.")


def resident() -> int:
    """The bytes of this process that are in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main())
