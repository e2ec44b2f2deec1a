"""load_evening: what is in the file is in the database, whole or not at all, once."""

import json
import re
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from assignments import api
from assignments.coordination import dispatch
from assignments.integration import evening_file
from assignments.models import Allocation, Assignment, CalendarEntry, PacingLimit
from example import demo, evening, models, twins
from example.booking import cancel_booking, make_booking
from example.host import ExampleHost
from rollout.control import switches
from rollout.flags import resolution

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2030, 1, 17)
KINDS = ("restaurants", "tables", "pairs", "services", "bookings")


def load(path: Path, *arguments: str) -> None:
    call_command("load_evening", str(path), *arguments)


def a_file(tmp_path: Path, content: str | bytes, name: str = "bookings.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(autouse=True)
def _v3_decides(request: pytest.FixtureRequest, transactional_db: Any) -> None:
    """So that somebody does, also where there is no legacy planner. A built evening brings its switch with it."""
    if not {"decided", "restaurant"} & set(request.fixturenames):
        switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="test")


@pytest.fixture
def bistro() -> models.Restaurant:
    restaurant = models.Restaurant.objects.create(name="Bistro", reference="bistro", timezone="Europe/London")
    models.Zone.objects.create(restaurant=restaurant, name="Terrace")
    return restaurant


class TestJson:
    def test_the_real_evening_is_loaded_whole(self, capsys: Any) -> None:
        load(demo.REAL_EVENING, "--date", "2030-01-17", "--json")
        report = json.loads(capsys.readouterr().out)
        assert report["bookings"] == {"created": 117, "updated": 0, "unchanged": 0}
        restaurant = models.Restaurant.objects.get()
        assert (restaurant.tables.count(), restaurant.services.count()) == (16, 2)
        assert models.TableAdjacency.objects.count() == 56
        assert sum(table.seats for table in restaurant.tables.all()) == 54
        first = restaurant.bookings.get(reference="B001")
        assert (first.start, first.party, first.status) == (datetime(2030, 1, 17, 11, 51, tzinfo=UTC), 3, "pending")

    def test_loading_twice_changes_nothing_even_after_it_was_seated(self, capsys: Any) -> None:
        load(demo.REAL_EVENING, "--date", "2030-01-17")
        assert dispatch.register_new().new == 117
        assert list(dispatch.run_pass())
        seated = list(Allocation.objects.order_by("pk").values())
        capsys.readouterr()
        load(demo.REAL_EVENING, "--date", "2030-01-17", "--json")
        report = json.loads(capsys.readouterr().out)
        assert {kind: counts["unchanged"] for kind, counts in report.items() if kind in KINDS} == {
            "restaurants": 1,
            "tables": 16,
            "pairs": 56,
            "services": 2,
            "bookings": 117,
        }
        assert list(Allocation.objects.order_by("pk").values()) == seated
        assert models.Booking.objects.filter(status="confirmed").count() == len({row["booking_ref"] for row in seated})

    def test_a_changed_row_is_updated_and_seated_anew(self, tmp_path: Path) -> None:
        load(demo.REAL_EVENING, "--date", "2030-01-17")
        booking = models.Booking.objects.get(reference="B001")
        api.assign_now(booking_ref=str(booking.pk))
        data = json.loads(demo.REAL_EVENING.read_text())
        data["bookings"][0]["party"] = 8
        load(a_file(tmp_path, json.dumps(data), "evening.json"), "--date", "2030-01-17")
        booking.refresh_from_db()
        assert (booking.party, booking.status) == (8, "confirmed")
        assert sum(table.seats for table in booking.tables.all()) >= 8
        assert Assignment.objects.get().reason == "booking_changed"

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            (lambda data: data.pop("tables"), "tables is missing"),
            (lambda data: data.pop("restaurant"), "restaurant is missing"),
            (lambda data: data["restaurant"].update(timezone="Europe/Atlantis"), "Europe/Atlantis"),
            (lambda data: data["restaurant"].update(date="yesterday"), "yesterday"),
            (lambda data: data["tables"][3].update(capacity="four"), r"tables\[3\].capacity"),
            (lambda data: data["tables"][3].update(capacity=0), r"tables\[3\]"),
            (lambda data: data["tables"].append(dict(data["tables"][0])), "D1-T01"),
            (lambda data: data["adjacent"].append(["D1-T01", "D9-T99"]), "D9-T99"),
            (lambda data: data["adjacent"].append(["D1-T01", "D1-T01"]), r"adjacent\[56\]"),
            (lambda data: data["services"][0].update(turn_minutes=[]), r"services\[0\].turn_minutes"),
            (lambda data: data["services"][0].update(start="noon"), "noon"),
            (lambda data: data.update(bookings={}), "bookings must be of type list"),
            (lambda data: data["restaurant"].update(name="R" * 201), "restaurant.name must be of at most 200"),
            (lambda data: data["tables"][3].update(code="T" * 21), r"tables\[3\].code must be of at most 20"),
            (lambda data: data["tables"][3].update(zone="\0"), r"tables\[3\].zone must hold no NUL"),
            (lambda data: data["tables"][3].update(capacity=10**10), r"tables\[3\].capacity must be between 1 and"),
            (lambda data: data["tables"][3].update(max_party="4"), r"tables\[3\].max_party must be of type int"),
            (lambda data: data["tables"][3].update(max_party=1), r"tables\[3\]: .* make no sense"),
            (lambda data: data["adjacent"].append([["D1-T01"], ["D1-T02"]]), r"unknown table \['D1-T01'\]"),
            (lambda data: data["adjacent"].append(["D1-T01", "D2-T01"]), "adjacent tables share a zone"),
            (lambda data: data["services"].append(data["services"][0]), "services: lunch is listed more than once"),
            (lambda data: data["services"][0].update(turn_minutes=[[2, 60], [2, 70]]), "a party of 2 is listed"),
            (lambda data: data["services"][0].update(turn_minutes=[[2, 10**12]]), r"services\[0\].turn_minutes"),
            (lambda data: data["services"][0]["buffer_minutes"].update(after=-5), "buffer_minutes.after must be"),
            (
                lambda data: data["services"][0].update(buffer_minutes=5),
                r"services\[0\].buffer_minutes must be an object",
            ),
            (
                lambda data: data["tables"][3].update(seats=4),
                r"tables\[3\]: unknown keys 'seats' \(did you mean 'capacity'\?\); known are code, zone",
            ),
            (
                lambda data: data["services"][0].update(ende="23:00"),
                r"services\[0\]: unknown keys 'ende' \(did you mean 'end'\?\); known are key",
            ),
            (lambda data: data["services"][0]["buffer_minutes"].update(afer=5), "buffer_minutes: unknown keys 'afer'"),
        ],
    )
    def test_a_file_that_contradicts_itself_is_refused_and_the_place_named(
        self, tmp_path: Path, change: Any, complaint: str
    ) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        change(data)
        with pytest.raises(CommandError, match=complaint) as refused:
            load(a_file(tmp_path, json.dumps(data), "evening.json"))
        assert refused.value.returncode == 2
        assert not models.Restaurant.objects.exists()

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ("", "empty"),
            ("{", "not JSON"),
            ("[" * 100_000, "not JSON"),
            ("9" * 5000, "not JSON"),
            ("[]", "one object"),
            (b"\xff\xfe", "empty"),
            (b"\xff\xfe\x00", "not UTF-16"),
            ("{}\xff".encode("latin-1"), "not UTF-8"),
        ],
    )
    def test_a_file_that_is_no_evening_is_refused(self, tmp_path: Path, content: str | bytes, complaint: str) -> None:
        with pytest.raises(CommandError, match=complaint) as refused:
            load(a_file(tmp_path, content, "evening.json"))
        assert refused.value.returncode == 2

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=r"nowhere\.json") as refused:
            load(tmp_path / "nowhere.json")
        assert refused.value.returncode == 2

    def test_bad_bookings_are_left_out_and_named(self, tmp_path: Path, capsys: Any) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        data["bookings"][0]["party"] = 0
        data["bookings"][1]["start"] = "noonish"
        data["bookings"][2] = "B003"
        data["bookings"][3]["ref"] = "B005"
        data["bookings"][5]["zone"] = {"name": "Dining 1"}
        data["bookings"][6]["covers"] = 4
        data["bookings"][7]["ref"] = "B" * 41
        with pytest.raises(CommandError, match="7 rows") as partly:
            load(a_file(tmp_path, json.dumps(data), "evening.json"), "--date", "2030-01-17")
        assert partly.value.returncode == 1
        complaints = capsys.readouterr().err
        for place in (
            "bookings[0] (B001): party",
            "bookings[1] (B002): start",
            "bookings[2]:",
            "bookings[4] (B005): ref",
            "bookings[5] (B006): zone",
            "bookings[6] (B007): unknown keys 'covers'",
            f"bookings[7] ({'B' * 41}): ref must be of at most 40",
        ):
            assert place in complaints
        assert models.Booking.objects.count() == 110

    def test_a_whole_date_and_time_stays_where_it_is_unless_the_day_is_moved(self, tmp_path: Path) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        data["bookings"] = [
            {"ref": "N1", "start": "2025-11-07T00:30", "party": 2},
            {"ref": "N2", "start": "21:30", "party": 2},
        ]
        path = a_file(tmp_path, json.dumps(data), "evening.json")

        def starts() -> list[str]:
            bookings = models.Booking.objects.order_by("reference")
            return [f"{booking.start:%Y-%m-%d %H:%M}" for booking in bookings]

        load(path)
        assert starts() == ["2025-11-07 00:30", "2025-11-06 21:30"]
        load(path, "--date", "2030-01-17")
        # Half past midnight is in the night after the evening to which it is moved.
        assert starts() == ["2030-01-18 00:30", "2030-01-17 21:30"]

    def test_an_end_and_the_moment_of_booking_are_kept(self, tmp_path: Path) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        data["bookings"] = [
            {"ref": "N1", "start": "20:00", "end": "2025-11-07T00:30", "party": 2, "requested_at": "2025-10-01T09:00"},
            {"ref": "N2", "start": "21:30", "party": 2},
        ]
        path = a_file(tmp_path, json.dumps(data), "evening.json")
        load(path, "--date", "2030-07-01")
        first, second = models.Booking.objects.order_by("reference")
        assert (first.start, first.end) == (
            datetime(2030, 7, 1, 19, tzinfo=UTC),
            datetime(2030, 7, 1, 23, 30, tzinfo=UTC),
        )
        assert first.created_at == datetime(2025, 10, 1, 8, tzinfo=UTC)
        assert second.end is None
        models.Booking.objects.filter(pk=second.pk).update(end=first.end)
        load(path, "--date", "2030-07-01")
        second.refresh_from_db()
        assert second.end == first.end

    def test_a_services_turn_times_become_those_of_the_file(self, tmp_path: Path, capsys: Any) -> None:
        load(demo.REAL_EVENING)
        data = json.loads(demo.REAL_EVENING.read_text())
        data["services"][0]["turn_minutes"] = [[2, 65], [4, 75]]
        capsys.readouterr()
        load(a_file(tmp_path, json.dumps(data), "evening.json"), "--json")
        assert json.loads(capsys.readouterr().out)["services"] == {"created": 0, "updated": 1, "unchanged": 1}
        lunch = models.ServicePeriod.objects.get(key="lunch")
        assert list(lunch.turn_times.values_list("max_party", "minutes")) == [(2, 65), (4, 75)]

    def test_two_copies_under_names_of_their_own(self) -> None:
        for name in ("North", "South"):
            load(demo.REAL_EVENING, "--restaurant-name", name)
        assert [each.name for each in models.Restaurant.objects.all()] == ["North", "South"]
        assert models.Booking.objects.filter(reference="B001").count() == 2


def a_floor(**changed: Any) -> dict[str, Any]:
    """A small restaurant that is open past midnight, without bookings."""
    return {
        "restaurant": {"name": "Night Owl", "timezone": "Europe/London", "date": "2030-01-18"},
        "tables": [
            {"code": code, "zone": zone, "capacity": 4}
            for code, zone in (("T1", "Bar"), ("T2", "Bar"), ("T3", "Bar"), ("T10", "Terrace"))
        ],
        "adjacent": [["T1", "T2"], ["T2", "T3"]],
        "joins": [
            {"tables": ["T1", "T2"], "seats": 7, "min_party": 5},
            {"tables": ["T3", "T10"], "seats": 8, "max_party": 6},
        ],
        "services": [
            {"key": "lunch", "start": "12:00", "end": "15:00", "turn_minutes": [[4, 60]], "weekdays": [4, 5, 6]},
            {"key": "dinner", "start": "18:00", "end": "02:00", "turn_minutes": [[4, 90]]},
        ],
        "calendar": [{"first_date": "2030-12-24"}, {"first_date": "2030-12-31", "last_date": "2031-01-01"}],
        "bookings": [],
        **changed,
    }


class TestAFloorThatIsLoadedAgain:
    def load(self, tmp_path: Path, capsys: Any, floor: dict[str, Any], *arguments: str) -> str:
        load(a_file(tmp_path, json.dumps(floor), "floor.json"), *arguments)
        return str(capsys.readouterr().out)

    def test_every_rule_of_the_file_is_the_floors(self, tmp_path: Path, capsys: Any) -> None:
        file = a_floor()
        file["tables"][1]["active"] = False
        file["joins"] = file["joins"][1:]
        self.load(tmp_path, capsys, file)
        restaurant = models.Restaurant.objects.get()
        floor = ExampleHost().floor(str(restaurant.pk))
        codes = {table.ref: table.name for table in floor.tables}
        assert {table.name: table.active for table in floor.tables} == {
            "T1": True,
            "T2": False,
            "T3": True,
            "T10": True,
        }
        (join,) = floor.joins
        assert {codes[ref] for ref in join.table_refs} == {"T3", "T10"}
        assert (join.seats, join.min_party, join.max_party) == (8, None, 6)
        assert {service.key: service.weekdays for service in floor.services} == {
            "lunch": frozenset({4, 5, 6}),
            "dinner": frozenset(range(7)),
        }
        assert len(floor.calendar) == 2

    def test_a_second_time_nothing_changes(self, tmp_path: Path, capsys: Any) -> None:
        self.load(tmp_path, capsys, a_floor())
        report = json.loads(self.load(tmp_path, capsys, a_floor(), "--json"))
        assert (report.pop("removed"), report.pop("notes"), report.pop("rejected")) == ({}, [], [])
        unchanged = {"restaurants": 1, "tables": 4, "pairs": 2, "joins": 2, "services": 2, "calendar": 2}
        assert report == {kind: {"created": 0, "updated": 0, "unchanged": many} for kind, many in unchanged.items()}

    def test_what_the_file_no_longer_has_is_gone_and_said(self, tmp_path: Path, capsys: Any) -> None:
        self.load(tmp_path, capsys, a_floor())
        file = a_floor()
        file["tables"], file["adjacent"] = file["tables"][:3], [["T2", "T1"]]
        file["joins"] = [{"tables": ["T2", "T1"], "seats": 6}]
        file["services"], file["calendar"] = file["services"][1:], file["calendar"][:1]
        said = self.load(tmp_path, capsys, file)
        for line in (
            "tables: 0 created, 0 updated, 3 unchanged, 1 removed",
            "joins: 0 created, 1 updated, 0 unchanged, 1 removed",
            "removed tables: T10",
            "removed zones: Terrace",
            "removed pairs: T2 + T3",
            "removed joins: T3 + T10",
            "removed services: lunch",
            "removed calendar: 2030-12-31 - 2031-01-01",
        ):
            assert line in said
        floor = ExampleHost().floor(str(models.Restaurant.objects.get().pk))
        assert [table.name for table in floor.tables] == ["T1", "T2", "T3"]
        assert (len(floor.adjacent), len(floor.joins), len(floor.services), len(floor.calendar)) == (1, 1, 1, 1)

    def test_a_table_that_bookings_have_is_put_out_of_service_and_its_guests_get_another(
        self, tmp_path: Path, capsys: Any
    ) -> None:
        self.load(tmp_path, capsys, a_floor())
        restaurant = models.Restaurant.objects.get()
        at_ten = make_booking(
            restaurant=restaurant, reference="A", start=datetime(2030, 1, 18, 19, tzinfo=UTC), party=4
        )
        ten = restaurant.tables.get(code="T10")
        api.assign(booking_ref=str(at_ten.pk), table_refs=[str(ten.pk)], actor="Ada")
        late = make_booking(restaurant=restaurant, reference="B", start=datetime(2030, 1, 18, 21, tzinfo=UTC), party=4)
        cellar = models.Zone.objects.create(restaurant=restaurant, name="Cellar")
        models.Booking.objects.filter(pk=late.pk).update(zone=cellar)
        file = a_floor(joins=[])
        file["tables"] = file["tables"][:2]
        file["adjacent"] = [["T1", "T2"]]
        report = json.loads(self.load(tmp_path, capsys, file, "--json"))
        assert report["removed"]["tables"] == ["T3"]
        assert report["tables"]["put out of service"] == 1
        assert report["notes"] == [
            "Table T10 is not in the file any more. Bookings have it or had it, so it is out of service.",
            "A cannot stay at its table: it has another.",
        ]
        ten.refresh_from_db()
        assert not ten.active
        assert at_ten.tables.get().code == "T1"
        assert restaurant.zones.filter(name="Cellar").exists(), "a guest has asked for it"
        before = twins.contents()
        again = json.loads(self.load(tmp_path, capsys, file, "--json"))
        assert (again["removed"], again["notes"]) == ({}, []), (
            "the same file changes nothing, though nobody has T10 now"
        )
        assert twins.contents() == before
        self.load(tmp_path, capsys, a_floor())
        ten.refresh_from_db()
        assert ten.active, "it is in the file again"

    @pytest.mark.parametrize("table", [{"active": False}, {"capacity": 2}])
    def test_guests_who_cannot_stay_and_for_whom_there_is_no_other_table_are_in_review(
        self, tmp_path: Path, capsys: Any, table: dict[str, Any]
    ) -> None:
        only = a_floor(adjacent=[], joins=[])
        only["tables"] = only["tables"][:1]
        self.load(tmp_path, capsys, only)
        start = datetime(2030, 1, 18, 19, tzinfo=UTC)
        booking = make_booking(restaurant=models.Restaurant.objects.get(), reference="A", start=start, party=4)
        assert api.assign_now(booking_ref=str(booking.pk)).table_refs
        only["tables"][0].update(table)
        said = self.load(tmp_path, capsys, only)
        assert "A cannot stay at its table: it is in review." in said
        assert Assignment.objects.get().state == "manual_review"
        assert ("Table T1 is out of service now, as in the file." in said) == ("active" in table)
        only["tables"][0].update(active=True, capacity=4)
        assert ("Table T1 is in service now, as in the file." in self.load(tmp_path, capsys, only)) == (
            "active" in table
        )

    def test_entries_of_the_calendar_that_staff_made_are_kept_and_said(self, tmp_path: Path, capsys: Any) -> None:
        self.load(tmp_path, capsys, a_floor())
        restaurant = models.Restaurant.objects.get()
        day = date(2030, 5, 1)
        CalendarEntry.objects.create(restaurant_ref=str(restaurant.pk), first_date=day, last_date=day, closed=True)
        said = self.load(tmp_path, capsys, a_floor(calendar=[]))
        assert "removed calendar: 2030-12-24, 2030-12-31 - 2031-01-01" in said
        assert "Kept in the calendar, though not in the file: 2030-05-01." in said
        (kept,) = CalendarEntry.objects.all()
        assert kept.first_date == day
        # A file with the same entry does not make it twice, nor take it over.
        self.load(tmp_path, capsys, a_floor(calendar=[{"first_date": "2030-05-01"}]))
        self.load(tmp_path, capsys, a_floor(calendar=[]))
        assert CalendarEntry.objects.get() == kept

    def test_a_file_that_is_refused_changes_nothing(self, tmp_path: Path, capsys: Any) -> None:
        self.load(tmp_path, capsys, a_floor())
        before = twins.contents()
        wrong = a_floor(tables=[{"code": "T1", "zone": "Bar", "capacity": 2}], adjacent=[], joins=[])
        bad_row = {**wrong, "bookings": [{"ref": "B1", "start": "soon", "party": 2}]}
        for file, arguments in (({**wrong, "servcies": []}, []), (bad_row, ["--strict"])):
            with pytest.raises(CommandError) as refused:
                self.load(tmp_path, capsys, file, *arguments)
            assert refused.value.returncode == 2
        assert twins.contents() == before

    def test_what_the_file_says_of_tables_guests_and_the_kitchen_is_stored_and_follows_the_file(
        self, tmp_path: Path, capsys: Any
    ) -> None:
        row = {"ref": "B1", "start": "19:00", "party": 2, "needs": ["Step-free"], "wishes": ["window", "quiet"]}
        file = a_floor(bookings=[row], zones=[{"name": "Bar", "priority": -3}])
        file["tables"][0].update(priority=7, features=["Window", "step-free"])
        file["services"][1]["pacing"] = {"most_covers": 20, "most_present": 60}
        file["calendar"][1]["services"] = [
            {"key": "dinner", "start": "18:00", "end": "02:00", "pacing": {"interval_minutes": 30, "most_parties": 4}}
        ]
        self.load(tmp_path, capsys, file)
        restaurant = models.Restaurant.objects.get()
        floor = ExampleHost().floor(str(restaurant.pk))
        parsed = evening_file.parse(json.dumps(file)).floor()
        assert {table.name: (table.priority, sorted(table.features)) for table in floor.tables} == {
            table.name: (table.priority, sorted(table.features)) for table in parsed.tables
        }
        assert {table.name: table.priority for table in floor.tables}["T1"] == 7
        assert -3 in {table.priority for table in floor.tables}
        assert set(floor.pacing) == set(parsed.pacing)
        assert {(each.service_key, each.interval_minutes, each.most_parties) for each in floor.pacing} == {
            ("dinner", 15, None),
            ("dinner", 30, 4),
        }
        booking = models.Booking.objects.get()
        known = ExampleHost().bookings([str(booking.pk)])[str(booking.pk)]
        assert (known.needs, known.wishes) == (("step-free",), ("quiet", "window"))
        before = twins.contents()
        report = json.loads(self.load(tmp_path, capsys, file, "--json"))
        assert (report["removed"], report["notes"], report["pacing"]["unchanged"]) == ({}, [], 2)
        assert twins.contents() == before
        PacingLimit.objects.create(restaurant_ref=str(restaurant.pk), most_covers=9)
        said = self.load(tmp_path, capsys, a_floor(bookings=[{"ref": "B1", "start": "19:00", "party": 2}]))
        assert "removed pacing: dinner, dinner 2030-12-31 - 2031-01-01" in said
        assert "Kept as pacing, though not in the file: every service." in said
        assert [each.most_covers for each in PacingLimit.objects.all()] == [9]
        floor = ExampleHost().floor(str(restaurant.pk))
        assert {(table.priority, table.features) for table in floor.tables} == {(0, frozenset())}
        booking.refresh_from_db()
        assert (booking.needs, booking.wishes) == ([], [])

    def test_an_end_that_is_gone_from_the_file_is_gone_from_the_booking_and_said(
        self, tmp_path: Path, capsys: Any
    ) -> None:
        row = {"ref": "B1", "start": "19:00", "party": 2}
        self.load(tmp_path, capsys, a_floor(bookings=[{**row, "end": "22:30"}]))
        booking = models.Booking.objects.get()
        assert booking.end is not None
        assert api.assign_now(booking_ref=str(booking.pk)).table_refs
        said = self.load(tmp_path, capsys, a_floor(bookings=[row]))
        assert "B1 has no end in the file any more, nor here." in said
        assert models.Booking.objects.get().end is None
        (seating,) = Allocation.objects.all()
        assert seating.ends_at - seating.starts_at == timedelta(hours=1.5), "turn times decide"
        # Rows of CSV have no end, and say nothing about it. One that staff gave is theirs.
        models.Booking.objects.update(end=booking.start + timedelta(hours=3))
        load(a_file(tmp_path, f"ref,restaurant,start,party\nB1,{booking.restaurant.name},2030-01-18T19:00,2\n"))
        self.load(tmp_path, capsys, a_floor(bookings=[row]))
        booking.refresh_from_db()
        assert booking.end == booking.start + timedelta(hours=3)

    def test_a_status_that_a_booking_does_not_take_over_is_said(self, tmp_path: Path, capsys: Any) -> None:
        row = {"ref": "B1", "start": "19:00", "party": 2}
        self.load(tmp_path, capsys, a_floor(bookings=[row]))
        said = self.load(tmp_path, capsys, a_floor(bookings=[{**row, "status": "no_show"}]))
        assert "Kept the status of bookings that are there already: B1 (pending, in the file no_show)." in said


class TestNames:
    def test_names_that_differ_in_an_accent_are_two_restaurants(self, tmp_path: Path) -> None:
        row = {"ref": "B1", "start": "19:00", "party": 2}
        for name in ("Café Roma", "Cafe Roma", "北の家", "مطعم البحر"):
            file = a_floor(bookings=[row])
            file["restaurant"]["name"] = name
            load(a_file(tmp_path, json.dumps(file), "floor.json"))
        assert models.Restaurant.objects.count() == models.Booking.objects.count() == 4
        csv = "ref,restaurant,start,party\n" + "".join(
            f"C{index},{name},2030-01-18T20:00,2\n" for index, name in enumerate(("Café Roma", "北の家", "مطعم البحر"))
        )
        load(a_file(tmp_path, csv))
        names = models.Booking.objects.filter(reference__startswith="C").order_by("reference")
        assert list(names.values_list("restaurant__name", flat=True)) == ["Café Roma", "北の家", "مطعم البحر"]

    def test_a_restaurant_is_known_by_its_ref_whatever_it_is_called(self, tmp_path: Path, capsys: Any) -> None:
        for ref, name in (("1", "Roma"), ("2", "Roma"), ("1", "Bella Roma")):
            file = a_floor()
            file["restaurant"].update(ref=ref, name=name)
            load(a_file(tmp_path, json.dumps(file), "floor.json"))
        assert list(models.Restaurant.objects.values_list("reference", "name")) == [("1", "Bella Roma"), ("2", "Roma")]
        assert "Others are called 'Roma' too, by the reference '1'." in capsys.readouterr().out
        models.Restaurant.objects.create(reference="3", name="Roma")
        rows = "C1,2,2030-01-18T20:00,2\nC2,Roma,2030-01-18T20:00,2\nC3,Bela Roma,2030-01-18T20:00,2\n"
        with pytest.raises(CommandError):
            load(a_file(tmp_path, "ref,restaurant,start,party\n" + rows))
        complaints = capsys.readouterr().err
        assert "line 3: there are 2 restaurants 'Roma'; write the reference of one: '2', '3'" in complaints
        assert "line 4: there is no restaurant 'Bela Roma' (did you mean 'Bella Roma'?)" in complaints
        assert models.Booking.objects.get().restaurant.reference == "2"

    @pytest.mark.parametrize("first", ["name", "ref"])
    def test_a_name_and_a_ref_that_read_the_same_are_two_restaurants(
        self, tmp_path: Path, capsys: Any, first: str
    ) -> None:
        named, referred = (
            a_floor(),
            a_floor(tables=[{"code": "X1", "zone": "Bar", "capacity": 4}], adjacent=[], joins=[]),
        )
        named["restaurant"]["name"] = "Anchor"
        referred["restaurant"].update(name="Bistro", ref="Anchor")
        files = [named, referred] if first == "name" else [referred, named]
        for file in [*files, *files]:
            load(a_file(tmp_path, json.dumps(file), "floor.json"))
        assert set(models.Restaurant.objects.values_list("reference", "name")) == {
            (None, "Anchor"),
            ("Anchor", "Bistro"),
        }
        assert models.Restaurant.objects.get(name="Anchor").tables.count() == 4
        assert [table.code for table in models.Restaurant.objects.get(name="Bistro").tables.all()] == ["X1"]
        assert "It is a new restaurant. 'Anchor' is the " in capsys.readouterr().out
        with pytest.raises(CommandError):
            load(a_file(tmp_path, "ref,restaurant,start,party\nC1,Anchor,2030-01-18T20:00,2\n"))
        assert "'Anchor' may be 'Bistro', of which it is the reference, or the restaurant of that name" in (
            capsys.readouterr().err
        )

    def test_a_restaurant_may_be_given_its_name_as_its_ref(self, tmp_path: Path) -> None:
        file = a_floor()
        for ref in (None, file["restaurant"]["name"], None):
            file["restaurant"].pop("ref", None)
            file["restaurant"].update({"ref": ref} if ref else {})
            load(a_file(tmp_path, json.dumps(file), "floor.json"))
        assert models.Restaurant.objects.get().reference == file["restaurant"]["name"]

    def test_references_that_were_made_of_names_are_forgotten_and_back(self, bistro: models.Restaurant) -> None:
        migration = import_module("example.migrations.0009_what_files_say")
        for name, reference in (("Anchor", "Anchor"), ("Harbour", "17"), ("bistro", None)):
            models.Restaurant.objects.create(name=name, reference=reference)

        def references() -> dict[str, str | None]:
            return dict(models.Restaurant.objects.values_list("name", "reference"))

        migration.forget_names(apps, None)
        assert references() == {"Anchor": None, "Harbour": "17", "bistro": None, "Bistro": "bistro"}
        migration.remember_names(apps, None)
        again = models.Restaurant.objects.get(name="bistro")
        assert references() == {
            "Anchor": "Anchor",
            "Harbour": "17",
            "bistro": f"bistro ({again.pk})",
            "Bistro": "bistro",
        }

    def test_slugs_become_references_and_back(self, db: None) -> None:
        migration = import_module("example.migrations.0004_references")
        rows = [
            SimpleNamespace(pk=pk, name=name, slug=slug, reference=None, save=lambda **_: None)
            for pk, name, slug in (
                (1, "Café Roma", "cafe-roma"),
                (2, "Anchor", "anchor"),
                (3, "Anchor", "anchor-2"),
                (4, "anchor", "north"),
            )
        ]
        apps = SimpleNamespace(
            get_model=lambda *_: SimpleNamespace(objects=SimpleNamespace(order_by=lambda _field: rows))
        )
        migration.name_restaurants(apps, None)
        assert [row.reference for row in rows] == ["Café Roma", "anchor-2", "anchor-2-2", "anchor"]
        migration.make_slugs(apps, None)
        assert [row.slug for row in rows] == ["cafe-roma", "anchor-2", "anchor-2-2", "anchor"]


class TestSpreadsheets:
    """CSV as spreadsheets write it."""

    ROWS = (
        ("ref", "restaurant", "start", "party", "zone"),
        ("C1", "bistro", "19/12/2030 19:30", "4", "Terrace"),
        ("C2", "Bistro", "2030-12-19 20:00", "2", ""),
        ("", "", "", "", ""),
        ("C3", "Bistro", "19.12.2030 20:30", "2", ""),
    )

    @pytest.mark.parametrize(
        ("first", "said"),
        [
            ("sep=|", "separated by '|'; use a comma, a semicolon or a tab"),
            ('sep="', "use a comma"),
            ("sep=", "Unknown columns 'sep='"),
        ],
    )
    def test_a_separator_that_is_none_is_refused_by_name(self, tmp_path: Path, first: str, said: str) -> None:
        with pytest.raises(CommandError, match=re.escape(said)):
            load(a_file(tmp_path, f"{first}\r\nref,restaurant,start,party\r\n"))

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    @pytest.mark.parametrize("says", [False, True])
    def test_every_separator_and_encoding_is_read(
        self, tmp_path: Path, bistro: models.Restaurant, separator: str, encoding: str, says: bool
    ) -> None:
        text = "\r\n".join(separator.join(row) for row in self.ROWS)
        name = "unicode.txt" if separator == "\t" else "bookings.csv"
        load(a_file(tmp_path, (f"sep={separator}\r\n{text}" if says else text).encode(encoding), name))
        assert [(row.reference, f"{row.start:%d %H:%M}", row.party) for row in models.Booking.objects.all()] == [
            ("C1", "19 19:30", 4),
            ("C2", "19 20:00", 2),
            ("C3", "19 20:30", 2),
        ]

    @pytest.mark.parametrize(
        ("start", "complaint"),
        [
            ("03/04/2030 19:30", "line 3: start '03/04/2030 19:30' may be 2030-04-03 or 2030-03-04"),
            ("19/12/30 19:30", "has a year of two digits; write it as 2026-12-19T19:30"),
            ("47836.8125", "is how a spreadsheet counts days"),
            ("2030-12-19", "is a date without a time"),
        ],
    )
    def test_a_date_that_may_be_another_says_what_to_write(
        self, tmp_path: Path, bistro: models.Restaurant, capsys: Any, start: str, complaint: str
    ) -> None:
        content = f"sep=;\nref;restaurant;start;party\nC1;bistro;{start};2\n"
        with pytest.raises(CommandError, match=r"1 rows of .* were left out") as partly:
            load(a_file(tmp_path, content))
        assert partly.value.returncode == 1
        assert complaint in capsys.readouterr().err
        assert not models.Booking.objects.exists()

    @pytest.mark.parametrize(
        ("content", "complaint"),
        [
            ("ref;restaurant;begin;party\n", "'begin'"),
            ("Ref;restaurant;start;party\n", "'Ref' (did you mean 'ref'?)"),
            ("ref|restaurant|start|party\n", "Unknown columns"),
            (
                'ref,restaurant,start,party\nC1,"bistro,2030-12-19T19:30,2\nC2,bistro,2030-12-19T20:30,2\n',
                "not CSV: line",
            ),
            ("ref,restaurant,start,party\nC1,Büro,2030-12-19T19:30,2\n".encode("cp1252"), 'save it as "CSV UTF-8"'),
        ],
    )
    def test_a_file_that_would_lose_rows_is_refused_whole(
        self, tmp_path: Path, bistro: models.Restaurant, content: str | bytes, complaint: str
    ) -> None:
        with pytest.raises(CommandError) as refused:
            load(a_file(tmp_path, content))
        assert complaint in str(refused.value)
        assert refused.value.returncode == 2
        assert not models.Booking.objects.exists()

    def test_times_after_midnight_are_in_the_night_of_the_restaurants_evening(
        self, tmp_path: Path, capsys: Any
    ) -> None:
        load(a_file(tmp_path, json.dumps(a_floor()), "floor.json"))
        rows = "C1;Night Owl;00:30;2\nC2;Night Owl;2031-01-19 00:30;2\nC3;Night Owl;23:30;2\nC4;Night Owl;24:00;2\n"
        load(a_file(tmp_path, f"ref;restaurant;start;party\n{rows}"), "--date", "2030-01-18")
        found = models.Booking.objects.order_by("reference")
        assert [f"{row.start:%m-%d %H:%M}" for row in found] == [
            "01-19 00:30",
            "01-19 00:30",
            "01-18 23:30",
            "01-19 00:00",
        ]

    def test_a_file_without_rows_says_so(self, tmp_path: Path, capsys: Any) -> None:
        load(a_file(tmp_path, "ref,restaurant,start,party\n"))
        assert "There is nothing in it to load." in capsys.readouterr().out

    def test_a_day_beyond_all_years_is_refused(self, tmp_path: Path, bistro: models.Restaurant) -> None:
        with pytest.raises(CommandError, match="cannot be moved to 9999-12-31") as refused:
            load(a_file(tmp_path, "ref,restaurant,start,party\nC1,bistro,24:00,2\n"), "--date", "9999-12-31")
        assert refused.value.returncode == 2


class TestCsv:
    HEADER = "ref,restaurant,start,party,zone,status\n"

    @pytest.mark.parametrize("bom", ["", "\ufeff"])
    def test_rows_become_bookings(self, tmp_path: Path, bistro: models.Restaurant, bom: str) -> None:
        rows = "C1,bistro,2030-07-01T19:00,4,Terrace,\nC2,Bistro,2030-07-01T19:00+00:00,2,,cancelled\n"
        load(a_file(tmp_path, bom + self.HEADER + rows))
        first, second = models.Booking.objects.order_by("reference")
        assert (first.start, first.zone.name if first.zone else "", first.status) == (
            datetime(2030, 7, 1, 18, tzinfo=UTC),
            "Terrace",
            "pending",
        )
        assert (second.start, second.status) == (datetime(2030, 7, 1, 19, tzinfo=UTC), "cancelled")

    @pytest.mark.parametrize(
        ("row", "complaint"),
        [
            ("C1,bistro,2030-07-01T19:00,0,,", "party must be between 1 and 1000, not 0"),
            ("C1,bistro,2030-07-01T19:00,-1,,", "not -1"),
            ("C1,bistro,2030-07-01T19:00,four,,", "'four'"),
            ("C1,bistro,2030-07-01T19:00,10000,,", "not 10000"),
            ("C1,bistro,2030-07-01T19:00,1_0,,", "'1_0'"),
            ("C1,bistro,0001-01-01T00:00,2,,", "start must be in the years 1970 to 2199"),
            ("C1,bistro,9999-12-31T23:59,2,,", "start must be in the years 1970 to 2199"),
            ("C0,Bistro,2030-07-01T19:00,2,,", "ref 'C0' is there already, line 2"),
            ("C" * 41 + ",bistro,2030-07-01T19:00,2,,", "ref must be of at most 40 characters, not 41"),
            ("C\0,bistro,2030-07-01T19:00,2,,", "ref must hold no NUL character"),
            ("C1,bistro,soon,2,,", "'soon'"),
            ("C1,bistro,19:00,2,,", "--date"),
            ("C1,bistro,2030-03-31T01:30,2,,", "2030-03-31 01:30 does not exist"),
            ("C1,bistro,2030-07-01T19:00,2,Cellar,", "'Cellar'"),
            ("C1,bistro,2030-07-01T19:00,2,,maybe", "'maybe'"),
            ("C1,nowhere,2030-07-01T19:00,2,,", "'nowhere'"),
            ("C1,,2030-07-01T19:00,2,,", "restaurant is missing"),
            (",bistro,2030-07-01T19:00,2,,", "ref must be"),
            ("C0,bistro,2030-07-01T19:00,2,,", "ref 'C0' is there already, line 2"),
            ("C1,bistro,2030-07-01T19:00,2,,pending,extra", "extra"),
        ],
    )
    def test_a_bad_row_is_named_with_its_line_and_the_others_are_loaded(
        self, tmp_path: Path, bistro: models.Restaurant, capsys: Any, row: str, complaint: str
    ) -> None:
        content = f"{self.HEADER}C0,bistro,2030-07-01T19:00,2,,\n{row}\nC9,bistro,2030-07-01T19:00,2,,\n"
        with pytest.raises(CommandError) as partly:
            load(a_file(tmp_path, content))
        assert partly.value.returncode == 1
        complaints = capsys.readouterr().err
        assert "line 3" in complaints
        assert complaint in complaints
        assert sorted(models.Booking.objects.values_list("reference", flat=True)) == ["C0", "C9"]

    def test_strict_refuses_the_whole_file(self, tmp_path: Path, bistro: models.Restaurant) -> None:
        content = f"{self.HEADER}C0,bistro,2030-07-01T19:00,2,,\nC1,bistro,2030-07-01T19:00,2,Cellar,\n"
        with pytest.raises(CommandError, match=r"line 3.*Cellar") as refused:
            load(a_file(tmp_path, content), "--strict")
        assert refused.value.returncode == 2
        assert not models.Booking.objects.exists()

    @pytest.mark.parametrize(
        ("header", "complaint"),
        [
            ("ref,restaurant,start,covers\n", "'covers'"),
            ("ref,start,party\n", "restaurant"),
            ("ref,ref,restaurant,start,party\n", "ref is listed more than once"),
            (f"{HEADER}C1,bistro,2030-07-01T19:00,2,{'x' * 200_000},\n", "not CSV: line"),
        ],
    )
    def test_wrong_columns_are_named(self, tmp_path: Path, header: str, complaint: str) -> None:
        with pytest.raises(CommandError, match=complaint) as refused:
            load(a_file(tmp_path, header))
        assert refused.value.returncode == 2

    def test_another_name_is_for_a_restaurant_not_for_rows(self, tmp_path: Path, bistro: models.Restaurant) -> None:
        path = a_file(tmp_path, f"{self.HEADER}C1,bistro,2030-07-01T19:00,2,,\n")
        with pytest.raises(CommandError, match="JSON files only") as refused:
            load(path, "--restaurant-name", "Zed")
        assert refused.value.returncode == 2

    def test_a_row_that_says_cancelled_cancels(self, tmp_path: Path, bistro: models.Restaurant) -> None:
        load(a_file(tmp_path, f"{self.HEADER}C1,bistro,2030-07-01T19:00,2,,\n"))
        load(a_file(tmp_path, f"{self.HEADER}C1,bistro,2030-07-01T19:00,2,,cancelled\n"))
        assert models.Booking.objects.get().status == "cancelled"
        load(a_file(tmp_path, f"{self.HEADER}C1,bistro,2030-07-01T19:00,2,,\n"))
        assert models.Booking.objects.get().status == "cancelled"


def test_the_project_knows_every_status_of_the_format() -> None:
    assert set(models.Booking.Status.values) == set(evening_file.STATUSES)


@pytest.mark.parametrize(
    ("first", "now", "expected"),
    [
        ("11:51", datetime(2030, 1, 17, 8, 51, tzinfo=UTC), date(2030, 1, 17)),
        # Who comes within FIXED_MINUTES is moved no more, and who comes within minutes is past before it is planned.
        ("11:51", datetime(2030, 1, 17, 8, 52, tzinfo=UTC), date(2030, 1, 18)),
        ("11:51", datetime(2030, 1, 17, 19, tzinfo=UTC), date(2030, 1, 18)),
        # By the restaurant's clock: it is noon there already, and past midnight.
        ("11:51", datetime(2030, 7, 17, 11, tzinfo=UTC), date(2030, 7, 18)),
        ("11:51", datetime(2030, 7, 17, 23, 30, tzinfo=UTC), date(2030, 7, 18)),
        # The clocks skip that time in the night after the first evening.
        ("01:30", datetime(2030, 3, 30, 12, tzinfo=UTC), date(2030, 3, 31)),
    ],
)
def test_the_demos_evening_is_the_first_that_lies_ahead(first: str, now: datetime, expected: date) -> None:
    data = json.loads(demo.REAL_EVENING.read_text())
    data["bookings"] = [{"ref": "late", "start": "20:00", "party": 2}, {"ref": "first", "start": first, "party": 2}]
    moved = evening.parse_json_ahead(json.dumps(data), now)
    assert moved.day == expected
    assert moved.bookings[0].start.date() == expected


def test_cancelling_in_the_project_frees_the_tables(restaurant: models.Restaurant) -> None:
    booking = restaurant.bookings.get(reference="B001")
    assert api.assign_now(booking_ref=str(booking.pk)).table_refs
    booking.refresh_from_db()
    assert booking.tables.count() > 0
    cancel_booking(booking)
    assert not Allocation.objects.exists()
    assert booking.tables.count() == 0
    assert Assignment.objects.get().state == "cancelled"
