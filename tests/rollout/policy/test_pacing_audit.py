"""How many guests come within an interval, or sit at once, as the audit counts them."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from assignments.planning.floor import Pacing
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot
from assignments.testing import a_floor, a_table
from rollout.policy.pacing_audit import is_too_many
from rollout.policy.seating_audit import exceeds_pacing

START = datetime(2031, 1, 14, 19, tzinfo=UTC)


def exceeds(others: tuple[int, int], **limits: Any) -> bool:
    """Four ask for 19:00, where four others sit; ``others``: when these come and go, in minutes from then."""
    comes, goes = (START + timedelta(minutes=minutes) for minutes in others)
    sitting = Occupied(
        table_ref="T1",
        blocked_from=comes,
        blocked_until=goes,
        booking_ref="A",
        starts_at=comes,
        ends_at=goes,
        party=4,
    )
    floor = replace(a_floor(tables=[a_table("T1"), a_table("T2")]), pacing=(Pacing(**limits),))
    asks = SeatingRequest(booking_ref="B", starts_at=START, party=4, requested_at=START - timedelta(days=2))
    now = START - timedelta(days=1)
    return exceeds_pacing(
        Snapshot(floor=floor, occupied=(sitting,), request=asks, now=now, rules=PlanningRules(), success={})
    )


@pytest.mark.parametrize(
    ("others", "expected"),
    [((-90, 0), False), ((-90, 1), True), ((0, 90), True), ((30, 120), True), ((119, 210), True), ((120, 210), False)],
)
def test_guests_who_leave_as_others_come_do_not_sit_at_once(others: tuple[int, int], expected: bool) -> None:
    assert exceeds(others, most_present=7) is expected
    assert not exceeds(others, most_present=8)


@pytest.mark.parametrize(
    ("others", "expected"), [((-1, 90), False), ((0, 90), True), ((14, 90), True), ((15, 90), False)]
)
def test_guests_come_together_within_one_interval(others: tuple[int, int], expected: bool) -> None:
    assert exceeds(others, most_covers=7) is expected
    assert exceeds(others, most_parties=1) is expected
    assert not exceeds(others, most_covers=8, most_parties=2)


def june(first: int, last: int | None, **others: Any) -> dict[str, Any]:
    return {
        "first_date": date(2030, 6, first),
        "last_date": date(2030, 6, last) if last is not None else None,
        **others,
    }


def exceeds_on_friday(*pacing: Pacing) -> bool:
    """Whether four may not come to dinner on June 14, where four come half an hour later."""
    start = datetime(2030, 6, 14, 18, tzinfo=UTC)
    later = start + timedelta(minutes=30)
    until = start + timedelta(minutes=90)
    floor = replace(a_floor(tables=[a_table("T1")], timezone="UTC"), pacing=pacing)
    sitting = Occupied(
        table_ref="T2", blocked_from=later, blocked_until=until, booking_ref="A", party=4, starts_at=later
    )
    return is_too_many(floor, 4, start, until, [sitting])


@pytest.mark.parametrize(
    ("ruling", "other"),
    [
        # The one for the fewest days,
        (june(14, 14), {}),
        (june(1, None), {}),
        (june(1, 30), june(14, None)),
        (june(10, 16), june(1, 30)),
        (june(13, 14), june(14, 16, service_key="dinner")),
        # of these the one that names the service,
        ({"service_key": "dinner"}, {}),
        (june(13, 14, service_key="dinner"), june(14, 15)),
        # and of these the one that begins last.
        (june(14, 15), june(13, 14)),
        (june(14, 15, service_key="dinner"), june(13, 14, service_key="dinner")),
        # Those for other dates or services say nothing.
        ({}, june(13, 13)),
        ({}, june(15, 15)),
        ({}, june(14, 14, weekdays=frozenset({3, 5}))),
        ({}, june(14, 14, service_key="lunch")),
    ],
)
@pytest.mark.parametrize(
    ("strict", "lax"),
    [
        ({"most_covers": 3}, {"most_covers": 4}),
        ({"most_parties": 0}, {"most_parties": 1}),
        ({"most_present": 7}, {"most_present": 8}),
    ],
)
def test_of_several_limits_one_rules_whether_it_is_stricter_or_not(
    ruling: dict[str, Any], other: dict[str, Any], strict: dict[str, Any], lax: dict[str, Any]
) -> None:
    for its_limits, others, expected in ((strict, lax, True), (lax, strict, False)):
        both = Pacing(**ruling, **its_limits), Pacing(**other, **others)
        assert exceeds_on_friday(*both) is exceeds_on_friday(*both[::-1]) is expected


@pytest.mark.parametrize(
    ("ruling", "other", "expected"),
    [
        ({"most_covers": 3}, {"most_covers": 4}, True),
        ({"most_covers": 4}, {}, False),
        ({"most_covers": 4}, {"most_parties": 0}, False),
        ({"most_covers": 4, "most_parties": 1}, {"most_covers": 4, "most_present": 7}, False),
        ({"most_covers": 4, "most_present": 7}, {"most_covers": 4, "most_present": 8}, True),
        ({"most_covers": 4, "interval_minutes": 30}, {"most_covers": 4, "interval_minutes": 60}, False),
    ],
)
def test_of_limits_for_the_same_dates_the_strictest_rules(
    ruling: dict[str, Any], other: dict[str, Any], expected: bool
) -> None:
    both = Pacing(**ruling), Pacing(**other)
    assert exceeds_on_friday(*both) is exceeds_on_friday(*both[::-1]) is expected


def test_rows_without_guests_or_without_their_times_are_not_counted() -> None:
    start = datetime(2030, 6, 14, 18, tzinfo=UTC)
    until = start + timedelta(hours=1)
    floor = a_floor(tables=[a_table("T1")], timezone="UTC", pacing=[Pacing(most_covers=4)])
    row = Occupied(table_ref="T1", blocked_from=start, blocked_until=until, booking_ref="A", party=1, starts_at=start)
    others = (row, True), (replace(row, starts_at=None), False), (replace(row, booking_ref=None), False)
    for other, expected in others:
        assert is_too_many(floor, 4, start, until, [other]) is expected


def test_there_is_no_pace_without_limits_or_a_service() -> None:
    assert not exceeds_on_friday()
    assert not exceeds_on_friday(Pacing(most_covers=0, service_key="lunch"))
    floor = a_floor(tables=[a_table("T1")], timezone="UTC", pacing=[Pacing(most_covers=0)])
    dinner = datetime(2030, 6, 14, 18, tzinfo=UTC)
    for start, expected in ((dinner, True), (dinner - timedelta(hours=8), False)):
        assert is_too_many(floor, 4, start, start + timedelta(hours=1), []) is expected
