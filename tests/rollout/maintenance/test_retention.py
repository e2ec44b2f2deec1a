"""Pruning: old comparisons go, how many there were is kept, and nothing that is still evidence is touched."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from rollout.maintenance import retention
from rollout.models import Comparison, ComparisonTally, FloorRecord, GuardRun
from tests.rollout.evidence.test_measuring import compared

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC).replace(hour=12)
OLD, OLDER, RECENT = NOW - timedelta(days=100), NOW - timedelta(days=101), NOW - timedelta(days=40)


@pytest.fixture(autouse=True)
def history(transactional_db: Any) -> None:
    compared("same_tables", 3, recorded_at=OLD, candidate_ms=2.0)
    compared("same_tables", 2, recorded_at=OLD, candidate_ms=5.0, restaurant_ref="R2")
    compared("same_tables", 1, recorded_at=OLD, origin="backtest")
    compared("worse", 1, recorded_at=OLDER)
    compared("v3_error", 1, recorded_at=OLD, candidate_ms=None)
    compared("", 1, recorded_at=OLD)
    compared("same_tables", 4, recorded_at=RECENT)
    FloorRecord.objects.create(version="unused", restaurant_ref="R1", content={})
    FloorRecord.objects.update(recorded_at=OLD)
    GuardRun.objects.create(environment="dev", stage="full", breaches=[{"rail": "lost"}])
    GuardRun.objects.create(environment="dev", stage="full")
    GuardRun.objects.update(at=OLD)
    GuardRun.objects.create(environment="dev", stage="full")


def tallies() -> set[tuple[Any, ...]]:
    return set(
        ComparisonTally.objects.values_list(
            "day", "restaurant_ref", "origin", "verdict", "comparisons", "candidate_ms_sum", "candidate_ms_max"
        )
    )


EXPECTED = {
    (OLD.date(), "R1", "shadow", "same_tables", 3, 6.0, 2.0),
    (OLD.date(), "R2", "shadow", "same_tables", 2, 10.0, 5.0),
    (OLD.date(), "R1", "backtest", "same_tables", 1, 2.0, 2.0),
    (OLDER.date(), "R1", "shadow", "worse", 1, 2.0, 2.0),
    (OLD.date(), "R1", "shadow", "v3_error", 1, 0.0, 0.0),
}


def test_what_is_old_goes_and_its_numbers_stay(capsys: Any) -> None:
    call_command("rollout", "prune", "--json")
    found = json.loads(capsys.readouterr().out)
    kept = {"days": 0, "batches": 0, "audits": 0}
    assert found == {"comparisons": 8, "floors": 1, "guard_runs": 1, **kept, "dry_run": False}
    assert tallies() == EXPECTED
    assert Comparison.objects.filter(verdict="").count() == 1, "it still waits for V3"
    assert Comparison.objects.exclude(verdict="").count() == 4
    assert set(FloorRecord.objects.values_list("version", flat=True)) == {"f1"}
    assert GuardRun.objects.count() == 2, "a breach is kept"


@pytest.mark.parametrize("chunk", [1, 3, 8, 100])
def test_in_chunks_nothing_is_counted_twice(chunk: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "CHUNK", chunk)
    assert list(retention.prune(90))[-1].comparisons == 8
    assert tallies() == EXPECTED
    list(retention.prune(90))
    assert tallies() == EXPECTED


def test_a_later_run_adds_to_the_tally_of_the_same_day() -> None:
    list(retention.prune(90))
    compared("same_tables", 2, recorded_at=OLD, candidate_ms=7.0)
    list(retention.prune(90))
    assert (OLD.date(), "R1", "shadow", "same_tables", 5, 20.0, 7.0) in tallies()


def test_a_dry_run_only_counts(capsys: Any) -> None:
    call_command("rollout", "prune", "--dry-run")
    assert "Would delete 8 comparisons, 0 compared days, 1 floors, 1 guard runs, " in capsys.readouterr().out
    assert (Comparison.objects.count(), ComparisonTally.objects.count(), GuardRun.objects.count()) == (13, 0, 3)


def test_evidence_is_not_pruned() -> None:
    with pytest.raises(CommandError, match=r"Gates need 28 days of evidence \(EVIDENCE_DAYS\)") as refused:
        call_command("rollout", "prune", "--days", "27")
    assert refused.value.returncode == 2
    assert Comparison.objects.count() == 13
