"""An independent judge of an evening: reads rows only, and shares no code with what it judges on purpose.

It looks at the database after each commit, through a connection of its own, and compares that with what was there before.

Long because it states every promise a second time, on purpose without the code that keeps them.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from assignments.integration.host import HostBooking
from assignments.planning.floor import Floor, ServicePeriod

MOST_TABLES = 3
MOST_SPARE_SEATS = 4
GRACE = timedelta(minutes=15)
A_MINUTE = timedelta(minutes=1)
"""The clock goes on while a step is done."""

CURABLE = frozenset({"no_capacity", "closed", "pinned_tables_taken", "table_taken", "pacing"})
"""Reasons for a review that a table which becomes free cures."""
GONE = frozenset({"left", "no_show"})
OPEN = frozenset({"created", "capacity_verified", "assignment_pending", "assignment_in_progress", "assigned"})
QUEUED = frozenset({"created", "capacity_verified", "assignment_pending"})

_ROWS = {
    "allocations": """
        SELECT id, table_ref, booking_ref, kind, lower(blocked) AS start, upper(blocked) AS until, starts_at, ends_at,
               party, planner, despite, ended_at, overstays_until, overridden_by
        FROM assignments_allocation ORDER BY id""",
    "assignments": """
        SELECT booking_ref, state, reason, due_at, wake_at, stage, version, requested_at, service_date, planner,
               pinned_table_refs, party, starts_at, asked_until, asked_starts_at, asked_ends_at, zone_ref, table_told,
               moves
        FROM assignments_assignment ORDER BY id""",
    "closures": """
        SELECT id, table_refs, starts_at, ends_at, lifted_at FROM assignments_closure ORDER BY id""",
    "transitions": """
        SELECT DISTINCT ON (booking_ref) booking_ref, version, target FROM assignments_statetransition
        ORDER BY booking_ref, version DESC""",
    "said": """
        SELECT booking_ref, detail FROM assignments_statetransition WHERE reason = 'overlapping'
        UNION SELECT booking_ref, payload ->> 'detail' FROM assignments_outboxmessage WHERE topic = 'booking.overlapping'
        """,
    "changes": """
        SELECT booking_ref, what, seating_id, table_ref, starts_at, ends_at, lower(blocked) AS start,
               upper(blocked) AS until, stage FROM assignments_seatingchange ORDER BY id""",
}

Row = Mapping[str, Any]

judged: Counter[str] = Counter()
"""How often each check had something to judge: one that never has shows nothing, however many steps are played."""

Seat = tuple[frozenset[str], datetime, datetime]
"""Tables, start and end."""


@dataclass(frozen=True)
class Evening:
    """The rows as they are at one moment."""

    allocations: list[Row] = field(default_factory=list)
    assignments: dict[str, Row] = field(default_factory=dict)
    closures: list[Row] = field(default_factory=list)

    @property
    def current(self) -> dict[str, list[Row]]:
        """The tables that each booking has, and has not left."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.allocations:
            if row["kind"] == "seating" and row["ended_at"] is None:
                found[row["booking_ref"]].append(row)
        return dict(found)

    @property
    def seats(self) -> dict[str, Seat]:
        return {ref: seat_of(rows) for ref, rows in self.current.items()}


def seat_of(rows: Collection[Row]) -> Seat:
    first = next(iter(rows))
    return frozenset(row["table_ref"] for row in rows), first["starts_at"], first["ends_at"]


@dataclass(frozen=True)
class Action:
    """What is done, to which bookings, and by whom: ``guest``, ``staff``, ``owner`` or ``planner``."""

    name: str
    by: str
    refs: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.refs)})"


def read(cursor: Any, *names: str) -> dict[str, list[Row]]:
    """Read these rows as they are now."""
    found: dict[str, list[Row]] = {}
    for name in names:
        cursor.execute(_ROWS[name])
        columns = [column[0] for column in cursor.description]
        found[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return found


def evening_of(cursor: Any) -> Evening:
    rows = read(cursor, "allocations", "assignments", "closures")
    return Evening(rows["allocations"], {row["booking_ref"]: row for row in rows["assignments"]}, rows["closures"])


@dataclass(frozen=True, kw_only=True)
class Moving:
    """Whom a planner may give other tables, so that one more party can sit: who is not fixed."""

    fixed: timedelta
    most: int
    told: Collection[str]
    frozen: bool

    def why_not(self, evening: Evening, ref: str, now: datetime) -> str:
        """Why the booking had to stay where it was, as it was before; empty if it did not."""
        row = evening.assignments[ref]
        reasons = {
            "the evening is frozen": self.frozen,
            "it was told its table": row["table_told"] or ref in self.told,
            f"it is {row['stage']}": row["stage"] != "expected",
            "staff chose its table": evening.current[ref][0]["planner"] == "manual",
            "it is about to come": row["starts_at"] <= now + self.fixed,
            "it was moved often enough": row["moves"] >= self.most,
        }
        return ", ".join(reason for reason, holds in reasons.items() if holds)


# What every commit has to leave in order.


def overlaps(evening: Evening) -> Iterator[str]:
    """Two parties at one table."""
    by_table: dict[str, list[Row]] = defaultdict(list)
    for row in evening.allocations:
        by_table[row["table_ref"]].append(row)
    for table, rows in by_table.items():
        for one, other in combinations(rows, 2):
            judged["two rows of one table"] += 1
            if one["start"] < other["until"] and other["start"] < one["until"]:
                yield f"{one['booking_ref']} and {other['booking_ref']} both have {table}"


def loose_ends(evening: Evening, host: Mapping[str, HostBooking]) -> Iterator[str]:
    """Tables of bookings that should have none, and bookings without tables that nobody looks after."""
    current = evening.current
    for ref, rows in current.items():
        assignment = evening.assignments.get(ref)
        if assignment is None or assignment["state"] not in {"confirmed", "manual_review"}:
            yield f"{ref} has tables, and is {assignment['state'] if assignment else 'unknown'}"
        # How long a table is blocked differs: one may close while it is cleared, or somebody come there after an overstay.
        if len({(row["starts_at"], row["ends_at"]) for row in rows}) > 1:
            yield f"{ref} has tables for different times"
        if assignment is not None and assignment["stage"] in GONE:
            yield f"{ref} has tables, and is {assignment['stage']}"
        if any(row["table_ref"] == other["table_ref"] for row, other in combinations(rows, 2)):
            yield f"{ref} has a table twice"
    for ref, assignment in evening.assignments.items():
        state, booking = assignment["state"], host.get(ref)
        if (assignment["due_at"] is not None) != (state in OPEN):
            yield f"{ref} is {state}, due at {assignment['due_at']}"
        if state == "confirmed" and ref not in current and assignment["stage"] not in GONE:
            yield f"{ref} is confirmed without tables, {assignment['stage']}"
        wants = booking is not None and booking.wants_table
        if wants and state == "cancelled":
            yield f"{ref} wants a table, and is cancelled ({assignment['reason']})"
        may_fail = {"starts_in_past", "rejected_by_staff"}
        if booking is not None and booking.ends_at is not None and booking.ends_at <= booking.starts_at:
            may_fail.add("invalid_start")  # The host shows the start that is asked for, and an end before that.
        if wants and state == "failed" and assignment["reason"] not in may_fail:
            yield f"{ref} wants a table, and failed ({assignment['reason']})"


def over_closures(evening: Evening, floor: Floor, now: datetime) -> Iterator[str]:
    """Seatings over a closure that nobody overrode."""
    later = now + A_MINUTE  # What is cut off as it closes lasts until the moment of that.
    for ref, rows in evening.current.items():
        for row in rows:
            if not row["overridden_by"] and is_closed(
                evening, row["table_ref"], max(row["start"], later), row["until"]
            ):
                yield f"{ref} has {row['table_ref']}, which is closed"


def is_closed(evening: Evening, table_ref: str, start: datetime, until: datetime) -> bool:
    return any(
        closure["lifted_at"] is None
        and (not closure["table_refs"] or table_ref in closure["table_refs"])
        and closure["starts_at"] < until
        and (closure["ends_at"] is None or start < closure["ends_at"])
        and start < until
        for closure in evening.closures
    )


def broken_promises(
    before: Evening,
    after: Evening,
    action: Action,
    *,
    floor: Floor,
    now: datetime,
    cancelled: Collection[str],
    host: Mapping[str, HostBooking],
    moving: Moving | None = None,
    no_show: timedelta | None = None,
) -> Iterator[str]:
    """Seats, times and tables that were lost other than by the guest, a named member of staff, or an unusable table.

    ``no_show``: how long after the promised start the clock marks guests as not having come; None if it does not.
    ``moving``: whom a planner may move so that another party can sit; None where it moves nobody.
    """
    then, now_seated, tables = before.seats, after.seats, {table.ref: table for table in floor.tables}
    for ref, (held, start, end) in then.items():
        if ref in cancelled or (
            now_seated.get(ref) == (held, start, end)
            and after.current[ref][0]["party"] == before.current[ref][0]["party"]
        ):
            continue
        judged["a promise that was touched"] += 1
        may_change = _asked_to_change(action) if ref in action.refs else frozenset()
        if may_change == ANYTHING and (action.by == "staff" or ref in now_seated):
            continue
        assignment, rows = after.assignments[ref], before.current[ref]
        unusable = [
            row["table_ref"]
            for row in rows
            if row["table_ref"] not in tables
            or not tables[row["table_ref"]].active
            or is_closed(
                after, row["table_ref"], max(row["start"], now), max(row["until"], row["overstays_until"] or now)
            )
        ]
        if not unusable and seats_of(floor, held) < (rows[0]["party"] or 0) and not rows[0]["despite"]:
            unusable.append("too few seats")
        if ref not in now_seated:
            if "seat" in may_change:
                continue
            is_marked = assignment["stage"] == "no_show" or _comes_later(before, after, ref, now)
            if no_show and is_marked and start + no_show <= now + A_MINUTE:
                judged["a no-show by the clock"] += action.by == "planner"
                continue
            if assignment["stage"] == "left" and ref in action.refs and _is_over(before, ref, host, now):
                continue  # Its host says that they sit, and gives an end that is over.
            if not unusable:
                yield f"{ref} lost {sorted(held)}: {assignment['state']} ({assignment['reason']})"
            elif assignment["state"] not in {"manual_review", *OPEN}:
                yield f"{ref} lost its closed table: {assignment['state']} ({assignment['reason']})"
            continue
        others, other_start, other_end = now_seated[ref]
        sits = before.assignments[ref]["stage"] == "seated"
        # What was asked for could not be met until now.
        is_asked = before.assignments[ref]["state"] == "manual_review" and (
            action.by in {"guest", "planner"}
            or ref in action.refs
            # The owner's new floor meets it: the pass that notices the floor grants it.
            or (before.assignments[ref]["reason"] == "edit_unmet" and assignment["state"] == "confirmed")
        )
        moves_now = sits and (bool(unusable) or "tables" in may_change)  # From now on, if only for a minute.
        is_same_start = other_start == start or (moves_now and other_start < now + A_MINUTE)
        is_same_end = (
            other_end in {end, rows[0]["overstays_until"]}
            or "end" in may_change
            or (moves_now and end <= now + A_MINUTE)  # They are moved twice within that minute.
        )
        party, party_now = rows[0]["party"], after.current[ref][0]["party"]
        if party is not None and party_now != party and not is_asked:
            yield f"{ref} was promised seats for {party}, has some for {party_now}"
        if not (is_same_start and is_same_end) and not is_asked:
            yield f"{ref} was promised {start:%H:%M}-{end:%H:%M}, has {other_start:%H:%M}-{other_end:%H:%M}"
        if others != held and "tables" in may_change:
            continue
        if others != held and sits and not unusable:
            yield f"{ref} sits at {sorted(held)}, and was moved to {sorted(others)}"
        pinned = before.assignments[ref]["pinned_table_refs"]
        if others != held and pinned and set(pinned) == held and not unusable:
            yield f"{ref} is pinned to {sorted(held)}, and was moved to {sorted(others)}"
        if is_needed_longer(before, after, ref):
            continue
        if others != held and not unusable and not is_asked and not sits and action.by in {"guest", "planner"}:
            fixed = moving.why_not(before, ref, now) if moving else "nobody is moved for others"
            if fixed:
                yield f"{ref} was moved from {sorted(held)} to {sorted(others)}: {fixed}"


def is_needed_longer(before: Evening, after: Evening, ref: str) -> bool:
    """Whether guests who were before the booking at one of its tables stay there into its time now."""
    return any(
        was["table_ref"] == row["table_ref"] == now["table_ref"]
        and was["id"] == now["id"]
        and was["booking_ref"] != ref
        and max(was["until"], was["overstays_until"] or was["until"]) <= row["start"] < now["until"]
        for row in before.current[ref]
        for was in before.allocations
        for now in after.allocations
    )


def _comes_later(before: Evening, after: Evening, ref: str, now: datetime) -> bool:
    """Whether a guest who had asked for a later time, and has not come, is now expected then."""
    asked = before.assignments[ref]["asked_starts_at"]
    return asked is not None and bool(now < asked == after.assignments[ref]["starts_at"])


def taken_from_under(
    before: Evening, after: Evening, action: Action, *, floor: Floor, now: datetime, cancelled: Collection[str]
) -> Iterator[str]:
    """Tables at which guests sit, taken from them although they have not left and the table has not closed yet."""
    tables = {table.ref: table for table in floor.tables}
    for ref, rows in before.current.items():
        assignment = before.assignments.get(ref)
        gone = ref in cancelled or assignment is None or after.assignments[ref]["stage"] in GONE
        if gone or ref in action.refs or assignment is None:
            continue
        if assignment["stage"] != "seated" and (rows[0]["starts_at"] > now or _comes_later(before, after, ref, now)):
            continue
        judged["guests who sit"] += 1
        # Where others are still there, the table is not theirs yet; staff know.
        held = {row["table_ref"] for row in rows if row["start"] <= now + A_MINUTE}
        has = {row["table_ref"] for row in after.current.get(ref, [])}
        if has - {row["table_ref"] for row in rows}:
            continue  # They were moved, about which others judge.
        for table in sorted(held - has):
            is_there = table in tables and tables[table].active
            if is_there and not is_closed(after, table, now, now + A_MINUTE):
                yield f"{ref} sits at {table}, which is not closed yet and was taken from it"


def forgotten(before: Evening, after: Evening, action: Action, now: datetime) -> Iterator[str]:
    """Stays of which nothing is left on record, though guests have sat through a part of them."""
    kept = {row["id"] for row in after.allocations}
    for row in before.allocations:
        if row["kind"] != "seating" or action.name == "undo":
            continue  # Walk-ins who did not sit down after all leave nothing.
        sat = before.assignments[row["booking_ref"]]["stage"] == "seated" and row["start"] < now - A_MINUTE
        if (row["ended_at"] or sat) and row["id"] not in kept:
            yield f"{row['booking_ref']} sat at {row['table_ref']} since {row['start']:%H:%M}, which nobody knows now"


def unblocked(before: Evening, after: Evening, action: Action, *, now: datetime) -> Iterator[str]:
    """Tables at which guests sit, before their time or in it, and which somebody else could be given now."""
    for ref, rows in after.current.items():
        assignment, then = after.assignments.get(ref), before.assignments.get(ref)
        if assignment is None or assignment["stage"] != "seated" or ref not in before.current:
            continue  # Who gets a table anew, and was there before, is not known to sit at that one.
        judged["guests who sit at their table"] += 1
        was_seated = then is not None and then["stage"] == "seated"
        if was_seated and any(row["start"] > now + A_MINUTE for row in before.current[ref]):
            continue  # Others are still there, which was judged when they sat down.
        if all(row["start"] <= now + A_MINUTE for row in rows):
            continue
        others = [row["booking_ref"] for row in after.allocations if _is_there(row, rows, now)]
        told = {after.assignments[each]["state"] for each in (ref, *others) if each in after.assignments}
        if not others or told != {"manual_review"}:
            yield f"{ref} sits at {sorted(row['table_ref'] for row in rows)}, which is not blocked now"


def _is_there(row: Row, rows: Collection[Row], now: datetime) -> bool:
    """Whether somebody else has, or may still have, one of these tables before they are these guests'."""
    if row["ended_at"] is not None:
        return False
    return any(
        row["table_ref"] == each["table_ref"]
        and row["booking_ref"] != each["booking_ref"]
        and row["start"] < each["start"]
        and max(row["until"], row["overstays_until"] or row["until"]) > now
        for each in rows
    )


def _is_over(before: Evening, ref: str, host: Mapping[str, HostBooking], now: datetime) -> bool:
    """Return whether the host says that the stay is over: by another end than before, or since the promised one is over."""
    end = host[ref].ends_at if ref in host else None
    row, first, later = before.assignments[ref], before.current[ref][0], now + A_MINUTE
    asked = row["asked_until"] if row["asked_starts_at"] is None else row["asked_ends_at"]
    is_past = max(first["ends_at"], first["overstays_until"] or first["ends_at"]) <= later
    return end is not None and end <= later and (end != asked or is_past)


ANYTHING = frozenset({"seat", "tables", "start", "end"})

_BY_STAFF = {
    **dict.fromkeys(["move", "assign", "swap", "pin", "unpin"], frozenset({"tables"})),
    **dict.fromkeys(["left", "no_show", "release_tables"], frozenset({"seat"})),
    **dict.fromkeys(["late", "arrived", "seated", "hold", "tell the table", "reject the edit"], frozenset[str]()),
    **dict.fromkeys(["extend", "extend to the next"], frozenset({"end"})),
}


def _asked_to_change(action: Action) -> frozenset[str]:
    """What an action is to change of the bookings that it names: all that staff leave to the app, and what guests ask."""
    if action.by == "staff":
        return _BY_STAFF.get(action.name.partition(" by ")[0], ANYTHING)
    return ANYTHING


ABOUT_TABLES = frozenset(
    {
        "table_inactive",
        "too_few_seats",
        "too_many_spare_seats",
        "party_outside_table_limits",
        "too_many_tables",
        "zones_differ",
        "not_adjacent",
        "wrong_zone",
        "more_tables_than_needed",
    }
)
OF_HOURS = frozenset({"service_overrun", "outside_service"})


def misfits(before: Evening, after: Evening, action: Action, floor: Floor, now: datetime) -> Iterator[str]:
    """Seatings by a planner that no planner may make, but for what staff have passed over by name."""
    if action.by == "staff":
        return
    then = before.seats
    for ref, rows in after.current.items():
        held, start, end = seat_of(rows)
        if then.get(ref) == (held, start, end) and rows[0]["party"] == before.current[ref][0]["party"]:
            continue
        if ref in then and held <= then[ref][0]:
            # It stays where it is, at another time, or at what is still open of its tables.
            if held == then[ref][0] and action.by != "owner":
                yield from _beyond_what_staff_said(before, after, ref, floor, now)
            continue
        if rows[0]["planner"] == "manual":
            continue
        judged["a seating by a planner"] += 1
        assignment, despite = after.assignments[ref], set(rows[0]["despite"])
        party, zone = assignment["party"], assignment["zone_ref"] or None
        pinned = frozenset(assignment["pinned_table_refs"])
        if held not in set(units(floor, party, zone)) and held != pinned and not despite & ABOUT_TABLES:
            yield f"{ref}, a party of {party}, was seated at {sorted(held)}"
        if pinned and held != pinned:
            yield f"{ref} is pinned to {sorted(pinned)}, and was seated at {sorted(held)}"
        if not serves(floor, start, end) and not despite & OF_HOURS:
            yield f"{ref} was seated {start:%d %H:%M}-{end:%d %H:%M}, outside of the service"
        if ref in then and then[ref][1] == start and party <= (before.current[ref][0]["party"] or 0):
            continue  # Whoever was promised that time may come.
        seated = [row for row in after.allocations if row["kind"] == "seating"]
        is_paced = rows[0]["planner"] != "legacy" and "pacing" not in despite
        if is_paced and is_too_many(floor, seated, ref, party, start, end):
            yield f"{ref}, a party of {party}, was seated at {start:%H:%M}, beyond the pacing"


def _beyond_what_staff_said(before: Evening, after: Evening, ref: str, floor: Floor, now: datetime) -> Iterator[str]:
    """What nobody has passed over for guests who keep their tables at another time, or in another number."""
    rows, old = after.current[ref], before.current[ref]
    held, start, end = seat_of(rows)
    party, party_before = rows[0]["party"], old[0]["party"]
    if before.assignments[ref]["stage"] == "seated" or old[0]["starts_at"] <= now or None in {party, party_before}:
        return  # Guests who sit are there, whatever the rules are.
    is_within = old[0]["starts_at"] <= start and end <= (old[0]["overstays_until"] or old[0]["ends_at"])
    if is_within and party <= party_before:
        return  # That was promised, whatever the rules are by now.
    judged["an edit at the same tables"] += 1
    said = {reason for row in old for reason in row["despite"]}
    if party > party_before:
        said -= {"too_few_seats", "pacing"}
    if not is_within:
        said -= {"closed", "pacing", "table_inactive", *OF_HOURS}
    tables = {table.ref: table for table in floor.tables}
    if not held <= tables.keys():
        yield f"{ref} keeps {sorted(held)}, which are gone"
        return
    if seats_of(floor, held) < party and "too_few_seats" not in said:
        yield f"{ref}, a party of {party}, keeps {sorted(held)}, which have fewer seats"
    if not all(tables[table].active for table in held) and "table_inactive" not in said:
        yield f"{ref} keeps {sorted(held)} at another time, out of service"
    if any(is_closed(after, row["table_ref"], start, end) for row in rows) and "closed" not in said:
        yield f"{ref} keeps {sorted(held)} at another time, though closed then"
    if not serves(floor, start, end) and not said & OF_HOURS:
        yield f"{ref} keeps its table {start:%d %H:%M}-{end:%d %H:%M}, outside of the service"
    seated = [row for row in after.allocations if row["kind"] == "seating"]
    is_promised = start == old[0]["starts_at"] and party <= party_before
    if (
        rows[0]["planner"] != "legacy"
        and "pacing" not in said
        and not is_promised
        and is_too_many(floor, seated, ref, party, start, end)
    ):
        yield f"{ref}, a party of {party}, keeps its table at {start:%H:%M}, beyond the pacing"


def overlaps_unseen(evening: Evening, cursor: Any) -> Iterator[str]:
    """Guests who overstay, and who comes next to their table: not in review both, or not told of each other."""
    current = evening.current
    staying = [
        (row, next_one)
        for row in (row for rows in current.values() for row in rows if row["overstays_until"] is not None)
        for rows in current.values()
        for next_one in rows
        if next_one["booking_ref"] != row["booking_ref"]
        and next_one["table_ref"] == row["table_ref"]
        and row["starts_at"] < next_one["starts_at"]
        and next_one["start"] < row["overstays_until"]
        # Who sits where it closes has to be elsewhere by then; staff know.
        and not is_closed(evening, row["table_ref"], row["until"], row["until"] + A_MINUTE)
    ]
    if not staying:
        return
    said: dict[str, str] = defaultdict(str)
    for told in read(cursor, "said")["said"]:
        said[told["booking_ref"]] += f" {told['detail']} "
    for row, next_one in staying:
        judged["two who expect one table"] += 1
        pair = row["booking_ref"], next_one["booking_ref"]
        for ref, other in (pair, pair[::-1]):
            assignment = evening.assignments[ref]
            if assignment["state"] != "manual_review":
                yield f"{ref} expects {row['table_ref']} together with {other}, and is {assignment['state']}"
            elif not re.search(rf"(?<![\w:-]){re.escape(other)}(?![\w:-])", said[ref]):
                yield f"{ref} expects {row['table_ref']} together with {other}, and nobody says so"


# The sentence of rule 5.


def passed_over(
    before: Evening,
    after: Evening,
    action: Action,
    *,
    floor: Floor,
    now: datetime,
    host: Mapping[str, HostBooking],
    locked: Collection[str],
    moving: Moving | None = None,
) -> Iterator[str]:
    """Who asked earlier, waits, is unlocked, could have been seated with the tables of X, and cannot be any more.

    What X had before was promised. "Could have been": also behind those who asked earlier still; and where V3 is
    ``moving`` others, by one of them that goes elsewhere.
    """
    if action.by == "staff":
        return
    then = before.seats
    for ref, seat in after.seats.items():
        if then.get(ref) == seat:
            continue
        if ref in then and then[ref][0] == seat[0] and seat[1] <= now:
            continue  # Its guests sit there, and stay longer.
        if ref in then and (action.by == "owner" or is_needed_longer(before, after, ref)):
            continue  # It has lost its table. Whoever was promised a seat goes before those who wait for one.
        mine = after.assignments[ref]
        if mine["reason"] == "confirmed_by_host" and after.current[ref][0]["planner"] == "manual":
            continue  # Its host shows it at these tables: nobody chose them here.
        held = {row["table_ref"] for row in before.allocations if row["booking_ref"] == ref and row["kind"] == "hold"}
        if held and set(seat[0]) <= held:
            continue  # Staff had kept these tables for it.
        for other, theirs in after.assignments.items():
            if (
                other in locked
                or theirs["requested_at"] >= mine["requested_at"]
                or theirs["service_date"] != mine["service_date"]
                or not waits(after, other, host)
            ):
                continue
            judged["somebody seated while another waits who asked earlier"] += 1
            free = [row for row in after.allocations if row["booking_ref"] != ref] + before.current.get(ref, [])
            if not can_sit(after, other, after.allocations, floor=floor, now=now, host=host) and can_sit_behind(
                waiting_before(after, other, host), after, other, free, floor=floor, now=now, host=host
            ):
                yield f"{ref} has {sorted(seat[0])}, for which {other} asked earlier ({theirs['state']})"
            elif moving and mine["planner"] == "v3" and not waiting_before(after, other, host):
                given: dict[str, Any] = {"floor": floor, "now": now, "host": host}
                movers = [each for each in after.current if each not in {ref, *locked}]
                movers = [each for each in movers if may_go(moving, before, after, each, **given)]
                judged["somebody seated while another waits who could be by a move"] += bool(movers)
                if not by_a_move(movers, after, other, after.allocations, **given) and by_a_move(
                    movers, after, other, free, **given
                ):
                    yield f"{ref} has {sorted(seat[0])}: {other} asked earlier, and could have been seated by a move"


def may_go(
    moving: Moving,
    before: Evening,
    after: Evening,
    ref: str,
    *,
    floor: Floor,
    now: datetime,
    host: Mapping[str, HostBooking],
) -> bool:
    """Whether V3 may give the booking another table: it is where it was, as it was confirmed, and nothing keeps it there."""
    row, own, booking = after.assignments[ref], after.current[ref], host.get(ref)
    if booking is None or row["state"] != "confirmed" or before.seats.get(ref) != after.seats.get(ref):
        return False
    if row["pinned_table_refs"] or moving.why_not(after, ref, now + A_MINUTE) or not booking.may_move:
        return False
    as_asked = (booking.starts_at, booking.party) == (row["starts_at"], row["party"]) and booking.wants_table
    whole = next(iter(places_of(after, ref, [], floor=floor, now=now, host=host)), None)
    return (
        as_asked
        and whole is not None
        and all(
            not each["despite"]
            and each["overstays_until"] is None
            and (each["start"], each["until"], each["ends_at"])
            == (whole[0]["start"], whole[0]["until"], whole[0]["ends_at"])
            for each in own
        )
    )


def by_a_move(
    movers: Iterable[str],
    evening: Evening,
    ref: str,
    taken: Sequence[Row],
    *,
    floor: Floor,
    now: datetime,
    host: Mapping[str, HostBooking],
) -> bool:
    """Whether the booking could sit by itself, or once one of the movers is at other tables."""
    given: dict[str, Any] = {"floor": floor, "now": now, "host": host}
    if can_sit(evening, ref, taken, **given):
        return True
    for mover in movers:
        others = [row for row in taken if row["booking_ref"] != mover]
        if not can_sit(evening, ref, others, **given):
            continue
        for place in places_of(evening, mover, others, **given):
            if can_sit(evening, ref, [*others, *place], **given):
                return True
    return False


def asleep_beside_a_free_table(
    evening: Evening, *, floor: Floor, now: datetime, host: Mapping[str, HostBooking], locked: Collection[str]
) -> Iterator[str]:
    """Who waits in review for a table, has one free, and was not woken. Whoever waits before them may get it."""
    for ref, row in evening.assignments.items():
        if row["state"] != "manual_review" or row["reason"] not in CURABLE or row["wake_at"] is not None:
            continue
        if not waits(evening, ref, host) or ref in locked:
            continue
        if row["planner"] == "legacy" and row["starts_at"] <= now:
            continue  # It was tried by the legacy planner, for which "now" has no tolerance.
        before = [
            other
            for other, theirs in evening.assignments.items()
            if theirs["requested_at"] < row["requested_at"]
            and theirs["service_date"] == row["service_date"]
            and (theirs["state"] in OPEN or theirs["wake_at"] is not None)
        ]
        judged["somebody asleep in review"] += 1
        if not before and can_sit(evening, ref, evening.allocations, floor=floor, now=now, host=host):
            yield f"{ref} ({row['reason']}) sleeps beside a free table"


def waits(evening: Evening, ref: str, host: Mapping[str, HostBooking]) -> bool:
    row, booking = evening.assignments[ref], host.get(ref)
    if booking is None or not booking.wants_table or booking.is_confirmed or ref in evening.current:
        return False
    return row["state"] in QUEUED or (row["state"] == "manual_review" and row["reason"] in CURABLE)


def waiting_before(evening: Evening, ref: str, host: Mapping[str, HostBooking]) -> list[str]:
    """Those who asked before the booking and are still to be decided, in that order; the host may have them locked."""
    row = evening.assignments[ref]
    found = [
        other
        for other, theirs in evening.assignments.items()
        if theirs["requested_at"] < row["requested_at"]
        and theirs["service_date"] == row["service_date"]
        and waits(evening, other, host)
        and (theirs["state"] in QUEUED or theirs["wake_at"] is not None)
    ]
    return sorted(found, key=lambda other: evening.assignments[other]["requested_at"])


def can_sit_behind(
    first: Sequence[str],
    evening: Evening,
    ref: str,
    taken: Sequence[Row],
    *,
    floor: Floor,
    now: datetime,
    host: Mapping[str, HostBooking],
) -> bool:
    """Whether some tables would do for the booking, whichever of theirs those get who are to be seated ``first``.

    Tables are kept for them, and no row says which.
    """
    if not can_sit(evening, ref, taken, floor=floor, now=now, host=host):
        return False
    if not first:
        return True
    places = list(places_of(evening, first[0], taken, floor=floor, now=now, host=host))
    return all(
        can_sit_behind(first[1:], evening, ref, [*taken, *rows], floor=floor, now=now, host=host)
        for rows in places or [[]]
    )


def can_sit(
    evening: Evening,
    ref: str,
    taken: Iterable[Row],
    *,
    floor: Floor,
    now: datetime,
    host: Mapping[str, HostBooking],
) -> bool:
    """Whether some tables would do for the booking by itself."""
    return any(True for _rows in places_of(evening, ref, taken, floor=floor, now=now, host=host))


def places_of(
    evening: Evening,
    ref: str,
    taken: Iterable[Row],
    *,
    floor: Floor,
    now: datetime,
    host: Mapping[str, HostBooking],
) -> Iterator[list[Row]]:
    """Yield the rows that the booking would have at each of the tables that would do for it by itself."""
    booking = host[ref]
    start = booking.starts_at
    if (on := service_at(floor, start)) is None:
        return
    service, taken = on[0], list(taken)
    end = booking.ends_at or start + timedelta(minutes=service.turn_minutes(booking.party))
    if start < now - GRACE or end <= now or not serves(floor, start, end):
        return
    if is_too_many(floor, taken, ref, booking.party, start, end):
        return
    first = start - timedelta(minutes=service.buffer_before_minutes)
    last = end + timedelta(minutes=service.buffer_after_minutes)
    if start < now:
        first = now
    busy = {
        row["table_ref"] for row in taken if row["booking_ref"] != ref and row["start"] < last and first < row["until"]
    }
    pinned = frozenset(evening.assignments[ref]["pinned_table_refs"])
    row = {"booking_ref": ref, "kind": "seating", "start": first, "until": last, "starts_at": start, "ends_at": end}
    row |= {"party": booking.party, "ended_at": None, "overstays_until": None}
    for unit in units(floor, booking.party, booking.zone_ref):
        if pinned and unit != pinned:
            continue
        if not (unit & busy) and not any(is_closed(evening, table, first, last) for table in unit):
            yield [{**row, "table_ref": table} for table in sorted(unit)]


def units(floor: Floor, party: int, zone_ref: str | None) -> Iterator[frozenset[str]]:
    """Every set of tables at which a planner may seat the party, and that is not larger than it has to be."""
    tables = {table.ref: table for table in floor.tables}
    listed = {join.table_refs for join in floor.joins}
    found: list[frozenset[str]] = []
    for count in range(1, MOST_TABLES + 1):
        for refs in map(frozenset, combinations(tables, count)):
            chosen = [tables[ref] for ref in refs]
            seats = seats_of(floor, refs)
            fits = (
                all(table.active for table in chosen)
                and party <= seats <= party + MOST_SPARE_SEATS
                and (refs in listed or (len({table.zone_ref for table in chosen}) == 1 and _touch(floor, refs)))
                and (zone_ref is None or all(table.zone_ref == zone_ref for table in chosen))
                and not any(smaller < refs for smaller in found)
            )
            if fits:
                found.append(refs)
    yield from found


def _touch(floor: Floor, refs: frozenset[str]) -> bool:
    reached, left = set(sorted(refs)[:1]), set(sorted(refs)[1:])
    while more := {ref for ref in left if any(frozenset((ref, other)) in floor.adjacent for other in reached)}:
        reached |= more
        left -= more
    return not left


def seats_of(floor: Floor, refs: Collection[str]) -> int:
    """How many these tables seat: a listed join's seats count instead of its tables', in a larger join too."""
    seats, chosen = {table.ref: table.seats for table in floor.tables}, frozenset(refs)
    total, most = sum(seats[ref] for ref in chosen), 0
    for join in floor.joins:
        if join.table_refs == chosen:
            return join.seats
        if join.table_refs < chosen:  # Only pairs are listed here, so none is within another.
            total += join.seats - sum(seats[ref] for ref in join.table_refs)
            most = max(most, join.seats)
    return max(total, most)


def service_at(floor: Floor, start: datetime) -> tuple[ServicePeriod, datetime, datetime] | None:
    """The service that takes guests at ``start``, and when it begins and ends. Services of two days are never on at once."""
    for days in (0, 1, -1):
        day = (start.astimezone(floor.zone) - timedelta(days=days)).date()
        (service,) = floor.services
        for entry in floor.calendar:
            if entry.first_date <= day <= entry.last_date:
                if not entry.services:
                    break
                (service,) = entry.services
        else:
            opens = datetime.combine(day, service.starts, tzinfo=floor.zone)
            last_day = day if service.ends > service.starts else day + timedelta(days=1)
            closes = datetime.combine(last_day, service.ends, tzinfo=floor.zone)
            early, late = timedelta(minutes=service.early_minutes), timedelta(minutes=service.late_minutes)
            if opens - early <= start and (start < closes or (late and start <= closes + late)):
                return service, opens, closes
    return None


def serves(floor: Floor, start: datetime, end: datetime) -> bool:
    """Whether a service takes guests at ``start``, who stay until ``end``."""
    on = service_at(floor, start)
    return on is not None and (on[0].allow_overrun or end <= on[2])


def is_too_many(floor: Floor, taken: Iterable[Row], ref: str, party: int, start: datetime, end: datetime) -> bool:
    """Whether more guests would come within the interval, or be there at once, than the kitchen can serve."""
    on = service_at(floor, start)
    if not floor.pacing or on is None:
        return False
    (pacing,) = floor.pacing
    stays: dict[str, tuple[datetime, datetime, int]] = {}
    for row in taken:
        if row["booking_ref"] in {None, "", ref} or row["starts_at"] is None:
            continue
        comes, goes, covers = (
            row["starts_at"],
            row["ended_at"] or row["overstays_until"] or row["ends_at"],
            row["party"] or 1,
        )
        known = stays.get(row["booking_ref"], (comes, goes, covers))
        stays[row["booking_ref"]] = min(known[0], comes), max(known[1], goes), max(known[2], covers)
    step = timedelta(minutes=pacing.interval_minutes)
    first = on[1] + (start - on[1]) // step * step
    coming = [covers for comes, _goes, covers in stays.values() if first <= comes < first + step]
    present = [
        sum(covers for comes, goes, covers in stays.values() if comes <= moment < goes)
        for moment in {start, *(comes for comes, _goes, _covers in stays.values() if start < comes < end)}
    ]
    return (
        (pacing.most_covers is not None and sum(coming) + party > pacing.most_covers)
        or (pacing.most_parties is not None and len(coming) >= pacing.most_parties)
        or (pacing.most_present is not None and max(present) + party > pacing.most_present)
    )


# History equals state.


def untold(cursor: Any) -> Iterator[str]:
    """Differences between what history tells and what is so."""
    rows = read(cursor, "allocations", "assignments", "transitions", "changes")
    told: dict[int, tuple[Any, ...]] = {}
    stages: dict[str, str] = {}
    for change in rows["changes"]:
        if change["what"] == "stage":
            stages[change["booking_ref"]] = change["stage"]
        elif change["what"] == "freed":
            told.pop(change["seating_id"], None)
        else:
            told[change["seating_id"]] = (*_told(change), change["what"] == "ended")
    is_so = {
        row["id"]: (*_told(row), row["ended_at"] is not None) for row in rows["allocations"] if row["kind"] == "seating"
    }
    for key in told.keys() | is_so.keys():
        if told.get(key) != is_so.get(key):
            yield f"history tells {told.get(key)} of a seating that is {is_so.get(key)}"
    last = {row["booking_ref"]: row for row in rows["transitions"]}
    judged["a stage told"] += len(stages)
    judged["a seating told"] += len(told)
    for row in rows["assignments"]:
        ref = row["booking_ref"]
        if stages.get(ref, row["stage"]) != row["stage"]:
            yield f"history tells that {ref} is {stages[ref]}, and it is {row['stage']}"
        target = last[ref]["target"] if ref in last else "created"
        if target != row["state"]:
            yield f"history tells that {ref} is {target}, and it is {row['state']}"


def _told(row: Row) -> tuple[Any, ...]:
    names = ("booking_ref", "table_ref", "starts_at", "ends_at", "start", "until")
    return tuple(row[name] for name in names)
