"""What people do in a booking project: guests book, change and cancel, and staff give tables. By forms, as there."""

from typing import ClassVar

from django.db import connection, transaction
from django.forms import modelform_factory
from django.forms.models import model_to_dict


class Steps:
    """A project's own side. ``seated``: SQL for the bookings that its rows show as seated, with table and time."""

    SEATS = (2, 4, 4, 6)
    booking = None
    table = None
    seated = ""
    confirmed: ClassVar = {"status": "confirmed"}
    """What staff set beside the table of a booking that they seat themselves."""

    def furnish(self):
        """Add the restaurant's tables."""
        raise NotImplementedError

    def tables(self):
        return list(self.table.objects.order_by("pk"))

    def ref(self, table):
        return str(table.pk)

    def book(self, start, party):
        """Book a table for a party at an aware start in UTC, of 17, 19 or 21 o'clock."""
        raise NotImplementedError

    def edit(self, row, party):
        raise NotImplementedError

    def cancel(self, row):
        raise NotImplementedError

    def give(self, row, table):
        """Give the booking another table, as staff do in the project's own admin."""
        raise NotImplementedError

    def seat(self, row, table):
        """Confirm the booking at a table, as staff do in the project's own admin."""
        with transaction.atomic():
            self.give(row, table)
            if self.confirmed:
                self.patch(row, **self.confirmed)

    # By a form of the model's fields

    def post(self, **values):
        return self._submit(None, values)

    def patch(self, row, **values):
        row = type(row)._base_manager.get(pk=row.pk)
        fields = [field.name for field in row._meta.fields + row._meta.many_to_many if field.editable]
        return self._submit(row, {**model_to_dict(row, fields), **values})

    def _submit(self, row, values):
        form = modelform_factory(self.booking, fields=list(values))(_posted(values), instance=row)
        assert form.is_valid(), form.errors
        with transaction.atomic():  # As Django's admin does, so that a booking and its tables are one change.
            return form.save()

    # What the project's rows show

    def seated_rows(self):
        """The tables of each seated booking, by its key."""
        found = {}
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM ({self.seated}) AS seated (booking, place, during)")
            for booking, place, _during in cursor.fetchall():
                found.setdefault(str(booking), []).append(str(place))
        return found

    def overlaps(self):
        """Pairs of bookings that have one table at the same time."""
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                WITH seated (booking, place, during) AS ({self.seated})
                SELECT one.booking, other.booking, one.place FROM seated AS one JOIN seated AS other
                    ON one.place = other.place AND one.booking < other.booking AND one.during && other.during
                """
            )
            return cursor.fetchall()


def _posted(values):
    """The values as a browser sends them: keys of rows, and nothing for None and False."""
    posted = {}
    for name, value in values.items():
        if isinstance(value, list):
            posted[name] = [getattr(each, "pk", each) for each in value]
        elif value is not None and value is not False:
            posted[name] = getattr(value, "pk", value)
    return posted
