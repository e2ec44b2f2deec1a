"""The digest of a snapshot: stored ones are compared with those of later releases, so that none may ever change."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from assignments.planning.engine import snapshot_hash
from assignments.planning.snapshot import Occupied, PlanningRules
from assignments.planning.snapshot_hash import SnapshotDigest
from tests.assignments.planning.restaurant import MORNING, ask, floor, snapshot, table, taken

ON = floor(table("A4", 4), table("B4", 4), table("C8", 8), adjacent=[("A4", "B4")])
ROWS = [taken("A4", "17:00", "18:00"), taken("B4", "18:00", "19:00", None), taken("C8", "18:30", "19:30", "b7")]
PLAIN = snapshot(ON, ask(zone="Hall", pins=("C8", "A4"), asked=MORNING), *ROWS, success={"B4": 0.5, "A4": 0.25})


def asking(**changes: Any) -> Any:
    return replace(PLAIN, request=replace(PLAIN.request, **changes))


def paced(**changes: Any) -> Any:
    row = replace(ROWS[0], party=3, starts_at=ROWS[0].blocked_from, ends_at=ROWS[0].blocked_until)
    return replace(PLAIN, occupied=(replace(row, **changes), *ROWS[1:]))


@pytest.mark.parametrize(
    ("asked", "digest"),
    [
        (PLAIN, "0873193b8c7048e4cf5bffa084600f44"),
        (replace(PLAIN, rules=PlanningRules(grace_minutes=15)), "c5b1346517170d3e9303b69800c36b88"),
        (replace(PLAIN, rules=PlanningRules(is_paced=False)), "8990760acd84529f84f3b74ed97cc985"),
        (asking(ends_at=PLAIN.request.starts_at + timedelta(hours=2)), "18a26036de634afb0d232bd389f89d4e"),
        (asking(current_table_refs=("C8", "B4")), "2d62aedd5b3e3fadd1bdd95aeca82731"),
        (asking(needs=frozenset({"step-free", "quiet"})), "636264fec866526aae45daf3bc894844"),
        (asking(wishes=frozenset({"step-free", "quiet"})), "da80cd7c9120b38050e9d5fa7c56d805"),
        (asking(promised_party=2), "abf7801ca314517bc52a245db93accdb"),
        (
            replace(PLAIN, occupied=(*ROWS, replace(ROWS[0], table_ref="C8", booking_ref=None, closed=True))),
            "1cd2cd4b9309539407e531defa685852",
        ),
        (paced(), "ad740c01789fbd6479627f264900dfa1"),
        (paced(is_wish=True), "b41166deb77c1907da09add21db1d0b9"),
        (paced(ends_at=None), "6a5f05a4df61e5307e2181cefa5d6f34"),
    ],
    ids=[
        "plain",
        "grace",
        "not paced",
        "end",
        "current tables",
        "needs",
        "wishes",
        "promised",
        "closed",
        "paced",
        "wish",
        "no end",
    ],
)
def test_a_digest_is_what_it_was_in_every_release(asked: Any, digest: str) -> None:
    assert snapshot_hash(asked) == digest


def test_who_may_be_moved_counts_in_any_order_and_nobody_leaves_it_as_it_was() -> None:
    def digest(*movable: str) -> str:
        rules = PlanningRules()
        return SnapshotDigest(ON, ROWS, rules=rules, now=MORNING, success=PLAIN.success, movable=movable).of(
            PLAIN.request
        )

    assert digest() == snapshot_hash(PLAIN)
    assert digest("b7", "other") == digest("other", "b7")
    assert len({digest(), digest("b7"), digest("b7", "other")}) == 3


def test_a_table_that_is_added_and_removed_leaves_the_digest_as_it_was() -> None:
    digest = SnapshotDigest(ON, ROWS, rules=PLAIN.rules, now=PLAIN.now, success=PLAIN.success)
    more = taken("A4", "19:00", "20:00")
    before = digest.of(PLAIN.request)
    digest.add(more)
    assert digest.of(PLAIN.request) == snapshot_hash(replace(PLAIN, occupied=(more, *ROWS))) != before
    digest.remove(more)
    assert digest.of(PLAIN.request) == before
    for row in ROWS:
        digest.remove(row)
    assert digest.of(PLAIN.request) == snapshot_hash(replace(PLAIN, occupied=()))


def test_several_requests_have_one_digest_that_depends_on_their_order() -> None:
    digest = SnapshotDigest(ON, ROWS, rules=PLAIN.rules, now=PLAIN.now, success=PLAIN.success)
    one, other = PLAIN.request, replace(PLAIN.request, booking_ref="b2")
    found = [digest.of_all(each) for each in ([one], [one, other], [other, one])]
    assert len({*found, digest.of(one)}) == 4
    assert {len(each) for each in found} == {32}


def test_a_moment_has_the_same_digest_in_any_time_zone_and_a_naive_one_in_none() -> None:
    east = timezone(timedelta(hours=3))
    row = ROWS[0]
    there = replace(
        row, blocked_from=row.blocked_from.astimezone(east), blocked_until=row.blocked_until.astimezone(east)
    )
    assert snapshot_hash(replace(PLAIN, occupied=(there, *ROWS[1:]))) == snapshot_hash(PLAIN)
    assert snapshot_hash(replace(PLAIN, now=MORNING.astimezone(east))) == snapshot_hash(PLAIN)
    assert snapshot_hash(replace(PLAIN, now=MORNING.replace(tzinfo=None))) != snapshot_hash(PLAIN)
    naive = Occupied(table_ref="A4", blocked_from=datetime(2025, 1, 1), blocked_until=datetime(2025, 1, 2))  # noqa: DTZ001
    aware = Occupied(
        table_ref="A4", blocked_from=datetime(2025, 1, 1, tzinfo=UTC), blocked_until=datetime(2025, 1, 2, tzinfo=UTC)
    )
    assert snapshot_hash(replace(PLAIN, occupied=(naive,))) != snapshot_hash(replace(PLAIN, occupied=(aware,)))
