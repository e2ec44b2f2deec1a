"""Shadow mode's settings: which decisions are kept for comparison."""

from typing import Any

import pytest

from rollout import conf
from rollout.shadow import recorder


def test_a_larger_sample_keeps_the_smaller_one(settings: Any) -> None:
    refs = [str(number) for number in range(1000)]
    samples = []
    for share in (0.0, 0.1, 0.5, 1.0):
        settings.ROLLOUT = {**settings.ROLLOUT, "SHADOW_SAMPLE": share}
        conf.settings.cache_clear()
        samples.append({ref for ref in refs if recorder.is_sampled(ref)})
    none, tenth, half, everything = samples
    assert none == set()
    assert everything == set(refs)
    assert none < tenth < half < everything
    assert 60 < len(tenth) < 140


@pytest.mark.parametrize(
    "given",
    [
        {"SHADOW_SAMPLE": 1.1},
        {"SHADOW_SAMPLE": True},
        {"CANDIDATE": "v3"},
        {"CANDIDATE_SECONDS": 0},
        {"CANDIDATE_SECONDS": float("nan")},
    ],
    ids=str,
)
def test_wrong_settings_are_named(settings: Any, given: dict[str, Any]) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, **given}
    assert len(conf.problems()) == 1
    assert next(iter(given)) in conf.problems()[0]
