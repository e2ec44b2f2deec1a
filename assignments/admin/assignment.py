"""The page of one booking: its status and reason, its state history and its journal."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from assignments.admin import links, statechart
from assignments.admin.actor import names
from assignments.admin.booking_column import booking
from assignments.admin.datetime_columns import recorded
from assignments.admin.filters import known, since
from assignments.admin.host_lookup import guests_of, host_view, restaurant_names
from assignments.admin.links import Link
from assignments.admin.page import RowPageAdmin
from assignments.admin.plan_table import ranking
from assignments.integration.floor_cache import floor_or_none
from assignments.lifecycle import ledger
from assignments.models import (
    Allocation,
    Assignment,
    Attempt,
    Event,
    OutboxMessage,
    ReviewItem,
    SeatingChange,
    State,
    StateTransition,
)
from assignments.planning.floor import Floor
from assignments.staff import explanation, journal, labels, moments

SHOWN_STEPS = 30
"""Maximum number of steps in the list (the latest ones). The chart shows more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EntryView:
    """A line of the journal."""

    at: datetime
    correlation_id: str
    kind: str
    what: str
    words: str
    by: str = ""
    severity: str = ""
    status_class: str = ""
    url: str = ""


def _planners() -> list[tuple[str, Any]]:
    return [*labels.planners(), ("nobody", _("none yet"))]


@admin.register(Assignment)
class AssignmentAdmin(RowPageAdmin):
    row_template = "admin/assignments/booking/page.html"
    missing = gettext_lazy("Assignment %(id)s does not exist.")
    list_display = [
        booking,
        recorded("starts_at", gettext_lazy("starts (UTC)")),
        "party",
        "state_label",
        "why",
        "planned_by",
        recorded("due_at", gettext_lazy("next attempt (UTC)"), seconds=True),
    ]
    list_filter = [
        "state",
        "stage",
        ("wake_at", admin.EmptyFieldListFilter),
        known("planner", gettext_lazy("planner"), _planners, empty="nobody"),
        since("starts_at", gettext_lazy("starts"), coming=True),
    ]
    search_fields = ["=booking_ref", "=restaurant_ref"]
    ordering = ["-id"]
    indexed = frozenset({"booking_ref", "restaurant_ref", "state"})

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_label(self, assignment: Assignment) -> str:
        return labels.state(assignment.state)

    @admin.display(description=gettext_lazy("reason"))
    def why(self, assignment: Assignment) -> str:
        return labels.reason(assignment.reason)

    @admin.display(description=gettext_lazy("planner"))
    def planned_by(self, assignment: Assignment) -> str:
        return labels.planner(assignment.planner)

    def row_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        return page_of(request, row, before=_moment(request.GET.get("before", "")))


def page_of(request: HttpRequest, assignment: Assignment, *, before: datetime | None = None) -> dict[str, Any]:
    """Return the page's context. ``before``: end of the journal's window."""
    floor = floor_or_none(assignment.restaurant_ref)
    words = labels.Words(floor)
    path = journal.path_of(assignment)
    attempts, has_more_attempts = journal.attempts_of(assignment)
    found = journal.journal_of(assignment.booking_ref, before=before)
    host = host_view(assignment.booking_ref)
    steps = path.numbered[-SHOWN_STEPS:]
    rows = [row for _number, row in steps] + [each.row for each in found.entries]
    who = names({row.actor for row in rows if isinstance(row, StateTransition)})
    return {
        "title": host.label,
        "assignment": assignment,
        "host": host,
        "restaurant": restaurant_names([assignment.restaurant_ref])[assignment.restaurant_ref],
        "guest": guests_of(request, [assignment.booking_ref]).get(assignment.booking_ref),
        "zone": words.zone,
        "has_floor": floor is not None,
        "state": labels.state(assignment.state),
        "stage": labels.stage(assignment.stage),
        "status_class": _STATUS.get(State(assignment.state), "page-warning"),
        "planner": labels.planner(assignment.planner),
        "tables": words.tables(ledger.tables_of([assignment.booking_ref]).get(assignment.booking_ref, ())),
        "pinned": words.tables(assignment.pinned_table_refs),
        "sentences": explanation.sentences(assignment, words, attempts[0] if attempts else None),
        "reason": labels.reason(assignment.reason),
        "chart": statechart.draw(
            assignment.state, [(number, step.source, step.target) for number, step in path.numbered]
        ),
        "steps": [_step(number, row, who) for number, row in steps],
        "skipped_steps": path.skipped + max(len(path.steps) - SHOWN_STEPS, 0),
        "attempts": [_attempt(each, words) for each in attempts],
        "has_more_attempts": has_more_attempts,
        "entries": [_entry(request, entry, who, words) for entry in found.entries],
        "earlier": found.earlier.isoformat() if found.earlier else "",
        "is_latest": before is None,
        "links": list(_links(request, assignment, floor)),
        "urls": {
            "attempts": links.permitted(request, Attempt, q=assignment.booking_ref),
            "events": links.permitted(request, Event, booking_ref=assignment.booking_ref),
            "history": links.permitted(request, StateTransition, q=assignment.booking_ref),
        },
    }


_STATUS: Mapping[State, str] = {
    State.CONFIRMED: "page-pass",
    State.FAILED: "page-fail",
    State.MANUAL_REVIEW: "page-fail",
}


_SEVERITIES: Mapping[str, str] = {Event.Severity.WARNING: "page-warning", Event.Severity.ERROR: "page-fail"}
"""CSS class by severity. Information has none."""


def _links(request: HttpRequest, assignment: Assignment, floor: Floor | None) -> Iterator[Link]:
    waits = assignment.state == State.MANUAL_REVIEW
    for url, text in (
        (
            links.evening(request, assignment.restaurant_ref, assignment.starts_at, floor),
            _("Timeline for this evening"),
        ),
        (links.permitted(request, ReviewItem, assignment.pk) if waits else "", _("Decide in the review queue")),
        (links.permitted(request, Allocation, q=assignment.booking_ref), _("Tables in the ledger")),
    ):
        if url:
            yield Link(url=url, text=text)
    yield from links.links_of(request, assignment)


def _step(number: int, row: StateTransition, who: Mapping[str, str]) -> dict[str, Any]:
    """A transition, as text."""
    return {
        "number": number,
        "at": row.at,
        "what": _("%(transition)s: from %(source)s to %(target)s")
        % {
            "transition": labels.transition(row.name),
            "source": labels.state(row.source),
            "target": labels.state(row.target),
        },
        "reason": labels.reason(row.reason, row.detail),
        "by": who[row.actor],
    }


def _attempt(attempt: Attempt, words: labels.Words) -> dict[str, Any]:
    """An attempt, as text. ``lost`` pairs a reason with a count."""
    stored = attempt.decision or {}
    return {
        "attempt": attempt,
        "what": _attempt_in_words(attempt),
        "why": words.attempt(attempt),
        "plans": ranking(stored.get("plans") or (), words),
        "considered": stored.get("considered", 0),
        "lost": labels.lost(stored.get("rejected") or {}),
    }


def _attempt_in_words(attempt: Attempt) -> str:
    return _("Attempt %(number)s by %(planner)s, %(trigger)s: %(outcome)s") % {
        "number": attempt.number,
        "planner": labels.planner(attempt.planner),
        "trigger": labels.trigger(attempt.trigger),
        "outcome": labels.outcome(attempt.outcome),
    }


def _entry(request: HttpRequest, entry: journal.Entry, who: Mapping[str, str], words: labels.Words) -> EntryView:
    row, view = entry.row, partial(EntryView, at=entry.at, correlation_id=entry.correlation_id)
    if isinstance(row, StateTransition):
        step = _step(row.version, row, who)
        return view(kind=_("state"), what=step["what"], words=step["reason"], by=step["by"])
    if isinstance(row, SeatingChange):
        return _seating_entry(view, row, words)
    if isinstance(row, Attempt):
        return view(kind=_("attempt"), what=_attempt_in_words(row), words=labels.reason(row.reason, row.detail))
    if isinstance(row, OutboxMessage):
        return view(kind=_("message"), what=row.topic, words=_delivery(row))
    status_class = _SEVERITIES.get(row.severity, "")
    return view(
        kind=_("event"),
        what=row.type,
        words=labels.reason(str(row.context.get("reason") or "")),
        severity=row.get_severity_display() if status_class else "",
        status_class=status_class,
        url=links.permitted(request, Event, row.pk),
    )


def _seating_entry(view: Callable[..., EntryView], row: SeatingChange, words: labels.Words) -> EntryView:
    """Return the recorded change of a seating, or of the guests' stage, as an entry of the history."""
    if row.what == SeatingChange.What.STAGE:
        stages = {"before": labels.stage(row.previous_stage), "after": labels.stage(row.stage)}
        return view(kind=_("guests"), what=_("%(before)s, now %(after)s") % stages, words="")
    what = _("%(tables)s: %(what)s") % {"tables": words.tables([row.table_ref]), "what": row.get_what_display()}
    if row.starts_at is None or row.ends_at is None:
        return view(kind=_("seating"), what=what, words="")
    times = {"start": moments.moment(row.starts_at, words.zone), "end": f"{row.ends_at.astimezone(words.zone):%H:%M}"}
    return view(kind=_("seating"), what=what, words=_("%(start)s to %(end)s") % times)


def _delivery(message: OutboxMessage) -> str:
    if message.delivered_at is not None:
        return _("Delivered.")
    if message.last_error:
        return _("Not delivered yet; %(count)s failed attempts, the last with %(error)s.") % {
            "count": message.attempts,
            "error": message.last_error,
        }
    return _("Not delivered yet.")


def _moment(text: str) -> datetime | None:
    """Parse the time in a link of this page. Returns None for anything else."""
    try:
        moment = parse_datetime(text)
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
