"""Following docs/tutorial.md: its files are written, its commands are run, and what it shows of their output is there.

A ``python`` block begins with a comment that names its file, ``# at the end of FILE`` where it is added to one. A ``text``
block has lines of what the command above it prints. ``<!-- not run: REASON -->`` above a block leaves it out.
"""

import os
import re
from collections.abc import Iterator, Sequence
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
    reader = _Reader(folder, environ)
    for kind, text in blocks():
        if kind == "python":
            reader.write(text.replace(f'"{DATABASE}"', f'"{database}"'))
        elif kind == "sh":
            for command in text.splitlines():
                reader.enter(command)
        else:
            reader.compare(text.splitlines())
    reader.finish()
    return reader.printed


class _Reader:
    """Who follows the tutorial, in its order. Commands of manage.py between two files share a process."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.printed: dict[str, str] = {}
        self._folder, self._environ = folder, environ
        self._waiting: list[dict[str, Any]] = []
        self._shown: list[tuple[str, str]] = []
        self._last = ""

    def write(self, block: str) -> None:
        self.finish()
        _write(self._folder, block)

    def enter(self, command: str) -> None:
        self._last = command
        manage = _MANAGE.fullmatch(command)
        if not manage or manage["words"].startswith("startapp "):  # before the app is installed
            self.finish()
            self.printed[command] = self._in_a_shell(command)
            return
        # What a shell makes of the words.
        words = self._in_a_shell(f"printf '%s\\0' {manage['words']}").removesuffix("\0").split("\0")
        self._waiting.append({"manage": words, "stdin": manage["file"] or os.devnull, "command": command})

    def compare(self, lines: Sequence[str]) -> None:
        """The last command prints these lines, once it has run."""
        self._shown += [(self._last, line.strip()) for line in lines]

    def finish(self) -> None:
        """Run the commands that wait, and look for what they should print."""
        steps, self._waiting = self._waiting, []
        if steps:
            in_project = {**self._environ, "DJANGO_SETTINGS_MODULE": f"{DATABASE}.settings"}
            said = one_process.run(steps, "python", folder=self._folder, environ=in_project)
            for step, (code, printed) in zip(steps, said, strict=True):
                assert code == 0, f"{step['command']}\n{printed}"
                self.printed[step["command"]] = printed
        for command, line in self._shown:
            assert line in self.printed[command], f"{command}\n{self.printed[command]}\ndoes not print {line!r}"
        self._shown = []

    def _in_a_shell(self, command: str) -> str:
        code, printed = in_a_shell(command, folder=self._folder, environ=self._environ)
        assert code == 0, f"{command}\n{printed}"
        return printed


def _write(folder: Path, block: str) -> None:
    first, _newline, text = block.partition("\n")
    if first.startswith(AT_THE_END):
        path = folder / first.removeprefix(AT_THE_END)
        text = f"{path.read_text()}\n{text}"
    else:
        path = folder / first.removeprefix("# ")
    path.write_text(text)
