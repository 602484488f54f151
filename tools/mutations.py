"""The mutations of a source file: small changes, each of which breaks what the code promises."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Mutation", "mutations"]

_COMPARISONS = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.In: "not in",
    ast.NotIn: "in",
    ast.Is: "is not",
    ast.IsNot: "is",
}
_OPERATORS = {ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "*"}
_FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
_SWAPPED = {"min": "max", "max": "min", "any": "all", "all": "any"}
_NO_PROMISE = {"_log", "warnings", "super"}
"""What a call begins with that is not dropped: log lines and constructors."""


class Mutation(NamedTuple):
    """A change of one place; *text* replaces the bytes from *start* to *end* of the file."""

    path: str
    function: str
    line: int
    start: int
    end: int
    text: bytes
    kind: str

    def applied(self, source: bytes) -> bytes:
        """Return *source* with the change."""
        return source[: self.start] + self.text + source[self.end :]

    def shown(self, source: bytes) -> str:
        """Return the change as one line: ``old => new``."""
        old = b" ".join(source[self.start : self.end].split()).decode()
        return f"{self.kind}: {old} => {self.text.decode()}"


def mutations(path: str, source: bytes) -> list[Mutation]:
    """Return all mutations of the functions and constants in the file *path*."""
    return [*_Finder(path, source).find()]


class _Finder:
    def __init__(self, path: str, source: bytes) -> None:
        self._path, self._source = path, source
        self._tree = ast.parse(source)
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def find(self) -> Iterator[Mutation]:
        yield from self._constants()
        yield from self._inside(self._tree, "")

    def _constants(self) -> Iterator[Mutation]:
        for node in self._tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                yield from self._constant(node.value, getattr(node.targets[0], "id", ""))

    def _inside(self, parent: ast.AST, name: str) -> Iterator[Mutation]:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef):
                if not any(getattr(base, "id", "") == "Protocol" for base in _bases(node)):
                    yield from self._inside(node, f"{name}{node.name}.")
            elif isinstance(node, _FUNCTION) and node.name != "__repr__":
                yield from self._function(node, f"{name}{node.name}")

    def _function(
        self, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str
    ) -> Iterator[Mutation]:
        body = function.body[1:] if ast.get_docstring(function) else function.body
        if len(body) > 1 and _returns_nothing(function):
            yield self._change(body[0], "return", "return early", name)
        for node in (each for statement in body for each in ast.walk(statement)):
            yield from self._statement(node, name)
            yield from self._expression(node, name)

    def _statement(self, node: ast.AST, name: str) -> Iterator[Mutation]:
        if isinstance(node, ast.Expr) and _is_call(node.value):
            yield self._change(node, "pass", "drop a call", name)
        elif isinstance(node, (ast.Assign, ast.AugAssign)) and _is_state(node):
            yield self._change(node, "pass", "drop an assignment", name)
        elif isinstance(node, (ast.If, ast.While)) and not _is_true(node.test):
            yield self._negated(node.test, name)
            if isinstance(node, ast.If) and isinstance(node.body[-1], (ast.Return, ast.Raise)):
                yield self._change(node.test, "False", "drop a guard", name)
        elif isinstance(node, ast.ExceptHandler) and not isinstance(node.body[0], ast.Raise):
            yield self._change(node.body[0], "raise", "drop an except", name)

    def _expression(self, node: ast.AST, name: str) -> Iterator[Mutation]:
        if isinstance(node, ast.IfExp):
            yield self._negated(node.test, name)
        elif isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield self._negated(test, name)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from self._call(node, node.func, name)
        elif isinstance(node, ast.Constant):
            yield from self._constant(node, name)
        else:
            yield from self._operation(node, name)

    def _operation(self, node: ast.AST, name: str) -> Iterator[Mutation]:
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            operator = _COMPARISONS[type(node.ops[0])]
            yield self._between(node.left, node.comparators[0], operator, "compare", name)
        elif isinstance(node, ast.BoolOp):
            operator = "or" if isinstance(node.op, ast.And) else "and"
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield self._between(left, right, operator, "combine", name)
        elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            operator = _OPERATORS[type(node.op)]
            yield self._between(node.left, node.right, operator, "calculate", name)

    def _call(self, node: ast.Call, function: ast.Name, name: str) -> Iterator[Mutation]:
        if function.id in _SWAPPED:
            yield self._change(function, _SWAPPED[function.id], "swap", name)
        elif function.id == "suppress":
            for each in node.args:
                yield self._change(each, "()", "drop an except", name)

    def _constant(self, node: ast.Constant, name: str) -> Iterator[Mutation]:
        value = node.value
        if isinstance(value, bool):
            yield self._change(node, str(not value), "negate", name)
        elif isinstance(value, (int, float)):
            changed = repr(value * 4) if abs(value) > 1 else repr(value + 1)
            yield self._change(node, changed, "number", name)

    def _negated(self, test: ast.expr, name: str) -> Mutation:
        start, end = self._span(test)
        text = b"(not (" + self._source[start:end] + b"))"
        return Mutation(self._path, name, test.lineno, start, end, text, "negate")

    def _between(
        self, left: ast.expr, right: ast.expr, operator: str, kind: str, name: str
    ) -> Mutation:
        """Replace the operator between two operands; parentheses around them stay."""
        start, end = self._span(left)[1], self._span(right)[0]
        between = self._source[start:end].decode()
        before = between[: len(between) - len(between.lstrip(" )\n\t"))]
        after = between[len(between.rstrip(" (\n\t")) :]
        text = (before + operator + after).encode()
        return Mutation(self._path, name, right.lineno, start, end, text, kind)

    def _change(self, node: ast.stmt | ast.expr, text: str, kind: str, name: str) -> Mutation:
        start, end = self._span(node)
        return Mutation(self._path, name, node.lineno, start, end, text.encode(), kind)

    def _span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        start = self._lines[node.lineno - 1] + node.col_offset
        end_line, end_column = node.end_lineno or 0, node.end_col_offset or 0  # as parsed: known
        return start, self._lines[end_line - 1] + end_column


def _bases(node: ast.ClassDef) -> list[ast.expr]:
    return [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]


def _returns_nothing(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return isinstance(function.returns, ast.Constant) and function.returns.value is None


def _is_call(value: ast.expr) -> bool:
    call = value.value if isinstance(value, ast.Await) else value
    if not isinstance(call, ast.Call):
        return False
    first: ast.expr = call.func
    while isinstance(first, (ast.Attribute, ast.Call)):
        first = first.func if isinstance(first, ast.Call) else first.value
    return getattr(first, "id", "") not in _NO_PROMISE


def _is_state(node: ast.Assign | ast.AugAssign) -> bool:
    """Return whether only attributes or items are assigned: a name would be missing later."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return all(isinstance(each, (ast.Attribute, ast.Subscript)) for each in targets)


def _is_true(test: ast.expr) -> bool:
    return isinstance(test, ast.Constant) and test.value is True
