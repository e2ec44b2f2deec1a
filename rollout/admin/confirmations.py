"""The confirmation pages of the Rollout page's buttons: effects, reason, action.

GET shows the effects, POST acts. Both need the permission. A change between the two is refused.

Long because every button has its confirmation here, all on one base class.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, InterfaceError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.generic import FormView

from assignments.admin.host_lookup import restaurant_names
from assignments.admin.restaurants import limited, may_see, refusal
from assignments.concurrency import clock
from assignments.error_logging import log_error
from assignments.staff import moments
from assignments.staff.labels import render
from rollout.admin import overview
from rollout.admin.actor import actor
from rollout.admin.forms import ForcedPlannerForm, PromotionForm, ReasonForm, RollBackForm, WaiverForm
from rollout.admin.labels import mode, verdict
from rollout.control import change_log, steering, switches
from rollout.flags import resolution
from rollout.models import ForcedPlanner, Position, Waiver
from rollout.policy.ladder import UnknownStageError

if TYPE_CHECKING:
    _FormView = FormView[Any]
else:
    _FormView = FormView

logger = logging.getLogger(__name__)

PAGE = "admin:rollout_position_changelist"


class StaleError(Exception):
    """Raised when the state has changed since the confirmation."""


class NotMeasuredError(Exception):
    """Raised when the gates could not be measured; the message is the error's type."""


REFUSALS = (
    steering.RefusedError,
    switches.ContradictionError,
    change_log.UnusableError,
    change_log.BusyError,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class WayBack:
    """The confirmation that undoes the action, and the permission it needs."""

    name: str
    permission: str
    label: Any
    args: tuple[str, ...] = ()


class Confirmation(_FormView):
    """One button's page. ``permission`` is one of those on ``Position``."""

    permission: ClassVar[str]
    title: Any
    button: Any
    is_grave = False
    """Whether the button looks like those that delete."""
    undo: WayBack | None = None
    form_class: type[ReasonForm] = ReasonForm
    template_name = "admin/rollout/page/confirm.html"
    admin_site: Any = None

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.has_perm(f"rollout.{self.permission}"):
            raise PermissionDenied
        if "restaurant_ref" in kwargs and not may_see(request, kwargs["restaurant_ref"]):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        try:
            return super().dispatch(request, *args, **kwargs)
        except (StaleError, steering.NotBegunError, UnknownStageError) as error:
            return self.back_to_page(messages.ERROR, render(error))
        except (DatabaseError, InterfaceError) as error:
            # Only its type: driver messages name servers and users.
            log_error(logger, error, "%s was interrupted in the admin", type(self).__name__)
            if request.method == "POST":
                # It may have failed during COMMIT; then it is unknown whether it committed.
                problem = _(
                    "The database failed (%(error)s). It is not known whether the change was made; check below."
                )
            else:
                problem = _("The database raised an error (%(error)s). Nothing was changed.")
            return self.back_to_page(messages.ERROR, problem % {"error": type(error).__name__})

    def back_to_page(self, level: int, text: str) -> HttpResponse:
        messages.add_message(self.request, level, text)
        return HttpResponseRedirect(reverse(PAGE, current_app=self.admin_site.name))

    def consequences(self) -> Sequence[str]:
        """Return the effects, one sentence each."""
        return ()

    def seen(self) -> str:
        """Return the current state on which the action depends; if it changes before the confirmation, that is refused."""
        return ""

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        """Act, and return a sentence that says what was done. Raises one of REFUSALS."""
        raise NotImplementedError

    def carry_out_as_seen(self, data: dict[str, Any], who: str) -> str:
        """Check and act under the rollout's lock, so that nothing changes in between."""
        with change_log.changing(reason=data["reason"]):
            self.refuse_unless_as_seen(data)
            return self.carry_out(data, who)

    def refuse_unless_as_seen(self, data: dict[str, Any]) -> None:
        if data["seen"] != self.seen():
            raise StaleError(_("The rollout has changed in the meantime. Nothing was done; check its current state."))

    def form_valid(self, form: Any) -> HttpResponse:
        ref = form.cleaned_data.get("restaurant_ref")
        if ref is not None and not may_see(self.request, ref):
            form.add_error("restaurant_ref", refusal())
            return self.form_invalid(form)
        try:
            done = self.carry_out_as_seen(form.cleaned_data, actor(self.request))
        except steering.PromotionRefusedError:
            form.add_error(None, _("Promotion refused; see what is blocking it."))
        except REFUSALS as error:
            form.add_error(None, render(error))
        else:
            return self.back_to_page(messages.SUCCESS, self._with_way_back(done))
        return self.form_invalid(form)

    def way_back(self) -> WayBack | None:
        """Return the confirmation that would undo it."""
        return self.undo

    def _with_way_back(self, done: str) -> str:
        way_back = self.way_back()
        if way_back is None or not self.request.user.has_perm(f"rollout.{way_back.permission}"):
            return done
        return format_html(
            '{} <a href="{}">{}</a>',
            done,
            reverse(f"admin:rollout_{way_back.name}", args=way_back.args, current_app=self.admin_site.name),
            way_back.label,
        )

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "seen": self.seen()}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            **{
                **self.admin_site.each_context(self.request),
                "title": self.title,
                "button": self.button,
                "is_grave": self.is_grave,
                "consequences": self.consequences(),
                "is_possible": True,
                **kwargs,
            }
        )


class StageConfirmation(Confirmation):
    """Base of confirmations that depend on the position."""

    @cached_property
    def position(self) -> Position:
        position = steering.current()
        if position is None:
            raise steering.NotBegunError
        return position

    def seen(self) -> str:
        position = steering.current()
        return f"{position.stage} {position.since.isoformat()} {position.paused}" if position else ""


class Begin(StageConfirmation):
    permission = "promote"
    title = gettext_lazy("Begin the ladder")
    button = gettext_lazy("Begin")

    def consequences(self) -> Sequence[str]:
        return [
            _("The rollout starts at the stage that matches the current flags."),
            _("Nothing else changes: no switch, and no restaurant's planner."),
        ]

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        position = steering.begin(actor=who, reason=data["reason"])
        return _("The ladder has begun at %(stage)s.") % {"stage": position.stage}


class Promote(StageConfirmation):
    permission = "promote"
    undo = WayBack(name="roll_back", permission="roll_back", label=gettext_lazy("Roll back…"))
    form_class = PromotionForm
    template_name = "admin/rollout/page/promote.html"
    button = gettext_lazy("Promote")

    @property
    def title(self) -> str:
        if self.plan.target is None:
            return _("%(stage)s is the last stage") % {"stage": self.position.stage}
        return _("Promote from %(stage)s to %(target)s") % {
            "stage": self.position.stage,
            "target": self.plan.target.key,
        }

    @cached_property
    def plan(self) -> steering.PromotionPlan:
        """Make the plan. Raises NotMeasuredError for any error: measuring calls the host."""
        try:
            return steering.plan(statement_timeout_ms=overview.PATIENCE_MS)
        except (steering.NotBegunError, UnknownStageError):
            raise
        except Exception as error:
            raise NotMeasuredError(type(error).__name__) from error

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return super().dispatch(request, *args, **kwargs)
        except NotMeasuredError as error:
            logger.error("The gates could not be measured in the admin: %s", error)
            problem = _(
                "The gates could not be measured (%(error)s), so nothing was promoted. "
                "Try manage.py rollout promote, which waits longer."
            )
            return self.back_to_page(messages.ERROR, problem % {"error": error})

    @property
    def may_override(self) -> bool:
        """Return whether there are obstacles, all can be overridden, and this user may override."""
        obstacles = self.plan.obstacles
        can_be_lifted = bool(obstacles) and all(each.overridable for each in obstacles)
        return can_be_lifted and self.request.user.has_perm("rollout.override_gates")

    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        if self.request.method == "GET" and not self.may_override:
            del form.fields["override"]
        return form

    def get_initial(self) -> dict[str, Any]:
        return {**super().get_initial(), "lifts": self.lifts}

    @property
    def lifts(self) -> str:
        return json.dumps([each.detail for each in self.plan.obstacles])

    def carry_out_as_seen(self, data: dict[str, Any], who: str) -> str:
        """Act without the lock: measuring comes first, and ``steering.promote`` checks again under the lock."""
        self.refuse_unless_as_seen(data)
        return self.carry_out(data, who)

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        if data["override"]:
            self._check_override(data["lifts"])
        position = steering.promote(
            from_stage=data["seen"].split(" ")[0],
            actor=who,
            reason=data["reason"],
            override=data["override"],
            measured=self.plan,
        )
        return _("Promoted to %(stage)s: V3 decides for %(percent)s %% of restaurants.") % {
            "stage": position.stage,
            "percent": position.percent,
        }

    def _check_override(self, lifts: str) -> None:
        """Check that an override lifts only the obstacles that its user was shown."""
        if not self.request.user.has_perm("rollout.override_gates"):
            raise PermissionDenied
        try:
            shown = json.loads(lifts)
        except ValueError:
            shown = []
        news = [render(each.detail) for each in self.plan.obstacles if each.detail not in shown]
        if news:
            raise StaleError(
                _("Not promoted: there are more obstacles than the confirmation showed. %(news)s")
                % {"news": " ".join(news)}
            )

    def form_invalid(self, form: Any) -> HttpResponse:
        """After a refusal, show the new measurements and clear the override."""
        self.__dict__.pop("plan", None)
        form.show_again(lifts=self.lifts)
        if not self.may_override:
            del form.fields["override"]
        return super().form_invalid(form)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        is_possible = self.plan.is_open or (self.plan.target is not None and self.may_override)
        return super().get_context_data(
            **{
                "is_possible": is_possible,
                "may_override": self.may_override,
                **overview.plan_context(self.plan),
                **kwargs,
            }
        )


class RollBack(StageConfirmation):
    permission = "roll_back"
    undo = WayBack(name="promote", permission="promote", label=gettext_lazy("Promote again, once the gates pass…"))
    title = gettext_lazy("Roll back")
    button = gettext_lazy("Roll back")
    is_grave = True
    form_class = RollBackForm
    template_name = "admin/rollout/page/roll_back.html"

    @cached_property
    def stages(self) -> Sequence[Any]:
        return overview.lower_stages(self.position)

    def get_initial(self) -> dict[str, Any]:
        safe = next((stage.key for stage in self.stages if not stage.decides), None)
        return {**super().get_initial(), "to": safe}

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "stages": self.stages}

    def consequences(self) -> Sequence[str]:
        if not self.stages:
            return [_("%(stage)s is the lowest stage: there is nothing to roll back.") % {"stage": self.position.stage}]
        return [
            _("It takes effect immediately, in every process. Gates and pauses do not block it."),
            _("The next pass hands V3's unfinished bookings to the legacy planner. No booking is lost."),
        ]

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        position = steering.roll_back(to=data["to"], actor=who, reason=data["reason"], seen=self.position)
        return _("Rolled back to %(stage)s: V3 decides for %(percent)s %% of restaurants.") % {
            "stage": position.stage,
            "percent": position.percent,
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        rows = overview.stage_rows(self.stages)
        return super().get_context_data(
            **{"is_possible": bool(rows), "position": self.position, "stage_rows": rows, **kwargs}
        )


class Pause(StageConfirmation):
    permission = "pause"
    undo = WayBack(name="resume", permission="pause", label=gettext_lazy("Resume…"))
    title = gettext_lazy("Pause the rollout")
    button = gettext_lazy("Pause")

    def consequences(self) -> Sequence[str]:
        return [
            _("Nobody can promote from %(stage)s until the rollout is resumed, not even with an override.")
            % {"stage": self.position.stage},
            _("Rolling back remains possible, for the guard too."),
        ]

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        steering.pause(actor=who, reason=data["reason"])
        return _("The rollout is paused.")


class Resume(StageConfirmation):
    permission = "pause"
    undo = WayBack(name="pause", permission="pause", label=gettext_lazy("Pause…"))
    title = gettext_lazy("Resume the rollout")
    button = gettext_lazy("Resume")

    def consequences(self) -> Sequence[str]:
        return [_("It can be promoted from %(stage)s again once the gates pass.") % {"stage": self.position.stage}]

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        steering.resume(actor=who, reason=data["reason"])
        return _("The rollout is resumed.")


class Toggle(Confirmation):
    """Sets one switch by hand. The URL names the switch and its value."""

    permission = "toggle"

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        if kwargs["name"] not in switches.SWITCHES or kwargs["value"] not in {"on", "off"}:
            raise Http404(_("There is no such switch."))
        self.switch = switches.SWITCHES[kwargs["name"]]
        self.active = kwargs["value"] == "on"

    @property
    def title(self) -> str:
        names = {"switch": self.switch}
        return _("Turn %(switch)s on") % names if self.active else _("Turn %(switch)s off") % names

    @property
    def button(self) -> str:
        return _("Turn on") if self.active else _("Turn off")

    def seen(self) -> str:
        as_set = resolution.as_set()
        return f"{as_set.v3.value} {as_set.v3.source} {as_set.shadow.value} {as_set.shadow.source}"

    def consequences(self) -> Sequence[str]:
        problem = switches.contradiction(self.switch, self.active)
        if problem:
            return [render(problem)]
        now = resolution.read()
        name = "v3" if self.switch == resolution.V3_SWITCH else "shadow"
        before = getattr(now, name)
        found = [
            _("%(switch)s: %(before)s (by %(source)s) → %(after)s.")
            % {
                "switch": self.switch,
                "before": overview.on_off(before.value),
                "source": render(before.source),
                "after": overview.on_off(self.active),
            }
        ]
        if now.killed:
            found.append(_("The kill variable is set. The switch has no effect until it is removed."))
        else:
            then = replace(now, **{name: replace(before, value=self.active)})
            found.append(_("Mode: %(before)s → %(after)s.") % {"before": mode(now.mode), "after": mode(then.mode)})
        position = steering.current()
        if position is not None:
            found.append(
                _("The stage stays %(stage)s. Nothing can be promoted while the flags do not match it.")
                % {"stage": position.stage}
            )
        return found

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        now = switches.set_switch(self.switch, active=self.active, actor=who, reason=data["reason"])
        return _("The switch %(switch)s is turned %(value)s. The mode is now: %(mode)s.") % {
            "switch": self.switch,
            "value": overview.on_off(self.active),
            "mode": mode(now.mode),
        }

    def way_back(self) -> WayBack:
        name, opposite = self.kwargs["name"], "off" if self.active else "on"
        label = _("Turn it off again…") if self.active else _("Turn it on again…")
        return WayBack(name="toggle", permission="toggle", label=label, args=(name, opposite))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        is_possible = not switches.contradiction(self.switch, self.active)
        return super().get_context_data(**{"is_possible": is_possible, **kwargs})


def _called(ref: str) -> str:
    return overview.named(ref, restaurant_names([ref]))


class ForcePlanner(Confirmation):
    permission = "force_planner"
    title = gettext_lazy("Force a planner")
    button = gettext_lazy("Force")
    form_class = ForcedPlannerForm

    def consequences(self) -> Sequence[str]:
        return [
            _("At stages where V3 decides, this planner decides for the restaurant, regardless of the percentage."),
            _("Flags and the kill variable take precedence. Bookings in progress stay with their planner."),
        ]

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        planner = ForcedPlanner.PlannerChoice(data["planner"])
        self.forced = forced = steering.force_planner(
            restaurant_ref=data["restaurant_ref"], planner=planner, actor=who, reason=data["reason"]
        )
        return _("The planner of restaurant %(restaurant)s is forced: %(planner)s.") % {
            "restaurant": _called(forced.restaurant_ref),
            "planner": planner.label,
        }

    def way_back(self) -> WayBack:
        args = (self.forced.restaurant_ref,)
        return WayBack(name="unforce", permission="force_planner", label=_("End it…"), args=args)


class UnforcePlanner(Confirmation):
    permission = "force_planner"
    undo = WayBack(name="force", permission="force_planner", label=gettext_lazy("Force a planner…"))
    button = gettext_lazy("End")

    @property
    def title(self) -> str:
        return _("End the forced planner of restaurant %(restaurant)s") % {
            "restaurant": _called(self.kwargs["restaurant_ref"])
        }

    @cached_property
    def forced(self) -> ForcedPlanner:
        forced = ForcedPlanner.objects.filter(restaurant_ref=self.kwargs["restaurant_ref"]).first()
        if forced is None:
            raise Http404(_("No planner is forced for this restaurant."))
        return forced

    def seen(self) -> str:
        forced = ForcedPlanner.objects.filter(restaurant_ref=self.kwargs["restaurant_ref"]).first()
        return f"{forced.planner} {forced.at.isoformat()}" if forced else ""

    def consequences(self) -> Sequence[str]:
        return [
            _("Forced planner: %(planner)s. Reason: %(reason)s")
            % {"planner": self.forced.get_planner_display(), "reason": self.forced.reason},
            _("After that, the stage's percentage decides which planner is used."),
        ]

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        ref = self.kwargs["restaurant_ref"]
        steering.unforce_planner(restaurant_ref=ref, actor=who, reason=data["reason"])
        return _("The forced planner of restaurant %(restaurant)s has ended.") % {"restaurant": _called(ref)}


class Waive(Confirmation):
    permission = "waive"
    title = gettext_lazy("Accept a known difference between the planners")
    button = gettext_lazy("Accept")
    form_class = WaiverForm

    def consequences(self) -> Sequence[str]:
        return [_("The gates ignore the differences that it covers, up to its ceiling, until it expires.")]

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        self.waiver = waiver = steering.waive(
            verdict=data["verdict"],
            restaurant_ref=data["restaurant_ref"],
            refusal=data["refusal"],
            at_most=data["at_most"],
            owner=data["owner"],
            # A minute less: the database's clock counts, and may be behind this one.
            expires_at=clock.now() + timedelta(days=data["days"], minutes=-1),
            actor=who,
            reason=data["reason"],
        )
        return _("Accepted until %(moment)s UTC: %(verdict)s.") % {
            "moment": moments.moment(waiver.expires_at, UTC),
            "verdict": verdict(waiver.verdict),
        }

    def way_back(self) -> WayBack:
        label = _("Withdraw it…")
        return WayBack(name="withdraw", permission="waive", label=label, args=(str(self.waiver.pk),))


class Withdraw(Confirmation):
    permission = "waive"
    undo = WayBack(name="waive", permission="waive", label=gettext_lazy("Accept a difference…"))
    title = gettext_lazy("Withdraw a waiver")
    button = gettext_lazy("Withdraw")

    @cached_property
    def waiver(self) -> Waiver:
        waiver = limited(self.request, Waiver.objects.filter(pk=self.kwargs["waiver_id"])).first()
        if waiver is None:
            raise Http404(_("There is no such waiver."))
        return waiver

    def consequences(self) -> Sequence[str]:
        return [
            _("%(verdict)s at %(where)s, by %(owner)s: %(reason)s")
            % {
                "verdict": verdict(self.waiver.verdict),
                "where": _called(ref) if (ref := self.waiver.restaurant_ref) else _("all restaurants"),
                "owner": self.waiver.owner,
                "reason": self.waiver.reason,
            },
            _("The differences it covers count in the gates again."),
        ]

    def carry_out(self, data: dict[str, Any], who: str) -> str:
        steering.withdraw(waiver_id=self.waiver.pk, actor=who, reason=data["reason"])
        return _("The waiver is withdrawn.")
