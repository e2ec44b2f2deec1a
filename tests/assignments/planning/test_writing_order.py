"""In which order rows can be written that must have a table each."""

from datetime import UTC, datetime, timedelta

from assignments.planning.decision import Decision, TablePlan
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied, occupied_by
from assignments.planning.writing_order import stuck

EIGHT = datetime(2030, 1, 17, 20, tzinfo=UTC)


def window(start: datetime) -> SeatingWindow:
    end = start + timedelta(hours=2)
    return SeatingWindow(starts_at=start, ends_at=end, blocked_from=start, blocked_until=end)


def given(start: datetime = EIGHT, **tables: str) -> dict[str, Decision]:
    """Decisions by ref: each gets this table, or none for an empty text."""
    return {
        ref: Decision(
            booking_ref=ref,
            snapshot_hash="",
            window=window(start),
            plans=(TablePlan(table_refs=(table,), seats=2, spare_seats=0, score=0.0, breakdown={}, strategy=""),)
            if table
            else (),
        )
        for ref, table in tables.items()
    }


def shown(start: datetime = EIGHT, **tables: str) -> list[Occupied]:
    return [each for ref, table in tables.items() for each in occupied_by(ref, (table,), window(start))]


def test_a_chain_is_written_from_its_end_and_a_circle_is_stuck() -> None:
    rows = shown(a="T1", b="T2", c="T3")
    assert stuck(given(a="T2", b="T3", c="T4"), ["a", "b", "c"], rows) == frozenset()
    assert stuck(given(a="T2", b="T3", c="T1"), ["a", "b", "c"], rows) == {"a", "b", "c"}
    assert stuck(given(a="T2", b="T1", c="T3"), ["a", "b", "c"], rows) == {"a", "b"}


def test_a_row_that_is_not_written_is_in_the_way_of_those_behind_it() -> None:
    rows = shown(a="T1", b="T2", c="T3")
    assert stuck(given(a="T2", b="T3", c=""), ["a", "b", "c"], rows) == {"a", "b"}, "c gets no table"
    assert stuck(given(a="T2", b="T4"), ["a"], rows) == {"a"}, "b is of another batch"


def test_a_row_of_another_time_is_in_nobodys_way() -> None:
    rows = [*shown(a="T1"), *shown(EIGHT + timedelta(hours=1), b="T2")]
    decisions = {**given(a="T2"), **given(EIGHT + timedelta(hours=1), b="T1")}
    assert stuck(decisions, ["a", "b"], rows) == frozenset()
