"""Confidence bounds, against published values and by coverage."""

import random

import pytest

from rollout.policy.confidence import difference_bounds, quantile_ranks, share_bounds


@pytest.mark.parametrize(
    ("successes", "sample", "lower", "upper"),
    [
        # One-sided 95 % Wilson bounds are two-sided 90 % ones; computed from the closed form in Wilson (1927).
        (0, 20, 0.0, 0.1192),
        (20, 20, 0.8808, 1.0),
        (5, 10, 0.2693, 0.7307),
        (81, 263, 0.2632, 0.3567),
    ],
)
def test_share_bounds(successes: int, sample: int, lower: float, upper: float) -> None:
    found = share_bounds(successes, sample)
    assert found == pytest.approx((lower, upper), abs=5e-4)


def test_without_a_sample_nothing_is_known() -> None:
    assert share_bounds(0, 0) == (0.0, 1.0)
    assert difference_bounds(0, 0, 3, 4) == (-1.0, 1.0)


@pytest.mark.parametrize(("successes", "sample"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(successes: int, sample: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} of {sample}"):
        share_bounds(successes, sample)


def test_the_true_share_lies_above_the_lower_bound_95_times_in_100() -> None:
    source = random.Random(1)
    for share, sample in ((0.5, 30), (0.9, 50), (0.99, 400)):
        held = 0
        for _ in range(2000):
            successes = sum(source.random() < share for _ in range(sample))
            held += share_bounds(successes, sample)[0] <= share
        assert held / 2000 > 0.925


def test_a_difference_needs_both_samples_to_be_large() -> None:
    lower, upper = difference_bounds(95, 100, 90, 100)
    assert lower < 0 < upper
    lower, upper = difference_bounds(9500, 10000, 9000, 10000)
    assert 0.04 < lower < 0.05 < upper < 0.06


def test_a_percentile_is_bounded_by_order_statistics_once_the_sample_allows() -> None:
    assert quantile_ranks(0.99, 445)[1] == 446
    assert quantile_ranks(0.99, 446)[1] <= 446
    assert quantile_ranks(0.95, 86)[1] == 87
    assert quantile_ranks(0.95, 87)[1] <= 87
    lower, upper = quantile_ranks(0.5, 1000)
    assert lower < 500 < upper
