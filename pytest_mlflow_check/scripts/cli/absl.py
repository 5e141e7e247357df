"""The flags of scripts that use absl, in whichever of their modules they are defined.

Source of facts: `absl.flags._defines` and `mark_flag_as_required`, absl-py 2.5.1. A flag is given as
`--name value`, a boolean one as `--name` or `--noname`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence

from pytest_mlflow_check.scripts.model import (
    FLAG,
    OWN_ACTION,
    SEVERAL,
    UNKNOWN,
    Argument,
    Start,
    Type,
    argument,
    plain_start,
)
from pytest_mlflow_check.scripts.static_eval import Code, keywords

_DEFINES = re.compile(r"(^|\.)flags\.(DEFINE_\w+)$")
_TYPES: dict[str, Type] = {"DEFINE_integer": "int", "DEFINE_float": "float"}
_WHY = {
    "DEFINE_bool": FLAG,
    "DEFINE_boolean": FLAG,
    "DEFINE_list": SEVERAL,
    "DEFINE_spaceseplist": SEVERAL,
}
_KNOWN = ("DEFINE_string", "DEFINE_enum", *_TYPES, *_WHY)


def starts(codes: Sequence[Code]) -> list[Start]:
    """The one way to start a script; none where no flag is defined.

    Args:
        codes: the script and the modules that it imports: all of their flags are one command line.
    """
    needed = {name for code in codes for name in _marked(code)}
    found = [one for code in codes for call in code.all(ast.Call) if (one := _flag(code, call, needed))]
    return [plain_start(tuple(dict.fromkeys(found)))] if found else []


def _marked(code: Code) -> Iterator[str]:
    """The flags that are marked as required apart from where they are defined."""
    for call in code.all(ast.Call):
        if re.search(r"(^|\.)mark_flags?_as_required$", code.name(call.func)) and call.args:
            value = code.value(call.args[0])
            names: Iterable[object] = value if isinstance(value, list) else [value]
            yield from (one for one in names if isinstance(one, str))


def _flag(code: Code, call: ast.Call, needed: set[str]) -> Argument | None:
    defines = _DEFINES.search(code.name(call.func))
    given = keywords(call)
    name = code.value(call.args[0] if call.args else given.get("name"))
    if defines is None or not isinstance(name, str):
        return None
    kind = defines[2]
    default = code.value(call.args[1] if len(call.args) > 1 else given.get("default"))
    choices: object = None
    if kind == "DEFINE_enum":
        choices = code.value(call.args[2] if len(call.args) > 2 else given.get("enum_values"))
    why = _WHY.get(kind) or (SEVERAL if kind.startswith("DEFINE_multi_") else None)
    return argument(
        name,
        f"--{name}",
        _TYPES.get(kind, "string"),
        default=default,
        required=name in needed or code.value(given.get("required")) is True,
        choices=choices if isinstance(choices, list) and UNKNOWN not in choices else (),
        why=why or (None if kind in _KNOWN else OWN_ACTION),
    )
