"""docs/reference is what the code says, and says it of everything that a project can name."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.management import get_commands

from assignments import api, conf, exceptions, host, signals
from assignments.integration.model_host.attributes import Attributes
from assignments.outcome import CoordinatorReason, Noop
from assignments.planning.reasons import Reason
from rollout import conf as rollout_conf
from tests.docs import reference
from tests.docs.document import DOCS


def page(name: str) -> str:
    return reference.path_of(name).read_text()


@pytest.mark.parametrize("name", reference.PAGES)
def test_each_page_is_current(name: str) -> None:
    assert page(name) == reference.text_of(name), "python -m tests.docs.reference writes it anew"


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text()
    written = {f"reference/{path.stem}" for path in Path(reference.FOLDER).glob("*.md")}
    assert written == {f"reference/{name}" for name in reference.PAGES}
    assert {each for each in written if f"\n{each}\n" not in index} == set()


@pytest.mark.parametrize("declared", [conf.Settings, rollout_conf.Settings], ids=["ASSIGNMENTS", "ROLLOUT"])
def test_every_setting_has_type_default_and_a_sentence(declared: type) -> None:
    text = page("settings")
    for name, (kind, _default, meaning) in reference.attribute_docs(declared).items():
        assert meaning.rstrip().endswith("."), f"{name} has no docstring"
        assert f"### `{name}`\n\nType `{kind}`; default `" in text
    assert {each.name for each in fields(declared)} == reference.attribute_docs(declared).keys()


def test_the_bounds_of_a_setting_are_those_that_its_check_refuses() -> None:
    text = page("settings")
    assert "### `MAX_PARALLEL`\n\nType `int`; default `3`; must be between 1 and 20; variable `FEATURE_" in text
    assert "### `SHADOW_SAMPLE`\n\nType `float`; default `1.0`; must be between 0 and 1." in text
    assert '### `ENVIRONMENT`\n\nType `str`; default `"dev"`; must be one of dev, staging, production.' in text


def test_every_environment_variable_is_there() -> None:
    for variable in (*conf.VARIABLES.values(), *rollout_conf.VARIABLES):
        assert f"| `{variable}` | " in page("settings")


def test_every_function_of_the_api_is_there_with_signature_and_errors() -> None:
    text = page("api")
    public = [
        name
        for name, each in vars(api).items()
        if inspect.isfunction(each) and not name.startswith("_") and each.__module__ == api.__name__
    ]
    assert {"assign", "booking_changed", "close", "explain", "hold", "request", "seat_walk_in", "undo"} <= set(public)
    for name in public:
        assert f"### `{name}`\n\n```python\n{name}(" in text
        assert (getattr(api, name).__doc__ or "").strip(), f"{name} has no docstring"
    for name, each in vars(exceptions).items():
        if inspect.isclass(each) and issubclass(each, exceptions.AssignmentsError):
            assert f"| `{name}` | " in text


def test_every_attribute_and_method_of_a_host_is_there() -> None:
    text = page("host")
    for name, (_kind, _default, meaning) in reference.attribute_docs(Attributes).items():
        assert f"| `{name}` | " in text
        assert meaning, f"{name} has no docstring"
    for name, each in vars(host.Host).items():
        if inspect.isfunction(each) and not name.startswith("_"):
            assert f"### `{name}`\n" in text
    for name in set(host.__all__) - {
        "Host",
        "ModelHost",
        "MovesGuests",
        "LimitsUsers",
        "KnowsGuests",
        "FindsRestaurants",
    }:
        assert f"### `{name}`\n" in text
    for name in ("on_moved", "restaurants_of", "guests", "find", "restaurants_called", "create_walk_in", "watched"):
        assert f"### `{name}`\n" in text


def test_every_signal_is_there() -> None:
    names = [name for name, each in vars(signals).items() if isinstance(each, signals.QuietSignal)]
    assert set(names) >= {"state_changed", "handed_back"}
    for name in names:
        assert f"## `{name}`\n\n`" in page("signals")


def test_every_command_is_there_with_its_exit_codes() -> None:
    text = page("commands")
    sections = {section.partition("`")[0]: section for section in text.split("\n## `")[1:]}
    ours = {name for name, app in get_commands().items() if app in {"assignments", "rollout"}}
    assert sections.keys() == ours
    for name, section in sections.items():
        assert "| 0 | " in section, f"{name} does not say what it exits with"
    assert "| 3 | The guard rolled back. |" in sections["rollout"]
    assert "| `--max-seconds MAX_SECONDS` | " in sections["run_coordinator"]
    assert "### `rollout promote`" in sections["rollout"]


def test_every_reason_code_is_there_in_words() -> None:
    text = page("reasons")
    for code in (*Reason, *CoordinatorReason, *Noop):
        assert f"| `{code}` | " in text
    assert "| `no_capacity` | Everything that fits the party is taken. | retry | yes |" in text
    assert "| `table_taken` | Somebody else has a table at that time. | table | no |" in text
