"""That the audit is right, and that nothing it judges could make it wrong: no planner's code, and no method of a value."""

import ast
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assignments.coordination.planned_day import plan_requests
from assignments.planning import decision as decisions
from assignments.planning import floor as floors
from assignments.planning import reasons, request, seating_window, snapshot
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.engine import plan
from assignments.planning.floor import CalendarEntry, Floor, Join, Pacing, ServicePeriod, Table, TurnTime
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow
from assignments.planning.snapshot import Movable, Occupied, PlanningRules, Snapshot, occupied_by
from rollout.policy import (
    audit_hours,
    batch_audit,
    day_audit,
    fixed_parties,
    moves_audit,
    pacing_audit,
    seating_audit,
)
from rollout.policy.batch_audit import judge
from rollout.policy.day_audit import audit_batch
from rollout.policy.moves_audit import Mover, could_seat_by_a_move
from rollout.policy.seating_audit import Flaw, could_be_seated, exceeds_pacing, flaws_of, party_of
from tests.rollout.policy import brute_force

VALUES = [
    *(
        floors.Table,
        floors.Join,
        floors.TurnTime,
        floors.ServicePeriod,
        floors.CalendarEntry,
        floors.Pacing,
        floors.Floor,
    ),
    *(request.SeatingRequest, snapshot.Occupied, snapshot.Movable, snapshot.PlanningRules, snapshot.Snapshot),
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
    starts, ends = draw(clocks(11, 23)), draw(clocks())
    may_be_late = overruns and not floors.takes_guests_too_long(starts, ends, 30)
    return ServicePeriod(
        key=key,
        starts=starts,
        ends=ends,
        turn_times=(TurnTime(max_party=2, minutes=60), TurnTime(max_party=4, minutes=draw(st.sampled_from((90, 105))))),
        allow_overrun=overruns,
        buffer_before_minutes=draw(st.sampled_from((0, 10))),
        buffer_after_minutes=draw(st.sampled_from((0, 15))),
        weekdays=draw(st.sampled_from((floors.EVERY_WEEKDAY, frozenset({4, 5})))),
        early_minutes=draw(st.sampled_from((0, 45))),
        late_minutes=draw(st.sampled_from((0, 30))) if may_be_late else 0,
    )


@st.composite
def paced(draw: st.DrawFn, day: date) -> tuple[Pacing, ...]:
    """No limits, or some of different lengths, as documented which of them rule."""
    most = st.none() | st.integers(1, 12)
    dates: tuple[dict[str, Any], ...] = (
        {},
        {"first_date": day},
        {"first_date": day, "last_date": day + timedelta(days=1)},
    )
    return tuple(
        Pacing(
            interval_minutes=draw(st.sampled_from((15, 20, 60))),
            most_covers=draw(most),
            most_parties=draw(st.none() | st.integers(1, 3)),
            most_present=draw(most),
            service_key=draw(st.sampled_from((None, "lunch", "dinner"))),
            **when,
        )
        for when in draw(st.lists(st.sampled_from(dates), max_size=3, unique_by=len))
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
        features = draw(st.sampled_from((frozenset(), frozenset({"quiet"}), frozenset({"quiet", "step-free"}))))
        sizes: dict[str, Any] = {"seats": seats, "min_party": least, "max_party": most}
        tables.append(Table(ref=ref, name=ref, zone_ref=draw(zone), active=active, features=features, **sizes))
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
        pacing=draw(paced(day)),
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
    guests = tuple(
        Occupied(
            table_ref=draw(st.sampled_from((*REFS, "F", "G"))),
            blocked_from=start + timedelta(minutes=since),
            blocked_until=start + timedelta(minutes=since + 75),
            booking_ref=f"G{number}",
            party=covers,
            starts_at=start + timedelta(minutes=since),
            ends_at=start + timedelta(minutes=since + 60),
        )
        for number, (since, covers) in enumerate(
            draw(st.lists(st.tuples(st.sampled_from((-45, -15, 0, 10, 30)), st.integers(1, 6)), max_size=3))
        )
    )
    party = draw(st.integers(1, 12))
    return Snapshot(
        floor=floor,
        occupied=(*occupied, *guests),
        request=SeatingRequest(
            booking_ref="B1",
            starts_at=start,
            party=party,
            promised_party=draw(st.sampled_from((0, 0, 0, party))),
            needs=draw(st.sampled_from((frozenset(), frozenset(), frozenset({"quiet"}), frozenset({"step-free"})))),
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
            is_paced=draw(st.sampled_from((True, True, False))),
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
    crowded = brute_force.breaks_pacing(snap)
    sized = 1 <= snap.request.party <= snap.rules.max_party
    for refs in brute_force.sets_of_tables(snap.floor, 3):
        found = flaws_of(snap, seated_at(snap, *sorted(refs), window=window))
        if window is None:
            assert Flaw.WITHOUT_TIMES in found
            continue
        assert (Flaw.PACING in found) is crowded
        free = brute_force.is_free(snap, refs, window.blocked_from, window.blocked_until)
        assert (not found) is (sized and free and not crowded and brute_force.will_do(snap, refs)), (refs, found)
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


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(snap=snapshots(), data=st.data())
def test_it_says_which_moves_would_have_made_room(snap: Snapshot, data: st.DataObject) -> None:
    """Of guests who sit for as long as the party would: each at one or two tables, and one of them may move."""
    kept = brute_force.blocked(snap)
    if kept is None:
        return
    since, until, leaves = kept
    start, rows, movers, movable = snap.request.starts_at, list[Occupied](), list[Snapshot](), list[Mover]()
    tables = data.draw(st.permutations(REFS))
    groups = [tables[:1], tables[1:2], tables[2:4]][: data.draw(st.integers(1, 3))]
    for number, refs in enumerate(groups):
        rows += [
            Occupied(table_ref=ref, blocked_from=since, blocked_until=until, booking_ref=f"M{number}", starts_at=start)
            for ref in refs
        ]
    rules = replace(snap.rules, is_paced=False)
    asked = replace(snap, occupied=tuple(rows), rules=rules, request=replace(snap.request, pinned_table_refs=()))
    for number, refs in enumerate(groups):
        request = replace(
            asked.request,
            booking_ref=f"M{number}",
            party=data.draw(st.integers(1, 5)),
            ends_at=leaves,
            zone_ref=data.draw(st.sampled_from((None, "hall"))),
            needs=data.draw(st.sampled_from((frozenset(), frozenset({"quiet"})))),
        )
        movers.append(replace(asked, request=request))
        others = frozenset(row.table_ref for row in rows if row.booking_ref != request.booking_ref)
        movable.append(Mover(party=party_of(request), table_refs=tuple(refs), taken=others))
    taken = {row.table_ref for row in rows}
    found = could_seat_by_a_move(snap.floor, party_of(asked.request), snap.now, taken, movable, rules)
    by_a_move = brute_force.may_be_seated_by_a_move(asked, movers)
    # Where it could be seated as it is, leaving one's tables only makes more room.
    assert found is by_a_move or brute_force.may_be_seated(asked)


@contextmanager
def every_method_broken(monkeypatch: pytest.MonkeyPatch, *left: str) -> Iterator[list[str]]:
    """Whatever a value can do raises, but for the names in ``left``; its fields are left."""

    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise AssertionError("the audit called a method of what it judges")

    with monkeypatch.context() as patch:
        names = []
        for kind in VALUES:
            for name, what in list(vars(kind).items()):
                is_own = not name.startswith("__") or name in {"__hash__", "__eq__", "__post_init__", "__init__"}
                is_method = callable(what) or isinstance(what, property) or type(what).__name__ == "cached_property"
                if is_own and is_method and what is not None and name not in left:
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


def a_paced_batch() -> tuple[Snapshot, list[SeatingRequest], list[Movable]]:
    """An evening with pacing, needs, a party that may move, and more who ask than there is room for."""
    dinner = ServicePeriod(key="dinner", starts=time(18), ends=time(1), turn_times=(TurnTime(max_party=4, minutes=90),))
    quiet = frozenset({"quiet"})
    floor = Floor(
        restaurant_ref="R1",
        timezone="Europe/London",
        tables=(Table(ref="A", name="A", seats=4, features=quiet), *(Table(ref=r, name=r, seats=2) for r in "BCD")),
        services=(dinner,),
        adjacent=frozenset({frozenset({"B", "C"})}),
        pacing=(
            Pacing(most_parties=3),
            Pacing(most_covers=5, most_present=9, service_key="dinner", first_date=DAYS[0]),
        ),
    )
    start = datetime(2030, 6, 14, 18, tzinfo=UTC)
    window = SeatingWindow(
        starts_at=start,
        ends_at=start + timedelta(minutes=90),
        blocked_from=start,
        blocked_until=start + timedelta(minutes=90),
    )
    mover = Movable(booking_ref="M", table_refs=("A",), window=window, party=2)
    requests = [
        SeatingRequest(
            booking_ref=f"B{number}",
            starts_at=start + timedelta(minutes=15 * (number // 2)),
            party=party,
            requested_at=start - timedelta(days=3, minutes=-number),
            needs=quiet if number == 1 else frozenset(),
        )
        for number, party in enumerate((4, 2, 2, 2, 4))
    ]
    occupied = occupied_by("M", ("A",), window, party=2)
    before = Snapshot(floor=floor, occupied=tuple(occupied), request=requests[0], now=start - timedelta(hours=5))
    return before, requests, [mover]


def test_nor_do_the_audits_of_pacing_days_batches_and_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """They make new snapshots of the fields; that is all that they may do with them."""
    before, requests, movable = a_paced_batch()
    planned = plan_requests(
        requests,
        floor=before.floor,
        occupied=before.occupied,
        now=before.now,
        rules=before.rules,
        success={},
        movable=movable,
    )
    decisions = dict(planned.decisions)
    refusal = next(each.refusal for each in decisions.values() if each.refusal is not None)
    seated = next(ref for ref, each in decisions.items() if each.plans)
    refused = {**decisions, seated: replace(decisions[seated], plans=(), window=None, refusal=refusal)}
    moves = {ref: each.table_refs for ref, each in planned.moves.items()}
    snapshots_ = {request.booking_ref: replace(before, request=request) for request in requests}

    def audits() -> list[Any]:
        found: list[Any] = [exceeds_pacing(each) for each in snapshots_.values()]
        for made in (decisions, refused):
            for moved in (moves, {}, {"M": ("B",)}):
                judged = judge(
                    before, requests, made, movable=movable, moves=moved, again=partial(lambda made, _refs: made, made)
                )
                found += [
                    (ref, sorted(each.flaws), each.wrong_refusal, each.avoidable_by_moves)
                    for ref, each in judged.items()
                ]
            audited = audit_batch(snapshots_, made, again=partial(lambda made, _refs: made, made))
            found += [audited.totals, audited.flaws]
        return found

    expected = audits()
    assert any(each is True for each in expected), "some would break the pacing, or nothing is asked"
    with every_method_broken(monkeypatch, "__init__", "__post_init__") as names:
        assert {"Pacing.covers", "Movable.__eq__"} <= {*names}
        found = audits()
    assert found == expected


@pytest.mark.parametrize(
    "module", [seating_audit, audit_hours, pacing_audit, moves_audit, day_audit, batch_audit, fixed_parties]
)
def test_it_imports_values_for_the_type_checker_alone(module: Any) -> None:
    tree = ast.parse(inspect.getsource(module))
    imported = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert not [name for name in imported if name.startswith(("assignments", "legacy"))]
