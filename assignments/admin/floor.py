"""Admin forms for floor data that the host's tables do not have."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from assignments.admin import restaurant_field
from assignments.admin.natural_order import NaturalOrder, natural_column
from assignments.admin.nul import RefusesNul
from assignments.admin.restaurant_column import NamedRows, restaurant
from assignments.admin.restaurants import limited, may_see, refusal
from assignments.concurrency import locks, transactions
from assignments.integration.project_host import configured
from assignments.models import (
    AdjacentTables,
    CalendarEntry,
    CalendarService,
    ListedJoin,
    PacingLimit,
    ServiceHours,
    TableDetails,
    TurnMinutes,
    VenueSettings,
    ZonePriority,
)
from assignments.planning.floor import InvalidFloorError, Table

if TYPE_CHECKING:
    _FloorForm = forms.ModelForm[Any]
    _TurnInline = admin.TabularInline[TurnMinutes, ServiceHours]
    _CalendarServiceInline = admin.TabularInline[CalendarService, CalendarEntry]
    _ServiceFormSet = forms.BaseInlineFormSet[Any, Any, Any]
else:
    _FloorForm = forms.ModelForm
    _TurnInline = admin.TabularInline
    _CalendarServiceInline = admin.TabularInline
    _ServiceFormSet = forms.BaseInlineFormSet


class FloorForm(_FloorForm):
    """A form that checks refs against the host, because they are text without foreign keys. Names do as well."""

    table_fields: ClassVar[tuple[str, ...]] = ("table_ref", "first_table_ref", "second_table_ref", "table_refs")
    request: ClassVar[HttpRequest | None] = None
    """The request that shows it, set by ``ShortRefs``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "restaurant_ref" in self.fields:
            self.fields["restaurant_ref"].help_text = restaurant_field.HELP

    def clean_restaurant_ref(self) -> str:
        return restaurant_field.ref_of(self.cleaned_data["restaurant_ref"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        restaurant_ref = cleaned.get("restaurant_ref")
        if not restaurant_ref:
            return cleaned
        if self.request is not None and not may_see(self.request, restaurant_ref):
            self.add_error("restaurant_ref", refusal())
            return cleaned
        try:
            known: Mapping[str, Table] = configured().floor(restaurant_ref).table_by_ref
        except LookupError:
            self.add_error("restaurant_ref", _("This restaurant does not exist in the booking project."))
            return cleaned
        except InvalidFloorError:  # This form may be what repairs it.
            return cleaned
        by_name = _by_name(known)
        for name in self.table_fields:
            if not (given := cleaned.get(name)):
                continue
            refs = [each if each in known else by_name.get(each, each) for each in _listed(given)]
            cleaned[name] = refs[0] if isinstance(given, str) else refs
            if unknown := [ref for ref in refs if ref not in known]:
                self.add_error(
                    name,
                    _("This restaurant has no table %(unknown)s. Its tables: %(known)s.")
                    % {"unknown": ", ".join(unknown), "known": ", ".join(by_name) or ", ".join(known) or _("none")},
                )
        self._check_limits(cleaned, known)
        return cleaned

    def _check_limits(self, cleaned: Mapping[str, Any], known: Mapping[str, Table]) -> None:
        """Refuse joins of tables out of service, and parties larger than a table's seats."""
        inactive = [
            known[ref].name for ref in cleaned.get("table_refs") or [] if ref in known and not known[ref].active
        ]
        if inactive:
            self.add_error("table_refs", _("Out of service: %(tables)s.") % {"tables": ", ".join(inactive)})
        table = known.get(cleaned.get("table_ref") or "")
        for name in ("min_party", "max_party"):
            if table is not None and (cleaned.get(name) or 0) > table.seats:
                self.add_error(name, _("It has only %(seats)s seats.") % {"seats": table.seats})


def _by_name(tables: Mapping[str, Table]) -> dict[str, str]:
    """Return the refs of tables by their names, without names that several tables have."""
    names = Counter(table.name for table in tables.values())
    return {table.name: ref for ref, table in tables.items() if names[table.name] == 1}


def _listed(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given


def _named(field: Any) -> Any:
    """Give a field in a table a name for screen readers."""
    if field is not None:
        field.widget.attrs["aria-label"] = capfirst(field.label)
    return field


class TurnMinutesInline(_TurnInline):
    model = TurnMinutes
    extra = 1

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return _named(super().formfield_for_dbfield(db_field, request, **kwargs))


class ShortRefs(RefusesNul):
    """Rows that belong to a restaurant; users edit those of the restaurants that they may see. Refs get one-line fields."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return limited(request, super().get_queryset(request))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        form.request = request
        return form

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name.endswith("_ref"):
            kwargs["widget"] = AdminTextInputWidget()
        return super().formfield_for_dbfield(db_field, request, **kwargs)


class FloorAdmin(ShortRefs):
    """Base of the admins of the floor's parts."""

    form = FloorForm
    search_fields = ["restaurant_ref"]
    list_filter = ["restaurant_ref"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return NamedRows


class LocksRestaurant(FloorAdmin):
    """Lock the restaurant while a row is changed, so that nobody is seated by the old values meanwhile."""

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        earlier = self.model._default_manager.filter(pk=obj.pk).values_list("restaurant_ref", flat=True)
        for restaurant_ref in sorted({obj.restaurant_ref, *earlier}):
            locks.lock_restaurant(restaurant_ref)
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        locks.lock_restaurant(obj.restaurant_ref)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        with transactions.atomic():
            for restaurant_ref in sorted(set(queryset.values_list("restaurant_ref", flat=True))):
                locks.lock_restaurant(restaurant_ref)
            super().delete_queryset(request, queryset)


@admin.register(VenueSettings)
class VenueSettingsAdmin(FloorAdmin):
    list_display = [restaurant, "timezone"]
    list_filter = []


@admin.register(TableDetails)
class TableDetailsAdmin(FloorAdmin):
    list_display = [
        natural_column(TableDetails, "table_ref"),
        restaurant,
        "zone",
        "min_party",
        "max_party",
        "features",
        "priority",
    ]
    search_fields = ["table_ref", "restaurant_ref", "zone"]
    list_filter = ["restaurant_ref", "zone"]
    ordering = ["restaurant_ref", NaturalOrder("table_ref")]


@admin.register(ZonePriority)
class ZonePriorityAdmin(FloorAdmin):
    list_display = [restaurant, "zone", "priority"]
    search_fields = ["restaurant_ref", "zone"]


@admin.register(AdjacentTables)
class AdjacentTablesAdmin(FloorAdmin):
    list_display = [
        restaurant,
        natural_column(AdjacentTables, "first_table_ref"),
        natural_column(AdjacentTables, "second_table_ref"),
    ]
    search_fields = ["restaurant_ref", "first_table_ref", "second_table_ref"]
    ordering = ["restaurant_ref", NaturalOrder("first_table_ref"), NaturalOrder("second_table_ref")]


@admin.register(ListedJoin)
class ListedJoinAdmin(FloorAdmin):
    list_display = [restaurant, natural_column(ListedJoin, "table_refs"), "seats", "min_party", "max_party"]
    search_fields = ["restaurant_ref", "table_refs"]


class CalendarServiceFormSet(_ServiceFormSet):
    """Checks that a calendar entry either closes its dates or gives hours."""

    def clean(self) -> None:
        super().clean()
        given = [form for form in self.forms if form.cleaned_data and not form.cleaned_data.get("DELETE")]
        if not given and not self.instance.closed:
            raise forms.ValidationError(_("Enter the hours of a service, or mark these dates as closed."))
        if given and self.instance.closed:
            raise forms.ValidationError(_("These dates are closed: remove the hours, or the mark."))


class CalendarServiceInline(_CalendarServiceInline):
    model = CalendarService
    formset = CalendarServiceFormSet
    extra = 1

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        return _named(super().formfield_for_dbfield(db_field, request, **kwargs))


@admin.register(CalendarEntry)
class CalendarEntryAdmin(LocksRestaurant):
    """The admin of the calendar."""

    list_display = [restaurant, "first_date", "last_date", "weekdays", "closed", "note"]
    list_filter = ["restaurant_ref", "closed"]
    search_fields = ["restaurant_ref", "note"]
    ordering = ["-first_date", "-id"]
    inlines = [CalendarServiceInline]


@admin.register(PacingLimit)
class PacingLimitAdmin(LocksRestaurant):
    """The admin of pacing limits, by service and date."""

    list_display = [
        restaurant,
        "service_key",
        "first_date",
        "last_date",
        "interval_minutes",
        "most_covers",
        "most_parties",
        "most_present",
    ]
    search_fields = ["restaurant_ref", "service_key"]


@admin.register(ServiceHours)
class ServiceHoursAdmin(FloorAdmin):
    list_display = [restaurant, "key", "starts", "ends", "early_minutes", "late_minutes", "allow_overrun"]
    search_fields = ["restaurant_ref", "key"]
    inlines = [TurnMinutesInline]
