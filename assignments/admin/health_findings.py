"""Findings of the Health page with their remedies, and the sections that other apps add."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.core import checks
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments import conf
from assignments.admin import links
from assignments.models import Allocation, Assignment, Event, OutboxMessage, State
from assignments.telemetry.diagnostics import RECENT, Condition


@dataclass(frozen=True, kw_only=True, slots=True)
class Attention:
    """A finding. ``is_grave``: guests notice it. ``url`` is empty if there is no page or the user may not see it."""

    what: str
    remedy: str
    url: str = ""
    link: str = ""
    is_grave: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Guests:
    """Upcoming bookings without a decision, apart from the state of the machine. ``soon``: within 24 hours."""

    in_review: int
    soon: int
    soonest: str = ""
    url: str = ""

    @property
    def is_well(self) -> bool:
        return not self.in_review

    @property
    def text(self) -> str:
        if self.is_well:
            return _("Guests: nobody waits for a decision by staff.")
        said = ngettext(
            "Guests: %(count)s upcoming booking waits for a decision by staff",
            "Guests: %(count)s upcoming bookings wait for a decision by staff",
            self.in_review,
        ) % {"count": self.in_review}
        if self.soon:
            said += ", " + ngettext(
                "%(count)s of them within 24 hours", "%(count)s of them within 24 hours", self.soon
            ) % {"count": self.soon}
        if self.soonest:
            said += "; " + _("the first on %(time)s") % {"time": self.soonest}
        return said + "."


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A section from another app: facts as pairs of term and text, and its findings."""

    key: str
    title: str
    facts: Sequence[tuple[str, str]]
    attentions: Sequence[Attention] = ()
    url: str = ""
    link: str = ""


Gather = Callable[[HttpRequest], Section]

_sections: dict[str, Gather] = {}


def register(key: str, gather: Gather) -> None:
    """Add a section to the Health page. ``gather`` is called for each view; if it raises, the page says so."""
    _sections[key] = gather


def sections() -> dict[str, Gather]:
    """Return the registered sections in order."""
    return dict(_sections)


def duration(seconds: float) -> str:
    """Format seconds in the largest unit that gives at least two."""
    if seconds < 120:
        return ngettext("%(count)s second", "%(count)s seconds", round(seconds)) % {"count": round(seconds)}
    if seconds < 2 * 3600:
        return _("%(count)s minutes") % {"count": int(seconds // 60)}
    if seconds < 2 * 86400:
        return _("%(count)s hours") % {"count": int(seconds // 3600)}
    return _("%(count)s days") % {"count": int(seconds // 86400)}


def attentions(request: HttpRequest, condition: Condition, called: Mapping[str, str] | None = None) -> list[Attention]:
    """Return the findings, grave ones first. ``called``: names of restaurants. Queries only the user's permissions."""
    found = [
        *_integrity(request, condition),
        *_not_measured(condition),
        *_runs(request, condition),
        *_queue(request, condition),
        *_breakers(request, condition, called or {}),
        *_outbox(request, condition),
        *_set_aside(request, condition),
        *_marks(condition),
        *_workers(condition),
        *_versions(condition),
        *_findings(condition),
        *_dropped(condition),
    ]
    return sorted(found, key=lambda each: not each.is_grave)


def _integrity(request: HttpRequest, condition: Condition) -> Iterator[Attention]:
    integrity = condition.integrity
    if integrity is None:
        return
    if integrity.overlaps:
        yield Attention(
            is_grave=True,
            what=ngettext(
                "%(count)s seating overlaps another at the same table.",
                "%(count)s seatings overlap another at the same table.",
                integrity.overlaps,
            )
            % {"count": integrity.overlaps},
            remedy=_(
                "A database constraint prevents this, so it must have been removed. Move one of the parties by hand "
                "now, then restore the constraint."
            ),
            url=links.permitted(request, Allocation),
            link=_("The ledger"),
        )
    if integrity.lost:
        yield Attention(
            is_grave=True,
            what=ngettext(
                "%(count)s booking is lost: confirmed without a table, waiting but not scheduled, or started unseen.",
                "%(count)s bookings are lost: confirmed without a table, waiting but not scheduled, or started unseen.",
                integrity.lost,
            )
            % {"count": integrity.lost},
            remedy=_("Run manage.py reconcile_assignments to return them to the planner."),
            url=links.permitted(request, Assignment, state__exact=State.CONFIRMED),
            link=_("Confirmed bookings"),
        )


PARTS = {
    "vitals": lambda: _("queue, outbox and last success"),
    "backlog": lambda: _("bookings in review"),
    "runs": lambda: _("runs and workers"),
    "lists": lambda: ", ".join((_("breakers"), _("what is possible"))),
    "hours": lambda: _("the last 24 hours"),
    "integrity": lambda: _("overlaps and lost bookings"),
    "pending": lambda: _("migrations"),
}


def _not_measured(condition: Condition) -> Iterator[Attention]:
    if not condition.not_measured:
        return
    parts = ", ".join(
        f"{PARTS[part]() if part in PARTS else part} ({error})" for part, error in condition.not_measured.items()
    )
    yield Attention(
        is_grave="vitals" in condition.not_measured,
        what=_("Not measured: %(parts)s.") % {"parts": parts},
        remedy=_(
            "The database did not answer in time, or a migration is missing. For other causes see the log. The rest of "
            "this page is correct."
        ),
    )


def _runs(request: HttpRequest, condition: Condition) -> Iterator[Attention]:
    vitals = condition.vitals
    if vitals is None:
        return
    age, limit = vitals.last_success_age_seconds, conf.settings().CRON_SECONDS
    if age is None:
        yield Attention(
            is_grave=True,
            what=_("No run of run_coordinator has succeeded yet. Bookings wait until one does."),
            remedy=_("Run manage.py run_coordinator from cron every minute, or as a worker with --watch."),
        )
    elif age > limit:
        yield Attention(
            is_grave=True,
            what=_("The last successful run was %(age)s ago (limit: %(limit)s).")
            % {"age": duration(age), "limit": duration(limit)},
            remedy=_("Check cron and the worker. Run manage.py run_coordinator by hand and read its output."),
        )
    latest = next(iter(condition.runs or ()), None)
    if latest is not None and latest.failed_at is not None and vitals.now - latest.failed_at < RECENT:
        since = max(0.0, (vitals.now - latest.failed_at).total_seconds())
        yield Attention(
            what=ngettext(
                "The latest run had %(count)s unexpected error: %(type)s, %(age)s ago.",
                "The latest run has had %(count)s unexpected errors; the last was %(type)s, %(age)s ago.",
                latest.unexpected,
            )
            % {"count": latest.unexpected, "type": latest.error or _("unknown type"), "age": duration(since)},
            remedy=_("The bookings are retried and go to staff after the last attempt. The events name them."),
            url=links.permitted(request, Event, severity__exact=Event.Severity.ERROR),
            link=_("Error events"),
        )


def _queue(request: HttpRequest, condition: Condition) -> Iterator[Attention]:
    vitals, limit = condition.vitals, conf.settings().CRON_SECONDS
    if vitals is not None and vitals.oldest_due_age_seconds > limit:
        yield Attention(
            is_grave=True,
            what=ngettext(
                "%(count)s booking is due, the oldest for %(age)s.",
                "%(count)s bookings are due, the oldest for %(age)s.",
                vitals.due_bookings,
            )
            % {"count": vitals.due_bookings, "age": duration(vitals.oldest_due_age_seconds)},
            remedy=_(
                "Either no worker is running (see the runs), the restaurant's breaker is open, or a pass is too short "
                "for all bookings."
            ),
            url=links.permitted(request, Assignment, state__exact=State.ASSIGNMENT_PENDING),
            link=_("Waiting bookings"),
        )


def _breakers(request: HttpRequest, condition: Condition, called: Mapping[str, str]) -> Iterator[Attention]:
    for breaker in condition.breakers or ():
        if not (breaker.is_open or breaker.is_half_open):
            continue
        values = {"restaurant": called.get(breaker.restaurant_ref, breaker.restaurant_ref), "count": breaker.failures}
        if breaker.is_open:
            what = _(
                "The breaker of restaurant %(restaurant)s is open after %(count)s failures. No bookings are decided "
                "there."
            )
        else:
            what = _(
                "The breaker of restaurant %(restaurant)s is half open after %(count)s failures. The next booking "
                "there decides whether it closes."
            )
        yield Attention(
            is_grave=breaker.is_open,
            what=what % values,
            remedy=_(
                "It retries by itself. The error events show the cause, usually the floor plan or the booking project."
            ),
            url=links.permitted(request, Event, severity__exact=Event.Severity.ERROR),
            link=_("Error events"),
        )


def _outbox(request: HttpRequest, condition: Condition) -> Iterator[Attention]:
    vitals, limit = condition.vitals, conf.settings().CRON_SECONDS
    if vitals is not None and vitals.outbox_oldest_age_seconds > limit:
        yield Attention(
            what=ngettext(
                "%(count)s message is waiting for delivery, the oldest for %(age)s.",
                "%(count)s messages are waiting for delivery, the oldest for %(age)s.",
                vitals.outbox_waiting,
            )
            % {"count": vitals.outbox_waiting, "age": duration(vitals.outbox_oldest_age_seconds)},
            remedy=_("Run manage.py deliver_outbox from cron. If it already does, see the last error of the messages."),
            url=links.permitted(request, OutboxMessage, delivered_at__isempty="1"),
            link=_("Waiting messages"),
        )


def _set_aside(request: HttpRequest, condition: Condition) -> Iterator[Attention]:
    backlog = condition.backlog
    if backlog is None:
        return
    if backlog.messages_set_aside:
        yield Attention(
            is_grave=True,
            what=ngettext(
                "%(count)s message was set aside: the guest has not been told.",
                "%(count)s messages were set aside: the guests have not been told.",
                backlog.messages_set_aside,
            )
            % {"count": backlog.messages_set_aside},
            remedy=_("Their last errors say why. Fix the cause, then deliver them again from their list."),
            url=links.permitted(request, OutboxMessage, delivered_at__isempty="1"),
            link=_("Waiting messages"),
        )
    if backlog.poisonous:
        yield Attention(
            what=ngettext(
                "%(count)s booking was set aside, because it ended the processes that decided it.",
                "%(count)s bookings were set aside, because they ended the processes that decided them.",
                backlog.poisonous,
            )
            % {"count": backlog.poisonous},
            remedy=_("Decide them in the review queue. Fix what their callbacks do in the booking project."),
            url=links.permitted(request, Assignment, state__exact=State.MANUAL_REVIEW),
            link=_("Bookings in review"),
        )


def _marks(condition: Condition) -> Iterator[Attention]:
    vitals, limit = condition.vitals, conf.settings().CRON_SECONDS
    if vitals is not None and vitals.marks_oldest_age_seconds > limit:
        yield Attention(
            is_grave=True,
            what=ngettext(
                "%(count)s booking was changed in the project and has not been followed here for %(age)s.",
                "%(count)s bookings were changed in the project and not followed here, the oldest for %(age)s.",
                vitals.marks_waiting,
            )
            % {"count": vitals.marks_waiting, "age": duration(vitals.marks_oldest_age_seconds)},
            remedy=_("Run manage.py run_coordinator from cron. If it already does, see its log for the error."),
        )


def _workers(condition: Condition) -> Iterator[Attention]:
    silent = [worker for worker in condition.workers or () if not worker.is_alive]
    if silent:
        yield Attention(
            what=ngettext(
                "%(count)s worker lost its heartbeat without stopping: %(names)s.",
                "%(count)s workers lost their heartbeat without stopping: %(names)s.",
                len(silent),
            )
            % {"count": len(silent), "names": ", ".join(worker.run.worker for worker in silent)},
            remedy=_("It was killed, or it hangs. Its supervisor should have started a new one."),
        )
    if len(condition.worker_versions) > 1:
        yield Attention(
            what=_("Workers are running different versions: %(versions)s.")
            % {"versions": ", ".join(condition.worker_versions)},
            remedy=_("This is normal during a deployment. Otherwise restart the workers of the old version."),
        )


def _versions(condition: Condition) -> Iterator[Attention]:
    pending = condition.versions.pending
    if pending:
        yield Attention(
            is_grave=True,
            what=ngettext(
                "%(count)s migration is not applied: %(names)s.",
                "%(count)s migrations are not applied, including %(names)s.",
                len(pending),
            )
            % {"count": len(pending), "names": pending[0]},
            remedy=_("Run manage.py migrate."),
        )


def _findings(condition: Condition) -> Iterator[Attention]:
    errors = [each for each in condition.findings if each.level >= checks.ERROR]
    if condition.findings:
        count = len(condition.findings)
        yield Attention(
            is_grave=bool(errors),
            what=ngettext(
                "The configuration checks found %(count)s problem.",
                "The configuration checks found %(count)s problems.",
                count,
            )
            % {"count": count},
            remedy=_("See below for how to fix each one."),
            url="#checks",
            link=_("Configuration checks"),
        )


def _dropped(condition: Condition) -> Iterator[Attention]:
    backlog, vitals = condition.backlog, condition.vitals
    if backlog is not None and backlog.dropped_at is not None and vitals is not None:
        age = duration(max(0.0, (vitals.now - backlog.dropped_at).total_seconds()))
        yield Attention(
            what=ngettext(
                "%(count)s event was lost %(age)s ago.",
                "Events were lost, the last %(age)s ago (%(count)s over the whole of the runs concerned).",
                backlog.dropped_events,
            )
            % {"count": backlog.dropped_events, "age": age},
            remedy=_(
                "No bookings were lost, but the record of events is incomplete. The database or a sink may have been "
                "slow."
            ),
        )
