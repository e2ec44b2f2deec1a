"""The engine: decides on a snapshot with ranked plans or a refusal."""

from collections.abc import Iterable, Sequence

from assignments.planning.admission import party_refusal
from assignments.planning.batch_planner import EveningPlanner
from assignments.planning.decision import Decision
from assignments.planning.feasibility import objections
from assignments.planning.floor import Floor
from assignments.planning.pacing import Pace
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.seating_window import SeatingWindow, from_now_on, seating_window
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.planning.snapshot_hash import SnapshotDigest
from assignments.planning.text import gettext as _


def plan(snapshot: Snapshot) -> Decision:
    """Decide on one request, as a batch of one.

    ``snapshot.occupied`` must not contain the request's own tables. Raises ValueError for unknown or negative weights.
    """
    evening = EveningPlanner(
        floor=snapshot.floor,
        occupied=snapshot.occupied,
        rules=snapshot.rules,
        now=snapshot.now,
        success=snapshot.success,
    )
    return evening.decide(snapshot.request)


def judge(snapshot: Snapshot, table_refs: Sequence[str]) -> tuple[Refusal, ...]:
    """Return all reasons against assigning these tables by hand; empty if there are none.

    A late or past start is not a reason, because staff may seat guests who have arrived. The tables need to be free
    only from now on.
    """
    floor, request = snapshot.floor, snapshot.request
    invalid = party_refusal(request, snapshot.rules)
    if invalid is not None:
        return (invalid,)
    found = list(objections(floor, request, snapshot.rules, table_refs))
    window = seating_window(floor, starts_at=request.starts_at, party=request.party, ends_at=request.ends_at)
    if isinstance(window, Refusal):
        found.append(window)
    else:
        found += taken(snapshot.floor, snapshot.occupied, table_refs, from_now_on(window, snapshot.now))
        found += paced(snapshot, window)
    return tuple(found)


def paced(snapshot: Snapshot, window: SeatingWindow) -> list[Refusal]:
    """Return the refusal by pacing of a party that comes then; empty if there is none."""
    refusal = Pace(snapshot.floor, snapshot.occupied).refusal(snapshot.request, window, snapshot.rules)
    return [refusal] if refusal else []


def snapshot_hash(snapshot: Snapshot) -> str:
    """Return 32 hexadecimal digits, equal for equal snapshots in every process and for any order of ``occupied``."""
    digest = SnapshotDigest(
        snapshot.floor, snapshot.occupied, rules=snapshot.rules, now=snapshot.now, success=snapshot.success
    )
    return digest.of(snapshot.request)


def taken(
    floor: Floor, occupied: Iterable[Occupied], table_refs: Sequence[str], window: SeatingWindow
) -> list[Refusal]:
    """Return a refusal for each booking or closure that has one of these tables during the window, by table and time."""
    places = floor.places
    found = [
        each
        for each in occupied
        if each.table_ref in table_refs
        and each.table_ref in places
        and each.blocked_from < window.blocked_until
        and window.blocked_from < each.blocked_until
    ]
    found.sort(key=lambda each: (places[each.table_ref], each.blocked_from))
    return [_taken_by(each, floor) for each in found]


def _taken_by(taken: Occupied, floor: Floor) -> Refusal:
    values = {
        "table": floor.table_by_ref[taken.table_ref].name,
        "start": f"{taken.blocked_from.astimezone(floor.zone):%H:%M}",
        "end": f"{taken.blocked_until.astimezone(floor.zone):%H:%M}",
    }
    if taken.closed:
        return Refusal(Reason.CLOSED, _("Table %(table)s is closed at that time.", table=values["table"]))
    text = _("Table %(table)s is taken from %(start)s to %(end)s.", **values)
    if taken.booking_ref:
        text = _(
            "Table %(table)s is taken from %(start)s to %(end)s by booking %(booking)s.",
            booking=taken.booking_ref,
            **values,
        )
    return Refusal(Reason.TABLE_TAKEN, text)
