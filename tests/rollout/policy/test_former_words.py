"""Stored changes of earlier versions, read in the words of today."""

from typing import Any

import pytest

from rollout.policy import former_words, guardrails

EVIDENCE = {
    "facts": {
        "explanations_valid": 2,
        "explanations_expired": 1,
        "comparisons": {"unexplained": {"worse": 3}, "verdicts": {"worse": 3}},
    },
    "gates": [{"gate": "soak", "status": "hold", "detail": "hold on"}, {"gate": "unsafe", "status": "pass"}],
    "overridden": ["Gate soak: hold. It says 0 against 1 (sample 1): at shadow for 0.0 h of 1 h."],
}
"""What a promotion kept when a gate that cannot tell was on hold."""


@pytest.mark.parametrize(
    ("kind", "before", "after", "today"),
    [
        ("hold", "released", "held", ("pause", "resumed", "paused")),
        ("hold", "held", "released", ("resume", "paused", "resumed")),
        ("pin", "", "v3", ("forced_planner", "", "v3")),
        ("explanation", "", "worse", ("waiver", "", "worse")),
        ("stage", "off", "shadow", ("stage", "off", "shadow")),
    ],
)
def test_a_change_is_called_what_it_is_called_today(
    kind: str, before: str, after: str, today: tuple[str, str, str]
) -> None:
    assert former_words.change(kind, before, after) == today


def test_evidence_is_renamed_wherever_it_stands() -> None:
    assert former_words.evidence(EVIDENCE) == {
        "facts": {
            "waivers_valid": 2,
            "waivers_expired": 1,
            "comparisons": {"not_waived": {"worse": 3}, "verdicts": {"worse": 3}},
        },
        "gates": [
            {"gate": "soak", "status": "inconclusive", "detail": "hold on"},
            {"gate": "unsafe", "status": "pass"},
        ],
        "overridden": ["Gate soak: inconclusive. It says 0 against 1 (sample 1): at shadow for 0.0 h of 1 h."],
    }


@pytest.mark.parametrize("kept", [None, 3, [], {"gate": "soak", "status": 7}, {"status": "hold"}, ["hold"]])
def test_what_has_another_shape_is_left_alone(kept: Any) -> None:
    assert former_words.evidence(kept) == kept


def test_what_the_guard_found_is_said_with_the_template_of_today() -> None:
    """The phrase that guard runs keep: only the template of today has a translation."""
    kept = {
        "said": {
            "template": "seats %(seated)s, the old planner more (%(reference)s)",
            "parameters": {
                "seated": 3,
                "reference": {"template": "the old planner before this stage", "parameters": {}},
            },
        }
    }
    assert guardrails.said(kept) == "seats 3, the legacy planner more (the legacy planner before this stage)"
