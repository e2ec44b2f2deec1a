"""``manage.py show_evening``: the evening in the terminal, on a small floor."""

import io
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assignments import api
from assignments.outcome import Change
from assignments.planning.reasons import Reason
from assignments.staff import evening
from assignments.testing import a_floor, a_table, at
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)


PASSED_OVER = (Reason.TOO_MANY_SPARE_SEATS, Reason.SERVICE_OVERRUN)


def shown(*arguments: str) -> str:
    out = io.StringIO()
    call_command("show_evening", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def busy(host: TheHost, tonight: datetime) -> Iterator[datetime]:
    """19:40 on an evening with two tables: B1 sits at T1, B2 is late at T2, W waits, B3 comes to T1 at 21:00."""
    host.floors["R1"] = a_floor(tables=[a_table("T1"), a_table("T2")])
    for ref, table, starts_at in (
        ("B1", "T1", tonight),
        ("B2", "T2", tonight),
        ("B3", "T1", tonight + timedelta(hours=2)),
    ):
        host.book(ref, starts_at=starts_at, party=2)
        api.assign(booking_ref=ref, table_refs=[table], actor="staff:1", overriding=PASSED_OVER)
    host.book("W", starts_at=tonight + timedelta(minutes=30), party=4)
    run_all()
    with at(tonight + timedelta(minutes=40)):
        api.seated(booking_ref="B1", actor="staff:1")
        api.late(booking_ref="B2", actor="staff:1")
        yield tonight


class TestShowEvening:
    def test_it_shows_who_sits_where_who_waits_and_what_would_help(self, busy: datetime) -> None:
        text = shown("R1")
        lines = text.splitlines()
        assert lines[0].startswith(
            f"Restaurant R1, {busy:%A %Y-%m-%d} (Europe/London; local time {busy:%Y-%m-%d} 19:40)"
        )
        assert lines[1] == "Bookings with tables: 3 (1 expected, 1 late, 1 seated). Waiting: 1."
        by_time = [line for line in lines if "│" in line and "B" in line]
        assert [part.strip() for part in by_time[0].split("│")[1:7]] == ["19:00", "21:00", "2", "T1", "B1", "seated"]
        assert any("19:00-21:00 B1 (2, seated); 21:00-23:00 B3 (2, expected)" in line for line in lines)
        (waits,) = (line for line in lines if "│ W " in line)
        assert "19:30" in waits
        assert "T2 is free from 21:00." in " ".join(text.split())

    def test_tables_are_in_the_order_of_their_names_without_a_floor_too(self, host: TheHost, busy: datetime) -> None:
        host.floors["R1"] = a_floor(tables=[a_table("T9"), a_table("T10")], adjacent=[("T9", "T10")])
        host.book("J", starts_at=busy, party=8)
        api.assign(booking_ref="J", table_refs=["T10", "T9"], actor="staff:1")
        api.close(restaurant_ref="R1", table_refs=["T10", "T9"], starts_at=busy + timedelta(days=1), actor="staff:1")
        tomorrow = (busy + timedelta(days=1)).date()
        assert "Closed: T9 + T10, from" in shown("R1", "--date", tomorrow.isoformat())
        del host.floors["R1"]
        shown_now = evening.evening("R1", busy.date(), now=busy)
        assert [each.table_refs for each in shown_now.seated if each.booking_ref == "J"] == [("T9", "T10")]
        assert [ref for table, ref, *_rest in shown_now.by_table()] == ["T1", "T2", "T9", "T10"]

    def test_json_is_one_object_with_the_same(self, busy: datetime) -> None:
        said = json.loads(shown("R1", "--json"))
        assert said["date"] == busy.date().isoformat()
        assert said["stages"] == {"expected": 1, "late": 1, "seated": 1}
        assert [(each["booking_ref"], each["tables"], each["stage"]) for each in said["seated"]] == [
            ("B1", ["T1"], "seated"),
            ("B2", ["T2"], "late"),
            ("B3", ["T1"], "expected"),
        ]
        assert [each["bookings"] for each in said["tables"]] == [["B1", "B3"], ["B2"]]
        (waiting,) = said["waiting"]
        assert (waiting["booking_ref"], waiting["why"]) == ("W", "no_capacity")
        assert "T2 is free from" in waiting["helps"]

    def test_overstays_and_closures_are_told(self, busy: datetime, host: TheHost) -> None:
        host.book("B4", starts_at=busy + timedelta(hours=2), party=2)
        api.assign(booking_ref="B4", table_refs=["T2"], actor="staff:1", overriding=PASSED_OVER)
        assert api.extend(booking_ref="B1", until=busy + timedelta(hours=3), actor="staff:1").change is Change.TO_STAFF
        api.close(
            restaurant_ref="R1",
            table_refs=["T2"],
            starts_at=busy + timedelta(hours=4),
            reason="A leg broke.",
            actor="staff:1",
        )
        text = " ".join(shown("R1").replace("│", " ").split())
        assert "Overstays." in text
        assert "For staff (overlapping): Its guests and those of booking B3 expect the same table." in text
        assert "Closed: T2, from 23:00 until further notice: A leg broke." in text
        assert "closed 23:00-" in text

    def test_guests_who_left_stay_on_record_and_moved_ones_say_from_where(self, busy: datetime) -> None:
        api.left(booking_ref="B2", actor="staff:1")
        api.move(booking_ref="B1", table_refs=["T2"], actor="staff:1", overriding=PASSED_OVER)
        said = {each["booking_ref"]: each for each in json.loads(shown("R1", "--json"))["seated"]}
        assert (said["B1"]["tables"], said["B1"]["before"]) == (["T2"], ["T1"])
        assert said["B1"]["starts_at"].startswith(busy.isoformat()[:16])
        assert said["B2"]["stage"] == "left"
        assert "Was at T1." in shown("R1")

    def test_an_empty_evening_says_so(self, busy: datetime) -> None:
        text = shown("R1", "--date", f"{busy.date() + timedelta(days=1)}")
        assert "No bookings, nobody waiting, no closures." in text

    def test_an_unknown_restaurant_is_an_error_that_names_those_known(self, busy: datetime) -> None:
        with pytest.raises(CommandError, match=r"There is no restaurant 'R9'. Known are: R1.") as refused:
            shown("R9")
        assert refused.value.returncode == 2

    def test_without_any_booking_no_restaurant_is_named(self, host: TheHost) -> None:
        with pytest.raises(CommandError, match="No restaurant has any bookings yet"):
            shown("R9")

    @pytest.mark.parametrize(("arguments", "problem"), [(("R1", "--date", "tonight"), "YYYY-MM-DD"), (("",), "empty")])
    def test_bad_values_are_refused(self, host: TheHost, arguments: tuple[str, ...], problem: str) -> None:
        with pytest.raises(CommandError, match=problem):
            shown(*arguments)

    @pytest.mark.parametrize("columns", ["50", "200"])
    def test_it_fits_any_width_without_losing_a_booking(self, busy: datetime, monkeypatch: Any, columns: str) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        text = shown("R1")
        assert max(map(len, text.splitlines())) <= int(columns)
        assert "\x1b" not in text
        for ref in ("B1", "B2", "B3", "W"):
            assert ref in text

    def test_its_queries_do_not_grow_with_the_bookings(self, busy: datetime, host: TheHost) -> None:
        with CaptureQueriesContext(connection) as before:
            assert len(evening.evening("R1", None, now=busy).waiting) == 1
        with at(busy - timedelta(hours=5)):
            for number in range(12):
                host.book(f"X{number}", starts_at=busy + timedelta(minutes=30), party=4)
            run_all()
        with CaptureQueriesContext(connection) as after:
            assert len(evening.evening("R1", None, now=busy).waiting) == 13
        assert len(after) <= len(before)
