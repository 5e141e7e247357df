"""The arguments of scripts that use Fire: those of the functions, classes and methods that it is given.

Source of facts: `fire.core._Fire` and `fire.parser.DefaultParseValue`, Fire 0.7.1: each argument can be given
by its name, and each value is read as Python, or else stays text.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from pytest_mlflow_check.scripts.model import (
    SEVERAL,
    UNFIT,
    UNKNOWN,
    Argument,
    Level,
    Start,
    argument,
    plain_start,
)
from pytest_mlflow_check.scripts.static_eval import Code

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_TEXT = re.compile(r"(?!(True|False|None)$)[A-Za-z_][\w./-]*|[./][\w./-]*")
"""What Fire leaves as it is."""


def starts(code: Code) -> list[Start] | None:
    """The ways to start a script: one, or one for each command; None where they can't be told."""
    calls = [call for call in code.all(ast.Call) if code.name(call.func) in ("fire.Fire", "fire.core.Fire")]
    defined = {one.name: one for one in code.tree.body if isinstance(one, (_Function, ast.ClassDef))}
    if len(calls) != 1:
        return None
    (call,) = calls
    given = (
        call.args[0]
        if call.args
        else next((one.value for one in call.keywords if one.arg == "component"), None)
    )
    commands: Mapping[str, ast.AST | None]
    if given is None:
        commands = {name: one for name, one in defined.items() if not name.startswith("_")}
    elif isinstance(given, ast.Dict):
        words = [code.value(key) if key else UNKNOWN for key in given.keys]
        nodes = [defined.get(code.name(value)) for value in given.values]
        commands = {
            word if isinstance(word, str) else "": node for word, node in zip(words, nodes, strict=True)
        }
    else:
        found = defined.get(code.name(given))
        return _of(code, found) if found else None
    if not commands or "" in commands:
        return None
    return [
        Start((Level(), Level(word, start.levels[0].arguments), *start.levels[1:]))
        for word, node in commands.items()
        for start in _of(code, node) or ()
    ] or None


def _of(code: Code, node: ast.AST | None) -> list[Start] | None:
    """The ways to start a function, or the methods of a class."""
    if isinstance(node, _Function):
        return [plain_start(_arguments(code, node, skipped=0))]
    if not isinstance(node, ast.ClassDef):
        return None
    methods = [one for one in node.body if isinstance(one, _Function)]
    made = next((_arguments(code, one) for one in methods if one.name == "__init__"), ())
    return [
        Start((Level(None, made), Level(one.name, _arguments(code, one))))
        for one in methods
        if not one.name.startswith("_")
    ]


def _arguments(code: Code, function: _Function, *, skipped: int = 1) -> tuple[Argument, ...]:
    if any(code.name(one) == "staticmethod" for one in function.decorator_list):
        skipped = 0
    taken = function.args
    positional = [*taken.posonlyargs, *taken.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(taken.defaults))
    pairs = [
        *zip(positional, [*defaults, *taken.defaults], strict=True),
        *zip(taken.kwonlyargs, taken.kw_defaults, strict=True),
    ]
    return tuple(_argument(code, one, default) for one, default in pairs[skipped:])


def _argument(code: Code, declared: ast.arg, default: ast.expr | None) -> Argument:
    value = code.value(default)
    why = SEVERAL if isinstance(value, list) else None
    if isinstance(value, str) and not _TEXT.fullmatch(value):
        why = UNFIT
    kind = code.type_of(declared.annotation)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        kind = "int" if isinstance(value, int) else "float"
    return argument(
        declared.arg,
        f"--{declared.arg}",
        "string" if kind in (None, "path") else kind,
        default=value,
        required=default is None,
        why=why,
    )
