"""Reading names, phones and notes of guests from the project's bookings, for staff with permission. Stores nothing."""

from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from operator import and_, or_
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q

from assignments.integration.host import Guest
from assignments.integration.model_host.attributes import Attributes, column_at, field_at, keys_of

LONGEST = 100
"""Maximum characters that are searched for."""


class Guests(Attributes):
    """Read the guests of bookings, and search bookings by guest."""

    def guests(self, refs: Sequence[str]) -> Mapping[str, Guest]:
        if not self._guest_fields or not refs:
            return {}
        fields = dict.fromkeys([*self._guest_fields, *self._notes_fields])
        rows = (
            self.known_bookings().filter(pk__in=keys_of(self.bookings_table, refs)).order_by("pk").values("pk", *fields)
        )
        found = {str(row["pk"]): self._guest(row) for row in rows}
        return {ref: guest for ref, guest in found.items() if guest}

    def find(self, text: str, *, restaurant_refs: Collection[str] | None, limit: int) -> Sequence[str]:
        words = text.replace("\0", "")[:LONGEST].split()
        if not words or not self._guest_fields:
            return []
        # Each word must be in some field: "anna berg" has one in the first name, and one in the last.
        wanted = reduce(and_, (self._contains(word) for word in words))
        if self.guest_phone_field and not any(letter.isalpha() for letter in text):
            wanted |= Q(**{f"{self.guest_phone_field}__icontains": text.strip()})
        rows = self.known_bookings().filter(wanted)
        if restaurant_refs is not None:
            rows = rows.filter(self._is_at_one_of(restaurant_refs))
        return [str(key) for key in rows.order_by("-pk").values_list("pk", flat=True)[:limit]]

    @property
    def _guest_fields(self) -> tuple[str, ...]:
        """Return the fields that are searched."""
        names = self.guest_name_field or ()
        several = (names,) if isinstance(names, str) else tuple(names)
        return (*several, *filter(None, [self.guest_phone_field, self.guest_reference_field]))

    @property
    def _notes_fields(self) -> tuple[str, ...]:
        return (self.guest_notes_field,) if self.guest_notes_field else ()

    def _guest(self, row: Mapping[str, Any]) -> Guest:
        names = self.guest_name_field or ()
        several = (names,) if isinstance(names, str) else tuple(names)

        def text(name: str | None) -> str:
            value = row[name] if name else None
            return "" if value is None else str(value).strip()

        return Guest(
            name=" ".join(filter(None, map(text, several))),
            phone=text(self.guest_phone_field),
            notes=text(self.guest_notes_field),
            reference=text(self.guest_reference_field),
        )

    def _contains(self, word: str) -> Q:
        return reduce(or_, (Q(**{f"{name}__icontains": word}) for name in self._guest_fields))

    def _is_at_one_of(self, restaurant_refs: Collection[str]) -> Q:
        if self.restaurant_field is None:
            return Q() if self.venue_ref in restaurant_refs else Q(pk__in=[])
        field: Any = field_at(self.bookings_table, self.restaurant_field)
        keys = []
        for ref in restaurant_refs:
            try:
                keys.append(field.to_python(ref))
            except ValidationError:
                continue
        return Q(**{f"{column_at(self.bookings_table, self.restaurant_field)}__in": keys})
