"""The arguments of scripts that use argparse.

Source of facts: `argparse.ArgumentParser.add_argument`, `_get_positional_kwargs` and `_get_optional_kwargs`,
Python 3.13. A default that isn't text is never converted; what is given is, by `type`, else it stays text.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_mlflow_check.scripts.model import (
    ANY_TEXT,
    EXCLUSIVE,
    FLAG,
    OWN_ACTION,
    SEVERAL,
    UNKNOWN,
    UNTYPED,
    Argument,
    Level,
    Start,
    argument,
    is_secret,
    plain_start,
)
from pytest_mlflow_check.scripts.static_eval import Code, given_names, keywords

_FLAGS = ("store_true", "store_false", "store_const", "append_const", "count")
_NOTHING = ("help", "version")
_MAKERS = ("add_subparsers", "add_parser", "add_argument_group", "add_mutually_exclusive_group")


@dataclass
class _Parser:
    """A parser as far as the text has been read: what it is called by, and what was added to it."""

    word: str | None = None
    above: _Parser | None = None
    parents: Sequence[str] = ()
    arguments: list[Argument] = field(default_factory=list)
    exclusive: bool = False
    """Whether it is a group of options that exclude each other."""

    lacking: bool = False
    """Whether it is such a group of which one has to be given, and none that can be was added yet."""

    is_program: bool = False
    """Whether it stands for itself, and isn't a part of another."""


def starts(code: Code) -> list[Start]:
    """The ways to start a script: one, or one for each subcommand; none where it adds no argument."""
    read = _Read(code)
    commands = [one for one in read.made.values() if one is not None and one.word]
    shared = [argument for parser in read.programs() for argument in read.of(parser)]
    if not commands:
        return [plain_start(shared)] if shared else []
    with_own = {id(_above(command)) for command in commands}
    found = []
    for command in commands:
        if id(command) not in with_own:
            levels: list[Level] = []
            above: _Parser | None = command
            while above is not None:
                levels.insert(0, Level(above.word, read.of(above)))
                above = _above(above)
            found.append(Start((Level(None, tuple(shared)), *levels)))
    return found


class _Read:
    """The parsers that a script makes, in the order of its text, with what is added to each."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.root = _Parser()
        self.made: dict[int, _Parser | None] = {}
        self.parsers: dict[str, _Parser] = {}
        names = given_names(code)
        # The receiver of `a().b()` begins where the whole begins, and is there first.
        for call in sorted(code.all(ast.Call), key=lambda call: (call.end_lineno, call.end_col_offset)):
            if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
                parser = self._receiver(call.func.value)
                argument = _argument(code, call, exclusive=parser.exclusive, chosen=parser.lacking)
                if argument is not None:
                    parser.arguments.append(argument)
                    parser.lacking = parser.lacking and not argument.required
            elif made := self._maker(call):
                self.parsers |= dict.fromkeys(names.get(id(call), ()), made)

    def of(self, parser: _Parser) -> tuple[Argument, ...]:
        """What a parser takes: what its parents do, and its own."""
        parents = [self.parsers[name].arguments for name in parser.parents if name in self.parsers]
        return tuple(argument for arguments in (*parents, parser.arguments) for argument in arguments)

    def programs(self) -> list[_Parser]:
        """The parsers that are neither a subcommand's nor there to be a parent."""
        made = [parser for parser in self.made.values() if parser is not None]
        parents = {id(self.parsers.get(name)) for parser in made for name in parser.parents}
        return [self.root, *(one for one in made if one.is_program and id(one) not in parents)]

    def _receiver(self, node: ast.expr) -> _Parser:
        """What a method is called of: a parser by its name, or one that is made right there."""
        if isinstance(node, ast.Call):
            return self._maker(node) or self.root
        return self.parsers.get(self.code.name(node), self.root)

    def _maker(self, call: ast.Call) -> _Parser | None:
        """The parser, subparsers or group that a call makes, if it does."""
        if id(call) not in self.made:
            self.made[id(call)] = self._make(call)
        return self.made[id(call)]

    def _make(self, call: ast.Call) -> _Parser | None:
        listed = keywords(call).get("parents")
        nodes = listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else []
        parents = [self.code.name(one) for one in nodes]
        if self.code.name(call.func).rpartition(".")[2] == "ArgumentParser":
            return _Parser(parents=parents, is_program=True)
        how = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if not isinstance(call.func, ast.Attribute) or how not in _MAKERS:
            return None
        above = self._receiver(call.func.value)
        if how == "add_subparsers":
            return _Parser(above=above)
        if how == "add_parser":
            word = self.code.value(call.args[0]) if call.args else None
            return _Parser(word, above, parents) if isinstance(word, str) else None
        # A group is the parser that it belongs to, by another name.
        exclusive = above.exclusive or how == "add_mutually_exclusive_group"
        lacking = exclusive and self.code.value(keywords(call).get("required")) is True
        return _Parser(above=above.above, arguments=above.arguments, exclusive=exclusive, lacking=lacking)


def _above(command: _Parser) -> _Parser | None:
    """The subcommand that a subcommand belongs to."""
    parser = command.above
    while parser is not None and not parser.word:
        parser = parser.above
    return parser


def _argument(code: Code, call: ast.Call, *, exclusive: bool, chosen: bool) -> Argument | None:
    """What a call adds; of options that exclude each other the chosen one is needed, if it can be given."""
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
    may_lack = nargs in ("?", "*", "...") or code.name(given.get("nargs")).endswith("REMAINDER")
    known = code.type_of(given.get("type"))
    default = code.value(given.get("default"))
    choices = code.value(given.get("choices"))
    values = nargs if isinstance(nargs, int) and not isinstance(nargs, bool) else 1
    why = _why(code, given, action, nargs, default)
    needed = code.value(given.get("required")) is True if optional else not may_lack
    if chosen:
        needed = why is None and not is_secret(name) and ("type" not in given or known is not None)
    return argument(
        name,
        flag,
        known or "string",
        default=default,
        required=needed,
        choices=choices if isinstance(choices, list) and UNKNOWN not in choices else (),
        why=EXCLUSIVE if exclusive else why,
        values=max(values, 1),
        flags=_spellings(code, given, flags) if optional else (),
    )


def _spellings(code: Code, given: dict[str, ast.expr], flags: Sequence[str]) -> list[str]:
    """An option as it can be written; `BooleanOptionalAction` adds what switches it off."""
    both = code.name(given.get("action")).endswith("BooleanOptionalAction")
    return [*flags, *(f"--no-{one[2:]}" for one in flags if both and one.startswith("--"))]


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
