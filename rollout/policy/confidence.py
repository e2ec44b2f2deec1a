"""Confidence bounds of shares, differences of shares, and percentiles. Pure.

All bounds are one-sided at 95 %. Of 20 gates, one would be wrong by chance. That is why a stage has a minimum
time, and why the guard keeps measuring after a promotion.

Why these: the Wilson score interval (Wilson 1927) stays valid for small samples and for shares near 0 and 1, where the
textbook ("Wald") interval shrinks to nothing: 0 errors in 20 decisions do not prove an error share of 0. Newcombe's interval
(1998, method 10) combines two of them for a difference. Percentiles use order statistics, which need no
distribution of latencies.
"""

from math import ceil, floor, sqrt

Z = 1.6448536269514722
"""The 95 % quantile of the normal distribution."""


def share_bounds(successes: int, sample: int) -> tuple[float, float]:
    """Lower and upper Wilson bound (0..1) of the true share behind ``successes`` of ``sample``; (0, 1) without a sample.

    Raises ValueError for impossible counts.
    """
    if not 0 <= successes <= sample:
        raise ValueError(f"{successes} of {sample} is not a share.")
    if not sample:
        return 0.0, 1.0
    share = successes / sample
    scale = 1 + Z**2 / sample
    middle = (share + Z**2 / (2 * sample)) / scale
    reach = Z * sqrt(share * (1 - share) / sample + Z**2 / (4 * sample**2)) / scale
    # At the edges the formula is exact, apart from rounding.
    lower = 0.0 if successes == 0 else max(0.0, middle - reach)
    upper = 1.0 if successes == sample else min(1.0, middle + reach)
    return lower, upper


def difference_bounds(successes: int, sample: int, reference: int, reference_sample: int) -> tuple[float, float]:
    """Newcombe's bounds (-1..1) of how much larger the first true share is than the second."""
    lower, upper = share_bounds(successes, sample)
    reference_lower, reference_upper = share_bounds(reference, reference_sample)
    if not sample or not reference_sample:
        return -1.0, 1.0
    first, second = successes / sample, reference / reference_sample
    difference = first - second
    return (
        difference - sqrt((first - lower) ** 2 + (reference_upper - second) ** 2),
        difference + sqrt((upper - first) ** 2 + (second - reference_lower) ** 2),
    )


def quantile_ranks(quantile: float, sample: int) -> tuple[int, int]:
    """The ranks (1..sample) of the order statistics that bound a quantile from below and above.

    Rank 0 and rank ``sample + 1``: the sample is too small to bound it on that side. A p99 needs 446 values, a p95 87.
    """
    reach = Z * sqrt(sample * quantile * (1 - quantile))
    return max(0, floor(sample * quantile - reach)), min(sample + 1, ceil(sample * quantile + reach) + 1)
