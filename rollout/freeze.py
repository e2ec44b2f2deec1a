"""When nobody may promote: during service, and in the windows that the settings name."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from assignments.floors import floors_or_none
from assignments.models import Assignment, State
from assignments.planning.floor import Floor
from rollout import conf
from rollout.phrase import Phrase
from rollout.phrase import phrase as _

NAMED = 5
"""So many open restaurants are named; one is enough to refuse."""


def reasons(now: datetime) -> list[Phrase]:
    """Why the rollout is frozen at ``now``, a sentence each; empty when it is not. Two queries, and those for floors that
    this process does not know yet."""
    found = [
        _("The settings freeze the rollout from %(start)s until %(until)s.", start=start, until=until)
        for start, until in conf.settings().FREEZE_WINDOWS
        if datetime.fromisoformat(start) <= now < datetime.fromisoformat(until)
    ]
    if not conf.settings().FREEZE_DURING_SERVICE or conf.settings().ENVIRONMENT == "dev":
        return found
    open_refs = _open_restaurants(now)
    if open_refs:
        refs = ", ".join(open_refs)
        found.append(
            _("Service is on, with bookings, at restaurant %(refs)s and perhaps others.", refs=refs)
            if len(open_refs) == NAMED
            else _("Service is on, with bookings, at restaurant %(refs)s.", refs=refs)
        )
    return found


def service_days(floor: Floor, now: datetime) -> Collection[date]:
    """The dates whose service is on at ``now``: yesterday's too, where one runs past midnight."""
    today = now.astimezone(floor.zone).date()
    found = set()
    for day in (today - timedelta(days=1), today):
        for period in floor.services:
            if day.weekday() not in period.weekdays:
                continue
            last_day = day if period.ends > period.starts else day + timedelta(days=1)
            starts = datetime.combine(day, period.starts, tzinfo=floor.zone).astimezone(UTC)
            ends = datetime.combine(last_day, period.ends, tzinfo=floor.zone).astimezone(UTC)
            if starts <= now < ends:
                found.add(day)
    return found


def _open_restaurants(now: datetime) -> list[str]:
    booked: dict[str, set[date]] = {}
    days = Assignment.objects.exclude(state__in=[State.CANCELLED, State.FAILED]).filter(
        service_date__range=(now.date() - timedelta(days=2), now.date() + timedelta(days=1))
    )
    for ref, day in days.order_by("restaurant_ref").values_list("restaurant_ref", "service_date").distinct():
        booked.setdefault(ref, set()).add(day)
    floors = floors_or_none(booked)
    open_refs = (
        ref for ref, floor in floors.items() if floor is not None and booked[ref] & set(service_days(floor, now))
    )
    return list(islice(open_refs, NAMED))
