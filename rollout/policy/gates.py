"""Gates: rules over what was measured that decide whether a stage may be left. Pure.

Each gives pass, fail or inconclusive. Inconclusive means that nothing can be said yet: too little was seen, or the
confidence bounds lie on both sides of the threshold. Only pass opens a gate.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from rollout.policy.confidence import difference_bounds, share_bounds
from rollout.policy.ladder import Stage
from rollout.policy.measurements import COVERAGE, Facts, Percentile
from rollout.policy.verdict import Verdict

NEGLIGIBLE = 0.01
"""The share of all decisions in which V3 may be worse without anybody having to prove that it is better elsewhere."""


class Status(StrEnum):
    PASS = _("pass")
    FAIL = _("fail")
    INCONCLUSIVE = _("inconclusive")


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """What one gate says. ``value`` is None when nothing was seen; ``sample`` and ``window`` say on what it rests.

    ``window`` and ``detail`` are texts, as far as they come from here: pages show them in the user's language.
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
    """What stands between this stage and the next: its own gates, and those that stand before every step up."""
    results = [
        ALWAYS["soak"](facts, stage.soak_hours),
        ALWAYS["integrity"](facts, 0),
        ALWAYS["flags"](facts, 0),
    ]
    if stage.decides:
        results.append(ALWAYS["seatings"](facts, 0))
    results += [GATES[gate](facts, threshold) for gate, threshold in stage.gates.items()]
    return tuple(results)


@dataclass(frozen=True, slots=True)
class _Found:
    """What a gate's rule found. ``threshold``: where it is another than the one that was given."""

    value: float | None
    sample: int
    detail: str
    passes: bool
    fails: bool = False
    threshold: float | None = None


_Rule = Callable[[Facts, float], _Found]


def _gates(rules: Mapping[str, _Rule]) -> dict[str, Callable[[Facts, float], GateResult]]:
    """Functions that give the results of these rules."""
    return {name: partial(_result, name, rule) for name, rule in rules.items()}


def _result(gate: str, rule: _Rule, facts: Facts, threshold: float) -> GateResult:
    found = rule(facts, threshold)
    since = facts.stage_since if gate in LIVE else facts.since
    return GateResult(
        gate=gate,
        status=Status.PASS if found.passes else Status.FAIL if found.fails else Status.INCONCLUSIVE,
        value=found.value,
        threshold=threshold if found.threshold is None else found.threshold,
        sample=found.sample,
        window=_("%(since)s to %(until)s UTC", since=f"{since:%Y-%m-%d %H:%M}", until=f"{facts.now:%Y-%m-%d %H:%M}"),
        detail=found.detail,
    )


def _soak(facts: Facts, hours: float) -> _Found:
    soaked = facts.soaked_hours
    values = {"stage": facts.stage, "soaked": f"{soaked:.1f}", "hours": f"{hours:g}"}
    detail = _("at %(stage)s for %(soaked)s h of %(hours)s h", **values)
    return _Found(round(soaked, 2), 1, detail, passes=soaked >= hours)


def _integrity(facts: Facts, threshold: float) -> _Found:
    values = {"overlaps": facts.overlaps, "lost": facts.lost, "untold": facts.seatings.untold}
    detail = _(
        "%(overlaps)s overlapping seatings, %(lost)s lost bookings, "
        "%(untold)s bookings with tables that the host was not told about (manage.py reconcile_assignments)",
        **values,
    )
    return _count(sum(values.values()), 1, threshold, detail)


def _flags(facts: Facts, threshold: float) -> _Found:
    return _count(int(bool(facts.drift)), 1, threshold, facts.drift or _("the flags match the stage"))


def _seatings(facts: Facts, threshold: float) -> _Found:
    seatings = facts.seatings
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(seatings.reasons.items()))
    counts = {"unsafe": seatings.unsafe, "checked": seatings.checked}
    if reasons:
        detail = _("%(unsafe)s of %(checked)s seatings break a rule of the floor: %(rules)s", **counts, rules=reasons)
    else:
        detail = _("%(unsafe)s of %(checked)s seatings break a rule of the floor", **counts)
    return _count(seatings.unsafe, seatings.checked, threshold, detail)


def _comparable(facts: Facts, threshold: float) -> _Found:
    total = facts.comparisons.total
    return _Found(total, total, _("decisions compared, in shadow mode and in backtests"), passes=total >= threshold)


def _counted(verdict: Verdict, what: Text, *, waivable: bool) -> _Rule:
    def rule(facts: Facts, threshold: float) -> _Found:
        comparisons = facts.comparisons
        counts = comparisons.not_waived if waivable else comparisons.verdicts
        found = counts.get(verdict, 0)
        covered = comparisons.verdicts.get(verdict, 0) - found
        detail = _("%(what)s (%(count)s more are waived)", what=what, count=covered) if covered else what
        return _count(found, comparisons.total, threshold, detail)

    return rule


def _parity(facts: Facts, threshold: float) -> _Found:
    """V3's share of the decisions in which one planner did better: a sign test, since most decisions are the same.

    It also passes when V3 is surely worse in no more than NEGLIGIBLE of all decisions: of two planners that hardly ever
    differ, too few differences would be seen to ever prove anything.
    """
    not_waived = facts.comparisons.not_waived
    gained = not_waived.get(Verdict.BETTER, 0) + not_waived.get(Verdict.ONLY_V3_SEATS, 0)
    lost = not_waived.get(Verdict.WORSE, 0) + not_waived.get(Verdict.ONLY_LEGACY_SEATS, 0)
    lower, upper = share_bounds(gained, gained + lost)
    _lower, worse = share_bounds(lost, max(lost, facts.comparisons.total))
    fails = gained + lost > 0 and upper < threshold
    detail = _(
        "V3 was better %(gained)s times and worse %(lost)s times; bounds %(lower)s to %(upper)s; "
        "worse in at most %(worse)s of all decisions",
        worse=f"{worse:.2%}",
        gained=gained,
        lost=lost,
        lower=f"{lower:.3f}",
        upper=f"{upper:.3f}",
    )
    share = gained / (gained + lost) if gained + lost else None
    passes = not fails and (lower >= threshold or worse <= NEGLIGIBLE)
    return _Found(share, gained + lost, detail, passes=passes, fails=fails)


def _complete(facts: Facts, threshold: float) -> _Found:
    """A raw share: every decision was to be compared, so this is a census and no sample."""
    compared, waiting = facts.comparisons.compared_live, facts.comparisons.waiting
    expected = facts.comparisons.expected
    values = {"compared": compared, "expected": expected, "waiting": waiting}
    detail = _("%(compared)s of %(expected)s decisions compared, %(waiting)s waiting", **values)
    if not expected:
        return _Found(None, 0, detail, passes=False)
    share = min(1.0, compared / expected)
    # Some may still be waiting to be compared: only those cannot come any more have failed.
    return _Found(share, expected, detail, passes=share >= threshold, fails=(compared + waiting) / expected < threshold)


def _coverage(facts: Facts, threshold: float) -> _Found:
    counts = {name: facts.coverage.get(name, 0) for name in COVERAGE}
    least = min(counts.values())
    detail = _(
        "peak evenings %(peaks)s, large parties %(large)s, joins %(joins)s, edits %(edits)s, "
        "cancellations %(cancellations)s",
        **dict(zip(("peaks", "large", "joins", "edits", "cancellations"), counts.values(), strict=True)),
    )
    return _Found(least, sum(counts.values()), detail, passes=least >= threshold)


def _noise(facts: Facts, threshold: float) -> _Found:
    """The legacy planner against itself: differences below this share mean nothing."""
    asked = facts.comparisons.asked_twice
    what = _("the legacy planner answered differently when asked again")
    return _at_most(asked - facts.comparisons.repeated, asked, threshold, what)


def _waivers(facts: Facts, threshold: float) -> _Found:
    expired, valid = facts.waivers_expired, facts.waivers_valid
    detail = _("%(expired)s expired, %(valid)s valid", expired=expired, valid=valid)
    return _Found(expired, valid + expired, detail, passes=expired <= threshold, fails=expired > threshold)


def _errors(facts: Facts, threshold: float) -> _Found:
    return _at_most(facts.v3.errors, facts.v3.attempts, threshold, _("attempts raised an unexpected error"))


def _review(facts: Facts, threshold: float) -> _Found:
    return _at_most(facts.v3.review, facts.v3.feasible, threshold, _("feasible bookings were sent to review"))


def _confirmed(facts: Facts, threshold: float) -> _Found:
    confirmed, feasible = facts.v3.confirmed, facts.v3.feasible
    lower, upper = share_bounds(confirmed, feasible)
    detail = _(
        "%(confirmed)s of %(feasible)s feasible bookings confirmed; bounds %(lower)s to %(upper)s",
        confirmed=confirmed,
        feasible=feasible,
        lower=f"{lower:.3f}",
        upper=f"{upper:.3f}",
    )
    if not feasible:
        return _Found(None, 0, detail, passes=False)
    return _Found(confirmed / feasible, feasible, detail, passes=lower >= threshold, fails=upper < threshold)


def _no_worse(facts: Facts, margin: float) -> _Found:
    """V3's seated share minus the legacy planner's. All bookings count: calling them infeasible hides nothing here."""
    v3, seated, bookings = facts.v3, facts.reference_seated, facts.reference_bookings
    lower, upper = difference_bounds(v3.confirmed, v3.bookings, seated, bookings)
    detail = _(
        "V3 seated %(v3)s, control %(old)s (%(reference)s); difference %(lower)s to %(upper)s",
        v3=f"{v3.confirmed}/{v3.bookings}",
        old=f"{seated}/{bookings}",
        reference=facts.reference or _("no control data"),
        lower=f"{lower:+.3f}",
        upper=f"{upper:+.3f}",
    )
    if not v3.bookings or not bookings:
        return _Found(None, 0, detail, passes=False, threshold=-margin)
    value, sample = v3.confirmed / v3.bookings - seated / bookings, min(v3.bookings, bookings)
    return _Found(value, sample, detail, passes=lower >= -margin, fails=upper < -margin, threshold=-margin)


def _count(count: int, sample: int, threshold: float, detail: str) -> _Found:
    """A number that must not lie above the threshold."""
    value, is_low = count if sample else None, count <= threshold
    return _Found(value, sample, detail, passes=sample > 0 and is_low, fails=not is_low)


def _at_most(count: int, sample: int, threshold: float, what: Text) -> _Found:
    """A share that must lie below the threshold: by its upper bound to pass, by its lower bound to fail."""
    lower, upper = share_bounds(count, sample)
    detail = _(
        "%(count)s of %(sample)s %(what)s; bounds %(lower)s to %(upper)s",
        what=what,
        count=count,
        sample=sample,
        lower=f"{lower:.4f}",
        upper=f"{upper:.4f}",
    )
    if not sample:
        return _Found(None, 0, detail, passes=False)
    return _Found(count / sample, sample, detail, passes=upper <= threshold, fails=lower > threshold)


def _percentile(take: Callable[[Facts], Percentile]) -> _Rule:
    def rule(facts: Facts, threshold: float) -> _Found:
        measured = take(facts)
        lower = "?" if measured.lower is None else f"{measured.lower:.2f}"
        upper = "?" if measured.upper is None else f"{measured.upper:.2f}"
        return _Found(
            measured.value,
            measured.sample,
            _("planning time in ms; bounds %(lower)s to %(upper)s", lower=lower, upper=upper),
            passes=measured.upper is not None and measured.upper <= threshold,
            fails=measured.lower is not None and measured.lower > threshold,
        )

    return rule


LIVE = frozenset(
    {"soak", "flags", "seatings", "complete", "errors", "review", "confirmed", "no_worse"}
    | {"decision_p95_ms", "decision_p99_ms"}
)
"""Gates that look at the time since the stage began, and not at all evidence."""

ALWAYS = _gates({"soak": _soak, "integrity": _integrity, "flags": _flags, "seatings": _seatings})
"""Gates that stand before every step up, whatever the ladder says."""

GATES = _gates(
    {
        "comparable": _comparable,
        "unsafe": _counted(Verdict.UNSAFE, _("unsafe decisions by V3"), waivable=False),
        "refused": _counted(Verdict.ONLY_LEGACY_SEATS, _("bookings that only the legacy planner seats"), waivable=True),
        "candidate_errors": _counted(Verdict.V3_ERROR, _("V3 errors"), waivable=False),
        "parity": _parity,
        "candidate_p95_ms": _percentile(lambda facts: facts.comparisons.p95),
        "candidate_p99_ms": _percentile(lambda facts: facts.comparisons.p99),
        "complete": _complete,
        "coverage": _coverage,
        "noise": _noise,
        "explanations": _waivers,
        "errors": _errors,
        "confirmed": _confirmed,
        "review": _review,
        "no_worse": _no_worse,
        "decision_p95_ms": _percentile(lambda facts: facts.v3.p95),
        "decision_p99_ms": _percentile(lambda facts: facts.v3.p99),
    }
)
"""The gates that a stage may ask for, each with its threshold."""

AT_LEAST = frozenset({"soak", "comparable", "parity", "complete", "coverage", "confirmed", "no_worse"})
"""Gates whose value may not lie below the threshold; that of all others may not lie above it."""
