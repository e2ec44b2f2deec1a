"""The column of lists that names the booking of each row."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from assignments.admin.host_lookup import label_of


@admin.display(description=_("booking"), ordering="booking_ref")
def booking(row: Any) -> str:
    """Name the booking of a row as every page does; nothing for a row that is about none."""
    return label_of(row.booking_ref) if row.booking_ref else ""
