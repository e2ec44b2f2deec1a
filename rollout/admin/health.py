"""The rollout's section of the Health page: mode, guard and comparisons."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from waffle import get_waffle_switch_model

from assignments.admin import health_findings, links
from assignments.admin.health_findings import Attention, Section, duration
from assignments.concurrency import clock, transactions
from assignments.staff.labels import render
from rollout import conf
from rollout.admin.labels import mode
from rollout.evidence import measuring
from rollout.evidence.sql import lists
from rollout.flags import resolution
from rollout.flags.resolution import Flags, Mode
from rollout.models import Comparison, GuardRun, Position

STATEMENT_TIMEOUT_MS = 2000
LATE = timedelta(minutes=30)
"""The guard, and comparing, are run from cron every five minutes."""


def section(request: HttpRequest) -> Section:
    """The section. One query with a time limit."""
    environment = conf.settings().ENVIRONMENT
    with transactions.atomic():
        transactions.limit_statements(STATEMENT_TIMEOUT_MS)
        positions, switches, runs, waiting = lists(
            Position.objects.filter(environment=environment),
            get_waffle_switch_model().objects.filter(name__in=[resolution.V3_SWITCH, resolution.SHADOW_SWITCH]),
            GuardRun.objects.filter(environment=environment).defer("measured")[:1],
            Comparison.objects.filter(verdict="").only("recorded_at").order_by("id")[:1],
        )
        transaction.set_rollback(True)
    position, run = next(iter(positions), None), next(iter(runs), None)
    set_to = (
        resolution.killed()
        if resolution.is_killed()
        else resolution.from_rows({row.name: row.active for row in switches})
    )
    drift = measuring.drift_of(position, set_to) if position else ""
    waiting_since = waiting[0].recorded_at if waiting else None
    now = clock.now()
    there = {"url": links.permitted(request, Position), "link": _("Rollout page")}
    return Section(
        key="rollout",
        title=_("Rollout"),
        facts=[
            (_("Mode"), mode(set_to.mode)),
            (_("Stage"), position.stage if position else _("not begun")),
            (
                _("Last run of the guard"),
                _("%(duration)s ago") % {"duration": _since(now, run.at)} if run else _("none yet"),
            ),
            (
                _("Comparisons waiting"),
                _("the oldest for %(duration)s") % {"duration": _since(now, waiting_since)}
                if waiting_since
                else _("none"),
            ),
        ],
        attentions=list(_attentions(set_to, position, run, there, waiting_since=waiting_since, drift=drift)),
        **there,
    )


def _since(now: datetime, at: datetime) -> str:
    return duration(max(0.0, (now - at).total_seconds()))


def _attentions(
    set_to: Flags,
    position: Position | None,
    run: GuardRun | None,
    there: Mapping[str, Any],
    *,
    waiting_since: datetime | None,
    drift: str,
) -> Iterator[Attention]:
    now = clock.now()
    if set_to.killed:
        yield Attention(
            what=_("%(variable)s is set: the legacy planner decides everything.") % {"variable": conf.KILL_VARIABLE},
            remedy=_("Remove it from the environment and restart once it is no longer needed."),
            **there,
        )
    elif drift:
        yield Attention(
            what=_("The flags do not match the stage: %(drift)s.") % {"drift": render(drift)},
            remedy=_("Set the switch back, or move to the intended stage. Until then nothing can be promoted."),
            **there,
        )
    if set_to.mode is Mode.ACTIVE and conf.settings().LEGACY_PLANNER:
        looked_at = run.at if run else position.since if position else None
        if looked_at is None or now - looked_at > LATE:
            yield Attention(
                what=_("V3 decides, but the guard has not run for %(duration)s.") % {"duration": _since(now, looked_at)}
                if looked_at
                else _("V3 decides without a guard: the ladder has not begun."),
                remedy=_("Run manage.py rollout guard from cron every five minutes."),  # rollout-removal: ignore
                **there,
            )
    cools = bool(position and position.cool_down_until and now < position.cool_down_until)
    if run is not None and run.breaches and (cools or not run.rolled_back_to):
        yield Attention(
            what=ngettext(
                "The guard's last run found %(count)s breach.",
                "The guard's last run found %(count)s breaches.",
                len(run.breaches),
            )
            % {"count": len(run.breaches)},
            remedy=_("It rolled back to %(stage)s. Find the cause before promoting again.")
            % {"stage": run.rolled_back_to}
            if run.rolled_back_to
            else _("It could not roll back. Roll back by hand, or turn V3 off."),
            is_grave=not run.rolled_back_to,
            **there,
        )
    # Comparisons left over from shadow mode do not matter.
    if set_to.mode is Mode.SHADOW and waiting_since is not None and now - waiting_since > LATE:
        yield Attention(
            what=_("Decisions have been waiting for comparison for %(duration)s.")
            % {"duration": _since(now, waiting_since)},
            remedy=_("Run manage.py rollout compare from cron every five minutes."),  # rollout-removal: ignore
            **there,
        )


health_findings.register("rollout", section)
