"""A busy evening, played from the first booking to the last guest: ``manage.py demo --friday``.

``friday_script`` draws the guests' behaviour from a seed. Here the app reacts, only through ``assignments.api`` and
``example.booking``, with several workers that each have their own connection and thread. ``friday_checks`` then tells
whether every promise was kept.

The clock is moved, so an evening takes seconds. Everything within five minutes happens at the same time.

Long because each of the evening's twenty kinds of happenings has its answer here.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from multiprocessing import get_context
from statistics import median
from threading import Barrier, Lock
from typing import Any, TypeVar

import django
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from assignments import api
from assignments.concurrency import clock, transactions
from assignments.coordination import dispatch
from assignments.exceptions import (
    AssignmentsError,
    InvalidBookingError,
    LockContentionError,
    NoTableFreeError,
    TablesRefusedError,
    TransitionRefusedError,
)
from assignments.floor import Floor
from assignments.integration.evening_file import BadRow, BookingRow, EveningFile, as_aware
from assignments.outcome import Change
from assignments.planning.timezone import time_zone
from assignments.telemetry import events
from example import booking as bookings
from example import demo_database, evening, friday_checks, models
from example.friday_script import STEP, Booked, Guests, Script, WalkIn, promised_end, script, step_of
from rollout.control import switches
from rollout.flags import resolution

STAFF = "staff:friday"
MOST_WORKERS = 16
PATIENCE = timedelta(minutes=45)
"""How long guests with a booking wait for a table at the door."""
TOLD = timedelta(minutes=30)
"""How long before the start guests for whom there is no table are told so."""
SITS_AT_LEAST = timedelta(minutes=40)
TRIES = 8

_T = TypeVar("_T")
_Job = tuple[str, Callable[[], object]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Friday:
    """The answers to a manager's questions after the evening.

    ``seated``: bookings whose guests sat. ``moved``: bookings that got other tables, and ``moved_while_seated`` those whose
    guests sat already. ``waited``: guests with a booking who had to wait at the door. ``from_waiting_list``: bookings that
    got a table after having waited for staff or for a free table. ``without_table``: bookings that never got one, cancelled
    ones left out. ``to_staff``: bookings that staff had to look at.
    """

    date: str
    seed: int
    workers: int
    tables: int
    bookings: int
    seated: int
    covers: int
    moved: int
    moved_while_seated: int
    waited: int
    waited_minutes: dict[str, int]
    from_waiting_list: int
    walk_ins: int
    walk_ins_seated: int
    walk_ins_turned_away: int
    late: int
    no_shows: int
    cancelled: int
    party_changes: dict[str, int]
    overstays: dict[str, int]
    without_table: int
    broken_table: str
    to_staff: int
    to_staff_why: dict[str, int]
    promises_broken: int
    overlaps: int
    lost: int
    found: dict[str, tuple[str, ...]]
    restaurant: str = ""
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return it without what differs from run to run: the seconds, and the restaurant's key."""
        return {key: value for key, value in asdict(self).items() if key not in {"seconds", "restaurant"}}


def prepare(source: EveningFile) -> tuple[models.Restaurant, list[Booked], list[BadRow]]:
    """Store the restaurant and its floor, without bookings. Returns the bookings to play, and rows that cannot be."""
    restaurant = evening.store(replace(source, bookings=(), bad_rows=())).restaurants[0]
    booked, bad = [], []
    for row in source.bookings:
        if row.status not in {models.Booking.Status.PENDING, models.Booking.Status.CONFIRMED}:
            continue
        try:
            booked.append(made_aware(row, source.timezone))
        except ValueError as error:
            bad.append(BadRow(place=row.place, reason=str(error)))
    return restaurant, booked, bad


def made_aware(row: BookingRow, timezone: str) -> Booked:
    """Return a row with its moments made aware. Raises ValueError for a time that the clocks skip."""
    ends_at = as_aware(row.end, timezone) if row.end else None
    return Booked(row=row, starts_at=as_aware(row.start, timezone), ends_at=ends_at)


def play(
    source: EveningFile,
    *,
    seed: int,
    workers: int = 4,
    moves: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Friday:
    """Play the evening, which has at least one booking, and check it. ``say`` is called with each hour.

    ``moves``: V3 may give confirmed parties other tables, so that one more can sit.
    """
    started = clock.now()
    restaurant, booked, bad = prepare(source)
    for row in bad:
        say(f"skipped: {row}")
    switches.set_switch(resolution.V3_SWITCH, active=True, actor="demo", reason="A Friday evening")
    switches.set_switch(resolution.REARRANGEMENT_SWITCH, active=moves, actor="demo", reason="A Friday evening")
    plot = script(source.floor(), booked, seed=seed)
    with friday_checks.witnessed(), _without_query_log():
        played = _Evening(restaurant, source.floor(), plot, workers=workers, say=say)
        played.run()
        found = friday_checks.check(str(restaurant.pk), now=played.ended_at)
        result = played.result(found, seed=seed, seconds=(clock.now() - started).total_seconds())
    events.flush(10)
    return result


def play_both(
    source: EveningFile, *, seed: int, workers: int = 4, say: Callable[[str], None] = lambda text: None
) -> tuple[Friday, Friday]:
    """Play the evening twice with the same guests: without moves, and with moves of parties that were not told a table."""
    nobody_moved, moving = source.called(f"{source.name} (nobody is moved)"), source.called(source.name)
    with demo_database.copied("_friday") as copy:
        if copy is None:
            say(f"{nobody_moved.name}:")
            fixed = play(nobody_moved, seed=seed, workers=workers, say=say)
            say(f"{moving.name}:")
            return fixed, play(moving, seed=seed, workers=workers, moves=True, say=say)
        # No fork, because this process has threads, and connections that two processes cannot share.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=django.setup) as pool:
            apart = pool.submit(_play_apart, copy, nobody_moved, seed, workers)
            say(f"{moving.name}:")
            played = play(moving, seed=seed, workers=workers, moves=True, say=say)
            fixed, said = apart.result()
        for text in (f"{nobody_moved.name}:", *said):
            say(text)
        return fixed, played


def _play_apart(database: str, source: EveningFile, seed: int, workers: int) -> tuple[Friday, list[str]]:
    """Play an evening in another process, on another database. Returns the result and its output."""
    said: list[str] = []
    connection.settings_dict["NAME"] = database
    try:
        return play(source, seed=seed, workers=workers, say=said.append), said
    finally:
        connection.close()


class _Evening:
    """The evening while it is played. ``_agenda`` has the jobs still to do, by step; jobs of one key keep their order."""

    def __init__(
        self,
        restaurant: models.Restaurant,
        floor: Floor,
        plot: Script,
        *,
        workers: int,
        say: Callable[[str], None],
    ) -> None:
        self.restaurant, self.floor, self.plot, self.workers, self.say = restaurant, floor, plot, workers, say
        self.ref = str(restaurant.pk)
        self.tables = sorted(restaurant.tables.all(), key=lambda table: (table.seats, table.code))
        self.count: Counter[str] = Counter()
        self.waits: dict[str, int] = {}
        self.walk_in_refs: set[str] = set()
        self.broken_table = ""
        self._refs: dict[str, str] = {}
        self._ends: dict[str, datetime] = {}
        self._sitting: set[str] = set()
        self._agenda: dict[datetime, list[_Job]] = defaultdict(list)
        self._lock = Lock()
        self._next = plot.opens_at
        self._is_contended = False
        self.ended_at = plot.opens_at

    def run(self) -> None:
        for each in self.plot.guests:
            self._then(each.made_at, each.booked.row.ref, partial(self._book, each))
        for number, walk_in in enumerate(self.plot.walk_ins, 1):
            self._then(walk_in.comes_at, f"W{number:02}", partial(self._walk_in, f"W{number:02}", walk_in))
        if self.plot.breaks:
            moment, code = self.plot.breaks
            self._then(moment, "break", partial(self._break, code))
        with ThreadPoolExecutor(self.workers, thread_name_prefix="friday") as pool:
            try:
                self._play(pool)
            finally:
                _close_connections(pool, self.workers)

    def _play(self, pool: ThreadPoolExecutor) -> None:
        hour = None
        step = self.plot.opens_at
        while self._agenda:
            local = step.astimezone(time_zone(self.restaurant.timezone))
            if local.hour != hour:
                hour = local.hour
                self.say(f"{local:%H:%M}: {self._so_far()}")
            groups: dict[str, list[Callable[[], object]]] = {"pass": [self._pass]}
            with self._lock:
                self._next = step + STEP
                for key, job in self._agenda.pop(step, []):
                    groups.setdefault(key, []).append(job)
            # One offset for all workers, so that none of their clocks is behind another's.
            offset = step - clock.now()
            for running in [pool.submit(_work, offset, jobs) for jobs in groups.values()]:
                running.result()
            if self._is_contended:  # Cron comes every minute, not every five.
                pool.submit(_work, offset, [self._pass]).result()
            step += STEP
        self.ended_at = step
        pool.submit(_work, step - clock.now(), [self._pass]).result()

    def _so_far(self) -> str:
        return ", ".join(f"{self.count[what]} {what}" for what in ("booked", "seated", "left")) + (
            f", {self.count['walk_ins_seated']} of {self.count['walk_ins']} walk-ins seated"
        )

    def _then(self, moment: datetime, key: str, job: Callable[[], object]) -> None:
        """Schedule a job for that moment, or for the next step if the moment is past."""
        with self._lock:
            self._agenda[max(step_of(moment), self._next)].append((key, job))

    def _add(self, what: str) -> None:
        with self._lock:
            self.count[what] += 1

    # What guests with a booking do.

    def _book(self, guests: Guests) -> None:
        row = guests.booked.row
        zone = self.restaurant.zones.filter(name=row.zone).first() if row.zone else None
        made = bookings.make_booking(
            restaurant=self.restaurant,
            reference=row.ref,
            start=guests.starts_at,
            end=guests.booked.ends_at,
            party=guests.party,
            zone=zone,
            needs=list(row.needs),
            wishes=list(row.wishes),
        )
        ref = self._refs[row.ref] = str(made.pk)
        self._ends[ref] = guests.ends_at
        self._add("booked")
        if guests.is_inline:
            api.assign_now(booking_ref=ref)
        if guests.cancels_at:
            self._then(guests.cancels_at, row.ref, partial(self._cancel, ref))
            return
        if guests.changes_at:
            self._then(guests.changes_at, row.ref, partial(self._change_party, guests, ref))
        self._then(guests.starts_at - TOLD, row.ref, partial(self._tell, ref))
        if guests.says_late_at:
            self._then(guests.says_late_at, row.ref, partial(self._say_late, ref))
        if guests.comes_at:
            self._then(guests.comes_at, row.ref, partial(self._come, guests, ref))
        else:
            self._then(guests.starts_at + timedelta(minutes=20), row.ref, partial(self._no_show, ref))

    def _edit(self, ref: str, **changes: Any) -> Change:
        """Save a booking as the project's views do: the row is locked first."""

        def save() -> Change:
            with transaction.atomic():
                row = models.Booking.objects.select_for_update().get(pk=ref)
                for name, value in changes.items():
                    setattr(row, name, value)
                return bookings.save_booking(row)

        return _again(save)

    def _cancel(self, ref: str) -> None:
        self._edit(ref, status=models.Booking.Status.CANCELLED)

    def _change_party(self, guests: Guests, ref: str) -> None:
        if not self._has_tables(ref):
            return
        change = self._edit(ref, party=guests.other_party)
        self._add(f"party:{change}")
        key = guests.booked.row.ref
        if change is Change.TO_STAFF:  # Staff call the guests, who come as first booked.
            self._then(_now() + timedelta(minutes=10), key, partial(self._edit, ref, party=guests.party))
        else:
            self._ends[ref] = promised_end(self.floor, guests.starts_at, guests.other_party, guests.booked.ends_at)

    def _tell(self, ref: str) -> None:
        """Tell guests in good time that there is no table for them."""
        if self._has_tables(ref):
            return
        try:
            _again(lambda: api.reject(booking_ref=ref, actor=STAFF, reason="no table is free tonight"))
        except TransitionRefusedError:
            return  # A planner still has it.
        self._add("told")

    def _say_late(self, ref: str) -> None:
        if self._has_tables(ref):
            _again(lambda: api.late(booking_ref=ref, actor=STAFF))

    def _no_show(self, ref: str) -> None:
        try:
            _again(lambda: api.no_show(booking_ref=ref, actor=STAFF))
        except TransitionRefusedError:
            self._add("no_show_without_table")

    def _come(self, guests: Guests, ref: str) -> None:
        if not self._has_tables(ref) and models.Booking.objects.get(pk=ref).start - TOLD >= guests.made_at:
            return  # They were told that there is no table.
        if guests.comes_at != step_of(guests.starts_at):
            _again(lambda: api.arrived(booking_ref=ref, actor=STAFF))
        self._sit(guests, ref, _now())

    def _sit(self, guests: Guests, ref: str, since: datetime) -> None:
        """Let guests sit down at their table or another one; else they wait at the door, and finally leave."""
        now, key = _now(), guests.booked.row.ref
        if not self._sits_down(ref):
            if now < guests.starts_at:  # They are early, and their table is not free yet.
                self._then(now + STEP, key, partial(self._sit, guests, ref, guests.starts_at))
                return
            waited = (step_of(now) - step_of(since)) // timedelta(minutes=1)
            # Others may stay longer at the table that staff give them.
            if waited % 15 or not (self._other_table(ref) and self._sits_down(ref)):
                if now - since >= PATIENCE:
                    self._add("gave_up")
                    self._edit(ref, status=models.Booking.Status.CANCELLED)
                else:
                    self._then(now + STEP, key, partial(self._sit, guests, ref, since))
                return
        self._add("seated")
        minutes = (step_of(now) - step_of(since)) // timedelta(minutes=1)
        with self._lock:
            self._sitting.add(ref)
            if minutes > 0:
                self.waits[ref] = minutes
        assert guests.leaves_at is not None
        leaves_at, end = max(guests.leaves_at, step_of(now) + SITS_AT_LEAST), self._ends[ref]
        if leaves_at > end:
            self._then(end - timedelta(minutes=10), key, partial(self._stay, ref, leaves_at))
        if guests.wants_to_move_at:
            self._then(guests.wants_to_move_at, key, partial(self._wish, ref))
        self._then(leaves_at, key, partial(self._leave, ref, host_says=guests.host_says_left))

    def _sits_down(self, ref: str) -> bool:
        try:
            _again(lambda: api.seated(booking_ref=ref, actor=STAFF))
        except (TablesRefusedError, TransitionRefusedError):
            return False
        return True

    def _stay(self, ref: str, until: datetime) -> None:
        try:
            extension = _again(lambda: api.extend(booking_ref=ref, until=until, actor=STAFF))
        except TransitionRefusedError:
            return  # Their table broke, and nobody has another for them.
        self._add(f"overstay:{extension.change}")

    def _leave(self, ref: str, *, host_says: bool = False) -> None:
        with self._lock:
            self._sitting.discard(ref)
        self._add("left")
        if not host_says:
            try:
                _again(lambda: api.left(booking_ref=ref, actor=STAFF))
            except TransitionRefusedError:
                pass  # Their table broke, and nobody had another.
            else:
                return
        if ref.isdecimal():  # Walk-ins of whom this project has no booking are the app's alone.
            self._edit(ref, status=models.Booking.Status.COMPLETED, end=_now())

    def _wish(self, ref: str) -> None:
        """Guests sit in a draught: staff move them if they can."""
        with self._lock:
            sits = ref in self._sitting
        self._add("wishes_met" if sits and self._other_table(ref) else "wishes_unmet")

    # What staff do.

    def _other_table(self, ref: str) -> bool:
        """Give a booking the smallest other table that is free for it. Return whether there is one."""
        party = models.Booking.objects.get(pk=ref).party
        own = set(models.Table.objects.filter(bookings=int(ref)).values_list("pk", flat=True))
        for table in self.tables:
            if table.seats < party or table.pk in own or table.code == self.broken_table:
                continue
            try:
                _again(lambda table=table: api.assign(booking_ref=ref, table_refs=[str(table.pk)], actor=STAFF))  # type: ignore[misc]
            except (TablesRefusedError, InvalidBookingError, TransitionRefusedError):
                continue
            return True
        return False

    def _break(self, code: str) -> None:
        table = next(table for table in self.tables if table.code == code)
        there = [str(pk) for pk in models.Booking.objects.filter(tables=table).values_list("pk", flat=True)]
        _again(
            lambda: api.close(
                restaurant_ref=self.ref,
                table_refs=[str(table.pk)],
                starts_at=_now(),
                reason="A leg broke.",
                actor=STAFF,
            )
        )
        self.broken_table = code
        with self._lock:
            sitting = [ref for ref in there if ref in self._sitting]
        for ref in sitting:
            self._then(_now(), ref, partial(self._other_table, ref))

    def _pass(self) -> None:
        """Run what cron runs. ``_is_contended``: another worker was busy on that day, so it was left to it."""
        limits = dispatch.PassLimits(restaurant_ref=self.ref)
        self._is_contended = sum(progress.contended for progress in dispatch.run_pass(limits)) > 0

    # Guests without a booking.

    def _walk_in(self, name: str, walk_in: WalkIn) -> None:
        now = _now()
        if step_of(now) == walk_in.comes_at:
            self._add("walk_ins")
        try:
            ref = _again(lambda: self._seat_walk_in(name, walk_in, now))
        except NoTableFreeError as error:
            wait = timedelta(minutes=error.wait_minutes or 0)
            if wait and step_of(now) + wait <= walk_in.comes_at + walk_in.patience:
                self._then(now + wait, name, partial(self._walk_in, name, walk_in))
                return
            self._add("walk_ins_turned_away")
            return
        except TablesRefusedError:
            self._add("walk_ins_turned_away")
            return
        self._add("walk_ins_seated")
        with self._lock:
            self.walk_in_refs.add(ref)
        self._then(now + walk_in.stays, name, partial(self._leave, ref))

    def _seat_walk_in(self, name: str, walk_in: WalkIn, now: datetime) -> str:
        if not walk_in.is_in_the_host:
            return api.seat_walk_in(restaurant_ref=self.ref, party=walk_in.party, actor=STAFF).booking_ref
        with transaction.atomic():
            row = models.Booking.objects.create(
                restaurant=self.restaurant, reference=name, start=now, party=walk_in.party
            )
            return api.seat_walk_in(booking_ref=str(row.pk), actor=STAFF).booking_ref

    def _has_tables(self, ref: str) -> bool:
        return models.Booking.objects.filter(pk=ref, tables__isnull=False).exists()

    def result(self, found: friday_checks.Found, *, seed: int, seconds: float) -> Friday:
        own = set(self._refs.values())
        told = friday_checks.told(self.ref)
        seated = told.seated & own
        parties = dict(models.Booking.objects.filter(pk__in=seated).values_list("pk", "party"))
        waits = sorted(self.waits.values())
        return Friday(
            date=self.plot.guests[0].starts_at.astimezone(time_zone(self.restaurant.timezone)).date().isoformat(),
            seed=seed,
            workers=self.workers,
            tables=len(self.tables),
            bookings=self.count["booked"],
            seated=len(seated),
            covers=sum(parties.values()),
            moved=len(told.moved),
            moved_while_seated=len(told.moved_while_seated),
            waited=len(waits),
            waited_minutes={"median": round(median(waits)) if waits else 0, "longest": max(waits, default=0)},
            from_waiting_list=len(told.from_waiting_list & own),
            walk_ins=self.count["walk_ins"],
            walk_ins_seated=self.count["walk_ins_seated"],
            walk_ins_turned_away=self.count["walk_ins_turned_away"],
            late=len(told.late & own),
            no_shows=len(told.no_shows & own),
            cancelled=len((told.cancelled & own) - seated),
            party_changes=self._counted("party:"),
            overstays=self._counted("overstay:"),
            without_table=len(own - told.ever_had_tables - told.cancelled),
            broken_table=self.broken_table,
            to_staff=len(told.to_staff),
            to_staff_why=told.to_staff_why,
            promises_broken=len(found.promises_broken),
            overlaps=len(found.overlaps),
            lost=len(found.lost),
            found={key: tuple(value) for key, value in asdict(found).items()},
            restaurant=self.ref,
            seconds=round(seconds, 1),
        )

    def _counted(self, prefix: str) -> dict[str, int]:
        return {
            key.removeprefix(prefix): number for key, number in sorted(self.count.items()) if key.startswith(prefix)
        }


@contextmanager
def _without_query_log() -> Iterator[None]:
    """Keep no log of queries, which with DEBUG takes a tenth of the time."""
    debug, settings.DEBUG = settings.DEBUG, False
    try:
        yield
    finally:
        settings.DEBUG = debug


def _now() -> datetime:
    return clock.now()


def _work(offset: timedelta, jobs: Sequence[Callable[[], object]]) -> None:
    """Do these jobs one after the other, with the clock moved to the played time."""
    with clock.shifted(offset):
        for job in jobs:
            job()


def _again(work: Callable[[], _T]) -> _T:
    """Run the work again if somebody else was faster, as a person at the desk would."""
    for _try in range(TRIES - 1):
        try:
            return work()
        except (AssignmentsError, DatabaseError) as error:
            if not (isinstance(error, LockContentionError) or transactions.is_lost_race(error)):
                raise
    return work()


def _close_connections(pool: ThreadPoolExecutor, workers: int) -> None:
    """Close each worker's connection: only its own thread can."""
    all_here = Barrier(workers)

    def close() -> None:
        all_here.wait(30)
        connection.close()

    for each in [pool.submit(close) for _worker in range(workers)]:
        each.result()
