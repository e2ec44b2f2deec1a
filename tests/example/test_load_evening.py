"""load_evening: what is in the file is in the database, whole or not at all, once."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from assignments import api
from assignments.coordination import dispatch
from assignments.integration import evening_file
from assignments.models import Allocation, Assignment
from example import demo, evening, models
from example.booking import cancel_booking

pytestmark = pytest.mark.django_db(transaction=True)

DAY = date(2030, 1, 17)
KINDS = ("restaurants", "tables", "pairs", "services", "bookings")


def load(path: Path, *arguments: str) -> None:
    call_command("load_evening", str(path), *arguments)


def a_file(tmp_path: Path, content: str | bytes, name: str = "bookings.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


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
        assert dispatch.register_new() == 117
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
                r"tables\[3\]: unknown keys 'seats'; known are code, zone",
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
        assert [each.reference for each in models.Restaurant.objects.all()] == ["North", "South"]
        assert models.Booking.objects.filter(reference="B001").count() == 2


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
        ("11:51", datetime(2030, 1, 17, 9, tzinfo=UTC), date(2030, 1, 17)),
        (
            "11:51",
            datetime(2030, 1, 17, 11, 50, tzinfo=UTC),
            date(2030, 1, 18),
        ),  # It would be past before it is planned.
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
