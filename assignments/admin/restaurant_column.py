"""The column of lists that names the restaurant of each row."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from assignments.admin.bounded_changelist import BoundedList
from assignments.admin.host_lookup import restaurant_names


class NamedRows(ChangeList):
    """Give each row its restaurant's name. Asks the host once for all rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        refs = sorted({row.restaurant_ref for row in rows} - {""})
        names = restaurant_names(refs) if refs else {}
        for row in rows:
            row.restaurant_name = names.get(row.restaurant_ref, "")
        self.result_list = rows


class NamedList(NamedRows, BoundedList):
    """A list of a large table, whose rows have the names of their restaurants."""


@admin.display(description=_("restaurant"), ordering="restaurant_ref")
def restaurant(row: Any) -> str:
    """Name the restaurant of a row that ``NamedRows`` lists."""
    return str(row.restaurant_name)
