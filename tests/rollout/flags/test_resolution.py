"""Flags: precedence, modes, wrong values, and that reading them is always fresh."""

import itertools
from typing import Any

import pytest
from django.core import checks
from waffle.models import Switch

from rollout import conf
from rollout.flags import resolution
from rollout.flags.resolution import Mode, Source

KILL, V3, SHADOW = conf.KILL_VARIABLE, conf.V3_VARIABLE, conf.SHADOW_VARIABLE


def configure(settings: Any, **variables: str) -> None:
    settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": variables}


def turn(name: str, active: bool) -> None:
    Switch.objects.update_or_create(name=name, defaults={"active": active})


@pytest.mark.django_db
class TestPrecedence:
    @pytest.mark.parametrize("row", [None, True, False])
    @pytest.mark.parametrize("variable", [None, "", "true", "false"])
    def test_the_row_rules_then_the_variable_then_off(
        self, settings: Any, row: bool | None, variable: str | None
    ) -> None:
        configure(settings, **({} if variable is None else {V3: variable}))
        if row is not None:
            turn(resolution.V3_SWITCH, row)
        value = resolution.read().v3
        if row is not None:
            assert (value.value, value.source) == (row, Source.SWITCH)
        elif variable is not None:
            assert (value.value, value.source, value.raw) == (variable == "true", Source.ENVIRONMENT, variable)
        else:
            assert (value.value, value.source) == (False, Source.DEFAULT)

    @pytest.mark.parametrize(
        ("v3", "shadow", "mode"),
        [
            (False, False, Mode.LEGACY),
            (False, True, Mode.SHADOW),
            (True, False, Mode.ACTIVE),
            (True, True, Mode.SHADOW),
        ],
    )
    @pytest.mark.parametrize("by", ["switch", "variable"])
    def test_what_the_flags_mean_together(self, settings: Any, v3: bool, shadow: bool, mode: Mode, by: str) -> None:
        if by == "switch":
            turn(resolution.V3_SWITCH, v3)
            turn(resolution.SHADOW_SWITCH, shadow)
        else:
            configure(settings, **{V3: str(v3), SHADOW: str(shadow)})
        current = resolution.read()
        assert (current.mode, current.contradict) == (mode, v3 and shadow)

    @pytest.mark.parametrize("text", ["1", "true", "YES", "on", "perhaps"])
    def test_the_kill_variable_overrules_everything_without_a_query(
        self, settings: Any, text: str, django_assert_num_queries: Any
    ) -> None:
        turn(resolution.V3_SWITCH, True)
        configure(settings, **{KILL: text, V3: "true"})
        with django_assert_num_queries(0):
            current = resolution.read()
        assert (current.mode, current.killed, current.v3.source) == (Mode.LEGACY, True, Source.KILL)

    def test_one_query_reads_both_flags(self, settings: Any, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(1):
            resolution.read()

    def test_waffles_cache_is_passed_by(self, settings: Any) -> None:
        import waffle

        turn(resolution.V3_SWITCH, False)
        assert waffle.switch_is_active(resolution.V3_SWITCH) is False
        Switch.objects.filter(name=resolution.V3_SWITCH).update(active=True)  # another process; no cache is told
        assert waffle.switch_is_active(resolution.V3_SWITCH) is False
        assert resolution.read().mode is Mode.ACTIVE


def test_the_kill_variable_works_while_the_database_is_away(settings: Any) -> None:
    """No database fixture: a query would raise."""
    configure(settings, **{KILL: "1"})
    assert resolution.read().mode is Mode.LEGACY


@pytest.mark.parametrize("text", ["maybe", "2", "tru", "o n"])
@pytest.mark.parametrize("variable", [KILL, V3, SHADOW])
def test_a_wrong_value_is_named_by_the_check(settings: Any, variable: str, text: str) -> None:
    configure(settings, **{variable: text})
    found = [each for each in checks.run_checks(tags=["rollout"]) if each.id == "rollout.E001"]
    assert len(found) == 1
    assert variable in str(found[0].msg)
    assert repr(text) in str(found[0].msg)
    assert "true, false" in str(found[0].msg)
    assert found[0].hint


@pytest.mark.django_db
def test_a_wrong_flag_is_off_and_a_wrong_kill_kills(settings: Any) -> None:
    configure(settings, **{V3: "maybe"})
    assert resolution.read().mode is Mode.LEGACY
    configure(settings, **{V3: "true", KILL: "maybe"})
    assert resolution.read().killed


@pytest.mark.parametrize(
    ("given", "check"),
    [
        ({"ENVIRONMENT": "prod"}, "rollout.E002"),
        ({"LEGACY_PLANER": "x.y"}, "rollout.E002"),
        ({"LEGACY_PLANNER": 7}, "rollout.E002"),
        ({"ENVIRONMENT_VARIABLES": {"V3": "1"}}, "rollout.E002"),
        ({"ENVIRONMENT_VARIABLES": {V3: True}}, "rollout.E002"),
        ({"LEGACY_PLANNER": "rollout.nowhere.NoSuchPlanner"}, "rollout.E003"),
        ({"ENVIRONMENT_VARIABLES": {V3: "1", SHADOW: "on"}}, "rollout.E004"),
    ],
)
def test_each_wrong_setting_has_a_check(settings: Any, given: dict[str, Any], check: str) -> None:
    settings.ROLLOUT = {"ENVIRONMENT": "dev", **given}
    found = list(checks.run_checks(tags=["rollout"]))
    assert [each.id for each in found] == [check]
    assert found[0].hint


@pytest.mark.django_db
def test_contradicting_switches_are_named_by_the_database_check() -> None:
    turn(resolution.V3_SWITCH, True)
    turn(resolution.SHADOW_SWITCH, True)
    found = checks.run_checks(tags=[checks.Tags.database], databases=["default"])
    assert "rollout.E005" in [each.id for each in found]
    Switch.objects.filter(name=resolution.SHADOW_SWITCH).update(active=False)
    assert "rollout.E005" not in [
        each.id for each in checks.run_checks(tags=[checks.Tags.database], databases=["default"])
    ]


def test_the_right_settings_pass(settings: Any) -> None:
    for v3, shadow in itertools.product(["true", "0"], ["off", ""]):
        configure(settings, **{V3: v3, SHADOW: shadow})
        assert checks.run_checks(tags=["rollout"]) == []


def test_the_environment_is_read_by_name() -> None:
    environ = {V3: "1", KILL: "", "PATH": "/bin"}
    assert conf.read_environment(environ) == {V3: "1", KILL: ""}
