"""ModelHost: a host from field names alone, on booking models of very different shapes."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from django.core import checks
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from django.db.models import CharField, F, Func, Value
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments import api
from assignments.checks import check_host_answers
from assignments.exceptions import InvalidBookingError
from assignments.integration.host import Host, Seating, is_cancelled
from assignments.integration.model_host import ALL_DAY, ModelHost, floors
from assignments.maintenance.reconcile import reconcile
from assignments.models import (
    AdjacentTables,
    Allocation,
    CalendarEntry,
    CalendarService,
    ListedJoin,
    ServiceHours,
    TableDetails,
    TurnMinutes,
    VenueSettings,
)
from assignments.planning.calendar import is_closed, periods_on
from assignments.planning.floor import InvalidFloorError
from assignments.planning.units import seatable_units
from example import models as example
from example.host import ExampleHost
from tests.shapes.hosts import BanquetHost, CardHost, NoteHost, StayHost, TicketHost, VisitHost
from tests.shapes.models import Banquet, Bench, Board, Card, House, Note, Stay, Stool, Ticket, Visit

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 17, 12, tzinfo=UTC)
TONIGHT = datetime(2030, 1, 17, 19, tzinfo=UTC)
STAGE = Visit.Stage


V3_ROUTER = "assignments.integration.planners.SoleRouter"


def seating(booking: Any, *boards: Board) -> Seating:
    return Seating(
        booking_ref=str(booking.pk),
        table_refs=tuple(str(board.pk) for board in boards),
        starts_at=TONIGHT,
        ends_at=TONIGHT + timedelta(hours=2),
    )


@pytest.fixture
def house() -> House:
    return House.objects.create(name="Anchor")


@pytest.fixture
def boards(house: House) -> list[Board]:
    return [Board.objects.create(house=house, label=f"B{number}", places=4, room="bar") for number in (1, 2, 3)]


def visit(house: House | None, **values: Any) -> Visit:
    return Visit.objects.create(house=house, **{"day": TONIGHT.date(), "hour": time(19), "guests": 2, **values})


@pytest.mark.parametrize(
    "host", [VisitHost(), StayHost(), CardHost(), NoteHost(), TicketHost(), BanquetHost(), ExampleHost()]
)
def test_every_shape_is_a_host_and_names_only_fields_that_exist(host: ModelHost) -> None:
    assert isinstance(host, Host)
    assert host.check() == []


class TestNames:
    def test_restaurants_are_called_what_the_project_calls_them(self, house: House) -> None:
        refs = [str(house.pk), "0", "no-number"]
        assert VisitHost().restaurant_names(refs) == {str(house.pk): str(house)}

    def test_a_project_without_restaurants_of_its_own_has_no_names(self) -> None:
        assert StayHost().restaurant_names(["venue"]) == {}


class TestReading:
    def test_a_row_becomes_a_booking(self, boards: list[Board]) -> None:
        stay = Stay.objects.create(start=TONIGHT, until=TONIGHT + timedelta(hours=3), covers=5, accepted=True)
        booking = StayHost().bookings([str(stay.pk)])[str(stay.pk)]
        assert (booking.restaurant_ref, booking.starts_at, booking.party) == ("venue", TONIGHT, 5)
        assert (booking.ends_at, booking.zone_ref) == (TONIGHT + timedelta(hours=3), None)
        assert (booking.is_confirmed, booking.wants_table, booking.problem) == (True, True, None)

    def test_a_wall_clock_is_read_in_the_restaurants_time_zone(self, house: House) -> None:
        VenueSettings.objects.create(restaurant_ref=str(house.pk), timezone="America/New_York")
        booking = visit(house, room="bar")
        read = VisitHost().bookings([str(booking.pk)])[str(booking.pk)]
        assert read.starts_at == datetime(2030, 1, 18, 0, tzinfo=UTC)
        assert (read.restaurant_ref, read.zone_ref) == (str(house.pk), "bar")

    @pytest.mark.parametrize(
        ("stage", "wants_table", "is_confirmed", "cancelled"),
        [
            (STAGE.ASKED, True, False, False),
            (STAGE.ASKED_AGAIN, True, False, False),
            (STAGE.CONFIRMED, True, True, False),
            (STAGE.CANCELLED, False, False, True),
            (STAGE.SEATED, False, False, False),
        ],
    )
    def test_the_status_says_who_wants_a_table_and_whose_is_free(
        self, house: House, stage: int, wants_table: bool, is_confirmed: bool, cancelled: bool
    ) -> None:
        booking = visit(house, stage=stage)
        read = VisitHost().bookings([str(booking.pk)])[str(booking.pk)]
        assert (read.wants_table, read.is_confirmed, is_cancelled(read)) == (wants_table, is_confirmed, cancelled)

    def test_a_status_of_which_none_means_cancelled_is_warned_of(self) -> None:
        found = type("Endless", (VisitHost,), {"cancelled_statuses": ("cancelled",)})().check()
        assert [each.id for each in found] == ["assignments.W001"]
        assert "cancelled_statuses" in str(found[0].hint)

    @pytest.mark.parametrize("host", [VisitHost(), StayHost(), CardHost(), NoteHost(), ExampleHost()])
    @pytest.mark.parametrize(
        "ref",
        ["4711", "abc", "", "not-a-uuid", "5e5f12be-6dd4-44c7-a1d9-db9a17e7a0d5", "9" * 40, "-1", "1.5", "²", "\0"],
    )
    def test_unknown_and_malformed_refs_are_absent(self, host: ModelHost, ref: str) -> None:
        assert host.bookings([ref]) == {}

    def test_many_bookings_cost_one_query_and_one_for_time_zones(
        self, house: House, django_assert_num_queries: Any
    ) -> None:
        visits = [str(visit(house).pk) for _ in range(20)]
        stays = [str(Stay.objects.create(start=TONIGHT, covers=2).pk) for _ in range(20)]
        with django_assert_num_queries(2):
            assert set(VisitHost().bookings(visits)) == set(visits)
        with django_assert_num_queries(1):
            assert set(StayHost().bookings(stays)) == set(stays)

    @pytest.mark.parametrize(
        ("values", "problem"),
        [
            ({"day": date(2030, 3, 31), "hour": time(1, 30)}, "2030-03-31 01:30 does not exist in Europe/London"),
            ({"day": None}, "no start"),
            ({"hour": None}, "no start"),
            ({"guests": None}, "The party is a NoneType, not a number of covers"),
            ({"house": None}, "no restaurant"),
            ({"day": date(9999, 12, 31), "hour": time(23, 30)}, "9999-12-31 23:30 is out of range"),
        ],
    )
    def test_a_row_that_cannot_be_planned_says_why_and_spares_the_others(
        self, house: House, values: dict[str, Any], problem: str
    ) -> None:
        VenueSettings.objects.create(restaurant_ref=str(house.pk), timezone="Europe/London")
        good, bad = visit(house), visit(**{"house": house, **values})
        read = VisitHost().bookings([str(good.pk), str(bad.pk)])
        assert read[str(good.pk)].problem is None
        assert problem in (read[str(bad.pk)].problem or "")

    @pytest.mark.parametrize(
        ("zone", "day", "hour"),
        [
            ("America/New_York", date(9999, 12, 31), time(23, 30)),
            ("Pacific/Auckland", date(1, 1, 1), time(0, 30)),
            ("Europe", date(9999, 12, 31), time(23, 30)),
        ],
    )
    def test_a_date_whose_moment_is_beyond_the_calendar_costs_only_its_booking(
        self, house: House, zone: str, day: date, hour: time
    ) -> None:
        elsewhere = House.objects.create(name="Bell")
        VenueSettings.objects.create(restaurant_ref=str(elsewhere.pk), timezone=zone)
        good, bad = visit(house), visit(elsewhere, day=day, hour=hour)
        read = VisitHost().bookings([str(good.pk), str(bad.pk)])
        assert read[str(good.pk)].problem is None
        assert "is out of range" in (read[str(bad.pk)].problem or "")
        assert str(good.pk) in [each.ref for each in VisitHost().unassigned(after=None, limit=10, now=NOON)]

    @pytest.mark.parametrize("name", ["Europe/Atlantis", "Europe"])
    def test_a_time_zone_that_does_not_exist_spoils_only_its_own_restaurant(self, house: House, name: str) -> None:
        elsewhere = House.objects.create(name="Bell")
        VenueSettings.objects.create(restaurant_ref=str(elsewhere.pk), timezone=name)
        good, bad = visit(house), visit(elsewhere)
        read = VisitHost().bookings([str(good.pk), str(bad.pk)])
        assert read[str(good.pk)].problem is None
        assert f"'{name}'" in (read[str(bad.pk)].problem or "")
        waiting = VisitHost().unassigned(after=None, limit=10, now=NOON)
        assert [booking.ref for booking in waiting] == [str(good.pk), str(bad.pk)]

    def test_a_start_that_is_null_is_a_problem(self) -> None:
        stay = Stay.objects.create(start=None, covers=2)
        assert "no start" in (StayHost().bookings([str(stay.pk)])[str(stay.pk)].problem or "")


class TestUnassigned:
    def test_only_who_waits_and_comes_later(self, house: House) -> None:
        waiting = [
            visit(house),
            visit(house, stage=STAGE.ASKED_AGAIN),
            visit(house, day=date(2030, 1, 18), hour=time(1)),
        ]
        visit(house, stage=STAGE.CONFIRMED)
        visit(house, stage=STAGE.CANCELLED)
        visit(house, hour=time(11, 59))
        visit(house, day=date(2030, 1, 16))
        found = VisitHost().unassigned(after=None, limit=10, now=NOON)
        assert [booking.ref for booking in found] == [str(each.pk) for each in waiting]

    @pytest.mark.parametrize("accepted", [None, False])
    def test_a_booking_that_nobody_has_looked_at_waits(self, boards: list[Board], accepted: bool | None) -> None:
        stay = Stay.objects.create(start=TONIGHT, covers=2, accepted=accepted)
        Stay.objects.create(start=TONIGHT, covers=2, accepted=True)
        assert [each.ref for each in StayHost().unassigned(after=None, limit=10, now=NOON)] == [str(stay.pk)]
        StayHost().on_confirmed([seating(stay, boards[0])])
        assert Stay.objects.filter(accepted=True).count() == 2

    def test_no_status_at_all_may_mean_that_it_waits(self) -> None:
        for code, status in (("new", None), ("again", "asked"), ("done", "confirmed")):
            Ticket.objects.create(code=code, start=TONIGHT, covers=2, status=status)
        assert {each.ref for each in TicketHost().unassigned(after=None, limit=10, now=NOON)} == {"new", "again"}

    def test_each_restaurants_clock_says_what_is_later(self, house: House) -> None:
        auckland, new_york = (House.objects.create(name=name) for name in ("Auckland", "New York"))
        VenueSettings.objects.create(restaurant_ref=str(auckland.pk), timezone="Pacific/Auckland")
        VenueSettings.objects.create(restaurant_ref=str(new_york.pk), timezone="America/New_York")
        # At noon in UTC it is 07:00 in New York, and 01:00 of the next day in Auckland.
        breakfast = visit(new_york, hour=time(8))
        over = visit(auckland, day=date(2030, 1, 18), hour=time(0, 30))
        later = visit(auckland, day=date(2030, 1, 18), hour=time(1, 30))
        plain = visit(house, hour=time(12, 30))
        found = [booking.ref for booking in VisitHost().unassigned(after=None, limit=10, now=NOON)]
        assert found == [str(breakfast.pk), str(later.pk), str(plain.pk)]
        assert str(over.pk) not in found

    @pytest.mark.parametrize("keyed_by", ["number", "uuid", "text"])
    def test_pages_meet_every_booking_once(self, boards: list[Board], keyed_by: str) -> None:
        host: ModelHost
        if keyed_by == "number":
            host, refs = NoteHost(), {str(Note.objects.create(start=TONIGHT, covers=2).pk) for _ in range(7)}
        elif keyed_by == "uuid":
            host, refs = StayHost(), {str(Stay.objects.create(start=TONIGHT, covers=2).pk) for _ in range(7)}
        else:
            host = CardHost()
            codes = ["b", "A", "10", "9", "ä", "Z", "a"]
            refs = {Card.objects.create(code=code, start=TONIGHT, covers=2, board=boards[0]).pk for code in codes}
        seen: list[str] = []
        while page := host.unassigned(after=seen[-1] if seen else None, limit=3, now=NOON):
            assert len(page) <= 3
            seen += [booking.ref for booking in page]
        assert len(seen) == 7
        assert set(seen) == refs

    def test_a_page_costs_one_query(self, django_assert_num_queries: Any) -> None:
        for _ in range(20):
            Note.objects.create(start=TONIGHT, covers=2)
        with django_assert_num_queries(1):
            assert len(NoteHost().unassigned(after=None, limit=50, now=NOON)) == 20

    def test_one_restaurants_bookings(self, house: House) -> None:
        mine, _other = visit(house), visit(House.objects.create(name="Bell"))
        found = VisitHost().unassigned(after=None, limit=10, now=NOON, restaurant_ref=str(house.pk))
        assert [booking.ref for booking in found] == [str(mine.pk)]

    @pytest.mark.parametrize("restaurant_ref", ["no-such-restaurant", "", "4711"])
    def test_an_unknown_restaurant_has_none(self, house: House, restaurant_ref: str) -> None:
        visit(house)
        Note.objects.create(start=TONIGHT, covers=2)
        for host in (VisitHost(), NoteHost(), ExampleHost()):
            assert not host.unassigned(after=None, limit=10, now=NOON, restaurant_ref=restaurant_ref)


class TestHistory:
    """What past evenings are replayed from."""

    NIGHT = NOON + timedelta(days=1)

    def history(self, host: ModelHost, **arguments: Any) -> list[str]:
        arguments = {"start": NOON, "until": self.NIGHT, "after": None, "limit": 100, **arguments}
        return [booking.ref for booking in host.history(**arguments)]

    def test_it_holds_everybody_who_wanted_a_table_then_and_nobody_who_cancelled(self, house: House) -> None:
        wanted = [visit(house, stage=stage) for stage in (STAGE.ASKED, STAGE.CONFIRMED, STAGE.ASKED_AGAIN)]
        visit(house, stage=STAGE.CANCELLED)
        assert self.history(VisitHost()) == [str(each.pk) for each in wanted]

    def test_bookings_that_are_over_belong_to_it(self) -> None:
        restaurant = example.Restaurant.objects.create(name="Anchor", reference="anchor")
        refs = {
            status: str(restaurant.bookings.create(reference=status, start=TONIGHT, party=2, status=status).pk)
            for status in example.Booking.Status.values
        }
        assert set(self.history(ExampleHost())) == set(refs.values()) - {refs["cancelled"], refs["no_show"]}
        waiting = ExampleHost().unassigned(after=None, limit=10, now=NOON)
        assert [booking.ref for booking in waiting] == [refs["pending"]]

    def test_a_project_without_a_status_gives_all(self, boards: list[Board]) -> None:
        stays = {str(Stay.objects.create(start=TONIGHT, covers=2, accepted=accepted).pk) for accepted in (True, False)}
        Stay.objects.create(start=None, covers=2)
        note = Note.objects.create(start=TONIGHT, covers=2)
        assert set(self.history(StayHost())) == stays
        assert self.history(NoteHost()) == [str(note.pk)]

    def test_it_begins_at_the_start_and_ends_before_the_end(self, boards: list[Board]) -> None:
        moments = [NOON - timedelta(minutes=1), NOON, self.NIGHT - timedelta(minutes=1), self.NIGHT]
        codes = [Card.objects.create(code=f"{at:%d%H%M}", start=at, covers=2, board=boards[0]).pk for at in moments]
        assert self.history(CardHost()) == codes[1:3]

    def test_each_restaurants_clock_says_what_is_in_it_and_days_in_turn_meet_every_booking_once(
        self, house: House
    ) -> None:
        houses = [house, *(House.objects.create(name=name) for name in ("Auckland", "New York"))]
        for each, zone in zip(houses[1:], ("Pacific/Auckland", "America/New_York"), strict=True):
            VenueSettings.objects.create(restaurant_ref=str(each.pk), timezone=zone)
        day = date(2030, 3, 30)  # Clocks change that night in Europe, and on other days elsewhere.
        booked = {
            str(visit(each, day=day + timedelta(days=offset), hour=time(hour)).pk)
            for each in houses
            for offset in range(3)
            for hour in range(0, 24, 3)
        }
        start = datetime(2030, 3, 29, tzinfo=UTC)
        found = [
            (booking.ref, start + timedelta(days=number) <= booking.starts_at < start + timedelta(days=number + 1))
            for number in range(5)
            for booking in VisitHost().history(
                start=start + timedelta(days=number), until=start + timedelta(days=number + 1), after=None, limit=100
            )
        ]
        assert sorted(ref for ref, _inside in found) == sorted(booked)
        assert all(inside for _ref, inside in found)

    @pytest.mark.parametrize("keyed_by", ["number", "uuid", "text"])
    def test_pages_meet_every_booking_once(self, boards: list[Board], keyed_by: str) -> None:
        host: ModelHost
        if keyed_by == "number":
            host, refs = NoteHost(), {str(Note.objects.create(start=TONIGHT, covers=2).pk) for _ in range(7)}
        elif keyed_by == "uuid":
            host, refs = StayHost(), {str(Stay.objects.create(start=TONIGHT, covers=2).pk) for _ in range(7)}
        else:
            codes = ["b", "A", "10", "9", "ä", "Z", "a"]
            host = CardHost()
            refs = {Card.objects.create(code=code, start=TONIGHT, covers=2, board=boards[0]).pk for code in codes}
        seen: list[str] = []
        while page := self.history(host, after=seen[-1] if seen else None, limit=3):
            assert len(page) <= 3
            seen += page
        assert len(seen) == 7
        assert set(seen) == refs

    def test_a_page_costs_one_query(self, django_assert_num_queries: Any) -> None:
        for _ in range(20):
            Note.objects.create(start=TONIGHT, covers=2)
        with django_assert_num_queries(1):
            assert len(self.history(NoteHost())) == 20

    def test_one_restaurants_bookings_and_an_unknown_one_has_none(self, house: House) -> None:
        mine, _other = visit(house), visit(House.objects.create(name="Bell"))
        assert self.history(VisitHost(), restaurant_ref=str(house.pk)) == [str(mine.pk)]
        for ref in ("no-such-restaurant", "", "4711"):
            assert self.history(VisitHost(), restaurant_ref=ref) == []


class TestTablesOf:
    """What the project had given away before this app came."""

    def test_a_many_to_many_gives_all_and_a_foreign_key_one(self, house: House, boards: list[Board]) -> None:
        joined, bare = visit(house), visit(house)
        joined.boards.set(boards[:2])
        stay = Stay.objects.create(start=TONIGHT, covers=2, board=boards[2])
        refs = [str(joined.pk), str(bare.pk), "4711", "no-such-booking"]
        assert VisitHost().tables_of(refs) == {str(joined.pk): (str(boards[0].pk), str(boards[1].pk))}
        assert StayHost().tables_of([str(stay.pk)]) == {str(stay.pk): (str(boards[2].pk),)}

    def test_a_project_that_stores_none_has_none(self, boards: list[Board]) -> None:
        note = Note.objects.create(start=TONIGHT, covers=2)
        assert NoteHost().tables_of([str(note.pk)]) == {}

    def test_the_check_warns_of_them_until_they_are_taken_over(
        self, settings: Any, house: House, boards: list[Board]
    ) -> None:
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.VisitHost", "ROUTER": V3_ROUTER}
        old = visit(house, day=TONIGHT.date(), stage=STAGE.CONFIRMED)
        old.boards.set(boards[:1])
        Visit.objects.update(day=datetime.now(UTC).date() + timedelta(days=3))

        def warned() -> list[str | None]:
            return [each.id for each in checks.run_checks(databases=["default"]) if each.id == "assignments.W002"]

        assert warned() == ["assignments.W002"]
        assert [found.remedy for found in reconcile()] == ["its tables are taken over"]
        assert warned() == []
        assert Allocation.objects.get().table_ref == str(boards[0].pk)


@pytest.mark.django_db(transaction=True)
class TestLocking:
    @pytest.fixture
    def other(self) -> Iterator[Any]:
        """A second connection to the same database."""
        another = connection.copy()
        yield another
        another.close()

    def test_a_booking_that_is_being_edited_is_left_out(self, other: Any, house: House) -> None:
        free, edited = visit(house), visit(house)
        refs = [str(free.pk), str(edited.pk)]
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute("UPDATE shapes_visit SET guests = 3 WHERE id = %s", [edited.pk])
        with transaction.atomic():
            assert set(VisitHost().bookings(refs, lock=True)) == {str(free.pk)}
            assert set(VisitHost().bookings(refs)) == set(refs)
        other.rollback()
        with transaction.atomic():
            assert set(VisitHost().bookings(refs, lock=True)) == set(refs)

    def test_a_locked_booking_can_be_neither_edited_nor_deleted_but_its_restaurant_can(
        self, other: Any, house: House
    ) -> None:
        booking = visit(house)
        with transaction.atomic(), other.cursor() as cursor:
            VisitHost().bookings([str(booking.pk)], lock=True)
            cursor.execute("SELECT id FROM shapes_visit FOR NO KEY UPDATE SKIP LOCKED")
            assert cursor.fetchall() == []
            cursor.execute("SELECT id FROM shapes_house FOR UPDATE SKIP LOCKED")
            assert cursor.fetchall() == [(house.pk,)]

    @pytest.mark.parametrize(
        ("table", "key"),
        [("record", "id"), ("reservation", "record_ptr_id"), ("banquet", "reservation_ptr_id")],
    )
    def test_of_a_booking_that_is_kept_in_several_tables_every_row_is_locked(
        self, other: Any, table: str, key: str
    ) -> None:
        ref = str(Banquet.objects.create(start=TONIGHT, covers=2).pk)
        proxied = type("FeastHost", (BanquetHost,), {"booking_model": "shapes.Feast"})()
        lock = f"SELECT {key} FROM shapes_{table} FOR NO KEY UPDATE SKIP LOCKED"
        other.set_autocommit(False)
        with other.cursor() as cursor, transaction.atomic():
            cursor.execute(lock)
            assert BanquetHost().bookings([ref], lock=True) == proxied.bookings([ref], lock=True) == {}
            other.rollback()
            assert set(BanquetHost().bookings([ref], lock=True)) == {ref}
            cursor.execute(lock)
            assert cursor.fetchall() == []


class TestConfirming:
    def test_many_to_many_gets_exactly_these_tables(self, house: House, boards: list[Board]) -> None:
        booking, neighbour = visit(house), visit(house)
        booking.boards.set(boards[:2])
        neighbour.boards.set(boards[:1])
        VisitHost().on_confirmed([seating(booking, boards[1], boards[2])])
        booking.refresh_from_db()
        assert booking.stage == STAGE.CONFIRMED
        assert set(booking.boards.all()) == {boards[1], boards[2]}
        assert set(neighbour.boards.all()) == {boards[0]}

    def test_a_foreign_key_gets_the_first_table(self, boards: list[Board]) -> None:
        stays = [Stay.objects.create(start=TONIGHT, covers=2) for _ in range(2)]
        StayHost().on_confirmed([seating(stays[0], boards[0]), seating(stays[1], boards[1], boards[2])])
        first, second = (Stay.objects.get(pk=each.pk) for each in stays)
        assert (first.accepted, first.board) == (True, boards[0])
        assert (second.accepted, second.board) == (True, boards[1])

    def test_text_keys_and_a_required_table(self, boards: list[Board]) -> None:
        card = Card.objects.create(code="c-1", start=TONIGHT, covers=2, board=boards[0])
        CardHost().on_confirmed([seating(card, boards[1])])
        card.refresh_from_db()
        assert (card.status, card.board) == ("confirmed", boards[1])

    @pytest.mark.parametrize(
        ("base", "field"),
        [
            (StayHost, "benches"),
            (StayHost, "stools"),
            (TicketHost, "boards"),
            (TicketHost, "benches"),
            (TicketHost, "stools"),
        ],
    )
    def test_many_to_many_between_keys_of_every_kind(
        self, boards: list[Board], base: type[ModelHost], field: str
    ) -> None:
        tables: dict[str, list[Any]] = {
            "boards": boards,
            "benches": [Bench.objects.create(seats=4) for _ in range(3)],
            "stools": [Stool.objects.create(code=f"s-{number}", seats=4) for number in range(3)],
        }
        chosen = tables[field]
        booking = (
            Stay.objects.create(start=TONIGHT, covers=2)
            if base is StayHost
            else Ticket.objects.create(code="c-1", start=TONIGHT, covers=2)
        )
        host = type("AnyHost", (base,), {"tables_field": field, "table_model": chosen[0]._meta.label})()
        getattr(booking, field).set(chosen[:2])
        host.on_confirmed([seating(booking, *chosen[1:])])
        assert set(getattr(booking, field).all()) == set(chosen[1:])
        host.on_released([str(booking.pk)])
        assert not getattr(booking, field).exists()

    @pytest.mark.parametrize("bookings", [1, 40])
    def test_it_costs_two_queries_at_most_whatever_the_number(
        self, house: House, boards: list[Board], bookings: int, django_assert_num_queries: Any
    ) -> None:
        visits = [seating(visit(house), boards[0], boards[1]) for _ in range(bookings)]
        stays = [seating(Stay.objects.create(start=TONIGHT, covers=2), boards[0]) for _ in range(bookings)]
        with django_assert_num_queries(2):
            VisitHost().on_confirmed(visits)
        with django_assert_num_queries(1):
            StayHost().on_confirmed(stays)

    def test_a_booking_that_was_cancelled_meanwhile_is_named_and_nothing_is_confirmed(
        self, house: House, boards: list[Board]
    ) -> None:
        good, cancelled = visit(house), visit(house, stage=STAGE.CANCELLED)
        with pytest.raises(InvalidBookingError, match=f"confirmed: {cancelled.pk}\\."), transaction.atomic():
            VisitHost().on_confirmed([seating(good, boards[0]), seating(cancelled, boards[1])])
        good.refresh_from_db()
        assert (good.stage, good.boards.count(), cancelled.boards.count()) == (STAGE.ASKED, 0, 0)

    def test_a_booking_that_vanished_is_named(self, house: House, boards: list[Board]) -> None:
        stay, note, booking = Stay(start=TONIGHT, covers=2), Note(pk=4711), Visit(pk=4711)
        for host, gone in ((StayHost(), stay), (NoteHost(), note), (VisitHost(), booking)):
            with pytest.raises(InvalidBookingError, match=str(gone.pk)):
                host.on_confirmed([seating(gone, boards[0])])

    def test_a_host_that_stores_nothing_accepts(self, boards: list[Board]) -> None:
        note = Note.objects.create(start=TONIGHT, covers=2)
        NoteHost().on_confirmed([seating(note, boards[0])])
        assert not NoteHost().bookings([str(note.pk)])[str(note.pk)].is_confirmed


class TestReleasing:
    def test_it_waits_again_without_tables(self, house: House, boards: list[Board]) -> None:
        booking = visit(house, stage=STAGE.CONFIRMED)
        booking.boards.set(boards)
        stay = Stay.objects.create(start=TONIGHT, covers=2, accepted=True, board=boards[0])
        VisitHost().on_released([str(booking.pk)])
        StayHost().on_released([str(stay.pk)])
        booking.refresh_from_db()
        stay.refresh_from_db()
        assert (booking.stage, booking.boards.count()) == (STAGE.ASKED, 0)
        assert (stay.accepted, stay.board) == (False, None)

    def test_a_required_table_stays_until_the_next_is_chosen(self, boards: list[Board]) -> None:
        card = Card.objects.create(code="c-1", start=TONIGHT, covers=2, board=boards[0], status="confirmed")
        CardHost().on_released([card.pk])
        card.refresh_from_db()
        assert (card.status, card.board) == ("open", boards[0])

    def test_what_the_project_has_cancelled_stays_as_it_is(self, house: House, boards: list[Board]) -> None:
        booking = visit(house, stage=STAGE.CANCELLED)
        booking.boards.set(boards[:1])
        VisitHost().on_released([str(booking.pk)])
        booking.refresh_from_db()
        assert (booking.stage, list(booking.boards.all())) == (STAGE.CANCELLED, boards[:1])

    def test_tables_are_forgotten_where_the_project_itself_set_the_booking_back(
        self, house: House, boards: list[Board]
    ) -> None:
        booking = visit(house, stage=STAGE.ASKED_AGAIN)
        booking.boards.set(boards[:1])
        VisitHost().on_released([str(booking.pk)])
        booking.refresh_from_db()
        assert (booking.stage, booking.boards.count()) == (STAGE.ASKED_AGAIN, 0)

    def test_unknown_and_malformed_refs_are_passed_over(self) -> None:
        for host in (VisitHost(), StayHost(), CardHost(), NoteHost()):
            host.on_released(["4711", "abc", str(uuid4())])

    def test_it_costs_two_queries_at_most(
        self, house: House, boards: list[Board], django_assert_max_num_queries: Any
    ) -> None:
        refs = [str(visit(house, stage=STAGE.CONFIRMED).pk) for _ in range(20)]
        with django_assert_max_num_queries(2):
            VisitHost().on_released(refs)


class TestFloor:
    def test_a_venue_for_which_nothing_is_configured_can_be_planned(self, boards: list[Board]) -> None:
        floor = NoteHost().floor("venue")
        assert [(table.name, table.seats, table.min_party, table.active) for table in floor.tables] == [
            ("B1", 4, None, True),
            ("B2", 4, None, True),
            ("B3", 4, None, True),
        ]
        assert (floor.services, floor.timezone) == ((ALL_DAY,), "UTC")
        assert ALL_DAY.allow_overrun

    def test_what_the_host_says_wins_over_what_we_keep(self, house: House, boards: list[Board]) -> None:
        Board.objects.filter(pk=boards[1].pk).update(room="", smallest=3, largest=4, in_use=False)
        for board in boards:
            TableDetails.objects.create(
                restaurant_ref=str(house.pk), table_ref=str(board.pk), zone="hall", min_party=2, max_party=9
            )
        first, second, _third = VisitHost().floor(str(house.pk)).tables
        # Limits above the seats are the seats: a mistake in one row must not stop the restaurant.
        assert (first.zone_ref, first.min_party, first.max_party, first.active) == ("bar", 2, 4, True)
        assert (second.zone_ref, second.min_party, second.max_party, second.active) == ("hall", 3, 4, False)

    def test_what_we_keep_completes_it(self, house: House, boards: list[Board]) -> None:
        ref = str(house.pk)
        one, two, three = (str(board.pk) for board in boards)
        VenueSettings.objects.create(restaurant_ref=ref, timezone="Europe/Madrid")
        AdjacentTables.objects.create(restaurant_ref=ref, first_table_ref=one, second_table_ref=two)
        ListedJoin.objects.create(restaurant_ref=ref, table_refs=[two, three], seats=6, min_party=5)
        dinner = ServiceHours.objects.create(
            restaurant_ref=ref, key="dinner", starts=time(18), ends=time(23), weekdays=[4, 5], early_minutes=30
        )
        TurnMinutes.objects.create(service=dinner, max_party=4, minutes=100)
        floor = VisitHost().floor(ref)
        assert floor.timezone == "Europe/Madrid"
        assert floor.adjacent == frozenset({frozenset({one, two})})
        assert [(join.table_refs, join.seats, join.min_party) for join in floor.joins] == [
            (frozenset({two, three}), 6, 5)
        ]
        (service,) = floor.services
        assert (service.key, service.turn_minutes(2), service.weekdays) == ("dinner", 100, frozenset({4, 5}))
        assert (service.early_minutes, service.late_minutes) == (30, 0)

    def test_a_service_without_turn_times_has_the_documented_ones(self, house: House) -> None:
        ServiceHours.objects.create(restaurant_ref=str(house.pk), key="lunch", starts=time(12), ends=time(15))
        (service,) = VisitHost().floor(str(house.pk)).services
        assert service.turn_times == ALL_DAY.turn_times

    def test_rows_about_a_table_that_the_project_has_deleted_are_passed_over(
        self, house: House, boards: list[Board]
    ) -> None:
        ref = str(house.pk)
        one, two, three = (str(board.pk) for board in boards)
        for first, second in ((one, two), (two, three)):
            AdjacentTables.objects.create(restaurant_ref=ref, first_table_ref=first, second_table_ref=second)
        ListedJoin.objects.create(restaurant_ref=ref, table_refs=[one, three], seats=6)
        boards[2].delete()
        floor = VisitHost().floor(ref)
        assert floor.adjacent == frozenset({frozenset({one, two})})
        assert not floor.joins

    def test_what_contradicts_the_tables_is_told_by_the_check_and_stops_nobody(
        self, house: House, boards: list[Board], settings: Any
    ) -> None:
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.VisitHost", "ROUTER": V3_ROUTER}
        ref, (one, two) = str(house.pk), (str(board.pk) for board in boards[:2])
        assert check_host_answers(None, databases=["default"]) == []
        TableDetails.objects.create(restaurant_ref=ref, table_ref=one, max_party=9)
        ListedJoin.objects.create(restaurant_ref=ref, table_refs=[one, two], seats=7)
        ServiceHours.objects.create(restaurant_ref=ref, key="d", starts=time(18), ends=time(23), late_minutes=15)
        Board.objects.filter(pk=boards[1].pk).update(in_use=False)
        floor = VisitHost().floor(ref)
        assert floor.table_by_ref[one].max_party == 4
        assert floor.services[0].late_minutes == 0
        assert {unit.table_refs for unit in seatable_units(floor)} == {(one,), (str(boards[2].pk),)}
        (warning,) = check_host_answers(None, databases=["default"])
        assert warning.id == "assignments.W006"
        for said in ("table B1: parties of 9 at 4 seats", f"{two} is unknown or out of service", "service d: 15 late"):
            assert said in warning.msg

    def test_a_table_without_seats_is_named(self, house: House, boards: list[Board]) -> None:
        Board.objects.filter(pk=boards[0].pk).update(places=None)
        with pytest.raises(InvalidFloorError, match=f"table '{boards[0].pk}' has 0 seats"):
            VisitHost().floor(str(house.pk))

    @pytest.mark.parametrize("host", [VisitHost(), ExampleHost(), NoteHost()])
    @pytest.mark.parametrize("ref", ["abc", "", "²", "9" * 40])
    def test_a_restaurant_that_cannot_be_is_not_found(self, host: ModelHost, ref: str) -> None:
        with pytest.raises(LookupError, match=f"estaurant '{ref}'"):
            host.floor(ref)

    def test_it_costs_eleven_queries_at_most(self, house: House, boards: list[Board]) -> None:
        ref = str(house.pk)
        for key in ("lunch", "dinner"):
            service = ServiceHours.objects.create(restaurant_ref=ref, key=key, starts=time(12), ends=time(15))
            TurnMinutes.objects.create(service=service, max_party=4, minutes=100)
        with CaptureQueriesContext(connection) as captured:
            VisitHost().floor(ref)
        assert len(captured) == 10, "hours of the calendar would take one more"


DAY = date(2030, 12, 24)


class TestCalendar:
    def test_special_hours_keep_what_they_do_not_change_and_a_closed_date_has_none(
        self, house: House, boards: list[Board]
    ) -> None:
        ref = str(house.pk)
        dinner = ServiceHours.objects.create(
            restaurant_ref=ref, starts=time(17), ends=time(22), buffer_after_minutes=5, allow_overrun=True
        )
        TurnMinutes.objects.create(service=dinner, max_party=4, minutes=90)
        special = CalendarEntry.objects.create(restaurant_ref=ref, first_date=DAY, last_date=DAY)
        row = CalendarService.objects.create(entry=special, key="dinner", starts=time(12), ends=time(15))
        week = CalendarEntry.objects.create(
            restaurant_ref=ref, first_date=DAY, last_date=DAY + timedelta(days=6), closed=True
        )
        CalendarEntry.objects.create(restaurant_ref=ref, first_date=DAY, last_date=DAY)  # Says nothing.
        floor = VisitHost().floor(ref)
        (on_the_day,) = periods_on(floor, DAY)
        assert (on_the_day.starts, on_the_day.ends, on_the_day.allow_overrun) == (time(12), time(15), True)
        assert (on_the_day.turn_minutes(2), on_the_day.buffer_after_minutes) == (90, 5)
        assert is_closed(floor, DAY + timedelta(days=1))
        assert not is_closed(floor, DAY + timedelta(days=7))
        row.turn_minutes, week.weekdays = 60, [(DAY + timedelta(days=2)).weekday()]
        row.save()
        week.save()
        floor = VisitHost().floor(ref)
        assert periods_on(floor, DAY)[0].turn_minutes(8) == 60
        assert not is_closed(floor, DAY + timedelta(days=1))
        assert is_closed(floor, DAY + timedelta(days=2))


class TestFingerprint:
    def test_every_change_that_matters_changes_it(self, house: House, boards: list[Board]) -> None:
        host, ref = VisitHost(), str(house.pk)
        one, two = (str(board.pk) for board in boards[:2])

        def add_turn() -> None:
            TurnMinutes.objects.create(service=ServiceHours.objects.get(), max_party=4, minutes=90)

        changes: list[Callable[[], object]] = [
            lambda: Board.objects.filter(pk=boards[0].pk).update(places=6),
            lambda: Board.objects.filter(pk=boards[2].pk).delete(),
            lambda: Board.objects.create(house=house, label="B4", places=2),
            lambda: VenueSettings.objects.create(restaurant_ref=ref, timezone="Europe/Madrid"),
            lambda: VenueSettings.objects.update(timezone="Europe/Lisbon"),
            lambda: TableDetails.objects.create(restaurant_ref=ref, table_ref=one, zone="bar"),
            lambda: AdjacentTables.objects.create(restaurant_ref=ref, first_table_ref=one, second_table_ref=two),
            lambda: ListedJoin.objects.create(restaurant_ref=ref, table_refs=[one, two], seats=7),
            lambda: ListedJoin.objects.update(seats=8),
            lambda: ServiceHours.objects.create(restaurant_ref=ref, starts=time(18), ends=time(23)),
            add_turn,
            lambda: TurnMinutes.objects.update(minutes=95),
            lambda: AdjacentTables.objects.all().delete(),
            lambda: CalendarEntry.objects.create(restaurant_ref=ref, first_date=DAY, last_date=DAY, closed=True),
            lambda: CalendarService.objects.create(
                entry=CalendarEntry.objects.get(), key="dinner", starts=time(19), ends=time(21)
            ),
            lambda: CalendarService.objects.update(turn_minutes=45),
        ]
        seen = [host.floor_fingerprint(ref)]
        for change in changes:
            change()
            seen.append(host.floor_fingerprint(ref))
        assert len(set(seen)) == len(changes) + 1

    def test_a_change_that_is_taken_back_leaves_it_as_it_was(self, house: House, boards: list[Board]) -> None:
        """However the database happens to keep the rows afterwards."""
        before = VisitHost().floor_fingerprint(str(house.pk))
        Board.objects.filter(pk=boards[0].pk).delete()
        boards[0].save(force_insert=True)
        assert VisitHost().floor_fingerprint(str(house.pk)) == before

    def test_its_sql_is_compiled_once_in_a_quarter_of_an_hour(
        self, house: House, boards: list[Board], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compiled: list[str] = []

        class Counting(VisitHost):
            def floor_querysets(self, restaurant_ref: str) -> Any:
                compiled.append(restaurant_ref)
                return super().floor_querysets(restaurant_ref)

        now = 90_000.0
        monkeypatch.setattr(floors, "time_module", SimpleNamespace(time=lambda: now))
        monkeypatch.setattr(floors, "MOST_COMPILED", 2)
        bell, third = (str(House.objects.create(name=name).pk) for name in ("Bell", "Third"))
        host, ref = Counting(), str(house.pk)
        before = host.floor_fingerprints([ref, bell])
        assert host.floor_fingerprints([bell, ref]) == before
        assert host.floor_fingerprint(ref) == before[ref]
        assert compiled == [ref, bell]
        Board.objects.filter(pk=boards[0].pk).update(places=9)
        after = host.floor_fingerprints([ref, bell])
        assert after[ref] != before[ref]
        assert after[bell] == before[bell]
        assert compiled == [ref, bell]
        now += 899
        assert host.floor_fingerprint(ref) == after[ref]
        assert compiled == [ref, bell]
        now += 1
        assert host.floor_fingerprint(ref) == after[ref]
        assert compiled == [ref, bell, ref], "a subclass may ask what day it is"
        host.floor_fingerprint(third)
        host.floor_fingerprint(bell)
        assert len(host._compiled) <= 2

    def test_a_manager_may_compute_what_a_parameter_has_no_type_for(self, house: House, boards: list[Board]) -> None:
        class Labelling(VisitHost):
            def floor_querysets(self, restaurant_ref: str) -> Any:
                label = Func(Value("Table "), F("label"), function="concat", output_field=CharField())
                return [Board.objects.filter(house=restaurant_ref).annotate(shown=label)]

        before = Labelling().floor_fingerprint(str(house.pk))
        Board.objects.filter(pk=boards[0].pk).update(label="100 %")
        assert Labelling().floor_fingerprint(str(house.pk)) != before

    def test_a_restaurant_that_postgresql_cannot_store_raises_an_error_of_django(self) -> None:
        class Anywhere(VisitHost):
            def floor_querysets(self, restaurant_ref: str) -> Any:
                return [VenueSettings.objects.filter(restaurant_ref=restaurant_ref)]

        with pytest.raises(DatabaseError, match="NUL"):
            Anywhere().floor_fingerprint("a\0b")

    def test_it_costs_one_query_and_other_restaurants_do_not_matter(
        self, house: House, boards: list[Board], django_assert_num_queries: Any
    ) -> None:
        host, ref = VisitHost(), str(house.pk)
        with django_assert_num_queries(1):
            before = host.floor_fingerprint(ref)
        Board.objects.create(house=House.objects.create(name="Bell"), label="X", places=2)
        VenueSettings.objects.create(restaurant_ref="another", timezone="Europe/Madrid")
        assert host.floor_fingerprint(ref) == before


class TestStaff:
    def test_labels_keep_the_ref_as_it_is(self) -> None:
        assert ExampleHost().label("12") == "Booking 12"
        assert CardHost().label("Ab-12") == "Card Ab-12"
        assert StayHost().label("x") == "VIP stay x"

    def test_the_admin_page_if_there_is_one(self) -> None:
        assert ExampleHost().admin_url("12") == "/admin/example/booking/12/change/"
        # Django's admin would read it as A/1.
        assert ExampleHost().admin_url("A_2F1") == "/admin/example/booking/A_5F2F1/change/"
        assert VisitHost().admin_url("12") is None

    @pytest.mark.parametrize(
        ("attributes", "problem"),
        [
            ({"booking_model": "shapes.Nothing"}, "'shapes.Nothing', but this model does not exist"),
            ({"table_model": ""}, "table_model is ''"),
            ({"party_field": "heads"}, "party_field is 'heads'"),
            ({"table_seats_field": "chairs"}, "table_seats_field is 'chairs'"),
            ({"date_field": None}, "start_field, or date_field and time_field"),
            ({"tables_field": "guests"}, "tables_field is 'guests'"),
            ({"tables_field": "house"}, "tables_field is 'house'"),
            ({"tables_field": "kept"}, "'kept': this is the reverse side of shapes.Board.kept_for"),
            ({"table_restaurant_field": None}, "table_restaurant_field is None, but restaurant_field is 'house'"),
        ],
    )
    def test_a_wrong_name_is_found_by_the_check(self, attributes: dict[str, Any], problem: str) -> None:
        found = type("WrongHost", (VisitHost,), attributes)().check()
        assert [each.id for each in found] == ["assignments.E006"]
        assert problem in found[0].msg
        assert "WrongHost" in (found[0].hint or "")

    def test_a_many_to_many_whose_rows_need_more_than_the_pair_is_found_by_the_check(self) -> None:
        noted = type("NotedHost", (TicketHost,), {"tables_field": "noted_boards"})()
        dated = type("DatedHost", (TicketHost,), {"tables_field": "dated_boards"})()
        assert noted.check() == []
        assert ["rows of shapes.DatedBoard also need since" in each.msg for each in dated.check()] == [True]

    def test_whose_tables_they_are_is_up_to_a_host_that_gives_floors_itself(self) -> None:
        own = {"table_restaurant_field": None, "floor": lambda self, restaurant_ref: None}
        assert type("OwnFloors", (VisitHost,), own)().check() == []

    @pytest.mark.parametrize(
        ("row", "field"),
        [
            (VenueSettings(restaurant_ref="1", timezone="Europe/Atlantis"), "timezone"),
            (VenueSettings(restaurant_ref="1", timezone="Europe"), "timezone"),
            (TableDetails(restaurant_ref="1", table_ref="1", min_party=4, max_party=2), "max_party"),
            (TableDetails(restaurant_ref="1", table_ref="1", min_party=0), "min_party"),
            (TableDetails(restaurant_ref="1", table_ref="1", max_party=0), "max_party"),
            (ListedJoin(restaurant_ref="1", table_refs=["1", "2"], seats=4, min_party=0), "min_party"),
            (AdjacentTables(restaurant_ref="1", first_table_ref="1", second_table_ref="1"), "second_table_ref"),
            (ListedJoin(restaurant_ref="1", table_refs=["1", "1"], seats=4), "table_refs"),
            (ListedJoin(restaurant_ref="1", table_refs=["1", "2"], seats=4, min_party=6, max_party=5), "max_party"),
            (ListedJoin(restaurant_ref="1", table_refs=["1", "2"], seats=4, max_party=5), "max_party"),
            (ListedJoin(restaurant_ref="1", table_refs=["1", "2"], seats=4, min_party=5), "min_party"),
            (
                ServiceHours(restaurant_ref="1", key="d", starts=time(18), ends=time(23), late_minutes=15),
                "late_minutes",
            ),
            (
                ServiceHours(restaurant_ref="1", key="d", starts=time(18), ends=time(23), early_minutes=1441),
                "early_minutes",
            ),
            (ListedJoin(restaurant_ref="1", table_refs=["8", "7"], seats=4), "table_refs"),
            (AdjacentTables(restaurant_ref="1", first_table_ref="8", second_table_ref="7"), "second_table_ref"),
        ],
    )
    def test_what_makes_no_sense_cannot_be_entered(self, row: Any, field: str) -> None:
        ListedJoin.objects.create(restaurant_ref="1", table_refs=["7", "8"], seats=6)
        AdjacentTables.objects.create(restaurant_ref="1", first_table_ref="7", second_table_ref="8")
        with pytest.raises(ValidationError) as refused:
            row.full_clean()
        assert list(refused.value.message_dict) == [field]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("shape", ["Visit", "Stay", "Card", "Note", "Ticket", "Banquet"])
def test_the_whole_way_in_each_shape(shape: str, house: House, boards: list[Board], settings: Any) -> None:
    made: Callable[[], Any] = {
        "Visit": lambda: visit(house),
        "Stay": lambda: Stay.objects.create(start=TONIGHT, covers=2),
        "Card": lambda: Card.objects.create(code="c-1", start=TONIGHT, covers=2, board=boards[2]),
        "Note": lambda: Note.objects.create(start=TONIGHT, covers=2),
        "Ticket": lambda: Ticket.objects.create(code="c-1", start=TONIGHT, covers=2),
        "Banquet": lambda: Banquet.objects.create(start=TONIGHT, covers=2),
    }[shape]
    settings.ASSIGNMENTS = {"HOST": f"tests.shapes.hosts.{shape}Host", "ROUTER": V3_ROUTER}
    booking = made()
    ref = str(booking.pk)
    (table_ref,) = api.assign_now(booking_ref=ref).table_refs
    booking.refresh_from_db()
    if shape in {"Visit", "Ticket"}:
        assert [str(board.pk) for board in booking.boards.all()] == [table_ref]
    elif shape != "Note":  # which stores no tables
        assert str(booking.board_id) == table_ref
    assert api.explain(booking_ref=ref).state == "confirmed"


class TestFloorAdmin:
    """Refs are typed by hand: what the project does not know is refused where it is typed."""

    @pytest.fixture(autouse=True)
    def _host(self, settings: Any) -> None:
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.VisitHost", "ROUTER": V3_ROUTER}

    @pytest.mark.parametrize("page", ["venuesettings", "tabledetails", "adjacenttables", "listedjoin", "servicehours"])
    def test_every_list_can_be_opened_and_searched(self, admin_client: Client, page: str) -> None:
        assert admin_client.get(reverse(f"admin:assignments_{page}_changelist"), {"q": "a"}).status_code == 200
        assert admin_client.get(reverse(f"admin:assignments_{page}_add")).status_code == 200

    def test_tables_that_the_restaurant_has_are_taken(
        self, admin_client: Client, house: House, boards: list[Board]
    ) -> None:
        one, two, three = (str(board.pk) for board in boards)
        given: dict[str, dict[str, Any]] = {
            "tabledetails": {"table_ref": one, "zone": "bar"},
            "adjacenttables": {"first_table_ref": one, "second_table_ref": two},
            "listedjoin": {"table_refs": f"{one},{three}", "seats": 7, "min_party": 1},
        }
        for page, values in given.items():
            answer = admin_client.post(
                reverse(f"admin:assignments_{page}_add"), {"restaurant_ref": str(house.pk), **values}
            )
            assert answer.status_code == 302, answer.context["adminform"].form.errors
        floor = VisitHost().floor(str(house.pk))
        assert floor.adjacent == frozenset({frozenset({one, two})})
        assert [join.seats for join in floor.joins] == [7]

    @pytest.mark.parametrize(
        ("page", "values", "field"),
        [
            ("tabledetails", {"table_ref": "T1"}, "table_ref"),
            ("adjacenttables", {"first_table_ref": "T1", "second_table_ref": "T2"}, "second_table_ref"),
            ("listedjoin", {"table_refs": "T1,T2", "seats": 7, "min_party": 1}, "table_refs"),
        ],
    )
    def test_a_table_that_it_has_not_is_named(
        self, admin_client: Client, house: House, boards: list[Board], page: str, values: dict[str, Any], field: str
    ) -> None:
        answer = admin_client.post(
            reverse(f"admin:assignments_{page}_add"), {"restaurant_ref": str(house.pk), **values}
        )
        (error,) = answer.context["adminform"].form.errors[field]
        assert "no table T" in error
        assert boards[0].label in error

    def test_limits_above_the_seats_and_joins_of_tables_out_of_service_are_refused(
        self, admin_client: Client, house: House, boards: list[Board]
    ) -> None:
        Board.objects.filter(pk=boards[1].pk).update(in_use=False)
        one, two = (str(board.pk) for board in boards[:2])
        given: list[tuple[str, dict[str, Any], str, str]] = [
            ("tabledetails", {"table_ref": one, "max_party": 9}, "max_party", "only 4 seats"),
            ("tabledetails", {"table_ref": one, "min_party": 5}, "min_party", "only 4 seats"),
            ("listedjoin", {"table_refs": f"{one},{two}", "seats": 7}, "table_refs", "Out of service: B2."),
        ]
        for page, values, field, said in given:
            answer = admin_client.post(
                reverse(f"admin:assignments_{page}_add"), {"restaurant_ref": str(house.pk), **values}
            )
            (error,) = answer.context["adminform"].form.errors[field]
            assert said in error

    def test_a_restaurant_that_nobody_knows_is_refused(self, admin_client: Client, house: House) -> None:
        for ref in ("anchor", "4711"):
            answer = admin_client.post(
                reverse("admin:assignments_venuesettings_add"),
                {"restaurant_ref": ref, "timezone": "UTC"},
            )
            assert "does not exist in the booking project" in str(
                answer.context["adminform"].form.errors["restaurant_ref"]
            )
