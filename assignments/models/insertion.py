"""Inserting many rows by one short statement, when nothing has to be returned.

Django writes each value of each row into the statement, and reads the new keys back. Here the rows travel as one JSON
document, from which PostgreSQL makes rows of the table's own type. They are records, because making an instance of a model
takes longer than writing its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import msgspec
from django.db import connections, models, router
from django.db.transaction import mark_for_rollback_on_error

from assignments.models.prepared import prepared_cursor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Table: TypeAlias = "tuple[type[models.Model], tuple[str, ...]]"
"""A model, and those of its columns that a statement fills in."""
BATCH = 500
"""How many rows a statement inserts at most, so that its memory stays bounded."""


class NewRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is not stored yet. Its fields are columns of ``model``; the database fills in the others.

    The values are of the columns' types already: they are not converted, and no JSON column takes ``None``.
    """

    model: ClassVar[type[models.Model]]


def blocked_range(lower: datetime, upper: datetime) -> str:
    """Return the range of times ``[lower, upper)`` as a value of a row."""
    return f"[{lower.isoformat()},{upper.isoformat()})"


def insert(rows: Iterable[NewRow]) -> None:
    """Insert new rows in the given order, by one statement for up to 500 of them, of one model or of several.

    It raises Django's errors. Rows of several models may not refer to each other, and belong to one database.
    """
    alike = [(kind, list(given)) for kind, given in groupby(rows, key=type)]
    parts = [(kind, same[first : first + BATCH]) for kind, same in alike for first in range(0, len(same), BATCH)]
    if sum(len(same) for _kind, same in parts) <= BATCH:
        _insert(parts)
    else:
        for part in parts:
            _insert([part])


def insert_records(model: type[models.Model], records: Sequence[DataclassInstance]) -> None:
    """Insert rows that are given as records, whose fields are named as the model's columns. For many rows at once.

    The records are dataclasses of one type. Otherwise as ``insert``, without building an instance for each row.
    """
    for first in range(0, len(records), BATCH):
        part = records[first : first + BATCH]
        columns = tuple(field.name for field in fields(part[0]))
        _execute(router.db_for_write(model), ((model, columns),), [part])


def _insert(parts: Sequence[tuple[type[NewRow], Sequence[NewRow]]]) -> None:
    if parts:
        tables = tuple((kind.model, kind.__struct_fields__) for kind, _rows in parts)
        _execute(router.db_for_write(parts[0][0].model), tables, [rows for _kind, rows in parts])


def _execute(using: str, tables: Sequence[Table], contents: Sequence[Sequence[Any]]) -> None:
    with mark_for_rollback_on_error(using=using), prepared_cursor(using) as cursor:
        cursor.execute(_statement(using, tables), [as_json(content) for content in contents])


@lru_cache
def _statement(using: str, tables: Sequence[Table]) -> str:
    quote = connections[using].ops.quote_name
    *others, last = (_one_table(quote(model._meta.db_table), map(quote, columns)) for model, columns in tables)
    named = ", ".join(f"part{number} AS ({each})" for number, each in enumerate(others))
    return f"WITH {named} {last}" if named else last


def _one_table(table: str, columns: Iterable[str]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM json_populate_recordset(NULL::{table}, %s)"  # noqa: S608


def as_json(value: Any) -> str:
    """Return dictionaries, lists and records as JSON for PostgreSQL, such as rows of a table."""
    return _encoder.encode(value).decode()


def _plain(value: Any) -> Any:
    """Return a value without a JSON type in the form that PostgreSQL reads."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"{type(value).__name__} cannot be inserted")


_encoder = msgspec.json.Encoder(enc_hook=_plain)
