"""ModelHost on the columns that booking projects commonly have, the whole way: booked, confirmed, edited, cancelled."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from assignments import api
from assignments.coordination import dispatch
from assignments.exceptions import HostRefusedError, TransitionRefusedError
from assignments.integration.host import Host, Move, Seating, is_cancelled
from assignments.integration.model_host import ModelHost
from assignments.integration.project_host import configured
from assignments.lifecycle import ledger
from assignments.maintenance.reconcile import reconcile
from assignments.models import AdjacentTables, Allocation, Assignment, Breaker, VenueSettings
from assignments.outcome import Change, Kind
from assignments.planning.floor import InvalidFloorError
from assignments.planning.reasons import Reason
from assignments.planning.units import seatable_units
from tests.shapes.hosts import (
    ArrayHost,
    CallHost,
    InvitationHost,
    OrderHost,
    PlusHost,
    StayHost,
    SupperHost,
    TenantStayHost,
    TicketHost,
)
from tests.shapes.models import (
    Area,
    Banquet,
    Board,
    Call,
    Given,
    House,
    Invitation,
    Opening,
    Order,
    Place,
    Plate,
    Slot,
    Stay,
    Supper,
    Ticket,
    Turn,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2030, 1, 17, 12, tzinfo=UTC)
TONIGHT = datetime(2030, 1, 17, 19, tzinfo=UTC)
DAY = TONIGHT.date()


V3_ROUTER = "assignments.integration.planners.SoleRouter"


@pytest.fixture
def house() -> House:
    return House.objects.create(name="Anchor")


@pytest.fixture
def boards(house: House) -> list[Board]:
    return [Board.objects.create(house=house, label=f"B{seats}", places=seats) for seats in (2, 4, 6)]


@pytest.fixture
def places(house: House) -> list[Place]:
    area = Area.objects.create(house=house, name="bar")
    found = [Place.objects.create(area=area, number=number, seats="2") for number in (7, 8, 9)]
    found[0].beside.add(found[1])
    for weekday in range(1, 8):
        Opening.objects.create(house=house, meal="dinner", weekday=weekday, opens=time(17), closes="22:30")
    Turn.objects.create(house=house, up_to=8, stay=timedelta(minutes=90))
    elsewhere = Area.objects.create(house=House.objects.create(name="Bell"), name="hall")
    Place.objects.create(area=elsewhere, number=7, seats="4")
    return found


def supper(house: House, **values: Any) -> Supper:
    slot = Slot.objects.create(house=house, starts=time(19))
    return Supper.objects.create(**{"slot": slot, "day": DAY, "size": "2 people", **values})


def invitation(**values: Any) -> Invitation:
    return Invitation.objects.create(**{"day": DAY, "hour": "19:00", "adults": 2, **values})


def order(board: Board, **values: Any) -> Order:
    return Order.objects.create(**{"start": TONIGHT, "covers": Decimal(2), "board": board, **values})


def call(**values: Any) -> Call:
    return Call.objects.create(**{"moment": "2030-01-17 at 19:00", "guests": "Ann", **values})


def read(host: ModelHost, row: Any) -> Any:
    return host.bookings([str(row.pk)])[str(row.pk)]


def test_each_restaurants_own_time_zone_decides_when_its_bookings_start(house: House, places: list[Place]) -> None:
    class Host(SupperHost):
        restaurant_timezone_field = "time_zone"

    host, row = Host(), supper(house)
    ref = str(house.pk)
    for zone, hour in (("", 19), ("America/New_York", 0), ("Asia/Tokyo", 10)):
        House.objects.filter(pk=house.pk).update(time_zone=zone)
        before = host.floor_fingerprint(ref)
        start = read(host, row).starts_at
        assert start.astimezone(UTC).hour == hour
        assert host.floor(ref).timezone == (zone or "UTC")
        found = host.history(start=start, until=start + timedelta(minutes=1), after=None, limit=9)
        assert [each.ref for each in found] == [str(row.pk)]
    assert list(host.unknown_time_zones(limit=9)) == []
    House.objects.filter(pk=house.pk).update(time_zone="Berlin")
    assert host.floor_fingerprint(ref) != before
    assert list(host.unknown_time_zones(limit=9)) == [(ref, "Berlin")]
    assert "time zone 'Berlin' does not exist" in str(read(host, row).problem)
    VenueSettings.objects.create(restaurant_ref=ref, timezone="Europe/Berlin")
    assert (read(host, row).starts_at.astimezone(UTC).hour, host.floor(ref).timezone) == (18, "Europe/Berlin")
    assert list(host.unknown_time_zones(limit=9)) == []


@pytest.mark.parametrize("host", [SupperHost(), InvitationHost(), OrderHost(), CallHost(), ArrayHost(), PlusHost()])
def test_the_check_accepts_them(host: ModelHost) -> None:
    assert isinstance(host, Host)
    assert [each.msg for each in host.check() if each.id != "assignments.W021"] == []


@pytest.mark.django_db(transaction=True)
class TestTheWholeWay:
    """Two guests, who become four, and cancel."""

    def go(self, settings: Any, name: str, row: Any, grow: Callable[[], None], cancel: Callable[[], None]) -> list[Any]:
        settings.ASSIGNMENTS = {"HOST": f"tests.shapes.hosts.{name}Host", "ROUTER": V3_ROUTER}
        ref = str(row.pk)
        api.request(booking_ref=ref)
        assert api.assign_now(booking_ref=ref).kind is Kind.CONFIRMED
        row.refresh_from_db()
        first = self.tables(row)
        assert configured().bookings([ref])[ref].is_confirmed
        with transaction.atomic():
            grow()
            assert api.booking_changed(booking_ref=ref) is Change.MOVED
        row.refresh_from_db()
        second = self.tables(row)
        assert {each.party for each in Allocation.objects.all()} == {4}
        assert list(reconcile()) == []
        with transaction.atomic():
            cancel()
            assert api.booking_changed(booking_ref=ref) is Change.CANCELLED
        assert not Allocation.objects.exists()
        assert list(reconcile()) == []
        assert Assignment.objects.get().state == "cancelled"
        return [first, second]

    @pytest.mark.parametrize("name", ["Array", "Plus"])
    def test_all_tables_of_a_join_in_one_column(self, settings: Any, boards: list[Board], name: str) -> None:
        AdjacentTables.objects.create(
            restaurant_ref="venue",
            first_table_ref=str(boards[1].pk if name == "Array" else "B4"),
            second_table_ref=str(boards[2].pk if name == "Array" else "B6"),
        )
        row = Plate.objects.create(start=TONIGHT, covers=9)

        def grow() -> None:
            Plate.objects.filter(pk=row.pk).update(covers=4)

        def cancel() -> None:
            Plate.objects.filter(pk=row.pk).update(status="cancelled")

        first, second = self.go(settings, name, row, grow, cancel)
        joined = [str(each.pk) for each in boards[1:]] if name == "Array" else ["B4", "B6"]
        assert (first, second) == (joined, joined[:1])
        row.refresh_from_db()
        assert (row.boards, row.labels) == (([boards[1].pk], "") if name == "Array" else ([], "B4"))
        Plate.objects.update(status="confirmed")
        configured().on_released([str(row.pk)])
        row.refresh_from_db()
        assert (row.status, row.boards, row.labels) == ("pending", [], "")

    @staticmethod
    def tables(row: Any) -> list[str]:
        return list(configured().tables_of([str(row.pk)]).get(str(row.pk), ()))

    def test_a_slot_a_party_in_words_and_a_tables_number(
        self, settings: Any, house: House, places: list[Place]
    ) -> None:
        row = supper(house)

        def grow() -> None:
            Supper.objects.filter(pk=row.pk).update(size="4 people")

        def cancel() -> None:
            Supper.objects.filter(pk=row.pk).update(status=Supper.Status.OFF)

        first, second = self.go(settings, "Supper", row, grow, cancel)
        assert len(first) == len(second) == 1
        row.refresh_from_db()
        assert row.place_number in {7, 8, 9}

    def test_a_text_time_a_sum_and_a_moment_of_cancellation(self, settings: Any, boards: list[Board]) -> None:
        row = invitation()

        def grow() -> None:
            Invitation.objects.filter(pk=row.pk).update(children=2)

        def cancel() -> None:
            Invitation.objects.filter(pk=row.pk).update(cancelled_at=timezone.now())

        first, second = self.go(settings, "Invitation", row, grow, cancel)
        assert (first, second) == ([str(boards[0].pk)], [str(boards[1].pk)])

    def test_a_state_machines_field_and_soft_deletion(self, settings: Any, boards: list[Board]) -> None:
        row = order(boards[2])

        def grow() -> None:
            Order.objects.filter(pk=row.pk).update(covers=4)

        def cancel() -> None:
            Order.objects.filter(pk=row.pk).update(state=9)

        first, second = self.go(settings, "Order", row, grow, cancel)
        assert (first, second) == ([str(boards[0].pk)], [str(boards[1].pk)])

    @pytest.mark.parametrize("manager", ["Counted", "Apart", "Ranked"])
    @pytest.mark.parametrize(("model", "key", "waiting"), [(Ticket, "T1", "asked"), (Banquet, 1, "pending")])
    def test_a_manager_that_counts_ranks_or_leaves_out_repetitions(
        self, settings: Any, boards: list[Board], model: Any, key: Any, waiting: str, manager: str
    ) -> None:
        """PostgreSQL locks no row of such a query."""
        row = model.objects.create(pk=key, start=TONIGHT, covers=2, status=waiting)

        def grow() -> None:
            model.objects.filter(pk=row.pk).update(covers=4)

        def cancel() -> None:
            model.objects.filter(pk=row.pk).update(status="cancelled")

        first, second = self.go(settings, f"{manager}{model.__name__}", row, grow, cancel)
        assert (first, second) == ([str(boards[0].pk)], [str(boards[1].pk)])
        model.objects.filter(pk=row.pk).update(status=waiting)
        api.request(booking_ref=str(row.pk))
        assert api.assign_now(booking_ref=str(row.pk)).kind is Kind.CONFIRMED
        api.release_tables(booking_ref=str(row.pk), actor="staff")
        assert self.tables(row) == []

    def test_methods_of_the_projects_own_say_the_rest(self, settings: Any, boards: list[Board]) -> None:
        row = call()

        def grow() -> None:
            Call.objects.filter(pk=row.pk).update(guests="Ann, Bob, Cleo")

        def cancel() -> None:
            Call.objects.filter(pk=row.pk).update(is_off=True)

        first, second = self.go(settings, "Call", row, grow, cancel)
        assert (first, second) == ([str(boards[0].pk)], [str(boards[1].pk)])
        assert [given.board for given in Given.objects.all()] == [boards[1]]


class TestReading:
    @pytest.mark.parametrize(
        ("values", "starts_at", "problem"),
        [
            ({"hour": "19:00"}, TONIGHT, None),
            ({"hour": "7:00 PM"}, TONIGHT, None),
            ({"hour": "19:00:00"}, TONIGHT, None),
            ({"hour": "Smith"}, None, "The time is a str, not a time such as 18:30."),
            ({"hour": ""}, None, "The booking has no start."),
        ],
    )
    def test_a_time_in_words(self, values: dict[str, Any], starts_at: datetime | None, problem: str | None) -> None:
        good, row = invitation(hour="18:30"), invitation(**values)
        found = read(InvitationHost(), row)
        assert found.problem == problem
        if starts_at is not None:
            assert found.starts_at == starts_at
        assert read(InvitationHost(), good).problem is None
        waiting = InvitationHost().unassigned(after=None, limit=10, now=NOON)
        assert [each.ref for each in waiting] == [str(good.pk), str(row.pk)]

    @pytest.mark.parametrize(
        ("until", "ends_at"),
        [(time(21), TONIGHT.replace(hour=21)), (time(0, 30), TONIGHT.replace(day=18, hour=0, minute=30)), (None, None)],
    )
    def test_an_end_before_the_start_is_on_the_next_day(self, until: time | None, ends_at: datetime | None) -> None:
        assert read(InvitationHost(), invitation(until=until)).ends_at == ends_at

    @pytest.mark.parametrize(
        ("adults", "children", "party", "problem"),
        [
            (2, 1, 3, None),
            (2, None, 2, None),
            (None, 2, 2, None),
            (None, None, 0, "The party is a NoneType, not a number of covers."),
        ],
    )
    def test_adults_and_children(
        self, adults: int | None, children: int | None, party: int, problem: str | None
    ) -> None:
        found = read(InvitationHost(), invitation(adults=adults, children=children))
        assert (found.party, found.problem) == (party, problem)

    def test_a_duration_in_minutes_and_a_party_as_a_decimal(self, boards: list[Board]) -> None:
        row, bare = order(boards[0], minutes="95"), order(boards[1], covers=Decimal("2.5"))
        found = read(OrderHost(), row)
        assert (found.party, found.ends_at) == (2, TONIGHT + timedelta(minutes=95))
        odd = read(OrderHost(), bare)
        assert (odd.ends_at, odd.problem) == (None, "The party is a Decimal, not a number of covers.")
        assert read(CallHost(), call(stay=timedelta(hours=3))).ends_at == TONIGHT + timedelta(hours=3)

    def test_who_was_deleted_softly_is_gone_unless_the_project_names_another_manager(self, boards: list[Board]) -> None:
        row = order(boards[0], is_deleted=True)
        assert OrderHost().bookings([str(row.pk)]) == {}
        everything = type(
            "Everything", (OrderHost,), {"bookings_manager": "everything", "cancelled_field": "is_deleted"}
        )
        assert everything().check() == OrderHost().check()
        assert is_cancelled(read(everything(), row))
        assert not everything().unassigned(after=None, limit=9, now=NOON)
        assert not everything().history(start=NOON, until=TONIGHT + timedelta(days=1), after=None, limit=9)

    def test_rows_that_only_their_tenant_sees_are_read_by_the_managers_that_the_project_names(
        self, boards: list[Board]
    ) -> None:
        host = TenantStayHost()
        assert host.check() == []
        row = Stay.objects.create(start=TONIGHT, covers=2)
        assert list(host.bookings([str(row.pk)])) == [str(row.pk)]
        floor = host.floor("venue")
        assert [each.ref for each in floor.tables] == [str(each.pk) for each in boards]
        assert host.floor_fingerprint("venue") == StayHost().floor_fingerprint("venue")
        hidden = type("Hidden", (TenantStayHost,), {"bookings_manager": None, "tables_manager": None})()
        assert [each.id for each in hidden.check()] == ["assignments.E048", "assignments.E048"]
        assert hidden.floor_fingerprint("venue") != host.floor_fingerprint("venue")

    @pytest.mark.usefixtures("in_a_schema")
    def test_bookings_in_another_schema_are_locked(self, boards: list[Board]) -> None:
        host = StayHost()
        row, gone = (Stay.objects.create(start=TONIGHT, covers=2) for _number in range(2))
        refs = [str(row.pk), str(gone.pk)]
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            assert set(host.bookings(refs, lock=True)) == set(refs)
        assert ["FOR NO KEY UPDATE" in each["sql"] for each in queries][-2:] == [True, False]
        host.on_confirmed([seating(row, boards[0])])
        assert host.tables_of(refs) == {refs[0]: (str(boards[0].pk),)}

    def test_a_flag_that_ends_with_the_cancellation_cancels_beside_any_other(self, boards: list[Board]) -> None:
        attributes = {"status_field": None, "confirmed_field": "accepted", "cancelled_unless_field": "is_kept"}
        host = type("Kept", (StayHost,), attributes)()
        assert host.check() == []
        waits, seated, gone = (
            Stay.objects.create(start=TONIGHT, covers=2, accepted=accepted, is_kept=kept)
            for accepted, kept in ((False, True), (True, None), (True, False))
        )
        assert [is_cancelled(read(host, row)) for row in (waits, seated, gone)] == [False, False, True]
        assert not read(host, gone).is_confirmed
        assert [each.ref for each in host.unassigned(after=None, limit=9, now=NOON)] == [str(waits.pk)]
        found = host.history(start=NOON, until=NOON + timedelta(days=1), after=None, limit=9)
        assert {each.ref for each in found} == {str(waits.pk), str(seated.pk)}

    def test_a_booking_that_has_a_table_is_confirmed_and_one_without_waits(self, boards: list[Board]) -> None:
        host = InvitationHost()
        seated, waits, gone = invitation(board=boards[0]), invitation(), invitation(cancelled_at=timezone.now())
        assert (read(host, seated).is_confirmed, read(host, waits).is_confirmed) == (True, False)
        assert is_cancelled(read(host, gone))
        assert [each.ref for each in host.unassigned(after=None, limit=9, now=NOON)] == [str(waits.pk)]
        many = {"tables_field": "boards", "tables_mean_seated": True, "status_field": None}
        by_pairs = type("ByPairs", (TicketHost,), many)()
        for code in ("has", "not"):
            Ticket.objects.create(code=code, start=TONIGHT, covers=2)
        Ticket.objects.get(code="has").boards.set(boards[:2])
        assert [each.ref for each in by_pairs.unassigned(after=None, limit=9, now=NOON)] == ["not"]
        by_pairs.on_released(["has"])
        assert {each.ref for each in by_pairs.unassigned(after=None, limit=9, now=NOON)} == {"has", "not"}

    def test_starts_that_no_database_compares_are_selected_page_by_page(self) -> None:
        evening = [call(moment=f"2030-01-{day} at 19:00") for day in (15, 17, 18, 17, 16)]
        host = CallHost()
        tonight: dict[str, Any] = {"start": NOON, "until": NOON + timedelta(days=1)}
        assert [each.ref for each in host.history(**tonight, after=None, limit=9)] == [
            str(evening[1].pk),
            str(evening[3].pk),
        ]
        first = host.history(**tonight, after=None, limit=1)
        assert [each.ref for each in host.history(**tonight, after=first[-1].ref, limit=1)] == [str(evening[3].pk)]
        later = host.unassigned(after=None, limit=9, now=NOON)
        assert [each.ref for each in later] == [str(evening[number].pk) for number in (1, 2, 3)]

    def test_a_method_that_fails_costs_its_own_booking_and_names_no_guest(self) -> None:
        good, bad = call(), call(moment="Smith, the usual")
        assert read(CallHost(), good).problem is None
        assert read(CallHost(), bad).problem == "start_of raised ValueError."
        liar = type(
            "Liar", (CallHost,), {"party_of": lambda self, row: "two", "start_of": lambda self, row: NOON.date()}
        )
        found = read(liar(), good)
        assert found.problem == "start_of returned a date, not an aware datetime."

    def test_a_project_without_a_column_for_the_party_says_it_in_a_method(self) -> None:
        attributes = {"party_field": "party", "read_fields": ("moment",), "party_of": lambda self, row: 2}
        host = type("AlwaysTwo", (CallHost,), attributes)()
        assert host.check() == []
        assert read(host, call()).party == 2

    def test_it_costs_no_more_queries_for_more_bookings(self, house: House, places: list[Place]) -> None:
        refs = [str(supper(house).pk) for _ in range(5)]
        with CaptureQueriesContext(connection) as captured:
            assert len(SupperHost().bookings(refs)) == 5
        assert len(captured) == 2
        with transaction.atomic():
            assert set(SupperHost().bookings(refs, lock=True)) == set(refs)


class TestFloor:
    def test_tables_below_areas_their_numbers_neighbours_hours_and_turn_times(
        self, house: House, places: list[Place]
    ) -> None:
        floor = SupperHost().floor(str(house.pk))
        assert [(table.ref, table.seats, table.zone_ref) for table in floor.tables] == [
            ("7", 2, "bar"),
            ("8", 2, "bar"),
            ("9", 2, "bar"),
        ]
        assert floor.adjacent == frozenset({frozenset({"7", "8"})})
        assert ("7", "8") in {unit.table_refs for unit in seatable_units(floor)}
        (dinner,) = floor.services
        assert (dinner.key, dinner.starts, dinner.ends) == ("dinner", time(17), time(22, 30))
        assert (dinner.weekdays, dinner.turn_minutes(2)) == (frozenset(range(7)), 90)

    def test_weekdays_with_other_hours_and_closed_ones(self, house: House, places: list[Place]) -> None:
        Opening.objects.filter(weekday=1).update(opens=None)
        Opening.objects.filter(weekday=7).update(closes="21:00")
        week = {service.weekdays: service.ends for service in SupperHost().floor(str(house.pk)).services}
        assert week == {frozenset({1, 2, 3, 4, 5}): time(22, 30), frozenset({6}): time(21)}
        Opening.objects.filter(weekday=7).update(early=15, late=timedelta(minutes=20))
        host = type("Patient", (SupperHost,), {"hours_early_field": "early", "hours_late_field": "late"})()
        assert [each for each in host.check() if each.is_serious()] == []
        (sunday,) = [each for each in host.floor(str(house.pk)).services if each.weekdays == {6}]
        assert (sunday.early_minutes, sunday.late_minutes, sunday.allow_overrun) == (15, 20, True)
        Opening.objects.filter(weekday=7).update(closes="late")
        with pytest.raises(InvalidFloorError, match=r"shapes\.Opening \d+: The time is a str"):
            SupperHost().floor(str(house.pk))

    def test_a_flag_closes_a_weekday_whatever_its_times_say(self, house: House, places: list[Place]) -> None:
        host = type("Flagged", (SupperHost,), {"hours_closed_field": "is_closed"})()
        assert [each for each in host.check() if each.is_serious()] == []
        before = host.floor_fingerprint(str(house.pk))
        Opening.objects.filter(weekday=1).update(is_closed=True)
        assert host.floor_fingerprint(str(house.pk)) != before
        assert [each.weekdays for each in host.floor(str(house.pk)).services] == [frozenset(range(1, 7))]

    def test_who_is_closed_on_every_weekday_is_not_open_all_day(
        self, settings: Any, house: House, places: list[Place]
    ) -> None:
        Opening.objects.update(opens=None)
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.SupperHost", "ROUTER": V3_ROUTER}
        ref = str(supper(house).pk)
        assert configured().floor(str(house.pk)).services == ()
        api.request(booking_ref=ref)
        decision = api.evaluate(booking_ref=ref)
        assert (decision.best, decision.refusal.reason if decision.refusal else "") == (None, Reason.OUTSIDE_SERVICE)

    def test_every_change_of_theirs_is_noticed(self, house: House, places: list[Place]) -> None:
        host, ref = SupperHost(), str(house.pk)
        changes: list[Callable[[], object]] = [
            lambda: places[1].beside.add(places[2]),
            lambda: Opening.objects.update(closes="23:00"),
            lambda: Turn.objects.update(stay=timedelta(hours=2)),
            lambda: Area.objects.filter(house=house).update(name="cellar"),
        ]
        seen = [host.floor_fingerprint(ref)]
        for change in changes:
            change()
            seen.append(host.floor_fingerprint(ref))
        assert len(set(seen)) == len(changes) + 1


def seating(row: Any, board: Board) -> Seating:
    return Seating(
        booking_ref=str(row.pk),
        table_refs=(str(board.pk),),
        starts_at=TONIGHT,
        ends_at=TONIGHT + timedelta(hours=2),
    )


def move(row: Any, board: Board) -> Move:
    given = seating(row, board)
    return Move(
        booking_ref=given.booking_ref,
        from_table_refs=(),
        to_table_refs=given.table_refs,
        starts_at=given.starts_at,
        ends_at=given.ends_at,
    )


class TestUniqueTables:
    """The project's own constraint: no two bookings at a table at the same time."""

    def test_two_swap_tables(self, boards: list[Board]) -> None:
        one, other = invitation(board=boards[0]), invitation(board=boards[1])
        InvitationHost().on_moved([move(one, boards[1]), move(other, boards[0])])
        one.refresh_from_db()
        other.refresh_from_db()
        assert (one.board, other.board) == (boards[1], boards[0])

    def test_where_a_table_is_required_a_chain_moves_and_a_swap_is_refused_by_name(self, boards: list[Board]) -> None:
        one, other = order(boards[0], state=1), order(boards[1], state=1)
        OrderHost().on_moved([move(one, boards[1]), move(other, boards[2])])
        one.refresh_from_db()
        other.refresh_from_db()
        assert (one.board, other.board) == (boards[1], boards[2])
        with pytest.raises(HostRefusedError, match=r"cannot swap tables: shapes\.Order\.board"):
            OrderHost().on_moved([move(one, boards[2]), move(other, boards[1])])

    def test_rows_of_two_times_exchange_a_required_table(self, boards: list[Board]) -> None:
        one, other = order(boards[0], state=1), order(boards[1], state=1, start=TONIGHT + timedelta(hours=3))
        OrderHost().on_moved([move(one, boards[1]), move(other, boards[0])])
        one.refresh_from_db()
        other.refresh_from_db()
        assert (one.board, other.board) == (boards[1], boards[0])

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("action", ["assign", "move", "swap", "undo"])
    def test_staff_are_refused_by_name_what_the_projects_constraint_refuses(
        self, boards: list[Board], settings: Any, action: str
    ) -> None:
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.InvitationHost", "ROUTER": V3_ROUTER}
        rows = [invitation(), invitation(hour="13:00")]
        for row, board in zip(rows, boards, strict=False):
            api.request(booking_ref=str(row.pk))
            api.assign(booking_ref=str(row.pk), table_refs=[str(board.pk)], actor="staff:7")
        one, other = (str(row.pk) for row in rows)
        if action == "assign":
            api.release_tables(booking_ref=one)
        elif action == "undo":
            api.move(booking_ref=one, table_refs=[str(boards[1].pk)], actor="staff:7")
            api.move(booking_ref=one, table_refs=[str(boards[2].pk)], actor="staff:7")
        invitation(board=boards[1], cancelled_at=timezone.now())
        before = ledger.tables_of([one, other]), list(Invitation.objects.order_by("pk").values())
        with pytest.raises(TransitionRefusedError, match="database refuses these tables") as refused:
            match action:
                case "assign":
                    api.assign(booking_ref=one, table_refs=[str(boards[1].pk)], actor="staff:7")
                case "move":
                    api.move(booking_ref=one, table_refs=[str(boards[1].pk)], actor="staff:7")
                case "swap":
                    api.swap(booking_ref=one, other_ref=other, actor="staff:7")
                case "undo":
                    api.undo(booking_ref=one, actor="staff:7")
        assert "board" in refused.value.context["constraint"]
        assert (ledger.tables_of([one, other]), list(Invitation.objects.order_by("pk").values())) == before

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("is_batch", [True, False])
    def test_nobody_loses_a_table_by_a_swap_that_is_impossible(
        self, house: House, settings: Any, is_batch: bool, caplog: Any
    ) -> None:
        """The rows must have a table while they wait, and show just those that V3 would give to others."""
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.OrderHost", "ROUTER": V3_ROUTER}
        made = [Board.objects.create(house=house, label=f"B{number}", places=2) for number in range(5)]
        rows = [order(made[place]) for place in (1, 2, 0, 4, 3)]
        if is_batch:
            kinds = [outcome.kind for progress in dispatch.run_pass() for outcome in progress.outcomes]
        else:
            kinds = [api.assign_now(booking_ref=str(row.pk)).kind for row in rows]
        assert kinds == [Kind.CONFIRMED] * len(rows)
        assert not caplog.records, "nothing was tried that cannot be"
        shown = {str(key): board for key, board in Order.objects.values_list("pk", "board")}
        assert sorted(shown.values()) == sorted(board.pk for board in made)
        assert {ref: (str(board),) for ref, board in shown.items()} == ledger.tables_of(list(shown))

    @pytest.mark.django_db(transaction=True)
    def test_where_the_tables_that_rows_show_do_not_do_who_is_refused_is_tried_again(
        self, boards: list[Board], settings: Any
    ) -> None:
        """The large party waits at the small table, and the other way round: nobody goes to staff for it."""
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.OrderHost", "ROUTER": V3_ROUTER}
        boards[2].delete()
        large, small = order(boards[0], covers=Decimal(4)), order(boards[1])
        first, second = (api.assign_now(booking_ref=str(row.pk)) for row in (large, small))
        assert (first.kind, first.reason) == (Kind.RETRY, "no_capacity")
        assert (second.kind, second.table_refs) == (Kind.CONFIRMED, (str(boards[1].pk),))

    @pytest.mark.django_db(transaction=True)
    def test_what_rows_of_another_time_show_keeps_nobody_from_a_better_table(
        self, boards: list[Board], settings: Any
    ) -> None:
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.OrderHost", "ROUTER": V3_ROUTER}
        pair, four = order(boards[1]), order(boards[0], covers=Decimal(4), start=TONIGHT + timedelta(hours=1))
        tables = [api.assign_now(booking_ref=str(row.pk)).table_refs for row in (pair, four)]
        assert tables == [(str(boards[0].pk),), (str(boards[1].pk),)]

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("router", [V3_ROUTER, pytest.param("", marks=pytest.mark.legacy_planner)])
    def test_a_violation_costs_its_own_booking_and_goes_to_staff(
        self, boards: list[Board], settings: Any, router: str
    ) -> None:
        """Whichever planner decides."""
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.InvitationHost", "ROUTER": router}
        # Cancelled, but it still has its table, and the project's constraint counts it.
        invitation(board=boards[0], cancelled_at=timezone.now())
        first, second = invitation(), invitation(adults=4)
        for row in (first, second):
            api.request(booking_ref=str(row.pk))
        outcomes = {str(row.pk): api.assign_now(booking_ref=str(row.pk)) for row in (first, second)}
        refused = outcomes[str(first.pk)]
        assert (refused.kind, refused.reason) == (Kind.MANUAL_REVIEW, "refused_by_host")
        assert "board" in refused.detail
        assert outcomes[str(second.pk)].kind is Kind.CONFIRMED
        assert not Breaker.objects.exists()

    @pytest.mark.django_db(transaction=True)
    def test_an_edit_that_it_refuses_goes_to_staff_and_the_guests_keep_their_table(
        self, boards: list[Board], settings: Any
    ) -> None:
        settings.ASSIGNMENTS = {"HOST": "tests.shapes.hosts.InvitationHost", "ROUTER": V3_ROUTER}
        invitation(board=boards[1], cancelled_at=timezone.now())
        row = invitation()
        ref = str(row.pk)
        api.request(booking_ref=ref)
        assert api.assign_now(booking_ref=ref).kind is Kind.CONFIRMED
        with transaction.atomic():
            Invitation.objects.filter(pk=row.pk).update(children=2)
            assert api.booking_changed(booking_ref=ref) is Change.TO_STAFF
        row.refresh_from_db()
        assert row.board == boards[0]
        assert [each.table_ref for each in Allocation.objects.all()] == [str(boards[0].pk)]
        assignment = Assignment.objects.get()
        assert (assignment.state, assignment.party, assignment.asked_party) == ("manual_review", 2, 4)
        with transaction.atomic():
            Invitation.objects.filter(pk=row.pk).update(children=None)
            assert api.booking_changed(booking_ref=ref) is Change.RESTORED


@pytest.fixture
def in_a_schema(boards: list[Board]) -> Iterator[None]:
    """Have the tables of stays and boards named with their schema."""
    with pytest.MonkeyPatch.context() as patched:
        for model in (Stay, Board):
            patched.setattr(model._meta, "db_table", f'public"."{model._meta.db_table}')
        _forget_columns()
        yield
    _forget_columns()


def _forget_columns() -> None:
    """Each field keeps its column with the table's name."""
    for field in (*Stay._meta.concrete_fields, *Board._meta.concrete_fields):
        vars(field).pop("cached_col", None)
