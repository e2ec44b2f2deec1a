"""Running raw SQL: several queries in one statement, and percentiles with their bounds."""

import json
from collections.abc import Mapping
from math import ceil
from typing import Any, TypeVar

from django.db import connection, models

from assignments.concurrency.sql import rows
from rollout.policy.confidence import ERROR, quantile_ranks
from rollout.policy.measurements import Percentile

_Model = TypeVar("_Model", bound=models.Model)


def percentiles(
    query: str, samples: Mapping[str, int], *, error: float = ERROR, **parameters: Any
) -> dict[str, tuple[Percentile, Percentile]]:
    """Return p95 and p99 of each sample, by name, with the order statistics that bound them.

    One query; none for empty samples.

    ``query`` returns a row for each sample that is not empty: its name, and the percentiles at
    ``%(fractions_<name>)s``. ``error``: the error probability of each bound.
    """
    ranks: dict[str, list[int]] = {}
    fractions: dict[str, list[float]] = {}
    for name, sample in samples.items():
        ranks[name] = []
        for quantile in (0.95, 0.99) if sample else ():
            lower, upper = quantile_ranks(quantile, sample, error=error)
            ranks[name] += [ceil(quantile * sample), lower, upper]
        # Half a rank lower, so that rounding cannot reach the next value; ranks out of range are not used.
        fractions[f"fractions_{name}"] = [min(1.0, max(0.0, (rank - 0.5) / sample)) for rank in ranks[name]]
    found = dict(rows(query, **fractions, **parameters)) if any(samples.values()) else {}
    return {
        name: _percentiles(sample, ranks[name], found[name]) if found.get(name) else (Percentile(), Percentile())
        for name, sample in samples.items()
    }


def _percentiles(sample: int, ranks: list[int], values: list[float]) -> tuple[Percentile, Percentile]:
    def known(number: int) -> float | None:
        return values[number] if 1 <= ranks[number] <= sample else None

    return (
        Percentile(sample=sample, value=values[0], lower=known(1), upper=known(2)),
        Percentile(sample=sample, value=values[3], lower=known(4), upper=known(5)),
    )


def at_once(queries: Mapping[str, str], *, common: str = "", **parameters: Any) -> dict[str, list[dict[str, Any]]]:
    """Run these queries in one statement, and return the rows of each by name. Values are JSON's: a moment is a text.

    ``common``: a WITH clause to which all of them may refer. Each column needs a unique name.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"{common} SELECT {', '.join(_as_json(query) for query in queries.values())}", parameters)
        return dict(zip(queries, map(_from_json, cursor.fetchone()), strict=True))


def lists(*querysets: "models.QuerySet[Any]") -> list[list[Any]]:
    """Return the instances of several short querysets, in one statement.

    Deferred fields stay deferred; joins are not supported.
    """
    queries = [queryset.query.sql_with_params() for queryset in querysets]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(_as_json(query) for query, _ in queries)}",
            [parameter for _, given in queries for parameter in given],
        )
        answers = cursor.fetchone()
    return [
        [_instance(queryset.model, row) for row in _from_json(answer)]
        for queryset, answer in zip(querysets, answers, strict=True)
    ]


def _as_json(query: str) -> str:
    return f"(SELECT coalesce(json_agg(row_to_json(a_row)), '[]') FROM ({query}) AS a_row)"  # noqa: S608


def _from_json(answer: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(answer) if isinstance(answer, str) else answer
    return found


def _instance(model: type[_Model], row: Mapping[str, Any]) -> _Model:
    by_column = {field.column: field for field in model._meta.concrete_fields}
    names = [by_column[column].attname for column in row]
    return model.from_db("default", names, [by_column[column].to_python(value) for column, value in row.items()])
