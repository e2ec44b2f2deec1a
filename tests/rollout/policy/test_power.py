"""What gates and guardrails would miss, computed from their own bounds."""

import numpy as np
import pytest

from rollout.policy import guardrails
from rollout.policy.confidence import ERROR, is_above
from rollout.policy.ladder import LIVE, PARITY
from rollout.policy.power import MOST, cases_needed, decisions_needed, first_case, of_gates, of_rails


@pytest.mark.parametrize(
    ("rate", "limit", "within"), [(0.05, 0.001, 200), (0.02, 0.001, 700), (0.005, 0.0001, 2000), (0.05, 0.01, 600)]
)
def test_harm_that_the_guard_has_to_find_is_found_in_time(rate: float, limit: float, within: int) -> None:
    assert decisions_needed(rate, limit) <= within


def test_the_number_is_that_of_the_bound() -> None:
    needed = decisions_needed(0.05, 0.01)
    drawn = np.random.default_rng(1).binomial(needed, 0.05, 20_000)
    share = np.mean([is_above(int(cases), needed, 0.01) for cases in drawn])
    assert 0.94 < share < 0.97


def test_the_fewest_cases_that_prove_it() -> None:
    cases = cases_needed(200, 0.001)
    assert is_above(cases, 200, 0.001)
    assert not is_above(cases - 1, 200, 0.001)


def test_where_no_number_of_cases_proves_it_one_more_than_all_are_needed() -> None:
    assert [cases_needed(sample, 0.9) for sample in (0, 1, 20)] == [1, 2, 21]


def test_what_is_not_above_the_limit_is_never_found() -> None:
    assert decisions_needed(0.01, 0.01) == MOST


def test_where_one_case_decides_a_half_percent_is_found_within_600_comparisons() -> None:
    assert first_case(0.005) == 598
    refused = next(power for power in of_gates(PARITY) if power.rule == "refused")
    assert (refused.rate, refused.within, refused.error) == (0.005, 598, 0.0)


def test_every_rail_but_the_difference_has_its_number() -> None:
    found = {power.rule: power for power in of_rails(guardrails.DEFAULT)}
    assert set(found) == set(guardrails.RAILS) - {"less_seated", *guardrails.PLAIN}
    assert found["wrong_refusals"].rate == 0.005
    assert all(power.within < MOST for power in found.values())


def test_rails_are_told_from_gates_and_single_cases_from_rates() -> None:
    rails, gates = list(of_rails(guardrails.DEFAULT)), [*of_gates(PARITY), *of_gates(LIVE)]
    assert not any(power.is_gate for power in rails)
    assert all(power.is_gate for power in gates)
    single = {power.rule for power in rails + gates if not power.error}
    assert single == {*guardrails.GRAVE, "unsafe", "refused", "candidate_errors"}
    assert {power.error for power in rails + gates} == {0.0, ERROR}


def test_a_stricter_limit_finds_the_same_rate_sooner() -> None:
    assert decisions_needed(0.05, 0.001) < decisions_needed(0.05, 0.01) < decisions_needed(0.05, 0.02)


def test_gates_of_both_stages_have_theirs() -> None:
    names = {power.rule for gates in (PARITY, LIVE) for power in of_gates(gates)}
    assert {"unsafe", "refused", "candidate_errors", "candidate_p99_ms", "errors", "review", "confirmed"} <= names


def test_the_gate_of_a_minimum_is_about_the_share_that_misses_it() -> None:
    review, confirmed = of_gates({"review": 0.03, "confirmed": 0.97})
    assert confirmed.rate == pytest.approx(review.rate)
    assert confirmed.within == review.within
