"""The mistakes that are made on purpose: where in a module each can be made, and the module with one of them made."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_WITHOUT_EFFECT = {"annotation", "returns", "decorator_list", "type_params", "msg", "bases"}
"""Parts that are never run as a decision. A decorator that is changed mostly breaks the import."""
_STRICTNESS = {"strict", "frozen", "slots", "kw_only"}
"""Arguments that only forbid what nobody does."""

Change = Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mistake. ``first`` and ``last``: the lines of the statement (of a compound one, its head)."""

    file: str
    line: int
    column: int
    operator: str
    was: str
    becomes: str
    first: int
    last: int

    @property
    def name(self) -> str:
        return f"{self.file}:{self.line}:{self.column} {self.operator}: {self.was} -> {self.becomes}"


def mutants_of(source: str, file: str) -> list[Mutant]:
    """All mistakes that can be made in this module, in its order."""
    return [mutant for mutant, _change in _all(ast.parse(source), file)]


def mutated(source: str, mutant: Mutant) -> ast.Module:
    """The module with this mistake in it; its lines keep their numbers."""
    tree = ast.parse(source)
    for found, change in _all(tree, mutant.file):
        if found == mutant:
            change()
            return ast.fix_missing_locations(tree)
    raise LookupError(f"There is no {mutant.name}.")


def _all(tree: ast.Module, file: str) -> Iterator[tuple[Mutant, Change]]:
    for node, statement in _walk(tree, tree):
        for operator, was, becomes, change in _changes(node):
            first, last = _lines(statement)
            yield (
                Mutant(
                    file=file,
                    line=node.lineno,
                    column=node.col_offset,
                    operator=operator,
                    was=was,
                    becomes=becomes,
                    first=first,
                    last=last,
                ),
                change,
            )


def _walk(node: ast.AST, statement: ast.AST) -> Iterator[tuple["_Slot", ast.AST]]:
    """Every expression and statement below, in the order of the module, and the statement around it."""
    if isinstance(node, ast.keyword) and node.arg in _STRICTNESS:
        return
    for name, value in ast.iter_fields(node):
        if name in _WITHOUT_EFFECT or (isinstance(node, ast.Raise) and name in {"exc", "cause"}):
            continue
        for index, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST):
                continue
            inside = child if isinstance(child, ast.stmt) else statement
            if isinstance(child, ast.expr | ast.stmt):
                yield _Slot(node, name, index if isinstance(value, list) else None, child), inside
            yield from _walk(child, inside)


@dataclass(frozen=True)
class _Slot:
    """A node, and where it hangs, so that another one can be put there."""

    parent: ast.AST
    field: str
    index: int | None
    node: ast.expr | ast.stmt

    @property
    def lineno(self) -> int:
        return self.node.lineno

    @property
    def col_offset(self) -> int:
        return self.node.col_offset

    def put(self, other: ast.AST) -> None:
        ast.copy_location(other, self.node)
        if self.index is None:
            setattr(self.parent, self.field, other)
        else:
            getattr(self.parent, self.field)[self.index] = other


def _lines(statement: ast.AST) -> tuple[int, int]:
    if not isinstance(statement, ast.stmt):
        return 1, 1
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return statement.lineno, max(last, statement.lineno)


def _changes(slot: _Slot) -> Iterator[tuple[str, str, str, Change]]:
    node = slot.node
    is_test = slot.field in {"test", "ifs"}
    match node:
        case ast.Compare():
            yield from _compared(node)
        case ast.BinOp() | ast.AugAssign():
            other = _COMPUTED.get(type(node.op))
            if other is not None:
                yield "arithmetic", _text(node), other.__name__, _setting(node, "op", other())
        case ast.BoolOp():
            turned = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "boolean", _text(node), type(turned).__name__, _setting(node, "op", turned)
        case ast.UnaryOp(op=ast.Not()):
            yield "boolean", _text(node), "without not", lambda: slot.put(node.operand)
        case ast.Constant(value=bool(value)):
            yield "constant", repr(value), repr(not value), _setting(node, "value", not value)
        case ast.Constant(value=int(value) | float(value)):
            yield "constant", repr(value), repr(value + 1), _setting(node, "value", value + 1)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return", _text(node), "None", _setting(node, "value", ast.Constant(value=None))
        case ast.stmt() if _can_go(node):
            yield "statement", _text(node), "removed", lambda: slot.put(ast.Pass())
    if is_test and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
        negated = ast.UnaryOp(op=ast.Not(), operand=node)  # type: ignore[arg-type]
        yield "boolean", _text(node), "not", lambda: slot.put(negated)


def _compared(node: ast.Compare) -> Iterator[tuple[str, str, str, Change]]:
    for index, operator in enumerate(node.ops):
        for other in _COMPARED[type(operator)]:

            def change(index: int = index, other: type[ast.cmpop] = other) -> None:
                node.ops[index] = other()

            yield "comparison", _text(node), f"{other.__name__} at {index}", change


def _can_go(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):  # A docstring.
            return False
        case ast.Expr() | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
    return False


def _setting(node: ast.AST, field: str, value: object) -> Change:
    return lambda: setattr(node, field, value)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
