"""Whether guests may keep their tables: what speaks against it, and which rules staff overrode for them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from assignments.integration.host import HostBooking
from assignments.lifecycle import buffers
from assignments.lifecycle.seating_validity import UNUSABLE
from assignments.models import Allocation
from assignments.planning import engine
from assignments.planning.describe import names
from assignments.planning.feasibility import objections
from assignments.planning.floor import Floor
from assignments.planning.reasons import ABOUT_TIME, PREFERENCES, Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, from_now_on, seating_window
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.planning.text import gettext as _

ABOUT_PARTY = frozenset(
    {Reason.TOO_FEW_SEATS, Reason.PARTY_OUTSIDE_TABLE_LIMITS, Reason.PARTY_TOO_LARGE, Reason.PACING}
)
"""Reasons that a larger party makes worse."""
ABOUT_STAY = ABOUT_TIME | {Reason.BUFFER, Reason.CLOSED, Reason.PACING, Reason.TABLE_INACTIVE}
"""Reasons that depend on when the guests are there."""
NOT_OF_WHO_SITS = ABOUT_TIME | {Reason.PACING}
"""Reasons that do not count against guests who sit already."""


def staffs_word(
    seatings: Sequence[Allocation], request: SeatingRequest, window: SeatingWindow, *, needs: Collection[str]
) -> frozenset[str]:
    """Return the rules that staff overrode for these seatings, as far as that holds for the request.

    Rules about the party do not hold for a larger one, rules about the time not for another time, and rules about zone
    and ``needs`` not for others (docs/living-evening.md rule 2).
    """
    first = seatings[0]
    said = frozenset(reason for row in seatings for reason in row.despite)
    if first.party is not None and first.party < request.party:
        said -= ABOUT_PARTY
    if window.starts_at < first.starts_at or first.stays_until < window.ends_at:
        said -= ABOUT_STAY
    if not request.needs <= set(needs):
        said -= {Reason.NEEDS}
    if (request.zone_ref or "") != (first.zone_ref or ""):
        said -= {Reason.WRONG_ZONE}
    return said


def as_they_sit(
    booking: HostBooking, seatings: Sequence[Allocation], promised: Mapping[str, Any], *, now: datetime
) -> HostBooking:
    """Return the booking of guests who sit, with the stay of their seating unless the host gives another end.

    Their number does not change how long they stay. If they sit longer than their stay, it ends a moment from now.
    """
    first = seatings[0]
    is_other_end = booking.ends_at is not None and booking.ends_at != promised["asked_until"]
    end = booking.ends_at if is_other_end and booking.ends_at else first.stays_until
    return replace(booking, starts_at=first.starts_at, ends_at=max(end, now + timedelta(minutes=1)))


def without_buffers(
    window: SeatingWindow, own: Collection[str], occupied: tuple[Occupied, ...]
) -> tuple[SeatingWindow, tuple[Occupied, ...]]:
    """Return the window and the occupancy for guests who stay at their own tables, where buffers may give way.

    The window's buffers shrink to what is free beside neighbours at the ``own`` tables, and these neighbours are left
    out.
    """
    stay = buffers.stay_in(window)
    beside = {
        each
        for each in occupied
        if each.table_ref in own and not each.closed and not buffers.meet((each.blocked_from, each.blocked_until), stay)
    }
    window = buffers.fitted(window, [(each.blocked_from, each.blocked_until) for each in beside])
    return window, tuple(each for each in occupied if each not in beside)


def within_promise(booking: HostBooking, seatings: Sequence[Allocation], floor: Floor) -> SeatingWindow:
    """Return when guests who ask for no more than was promised have their tables.

    That is never longer than was promised, however long turn times and buffers are today, and whatever the hours are.
    """
    first = seatings[0]
    lower, upper = max(row.blocked.lower for row in seatings), min(row.blocked.upper for row in seatings)
    window = seating_window(floor, starts_at=first.starts_at, party=booking.party, ends_at=booking.ends_at)
    if isinstance(window, Refusal):
        end = booking.ends_at or first.stays_until
        until = min(upper, end + first.buffer_after)
        return SeatingWindow(starts_at=first.starts_at, ends_at=end, blocked_from=lower, blocked_until=until)
    return replace(
        window,
        ends_at=min(window.ends_at, first.stays_until),
        blocked_from=max(window.blocked_from, lower),
        blocked_until=min(window.blocked_until, upper),
    )


def judge_own(snapshot: Snapshot, table_refs: Sequence[str], window: SeatingWindow) -> tuple[Refusal, ...]:
    """Return what speaks against leaving guests at their tables. ``window``: when they have them, even out of hours."""
    if pinned := _pinned_elsewhere(snapshot, table_refs):
        return (pinned,)
    return tuple(dict.fromkeys([*engine.judge(snapshot, table_refs), *_taken(snapshot, table_refs, window)]))


def judge_promised(snapshot: Snapshot, table_refs: Sequence[str], window: SeatingWindow) -> tuple[Refusal, ...]:
    """Return what speaks against leaving guests who ask for no more than was promised at their tables.

    Rules that are for new bookings do not (docs/living-evening.md rule 1).
    """
    if pinned := _pinned_elsewhere(snapshot, table_refs):
        return (pinned,)
    unfit = [
        each
        for each in objections(snapshot.floor, snapshot.request, snapshot.rules, table_refs)
        if each.reason in UNUSABLE | PREFERENCES
    ]
    return (*unfit, *_taken(snapshot, table_refs, window))


def _pinned_elsewhere(snapshot: Snapshot, table_refs: Sequence[str]) -> Refusal | None:
    pinned = snapshot.request.pinned_table_refs
    if not pinned or set(pinned) == set(table_refs):
        return None
    text = _("It is pinned to %(tables)s.", tables=names(pinned, snapshot.floor))
    return Refusal(Reason.PINNED_TABLES_UNFIT, text)


def _taken(snapshot: Snapshot, table_refs: Sequence[str], window: SeatingWindow) -> list[Refusal]:
    return engine.taken(snapshot.floor, snapshot.occupied, table_refs, from_now_on(window, snapshot.now))
