"""The audit of single decisions of a batch, with the confirmed parties that were moved for them. No database."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from assignments.coordination.planned_day import plan_requests
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.floor import Pacing
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.seating_window import SeatingWindow, seating_window
from assignments.planning.snapshot import Movable, Occupied, PlanningRules, Snapshot, occupied_by
from assignments.planning.text import gettext as _
from assignments.testing import a_floor, a_table
from rollout.policy.batch_audit import Judgement, judge
from rollout.policy.seating_audit import Flaw
from rollout.shadow.candidate import v3
from tests.rollout.policy.test_day_audit import a_day


class TwoBatches:
    """An evening whose first half has been confirmed, and whose second half is planned with moves."""

    def __init__(self, seed: int, *, at_once: bool = False) -> None:
        day = a_day(seed, at_once=at_once)
        by_asking = sorted(day.requests, key=lambda request: str(request.requested_at))
        first, self.requests = by_asking[:25], by_asking[25:]
        start = day.start
        common: dict[str, Any] = {"floor": start.floor, "now": start.now, "success": {}, "rules": start.rules}
        seated = plan_requests(first, occupied=(), **common).decisions
        occupied: list[Occupied] = []
        self.movable: list[Movable] = []
        for request in first:
            decision = seated[request.booking_ref]
            if decision.best is None or decision.window is None:
                continue
            occupied += occupied_by(request.booking_ref, decision.best.table_refs, decision.window)
            self.movable.append(
                Movable(
                    booking_ref=request.booking_ref,
                    table_refs=decision.best.table_refs,
                    window=decision.window,
                    party=request.party,
                )
            )
        self.before = replace(start, request=self.requests[0], occupied=tuple(occupied))
        planned = plan_requests(self.requests, occupied=tuple(occupied), movable=self.movable, **common)
        self.decisions: dict[str, Decision] = dict(planned.decisions)
        self.moves = {ref: plan.table_refs for ref, plan in planned.moves.items()}
        self.moved_for = {ref: [move.booking_ref for move in each.moves] for ref, each in self.decisions.items()}

    def judged(self, **changes: Any) -> Mapping[str, Judgement]:
        def again(refs: Sequence[str]) -> Mapping[str, Decision]:
            asking = {request.booking_ref: request for request in self.requests}
            before = self.before
            return v3.together(
                [asking[ref] for ref in refs],
                floor=before.floor,
                occupied=before.occupied,
                now=before.now,
                rules=before.rules,
                success={},
            )

        given = {"movable": self.movable, "moves": self.moves, "moved_for": self.moved_for, **changes}
        return judge(self.before, self.requests, self.decisions, again=again, **given)

    def refuse(self, ref: str) -> None:
        refusal = next(each.refusal for each in self.decisions.values() if each.refusal is not None)
        self.decisions[ref] = replace(self.decisions[ref], plans=(), window=None, refusal=refusal, moves=())


FLOOR = a_floor(tables=[a_table("T2", seats=2), a_table("T4")])
START = datetime(2031, 1, 14, 19, tzinfo=UTC)
EVENINGS = [TwoBatches(seed) for seed in range(12)]


def test_a_healthy_planner_has_no_flaw_and_no_wrong_refusal() -> None:
    at_once = [TwoBatches(seed, at_once=True) for seed in range(30)]
    judged = [each for evening in (*EVENINGS, *at_once) for each in evening.judged().values()]
    assert not [each for each in judged if each.flaws or each.wrong_refusal]
    assert any(evening.moves for evening in EVENINGS), "parties are moved, or nothing is asked"
    assert any(each.avoidable_by_moves for each in judged) is False
    refused = [
        each
        for evening in EVENINGS
        for ref, each in evening.judged().items()
        if evening.decisions[ref].refusal is not None
    ]
    assert refused
    assert not any(each.avoidable_join or each.oversized for each in refused), "they have no tables"


def test_another_planner_is_asked_beside_those_who_asked_earlier() -> None:
    evening = EVENINGS[0]
    at_tables = {row.booking_ref for row in evening.before.occupied}
    came = 0
    for request in evening.requests:
        earlier = {
            each.booking_ref
            for each in evening.requests
            if each is not request
            and str(each.requested_at) <= str(request.requested_at)
            and evening.decisions[each.booking_ref].plans
        }
        beside = evening.judged()[request.booking_ref].beside
        assert {row.booking_ref for row in beside.occupied} == at_tables | earlier
        came += len(earlier)
    assert came


def test_among_those_who_asked_at_the_same_moment_a_free_table_is_no_reason_to_refuse() -> None:
    evening, free = next(
        (evening, ref)
        for evening in (TwoBatches(seed, at_once=True) for seed in range(30))
        for ref, each in evening.decisions.items()
        if each.plans and not evening.moved_for[ref] and any(other.refusal for other in evening.decisions.values())
    )
    evening.refuse(free)
    assert evening.judged()[free].wrong_refusal


def with_moves() -> TwoBatches:
    number = next(index for index, evening in enumerate(EVENINGS) if evening.moves)
    return TwoBatches(number)


def test_a_refusal_although_tables_are_free_is_wrong() -> None:
    evening = with_moves()
    last = evening.requests[-1].booking_ref
    left = {table for each in evening.movable if each.booking_ref in evening.moves for table in each.table_refs}
    free = next(
        ref
        for ref, each in evening.decisions.items()
        if each.best and not evening.moved_for[ref] and left.isdisjoint(each.best.table_refs)
    )
    evening.refuse(free)
    judged = evening.judged()
    assert judged[free].wrong_refusal
    assert not judged[last].wrong_refusal


class AskedByFour:
    """A pair has the table for four, the table for two is free, and four ask."""

    def __init__(self, **limits: Any) -> None:
        self.floor = replace(FLOOR, pacing=(Pacing(**limits),)) if limits else FLOOR
        window = seating_window(self.floor, starts_at=START, party=2)
        assert isinstance(window, SeatingWindow)
        self.window = window
        self.pair = Movable(booking_ref="A", table_refs=("T4",), window=window, party=2)

    def judged(
        self, *others: Occupied, movable: bool = True, party: int = 4, moves: Mapping[str, Sequence[str]] | None = None
    ) -> Judgement:
        """What the audit says of their refusal, with these tables taken beside the pair's."""
        asks = SeatingRequest(booking_ref="B", starts_at=START, party=party, requested_at=START - timedelta(days=2))
        before = Snapshot(
            floor=self.floor,
            occupied=(*occupied_by("A", ("T4",), self.window, party=2), *others),
            request=asks,
            now=START - timedelta(days=1),
            rules=PlanningRules(),
            success={},
        )
        refusal = Refusal(Reason.NO_CAPACITY, _("No table is free."))
        refused = {"B": Decision(booking_ref="B", snapshot_hash="", window=self.window, refusal=refusal)}
        whom = [self.pair] if movable else []
        return judge(before, [asks], refused, movable=whom, moves=moves, again=lambda refs: refused)["B"]

    def at(self, table_ref: str, minutes: int) -> Occupied:
        """Others at a table, so many minutes after the pair sits down."""
        late = timedelta(minutes=minutes)
        return Occupied(
            table_ref=table_ref,
            blocked_from=self.window.blocked_from + late,
            blocked_until=self.window.blocked_until + late,
            booking_ref="C",
        )


def test_a_refusal_that_one_move_would_avoid_is_told_apart() -> None:
    judged = AskedByFour().judged()
    assert (judged.wrong_refusal, judged.avoidable_by_moves) == (False, True)
    judged = AskedByFour().judged(movable=False)
    assert (judged.wrong_refusal, judged.avoidable_by_moves) == (False, False), "a party that is fixed stays"


@pytest.mark.parametrize(
    ("party", "moves", "expected"),
    [
        (2, {}, (True, False)),
        (4, {}, (False, True)),
        (2, {"A": ("T2",)}, (False, False)),
        (4, {"A": ("T2",)}, (False, False)),
        (2, {"A": ("T4",)}, (True, False)),
    ],
)
def test_neither_the_tables_that_a_moved_party_left_nor_those_that_it_got_were_free(
    party: int, moves: dict[str, Sequence[str]], expected: tuple[bool, bool]
) -> None:
    judged = AskedByFour().judged(party=party, moves=moves)
    assert (judged.wrong_refusal, judged.avoidable_by_moves) == expected


@pytest.mark.parametrize(
    ("party", "tables", "taken", "expected"),
    [
        (2, ("T4",), {}, (set(), False, True)),
        (2, ("T4",), {"T2": "C"}, (set(), False, False)),
        (2, ("T2",), {}, (set(), False, False)),
        (4, ("T2", "T4"), {}, (set(), True, False)),
        (5, ("T2", "T4"), {}, (set(), False, False)),
        # A seating with a flaw, and one of a party that has tables already, are no matter of better tables.
        (2, ("T4",), {"T4": "C"}, ({Flaw.TABLE_TAKEN}, False, False)),
        (4, ("T2", "T4"), {"T2": "C"}, ({Flaw.TABLE_TAKEN}, False, False)),
        (2, ("T4",), {"T4": "B"}, (set(), False, False)),
        (4, ("T2", "T4"), {"T2": "B"}, (set(), False, False)),
    ],
)
def test_whether_a_new_seating_without_flaws_has_better_tables(
    party: int, tables: tuple[str, ...], taken: dict[str, str], expected: tuple[set[Flaw], bool, bool]
) -> None:
    on = a_floor(tables=FLOOR.tables, adjacent=[("T2", "T4")])
    asks = SeatingRequest(booking_ref="B", starts_at=START, party=party, requested_at=START - timedelta(days=2))
    window = seating_window(on, starts_at=START, party=party)
    assert isinstance(window, SeatingWindow)
    sitting = [row for ref, by in taken.items() for row in occupied_by(by, [ref], window)]
    before = Snapshot(floor=on, occupied=tuple(sitting), request=asks, now=START - timedelta(days=1))
    chosen = TablePlan(table_refs=tables, seats=0, spare_seats=0, score=0.0, breakdown={}, strategy="test")
    decisions = {"B": Decision(booking_ref="B", snapshot_hash="", window=window, plans=(chosen,))}
    judged = judge(before, [asks], decisions, again=lambda refs: {})["B"]
    assert (set(judged.flaws), judged.avoidable_join, judged.oversized) == expected


@pytest.mark.parametrize(("minutes", "avoidable"), [(119, False), (-119, False), (120, True), (-120, True)])
def test_a_move_is_possible_to_a_table_that_is_taken_at_other_times(minutes: int, avoidable: bool) -> None:
    evening = AskedByFour()
    assert evening.judged(evening.at("T2", minutes)).avoidable_by_moves is avoidable


@pytest.mark.parametrize(("most", "avoidable"), [(5, False), (6, True)])
def test_no_move_helps_where_the_pace_refuses(most: int, avoidable: bool) -> None:
    assert AskedByFour(most_covers=most).judged().avoidable_by_moves is avoidable


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"most_parties": 1}, Reason.PACING),
        ({"most_covers": 6}, Reason.PACING),
        ({"most_present": 6}, Reason.PACING),
        ({"most_present": 7}, None),
    ],
)
def test_the_pace_counts_an_edit_that_goes_first_as_planning_does(
    limits: dict[str, Any], reason: Reason | None
) -> None:
    """A has a table for two, and asks to come an hour later with four. Then B asks for that time with three."""
    on = replace(a_floor(tables=[*FLOOR.tables, a_table("T3")]), pacing=(Pacing(**limits),))
    later = START + timedelta(hours=1)
    window = seating_window(on, starts_at=START, party=2)
    assert isinstance(window, SeatingWindow)
    edit = SeatingRequest(booking_ref="A", starts_at=later, party=4, requested_at=START - timedelta(days=3))
    asks = SeatingRequest(booking_ref="B", starts_at=later, party=3, requested_at=START - timedelta(days=2))
    before = Snapshot(
        floor=on,
        occupied=tuple(occupied_by("A", ("T2",), window, party=2)),
        request=edit,
        now=START - timedelta(days=1),
        rules=PlanningRules(),
        success={},
    )

    def again(refs: Sequence[str]) -> Mapping[str, Decision]:
        asking = [each for each in (edit, asks) if each.booking_ref in refs]
        return v3.together(asking, floor=on, occupied=before.occupied, now=before.now, rules=before.rules, success={})

    decisions = again(["A", "B"])
    assert decisions["A"].best is not None
    refusal = decisions["B"].refusal
    assert (refusal and refusal.reason) == reason
    judged = judge(before, [edit, asks], decisions, again=again)
    assert not any(each.wrong_refusal or each.flaws for each in judged.values())


def who_moved(evening: TwoBatches) -> tuple[str, str]:
    return next((ref, moved[0]) for ref, moved in evening.moved_for.items() if moved)


def test_to_move_a_party_that_is_fixed_is_unsafe() -> None:
    evening = with_moves()
    ref, mover = who_moved(evening)
    fixed = [each for each in evening.movable if each.booking_ref != mover]
    assert Flaw.FIXED_PARTY_MOVED in evening.judged(movable=fixed)[ref].flaws
    assert evening.judged(fixed=[mover])[ref].flaws == {Flaw.FIXED_PARTY_MOVED}, "even if V3 takes it for movable"


def test_a_moved_party_keeps_its_seats_and_its_zone() -> None:
    evening = with_moves()
    ref, mover = who_moved(evening)
    larger = [replace(each, party=9) if each.booking_ref == mover else each for each in evening.movable]
    assert Flaw.TOO_FEW_SEATS in evening.judged(movable=larger)[ref].flaws
    elsewhere = [replace(each, zone_ref="terrace") if each.booking_ref == mover else each for each in evening.movable]
    assert Flaw.WRONG_ZONE in evening.judged(movable=elsewhere)[ref].flaws


def test_a_moved_party_keeps_its_time() -> None:
    evening = with_moves()
    ref, mover = who_moved(evening)
    promised = next(each.window for each in evening.movable if each.booking_ref == mover)
    assert not evening.judged(moved_windows={mover: promised})[ref].flaws
    for name in ("starts_at", "ends_at", "blocked_from", "blocked_until"):
        later = replace(promised, **{name: getattr(promised, name) + timedelta(minutes=15)})
        assert evening.judged(moved_windows={mover: later})[ref].flaws == {Flaw.OTHER_TIMES}, name


def test_a_moved_party_gets_a_table_of_its_own() -> None:
    evening = with_moves()
    ref, mover = who_moved(evening)
    other = next(
        each
        for each in evening.before.occupied
        if each.booking_ref not in evening.moves
        and each.blocked_from < window_of(evening, mover).blocked_until
        and window_of(evening, mover).blocked_from < each.blocked_until
    )
    moves = {**evening.moves, mover: (other.table_ref,)}
    assert Flaw.TABLE_TAKEN in evening.judged(moves=moves)[ref].flaws


def window_of(evening: TwoBatches, ref: str) -> Any:
    return next(each.window for each in evening.movable if each.booking_ref == ref)
