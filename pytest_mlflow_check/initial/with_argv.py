"""The arguments of scripts that take them from `sys.argv` by number, as MLflow's own first example does."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pytest_mlflow_check.initial.arguments import UNKNOWN, Argument, Start, Type, argument, plain_start
from pytest_mlflow_check.initial.code import Code

_MOST = 50
"""Arguments: a script that reads a higher number does something else with it."""


def starts(code: Code) -> list[Start]:
    """The one way to start a script; none where it reads no argument by number."""
    read: dict[int, Argument] = {}
    for node in code.all(ast.Assign):
        for number, type_, default, required in _reads(code, node.value):
            target = node.targets[0]
            name = target.id if isinstance(target, ast.Name) else f"arg{number}"
            read.setdefault(number, argument(name, None, type_, default=default, required=required))
    guarded = _guarded(code)
    for subscript in code.all(ast.Subscript):
        number = _number(code, subscript)
        if number and number not in read:
            read[number] = argument(f"arg{number}", None, "string", default=UNKNOWN, required=True)
    if not read:
        return []
    arguments: list[Argument] = []
    for number in range(1, max(read) + 1):
        default = argument(f"arg{number}", None, "string", default=UNKNOWN, required=False)
        one = read.get(number, default)
        if one.required and number in guarded:
            one = argument(one.name, None, one.type, default=UNKNOWN)  # type: ignore[arg-type]
        arguments.append(one)
    return [plain_start(arguments)]


def _reads(code: Code, value: ast.expr) -> Iterator[tuple[int, Type, object, bool]]:
    """The number of the argument that an expression takes, its type, default, and whether it has to be."""
    if isinstance(value, ast.IfExp):
        for chosen, other in ((value.body, value.orelse), (value.orelse, value.body)):
            for number, type_, _, _ in _reads(code, chosen):
                yield number, type_, code.value(other), False
        return
    type_ = "string"
    if isinstance(value, ast.Call) and len(value.args) == 1:
        known = code.type_of(value.func)
        type_, value = known or "string", value.args[0]
    if number := _number(code, value):
        yield number, type_, None, True


def _number(code: Code, node: ast.expr) -> int:
    """N for `sys.argv[N]`, where that is an argument; else 0."""
    if not isinstance(node, ast.Subscript) or code.name(node.value) != "sys.argv":
        return 0
    number = code.value(node.slice)
    return number if isinstance(number, int) and 0 < number <= _MOST else 0


def _guarded(code: Code) -> set[int]:
    """The arguments that are only read where there are enough of them, or where their lack is caught."""
    found = set()
    nodes: list[ast.If | ast.Try] = [*code.all(ast.If), *code.all(ast.Try)]
    for node in nodes:
        asks = isinstance(node, ast.Try) or any(
            code.name(one) == "sys.argv" for one in ast.walk(node.test) if isinstance(one, ast.expr)
        )
        inside = [one for statement in node.body for one in ast.walk(statement)]
        if asks:
            found |= {_number(code, one) for one in inside if isinstance(one, ast.Subscript)}
    return found
