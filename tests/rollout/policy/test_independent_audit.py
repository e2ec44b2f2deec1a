"""That the audit is right, and that nothing it judges could make it wrong: no planner's code, and no method of a value."""

import ast
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assignments.planning import decision as decisions
from assignments.planning import floor as floors
from assignments.planning import reasons, request, seating_window, snapshot
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.engine import plan
from assignments.planning.floor import CalendarEntry, Floor, Join, ServicePeriod, Table, TurnTime
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Occupied, PlanningRules, Snapshot
from rollout.policy import audit_hours, seating_audit
from rollout.policy.seating_audit import Flaw, could_be_seated, flaws_of
from tests.rollout.policy import brute_force

VALUES = [
    *(floors.Table, floors.Join, floors.TurnTime, floors.ServicePeriod, floors.CalendarEntry, floors.Floor),
    *(request.SeatingRequest, snapshot.Occupied, snapshot.PlanningRules, snapshot.Snapshot),
    *(seating_window.SeatingWindow, decisions.TablePlan, decisions.Decision, reasons.Refusal),
]
REFS = ("A", "B", "C", "D", "E")
# A usual evening, and the nights on which the clocks of both cities change.
DAYS = (date(2030, 6, 14), date(2030, 3, 30), date(2030, 10, 26), date(2030, 3, 9), date(2030, 11, 2))


def clocks(first: int = 0, last: int = 23) -> st.SearchStrategy[time]:
    return st.builds(time, st.integers(first, last), st.sampled_from((0, 15, 30)))


@st.composite
def services(draw: st.DrawFn, key: str) -> ServicePeriod:
    overruns = draw(st.booleans())
    return ServicePeriod(
        key=key,
        starts=draw(clocks(11, 23)),
        ends=draw(clocks()),
        turn_times=(TurnTime(max_party=2, minutes=60), TurnTime(max_party=4, minutes=draw(st.sampled_from((90, 105))))),
        allow_overrun=overruns,
        buffer_before_minutes=draw(st.sampled_from((0, 10))),
        buffer_after_minutes=draw(st.sampled_from((0, 15))),
        weekdays=draw(st.sampled_from((floors.EVERY_WEEKDAY, frozenset({4, 5})))),
        early_minutes=draw(st.sampled_from((0, 45))),
        late_minutes=draw(st.sampled_from((0, 30))) if overruns else 0,
    )


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    day = draw(st.sampled_from(DAYS))
    zone = st.sampled_from(("hall", "hall", "terrace", None))
    tables = []
    for ref in REFS:
        seats = draw(st.integers(1, 6))
        most = draw(st.none() | st.integers(1, seats))
        least = draw(st.none() | st.integers(1, most or seats))
        active = draw(st.sampled_from((True, True, True, False)))
        tables.append(
            Table(ref=ref, name=ref, seats=seats, zone_ref=draw(zone), min_party=least, max_party=most, active=active)
        )
    pairs = st.frozensets(st.sampled_from(REFS), min_size=2, max_size=2)
    joined = draw(st.frozensets(st.frozensets(st.sampled_from(REFS), min_size=2, max_size=4), max_size=2))
    joins = tuple(Join(table_refs=refs, seats=draw(st.integers(2, 12))) for refs in sorted(joined, key=sorted))
    served = [draw(services("lunch")), draw(services("dinner"))]
    calendar = []
    if draw(st.booleans()):
        special = draw(
            st.sampled_from(((), (replace(served[1], starts=time(17), ends=time(1), weekdays=floors.EVERY_WEEKDAY),)))
        )
        calendar.append(CalendarEntry(first_date=day, last_date=day + timedelta(days=1), services=special))
    floor = Floor(
        restaurant_ref="R1",
        timezone=draw(st.sampled_from(("Europe/London", "America/New_York"))),
        tables=tuple(tables),
        services=tuple(served),
        adjacent=draw(st.frozensets(pairs, max_size=6)),
        joins=joins,
        calendar=tuple(calendar),
    )
    start = datetime(day.year, day.month, day.day, 12, tzinfo=UTC) + timedelta(minutes=15 * draw(st.integers(0, 80)))
    occupied = tuple(
        Occupied(
            table_ref=draw(st.sampled_from(REFS)),
            blocked_from=start + timedelta(minutes=since),
            blocked_until=start + timedelta(minutes=since + 60),
            booking_ref=None if closed else "other",
            closed=closed,
        )
        for since, closed in draw(
            st.lists(st.tuples(st.sampled_from((-90, -60, 0, 60, 90)), st.booleans()), max_size=3)
        )
    )
    return Snapshot(
        floor=floor,
        occupied=occupied,
        request=SeatingRequest(
            booking_ref="B1",
            starts_at=start,
            party=draw(st.integers(1, 12)),
            ends_at=draw(st.none() | st.sampled_from((start + timedelta(minutes=45), start + timedelta(hours=3)))),
            zone_ref=draw(st.sampled_from((None, None, "hall", "terrace"))),
            pinned_table_refs=tuple(sorted(draw(st.just(frozenset()) | pairs))),
        ),
        now=start - timedelta(minutes=draw(st.sampled_from((600, 30, 0, -5, -20)))),
        rules=PlanningRules(
            max_spare_seats=draw(st.integers(0, 4)),
            max_tables=draw(st.integers(1, 3)),
            max_party=10,
            min_lead_minutes=draw(st.sampled_from((0, 0, 60))),
            grace_minutes=draw(st.sampled_from((0, 15))),
        ),
    )


def seated_at(snap: Snapshot, *table_refs: str, window: SeatingWindow | None = None) -> Decision:
    plan_ = TablePlan(table_refs=table_refs, seats=0, spare_seats=0, score=0.0, breakdown={}, strategy="test")
    return Decision(booking_ref=snap.request.booking_ref, snapshot_hash="", window=window, plans=(plan_,))


def rightly_kept(snap: Snapshot) -> SeatingWindow | None:
    kept = brute_force.blocked(snap)
    if kept is None:
        return None
    since, until, leaves = kept
    return SeatingWindow(starts_at=snap.request.starts_at, ends_at=leaves, blocked_from=since, blocked_until=until)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(snap=snapshots())
def test_it_says_what_the_documented_rules_say(snap: Snapshot) -> None:
    """Of every set of tables, of the time for which they are kept, and of refusals; and V3 says the same."""
    possible, window = brute_force.may_be_seated(snap), rightly_kept(snap)
    assert could_be_seated(snap) is bool(possible)
    sized = 1 <= snap.request.party <= snap.rules.max_party
    for refs in brute_force.sets_of_tables(snap.floor, 3):
        found = flaws_of(snap, seated_at(snap, *sorted(refs), window=window))
        if window is None:
            assert Flaw.WITHOUT_TIMES in found
            continue
        free = brute_force.is_free(snap, refs, window.blocked_from, window.blocked_until)
        assert (not found) is (sized and free and brute_force.will_do(snap, refs)), (refs, found)
        for side, by, flaw in (
            ("blocked_until", -1, Flaw.KEPT_TOO_SHORT),
            ("blocked_until", 1, Flaw.KEPT_TOO_LONG),
            ("blocked_from", 1, Flaw.KEPT_TOO_SHORT),
            ("ends_at", 1, Flaw.OTHER_TIMES),
        ):
            other = replace(window, **{side: getattr(window, side) + timedelta(minutes=by)})
            assert flaw in flaws_of(snap, seated_at(snap, *sorted(refs), window=other))
    decided = plan(snap)
    assert flaws_of(snap, decided) == []
    assert bool(decided.plans) is bool(possible)


@contextmanager
def every_method_broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Whatever a value can do raises; its fields are left."""

    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise AssertionError("the audit called a method of what it judges")

    with monkeypatch.context() as patch:
        names = []
        for kind in VALUES:
            for name, what in list(vars(kind).items()):
                is_own = not name.startswith("__") or name in {"__hash__", "__eq__", "__post_init__", "__init__"}
                is_method = callable(what) or isinstance(what, property) or type(what).__name__ == "cached_property"
                if is_own and is_method and what is not None:
                    patch.setattr(kind, name, property(broken) if not callable(what) else broken)
                    names.append(f"{kind.__name__}.{name}")
        yield names


def test_it_calls_no_method_of_what_it_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = (Table(ref="A", name="A", seats=4), Table(ref="B", name="B", seats=2), Table(ref="C", name="C", seats=2))
    dinner = ServicePeriod(key="dinner", starts=time(18), ends=time(1), turn_times=(TurnTime(max_party=4, minutes=90),))
    day = DAYS[1]
    floor = Floor(
        restaurant_ref="R1",
        timezone="Europe/London",
        tables=tables,
        services=(dinner,),
        adjacent=frozenset({frozenset({"B", "C"})}),
        joins=(Join(table_refs=frozenset({"A", "B"}), seats=5),),
        calendar=(CalendarEntry(first_date=day, last_date=day, services=(dinner,)),),
    )
    start = datetime(2030, 3, 30, 20, tzinfo=UTC)
    for stored in (None, 15):
        on = replace(floor, stored_outside_minutes=stored)
        for party, taken in ((4, ()), (4, ("A",)), (5, ()), (4, ("A", "B")), (9, ())):
            occupied = tuple(
                Occupied(table_ref=ref, blocked_from=start, blocked_until=start + timedelta(hours=1), booking_ref="x")
                for ref in taken
            )
            asked = SeatingRequest(booking_ref="B1", starts_at=start, party=party)
            snap = Snapshot(floor=on, occupied=occupied, request=asked, now=start - timedelta(hours=3))
            wrong = seated_at(snap, "A", "C", window=rightly_kept(snap))
            judged = [plan(snap), wrong]
            expected = [flaws_of(snap, each) for each in judged]
            possible = could_be_seated(snap)
            with every_method_broken(monkeypatch) as names:
                assert {"Floor.zone", "Floor.table_by_ref", "Decision.best", "Floor.__hash__", "Snapshot.closures"} <= {
                    *names
                }
                found = [flaws_of(snap, each) for each in judged]
                still_possible = could_be_seated(snap)
            assert (found, still_possible) == (expected, possible)


@pytest.mark.parametrize("module", [seating_audit, audit_hours])
def test_it_imports_values_for_the_type_checker_alone(module: Any) -> None:
    tree = ast.parse(inspect.getsource(module))
    imported = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not [name for name in imported if name.startswith(("assignments", "legacy"))]
