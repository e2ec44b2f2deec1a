"""Totals: counters that must never go down, although the rows that they count are pruned some day.

A *source* is a table whose rows are counted once they are there. Its rows are counted as they are until they are older than
``LAG_SECONDS``; then ``fold`` adds them to ``Total``, a bounded step at a time, and moves the source's watermark
(``Folded``) in the same transaction. Whoever reads adds both up, in one statement, and sees each row once.

Only rows in front of the watermark may be deleted: ``folded_until`` says where it is.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

logger = logging.getLogger("assignments.totals")

LAG_SECONDS = 300
STEP_ROWS = 10_000
STEPS = 50
"""At most so many steps of one source in one go; the rest is done the next time."""
FOLD_EVERY_SECONDS = 60.0
STATEMENT_TIMEOUT_MS = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A table that is counted.

    ``moment`` is an indexed column that is set once, to the time of the statement that does it, and after which the row
    changes no more. ``counted`` is SQL that gives ``name``, ``labels`` and ``value`` for the rows for which ``{rows}``
    holds; ``live`` says which rows are not in the totals, beside those whose moment is past the watermark.
    ``parameters`` are for ``counted``.
    """

    key: str
    table: str
    moment: str
    counted: str
    live: str = "FALSE"
    parameters: Callable[[], Mapping[str, Any]] = dict


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """One counter: a metric's name, its labels' values in the metric's order, and how often."""

    name: str
    labels: tuple[str, ...]
    value: float


_sources: dict[str, Source] = {}


def register(*sources: Source) -> None:
    """Have these counted from now on."""
    _sources.update({source.key: source for source in sources})


def read(keys: Sequence[str]) -> list[Counted]:
    """The counters of these sources as they are now. One query."""
    sources = [_sources[key] for key in keys]
    parameters: dict[str, Any] = {"prefixes": [f"{key}:%" for key in keys]}
    for source in sources:
        parameters |= source.parameters()
    live = " UNION ALL ".join(
        source.counted.format(
            rows=f"({source.live} OR {source.moment} >= coalesce((SELECT until FROM assignments_folded "
            f"WHERE source = '{source.key}'), '-infinity'))"
        )
        for source in sources
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT name, labels, sum(value) FROM ("  # noqa: S608  (our own SQL)
            f"SELECT name, labels, value FROM assignments_total WHERE name LIKE ANY(%(prefixes)s)"
            f" UNION ALL {live}) AS counted GROUP BY name, labels",
            parameters,
        )
        return [Counted(name=name, labels=tuple(labels), value=value) for name, labels, value in cursor.fetchall()]
