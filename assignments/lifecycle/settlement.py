"""Settling: the decisions of one transaction are collected, then written together.

A planner adds its decision on each booking; ``write`` then takes the tables, stores transitions and attempts, and tells
the host, each in bulk. All of it commits, or none.

Long because every decision on a booking ends here, and ``write`` has to know all of them.
"""

import logging
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack

from assignments.concurrency import transactions
from assignments.error_logging import log_error
from assignments.exceptions import MovesRefusedError
from assignments.integration import release
from assignments.integration.host import Host, Move, Seating, named_refusals, tell_of_moves
from assignments.integration.planners import MANUAL, Batch, KeepsBatches, router
from assignments.lifecycle import ledger, retry_policy, sentences, transitions, waiting
from assignments.lifecycle.staff_decisions import STAFF
from assignments.models import GONE, Allocation, Assignment, NewAttempt, NewMessage, Stage, State
from assignments.outcome import Kind, Outcome
from assignments.planning.decision import Decision
from assignments.planning.reasons import Refusal
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.text import Text
from assignments.telemetry import correlation

logger = logging.getLogger("assignments.settlement")

REARRANGED = "rearranged"
"""Reason code: a confirmed booking has other tables, so that somebody else can be seated."""


class Basis(TypedDict, total=False):
    """The basis of an outcome. ``detail``: text for the history. ``unexpected``: an error led to it."""

    detail: str
    decision: Decision | None
    decision_ms: float
    unexpected: bool


@dataclass(kw_only=True)
class Settlement:
    """The decisions of one transaction. ``now`` is database time; ``actor`` is the planner's key or ``staff:<id>``.

    ``resumes``: the planner began the bookings in an earlier transaction, and counted the attempt then. ``tells_host``:
    False if the host decided by itself. ``batch``: the key under which the router keeps the planned batch. ``placed``:
    the windows of bookings that were seated or moved, by ref.
    """

    host: Host
    planner: str
    actor: str
    trigger: str
    now: datetime
    resumes: bool = False
    tells_host: bool = True
    batch: uuid.UUID | None = None
    correlation_id: uuid.UUID = field(default_factory=correlation.id_or_new)
    outcomes: list[Outcome] = field(default_factory=list)
    placed: dict[str, SeatingWindow] = field(default_factory=dict)
    _changed: dict[int, Assignment] = field(default_factory=dict)
    """By primary key, in the order in which they were first changed."""
    _placements: list[ledger.Placement] = field(default_factory=list)
    _vacated: list[tuple[list[Allocation], bool]] = field(default_factory=list)
    _moves: list[Move] = field(default_factory=list)
    _rearranges: bool = False
    _messages: list[NewMessage] = field(default_factory=list)
    _seatings: list[Seating] = field(default_factory=list)
    _reviews: dict[str, str] = field(default_factory=dict)
    _attempts: list[NewAttempt] = field(default_factory=list)
    _batches: dict[uuid.UUID, Batch] = field(default_factory=dict)
    """By key."""

    def confirm(
        self,
        assignment: Assignment,
        *,
        table_refs: Sequence[str],
        window: SeatingWindow,
        strategy: str,
        decision: Decision | None = None,
        decision_ms: float = 0.0,
        already_seated: bool = False,
        overridden_by: str = "",
        reason: str = "",
        detail: str = "",
        despite: Collection[str] = (),
    ) -> Outcome:
        """Confirm the booking at these tables, given in the floor's order.

        ``already_seated``: its hold has become the seating. ``overridden_by``: see ``ledger.Placement``. ``detail``:
        text for the history. ``despite``: rules that staff overrode.
        """
        if assignment.is_woken:
            self.announce(assignment, "seated_from_waitlist", table_refs=list(table_refs))
        self._begin(assignment)
        assignment.assign(actor=self.actor, reason=reason)
        assignment.confirm(actor=self.actor, reason=reason, detail=detail)
        tables = tuple(table_refs)
        self._follow_pin(assignment, tables)
        if not already_seated:
            self._place(assignment, tables, window, despite=despite, overridden_by=overridden_by)
        assignment.told_table_refs = list(tables)
        ref, starts_at, ends_at = assignment.booking_ref, window.starts_at, window.ends_at
        self._seatings.append(Seating(booking_ref=ref, table_refs=tables, starts_at=starts_at, ends_at=ends_at))
        return self._settle(
            assignment,
            Kind.CONFIRMED,
            decision=decision,
            reason=reason,
            strategy=strategy,
            table_refs=tables,
            decision_ms=decision_ms,
        )

    def reseat(
        self,
        assignment: Assignment,
        seatings: Sequence[Allocation],
        *,
        table_refs: Sequence[str],
        window: SeatingWindow,
        strategy: str,
        planner: str = "",
        reason: str,
        detail: str = "",
        despite: Collection[str] = (),
        overridden_by: str = "",
        decision: Decision | None = None,
        decision_ms: float = 0.0,
        batch: Batch | None = None,
        stays_in_review: bool = False,
    ) -> Outcome:
        """Replace the booking's ``seatings`` by these tables for this window (docs/living-evening.md rule 2).

        ``planner``: the planner that chose the tables, if it is not the settlement's. ``batch``: what it was given, if
        the router keeps that. ``stays_in_review``: staff still have to decide about something else. The time that
        guests have already sat stays on record.
        """
        assignment.planner = planner or self.planner
        self._move(
            assignment,
            seatings,
            table_refs=table_refs,
            window=window,
            what="moved",
            reason=reason,
            detail=detail,
            despite=despite,
            overridden_by=overridden_by,
            stays_in_review=stays_in_review,
        )
        return self._settle(
            assignment,
            Kind.CONFIRMED,
            decision=decision,
            batch=batch,
            reason=reason,
            strategy=strategy,
            table_refs=tuple(table_refs),
            decision_ms=decision_ms,
        )

    def note_refusal(
        self, assignment: Assignment, refusal: Refusal, *, decision: Decision, decision_ms: float, batch: Batch
    ) -> None:
        """Note that the planner has found no other tables for a booking that had some, so that this can be audited, too."""
        self._settle(
            assignment,
            Kind.MANUAL_REVIEW,
            reason=refusal.reason.value,
            decision=decision,
            decision_ms=decision_ms,
            batch=batch,
        )

    def rearrange(
        self, assignment: Assignment, seatings: Sequence[Allocation], *, table_refs: Sequence[str], detail: str
    ) -> None:
        """Move a confirmed booking to these tables for its promised stay, so that another can be seated.

        Its planner and its outcome stay the same. ``detail``: text for the history that says for whom.
        """
        first = seatings[0]
        window = SeatingWindow(
            starts_at=first.starts_at,
            ends_at=first.ends_at,
            blocked_from=first.blocked.lower,
            blocked_until=first.blocked.upper,
        )
        assignment.moves += 1
        self._rearranges = True
        self._move(
            assignment,
            seatings,
            table_refs=table_refs,
            window=window,
            what="reseated",
            reason=REARRANGED,
            detail=detail,
        )
        self.changed(assignment)

    def _move(
        self,
        assignment: Assignment,
        seatings: Sequence[Allocation],
        *,
        table_refs: Sequence[str],
        window: SeatingWindow,
        what: str,
        reason: str,
        detail: str = "",
        despite: Collection[str] = (),
        overridden_by: str = "",
        stays_in_review: bool = False,
    ) -> None:
        if stays_in_review:
            assignment.touch()
        else:
            assignment.reseat(actor=self.actor, reason=reason, detail=detail)
        tables, ref = tuple(table_refs), assignment.booking_ref
        self._follow_pin(assignment, tables)
        self._vacated.append((list(seatings), assignment.stage == Stage.SEATED))
        self._place(assignment, tables, window, despite=despite, overridden_by=overridden_by)
        before = tuple(row.table_ref for row in seatings)
        if assignment.told_table_refs and set(assignment.told_table_refs) == set(before):
            before = tuple(assignment.told_table_refs)  # In the floor's order.
        move = Move(
            booking_ref=ref,
            from_table_refs=before,
            to_table_refs=tables,
            starts_at=window.starts_at,
            ends_at=window.ends_at,
        )
        self._moves.append(move)
        self.announce(
            assignment,
            what,
            from_table_refs=list(before),
            table_refs=list(tables),
            starts_at=window.starts_at.isoformat(),
            ends_at=window.ends_at.isoformat(),
        )
        assignment.told_table_refs = list(tables)

    def _follow_pin(self, assignment: Assignment, table_refs: tuple[str, ...]) -> None:
        """Move the pin if staff, or the host's staff, give a pinned booking other tables: the later choice counts."""
        is_chosen = self.planner == MANUAL or self.actor.startswith(STAFF)
        if is_chosen and assignment.pinned_table_refs and set(assignment.pinned_table_refs) != set(table_refs):
            assignment.pinned_table_refs = sorted(table_refs)

    def _place(
        self,
        assignment: Assignment,
        table_refs: tuple[str, ...],
        window: SeatingWindow,
        *,
        despite: Collection[str],
        overridden_by: str,
    ) -> None:
        """Note these tables to be taken by ``write``, with the booking's facts as they are now as its promise."""
        placement = ledger.Placement(
            restaurant_ref=assignment.restaurant_ref,
            booking_ref=assignment.booking_ref,
            table_refs=table_refs,
            window=window,
            planner=assignment.planner,
            party=assignment.party,
            zone_ref=assignment.zone_ref,
            despite=tuple(sorted(despite)),
            overridden_by=overridden_by,
        )
        self._placements.append(placement)
        self.placed[assignment.booking_ref] = window

    def announce(self, assignment: Assignment, what: str, **payload: Any) -> None:
        """Announce in the outbox and as an event what happened to a booking besides its state.

        ``what`` names the topic ``booking.<what>`` and the event ``seating.<what>``.
        """
        self._messages.append(transitions.message(assignment, what, correlation_id=self.correlation_id, **payload))

    def try_again(
        self,
        assignment: Assignment,
        *,
        reason: str,
        delay_seconds: float | None = None,
        last_try: bool | None = None,
        **basis: Unpack[Basis],
    ) -> Outcome:
        """Try the booking again later, or send it to review if this was the last try.

        V3 decides the delay and the number of tries unless ``delay_seconds`` and ``last_try`` are given.
        """
        self._begin(assignment)
        exhausted = retry_policy.is_exhausted(assignment.attempts) if last_try is None else last_try
        if exhausted:
            return self._to_review(assignment, reason, **basis)
        delay = delay_seconds
        if delay is None:
            delay = retry_policy.delay_seconds(assignment.restaurant_ref, assignment.service_date, assignment.attempts)
        assignment.put_back(actor=self.actor, reason=reason, detail=basis.get("detail", ""))
        assignment.due_at = self.now + timedelta(seconds=delay)
        return self._settle(assignment, Kind.RETRY, reason=reason, delay_seconds=delay, **basis)

    def send_to_review(self, assignment: Assignment, *, reason: str, **basis: Unpack[Basis]) -> Outcome:
        """Send the booking to review: staff have to decide."""
        self._begin(assignment)
        return self._to_review(assignment, reason, **basis)

    def fail(self, assignment: Assignment, *, reason: str, **basis: Unpack[Basis]) -> Outcome:
        """Fail a request that cannot be planned as it is."""
        assignment.attempts += 1
        assignment.planner = self.planner
        assignment.fail(actor=self.actor, reason=reason, detail=basis.get("detail", ""))
        return self._settle(assignment, Kind.FAILED, reason=reason, **basis)

    def keep_for_review(self, assignment: Assignment, *, reason: str, detail: str = "") -> None:
        """Send a confirmed booking to review; it keeps its tables until staff decide."""
        assignment.send_to_review(actor=self.actor, reason=reason, detail=detail)
        self._reviews[assignment.booking_ref] = reason
        self.changed(assignment)

    def review_anew(self, assignment: Assignment, *, reason: str, detail: str = "") -> None:
        """Change the reason for which a booking waits in review."""
        assignment.restore(actor=self.actor, reason=reason)
        self.keep_for_review(assignment, reason=reason, detail=detail)

    def changed(self, assignment: Assignment) -> None:
        """Store another change of the assignment, made in memory, along with the rest."""
        self._changed.setdefault(assignment.pk, assignment)

    def store_only(self, assignment: Assignment, outcome: Outcome) -> Outcome:
        """Store an outcome that is no decision (cancelled, handed over) along with the rest."""
        self.changed(assignment)
        self.outcomes.append(outcome)
        return outcome

    def write(self, *, host_may_fail: bool = False, tells_of_reviews: bool = True) -> None:
        """Write everything, in the caller's transaction.

        ``tells_of_reviews``: False if the host must not be called, so that only the outbox tells it of reviews.

        ``host_may_fail``: an error that the host raises when it is told of a review is ignored, so that only the outbox
        tells it. Review is the last resort of a booking, so nothing may keep it from there.

        Raises TableTakenError or StaleAssignmentError if somebody was faster, HostRefusedError if the host's database
        refuses, and whatever the host raises; nothing may be committed then.
        """
        self._leave_wishes_to_staff()
        self.write_tables()
        transitions.store(
            list(self._changed.values()),
            correlation_id=self.correlation_id,
            messages=self._messages,
            attempts=self._attempts,
        )
        if self.tells_host:
            self._tell_of_tables()
        if self._reviews and tells_of_reviews:
            self._tell_of_reviews(host_may_fail=host_may_fail)
        self._write_batches()

    def keep(self, batch: Batch) -> None:
        """Have ``write`` give this to the router, so that it can be audited, if attempts refer to it by its key."""
        self._batches[batch.key] = batch

    def _write_batches(self) -> None:
        keeper = router()
        if not isinstance(keeper, KeepsBatches):
            return
        for batch in self._batches.values():
            referring = [attempt for attempt in self._attempts if attempt.batch == batch.key]
            if referring:
                refusals = sum(attempt.outcome != Kind.CONFIRMED for attempt in referring)
                keeper.keep(replace(batch, placed=self.placed, attempts=len(referring), refusals=refusals))

    def _tell_of_tables(self) -> None:
        """Tell the host who has which tables: moves first, since others may get the tables that these leave."""
        refs = [*(move.booking_ref for move in self._moves), *(seating.booking_ref for seating in self._seatings)]
        with named_refusals(refs):
            try:
                tell_of_moves(self.host, self._moves)
            except Exception as error:
                if not self._rearranges or transactions.is_database_away(error):
                    raise
                raise MovesRefusedError(f"The host refused moves: {type(error).__name__}.") from error
            if self._seatings:
                self.host.on_confirmed(self._seatings)

    def _leave_wishes_to_staff(self) -> None:
        """Keep bookings with an undecided edit in review, whatever else ended their review."""
        for assignment in self._changed.values():
            if assignment.is_wish_undecided and assignment.state == State.CONFIRMED and assignment.stage not in GONE:
                self.keep_for_review(assignment, reason=waiting.EDIT_UNMET, detail=sentences.STILL_ASKED)

    def write_tables(self) -> None:
        """Free and take the tables decided on so far, before the rest is written. Raises TableTakenError."""
        for seatings, has_sat in self._vacated:
            ledger.vacate(seatings, at=self.now, has_sat=has_sat)
        ledger.seat(self._placements)
        self._vacated, self._placements = [], []

    def _tell_of_reviews(self, *, host_may_fail: bool) -> None:
        if not host_may_fail:
            self.host.on_review(self._reviews)
            return
        try:
            with transactions.atomic():
                self.host.on_review(self._reviews)
        except Exception as error:  # noqa: BLE001  (logged by type; a host's message may name a guest)
            refs = ", ".join(sorted(self._reviews))
            log_error(logger, error, "The host raised an error when it was told that booking %s went to review", refs)

    def _begin(self, assignment: Assignment) -> None:
        if self.resumes:
            return
        assignment.attempts += 1
        transitions.start(assignment, actor=self.actor, planner=self.planner)

    def _to_review(self, assignment: Assignment, reason: str, **basis: Unpack[Basis]) -> Outcome:
        assignment.send_to_review(actor=self.actor, reason=reason, detail=basis.get("detail", ""))
        self._reviews[assignment.booking_ref] = reason
        return self._settle(assignment, Kind.MANUAL_REVIEW, reason=reason, **basis)

    def _settle(
        self,
        assignment: Assignment,
        kind: Kind,
        *,
        decision: Decision | None = None,
        batch: Batch | None = None,
        **facts: Any,
    ) -> Outcome:
        """Note the outcome, the changed assignment and the attempt for ``write``."""
        outcome = Outcome(
            booking_ref=assignment.booking_ref, kind=kind, planner=self.planner, party=assignment.party, **facts
        )
        self.changed(assignment)
        self.outcomes.append(outcome)
        attempt = NewAttempt(
            assignment_id=assignment.pk,
            booking_ref=assignment.booking_ref,
            number=assignment.attempts,
            planner=self.planner,
            trigger=self.trigger,
            outcome=outcome.kind,
            reason=outcome.reason,
            detail=outcome.detail,
            strategy=outcome.strategy,
            table_refs=outcome.table_refs,
            decision=decision.to_json() if decision else _kept(outcome.detail),
            snapshot_hash=decision.snapshot_hash if decision else "",
            decision_ms=outcome.decision_ms,
            release=release.running(),
            batch=batch.key if batch else self.batch if decision else None,
            correlation_id=self.correlation_id,
        )
        self._attempts.append(attempt)
        if batch is not None:
            self.keep(batch)
        return outcome


def _kept(detail: str) -> dict[str, Any]:
    """Return what an attempt keeps without a decision: the parts of our own sentence, to show it in other languages."""
    return {"detail": detail.to_json()} if isinstance(detail, Text) else {}
