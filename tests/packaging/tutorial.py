"""Following docs/tutorial.md: its files are written, its commands are run, and what it shows of their output is there.

A ``python`` block begins with a comment that names its file, ``# at the end of FILE`` where it is added to one. A ``text``
block has lines of what the command above it prints. ``<!-- not run: REASON -->`` above a block leaves it out.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.document import in_a_shell

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
DATABASE = "trattoria"
AT_THE_END = "# at the end of "

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
    printed: dict[str, str] = {}
    command = ""
    for kind, text in blocks():
        if kind == "python":
            _write(folder, text.replace(f'"{DATABASE}"', f'"{database}"'))
        elif kind == "sh":
            for command in text.splitlines():
                printed[command] = _run(command, folder, environ)
        else:
            for line in text.splitlines():
                assert line.strip() in printed[command], f"{command}\n{printed[command]}\ndoes not print {line!r}"
    return printed


def _write(folder: Path, block: str) -> None:
    first, _newline, text = block.partition("\n")
    if first.startswith(AT_THE_END):
        path = folder / first.removeprefix(AT_THE_END)
        text = f"{path.read_text()}\n{text}"
    else:
        path = folder / first.removeprefix("# ")
    path.write_text(text)


def _run(command: str, folder: Path, environ: dict[str, str]) -> str:
    code, printed = in_a_shell(command, folder=folder, environ=environ)
    assert code == 0, f"{command}\n{printed}"
    return printed
