"""Following edits of the floor: bookings at lost tables are planned again, and bookings that wait for room are woken.

Nobody calls this app when floors or settings are edited, so each pass compares them with what the last pass saw.
Promises stand whatever is edited (docs/living-evening.md rule 1); only a booking whose table cannot be used any more is
planned again, or left to staff.
"""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from django.db.models import Value

from assignments import conf
from assignments.concurrency import transactions
from assignments.coordination import edits, host_changes, one_booking
from assignments.coordination.one_booking import Locked
from assignments.error_logging import log_error
from assignments.integration.floor_cache import floor_or_none
from assignments.integration.host import Host, HostBooking, is_cancelled
from assignments.integration.planners import SwitchesMoves, router
from assignments.lifecycle import ledger, seating_validity, waiting
from assignments.models import GONE, OPEN_STATES, Allocation, Assignment, FloorSeen, State
from assignments.outcome import Change

logger = logging.getLogger("assignments.floor_watch")

STILL_ON = timedelta(hours=6)
"""A booking that started longer ago than this is over."""
FOR_EVER = datetime(9000, 1, 1, tzinfo=UTC)


def check(host: Host, *, now: datetime, restaurant_ref: str | None = None) -> int:
    """Follow the floors that were edited since the last pass, and return their number. Three queries if there are none."""
    promised = Assignment.objects.filter(
        state__in=[State.CONFIRMED, State.MANUAL_REVIEW, *OPEN_STATES], starts_at__gt=now - STILL_ON
    )
    asked = Assignment.objects.filter(
        state=State.MANUAL_REVIEW, asked_starts_at__gt=now - STILL_ON, asked_restaurant_ref__isnull=False
    )
    keeper = router()
    moves_are_on = keeper.moves_are_on() if isinstance(keeper, SwitchesMoves) else Value(True)
    rows = set(
        promised.order_by()
        .values_list("restaurant_ref", moves_are_on)
        .union(asked.order_by().values_list("asked_restaurant_ref", moves_are_on))
        .order_by()  # Django 6.1 would order the union as the model is ordered, by columns that it does not have.
    )
    refs = {ref for ref, _is_on in rows if not restaurant_ref or ref == restaurant_ref}
    if not refs:
        return 0
    fingerprints = _fingerprints(host, refs, moves_are_on=any(is_on for _ref, is_on in rows))
    seen = dict(FloorSeen.objects.filter(pk__in=fingerprints).values_list("restaurant_ref", "fingerprint"))
    edited = 0
    for ref, fingerprint in sorted(fingerprints.items()):
        if seen.get(ref) == fingerprint:
            continue
        if ref not in seen or _is_followed(ref, host, now=now):
            with transactions.atomic():
                FloorSeen.objects.update_or_create(restaurant_ref=ref, defaults={"fingerprint": fingerprint})
        edited += ref in seen
    return edited


def _fingerprints(host: Host, refs: Collection[str], *, moves_are_on: bool) -> Mapping[str, str]:
    """Return the fingerprint of each floor with the settings, by restaurant, without those for which the host raises."""
    read = _read(host, sorted(refs))
    return {ref: f"{fingerprint}:{_fingerprint_of_settings(ref, moves_are_on)}" for ref, fingerprint in read.items()}


def _read(host: Host, refs: Sequence[str]) -> dict[str, str]:
    """Return the host's own fingerprints. If it raises for several, they are read in halves: the others count."""
    several = getattr(host, "floor_fingerprints", None)
    try:
        return dict(several(refs)) if several else {ref: host.floor_fingerprint(ref) for ref in refs}
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        if len(refs) == 1:
            log_error(logger, error, "The floor of restaurant %s could not be compared", refs[0])
            return {}
    middle = len(refs) // 2
    return {**_read(host, refs[:middle]), **_read(host, refs[middle:])}


def _is_followed(restaurant_ref: str, host: Host, *, now: datetime) -> bool:
    """Follow an edited floor. Returns False if something failed, which costs only this restaurant."""
    try:
        return _follow(restaurant_ref, host, now=now)
    except Exception as error:
        if transactions.is_database_away(error):
            raise
        log_error(logger, error, "The edited floor of restaurant %s could not be followed", restaurant_ref)
        return False


def _fingerprint_of_settings(restaurant_ref: str, moves_are_on: bool) -> str:
    settings = conf.settings()
    rearranges = moves_are_on and settings.rearranges(restaurant_ref)
    who_moves = rearranges, settings.FIXED_MINUTES, settings.FREEZE_MINUTES, settings.MAX_MOVES
    return hashlib.sha256(repr((settings.rules(), who_moves)).encode()).hexdigest()[:12]


def _follow(restaurant_ref: str, host: Host, *, now: datetime) -> bool:
    """Plan the bookings at lost tables again, and wake those that wait. Returns False if something failed."""
    floor = floor_or_none(restaurant_ref, host=host)
    if floor is None:
        return False  # Nobody can plan there now; the pass that finds it repaired looks again.
    coming = Assignment.objects.filter(
        restaurant_ref=restaurant_ref, state__in=[State.CONFIRMED, State.MANUAL_REVIEW], starts_at__gt=now - STILL_ON
    ).exclude(stage__in=GONE)
    refs = list(coming.order_by("requested_at", "id").values_list("booking_ref", flat=True))
    seated = ledger.seatings_of(refs)
    bookings = host.bookings(list(seated)) if seated else {}
    rules = conf.settings().rules()
    unusable = [
        ref
        for ref, rows in seated.items()
        if ref in bookings and not seating_validity.is_usable(bookings[ref], rows, floor=floor, rules=rules)
    ]
    follow = partial(_follow_booking, host=host)
    results = [one_booking.attempt(ref, follow, host=host, what="given a table that can be used") for ref in unusable]
    for freed in (waiting.Freed.FLOOR, waiting.Freed.HOURS):
        transactions.run(partial(waiting.wake, restaurant_ref, now, FOR_EVER, freed=freed))
    return all(results)


def _follow_booking(locked: Locked, *, host: Host) -> bool:
    leave_unusable(locked.assignment, locked.booking, host=host, now=locked.now)
    return True


def leave_unusable(assignment: Assignment, booking: HostBooking, *, host: Host, now: datetime) -> Change:
    """Plan a booking with unusable tables again, or leave it to staff. The row and its days are locked."""
    if assignment.state != State.MANUAL_REVIEW or is_cancelled(booking):
        return host_changes.follow(assignment, booking, host=host, now=now)
    seatings = ledger.seatings_of([booking.ref]).get(booking.ref, [])
    if not seatings or _is_usable(booking, seatings, host=host):
        return Change.NOTHING
    return edits.leave_unusable(assignment, booking, seatings, host=host, now=now)


def _is_usable(booking: HostBooking, seatings: Sequence[Allocation], *, host: Host) -> bool:
    floor = floor_or_none(seatings[0].restaurant_ref, host=host)
    return seating_validity.is_usable(booking, seatings, floor=floor, rules=conf.settings().rules())
