"""``manage.py inspect_host``: what the host makes of real rows, in words, without writing anything."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from assignments.host import HostBooking, Move, Seating
from assignments.models import Assignment
from tests.shapes.hosts import CardHost, OrderHost, VisitHost
from tests.shapes.models import Board, Card, House, Order, Visit

pytestmark = pytest.mark.django_db

TONIGHT = datetime(2030, 1, 17, 19, tzinfo=UTC)
STAGE = Visit.Stage
called: list[str] = []


class Spying(VisitHost):
    """Notes which callbacks were called."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        called.append("on_confirmed")
        super().on_confirmed(seatings)

    def on_moved(self, moves: Sequence[Move]) -> None:
        called.append("on_moved")
        super().on_moved(moves)

    def on_released(self, booking_refs: Sequence[str]) -> None:
        called.append("on_released")
        super().on_released(booking_refs)

    def on_review(self, reasons: Mapping[str, str]) -> None:
        called.append("on_review")


class Forgetful(VisitHost):
    """Confirms nothing, though it is told to."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        pass


class Constrained(VisitHost):
    """Breaks a constraint of its database, and raises on one of its rows."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE shapes_visit SET house_id = 0")

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        if Visit.objects.filter(pk__in=[ref for ref in refs if ref.isdecimal()], room="raises").exists():
            raise ValueError("Mrs Smith's booking")
        return super().bookings(refs, lock=lock)


class Writing(VisitHost):
    """Writes while it is asked for its bookings."""

    def restaurant_names(self, restaurant_refs: Sequence[str]) -> Mapping[str, str]:
        House.objects.create(name="written")
        return {}


class BlindHost(VisitHost):
    """Its managers filter by a tenant, and there is none."""

    def known_bookings(self) -> Any:
        return super().known_bookings().filter(guests=0)

    def known_tables(self) -> Any:
        return super().known_tables().filter(places=0)


class EverythingHost(OrderHost):
    bookings_manager = "everything"
    cancelled_field = "is_deleted"


def inspect(settings: Any, host: type, *arguments: str) -> tuple[int, str]:
    """Inspect by this host, with V3 alone: the exit code, and what was printed."""
    settings.ASSIGNMENTS = {
        "HOST": f"{host.__module__}.{host.__qualname__}",
        "ROUTER": "assignments.integration.planners.SoleRouter",
    }
    called.clear()
    out = StringIO()
    try:
        call_command("inspect_host", *arguments, stdout=out, stderr=out)
    except CommandError as error:
        return error.returncode, out.getvalue() + str(error)
    return 0, out.getvalue()


@pytest.fixture
def house() -> House:
    house = House.objects.create(name="Anchor")
    for number in (1, 2, 3):
        Board.objects.create(house=house, label=f"B{number}", places=4, room="bar")
    Board.objects.create(house=house, label="B9", places=8, room="bar", in_use=False)
    return house


def visit(house: House | None, **values: Any) -> Visit:
    return Visit.objects.create(house=house, **{"day": TONIGHT.date(), "hour": time(19), "guests": 2, **values})


def test_it_says_what_it_found_and_what_would_happen(settings: Any, house: House) -> None:
    waiting = visit(house)
    visit(house, stage=STAGE.CONFIRMED)
    visit(house, stage=STAGE.CANCELLED)
    visit(house, stage=STAGE.SEATED)
    large = visit(house, guests=40)
    code, said = inspect(settings, Spying)
    assert code == 0, said
    assert "date_field = 'day' (DateField)" in said
    assert "tables_field = 'boards' (ManyToManyField)" in said
    assert "Bookings: 5 (1 cancelled, 1 confirmed, 1 seated or left, 2 waiting)" in said
    assert f"Restaurant {house.pk} (Anchor): 3 tables with 12 seats, the largest with 4, 1 out of service; UTC" in said
    assert "open all day" in said
    lines = {line.split()[1]: line for line in said.splitlines() if line.startswith("  Booking ")}
    assert "v3: B1 for 2 covers from 19:00" in lines[str(waiting.pk)]
    assert "v3: No table:" in lines[str(large.pk)]
    assert called == []
    assert not Assignment.objects.exists()


def test_odd_rows_are_named_and_end_with_1(settings: Any, house: House) -> None:
    homeless, endless, raising = visit(None), visit(house, hour=None), visit(house, room="raises")
    fine = visit(house)
    code, said = inspect(settings, Constrained)
    assert code == 1
    assert f"Problem: Booking {homeless.pk}: The booking has no restaurant." in said
    assert f"Problem: Booking {endless.pk}: The booking has no start." in said
    assert f"Problem: Booking {raising.pk}: bookings() raised ValueError at " in said
    assert "Smith" not in said
    assert "test_inspect_host.py:" in said
    assert f"Booking {fine.pk}: " not in said


def test_a_floor_without_tables_is_a_problem_of_its_restaurant_alone(settings: Any, house: House) -> None:
    empty = House.objects.create(name="Empty")
    visit(house)
    visit(empty)
    code, said = inspect(settings, VisitHost, "--json")
    found = json.loads(said.partition("\n")[0])
    problems = {each["ref"]: each["problems"] for each in found["restaurants"]}
    assert (code, problems[str(house.pk)], len(problems[str(empty.pk)])) == (1, [], 1)
    assert "No table" in problems[str(empty.pk)][0]
    code, said = inspect(settings, VisitHost, "--restaurant", str(house.pk))
    assert (code, "Empty" in said) == (0, False)


def test_a_host_that_writes_while_it_is_read_is_named(settings: Any, house: House) -> None:
    visit(house)
    code, said = inspect(settings, Writing)
    assert code == 1
    assert "restaurant_names() raised InternalError at " in said
    assert House.objects.get() == house


def test_writes_are_announced_tried_and_rolled_back(settings: Any, house: House) -> None:
    first = visit(house)
    code, said = inspect(settings, Spying, "--try-writes")
    assert code == 0, said
    assert called == ["on_confirmed", "on_moved", "on_released", "on_review"]
    assert said.index("rolled back. What they do outside the database") < said.index("Tried for 1 bookings, without")
    first.refresh_from_db()
    assert (first.stage, first.boards.count()) == (STAGE.ASKED, 0)


def test_each_failed_write_is_reported_in_words(settings: Any, house: House) -> None:
    first = visit(house)
    code, said = inspect(settings, Forgetful, "--try-writes")
    assert code == 1
    assert f"Problem: Booking {first.pk}: after on_confirmed() the host shows it as waiting." in said
    code, said = inspect(settings, Constrained, "--try-writes")
    assert code == 1
    assert f"Problem: Booking {first.pk}: on_confirmed() raised IntegrityError at " in said
    assert "(constraint shapes_visit_house_id_" in said
    first.refresh_from_db()
    assert first.house == house


def test_a_required_table_and_text_keys(settings: Any) -> None:
    boards = [Board.objects.create(label=f"B{number}", places=4) for number in (1, 2)]
    Card.objects.create(code="A-1", start=TONIGHT, covers=2, board=boards[1])
    Card.objects.create(code="A-2", start=TONIGHT + timedelta(hours=1), covers=3, board=boards[1])
    code, said = inspect(settings, CardHost, "--try-writes")
    assert code == 0, said
    assert "Tried for 2 bookings, without a problem." in said


def test_an_unknown_restaurant_and_an_empty_project(settings: Any) -> None:
    code, said = inspect(settings, VisitHost, "--restaurant", "7")
    assert (code, "no floor for restaurant '7'" in said) == (1, True)
    assert "Restaurant '7' is unknown: the host has no floor for it, and no booking names it." in said
    assert "No bookings were found" not in said
    code, said = inspect(settings, VisitHost)
    assert (code, "No bookings were found" in said) == (1, True)


def test_whoever_asks_for_an_unknown_restaurant_is_told_which_ones_there_are(settings: Any, house: House) -> None:
    visit(house)
    code, said = inspect(settings, VisitHost, "--restaurant", "nope")
    assert code == 1
    assert "Restaurant 'nope' is unknown: the host has no floor for it, and no booking names it. Bookings name " in said
    assert f"{house.pk} (Anchor)" in said.partition("Bookings name ")[2]


def test_it_reads_what_the_host_reads_and_not_the_models_default(settings: Any, house: House) -> None:
    """The default manager hides what was deleted softly, and the host names another one."""
    board = Board.objects.all()[0]
    Order.objects.create(start=TONIGHT, covers=2, board=board)
    Order.objects.create(start=TONIGHT, covers=2, board=board, is_deleted=True)
    assert "Bookings: 1 (1 waiting)" in inspect(settings, OrderHost)[1]
    assert "Bookings: 2 (1 cancelled, 1 waiting)" in inspect(settings, EverythingHost)[1]


def test_managers_that_hide_all_rows_are_named(settings: Any, house: House) -> None:
    visit(house)
    code, said = inspect(settings, BlindHost)
    assert code == 1
    assert "Problem: shapes.Visit has rows, but the default manager hides them all." in said
    assert "set bookings_manager to the name of a manager that finds all" in said
    assert "Problem: shapes.Board has rows, but the default manager hides them all." in said
