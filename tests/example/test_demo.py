"""The demo, as anybody runs it: in a process of its own, on the database that is configured."""

import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from example import demo, demo_database, takeover
from example.management.commands.demo import Command
from example.models import Booking, Restaurant
from tests.example import processes

pytestmark = pytest.mark.xdist_group("demo")

EXAMPLE = {"DJANGO_SETTINGS_MODULE": "example.settings"}
"""As anybody runs it, with the example's ladder."""


@contextmanager
def database_of_its_own(suffix: str) -> Iterator[dict[str, str]]:
    """The variables of a process whose database is another one than the tests', and its own."""
    name = f"{connection.settings_dict['NAME']}_{suffix}"
    processes.drop_database(name)  # as a run that was killed left it
    yield {**EXAMPLE, "DATABASE_NAME": name}
    processes.drop_database(name)


@pytest.fixture
def variables(transactional_db: None) -> Iterator[dict[str, str]]:
    """Of a database that is there already, empty. The demo of the real evening makes its own."""
    with database_of_its_own("demo") as variables:
        processes.copy_database(variables["DATABASE_NAME"])
        yield variables


@pytest.fixture(scope="module")
def real_one(django_db_setup: None, django_db_blocker: Any) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """What the demo of the real evening says, and the variables of its database. It takes long: once for all of these."""
    with django_db_blocker.unblock(), database_of_its_own("demo_of_the_real_evening") as variables:
        code, out, err = processes.run("demo", "--json", **variables)
        assert code == 0, err
        yield json.loads(out), variables


class TestDemo:
    def test_the_real_evening_keeps_its_promises(self, real_one: tuple[dict[str, Any], dict[str, str]]) -> None:
        result, _variables = real_one
        assert (result["bookings"], result["tables"], result["overlaps"], result["lost"]) == (117, 16, 0, 0)
        for run in result["runs"]:
            assert run["confirmed"] + run["manual_review"] + run["pending"] + run["failed"] == 117
            assert set(run["decision_ms"]) == {"p50", "p95", "max"}
        v3 = result["runs"][-1]
        assert v3["planner"] == "v3"
        assert v3["confirmed"] == demo.PROVEN_OPTIMUM == 76

    @pytest.mark.legacy_planner
    def test_the_legacy_planner_goes_first_and_v3_seats_no_fewer_and_takes_over_step_by_step(
        self, real_one: tuple[dict[str, Any], dict[str, str]]
    ) -> None:
        result, variables = real_one
        legacy, v3 = result["runs"]
        assert (legacy["planner"], v3["planner"]) == ("legacy", "v3")
        assert (legacy["confirmed"], v3["confirmed"]) == (64, demo.PROVEN_OPTIMUM)
        facts = {key: value for step in result["steps"] for key, value in step["facts"].items()}
        assert facts["changed_by_shadow"] == []
        assert sum(facts["verdicts"].values()) == 117
        assert facts["verdicts"].get("unsafe", 0) == facts["verdicts"].get("v3_error", 0) == 0
        assert any("Gate soak" in obstacle for obstacle in facts["obstacles"])
        assert facts["backtest"]["bookings"] == 117
        assert (facts["stage"], facts["breaches"]) == ("canary", [])
        assert facts["live"]["confirmed"] >= 70
        assert facts["breaches_after_regression"] == ["unsafe_seatings", "wrong_refusals"]
        assert facts["rolled_back_to"] == "shadow"
        assert facts["finished_by_the_legacy_planner"] > 0
        assert "<html" in Path(facts["report"]).read_text()
        # What it did is what every other command on that database sees afterwards.
        code, out, err = processes.run("rollout", "status", "--json", **variables)
        assert code == 0, err
        position = json.loads(out)["position"]
        assert (position["environment"], position["stage"]) == ("dev", "shadow")
        assert position["cool_down_until"]
        # V3 live, the bad release, and what the legacy planner went on with: each a run, as cron would have left it.
        asked = "from assignments.models import Run; print(Run.objects.filter(succeeded_at__isnull=False).count())"
        code, out, err = processes.run("shell", "-v", "0", "-c", asked, **variables)
        assert (code, out.strip()) == (0, "3"), err

    def test_the_table_compares_the_real_evening_with_what_was_reported(
        self, real_one: tuple[dict[str, Any], dict[str, str]], monkeypatch: Any, capsys: Any
    ) -> None:
        result, _variables = real_one
        runs = tuple(demo.Run(**run) for run in result["runs"])
        steps = tuple(takeover.Step(**step) for step in result["steps"])
        again = demo.Demo(**{**result, "runs": runs, "steps": steps})
        monkeypatch.setattr(demo, "run", lambda *_args, **_named: again)
        monkeypatch.setattr(demo_database, "claimed", lambda **_options: nullcontext("booking"))
        monkeypatch.setattr(demo_database, "make_user", lambda: "a-password")
        call_command("demo")
        out = capsys.readouterr().out
        assert "Proven optimum" in out
        assert str(runs[-1].confirmed) in out
        assert [step.title for step in steps if step.title not in out] == []

    def test_it_takes_any_evening_and_leaves_out_what_was_reported_of_another(
        self, variables: dict[str, str], tmp_path: Path
    ) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        data["restaurant"]["name"] = "Corner House"
        data["bookings"] = data["bookings"][:5]
        path = tmp_path / "evening.json"
        path.write_text(json.dumps(data))
        code, out, err = processes.run("demo", "--file", str(path), **variables)
        assert code == 0, err
        assert "5 bookings" in out
        assert "Proven optimum" not in out
        # The table is for people, and ends with the way in.
        assert "Tables booked twice: 0. Bookings lost: 0." in out
        assert "make serve" in out
        # Again, of an evening without bookings: on a fresh database, with the same password, an empty table.
        nobody = tmp_path / "nobody.json"
        nobody.write_text(json.dumps({**data, "bookings": []}))
        code, _out, err = processes.run("demo", "--file", str(nobody), **variables)
        assert (code, "removes the evenings of the earlier demo" in err, "Add --yes" in err) == (2, True, True)
        code, again, err = processes.run("demo", "--yes", "--file", str(nobody), **variables)
        assert code == 0, err
        assert "0 bookings" in again
        assert _password(again) == _password(out)
        with processes.on_database(variables["DATABASE_NAME"]):
            assert not Booking.objects.exists()
        # An incident is added to that. Where somebody else has data too, it is neither made anew nor broken.
        code, added, err = processes.run("demo", "--incident", "stuck", "--file", str(path), **variables)
        assert code == 0, err
        assert _password(added) == _password(out)
        with processes.on_database(variables["DATABASE_NAME"]):
            Restaurant.objects.create(name="Ours", reference="ours")
            before = list(Restaurant.objects.order_by("pk"))
        for arguments in ([], ["--incident", "breaker"]):
            code, _out, err = processes.run("demo", *arguments, **variables)
            assert code == 2
            assert "restaurant Ours" in err
        with processes.on_database(variables["DATABASE_NAME"]):
            assert list(Restaurant.objects.order_by("pk")) == before

    def test_it_is_refused_outside_development(self) -> None:
        code, _out, err = processes.run("demo", ENVIRONMENT="staging", SECRET_KEY="x" * 50, ALLOWED_HOSTS="a.test")
        assert code == 2
        assert "staging" in err


def _password(out: str) -> str:
    found = re.search(r"password (\S+)", out)
    assert found, out
    return found.group(1)


@pytest.mark.parametrize(("answer", "is_done"), [("y\n", True), ("\n", False), ("n\n", False), ("", False)])
def test_at_a_terminal_it_asks_before_it_removes_anything(answer: str, is_done: bool, monkeypatch: Any) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    asked = io.StringIO()
    with nullcontext() if is_done else pytest.raises(CommandError, match="Nothing was removed"):
        Command(stderr=asked)._ask("booking")
    assert asked.getvalue().endswith("from the database booking, and what was done to them. Continue? [y/N] ")


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    code, _out, err = processes.run_here("demo", "--file", str(tmp_path / "nowhere.json"))
    assert code == 2
    assert "nowhere.json" in err
