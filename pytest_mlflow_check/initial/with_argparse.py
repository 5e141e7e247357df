"""The arguments of scripts that use argparse.

Source of facts: `argparse.ArgumentParser.add_argument`, `_get_positional_kwargs` and `_get_optional_kwargs`,
Python 3.13. A default that isn't text is never converted; what is given is, by `type`, else it stays text.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_mlflow_check.initial.arguments import (
    ANY_TEXT,
    EXCLUSIVE,
    FLAG,
    OWN_ACTION,
    SEVERAL,
    UNKNOWN,
    UNTYPED,
    Argument,
    Start,
    argument,
)
from pytest_mlflow_check.initial.code import Code, given_names, keywords

_FLAGS = ("store_true", "store_false", "store_const", "append_const", "count")
_NOTHING = ("help", "version")
_GROUPS = ("add_argument_group", "add_mutually_exclusive_group")


@dataclass
class _Parser:
    """A parser as far as the text has been read: what it is called by, and what was added to it."""

    word: str | None = None
    above: _Parser | None = None
    parents: Sequence[str] = ()
    arguments: list[Argument] = field(default_factory=list)
    exclusive: bool = False
    """Whether it is a group of options that exclude each other."""


def starts(code: Code) -> list[Start]:
    """The ways to start a script: one, or one for each subcommand; none where it adds no argument."""
    root = _Parser()
    parsers: dict[str, _Parser] = {}
    commands: list[_Parser] = []
    names = given_names(code)
    # The receiver of `a().b()` begins where the whole begins, and is there first.
    for node in sorted(code.all(ast.Call), key=lambda call: (call.end_lineno, call.end_col_offset)):
        if isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            parser = _receiver(code, node.func.value, parsers, root)
            if (read := _argument(code, node, exclusive=parser.exclusive)) is not None:
                parser.arguments.append(read)
        elif made := _made(code, node, parsers, root):
            if made.word:
                commands.append(made)
            for name in names.get(id(node), ()):
                parsers[name] = made
    return _all(root, parsers, commands)


def _made(code: Code, call: ast.Call, parsers: dict[str, _Parser], root: _Parser) -> _Parser | None:
    """The parser, subparsers or group that a call makes, if it does."""
    parents = _parents(code, keywords(call).get("parents"))
    if code.name(call.func).rpartition(".")[2] == "ArgumentParser":
        return _Parser(parents=parents)
    if not isinstance(call.func, ast.Attribute):
        return None
    how = call.func.attr
    if how not in ("add_subparsers", "add_parser", *_GROUPS):
        return None
    above = _receiver(code, call.func.value, parsers, root)
    if how == "add_subparsers":
        return _Parser(above=above)
    if how == "add_parser" and call.args and isinstance(word := code.value(call.args[0]), str):
        return _Parser(word, above=above, parents=parents)
    if how in _GROUPS:
        exclusive = above.exclusive or how != "add_argument_group"
        return _Parser(above.word, above.above, above.parents, above.arguments, exclusive)
    return None


def _receiver(code: Code, node: ast.expr, parsers: dict[str, _Parser], root: _Parser) -> _Parser:
    """What a method is called of: a parser by its name, or one that is made right there."""
    if isinstance(node, ast.Call):
        return _made(code, node, parsers, root) or root
    return parsers.get(code.name(node), root)


def _parents(code: Code, node: ast.expr | None) -> list[str]:
    return [code.name(one) for one in node.elts] if isinstance(node, (ast.List, ast.Tuple)) else []


def _all(root: _Parser, parsers: dict[str, _Parser], commands: list[_Parser]) -> list[Start]:
    used_as_parent = {name for one in (*parsers.values(), *commands) for name in one.parents}
    below = {id(one.arguments) for one in parsers.values() if one.above} | {id(c.arguments) for c in commands}
    before: dict[int, list[Argument]] = {id(root.arguments): root.arguments}
    for name, parser in parsers.items():
        if id(parser.arguments) not in below and name not in used_as_parent:
            inherited = [
                one for parent in parser.parents if parent in parsers for one in parsers[parent].arguments
            ]
            before.setdefault(id(parser.arguments), [*inherited, *parser.arguments])
    shared = tuple(one for arguments in before.values() for one in arguments)
    if not commands:
        return [Start(arguments=shared)] if shared else []
    found = []
    for command in commands:
        if any(_above(other) is command for other in commands):
            continue
        inherited = [one for name in command.parents if name in parsers for one in parsers[name].arguments]
        words, above = [command.word or ""], _above(command)
        while above is not None:
            words.insert(0, above.word or "")
            above = _above(above)
        found.append(Start(tuple(words), shared, (*inherited, *command.arguments)))
    return found


def _above(command: _Parser) -> _Parser | None:
    """The subcommand that a subcommand belongs to."""
    parser = command.above
    while parser is not None and not parser.word:
        parser = parser.above
    return parser


def _argument(code: Code, call: ast.Call, *, exclusive: bool) -> Argument | None:
    given = keywords(call)
    flags = [value for one in call.args if isinstance(value := code.value(one), str) and value]
    action = code.value(given.get("action"))
    if not flags or action in _NOTHING:
        return None
    optional = flags[0].startswith("-")
    flag = next((one for one in flags if one.startswith("--")), flags[0]) if optional else None
    dest = code.value(given.get("dest"))
    name = dest if isinstance(dest, str) and optional else (flag or flags[0]).lstrip("-").replace("-", "_")
    nargs = code.value(given.get("nargs"))
    known = code.type_of(given.get("type"))
    default = code.value(given.get("default"))
    choices = code.value(given.get("choices"))
    values = nargs if isinstance(nargs, int) and not isinstance(nargs, bool) else 1
    return argument(
        name,
        flag,
        known or "string",
        default=default,
        required=code.value(given.get("required")) is True if optional else nargs not in ("?", "*"),
        choices=choices if isinstance(choices, list) and UNKNOWN not in choices else (),
        why=EXCLUSIVE if exclusive else _why(code, given, action, nargs, default),
        values=max(values, 1),
    )


def _why(
    code: Code, given: dict[str, ast.expr], action: object, nargs: object, default: object
) -> str | None:
    if action in _FLAGS or code.name(given.get("action")).endswith("BooleanOptionalAction"):
        return FLAG
    if action == "append" or nargs not in (None, "?"):
        return SEVERAL
    if action not in (None, "store"):
        return OWN_ACTION
    if code.name(given.get("type")) == "bool":
        return ANY_TEXT
    if "type" not in given and isinstance(default, (bool, int, float)):
        return UNTYPED
    return None
