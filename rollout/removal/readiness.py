"""Checks whether an environment is ready to lose the legacy planner. Pure rules over measurements; all must pass."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from rollout.policy.gates import GateResult, Reading, Status
from rollout.removal.usage import Remaining


def evaluate(remaining: Remaining) -> tuple[GateResult, ...]:
    """Return the result of every rule. Inconclusive: it may pass later, or there is no data."""
    window = f"{remaining.since:%Y-%m-%d %H:%M} to {remaining.now:%Y-%m-%d %H:%M} UTC"
    return tuple(rule(remaining).result(name, 0, window) for name, rule in RULES.items())


def is_ready(results: tuple[GateResult, ...]) -> bool:
    return all(result.status is Status.PASS for result in results)


def _stage(remaining: Remaining) -> Reading:
    """Require the top of the ladder, with V3 deciding for every restaurant."""
    begun = bool(remaining.stage)
    at_top = remaining.stage == remaining.top and remaining.percent == 100
    where = f"at {remaining.stage}, V3 decides for {remaining.percent} % of restaurants"
    return Reading(
        value=remaining.percent if begun else None,
        threshold=100,
        passes=at_top,
        fails=begun and not at_top,
        detail=f"{where}; the top is {remaining.top}"
        if begun
        else f"the ladder has not begun; its top is {remaining.top}",
    )


def _soak(remaining: Remaining) -> Reading:
    asked = remaining.now - remaining.since
    there = remaining.now - remaining.stage_since if remaining.stage_since else None
    return Reading(
        value=round(there / timedelta(days=1), 2) if there is not None else None,
        threshold=asked / timedelta(days=1),
        passes=there is not None and there >= asked,
        detail=f"{remaining.stage or 'no stage'} for {(there or timedelta()) / timedelta(days=1):.1f} of {asked.days} days",
    )


def _flags(remaining: Remaining) -> Reading:
    return Reading(
        value=int(bool(remaining.drift)),
        passes=not remaining.drift and bool(remaining.stage),
        fails=bool(remaining.drift),
        detail=remaining.drift
        or ("the flags match the stage" if remaining.stage else "no stage to compare the flags with"),
    )


def _old_decisions(remaining: Remaining) -> Reading:
    """Require no decisions by the legacy planner; inconclusive if V3 decided nothing either."""
    old, last = remaining.old_decisions, remaining.last_old_decision
    detail = f"{old} by the legacy planner, {remaining.v3_decisions} by V3"
    return Reading(
        value=old,
        sample=old + remaining.v3_decisions,
        passes=not old and remaining.v3_decisions > 0,
        fails=old > 0,
        detail=f"{detail}; the last {last:%Y-%m-%d %H:%M} UTC" if last else detail,
    )


def _in_flight(remaining: Remaining) -> Reading:
    found = remaining.in_flight + remaining.holds
    return Reading(
        value=found,
        passes=not found,
        fails=found > 0,
        detail=f"{remaining.in_flight} open bookings claimed by the legacy planner, {remaining.holds} tables held by it",
    )


def _waivers(remaining: Remaining) -> Reading:
    """Open waivers are inconclusive: their differences cannot be examined without the legacy planner."""
    expired, still_open = remaining.waivers_expired, remaining.waivers_open
    return Reading(
        value=expired + still_open,
        passes=not expired and not still_open,
        fails=expired > 0,
        detail=f"{expired} expired, {still_open} open",
    )


def _forced_planners(remaining: Remaining) -> Reading:
    forced = list(remaining.forced)
    names = ", ".join(forced[:5]) + (" and others" if len(forced) > 5 else "")
    return Reading(
        value=len(forced),
        passes=not forced,
        fails=bool(forced),
        detail=f"forced to the legacy planner: {names}" if forced else "no restaurant is forced to the legacy planner",
    )


def _paused(remaining: Remaining) -> Reading:
    cooling = remaining.cool_down_until is not None and remaining.cool_down_until > remaining.now
    detail = "the rollout is not paused"
    if remaining.paused:
        detail = "the rollout is paused"
    elif cooling:
        detail = f"cooling down until {remaining.cool_down_until:%Y-%m-%d %H:%M} UTC"
    return Reading(
        value=int(remaining.paused or cooling),
        passes=not remaining.paused and not cooling,
        detail=detail,
    )


RULES: Mapping[str, Callable[[Remaining], Reading]] = {
    "stage": _stage,
    "soak": _soak,
    "flags": _flags,
    "old_decisions": _old_decisions,
    "in_flight": _in_flight,
    "explanations": _waivers,
    "pins": _forced_planners,
    "held": _paused,
}
