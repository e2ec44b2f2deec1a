"""Finding references to the legacy planner in a Python file by its syntax tree, and edits that remove them.

Elements of lists, settings and tests that are marked can be cut out by a program. What cannot be decided from the syntax
alone (an import whose name is used further down, a text, a comment) is left to people.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from rollout.removal import edits
from rollout.removal.edits import Cut
from rollout.removal.finding import Action, Kind, Trace
from rollout.removal.patterns import SETTING, Names

IGNORE = re.compile(r"rollout-removal: ignore(-file)?")
"""Excludes its line from the traces; with ``-file``, the whole file."""

_TestCode = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def traces(path: str, text: str, names: Names, *, is_test: bool) -> list[Trace]:
    """All traces in one file. Raises SyntaxError for invalid Python that may have some."""
    if not names.may_be_in(text) or any(found.group(1) for found in IGNORE.finditer(text)):
        return []
    return _File(path, text, names, is_test=is_test).traces()


def event_types(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """The event types that a file declares: line, type, fields."""
    declaring: set[str] = set()
    for statement in ast.parse(text).body:
        match statement:
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Call(func=function)):
                if ast.unparse(function).endswith("declare"):
                    declaring.update(ast.unparse(name) for name in names)
            case ast.Expr(ast.Call(ast.Name(name), [ast.Constant(str(kind)) as first, ast.Constant(str(fields)), *_])):
                if name in declaring:
                    yield first.lineno, kind, fields.split()


class _File:
    def __init__(self, path: str, text: str, names: Names, *, is_test: bool) -> None:
        self.path, self.names, self.is_test = path, names, is_test
        self.source = text.encode()
        self.lines = text.splitlines()
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line.encode()))
        self.tree = ast.parse(text)
        self.nodes: list[ast.AST] = [self.tree]
        self.parents: dict[ast.AST, ast.AST] = {}
        for node in self.nodes:  # The list grows as it is read, so each node comes once.
            children = list(ast.iter_child_nodes(node))
            self.nodes += children
            self.parents.update(dict.fromkeys(children, node))
        self.cuts: list[Cut] = []
        self.places: list[Trace] = []
        """Lines that a person has to look at."""
        self.goes_whole = False

    def traces(self) -> list[Trace]:
        for node in self.nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._text(node, node.value)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                self._import(node)
            elif isinstance(node, ast.Attribute):
                self._marker(node)
        if self.goes_whole:
            return [Trace(kind=Kind.TEST, path=self.path, action=Action.DELETE_FILE)]
        found = edits.as_traces(self.path, self.source, self.cuts)
        found = self._checked(found)
        covered = {line for trace in found for line in range(trace.line, trace.end_line + 1)}
        by_line = {place.line: place for place in reversed(self.places) if place.line not in covered}
        for number, line in enumerate(self.lines, 1):
            if number not in covered and number not in by_line and self._is_mention(line):
                kind = Kind.TEST if self.is_test else Kind.MENTION
                by_line[number] = self._by_hand(number, kind, "Reword or delete.")
        return sorted([*found, *by_line.values()], key=lambda each: each.line)

    def _by_hand(self, line: int, kind: Kind, what: str) -> Trace:
        text = self.lines[line - 1].strip()
        return Trace.of_line(self.path, line, kind=kind, text=text, action=Action.BY_HAND, what=what)

    def _checked(self, found: list[Trace]) -> list[Trace]:
        """The edits; places whose edit would break the file are left to people."""
        if not found:
            return []
        try:
            ast.parse(edits.without(self.source, found))
        except SyntaxError:
            what = "Remove it, and adapt the code around it."
            return [replace(each, action=Action.BY_HAND, replacement="", what=what) for each in found]
        return found

    def _is_mention(self, line: str) -> bool:
        if IGNORE.search(line):
            return False
        if self.names.mention.search(line):
            return True
        # In a test such a row is data, as good as ever.
        return not self.is_test and bool(self.names.decided.search(line))

    # What a text constant, an import and a marker mean

    def _text(self, node: ast.Constant, text: str) -> None:
        if self._is_ignored(node):
            return
        if isinstance(self.parents.get(node), ast.JoinedStr | ast.Expr):
            return
        if self.names.is_event(text):
            self._reference(node, Kind.EVENT)
        elif self.names.refers(text):
            self._reference(node, Kind.MIGRATION if "/migrations/" in f"/{self.path}" else self._kind(Kind.SETTING))

    def _reference(self, node: ast.Constant, kind: Kind) -> None:
        statement = self._statement_that_is_only(node)
        if statement is not None:
            self._cut_lines(statement, kind)
        elif not self._cut_from_container(node, kind):
            self._look(node, kind, "It refers to removed code: adapt what uses it.")

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if self._is_ignored(node):
            return
        modules = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        )
        if isinstance(node, ast.ImportFrom) and node.level:
            return  # The import graph resolves what is relative.
        if any(self.names.refers(module) for module in modules):
            what = (
                f"Mark the tests that need it with pytest.mark.{self.names.package}, or move them."
                if self.is_test
                else "Remove the import and what uses it."
            )
            self._look(node, Kind.IMPORT, what)

    def _marker(self, node: ast.Attribute) -> None:
        if node.attr != self.names.package or not isinstance(node.value, ast.Attribute) or node.value.attr != "mark":
            return
        for parent in (node, *self._ancestors(node)):
            above = self.parents.get(parent)
            if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute) and parent.func.attr == "param":
                if self._cut_from_container(parent, Kind.TEST):
                    return
            elif isinstance(above, _TestCode) and parent in above.decorator_list:
                self._cut_lines(above, Kind.TEST, label=above.name)
                return
            elif isinstance(parent, ast.Assign) and [ast.unparse(each) for each in parent.targets] == ["pytestmark"]:
                if isinstance(above, ast.ClassDef):
                    self._cut_lines(above, Kind.TEST, label=above.name)
                self.goes_whole |= isinstance(above, ast.Module)
                return

    # Cutting

    def _statement_that_is_only(self, node: ast.Constant) -> ast.stmt | None:
        """``ROLLOUT["LEGACY_PLANNER"] = "..."``, ``INSTALLED_APPS += ["..."]``, ``INSTALLED_APPS.append("...")``."""
        parent = self.parents[node]
        if isinstance(parent, ast.List) and len(parent.elts) == 1:
            outer = self.parents[parent]
            return outer if isinstance(outer, ast.AugAssign) else None
        if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
            target = parent.targets[0]
            by_name = isinstance(target, ast.Name) and target.id == SETTING
            by_key = (
                isinstance(target, ast.Subscript)
                and isinstance(target.slice, ast.Constant)
                and target.slice.value == SETTING
            )
            return parent if by_name or by_key else None
        if isinstance(parent, ast.Call) and isinstance(parent.func, ast.Attribute):
            statement = self.parents[parent]
            is_list = parent.func.attr in {"append", "insert", "remove"}
            return statement if is_list and isinstance(statement, ast.Expr) else None
        return None

    def _cut_from_container(self, node: ast.expr, kind: Kind) -> bool:
        """Cut one element with its comma; False if that would change the code around it."""
        container = self.parents[node]
        if isinstance(container, ast.List | ast.Set):
            siblings: list[tuple[ast.AST, ast.AST]] = [(each, each) for each in container.elts]
            if isinstance(container, ast.Set) and len(siblings) == 1:
                return False
        elif isinstance(container, ast.Tuple) and len(container.elts) > 2:
            if not all(isinstance(each, ast.Constant | ast.Call) for each in container.elts):
                return False
            siblings = [(each, each) for each in container.elts]
        elif isinstance(container, ast.Dict):
            siblings = [(key or value, value) for key, value in zip(container.keys, container.values, strict=True)]
            key = next(first for first, last in siblings if node in {first, last})
            if node is not key and not (isinstance(key, ast.Constant) and key.value == SETTING):
                return False
        elif isinstance(container, ast.keyword) and container.arg == SETTING:
            call = self.parents[container]
            assert isinstance(call, ast.Call)
            siblings = [(each, each) for each in [*call.args, *call.keywords]]
            node = container  # type: ignore[assignment]
        else:
            return False
        index = next(i for i, pair in enumerate(siblings) if node in pair)
        self.cuts.append(self._element(siblings, index, kind))
        return True

    def _element(self, siblings: list[tuple[ast.AST, ast.AST]], index: int, kind: Kind) -> Cut:
        start, end = self._start(siblings[index][0]), self._end(siblings[index][1])
        limit = self._start(siblings[index + 1][0]) if index + 1 < len(siblings) else self._next_closing(end)
        comma = self._comma(end, limit)
        if comma is None:
            previous = self._end(siblings[index - 1][1]) if index else start
            same_line = b"\n" not in self.source[previous:start]
            return Cut(start=previous if same_line else start, end=end, kind=kind)
        end = comma + 1
        rest_of_line = self.source[end : self._line_end(end)]
        begins_line = not self.source[self.source.rfind(b"\n", 0, start) + 1 : start].strip()
        if begins_line and rest_of_line.lstrip().startswith(b"#"):
            end += len(rest_of_line)
        else:
            end += len(rest_of_line) - len(rest_of_line.lstrip())
        return Cut(start=start, end=end, kind=kind)

    def _cut_lines(self, node: ast.stmt, kind: Kind, *, label: str = "") -> None:
        """Cut whole lines, including decorators and preceding empty lines."""
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
        while first > 1 and isinstance(node, _TestCode) and not self.lines[first - 2].strip():
            first -= 1
        assert node.end_lineno is not None
        self.cuts.append(Cut(start=self.starts[first - 1], end=self.starts[node.end_lineno], kind=kind, label=label))

    def _look(self, node: ast.expr | ast.stmt, kind: Kind, what: str) -> None:
        self.places.append(self._by_hand(node.lineno, kind, what))

    # Positions

    def _ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def _start(self, node: ast.AST) -> int:
        return self.starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined, no-any-return]

    def _end(self, node: ast.AST) -> int:
        return self.starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined, no-any-return]

    def _line_end(self, position: int) -> int:
        found = self.source.find(b"\n", position)
        return len(self.source) if found < 0 else found

    def _next_closing(self, position: int) -> int:
        found = [at for sign in b")]}" if (at := self.source.find(bytes([sign]), position)) >= 0]
        return min(found, default=len(self.source))

    def _comma(self, start: int, limit: int) -> int | None:
        position = start
        while position < limit:
            sign = self.source[position : position + 1]
            if sign == b",":
                return position
            position = self._line_end(position) if sign == b"#" else position + 1
        return None

    def _kind(self, kind: Kind) -> Kind:
        return Kind.TEST if self.is_test else kind

    def _is_ignored(self, node: ast.expr | ast.stmt) -> bool:
        return bool(IGNORE.search(self.lines[node.lineno - 1]))
