"""The booking project's admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import ForeignKey, QuerySet
from django.forms import ModelChoiceField, ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from assignments.admin.natural_order import NaturalOrder, natural_column
from assignments.planning.natural_order import natural_key
from example import models
from example.booking import delete_booking, save_booking

if TYPE_CHECKING:
    _RestaurantAdmin = admin.ModelAdmin[models.Restaurant]
    _TableAdmin = admin.ModelAdmin[models.Table]
    _AdjacencyAdmin = admin.ModelAdmin[models.TableAdjacency]
    _JoinAdmin = admin.ModelAdmin[models.TableJoin]
    _ServiceAdmin = admin.ModelAdmin[models.ServicePeriod]
    _BookingAdmin = admin.ModelAdmin[models.Booking]
    _ZoneInline = admin.TabularInline[models.Zone, models.Restaurant]
    _TurnInline = admin.TabularInline[models.TurnTime, models.ServicePeriod]
    _JoinForm = ModelForm[models.TableJoin]
else:
    _RestaurantAdmin = _TableAdmin = _AdjacencyAdmin = _JoinAdmin = _ServiceAdmin = _BookingAdmin = admin.ModelAdmin
    _ZoneInline = _TurnInline = admin.TabularInline
    _JoinForm = ModelForm


class ZoneInline(_ZoneInline):
    model = models.Zone
    extra = 0


@admin.register(models.Restaurant)
class RestaurantAdmin(_RestaurantAdmin):
    list_display = ["name", "reference", "timezone"]
    search_fields = ["name", "reference"]
    inlines = [ZoneInline]


@admin.register(models.Table)
class TableAdmin(_TableAdmin):
    list_display = [
        natural_column(models.Table, "code"),
        "restaurant",
        "zone",
        "seats",
        "min_party",
        "max_party",
        "active",
    ]
    list_filter = ["restaurant", "zone", "active"]
    ordering = ["restaurant", NaturalOrder("code")]  # Also of every form in which a table is chosen.
    list_select_related = ["restaurant", "zone"]
    search_fields = ["code"]


class TableSelect(AutocompleteSelect):
    """A select that shows an invalid choice again; Django's raises for it before the form can refuse it."""

    def optgroups(self, name: str, value: Sequence[str], attr: dict[str, Any] | None = None) -> Any:
        return super().optgroups(
            name, [each for each in value if each.isascii() and each.isdecimal() and len(each) < 19], attr
        )


@admin.register(models.TableAdjacency)
class TableAdjacencyAdmin(_AdjacencyAdmin):
    list_display = [
        natural_column(models.TableAdjacency, "first", by="first__code"),
        natural_column(models.TableAdjacency, "second", by="second__code"),
        "zone",
    ]
    ordering = ["first__restaurant", NaturalOrder("first__code"), NaturalOrder("second__code")]
    list_filter = ["first__restaurant", "first__zone"]
    list_select_related = ["first__zone", "second"]
    search_fields = ["first__code", "second__code"]
    autocomplete_fields = ["first", "second"]

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        return super().formfield_for_foreignkey(
            db_field, request, **{"widget": TableSelect(db_field, self.admin_site), **kwargs}
        )

    @admin.display(ordering="first__zone")
    def zone(self, pair: models.TableAdjacency) -> models.Zone:
        return pair.first.zone


class TableJoinForm(_JoinForm):
    def clean_tables(self) -> QuerySet[models.Table]:
        tables: QuerySet[models.Table] = self.cleaned_data["tables"]
        if len(tables) < 2:
            raise ValidationError(_("A join needs at least two tables."))
        if len({table.restaurant_id for table in tables}) > 1:
            raise ValidationError(_("Tables of different restaurants cannot be joined."))
        if inactive := [table.code for table in tables if not table.active]:
            raise ValidationError(_("Out of service: %(tables)s.") % {"tables": ", ".join(inactive)})
        return tables


@admin.register(models.TableJoin)
class TableJoinAdmin(_JoinAdmin):
    form = TableJoinForm
    list_display = ["id", "seats", "min_party", "max_party", "table_codes"]
    list_filter = ["tables__restaurant"]
    search_fields = ["tables__code"]
    filter_horizontal = ["tables"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.TableJoin]:
        return super().get_queryset(request).prefetch_related("tables")

    @admin.display(description="tables")
    def table_codes(self, join: models.TableJoin) -> str:
        return " + ".join(sorted((table.code for table in join.tables.all()), key=natural_key))


class TurnTimeInline(_TurnInline):
    model = models.TurnTime
    extra = 0
    min_num = 1

    def get_formset(self, request: HttpRequest, obj: models.ServicePeriod | None = None, **kwargs: Any) -> Any:
        """Requires turn times, since a service without them cannot be planned."""
        return super().get_formset(request, obj, **{**kwargs, "validate_min": True})


@admin.register(models.ServicePeriod)
class ServicePeriodAdmin(_ServiceAdmin):
    list_display = ["key", "restaurant", "start", "end", "allow_overrun"]
    list_filter = ["restaurant"]
    list_select_related = ["restaurant"]
    search_fields = ["key", "restaurant__name"]
    inlines = [TurnTimeInline]


@admin.register(models.Booking)
class BookingAdmin(_BookingAdmin):
    list_display = ["reference", "restaurant", "start", "party", "status", "table_codes"]
    list_filter = ["restaurant", "status", "start"]
    list_select_related = ["restaurant"]
    search_fields = ["reference", "guest_name", "guest_email"]
    date_hierarchy = "start"
    # The planners choose the tables; staff choose them in the assignments app, which checks them.
    exclude = ["tables"]
    readonly_fields = ["table_codes"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Booking]:
        return super().get_queryset(request).prefetch_related("tables")

    @admin.display(description="tables")
    def table_codes(self, booking: models.Booking) -> str:
        return " + ".join(sorted((table.code for table in booking.tables.all()), key=natural_key))

    def save_model(self, request: HttpRequest, obj: models.Booking, form: ModelForm[Any], change: bool) -> None:
        save_booking(obj)

    def delete_model(self, request: HttpRequest, obj: models.Booking) -> None:
        delete_booking(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[models.Booking]) -> None:
        with transaction.atomic():
            for booking in queryset:
                delete_booking(booking)
