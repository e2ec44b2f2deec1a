"""The review queue's pages and buttons. All changes go through ``assignments.api``."""

import logging
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from assignments import api
from assignments.admin import project_refusal
from assignments.admin.actor import actor, names
from assignments.admin.host_lookup import label_of
from assignments.admin.page import PageAdmin
from assignments.admin.restaurants import bookings_of
from assignments.admin.review import item, queue, sentences
from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.exceptions import (
    AssignmentNotFoundError,
    BookingBusyError,
    BookingNotFoundError,
    ChangedMeanwhileError,
    InvalidBookingError,
    LockContentionError,
    NestedTransactionError,
    StaleAssignmentError,
    TablesRefusedError,
    TableTakenError,
    TransitionRefusedError,
)
from assignments.integration.floor_cache import floor_or_none
from assignments.lifecycle import staff_decisions
from assignments.models import Assignment, ReviewItem
from assignments.outcome import Change, Outcome
from assignments.planning.reasons import OVERRIDABLE, Reason
from assignments.staff import review_queue

logger = logging.getLogger("assignments.review")

LIST = "admin:assignments_reviewitem_changelist"
ITEM = "admin:assignments_reviewitem_change"
TRY_SECONDS = 3.0
"""Maximum seconds that a user waits for a retry. After that the next run does it."""

BUSY = (BookingBusyError, LockContentionError, StaleAssignmentError, TableTakenError)
GONE = (AssignmentNotFoundError, BookingNotFoundError, InvalidBookingError)


@admin.register(ReviewItem)
class ReviewItemAdmin(PageAdmin):
    """Shows the queue in place of a list, and a booking's options in place of a form."""

    template = "admin/assignments/page/review.html"
    title = gettext_lazy("Review queue")
    buttons = ("assign", "retry", "reject")
    """A user who may take an action may also undo it."""

    def page_context(self, request: HttpRequest) -> dict[str, Any]:
        return {**queue.page_context(request), "done": self._done(request)}

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method == "POST":  # Decisions have their own URLs.
            raise PermissionDenied
        return self._item(request, self._assignment(request, object_id), **(extra_context or {}))

    def get_urls(self) -> list[URLPattern]:
        def button(name: str, view: Callable[[HttpRequest, Assignment], HttpResponse], *needed: str) -> URLPattern:
            def press(request: HttpRequest, pk: int) -> HttpResponse:
                if not any(self.may(request)[each] for each in needed):
                    raise PermissionDenied
                if request.method != "POST":
                    return HttpResponseNotAllowed(["POST"])
                return view(request, self._assignment(request, pk))

            return path(f"<int:pk>/{name}/", self.admin_site.admin_view(press), name=f"assignments_reviewitem_{name}")

        return [
            button("assign", self.assign, "assign"),
            button("retry", self.retry, "retry"),
            button("reject", self.reject, "reject"),
            button("undo", self.undo, "assign", "reject"),
            *super().get_urls(),
        ]

    # Buttons

    def assign(self, request: HttpRequest, assignment: Assignment) -> HttpResponse:
        """Assign an option's tables or the selected ones, or only check them."""
        table_refs = list(dict.fromkeys(filter(None, request.POST.getlist("tables"))))
        overriding = [Reason(each) for each in request.POST.getlist("overriding") if each in OVERRIDABLE]

        def check() -> Callable[[], HttpResponse]:
            refusals = api.judge(booking_ref=assignment.booking_ref, table_refs=table_refs)
            return lambda: self._item(request, assignment, chosen=table_refs, refusals=refusals)

        def work() -> Callable[[], HttpResponse]:
            _must_wait(assignment, _version(request))
            try:
                outcome = api.assign(
                    booking_ref=assignment.booking_ref,
                    table_refs=table_refs,
                    actor=actor(request),
                    version=_version(request),
                    overriding=overriding,
                )
            except TablesRefusedError as error:
                refusals = error.refusals
                return lambda: self._item(request, assignment, chosen=table_refs, refusals=refusals)
            return lambda: done(outcome)

        def done(outcome: Outcome) -> HttpResponse:
            given = sentences.tables(table_refs, floor_or_none(assignment.restaurant_ref))
            label = label_of(assignment.booking_ref)
            said = _("%(booking)s is assigned to %(tables)s.") % {"booking": label, "tables": given}
            answer = self._decided(request, assignment, said)
            if outcome.passed:
                messages.warning(request, sentences.passed([label_of(ref) for ref in outcome.passed]))
            return answer

        return self._carry_out(request, assignment, check if "check" in request.POST else work)

    def retry(self, request: HttpRequest, assignment: Assignment) -> HttpResponse:
        """Retry the booking, immediately if possible."""

        def work() -> Callable[[], HttpResponse]:
            change = api.reopen(booking_ref=assignment.booking_ref, actor=actor(request), version=_version(request))
            if change is Change.REQUESTED:
                return lambda: self._to_list(request, _tried_again(assignment))
            return lambda: self._to_list(request, sentences.settled(change, label_of(assignment.booking_ref)))

        return self._carry_out(request, assignment, work)

    def reject(self, request: HttpRequest, assignment: Assignment) -> HttpResponse:
        """Reject the booking, with a reason."""
        reason = request.POST.get("reason", "")

        def work() -> Callable[[], HttpResponse]:
            try:
                api.reject(
                    booking_ref=assignment.booking_ref,
                    actor=actor(request),
                    reason=reason,
                    version=_version(request),
                )
            except ValueError:
                longest = {"count": staff_decisions.LONGEST_REASON}
                problem = _("Enter a reason of at most %(count)s characters.") % longest
                return lambda: self._item(request, assignment, reject_problem=problem, reject_reason=reason)
            assignment.refresh_from_db()
            keeps = assignment.reason == staff_decisions.EDIT_REJECTED
            text = (
                _("The change of %(booking)s has been rejected. It keeps what it was promised.")
                if keeps
                else _("%(booking)s has been rejected.")
            )
            said = text % {"booking": label_of(assignment.booking_ref)}
            return lambda: self._decided(request, assignment, said)

        return self._carry_out(request, assignment, work)

    def undo(self, request: HttpRequest, assignment: Assignment) -> HttpResponse:
        """Undo the last decision."""
        undoable = staff_decisions.undoable(assignment)
        if not self.may(request)[_needed_for(undoable) if undoable else "assign"]:
            raise PermissionDenied
        text = _("Undone: %(booking)s is back in the queue.")
        if undoable is not None and undoable.is_for_a_planner:
            text = _("Undone: a planner decides %(booking)s.")

        def work() -> Callable[[], HttpResponse]:
            api.undo(booking_ref=assignment.booking_ref, actor=actor(request), version=_version(request))
            return done

        def done() -> HttpResponse:
            messages.success(request, text % {"booking": label_of(assignment.booking_ref)})
            return HttpResponseRedirect(self._item_url(request, assignment))

        return self._carry_out(request, assignment, work)

    # Shared by the buttons

    def _carry_out(
        self, request: HttpRequest, assignment: Assignment, work: Callable[[], Callable[[], HttpResponse]]
    ) -> HttpResponse:
        """Run an action and return its response, or say why nothing was changed and show the current state."""
        try:
            answer = work()
        except ChangedMeanwhileError:
            said = self._meanwhile(assignment, _version(request))
        except TransitionRefusedError as error:
            if project_refusal.is_by_constraint(error):
                said = project_refusal.sentence(error)
            else:
                said = self._meanwhile(assignment, assignment.version)
        except BUSY:
            said = _("Nothing was changed: a planner or another user is processing this booking. Try again.")
        except GONE:
            said = _("Nothing was changed: the booking was cancelled, is over, or was changed in the booking project.")
        except Exception as error:
            if transactions.is_database_away(error):
                raise
            if transactions.is_lost_race(error):
                said = _("Nothing was changed: a planner or another user is processing this evening. Try again.")
            else:  # Most likely from the host. Logged by type, because its message may name a guest.
                log_error(logger, error, "The host raised an error when reading booking %s", assignment.booking_ref)
                said = project_refusal.sentence(error)
        else:
            return answer()
        messages.error(request, said)
        return HttpResponseRedirect(self._item_url(request, assignment))

    def _meanwhile(self, assignment: Assignment, version: int) -> str:
        changes = review_queue.changes_since(assignment, version)
        when = changes[-1].at.astimezone(_zone(assignment)) if changes else None
        return sentences.meanwhile(
            changes,
            who=names({each.actor for each in changes}),
            when=f"{when:%H:%M} ({when.tzinfo})" if when else "",
        )

    def _item(self, request: HttpRequest, assignment: Assignment, **values: Any) -> HttpResponse:
        asked = {name: values.pop(name) for name in ("chosen", "refusals") if name in values}
        assignment.refresh_from_db()
        found = item.context(request, assignment, **asked)
        may = self.may(request)
        undo = found["undo"]
        context = {
            **self.admin_site.each_context(request),
            "title": found["label"],
            "opts": self.opts,
            "may": may,
            **found,
            "may_undo": undo is not None and may[_needed_for(undo)],
            "longest_reason": staff_decisions.LONGEST_REASON,
            "kept": queue.kept(request),
            **values,
        }
        return TemplateResponse(request, "admin/assignments/page/review_item.html", context)

    def _done(self, request: HttpRequest) -> dict[str, Any] | None:
        """Return the last decision, if it can be undone."""
        key = request.GET.get("done", "")
        theirs = bookings_of(request)
        assignment = theirs.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 19 else None
        undoable = staff_decisions.undoable(assignment) if assignment else None
        if assignment is None or undoable is None or not self.may(request)[_needed_for(undoable)]:
            return None
        return {"assignment": assignment, "label": label_of(assignment.booking_ref), "undo": undoable}

    def _decided(self, request: HttpRequest, assignment: Assignment, said: str) -> HttpResponse:
        return self._to_list(request, said, done=str(assignment.pk))

    def _to_list(self, request: HttpRequest, said: str, **values: str) -> HttpResponse:
        messages.success(request, said)
        return HttpResponseRedirect(reverse(LIST, current_app=self.admin_site.name) + queue.kept(request, **values))

    def _item_url(self, request: HttpRequest, assignment: Assignment) -> str:
        return reverse(ITEM, args=[assignment.pk], current_app=self.admin_site.name) + queue.kept(request)

    @staticmethod
    def _assignment(request: HttpRequest, pk: int | str) -> Assignment:
        key, theirs = str(pk), bookings_of(request)
        found = theirs.filter(pk=int(key)).first() if key.isdecimal() and len(key) < 19 else None
        if found is None:
            raise Http404(_("This booking does not exist."))
        return found


def _needed_for(undoable: staff_decisions.Undoable) -> str:
    return "assign" if undoable.what is staff_decisions.Undo.ASSIGNMENT else "reject"


def _must_wait(assignment: Assignment, version: int) -> None:
    """Refuse bookings that are not waiting for staff. ``api.assign`` itself would also move seated guests.

    Checks the booking as read, at the form's version. The version detects later changes.
    """
    if assignment.version == version and assignment.state not in staff_decisions.WAITING_FOR_STAFF:
        problem = f"Booking {assignment.booking_ref} is {assignment.state}: it is not waiting for staff."
        raise TransitionRefusedError(problem)


def _tried_again(assignment: Assignment) -> str:
    """Retry the booking immediately and describe the outcome. If this fails, the next run retries it."""
    label = label_of(assignment.booking_ref)
    try:
        outcome = api.assign_now(booking_ref=assignment.booking_ref, budget_seconds=TRY_SECONDS)
    except NestedTransactionError:  # The project runs requests in transactions.
        pass
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        log_error(logger, error, "Booking %s could not be retried", assignment.booking_ref)
    else:
        return sentences.tried_again(outcome, label, floor_or_none(assignment.restaurant_ref))
    return _("The next run will retry %(booking)s.") % {"booking": label}


def _zone(assignment: Assignment) -> tzinfo:
    floor = floor_or_none(assignment.restaurant_ref)
    return floor.zone if floor else UTC


def _version(request: HttpRequest) -> int:
    """Return the form's version, or one that no booking has if it is missing."""
    text = request.POST.get("version", "")
    return int(text) if text.isdecimal() and len(text) < 10 else -1
