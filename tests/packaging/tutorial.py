"""Following docs/tutorial.md: its files are written, its commands are run, and what it shows of their output is there.

A ``python`` block begins with a comment that names its file, ``# at the end of FILE`` where it is added to one. A ``text``
block has lines of what the command above it prints. ``<!-- not run: REASON -->`` above a block leaves it out.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.docs.document import in_a_shell
from tests.packaging import one_process

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
DATABASE = "trattoria"
AT_THE_END = "# at the end of "

_MANAGE = re.compile(r"python manage\.py (?P<words>.*?)(?: < (?P<file>\S+))?")

_BLOCK = re.compile(
    r"^(?P<skip><!-- not run: [^>]+ -->\n+)?```(?P<kind>sh|python|text)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


def blocks() -> Iterator[tuple[str, str]]:
    """Kind and text of each block that is not left out, in order."""
    for found in _BLOCK.finditer(TUTORIAL.read_text()):
        if not found["skip"]:
            yield found["kind"], found["text"]


def follow(folder: Path, environ: dict[str, str], *, database: str) -> dict[str, str]:
    """Do all of it in an empty folder, on another database than the tutorial names; what each command has printed."""
    steps: list[dict[str, Any]] = []
    promised: list[tuple[int, str]] = []
    for kind, text in blocks():
        if kind == "python":
            _write(folder, text.replace(f'"{DATABASE}"', f'"{database}"'))
        elif kind == "sh":
            steps += filter(None, (_begin(command, folder, environ) for command in text.splitlines()))
        else:
            promised += [(len(steps) - 1, line.strip()) for line in text.splitlines()]
    in_project = {**environ, "DJANGO_SETTINGS_MODULE": f"{DATABASE}.settings"}
    said = one_process.run(steps, "python", folder=folder, environ=in_project)
    for step, (code, printed) in zip(steps, said, strict=True):
        assert code == 0, f"{step['command']}\n{printed}"
    for number, line in promised:
        assert line in said[number][1], f"{steps[number]['command']}\n{said[number][1]}\ndoes not print {line!r}"
    return {step["command"]: printed for step, (_code, printed) in zip(steps, said, strict=True)}


def _write(folder: Path, block: str) -> None:
    first, _newline, text = block.partition("\n")
    if first.startswith(AT_THE_END):
        path = folder / first.removeprefix(AT_THE_END)
        text = f"{path.read_text()}\n{text}"
    else:
        path = folder / first.removeprefix("# ")
    path.write_text(text)


def _begin(command: str, folder: Path, environ: dict[str, str]) -> dict[str, Any] | None:
    """What the project's process is to run, with what a shell makes of the words; None for what has been done already."""
    manage = _MANAGE.fullmatch(command)
    if not manage or manage["words"].startswith("startapp "):  # before the app is installed
        _run(command, folder, environ)
        return None
    words = _run(f"printf '%s\\0' {manage['words']}", folder, environ).removesuffix("\0").split("\0")
    return {"manage": words, "stdin": manage["file"] or os.devnull, "command": command}


def _run(command: str, folder: Path, environ: dict[str, str]) -> str:
    code, printed = in_a_shell(command, folder=folder, environ=environ)
    assert code == 0, f"{command}\n{printed}"
    return printed
