"""Closures in the admin: what is closed now and soon; add, edit, lift. Nothing is deleted."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from assignments import api
from assignments.admin import actor
from assignments.admin.allocation import ZonedRows
from assignments.admin.datetime_columns import local
from assignments.admin.floor import FloorForm, ShortRefs
from assignments.admin.restaurant_column import restaurant
from assignments.admin.timeline_svg import zone_name
from assignments.concurrency import clock
from assignments.coordination.closures import LONGEST_REASON
from assignments.exceptions import AssignmentsError
from assignments.integration.floor_cache import floor_or_none
from assignments.models import Closure
from assignments.planning.seating_window import local_to_aware
from assignments.staff import labels


class WhenFilter(admin.SimpleListFilter):
    """Filters closures: in force now, to come, over, or lifted."""

    title = _("when")
    parameter_name = "when"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("current", _("now")), ("coming", _("to come")), ("over", _("over")), ("lifted", _("lifted"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = clock.now()
        match self.value():
            case "current":
                lasts = Q(ends_at__isnull=True) | Q(ends_at__gt=now)
                return queryset.filter(lasts, lifted_at__isnull=True, starts_at__lte=now)
            case "coming":
                return queryset.filter(lifted_at__isnull=True, starts_at__gt=now)
            case "over":
                return queryset.filter(lifted_at__isnull=True, ends_at__lte=now)
            case "lifted":
                return queryset.filter(lifted_at__isnull=False)
        return queryset


class ClosureForm(FloorForm):
    """Adds or edits a closure. Times are by the restaurant's clock. ``seen_version``: the version that the user saw."""

    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = Closure
        fields = ("restaurant_ref", "table_refs", "zone_ref", "starts_at", "ends_at", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("starts_at", "ends_at"):
            of_day, of_clock = self.fields[name].widget.widgets
            values = {"field": capfirst(self.fields[name].label)}
            of_day.attrs["aria-label"] = gettext("%(field)s, date") % values
            of_clock.attrs["aria-label"] = gettext("%(field)s, time") % values
        closure = self.instance
        if closure.pk is None:
            return
        self.initial["seen_version"] = closure.version
        self.initial["table_refs"] = [] if closure.zone_ref else closure.table_refs
        zone = _zone_of(closure.restaurant_ref)
        for name in ("starts_at", "ends_at"):
            moment = getattr(closure, name)
            if moment is not None:
                self.initial[name] = timezone.make_aware(timezone.make_naive(moment, zone))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        restaurant_ref = cleaned.get("restaurant_ref") or self.instance.restaurant_ref
        floor = floor_or_none(restaurant_ref) if restaurant_ref else None
        zone = floor.zone if floor else UTC
        for name in ("starts_at", "ends_at"):
            if cleaned.get(name) is not None:
                try:
                    cleaned[name] = local_to_aware(timezone.make_naive(cleaned[name]), zone)  # type: ignore[arg-type]
                except ValueError as error:
                    self.add_error(name, str(error))
        start, end = cleaned.get("starts_at"), cleaned.get("ends_at")
        if start and end and end <= start:
            self.add_error("ends_at", _("It ends before it begins."))
        if cleaned.get("table_refs") and cleaned.get("zone_ref"):
            self.add_error("zone_ref", _("Name tables or a zone, not both."))
        zone_ref = cleaned.get("zone_ref")
        if zone_ref and floor and not any(table.zone_ref == zone_ref for table in floor.tables):
            self.add_error("zone_ref", _("This restaurant has no table in zone %(zone)s.") % {"zone": zone_ref})
        if len(cleaned.get("reason") or "") > LONGEST_REASON:
            self.add_error("reason", _("Use at most %(most)s characters.") % {"most": LONGEST_REASON})
        return cleaned

    def _post_clean(self) -> None:
        """Build no instance: ``api`` writes the closure, and the form has checked what it would check."""


def _zone_of(restaurant_ref: str) -> Any:
    floor = floor_or_none(restaurant_ref)
    return floor.zone if floor else ZoneInfo("UTC")


@admin.register(Closure)
class ClosureAdmin(ShortRefs):
    form = ClosureForm
    list_display = ["what_is_closed", restaurant, "starts", "ends", "reason", "author", "lifted"]
    list_filter = [WhenFilter]
    search_fields = ["=restaurant_ref", "reason"]
    ordering = ["-starts_at", "-id"]
    actions = ["lift"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> Any:
        return ZonedRows

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: closures are lifted, never deleted."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and (obj is None or obj.lifted_at is None)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["restaurant_ref"] if obj is not None else []

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changeform_view(request, *args, **kwargs)
        except (AssignmentsError, ValueError) as error:
            if request.method != "POST":
                raise
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        """Close or edit through ``api``, which has the bookings make way."""
        given = {name: form.cleaned_data[name] for name in ("starts_at", "ends_at")}
        given["reason"] = form.cleaned_data["reason"] or ""
        if not change:
            closure_id = api.close(
                restaurant_ref=form.cleaned_data["restaurant_ref"],
                table_refs=form.cleaned_data["table_refs"] or (),
                zone_ref=form.cleaned_data["zone_ref"] or "",
                actor=actor.actor(request),
                **given,
            )
            return Closure.objects.get(pk=closure_id)
        if form.cleaned_data["zone_ref"]:
            given["zone_ref"] = form.cleaned_data["zone_ref"]
        else:
            given["table_refs"] = form.cleaned_data["table_refs"] or ()
        version = form.cleaned_data["seen_version"]
        api.edit_closure(closure_id=form.instance.pk, actor=actor.actor(request), version=version, **given)
        return Closure.objects.get(pk=form.instance.pk)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save nothing: ``save_form`` has stored the closure."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save nothing: a closure has no related rows."""

    @admin.action(description=_("Lift the selected closures"), permissions=["change"])
    def lift(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        lifted = 0
        for closure in queryset.order_by("id"):
            try:
                api.lift_closure(closure_id=closure.pk, actor=actor.actor(request), version=closure.version)
            except AssignmentsError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                lifted += 1
        if lifted:
            text = ngettext("%(count)s closure was lifted.", "%(count)s closures were lifted.", lifted)
            self.message_user(request, text % {"count": lifted}, messages.SUCCESS)

    @admin.display(description=_("closed"), ordering="zone_ref")
    def what_is_closed(self, closure: Any) -> str:
        if closure.is_whole_restaurant:
            return gettext("all tables")
        if closure.zone_ref:
            return gettext("zone %(zone)s") % {"zone": zone_name(closure.zone_ref, closure.floor)}
        return labels.Words(closure.floor).tables(closure.table_refs)

    @admin.display(description=_("starts (restaurant's time)"), ordering="starts_at")
    def starts(self, closure: Any) -> str:
        return local(closure.starts_at, closure.zone)

    @admin.display(description=_("ends (restaurant's time)"), ordering="ends_at")
    def ends(self, closure: Any) -> str:
        return local(closure.ends_at, closure.zone) if closure.ends_at else gettext("until further notice")

    @admin.display(description=_("lifted"), ordering="lifted_at")
    def lifted(self, closure: Any) -> str:
        return _lifted(closure.lifted_at, closure.zone)


def _lifted(moment: datetime | None, zone: Any) -> str:
    return local(moment, zone) if moment else ""
