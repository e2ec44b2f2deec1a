"""Bounds that hold however often one looks: confidence sequences of rates, differences and percentiles.

The guard looks every few minutes, and people read gates at any time. A bound for one fixed sample, read again and
again, is wrong far more often than it states; the probability that a confidence sequence is wrong at *any* look is at
most its error.

Rates: the one-sided beta-binomial mixture of Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric,
nonasymptotic confidence sequences", Annals of Statistics 49 (2021). For each rate q above the limit p, the likelihood ratio
of q to p is a supermartingale if every decision, given all decisions before it, is a case with a probability of at most p.
So is their mixture over q, and by Ville's inequality it ever reaches 1/error with a probability of at most ``error``. Rates
may change from decision to decision, and decisions need not be independent; only that conditional probability matters.

Percentiles: "the p95 is above 50 ms" means that more than 5 % of the decisions take longer. That is a rate, so its bounds
are order statistics, without any assumption about how latencies are distributed.
"""

from collections.abc import Callable
from functools import lru_cache
from math import exp, lgamma, log, log1p

FAMILY_ERROR = 0.01
"""The probability that any gate or rail of a release at a stage is ever wrong, at any look, all of them together."""

BOUNDS = 50
"""The number of one-sided bounds that share FAMILY_ERROR evenly; a test counts those that gates and rails read."""

ERROR = FAMILY_ERROR / BOUNDS
"""The error of one one-sided bound over all looks."""

MINIMUM = 20
"""With fewer decisions than this a rate neither passes nor fails, whatever the bounds say."""

_A, _B = 0.1, 1.0
"""The mixing distribution, Beta(0.1, 1) cut off at the limit. Almost flat in the logarithm of the rate: a rate of 0.5 % is
found nearly as fast as if the bound had been made for it, and so is one of 50 %."""


@lru_cache(maxsize=1 << 16)
def is_above(cases: int, sample: int, limit: float, *, error: float = ERROR) -> bool:
    """Return whether the rate of cases is proven to be above the limit."""
    _check(cases, sample)
    # A measured rate that is not above the limit proves nothing, so the bound is not needed.
    return cases > limit * sample and _log_evidence_above(cases, sample, limit) >= -log(error)


def is_below(cases: int, sample: int, limit: float, *, error: float = ERROR) -> bool:
    """Return whether the rate of cases is proven to be below the limit."""
    return is_above(sample - cases, sample, 1 - limit, error=error)


@lru_cache(maxsize=1 << 14)
def rate_bounds(cases: int, sample: int, *, error: float = ERROR) -> tuple[float, float]:
    """Return the lower and upper bound (0..1) of the rate of cases, each with this error; (0, 1) without a sample.

    Raises ValueError for impossible counts.
    """
    _check(cases, sample)
    return _lower(cases, sample, error), 1 - _lower(sample - cases, sample, error)


def difference_bounds(
    cases: int, sample: int, reference: int, reference_sample: int, *, error: float = ERROR
) -> tuple[float, float]:
    """Return bounds (-1..1) of the first rate minus the second, from samples of different decisions.

    Each of the two rates gets half of the error. If a sample is empty, the bounds say nothing.
    """
    if not sample or not reference_sample:
        return -1.0, 1.0
    lower, upper = rate_bounds(cases, sample, error=error / 2)
    reference_lower, reference_upper = rate_bounds(reference, reference_sample, error=error / 2)
    return lower - reference_upper, upper - reference_lower


def quantile_ranks(quantile: float, sample: int, *, error: float = ERROR) -> tuple[int, int]:
    """Return the ranks (1..sample) of the order statistics that bound a quantile from below and above.

    The lower one is above a limit exactly if the rate of values above the limit is proven to be above ``1 - quantile``; the
    upper one is not above it exactly if that rate is proven to be below. Rank 0 and rank ``sample + 1``: the sample is too
    small to bound the quantile on that side.
    """
    rate = 1 - quantile
    # The fewest values above a limit that prove that there are too many; the most that prove that there are few enough.
    too_many = _first(sample, lambda above: is_above(above, sample, rate, error=error))
    not_few = _first(sample, lambda above: not is_below(above, sample, rate, error=error))
    return sample - too_many + 1, sample - not_few + 1


def _first(sample: int, holds: Callable[[int], bool]) -> int:
    """Return the least count from 0 to ``sample`` for which the monotone ``holds`` is true; ``sample + 1`` if none."""
    low, high = 0, sample + 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _check(cases: int, sample: int) -> None:
    if not 0 <= cases <= sample:
        raise ValueError(f"{cases} of {sample} is not a rate.")


def _lower(cases: int, sample: int, error: float) -> float:
    if not cases:
        return 0.0
    low, high, needed = 0.0, cases / sample, -log(error)
    for _ in range(40):
        middle = (low + high) / 2
        if _log_evidence_above(cases, sample, middle) >= needed:
            low = middle
        else:
            high = middle
    return low


def _log_evidence_above(cases: int, sample: int, limit: float) -> float:
    """Return the logarithm of the mixture against "at most ``limit``"; it grows with the evidence."""
    others = sample - cases
    if limit <= 0:
        return float("inf") if cases else float("-inf")
    if limit <= 0.5:
        # Mixed over all rates from the limit to 1.
        mixed = _log_part(others + _B, cases + _A, 1 - limit)
        prior = _log_part(_B, _A, 1 - limit)
    else:
        # The same distribution of what is rarer here: the other decisions.
        mixed = _log_part(others + _A, cases + _B, 1 - limit)
        prior = _log_part(_A, _B, 1 - limit)
    return mixed - prior - cases * log(limit) - others * log1p(-limit)


def _log_part(a: float, b: float, until: float) -> float:
    """Return the logarithm of the incomplete beta function: the integral of x^(a-1) (1-x)^(b-1) from 0 to ``until``."""
    if until >= 1:
        return _log_beta(a, b)
    front = a * log(until) + b * log1p(-until)
    if until < (a + 1) / (a + b + 2):
        return front - log(a) + log(_continued_fraction(a, b, until))
    # The complement is subtracted from the whole, which is much larger here, so no precision is lost.
    beyond = front - log(b) + log(_continued_fraction(b, a, 1 - until)) - _log_beta(a, b)
    return _log_beta(a, b) + log1p(-min(1 - 1e-15, exp(beyond)))


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def _continued_fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method (Numerical Recipes, 6.4)."""
    tiny = 1e-300
    d = 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > tiny else tiny)
    c, found = 1.0, d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1 + term * d
            d = 1 / (d if abs(d) > tiny else tiny)
            c = 1 + term / c
            c = c if abs(c) > tiny else tiny
            step = c * d
            found *= step
        if abs(step - 1) < 1e-12:
            break
    return found
