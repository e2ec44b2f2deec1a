"""Waffle's own switch pages, with one thing added: contradictory flags cannot be saved."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from waffle import get_waffle_switch_model
from waffle.admin import SwitchAdmin as WaffleSwitchAdmin
from waffle.admin import disable_switches, enable_switches

from assignments.admin.readonly import ReadOnlyAdmin
from rollout.models import Comparison
from rollout.switches import contradiction

if TYPE_CHECKING:
    from waffle.models import Switch

    _SwitchForm = ModelForm[Switch]
else:
    _SwitchForm = ModelForm


class SwitchForm(_SwitchForm):
    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        problem = contradiction(cleaned.get("name", ""), bool(cleaned.get("active")))
        if problem:
            raise ValidationError({"active": problem})
        return cleaned


@admin.action(description=_("Enable selected switches"), permissions=("change",))
def enable_switches_without_contradiction(model_admin: Any, request: HttpRequest, queryset: Any) -> None:
    """Waffle's action, one switch after the other, so that the second of two contradicting ones is refused."""
    for switch in queryset.order_by("name"):
        problem = contradiction(switch.name, active=True)
        if problem:
            model_admin.message_user(request, problem, level=messages.ERROR)
        else:
            enable_switches(model_admin, request, queryset.filter(pk=switch.pk))  # type: ignore[no-untyped-call]


class SwitchAdmin(WaffleSwitchAdmin):
    form = SwitchForm
    actions = [
        enable_switches_without_contradiction,
        disable_switches,
        *(action for action in WaffleSwitchAdmin.actions if action not in {enable_switches, disable_switches}),
    ]


@admin.register(Comparison)
class ComparisonAdmin(ReadOnlyAdmin):
    list_display = ["booking_ref", "verdict", "error", "control_ms", "candidate_ms", "control_repeats", "recorded_at"]
    list_filter = ["verdict", "error", "control_repeats", "recorded_at"]
    search_fields = ["=booking_ref", "=restaurant_ref", "=snapshot_hash"]


if admin.site.is_registered(get_waffle_switch_model()):
    admin.site.unregister(get_waffle_switch_model())
admin.site.register(get_waffle_switch_model(), SwitchAdmin)
