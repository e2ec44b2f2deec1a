"""Which tables could seat a party, whoever else is there: the rules that time does not change."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from assignments.planning.floor import Floor
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import PlanningRules
from assignments.planning.units import Unit, is_connected, neighbours, seatable_units, table_bits, unit_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The units that fit a party: fewest spare seats first, then fewest tables, then by refs.

    ``rejected`` counts the other units of the floor by the reason that put them out; ``considered`` is how many units
    the floor has.
    """

    units: tuple[Unit, ...]
    considered: int
    rejected: Mapping[str, int]


def fit_of(floor: Floor, request: SeatingRequest, rules: PlanningRules) -> Fit:
    """The units of the floor that fit the request. Kept for every kind of party that a floor has seen."""
    return _fit(floor, request.party, request.zone_ref, rules.max_tables, rules.max_spare_seats)


def misfit(floor: Floor, request: SeatingRequest, rules: PlanningRules) -> Refusal:
    """Why nothing fits, for a request whose Fit has no units."""
    party, zone = request.party, request.zone_ref
    everywhere = seatable_units(floor, rules.max_tables)
    if not everywhere:
        return Refusal(reason=Reason.NO_TABLES, detail="The restaurant has no table in service.")
    largest = max(everywhere, key=lambda unit: unit.seats)
    if party > largest.seats:
        detail = f"Party of {party}: the largest {_kind(largest)} seats {largest.seats}."
        return Refusal(reason=Reason.PARTY_TOO_LARGE, detail=detail)
    units = [unit for unit in everywhere if zone is None or unit.zone_ref == zone]
    where = f" in zone {zone}" if zone is not None else ""
    if not units:
        return Refusal(reason=Reason.NO_FIT, detail=f"Party of {party}: there is no table in service{where}.")
    largest = max(units, key=lambda unit: unit.seats)
    if party > largest.seats:
        detail = f"Party of {party}: the largest {_kind(largest)}{where} seats {largest.seats}."
    else:
        best = min((unit for unit in units if unit.seats >= party), key=lambda unit: (unit.seats, unit.table_count))
        detail = (
            f"Party of {party}: no table or join{where} takes it. The nearest, {_named(floor, best)}, "
            f"seats {best.seats} and takes parties of {best.min_party} to {best.max_party}; "
            f"{rules.max_spare_seats} seats may stay empty."
        )
    return Refusal(reason=Reason.NO_FIT, detail=detail)


def objections(
    floor: Floor, request: SeatingRequest, rules: PlanningRules, table_refs: Sequence[str]
) -> Iterator[Refusal]:
    """Every reason why exactly these tables could never seat the party; nothing when they could.

    More tables than the party needs are no objection: whoever picks tables by hand may have a reason.
    """
    if not table_refs:
        yield Refusal(reason=Reason.UNKNOWN_TABLE, detail=f"No table is named for the party of {request.party}.")
        return
    unknown = sorted(set(table_refs) - floor.table_by_ref.keys())
    for ref in unknown:
        yield Refusal(reason=Reason.UNKNOWN_TABLE, detail=f"Table {ref} is not on this restaurant's floor.")
    for ref in sorted(ref for ref, count in Counter(table_refs).items() if count > 1):
        yield Refusal(reason=Reason.TABLE_REPEATED, detail=f"Table {ref} is named more than once.")
    known = set(table_refs) - set(unknown)
    if known:
        yield from _objections_to(floor, request, rules, unit_of(floor, known))


@lru_cache(maxsize=4096)
def _fit(floor: Floor, party: int, zone_ref: str | None, max_tables: int, max_spare_seats: int) -> Fit:
    rejected: Counter[Reason] = Counter()
    fitting: list[Unit] = []
    everything = seatable_units(floor, max_tables)
    for unit in everything:  # Fewest tables first, so that what a larger join contains is known by then.
        reason = _reason_against(unit, party, zone_ref, max_spare_seats, fitting)
        if reason is None:
            fitting.append(unit)
        else:
            rejected[reason] += 1
    fitting.sort(key=lambda unit: (unit.seats, unit.table_count, unit.table_refs))
    return Fit(
        units=tuple(fitting),
        considered=len(everything),
        rejected={str(reason): count for reason, count in rejected.items()},
    )


def _reason_against(
    unit: Unit, party: int, zone_ref: str | None, max_spare_seats: int, smaller: Sequence[Unit]
) -> Reason | None:
    if zone_ref is not None and unit.zone_ref != zone_ref:
        return Reason.WRONG_ZONE
    if unit.seats < party:
        return Reason.TOO_FEW_SEATS
    if unit.seats - party > max_spare_seats:
        return Reason.TOO_MANY_SPARE_SEATS
    if not unit.min_party <= party <= unit.max_party:
        return Reason.PARTY_OUTSIDE_TABLE_LIMITS
    if any(part.mask & unit.mask == part.mask for part in smaller):
        return Reason.MORE_TABLES_THAN_NEEDED
    return None


def _objections_to(floor: Floor, request: SeatingRequest, rules: PlanningRules, unit: Unit) -> Iterator[Refusal]:
    party, names = request.party, _named(floor, unit)
    for ref in unit.table_refs:
        if not floor.table_by_ref[ref].active:
            yield Refusal(
                reason=Reason.TABLE_INACTIVE, detail=f"Table {floor.table_by_ref[ref].name} is out of service."
            )
    if unit.seats < party:
        yield Refusal(reason=Reason.TOO_FEW_SEATS, detail=f"{names} seats {unit.seats}, the party is {party}.")
    elif unit.seats - party > rules.max_spare_seats:
        yield Refusal(
            reason=Reason.TOO_MANY_SPARE_SEATS,
            detail=f"{names} seats {unit.seats}: {unit.seats - party} more than the party of {party} needs, "
            f"and {rules.max_spare_seats} are allowed.",
        )
    if party < unit.min_party or unit.max_party < min(party, unit.seats):
        yield Refusal(
            reason=Reason.PARTY_OUTSIDE_TABLE_LIMITS,
            detail=f"{names} takes parties of {unit.min_party} to {unit.max_party}, not of {party}.",
        )
    if unit.table_count > rules.max_tables:
        yield Refusal(
            reason=Reason.TOO_MANY_TABLES,
            detail=f"{names} are {unit.table_count} tables; at most {rules.max_tables} may be joined.",
        )
    yield from _objections_to_place(floor, request, unit)


def _objections_to_place(floor: Floor, request: SeatingRequest, unit: Unit) -> Iterator[Refusal]:
    names = _named(floor, unit)
    zones = sorted({floor.table_by_ref[ref].zone_ref or "no zone" for ref in unit.table_refs})
    if len(zones) > 1:
        yield Refusal(reason=Reason.ZONES_DIFFER, detail=f"{names} are in different zones: {', '.join(zones)}.")
    elif not _may_be_joined(floor, unit):
        yield Refusal(reason=Reason.NOT_ADJACENT, detail=f"{names} do not stand next to each other.")
    strays = [ref for ref in unit.table_refs if floor.table_by_ref[ref].zone_ref != request.zone_ref]
    if request.zone_ref is not None and strays:
        yield Refusal(
            reason=Reason.WRONG_ZONE,
            detail=f"The party is to sit in zone {request.zone_ref}; {', '.join(strays)} is not.",
        )


def _may_be_joined(floor: Floor, unit: Unit) -> bool:
    if unit.table_count == 1 or any(join.table_refs == frozenset(unit.table_refs) for join in floor.joins):
        return True
    beside = neighbours(floor)
    # Tables out of service are objected to as such; here they stand next to nothing.
    bits = table_bits(floor)
    return all(bits[ref] in beside for ref in unit.table_refs) and is_connected(unit.mask, beside)


def _kind(unit: Unit) -> str:
    return "table" if unit.table_count == 1 else "join"


def _named(floor: Floor, unit: Unit) -> str:
    return " + ".join(floor.table_by_ref[ref].name for ref in unit.table_refs)
