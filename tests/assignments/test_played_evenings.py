"""Evenings that nobody thought of: whatever guests, staff, owner and clock do, in any order, no promise is broken.

Hypothesis plays them on small floors with joins. ``evening_judge`` looks at the rows after each commit.
``PLAYED_STEPS`` says how many steps are played in all (300), ``PLAYED_SEED`` which ones. With ``PLAYED_FAST`` an evening
that breaks something is shown as it was played; to find the shortest one takes minutes.

Faults put into the app on purpose, and the steps after which 300 steps find them: an edit that does not ask who asked
earlier 20, a closure that ends nobody's seating 46, an overlap of which one party alone hears 62, a table that breaks and
takes the promised end along 76; a batch that does not ask who asked earlier 84, with the legacy planner in turn.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from typing import Any

import hypothesis
import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from assignments import api, conf
from assignments.coordination import dispatch
from assignments.exceptions import AssignmentsError
from assignments.integration.planners import V3, Planner, Route
from assignments.integration.project_host import is_walk_in
from assignments.lifecycle.settlement import Settlement
from assignments.maintenance.reconcile import reconcile
from assignments.models import Assignment
from assignments.planning.floor import CalendarEntry, Floor, Join, Pacing, TurnTime
from assignments.planning.reasons import OVERRIDABLE
from assignments.testing import a_floor, a_service, a_table, at
from rollout import conf as rollout_conf
from tests import emptying, process_state
from tests.assignments import evening_judge
from tests.assignments.conftest import HOST_PATH, TheHost
from tests.assignments.evening_judge import Action, Evening, Moving

STEPS = int(os.environ.get("PLAYED_STEPS") or 300)
SEED = int(os.environ.get("PLAYED_SEED") or 14)
STEPS_OF_AN_EVENING = 50
FIXED_MINUTES, MAX_MOVES = 45, 2
"""Shorter and fewer than the defaults, so that both matter within one evening."""


BATCH_SIZE = 2
"""Small, so that a pass decides an evening in several batches, each behind those that asked earlier."""
NO_SHOW = timedelta(minutes=60)
"""How late guests are when the clock marks them as not having come."""

BEGINS = datetime(2031, 1, 14, 16, 0, 20, tzinfo=UTC)
"""When each evening begins. The 20 seconds keep the clock, which ticks, away from full minutes."""
FIRST_START = datetime(2031, 1, 14, 16, 0, tzinfo=UTC)


LONG_HOURS: Mapping[str, Any] = {"starts": time(12), "ends": time(2)}
SHORT_HOURS: Mapping[str, Any] = {"starts": time(17, 30), "ends": time(23)}


def service(**kwargs: Any) -> Any:
    turns = (TurnTime(max_party=2, minutes=90), TurnTime(max_party=100, minutes=120))
    return a_service(**{"key": "dinner", **LONG_HOURS, "turn_times": turns, **kwargs})


FLOORS = [
    a_floor(
        tables=[
            a_table("T1", zone_ref="in"),
            a_table("T2", zone_ref="in"),
            a_table("T3", seats=2, zone_ref="out"),
            a_table("T4", seats=2, zone_ref="out"),
        ],
        adjacent=[("T1", "T2"), ("T3", "T4")],
        services=[service()],
    ),
    a_floor(
        tables=[a_table("A", seats=2), a_table("B", seats=2), a_table("C", seats=4)],
        adjacent=[("A", "B"), ("B", "C")],
        services=[service(buffer_after_minutes=15)],
    ),
    a_floor(
        tables=[a_table("T1"), a_table("T2"), a_table("T3", seats=2), a_table("T4", seats=6), a_table("T5", seats=2)],
        adjacent=[("T3", "T5")],
        joins=[Join(table_refs=frozenset({"T1", "T2"}), seats=7)],
        services=[service(buffer_before_minutes=5, buffer_after_minutes=10)],
    ),
    a_floor(
        tables=[a_table("T1"), a_table("T2", seats=2)],
        adjacent=[("T1", "T2")],
        services=[service(buffer_before_minutes=30)],
    ),
]


class Toggled:
    """A router that the evening turns: V3, or the legacy planner. What the latter has begun stays with it."""

    decides = V3

    def route(self, assignments: Sequence[Assignment]) -> Mapping[str, Route]:
        return {each.booking_ref: Route(planner=self._of(each)) for each in assignments}

    def _of(self, assignment: Assignment) -> str:
        begun_by_legacy = assignment.planner == "legacy" and not assignment.is_terminal
        return "legacy" if begun_by_legacy else self.decides

    def planner(self, key: str) -> Planner:
        planner: Planner = conf.load(rollout_conf.settings().LEGACY_PLANNER)
        assert planner.key == key
        return planner


class Errors(logging.Handler):
    """What the app logged as an error: it goes on after one, but should have had none."""

    def __init__(self) -> None:
        super().__init__(level=logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(record.getMessage() + (f": {record.exc_info[1]!r}" if record.exc_info else ""))


class PlayedEvening(RuleBasedStateMachine):
    """An evening at one restaurant, as the guests, the staff, the owner and cron make it."""

    has_legacy = False
    rearranges = False
    played = 0

    def __init__(self) -> None:
        super().__init__()
        self.errors = Errors()
        logging.getLogger().addHandler(self.errors)
        emptying.empty_all_tables()
        process_state.forget()
        self.host: TheHost = conf.load(HOST_PATH)
        Toggled.decides = V3
        self.now = BEGINS
        self.refs: list[str] = []
        self.closures: list[int] = []
        self.swapped: dict[str, str] = {}
        self.action = Action("nothing", "planner")
        self.seen = Evening()
        self.problems: list[str] = []
        self.has_unseen_floor = False
        self.watch = connection.copy()
        self._commit = connection.commit
        connection.commit = self._commit_and_look  # type: ignore[method-assign]

    def teardown(self) -> None:
        connection.commit = self._commit  # type: ignore[method-assign]
        self.watch.close()
        logging.getLogger().removeHandler(self.errors)

    @property
    def floor(self) -> Floor:
        floor = self.host.floors["R1"]
        assert isinstance(floor, Floor)
        return floor

    def _commit_and_look(self) -> None:
        self._commit()
        self.look()

    def look(self) -> None:
        """Judge what the last commit did."""
        with self.watch.cursor() as cursor:
            after = evening_judge.evening_of(cursor)
        before, self.seen = self.seen, after
        cancelled = {
            ref
            for ref in before.assignments
            if not is_walk_in(ref) and ((row := self.host.rows.get(ref)) is None or is_cancelled(row))
        }
        found = [
            *evening_judge.overlaps(after),
            *evening_judge.over_closures(after, self.floor, self.now),
            *evening_judge.broken_promises(
                before,
                after,
                self.action,
                floor=self.floor,
                now=self.now,
                cancelled=cancelled,
                host=self.host.rows,
                moving=self.moving() if self.rearranges else None,
                no_show=NO_SHOW,
            ),
            *evening_judge.taken_from_under(
                before, after, self.action, floor=self.floor, now=self.now, cancelled=cancelled
            ),
            *evening_judge.forgotten(before, after, self.action, self.now),
            *evening_judge.unblocked(before, after, self.action, now=self.now),
            *evening_judge.misfits(before, after, self.action, self.floor, self.now),
            *evening_judge.passed_over(
                before,
                after,
                self.action,
                floor=self.floor,
                now=self.now,
                host=self.host.rows,
                locked=self.host.locked,
                moving=self.moving() if self.rearranges else None,
            ),
        ]
        self.problems += [f"{self.action}: {each}" for each in found]

    def moving(self) -> Moving:
        with self.watch.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM assignments_frozenevening)")
            (frozen,) = cursor.fetchone()
        told = {ref for ref, row in self.host.rows.items() if row.table_told}
        return Moving(fixed=timedelta(minutes=FIXED_MINUTES), most=MAX_MOVES, told=told, frozen=frozen)

    @contextmanager
    def doing(self, name: str, by: str, *refs: str) -> Iterator[None]:
        """Do something at this moment. A refusal changes nothing, in the host neither."""
        self.action = Action(name, by, refs)
        kept = {name: copy(value) for name, value in vars(self.host).items()}
        seen, is_refused = self.seen, False
        type(self).played += 1
        self.now += timedelta(seconds=1)
        with at(self.now):
            try:
                yield
            except (AssignmentsError, ValueError):
                is_refused = True
                vars(self.host).update(kept)
        self.check()
        if is_refused and seen != self.seen:
            self.problems.append(f"{self.action} was refused, and has changed something")
        self.problems += self.errors.found
        assert not self.problems, "\n".join(self.problems)

    def check(self) -> None:
        """Judge the rows at the end of a step."""
        with self.watch.cursor() as cursor:
            self.problems += evening_judge.untold(cursor)
            self.problems += evening_judge.overlaps_unseen(self.seen, cursor)
        self.problems += evening_judge.loose_ends(self.seen, self.host.rows)
        if not self.has_unseen_floor:  # The next pass notices an edited floor, and wakes whom it helps.
            self.problems += evening_judge.asleep_beside_a_free_table(
                self.seen, floor=self.floor, now=self.now, host=self.host.rows, locked=self.host.locked
            )

    def some(self, number: int) -> str:
        return self.refs[number % len(self.refs)]

    def confirmed(self, number: int) -> str:
        """A booking with tables if there is one: they are numbered as they came, since the ref of a walk-in is random."""
        current = self.seen.current
        seated = [ref for ref in self.seen.assignments if ref in current]
        return seated[number % len(seated)] if seated else self.some(number)

    def tables(self, number: int, count: int = 1) -> list[str]:
        refs = [table.ref for table in self.floor.tables]
        return [refs[(number + step) % len(refs)] for step in range(min(count, len(refs)))]

    @initialize(
        floor=st.integers(0, len(FLOORS) - 1),
        legacy=st.booleans(),
        asked=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 5)), max_size=6),
    )
    def opens(self, floor: int, legacy: bool, asked: list[tuple[int, int]]) -> None:
        """The evening begins with a few bookings, which nobody has planned."""
        hypothesis.assume(len(asked) > 1)  # Hypothesis begins with the simplest evening: nobody comes, and cron runs.
        self.begin(floor, legacy, asked)

    def begin(self, floor: int, legacy: bool, asked: list[tuple[int, int]]) -> None:
        self.host.floors["R1"] = FLOORS[floor]
        if self.has_legacy and legacy:
            Toggled.decides = "legacy"
        for slot, party in asked:
            self.book(slot=slot, party=party, zone=None, stay=None, how="left to cron")

    # Guests.

    @rule(
        slot=st.integers(0, 34),
        party=st.sampled_from([1, 2, 2, 2, 3, 4, 4, 5, 6, 7]),
        zone=st.sampled_from([None, None, None, "in", "out"]),
        stay=st.sampled_from([None, None, None, 60, 150]),
        how=st.sampled_from(["inline", "requested", "left to cron"]),
    )
    def book(self, slot: int, party: int, zone: str | None, stay: int | None, how: str) -> None:
        ref = f"B{len(self.refs) + 1}"
        start = self.starts(slot)
        self.refs.append(ref)
        with self.doing("book", "guest", ref):
            self.host.book(
                ref,
                starts_at=start,
                party=party,
                zone_ref=zone if any(table.zone_ref == zone for table in self.floor.tables) else None,
                ends_at=start + timedelta(minutes=stay) if stay else None,
                requested_at=self.now,
            )
            if how != "left to cron":
                api.request(booking_ref=ref)
            if how == "inline":
                self.settled([api.assign_now(booking_ref=ref)])

    @rule(slot=st.integers(0, 34))
    def two_want_the_largest_table(self, slot: int) -> None:
        """Who asks for it later is decided first."""
        for how in ("requested", "inline") if self.largest_party() else ():
            self.book(slot=slot, party=self.largest_party(), zone=None, stay=None, how=how)

    @rule(slot=st.integers(0, 34))
    def an_edit_wants_the_largest_table(self, slot: int) -> None:
        """Somebody has asked for it, whom nobody has looked at yet. A pair that asked later has a table, and grows."""
        party = self.largest_party()
        if not party:
            return
        self.book(slot=slot, party=party, zone=None, stay=None, how="left to cron")
        self.book(slot=slot, party=2, zone=None, stay=None, how="inline")
        first, pair = self.refs[-2:]
        with self.doing("request", "guest", first):
            api.request(booking_ref=first)
        if pair in self.seen.current:
            with self.doing("edit party", "guest", pair):
                self.host.edit(pair, party=party)
                api.booking_changed(booking_ref=pair)

    def largest_party(self) -> int:
        """The most guests for whom a planner would find tables; 0 if there are none."""
        sizes = (party for party in range(8, 0, -1) if any(True for _ in evening_judge.units(self.floor, party, None)))
        return next(sizes, 0)

    def starts(self, slot: int) -> datetime:
        return FIRST_START + timedelta(minutes=15 * slot)

    @precondition(lambda self: self.refs)
    @rule(
        number=st.integers(0, 20),
        what=st.sampled_from(["time", "time", "party", "stay", "zone", "back"]),
        slot=st.integers(0, 34),
        party=st.integers(1, 8),
        chosen=st.booleans(),
    )
    def edit(self, number: int, what: str, slot: int, party: int, chosen: bool) -> None:
        ref = self.confirmed(number) if chosen else self.some(number)
        booking = self.host.rows.get(ref)
        if booking is None or booking.stage in {"left", "no_show"}:  # Guests who are gone, as the host has it.
            return
        start, row = self.starts(slot), self.seen.assignments.get(ref)
        changes: dict[str, Any] = {"party": party}
        if what == "time":
            changes = {"starts_at": start, "ends_at": None}
        elif what == "stay":
            changes = {"ends_at": booking.starts_at + timedelta(minutes=15 * (party + 2))}
        elif what == "zone":
            zones = sorted({table.zone_ref for table in self.floor.tables if table.zone_ref})
            changes = {"zone_ref": zones[number % len(zones)] if zones and chosen else None}
        elif what == "back" and row is not None and ref in self.seen.current:
            first = self.seen.current[ref][0]
            changes = {"starts_at": first["starts_at"], "party": first["party"] or row["party"], "ends_at": None}
        with self.doing(f"edit {what}", "guest", ref):
            self.host.edit(ref, **changes)
            api.booking_changed(booking_ref=ref)

    @precondition(lambda self: self.seen.current)
    @rule(
        number=st.integers(0, 20),
        what=st.sampled_from(["party", "start", "earlier", "tomorrow"]),
        then=st.sampled_from(["rejected", "rejected", "open"]),
    )
    def ask_in_vain(self, number: int, what: str, then: str) -> None:
        """A guest asks for what nobody can have; staff may say so. What was promised stands, whatever follows."""
        ref = self.confirmed(number)
        booking = self.host.rows.get(ref)
        if booking is None or self.seen.assignments[ref]["state"] != "confirmed":
            return
        changes: dict[str, Any] = {"party": 20}
        if what != "party":
            hours = {"start": 12, "earlier": -2, "tomorrow": 24}[what]
            changes = {"starts_at": booking.starts_at + timedelta(hours=hours), "ends_at": None, "party": 20}
        with self.doing(f"ask for another {what}", "guest", ref):
            self.host.edit(ref, **changes)
            api.booking_changed(booking_ref=ref)
        if then == "rejected" and self.seen.assignments[ref]["reason"] == "edit_unmet":
            with self.doing("reject the edit", "staff", ref):
                api.reject(booking_ref=ref, actor="staff:7", reason="We are full.")

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20), how=st.sampled_from(["edit", "call", "deleted"]), chosen=st.booleans())
    def cancel(self, number: int, how: str, chosen: bool) -> None:
        ref = self.confirmed(number) if chosen else self.some(number)
        if ref not in self.host.rows:
            return
        with self.doing(f"cancel by {how}", "guest", ref):
            if how == "deleted":
                del self.host.rows[ref]
            else:
                self.host.edit(ref, wants_table=False, keeps_tables=False)
            if how == "edit":
                api.booking_changed(booking_ref=ref)
            else:
                api.booking_cancelled(booking_ref=ref)

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20))
    def ask_again(self, number: int) -> None:
        """A guest who has cancelled comes back."""
        ref = self.some(number)
        if ref not in self.host.rows:
            return
        with self.doing("ask again", "guest", ref):
            if is_cancelled(self.host.rows[ref]):
                self.host.edit(ref, wants_table=True, is_confirmed=False)
            api.request(booking_ref=ref)

    # Staff.

    @precondition(lambda self: self.refs)
    @rule(
        number=st.integers(0, 20),
        stage=st.sampled_from(["late", "arrived", "seated", "left", "no_show"]),
        by_host=st.booleans(),
        chosen=st.booleans(),
    )
    def guests(self, number: int, stage: str, by_host: bool, chosen: bool) -> None:
        """A stage, by staff or in the host: there also of guests who have no table any more, or never had one."""
        ref = self.confirmed(number) if chosen else self.some(number)
        booking = self.host.rows.get(ref)
        with self.doing(stage, "staff", ref):
            if by_host and booking is not None and not is_cancelled(booking):
                sits = stage in {"seated", "left", "no_show"}
                self.host.edit(ref, stage=stage, wants_table=not sits, keeps_tables=sits)
                api.booking_changed(booking_ref=ref)
            else:
                getattr(api, stage)(booking_ref=ref, actor="staff:7")

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20), quarters=st.integers(-4, 8), by_host=st.booleans())
    def extend(self, number: int, quarters: int, by_host: bool) -> None:
        ref = self.confirmed(number)
        if ref not in self.seen.current:
            return
        until = self.seen.current[ref][0]["ends_at"] + timedelta(minutes=15 * quarters)
        by_host = by_host and ref in self.host.rows
        with self.doing(*("edit end", "guest") if by_host else (f"extend by {quarters}", "staff"), ref):
            if by_host:
                self.host.edit(ref, ends_at=until)
                api.booking_changed(booking_ref=ref)
            else:
                api.extend(booking_ref=ref, until=until, actor="staff:7")

    @precondition(lambda self: self.seen.current)
    @rule(number=st.integers(0, 20), pinned=st.booleans())
    def overstay(self, number: int, pinned: bool) -> None:
        """Guests stay until the next party is there, which may be pinned to their table."""
        if not self.next_at_a_table():
            self.somebody_follows(self.confirmed(number))
        pairs = self.next_at_a_table()
        if not pairs:
            return
        row, next_one = pairs[number % len(pairs)]
        if pinned:
            tables = [each["table_ref"] for each in self.seen.current[next_one["booking_ref"]]]
            with self.doing("pin", "staff", next_one["booking_ref"]):
                api.pin(booking_ref=next_one["booking_ref"], table_refs=tables, actor="staff:7")
        with self.doing("extend to the next", "staff", row["booking_ref"]):
            until = next_one["starts_at"] + timedelta(minutes=30)
            api.extend(booking_ref=row["booking_ref"], until=until, actor="staff:7")

    def somebody_follows(self, ref: str) -> None:
        """Staff give a party that comes an hour after these guests have left one of their tables."""
        if ref not in self.seen.current:
            return
        row = self.seen.current[ref][0]
        self.refs.append(next_ref := f"B{len(self.refs) + 1}")
        with self.doing("assign", "staff", next_ref):
            start = row["ends_at"].replace(second=0) + timedelta(hours=1)
            self.host.book(next_ref, starts_at=start, party=2, requested_at=self.now)
            api.assign(booking_ref=next_ref, table_refs=[row["table_ref"]], actor="staff:7", overriding=OVERRIDABLE)

    def next_at_a_table(self) -> list[tuple[Any, Any]]:
        """The bookings that follow each other at a table within two hours, by table."""
        rows = sorted(
            (row for rows in self.seen.current.values() for row in rows),
            key=lambda row: (row["table_ref"], row["start"]),
        )
        return [
            (row, next_one)
            for row, next_one in pairwise(rows)
            if row["table_ref"] == next_one["table_ref"]
            and timedelta(0) <= next_one["starts_at"] - row["ends_at"] <= timedelta(hours=2)
        ]

    @rule(
        number=st.integers(0, 20),
        party=st.integers(1, 6),
        how=st.sampled_from(["best", "chosen", "by force", "best by force"]),
    )
    def walk_in(self, number: int, party: int, how: str) -> None:
        with self.doing("walk_in", "staff"):
            api.seat_walk_in(
                restaurant_ref="R1",
                party=party,
                table_refs=() if how.startswith("best") else self.tables(number),
                actor="staff:7",
                overriding=OVERRIDABLE if how.endswith("by force") else (),
            )

    @precondition(lambda self: self.refs)
    @rule(
        number=st.integers(0, 20),
        table=st.integers(0, 20),
        count=st.sampled_from([1, 1, 2]),
        force=st.booleans(),
        chosen=st.booleans(),
    )
    def assign(self, number: int, table: int, count: int, force: bool, chosen: bool) -> None:
        ref = self.confirmed(number) if chosen else self.some(number)
        with self.doing("move" if chosen else "assign", "staff", ref):
            (api.move if chosen else api.assign)(
                booking_ref=ref,
                table_refs=self.tables(table, count),
                actor="staff:7",
                overriding=OVERRIDABLE if force else (),
            )

    @precondition(lambda self: len(self.seen.current) > 1)
    @rule(one=st.integers(0, 20), other=st.integers(0, 20), force=st.booleans())
    def swap(self, one: int, other: int, force: bool) -> None:
        refs = self.confirmed(one), self.confirmed(other)
        self.swapped |= {refs[0]: refs[1], refs[1]: refs[0]}
        with self.doing("swap", "staff", *refs):
            api.swap(booking_ref=refs[0], other_ref=refs[1], actor="staff:7", overriding=OVERRIDABLE if force else ())

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20), table=st.integers(0, 20), count=st.sampled_from([1, 2]), off=st.booleans())
    def pin(self, number: int, table: int, count: int, off: bool) -> None:
        ref = self.some(number)
        with self.doing("unpin" if off else "pin", "staff", ref):
            if off:
                api.unpin(booking_ref=ref, actor="staff:7")
            else:
                api.pin(booking_ref=ref, table_refs=self.tables(table, count), actor="staff:7")

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20), what=st.sampled_from(["reopen", "reject", "undo", "release_tables"]))
    def decide(self, number: int, what: str) -> None:
        ref = self.some(number)
        partner = [self.swapped[ref]] if what == "undo" and ref in self.swapped else []  # A swap is undone for both.
        with self.doing(what, "staff", ref, *partner):
            reason = {"reason": "We are full."} if what == "reject" else {}
            getattr(api, what)(booking_ref=ref, actor="staff:7", **reason)

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20), table=st.integers(0, 20), seconds=st.sampled_from([30, 180, 1800]))
    def hold(self, number: int, table: int, seconds: int) -> None:
        ref = self.some(number)
        with self.doing("hold", "staff", ref):
            api.hold(booking_ref=ref, table_refs=self.tables(table), seconds=seconds)

    @rule(
        table=st.integers(0, 20),
        count=st.sampled_from([0, 1, 1, 2]),
        start=st.integers(-2, 20),
        length=st.sampled_from([2, 8, 40, None]),
    )
    def close(self, table: int, count: int, start: int, length: int | None) -> None:
        begins = self.now.replace(second=0) + timedelta(minutes=15 * start)
        with self.doing("close", "owner"):
            key = api.close(
                restaurant_ref="R1",
                table_refs=self.tables(table, count) if count else (),
                starts_at=begins,
                ends_at=begins + timedelta(minutes=15 * length) if length else None,
                actor="staff:7",
            )
            self.closures.append(key)

    @precondition(lambda self: self.closures)
    @rule(number=st.integers(0, 20), lift=st.booleans(), table=st.integers(0, 20), length=st.integers(1, 20))
    def change_closure(self, number: int, lift: bool, table: int, length: int) -> None:
        key = self.closures[number % len(self.closures)]
        with self.doing("lift" if lift else "edit closure", "owner"):
            if lift:
                self.closures.remove(key)
                api.lift_closure(closure_id=key, actor="staff:7")
            else:
                start = next(row["starts_at"] for row in self.seen.closures if row["id"] == key)
                api.edit_closure(
                    closure_id=key,
                    actor="staff:7",
                    table_refs=self.tables(table),
                    ends_at=start + timedelta(minutes=15 * length),
                )

    # The owner, cron and the clock.

    @rule(
        minutes=st.sampled_from([-15, 15, 30]),
        table=st.integers(0, 20),
        what=st.sampled_from(
            ["turn", "seats", "off", "join", "hours", "calendar", "calendar", "pacing", "pacing", "early and late"]
        ),
    )
    def change_floor(self, minutes: int, table: int, what: str) -> None:
        changed = getattr(self, f"floor_with_other_{what.replace(' ', '_')}")(minutes, table)
        self.has_unseen_floor = True
        with self.doing(f"change {what}", "owner"):
            self.host.floors["R1"] = changed
            assert not [each.error for each in reconcile() if each.error]

    @precondition(lambda self: self.seen.current)
    @rule(number=st.integers(0, 20), minutes=st.sampled_from([-15, 30]))
    def table_breaks(self, number: int, minutes: int) -> None:
        """The owner edits the turn times, and then a table breaks at which guests are expected."""
        ref = self.confirmed(number)
        if ref not in self.seen.current:
            return
        self.change_floor(minutes=minutes, table=0, what="turn")
        rows = self.seen.current.get(ref, [])
        if any(row["table_ref"] in self.floor.table_by_ref for row in rows):
            with self.doing("close", "owner"):
                key = api.close(
                    restaurant_ref="R1",
                    table_refs=[row["table_ref"] for row in rows],
                    starts_at=self.now,
                    ends_at=self.now + timedelta(hours=8),
                    actor="staff:7",
                )
                self.closures.append(key)

    def floor_with_other_turn(self, minutes: int, _table: int) -> Floor:
        (dinner,) = self.floor.services
        turns = tuple(replace(turn, minutes=max(45, turn.minutes + minutes)) for turn in dinner.turn_times)
        return replace(self.floor, services=(replace(dinner, turn_times=turns),))

    def floor_with_other_seats(self, minutes: int, table: int) -> Floor:
        (ref,) = self.tables(table)
        return self._with_table(ref, seats=max(1, self.floor.table_by_ref[ref].seats + minutes // 15))

    def floor_with_other_off(self, _minutes: int, table: int) -> Floor:
        (ref,) = self.tables(table)
        return self._with_table(ref, active=not self.floor.table_by_ref[ref].active)

    def _with_table(self, ref: str, **changes: Any) -> Floor:
        tables = tuple(replace(each, **changes) if each.ref == ref else each for each in self.floor.tables)
        return replace(self.floor, tables=tables)

    def floor_with_other_join(self, minutes: int, table: int) -> Floor:
        """A pair is listed, with fewer or more seats than its tables have, or is listed no more."""
        pair = frozenset(self.tables(table, 2))
        others = tuple(join for join in self.floor.joins if join.table_refs != pair)
        if len(others) < len(self.floor.joins):
            return replace(self.floor, joins=others)
        seats = sum(self.floor.table_by_ref[ref].seats for ref in pair) + minutes // 15
        return replace(self.floor, joins=(*others, Join(table_refs=pair, seats=max(1, seats))))

    def floor_with_other_hours(self, _minutes: int, _table: int) -> Floor:
        """Dinner is shorter, or as long as before."""
        (dinner,) = self.floor.services
        hours = SHORT_HOURS if dinner.starts == LONG_HOURS["starts"] else LONG_HOURS
        return replace(self.floor, services=(replace(dinner, **hours),))

    def floor_with_other_calendar(self, minutes: int, _table: int) -> Floor:
        """The date is closed, or has other hours and turn times; or is a day like any other again."""
        if self.floor.calendar:
            return replace(self.floor, calendar=())
        (dinner,) = self.floor.services
        turns = (TurnTime(max_party=100, minutes=75),)
        special = (replace(dinner, **SHORT_HOURS, turn_times=turns),) if minutes > 0 else ()
        day = FIRST_START.date()
        return replace(self.floor, calendar=(CalendarEntry(first_date=day, last_date=day, services=special),))

    def floor_with_other_pacing(self, minutes: int, table: int) -> Floor:
        if self.floor.pacing:
            return replace(self.floor, pacing=())
        most: dict[str, Any] = [{"most_covers": 6}, {"most_parties": 2}, {"most_present": 8}][table % 3]
        return replace(self.floor, pacing=(Pacing(interval_minutes=abs(minutes), **most),))

    def floor_with_other_early_and_late(self, minutes: int, _table: int) -> Floor:
        (dinner,) = self.floor.services
        early = 0 if dinner.early_minutes else 30
        changes: dict[str, Any] = {
            "early_minutes": early,
            "late_minutes": early,
            "allow_overrun": bool(early) or minutes > 0,
        }
        return replace(self.floor, services=(replace(dinner, **changes),))

    @rule()
    def cron(self) -> None:
        self.has_unseen_floor = False
        with self.doing("pass", "planner"):
            dispatch.register_new()
            self.settled([each for progress in dispatch.run_pass() for each in progress.outcomes])

    @precondition(lambda self: self.seen.current)
    @rule(is_played=st.booleans())
    def nobody_comes(self, is_played: bool) -> None:
        """Some guests are so late that the clock marks them; then cron. Not too often: it takes an hour or more."""
        expected = [
            rows[0]["starts_at"]
            for ref, rows in self.seen.current.items()
            if self.seen.assignments[ref]["stage"] in {"expected", "late"}
        ]
        if expected and is_played:
            self.now = max(self.now, min(expected) + NO_SHOW + timedelta(minutes=1))
            self.cron()

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20))
    def inline(self, number: int) -> None:
        ref = self.some(number)
        with self.doing("assign now", "planner", ref):
            self.settled([api.assign_now(booking_ref=ref)])

    def settled(self, outcomes: Sequence[Any]) -> None:
        self.problems += [f"{each}: {each.detail}" for each in outcomes if each.unexpected]

    @rule(minutes=st.sampled_from([1, 5, 5, 15, 45, 120]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @precondition(lambda self: self.has_legacy)
    @rule()
    def toggle(self) -> None:
        Toggled.decides = V3 if Toggled.decides == "legacy" else "legacy"

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20))
    def guest_edits(self, number: int) -> None:
        """A guest has the booking open, so that its row is locked; or is done with that."""
        if self.host.locked:
            self.host.locked.clear()
        else:
            self.host.locked.add(self.some(number))


ROUTER_PATH = f"{__name__}.Toggled"


class PlayedWithLegacy(PlayedEvening):
    has_legacy = True


class PlayedWithMoves(PlayedWithLegacy):
    """V3 moves who has not been told a table, so that others can sit."""

    rearranges = True

    @initialize(
        floor=st.just(1),
        legacy=st.just(False),
        asked=st.lists(st.tuples(st.just(0), st.just(0)), max_size=1),
        is_later=st.booleans(),
    )
    def opens(self, floor: int, legacy: bool, asked: list[tuple[int, int]], is_later: bool) -> None:
        """Three pairs have the three tables, one of the small ones cancels, and a party of four asks for the large one.

        Where it cancels later, another pair asks after that.
        """
        hypothesis.assume(asked)
        self.begin(floor, legacy, [])
        parties = (2, 2, 2, 4, 2) if is_later else (2, 2, 2, 4)
        for number, party in enumerate(parties, 1):
            if number == len(parties):
                self.cancel(number=0, how="edit", chosen=False)
            self.book(slot=16, party=party, zone=None, stay=None, how="inline")

    @precondition(lambda self: self.refs)
    @rule(number=st.integers(0, 20), how=st.sampled_from(["by us", "by the host"]))
    def tell(self, number: int, how: str) -> None:
        ref = self.confirmed(number)
        with self.doing("tell the table", "staff", ref):
            if how == "by us":
                api.table_told(booking_ref=ref)
            elif ref in self.host.rows:
                self.host.edit(ref, table_told=True)

    @rule(off=st.booleans())
    def freeze(self, off: bool) -> None:
        with self.doing("unfreeze" if off else "freeze", "staff"):
            act = api.unfreeze if off else api.freeze
            act(restaurant_ref="R1", service_date=self.now.date(), actor="staff:7")


def is_cancelled(booking: Any) -> bool:
    return not booking.wants_table and not booking.keeps_tables


HAS_TO_JUDGE = (
    "two rows of one table",
    "a promise that was touched",
    "a no-show by the clock",
    "a seating by a planner",
    "somebody seated while another waits who asked earlier",
    "somebody asleep in review",
    "two who expect one table",
    "a stage told",
    "a seating told",
    "guests who sit",
    "guests who sit at their table",
)


def play(machine: type[PlayedEvening], steps: int) -> None:
    machine.played, seed = 0, SEED
    while machine.played < steps:  # Many an evening ends early.
        run_state_machine_as_test(
            hypothesis.seed(seed)(machine),
            settings=hypothesis.settings(
                max_examples=max(1, (steps - machine.played) // STEPS_OF_AN_EVENING),
                stateful_step_count=STEPS_OF_AN_EVENING,
                database=None,
                deadline=None,
                print_blob=False,
                phases=[Phase.generate] if os.environ.get("PLAYED_FAST") else [Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
        seed += 1


@pytest.fixture(autouse=True)
def _router(host: TheHost, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ASSIGNMENTS = {
        **settings.ASSIGNMENTS,
        "ROUTER": ROUTER_PATH,
        "FIXED_MINUTES": FIXED_MINUTES,
        "BATCH_SIZE": BATCH_SIZE,
        "MAX_MOVES": MAX_MOVES,
        "NO_SHOW_MINUTES": NO_SHOW // timedelta(minutes=1),
    }
    monkeypatch.setattr(TheHost, "reports_arrivals", True, raising=False)


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(900)
class TestPlayedEvenings:
    def test_v3(self) -> None:
        evening_judge.judged.clear()
        play(PlayedEvening, STEPS // 2)
        idle = [check for check in HAS_TO_JUDGE if not evening_judge.judged[check]]
        assert not idle, f"checks that had nothing to judge: {idle}"

    @pytest.mark.legacy_planner
    def test_v3_and_the_legacy_planner_in_turn(self) -> None:
        play(PlayedWithLegacy, STEPS // 2)

    @pytest.mark.legacy_planner
    def test_v3_moves_who_has_not_been_told_a_table(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moved = set()
        rearrange = Settlement.rearrange

        def counting(self: Settlement, assignment: Assignment, *args: Any, **kwargs: Any) -> Any:
            moved.add(assignment.booking_ref)
            return rearrange(self, assignment, *args, **kwargs)

        monkeypatch.setattr(Settlement, "rearrange", counting)
        monkeypatch.setattr(TheHost, "reports_told_tables", True, raising=False)
        play(PlayedWithMoves, STEPS // 2)
        assert moved, "an evening without a move shows nothing"
