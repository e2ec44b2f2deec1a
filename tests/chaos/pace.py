"""``python -m tests.chaos.pace``: how fast four workers decide while one is killed every ten seconds.

A minute with kills follows an undisturbed one, again and again, so that both find the same machine and the same rows. Exit
code 1 if less than 70 % is left.
"""

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos.setting_up import STATE, set_up

WORKERS = 4
LEAST_LEFT = 0.7


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.pace", description=__doc__)
    parser.add_argument("--bookings", type=int, default=500_000, help="More than can be decided meanwhile.")
    parser.add_argument("--minutes", type=int, default=5, help="Minutes with kills, and as many without (default 5).")
    parser.add_argument("--minute", type=float, default=60, help="Seconds of such a minute (default 60).")
    parser.add_argument("--kill-every", type=float, default=10, help="Seconds between two kills (default 10).")
    parser.add_argument("--state", type=Path, default=STATE, help="Folder of the server.")
    options = parser.parse_args()
    with set_up(options.state) as server:
        undisturbed, killed = measure(server, options)
    ratio = killed / undisturbed if undisturbed else 0.0
    print(f"undisturbed: {undisturbed:.1f} bookings/s; with kills: {killed:.1f} bookings/s; {ratio:.0%} are left")
    return int(ratio < LEAST_LEFT)


def measure(server: Any, options: argparse.Namespace) -> tuple[float, float]:
    """Bookings per second in the undisturbed minutes, and in the others."""
    from tests.chaos.survival import Fleet, Guests
    from tests.chaos.world import World, never_wait_for_the_disk, put_back

    never_wait_for_the_disk()
    put_back({})
    guests = Guests(options.bookings)
    guests.book()
    fleet = Fleet(World(server), WORKERS)
    rates: dict[bool, list[float]] = {False: [], True: []}
    try:
        minute(fleet, guests, options, kills=False)  # They have to start first.
        for number in range(2 * options.minutes):
            kills = bool(number % 2)
            rates[kills].append(minute(fleet, guests, options, kills=kills))
            print(f"{'with kills' if kills else 'undisturbed'}: {rates[kills][-1]:.1f} bookings/s", flush=True)
    finally:
        fleet.stop()
    return sum(rates[False]) / len(rates[False]), sum(rates[True]) / len(rates[True])


def minute(fleet: Any, guests: Any, options: argparse.Namespace, *, kills: bool) -> float:
    """Bookings per second that are decided in such a minute."""
    from tests.chaos.survival import LOOK_SECONDS

    chance, before, begun = random.Random(), decided(guests), time.monotonic()
    kill_at, look_at = begun + options.kill_every, begun + LOOK_SECONDS
    while time.monotonic() - begun < options.minute:
        time.sleep(0.1)
        fleet.restart()
        if kills and time.monotonic() >= kill_at:
            fleet.kill_one(chance)
            kill_at += options.kill_every
        if time.monotonic() >= look_at:
            decided(guests)
            look_at = time.monotonic() + LOOK_SECONDS
    now = decided(guests)
    if now >= options.bookings:
        raise SystemExit("All bookings are decided: give more of them with --bookings.")
    return (now - before) / (time.monotonic() - begun)


def decided(guests: Any) -> int:
    """How many bookings have an outcome. Others book meanwhile."""
    from tests.chaos.survival import so_far

    return int(so_far(guests)[0])


if __name__ == "__main__":
    sys.exit(main())
