"""The arguments of scripts that use typer: what functions declare that are run, or are commands of an app.

Source of facts: `typer.main.get_params_from_function`, `get_click_param` and `get_command_name`, typer 0.20:
what has no default and isn't an `Option` is given by its position, and all else by `--name-with-dashes`.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_mlflow_check.scripts.model import (
    FLAG,
    SEVERAL,
    UNKNOWN,
    Argument,
    Level,
    Start,
    Type,
    argument,
    plain_start,
)
from pytest_mlflow_check.scripts.static_eval import Code, decorators, given_names, keywords

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_LISTS = ("list", "List", "Sequence", "tuple", "Tuple", "set")


@dataclass(frozen=True)
class _Command:
    app: str
    word: str
    arguments: tuple[Argument, ...]


def starts(code: Code) -> list[Start]:
    """The ways to start a script: one for each command, or for the function that is run, if there is any."""
    functions = {function.name: function for function in _functions(code)}
    for call in code.all(ast.Call):
        if code.name(call.func) == "typer.run" and call.args:
            function = functions.get(code.name(call.args[0]))
            return [plain_start(_arguments(code, function))] if function else []
    apps = _apps(code)
    commands, shared = _commands(code, apps, functions)
    below = _nested(code, apps)
    if len(commands) == 1 and not shared and not below:
        return [plain_start(commands[0].arguments)]
    found = []
    for command in commands:
        levels, app, seen = [Level(command.word, command.arguments)], command.app, {command.app}
        while app in below and below[app][0] not in seen:
            above, word = below[app]
            levels.insert(0, Level(word, shared.get(app, ())))
            seen.add(above)
            app = above
        found.append(Start((Level(None, shared.get(app, ())), *levels)))
    return found


def _functions(code: Code) -> list[_Function]:
    return sorted(
        [*code.all(ast.FunctionDef), *code.all(ast.AsyncFunctionDef)], key=lambda function: function.lineno
    )


def _apps(code: Code) -> set[str]:
    names = given_names(code)
    made = [call for call in code.all(ast.Call) if code.name(call.func) == "typer.Typer"]
    return {name for call in made for name in names.get(id(call), ())}


def _commands(
    code: Code, apps: set[str], functions: Mapping[str, _Function]
) -> tuple[list[_Command], Mapping[str, tuple[Argument, ...]]]:
    """The commands of all apps, and for each app what its callback takes, in front of the command."""
    commands, shared = [], {}
    for call in code.all(ast.Call):
        # `app.command("name")(function)`
        made, function = call.func, functions.get(code.name(call.args[0])) if call.args else None
        if function and isinstance(made, ast.Call) and (app := _app(code, made, apps, "command")):
            commands.append(_command(code, app, made, function))
    for function in functions.values():
        for _, call in decorators(code, function):
            if app := _app(code, call, apps, "callback"):
                shared[app] = _arguments(code, function)
            elif app := _app(code, call, apps, "command"):
                commands.append(_command(code, app, call, function))
    return commands, shared


def _app(code: Code, call: ast.Call, apps: set[str], what: str) -> str | None:
    """The app of which a call is the method of that name."""
    app, _, method = code.name(call.func).rpartition(".")
    return app if app in apps and method == what else None


def _command(code: Code, app: str, made: ast.Call, function: _Function) -> _Command:
    word = code.value(made.args[0] if made.args else keywords(made).get("name"))
    plain = function.name.lower().replace("_", "-")
    return _Command(app, word if isinstance(word, str) else plain, _arguments(code, function))


def _nested(code: Code, apps: set[str]) -> Mapping[str, tuple[str, str]]:
    """Apps by `app.add_typer(other, name=…)`: the app that each belongs to, and its word there."""
    found = {}
    for call in code.all(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_typer" and call.args:
            app, other = code.name(call.func.value), code.name(call.args[0])
            word = code.value(keywords(call).get("name"))
            if app in apps and other in apps and isinstance(word, str):
                found[other] = app, word
    return found


def _arguments(code: Code, function: _Function) -> tuple[Argument, ...]:
    taken = function.args
    positional = [*taken.posonlyargs, *taken.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(taken.defaults))
    pairs = [
        *zip(positional, [*defaults, *taken.defaults], strict=True),
        *zip(taken.kwonlyargs, taken.kw_defaults, strict=True),
    ]
    found = [_argument(code, one, default) for one, default in pairs]
    return tuple(one for one in found if one is not None)


def _argument(code: Code, declared: ast.arg, default: ast.expr | None) -> Argument | None:
    annotation = declared.annotation
    described: ast.Call | None = None
    if isinstance(annotation, ast.Subscript) and code.name(annotation.value).endswith("Annotated"):
        inside = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        annotation = inside[0]
        described = next((one for one in inside[1:] if _describes(code, one)), None)  # type: ignore[assignment]
    elif isinstance(default, ast.Call) and _describes(code, default):
        described, default = default, _first(default)
    given = keywords(described) if described else {}
    if (
        code.name(annotation) in ("typer.Context", "click.Context")
        or code.value(given.get("is_eager")) is True
    ):
        return None
    required = default is None or (isinstance(default, ast.Constant) and default.value is Ellipsis)
    described_as = code.name(described.func).rpartition(".")[2] if described else ""
    is_option = described_as == "Option" or (described_as != "Argument" and not required)
    flags = _flags(code, described)
    long = next((one for one in flags if one.startswith("--")), flags[0] if flags else "")
    type_, choices, why = _type(code, annotation)
    if code.value(given.get("count")) is True or any("/" in one for one in flags):
        why = FLAG
    written = (long or "--" + declared.arg.replace("_", "-")) if is_option else None
    value = UNKNOWN if "default_factory" in given else None if required else _member(code, default)
    return argument(
        declared.arg,
        written,
        type_,
        default=value,
        required=required and "default_factory" not in given and not (is_option and why == FLAG),
        choices=choices,
        why=why,
        flags=_spellings(written, flags) if written else (),
    )


def _spellings(written: str, flags: list[str]) -> list[str]:
    """An option as it can be written, and what may switch it off, which typer adds to a bool."""
    parts = [part.strip() for one in flags for part in one.split("/") if part.strip()]
    return parts or [written, f"--no-{written.lstrip('-')}"]


def _describes(code: Code, node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and code.name(node.func) in ("typer.Option", "typer.Argument")


def _first(described: ast.Call) -> ast.expr | None:
    return described.args[0] if described.args else keywords(described).get("default")


def _flags(code: Code, described: ast.Call | None) -> list[str]:
    values = [code.value(one) for one in described.args] if described else []
    return [one for one in values if isinstance(one, str) and one.startswith("-")]


def _type(code: Code, annotation: ast.expr | None) -> tuple[Type, list[object], str | None]:
    """Its type, the only values of it, and what keeps it out of an MLproject."""
    annotation = _without_none(code, annotation)
    if isinstance(annotation, ast.Subscript):
        name = code.name(annotation.value).rpartition(".")[2]
        if name == "Literal":
            inside = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
            return "string", [code.value(one) for one in inside], None
        return "string", [], SEVERAL if name in _LISTS else None
    name = code.name(annotation)
    if name == "bool":
        return "string", [], FLAG
    if name in _LISTS:
        return "string", [], SEVERAL
    return code.type_of(annotation) or "string", list(code.enumerations.get(name, {}).values()), None


def _without_none(code: Code, annotation: ast.expr | None) -> ast.expr | None:
    """`int` for `Optional[int]` and `int | None`."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            annotation = ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    if isinstance(annotation, ast.Subscript) and code.name(annotation.value).endswith("Optional"):
        return annotation.slice
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = (annotation.left, annotation.right)
        return next((one for one in sides if not isinstance(one, ast.Constant)), None)
    return annotation


def _member(code: Code, default: ast.expr | None) -> object:
    """The value of a default, which may be a member of an enumeration: `Kind.adam`, also with `.value`."""
    name = code.name(default).removesuffix(".value")
    owner, _, member = name.rpartition(".")
    members = code.enumerations.get(owner, {}) if owner else {}
    return members[member] if member in members else code.value(default)
