"""Asking the database in SQL of our own: rows, and percentiles with the order statistics that bound them."""

from math import ceil
from typing import Any

from django.db import connection

from rollout.confidence import quantile_ranks
from rollout.facts import Percentile


def percentiles(query: str, sample: int, **parameters: Any) -> tuple[Percentile, Percentile]:
    """p95 and p99 with the order statistics that bound them. One query; none for an empty sample."""
    if not sample:
        return Percentile(), Percentile()
    ranks = []
    for quantile in (0.95, 0.99):
        lower, upper = quantile_ranks(quantile, sample)
        ranks += [ceil(quantile * sample), lower, upper]
    # Half a rank lower, so that no rounding makes it the next value; ranks out of range are not asked for.
    fractions = [min(1.0, max(0.0, (rank - 0.5) / sample)) for rank in ranks]
    (((p95, p95_lower, p95_upper, p99, p99_lower, p99_upper),),) = rows(query, fractions=fractions, **parameters)

    def known(value: float, rank: int) -> float | None:
        return value if 1 <= rank <= sample else None

    return (
        Percentile(sample=sample, value=p95, lower=known(p95_lower, ranks[1]), upper=known(p95_upper, ranks[2])),
        Percentile(sample=sample, value=p99, lower=known(p99_lower, ranks[4]), upper=known(p99_upper, ranks[5])),
    )


def rows(query: str, **parameters: Any) -> list[Any]:
    """The rows of a query with named parameters."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def dicts(query: str, **parameters: Any) -> list[dict[str, Any]]:
    """The same, each row by column."""
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
