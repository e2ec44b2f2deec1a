"""Guardrails: limits for V3 while it decides. ``rollout.control.guard`` acts on them. They do no I/O.

A gate needs proof that V3 is good; a guardrail needs proof that it is bad. So a rate breaches its guardrail only if it
is proven to be above the limit, by a bound that holds over all guard runs together (``confidence``). Each guardrail is
read over the current window, which shows great harm at once, and over all of this release at this stage, which shows
small harm in time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from rollout.policy import former_words
from rollout.policy.confidence import ERROR, MINIMUM, difference_bounds, is_above
from rollout.policy.measurements import UNJUDGED, Facts, Outcomes, Seatings

DEFAULT: Mapping[str, float] = MappingProxyType(
    {
        "window_minutes": 60,
        "errors": 0.0001,
        "review": 0.05,
        "wrong_refusals": 0.001,
        "avoidable_by_moves": 0.01,
        "avoidable_joins": 0.1,
        "oversized": 0.3,
        "untold": 0.005,
        "dropped": 0.005,
        "unjudged": UNJUDGED,
        "only_legacy_seats": 0.01,
        "less_seated": 0.1,
        "decision_p95_ms": 100,
        "decision_p99_ms": 250,
        "waits_minutes": 30,
        "memory_growth_mb": 1000,
    }
)
"""Default limits, overridden by ROLLOUT["GUARD"]. One overlap, lost booking or unsafe seating is always a breach."""

PLAIN = ("waits_minutes", "memory_growth_mb")
"""Guardrails that are no rates: they have no bound."""

CASES = 4
"""With fewer cases a rate breaches nothing, however few decisions there are: one misjudged evening makes two or three."""

UNSAFE_LEGACY = "unsafe_legacy_seatings"
GRAVE = ("overlaps", "lost", "unsafe_seatings", UNSAFE_LEGACY)
RAILS = (*GRAVE, *(rail for rail in DEFAULT if rail != "window_minutes"))
"""Every guardrail, grave ones first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """A breached guardrail. ``grave``: a single case is enough, since tables or bookings are at stake."""

    rail: str
    value: float
    limit: float
    sample: int
    detail: Text
    grave: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return values ready for JSON. ``said`` has the parts of ``detail``, so that it can be translated."""
        return {**asdict(self), "said": self.detail.to_json()}


def said(kept: Mapping[str, Any]) -> str:
    """Return the detail of a breach stored by ``as_dict``; a ``Text`` if its parts were stored."""
    return Text.from_json(former_words.text(kept["said"])) if "said" in kept else str(kept.get("detail", ""))


def breaches(facts: Facts, rails: Mapping[str, float]) -> tuple[Breach, ...]:
    """Return all breaches, grave ones first. A guardrail that both spans breach is returned once, for the whole stage."""
    found = {}
    for span in (_Span.window(facts), _Span.stage(facts)):
        for breach in (*_shares(span, rails), *_slow(span, rails)):
            found[breach.rail] = breach
    return (*_grave(facts), *found.values(), *_less_seated(facts, rails), *_beyond(facts, rails))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    """The decisions that are added up: those of one window, or all of this release at this stage.

    Each window starts a new bound, so the windows share the error of one: the k-th gets 1/(k(k+1)) of it.
    """

    v3: Outcomes
    seatings: Seatings
    error: float

    @classmethod
    def window(cls, facts: Facts) -> "_Span":
        return cls(v3=facts.v3, seatings=facts.seatings, error=window_error(facts.window))

    @classmethod
    def stage(cls, facts: Facts) -> "_Span":
        return cls(v3=facts.stage_v3, seatings=facts.stage_seatings, error=ERROR)


def window_error(number: int) -> float:
    """Return the error of one bound in the window with this number, counted from 1 since the stage began."""
    return ERROR / (number * (number + 1))


def _grave(facts: Facts) -> Iterator[Breach]:
    for rail, count, detail in (
        ("overlaps", facts.overlaps, _("overlapping pairs of seatings: %(count)s", count=facts.overlaps)),
        (
            "lost",
            facts.lost,
            _("confirmed bookings without a table, or not confirmed in the host: %(count)s", count=facts.lost),
        ),
    ):
        if count:
            yield Breach(rail=rail, value=count, limit=0, sample=1, detail=detail, grave=True)
    yield from unsafe(facts.seatings if facts.seatings.unsafe else facts.unsettled)


def unsafe(seatings: Seatings) -> tuple[Breach, ...]:
    """Return the breach if one of these seatings is unsafe; a single case is enough."""
    if not seatings.unsafe:
        return ()
    # An unsafe seating counts at once; others count once no earlier decision waits for its audit.
    checked = max(seatings.checked, seatings.unsafe)
    detail = _(
        "%(unsafe)s of %(checked)s seatings break a rule of the floor: %(rules)s",
        unsafe=seatings.unsafe,
        checked=checked,
        rules=", ".join(f"{reason} {count}" for reason, count in sorted(seatings.reasons.items())),
    )
    return (Breach(rail="unsafe_seatings", value=seatings.unsafe, limit=0, sample=checked, detail=detail, grave=True),)


def _shares(span: _Span, rails: Mapping[str, float]) -> Iterator[Breach]:
    v3, seatings = span.v3, span.seatings
    for rail, count, sample, what in (
        ("errors", v3.errors, v3.attempts, _("attempts raised an unexpected error")),
        ("review", v3.review, v3.feasible, _("feasible bookings were sent to review")),
        (
            "wrong_refusals",
            seatings.wrong_refusals,
            seatings.checked + seatings.refusals,
            _("decisions refuse a booking although tables were free for it"),
        ),
        (
            "avoidable_by_moves",
            seatings.avoidable_by_moves,
            seatings.checked + seatings.refusals,
            _("decisions refuse a booking that could be seated if one party were moved"),
        ),
        ("avoidable_joins", seatings.avoidable_joins, seatings.checked, _("seatings join tables unnecessarily")),
        ("oversized", seatings.oversized, seatings.checked, _("seatings use a larger table than needed")),
        ("untold", seatings.untold, seatings.checked, _("bookings have tables, but the host was not told")),
        (
            "dropped",
            seatings.dropped,
            seatings.checked + seatings.refusals + seatings.dropped,
            _("bookings were given up, although the host still wants tables for them"),
        ),
        (
            "unjudged",
            seatings.unjudged,
            seatings.checked + seatings.refusals + seatings.unjudged,
            _("decisions could not be audited, so nobody knows whether they are right"),
        ),
        (
            "only_legacy_seats",
            seatings.only_legacy,
            seatings.paired,
            _("decisions refuse a booking that the legacy planner would have seated"),
        ),
    ):
        if sample >= MINIMUM and count >= CASES and is_above(count, sample, rails[rail], error=span.error):
            detail = _(
                "%(count)s of %(sample)s %(what)s: proven to be above the limit of %(limit)s",
                count=count,
                sample=sample,
                what=what,
                limit=f"{100 * rails[rail]:g}%",
            )
            yield Breach(rail=rail, value=count / sample, limit=rails[rail], sample=sample, detail=detail)


def _less_seated(facts: Facts, rails: Mapping[str, float]) -> Iterator[Breach]:
    """Yield the breach if V3 seats a smaller share of its feasible bookings than the legacy planner.

    Infeasible bookings do not count, because restaurants differ in how full they are.
    """
    v3, limit = facts.v3, -rails["less_seated"]
    if min(v3.feasible, facts.reference_feasible) < MINIMUM:
        return
    value = v3.confirmed / v3.feasible - facts.reference_seated / facts.reference_feasible
    if value >= limit:
        return  # Then the upper bound is, too.
    _lower, upper = difference_bounds(
        v3.confirmed,
        v3.feasible,
        facts.reference_seated,
        facts.reference_feasible,
        error=window_error(facts.window),
    )
    if upper < limit:
        detail = _(
            "V3 seats %(seated)s of %(bookings)s feasible bookings, the legacy planner %(old_seated)s of %(old_bookings)s "
            "(%(reference)s)",
            seated=v3.confirmed,
            bookings=v3.feasible,
            old_seated=facts.reference_seated,
            old_bookings=facts.reference_feasible,
            reference=facts.reference,
        )
        yield Breach(rail="less_seated", value=value, limit=limit, sample=v3.feasible, detail=detail)


def _beyond(facts: Facts, rails: Mapping[str, float]) -> Iterator[Breach]:
    """Yield breaches of exact measurements, which need no bound; their limits are far from usual values."""
    for rail, value, detail in (
        (
            "waits_minutes",
            facts.waits_minutes,
            _(
                "a booking has been due for %(minutes)s minutes while others were decided",
                minutes=f"{facts.waits_minutes:.0f}",
            ),
        ),
        (
            "memory_growth_mb",
            facts.memory_growth_mb,
            _("the memory of a worker has grown by %(megabytes)s MB", megabytes=f"{facts.memory_growth_mb:.0f}"),
        ),
    ):
        if value > rails[rail]:
            yield Breach(rail=rail, value=value, limit=rails[rail], sample=1, detail=detail)


def _slow(span: _Span, rails: Mapping[str, float]) -> Iterator[Breach]:
    for rail, name, measured in (
        ("decision_p95_ms", "p95", span.v3.p95),
        ("decision_p99_ms", "p99", span.v3.p99),
    ):
        limit = rails[rail]
        if measured.lower is None or measured.value is None or measured.sample < MINIMUM or measured.lower <= limit:
            continue
        detail = _(
            "%(name)s of planning time is %(value)s ms: proven to be above the limit of %(limit)s ms",
            name=name,
            value=f"{measured.value:.1f}",
            limit=f"{limit:g}",
        )
        yield Breach(rail=rail, value=measured.value, limit=limit, sample=measured.sample, detail=detail)
