"""Gates: rules over measurements that decide whether a stage may be left. Pure.

Each returns pass, fail or inconclusive. Inconclusive: too little data, or the confidence bounds lie on both sides of the
threshold. Only a pass opens a gate.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from rollout.policy.confidence import difference_bounds, share_bounds
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

    ``window`` and ``detail`` are phrases where they are built here; pages translate them.
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
    """Results of all gates to the next stage: the stage's own, and those of every promotion."""
    results = [
        ALWAYS["soak"](facts, stage.soak_hours),
        ALWAYS["integrity"](facts, 0),
        ALWAYS["flags"](facts, 0),
    ]
    if stage.decides:
        results.append(ALWAYS["seatings"](facts, 0))
    results += [GATES[gate](facts, threshold) for gate, threshold in stage.gates.items()]
    return tuple(results)


def _result(
    gate: str,
    facts: Facts,
    *,
    value: float | None,
    threshold: float,
    sample: int,
    passes: bool,
    fails: bool,
    detail: str,
    live: bool = False,
) -> GateResult:
    status = Status.INCONCLUSIVE
    if passes:
        status = Status.PASS
    elif fails:
        status = Status.FAIL
    since = facts.stage_since if live else facts.since
    return GateResult(
        gate=gate,
        status=status,
        value=value,
        threshold=threshold,
        sample=sample,
        window=_("%(since)s to %(until)s UTC", since=f"{since:%Y-%m-%d %H:%M}", until=f"{facts.now:%Y-%m-%d %H:%M}"),
        detail=detail,
    )


def _soak(facts: Facts, hours: float) -> GateResult:
    soaked = facts.soaked_hours
    return _result(
        "soak",
        facts,
        value=round(soaked, 2),
        threshold=hours,
        sample=1,
        passes=soaked >= hours,
        fails=False,
        detail=_(
            "at %(stage)s for %(soaked)s h of %(hours)s h",
            stage=facts.stage,
            soaked=f"{soaked:.1f}",
            hours=f"{hours:g}",
        ),
        live=True,
    )


def _integrity(facts: Facts, threshold: float) -> GateResult:
    untold = facts.seatings.untold
    found = facts.overlaps + facts.lost + untold
    return _result(
        "integrity",
        facts,
        value=found,
        threshold=threshold,
        sample=1,
        passes=found == 0,
        fails=found > 0,
        detail=_(
            "%(overlaps)s overlapping seatings, %(lost)s lost bookings, "
            "%(untold)s bookings with tables that the host was not told about (manage.py reconcile_assignments)",
            overlaps=facts.overlaps,
            lost=facts.lost,
            untold=untold,
        ),
    )


def _flags(facts: Facts, threshold: float) -> GateResult:
    return _result(
        "flags",
        facts,
        value=int(bool(facts.drift)),
        threshold=threshold,
        sample=1,
        passes=not facts.drift,
        fails=bool(facts.drift),
        detail=facts.drift or _("the flags match the stage"),
        live=True,
    )


def _seatings(facts: Facts, threshold: float) -> GateResult:
    seatings = facts.seatings
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(seatings.reasons.items()))
    counts = {"unsafe": seatings.unsafe, "checked": seatings.checked}
    if reasons:
        detail = _("%(unsafe)s of %(checked)s seatings break a rule of the floor: %(rules)s", **counts, rules=reasons)
    else:
        detail = _("%(unsafe)s of %(checked)s seatings break a rule of the floor", **counts)
    return _result(
        "seatings",
        facts,
        value=seatings.unsafe if seatings.checked else None,
        threshold=threshold,
        sample=seatings.checked,
        passes=seatings.checked > 0 and seatings.unsafe <= threshold,
        fails=seatings.unsafe > threshold,
        detail=detail,
        live=True,
    )


def _comparable(facts: Facts, threshold: float) -> GateResult:
    total = facts.comparisons.total
    return _result(
        "comparable",
        facts,
        value=total,
        threshold=threshold,
        sample=total,
        passes=total >= threshold,
        fails=False,
        detail=_("decisions compared, in shadow mode and in backtests"),
    )


def _counted(gate: str, verdict: Verdict, what: Text, *, waivable: bool) -> Callable[[Facts, float], GateResult]:
    def rule(facts: Facts, threshold: float) -> GateResult:
        comparisons = facts.comparisons
        counts = comparisons.not_waived if waivable else comparisons.verdicts
        found = counts.get(verdict, 0)
        covered = comparisons.verdicts.get(verdict, 0) - found
        return _result(
            gate,
            facts,
            value=found if comparisons.total else None,
            threshold=threshold,
            sample=comparisons.total,
            passes=comparisons.total > 0 and found <= threshold,
            fails=found > threshold,
            detail=_("%(what)s (%(count)s more are waived)", what=what, count=covered) if covered else what,
        )

    return rule


def _parity(facts: Facts, threshold: float) -> GateResult:
    """V3's share of the decisions in which one planner was better: a sign test, since most decisions are the same.

    It also passes if V3 is worse in at most NEGLIGIBLE of all decisions, by the upper bound: planners that hardly ever
    differ would never produce enough differences.
    """
    not_waived = facts.comparisons.not_waived
    gained = not_waived.get(Verdict.BETTER, 0) + not_waived.get(Verdict.ONLY_V3_SEATS, 0)
    lost = not_waived.get(Verdict.WORSE, 0) + not_waived.get(Verdict.ONLY_LEGACY_SEATS, 0)
    lower, upper = share_bounds(gained, gained + lost)
    _lower, worse = share_bounds(lost, max(lost, facts.comparisons.total))
    fails = gained + lost > 0 and upper < threshold
    return _result(
        "parity",
        facts,
        value=gained / (gained + lost) if gained + lost else None,
        threshold=threshold,
        sample=gained + lost,
        passes=not fails and (lower >= threshold or worse <= NEGLIGIBLE),
        fails=fails,
        detail=_(
            "V3 was better %(gained)s times and worse %(lost)s times; bounds %(lower)s to %(upper)s; "
            "worse in at most %(worse)s of all decisions",
            gained=gained,
            lost=lost,
            lower=f"{lower:.3f}",
            upper=f"{upper:.3f}",
            worse=f"{worse:.2%}",
        ),
    )


def _complete(facts: Facts, threshold: float) -> GateResult:
    """Share of decisions compared. A plain share without bounds: it covers every decision, not a sample."""
    comparisons = facts.comparisons
    share = min(1.0, comparisons.compared_live / comparisons.expected) if comparisons.expected else None
    return _result(
        "complete",
        facts,
        value=share,
        threshold=threshold,
        sample=comparisons.expected,
        passes=share is not None and share >= threshold,
        # Decisions still waiting may yet be compared; only missing ones make it fail.
        fails=share is not None
        and (comparisons.compared_live + comparisons.waiting) / comparisons.expected < threshold,
        detail=_(
            "%(compared)s of %(expected)s decisions compared, %(waiting)s waiting",
            compared=comparisons.compared_live,
            expected=comparisons.expected,
            waiting=comparisons.waiting,
        ),
        live=True,
    )


def _coverage(facts: Facts, threshold: float) -> GateResult:
    counts = {name: facts.coverage.get(name, 0) for name in COVERAGE}
    least = min(counts.values())
    return _result(
        "coverage",
        facts,
        value=least,
        threshold=threshold,
        sample=sum(counts.values()),
        passes=least >= threshold,
        fails=False,
        detail=_(
            "peak evenings %(peaks)s, large parties %(large)s, joins %(joins)s, edits %(edits)s, "
            "cancellations %(cancellations)s",
            **dict(zip(("peaks", "large", "joins", "edits", "cancellations"), counts.values(), strict=True)),
        ),
    )


def _noise(facts: Facts, threshold: float) -> GateResult:
    """Share of repeated decisions in which the legacy planner differs from itself."""
    asked = facts.comparisons.asked_twice
    differed = asked - facts.comparisons.repeated
    what = _("repeated decisions of the legacy planner differed")
    return _at_most("noise", facts, differed, asked, threshold, what)


def _waivers(facts: Facts, threshold: float) -> GateResult:
    expired = facts.waivers_expired
    return _result(
        "explanations",
        facts,
        value=expired,
        threshold=threshold,
        sample=facts.waivers_valid + expired,
        passes=expired <= threshold,
        fails=expired > threshold,
        detail=_("%(expired)s expired, %(valid)s valid", expired=expired, valid=facts.waivers_valid),
    )


def _errors(facts: Facts, threshold: float) -> GateResult:
    v3 = facts.v3
    what = _("attempts raised an unexpected error")
    return _at_most("errors", facts, v3.errors, v3.attempts, threshold, what, live=True)


def _review(facts: Facts, threshold: float) -> GateResult:
    v3 = facts.v3
    what = _("feasible bookings were sent to review")
    return _at_most("review", facts, v3.review, v3.feasible, threshold, what, live=True)


def _confirmed(facts: Facts, threshold: float) -> GateResult:
    v3 = facts.v3
    lower, upper = share_bounds(v3.confirmed, v3.feasible)
    return _result(
        "confirmed",
        facts,
        value=v3.confirmed / v3.feasible if v3.feasible else None,
        threshold=threshold,
        sample=v3.feasible,
        passes=v3.feasible > 0 and lower >= threshold,
        fails=v3.feasible > 0 and upper < threshold,
        detail=_(
            "%(confirmed)s of %(feasible)s feasible bookings confirmed; bounds %(lower)s to %(upper)s",
            confirmed=v3.confirmed,
            feasible=v3.feasible,
            lower=f"{lower:.3f}",
            upper=f"{upper:.3f}",
        ),
        live=True,
    )


def _no_worse(facts: Facts, margin: float) -> GateResult:
    """V3's seated share minus the legacy planner's, over all bookings, including infeasible ones."""
    v3 = facts.v3
    lower, upper = difference_bounds(v3.confirmed, v3.bookings, facts.reference_seated, facts.reference_bookings)
    known = v3.bookings > 0 and facts.reference_bookings > 0
    value = v3.confirmed / v3.bookings - facts.reference_seated / facts.reference_bookings if known else None
    return _result(
        "no_worse",
        facts,
        value=value,
        threshold=-margin,
        sample=min(v3.bookings, facts.reference_bookings),
        passes=known and lower >= -margin,
        fails=known and upper < -margin,
        detail=_(
            "V3 seated %(v3)s, control %(old)s (%(reference)s); difference %(lower)s to %(upper)s",
            v3=f"{v3.confirmed}/{v3.bookings}",
            old=f"{facts.reference_seated}/{facts.reference_bookings}",
            reference=facts.reference or _("no control data"),
            lower=f"{lower:+.3f}",
            upper=f"{upper:+.3f}",
        ),
        live=True,
    )


def _at_most(
    gate: str, facts: Facts, count: int, sample: int, threshold: float, what: Text, *, live: bool = False
) -> GateResult:
    """A share that passes if its upper bound is at most the threshold, and fails if its lower bound is above it."""
    lower, upper = share_bounds(count, sample)
    return _result(
        gate,
        facts,
        value=count / sample if sample else None,
        threshold=threshold,
        sample=sample,
        passes=sample > 0 and upper <= threshold,
        fails=sample > 0 and lower > threshold,
        detail=_(
            "%(count)s of %(sample)s %(what)s; bounds %(lower)s to %(upper)s",
            count=count,
            sample=sample,
            what=what,
            lower=f"{lower:.4f}",
            upper=f"{upper:.4f}",
        ),
        live=live,
    )


def _percentile(gate: str, take: Callable[[Facts], Percentile], *, live: bool) -> Callable[[Facts, float], GateResult]:
    def rule(facts: Facts, threshold: float) -> GateResult:
        measured = take(facts)
        lower = "?" if measured.lower is None else f"{measured.lower:.2f}"
        upper = "?" if measured.upper is None else f"{measured.upper:.2f}"
        return _result(
            gate,
            facts,
            value=measured.value,
            threshold=threshold,
            sample=measured.sample,
            passes=measured.upper is not None and measured.upper <= threshold,
            fails=measured.lower is not None and measured.lower > threshold,
            detail=_("planning time in ms; bounds %(lower)s to %(upper)s", lower=lower, upper=upper),
            live=live,
        )

    return rule


ALWAYS: Mapping[str, Callable[[Facts, float], GateResult]] = {
    "soak": _soak,
    "integrity": _integrity,
    "flags": _flags,
    "seatings": _seatings,
}
"""Gates of every promotion, regardless of the ladder."""

GATES: Mapping[str, Callable[[Facts, float], GateResult]] = {
    "comparable": _comparable,
    "unsafe": _counted("unsafe", Verdict.UNSAFE, _("unsafe decisions by V3"), waivable=False),
    "refused": _counted(
        "refused", Verdict.ONLY_LEGACY_SEATS, _("bookings that only the legacy planner seats"), waivable=True
    ),
    "candidate_errors": _counted("candidate_errors", Verdict.V3_ERROR, _("V3 errors"), waivable=False),
    "parity": _parity,
    "candidate_p95_ms": _percentile("candidate_p95_ms", lambda facts: facts.comparisons.p95, live=False),
    "candidate_p99_ms": _percentile("candidate_p99_ms", lambda facts: facts.comparisons.p99, live=False),
    "complete": _complete,
    "coverage": _coverage,
    "noise": _noise,
    "explanations": _waivers,
    "errors": _errors,
    "confirmed": _confirmed,
    "review": _review,
    "no_worse": _no_worse,
    "decision_p95_ms": _percentile("decision_p95_ms", lambda facts: facts.v3.p95, live=True),
    "decision_p99_ms": _percentile("decision_p99_ms", lambda facts: facts.v3.p99, live=True),
}
"""The gates that a stage can require, each with a threshold."""

AT_LEAST = frozenset({"soak", "comparable", "parity", "complete", "coverage", "confirmed", "no_worse"})
"""Gates with a minimum; all others have a maximum."""
