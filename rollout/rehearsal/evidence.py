"""Reads the stored situations that a rehearsal decides: those of the environment's comparisons. Reads only."""

from assignments.concurrency.sql import rows
from rollout.models import Comparison
from rollout.rehearsal.judging import Case
from rollout.shadow.serialization import UNREADABLE, decision_from_json, floor_from_json, snapshot_from_json

CASES = 400
"""Maximum situations that are decided: a sample, one of each booking."""

_SAMPLE = """
SELECT id FROM (SELECT DISTINCT ON (restaurant_ref, booking_ref) id FROM rollout_comparison
                 ORDER BY restaurant_ref, booking_ref, id DESC) AS latest
 ORDER BY md5(id::text || %(seed)s), id
 LIMIT %(limit)s
"""


def situations(*, seed: int) -> tuple[list[Case], int]:
    """At most CASES situations, drawn with this seed, and how many more could not be read."""
    ids = [pk for (pk,) in rows(_SAMPLE, seed=f" {seed}", limit=CASES)]
    cases, unreadable = [], 0
    floors = {}
    stored = Comparison.objects.filter(pk__in=ids).select_related("floor").order_by("id")
    for comparison in stored.only("snapshot", "control", "floor__content"):
        try:
            if comparison.floor_id not in floors:
                floors[comparison.floor_id] = floor_from_json(comparison.floor.content)
            snapshot = snapshot_from_json(comparison.snapshot, floors[comparison.floor_id])
            cases.append(Case(snapshot=snapshot, control=decision_from_json(comparison.control)))
        except UNREADABLE:
            unreadable += 1  # Stored by another release, or by hand.
    return cases, unreadable
