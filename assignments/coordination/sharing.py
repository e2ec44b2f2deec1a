"""Sharing: bookings that expect one table at the same time, because guests stay longer. Staff hear of both."""

from collections.abc import Collection, Sequence
from datetime import datetime

from assignments.concurrency import locks, transactions
from assignments.integration.host import Host
from assignments.integration.planners import MANUAL
from assignments.lifecycle import ledger, sentences, waiting
from assignments.lifecycle.settlement import Settlement
from assignments.models import Allocation, Assignment, State
from assignments.outcome import Change


def ask_staff(
    assignment: Assignment, seatings: Sequence[Allocation], refs: Collection[str], *, settlement: Settlement
) -> Change:
    """Send this booking, which has these seatings, and those others to review: they expect the same table.

    A guest's edit about which staff have to decide goes first; the overlap is announced all the same.
    """
    others = locks.lock_rows(refs)
    named, tables = sorted(refs), [row.table_ref for row in seatings]
    for each, expecting in ((assignment, named), *((other, [assignment.booking_ref]) for other in others)):
        detail = sentences.expect_the_same_table(expecting)
        if each.state == State.CONFIRMED:
            settlement.keep_for_review(each, reason=waiting.OVERLAPPING, detail=detail)
        elif each.state == State.MANUAL_REVIEW and each.reason in {waiting.OVERLAPPING, waiting.TABLE_OUT_OF_SERVICE}:
            settlement.review_anew(each, reason=waiting.OVERLAPPING, detail=detail)
        else:
            each.touch()
            settlement.changed(each)
        settlement.announce(each, "overlapping", table_refs=tables, detail=", ".join(expecting))
    return Change.TO_STAFF


def ask_about_overstaying(assignment: Assignment, *, host: Host, now: datetime, actor: str, trigger: str) -> None:
    """Send a booking to review if others overstay at tables that it was given, and those others too.

    Leaves out guests whose table closes before they leave: staff know that these have to be moved. One query, a few if
    somebody overstays.
    """
    transactions.require_intact()  # The host has been called.
    seatings = ledger.seatings_of([assignment.booking_ref]).get(assignment.booking_ref, [])
    staying = ledger.overstaying(seatings) if seatings else []
    closing = ledger.closing_under(staying)
    refs = {row.booking_ref for row in staying if row not in closing}
    if refs:
        settlement = Settlement(host=host, planner=MANUAL, actor=actor, trigger=trigger, now=now)
        ask_staff(assignment, seatings, refs, settlement=settlement)
        settlement.write()
