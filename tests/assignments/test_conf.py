"""The settings: what the environment says where a project has set nothing."""

from typing import Any

import pytest

from assignments import conf

HOST = {"HOST": "example.host.ExampleHost"}


def test_the_environment_fills_in_and_the_projects_settings_win(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "t" * 20)
    monkeypatch.setenv("FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL", " 7 ")
    settings.ASSIGNMENTS = HOST
    assert (conf.settings().METRICS_TOKEN, conf.settings().MAX_PARALLEL) == ("t" * 20, 7)
    settings.ASSIGNMENTS = {**HOST, "METRICS_TOKEN": "", "MAX_PARALLEL": 2}
    assert (conf.settings().METRICS_TOKEN, conf.settings().MAX_PARALLEL) == ("", 2)


def test_an_empty_variable_is_none_and_a_wrong_one_is_named(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL", "")
    settings.ASSIGNMENTS = HOST
    assert conf.settings().MAX_PARALLEL == 3
    monkeypatch.setenv("FEATURE_ASSIGNMENT_PIPELINE_V3_MAX_PARALLEL", "many")
    assert conf.problems() == ["ASSIGNMENTS['MAX_PARALLEL'] must be a whole number, not 'many'"]
