"""Gates: rules on measurements that decide whether a stage may be left. They do no I/O.

Each returns pass, fail or inconclusive. Inconclusive: too little data, or the confidence bounds lie on both sides of
the threshold. Only a pass opens a gate. The bounds hold over all looks together (``confidence``), so that repeated
looking does not open a gate that should stay closed.

Long because every gate is here, beside the others that share its bounds.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from rollout.policy.confidence import ERROR, MINIMUM, difference_bounds, is_above, is_below, rate_bounds
from rollout.policy.ladder import Stage
from rollout.policy.measurements import COVERAGE, Facts, Percentile
from rollout.policy.verdict import Verdict

NEGLIGIBLE = 0.01
"""Maximum share of all decisions in which V3 may be worse without having to be better elsewhere."""


class Status(StrEnum):
    PASS = _("pass")
    FAIL = _("fail")
    INCONCLUSIVE = _("inconclusive")


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """Result of one gate. ``value`` is None without data; ``sample`` and ``window`` describe the data.

    ``window`` and ``detail`` are translatable texts if they are made here; pages translate them.
    """

    gate: str
    status: Status
    value: float | None
    threshold: float
    sample: int
    window: str
    detail: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def evaluate(stage: Stage, facts: Facts) -> tuple[GateResult, ...]:
    """Return the results of all gates to the next stage: the stage's own, and those of every promotion."""
    results = [
        ALWAYS["soak"](facts, stage.soak_hours),
        ALWAYS["integrity"](facts, 0),
        ALWAYS["flags"](facts, 0),
    ]
    if stage.decides:
        results.append(ALWAYS["seatings"](facts, 0))
    results += [GATES[gate](facts, threshold) for gate, threshold in stage.gates.items()]
    return tuple(results)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A rule's reading of the measurements. ``threshold``: set if it differs from the given one.

    A reading that neither passes nor fails is inconclusive.
    """

    value: float | None
    passes: bool
    detail: str
    fails: bool = False
    sample: int = 1
    threshold: float | None = None

    def result(self, gate: str, threshold: float, window: str) -> GateResult:
        """Return the gate's result."""
        status = Status.INCONCLUSIVE
        if self.passes:
            status = Status.PASS
        elif self.fails:
            status = Status.FAIL
        return GateResult(
            gate=gate,
            status=status,
            value=self.value,
            threshold=threshold if self.threshold is None else self.threshold,
            sample=self.sample,
            window=window,
            detail=self.detail,
        )


NOT_COMPARED = _("no decision has been compared")
NO_DAY = _("no day has been compared")
NO_SEATING = _("no seating has been checked")
NOTHING_FEASIBLE = _("V3 has decided no feasible booking")

Measure = Callable[[Facts, float], Reading]
Gate = Callable[[Facts, float], GateResult]


def _gates(measures: Mapping[str, Measure]) -> Mapping[str, Gate]:
    """Return the gates with these measures, by name."""
    return {name: _gate(name, measure) for name, measure in measures.items()}


def _gate(name: str, measure: Measure) -> Gate:
    def gate(facts: Facts, threshold: float) -> GateResult:
        since = facts.stage_since if name in LIVE else facts.since
        window = _("%(since)s to %(until)s UTC", since=f"{since:%Y-%m-%d %H:%M}", until=f"{facts.now:%Y-%m-%d %H:%M}")
        return measure(facts, threshold).result(name, threshold, window)

    return gate


def _soak(facts: Facts, hours: float) -> Reading:
    soaked = facts.soaked_hours
    return Reading(
        value=round(soaked, 2),
        passes=soaked >= hours,
        detail=_(
            "in stage %(stage)s for %(soaked)s of %(hours)s h",
            stage=facts.stage,
            soaked=f"{soaked:.1f}",
            hours=f"{hours:g}",
        ),
    )


def _integrity(facts: Facts, threshold: float) -> Reading:
    untold = facts.seatings.untold
    detail = _(
        "%(overlaps)s overlapping seatings, %(lost)s lost bookings, "
        "%(untold)s bookings with tables that the host was not told about (manage.py reconcile_assignments)",
        overlaps=facts.overlaps,
        lost=facts.lost,
        untold=untold,
    )
    return _no_more(facts.overlaps + facts.lost + untold, 1, threshold, detail)


def _flags(facts: Facts, threshold: float) -> Reading:
    return _no_more(int(bool(facts.drift)), 1, threshold, facts.drift or _("the flags match the stage"))


def _no_more(count: int, sample: int, threshold: float, detail: str, *, without: str = "") -> Reading:
    """Read a count of cases against a maximum. It needs no bounds, because the count is exact once there is a sample.

    ``without``: the detail while there is no sample.
    """
    return Reading(
        value=count if sample else None,
        sample=sample,
        passes=sample > 0 and count <= threshold,
        fails=count > threshold,
        detail=detail if sample or not without else without,
    )


def _seatings(facts: Facts, threshold: float) -> Reading:
    """Read the findings of both audits: that of the current ledger, and that of each decision by V3's input."""
    found = (facts.seatings, facts.stage_seatings, facts.unsettled)
    seatings = max(found, key=lambda each: (each.unsafe, each.checked))
    checked = max(seatings.checked, seatings.unsafe)
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(seatings.reasons.items()))
    counts = {"unsafe": seatings.unsafe, "checked": checked}
    if reasons:
        detail = _("%(unsafe)s of %(checked)s seatings break a rule of the floor: %(rules)s", **counts, rules=reasons)
    else:
        detail = _("%(unsafe)s of %(checked)s seatings break a rule of the floor", **counts)
    if not checked:
        detail = NO_SEATING
    unjudged = facts.stage_seatings.unjudged
    if not facts.is_judged:
        detail = _("%(found)s; the audits of %(unjudged)s decisions failed", found=detail, unjudged=unjudged)
    if facts.unaudited:
        detail = _("%(found)s; %(waiting)s decisions wait for their audit", found=detail, waiting=facts.unaudited)
    reading = _no_more(seatings.unsafe, checked, threshold, detail)
    return replace(reading, passes=reading.passes and facts.is_judged and not facts.unaudited)


def _comparable(facts: Facts, threshold: float) -> Reading:
    total, others = facts.comparisons.total, facts.comparisons.others
    detail = _("decisions compared since evidence began to count, in shadow mode and in backtests")
    if others:
        detail = _(
            "decisions compared since evidence began to count, in shadow mode and in backtests; "
            "%(others)s more belong to other releases",
            others=others,
        )
    return Reading(
        value=total,
        sample=total,
        passes=total >= threshold,
        detail=detail,
    )


def _counted(verdict: Verdict, what: Text, *, waivable: bool) -> Measure:
    def rule(facts: Facts, threshold: float) -> Reading:
        comparisons = facts.comparisons
        counts = comparisons.not_waived if waivable else comparisons.verdicts
        found = counts.get(verdict, 0)
        covered = comparisons.verdicts.get(verdict, 0) - found
        detail = _("%(what)s (%(count)s more are waived)", what=what, count=covered) if covered else what
        return _no_more(found, comparisons.total, threshold, detail, without=NOT_COMPARED)

    return rule


def _enough(sample: int) -> bool:
    return sample >= MINIMUM


def _parity(facts: Facts, threshold: float) -> Reading:
    """Read V3's share of the decisions in which one planner was better: a sign test, since most decisions are the same.

    It also passes if, by the upper bound, V3 is worse in at most NEGLIGIBLE of the feasible decisions, waived or not,
    because planners that hardly ever differ would never produce enough differences. Bookings that neither planner could
    seat do not count. It fails if V3 is proven to be worse at any one restaurant, however good it is at the others.
    """
    not_waived = facts.comparisons.not_waived
    gained = not_waived.get(Verdict.BETTER, 0) + not_waived.get(Verdict.ONLY_V3_SEATS, 0)
    lost = not_waived.get(Verdict.WORSE, 0) + not_waived.get(Verdict.ONLY_LEGACY_SEATS, 0)
    verdicts = facts.comparisons.verdicts
    refused = verdicts.get(Verdict.BOTH_REFUSE, 0)
    lost_in_all = max(lost, verdicts.get(Verdict.WORSE, 0) + verdicts.get(Verdict.ONLY_LEGACY_SEATS, 0))
    differ, total = gained + lost, max(lost_in_all, facts.comparisons.total - refused)
    lower, upper = rate_bounds(gained, differ)
    _lower, worse = rate_bounds(lost_in_all, total)
    worse_at = _worse_at(facts, threshold)
    if not total:
        detail = _("no feasible decision has been compared")
    elif not differ:
        detail = _(
            "neither planner was better in %(total)s feasible decisions; V3 is worse in at most %(worse)s of them",
            total=total,
            worse=f"{worse:.2%}",
        )
    else:
        detail = _(
            "V3 was better %(gained)s times and worse %(lost)s times; bounds %(lower)s to %(upper)s; "
            "worse in at most %(worse)s of the feasible decisions; proven to be worse at %(restaurants)s restaurants",
            gained=gained,
            lost=lost,
            lower=f"{lower:.3f}",
            upper=f"{upper:.3f}",
            worse=f"{worse:.2%}",
            restaurants=len(worse_at),
        )
    fails = bool(worse_at) or (_enough(differ) and is_below(gained, differ, threshold))
    return Reading(
        value=gained / differ if differ else None,
        sample=differ,
        passes=not fails
        and (
            (_enough(differ) and is_above(gained, differ, threshold))
            or (_enough(total) and is_below(lost_in_all, total, NEGLIGIBLE))
        ),
        fails=fails,
        detail=detail,
    )


def _worse_at(facts: Facts, threshold: float) -> list[str]:
    """Return the restaurants at which V3 is proven to be worse. They share the error of one bound."""
    error = ERROR / max(1, facts.comparisons.restaurants)
    return [
        ref
        for ref, (gained, lost) in sorted(facts.comparisons.differing.items())
        if _enough(gained + lost) and is_below(gained, gained + lost, threshold, error=error)
    ]


def _restaurants(facts: Facts, threshold: float) -> Reading:
    """Read the number of restaurants compared. At most as many are required as have bookings."""
    comparisons = facts.comparisons
    required = min(threshold, comparisons.with_bookings or threshold)
    return Reading(
        value=comparisons.restaurants,
        sample=comparisons.total,
        threshold=required,
        passes=comparisons.total > 0 and comparisons.restaurants >= required,
        detail=_(
            "restaurants with compared decisions; %(bookings)s restaurants have bookings",
            bookings=comparisons.with_bookings,
        ),
    )


def _largest_share(facts: Facts, threshold: float) -> Reading:
    """Read the largest restaurant's share of all comparisons. Twice an even share is always allowed."""
    comparisons = facts.comparisons
    allowed = max(threshold, min(1.0, 2 / (comparisons.with_bookings or math.inf)))
    share = comparisons.largest / comparisons.total if comparisons.total else None
    return Reading(
        value=share,
        sample=comparisons.total,
        threshold=allowed,
        passes=share is not None and share <= allowed,
        detail=_(
            "%(largest)s of %(total)s decisions compared are the largest restaurant's",
            largest=comparisons.largest,
            total=comparisons.total,
        )
        if comparisons.total
        else NOT_COMPARED,
    )


def _days_unsafe(facts: Facts, threshold: float) -> Reading:
    days = facts.days
    detail = _(
        "%(unsafe)s of %(days)s days with unsafe seatings when V3 plans the whole day, %(errors)s without its answer",
        unsafe=days.unsafe,
        days=days.compared,
        errors=days.errors,
    )
    return _no_more(days.unsafe + days.errors, days.compared, threshold, detail, without=NO_DAY)


def _days_refused(facts: Facts, threshold: float) -> Reading:
    detail = _("bookings that V3 refuses when it plans the whole day, although tables are free")
    return _no_more(facts.days.refused, facts.days.compared, threshold, detail, without=NO_DAY)


def _days_worse(facts: Facts, threshold: float) -> Reading:
    """Read the share of worse days in the days on which one planner seats more: a sign test, as for ``parity``.

    It also passes if there are enough days and none is worse, because similar planners never differ often enough.
    """
    days = facts.days
    differ = days.better + days.worse
    lower, upper = rate_bounds(days.worse, differ)
    seated = {"days": days.paired, "v3": days.seated, "old": days.control_seated}
    if not days.paired:
        detail = NO_DAY
    elif not differ:
        detail = _(
            "both planners seat as many on each of %(days)s days; in all V3 seats %(v3)s, the legacy planner %(old)s",
            **seated,
        )
    else:
        detail = _(
            "V3 seats fewer on %(worse)s days and more on %(better)s of %(days)s days; bounds %(lower)s to %(upper)s; "
            "in all it seats %(v3)s, the legacy planner %(old)s",
            worse=days.worse,
            better=days.better,
            lower=f"{lower:.3f}",
            upper=f"{upper:.3f}",
            **seated,
        )
    return Reading(
        value=days.worse / differ if differ else None,
        sample=differ or days.paired,
        passes=_enough(days.paired)
        and (not days.worse or (_enough(differ) and is_below(days.worse, differ, threshold))),
        fails=_enough(differ) and is_above(days.worse, differ, threshold),
        detail=detail,
    )


def _complete(facts: Facts, threshold: float) -> Reading:
    """Read the share of decisions compared. It has no bounds, because it covers every decision, not a sample."""
    comparisons = facts.comparisons
    share = min(1.0, comparisons.compared_live / comparisons.expected) if comparisons.expected else None
    return Reading(
        value=share,
        sample=comparisons.expected,
        passes=share is not None and share >= threshold,
        # Waiting decisions may still be compared; only missing ones make it fail.
        fails=share is not None
        and (comparisons.compared_live + comparisons.waiting) / comparisons.expected < threshold,
        detail=_(
            "%(compared)s of %(expected)s decisions compared, %(waiting)s waiting",
            compared=comparisons.compared_live,
            expected=comparisons.expected,
            waiting=comparisons.waiting,
        )
        if comparisons.expected
        else _("the legacy planner has decided nothing since this stage began"),
    )


def _coverage(facts: Facts, threshold: float) -> Reading:
    counts = {name: facts.coverage.get(name, 0) for name in COVERAGE}
    least = min(counts.values())
    return Reading(
        value=least,
        sample=sum(counts.values()),
        passes=least >= threshold,
        detail=_(
            "peak evenings %(peaks)s, large parties %(large)s, joins %(joins)s, edits %(edits)s, "
            "cancellations %(cancellations)s",
            **dict(zip(("peaks", "large", "joins", "edits", "cancellations"), counts.values(), strict=True)),
        ),
    )


def _differed(facts: Facts) -> tuple[int, int]:
    """Return how many repeated decisions of the legacy planner differ from the first, and how many were repeated."""
    asked = facts.comparisons.asked_twice
    return asked - facts.comparisons.repeated, asked


def _waivers(facts: Facts, threshold: float) -> Reading:
    expired, comparisons = facts.waivers_expired, facts.comparisons
    counts = {"expired": expired, "valid": facts.waivers_valid}
    detail = _("%(expired)s expired, %(valid)s valid", **counts)
    if comparisons.waived:
        detail = _(
            "%(expired)s expired, %(valid)s valid; %(waived)s comparisons are waived, and %(over)s more would be, "
            "but all waivers together cover at most %(ceiling)s",
            **counts,
            waived=comparisons.waived,
            over=comparisons.over_ceiling,
            ceiling=comparisons.ceiling,
        )
    return Reading(
        value=expired,
        sample=facts.waivers_valid + expired,
        passes=expired <= threshold,
        fails=expired > threshold,
        detail=detail,
    )


def _confirmed(facts: Facts, threshold: float) -> Reading:
    v3 = facts.v3
    lower, upper = rate_bounds(v3.confirmed, v3.feasible)
    return Reading(
        value=v3.confirmed / v3.feasible if v3.feasible else None,
        sample=v3.feasible,
        passes=_enough(v3.feasible) and is_above(v3.confirmed, v3.feasible, threshold),
        fails=_enough(v3.feasible) and is_below(v3.confirmed, v3.feasible, threshold),
        detail=_(
            "%(confirmed)s of %(feasible)s feasible bookings confirmed; bounds %(lower)s to %(upper)s",
            confirmed=v3.confirmed,
            feasible=v3.feasible,
            lower=f"{lower:.3f}",
            upper=f"{upper:.3f}",
        )
        if v3.feasible
        else NOTHING_FEASIBLE,
    )


def _no_worse(facts: Facts, margin: float) -> Reading:
    """Read V3's seated share of its feasible bookings minus the legacy planner's share of its own.

    Infeasible bookings do not count, because V3's restaurants may be fuller or emptier than the others.
    """
    v3 = facts.v3
    lower, upper = difference_bounds(v3.confirmed, v3.feasible, facts.reference_seated, facts.reference_feasible)
    known = _enough(v3.feasible) and _enough(facts.reference_feasible)
    has_both = v3.feasible > 0 and facts.reference_feasible > 0
    if has_both:
        detail = _(
            "V3 seated %(v3)s, control %(old)s (%(reference)s); difference %(lower)s to %(upper)s",
            v3=f"{v3.confirmed}/{v3.feasible}",
            old=f"{facts.reference_seated}/{facts.reference_feasible}",
            reference=facts.reference or _("no control data"),
            lower=f"{lower:+.3f}",
            upper=f"{upper:+.3f}",
        )
    elif v3.feasible:
        detail = _("there is no feasible booking of the legacy planner to compare with")
    else:
        detail = NOTHING_FEASIBLE
    value = v3.confirmed / v3.feasible - facts.reference_seated / facts.reference_feasible if has_both else None
    return Reading(
        value=value,
        threshold=-margin,
        sample=min(v3.feasible, facts.reference_feasible),
        passes=known and lower >= -margin,
        fails=known and upper < -margin,
        detail=detail,
    )


def _share(take: Callable[[Facts], tuple[int, int]], what: Text, *, without: Text) -> Measure:
    """Return a measure of a share: it passes up to the threshold, by its upper bound, and fails above it, by the lower.

    ``without``: the detail while there is no sample.
    """

    def rule(facts: Facts, threshold: float) -> Reading:
        count, sample = take(facts)
        lower, upper = rate_bounds(count, sample)
        return Reading(
            value=count / sample if sample else None,
            sample=sample,
            passes=_enough(sample) and is_below(count, sample, threshold),
            fails=_enough(sample) and is_above(count, sample, threshold),
            detail=_(
                "%(count)s of %(sample)s %(what)s; bounds %(lower)s to %(upper)s",
                count=count,
                sample=sample,
                what=what,
                lower=f"{lower:.4f}",
                upper=f"{upper:.4f}",
            )
            if sample
            else without,
        )

    return rule


def _percentile(take: Callable[[Facts], Percentile]) -> Measure:
    def rule(facts: Facts, threshold: float) -> Reading:
        measured = take(facts)
        lower = "" if measured.lower is None else f"{measured.lower:.2f}"
        upper = "" if measured.upper is None else f"{measured.upper:.2f}"
        if measured.value is None:
            detail = _("no planning time has been measured")
        elif lower and upper:
            detail = _("planning time in ms; bounds %(lower)s to %(upper)s", lower=lower, upper=upper)
        elif lower:
            detail = _("planning time in ms; at least %(lower)s, no upper bound yet", lower=lower)
        elif upper:
            detail = _("planning time in ms; at most %(upper)s, no lower bound yet", upper=upper)
        else:
            detail = _("planning time in ms; no bounds yet")
        return Reading(
            value=measured.value,
            sample=measured.sample,
            passes=measured.upper is not None and measured.upper <= threshold,
            fails=measured.lower is not None and measured.lower > threshold,
            detail=detail,
        )

    return rule


ALWAYS: Mapping[str, Gate] = _gates({"soak": _soak, "integrity": _integrity, "flags": _flags, "seatings": _seatings})
"""Gates of every promotion, regardless of the ladder."""

GATES: Mapping[str, Gate] = _gates(
    {
        "comparable": _comparable,
        "restaurants": _restaurants,
        "largest_share": _largest_share,
        "unsafe": _counted(Verdict.UNSAFE, _("unsafe decisions by V3"), waivable=False),
        "refused": _counted(Verdict.ONLY_LEGACY_SEATS, _("bookings that only the legacy planner seats"), waivable=True),
        "candidate_errors": _counted(Verdict.V3_ERROR, _("V3 errors"), waivable=False),
        "parity": _parity,
        "days_unsafe": _days_unsafe,
        "days_refused": _days_refused,
        "days_worse": _days_worse,
        "candidate_p95_ms": _percentile(lambda facts: facts.comparisons.p95),
        "candidate_p99_ms": _percentile(lambda facts: facts.comparisons.p99),
        "complete": _complete,
        "coverage": _coverage,
        "noise": _share(
            _differed,
            _("repeated decisions of the legacy planner differed"),
            without=_("no decision of the legacy planner has been repeated"),
        ),
        "explanations": _waivers,
        "errors": _share(
            lambda facts: (facts.v3.errors, facts.v3.attempts),
            _("attempts raised an unexpected error"),
            without=_("V3 has not tried to seat any booking"),
        ),
        "confirmed": _confirmed,
        "review": _share(
            lambda facts: (facts.v3.review, facts.v3.feasible),
            _("feasible bookings were sent to review"),
            without=NOTHING_FEASIBLE,
        ),
        "no_worse": _no_worse,
        "decision_p95_ms": _percentile(lambda facts: facts.v3.p95),
        "decision_p99_ms": _percentile(lambda facts: facts.v3.p99),
    }
)
"""The gates that a stage can require, each with a threshold."""

LIVE = frozenset(
    {
        "soak",
        "flags",
        "seatings",
        "complete",
        "errors",
        "confirmed",
        "review",
        "no_worse",
        "decision_p95_ms",
        "decision_p99_ms",
    }
)
"""Gates that look at the time since the stage began, and at nothing before."""

AT_LEAST = frozenset({"soak", "comparable", "restaurants", "parity", "complete", "coverage", "confirmed", "no_worse"})
"""Gates with a minimum; all others have a maximum."""
