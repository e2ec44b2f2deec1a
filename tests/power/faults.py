"""How many decisions it takes until a guardrail finds a fault of a given rate."""

from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from rollout.evidence import live_decisions
from rollout.policy import guardrails
from rollout.policy.measurements import Facts, Outcomes, Seatings
from tests.power.weeks import AN_HOUR, BEGAN, BINS_A_DAY


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A rate of harm, the guardrail that has to find it, and within how many decisions."""

    what: str
    rail: str
    rate: float
    within: int
    share: float = field(default=0.95)


FAULTS = (
    Fault(what="5 % wrong refusals", rail="wrong_refusals", rate=0.05, within=200),
    Fault(what="2 % wrong refusals", rail="wrong_refusals", rate=0.02, within=700),
    Fault(what="0.5 % errors", rail="errors", rate=0.005, within=2000),
    Fault(what="5 % avoidable by moves only", rail="avoidable_by_moves", rate=0.05, within=600),
)


def found(source: np.random.Generator, fault: Fault, *, runs: int) -> float:
    """The share of runs in which its guardrail is breached within the decisions that it may take."""
    return sum(_is_found(source, fault) for _ in range(runs)) / runs


def _is_found(source: np.random.Generator, fault: Fault) -> bool:
    harmed = source.random(fault.within) < fault.rate
    so_far = np.cumsum(harmed)
    # Between two cases the evidence only shrinks.
    looks = {*(np.flatnonzero(harmed) + 1).tolist(), 20}
    return any(
        fault.rail in {breach.rail for breach in guardrails.breaches(_facts(fault, n, int(so_far[n - 1])), LIMITS)}
        for n in sorted(looks)
        if n >= 20
    )


LIMITS = guardrails.DEFAULT


def _facts(fault: Fault, decisions: int, cases: int) -> Facts:
    """After so many decisions at the stage, which is in a late window: what adds up over the stage has to show it."""
    errors = cases if fault.rail == "errors" else 0
    wrong = cases if fault.rail == "wrong_refusals" else 0
    moves = cases if fault.rail == "avoidable_by_moves" else 0
    refusals = wrong + moves
    return Facts(
        environment="production",
        stage="canary",
        now=BEGAN + timedelta(days=3),
        stage_since=BEGAN,
        since=BEGAN + timedelta(days=3, hours=-1),
        window=72,
        stage_v3=Outcomes(attempts=decisions, errors=errors),
        stage_seatings=Seatings(
            checked=decisions - refusals, refusals=refusals, wrong_refusals=wrong, avoidable_by_moves=moves
        ),
    )


MANY_RESTAURANTS = 2 * live_decisions.RESTAURANTS
"""More than the guard audits in a window: so the windows alone can miss an unsafe seating."""


def unsafe_found(source: np.random.Generator, *, runs: int) -> float:
    """The share of runs in which one unsafe seating at any of MANY_RESTAURANTS is found by the audit of windows alone.

    The guard audits the restaurants that it draws for a window, and the latest decisions there.
    """
    return sum(_unsafe_is_found(source) for _ in range(runs)) / runs


def _unsafe_is_found(source: np.random.Generator) -> bool:
    where, when = int(source.integers(MANY_RESTAURANTS)), int(source.integers(BINS_A_DAY))
    first = max(1, when // AN_HOUR)
    # The windows that it is in; in each, the restaurants are drawn anew.
    for number in range(first, first + 2):
        if where not in source.permutation(MANY_RESTAURANTS)[: live_decisions.RESTAURANTS]:
            continue
        facts = Facts(
            environment="production",
            stage="canary",
            now=BEGAN + timedelta(hours=number + 1),
            stage_since=BEGAN,
            since=BEGAN,
            window=number,
            seatings=Seatings(checked=100, unsafe=1, reasons={"kept_too_long": 1}),
        )
        if any(breach.rail == "unsafe_seatings" and breach.grave for breach in guardrails.breaches(facts, LIMITS)):
            return True
    return False
