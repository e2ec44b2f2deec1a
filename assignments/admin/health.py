"""The Health page: a summary at the top, with the measurements below."""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC
from typing import Any

from django.contrib import admin
from django.core import checks
from django.db import Error
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments import conf
from assignments.admin import health_findings, links
from assignments.admin.chart import Chart, Series
from assignments.admin.health_findings import Attention, Guests, Section, duration
from assignments.admin.host_lookup import restaurant_names
from assignments.admin.page import PageAdmin
from assignments.error_logging import log_error
from assignments.models import Assignment, Health, OutboxMessage, ReviewItem, Run, State
from assignments.outcome import Kind
from assignments.staff.moments import moment
from assignments.telemetry import diagnostics
from assignments.telemetry.diagnostics import Condition, Hour

logger = logging.getLogger("assignments.admin.health")

KINDS = {
    Kind.CONFIRMED: gettext_lazy("confirmed"),
    Kind.RETRY: gettext_lazy("retry later"),
    Kind.MANUAL_REVIEW: gettext_lazy("in review"),
    Kind.FAILED: gettext_lazy("failed"),
    Kind.NOOP: gettext_lazy("no action"),
}


@admin.register(Health)
class HealthAdmin(PageAdmin):
    """Shows the Health page in place of a list of runs."""

    restaurant_column = ""
    template = "admin/assignments/page/health.html"
    title = gettext_lazy("Health")

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        found = diagnostics.run()
        refs = {each.restaurant_ref for each in found.optima or ()} | {
            each.restaurant_ref for each in found.breakers or ()
        }
        called = _called(refs)
        sections, failed = gathered(request)
        attentions = health_findings.attentions(request, found, called) + failed
        for section in sections:
            attentions += section.attentions
        return {
            "guests": _guests(request, found),
            "condition": found,
            "verdict": verdict(attentions),
            "attentions": sorted(attentions, key=lambda each: not each.is_grave),
            "is_grave": any(each.is_grave for each in attentions),
            "cron_limit": duration(conf.settings().CRON_SECONDS),
            **facts(found),
            "runs": [(run, outcomes_of(run)) for run in found.runs or ()],
            "charts": charts(found.hours) if found.hours is not None else (),
            "optima": None if found.optima is None else [(each, called[each.restaurant_ref]) for each in found.optima],
            "breakers": None
            if found.breakers is None
            else [(each, called[each.restaurant_ref]) for each in found.breakers],
            "findings": [(each, LEVELS.get(each.level, "")) for each in found.findings],
            "sections": sections,
            "review_url": links.permitted(request, ReviewItem),
            "waiting_url": links.permitted(request, Assignment, state__exact=State.ASSIGNMENT_PENDING),
            "outbox_url": links.permitted(request, OutboxMessage, delivered_at__isempty="1"),
        }


def _called(refs: Collection[str]) -> Mapping[str, str]:
    """Return the names of these restaurants; their refs if the database does not answer. Asks even about none."""
    try:
        return restaurant_names(sorted(refs) or [""])
    except Error as error:
        log_error(logger, error, "The Health page could not name restaurants")
        return {ref: ref for ref in refs}


LEVELS = {
    checks.CRITICAL: gettext_lazy("critical"),
    checks.ERROR: gettext_lazy("error"),
    checks.WARNING: gettext_lazy("warning"),
    checks.INFO: gettext_lazy("info"),
    checks.DEBUG: gettext_lazy("debug"),
}


def _guests(request: HttpRequest, found: Condition) -> Guests | None:
    """Return how the guests stand; None if that was not measured."""
    backlog = found.backlog
    if backlog is None:
        return None
    return Guests(
        in_review=backlog.review,
        soon=backlog.review_soon,
        soonest=f"{moment(backlog.first_starts_at, UTC)} UTC" if backlog.first_starts_at else "",
        url=links.permitted(request, ReviewItem),
    )


def verdict(attentions: Sequence[Attention]) -> str:
    if not attentions:
        return _("System: all is well.")
    return ngettext(
        "System: %(count)s issue needs attention.", "System: %(count)s issues need attention.", len(attentions)
    ) % {"count": len(attentions)}


def gathered(request: HttpRequest) -> tuple[list[Section], list[Attention]]:
    """Return the sections of other apps. One that raises becomes a finding."""
    sections, failed = [], []
    for key, gather in health_findings.sections().items():
        try:
            sections.append(gather(request))
        except Exception as error:  # noqa: BLE001  (named by type: the page must open)
            log_error(logger, error, "The section %s of the Health page failed", key)
            failed.append(
                Attention(
                    what=_("Not measured: %(parts)s.") % {"parts": f"{key} ({type(error).__name__})"},
                    remedy=_("The database did not answer in time, or the app has a bug. See the log."),
                    is_grave=isinstance(error, Error),
                )
            )
    return sections, failed


def facts(found: Condition) -> dict[str, str]:
    """Return durations as text, empty if not measured."""
    vitals, backlog = found.vitals, found.backlog
    if vitals is None:
        return {}
    age = vitals.last_success_age_seconds
    since = backlog.review_since if backlog else None
    return {
        "last_success_age": "" if age is None else duration(age),
        "oldest_due_age": duration(vitals.oldest_due_age_seconds),
        "oldest_message_age": duration(vitals.outbox_oldest_age_seconds),
        "oldest_review_age": duration((vitals.now - since).total_seconds()) if since else "",
    }


def outcomes_of(run: Run) -> str:
    """Return the outcomes of a run that occurred, with counts."""
    known = [(str(KINDS[kind]), run.outcomes.get(kind.value, 0)) for kind in KINDS]
    return ", ".join(f"{count} {name}" for name, count in known if count)


def charts(hours: Sequence[Hour]) -> Sequence[Chart]:
    """Return the charts of the last 24 hours."""
    if not any((hour.confirmed, hour.retry, hour.manual_review, hour.failed) != (0, 0, 0, 0) for hour in hours):
        return ()
    x = [hour.begins for hour in hours]
    return (
        Chart(
            id="outcomes",
            caption=_("Outcomes of attempts per hour (UTC)"),
            unit=_("attempts"),
            x=x,
            series=[
                Series(label=_("confirmed"), values=[hour.confirmed for hour in hours]),
                Series(label=_("retry later"), values=[hour.retry for hour in hours]),
                Series(label=_("in review"), values=[hour.manual_review for hour in hours]),
                Series(label=_("failed"), values=[hour.failed for hour in hours]),
            ],
        ),
        Chart(
            id="waiting",
            caption=_("Time from request to confirmation, by hour of confirmation (UTC)"),
            unit=_("seconds"),
            x=x,
            series=[
                Series(label=_("median"), values=[hour.wait_seconds_p50 for hour in hours]),
                Series(label=_("95th percentile"), values=[hour.wait_seconds_p95 for hour in hours]),
            ],
        ),
        Chart(
            id="deciding",
            caption=_("Planning time per hour (UTC)"),
            unit=_("milliseconds"),
            x=x,
            series=[Series(label=_("95th percentile"), values=[hour.decision_ms_p95 for hour in hours])],
        ),
    )
