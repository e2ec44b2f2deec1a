"""Writes what was decided into the project's bookings."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import Case, F, Value, When

from assignments.exceptions import InvalidBookingError
from assignments.integration.host import Message, Move, Seating
from assignments.integration.model_host.attributes import Attributes, key_of, keys_of


class Writing(Attributes):
    """The callbacks of the host protocol."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        """Mark bookings as confirmed and store their tables. At most two queries for any number of bookings.

        Raises InvalidBookingError for bookings that no longer exist or wait. Then the transaction must be rolled back.
        """
        keys = {seating.booking_ref: self._key(seating.booking_ref) for seating in seatings}
        changes: dict[str, Any] = {}
        if self.status_field:
            changes[self.status_field] = self.confirmed_status
        if self.confirmed_field:
            changes[self.confirmed_field] = True
        if self.tables_field and not self._tables_are_many:
            changes[self._column(self.tables_field)] = self._first_tables(seatings, keys)
        waiting = self.bookings_table._default_manager.filter(self._is_waiting(), pk__in=keys.values())
        if (waiting.update(**changes) if changes else waiting.count()) != len(keys):
            raise InvalidBookingError(self._not_confirmed(keys))
        if self._tables_are_many:
            self._write_many(seatings, keys)

    def on_moved(self, moves: Sequence[Move]) -> None:
        """Store the new tables of these bookings, and mark those that wait as confirmed. At most three queries.

        Raises InvalidBookingError for bookings that no longer exist or are cancelled. Then the transaction must be rolled
        back.
        """
        seatings = [move.seating for move in moves]
        keys = {seating.booking_ref: self._key(seating.booking_ref) for seating in seatings}
        changes: dict[str, Any] = {}
        if self.status_field:
            changes[self.status_field] = Case(
                When(self._is_waiting(), then=Value(self.confirmed_status)), default=F(self.status_field)
            )
        if self.confirmed_field:
            changes[self.confirmed_field] = True
        if self.tables_field and not self._tables_are_many:
            changes[self._column(self.tables_field)] = self._first_tables(seatings, keys)
        there = self.bookings_table._default_manager.filter(~self._is_cancelled(), pk__in=keys.values())
        if (there.update(**changes) if changes else there.count()) != len(keys):
            raise InvalidBookingError(self._not_confirmed(keys))
        if self._tables_are_many:
            self._write_many(seatings, keys)

    def stored_form(self, table_refs: Sequence[str]) -> tuple[str, ...]:
        """Return these tables as the project can store them: all, the first (a foreign key), or none."""
        if not self.tables_field:
            return ()
        return tuple(table_refs) if self._tables_are_many else tuple(table_refs[:1])

    def on_review(self, reasons: Mapping[str, str]) -> None:
        """Do nothing: this app has the review queue."""

    def on_released(self, booking_refs: Sequence[str]) -> None:
        """Return bookings to waiting and clear their tables, except cancelled ones. At most two queries."""
        released = self.bookings_table._default_manager.filter(
            self._is_waiting() | self._is_confirmed(), pk__in=keys_of(self.bookings_table, booking_refs)
        )
        if self._tables_are_many:
            to_booking, _to_table = self._links
            self._through._default_manager.filter(
                **{f"{to_booking.name}__in": released.order_by().values("pk")}
            ).delete()
        changes: dict[str, Any] = {}
        if self.status_field:
            # A booking that the project has already set back keeps its waiting status.
            changes[self.status_field] = Case(
                When(self._is_confirmed(), then=Value(self.waiting_statuses[0])), default=F(self.status_field)
            )
        if self.confirmed_field:
            changes[self.confirmed_field] = False
        if self.tables_field and not self._tables_are_many:
            field = self.bookings_table._meta.get_field(self.tables_field)
            if field.null:  # A required foreign key keeps its table until the next one is chosen.
                changes[self._column(self.tables_field)] = None
        if changes:
            released.update(**changes)

    def deliver(self, message: Message) -> None:
        """Do nothing. Override it to notify guests, a bus or a webhook."""

    def _first_tables(self, seatings: Sequence[Seating], keys: Mapping[str, Any]) -> Case:
        """Return the first table of each seating, for a foreign key."""
        return Case(
            *(
                When(pk=keys[seating.booking_ref], then=Value(key_of(self.tables_table, seating.table_refs[0])))
                for seating in seatings
            )
        )

    def _write_many(self, seatings: Sequence[Seating], keys: Mapping[str, Any]) -> None:
        """Set the tables of these bookings, in one query. Rows that are correct stay unchanged."""
        quote = connection.ops.quote_name
        table = quote(self._through._meta.db_table)
        to_booking, to_table = self._links
        booking, chosen = quote(to_booking.column), quote(to_table.column)
        pairs = [
            (
                to_booking.get_db_prep_value(keys[seating.booking_ref], connection),
                to_table.get_db_prep_value(key_of(self.tables_table, table_ref), connection),
            )
            for seating in seatings
            for table_ref in seating.table_refs
        ]
        types = [f"{link.db_type(connection)}[]" for link in (to_booking, to_table)]
        with connection.cursor() as cursor:
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
        """Return the bookings that an update missed."""
        confirmed = self.bookings_table._default_manager.filter(self._is_confirmed(), pk__in=keys.values())
        reached = set(confirmed.values_list("pk", flat=True))
        # None is missing if one was confirmed before; then it may be any.
        left_out = sorted(ref for ref, key in keys.items() if key not in reached) or sorted(keys)
        return f"Bookings no longer waiting for a table cannot be confirmed: {', '.join(left_out)}."
