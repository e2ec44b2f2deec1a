"""Confidence sequences, against values computed another way, and by looking after every decision."""

from math import log

import numpy as np
import pytest

from rollout.policy.confidence import (
    BOUNDS,
    ERROR,
    FAMILY_ERROR,
    difference_bounds,
    is_above,
    is_below,
    quantile_ranks,
    rate_bounds,
)

LOOSE = 0.05
"""An error that is large enough for a simulation to see whether it is kept."""


def evidence(cases: int, sample: int, limit: float) -> float:
    """The logarithm of the mixture by adding up over a grid of rates, for limits up to a half."""
    edges = np.linspace(log(limit), 0.0, 200_001)
    rates = np.exp((edges[1:] + edges[:-1]) / 2)
    # Beta(0.1, 1) has the density of rate^-0.9; in the logarithm of the rate that is rate^0.1.
    weights = rates**0.1
    ratios = cases * np.log(rates / limit) + (sample - cases) * np.log1p((limit - rates) / (1 - limit))
    top = ratios.max()
    return float(top + np.log((weights * np.exp(ratios - top)).sum() / weights.sum()))


def evidence_above_a_half(cases: int, sample: int, limit: float) -> float:
    """The same for larger limits, where the mixture is over the rate of what is no case; there has to be some of it."""
    edges = np.linspace(log(1 - limit) - 8, log(1 - limit), 200_001)
    others = np.exp((edges[1:] + edges[:-1]) / 2)
    ratios = cases * np.log((1 - others) / limit) + (sample - cases) * np.log(others / (1 - limit))
    mixed = (others**0.1 * np.exp(ratios)).sum() * (edges[1] - edges[0])
    return float(np.log(mixed / (10 * (1 - limit) ** 0.1)))


@pytest.mark.parametrize(
    ("cases", "sample", "limit"),
    [
        (2, 40, 0.0001),
        (3, 900, 0.001),
        (9, 200, 0.01),
        (30, 300, 0.05),
        (40, 60, 0.5),
        (70, 100, 0.3),
        (450, 1000, 0.4),
        (700, 1000, 0.6),
        (970, 1000, 0.95),
    ],
)
def test_a_rate_is_above_its_limit_from_the_error_at_which_the_mixture_says_so(
    cases: int, sample: int, limit: float
) -> None:
    mixture = evidence if limit <= 0.5 else evidence_above_a_half
    needed = float(np.exp(-mixture(cases, sample, limit)))
    assert is_above(cases, sample, limit, error=needed * 1.000_000_1)
    assert not is_above(cases, sample, limit, error=needed * 0.999_999_9)


def test_the_bounds_are_where_the_tests_of_the_limits_turn() -> None:
    for cases, sample in ((3, 50), (50, 100), (5, 2000), (990, 1000)):
        lower, upper = rate_bounds(cases, sample)
        assert lower < cases / sample < upper
        assert is_above(cases, sample, lower - 1e-6)
        assert not is_above(cases, sample, lower + 1e-6)
        assert is_below(cases, sample, upper + 1e-6)
        assert not is_below(cases, sample, upper - 1e-6)


def test_a_rate_and_its_complement_have_the_same_bounds() -> None:
    lower, upper = rate_bounds(30, 100)
    other_lower, other_upper = rate_bounds(70, 100)
    assert (lower, upper) == pytest.approx((1 - other_upper, 1 - other_lower))


@pytest.mark.parametrize("rate", [0.001, 0.02, 0.5, 0.9])
def test_looked_at_after_every_decision_a_bound_is_hardly_ever_wrong(rate: float) -> None:
    """A bound for one fixed sample, read so, is wrong in most of these runs."""
    outcomes = np.random.default_rng(7).random((600, 1500)) < rate
    counts = outcomes.cumsum(axis=1)
    # The fewest cases that prove too many, for each sample; it never falls, so each follows the one before.
    wrong, least = np.zeros(600, dtype=bool), 1
    for sample in range(1, 1501):
        while least <= sample and not is_above(least, sample, rate, error=LOOSE):
            least += 1
        wrong |= counts[:, sample - 1] >= least
    assert wrong.mean() <= LOOSE * 1.4


@pytest.mark.parametrize("next_to_nothing", [0.0, 1e-17])
def test_a_single_case_is_above_none(next_to_nothing: float) -> None:
    assert is_above(1, 1000, next_to_nothing) is True
    assert is_above(0, 1000, next_to_nothing) is False


def test_without_a_sample_nothing_is_known() -> None:
    assert rate_bounds(0, 0) == (0.0, 1.0)
    assert difference_bounds(0, 0, 3, 4) == (-1.0, 1.0)
    assert not is_above(0, 0, 0.1)


@pytest.mark.parametrize(("cases", "sample"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(cases: int, sample: int) -> None:
    for read in (rate_bounds, lambda *counts: is_above(*counts, 0.5)):
        with pytest.raises(ValueError, match=f"{cases} of {sample}"):
            read(cases, sample)


def test_a_difference_needs_both_samples_to_be_large() -> None:
    lower, upper = difference_bounds(95, 100, 90, 100)
    assert lower < 0 < upper
    lower, upper = difference_bounds(9500, 10000, 9000, 10000)
    assert 0.02 < lower < 0.05 < upper < 0.08


def test_the_two_rates_of_a_difference_share_its_error() -> None:
    lower, upper = rate_bounds(95, 100, error=ERROR / 2)
    other_lower, other_upper = rate_bounds(90, 100, error=ERROR / 2)
    assert difference_bounds(95, 100, 90, 100) == (lower - other_upper, upper - other_lower)


def test_a_percentile_is_bounded_by_order_statistics_that_say_what_the_rate_says() -> None:
    for quantile, sample in ((0.95, 400), (0.99, 3000), (0.5, 1000)):
        lower, upper = quantile_ranks(quantile, sample)
        assert lower < quantile * sample < upper
        rate = 1 - quantile
        # Values from rank ``lower`` on are above a limit just below it.
        assert is_above(sample - lower + 1, sample, rate)
        assert not is_above(sample - lower, sample, rate)
        assert is_below(sample - upper, sample, rate)
        assert not is_below(sample - upper + 1, sample, rate)
    assert quantile_ranks(0.99, 50)[1] == 51, "too few values for an upper bound"


@pytest.mark.parametrize("sample", [0, 1, 2])
def test_too_few_values_bound_a_percentile_on_neither_side(sample: int) -> None:
    assert quantile_ranks(0.5, sample) == (0, sample + 1)


def test_the_family_error_is_split_evenly_over_all_bounds() -> None:
    assert ERROR * BOUNDS == pytest.approx(FAMILY_ERROR) == 0.01


@pytest.mark.parametrize(("limit", "decisions"), [(0.005, 1753), (0.01, 874)])
def test_so_many_decisions_without_a_case_prove_a_limit(limit: float, decisions: int) -> None:
    assert is_below(0, decisions, limit)
    assert not is_below(0, decisions - 1, limit)
