"""The reference pages, made from the code: ``python -m tests.docs.reference`` writes docs/reference and docs/events.md anew.

Docstrings are taken as they are; attributes have theirs below them, where Python does not keep it, so it is read from the
source. Types and defaults are printed as the source has them.

Long because each kind of reference page (settings, commands, API, events, checks ...) has its own writer.
"""

import ast
import inspect
import os
import re
import textwrap
from argparse import SUPPRESS, ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from enum import EnumType
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.docs.document import DOCS, PROJECT

FOLDER = DOCS / "reference"
_WIDE = 100
_RST = re.compile(r"``(.+?)``", re.DOTALL)
_CODES = re.compile(r"\s*Exit codes: (.+?)\.$", re.DOTALL)

_SETTINGS = """
Two dictionaries in your settings, `ASSIGNMENTS` and `ROLLOUT`. Only `ASSIGNMENTS["HOST"]` is required, and on servers
`ROLLOUT["ENVIRONMENT"]`. `manage.py check` reports unknown names and wrong values. Names of durations end with the unit.
"""
_VARIABLES = """
## Environment variables

Read when a process starts. A setting that is given in the settings file is stronger than its variable.

| Variable | What it does |
|---|---|"""
_RAISED = """## What they raise

All are in `assignments.exceptions`. `AssignmentsError` is the base class of the others.

| Exception | Meaning |
|---|---|"""
_HOST = """
What your project gives to this app: a class, named by `ASSIGNMENTS["HOST"]`. Most projects inherit from `ModelHost` and
name their fields ([which models do you have?](../hosts.md#which-models-do-you-have)); any class with the methods of `Host`
will do ([write your own host class](../host-class.md)). All names are in `assignments.host`.
"""
_MODEL_HOST = """## `ModelHost`

| Attribute | Type | Default | Meaning |
|---|---|---|---|"""
_OPTIONAL = """## Optional methods

A host that has one of these is asked or told. One that has not still works.
"""
_SIGNALS = """

A process that ends between the commit and the signal sends none. What must not be lost is in the outbox: see
[telling guests](../telling-guests.md).

```python
from django.dispatch import receiver

from assignments.signals import state_changed


@receiver(state_changed)
def on_state(sender, *, booking_ref, previous, state, reason, **kwargs): ...
```
"""
_COMMANDS = """
Each is run as `python manage.py COMMAND`, and has Django's own options as well, such as `--settings` and `--verbosity`.
With `--json` it prints JSON for programs; errors go to standard error. After exit code 75, try again later.
"""
_REASONS = """
A reason says why a booking has no table, or what happened to it. The codes are stored with attempts and history, are in
`Outcome.reason`, in the signal `state_changed`, in messages and in metrics, and never change. The words are what staff
read; the admin has them in German, too.
"""
_PLANNING = """## Planning

`assignments.outcome.Reason`. What follows:

- review: staff decide at once, as waiting cannot help
- retry: tried again, and after the last try staff decide
- failed: the booking itself has to be corrected
- table: why one set of tables will not do; it comes with another reason

Staff may override what has "yes", by name, and history records it.

| Code | Words | What follows | Override |
|---|---|---|---|"""
_CODES_AND_WORDS = "| Code | Words |\n|---|---|"


def markdown(text: str) -> str:
    """A docstring as Markdown: literals have single backticks, and an indented example is a block of code."""
    return _RST.sub(r"`\1`", inspect.cleandoc(text)).replace("*args", r"\*args")


def attribute_docs(where: type | ModuleType) -> dict[str, tuple[str, str, str]]:
    """Type, default and docstring of each public attribute that the source of a class or module assigns, in its order."""
    tree: Any = ast.parse(textwrap.dedent(inspect.getsource(where)))
    body: list[ast.stmt] = tree.body[0].body if isinstance(where, type) else tree.body
    found: dict[str, tuple[str, str, str]] = {}
    for each, following in zip(body, [*body[1:], None], strict=True):
        target = (
            each.target
            if isinstance(each, ast.AnnAssign)
            else each.targets[0]
            if isinstance(each, ast.Assign)
            else None
        )
        if not isinstance(target, ast.Name) or target.id.startswith("_"):
            continue
        assert isinstance(each, ast.AnnAssign | ast.Assign)
        kind = ast.unparse(each.annotation) if isinstance(each, ast.AnnAssign) else ""
        default = _source(each.value) if each.value else ""
        found[target.id] = kind, default, _docstring(following)
    return found


def _docstring(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return markdown(str(statement.value.value))
    return ""


def signature(function: Any) -> str:
    """The signature as the source has it; one line for each parameter if it is long."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    returned = f" -> {ast.unparse(definition.returns)}" if definition.returns else ""
    pieces = list(_parameters(definition.args))
    line = f"{definition.name}({', '.join(pieces)}){returned}"
    if len(line) <= _WIDE:
        return line
    lines = "".join(f"    {piece},\n" for piece in pieces)
    return f"{definition.name}(\n{lines}){returned}"


def _parameters(arguments: ast.arguments) -> Iterator[str]:
    missing: list[ast.expr | None] = [None] * (len(arguments.args) - len(arguments.defaults))
    for each, default in zip(arguments.args, [*missing, *arguments.defaults], strict=True):
        yield _parameter(each, default)
    if arguments.kwonlyargs:
        yield "*"
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(each, default)


def _parameter(parameter: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {ast.unparse(parameter.annotation)}" if parameter.annotation else ""
    return f"{parameter.arg}{annotation}" + (f" = {_source(default)}" if default else "")


def _source(expression: ast.expr) -> str:
    return ast.unparse(expression).replace("'", '"')


def _head(title: str, text: str) -> str:
    written_by = "Generated from the code by `python -m tests.docs.reference`; a test fails if it is not current."
    return f"# {title}\n\n{text.strip()}\n\n{written_by}\n"


def _functions(module: ModuleType) -> list[Callable[..., Any]]:
    """The public functions that a module defines, in its order."""
    found = [
        each
        for name, each in vars(module).items()
        if inspect.isfunction(each) and not name.startswith("_") and each.__module__ == module.__name__
    ]
    return sorted(found, key=lambda each: inspect.unwrap(each).__code__.co_firstlineno)


def _documented(function: Any, level: str = "###") -> str:
    return f"{level} `{function.__name__}`\n\n```python\n{signature(function)}\n```\n\n{markdown(function.__doc__ or '')}\n"


def _methods(protocol: type) -> Iterator[Any]:
    for name, each in vars(protocol).items():
        if not name.startswith("_") and inspect.isfunction(each):
            yield each


def _class(cls: type, level: str = "###") -> str:
    """A class of values with its docstring and its fields."""
    lines = [f"{level} `{cls.__name__}`", "", markdown(cls.__doc__ or ""), ""]
    attributes = attribute_docs(cls)
    if isinstance(cls, EnumType):
        lines += [
            f"- `{value[1].strip(chr(34))}`" + (f": {value[2]}" if value[2] else "") for value in attributes.values()
        ]
    elif attributes:
        lines += ["| Field | Type | Default |", "|---|---|---|"]
        lines += [
            _row(f"`{name}`", f"`{kind}`", f"`{default}`" if default else "required")
            for name, (kind, default, _doc) in attributes.items()
        ]
    return "\n".join(lines).rstrip() + "\n"


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", r"\|") for cell in cells) + " |"


# Settings


def settings() -> str:
    """All settings under ASSIGNMENTS and ROLLOUT."""
    from assignments import conf
    from rollout import conf as rollout_conf

    return "\n".join(
        [
            _head("Settings", _SETTINGS),
            "## `ASSIGNMENTS`\n",
            *_settings(conf.Settings, conf.VARIABLES),
            "## `ROLLOUT`\n",
            *_settings(rollout_conf.Settings, {}),
            _VARIABLES,
            *(_row(f"`{variable}`", meaning) for variable, meaning in variables().items()),
            "",
        ]
    )


def variables() -> Mapping[str, str]:
    """Each environment variable, and what it does."""
    from assignments import conf
    from rollout import conf as rollout_conf

    return {
        **{variable: f'`ASSIGNMENTS["{name}"]`.' for name, variable in conf.VARIABLES.items()},
        rollout_conf.KILL_VARIABLE: "With `1`, the legacy planner decides, whatever the switches say.",
        rollout_conf.V3_VARIABLE: "With `true`, V3 decides where the switch `assignment_pipeline_v3` has no row.",
        rollout_conf.SHADOW_VARIABLE: (
            "With `true`, V3 is compared with the legacy planner where the switch "
            "`assignment_pipeline_v3_shadow` has no row."
        ),
    }


def _settings(declared: type, by_variable: Mapping[str, str]) -> Iterator[str]:
    docs = attribute_docs(declared)
    for each in fields(declared):
        kind, _default, meaning = docs[each.name]
        facts = [f"Type `{kind}`", f"default `{_default_of(each)}`"]
        if bounds := _bounds(each.metadata["problem"]):
            facts.append(bounds)
        if each.name in by_variable:
            facts.append(f"variable `{by_variable[each.name]}`")
        yield f"### `{each.name}`\n\n{'; '.join(facts)}.\n\n{meaning}\n"


def _default_of(setting: Any) -> str:
    value = setting.default_factory()
    return str(dict(value)) if isinstance(value, Mapping) else repr(value).replace("'", '"')


def _bounds(problem: Callable[[Any], str | None]) -> str:
    """What the setting's own check says of a value that is out of all bounds, or of no type."""
    said = problem(-(10**9))
    if said is None or not re.search(r"\d", said):
        said = problem(object())
    return (said or "").replace("'", "`")


# API


def api() -> str:
    """The functions of assignments.api, what they return, and what they raise."""
    from assignments import api as module
    from assignments import exceptions, outcome

    description = markdown(module.__doc__ or "").partition("\n\nLong because")[0]
    raised = [
        each
        for each in vars(exceptions).values()
        if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == exceptions.__name__
    ]
    return "\n".join(
        [
            _head("API", "```python\nfrom assignments import api\n```\n\n" + description),
            "## Functions\n",
            *map(_documented, _functions(module)),
            "## What they return\n",
            *map(_class, (module.Hold, outcome.Outcome, outcome.Kind, outcome.Change)),
            _RAISED,
            *(_row(f"`{each.__name__}`", markdown(each.__doc__ or "")) for each in raised),
            "",
        ]
    )


def host() -> str:
    """The host protocol, ModelHost's attributes, and the values that pass between."""
    from assignments import host as names
    from assignments.integration import project_host, watched
    from assignments.integration.model_host.attributes import Attributes

    optional = (
        names.MovesGuests,
        names.LimitsUsers,
        names.KnowsGuests,
        names.FindsRestaurants,
        project_host.MakesWalkIns,
        watched.WatchesModels,
    )
    rows = [
        _row(f"`{name}`", f"`{kind}`", f"`{default}`", meaning)
        for name, (kind, default, meaning) in attribute_docs(Attributes).items()
    ]
    return "\n".join(
        [
            _head("Host", _HOST),
            _MODEL_HOST,
            *rows,
            "\n## `Host`\n",
            markdown(names.Host.__doc__ or ""),
            "\n### `tracks_confirmation`\n",
            markdown(names.Host.tracks_confirmation.__doc__ or ""),
            "",
            *(_documented(each) for each in _methods(names.Host)),
            _OPTIONAL,
            *(
                f"{_documented(each)}\n{markdown(protocol.__doc__ or '')}\n"
                for protocol in optional
                for each in _methods(protocol)
            ),
            "## Values\n",
            *map(_class, (names.HostBooking, names.Seating, names.Guest, names.Move, names.Message, names.Watch)),
        ]
    )


def signals() -> str:
    """The signals of assignments.signals."""
    from django.dispatch import Signal

    from assignments import signals as module

    found = [
        f"## `{name}`\n\n{doc}\n"
        for name, (_kind, _default, doc) in attribute_docs(module).items()
        if isinstance(getattr(module, name), Signal)
    ]
    return "\n".join([_head("Signals", markdown(module.__doc__ or "") + _SIGNALS), *found])


# Commands


def commands() -> str:
    """All commands of the installed apps, with arguments and exit codes."""
    from django.core.management import CommandParser, get_commands, load_command_class

    ours = sorted((app, name) for name, app in get_commands().items() if app in {"assignments", "rollout"})
    sections = []
    for app, name in ours:
        command = load_command_class(app, name)
        parser = CommandParser(prog=f"manage.py {name}", add_help=False)
        command.add_arguments(parser)
        sections.append(_command(name, command.help, parser))
    return "\n".join([_head("Commands", _COMMANDS), *sections])


def _command(name: str, about: str, parser: ArgumentParser) -> str:
    codes = _CODES.search(about)
    lines = [f"## `{name}`", "", _CODES.sub("", about), "", *_arguments(parser)]
    if codes:
        lines += ["| Exit code | Meaning |", "|---|---|"]
        lines += [
            _row(code, f"{meaning[0].upper()}{meaning[1:]}.")
            for code, _space, meaning in (each.strip().partition(" ") for each in codes[1].split(";"))
        ]
        lines.append("")
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            said = {each.dest: each.help or "" for each in action._choices_actions}
            for choice, its_parser in action.choices.items():
                lines += [f"### `{name} {choice}`", "", said.get(choice, ""), "", *_arguments(its_parser)]
    return "\n".join(lines)


def _arguments(parser: ArgumentParser) -> list[str]:
    rows = []
    for action in parser._actions:
        if isinstance(action, _SubParsersAction) or action.help == SUPPRESS or action.dest == "help":
            continue
        value = action.metavar or (
            "{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper()
        )
        shown = "/".join(action.option_strings) or str(action.metavar or action.dest)
        if action.option_strings and action.nargs != 0:
            shown += f" {value}"
        needed = " Required." if action.required and action.option_strings else ""
        rows.append(_row(f"`{shown}`", f"{action.help or ''}{needed}".replace("%%", "%")))
    return ["| Argument | Meaning |", "|---|---|", *rows, ""] if rows else []


# Reason codes


def reasons() -> str:
    """Reason codes with their words, and what happens next."""
    from django.utils.translation import override

    from assignments.outcome import CoordinatorReason, Noop
    from assignments.planning.reasons import Reason
    from assignments.staff import labels

    with override("en"):
        words = {str(code): str(text) for code, text in labels._REASONS.items()}
    others = [code for code in words if code not in {*Reason, *CoordinatorReason, *Noop}]
    return "\n".join(
        [
            _head("Reason codes", _REASONS),
            _PLANNING,
            *(_row(f"`{each}`", words[each], _follows(each), _override(each)) for each in Reason),
            "\n## Coordinator\n",
            f"`assignments.outcome.CoordinatorReason`. {markdown(CoordinatorReason.__doc__ or '')}\n",
            _CODES_AND_WORDS,
            *(_row(f"`{each}`", words[each]) for each in CoordinatorReason),
            "\n## Nothing done\n\nThe reasons of the outcome `noop`.\n",
            _CODES_AND_WORDS,
            *(_row(f"`{each}`", words[each]) for each in Noop),
            "\n## History\n\nWhy a booking changed its state, in history, signals and messages.\n",
            _CODES_AND_WORDS,
            *(_row(f"`{each}`", words[each]) for each in sorted(others)),
            "",
        ]
    )


def _follows(reason: Any) -> str:
    from assignments.planning.reasons import HARD_REASONS, INVALID_REASONS, SOFT_REASONS

    if reason in INVALID_REASONS:
        return "failed"
    if reason in HARD_REASONS:
        return "review"
    return "retry" if reason in SOFT_REASONS else "table"


def _override(reason: Any) -> str:
    from assignments.planning.reasons import OVERRIDABLE

    return "yes" if reason in OVERRIDABLE else "no"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "api": api,
    "host": host,
    "signals": signals,
    "commands": commands,
    "reasons": reasons,
}


def text_of(page: str) -> str:
    """A page as it should be."""
    pieces = PAGES[page]().split("```")
    pieces[::2] = [re.sub(r"\n{3,}", "\n\n", piece) for piece in pieces[::2]]  # The others are code.
    return "```".join(pieces).rstrip() + "\n"


def path_of(page: str) -> Path:
    """Where a page is."""
    return FOLDER / f"{page}.md"


def write(pages: Iterable[str] = PAGES) -> None:
    """Write these pages."""
    FOLDER.mkdir(exist_ok=True)
    for page in pages:
        path_of(page).write_text(text_of(page))


def main() -> None:
    import django

    from tests.docs import catalogue

    os.chdir(PROJECT)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    write()
    catalogue.write()


if __name__ == "__main__":
    main()
