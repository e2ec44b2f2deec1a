"""The headline of the rollout: one sentence each on the stage, on whether it is well, and on its promotion."""

from datetime import timedelta

import pytest
from django.utils.translation import override

from rollout.admin import headline
from rollout.policy import gates, ladder


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(minutes=-1), "0 min"),
        (timedelta(minutes=89), "89 min"),
        (timedelta(hours=3), "3 h"),
        (timedelta(hours=71), "71 h"),
        (timedelta(days=4), "4 days"),
    ],
)
def test_a_duration_is_short(span: timedelta, text: str) -> None:
    assert headline.short_duration(span) == text


def test_every_gate_has_a_remedy_while_it_lacks_data_and_when_it_fails() -> None:
    known = {*gates.ALWAYS, *gates.GATES}
    assert set(headline.HELP) <= known
    assert known >= headline.UNHEALTHY
    assert known >= headline.OF_TIME | headline.OF_DECISIONS
    for gate in known:
        for status in (gates.Status.FAIL, gates.Status.INCONCLUSIVE):
            result = gates.GateResult(gate=gate, status=status, value=None, threshold=1, sample=0, window="", detail="")
            english = headline._of_gate(result).helps
            assert english
            with override("de"):
                assert headline._of_gate(result).helps != english


def test_what_lacks_comparisons_is_not_told_to_wait_for_decisions_of_v3() -> None:
    result = gates.GateResult(
        gate="noise", status=gates.Status.INCONCLUSIVE, value=0, threshold=1, sample=1, window="", detail=""
    )
    assert "more decisions have been compared" in headline._of_gate(result).helps


def test_stages_begin_a_sentence() -> None:
    names = [headline.stage_name(stage.key) for stages in ladder.DEFAULT.values() for stage in stages]
    assert all(name[0].isupper() for name in names)
