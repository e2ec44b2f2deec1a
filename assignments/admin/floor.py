"""Editing what the host's own tables lack."""

from typing import TYPE_CHECKING

from django.contrib import admin

from assignments.models import AdjacentTables, ListedJoin, ServiceHours, TableDetails, TurnMinutes, VenueSettings

if TYPE_CHECKING:
    _TurnInline = admin.TabularInline[TurnMinutes, ServiceHours]
    _VenueAdmin = admin.ModelAdmin[VenueSettings]
    _TableAdmin = admin.ModelAdmin[TableDetails]
    _AdjacentAdmin = admin.ModelAdmin[AdjacentTables]
    _JoinAdmin = admin.ModelAdmin[ListedJoin]
    _ServiceAdmin = admin.ModelAdmin[ServiceHours]
else:
    _TurnInline = admin.TabularInline
    _VenueAdmin = _TableAdmin = _AdjacentAdmin = _JoinAdmin = _ServiceAdmin = admin.ModelAdmin


class TurnMinutesInline(_TurnInline):
    model = TurnMinutes
    extra = 1


@admin.register(VenueSettings)
class VenueSettingsAdmin(_VenueAdmin):
    list_display = ["restaurant_ref", "timezone", "outside_service_minutes"]


@admin.register(TableDetails)
class TableDetailsAdmin(_TableAdmin):
    list_display = ["table_ref", "restaurant_ref", "zone", "min_party", "max_party"]
    list_filter = ["restaurant_ref", "zone"]


@admin.register(AdjacentTables)
class AdjacentTablesAdmin(_AdjacentAdmin):
    list_display = ["restaurant_ref", "first_table_ref", "second_table_ref"]
    list_filter = ["restaurant_ref"]


@admin.register(ListedJoin)
class ListedJoinAdmin(_JoinAdmin):
    list_display = ["restaurant_ref", "table_refs", "seats", "min_party", "max_party"]
    list_filter = ["restaurant_ref"]


@admin.register(ServiceHours)
class ServiceHoursAdmin(_ServiceAdmin):
    list_display = ["restaurant_ref", "key", "starts", "ends", "allow_overrun"]
    list_filter = ["restaurant_ref"]
    inlines = [TurnMinutesInline]
