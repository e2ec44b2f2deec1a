"""The demo, as anybody runs it: in a process of its own, on the database that is configured."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from example import demo
from tests.example import processes

EXAMPLE = {"DJANGO_SETTINGS_MODULE": "example.settings"}
"""As anybody runs it, with the example's ladder."""


@pytest.fixture(autouse=True)
def _on_a_database_of_its_own(transactional_db: None, monkeypatch: Any) -> Iterator[None]:
    name = f"{connection.settings_dict['NAME']}_demo"
    monkeypatch.setitem(EXAMPLE, "DATABASE_NAME", name)
    yield
    with connection._nodb_cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class TestDemo:
    def test_the_real_evening_keeps_its_promises(self) -> None:
        code, out, err = processes.run("demo", "--json", **EXAMPLE)
        assert code == 0, err
        result = json.loads(out)
        assert (result["bookings"], result["tables"], result["overlaps"], result["lost"]) == (117, 16, 0, 0)
        for run in result["runs"]:
            assert run["confirmed"] + run["manual_review"] + run["pending"] + run["failed"] == 117
            assert set(run["decision_ms"]) == {"p50", "p95", "max"}
        v3 = result["runs"][-1]
        assert v3["planner"] == "v3"
        assert 70 <= v3["confirmed"] <= demo.PROVEN_OPTIMUM

    @pytest.mark.legacy_planner
    def test_the_legacy_planner_goes_first_and_v3_seats_no_fewer_and_takes_over_step_by_step(self) -> None:
        code, out, err = processes.run("demo", "--json", **EXAMPLE)
        assert code == 0, err
        result = json.loads(out)
        legacy, v3 = result["runs"]
        assert (legacy["planner"], v3["planner"]) == ("legacy", "v3")
        assert 0 < legacy["confirmed"] <= v3["confirmed"]
        facts = {key: value for step in result["steps"] for key, value in step["facts"].items()}
        assert facts["changed_by_shadow"] == []
        assert sum(facts["verdicts"].values()) == 117
        assert facts["verdicts"].get("unsafe", 0) == facts["verdicts"].get("v3_error", 0) == 0
        assert any("Gate soak" in obstacle for obstacle in facts["obstacles"])
        assert facts["backtest"]["bookings"] == 117
        assert (facts["stage"], facts["breaches"]) == ("canary", [])
        assert facts["live"]["confirmed"] >= 70
        assert facts["breaches_after_regression"] == ["unsafe_seatings"]
        assert facts["rolled_back_to"] == "shadow"
        assert facts["finished_by_the_legacy_planner"] > 0
        assert "<html" in Path(facts["report"]).read_text()
        # What it did is what every other command on that database sees afterwards.
        code, out, err = processes.run("rollout", "status", "--json", **EXAMPLE)
        assert code == 0, err
        position = json.loads(out)["position"]
        assert (position["environment"], position["stage"]) == ("dev", "shadow")
        assert position["cool_down_until"]
        # V3 live, the bad release, and what the legacy planner went on with: each a run, as cron would have left it.
        asked = "from assignments.models import Run; print(Run.objects.filter(succeeded_at__isnull=False).count())"
        code, out, err = processes.run("shell", "-v", "0", "-c", asked, **EXAMPLE)
        assert (code, out.strip()) == (0, "3"), err

    def test_the_table_is_for_people_and_ends_with_the_way_in(self) -> None:
        code, out, err = processes.run("demo", **EXAMPLE)
        assert code == 0, err
        assert "Proven optimum" in out
        assert "Tables booked twice: 0. Bookings lost: 0." in out
        assert "make serve" in out
        assert "password" in out

    def test_it_takes_any_evening_and_leaves_out_what_was_reported_of_another(self, tmp_path: Path) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        data["restaurant"]["name"] = "Corner House"
        data["bookings"] = data["bookings"][:5]
        path = tmp_path / "evening.json"
        path.write_text(json.dumps(data))
        code, out, err = processes.run("demo", "--file", str(path), **EXAMPLE)
        assert code == 0, err
        assert "5 bookings" in out
        assert "Proven optimum" not in out
        # Again: on a fresh database, with the same password.
        code, again, err = processes.run("demo", "--file", str(path), **EXAMPLE)
        assert code == 0, err
        assert "5 bookings" in again
        assert _password(again) == _password(out)
        # An incident is added to that. Where somebody else has data too, it is neither made anew nor broken.
        code, added, err = processes.run("demo", "--incident", "stuck", "--file", str(path), **EXAMPLE)
        assert code == 0, err
        assert _password(added) == _password(out)
        ask = "from example.models import Restaurant as R; print(R.objects.count())"
        before = processes.run("shell", "-v", "0", "-c", ask, **EXAMPLE)[1]
        ours = "from example.models import Restaurant as R; R.objects.create(name='Ours', slug='ours')"
        assert processes.run("shell", "-v", "0", "-c", ours, **EXAMPLE)[0] == 0
        for arguments in ([], ["--incident", "breaker"]):
            code, _out, err = processes.run("demo", *arguments, **EXAMPLE)
            assert code == 2
            assert "restaurant Ours" in err
        assert int(processes.run("shell", "-v", "0", "-c", ask, **EXAMPLE)[1]) == int(before) + 1

    def test_an_evening_without_bookings_is_an_empty_table(self, tmp_path: Path) -> None:
        data = json.loads(demo.REAL_EVENING.read_text())
        data["bookings"] = []
        path = tmp_path / "evening.json"
        path.write_text(json.dumps(data))
        code, out, err = processes.run("demo", "--json", "--file", str(path), **EXAMPLE)
        assert code == 0, err
        assert json.loads(out)["bookings"] == 0

    def test_it_is_refused_outside_development(self) -> None:
        code, _out, err = processes.run("demo", ENVIRONMENT="staging", SECRET_KEY="x" * 50, ALLOWED_HOSTS="a.test")
        assert code == 2
        assert "staging" in err


def _password(out: str) -> str:
    found = re.search(r"password (\S+)", out)
    assert found, out
    return found.group(1)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    code, _out, err = processes.run("demo", "--file", str(tmp_path / "nowhere.json"))
    assert code == 2
    assert "nowhere.json" in err
