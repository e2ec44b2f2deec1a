"""The ledger in the admin."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from assignments import wording
from assignments.admin.filters import known
from assignments.admin.readonly import ReadOnlyAdmin
from assignments.models import Allocation


@admin.register(Allocation)
class AllocationAdmin(ReadOnlyAdmin):
    list_display = [
        "table_ref",
        "starts_at",
        "ends_at",
        "kind",
        "booking_ref",
        "planner",
        "restaurant_ref",
        "expires_at",
    ]
    list_filter = ["kind", known("planner", _("planner"), wording.planners), "starts_at"]
    search_fields = ["=booking_ref", "=table_ref", "=restaurant_ref"]
    date_hierarchy = "starts_at"
