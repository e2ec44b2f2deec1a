"""Each command, with arguments of every kind: it does what it is told, or refuses it in a sentence."""

import io
from argparse import Action, ArgumentParser, _StoreTrueAction, _SubParsersAction
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from hypothesis import example, given
from hypothesis import strategies as st

from example import demo, models
from tests.fuzz.fuzzing import few, texts

OURS = sorted((name, app) for name, app in get_commands().items() if app in {"assignments", "rollout", "example"})
ENDLESS = frozenset({"--watch"})
"""Options that do not come to an end by themselves."""
ELSEWHERE = frozenset({"--write"})
"""Options that write into the project."""
LONG = frozenset({"demo", "serve"})
"""Commands of which only the arguments are read: they play an evening, or do not end."""
DJANGO = frozenset({"--help", "--version", "--settings", "--pythonpath", "--traceback", "--no-color", "--force-color"})


def leaves() -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, app in OURS:
        parser = load_command_class(app, name).create_parser("manage.py", name)
        subs = [each for each in parser._actions if isinstance(each, _SubParsersAction)]
        yield from ((name, (action,)) for action in subs[0].choices) if subs else [(name, ())]


LEAVES = list(leaves())


def parser_of(command: Any, name: str, path: tuple[str, ...]) -> tuple[ArgumentParser, list[Action]]:
    parser = command.create_parser("manage.py", name)
    its = parser
    for step in path:
        its = next(each for each in its._actions if isinstance(each, _SubParsersAction)).choices[step]
    return parser, [each for each in its._actions if not DJANGO & set(each.option_strings) and each.dest != "help"]


def value(draw: st.DataObject, action: Action, good: dict[str, str], folder: Path) -> str:
    if action.type is Path or action.metavar == "FILE" or action.dest == "root":
        files = [str(folder / "evening.json"), str(folder / "out"), str(folder), "/nowhere/x", "/dev/null", "", "a\0b"]
        return draw.draw(st.sampled_from(files))
    if action.choices and draw.draw(st.booleans()):
        return str(draw.draw(st.sampled_from(list(action.choices))))
    if action.dest in good and draw.draw(st.booleans()):
        return good[action.dest]
    return draw.draw(texts)


def arguments(draw: st.DataObject, actions: list[Action], good: dict[str, str], folder: Path) -> list[str]:
    given: list[str] = []
    for action in actions:
        if (ENDLESS | ELSEWHERE) & set(action.option_strings):
            continue
        if action.option_strings and not (action.required or draw.draw(st.booleans())):
            continue
        if isinstance(action, _StoreTrueAction):
            given.append(action.option_strings[-1])
            continue
        text = value(draw, action, good, folder)
        # With "=", so that a text that begins with a hyphen reaches the command.
        given += (
            [f"{action.option_strings[-1]}={text}"]
            if action.option_strings and action.nargs is None
            else ([*action.option_strings[-1:], text])
        )
    return given


def run(name: str, app: str, argv: list[str]) -> None:
    """Raises what is neither done nor refused."""
    command: Any = load_command_class(app, name)
    command._called_from_command_line = True  # Otherwise bad usage raises what a command's refusal raises.
    parser = command.create_parser("manage.py", name)
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            options = vars(parser.parse_args(argv))
        except SystemExit as ended:
            assert ended.code in {0, 2}
            return
        if name in LONG:
            return
        options |= {"stdout": io.StringIO(), "stderr": io.StringIO()}
        with mock.patch("assignments.management.supervisor.is_wanted", return_value=False):
            try:
                command.execute(*options.pop("args", ()), **options)
            except CommandError as refused:
                assert str(refused)
            except SystemExit as ended:
                assert ended.code in {0, 1, 2, 3, 4, 75}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    """A project of one file, and an evening."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.py").write_text((settings.BASE_DIR / "example" / "settings.py").read_text())
    settings.BASE_DIR = tmp_path
    (tmp_path / "evening.json").write_text(demo.REAL_EVENING.read_text())
    return tmp_path


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("name", "path"), LEAVES, ids=lambda each: each if isinstance(each, str) else "".join(each))
def test_a_command_does_or_refuses(name: str, path: tuple[str, ...], decided: models.Restaurant, folder: Path) -> None:
    app = dict(OURS)[name]
    good = {
        "restaurant": str(decided.pk),
        "starts_at": "2030-06-01 18:00",
        "ends_at": "2030-06-01 22:00",
        "date": "2030-06-01",
        "first": "2030-06-01",
        "last": "2030-06-02",
        "limit": "3",
        "app": "example",
    }
    _, actions = parser_of(load_command_class(app, name), name, path)

    @few(6)
    @given(st.data())
    def played(draw: st.DataObject) -> None:
        run(name, app, [*path, *arguments(draw, actions, good, folder)])

    played()


@pytest.mark.django_db
@few(20)
@given(st.sampled_from(LEAVES), st.lists(texts, max_size=6))
@example(("closures", ("list",)), ["--restaurant=a\0b"])
def test_arguments_that_no_command_has(leaf: tuple[str, tuple[str, ...]], given: list[str]) -> None:
    name, path = leaf
    if not (ENDLESS | ELSEWHERE) & set(given):
        command: Any = load_command_class(dict(OURS)[name], name)
        command._called_from_command_line = True
        parser = command.create_parser("manage.py", name)
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            try:
                parser.parse_args([*path, *given])
            except SystemExit as ended:
                assert ended.code in {0, 2}
