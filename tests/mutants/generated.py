"""Small changes of every expression and statement of a Python file, one at a time.

They cover the rules in code. What is said in strings, such as DynamoDB's conditions, is in `meant`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "//",
    ast.FloorDiv: "*",
    ast.Mod: "//",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}


class Change:
    """A part of a source, by its position in characters, and what is there instead."""

    def __init__(self, start: int, end: int, new: str, where: str) -> None:
        self.start, self.end, self.new, self.where = start, end, new, where


def changes(source: str) -> Iterator[Change]:
    """Every change of a source: comparisons, `and` and `or`, conditions, numbers, arithmetic, statements.

    Not changed: annotations, imports, constants of the module, messages, and what is raised.
    """
    return _Changes(source).of_module()


class _Changes:
    def __init__(self, source: str) -> None:
        self._source = source
        self._lines = [0]
        for line in source.encode().splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._bytes = source.encode()

    def of_module(self) -> Iterator[Change]:
        yield from self._of_body(ast.parse(self._source).body, "")

    def _of_body(self, body: list[ast.stmt], where: str) -> Iterator[Change]:
        for statement in body:
            yield from self._of_statement(statement, where)

    def _of_statement(self, statement: ast.stmt, where: str) -> Iterator[Change]:
        match statement:
            case ast.FunctionDef() | ast.ClassDef():
                inner = f"{where}.{statement.name}" if where else statement.name
                yield from self._of_body(statement.body, inner)
                return
            case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Raise():
                return
            case _ if not where:
                return
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Expr() | ast.AugAssign() | ast.Continue() | ast.Break():
                yield self._change(statement, "pass", where)
            case ast.If() | ast.While():
                if not isinstance(statement.test, ast.Compare | ast.UnaryOp):
                    yield self._change(statement.test, f"not ({self._text(statement.test)})", where)
        for name, value in ast.iter_fields(statement):
            if name == "annotation":
                continue
            for node in value if isinstance(value, list) else [value]:
                yield from self._of_node(node, where)

    def _of_node(self, node: object, where: str) -> Iterator[Change]:
        if isinstance(node, ast.stmt):
            yield from self._of_statement(node, where)
            return
        if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr):
            return
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                sign = _COMPARISONS[type(operator)]
                yield self._change(node, f"{self._text(left)} {sign} {self._text(right)}", where)
            case ast.BoolOp():
                yield from self._of_bool(node, where)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._change(node, f"bool({self._text(operand)})", where)
            case ast.IfExp(test=test) if not isinstance(test, ast.Compare | ast.UnaryOp):
                yield self._change(test, f"(not ({self._text(test)}))", where)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                other = _OPERATORS[type(operator)]
                yield self._change(node, f"{self._text(left)} {other} {self._text(right)}", where)
            case ast.Constant(value=bool() as value):
                yield self._change(node, str(not value), where)
            case ast.Constant(value=int() as value):
                yield self._change(node, str(value + 1), where)
        for child in ast.iter_child_nodes(node):
            yield from self._of_node(child, where)

    def _of_bool(self, node: ast.BoolOp, where: str) -> Iterator[Change]:
        """Without each of its parts, one at a time."""
        word = " and " if isinstance(node.op, ast.And) else " or "
        parts = [f"({self._text(value)})" for value in node.values]
        for left_out in range(len(parts)):
            kept = word.join(parts[:left_out] + parts[left_out + 1 :])
            yield self._change(node, f"({kept})", where)

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._bytes[start:end].decode()

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[node.end_lineno - 1] + node.end_col_offset,
        )

    def _change(self, node: ast.expr | ast.stmt, new: str, where: str) -> Change:
        start, end = self._span(node)
        return Change(start, end, new, where)
