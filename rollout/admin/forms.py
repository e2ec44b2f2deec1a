"""Forms of the confirmations. Each needs a reason; ``rollout.control.steering`` validates the values."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from assignments.admin import restaurant_field
from assignments.planning.reasons import Reason
from assignments.staff.labels import reason
from rollout.admin import labels
from rollout.control import steering
from rollout.models import WAIVED_AT_MOST, ForcedPlanner
from rollout.policy.ladder import Stage


class ReasonForm(forms.Form):
    """``seen``: the state shown on the page, to detect changes since."""

    required_css_class = "required"
    field_order: Sequence[str] | None = None

    seen = forms.CharField(required=False, widget=forms.HiddenInput)
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        widget=AdminTextareaWidget({"rows": 3}),
        help_text=_("Stored permanently in the audit log."),
    )


class PromotionForm(ReasonForm):
    """``lifts``: the obstacles that were shown, as JSON; an override lifts no other."""

    field_order = ("override", "reason")

    lifts = forms.CharField(required=False, widget=forms.HiddenInput)
    override = forms.BooleanField(
        label=_("Override: promote despite these obstacles"),
        required=False,
        help_text=_("Stored permanently, with the obstacles it overrides."),
    )

    def show_again(self, *, lifts: str) -> None:
        """Reset the form with new obstacles and a cleared override."""
        self.data = {**self.data.dict(), "lifts": lifts, "override": ""}  # type: ignore[attr-defined]


class RollBackForm(ReasonForm):
    field_order = ("to", "reason")

    to = forms.ChoiceField(label=_("Back to"))

    def __init__(self, *args: Any, stages: Sequence[Stage], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].choices = [(stage.key, stage.key) for stage in stages]  # type: ignore[attr-defined]


class RestaurantForm(ReasonForm):
    """Asks for a restaurant: by its name, or its key in the booking project."""

    restaurant_ref = forms.CharField(
        label=_("Restaurant"),
        widget=AdminTextInputWidget,
        help_text=restaurant_field.HELP,
    )

    def clean_restaurant_ref(self) -> str:
        return restaurant_field.ref_of(self.cleaned_data["restaurant_ref"])


class ForcedPlannerForm(RestaurantForm):
    field_order = ("restaurant_ref", "planner", "reason")

    planner = forms.ChoiceField(label=_("Planner"), choices=ForcedPlanner.PlannerChoice.choices)


def _differences() -> list[tuple[str, str]]:
    """In words, and by the code that commands and the record have."""
    return [(each.value, f"{labels.verdict(each)} ({each})") for each in steering.WAIVABLE]


def _refusals() -> list[tuple[str, str]]:
    return [("", gettext("any")), *((each.value, f"{reason(each)} ({each})") for each in Reason)]


class WaiverForm(RestaurantForm):
    field_order = ("verdict", "restaurant_ref", "refusal", "at_most", "owner", "days", "reason")

    verdict = forms.ChoiceField(label=_("Difference"), choices=_differences)
    restaurant_ref = forms.CharField(
        label=_("Restaurant"),
        required=False,
        widget=AdminTextInputWidget,
        help_text=_("Its name, or its key in the booking project; leave empty for all restaurants."),
    )
    refusal = forms.ChoiceField(
        label=_("Reason for the refusal"),
        required=False,
        choices=_refusals,
        help_text=_("Why the refusing planner refuses."),
    )
    at_most = forms.IntegerField(
        label=_("At most"),
        min_value=1,
        max_value=steering.MAX_WAIVED,
        initial=WAIVED_AT_MOST,
        help_text=_("Number of comparisons that it covers. Any more will count."),
    )
    owner = forms.CharField(
        label=_("Owner"), widget=AdminTextInputWidget, help_text=_("Who is responsible for it: a team or a user id.")
    )
    days = forms.IntegerField(
        label=_("Days"),
        min_value=1,
        max_value=steering.MAX_WAIVER_DAYS,
        initial=14,
        help_text=_("Until it expires. An expired waiver blocks promotion until it is renewed or withdrawn."),
    )
