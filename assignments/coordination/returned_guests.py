"""Guests who are there after all: the host takes back that they did not come, or that they have left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from assignments.concurrency import transactions
from assignments.coordination import stays
from assignments.exceptions import TableTakenError
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking
from assignments.lifecycle import intake, ledger, promise, sentences, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import GONE, Allocation, Assignment, OutboxMessage, SeatingChange, Stage, State
from assignments.outcome import Change
from assignments.planning.describe import names
from assignments.planning.seating_window import SeatingWindow

_ON_THE_WAY = (Stage.EXPECTED, Stage.LATE, Stage.ARRIVED, Stage.SEATED)
What = SeatingChange.What


def stage_of_return(assignment: Assignment, booking: HostBooking, *, now: datetime) -> Stage | None:
    """Return the stage that the host gives for guests who are marked as gone here; None if it says nothing new.

    Any other status takes back a mark that the host made itself. A mark by staff or by the clock is contradicted only
    by a stage that the guests had not reached before, since the host's row may simply not know of the mark. At most one
    query; none for guests who are not marked.
    """
    if assignment.state != State.CONFIRMED or assignment.stage not in GONE:
        return None
    end = intake.asked_until(booking)
    if not booking.wants_table and end is not None and end <= now:
        return None  # Their time is over: they have left, whatever the status is called.
    if _is_said_by_host(assignment):
        stage = Stage(booking.stage) if booking.stage else _without_stage(assignment, booking)
        return None if stage in GONE else stage
    if not booking.stage or Stage(booking.stage) in GONE:
        return None
    known = SeatingChange.objects.filter(booking_ref=booking.ref, what=What.STAGE).values_list("stage", flat=True)
    reached = [_ON_THE_WAY.index(Stage(each)) for each in known if each in _ON_THE_WAY]
    stage = Stage(booking.stage)
    return stage if _ON_THE_WAY.index(stage) > max(reached, default=0) else None


def _without_stage(assignment: Assignment, booking: HostBooking) -> Stage | None:
    """Return the stage that a status without a stage implies; None if guests who have left may have that status."""
    if booking.wants_table:
        return Stage.EXPECTED
    return Stage.SEATED if assignment.stage == Stage.NO_SHOW else None


def _is_said_by_host(assignment: Assignment) -> bool:
    messages = OutboxMessage.objects.filter(booking_ref=assignment.booking_ref, topic="booking.stage")
    last = messages.order_by("-id").values_list("payload", flat=True).first()
    return last is not None and last.get("actor") == "host"


def take_back(
    assignment: Assignment, booking: HostBooking, stage: Stage, *, host: Host, now: datetime
) -> Change | None:
    """Give guests who are there after all their tables again, or leave it to staff if somebody else has them.

    Returns None if their stay is over. The row and its service day are locked.
    """
    had = _tables_before(assignment)
    end = max((each.ends_at for each in had), default=now)
    asked = intake.asked_until(booking)
    if asked is not None and asked != promise.last_end_asked(assignment):
        end = max(end, asked)
    if had and end <= now:
        if assignment.stage == Stage.NO_SHOW and stage in {Stage.ARRIVED, Stage.SEATED}:
            stays.mark(assignment, Stage.LEFT, now=now)
        return None
    settlement = Settlement(host=host, planner=assignment.planner, actor="host", trigger="edit", now=now)
    stays.mark(assignment, stage, now=now)
    settlement.announce(assignment, "stage", stage=stage.value, actor="host")
    is_there = bool(had) and (_reinstated(had) or _seated_again(assignment, had, now=now))
    if is_there:
        settlement.changed(assignment)
    else:
        detail = _why_not(assignment, had, now=now, host=host)
        settlement.keep_for_review(assignment, reason=waiting.CAME_AFTER_ALL, detail=detail)
    settlement.write()
    if not is_there:
        return Change.TO_STAFF
    seatings = ledger.seatings_of([booking.ref])[booking.ref]
    again = Settlement(host=host, planner=assignment.planner, actor="host", trigger="edit", now=now)
    told = stays.tell_what_is_open(assignment, seatings, settlement=again)
    again.write()
    return told


@dataclass(frozen=True, kw_only=True, slots=True)
class _Before:
    """A seating before the guests were marked as gone. ``row``: the part of it that they had sat, if any."""

    change: SeatingChange
    row: Allocation | None

    @property
    def ends_at(self) -> datetime:
        ends_at = self.row.stays_until if self.row else self.change.ends_at
        assert ends_at is not None
        return ends_at


def _tables_before(assignment: Assignment) -> list[_Before]:
    """Return the seatings that ended when the guests were marked as gone, as they were before, in the order of tables."""
    changes = SeatingChange.objects.filter(booking_ref=assignment.booking_ref)
    marked = changes.filter(what=What.STAGE).order_by("-id").first()
    if marked is None:
        return []
    ended = changes.filter(transaction_id=marked.transaction_id, what__in=[What.ENDED, What.FREED], id__lt=marked.id)
    rows = Allocation.objects.in_bulk([each.seating_id for each in ended if each.what == What.ENDED])
    found = []
    for each in ended.order_by("table_ref"):
        before = changes.filter(seating_id=each.seating_id, id__lt=each.id).order_by("-id").first()
        if before is not None and before.blocked is not None:
            found.append(_Before(change=before, row=rows.get(each.seating_id)))
    return found


def _reinstated(had: Sequence[_Before]) -> bool:
    """Make these seatings current again; False if they are not kept, or somebody has had the tables since."""
    if any(each.row is None for each in had):
        return False
    try:
        with transactions.atomic():
            ledger.reinstate([(each.change.seating_id, each.change.blocked) for each in had if each.change.seating_id])
    except TableTakenError:
        return False
    return True


def _seated_again(assignment: Assignment, had: Sequence[_Before], *, now: datetime) -> bool:
    """Seat the booking at these tables from now on; False if they are not free. The past stays on record."""
    try:
        with transactions.atomic():
            ledger.seat(_placement(assignment, each, now=now) for each in had)
    except TableTakenError:
        return False
    return True


def _placement(assignment: Assignment, before: _Before, *, now: datetime) -> ledger.Placement:
    change, row = before.change, before.row
    assert change.starts_at is not None
    assert change.ends_at is not None
    assert change.blocked is not None
    return ledger.Placement(
        restaurant_ref=change.restaurant_ref,
        booking_ref=assignment.booking_ref,
        table_refs=(change.table_ref,),
        window=SeatingWindow(
            starts_at=change.starts_at,
            ends_at=change.ends_at,
            blocked_from=max(change.blocked.lower, now),
            blocked_until=change.blocked.upper,
        ),
        planner=change.planner,
        party=change.party,
        zone_ref=row.zone_ref if row else assignment.zone_ref,
        despite=tuple(row.despite) if row else (),
        overridden_by=row.overridden_by if row else "",
    )


def _why_not(assignment: Assignment, had: Sequence[_Before], *, now: datetime, host: Host) -> str:
    """Return a sentence that says who has the tables now."""
    if not had:
        return ""
    floor = floor_or_none(assignment.restaurant_ref, host=host)
    tables = [each.change.table_ref for each in had]
    spans = [each.change.blocked for each in had if each.change.blocked is not None]
    start, until = max(now, min(span.lower for span in spans)), max(span.upper for span in spans)
    there = ledger.taken_at(assignment.restaurant_ref, tables, start, until) if start < until else []
    return sentences.came_after_all(names(tables, floor), {row.booking_ref for row in there} - {assignment.booking_ref})
