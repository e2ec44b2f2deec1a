"""Guardrails: limits for V3 while it decides. Pure. ``rollout.control.guard`` acts on them.

A gate needs proof that V3 is good; a guardrail needs proof that it is bad. So a share breaches its guardrail only if its
lower confidence bound is above the limit: three errors out of four are a breach, one out of one is not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from rollout.policy import former_words
from rollout.policy.confidence import difference_bounds, share_bounds
from rollout.policy.measurements import Facts

DEFAULT: Mapping[str, float] = MappingProxyType(
    {
        "window_minutes": 60,
        "errors": 0.02,
        "review": 0.05,
        "avoidable_joins": 0.1,
        "oversized": 0.3,
        "untold": 0.02,
        "less_seated": 0.1,
        "decision_p95_ms": 100,
    }
)
"""Default limits, overridden by ROLLOUT["GUARD"]. One overlap, lost booking or unsafe seating is always a breach."""

UNSAFE_LEGACY = "unsafe_legacy_seatings"
GRAVE = ("overlaps", "lost", "unsafe_seatings", UNSAFE_LEGACY)
RAILS = (*GRAVE, *(rail for rail in DEFAULT if rail != "window_minutes"))
"""Every guardrail, grave ones first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """A breached guardrail. ``grave``: one case is enough, since tables or bookings are at stake."""

    rail: str
    value: float
    limit: float
    sample: int
    detail: Text
    grave: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Values that JSON has; ``said`` is how ``detail`` was made, for saying it in another language (``said``)."""
        return {**asdict(self), "said": self.detail.to_json()}


def said(kept: Mapping[str, Any]) -> str:
    """What a breach says that was kept by ``as_dict``; a ``Text`` where it was kept how it was made."""
    return Text.from_json(former_words.text(kept["said"])) if "said" in kept else str(kept.get("detail", ""))


def breaches(facts: Facts, rails: Mapping[str, float]) -> tuple[Breach, ...]:
    """All breaches, grave ones first."""
    return (*_grave(facts), *_shares(facts, rails), *_less_seated(facts, rails), *_slow(facts, rails))


def _grave(facts: Facts) -> Iterator[Breach]:
    seatings = facts.seatings
    rules = ", ".join(f"{reason} {count}" for reason, count in sorted(seatings.reasons.items()))
    for rail, count, sample, detail in (
        ("overlaps", facts.overlaps, 1, _("overlapping pairs of seatings: %(count)s", count=facts.overlaps)),
        (
            "lost",
            facts.lost,
            1,
            _("confirmed bookings without a table, or not confirmed in the host: %(count)s", count=facts.lost),
        ),
        (
            "unsafe_seatings",
            seatings.unsafe,
            seatings.checked,
            _(
                "%(unsafe)s of %(checked)s seatings break a rule of the floor: %(rules)s",
                unsafe=seatings.unsafe,
                checked=seatings.checked,
                rules=rules,
            ),
        ),
    ):
        if count:
            yield Breach(rail=rail, value=count, limit=0, sample=sample, detail=detail, grave=True)


def _shares(facts: Facts, rails: Mapping[str, float]) -> Iterator[Breach]:
    v3, seatings = facts.v3, facts.seatings
    for rail, count, sample, what in (
        ("errors", v3.errors, v3.attempts, _("attempts raised an unexpected error")),
        ("review", v3.review, v3.feasible, _("feasible bookings were sent to review")),
        ("avoidable_joins", seatings.avoidable_joins, seatings.checked, _("seatings join tables unnecessarily")),
        ("oversized", seatings.oversized, seatings.checked, _("seatings use a larger table than needed")),
        ("untold", seatings.untold, seatings.checked, _("bookings have tables, but the host was not told")),
    ):
        lower, _upper = share_bounds(count, sample)
        if sample and lower > rails[rail]:
            detail = _(
                "%(count)s of %(sample)s %(what)s: above the limit of %(limit)s (95 %% confidence)",
                count=count,
                sample=sample,
                what=what,
                limit=f"{rails[rail]:.1%}",
            )
            yield Breach(rail=rail, value=count / sample, limit=rails[rail], sample=sample, detail=detail)


def _less_seated(facts: Facts, rails: Mapping[str, float]) -> Iterator[Breach]:
    v3, limit = facts.v3, -rails["less_seated"]
    if not v3.bookings or not facts.reference_bookings:
        return
    _lower, upper = difference_bounds(v3.confirmed, v3.bookings, facts.reference_seated, facts.reference_bookings)
    if upper < limit:
        detail = _(
            "V3 seats %(seated)s of %(bookings)s bookings, the legacy planner %(old_seated)s of %(old_bookings)s "
            "(%(reference)s)",
            seated=v3.confirmed,
            bookings=v3.bookings,
            old_seated=facts.reference_seated,
            old_bookings=facts.reference_bookings,
            reference=facts.reference,
        )
        value = v3.confirmed / v3.bookings - facts.reference_seated / facts.reference_bookings
        yield Breach(rail="less_seated", value=value, limit=limit, sample=v3.bookings, detail=detail)


def _slow(facts: Facts, rails: Mapping[str, float]) -> Iterator[Breach]:
    p95, limit = facts.v3.p95, rails["decision_p95_ms"]
    if p95.lower is not None and p95.value is not None and p95.lower > limit:
        detail = _(
            "p95 planning time is %(p95)s ms: above the limit of %(limit)s ms (95 %% confidence)",
            p95=f"{p95.value:.1f}",
            limit=f"{limit:g}",
        )
        yield Breach(rail="decision_p95_ms", value=p95.value, limit=limit, sample=p95.sample, detail=detail)
