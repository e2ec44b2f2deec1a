"""The guests' behaviour on a busy evening, drawn from a seed before tables are decided. No database, no clock.

An evening is cut into steps of STEP minutes; what happens in one step happens at the same time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from assignments.floor import Floor
from assignments.integration.evening_file import BookingRow
from assignments.planning.seating_window import SeatingWindow, seating_window

STEP = timedelta(minutes=5)
OPENS_EARLY = timedelta(hours=3)
"""How long before the first guests the restaurant begins to take the day's bookings."""

BOOKED_DURING_THE_DAY = 0.25
CANCELLED = 0.08
NO_SHOWS = 0.05
OTHER_PARTY = 0.1
LATE = 0.2
EARLY = 0.1
OVERSTAYS = 0.18
WANT_ANOTHER_TABLE = 0.04
LEFT_IN_THE_HOST = 0.3
WALK_INS = 0.15
"""Parties that walk in, as a share of the bookings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Booked:
    """A booking of the file, with its times made aware. ``ends_at`` is None where the turn times decide."""

    row: BookingRow
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Guests:
    """One booking and its guests' evening. Moments are aware; None: it does not happen.

    ``made_at`` is when the booking is made, ``ends_at`` what it is promised until. ``comes_at`` is None for a no-show.
    ``host_says_left``: the booking project notes that they left, rather than staff.
    """

    booked: Booked
    starts_at: datetime
    ends_at: datetime
    made_at: datetime
    party: int
    is_inline: bool = False
    cancels_at: datetime | None = None
    changes_at: datetime | None = None
    other_party: int = 0
    says_late_at: datetime | None = None
    comes_at: datetime | None = None
    leaves_at: datetime | None = None
    wants_to_move_at: datetime | None = None
    host_says_left: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WalkIn:
    """Guests who come without a booking, and what they do. ``patience``: for how long they wait for a table."""

    comes_at: datetime
    party: int
    stays: timedelta
    patience: timedelta
    is_in_the_host: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """Everything that happens, whoever decides. ``breaks``: when which table (its code) breaks."""

    opens_at: datetime
    guests: tuple[Guests, ...]
    walk_ins: tuple[WalkIn, ...]
    breaks: tuple[datetime, str] | None


def script(floor: Floor, bookings: Sequence[Booked], *, seed: int) -> Script:
    """Draw an evening. There is at least one booking."""
    dice = Random(seed)
    first = min(each.starts_at for each in bookings)
    opens_at = step_of(first - OPENS_EARLY)
    guests = tuple(_guests(floor, each, opens_at, dice) for each in bookings)
    starts = sorted(each.starts_at for each in bookings)
    walk_ins = [_walk_in(floor, starts, dice, number) for number in range(round(len(bookings) * WALK_INS))]
    breaks = None
    if floor.tables:
        # While two thirds of the evening are still to come, so that guests sit there and others are on their way.
        breaks = (step_of(starts[len(starts) // 3]) + STEP, dice.choice(floor.tables).name)
    return Script(
        opens_at=opens_at,
        guests=guests,
        walk_ins=tuple(sorted(walk_ins, key=lambda each: each.comes_at)),
        breaks=breaks,
    )


def step_of(moment: datetime) -> datetime:
    """Return the step in which a moment lies: its first minute."""
    return moment - timedelta(
        minutes=moment.minute % (STEP // timedelta(minutes=1)), seconds=moment.second, microseconds=moment.microsecond
    )


def promised_end(floor: Floor, starts_at: datetime, party: int, ends_at: datetime | None = None) -> datetime:
    """Return until when a party has its table by the turn times; 75 minutes where nothing is served."""
    window = seating_window(floor, starts_at=starts_at, party=party, ends_at=ends_at)
    return window.ends_at if isinstance(window, SeatingWindow) else starts_at + timedelta(minutes=75)


def _guests(floor: Floor, booked: Booked, opens_at: datetime, dice: Random) -> Guests:
    row, start = booked.row, booked.starts_at
    end = promised_end(floor, start, row.party, booked.ends_at)
    is_inline = dice.random() < BOOKED_DURING_THE_DAY
    hours_ahead = max(timedelta(0), start - timedelta(minutes=45) - opens_at)
    made_at = step_of(opens_at + hours_ahead * dice.random()) if is_inline else opens_at
    fate, punctuality, stay = dice.random(), dice.random(), dice.random()
    between = step_of(made_at + (start - made_at) * dice.uniform(0.2, 0.95))
    changes, other = dice.random() < OTHER_PARTY, row.party + dice.choice((-2, -1, 1, 2, 3))
    moves = dice.random() < WANT_ANOTHER_TABLE
    late = timedelta(minutes=dice.choice((10, 15, 20, 25, 30)))
    early = timedelta(minutes=dice.choice((5, 10, 15)))
    sooner, longer = (
        timedelta(minutes=dice.choice((0, 5, 10, 15, 20))),
        timedelta(minutes=dice.choice((15, 20, 30, 45))),
    )
    is_late, is_early = punctuality < LATE, punctuality > 1 - EARLY
    comes_at = step_of(start + (late if is_late else -early if is_early else timedelta(0)))
    leaves_at = step_of(end + longer if stay < OVERSTAYS else end - sooner)
    comes = fate >= CANCELLED + NO_SHOWS
    return Guests(
        booked=booked,
        starts_at=start,
        ends_at=end,
        made_at=made_at,
        is_inline=is_inline,
        party=row.party,
        cancels_at=between if fate < CANCELLED else None,
        changes_at=between if changes and comes and other > 0 else None,
        other_party=max(1, other),
        says_late_at=step_of(start) if is_late and comes else None,
        comes_at=comes_at if comes else None,
        leaves_at=leaves_at if comes else None,
        wants_to_move_at=step_of(start + (end - start) / 3) if moves and comes else None,
        host_says_left=dice.random() < LEFT_IN_THE_HOST,
    )


def _walk_in(floor: Floor, starts: Sequence[datetime], dice: Random, number: int) -> WalkIn:
    comes_at = step_of(starts[0] + (starts[-1] - starts[0]) * dice.random())
    party = dice.choice((1, 2, 2, 2, 3, 4, 4, 5))
    return WalkIn(
        comes_at=comes_at,
        party=party,
        stays=promised_end(floor, comes_at, party) - comes_at - timedelta(minutes=dice.choice((0, 5, 10, 15))),
        patience=timedelta(minutes=dice.choice((0, 10, 20, 30))),
        is_in_the_host=number % 2 == 0,
    )
