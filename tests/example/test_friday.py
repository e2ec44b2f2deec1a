"""A busy evening, played: what it tells, and that each of its checks can fail."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from assignments import api
from assignments.integration.evening_file import EveningFile
from assignments.models import Allocation, Assignment
from example import booking as bookings
from example import demo, demo_database, evening, friday, friday_checks, friday_script, models
from example import settings as example_settings
from rollout.control import switches
from rollout.flags import resolution
from tests.example import processes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("demo")]

DAY = date(2030, 6, 14)
"""A Friday."""


@pytest.fixture(autouse=True)
def as_the_example(settings: Any) -> None:
    settings.ASSIGNMENTS = example_settings.ASSIGNMENTS
    settings.ROLLOUT = example_settings.ROLLOUT


def the_evening(*, every: int = 1) -> EveningFile:
    """The real evening, or every n-th of its bookings."""
    whole = evening.parse_json(demo.REAL_EVENING.read_text(), on=DAY)
    return replace(whole, bookings=whole.bookings[::every])


def script_of(source: EveningFile, seed: int) -> friday_script.Script:
    booked = [friday.made_aware(row, source.timezone) for row in source.bookings]
    return friday_script.script(source.floor(), booked, seed=seed)


class TestScript:
    def test_the_seed_alone_fixes_what_happens(self) -> None:
        source = the_evening()
        assert script_of(source, 4) == script_of(source, 4)
        assert script_of(source, 4) != script_of(source, 5)

    def test_an_evening_has_everything_that_happens_on_a_friday(self) -> None:
        script = script_of(the_evening(), 1)
        assert len(script.guests) == 117
        assert len(script.walk_ins) == 18
        assert script.breaks is not None
        for share in ("cancels_at", "changes_at", "says_late_at", "wants_to_move_at"):
            assert 0 < sum(getattr(each, share) is not None for each in script.guests) < 60, share
        assert 0 < sum(each.comes_at is None and each.cancels_at is None for each in script.guests) < 20
        stays = [each for each in script.guests if each.leaves_at and each.leaves_at > each.ends_at]
        assert 5 < len(stays) < 50

    def test_nobody_does_anything_before_booking(self) -> None:
        for each in script_of(the_evening(), 2).guests:
            moments = [each.cancels_at, each.changes_at, each.says_late_at, each.comes_at]
            assert all(moment >= each.made_at for moment in moments if moment is not None)


class TestPlaying:
    def test_one_worker_gives_the_same_result_twice_and_breaks_no_promise(self) -> None:
        source = the_evening(every=8)
        results = [
            friday.play(replace(source, name=f"Evening {number}"), seed=2, workers=1).as_dict() for number in (1, 2)
        ]
        assert results[0] == results[1]
        result = results[0]
        assert result["bookings"] == 15
        assert 9 <= result["seated"] <= 15
        assert (result["promises_broken"], result["overlaps"], result["lost"]) == (0, 0, 0)
        assert result["walk_ins"] == result["walk_ins_seated"] + result["walk_ins_turned_away"] > 0

    def test_half_of_the_evening_with_four_workers(self) -> None:
        said: list[str] = []
        result = friday.play(the_evening(every=2), seed=1, moves=True, say=said.append)
        assert result.found == {"promises_broken": (), "overlaps": (), "lost": ()}
        assert result.bookings == 59
        assert 30 <= result.seated <= 59
        assert result.seated + result.no_shows + result.cancelled + result.without_table <= 59
        assert result.moved > 0
        assert sum(result.overstays.values()) > 0
        assert result.to_staff == sum(1 for _ in friday_refs_in_review())
        assert any("59 booked" in line for line in said)
        # Nobody is left at a table, or without an answer.
        assert not Allocation.objects.filter(kind=Allocation.Kind.SEATING, ended_at__isnull=True).exists()
        with connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('friday_witness')")
            assert cursor.fetchone() == (None,)

    def test_where_the_database_cannot_be_copied_one_evening_is_played_after_the_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        played: list[tuple[str, bool]] = []

        def play(source: EveningFile, *, moves: bool = False, **_options: Any) -> str:
            played.append((source.name, moves))
            return source.name

        monkeypatch.setattr(demo_database, "copied", lambda _suffix: nullcontext(None))
        monkeypatch.setattr(friday, "play", play)
        said: list[str] = []
        source = the_evening().called("Anchor")
        assert friday.play_both(source, seed=1, say=said.append) == ("Anchor (nobody is moved)", "Anchor")  # type: ignore[comparison-overlap]
        assert played == [("Anchor (nobody is moved)", False), ("Anchor", True)]
        assert said == ["Anchor (nobody is moved):", "Anchor:"]


def friday_refs_in_review() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT booking_ref FROM assignments_statetransition WHERE target = 'manual_review'")
        return {ref for (ref,) in cursor.fetchall()}


class TestChecks:
    """Each check finds what was done to one row, and nothing before that."""

    @pytest.fixture
    def restaurant(self) -> Iterator[models.Restaurant]:
        """Two parties confirmed at two tables of the real floor, while everything is witnessed."""
        switches.set_switch(resolution.V3_SWITCH, active=True, actor="test", reason="A Friday")
        restaurant, _booked, _bad = friday.prepare(the_evening(every=50))
        with friday_checks.witnessed():
            for number in (1, 2):
                made = bookings.make_booking(
                    restaurant=restaurant,
                    reference=f"B{number}",
                    start=datetime(2030, 6, 14, 18, tzinfo=UTC),
                    party=2,
                )
                api.assign_now(booking_ref=str(made.pk))
            assert self.found(restaurant) == (0, 0, 0)
            yield restaurant

    def found(self, restaurant: models.Restaurant) -> tuple[int, int, int]:
        found = friday_checks.check(str(restaurant.pk), now=datetime(2030, 6, 14, 12, tzinfo=UTC))
        return len(found.promises_broken), len(found.overlaps), len(found.lost)

    def ref(self, restaurant: models.Restaurant, reference: str = "B1") -> str:
        return str(restaurant.bookings.get(reference=reference).pk)

    def test_a_seating_that_vanishes_breaks_a_promise_and_loses_a_booking(self, restaurant: models.Restaurant) -> None:
        Allocation.objects.filter(booking_ref=self.ref(restaurant)).delete()
        assert self.found(restaurant) == (1, 0, 1)

    def test_a_stay_cut_short_breaks_a_promise(self, restaurant: models.Restaurant) -> None:
        row = Allocation.objects.get(booking_ref=self.ref(restaurant))
        Allocation.objects.filter(pk=row.pk).update(ends_at=row.ends_at - timedelta(minutes=10))
        assert self.found(restaurant) == (1, 0, 0)

    def test_a_later_start_breaks_a_promise(self, restaurant: models.Restaurant) -> None:
        row = Allocation.objects.get(booking_ref=self.ref(restaurant))
        Allocation.objects.filter(pk=row.pk).update(starts_at=row.starts_at + timedelta(minutes=10))
        assert self.found(restaurant) == (1, 0, 0)

    def test_too_few_seats_break_a_promise(self, restaurant: models.Restaurant) -> None:
        ref = self.ref(restaurant)
        seats = models.Table.objects.get(bookings=int(ref)).seats
        with transaction.atomic():
            Allocation.objects.filter(booking_ref=ref).update(
                party=seats + 1, ends_at=datetime(2030, 6, 14, 20, tzinfo=UTC)
            )
        assert self.found(restaurant)[0] == 1

    def test_guests_and_staff_may_end_a_promise(self, restaurant: models.Restaurant) -> None:
        bookings.cancel_booking(restaurant.bookings.get(reference="B1"))
        ref = self.ref(restaurant, "B2")
        free = models.Table.objects.filter(restaurant=restaurant, seats=4, bookings=None).first()
        assert free is not None
        api.seated(booking_ref=ref, actor="staff:1")
        api.move(booking_ref=ref, table_refs=[str(free.pk)], actor="staff:1")
        api.left(booking_ref=ref, actor="staff:1")
        assert self.found(restaurant) == (0, 0, 0)

    def test_what_is_in_review_in_the_same_transaction_is_not_broken(self, restaurant: models.Restaurant) -> None:
        tables = [str(pk) for pk in restaurant.tables.values_list("pk", flat=True)]
        api.close(
            restaurant_ref=str(restaurant.pk),
            table_refs=tables,
            starts_at=datetime(2030, 6, 14, 10, tzinfo=UTC),
            actor="staff:1",
        )
        assert self.found(restaurant) == (0, 0, 0)
        assert set(Assignment.objects.values_list("state", flat=True)) == {"manual_review"}

    def test_a_table_blocked_twice_is_found_in_the_history(self, restaurant: models.Restaurant) -> None:
        row = Allocation.objects.get(booking_ref=self.ref(restaurant))
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO assignments_seatingchange (booking_ref, restaurant_ref, what, seating_id, table_ref, starts_at,"
                " ends_at, blocked, planner, previous_stage, stage, transaction_id)"
                " SELECT 'another', restaurant_ref, 'seated', 0, table_ref, starts_at, ends_at, blocked, '', '', '', 0"
                " FROM assignments_allocation WHERE id = %s",
                [row.pk],
            )
        assert self.found(restaurant) == (0, 1, 0)

    def test_a_table_given_away_while_guests_sit_there_is_found(self, restaurant: models.Restaurant) -> None:
        ref = self.ref(restaurant)
        api.seated(booking_ref=ref, actor="staff:1")
        row = Allocation.objects.get(booking_ref=ref)
        Allocation.objects.filter(pk=row.pk).update(
            ended_at=row.blocked.lower, blocked=(row.blocked.lower, row.blocked.lower + timedelta(seconds=1))
        )
        assert self.found(restaurant)[1] == 0
        api.move(booking_ref=self.ref(restaurant, "B2"), table_refs=[row.table_ref], actor="staff:1")
        assert self.found(restaurant)[1] == 1

    @pytest.mark.parametrize(
        "sabotage",
        [
            "DELETE FROM example_booking_tables WHERE booking_id = %s",
            "UPDATE example_booking SET status = 'pending' WHERE id = %s",
        ],
    )
    def test_a_booking_on_which_host_and_app_differ_is_lost(self, restaurant: models.Restaurant, sabotage: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sabotage, [int(self.ref(restaurant))])
        assert self.found(restaurant) == (0, 0, 1)

    def test_a_booking_of_which_the_app_never_heard_is_lost(self, restaurant: models.Restaurant) -> None:
        models.Booking.objects.create(
            restaurant=restaurant, reference="B3", start=datetime(2030, 6, 14, 18, tzinfo=UTC), party=2
        )
        assert self.found(restaurant) == (0, 0, 1)


class TestCommand:
    @pytest.mark.parametrize(
        ("arguments", "problem"),
        [
            (["--friday", "--workers", "0"], "must be a whole number from 1 to 16, not '0'"),
            (["--friday", "--workers", "17"], "must be a whole number from 1 to 16"),
            (["--friday", "--seed", "x"], "must be a whole number of at most 18 digits, not 'x'"),
            (["--seed", "3"], "--seed belongs to --friday"),
            (["--workers", "2"], "--workers belongs to --friday"),
            (["--friday", "--incident", "stuck"], "--friday or --incident, not both"),
            (["--friday", "--file", "nowhere.json"], "nowhere.json cannot be read"),
        ],
    )
    def test_bad_values_are_refused_by_name(self, arguments: list[str], problem: str) -> None:
        with pytest.raises(CommandError, match=problem) as refused:
            call_command("demo", *arguments)
        assert refused.value.returncode in {1, 2}

    def test_a_file_without_bookings_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.json"
        path.write_text(json.dumps({**json.loads(demo.REAL_EVENING.read_text()), "bookings": []}))
        with pytest.raises(CommandError, match="has no bookings, so there is no evening to play"):
            call_command("demo", "--friday", "--file", str(path))

    def test_it_plays_a_file_and_prints_one_object(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        path = tmp_path / "short.json"
        path.write_text(json.dumps({**data, "bookings": data["bookings"][::15]}))
        with database_of_its_own("friday") as variables:
            code, out, err = processes.run(
                "demo", "--friday", "--file", str(path), "--seed", "5", "--workers", "2", "--json", **variables
            )
            assert code == 0, err
            result = json.loads(out)
            assert (result["bookings"], result["seed"], result["workers"]) == (8, 5, 2)
            assert result["without_moves"].keys() == result.keys() - {"without_moves"}
            assert result["without_moves"]["bookings"] == 8
            wanted = {"seated", "moved", "waited", "walk_ins", "to_staff", "promises_broken", "overlaps", "lost"}
            assert wanted <= set(result)
            # What it leaves behind is there to be looked at.
            days = {datetime.now(ZoneInfo("Europe/London")).date() - timedelta(days=days) for days in (0, 1)}
            shown = [processes.run("show_evening", "1", "--date", str(day), **variables) for day in sorted(days)]
            assert {code for code, _out, _err in shown} == {0}
            assert any("Bookings with tables:" in out for _code, out, _err in shown)  # Midnight may have passed.
        # People read a table of the same.
        fixed = friday.Friday(**result.pop("without_moves"))
        moving = friday.Friday(**result)
        monkeypatch.setattr(friday, "play_both", lambda *_args, **_named: (fixed, moving))
        monkeypatch.setattr(demo_database, "claimed", lambda **_options: nullcontext("booking"))
        monkeypatch.setattr(demo_database, "make_user", lambda: "a-password")
        call_command("demo", "--friday", "--file", str(path))
        out = capsys.readouterr().out
        assert "Promises broken: 0. Tables blocked twice: 0. Bookings lost: 0." in out


@contextmanager
def database_of_its_own(suffix: str) -> Iterator[dict[str, str]]:
    name = f"{connection.settings_dict['NAME']}_{suffix}"
    # Empty, where there is a template: tests/example/test_demo.py has the demo make its own and carry out all migrations.
    if template := connection.settings_dict["TEST"].get("TEMPLATE"):
        processes.drop_database(name)
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    yield {"DJANGO_SETTINGS_MODULE": "example.settings", "DATABASE_NAME": name}
    processes.drop_database(name)
