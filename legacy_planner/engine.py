"""The legacy planner's choice for one booking: the free table combination with the lowest penalty."""

from collections import Counter
from functools import lru_cache

from assignments.planning.admission import admit
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.describe import names
from assignments.planning.engine import snapshot_hash
from assignments.planning.floor import Floor
from assignments.planning.occupancy import Occupancy
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules, Snapshot
from assignments.planning.text import gettext as _
from assignments.planning.units import Unit, seatable_units
from legacy_planner.scoring import penalty

MAX_TABLES = 3
MAX_SPARE_SEATS = 4
RANKED_PLANS = 5
RULES = PlanningRules()
"""The legacy planner's own rules, independent of V3's settings."""


def plan(snapshot: Snapshot) -> Decision:
    """Decide on the same snapshot that V3 gets. A plan's score is its negative penalty."""
    digest = snapshot_hash(snapshot)
    request, floor = snapshot.request, snapshot.floor

    def refused(refusal: Refusal, considered: int = 0, rejected: Counter[str] | None = None) -> Decision:
        return Decision(
            booking_ref=request.booking_ref,
            snapshot_hash=digest,
            refusal=refusal,
            considered=considered,
            rejected=dict(rejected or {}),
        )

    window = admit(floor, request, rules=RULES, now=snapshot.now)
    if isinstance(window, Refusal):
        return refused(window)
    units = _units(floor)
    rejected: Counter[str] = Counter()
    fitting = []
    for unit in units:
        reason = _misfit(unit, request)
        if reason:
            rejected[reason] += 1
        else:
            fitting.append(unit)
    if not fitting:
        return refused(_never(floor, units, request), len(units), rejected)
    free = Occupancy(floor, snapshot.occupied).free(window.blocked_from, window.blocked_until)
    closed = Occupancy(floor, snapshot.closures).taken(window.blocked_from, window.blocked_until)
    available = [unit for unit in fitting if unit.mask & free == unit.mask]
    shut = sum(1 for unit in fitting if unit.mask & closed)
    rejected[Reason.CLOSED] += shut
    rejected[Reason.TABLE_TAKEN] += len(fitting) - len(available) - shut
    if shut == len(fitting):
        text = _(
            "Party of %(party)s: all %(count)s sets of tables that fit are closed.", party=request.party, count=shut
        )
        return refused(Refusal(Reason.CLOSED, text), len(units), +rejected)
    if not available:
        reason = Reason.PINNED_TABLES_TAKEN if request.pinned_table_refs else Reason.NO_CAPACITY
        party, count = request.party, len(fitting)
        text = _("Party of %(party)s: all %(count)s sets of tables that fit are taken.", party=party, count=count)
        return refused(Refusal(reason, text), len(units), rejected)
    ranked = [(_plan(snapshot, unit), unit.places) for unit in available]
    ranked.sort(key=lambda each: (-each[0].score, each[1]))
    return Decision(
        booking_ref=request.booking_ref,
        snapshot_hash=digest,
        window=window,
        plans=tuple(plan for plan, _places in ranked[:RANKED_PLANS]),
        considered=len(units),
        rejected=dict(+rejected),
    )


@lru_cache(maxsize=64)
def _units(floor: Floor) -> tuple[Unit, ...]:
    """Return the units without listed joins of more tables. This planner never had those; only V3 has them."""
    return tuple(unit for unit in seatable_units(floor, MAX_TABLES) if unit.table_count <= MAX_TABLES)


def _misfit(unit: Unit, request: SeatingRequest) -> Reason | None:
    if request.pinned_table_refs and set(unit.table_refs) != set(request.pinned_table_refs):
        return Reason.PINNED_TABLES_UNFIT
    if request.zone_ref is not None and unit.zone_ref != request.zone_ref:
        return Reason.WRONG_ZONE
    if unit.seats < request.party:
        return Reason.TOO_FEW_SEATS
    if unit.seats - request.party > MAX_SPARE_SEATS:
        return Reason.TOO_MANY_SPARE_SEATS
    if not unit.min_party <= request.party <= unit.max_party:
        return Reason.PARTY_OUTSIDE_TABLE_LIMITS
    return None


def _never(floor: Floor, units: tuple[Unit, ...], request: SeatingRequest) -> Refusal:
    if not units:
        return Refusal(Reason.NO_TABLES, _("The restaurant has no table in service."))
    if request.pinned_table_refs:
        tables = names(request.pinned_table_refs, floor)
        text = _("Party of %(party)s: %(tables)s cannot seat it.", party=request.party, tables=tables)
        return Refusal(Reason.PINNED_TABLES_UNFIT, text)
    largest = max(unit.seats for unit in units)
    if request.party > largest:
        text = _("Party of %(party)s: the largest set of tables seats %(seats)s.", party=request.party, seats=largest)
        return Refusal(Reason.PARTY_TOO_LARGE, text)
    return Refusal(Reason.NO_FIT, _("Party of %(party)s: no set of tables takes it.", party=request.party))


def _plan(snapshot: Snapshot, unit: Unit) -> TablePlan:
    cost = penalty(snapshot.floor, unit, snapshot.request.party)
    return TablePlan(
        table_refs=unit.table_refs,
        seats=unit.seats,
        spare_seats=unit.seats - snapshot.request.party,
        score=-cost.total,
        breakdown=cost.as_breakdown(),
        strategy="penalty",
        zone_ref=unit.zone_ref,
    )
