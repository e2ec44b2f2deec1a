"""The assignment: one row per booking that needs a table, and its state machine.

Long because the row, its transitions and the one guarded query that stores them have to agree.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, FSMModelMixin, TransitionNotAllowed, transition

from assignments.exceptions import StaleAssignmentError, TransitionRefusedError
from assignments.models.insertion import as_json
from assignments.models.moment import UpdatedAtField
from assignments.models.prepared import prepared_cursor
from assignments.models.transition import NewTransition

_T = TypeVar("_T", bound=Callable[..., Any])


class State(models.TextChoices):
    """State of an assignment. The last four are terminal for planners; only the host or staff can change them."""

    CREATED = "created", _("created")
    CAPACITY_VERIFIED = "capacity_verified", _("capacity verified")
    ASSIGNMENT_PENDING = "assignment_pending", _("assignment pending")
    ASSIGNMENT_IN_PROGRESS = "assignment_in_progress", _("assignment in progress")
    ASSIGNED = "assigned", _("assigned")
    CONFIRMED = "confirmed", _("confirmed")
    FAILED = "failed", _("failed")
    MANUAL_REVIEW = "manual_review", _("manual review")
    CANCELLED = "cancelled", _("cancelled")


class Stage(models.TextChoices):
    """The guests' stage, as the host or staff report it. Independent of the state."""

    EXPECTED = "expected", _("expected")
    LATE = "late", _("late")
    ARRIVED = "arrived", _("arrived")
    SEATED = "seated", _("seated")
    LEFT = "left", _("left")
    NO_SHOW = "no_show", _("no show")


GONE = frozenset({Stage.LEFT, Stage.NO_SHOW})
"""Stages of guests who need no table any more."""

TERMINAL_STATES = frozenset({State.CONFIRMED, State.FAILED, State.MANUAL_REVIEW, State.CANCELLED})
OPEN_STATES = frozenset(State) - TERMINAL_STATES


def _records_history(transition_method: _T) -> _T:
    """Wrap a django-fsm transition so that it adds an unsaved history row and a new version to the instance."""

    def record(self: Assignment, *, actor: str, reason: str = "", detail: str = "") -> None:
        source = self.state
        try:
            transition_method(self, actor=actor, reason=reason, detail=detail)
        except TransitionNotAllowed as error:
            problem = (
                f"The assignment of booking {self.booking_ref} is {source}: it cannot {transition_method.__name__}."
            )
            raise TransitionRefusedError(problem, booking_ref=self.booking_ref) from error
        self.version += 1
        self.reason = reason
        row = NewTransition(
            assignment_id=self.pk,
            booking_ref=self.booking_ref,
            version=self.version,
            name=transition_method.__name__,
            source=source,
            target=self.state,
            planner=self.planner,
            actor=actor,
            reason=reason,
            detail=detail,
        )
        self.unsaved_transitions.append(row)

    record.__name__ = transition_method.__name__
    record.__doc__ = transition_method.__doc__
    record._django_fsm = transition_method._django_fsm  # type: ignore[attr-defined]  # noqa: SLF001
    return record  # type: ignore[return-value]


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def open(self) -> AssignmentQuerySet:
        """Return assignments that a planner still has to decide."""
        return self.filter(state__in=OPEN_STATES)

    def due(self, at: datetime) -> AssignmentQuerySet:
        """Return open assignments whose next attempt is due at ``at``, and those in review that were woken by then."""
        is_woken = models.Q(state=State.MANUAL_REVIEW, wake_at__lte=at)
        return self.filter(models.Q(state__in=OPEN_STATES, due_at__lte=at) | is_woken)

    def waiting(self) -> AssignmentQuerySet:
        """Return assignments that wait for a table: open ones that no planner has begun, and woken ones in review."""
        return self.filter(
            models.Q(state__in=[State.CREATED, State.CAPACITY_VERIFIED, State.ASSIGNMENT_PENDING])
            | models.Q(state=State.MANUAL_REVIEW, wake_at__isnull=False)
        )

    def with_earlier(self, booking_refs: Sequence[str], *, due_before: datetime | None = None) -> AssignmentQuerySet:
        """Return these bookings, and waiting ones that asked before the last of them, in the order in which they asked.

        With ``due_before``, also include all others that are due then.
        """
        last = (
            Assignment.objects.filter(booking_ref__in=booking_refs).order_by("-requested_at").values("requested_at")[:1]
        )
        earlier = self.waiting().filter(requested_at__lt=models.Subquery(last))
        found = self.filter(booking_ref__in=booking_refs) | earlier
        if due_before is not None:
            found |= self.due(due_before)
        return found.order_by("requested_at", "id")

    def of_day(self, restaurant_ref: str, service_date: Any) -> AssignmentQuerySet:
        return self.filter(restaurant_ref=restaurant_ref, service_date=service_date)

    def days(self) -> list[tuple[str, Any]]:
        """Return the service days of these bookings, by their promises and their edits. One query."""
        columns = ("restaurant_ref", "service_date", "asked_restaurant_ref", "asked_date")
        found = dict.fromkeys(
            day
            for ref, date, asked_ref, asked in self.values_list(*columns)
            for day in ((ref, date), (asked_ref, asked))
        )
        return [day for day in found if day[0] is not None]

    def asking_for(self, restaurant_ref: str, service_date: Any) -> AssignmentQuerySet:
        """Return the bookings of a service day, and those whose edit asks for that day."""
        instead = models.Q(asked_restaurant_ref=restaurant_ref, asked_date=service_date, wish_settled=False)
        return self.filter(models.Q(restaurant_ref=restaurant_ref, service_date=service_date) | instead)

    def of_restaurants(self, restaurant_refs: Iterable[str]) -> AssignmentQuerySet:
        """Return the bookings of these restaurants, and those whose undecided edit asks for one of them."""
        refs = sorted(restaurant_refs)
        instead = models.Q(asked_restaurant_ref__in=refs, wish_settled=False, state=State.MANUAL_REVIEW)
        return self.filter(models.Q(restaurant_ref__in=refs) | instead)

    def of(self, booking_ref: str) -> AssignmentQuerySet:
        """Return the booking's assignment, if any. A ref with a NUL matches none, because PostgreSQL cannot store it."""
        return self.none() if "\0" in booking_ref else self.filter(booking_ref=booking_ref)

    def claim(self) -> AssignmentQuerySet:
        """Lock the rows until the transaction ends, skipping rows that are already locked."""
        return self.select_for_update(skip_locked=True)

    def persist(self, assignments: Iterable[Assignment], *, correlation_id: uuid.UUID) -> None:
        """Store transitions made in memory, and their history with ``correlation_id``, in one query.

        Must run inside a transaction. Raises StaleAssignmentError if any
        row has changed since it was read; the caller must then roll back. Afterwards the instances have no unsaved
        changes.
        """
        changed = [assignment for assignment in assignments if assignment.is_changed]
        if not changed:
            return
        with prepared_cursor(self.db) as cursor:
            cursor.execute(
                _GUARDED_UPDATE_WITH_HISTORY,
                [
                    as_json([_stored_columns(assignment) for assignment in changed]),
                    correlation_id,
                    as_json([row for assignment in changed for row in assignment.unsaved_transitions]),
                ],
            )
            updated = {pk for (pk,) in cursor.fetchall()}
        stale = [assignment.booking_ref for assignment in changed if assignment.pk not in updated]
        if stale:
            raise StaleAssignmentError(stale)
        for assignment in changed:
            assignment.mark_stored()


_STORED = (
    "version",
    "state",
    "planner",
    "attempts",
    "due_at",
    "reason",
    "restaurant_ref",
    "service_date",
    "starts_at",
    "party",
    "zone_ref",
    "service_rule",
    "asked_until",
    "stage",
    "stage_at",
    "table_told",
    "moves",
    "pinned_table_refs",
    "told_table_refs",
    "needs",
    "wishes",
    "asked_restaurant_ref",
    "asked_date",
    "asked_starts_at",
    "asked_ends_at",
    "asked_party",
    "asked_zone_ref",
    "asked_needs",
    "wish_settled",
)
"""The columns that ``persist`` stores."""


def _stored_columns(assignment: Assignment) -> dict[str, Any]:
    stored = {name: getattr(assignment, name) for name in _STORED}
    return {
        **stored,
        "id": assignment.pk,
        "stored_version": assignment.stored_version,
        "asked_needs": assignment.asked_needs or None,
    }


_GUARDED_UPDATE_WITH_HISTORY = f"""
WITH updated AS (
    UPDATE assignments_assignment AS stored
       SET {", ".join(f"{name} = given.{name}" for name in _STORED)},
           wake_at = CASE WHEN given.state = 'manual_review' THEN stored.wake_at END,
           deaths = CASE WHEN given.state IN ('assignment_in_progress', 'assigned') THEN stored.deaths ELSE 0 END,
           updated_at = assignments_now()
      FROM (SELECT set_config('assignments.knows_wishes', 'on', true) AS is_said) AS writer,
           (SELECT changed.*, (each ->> 'stored_version')::int AS stored_version
              FROM json_array_elements(%s) AS each,
                   json_populate_record(NULL::assignments_assignment, each) AS changed) AS given
     WHERE stored.id = given.id AND stored.version = given.stored_version AND writer.is_said = 'on'
    RETURNING stored.id
), history AS (
    INSERT INTO assignments_statetransition
           (correlation_id, assignment_id, version, booking_ref, name, source, target, planner, actor, reason, detail)
    SELECT %s::uuid, assignment_id, version, booking_ref, name, source, target, planner, actor, reason, detail
      FROM json_populate_recordset(NULL::assignments_statetransition, %s) AS made
     WHERE made.assignment_id IN (SELECT id FROM updated)
     ORDER BY made.assignment_id, made.version
)
SELECT id FROM updated
"""  # noqa: S608  (the names are written above)
"""The history of a row that somebody else has changed is not inserted: it would break the history's uniqueness before
``StaleAssignmentError`` could say what happened.

``writer`` tells the triggers, for this transaction, that a release writes which knows what is asked for instead: they mend
what earlier ones write. No row is joined, and so none is updated, before it has said that."""


SERVICE_RULE = 1
"""How service days are told today: see ``assignments.planning.service_day``."""


class Assignment(FSMModelMixin, models.Model):
    """The assignment of tables to a booking.

    The booking belongs to the host and is known here only by its ref. ``planner`` is the planner that claimed it, until
    it is terminal or handed back. ``due_at`` is the time of the next attempt, by the database clock. Transitions change
    the instance only; ``Assignment.objects.persist`` stores them with their history.
    """

    State = State

    booking_ref = models.TextField(unique=True)
    restaurant_ref = models.TextField()
    service_date = models.DateField(help_text=_("Local date on which the booking's service starts."))
    service_rule = models.PositiveSmallIntegerField(
        null=True,
        default=SERVICE_RULE,
        editable=False,
        help_text=_("Rule of its service day. Null: local date of its start, as earlier releases stored it."),
    )
    starts_at = models.DateTimeField()
    party = models.IntegerField(help_text=_("Covers."))
    zone_ref = models.TextField(  # noqa: DJ001  (null and empty differ)
        null=True, blank=True, help_text=_("Zone requested when it was last planned. Null: not recorded; empty: none.")
    )
    state = FSMField(
        default=State.CREATED, choices=State.choices, protected=True, editable=False, verbose_name=_("state")
    )
    version = models.IntegerField(default=0, editable=False)
    planner = models.TextField(blank=True, default="", help_text=_("Planner that claimed it; empty until then."))
    attempts = models.IntegerField(default=0)
    due_at = models.DateTimeField(null=True, blank=True, help_text=_("Time of the next attempt; empty once decided."))
    reason = models.TextField(blank=True, default="", help_text=_("Reason code of the last transition."))
    pinned_table_refs = ArrayField(models.TextField(), default=list, blank=True)
    asked_until = models.DateTimeField(
        null=True, blank=True, help_text=_("End of the stay that the host gave when it was last planned, if any.")
    )
    asked_restaurant_ref = models.TextField(  # noqa: DJ001  (null: nothing else is asked for)
        null=True, blank=True, help_text=_("Restaurant that the guest asks for instead of what was promised.")
    )
    asked_date = models.DateField(null=True, blank=True, help_text=_("Service day that the guest asks for instead."))
    asked_starts_at = models.DateTimeField(null=True, blank=True, help_text=_("Start that the guest asks for instead."))
    asked_ends_at = models.DateTimeField(
        null=True, blank=True, help_text=_("End, if any, that the host gives for what the guest asks for instead.")
    )
    asked_party = models.IntegerField(null=True, blank=True, help_text=_("Covers that the guest asks for instead."))
    asked_zone_ref = models.TextField(  # noqa: DJ001  (as zone_ref)
        null=True, blank=True, help_text=_("Zone that the guest asks for instead.")
    )
    asked_needs = ArrayField(
        models.TextField(), null=True, blank=True, help_text=_("Needs of what the guest asks for instead.")
    )
    wish_settled = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text=_("Whether nothing more is to be decided about what the guest asks for instead."),
    )
    stage = models.TextField(choices=Stage.choices, default=Stage.EXPECTED, db_default=Stage.EXPECTED)
    stage_at = models.DateTimeField(null=True, blank=True, help_text=_("Time of the last change of stage."))
    told_table_refs = ArrayField(
        models.TextField(),
        null=True,
        blank=True,
        help_text=_("Tables that the host was last told. Null: not recorded."),
    )
    wake_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("Time at which a table may have become free for it; empty once that has been tried."),
    )
    wakes = models.IntegerField(default=0, db_default=0, help_text=_("Number of these attempts that seated nobody."))
    table_told = models.BooleanField(
        default=False, db_default=False, help_text=_("Whether its guests have been told their table, so that it stays.")
    )
    moves = models.IntegerField(
        default=0, db_default=0, help_text=_("How often V3 has moved it to seat somebody else.")
    )
    needs = ArrayField(
        models.TextField(),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("Features that every table of this booking must have."),
    )
    wishes = ArrayField(
        models.TextField(),
        default=list,
        db_default=[],
        blank=True,
        help_text=_("Features that its tables should have if possible."),
    )
    told_needs = ArrayField(
        models.TextField(), default=list, db_default=[], blank=True, help_text=_("Needs that the host does not store.")
    )
    told_wishes = ArrayField(
        models.TextField(), default=list, db_default=[], blank=True, help_text=_("Wishes that the host does not store.")
    )
    deaths = models.IntegerField(
        default=0,
        db_default=0,
        editable=False,
        verbose_name=_("deaths"),
        help_text=_("How often the process that was deciding it has died since the last decision."),
    )
    requested_at = models.DateTimeField()
    updated_at = UpdatedAtField()

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        ordering = ["starts_at", "id"]
        verbose_name = _("assignment")
        verbose_name_plural = _("assignments")
        indexes = [
            models.Index(
                fields=["due_at", "restaurant_ref", "service_date"],
                condition=models.Q(due_at__isnull=False),
                name="assignment_due",
            ),
            models.Index(
                fields=["wake_at", "restaurant_ref", "service_date"],
                condition=models.Q(wake_at__isnull=False),
                name="assignment_woken",
            ),
            models.Index(fields=["restaurant_ref", "service_date"], name="assignment_day"),
            models.Index(
                fields=["asked_restaurant_ref", "asked_starts_at"],
                condition=models.Q(asked_starts_at__isnull=False),
                name="assignment_asked",
            ),
            models.Index(
                fields=["asked_restaurant_ref", "asked_date"],
                condition=models.Q(asked_date__isnull=False),
                name="assignment_asked_day",
            ),
            models.Index(fields=["state", "starts_at"], name="assignment_state"),
            models.Index(
                fields=["starts_at"], condition=models.Q(service_rule__isnull=True), name="assignment_by_calendar"
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(state__in=sorted(State)), name="assignment_state_known"),
            models.CheckConstraint(
                # An open assignment without a due date would never be planned again: a lost booking.
                condition=models.Q(state__in=sorted(TERMINAL_STATES), due_at__isnull=True)
                | models.Q(state__in=sorted(OPEN_STATES), due_at__isnull=False),
                name="assignment_open_iff_due",
            ),
            models.CheckConstraint(condition=models.Q(stage__in=sorted(Stage)), name="assignment_stage_known"),
            models.CheckConstraint(
                condition=models.Q(wake_at__isnull=True) | models.Q(state="manual_review"),
                name="assignment_woken_in_review",
            ),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unsaved_transitions: list[NewTransition] = []
        # Reads __dict__, so that deferred fields are not loaded here.
        self.stored_version: int = self.__dict__.get("version", 0)
        self.stored_state: str = self.__dict__.get("state", State.CREATED)

    def __str__(self) -> str:
        return f"{self.booking_ref}: {self.state}"

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL_STATES

    @property
    def is_woken(self) -> bool:
        """Return whether it waits for staff, and a table may have become free for it."""
        return self.state == State.MANUAL_REVIEW and self.wake_at is not None

    @property
    def has_wish(self) -> bool:
        """Return whether its guest asks for something other than was promised, even if staff have rejected that."""
        return self.asked_starts_at is not None

    @property
    def is_wish_undecided(self) -> bool:
        """Return whether the guest's edit still needs a decision."""
        return self.has_wish and not self.wish_settled

    @property
    def days(self) -> frozenset[tuple[str, Any]]:
        """Return the service days (restaurant ref and date) of the promise and of the edit."""
        days: set[tuple[str, Any]] = {(self.restaurant_ref, self.service_date)}
        if self.asked_restaurant_ref is not None:
            days.add((self.asked_restaurant_ref, self.asked_date))
        return frozenset(days)

    @property
    def last_asked(self) -> tuple[str | None, datetime | None, int | None]:
        """Return the restaurant, start and covers for which the guest asked last, granted or not."""
        if self.has_wish:
            return self.asked_restaurant_ref, self.asked_starts_at, self.asked_party
        return self.restaurant_ref, self.starts_at, self.party

    @property
    def start_to_decide(self) -> datetime:
        """Return the start about which staff decide: the requested one if it differs from the confirmed one."""
        asked = self.asked_starts_at if self.state == State.MANUAL_REVIEW else None
        start: datetime = self.starts_at if asked is None else asked
        return start

    @property
    def party_to_decide(self) -> int:
        """Return the covers about which staff decide: the requested number if it differs from the confirmed one."""
        asked = self.asked_party if self.state == State.MANUAL_REVIEW else None
        party: int = self.party if asked is None else asked
        return party

    def forget_wish(self) -> None:
        """Forget the edit, in memory: it is promised now, or no longer asked for."""
        self.asked_restaurant_ref = self.asked_date = self.asked_starts_at = self.asked_ends_at = None
        self.asked_party = self.asked_zone_ref = self.asked_needs = None
        self.wish_settled = False

    def take_up_wish(self) -> None:
        """Make the edit the assignment's own facts, in memory, because nothing is promised any more."""
        if self.asked_restaurant_ref is None or self.asked_date is None or self.asked_starts_at is None:
            return
        if (self.asked_restaurant_ref, self.asked_date) != (self.restaurant_ref, self.service_date):
            self.table_told = False  # That was a table of another evening.
        self.restaurant_ref, self.service_date = self.asked_restaurant_ref, self.asked_date
        self.starts_at, self.party = self.asked_starts_at, self.asked_party or self.party
        self.asked_until, self.zone_ref, self.needs = (
            self.asked_ends_at,
            self.asked_zone_ref,
            list(self.asked_needs or ()),
        )
        self.forget_wish()

    @property
    def is_changed(self) -> bool:
        """Return whether there are changes that ``persist`` has not stored yet."""
        return bool(self.unsaved_transitions) or self.version != self.stored_version

    def mark_stored(self) -> None:
        """Mark all changes as stored."""
        self.unsaved_transitions = []
        self.stored_version = self.version
        self.stored_state = self.state

    def touch(self) -> None:
        """Add a version for a change without a transition (planner, due date, pins), so that it is guarded too."""
        self.version += 1

    @_records_history
    @transition(field=state, source=State.CREATED, target=State.CAPACITY_VERIFIED)
    def verify_capacity(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Mark the request as valid and its floor as available."""

    @_records_history
    @transition(field=state, source=State.CAPACITY_VERIFIED, target=State.ASSIGNMENT_PENDING)
    def queue(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Queue it for a planner."""

    @_records_history
    @transition(field=state, source=State.ASSIGNMENT_PENDING, target=State.ASSIGNMENT_IN_PROGRESS)
    def begin(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Mark it as being planned."""

    @_records_history
    @transition(field=state, source=State.ASSIGNMENT_IN_PROGRESS, target=State.ASSIGNED)
    def assign(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Mark its tables as occupied in the ledger."""

    @_records_history
    @transition(field=state, source=State.ASSIGNED, target=State.CONFIRMED)
    def confirm(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Mark its tables as known to the host."""
        self.due_at = None

    @_records_history
    @transition(
        field=state,
        source=[State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED],
        target=State.ASSIGNMENT_PENDING,
    )
    def put_back(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Return it to the queue for a retry at ``due_at``, which the caller sets."""

    @_records_history
    @transition(
        field=state,
        source=[State.ASSIGNMENT_PENDING, State.ASSIGNMENT_IN_PROGRESS, State.ASSIGNED, State.CONFIRMED],
        target=State.MANUAL_REVIEW,
    )
    def send_to_review(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Send it to staff for a decision. A confirmed one keeps its tables meanwhile."""
        self.due_at = None

    @_records_history
    @transition(field=state, source=[State.CONFIRMED, State.MANUAL_REVIEW], target=State.CONFIRMED)
    def reseat(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Mark that other tables or another time replace those that it has."""
        self.due_at = None

    @_records_history
    @transition(field=state, source=[State.MANUAL_REVIEW, State.FAILED], target=State.CONFIRMED)
    def restore(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Mark that it keeps its tables, because staff no longer have to decide about them."""
        self.due_at = None

    @_records_history
    @transition(
        field=state,
        source=[
            State.CREATED,
            State.CAPACITY_VERIFIED,
            State.ASSIGNMENT_PENDING,
            State.ASSIGNMENT_IN_PROGRESS,
        ],
        target=State.FAILED,
    )
    def fail(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Mark the request as one that cannot be planned."""
        self.due_at = None

    @_records_history
    @transition(
        field=state,
        source=[State.CONFIRMED, State.FAILED, State.MANUAL_REVIEW, State.CANCELLED],
        target=State.ASSIGNMENT_PENDING,
    )
    def reopen(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Queue it again for host or staff, for any planner. The caller sets ``due_at``."""
        self.attempts = 0
        self.planner = ""

    @_records_history
    @transition(field=state, source="+", target=State.CANCELLED)
    def cancel(self, *, actor: str, reason: str = "", detail: str = "") -> None:
        """Mark the booking as cancelled by the host."""
        self.due_at = None
