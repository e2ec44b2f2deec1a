"""Check an evening with SQL over its history and the ledger, independently of the code that decides.

While an evening is played, triggers of our own note in which transaction each thing happened: a transition, a change of a
seating or a stage, and what guests changed in this project's own table.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection

_WITNESS = """
DROP TABLE IF EXISTS friday_witness CASCADE;
CREATE TABLE friday_witness (
    id bigserial PRIMARY KEY,
    transaction_id bigint NOT NULL DEFAULT txid_current(),
    booking_ref text NOT NULL,
    what text NOT NULL,
    value text NOT NULL,
    actor text NOT NULL DEFAULT ''
);
CREATE INDEX ON friday_witness (booking_ref, id);
CREATE FUNCTION friday_saw_transition() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO friday_witness (booking_ref, what, value, actor) VALUES (NEW.booking_ref, 'state', NEW.target, NEW.actor);
    RETURN NULL;
END $$;
CREATE FUNCTION friday_saw_seating() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO friday_witness (transaction_id, booking_ref, what, value)
    VALUES (NEW.transaction_id, NEW.booking_ref, CASE NEW.what WHEN 'stage' THEN 'stage' ELSE 'seating' END,
            CASE NEW.what WHEN 'stage' THEN NEW.stage ELSE NEW.id::text END);
    RETURN NULL;
END $$;
CREATE FUNCTION friday_saw_guest() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO friday_witness (booking_ref, what, value)
    VALUES (NEW.id::text, CASE WHEN NEW.status IN ('cancelled', 'no_show') THEN 'cancelled' ELSE 'edited' END, NEW.status);
    RETURN NULL;
END $$;
CREATE TRIGGER friday_saw_transition AFTER INSERT ON assignments_statetransition
    FOR EACH ROW EXECUTE FUNCTION friday_saw_transition();
CREATE TRIGGER friday_saw_seating AFTER INSERT ON assignments_seatingchange
    FOR EACH ROW EXECUTE FUNCTION friday_saw_seating();
CREATE TRIGGER friday_saw_guest AFTER UPDATE ON example_booking
    FOR EACH ROW WHEN (
        (OLD.start, OLD."end", OLD.party, OLD.zone_id, OLD.restaurant_id)
        IS DISTINCT FROM (NEW.start, NEW."end", NEW.party, NEW.zone_id, NEW.restaurant_id)
        OR (NEW.status IN ('cancelled', 'no_show', 'completed') AND OLD.status <> NEW.status))
    EXECUTE FUNCTION friday_saw_guest();
"""

_NO_WITNESS = """
DROP TRIGGER IF EXISTS friday_saw_guest ON example_booking;
DROP TRIGGER IF EXISTS friday_saw_seating ON assignments_seatingchange;
DROP TRIGGER IF EXISTS friday_saw_transition ON assignments_statetransition;
DROP FUNCTION IF EXISTS friday_saw_guest, friday_saw_seating, friday_saw_transition;
DROP TABLE IF EXISTS friday_witness;
"""

_CHANGES = """
WITH touched AS (  -- every transaction that changed a booking's seating
    SELECT change.booking_ref, change.transaction_id, change.restaurant_ref,
           min(change.id) AS first, max(change.id) AS last, max(change.at) AS at,
           (SELECT max(id) FROM friday_witness AS seen
             WHERE seen.booking_ref = change.booking_ref AND seen.transaction_id = change.transaction_id) AS seen_last
      FROM assignments_seatingchange AS change
     WHERE change.restaurant_ref = %(restaurant)s AND change.what <> 'stage'
     GROUP BY 1, 2, 3),
standing AS (  -- what each booking had before and after it
    SELECT touched.*, side.name, had.*
      FROM touched,
           LATERAL (VALUES ('before', touched.first - 1), ('after', touched.last)) AS side(name, upto),
           LATERAL (
               SELECT array_agg(version.table_ref ORDER BY version.table_ref) AS tables,
                      min(version.starts_at) AS starts, max(version.ends_at) AS ends, max(version.party) AS party
                 FROM (SELECT DISTINCT ON (seating_id) *
                         FROM assignments_seatingchange
                        WHERE booking_ref = touched.booking_ref AND what <> 'stage' AND id <= side.upto
                        ORDER BY seating_id, id DESC) AS version
                WHERE NOT EXISTS (SELECT FROM assignments_seatingchange AS over
                                   WHERE over.seating_id = version.seating_id AND over.what IN ('ended', 'freed')
                                     AND over.id <= side.upto)) AS had),
change AS (
    SELECT before.booking_ref, before.transaction_id, before.at, before.seen_last,
           before.tables AS tables_before, before.starts AS starts_before, before.ends AS ends_before,
           after.tables AS tables_after, after.starts AS starts_after, after.ends AS ends_after,
           coalesce(after.party, before.party) AS party
      FROM standing AS before
      JOIN standing AS after USING (booking_ref, transaction_id)
     WHERE before.name = 'before' AND after.name = 'after' AND before.tables IS NOT NULL)
"""

BROKEN = """
, loss AS (  -- the tables, some of the time, some of the seats, or a table at which the guests sat
    SELECT * FROM change
     WHERE tables_after IS NULL
        OR starts_after > greatest(starts_before, at)
        OR ends_after < ends_before
        OR (SELECT sum(seats) FROM example_table WHERE id::text = ANY(tables_after)) < party
           AND NOT EXISTS (SELECT FROM example_tablejoin AS joined
                            WHERE joined.seats >= party
                              AND ARRAY(SELECT table_id::text FROM example_tablejoin_tables
                                         WHERE tablejoin_id = joined.id) <@ tables_after)
        OR (NOT tables_after @> tables_before
            AND 'seated' = (SELECT value FROM friday_witness AS seen
                             WHERE seen.booking_ref = change.booking_ref AND seen.what = 'stage'
                               AND seen.id < change.seen_last ORDER BY seen.id DESC LIMIT 1)))
SELECT booking_ref, tables_before, tables_after, at
  FROM loss
 WHERE 'manual_review' IS DISTINCT FROM (  -- staff were not told in that transaction
           SELECT value FROM friday_witness AS seen
            WHERE seen.booking_ref = loss.booking_ref AND seen.what = 'state' AND seen.id <= loss.seen_last
            ORDER BY seen.id DESC LIMIT 1)
   AND NOT EXISTS (  -- and neither the guests nor a named member of staff ended the promise in it
           SELECT FROM friday_witness AS seen
            WHERE seen.booking_ref = loss.booking_ref AND seen.transaction_id = loss.transaction_id
              AND (seen.what = 'cancelled'
                   OR seen.what = 'edited' AND (loss.tables_after IS NOT NULL OR seen.value = 'completed')
                   OR seen.what = 'stage' AND seen.value IN ('left', 'no_show')
                   OR seen.what = 'state' AND seen.actor LIKE 'staff:%%'))
 ORDER BY at, booking_ref
"""
"""After ``_CHANGES``: promises that lost tables or time other than by rule 1, and were not in review then."""

OVERLAPPING = """
WITH version AS (  -- each seating as it stood, from one change to the next
    SELECT id, seating_id, table_ref, booking_ref, blocked, what,
           lead(id) OVER (PARTITION BY seating_id ORDER BY id) AS until
      FROM assignments_seatingchange
     WHERE restaurant_ref = %(restaurant)s AND what <> 'stage')
SELECT one.booking_ref, other.booking_ref, one.table_ref
  FROM version AS one
  JOIN version AS other
    ON one.table_ref = other.table_ref AND one.seating_id < other.seating_id AND one.blocked && other.blocked
   AND (one.until IS NULL OR other.id < one.until) AND (other.until IS NULL OR one.id < other.until)
 WHERE one.what <> 'freed' AND other.what <> 'freed'
UNION
SELECT one.booking_ref, other.booking_ref, one.table_ref
  FROM assignments_allocation AS one
  JOIN assignments_allocation AS other
    ON one.restaurant_ref = other.restaurant_ref AND one.table_ref = other.table_ref AND one.id < other.id
 WHERE one.restaurant_ref = %(restaurant)s AND one.blocked && other.blocked
"""
"""Two bookings for which one table was blocked at the same time, at any moment of the evening."""

TAKEN_FROM_THEM = """
SELECT one.booking_ref, other.booking_ref, one.table_ref
  FROM assignments_seatingchange AS one
  JOIN assignments_seatingchange AS other
    ON other.restaurant_ref = one.restaurant_ref AND other.table_ref = one.table_ref
   AND other.booking_ref <> one.booking_ref AND other.what = 'seated' AND other.id > one.id
   AND lower(other.blocked) < one.ends_at AND upper(other.blocked) > one.at
 WHERE one.restaurant_ref = %(restaurant)s AND one.what = 'ended'
   AND NOT EXISTS (  -- closed by then, so that they had to leave it
           SELECT FROM assignments_closure AS closure
            WHERE closure.restaurant_ref = one.restaurant_ref
              AND (closure.table_refs = '{}' OR one.table_ref = ANY (closure.table_refs))
              AND closure.starts_at <= one.at AND (closure.ends_at IS NULL OR closure.ends_at > one.at)
              AND (closure.lifted_at IS NULL OR closure.lifted_at > one.at))
   AND NOT EXISTS (  -- gone, or at another table
           SELECT FROM assignments_seatingchange AS later
            WHERE later.booking_ref = one.booking_ref AND later.at <= greatest(other.at, lower(other.blocked))
              AND (later.what = 'stage' AND later.stage IN ('left', 'no_show')
                   AND (later.id > one.id OR later.transaction_id = one.transaction_id)
                   OR later.what = 'seated' AND later.id > one.id))
   AND NOT EXISTS (SELECT FROM assignments_statetransition AS cancelled
                    WHERE cancelled.booking_ref = one.booking_ref AND cancelled.target = 'cancelled'
                      AND cancelled.at <= greatest(other.at, lower(other.blocked)))
"""
"""A party whose table was given to another one while it sat there: it had not left, and the table had not closed."""

LOST = """
SELECT booking.id::text, coalesce(assignment.state, 'unknown'), coalesce(assignment.reason, '')
  FROM example_booking AS booking
  LEFT JOIN assignments_assignment AS assignment ON assignment.booking_ref = booking.id::text
  LEFT JOIN LATERAL (SELECT target FROM assignments_statetransition
                      WHERE booking_ref = booking.id::text ORDER BY version DESC LIMIT 1) AS last ON true
 WHERE booking.restaurant_id::text = %(restaurant)s
   AND CASE
       WHEN assignment.id IS NULL THEN booking.status IN ('pending', 'confirmed')
       WHEN last.target IS DISTINCT FROM assignment.state THEN true
       -- Undecided, although it has begun, or without a next try.
       WHEN assignment.state NOT IN ('confirmed', 'manual_review', 'failed', 'cancelled')
           THEN assignment.due_at IS NULL OR assignment.starts_at < %(now)s
       WHEN assignment.state IN ('manual_review', 'failed') AND assignment.reason = '' THEN true
       -- Confirmed, but without tables, now or in the past; or the host has others.
       WHEN assignment.state = 'confirmed' AND assignment.stage <> 'no_show'
            AND NOT EXISTS (SELECT FROM assignments_allocation
                             WHERE booking_ref = booking.id::text AND kind = 'seating') THEN true
       WHEN assignment.state = 'confirmed' AND booking.status NOT IN ('confirmed', 'completed') THEN true
       WHEN assignment.state = 'confirmed' AND assignment.stage NOT IN ('left', 'no_show')
            AND ARRAY(SELECT table_id::text FROM example_booking_tables WHERE booking_id = booking.id ORDER BY 1)
             <> ARRAY(SELECT table_ref FROM assignments_allocation
                       WHERE booking_ref = booking.id::text AND kind = 'seating' AND ended_at IS NULL ORDER BY 1) THEN true
       WHEN assignment.state = 'cancelled' THEN booking.status IN ('pending', 'confirmed')
       ELSE false END
 ORDER BY booking.id
"""
"""Bookings of this project without exactly one outcome: unknown, undecided, or different here and there."""


MOVED = """
SELECT booking_ref,
       bool_or('seated' = (SELECT value FROM friday_witness AS seen
                            WHERE seen.booking_ref = change.booking_ref AND seen.what = 'stage'
                              AND seen.id < change.seen_last ORDER BY seen.id DESC LIMIT 1))
  FROM change
 WHERE tables_after <> tables_before
 GROUP BY booking_ref
"""
"""After ``_CHANGES``: bookings that got other tables, and whether their guests sat then."""

STAGES = "SELECT DISTINCT stage, booking_ref FROM assignments_seatingchange WHERE restaurant_ref = %(restaurant)s"
SEATINGS = """
SELECT DISTINCT booking_ref FROM assignments_seatingchange WHERE restaurant_ref = %(restaurant)s AND what = 'seated'
"""
REVIEWS = """
SELECT history.booking_ref, history.reason,
       min(history.version) < (SELECT min(version) FROM assignments_statetransition AS later
                                WHERE later.assignment_id = history.assignment_id AND later.target = 'confirmed')
  FROM assignments_statetransition AS history
  JOIN assignments_assignment AS assignment ON assignment.id = history.assignment_id
 WHERE assignment.restaurant_ref = %(restaurant)s AND history.target = 'manual_review'
 GROUP BY history.booking_ref, history.assignment_id, history.reason
"""
"""Bookings that went to staff, why, and whether they got a table only after that."""
CANCELLED = """
SELECT booking_ref FROM assignments_assignment WHERE restaurant_ref = %(restaurant)s AND state = 'cancelled'
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """The facts of the history, as booking refs, walk-ins included."""

    ever_had_tables: frozenset[str]
    seated: frozenset[str]
    late: frozenset[str]
    no_shows: frozenset[str]
    cancelled: frozenset[str]
    moved: frozenset[str]
    moved_while_seated: frozenset[str]
    from_waiting_list: frozenset[str]
    to_staff: frozenset[str]
    to_staff_why: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The checks' findings, a line each. Empty if all is well."""

    promises_broken: tuple[str, ...]
    overlaps: tuple[str, ...]
    lost: tuple[str, ...]


@contextmanager
def witnessed() -> Iterator[None]:
    """Note in which transaction everything happens. ``check`` needs it."""
    with connection.cursor() as cursor:
        cursor.execute(_NO_WITNESS)
        cursor.execute(_WITNESS)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(_NO_WITNESS)


def check(restaurant_ref: str, *, now: Any) -> Found:
    """Check an evening that was played while witnessed. ``now``: the moment (aware) at which it is over."""
    values = {"restaurant": restaurant_ref, "now": now}
    return Found(
        promises_broken=tuple(
            f"booking {ref} had {_named(before)} and has {_named(after)} (at {at:%H:%M} UTC)"
            for ref, before, after, at in _rows(_CHANGES + BROKEN, values)
        ),
        overlaps=tuple(
            f"bookings {one} and {other} at table {table}"
            for one, other, table in (*_rows(OVERLAPPING, values), *_rows(TAKEN_FROM_THEM, values))
        ),
        lost=tuple(f"booking {ref} is {state} {reason}".rstrip() for ref, state, reason in _rows(LOST, values)),
    )


def told(restaurant_ref: str) -> Told:
    """Return what the history of an evening tells that was played while witnessed."""
    values = {"restaurant": restaurant_ref}
    stages, moved, reviews = _rows(STAGES, values), _rows(_CHANGES + MOVED, values), _rows(REVIEWS, values)

    def at_stage(stage: str) -> frozenset[str]:
        return frozenset(ref for name, ref in stages if name == stage)

    return Told(
        ever_had_tables=frozenset(ref for (ref,) in _rows(SEATINGS, values)),
        seated=at_stage("seated"),
        late=at_stage("late"),
        no_shows=at_stage("no_show"),
        cancelled=frozenset(ref for (ref,) in _rows(CANCELLED, values)),
        moved=frozenset(ref for ref, _sat in moved),
        moved_while_seated=frozenset(ref for ref, sat in moved if sat),
        from_waiting_list=frozenset(ref for ref, _reason, is_before in reviews if is_before),
        to_staff=frozenset(ref for ref, _reason, _is_before in reviews),
        to_staff_why=dict(sorted(Counter(reason for _ref, reason, _is_before in reviews).items())),
    )


def _named(tables: list[str] | None) -> str:
    return f"tables {' + '.join(tables)}" if tables else "no table"


def _rows(statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())
