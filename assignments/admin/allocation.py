"""The ledger in the admin."""

from datetime import UTC
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from assignments.admin.booking_column import booking
from assignments.admin.bounded_changelist import BoundedList
from assignments.admin.datetime_columns import local, recorded
from assignments.admin.filters import known, since
from assignments.admin.natural_order import natural_column
from assignments.admin.readonly import ReadOnlyAdmin
from assignments.admin.restaurant_column import NamedRows, restaurant
from assignments.integration.floor_cache import floors_or_none
from assignments.models import Allocation
from assignments.staff import labels


class ZonedRows(NamedRows):
    """Give each row its restaurant's floor and time zone: None and UTC if it is not available. One query for all rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        floors = floors_or_none(sorted({row.restaurant_ref for row in self.result_list})) if self.result_list else {}
        for row in self.result_list:
            floor = floors[row.restaurant_ref]
            row.floor, row.zone = floor, floor.zone if floor else UTC


class AllocationList(ZonedRows, BoundedList):
    """The ledger's rows, with their time zones."""


@admin.register(Allocation)
class AllocationAdmin(ReadOnlyAdmin):
    list_display = [
        natural_column(Allocation, "table_ref"),
        "starts",
        "ends",
        "kind",
        booking,
        "planner",
        restaurant,
        recorded("ended_at", _("ended (UTC)")),
        recorded("overstays_until", _("stays until (UTC)")),
        "rules_passed_over",
        recorded("expires_at", _("expires (UTC)")),
    ]
    list_filter = [
        "kind",
        known("planner", _("planner"), labels.planners),
        since("starts_at", _("starts"), coming=True),
    ]
    search_fields = ["=booking_ref", "=table_ref", "=restaurant_ref"]
    ordering = ["-id"]
    indexed = frozenset({"booking_ref", "ends_at", "restaurant_ref"})

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AllocationList

    @admin.display(description=_("starts (restaurant's time)"), ordering="starts_at")
    def starts(self, allocation: Any) -> str:
        return local(allocation.starts_at, allocation.zone)

    @admin.display(description=_("ends (restaurant's time)"), ordering="ends_at")
    def ends(self, allocation: Any) -> str:
        return local(allocation.ends_at, allocation.zone)

    @admin.display(description=_("rules passed over"))
    def rules_passed_over(self, allocation: Allocation) -> str:
        return " ".join(labels.reason(code) for code in allocation.despite)
