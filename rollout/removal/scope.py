"""Finds every place, in the project and in installed packages, that changes with the legacy planner's removal.

Files are read below one root, the host project's or this repository's. The import graph finds who imports what; dotted
strings, switches, events, cron lines, packaging and documents are found by reading, since no graph sees them.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path, PurePath
from typing import Any

from django.apps import apps

from rollout.flags import resolution
from rollout.removal import imports, pythonfiles, textfiles
from rollout.removal.finding import MECHANICAL, Action, Kind, Trace
from rollout.removal.patterns import SEAM, Names

MAX_BYTES = 500_000
HIDDEN_FOLDERS = frozenset({".github", ".gitlab", ".circleci", ".ci"})
OTHERS_FOLDERS = frozenset(
    {"node_modules", "__pycache__", "build", "_build", "dist", "site-packages", "staticfiles", "htmlcov"}
)

_ORDER = list(Kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """All traces, in the order in which they are dealt with. ``missing``: why the import graph is not in it."""

    root: Path
    traces: tuple[Trace, ...]
    missing: str = ""

    @property
    def is_installed(self) -> bool:
        """Return whether the package itself is still there."""
        return any(trace.kind is Kind.PACKAGE for trace in self.traces)

    @property
    def by_hand(self) -> tuple[Trace, ...]:
        return tuple(trace for trace in self.traces if trace.action is Action.BY_HAND)

    @property
    def mechanical(self) -> tuple[Trace, ...]:
        return tuple(trace for trace in self.traces if trace.action in MECHANICAL)

    def as_dict(self) -> dict[str, Any]:
        return {
            "root": str(self.root),
            "import_graph": self.missing or "used",
            "items": [trace.as_dict() for trace in self.traces],
        }


def find(root: Path, names: Names) -> Scope:
    """The scope below the root. Reads files; asks no database."""
    root = root.resolve()
    package = imports.location(names.package)
    found = _package(root, package, names)
    graph = imports.importers(names, root)
    found += [trace for trace in _files(root, package, names) if trace not in found]
    found += _own_seam(root, names)
    found += _from_graph(root, package, graph, found)
    found += _switches(root)
    found += _events(root, package)
    found += _tables(names)
    return Scope(
        root=root,
        traces=tuple(sorted(found, key=lambda each: (_ORDER.index(each.kind), each.path, each.line))),
        missing=graph.missing,
    )


def _package(root: Path, package: Path | None, names: Names) -> list[Trace]:
    if package is None:
        return []
    if package.resolve().is_relative_to(root) and "site-packages" not in package.parts:
        return [Trace(kind=Kind.PACKAGE, path=_relative(package, root), action=Action.DELETE_FOLDER)]
    distributions = ", ".join(sorted(set(packages_distributions().get(names.package, ())))) or "its distribution"
    what = f"Installed by {distributions}: the release that drops it removes it, once nothing below names it."
    return [Trace(kind=Kind.PACKAGE, path=str(package), action=Action.BY_HAND, what=what)]


def _own_seam(root: Path, names: Names) -> Iterator[Trace]:
    """A planner of the project's own that the settings name in place of ours."""
    if names.seam == SEAM:
        return
    module, _, name = names.path.rpartition(".")
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return  # The check rollout.E003 names it.
    if spec is not None and spec.origin:
        file = Path(spec.origin)
        yield Trace.of_line(
            _relative(file, root),
            _line_of(file, f"class {name}"),
            kind=Kind.SEAM,
            text=names.path,
            action=Action.BY_HAND,
            what="Delete it once the settings no longer name it, if nothing else uses it.",
        )


def _files(root: Path, package: Path | None, names: Names) -> Iterator[Trace]:
    own = root / PurePath(*SEAM.split(".")[:1]) / "removal"
    skipped = {place.resolve() for place in (package, own) if place is not None}
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        if here.name == names.package and is_test(PurePath(_relative(here, root))) and here.resolve() not in skipped:
            yield Trace(kind=Kind.TEST, path=_relative(here, root), action=Action.DELETE_FOLDER)
            subfolders.clear()
            continue
        subfolders[:] = sorted(
            each for each in subfolders if _is_read(here / each) and (here / each).resolve() not in skipped
        )
        for file in sorted(files):
            text = _text(here / file)
            if text is not None:
                yield from _in_file(_relative(here / file, root), text, names)


def _in_file(path: str, text: str, names: Names) -> Sequence[Trace]:
    if PurePath(path).suffix != ".py":
        return textfiles.traces(path, text, names)
    if list(PurePath(path).with_suffix("").parts[-2:]) == SEAM.split("."):
        return [Trace(kind=Kind.SEAM, path=path, action=Action.DELETE_FILE)]
    try:
        return pythonfiles.traces(path, text, names, is_test=is_test(PurePath(path)))
    except (SyntaxError, ValueError):
        return textfiles.traces(path, text, names)  # Of another Python, or a template.


def is_test(path: PurePath) -> bool:
    """Return whether the file belongs to tests, by the usual names."""
    return bool({"tests", "test"} & set(path.parts)) or path.name.startswith("test_") or path.name == "conftest.py"


def _from_graph(root: Path, package: Path | None, graph: imports.Importers, found: Sequence[Trace]) -> Iterator[Trace]:
    """Yield what only the import graph shows: relative imports, and modules that reach it through others."""
    whole = [trace.path for trace in found if trace.action in {Action.DELETE_FILE, Action.DELETE_FOLDER}]
    places = {(trace.path, trace.line) for trace in found}
    for importer in graph.found:
        path = _relative(importer.file, root)
        if (path, importer.line) in places:
            continue
        goes_along = any(PurePath(path).is_relative_to(each) for each in whole)
        chain = " -> ".join(importer.chain)
        yield Trace.of_line(
            path,
            importer.line,
            kind=Kind.IMPORT if importer.is_direct else Kind.DEPENDENT,
            text=importer.text.strip(),
            action=Action.GOES_ALONG if goes_along else Action.BY_HAND,
            what=chain if goes_along else f"Remove the import and what uses it: {chain}.",
        )


def _switches(root: Path) -> Iterator[Trace]:
    place = Path(resolution.__file__)
    for switch, what in (
        (resolution.V3_SWITCH, "The row stays, and stays on, until the rollout itself is removed."),
        (resolution.SHADOW_SWITCH, "The row stays off: there is nothing left to compare."),
    ):
        line = _line_of(place, f'"{switch}"')
        yield Trace.of_line(_relative(place, root), line, kind=Kind.SWITCH, text=switch, action=Action.KEEP, what=what)


def _events(root: Path, package: Path | None) -> Iterator[Trace]:
    """The event types that the package adds to the catalogue, and the numbers that they carry."""
    for file in sorted(package.rglob("*.py")) if package is not None else ():
        for line, event, fields in pythonfiles.event_types(file.read_text()):
            numbers = [field for field in fields if field.endswith(("_ms", "_seconds")) or field == "bookings"]
            for kind, text in [(Kind.EVENT, event), *((Kind.METRIC, f"{event} {number}") for number in numbers)]:
                yield Trace.of_line(
                    _relative(file, root),
                    line,
                    kind=kind,
                    text=text,
                    action=Action.GOES_ALONG,
                    what="Count assignment.coordinator's events instead.",
                )


def _tables(names: Names) -> Iterator[Trace]:
    if not apps.is_installed(names.package):
        return
    tables = [model._meta.db_table for model in apps.get_app_config(names.package).get_models()]
    for table in tables:
        yield Trace(
            kind=Kind.TABLE, path="", text=table, action=Action.BY_HAND, what="Drop it in a migration of the project."
        )
    if not tables:
        what = "It has no models, migrations or permissions: nothing to drop. Its past decisions are kept."
        yield Trace(kind=Kind.TABLE, path="", text="none", action=Action.KEEP, what=what)


def _is_read(folder: Path) -> bool:
    name = folder.name
    if name in OTHERS_FOLDERS or name.endswith(".egg-info") or (folder / "pyvenv.cfg").is_file() or folder.is_symlink():
        return False
    return not name.startswith(".") or name in HIDDEN_FOLDERS


def _text(file: Path) -> str | None:
    """The file's text; None for what is too large to be written by hand, or no text."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > MAX_BYTES:
            return None
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text


def _line_of(file: Path, text: str) -> int:
    """The first line that has the text; 0 where none has."""
    lines = (_text(file) or "").splitlines()
    return next((number for number, line in enumerate(lines, 1) if text in line), 0)


def _relative(path: Path, root: Path) -> str:
    resolved = path.resolve()
    return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else str(path)
