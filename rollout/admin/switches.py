"""Waffle's switch pages; the rollout's switches need a reason and a permission, and cannot contradict each other."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.admin.utils import unquote
from django.contrib.admin.widgets import AdminTextareaWidget
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from waffle import admin as waffle_admin
from waffle import get_waffle_switch_model

from assignments.admin.nul import RefusesNul
from assignments.staff.labels import render
from rollout.admin.actor import actor
from rollout.control import switches
from rollout.control.change_log import BusyError, UnusableError

if TYPE_CHECKING:
    from waffle.models import Switch

    _SwitchForm = forms.ModelForm[Switch]
else:
    _SwitchForm = forms.ModelForm

OURS = frozenset(switches.SWITCHES.values())
REFUSALS = (switches.ContradictionError, UnusableError, BusyError)
PERMISSION = "rollout.toggle"


class SwitchForm(_SwitchForm):
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        widget=AdminTextareaWidget({"rows": 2}),
        help_text=_("Required for the rollout's switches. Stored permanently in the audit log, and as the note."),
    )

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        name = cleaned.get("name") or self.instance.name
        if name not in OURS:
            return cleaned
        if self.instance.pk and name != self.instance.name:
            raise ValidationError({"name": _("Add this switch; another one cannot be renamed to it.")})
        if not cleaned.get("reason"):
            self.add_error("reason", _("A reason is required for the audit log."))
        problem = switches.contradiction(name, bool(cleaned.get("active")))
        if problem:
            self.add_error("active", render(problem))
        return cleaned


class SwitchActionForm(ActionForm):
    reason = forms.CharField(label=_("Reason:"), required=False)


def _apply(model_admin: Any, request: HttpRequest, queryset: Any, waffles_own: Any, active: bool | None) -> None:
    """Apply an action: ours one by one, so that a contradiction is refused; others as waffle does.

    ``active`` None: remove the row.
    """
    waffles_own(model_admin, request, queryset.exclude(name__in=OURS))
    who, reason = actor(request), request.POST.get("reason", "")
    for switch in queryset.filter(name__in=OURS).order_by("name"):
        if not request.user.has_perm(PERMISSION):
            problem = _(
                "The switch %(switch)s is not changed: that needs the permission to toggle the rollout's switches."
            )
            model_admin.message_user(request, problem % {"switch": switch.name}, level=messages.ERROR)
            continue
        try:
            if active is None:
                switches.unset_switch(switch.name, actor=who, reason=reason)
            else:
                switches.set_switch(switch.name, active=active, actor=who, reason=reason)
        except REFUSALS as error:
            model_admin.message_user(
                request,
                _("The switch %(switch)s is not changed: %(error)s") % {"switch": switch.name, "error": render(error)},
                level=messages.ERROR,
            )


@admin.action(description=_("Enable selected switches"), permissions=("change",))
def enable_switches(model_admin: Any, request: HttpRequest, queryset: Any) -> None:
    _apply(model_admin, request, queryset, waffle_admin.enable_switches, active=True)


@admin.action(description=_("Disable selected switches"), permissions=("change",))
def disable_switches(model_admin: Any, request: HttpRequest, queryset: Any) -> None:
    _apply(model_admin, request, queryset, waffle_admin.disable_switches, active=False)


@admin.action(description=_("Delete selected"), permissions=("delete",))
def delete_individually(model_admin: Any, request: HttpRequest, queryset: Any) -> None:
    _apply(model_admin, request, queryset, waffle_admin.delete_individually, active=None)


class SwitchAdmin(RefusesNul, waffle_admin.SwitchAdmin):
    form = SwitchForm
    action_form = SwitchActionForm
    delete_confirmation_template = "admin/rollout/switch/delete_confirmation.html"
    actions = [enable_switches, disable_switches, delete_individually]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """For our switches only the value can be changed; the note is the last reason."""
        return ("name", "note", "created", "modified") if obj is not None and obj.name in OURS else ()

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and _may_toggle(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _may_toggle(request, obj)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Show refusals that the form could not foresee, such as a concurrent change."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except REFUSALS as error:
            return self._refused(request, error)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> Any:
        switch = self.get_object(request, unquote(object_id))
        asks = {"asks_reason": switch is not None and switch.name in OURS}
        try:
            return super().delete_view(request, object_id, {**(extra_context or {}), **asks})
        except REFUSALS as error:
            return self._refused(request, error)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if obj.name not in OURS:
            super().save_model(request, obj, form, change)
            return
        if not _may_toggle(request, obj):
            raise PermissionDenied
        switches.set_switch(obj.name, active=obj.active, actor=actor(request), reason=form.cleaned_data["reason"])
        obj.pk = type(obj).objects.get(name=obj.name).pk

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        if obj.name in OURS:
            switches.unset_switch(obj.name, actor=actor(request), reason=request.POST.get("reason", ""))
        else:
            super().delete_model(request, obj)

    def _refused(self, request: HttpRequest, error: Exception) -> HttpResponse:
        self.message_user(request, render(error), level=messages.ERROR)
        return HttpResponseRedirect(request.path)


def _may_toggle(request: HttpRequest, switch: Any) -> bool:
    return switch is None or switch.name not in OURS or request.user.has_perm(PERMISSION)


if admin.site.is_registered(get_waffle_switch_model()):
    admin.site.unregister(get_waffle_switch_model())
admin.site.register(get_waffle_switch_model(), SwitchAdmin)
