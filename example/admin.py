"""The booking project's admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from example import models
from example.booking import save_booking

if TYPE_CHECKING:
    _RestaurantAdmin = admin.ModelAdmin[models.Restaurant]
    _TableAdmin = admin.ModelAdmin[models.Table]
    _AdjacencyAdmin = admin.ModelAdmin[models.TableAdjacency]
    _JoinAdmin = admin.ModelAdmin[models.TableJoin]
    _ServiceAdmin = admin.ModelAdmin[models.ServicePeriod]
    _BookingAdmin = admin.ModelAdmin[models.Booking]
    _ZoneInline = admin.TabularInline[models.Zone, models.Restaurant]
    _TurnInline = admin.TabularInline[models.TurnTime, models.ServicePeriod]
else:
    _RestaurantAdmin = _TableAdmin = _AdjacencyAdmin = _JoinAdmin = _ServiceAdmin = _BookingAdmin = admin.ModelAdmin
    _ZoneInline = _TurnInline = admin.TabularInline


class ZoneInline(_ZoneInline):
    model = models.Zone
    extra = 0


@admin.register(models.Restaurant)
class RestaurantAdmin(_RestaurantAdmin):
    list_display = ["name", "slug", "timezone"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [ZoneInline]


@admin.register(models.Table)
class TableAdmin(_TableAdmin):
    list_display = ["code", "restaurant", "zone", "seats", "min_party", "max_party", "active"]
    list_filter = ["restaurant", "zone", "active"]
    list_select_related = ["restaurant", "zone"]
    search_fields = ["code"]


@admin.register(models.TableAdjacency)
class TableAdjacencyAdmin(_AdjacencyAdmin):
    list_display = ["first", "second"]
    list_filter = ["first__restaurant"]
    list_select_related = ["first", "second"]


@admin.register(models.TableJoin)
class TableJoinAdmin(_JoinAdmin):
    list_display = ["id", "seats"]
    filter_horizontal = ["tables"]


class TurnTimeInline(_TurnInline):
    model = models.TurnTime
    extra = 0


@admin.register(models.ServicePeriod)
class ServicePeriodAdmin(_ServiceAdmin):
    list_display = ["key", "restaurant", "start", "end", "allow_overrun"]
    list_filter = ["restaurant"]
    inlines = [TurnTimeInline]


@admin.register(models.Booking)
class BookingAdmin(_BookingAdmin):
    list_display = ["reference", "restaurant", "start", "party", "status", "table_codes"]
    list_filter = ["restaurant", "status", "start"]
    list_select_related = ["restaurant"]
    search_fields = ["reference", "guest_name", "guest_email"]
    date_hierarchy = "start"
    # The planners choose the tables; by hand they are chosen in the assignments app, which checks them.
    readonly_fields = ["tables"]

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("tables")

    @admin.display(description="tables")
    def table_codes(self, booking: models.Booking) -> str:
        return " + ".join(sorted(table.code for table in booking.tables.all()))

    def save_model(self, request: HttpRequest, obj: models.Booking, form: ModelForm[Any], change: bool) -> None:
        save_booking(obj)
