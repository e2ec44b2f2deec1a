"""The picture of a day: where each bar is, which gaps there are, and what days and nights do to it."""

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from assignments.planning import engine
from assignments.planning.floor import Floor, TurnTime
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.staff.timeline import Bar, Row, Span, Taken, Timeline, day_at, day_span, lay_out
from assignments.testing import a_floor, a_service, a_table

DAY = date(2030, 1, 14)
TURNS = (TurnTime(max_party=2, minutes=90), TurnTime(max_party=4, minutes=120))
DINNER = a_service(turn_times=TURNS)


def at(hour: int, minute: int = 0, *, day: date = DAY) -> datetime:
    """London's winter clock is UTC's."""
    return datetime.combine(day, time(hour, minute), tzinfo=UTC)


def taken(table_ref: str, start: datetime, until: datetime, *, buffer: int = 0, **more: Any) -> Taken:
    defaults: dict[str, Any] = {"kind": "seating", "booking_ref": f"{table_ref} {start:%H:%M}"}
    around = timedelta(minutes=buffer)
    return Taken(
        table_ref=table_ref,
        starts_at=start,
        ends_at=until,
        blocked_from=start - around,
        blocked_until=until + around,
        **{**defaults, **more},
    )


def row(picture: Timeline, ref: str) -> Row:
    return next(each for each in picture.rows if each.table_ref == ref)


def only_bar(picture: Timeline, ref: str) -> Bar:
    (bar,) = row(picture, ref).bars
    return bar


class TestBars:
    def test_they_stand_where_their_minutes_are(self) -> None:
        picture = lay_out(a_floor(tables=[a_table("T1")]), [taken("T1", at(18), at(20), buffer=10)], day=DAY)
        assert picture.starts_at == at(16)  # Half an hour before dinner, and then the full hour.
        bar = only_bar(picture, "T1")
        assert bar.sat == Span(start=120, until=240)
        assert bar.blocked == Span(start=110, until=250)

    def test_what_overlaps_has_a_lane_of_its_own(self) -> None:
        both = [taken("T1", at(18), at(20)), taken("T1", at(19), at(21)), taken("T1", at(20), at(22))]
        only = row(lay_out(a_floor(tables=[a_table("T1")]), both, day=DAY), "T1")
        assert [bar.lane for bar in only.bars] == [0, 1, 0]
        assert only.lanes == 2

    def test_who_comes_outside_the_services_widens_the_picture(self) -> None:
        floor = a_floor(tables=[a_table("T1")])
        picture = lay_out(floor, [taken("T1", at(12, 10), at(13)), taken("T1", at(22), at(23, 59))], day=DAY)
        assert (picture.starts_at, picture.ends_at) == (at(11), at(0, day=DAY + timedelta(days=1)))

    def test_what_lasts_for_days_is_cut_and_does_not_widen_it(self) -> None:
        closed = taken("T1", at(0) - timedelta(days=3), at(0) + timedelta(days=3), kind="closure", booking_ref="")
        picture = lay_out(a_floor(tables=[a_table("T1")]), [closed], day=DAY)
        assert (picture.starts_at, picture.ends_at) == (at(16), at(23))
        bar = only_bar(picture, "T1")
        assert (bar.blocked.start, bar.blocked.until) == (0, picture.minutes)
        assert row(picture, "T1").gaps == ()

    def test_other_days_are_left_out(self) -> None:
        tomorrow = taken("T1", at(19) + timedelta(days=1), at(20) + timedelta(days=1))
        assert row(lay_out(a_floor(tables=[a_table("T1")]), [tomorrow], day=DAY), "T1").bars == ()

    def test_now_is_a_minute_of_the_picture_or_none(self) -> None:
        floor = a_floor(tables=[a_table("T1")])
        assert lay_out(floor, [], day=DAY, now=at(17, 30)).now == 90
        assert lay_out(floor, [], day=DAY, now=at(9)).now is None

    def test_a_part_of_the_evening_alone(self) -> None:
        floor = a_floor(tables=[a_table("T1")])
        evening = [taken("T1", at(17), at(18)), taken("T1", at(20), at(22))]
        picture = lay_out(floor, evening, day=DAY, within=(at(19, 10), at(20, 30)))
        assert (picture.starts_at, picture.ends_at) == (at(19), at(21))
        bar = only_bar(picture, "T1")
        assert (bar.blocked.start, bar.blocked.until) == (60, 120)
        assert [(band.span.start, band.span.until) for band in picture.bands] == [(0, 120)]


class TestRows:
    def test_tables_are_grouped_by_zone_and_sorted_as_people_count(self) -> None:
        floor = replace(
            a_floor(
                tables=[
                    a_table("T10", zone_ref="1"),
                    a_table("T2", zone_ref="1"),
                    a_table("B1", zone_ref="2"),
                    a_table("X"),
                ]
            ),
            zone_names={"1": "Terrace", "2": "Bar"},
        )
        picture = lay_out(floor, [], day=DAY)
        assert [(group.zone_ref, [each.table_ref for each in group.rows]) for group in picture.groups] == [
            ("2", ["B1"]),
            ("1", ["T2", "T10"]),
            (None, ["X"]),
        ]

    def test_a_table_that_is_gone_from_the_floor_is_still_seen_while_somebody_sits_there(self) -> None:
        picture = lay_out(a_floor(tables=[a_table("T1")]), [taken("old", at(18), at(20))], day=DAY)
        assert not picture.groups[-1].is_known
        assert only_bar(picture, "old").taken.booking_ref == "old 18:00"
        assert row(picture, "old").gaps == ()

    def test_without_a_floor_the_tables_are_those_that_are_taken(self) -> None:
        picture = lay_out(None, [taken("T1", at(18), at(20))], day=DAY)
        assert [each.table_ref for each in picture.rows] == ["T1"]
        assert picture.bands == ()

    def test_a_floor_without_tables_and_services_is_an_empty_day(self) -> None:
        floor = replace(a_floor(), services=())
        picture = lay_out(floor, [], day=DAY)
        assert picture.groups == ()
        assert picture.minutes == 24 * 60


class TestJoins:
    FLOOR = a_floor(tables=[a_table(f"T{number}") for number in range(1, 5)])

    def test_one_booking_at_several_tables_is_tied_together(self) -> None:
        joined = [taken(ref, at(18), at(20), booking_ref="B1") for ref in ("T1", "T3")]
        picture = lay_out(self.FLOOR, joined, day=DAY)
        assert only_bar(picture, "T1").joined == ("T1", "T3")
        ties = {each.table_ref: each.ties for each in picture.rows}
        assert [(tie.from_above, tie.to_below, tie.is_end) for tie in ties["T1"]] == [(False, True, True)]
        assert [(tie.from_above, tie.to_below, tie.is_end) for tie in ties["T2"]] == [(True, True, False)]
        assert [(tie.from_above, tie.to_below, tie.is_end) for tie in ties["T3"]] == [(True, False, True)]
        assert ties["T4"] == ()

    def test_closures_of_two_tables_are_no_join(self) -> None:
        closed = [taken(ref, at(18), at(20), kind="closure", booking_ref="") for ref in ("T1", "T2")]
        assert not any(each.ties for each in lay_out(self.FLOOR, closed, day=DAY).rows)


class TestGaps:
    FLOOR = a_floor(tables=[a_table("T1", seats=4)], services=[DINNER])

    def gaps(self, *seated: Taken, **more: Any) -> list[tuple[int, int | None]]:
        found = row(lay_out(self.FLOOR, seated, day=DAY, **more), "T1").gaps
        return [(gap.minutes, gap.largest_party) for gap in found]

    def test_they_are_what_service_leaves_free(self) -> None:
        assert self.gaps() == [(360, 4)]
        assert self.gaps(taken("T1", at(18, 30), at(20))) == [(90, 2), (180, 4)]
        assert self.gaps(taken("T1", at(17), at(23))) == []

    def test_a_gap_that_is_too_short_for_anybody_says_so(self) -> None:
        assert self.gaps(taken("T1", at(18, 20), at(20)), taken("T1", at(21, 59), at(23))) == [(80, None), (119, 2)]

    def test_nobody_can_come_to_what_is_over(self) -> None:
        assert self.gaps(taken("T1", at(19), at(21)), now=at(20)) == [(120, None), (120, 4)]

    def test_a_gap_that_has_begun_is_counted_from_now(self) -> None:
        assert self.gaps(now=at(21, 30)) == [(90, 2)]
        assert self.gaps(now=at(16)) == [(360, 4)]

    def test_buffers_are_part_of_what_a_party_needs(self) -> None:
        floor = a_floor(tables=[a_table("T1")], services=[replace(DINNER, buffer_after_minutes=10)])
        before = [taken("T1", at(19), at(22, 50))]
        assert [gap.largest_party for gap in row(lay_out(floor, before, day=DAY), "T1").gaps] == [2, None]

    def test_a_table_out_of_service_has_none(self) -> None:
        floor = a_floor(tables=[a_table("T1", active=False)])
        assert row(lay_out(floor, [], day=DAY), "T1").gaps == ()

    def test_between_services_nothing_counts_as_free(self) -> None:
        lunch = a_service(key="lunch", starts=time(12), ends=time(14))
        floor = a_floor(tables=[a_table("T1")], services=[lunch, DINNER])
        assert [gap.minutes for gap in row(lay_out(floor, [], day=DAY), "T1").gaps] == [120, 360]

    @pytest.mark.parametrize(("start", "until"), [(at(17), at(18)), (at(18, 40), at(20)), (at(19), at(22, 30))])
    def test_the_planner_agrees_about_who_could_sit_there(self, start: datetime, until: datetime) -> None:
        (table,) = self.FLOOR.tables
        seated = [taken("T1", start, until)]
        occupied = tuple(
            Occupied(table_ref="T1", blocked_from=each.blocked_from, blocked_until=each.blocked_until)
            for each in seated
        )
        for gap in row(lay_out(self.FLOOR, seated, day=DAY), "T1").gaps:
            minutes = range(int(gap.minutes))
            able = {
                party
                for party in range(1, table.seats + 1)
                for minute in minutes
                if self.seats(occupied, gap.starts_at + timedelta(minutes=minute), party)
            }
            assert gap.largest_party == max(able, default=None)

    def seats(self, occupied: tuple[Occupied, ...], start: datetime, party: int) -> bool:
        request = SeatingRequest(booking_ref="B", starts_at=start, party=party)
        snapshot = Snapshot(floor=self.FLOOR, occupied=occupied, request=request, now=at(0))
        return engine.plan(snapshot).best is not None


class TestDaysAndNights:
    def late(self) -> Floor:
        return a_floor(tables=[a_table("T1")], services=[a_service(key="late", starts=time(20), ends=time(2))])

    def test_a_night_belongs_to_its_evening(self) -> None:
        floor, tomorrow = self.late(), DAY + timedelta(days=1)
        assert day_span(floor, DAY) == (at(5), at(5, day=tomorrow))
        assert day_at(floor, at(1, 30, day=tomorrow)) == DAY
        assert day_at(floor, at(4, 59, day=tomorrow)) == DAY
        assert day_at(floor, at(5, day=tomorrow)) == tomorrow
        night = [taken("T1", at(0, 15, day=tomorrow), at(1, 45, day=tomorrow))]
        assert only_bar(lay_out(floor, night, day=DAY), "T1").blocked.start == 5 * 60 + 15
        assert row(lay_out(floor, night, day=tomorrow), "T1").bars == ()

    def test_days_touch_and_never_overlap(self) -> None:
        floor = self.late()
        spans = [day_span(floor, DAY + timedelta(days=number)) for number in range(-3, 4)]
        assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))

    def test_a_service_around_the_clock_changes_days_when_it_begins_anew(self) -> None:
        floor = a_floor(tables=[a_table("T1")], services=[a_service(starts=time(0), ends=time(0), allow_overrun=True)])
        assert day_span(floor, DAY) == (at(0), at(0, day=DAY + timedelta(days=1)))

    @pytest.mark.parametrize(
        ("day", "hours", "repeated"), [(date(2030, 3, 31), 23, []), (date(2030, 10, 27), 25, ["01 BST", "01 GMT"])]
    )
    def test_days_on_which_the_clocks_change_have_their_own_length(
        self, day: date, hours: int, repeated: list[str]
    ) -> None:
        floor = a_floor(tables=[a_table("T1")], services=[a_service(starts=time(0), ends=time(0), allow_overrun=True)])
        picture = lay_out(floor, [], day=day)
        shown = [tick for tick in picture.ticks if tick.moment.date() == day]
        assert len(shown) == hours
        assert [f"{tick.moment:%H %Z}" for tick in shown if tick.is_repeated] == repeated
        (gap,) = row(picture, "T1").gaps
        assert gap.minutes == hours * 60

    def test_full_hours_are_those_of_the_restaurants_clock(self) -> None:
        floor = replace(a_floor(tables=[a_table("T1")]), timezone="Asia/Kathmandu")
        picture = lay_out(floor, [], day=DAY)
        assert {tick.moment.minute for tick in picture.ticks} == {0}
        assert f"{picture.ticks[0].moment:%H:%M}" == "16:00"
        assert picture.starts_at == datetime(2030, 1, 14, 10, 15, tzinfo=UTC)


def test_sixty_tables_and_an_overfull_day_are_laid_out() -> None:
    floor = a_floor(tables=[a_table(f"T{number}") for number in range(60)], services=[DINNER])
    evening = [taken(f"T{number}", at(hour), at(hour + 2)) for number in range(60) for hour in (17, 19, 21)]
    picture = lay_out(floor, evening, day=DAY)
    assert sum(len(each.bars) for each in picture.rows) == 180
    assert not any(each.gaps for each in picture.rows)
