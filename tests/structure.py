"""Print the structure: ``python -m tests.structure``. Rooms and levels of each package, long files, and code lines.

A unit is a room (a directory below the package) or a module at the package's root. Its level is the length of the longest
chain of imports that starts there. Exits with 1 when a package outgrows ``LIMITS`` or has a circle, and when a long file
does not say why it is long.
"""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("assignments", "rollout", "legacy_planner")
LIMITS = {"assignments": (25, 13), "rollout": (25, 13)}
"""At most so many units, on so many levels."""
LONG_FILE_LINES = 450
REASON = "Long because"
"""A file above ``LONG_FILE_LINES`` says why in its docstring, in a sentence that begins with this.

Test modules need not: each is as long as the cases of what it tests.
"""
LONG_FILE_FOLDERS = (*PACKAGES, "example", "tests")


def units(package: str) -> dict[str, set[str]]:
    """The units of a package, and for each one those that it imports."""
    graph = grimp.build_graph(package, cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        unit = unit_of(module)
        if unit in {"", "migrations"}:
            continue
        others = {unit_of(other) for other in graph.find_modules_directly_imported_by(module)}
        found.setdefault(unit, set()).update(others - {"", unit})
    return found


def unit_of(module: str) -> str:
    """The room or root module that a dotted module belongs to; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def levels(imports: Mapping[str, set[str]]) -> dict[str, int]:
    """The level of each unit, from 1 for what imports none. Raises CycleError."""
    found: dict[str, int] = {}
    for unit in TopologicalSorter(imports).static_order():
        found[unit] = 1 + max((found[other] for other in imports.get(unit, ())), default=0)
    return found


def sources(package: str) -> Iterator[Path]:
    """The package's Python files without its migrations."""
    return (path for path in sorted((PROJECT / package).rglob("*.py")) if "migrations" not in path.parts)


def code_lines(text: str) -> int:
    """Lines that hold code: no blank lines, comments or docstrings."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    code: set[int] = set()
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docstrings)


def long_files(folder: str) -> Iterator[tuple[str, int, bool]]:
    """Files above ``LONG_FILE_LINES`` without test modules: path, lines, and whether the docstring says why."""
    for path in sources(folder):
        if path.name.startswith("test_"):
            continue
        text = path.read_text()
        lines = len(text.splitlines())
        if lines > LONG_FILE_LINES:
            yield str(path.relative_to(PROJECT)), lines, REASON in (ast.get_docstring(ast.parse(text)) or "")


def problems(package: str, of_level: Mapping[str, int]) -> Iterator[str]:
    """What is too much in this package, a sentence each."""
    most_units, most_levels = LIMITS.get(package, (sys.maxsize, sys.maxsize))
    if len(of_level) > most_units:
        yield f"{package} has {len(of_level)} rooms and root modules; {most_units} at most."
    if max(of_level.values()) > most_levels:
        yield f"{package} has {max(of_level.values())} levels; {most_levels} at most."


def main() -> int:
    found: list[str] = []
    total = 0
    for package in PACKAGES:
        count = sum(code_lines(path.read_text()) for path in sources(package))
        total += count
        try:
            of_level = levels(units(package))
        except CycleError as error:
            found.append(f"{package} has a circle of imports: {' -> '.join(error.args[1])}.")
            continue
        top = max(of_level.values())
        print(f"{package}: {len(of_level)} rooms and root modules on {top} levels, {count} code lines")  # noqa: T201
        for level in range(top, 0, -1):
            print(f"  {level:2} {', '.join(sorted(each for each in of_level if of_level[each] == level))}")  # noqa: T201
        found += problems(package, of_level)
    for folder in LONG_FILE_FOLDERS:
        found += [
            f"{path} has {lines} lines, and its docstring has no sentence that begins with {REASON!r}."
            for path, lines, says_why in long_files(folder)
            if not says_why
        ]
    print(f"Code lines without blanks, comments, docstrings and migrations: {total}")  # noqa: T201
    for problem in found:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
