"""Totals: counters that must never go down, although the rows that they count are pruned some day.

A *source* is a table whose rows are counted. Young rows are counted as they are; those older than ``LAG_SECONDS`` are added
to ``Total`` by ``compact``, a bounded step at a time, and each step moves the source's watermark (``Folded``) in the same
transaction. Whoever reads adds both up, and sees each row once. Only rows behind the watermark may be deleted.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from assignments.concurrency import transactions
from assignments.error_logging import log_error

logger = logging.getLogger("assignments.totals")

LAG_SECONDS = 300
STEP_ROWS = 10_000
STEPS_AT_ONCE = 50
COMPACT_EVERY_SECONDS = 60.0
LOCK_TIMEOUT_MS = 1000
STATEMENT_TIMEOUT_MS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A table that is counted, under the metrics' ``names``.

    ``moment``: an indexed column, set to the time of the statement that writes it; afterwards the row changes no more.
    ``counted``: SQL that gives ``name``, ``labels`` and ``value`` of the rows for which its ``{rows}`` holds, with the
    ``parameters``. A value is a whole number or a sum of ``numeric`` with at most nine places, and no float: floats come to
    less now and then when they are added in another order, as compacting does. ``pending``: SQL that holds for rows which
    have no moment yet, and are counted as they are.
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
    """One counter: a metric's name, its labels' values in the metric's order, and how often (or how many seconds)."""

    name: str
    labels: tuple[str, ...]
    value: float


_sources: dict[str, Source] = {}


def register(*sources: Source) -> None:
    """Have these counted from now on. In an app's ``ready``."""
    _sources.update({source.key: source for source in sources})


def read(*keys: str) -> list[Counted]:
    """The counters of these sources as they are now. Two queries, which must see the same moment: call it in a REPEATABLE
    READ transaction.
    """
    sources = [_sources[key] for key in keys]
    parameters: dict[str, Any] = {"names": [name for source in sources for name in source.names]}
    for source in sources:
        parameters |= source.parameters()
    with connection.cursor() as cursor:
        cursor.execute("SELECT source, until FROM assignments_folded WHERE source = ANY(%s)", [list(keys)])
        until = dict(cursor.fetchall())
        live: list[str] = []
        for source in sources:
            # Constants, so that PostgreSQL knows how few rows these are.
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
    """Add to the totals what has grown old, of these sources or of all, at most so many steps of each; whether nothing is
    left to add.

    Of several processes at once, one does it for a source, and the others leave it to that one.
    """
    left = [key for key in keys or tuple(_sources) if not _compact_source(_sources[key], steps)]
    return not left


class Compactor:
    """Compacts now and then, for a process that calls it after each pass: one step of each source, since bookings wait
    meanwhile. What goes wrong is logged by type: the totals are late then, and no bookings."""

    def __init__(self) -> None:
        self._next = 0.0

    def compact_if_due(self) -> None:
        """Compact, unless this process did so in the last ``COMPACT_EVERY_SECONDS`` and left nothing."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + COMPACT_EVERY_SECONDS
        try:
            if not compact(steps=1):
                self._next = now
        except Exception as error:  # noqa: BLE001  (the rows are still there: they are added the next time)
            log_error(logger, error, "Totals could not be brought up to date")


def _compact_source(source: Source, steps: int) -> bool:
    return any(_compact_step(source) for _ in range(steps))


def _compact_step(source: Source) -> bool:
    """Add the next rows, at most about ``STEP_ROWS``; whether none are left, or somebody else is at it."""
    with transaction.atomic(), connection.cursor() as cursor:
        transactions.limit_statements(STATEMENT_TIMEOUT_MS, lock_timeout_ms=LOCK_TIMEOUT_MS)
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
    """Where a step ends that begins at ``since``. A bulk insert gives thousands of rows one moment: all of them, or none."""
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


# Rows that are not committed yet belong to transactions that have an id, and carry a later moment than their beginning.
_HORIZON = """
SELECT least(now() - %(lag)s * interval '1 second',
             (SELECT min(xact_start) FROM pg_stat_activity
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
