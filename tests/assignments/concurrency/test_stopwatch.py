"""The stopwatch: waiting for a processor is not work."""

import time
from pathlib import Path

import pytest

from assignments.concurrency import stopwatch
from assignments.concurrency.stopwatch import Stopwatch


def passed(monkeypatch: pytest.MonkeyPatch, path: Path, *, waited: str) -> float:
    """What it says after 500 ms, when the system tells this of the waiting."""
    now = [10.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(stopwatch, "SCHEDSTAT", path)
    running = Stopwatch()
    now[0] += 0.5
    if waited:
        path.write_text(waited)
    return running.milliseconds


def test_the_time_of_waiting_for_a_processor_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "schedstat"
    path.write_text("5000 1000000 1\n")
    assert passed(monkeypatch, path, waited="5000 301000000 2\n") == pytest.approx(200)


def test_where_the_system_does_not_tell_it_is_a_wall_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert passed(monkeypatch, tmp_path / "missing", waited="") == pytest.approx(500)
    odd = tmp_path / "odd"
    odd.write_text("nothing\n")
    assert passed(monkeypatch, odd, waited="") == pytest.approx(500)


def test_it_never_runs_backwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "schedstat"
    path.write_text("0 0 1\n")
    assert passed(monkeypatch, path, waited="0 900000000 2\n") == stopwatch.LEAST_MS, "0 stands for no time taken"


def test_each_lap_begins_where_the_last_one_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "schedstat"
    path.write_text("0 0 1\n")
    now = [10.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(stopwatch, "SCHEDSTAT", path)
    running = Stopwatch()
    now[0] += 0.5
    path.write_text("0 100000000 1\n")
    assert running.lap() == pytest.approx(400)
    now[0] += 0.25
    assert running.milliseconds == pytest.approx(250)
    assert running.lap() == pytest.approx(250)
    assert running.lap() == stopwatch.LEAST_MS
