"""Inserts many rows of a model by one short statement, where nothing has to be returned.

Django writes each value of each row into the statement, and reads the new keys back. Here the rows travel as one JSON
document, from which PostgreSQL makes rows of the table's own type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from django.db import connections, models, router
from django.db.models.expressions import DatabaseDefault
from django.db.transaction import mark_for_rollback_on_error
from psycopg.types.range import Range

BATCH = 500
"""How many rows a statement inserts at most, so that its memory stays bounded."""


def insert(rows: Iterable[models.Model]) -> None:
    """Insert new rows of one model in the given order, one statement for up to 500 of them.

    As ``bulk_create`` does, it fills in the fields' defaults, leaves to the database what the database fills in, and raises
    Django's errors. Unlike that, it leaves the instances without keys. The values must be of the fields' types already:
    they are not converted. No column takes an expression, and no JSON field ``None``.
    """
    for columns, given in groupby(((_given(row), row) for row in rows), key=itemgetter(0)):
        same = [row for _columns, row in given]
        for first in range(0, len(same), BATCH):
            _insert(columns, same[first : first + BATCH])


def _given(row: models.Model) -> tuple[models.Field[Any, Any], ...]:
    """Return the fields that have a value; the database fills in the others."""
    values = row.__dict__
    return tuple(
        field
        for field in row._meta.concrete_fields
        if not isinstance(values[field.attname], DatabaseDefault) and not (field.primary_key and row.pk is None)
    )


def _insert(fields: Sequence[models.Field[Any, Any]], rows: Sequence[models.Model]) -> None:
    model = type(rows[0])
    using = router.db_for_write(model)
    content = [{field.column: field.pre_save(row, add=True) for field in fields} for row in rows]
    with mark_for_rollback_on_error(using=using), connections[using].cursor() as cursor:
        cursor.execute(_statement(model, tuple(fields)), [_encoder.encode(content).decode()])


@lru_cache
def _statement(model: type[models.Model], fields: Sequence[models.Field[Any, Any]]) -> str:
    quote = connections[router.db_for_write(model)].ops.quote_name
    table, columns = quote(model._meta.db_table), ", ".join(quote(str(field.column)) for field in fields)
    return f"INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s)"  # noqa: S608


def _plain(value: Any) -> Any:
    """Return what JSON has no type for as PostgreSQL reads it."""
    if isinstance(value, Range):
        if value.isempty:
            return "empty"
        before, behind = value.bounds[0], value.bounds[1]
        lower, upper = ("" if moment is None else moment.isoformat() for moment in (value.lower, value.upper))
        return f"{before}{lower},{upper}{behind}"
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} cannot be inserted")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
