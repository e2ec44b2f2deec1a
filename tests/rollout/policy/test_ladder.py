"""The ladder: defaults, order, and what the settings may say."""

from typing import Any

import pytest

from rollout import conf
from rollout.policy import gates, ladder


def problems(stages: Any) -> str:
    return "; ".join(ladder.problems({"dev": stages}, tuple(gates.GATES)))


def test_the_default_ladders_are_well_formed() -> None:
    for environment, stages in ladder.DEFAULT.items():
        as_settings = [{each: getattr(stage, each) for each in stage.__slots__} for stage in stages]
        assert ladder.problems({environment: as_settings}, tuple(gates.GATES)) == []


def test_production_climbs_by_shadow_and_canaries() -> None:
    production = ladder.ladder("production", {})
    assert [(stage.key, stage.percent, stage.soak_hours) for stage in production.stages] == [
        ("off", 0, 0),
        ("shadow", 0, 24),
        ("canary-10", 10, 24),
        ("canary-50", 50, 24),
        ("full", 100, 7 * 24),
    ]
    assert [stage.key for stage in production.stages if stage.shadow] == ["shadow"]
    assert [stage.key for stage in production.stages if stage.v3] == ["canary-10", "canary-50", "full"]
    above = production.above("canary-10")
    assert above is not None
    assert above.key == "canary-50"
    assert production.above("full") is None
    assert [stage.key for stage in production.below("canary-10")] == ["shadow", "off"]


@pytest.mark.parametrize(
    "stage", [stage for stages in ladder.DEFAULT.values() for stage in stages], ids=lambda s: s.key
)
def test_default_gates_forgive_no_single_case_and_ask_for_shares_that_can_be_missed(stage: ladder.Stage) -> None:
    cases = {"unsafe", "refused", "candidate_errors", "days_unsafe", "days_refused", "explanations"}
    shares = {"largest_share", "parity", "days_worse", "complete", "noise", "errors", "confirmed", "review", "no_worse"}
    assert [gate for gate in cases & set(stage.gates) if stage.gates[gate] != 0] == []
    assert [gate for gate in shares & set(stage.gates) if not 0 < stage.gates[gate] < 1] == []
    counts = {"comparable", "restaurants", "coverage"}
    assert [gate for gate in set(stage.gates) - cases - shares if not (gate.endswith("_ms") or gate in counts)] == []


def test_staging_watches_before_it_decides_everything() -> None:
    stages = ladder.ladder("staging", {}).stages
    assert [(stage.key, stage.shadow, stage.percent, stage.soak_hours) for stage in stages] == [
        ("off", False, 0, 0),
        ("shadow", True, 0, 24),
        ("full", False, 100, 48),
    ]


def test_settings_replace_the_ladder_of_their_environment_only() -> None:
    given: dict[str, list[dict[str, Any]]] = {"dev": [{"key": "off"}, {"key": "watch", "shadow": True}]}
    dev = ladder.ladder("dev", given)
    assert [(stage.key, stage.shadow, stage.percent) for stage in dev.stages] == [("off", False, 0), ("watch", True, 0)]
    assert dev.bottom.key == "off"
    assert ladder.ladder("staging", given).stages == ladder.DEFAULT["staging"]


@pytest.mark.parametrize(
    ("here", "canary"),
    [
        ("off", "off"),
        ("shadow", "shadow"),
        ("canary-10", "canary-10"),
        ("canary-50", "canary-10"),
        ("full", "canary-10"),
        ("no longer a stage", "canary-10"),
    ],
)
def test_a_release_without_evidence_goes_to_the_first_canary_but_never_up(here: str, canary: str) -> None:
    assert ladder.ladder("production", {}).canary(here).key == canary


@pytest.mark.parametrize(("here", "canary"), [("off", "off"), ("watch", "watch"), ("no longer a stage", "off")])
def test_where_v3_never_decides_there_is_no_canary(here: str, canary: str) -> None:
    watching = ladder.ladder("dev", {"dev": [{"key": "off"}, {"key": "watch", "shadow": True}]})
    assert watching.canary(here).key == canary


def test_a_breach_leads_to_the_nearest_stage_in_which_v3_decides_for_nobody() -> None:
    production = ladder.ladder("production", {})
    assert production.refuge("full").key == "shadow"
    assert production.refuge("shadow").key == "shadow"
    assert ladder.ladder("dev", {}).refuge("full").key == "off"


def test_an_unknown_stage_is_named_with_those_there_are() -> None:
    with pytest.raises(LookupError, match=r"no stage 'canary-25'; it has off, full"):
        ladder.ladder("dev", {}).stage("canary-25")


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ([], "must be a list of stages"),
        ([{"percent": 3}], "a stage is a dict with a key"),
        ([{"key": "off"}, {"key": "off"}], "occurs 2 times"),
        ([{"key": "off", "soak": 3}], "no setting 'soak'"),
        ([{"key": "on", "v3": True, "percent": 100}], "must have V3 and shadow off"),
        ([{"key": "off"}, {"key": "x", "v3": True, "shadow": True, "percent": 5}], "V3 and shadow on"),
        ([{"key": "off"}, {"key": "x", "v3": True}], "percent above 0"),
        ([{"key": "off"}, {"key": "x", "percent": 101}], "from 0 to 100, not 101"),
        ([{"key": "off", "v3": 1}], "v3 must be True or False, not 1"),
        ([{"key": "off", "shadow": "no"}], "shadow must be True or False, not 'no'"),
        ([{"key": "off", "soak_hours": -1}], "0 or more, not -1"),
        ([{"key": "off", "gates": ["parity"]}], "gates must map gates to thresholds, not ['parity']"),
        ([{"key": "off", "gates": {"luck": 1}}], "names the gate 'luck'"),
        ([{"key": "off", "gates": {"parity": "high"}}], "must be a number of 0 or more, not 'high'"),
        (
            [{"key": "off"}, {"key": "a", "v3": True, "percent": 50}, {"key": "b", "v3": True, "percent": 10}],
            "fewer restaurants",
        ),
    ],
)
def test_a_wrong_ladder_is_named(stages: Any, problem: str) -> None:
    assert problem in problems(stages)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"GUARD": {"luck": 1}}, "names ['luck']; known are window_minutes, errors"),
        ({"GUARD": {"errors": -1}}, "errors must be 0 or more, not {'errors': -1}"),
        ({"GUARD": {"window_minutes": 0}}, "window_minutes must be 1 or more"),
        ({"GUARD": 7}, "must map guardrails to numbers"),
        ({"EVIDENCE_DAYS": 0}, "must be between 1 and 10000, not 0"),
        ({"COOL_DOWN_HOURS": "long"}, "must be a number, not 'long'"),
        ({"COOL_DOWN_HOURS": float("inf")}, "must be a finite number, not inf"),
        ({"FREEZE_DURING_SERVICE": 1}, "must be True or False, not 1"),
        ({"FREEZE_WINDOWS": [["2030-01-01", "2030-01-02"]]}, "no pair of ISO 8601 moments with offset"),
        ({"FREEZE_WINDOWS": [["2030-01-02T00:00Z", "2030-01-01T00:00Z"]]}, "the earlier one first"),
        ({"LADDERS": {"dev": []}}, "must be a list of stages"),
    ],
    ids=str,
)
def test_a_wrong_setting_is_named(settings: Any, given: dict[str, Any], problem: str) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, **given}
    (found,) = conf.problems()
    assert problem in found


def test_a_canary_of_one_percent_is_a_stage_like_others() -> None:
    assert problems([{"key": "off"}, {"key": "canary-1", "v3": True, "percent": 1}]) == ""


def test_ladders_that_are_no_mapping_are_named() -> None:
    assert ladder.problems([{"key": "off"}], ()) == [
        "ROLLOUT['LADDERS'] must map environments to lists of stages, not [{'key': 'off'}]"
    ]


def test_an_unknown_environment_is_named() -> None:
    assert "'prod'" in ladder.problems({"prod": [{"key": "off"}]}, ())[0]


@pytest.mark.parametrize(("v3", "percent", "decides"), [(True, 1, True), (True, 0, False), (False, 1, False)])
def test_v3_decides_from_one_percent_of_the_restaurants_on(v3: bool, percent: int, decides: bool) -> None:
    assert ladder.Stage(key="canary-1", v3=v3, percent=percent).decides is decides
