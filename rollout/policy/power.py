"""The power of gates and guardrails: how many decisions they need to find a fault with a given rate.

The numbers come from the bounds themselves. "Found within N decisions" means that after N decisions the fault is proven
with that probability, if each decision is faulty with this rate. It is often found sooner, since earlier looks may
already prove it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, inf, lgamma, log, log1p

from rollout.policy.confidence import ERROR, MINIMUM, is_above
from rollout.policy.gates import GATES
from rollout.policy.guardrails import GRAVE, PLAIN

FOUND = 0.95
SMALL = 0.005
"""The rate of a fault that is spoken of where a single case decides."""
TIMES = 5
"""How much more frequent than the limit a fault is that is spoken of where a rate decides, up to half of the decisions."""
MOST = 1_000_000

SINGLE = frozenset({"unsafe", "refused", "candidate_errors"})
"""Gates that a single comparison fails."""
SHARES = frozenset({"noise", "errors", "review"})
"""Gates with a maximum share."""
MINIMA = frozenset({"confirmed"})
"""Gates with a minimum share: what is missing from it is the fault."""
SLOW: Mapping[str, float] = {
    "candidate_p95_ms": 0.05,
    "candidate_p99_ms": 0.01,
    "decision_p95_ms": 0.05,
    "decision_p99_ms": 0.01,
}
"""Percentiles, as the share of decisions that may be slower than the limit."""
NOT_RATES = frozenset({"less_seated", "window_minutes", *PLAIN})


@dataclass(frozen=True, kw_only=True, slots=True)
class Power:
    """The power of a gate or guardrail. ``rate`` (0..1): rate of the fault; ``within``: decisions until it is found.

    ``probability``: the probability that it is found by then. ``error``: the probability that the rule is ever wrong
    about a healthy V3; 0 if a single case decides.
    """

    rule: str
    is_gate: bool
    rate: float
    within: int
    error: float
    probability: float = FOUND


def of_gates(gates: Mapping[str, float]) -> Iterator[Power]:
    """Yield the power of these gates, given their thresholds, without those that do not judge a rate of V3's decisions."""
    for gate, threshold in gates.items():
        if gate in SINGLE and threshold == 0:
            yield Power(rule=gate, is_gate=True, rate=SMALL, within=first_case(SMALL), error=0.0)
        elif gate in GATES and (limit := _limit(gate, threshold)) is not None:
            yield _of_rate(gate, limit, is_gate=True)


def of_rails(rails: Mapping[str, float]) -> Iterator[Power]:
    """Yield the power of these guardrails, given their limits, while decisions add up over the stage."""
    for rail in GRAVE:
        yield Power(rule=rail, is_gate=False, rate=SMALL, within=first_case(SMALL), error=0.0)
    for rail, limit in rails.items():
        if rail not in NOT_RATES:
            yield _of_rate(rail, SLOW.get(rail, limit), is_gate=False)


def _limit(gate: str, threshold: float) -> float | None:
    if gate in SHARES:
        return threshold
    if gate in MINIMA:
        return 1 - threshold
    return SLOW.get(gate)


def _of_rate(rule: str, limit: float, *, is_gate: bool) -> Power:
    rate = min(max(TIMES * limit, SMALL), (1 + limit) / 2)
    return Power(rule=rule, is_gate=is_gate, rate=rate, within=decisions_needed(rate, limit), error=ERROR)


def first_case(rate: float, probability: float = FOUND) -> int:
    """Return the number of decisions among which there is a case with this probability."""
    return ceil(log(1 - probability) / log1p(-rate))


@lru_cache(maxsize=1024)
def decisions_needed(rate: float, limit: float, probability: float = FOUND, error: float = ERROR) -> int:
    """Return the number of decisions after which a rate is proven to be above the limit with this probability.

    MOST if it takes more, for example because the rate is not above the limit.
    """
    if rate <= limit:
        return MOST

    def is_enough(sample: int) -> bool:
        return _tail(cases_needed(sample, limit, error), sample, rate) >= probability

    low, high = MINIMUM - 1, MINIMUM
    while not is_enough(high):
        if high >= MOST:
            return MOST
        low, high = high, min(2 * high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high


def cases_needed(sample: int, limit: float, error: float = ERROR) -> int:
    """Return the fewest cases in a sample that prove a rate above the limit; ``sample + 1`` if no number does."""
    low, high = 0, sample + 1
    while low < high:
        middle = (low + high) // 2
        if is_above(middle, sample, limit, error=error):
            high = middle
        else:
            low = middle + 1
    return low


def _tail(cases: int, sample: int, rate: float) -> float:
    """Return the probability of at least ``cases`` cases."""
    if cases > sample:
        return 0.0
    less = 0.0
    for k in range(cases):
        term = _log_choose(sample, k) + k * log(rate) + ((sample - k) * log1p(-rate) if rate < 1 else -inf)
        less += exp(term)
    return max(0.0, 1 - less)


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
