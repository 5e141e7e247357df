"""The arguments of scripts that take them from `sys.argv` by number, as MLflow's own first example does."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping

from pytest_mlflow_check.scripts.model import UNKNOWN, Argument, Start, Type, argument, plain_start
from pytest_mlflow_check.scripts.static_eval import Code

_MOST = 50
"""Arguments: a script that reads a higher number does something else with it."""


def starts(code: Code) -> list[Start]:
    """The one way to start a script; none where it reads no argument by number."""
    lists = _lists(code)
    read: dict[int, Argument] = {}
    for node in code.all(ast.Assign):
        for number, name, type_ in _unpacked(code, lists, node):
            read.setdefault(number, argument(name, None, type_, required=True))
        for number, type_, default, required in _reads(code, lists, node.value):
            target = node.targets[0]
            name = target.id if isinstance(target, ast.Name) else f"arg{number}"
            read.setdefault(number, argument(name, None, type_, default=default, required=required))
    guarded = _guarded(code, lists)
    for subscript in code.all(ast.Subscript):
        number = _number(code, lists, subscript)
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


def _lists(code: Code) -> Mapping[str, int]:
    """The names by which a script has its arguments, and how many of them each leaves out in front.

    A function has them that is called with them, such as `main(sys.argv[1:])`. A name that stands for
    something else too isn't given.
    """
    bound = _bound(code)
    imported = [name for name, full in code.imports.items() if full == "sys.argv"]
    if any(bound[name] for name in imported):
        return {}
    functions = {
        one.name: [*one.args.posonlyargs, *one.args.args]
        for one in code.tree.body
        if isinstance(one, ast.FunctionDef)
    }
    lists: dict[str, int] = {}
    # Once more for each that leads to another; nobody hands them on more often.
    for _ in range(4):
        found: dict[str, set[int]] = {"sys.argv": {0}}
        for node in code.all(ast.Assign):
            offset = _offset(code, lists, node.value)
            if offset is not None and isinstance(node.targets[0], ast.Name):
                found.setdefault(node.targets[0].id, set()).add(offset)
        for call in code.all(ast.Call):
            taken = functions.get(code.name(call.func), [])
            for parameter, value in zip(taken, call.args, strict=False):
                if (offset := _offset(code, lists, value)) is not None:
                    found.setdefault(parameter.arg, set()).add(offset)
        lists = {
            name: min(offsets)
            for name, offsets in found.items()
            if len(offsets) == 1 and (name == "sys.argv" or bound[name] == 1)
        }
    return lists


def _bound(code: Code) -> Counter[str]:
    """How often a script binds each name other than by importing it."""
    stored = (node.id for node in code.all(ast.Name) if not isinstance(node.ctx, ast.Load))
    return Counter([*stored, *(node.arg for node in code.all(ast.arg))])


def _offset(code: Code, lists: Mapping[str, int], node: ast.expr) -> int | None:
    """How many arguments an expression leaves out in front; None where it isn't what the script was given."""
    if not isinstance(node, ast.Subscript):
        return lists.get(code.name(node))
    if not isinstance(node.slice, ast.Slice) or node.slice.step is not None:
        return None
    before, skipped = _offset(code, lists, node.value), code.value(node.slice.lower) or 0
    if before is None or not isinstance(skipped, int) or not 0 <= skipped <= _MOST:
        return None
    return before + skipped


def _unpacked(code: Code, lists: Mapping[str, int], node: ast.Assign) -> Iterator[tuple[int, str, Type]]:
    """Number, name and type of each argument where all are taken at once: `_, data, alpha = sys.argv`."""
    names, value, type_ = node.targets[0], node.value, None
    if isinstance(value, ast.Call) and code.name(value.func) == "map" and len(value.args) == 2:
        type_, value = code.type_of(value.args[0]), value.args[1]
    offset = _offset(code, lists, value)
    for position, name in enumerate(names.elts if isinstance(names, (ast.Tuple, ast.List)) else ()):
        if offset is None or not isinstance(name, ast.Name):
            return
        if 0 < offset + position <= _MOST:
            yield offset + position, name.id, type_ or "string"


def _reads(code: Code, lists: Mapping[str, int], value: ast.expr) -> Iterator[tuple[int, Type, object, bool]]:
    """The number of the argument that an expression takes, its type, default, and whether it has to be."""
    if isinstance(value, ast.IfExp):
        for chosen, other in ((value.body, value.orelse), (value.orelse, value.body)):
            for number, type_, _, _ in _reads(code, lists, chosen):
                yield number, type_, code.value(other), False
        return
    type_ = "string"
    if isinstance(value, ast.Call) and len(value.args) == 1:
        known = code.type_of(value.func)
        type_, value = known or "string", value.args[0]
    if number := _number(code, lists, value):
        yield number, type_, None, True


def _number(code: Code, lists: Mapping[str, int], node: ast.expr) -> int:
    """N for `sys.argv[N]`, by whichever name, where that is an argument; else 0."""
    if not isinstance(node, ast.Subscript):
        return 0
    offset, position = _offset(code, lists, node.value), code.value(node.slice)
    if offset is None or not isinstance(position, int) or position < 0:
        return 0
    return offset + position if offset + position <= _MOST else 0


def _guarded(code: Code, lists: Mapping[str, int]) -> set[int]:
    """The arguments that are only read where there are enough of them, or where their lack is caught."""
    found = set()
    nodes: list[ast.If | ast.Try] = [*code.all(ast.If), *code.all(ast.Try)]
    for node in nodes:
        asks = isinstance(node, ast.Try) or any(
            code.name(one) in lists for one in ast.walk(node.test) if isinstance(one, ast.expr)
        )
        inside = [one for statement in node.body for one in ast.walk(statement)]
        if asks:
            found |= {_number(code, lists, one) for one in inside if isinstance(one, ast.Subscript)}
            assigned = (one for one in inside if isinstance(one, ast.Assign))
            found |= {number for one in assigned for number, _, _ in _unpacked(code, lists, one)}
    return found
