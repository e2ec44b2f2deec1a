"""The audit's own reading of a floor's pacing: whether more guests come or are there than the restaurant allows.

It reads the fields of immutable values and calls none of their methods: see ``seating_audit``.
"""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from rollout.policy.audit_hours import service_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from assignments.planning.floor import Floor, Pacing
    from assignments.planning.snapshot import Occupied


def is_too_many(
    floor: Floor, covers: int, starts_at: datetime, ends_at: datetime, others: Collection[Occupied]
) -> bool:
    """Return whether a party that sits for ``[starts_at, ends_at)`` beside ``others`` breaks its service's pacing."""
    start = starts_at.astimezone(UTC)
    service = service_at(floor, start)
    if service is None:
        return False
    period, opens, _closes = service
    limits = _limits(floor, period.key, opens.astimezone(ZoneInfo(floor.timezone)).date())
    if limits is None:
        return False
    sitting = _sitting(others)

    def slot(moment: datetime) -> int:
        return (moment - opens) // timedelta(minutes=limits.interval_minutes)

    coming = _parties(each for each in sitting if slot(each.comes) == slot(start))
    if limits.most_covers is not None and sum(coming) + covers > limits.most_covers:
        return True
    if limits.most_parties is not None and len(coming) + 1 > limits.most_parties:
        return True
    if limits.most_present is None:
        return False
    moments = [start, *(each.comes for each in sitting if start < each.comes < ends_at)]
    return any(
        covers + sum(_parties(each for each in sitting if each.comes <= moment < each.goes)) > limits.most_present
        for moment in moments
    )


class _Stay(NamedTuple):
    booking_ref: str
    comes: datetime
    goes: datetime
    party: int


def _sitting(others: Collection[Occupied]) -> list[_Stay]:
    """Return the stays of these rows. What a booking is given now, or asks for, is apart from what it had until then."""
    guests: dict[tuple[str, type, bool], list[Occupied]] = {}
    for row in others:
        if row.booking_ref and row.starts_at is not None:
            guests.setdefault((row.booking_ref, type(row), row.is_wish), []).append(row)
    return [
        _Stay(
            ref,
            min(row.starts_at for row in rows if row.starts_at),
            max(row.ends_at or row.blocked_until for row in rows),
            max(row.party for row in rows),
        )
        for (ref, *_kind), rows in guests.items()
    ]


def _parties(stays: Iterable[_Stay]) -> list[int]:
    """Return the covers of each booking among the stays, once."""
    found: dict[str, int] = {}
    for each in stays:
        found[each.booking_ref] = max(each.party, found.get(each.booking_ref, 0))
    return list(found.values())


def _limits(floor: Floor, service: str, day: date) -> Pacing | None:
    """Return the pacing of a service on a date: the one for the fewest days, then one that names the service."""
    ruling: tuple[tuple[float, ...], Pacing] | None = None
    for pacing in floor.pacing:
        first, last = pacing.first_date or date.min, pacing.last_date or date.max
        if (
            pacing.service_key not in {None, service}
            or not first <= day <= last
            or day.weekday() not in pacing.weekdays
        ):
            continue
        limits = (pacing.most_covers, pacing.most_parties, pacing.most_present)
        strict = [10**9 if most is None else most for most in limits]
        is_for_all = pacing.service_key is None
        rank = ((last - first).days, is_for_all, -first.toordinal(), *strict, pacing.interval_minutes)
        if ruling is None or rank < ruling[0]:
            ruling = rank, pacing
    return ruling and ruling[1]
