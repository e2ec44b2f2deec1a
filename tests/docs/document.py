"""Running what a document tells people to run: its fenced ``sh`` and ``sql`` blocks, in order, on the test's database.

A command says with ``# exits with N`` behind it that its exit code is not 0. A query says with ``-- gives VALUE`` above it
what the first column of its first row holds, or ``-- gives nothing``. ``<!-- not run: REASON -->`` above a block leaves
it out.

What is only ``python manage.py`` and its arguments runs in this process, which saves a second each; a shell takes its line
apart. Everything else runs in a shell.
"""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings
from django.db import connection
from django.test import override_settings

from tests.example import processes

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<skip>[^>]+) -->\n+)?```(?P<language>sh|sql)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_EXIT = re.compile(r"#.*\bexits with (\d+)")
_MANAGE = re.compile(r"python manage\.py [^|&;<>`()\n]+")
_GIVES = re.compile(r"--.*\bgives (\S+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One command or one query of a document, and what it promises: an exit code, or a value."""

    place: str
    language: str
    text: str
    promise: str = ""


def steps(path: Path) -> list[Step]:
    """Everything that the document has people run, in order."""
    text = path.read_text()
    found = []
    for fence in _FENCE.finditer(text):
        if fence["skip"]:
            continue
        first = text.count("\n", 0, fence.start("text")) + 1
        pieces = _commands(fence["text"]) if fence["language"] == "sh" else _queries(fence["text"])
        found += [
            Step(place=f"{path.name}:{first + line}", language=fence["language"], text=piece, promise=promise)
            for line, piece, promise in pieces
        ]
    return found


def run(step: Step, **variables: str) -> str:
    """Run it; what it printed, or the rows as text. Raises AssertionError, which names the place, for a broken promise."""
    return _run_command(step, variables) if step.language == "sh" else _run_query(step)


def _commands(text: str) -> Iterator[tuple[int, str, str]]:
    """Lines, joined where they end with a backslash."""
    command, first = "", 0
    for number, line in enumerate(text.splitlines()):
        first = first if command else number
        command += line
        if command.endswith("\\"):
            command = command[:-1]
            continue
        if command.strip() and not command.lstrip().startswith("#"):
            expected = _EXIT.search(command)
            yield first, command.strip(), expected.group(1) if expected else "0"
        command = ""


def _queries(text: str) -> Iterator[tuple[int, str, str]]:
    """Statements, each with the comment above it."""
    query, first, promise = "", 0, ""
    for number, line in enumerate(text.splitlines()):
        if line.lstrip().startswith("--"):
            if given := _GIVES.search(line):
                promise = given.group(1)
            continue
        first = first if query else number
        query += f"{line}\n"
        if line.rstrip().endswith(";"):
            yield first, query.strip(), promise
            query, promise = "", ""
    assert not query.strip(), f"A query without a semicolon: {query}"


def _run_command(step: Step, variables: dict[str, str]) -> str:
    command = step.text.partition(" #")[0].strip()
    code, out = (_here if _MANAGE.fullmatch(command) else _in_a_shell)(command, variables)
    assert code == int(step.promise), f"{step.place}: {step.text}\nexits with {code}\n{out}"
    return out


def _here(command: str, variables: dict[str, str]) -> tuple[int, str]:
    from tests import process_state  # Needs Django's settings, which the catalogue's command makes later.

    _code, words = _in_a_shell(f"printf '%s\\0' {command}", variables)
    _python, _manage, *arguments = words.removesuffix("\0").split("\0")
    process_state.forget()
    # What it starts itself, such as the candidate's process, has these variables too.
    environ = mock.patch.dict(os.environ, processes.environment(**variables), clear=True)
    with environ, override_settings(**_settings(variables)):
        code, out, err = processes.run_here(*arguments)
        process_state.forget()
    return code, out + err


def _settings(variables: dict[str, str]) -> dict[str, Any]:
    """What a process with these variables would have other settings for than this one."""
    if "DJANGO_SETTINGS_MODULE" not in variables:
        return {}
    with mock.patch.dict(os.environ, variables):
        read = runpy.run_module(variables["DJANGO_SETTINGS_MODULE"])
    return {name: value for name, value in read.items() if name.isupper() and value != getattr(settings, name, None)}


def _in_a_shell(command: str, variables: dict[str, str]) -> tuple[int, str]:
    environ = processes.environment(**variables)
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    return in_a_shell(command, folder=PROJECT, environ=environ)


def in_a_shell(command: str, *, folder: Path, environ: dict[str, str]) -> tuple[int, str]:
    """The exit code of a command as a document has it, and what it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def _run_query(step: Step) -> str:
    with connection.cursor() as cursor:
        try:
            cursor.execute(step.text)
            rows: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
        except Exception as error:
            raise AssertionError(f"{step.place}: {step.text}\n{error}") from error
    given = str(rows[0][0]) if rows else "nothing"
    if step.promise:
        assert given == step.promise, f"{step.place}: {step.text}\ngives {given} instead of {step.promise}"
    return "\n".join(" | ".join(str(value) for value in row) for row in rows)
