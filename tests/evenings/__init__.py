"""Generated evenings: busy restaurants of 40 tables in 5 zones, as evening files. The same seed makes the same evening.

Some parties want what cannot be had together with others, so each evening has far more bookings than anybody could seat.
"""

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from assignments.integration import evening_file
from assignments.integration.evening_file import EveningFile

SEEDS = tuple(range(1, 13))
"""The evenings that are measured. Weights and limits are tuned on others."""
TUNING_SEEDS = tuple(range(101, 107))
"""Evenings to tune on."""

ZONES = ("Bar", "Garden", "Gallery", "Salon", "Window")
SIZES = (2, 2, 2, 4, 4, 4, 6, 8)
"""Seats of each zone's tables, which a zone has in an order of its own."""
PARTIES = {1: 4, 2: 40, 3: 13, 4: 23, 5: 6, 6: 8, 7: 2, 8: 3, 10: 1}
"""How often a party of each size asks."""
TURN_MINUTES = ([2, 60], [4, 75], [6, 90], [20, 105])
PEAKS = ((720, 770, 825), (1020, 1095, 1290), (1020, 1170, 1290), (1020, 1230, 1290))
"""Minutes of the day: no earlier than the first, mostly at the second, no later than the last."""
FEWEST, MOST = 180, 320


def generate(seed: int) -> dict[str, Any]:
    """Return the evening of this seed as the content of an evening file."""
    chance = random.Random(f"evening {seed}")
    tables, adjacent = _tables(chance)
    bookings = [_booking(chance, number) for number in range(chance.randint(FEWEST, MOST))]
    return {
        "about": f"A generated evening, seed {seed}.",
        "restaurant": {"name": f"Evening {seed}", "timezone": "Europe/Berlin", "date": "2026-03-13"},
        "tables": tables,
        "adjacent": adjacent,
        "joins": [_listed_join(tables, zone) for zone in ZONES[:3]],
        "services": [_service("lunch", "12:00", "15:30"), _service("dinner", "17:00", "23:30")],
        "bookings": bookings,
    }


def load(seed: int) -> EveningFile:
    """Return the evening of this seed."""
    return evening_file.parse(json.dumps(generate(seed)))


def _service(key: str, start: str, end: str) -> dict[str, Any]:
    turn_minutes = [list(each) for each in TURN_MINUTES]
    return {
        "key": key,
        "start": start,
        "end": end,
        "buffer_minutes": {"before": 0, "after": 5},
        "turn_minutes": turn_minutes,
    }


def _tables(chance: random.Random) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """Return the tables, and who stands beside whom: a row in each zone, and a few across it."""
    tables: list[dict[str, Any]] = []
    adjacent: list[list[str]] = []
    for zone in ZONES:
        sizes = list(SIZES)
        chance.shuffle(sizes)
        codes = [f"{zone[:3]}-{number}" for number in range(1, len(sizes) + 1)]
        tables += [
            {
                "code": code,
                "zone": zone,
                "capacity": seats,
                "min_party": max(1, seats // 2),
                "max_party": seats,
            }
            for code, seats in zip(codes, sizes, strict=True)
        ]
        # A wall or a pillar stands between some neighbours.
        adjacent += [[one, other] for one, other in pairwise(codes) if chance.random() < 0.8]
        adjacent.append([codes[0], codes[-1]])
    return tables, adjacent


def _listed_join(tables: list[dict[str, Any]], zone: str) -> dict[str, Any]:
    """Return the zone's largest table joined with a small one, which then seat fewer than both have seats."""
    own = [table for table in tables if table["zone"] == zone]
    largest = max(own, key=lambda table: int(table["capacity"]))
    small = min(own, key=lambda table: int(table["capacity"]))
    seats = largest["capacity"] + small["capacity"] - 1
    return {
        "tables": [largest["code"], small["code"]],
        "seats": seats,
        "min_party": seats - 2,
        "max_party": seats,
    }


def _booking(chance: random.Random, number: int) -> dict[str, Any]:
    """Return a booking: most come around one of the peaks, asked weeks to days ago, and some ask for a zone."""
    earliest, peak, latest = chance.choice(PEAKS)
    minutes = min(max(round(chance.gauss(peak, 45) / 15) * 15, earliest), latest)
    (party,) = chance.choices(list(PARTIES), weights=list(PARTIES.values()))
    day, second = chance.randint(1, 11), chance.randint(8 * 3600, 22 * 3600 - 1)
    asked = f"2026-03-{day:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    booking = {
        "ref": f"B{number + 1:03}",
        "start": f"{minutes // 60:02}:{minutes % 60:02}",
        "party": party,
        "requested_at": asked,
    }
    return {**booking, "zone": chance.choice(ZONES)} if chance.random() < 0.08 else booking


def evenings() -> Iterator[tuple[int, EveningFile]]:
    """Yield the evenings that are measured, with their seeds."""
    for seed in SEEDS:
        yield seed, load(seed)
