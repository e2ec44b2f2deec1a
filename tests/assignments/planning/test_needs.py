"""What guests need, which is a rule, and what they wish, which is a preference."""

import json
import random
from dataclasses import replace

from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.describe import describe
from assignments.planning.engine import judge, plan, snapshot_hash
from assignments.planning.features import words
from assignments.planning.floor import Floor, Table
from assignments.planning.reasons import Reason
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Movable
from rollout.policy.seating_audit import Flaw, could_be_seated, flaws_of
from rollout.policy.verdict import Verdict, compare
from rollout.shadow.serialization import floor_from_json, floor_to_json, snapshot_from_json, snapshot_to_json
from tests.assignments.planning.restaurant import MORNING, ask, floor, snapshot, table, taken

STEP_FREE, WINDOW = "step-free", "window"


def made(ref: str, seats: int, *features: str) -> Table:
    return replace(table(ref, seats), features=frozenset(features))


def needing(*needs: str, wishes: tuple[str, ...] = (), party: int = 2) -> SeatingRequest:
    return replace(ask(party=party), needs=frozenset(needs), wishes=frozenset(wishes))


FLOOR = floor(made("T1", 2), made("T2", 4, STEP_FREE), made("T3", 4, STEP_FREE, WINDOW), adjacent=[("T2", "T3")])


def chosen(on: Floor, request: SeatingRequest) -> tuple[str, ...]:
    best = plan(snapshot(on, request)).best
    assert best is not None
    return best.table_refs


def test_a_need_is_a_rule_for_each_table_of_a_join() -> None:
    assert chosen(FLOOR, ask(party=2)) == ("T1",)
    assert chosen(FLOOR, needing(STEP_FREE)) == ("T2",)
    assert chosen(FLOOR, needing(STEP_FREE, WINDOW)) == ("T3",)
    assert chosen(FLOOR, needing(STEP_FREE, party=8)) == ("T2", "T3")
    refusal = plan(snapshot(FLOOR, needing(WINDOW, party=8))).refusal
    assert refusal is not None
    assert (refusal.reason, refusal.is_hard) == (Reason.NEEDS, True)
    assert "what they need: window" in refusal.detail
    decision = plan(snapshot(FLOOR, needing(STEP_FREE), taken("T2", "17:30", "20:00"), taken("T3", "17:30", "20:00")))
    assert decision.refusal is not None
    assert decision.refusal.reason is Reason.NO_CAPACITY, "somebody may cancel"
    assert decision.rejected[Reason.NEEDS] == 1
    (against,) = judge(snapshot(FLOOR, needing(STEP_FREE)), ["T1"])
    assert (against.reason, str(against.detail)) == (Reason.NEEDS, "T1 is not what the party needs: step-free.")


def test_too_large_a_party_is_told_so_whatever_it_needs() -> None:
    refusal = plan(snapshot(FLOOR, needing(STEP_FREE, party=20))).refusal
    assert refusal is not None
    assert refusal.reason is Reason.PARTY_TOO_LARGE


def test_a_wish_is_worth_a_seat_and_unmet_ones_are_named() -> None:
    on = floor(made("T1", 2), made("T2", 3, WINDOW), made("T3", 6, WINDOW, "quiet"))
    assert chosen(on, needing(wishes=(WINDOW,))) == ("T2",)
    assert chosen(on, needing(wishes=("quiet",))) == ("T1",), "not worth four empty seats"
    on = floor(made("T1", 2), made("T2", 2, WINDOW))
    decision = plan(snapshot(on, needing(wishes=(WINDOW, "quiet"))))
    best = decision.best
    assert best is not None
    assert best.table_refs == ("T2",)
    assert best.unmet_wishes == ("quiet",)
    told = describe(json.loads(json.dumps(decision.to_json())), on)
    assert "Wishes that it does not meet: quiet." in told
    assert "meets more of the guests' wishes" in told
    assert "wish" not in describe(plan(snapshot(on, ask(party=2))).to_json(), on)


def test_whoever_is_moved_keeps_what_it_needs() -> None:
    on = floor(made("T1", 4), made("T2", 4, STEP_FREE), made("T3", 4, STEP_FREE))
    request = needing(STEP_FREE, party=4)
    seated = EveningPlanner(floor=on, occupied=(), now=MORNING).decide(replace(request, booking_ref="wheel"))
    assert seated.window is not None
    mover = Movable(
        booking_ref="wheel", table_refs=("T2",), window=seated.window, party=4, needs=frozenset({STEP_FREE})
    )
    occupied = [taken("T2", "17:30", "20:00", "wheel")]
    for blocked, moves in ((["T1"], ()), (["T3"], ())):
        others = [taken(ref, "17:30", "20:00", "x") for ref in blocked]
        evening = EveningPlanner(floor=on, occupied=[*occupied, *others], now=MORNING, movable=[mover])
        decision = evening.decide(replace(request, booking_ref="new"))
        assert decision.moves == moves
        assert (decision.best is not None) is (blocked == ["T1"]), "T1 is of no use to either"


def test_words_are_compared_without_case_and_spaces() -> None:
    assert words(" Step-Free;window ,,High  Chair") == {STEP_FREE, WINDOW, "high chair"}
    assert words(["Fenster", "FENSTER "]) == {"fenster"}
    assert words(None) == words("") == words([]) == frozenset()


def test_the_digest_and_the_stored_form_know_features_and_are_as_before_without() -> None:
    plain = floor(table("T1", 2), table("T2", 4), table("T3", 4), adjacent=[("T2", "T3")])
    assert len({plain.version, FLOOR.version}) == 2
    asked = snapshot(FLOOR, needing(STEP_FREE, wishes=(WINDOW,)))
    other = replace(asked, request=needing(STEP_FREE))
    assert snapshot_hash(asked) != snapshot_hash(other)
    written = json.loads(json.dumps([floor_to_json(FLOOR), snapshot_to_json(asked)]))
    assert written[1]["version"] == 3
    again = snapshot_from_json(written[1], floor_from_json(written[0]))
    assert (again, again.floor.version, snapshot_hash(again)) == (asked, FLOOR.version, snapshot_hash(asked))
    assert all(len(row) == 7 for row in floor_to_json(plain)["tables"])
    preferred = replace(plain, tables=tuple(replace(each, priority=3) for each in plain.tables))
    assert floor_from_json(json.loads(json.dumps(floor_to_json(preferred)))) == preferred
    assert preferred.version != plain.version


def test_the_audit_minds_needs_and_forgives_the_legacy_planner_what_it_does_not_know() -> None:
    asked = snapshot(FLOOR, needing(STEP_FREE))
    unaware = plan(snapshot(FLOOR, ask(party=2)))
    assert flaws_of(asked, unaware) == [Flaw.NEEDS]
    assert compare(asked, plan(asked), unaware) == Verdict.UNSAFE
    full = snapshot(FLOOR, needing(STEP_FREE), taken("T2", "17:30", "20:00"), taken("T3", "17:30", "20:00"))
    assert not could_be_seated(full)
    assert compare(full, unaware, plan(full)) == Verdict.BOTH_REFUSE
    on = floor(made("T1", 2), made("T2", 3, WINDOW))
    wishing = snapshot(on, needing(wishes=(WINDOW,)))
    assert compare(wishing, plan(snapshot(on, ask(party=2))), plan(wishing)) == Verdict.EQUIVALENT
    assert compare(wishing, plan(wishing), plan(snapshot(on, ask(party=2)))) == Verdict.EQUIVALENT
    same = floor(made("T1", 3), made("T2", 3, WINDOW))
    wishing = snapshot(same, needing(wishes=(WINDOW,)))
    assert compare(wishing, plan(snapshot(same, ask(party=2))), plan(wishing)) == Verdict.BETTER
    assert compare(wishing, plan(wishing), plan(snapshot(same, ask(party=2)))) == Verdict.WORSE


def test_the_audit_agrees_on_random_floors() -> None:
    dice = random.Random(6)
    refused = 0
    for _evening in range(200):
        tables = [
            made(f"T{number}", dice.choice([2, 4, 6]), *dice.sample([STEP_FREE, WINDOW], dice.randint(0, 2)))
            for number in range(1, 6)
        ]
        on = floor(*tables, adjacent=[(f"T{number}", f"T{number + 1}") for number in range(1, 5)])
        request = needing(*dice.sample([STEP_FREE, WINDOW], dice.randint(0, 2)), party=dice.randint(1, 10))
        busy = [taken(each.ref, "17:30", "20:00") for each in tables if dice.random() < 0.3]
        asked = snapshot(on, request, *busy)
        decision = plan(asked)
        assert flaws_of(asked, decision) == []
        assert could_be_seated(asked) is (decision.best is not None)
        refused += decision.refusal is not None and bool(request.needs)
    assert refused > 30
