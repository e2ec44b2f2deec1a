"""Writing decisions into the project's bookings."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import RawSQL

from assignments.exceptions import HostRefusedError, InvalidBookingError
from assignments.integration.host import Message, Move, Seating
from assignments.integration.model_host.attributes import Attributes, field_at, keys_of
from assignments.models.prepared import prepared_cursor


class Writing(Attributes):
    """The callbacks of the host protocol."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        """Mark bookings as confirmed and store their tables. At most two queries for any number of bookings.

        Raises InvalidBookingError for bookings that no longer exist or wait. Then the transaction must be rolled back.
        """
        changes: dict[str, Any] = {}
        if self.status_field:
            changes[self._column(self.status_field)] = self._status(self.confirmed_status)
        self._store(seatings, changes, where=self._is_waiting())

    def on_moved(self, moves: Sequence[Move]) -> None:
        """Store the new tables of these bookings, and mark those that wait as confirmed. At most three queries.

        Raises InvalidBookingError for bookings that no longer exist or are cancelled. Then the transaction must be rolled
        back.
        """
        changes: dict[str, Any] = {}
        if self.status_field:
            confirmed = When(self._is_waiting(), then=self._status(self.confirmed_status))
            changes[self._column(self.status_field)] = self._case(self.status_field, confirmed)
        self._store([move.seating for move in moves], changes, where=~self._is_cancelled())

    def _store(self, seatings: Sequence[Seating], changes: dict[str, Any], *, where: Q) -> None:
        """Change these bookings, which must all match ``where``, and store their tables."""
        keys = {seating.booking_ref: self._key(seating.booking_ref) for seating in seatings}
        tables = {seating.booking_ref: seating.table_refs for seating in seatings}
        if self.confirmed_field:
            changes[self.confirmed_field] = True
        is_one_update = self._tables_are_one and not self._is_written_elsewhere and not self._tables_are_unique
        if is_one_update:
            changes[self._column(self.tables_field or "")] = self._first_tables(tables)
        there = self.known_bookings().filter(where, pk__in=keys.values())
        if (there.update(**changes) if changes else there.count()) != len(keys):
            raise InvalidBookingError(self._not_confirmed(keys))
        if not is_one_update:
            self.write_tables(tables)

    def write_tables(self, tables: Mapping[str, Sequence[str]]) -> None:
        """Store the tables of these bookings, by booking ref; an empty sequence clears them.

        Override it if ``tables_field`` cannot express where tables are stored (a separate model, for example). Called
        in the transaction, after the status of the bookings was changed. Raise an error to refuse.
        """
        if self._tables_are_many:
            given = {ref: each for ref, each in tables.items() if each}
            if len(given) < len(tables):
                to_booking, _to_table = self._links
                emptied = [self._key(ref) for ref in tables if ref not in given]
                self._through._default_manager.filter(**{f"{to_booking.name}__in": emptied}).delete()
            if given:
                self._write_many(given)
        elif self._tables_are_one:
            self._write_one(tables)

    def stored_form(self, table_refs: Sequence[str]) -> tuple[str, ...]:
        """Return these tables as the project can store them: all, the first (a foreign key), or none."""
        if not self.tables_field:
            return ()
        holds_all = self._tables_are_many or self._tables_are_several
        return tuple(table_refs) if holds_all else tuple(table_refs[:1])

    def on_review(self, reasons: Mapping[str, str]) -> None:
        """Do nothing: this app has the review queue."""

    def on_released(self, booking_refs: Sequence[str]) -> None:
        """Mark bookings as waiting and clear their tables, except cancelled ones. At most two queries."""
        released = self.known_bookings().filter(
            self._is_waiting() | self._is_confirmed(), pk__in=keys_of(self.bookings_table, booking_refs)
        )
        if self._is_written_elsewhere:
            self.write_tables({str(key): () for key in released.order_by("pk").values_list("pk", flat=True)})
        elif self._tables_are_many:
            to_booking, _to_table = self._links
            self._through._default_manager.filter(
                **{f"{to_booking.name}__in": released.order_by().values("pk")}
            ).delete()
        changes: dict[str, Any] = {}
        if self.status_field:
            # A booking that the project has already set back keeps its waiting status.
            waiting = When(self._is_confirmed(), then=self._status(self.waiting_statuses[0]))
            changes[self._column(self.status_field)] = self._case(self.status_field, waiting)
        if self.confirmed_field:
            changes[self.confirmed_field] = False
        if self._tables_are_one and not self._is_written_elsewhere and self._can_be_without_tables:
            changes[self._column(self.tables_field or "")] = self._no_table
        if changes:
            released.update(**changes)

    def deliver(self, message: Message) -> None:
        """Do nothing. Override it to notify guests, a bus or a webhook."""

    def _status(self, status: Any) -> Value:
        """Return a status as a value of its column, whose type may be of the project's own."""
        return Value(status, output_field=field_at(self.bookings_table, self.status_field or ""))

    def _case(self, field_name: str, *cases: When) -> Case:
        """Return the new value of a field that stays as it is in any other case."""
        field = field_at(self.bookings_table, field_name)
        return Case(*cases, default=F(self._column(field_name)), output_field=field)

    @property
    def refuses_tables(self) -> bool:
        """Return whether the project's own database may refuse tables that are free here.

        Set it to True in a class whose ``write_tables`` stores tables under the project's own constraint: a refused
        edit then goes to staff instead of raising in the guest's request.
        """
        return self._tables_are_unique

    @property
    def _is_written_elsewhere(self) -> bool:
        """Return whether the project stores tables by a ``write_tables`` of its own."""
        return type(self).write_tables is not Writing.write_tables

    @property
    def _tables_are_one(self) -> bool:
        return bool(self.tables_field) and not self._tables_are_many

    @property
    def _can_be_without_tables(self) -> bool:
        """Return whether a booking's table can be cleared. A required one stays until the next is chosen."""
        is_emptied = self._tables_are_array or (self._tables_are_text and self._stores_tables.blank)
        return bool(self._stores_tables.null or is_emptied)

    @property
    def _no_table(self) -> Any:
        return None if self._stores_tables.null else [] if self._tables_are_array else ""

    @cached_property
    def _tables_are_unique(self) -> bool:
        """Return whether the project's database refuses a table that another booking still has, even in one statement."""
        if not self._tables_are_one:
            return False
        field = self._stores_tables
        meta = field.model._meta
        return (
            field.unique
            or any(field.name in each for each in meta.unique_together)
            or any(is_immediate(each, field) for each in meta.constraints)
        )

    def _write_one(self, tables: Mapping[str, Sequence[str]]) -> None:
        """Store the first table of each booking; if a table can be in one booking only, take all away first."""
        rows = self.known_bookings().filter(pk__in=[self._key(ref) for ref in tables])
        column = self._column(self.tables_field or "")
        emptied = [ref for ref, each in tables.items() if not each]
        if self._can_be_without_tables and (emptied or self._tables_are_unique):
            rows.update(**{column: self._no_table})
        given: Mapping[str, Sequence[str]] = {ref: each for ref, each in tables.items() if each}
        if not given:
            return
        if self._can_be_without_tables or not self._tables_are_unique:
            rows.update(**{column: self._first_tables(given)})
            return
        held = {str(key): str(table) for key, table in rows.values_list("pk", column)}
        while given:  # Each gets its table once none of the others has it.
            free: Mapping[str, Sequence[str]] = {
                ref: each
                for ref, each in given.items()
                if each[0] not in {held.get(other) for other in given if other != ref}
            }
            if free:
                self._write_first(free)
            else:  # The booking that has it may be for another time, which only the database can tell.
                free = self._one_that_is_accepted(given)
            given = {ref: each for ref, each in given.items() if ref not in free}

    def _one_that_is_accepted(self, given: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        """Write the first of these that the database accepts, and return it. Raises HostRefusedError if it accepts none."""
        for ref, tables in given.items():
            with suppress(IntegrityError), transaction.atomic():
                self._write_first({ref: tables})
                return {ref: tables}
        raise HostRefusedError(
            f"Bookings {', '.join(sorted(given))} cannot swap tables: {self.booking_model}.{self.tables_field} is required "
            f"and unique."
        )

    def _write_first(self, tables: Mapping[str, Sequence[str]]) -> None:
        rows = self.known_bookings().filter(pk__in=[self._key(ref) for ref in tables])
        rows.update(**{self._column(self.tables_field or ""): self._first_tables(tables)})

    def _first_tables(self, tables: Mapping[str, Sequence[str]]) -> Case:
        """Return the first table of each booking, for a foreign key or a table's number; all, where the column holds all."""
        field = self._stores_tables
        return Case(
            *(
                When(pk=self._key(ref), then=Value(self._column_value(table_refs), output_field=plain(field)))
                for ref, table_refs in tables.items()
            ),
            output_field=plain(field),
        )

    def _column_value(self, table_refs: Sequence[str]) -> Any:
        field = self._stores_tables
        if self._tables_are_array:
            return [field.base_field.to_python(ref) for ref in table_refs]
        if self._tables_are_several:
            return (self.tables_separator or "").join(table_refs)
        return field.to_python(table_refs[0])

    def _write_many(self, tables: Mapping[str, Sequence[str]]) -> None:
        """Set the tables of these bookings, in one query. Rows that are correct stay unchanged."""
        quote = connection.ops.quote_name
        table = quote(self._through._meta.db_table)
        to_booking, to_table = self._links
        booking, chosen = quote(to_booking.column), quote(to_table.column)
        pairs = [
            (
                to_booking.get_db_prep_value(self._key(ref), connection),
                to_table.get_db_prep_value(to_table.to_python(table_ref), connection),
            )
            for ref, table_refs in tables.items()
            for table_ref in table_refs
        ]
        types = [f"{link.db_type(connection)}[]" for link in (to_booking, to_table)]
        with prepared_cursor() as cursor:
            cursor.execute(
                f"""
                WITH wanted AS (SELECT * FROM unnest(%s::{types[0]}, %s::{types[1]}) AS wanted(booking, chosen)),
                     gone AS (DELETE FROM {table} AS stored
                               WHERE stored.{booking} IN (SELECT booking FROM wanted)
                                 AND (stored.{booking}, stored.{chosen}) NOT IN (SELECT booking, chosen FROM wanted))
                INSERT INTO {table} ({booking}, {chosen}) SELECT booking, chosen FROM wanted
                 WHERE (booking, chosen) NOT IN (SELECT {booking}, {chosen} FROM {table}
                                                  WHERE {booking} IN (SELECT booking FROM wanted))
                """,  # noqa: S608  (names from the project's model)
                [[key for key, _table in pairs], [key for _booking, key in pairs]],
            )

    def _not_confirmed(self, keys: Mapping[str, Any]) -> str:
        """Return a text that names the bookings that an update missed."""
        confirmed = self.known_bookings().filter(self._is_confirmed(), pk__in=keys.values())
        reached = set(confirmed.values_list("pk", flat=True))
        # If none is missing now, one was confirmed before, and it may be any.
        left_out = sorted(ref for ref, key in keys.items() if key not in reached) or sorted(keys)
        return f"Bookings no longer waiting for a table cannot be confirmed: {', '.join(left_out)}."


def plain(field: Any) -> "models.Field[Any, Any]":
    """Return the field that holds the plain value: for a foreign key, the field to which it points."""
    while field.is_relation:
        field = field.target_field
    return field  # type: ignore[no-any-return]


def is_immediate(constraint: models.BaseConstraint, field: Any) -> bool:
    """Return whether a constraint may compare this field with other rows, row by row."""
    return compares(constraint, field) and getattr(constraint, "deferrable", None) is None


def compares(constraint: models.BaseConstraint, field: Any) -> bool:
    """Return whether a constraint may compare this field with other rows."""
    compared: list[Any] = []
    if isinstance(constraint, ExclusionConstraint):
        compared = [expression for expression, _operator in constraint.expressions]
    elif isinstance(constraint, models.UniqueConstraint):
        compared = [*constraint.fields, *constraint.expressions]
    return any(_may_name(each, field) for each in compared)


def _may_name(expression: Any, field: Any) -> bool:
    """Return whether an expression may read the field. Raw SQL always may."""
    name = getattr(expression, "name", "") if isinstance(expression, F) else expression
    if isinstance(name, str):
        return name.split(LOOKUP_SEP)[0] in {field.name, field.attname}
    if isinstance(expression, RawSQL):
        return True
    return any(_may_name(each, field) for each in getattr(expression, "get_source_expressions", list)())
