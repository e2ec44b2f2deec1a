"""Feasibility: the tables that fit a party by the floor's rules, regardless of occupancy."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from assignments.planning.describe import names
from assignments.planning.features import listed
from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules
from assignments.planning.text import gettext as _
from assignments.planning.units import Unit, is_connected, neighbours, seatable_units, table_bits, unit_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The units that fit a party: fewest spare seats first, then fewest tables, then by their places on the floor.

    ``rejected``: number of the floor's other units by reason. ``considered``: number of all its units. ``fewest_tables``:
    of any of the units; 0 if there are none.
    """

    units: tuple[Unit, ...]
    considered: int
    rejected: Mapping[str, int]
    fewest_tables: int


def fit_of(floor: Floor, request: SeatingRequest, rules: PlanningRules) -> Fit:
    """Return the floor's units that fit the request. Cached by floor and kind of party."""
    return _fit(floor, request.party, request.zone_ref, request.needs, rules.max_tables, rules.max_spare_seats)


def misfit(floor: Floor, request: SeatingRequest, rules: PlanningRules) -> Refusal:
    """Return why nothing fits a request whose Fit has no units."""
    party, zone = request.party, request.zone_ref
    if request.needs and fit_of(floor, replace(request, needs=frozenset()), rules).units:
        text = _(
            "Party of %(party)s: none of the tables and joins that would do is what they need: %(needs)s.",
            party=party,
            needs=listed(request.needs),
        )
        return Refusal(Reason.NEEDS, text)
    everywhere = seatable_units(floor, rules.max_tables)
    if not everywhere:
        return Refusal(Reason.NO_TABLES, _("The restaurant has no table in service."))
    largest = max(everywhere, key=lambda unit: unit.seats)
    if party > largest.seats:
        return _larger_than(largest, Reason.PARTY_TOO_LARGE, party, None)
    units = [unit for unit in everywhere if zone is None or unit.zone_ref == zone]
    if not units:
        text = _("Party of %(party)s: there is no table in service in zone %(zone)s.", party=party, zone=zone or "")
        return Refusal(Reason.NO_FIT, text)
    largest = max(units, key=lambda unit: unit.seats)
    if party > largest.seats:
        return _larger_than(largest, Reason.NO_FIT, party, zone)
    best = min((unit for unit in units if unit.seats >= party), key=lambda unit: (unit.seats, unit.table_count))
    values = {
        "party": party,
        "tables": names(best.table_refs, floor),
        "seats": best.seats,
        "least": best.min_party,
        "most": best.max_party,
        "spare": rules.max_spare_seats,
    }
    if zone is None:
        text = _(
            "Party of %(party)s: no table or join takes it. The nearest, %(tables)s, seats %(seats)s and takes parties of "
            "%(least)s to %(most)s; %(spare)s seats may stay empty.",
            **values,
        )
    else:
        text = _(
            "Party of %(party)s: no table or join in zone %(zone)s takes it. The nearest, %(tables)s, seats %(seats)s and "
            "takes parties of %(least)s to %(most)s; %(spare)s seats may stay empty.",
            zone=zone,
            **values,
        )
    return Refusal(Reason.NO_FIT, text)


def _larger_than(unit: Unit, reason: Reason, party: int, zone: str | None) -> Refusal:
    """Return the refusal of a party larger than the largest unit (of the zone, if given)."""
    values = {"party": party, "seats": unit.seats}
    match unit.table_count == 1, zone:
        case True, None:
            text = _("Party of %(party)s: the largest table seats %(seats)s.", **values)
        case False, None:
            text = _("Party of %(party)s: the largest join seats %(seats)s.", **values)
        case True, _zone:
            text = _("Party of %(party)s: the largest table in zone %(zone)s seats %(seats)s.", zone=zone, **values)
        case _single, _zone:
            text = _("Party of %(party)s: the largest join in zone %(zone)s seats %(seats)s.", zone=zone, **values)
    return Refusal(reason, text)


def objections(
    floor: Floor, request: SeatingRequest, rules: PlanningRules, table_refs: Sequence[str]
) -> Iterator[Refusal]:
    """Yield all reasons why exactly these tables cannot seat the party.

    More tables than needed are not a reason, because tables chosen by hand may be deliberate.
    """
    if not table_refs:
        yield Refusal(Reason.UNKNOWN_TABLE, _("No table is named for the party of %(party)s.", party=request.party))
        return
    unknown = floor.in_order(set(table_refs) - floor.table_by_ref.keys())
    for ref in unknown:
        yield Refusal(Reason.UNKNOWN_TABLE, _("Table %(table)s is not on this restaurant's floor.", table=ref))
    for ref in floor.in_order(ref for ref, count in Counter(table_refs).items() if count > 1):
        yield Refusal(Reason.TABLE_REPEATED, _("Table %(table)s is named more than once.", table=ref))
    known = set(table_refs) - set(unknown)
    if known:
        yield from _objections_to(floor, request, rules, unit_of(floor, known))


@lru_cache(maxsize=4096)
def _fit(
    floor: Floor, party: int, zone_ref: str | None, needs: frozenset[str], max_tables: int, max_spare_seats: int
) -> Fit:
    rejected: Counter[Reason] = Counter()
    fitting: list[Unit] = []
    everything = seatable_units(floor, max_tables)
    for unit in everything:  # Fewest tables first, so that the parts of a larger join are known by then.
        reason = _reason_against(unit, party, zone_ref, needs, max_spare_seats, fitting)
        if reason is None:
            fitting.append(unit)
        else:
            rejected[reason] += 1
    fitting.sort(key=lambda unit: (unit.seats, unit.table_count, unit.places))
    return Fit(
        units=tuple(fitting),
        considered=len(everything),
        rejected={str(reason): count for reason, count in rejected.items()},
        fewest_tables=min((unit.table_count for unit in fitting), default=0),
    )


def _reason_against(
    unit: Unit,
    party: int,
    zone_ref: str | None,
    needs: frozenset[str],
    max_spare_seats: int,
    smaller: Sequence[Unit],
) -> Reason | None:
    if zone_ref is not None and unit.zone_ref != zone_ref:
        return Reason.WRONG_ZONE
    if not needs <= unit.features:
        return Reason.NEEDS
    if unit.seats < party:
        return Reason.TOO_FEW_SEATS
    if unit.has_too_many_spare(party, max_spare_seats):
        return Reason.TOO_MANY_SPARE_SEATS
    if not unit.min_party <= party <= unit.max_party:
        return Reason.PARTY_OUTSIDE_TABLE_LIMITS
    if any(part.mask & unit.mask == part.mask for part in smaller):
        return Reason.MORE_TABLES_THAN_NEEDED
    return None


def _objections_to(floor: Floor, request: SeatingRequest, rules: PlanningRules, unit: Unit) -> Iterator[Refusal]:
    party, tables = request.party, names(unit.table_refs, floor)
    for ref in unit.table_refs:
        if not floor.table_by_ref[ref].active:
            text = _("Table %(table)s is out of service.", table=floor.table_by_ref[ref].name)
            yield Refusal(Reason.TABLE_INACTIVE, text)
    if unit.seats < party:
        text = _("%(tables)s seats %(seats)s, the party is %(party)s.", tables=tables, seats=unit.seats, party=party)
        yield Refusal(Reason.TOO_FEW_SEATS, text)
    elif unit.has_too_many_spare(party, rules.max_spare_seats):
        text = _(
            "%(tables)s seats %(seats)s: %(more)s more than the party of %(party)s needs, and %(spare)s are allowed.",
            tables=tables,
            seats=unit.seats,
            more=unit.seats - party,
            party=party,
            spare=rules.max_spare_seats,
        )
        yield Refusal(Reason.TOO_MANY_SPARE_SEATS, text)
    if party < unit.min_party or unit.max_party < min(party, unit.seats):
        text = _(
            "%(tables)s takes parties of %(least)s to %(most)s, not of %(party)s.",
            tables=tables,
            least=unit.min_party,
            most=unit.max_party,
            party=party,
        )
        yield Refusal(Reason.PARTY_OUTSIDE_TABLE_LIMITS, text)
    beats_limits = unit.is_listed and not floor.is_of_earlier_release
    if unit.table_count > rules.max_tables and not beats_limits:
        text = _(
            "%(tables)s are %(count)s tables; at most %(most)s may be joined.",
            tables=tables,
            count=unit.table_count,
            most=rules.max_tables,
        )
        yield Refusal(Reason.TOO_MANY_TABLES, text)
    yield from _objections_to_place(floor, request, unit, beats_limits=beats_limits)


def _objections_to_place(floor: Floor, request: SeatingRequest, unit: Unit, *, beats_limits: bool) -> Iterator[Refusal]:
    tables = names(unit.table_refs, floor)
    zones = sorted({floor.table_by_ref[ref].zone_ref or "no zone" for ref in unit.table_refs})
    if len(zones) > 1 and not beats_limits:
        text = _("%(tables)s are in different zones: %(zones)s.", tables=tables, zones=", ".join(zones))
        yield Refusal(Reason.ZONES_DIFFER, text)
    elif not _may_be_joined(floor, unit):
        yield Refusal(Reason.NOT_ADJACENT, _("%(tables)s do not stand next to each other.", tables=tables))
    strays = [ref for ref in unit.table_refs if floor.table_by_ref[ref].zone_ref != request.zone_ref]
    if request.zone_ref is not None and strays:
        text = _(
            "The party is to sit in zone %(zone)s; %(tables)s is not.",
            zone=request.zone_ref,
            tables=names(strays, floor),
        )
        yield Refusal(Reason.WRONG_ZONE, text)
    if missing := request.needs - unit.features:
        text = _("%(tables)s is not what the party needs: %(needs)s.", tables=tables, needs=listed(missing))
        yield Refusal(Reason.NEEDS, text)


def _may_be_joined(floor: Floor, unit: Unit) -> bool:
    if unit.table_count == 1 or unit.is_listed:
        return True
    beside = neighbours(floor)
    # Tables out of service have their own reason; here they are adjacent to nothing.
    bits = table_bits(floor)
    return all(bits[ref] in beside for ref in unit.table_refs) and is_connected(unit.mask, beside)
