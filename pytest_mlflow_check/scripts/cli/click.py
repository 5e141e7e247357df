"""The arguments of scripts that use click.

Source of facts: `click.core.Option.__init__`, `Option._parse_decls` and `Argument.__init__`, click 8.5: the
name is the one without dashes, else the first of the longest prefix; a type that isn't named comes of the
default. `click.decorators.command`, click 8.2 and later: a command loses the end of its function's name that
says what it is.
"""

from __future__ import annotations

import ast
import importlib.metadata
from collections.abc import Iterator
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
from pytest_mlflow_check.scripts.static_eval import Code, decorators, keywords

_CLICK = ("click", "rich_click")
_TYPES: dict[str, Type] = {
    "click.INT": "int",
    "click.IntRange": "int",
    "click.FLOAT": "float",
    "click.FloatRange": "float",
    "click.Path": "path",
    "click.File": "path",
}


_ENDS = ("command", "cmd", "group", "grp")


@dataclass(frozen=True)
class _Command:
    """A function that click makes a command of, and the group it belongs to."""

    function: str
    word: str
    group: str | None
    is_group: bool
    arguments: tuple[Argument, ...]


def starts(code: Code) -> list[Start]:
    """The ways to start a script: one for each command; none where it has none."""
    functions = code.all(ast.FunctionDef)
    made = [(function, name) for function in functions for name, _ in decorators(code, function)]
    groups = {function.name for function, name in made if name.endswith("group")}
    commands = [one for function in functions if (one := _command(code, function, groups))]
    leaves = [one for one in commands if not one.is_group]
    if not groups:
        return [plain_start(_chosen(code, leaves).arguments)] if leaves else []
    by_function = {one.function: one for one in commands}
    added = _added(code)
    found = []
    for leaf in leaves:
        levels, seen = [Level(leaf.word, leaf.arguments)], {leaf.function}
        above = by_function.get(leaf.group or added.get(leaf.function, ""))
        while above and above.function not in seen:
            seen.add(above.function)
            group = above.group or added.get(above.function)
            # A group's own word isn't typed where it is the program itself.
            levels.insert(0, Level(above.word if group else None, above.arguments))
            above = by_function.get(group or "")
        if len(levels) > 1:
            found.append(Start(tuple(levels)))
    return found


def _chosen(code: Code, commands: list[_Command]) -> _Command:
    """Of several commands the one that the script itself calls."""
    called = {code.name(call.func) for call in code.all(ast.Call)}
    return next((one for one in commands if one.function in called), commands[-1])


def _added(code: Code) -> dict[str, str]:
    """Commands by `group.add_command(command)`, with their group."""
    return {
        code.name(call.args[0]): code.name(call.func.value)
        for call in code.all(ast.Call)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "add_command" and call.args
    }


def _command(code: Code, function: ast.FunctionDef, groups: set[str]) -> _Command | None:
    made: tuple[str, ast.Call] | None = None
    arguments = []
    for name, call in _applied(code, function):
        owner, _, what = name.rpartition(".")
        if what in ("command", "group") and (owner in _CLICK or owner in groups):
            made = name, call
        elif owner in _CLICK and what in ("option", "argument"):
            arguments.append(_argument(code, call, is_option=what == "option"))
    if made is None:
        return None
    owner, _, what = made[0].rpartition(".")
    given = keywords(made[1])
    word = code.value(made[1].args[0]) if made[1].args else code.value(given.get("name"))
    return _Command(
        function.name,
        word if isinstance(word, str) else _word(function.name),
        None if owner in _CLICK else owner,
        what == "group",
        tuple(one for one in arguments if one is not None),
    )


def _applied(code: Code, function: ast.FunctionDef) -> Iterator[tuple[str, ast.Call]]:
    """What a function is decorated with, also by a name of an option or a function that applies several."""
    functions = {one.name: one for one in code.tree.body if isinstance(one, ast.FunctionDef)}
    for name, call in decorators(code, function):
        named = code.assigned.get(name)
        if isinstance(named, ast.Call):
            yield code.name(named.func), named
        elif name in functions and functions[name] is not function:
            inside = (one for one in ast.walk(functions[name]) if isinstance(one, ast.Call))
            yield from ((code.name(one.func), one) for one in inside)
        else:
            yield name, call


def _word(function: str) -> str:
    """What click calls a command, after its function: the click that is installed here."""
    whole = function.lower().replace("_", "-")
    start, _, end = whole.rpartition("-")
    version = importlib.metadata.version("click").split(".")
    return start if start and end in _ENDS and tuple(map(int, version[:2])) >= (8, 2) else whole


def _argument(code: Code, call: ast.Call, *, is_option: bool) -> Argument | None:
    given = keywords(call)
    declared = [value for one in call.args if isinstance(value := code.value(one), str) and value]
    flags = [one for one in declared if one.startswith("-")]
    names = [one for one in declared if not one.startswith("-")]
    if not (flags if is_option else names):
        return None
    longest = max(flags, key=lambda one: len(one) - len(one.lstrip("-")), default="")
    flag = longest.partition("/")[0].strip() if is_option else None
    name = names[0] if names else (flag or "").lstrip("-").replace("-", "_").lower()
    type_, choices = _type(code, given)
    nargs, default = code.value(given.get("nargs")), code.value(given.get("default"))
    why = None
    switched = is_option and (any("/" in one for one in flags) or "flag_value" in given)
    if switched or code.value(given.get("is_flag")) is True or code.value(given.get("count")) is True:
        why = FLAG
    elif code.value(given.get("multiple")) is True or nargs not in (None, 1):
        why = SEVERAL
    required = code.value(given.get("required"))
    if required is None:
        # Standard input is empty: what click would ask for has to be given.
        asked = code.value(given.get("prompt")) not in (None, False) if is_option else nargs != -1
        required = asked and default is None
    values = nargs if isinstance(nargs, int) and nargs > 1 else 1
    return argument(
        name,
        flag,
        type_,
        default=default,
        required=required is True,
        choices=choices,
        why=why,
        values=values,
        flags=[part.strip() for one in flags for part in one.replace(";", "/").split("/") if part.strip()],
        takes_path="path_type" in keywords(typed)
        if isinstance(typed := given.get("type"), ast.Call)
        else True,
    )


def _type(code: Code, given: dict[str, ast.expr]) -> tuple[Type, list[object]]:
    node = given.get("type")
    called = node.func if isinstance(node, ast.Call) else node
    name = code.name(called).replace("rich_click", "click", 1)
    if name == "click.Choice" and isinstance(node, ast.Call) and node.args:
        choices = code.value(node.args[0])
        return "string", choices if isinstance(choices, list) and UNKNOWN not in choices else []
    if known := _TYPES.get(name) or code.type_of(node):
        return known, []
    default = code.value(given.get("default"))
    if node is None and isinstance(default, (int, float)) and not isinstance(default, bool):
        return ("int" if isinstance(default, int) else "float"), []
    return "string", []
