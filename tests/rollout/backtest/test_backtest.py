"""``manage.py rollout backtest``: what it prints, that it writes nothing, and what it feeds when asked to."""

import io
import json
import threading
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from assignments.telemetry import events
from example import demo, evening, models
from rollout.backtest import backtest
from rollout.backtest.history import evenings_of_file
from rollout.backtest.replay import Answer, Replay
from rollout.cli import base
from rollout.control import steering
from rollout.evidence import measuring
from rollout.models import Comparison, DayComparison, FedFile, FloorRecord
from rollout.policy.verdict import Verdict
from rollout.shadow import comparator
from rollout.shadow.candidate import v3
from tests.built import built_once
from tests.example.conftest import keep_few
from tests.rewriting import rewriting
from tests.rollout.control.test_steering import climb, configure

# One process builds the evening.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("backtest")]

RANGE = ("--from", "2025-11-01", "--to", "2025-11-30")


@pytest.fixture(autouse=True)
def environment(transactional_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


@pytest.fixture
def restaurant(transactional_db: Any) -> models.Restaurant:
    """The real evening, on the day it was."""
    built_once("the real evening on its day", stored)
    return models.Restaurant.objects.get()


@pytest.fixture
def few(transactional_db: Any) -> models.Restaurant:
    """Twenty of its bookings."""
    built_once("a few bookings of the real evening on its day", lambda: keep_few(stored()))
    return models.Restaurant.objects.get()


def stored() -> models.Restaurant:
    return evening.store(evening.parse_json(demo.REAL_EVENING.read_text())).restaurants[0]


def run(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("rollout", "backtest", *arguments, "--json", stdout=out)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report


def text(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rollout", "backtest", *arguments, stdout=out)
    return out.getvalue()


def ten_bookings() -> dict[str, Any]:
    """The file of the real evening's first ten bookings."""
    data: dict[str, Any] = json.loads(demo.REAL_EVENING.read_text())
    return {**data, "bookings": data["bookings"][:10]}


def kept(data: dict[str, Any], directory: Path) -> Path:
    path = directory / "evening.json"
    path.write_text(json.dumps(data))
    return path


def renamed(data: dict[str, Any], number: int) -> dict[str, Any]:
    """The same evening elsewhere and on another date, with other names for everything that has one."""
    text = json.dumps(data)
    for table in data["tables"]:
        text = text.replace(json.dumps(table["code"]), json.dumps(f"Table {number} {table['code']}"))
    for zone in sorted({table["zone"] for table in data["tables"]}):
        text = text.replace(json.dumps(zone), json.dumps(f"Zone {number} {zone}"))
    other: dict[str, Any] = json.loads(text)
    other["about"] = f"Evening {number}"
    other["restaurant"].update(ref=f"other-{number}", name=f"Other {number}", date=f"2025-11-{10 + number}")
    for place, each in enumerate(reversed(other["bookings"])):
        each["ref"] = f"{number}-{place}"
    return other


def contents() -> dict[str, list[dict[str, Any]]]:
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models(include_auto_created=True)
    }


def use(settings: Any, **rollout: Any) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, **rollout}


@pytest.mark.legacy_planner
class TestReport:
    def test_json_is_one_object_with_both_planners_side_by_side(self, restaurant: models.Restaurant) -> None:
        report = run(*RANGE)
        assert (report["from"], report["to"]) == ("2025-11-01", "2025-11-30")
        assert (report["restaurants"], report["evenings"], report["bookings"]) == (1, 1, 117)
        assert (report["left_out"], report["fed"]) == ({}, None)
        assert set(report["planners"]) == {"legacy", "v3"}
        for planner in report["planners"].values():
            assert planner["seated"] + sum(planner["refused"].values()) == 117
            assert planner["seated"] > 60
            assert planner["refused"]["service_overrun"] == 3
            assert 0.8 < planner["seat_use"] <= 1
            assert 0 < planner["joins"] < planner["seated"]
            assert (planner["impossible"], planner["errors"], planner["refused_other_would_seat"]) == (0, {}, {})
            assert set(planner["decision_ms"]) == {"p50", "p95", "max"}
        assert set(report["verdicts"]) == {verdict.value for verdict in Verdict}
        assert sum(report["verdicts"].values()) == 117
        assert report["verdicts"]["unsafe"] == report["verdicts"]["v3_error"] == 0

    def test_it_says_the_same_again_but_for_the_timings(self, few: models.Restaurant) -> None:
        first, second = run(*RANGE), run(*RANGE)
        for report in (first, second):
            for planner in report["planners"].values():
                del planner["decision_ms"]
        assert first == second

    def test_a_file_is_replayed_without_any_booking_in_the_host(self, few: models.Restaurant) -> None:
        models.Booking.objects.all().delete()
        report = run("--file", str(demo.REAL_EVENING))
        assert (report["from"], report["bookings"], report["covers"]) == ("2025-11-06", 117, 440)
        assert report["planners"]["v3"]["seated"] >= report["planners"]["legacy"]["seated"] > 60
        assert report["possible"] == {"in_order": demo.PROVEN_OPTIMUM, "in_any_order": 76, "is_proven": True}
        assert run("--file", str(demo.REAL_EVENING), "--from", "2025-11-07")["bookings"] == 0

    def test_without_a_terminal_it_prints_a_line_for_each_evening_and_a_table(self, few: models.Restaurant) -> None:
        said = text(*RANGE)
        assert f"restaurant {few.pk} 2025-11-06: 20 bookings; the legacy planner seats" in said
        assert "20 bookings (" in said
        assert "on 1 evening of 1 restaurant." in said
        for line in ("seated", "covers seated", "joined tables", "decision ms p50 / p95 / max", "same_tables"):
            assert line in said
        assert said.endswith("Nothing was written.\n")
        assert "; possible: 18\n" in said
        assert "Possible on the same evenings, if all were known before: 18." in said
        assert "ossible" not in text(*RANGE, "--no-possible")

    def test_on_a_terminal_a_bar_takes_the_place_of_the_lines(self, few: models.Restaurant, capsys: Any) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        out = Terminal()
        call_command("rollout", "backtest", *RANGE, stdout=out, no_color=True)
        assert "the legacy planner seats" not in out.getvalue()
        assert "20 bookings (" in out.getvalue()

    def test_a_range_without_bookings_says_so(self, few: models.Restaurant) -> None:
        arguments = ("--from", "2024-01-01", "--to", "2024-01-02")
        assert text(*arguments) == "No bookings from 2024-01-01 to 2024-01-02 to replay.\n"
        one = (*arguments, "--restaurant", str(few.pk))
        assert text(*one) == f"No bookings of restaurant {few.pk} from 2024-01-01 to 2024-01-02 to replay.\n"
        assert run(*arguments)["bookings"] == 0

    def test_only_one_restaurants(self, few: models.Restaurant) -> None:
        other = evening.store(evening.parse_json(demo.REAL_EVENING.read_text()), restaurant_name="Other").restaurants[0]
        keep_few(other, bookings=10)
        assert run(*RANGE)["bookings"] == 30
        assert run(*RANGE, "--restaurant", str(few.pk))["bookings"] == 20
        assert run(*RANGE, "--restaurant", str(other.pk))["bookings"] == 10


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (("--from", "2025-11-08", "--to", "2025-11-07"), "--from 2025-11-08 is after --to 2025-11-07"),
            (("--from", "2025-11-08"), "Give --from and --to, or --file"),
            ((), "Give --from and --to, or --file"),
            (("--from", "soon", "--to", "2025-11-07"), "'soon' is not a date; write YYYY-MM-DD"),
            (("--from", "2025-11-07", "--to", "9999-12-31"), "must be in the years 1970 to 2199"),
            ((*RANGE, "--restaurant", "4711"), "There is no restaurant '4711'"),
            ((*RANGE, "--restaurant", "anchor"), "There is no restaurant 'anchor'"),
            (("--file", "nowhere.json"), r"nowhere.json cannot be read: No such file"),
        ],
    )
    def test_bad_usage_is_named(
        self, restaurant: models.Restaurant, arguments: tuple[str, ...], complaint: str
    ) -> None:
        with pytest.raises(CommandError, match=complaint) as refused:
            run(*arguments)
        assert refused.value.returncode in {1, 2}  # argparse itself exits with 2, but raises when called from Python

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            (lambda data: data["bookings"][3].update(party="four"), r"bookings\[3\] \(B004\): party must be"),
            (
                lambda data: data["bookings"][3].update(zone="Cellar"),
                r"bookings\[3\] \(B004\): there is no zone 'Cellar'",
            ),
            (lambda data: data["tables"][3].update(capacity=0), r"tables\[3\].capacity must be between 1"),
            (lambda data: data.pop("services"), "services is missing"),
        ],
    )
    def test_a_bad_file_is_refused_whole_with_the_place(
        self, few: models.Restaurant, tmp_path: Path, change: Any, complaint: str
    ) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        change(data)
        path = tmp_path / "evening.json"
        path.write_text(json.dumps(data))
        with pytest.raises(CommandError, match=complaint) as refused:
            run("--file", str(path), "--feed")
        assert refused.value.returncode == 2
        assert not Comparison.objects.exists()

    @pytest.mark.legacy_planner
    def test_a_file_that_was_fed_counts_once_under_whatever_name(
        self, few: models.Restaurant, tmp_path: Path, monkeypatch: Any
    ) -> None:
        data = ten_bookings()
        first, second = tmp_path / "evening.json", tmp_path / "another.json"
        first.write_text(json.dumps(data))
        assert run("--file", str(first), "--feed")["fed"] == 10
        data["restaurant"]["name"] = "Elsewhere"
        second.write_text(json.dumps(data, indent=2))
        with pytest.raises(CommandError, match="was fed already"):
            run("--file", str(second), "--feed")
        assert Comparison.objects.count() == FedFile.objects.get().comparisons == 10

    @pytest.mark.legacy_planner
    def test_an_evening_with_other_names_and_a_trifle_changed_counts_once_but_for_the_trifle(
        self, few: models.Restaurant, tmp_path: Path, settings: Any
    ) -> None:
        configure(settings)
        climb("shadow")
        data = ten_bookings()
        for number in range(3):
            data["restaurant"].update(ref=f"other-{number}", name=f"Other {number}")
            data["bookings"][-1]["party"] = 2 + number
            for place, each in enumerate(data["bookings"]):
                each["ref"] = f"{number}-{place}"
            path = tmp_path / f"{number}.json"
            path.write_text(json.dumps(data))
            assert run("--file", str(path), "--feed")["fed"] == 10
        position = steering.current()
        assert position is not None
        facts = measuring.measure(position)
        assert (facts.comparisons.total, Comparison.objects.count()) == (12, 30)
        large = sum(each["party"] >= 6 for each in data["bookings"])
        assert (large > 0, facts.coverage["large parties"]) == (True, large), "nor does it cover more"

    @pytest.mark.legacy_planner
    def test_an_evening_under_other_names_and_on_other_dates_is_one_day_of_evidence(
        self, few: models.Restaurant, tmp_path: Path, settings: Any
    ) -> None:
        configure(settings)
        climb("shadow")
        data = ten_bookings()
        assert run("--file", str(kept(data, tmp_path)), "--feed")["fed"] == 10
        for number in range(4):
            with pytest.raises(CommandError, match="was fed already") as refused:
                run("--file", str(kept(renamed(data, number), tmp_path)), "--feed")
            assert refused.value.returncode == base.EXIT_REFUSED
        assert run("--file", str(kept(renamed(data, 1), tmp_path)))["bookings"] == 10, "without --feed it is replayed"
        position = steering.current()
        assert position is not None
        facts = measuring.measure(position)
        assert (facts.comparisons.total, facts.days.compared, DayComparison.objects.count()) == (10, 1, 1)
        assert FedFile.objects.get().comparisons == 10

    @pytest.mark.legacy_planner
    def test_a_file_with_the_same_evening_on_three_dates_and_another_one_counts_two(
        self, few: models.Restaurant, tmp_path: Path
    ) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        one = data["bookings"][:10]
        data["bookings"] = [
            {**each, "ref": f"{day}-{each['ref']}", "start": f"2025-11-{day:02}T{each['start']}"}
            for day, bookings in ((4, one), (5, one), (6, one), (7, one[:-1]))
            for each in bookings
        ]
        said = text("--file", str(kept(data, tmp_path)), "--feed", "--no-possible")
        assert "19 decisions kept as comparisons." in said
        assert "2 evenings of the file counted already for this release, whatever the names and dates." in said
        assert DayComparison.objects.count() == 2

    def test_a_file_that_is_no_json_is_refused(self, few: models.Restaurant, tmp_path: Path) -> None:
        path = tmp_path / "evening.json"
        path.write_text("floor,booking")
        with pytest.raises(CommandError, match=r"evening\.json cannot be used\. It is not JSON") as refused:
            run("--file", str(path))
        assert refused.value.returncode == 2

    def test_without_a_legacy_planner_there_is_nothing_to_compare_with(
        self, few: models.Restaurant, settings: Any
    ) -> None:
        use(settings, LEGACY_PLANNER="")
        with pytest.raises(CommandError, match=r"no legacy planner.*LEGACY_PLANNER") as refused:
            run(*RANGE)
        assert refused.value.returncode == 2

    @pytest.mark.legacy_planner
    def test_a_candidate_that_does_not_start_ends_it_at_once(self, few: models.Restaurant, settings: Any) -> None:
        use(settings, CANDIDATE="tests.rollout.candidates.no_such_candidate")
        with pytest.raises(CommandError, match=r"no_such_candidate.*did not start") as refused:
            run(*RANGE)
        assert refused.value.returncode == 2


@pytest.mark.legacy_planner
class TestItWritesNothing:
    def test_every_table_is_as_it_was(self, few: models.Restaurant, tmp_path: Path) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        path = tmp_path / "evening.json"
        path.write_text(json.dumps({**data, "bookings": data["bookings"][40:60]}))
        before = contents()
        assert run(*RANGE)["bookings"] == 20
        assert run("--file", str(path))["bookings"] == 20
        assert contents() == before

    @pytest.mark.parametrize(
        "name", ["updates", "inserts", "deletes", "holds", "calls_the_host", "makes_itself_writable", "commits_first"]
    )
    def test_a_candidate_that_tries_to_is_refused_by_the_database_and_counted(
        self, few: models.Restaurant, settings: Any, name: str
    ) -> None:
        use(settings, CANDIDATE=f"tests.rollout.candidates.{name}")
        few.bookings.exclude(pk__in=few.bookings.values("pk")[:2]).delete()
        before = contents()
        report = run(*RANGE)
        assert contents() == before
        assert report["verdicts"]["v3_error"] == 2
        assert report["planners"]["v3"]["errors"] == {"InternalError": 2}
        assert report["planners"]["legacy"]["seated"] > 0

    def test_a_legacy_planner_that_tries_to_is_refused(self, few: models.Restaurant, settings: Any) -> None:
        use(settings, LEGACY_PLANNER="tests.rollout.planners.Writing")
        before = contents()
        with pytest.raises(DatabaseError, match="read-only transaction"):
            run(*RANGE, "--feed")
        assert contents() == before

    def test_a_host_that_tries_to_is_refused(self, few: models.Restaurant, settings: Any) -> None:
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "HOST": "tests.example.hosts.WritingHistorian"}
        before = contents()
        with pytest.raises(DatabaseError, match="read-only transaction"):
            run(*RANGE)
        assert contents() == before

    def test_queries_do_not_grow_with_the_bookings(self, few: models.Restaurant) -> None:
        counts = []
        run(*RANGE)  # Floors are read once a process.
        for _ in range(2):
            with CaptureQueriesContext(connection) as captured:
                run(*RANGE)
            counts.append(len(captured))
            few.bookings.exclude(pk__in=few.bookings.values("pk")[:3]).delete()
        assert counts[0] == counts[1]


@pytest.mark.legacy_planner
class TestFeeding:
    def test_what_both_decided_on_the_legacy_planners_evening_is_kept_with_its_verdict(
        self, few: models.Restaurant
    ) -> None:
        report = run(*RANGE, "--feed")
        assert report["fed"] == 20
        kept = Comparison.objects.all()
        assert {each.booking_ref for each in kept} == {str(pk) for pk in few.bookings.values_list("pk", flat=True)}
        for each in kept:
            assert (each.origin, each.restaurant_ref, each.control_repeats) == ("backtest", str(few.pk), True)
            assert each.candidate is not None
            assert each.candidate["snapshot_hash"] == each.control["snapshot_hash"] == each.snapshot_hash
            assert each.compared_at is not None
            assert (each.service_date, each.party > 0) == (date(2025, 11, 6), True)
        counts = {verdict.value: kept.filter(verdict=verdict).count() for verdict in Verdict}
        assert counts == report["verdicts"]
        assert any(each.joined for each in kept)
        assert FloorRecord.objects.count() == 1
        day = DayComparison.objects.get()
        assert (day.origin, day.restaurant_ref, day.service_date) == ("backtest", str(few.pk), date(2025, 11, 6))
        assert (day.bookings, day.candidate_unsafe, day.candidate_refused, day.error) == (20, 0, 0, "")
        assert day.control_seated
        assert list(comparator.compare_waiting()) == []

    def test_feeding_twice_counts_once_and_leaves_what_shadow_mode_kept(self, few: models.Restaurant) -> None:
        run(*RANGE, "--feed")
        shadowed = Comparison.objects.all()[0]
        shadowed.pk, shadowed.origin = None, "shadow"
        shadowed.save()
        first = set(Comparison.objects.filter(origin="backtest").values_list("booking_ref", "verdict", "snapshot_hash"))
        assert run(*RANGE, "--feed")["fed"] == 20
        kept = Comparison.objects.filter(origin="backtest")
        assert kept.count() == 20
        assert set(kept.values_list("booking_ref", "verdict", "snapshot_hash")) == first
        assert Comparison.objects.filter(origin="shadow").count() == 1

    def test_each_release_is_fed_its_own_and_counts_each_booking_once(
        self, few: models.Restaurant, settings: Any
    ) -> None:
        position = steering.begin(actor="user:1", reason="test")
        run(*RANGE, "--feed")
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "RELEASE": "b"}
        for _again in range(2):
            run(*RANGE, "--feed")
            fed = Counter(Comparison.objects.values_list("release", flat=True))
            assert fed == {"tests": 20, "b": 20}
        with rewriting():  # As if the evening had looked otherwise when it was fed.
            Comparison.objects.filter(release="b").update(snapshot_hash="another", verdict="worse")
        run(*RANGE, "--feed")
        assert Comparison.objects.filter(release="b").count() == 40, "nothing is rewritten"
        found = measuring.measure(position).comparisons
        assert (found.total, found.verdicts.get("worse", 0), found.others) == (20, 0, 20)

    def test_feeding_the_same_bookings_at_the_same_time_counts_once(self, few: models.Restaurant) -> None:
        (real,) = evenings_of_file(demo.REAL_EVENING.read_text())
        planner = lambda snapshot: Answer(decision=v3(snapshot), milliseconds=1.0)  # noqa: E731
        replay = Replay(real.floor, control=planner, candidate=planner)
        steps = [(replay.decide(request), True) for request in real.requests[:30]]
        barrier, failures = threading.Barrier(4), []

        def feed() -> None:
            try:
                barrier.wait(10)
                backtest.feed(steps)
            except Exception as error:  # noqa: BLE001  (raised again below)
                failures.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=feed) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failures == []
        assert Comparison.objects.count() == 30

    def test_it_is_announced_with_who_and_how_many(self, few: models.Restaurant) -> None:
        run(*RANGE, "--feed")
        (event,) = [each for each in events.MemorySink.events if each.type == "rollout.backtest_fed"]
        assert event.context["bookings"] == 20
        assert event.context["actor"].startswith("command:")
        assert text(*RANGE, "--feed").endswith("20 decisions kept as comparisons.\n")

    def test_errors_of_v3_are_kept_and_what_the_legacy_planner_could_not_decide_is_not(
        self, few: models.Restaurant, settings: Any
    ) -> None:
        use(settings, CANDIDATE="tests.rollout.candidates.raises", LEGACY_PLANNER="tests.rollout.planners.Raising")
        report = run(*RANGE, "--feed")
        twos = few.bookings.filter(party=2).count()
        assert report["planners"]["legacy"]["errors"] == {"ZeroDivisionError": twos}
        assert report["fed"] == 20 - twos
        assert set(Comparison.objects.values_list("verdict", "error")) == {("v3_error", "ZeroDivisionError")}
        assert "Canary" not in json.dumps(report)

    def test_a_candidate_that_takes_taken_tables_is_found_out(self, few: models.Restaurant, settings: Any) -> None:
        use(settings, CANDIDATE="tests.rollout.candidates.takes_a_taken_table")
        report = run(*RANGE)
        assert report["verdicts"]["unsafe"] > 5
        assert report["planners"]["v3"]["impossible"] > 5


@pytest.mark.legacy_planner
def test_nobody_is_named(few: models.Restaurant) -> None:
    few.bookings.update(guest_name="Canary Guest", guest_email="canary@example.test")
    report = run(*RANGE, "--feed")
    kept = json.dumps(list(Comparison.objects.values("snapshot", "control", "candidate")))
    assert "anary" not in json.dumps(report) + kept
