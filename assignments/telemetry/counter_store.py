"""Totals: counters that never go down, although the counted rows are pruned.

A *source* is a table whose rows are counted. Recent rows are counted directly. ``compact`` adds rows older than
``LAG_SECONDS`` to ``Total`` in bounded steps; each step moves the source's watermark (``Folded``) in the same
transaction. Readers add up both, so each row counts once. Only rows before the watermark may be deleted.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from assignments.concurrency import transactions
from assignments.error_logging import log_error

logger = logging.getLogger("assignments.totals")

LAG_SECONDS = 300
STEP_ROWS = 10_000
STEPS_AT_ONCE = 50
COMPACT_EVERY_SECONDS = 60.0
_LIMITS = transactions.Limits(lock=1000, statement=20_000)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A table whose rows are counted for the metrics ``names``.

    ``moment``: an indexed column with the time of the statement that writes it. The row does not change afterwards.
    ``counted``: SQL that returns ``name``, ``labels`` and ``value`` of the rows that match ``{rows}``, with the
    ``parameters``. A value is a whole number or a sum of ``numeric`` with at most nine places, never a float: sums of
    floats depend on their order, so a counter could go down. ``pending``: SQL condition for rows without a moment,
    which are counted directly.
    """

    key: str
    names: tuple[str, ...]
    table: str
    moment: str
    counted: str
    pending: str = ""
    parameters: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """A counter: metric name, label values in the metric's order, and the value (a number, or seconds)."""

    name: str
    labels: tuple[str, ...]
    value: float


_sources: dict[str, Source] = {}


def register(*sources: Source) -> None:
    """Register sources. Call it in an app's ``ready``."""
    _sources.update({source.key: source for source in sources})


def read(*keys: str) -> list[Counted]:
    """Return the current counters of these sources. Makes two queries, so call it in a REPEATABLE READ transaction."""
    sources = [_sources[key] for key in keys]
    parameters: dict[str, Any] = {"names": [name for source in sources for name in source.names]}
    for source in sources:
        parameters |= source.parameters()
    with connection.cursor() as cursor:
        cursor.execute("SELECT source, until FROM assignments_folded WHERE source = ANY(%s)", [list(keys)])
        until = dict(cursor.fetchall())
        live: list[str] = []
        for source in sources:
            # Literals, so that PostgreSQL estimates the small number of rows.
            rows = "TRUE"
            if source.key in until:
                parameters[f"until_{len(live)}"] = until[source.key]
                pending = f" OR {source.pending}" if source.pending else ""
                rows = f"{source.moment} >= %(until_{len(live)})s{pending}"
            live.append(source.counted.format(rows=f"({rows})"))
        cursor.execute(
            "SELECT name, labels, sum(value)::float FROM ("  # noqa: S608  (our own SQL)
            "SELECT name, labels, value FROM assignments_total WHERE name = ANY(%(names)s) UNION ALL "
            + " UNION ALL ".join(live)
            + ") AS counted GROUP BY name, labels",
            parameters,
        )
        return [Counted(name=name, labels=tuple(labels), value=value) for name, labels, value in cursor.fetchall()]


def compact(*keys: str, steps: int = STEPS_AT_ONCE) -> bool:
    """Add old rows of these sources (default: all) to the totals, in at most ``steps`` steps per source.

    Returns whether all are added. Only one process at a time does this for a source; others skip it.
    """
    left = [key for key in keys or tuple(_sources) if not _compact_source(_sources[key], steps)]
    return not left


class Compactor:
    """Runs ``compact`` periodically in a process that calls it after each pass.

    It does one step per source, because bookings are waiting. Errors are logged by type; they delay the totals only."""

    def __init__(self) -> None:
        self._next = 0.0

    def compact_if_due(self) -> None:
        """Run ``compact``, unless this process completed it in the last ``COMPACT_EVERY_SECONDS``."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + COMPACT_EVERY_SECONDS
        try:
            if not compact(steps=1):
                self._next = now
        except Exception as error:  # noqa: BLE001  (the rows are still there and are added next time)
            log_error(logger, error, "Totals could not be brought up to date")


def _compact_source(source: Source, steps: int) -> bool:
    return any(_compact_step(source) for _ in range(steps))


def _compact_step(source: Source) -> bool:
    """Add the next rows, about ``STEP_ROWS`` at most. Returns True if none are left or another process has the lock."""
    with transactions.atomic(limits=_LIMITS), connection.cursor() as cursor:
        cursor.execute(_HORIZON, {"lag": LAG_SECONDS})
        horizon: datetime = cursor.fetchone()[0]
        cursor.execute(
            _BEGIN.format(moment=source.moment, table=source.table), {"source": source.key, "horizon": horizon}
        )
        cursor.execute("SELECT until FROM assignments_folded WHERE source = %s FOR UPDATE SKIP LOCKED", [source.key])
        row = cursor.fetchone()
        if row is None or row[0] >= horizon:
            return True
        until = _end_of_step(cursor, source, row[0], horizon)
        rows = f"({source.moment} >= %(since)s AND {source.moment} < %(until)s)"
        cursor.execute(
            _ADD.format(counted=source.counted.format(rows=rows)),
            {"since": row[0], "until": until, **source.parameters()},
        )
        cursor.execute("UPDATE assignments_folded SET until = %s WHERE source = %s", [until, source.key])
        return until == horizon


def _end_of_step(cursor: Any, source: Source, since: datetime, horizon: datetime) -> datetime:
    """Return the end of the step from ``since``. Rows with the same moment (bulk inserts) stay together."""
    moment, table = source.moment, source.table
    between = f"FROM {table} WHERE {moment} >= %s AND {moment} < %s"
    cursor.execute(
        f"SELECT {moment} {between} ORDER BY {moment} LIMIT 1 OFFSET %s",
        [since, horizon, STEP_ROWS],
    )
    row = cursor.fetchone()
    if row is None:
        return horizon
    if row[0] > since:
        return row[0]  # type: ignore[no-any-return]
    cursor.execute(f"SELECT coalesce(min({moment}), %s) {between} AND {moment} <> %s", [horizon, since, horizon, since])
    return cursor.fetchone()[0]  # type: ignore[no-any-return]


# Uncommitted rows belong to transactions with an id, and have a later moment than the transaction's start.
_HORIZON = """
SELECT least(assignments_now() - %(lag)s * interval '1 second',
             (SELECT min(xact_start) + assignments_clock_offset() FROM pg_stat_activity
               WHERE datname = current_database() AND backend_xid IS NOT NULL))
"""

_BEGIN = """
INSERT INTO assignments_folded (source, until)
SELECT %(source)s, least((SELECT min({moment}) FROM {table}), %(horizon)s)
 WHERE NOT EXISTS (SELECT FROM assignments_folded WHERE source = %(source)s)
ON CONFLICT DO NOTHING
"""

_ADD = """
INSERT INTO assignments_total AS total (name, labels, value)
SELECT name, labels, sum(value) FROM ({counted}) AS counted GROUP BY name, labels
ON CONFLICT (name, labels) DO UPDATE SET value = total.value + excluded.value
"""
