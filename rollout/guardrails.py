"""Guardrails: what V3 must never do while it decides. Pure. ``rollout.guard`` acts on them.

A gate asks whether V3 has proven itself; a guardrail asks whether it has proven the opposite. So a share breaches its rail
only when its lower confidence bound lies above it: three errors out of four are a breach, one out of one is not.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from rollout.confidence import difference_bounds, share_bounds
from rollout.facts import Facts

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
"""The rails where ROLLOUT["GUARD"] names no others. Of overlaps, lost bookings, unsafe seatings one is too many."""

GRAVE = ("overlaps", "lost", "unsafe_seatings")
RAILS = (*GRAVE, *(rail for rail in DEFAULT if rail != "window_minutes"))
"""Every rail, the grave first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """A rail that was breached. ``grave``: tables or bookings are at stake, so that one case is enough."""

    rail: str
    value: float
    limit: float
    sample: int
    detail: str
    grave: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def breaches(facts: Facts, rails: Mapping[str, float]) -> tuple[Breach, ...]:
    """Everything that is wrong, the grave first."""
    found = [
        Breach(rail=rail, value=count, limit=0, sample=sample, detail=detail, grave=True)
        for rail, count, sample, detail in (
            ("overlaps", facts.overlaps, 1, f"{facts.overlaps} pairs of seatings overlap"),
            ("lost", facts.lost, 1, f"{facts.lost} confirmed bookings have no table, or the host does not know them"),
            (
                "unsafe_seatings",
                facts.seatings.unsafe,
                facts.seatings.checked,
                f"{facts.seatings.unsafe} of {facts.seatings.checked} seatings break a rule of the floor: "
                + ", ".join(f"{reason} {count}" for reason, count in sorted(facts.seatings.reasons.items())),
            ),
        )
        if count
    ]
    v3 = facts.v3
    for rail, count, sample, what in (
        ("errors", v3.errors, v3.attempts, "attempts met an unexpected error"),
        ("review", v3.review, v3.feasible, "feasible bookings went to review"),
        (
            "avoidable_joins",
            facts.seatings.avoidable_joins,
            facts.seatings.checked,
            "seatings join tables without need",
        ),
        ("oversized", facts.seatings.oversized, facts.seatings.checked, "seatings keep a larger table than was needed"),
        ("untold", facts.seatings.untold, facts.seatings.checked, "bookings have tables, and the host still waits"),
    ):
        lower, _upper = share_bounds(count, sample)
        if sample and lower > rails[rail]:
            detail = f"{count} of {sample} {what}: surely more than {rails[rail]:.1%}"
            found.append(Breach(rail=rail, value=count / sample, limit=rails[rail], sample=sample, detail=detail))
    if v3.bookings and facts.reference_bookings:
        _lower, upper = difference_bounds(v3.confirmed, v3.bookings, facts.reference_seated, facts.reference_bookings)
        if upper < -rails["less_seated"]:
            detail = (
                f"seats {v3.confirmed} of {v3.bookings} bookings, the old planner {facts.reference_seated} of "
                f"{facts.reference_bookings} ({facts.reference})"
            )
            value = v3.confirmed / v3.bookings - facts.reference_seated / facts.reference_bookings
            found.append(
                Breach(rail="less_seated", value=value, limit=-rails["less_seated"], sample=v3.bookings, detail=detail)
            )
    p95, limit = v3.p95, rails["decision_p95_ms"]
    if p95.lower is not None and p95.value is not None and p95.lower > limit:
        detail = f"p95 of planning is {p95.value:.1f} ms, surely more than {limit:g} ms"
        found.append(Breach(rail="decision_p95_ms", value=p95.value, limit=limit, sample=p95.sample, detail=detail))
    return tuple(found)
