"""Find what imports the legacy planner, directly or through others, by the whole project's import graph."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from rollout.removal.patterns import SEAM, Names

INSTALL = "pip install 'table-assignments[removal]'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Importer:
    """A module that reaches the legacy planner. ``chain``: through which modules, itself first."""

    module: str
    file: Path
    line: int
    text: str
    chain: tuple[str, ...]

    @property
    def is_direct(self) -> bool:
        return len(self.chain) == 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Importers:
    """All importing modules; ``missing`` says why there is no graph, and what to do."""

    found: tuple[Importer, ...] = ()
    missing: str = ""


def importers(names: Names, root: Path) -> Importers:
    """Modules outside the legacy planner that import it, or its seam, from the packages under the root and our own."""
    try:
        import grimp
    except ImportError:
        return Importers(missing=f"The import graph needs grimp: {INSTALL}. Without it, imports are read file by file.")
    ours = [name for name in (names.package, SEAM.split(".", maxsplit=1)[0]) if find_spec(name) is not None]
    packages = sorted({*ours, *_packages_under(root)})
    if names.package not in packages:
        return Importers()
    try:
        graph = grimp.build_graph(packages[0], *packages[1:], include_external_packages=False, cache_dir=None)
    except Exception as error:  # noqa: BLE001  (a module that cannot be parsed, or found: its message names it)
        return Importers(missing=f"The import graph could not be built: {type(error).__name__}: {error}")
    files = _files(packages)
    found = []
    for module in sorted(graph.find_downstream_modules(names.package, as_package=True)):
        chains = [
            chain
            for target in sorted({names.package, *graph.find_descendants(names.package)})
            if (chain := graph.find_shortest_chain(importer=module, imported=target)) is not None
        ]
        chain = min(chains, key=lambda each: (len(each), each))
        details = graph.get_import_details(importer=chain[0], imported=chain[1])
        first = min(details, key=lambda each: each["line_number"])
        found.append(
            Importer(
                module=module,
                file=_file_of(module, files),
                line=first["line_number"],
                text=first["line_contents"],
                chain=tuple(chain),
            )
        )
    return Importers(found=tuple(found))


def location(package: str) -> Path | None:
    """The folder of an installed package; None if it is not installed."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _packages_under(root: Path) -> set[str]:
    """Packages that this process would import from the root, or from a folder of its path below it."""
    folders = {root, *(Path(entry or ".").resolve() for entry in sys.path)}
    found = set()
    for folder in folders:
        if not folder.is_relative_to(root) or "site-packages" in folder.parts or not folder.is_dir():
            continue
        for package in folder.iterdir():
            if (package / "__init__.py").is_file() and package.name.isidentifier():
                place = location(package.name)
                if place is not None and place.resolve() == package.resolve():
                    found.add(package.name)
    return found


def _files(packages: list[str]) -> Mapping[str, Path]:
    return {package: place for package in packages if (place := location(package)) is not None}


def _file_of(module: str, files: Mapping[str, Path]) -> Path:
    package, *rest = module.split(".")
    base = files[package].joinpath(*rest)
    return base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
