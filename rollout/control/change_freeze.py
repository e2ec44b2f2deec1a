"""Change freezes: during service, and in the windows of the settings."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice

from django.db.models import Max, Min

from assignments.integration.floor_cache import floors_or_none
from assignments.models import Assignment, State
from assignments.planning.calendar import periods_on
from assignments.planning.floor import Floor
from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from rollout import conf

A_DAY = timedelta(days=1)
NAMED = 5
"""Maximum open restaurants to name; one is enough to refuse."""


def reasons(now: datetime) -> list[Text]:
    """Return the reasons for a change freeze at ``now``, one sentence each; empty if there is none.

    Runs two queries, plus those for floors that this process has not loaded yet.
    """
    found = [
        _("Change freeze from %(start)s until %(until)s (setting FREEZE_WINDOWS).", start=start, until=until)
        for start, until in conf.settings().FREEZE_WINDOWS
        if datetime.fromisoformat(start) <= now < datetime.fromisoformat(until)
    ]
    if not conf.settings().FREEZE_DURING_SERVICE or conf.settings().ENVIRONMENT == "dev":
        return found
    open_refs = _open_restaurants(now)
    if open_refs:
        refs = ", ".join(open_refs)
        found.append(
            _("Service with bookings is under way at restaurant %(refs)s, and possibly at others.", refs=refs)
            if len(open_refs) == NAMED
            else _("Service with bookings is under way at restaurant %(refs)s.", refs=refs)
        )
    return found


def services_on(floor: Floor, now: datetime) -> Sequence[tuple[date, datetime, datetime]]:
    """Return date, start and end of each service under way at ``now``, including last night's after midnight."""
    today = now.astimezone(floor.zone).date()
    found = []
    for day in (today - A_DAY, today):
        for period in periods_on(floor, day):
            last_day = day if period.ends > period.starts else day + A_DAY
            starts = datetime.combine(day, period.starts, tzinfo=floor.zone).astimezone(UTC)
            ends = datetime.combine(last_day, period.ends, tzinfo=floor.zone).astimezone(UTC)
            if starts <= now < ends:
                found.append((day, starts, ends))
    return found


def _open_restaurants(now: datetime) -> list[str]:
    booked: dict[str, dict[date, tuple[datetime, datetime]]] = {}
    days = Assignment.objects.exclude(state__in=[State.CANCELLED, State.FAILED]).filter(
        service_date__range=(now.date() - 2 * A_DAY, now.date() + 2 * A_DAY)
    )
    by_date = days.order_by("restaurant_ref").values_list("restaurant_ref", "service_date")
    for ref, day, first, last in by_date.annotate(Min("starts_at"), Max("starts_at")):
        booked.setdefault(ref, {})[day] = first, last
    floors = floors_or_none(booked)
    open_refs = (ref for ref, floor in floors.items() if floor is not None and _is_open(floor, booked[ref], now))
    return list(islice(open_refs, NAMED))


def _is_open(floor: Floor, booked: Mapping[date, tuple[datetime, datetime]], now: datetime) -> bool:
    """Return whether a service with bookings is under way, on its date or after the following midnight.

    ``booked``: start of the first and last booking of each date.
    """
    return any(
        (day in booked and booked[day][1] >= starts) or (day + A_DAY in booked and booked[day + A_DAY][0] < ends)
        for day, starts, ends in services_on(floor, now)
    )
