"""Gathering the values of a report: the promotion plan and its underlying data, all read at one moment.

Needs a constant number of queries besides those of ``steering.plan``; lists are limited to what people read.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from typing import Any

from django.db.models import Count, Max
from django.urls import NoReverseMatch, reverse

from assignments.concurrency.sql import dicts
from assignments.integration.planners import V3
from assignments.models import EveningOptimum
from assignments.planning.describe import describe
from assignments.planning.floor import Floor
from rollout import conf
from rollout.control import steering
from rollout.evidence.measuring import LATEST, one_moment
from rollout.evidence.sql import at_once
from rollout.flags import resolution
from rollout.models import Change, Comparison, ForcedPlanner, GuardRun, Position, Waiver
from rollout.policy import power
from rollout.policy.verdict import Verdict
from rollout.reporting.values import (
    ALIKE,
    BETTER,
    HARMFUL,
    WORSE,
    Choice,
    Day,
    Difference,
    GuardHistory,
    Optimum,
    Report,
    Slow,
    VerdictCount,
)
from rollout.shadow.serialization import UNREADABLE, decision_from_json, floor_from_json

DAYS = 60
SLOWEST = 10
DIFFERENCES_EACH = 3
"""Maximum shown of each verdict by which the planners differ."""
DIFFERENT = (*HARMFUL, *WORSE, *BETTER)
BREACHES = 20
CHANGES = 30
MAXIMUM_FORCED_PLANNERS = 50
WAIVERS = 50
OPTIMA = 30


def build() -> Report:
    """Return the current report of this environment. Writes nothing. Raises NotBegunError, UnknownStageError."""
    with one_moment() as now:
        plan = steering.plan()
        position, facts = plan.position, plan.facts
        releases = position.counted_for(facts.release)
        stages = conf.current_ladder().stages
        gates = next((each.gates for each in stages if each.key == position.stage), {})
        verdicts = at_once(
            {"per_day": _PER_DAY, "different": _DIFFERENT},
            common=f"WITH latest AS MATERIALIZED ({LATEST})",
            since=facts.since,
            releases=releases,
            verdicts=[each.value for each in DIFFERENT],
            each=DIFFERENCES_EACH,
        )
        per_day = [
            (date.fromisoformat(row["day"]), row["origin"], row["verdict"], row["found"]) for row in verdicts["per_day"]
        ]
        changes = Change.objects.filter(environment=position.environment).defer("evidence")
        return Report(
            made_at=now,
            plan=plan,
            flags=resolution.read(),
            ladder=stages,
            forced_planners=dict(
                ForcedPlanner.objects.values_list("restaurant_ref", "planner")[:MAXIMUM_FORCED_PLANNERS]
            ),
            verdicts=_verdicts(per_day, facts.comparisons.not_waived),
            days=_days(per_day),
            waivers=tuple(Waiver.objects.filter(withdrawn_at__isnull=True)[:WAIVERS]),
            slowest=_slowest(facts.since, max(facts.since, facts.stage_since), releases),
            differences=_differences([row["id"] for row in verdicts["different"]]),
            guard=_guard(position),
            changes=tuple(changes[:CHANGES]),
            restaurants=facts.comparisons.restaurants,
            optima=_optima(),
            powers=(*power.of_gates(gates), *power.of_rails(conf.guard_rails())),
        )


def _verdicts(per_day: Sequence[Any], not_waived: Mapping[str, int]) -> tuple[VerdictCount, ...]:
    counts = Counter[tuple[str, str]]()
    for _day, origin, verdict, count in per_day:
        counts[origin, verdict] += count
    return tuple(
        VerdictCount(
            verdict=verdict.value,
            shadow=counts[Comparison.Origin.SHADOW, verdict],
            backtest=counts[Comparison.Origin.BACKTEST, verdict],
            not_waived=not_waived.get(verdict, 0),
        )
        for verdict in Verdict
    )


def _days(per_day: Sequence[Any]) -> tuple[Day, ...]:
    counts: dict[date, Counter[str]] = {}
    kinds = {"alike": ALIKE, "better": BETTER, "worse": WORSE, "harmful": HARMFUL}
    kind_of = {verdict.value: kind for kind, verdicts in kinds.items() for verdict in verdicts}
    for day, _origin, verdict, count in per_day:
        counts.setdefault(day, Counter())[kind_of[verdict]] += count
    return tuple(Day(day=day, **counts[day]) for day in sorted(counts)[-DAYS:])


def _optima() -> tuple[Optimum, ...]:
    """Return the latest evenings that the optimizer has examined, in the order of their dates."""
    columns = [each.name for each in fields(Optimum)]
    latest = EveningOptimum.objects.order_by("-service_date", "restaurant_ref").values(*columns)[:OPTIMA]
    found = [Optimum(**row) for row in latest]
    return tuple(sorted(found, key=lambda each: (each.service_date, each.restaurant_ref)))


def _slowest(since: datetime, live_since: datetime, releases: Sequence[str]) -> tuple[Slow, ...]:
    found = dicts(_SLOWEST, since=since, live_since=live_since, planner=V3, limit=SLOWEST, releases=releases)
    return tuple(Slow(**row) for row in found)


def _differences(wanted: Sequence[int]) -> tuple[Difference, ...]:
    order = {pk: place for place, pk in enumerate(wanted)}
    floors: dict[str, Floor | None] = {}
    comparisons = Comparison.objects.filter(pk__in=order).select_related("floor").defer("snapshot")
    return tuple(_difference(each, floors) for each in sorted(comparisons, key=lambda each: order[each.pk]))


def _difference(comparison: Comparison, floors: dict[str, Floor | None]) -> Difference:
    version = comparison.floor_id
    if version not in floors:
        try:
            floors[version] = floor_from_json(comparison.floor.content)
        except UNREADABLE:
            floors[version] = None  # Stored by another version: tables are shown by their refs.
    return Difference(
        comparison=comparison.pk,
        booking_ref=comparison.booking_ref,
        restaurant_ref=comparison.restaurant_ref,
        party=comparison.party,
        starts_at=comparison.starts_at,
        verdict=comparison.verdict,
        origin=comparison.origin,
        legacy=_choice(comparison.control, floors[version]),
        v3=_choice(comparison.candidate, floors[version])
        if comparison.candidate
        else Choice(why=f"No decision: {comparison.error or 'it was not stored'}."),
        admin_path=_admin_path(comparison),
    )


def _choice(stored: Mapping[str, Any], floor: Floor | None) -> Choice:
    try:
        decision = decision_from_json(stored)
        best = decision.best
        if best is None:
            return Choice(why=decision.refusal.detail if decision.refusal else "")
        known = floor.table_by_ref if floor else {}
        refs = floor.in_order(best.table_refs) if floor else best.table_refs
        return Choice(
            why=describe(decision.to_json(), floor) if floor else "The floor plan of this decision cannot be read.",
            tables=tuple(known[ref].name if ref in known else ref for ref in refs),
            seats=int(best.seats),
            spare_seats=int(best.spare_seats),
            blocked_from=decision.window.blocked_from if decision.window else None,
            blocked_until=decision.window.blocked_until if decision.window else None,
            score=float(best.score),
            breakdown={str(name): float(share) for name, share in best.breakdown.items()},
        )
    except UNREADABLE as error:
        return Choice(why=f"This decision cannot be read: {type(error).__name__}.")


def _admin_path(comparison: Comparison) -> str:
    try:
        return reverse("admin:rollout_comparison_change", args=[comparison.pk])
    except NoReverseMatch:
        return ""


def _guard(position: Position) -> GuardHistory:
    runs = GuardRun.objects.filter(environment=position.environment)
    looks = runs.filter(at__gte=position.since).aggregate(count=Count("pk"), last=Max("at"))
    breached = runs.exclude(breaches=[]).defer("measured")
    return GuardHistory(looks=looks["count"], last=looks["last"], breached=tuple(breached[:BREACHES]))


_PER_DAY = """
SELECT (recorded_at AT TIME ZONE 'UTC')::date AS day, origin, verdict, count(*) AS found
  FROM latest
 GROUP BY 1, 2, 3
"""

_SLOWEST = """
SELECT * FROM (
    (SELECT booking_ref, restaurant_ref, party, starts_at, candidate_ms AS milliseconds, origin AS "where",
            verdict AS outcome
       FROM rollout_comparison
      WHERE recorded_at >= %(since)s AND verdict <> '' AND candidate_ms > 0 AND release = ANY(%(releases)s)
      ORDER BY candidate_ms DESC, id LIMIT %(limit)s)
     UNION ALL
    (SELECT tried.booking_ref, assignment.restaurant_ref, assignment.party, assignment.starts_at, tried.decision_ms,
            'live', concat_ws(': ', tried.outcome, nullif(tried.reason, ''))
       FROM assignments_attempt AS tried
       JOIN assignments_assignment AS assignment ON assignment.id = tried.assignment_id
      WHERE tried.at >= %(live_since)s AND tried.planner = %(planner)s AND tried.decision_ms > 0
        AND tried.release = ANY(%(releases)s)
      ORDER BY tried.decision_ms DESC, tried.id LIMIT %(limit)s)) AS slow
 ORDER BY milliseconds DESC, booking_ref
 LIMIT %(limit)s
"""

# The size of a difference: by seats kept empty, then by tables. A planner's own values are not trusted to be numbers.
_DIFFERENT = """
SELECT id
  FROM (SELECT latest.id, array_position(%(verdicts)s::text[], latest.verdict) AS place,
               row_number() OVER (PARTITION BY latest.verdict
                                      ORDER BY abs(seats.control - seats.candidate) DESC,
                                               abs(tables.control - tables.candidate) DESC,
                                               whole.party DESC, latest.id DESC) AS number
          FROM latest
          JOIN rollout_comparison AS whole ON whole.id = latest.id AND latest.verdict = ANY(%(verdicts)s)
         CROSS JOIN LATERAL (
               SELECT CASE jsonb_typeof(whole.control #> '{plans,0,spare_seats}')
                      WHEN 'number' THEN (whole.control #>> '{plans,0,spare_seats}')::numeric ELSE 0 END AS control,
                      CASE jsonb_typeof(whole.candidate #> '{plans,0,spare_seats}')
                      WHEN 'number' THEN (whole.candidate #>> '{plans,0,spare_seats}')::numeric ELSE 0 END AS candidate
               ) AS seats
         CROSS JOIN LATERAL (
               SELECT CASE jsonb_typeof(whole.control #> '{plans,0,table_refs}')
                      WHEN 'array' THEN jsonb_array_length(whole.control #> '{plans,0,table_refs}')
                      ELSE 0 END AS control,
                      CASE jsonb_typeof(whole.candidate #> '{plans,0,table_refs}')
                      WHEN 'array' THEN jsonb_array_length(whole.candidate #> '{plans,0,table_refs}')
                      ELSE 0 END AS candidate) AS tables) AS ranked
 WHERE number <= %(each)s
 ORDER BY place, number
"""
