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
MAKERS = ("add_subparsers", "add_parser", "add_argument_group", "add_mutually_exclusive_group")
"""The methods of a parser that make another, or a part of it."""


@dataclass(eq=False)
class Parser:
    """A parser as far as the text has been read: what it is called by, and what was added to it."""

    word: str | None = None
    above: Parser | None = None
    parents: Sequence[Parser] = ()
    arguments: list[Argument] = field(default_factory=list)
    exclusive: bool = False
    """Whether it is a group of options that exclude each other."""

    lacking: bool = False
    """Whether it is such a group of which one has to be given, and none that can be was added yet."""

    is_program: bool = False
    """Whether it stands for itself, and isn't a part of another."""

    groups: list[Parser] = field(default_factory=list)
    """The groups of options that exclude each other, and of which one has to be given."""

    options: list[str] = field(default_factory=list)
    """What was added to a group, as it is given."""

    def add(self, code: Code, call: ast.Call) -> bool:
        """Take in a call of `add_argument`; False where its text doesn't tell what it adds."""
        found = _argument(code, call, exclusive=self.exclusive, chosen=self.lacking)
        if found is None:
            return False
        self.arguments.append(found)
        self.options.append(found.flag or found.name)
        self.lacking = self.lacking and not found.required
        return True

    def make(self, code: Code, call: ast.Call, how: str) -> Parser | None:
        """The subparsers, the group or the subcommand that a call of a method makes, if it does."""
        if how == "add_subparsers":
            return Parser(above=self)
        if how == "add_parser":
            word = code.value(call.args[0]) if call.args else None
            return Parser(word, self) if isinstance(word, str) else None
        # A group is the parser that it belongs to, by another name.
        exclusive = self.exclusive or how == "add_mutually_exclusive_group"
        lacking = exclusive and code.value(keywords(call).get("required")) is True
        group = Parser(above=self.above, arguments=self.arguments, exclusive=exclusive, lacking=lacking)
        group.groups = self.groups
        if lacking:
            self.groups.append(group)
        return group

    @property
    def all_arguments(self) -> tuple[Argument, ...]:
        """What it takes: what its parents do, and its own."""
        inherited = (one for parent in self.parents for one in parent.all_arguments)
        return tuple(dict.fromkeys([*inherited, *self.arguments]))


def starts(code: Code) -> list[Start]:
    """The ways to start a script: one, or one for each subcommand; none where it adds no argument."""
    read = _Read(code)
    made = [one for one in read.made.values() if one is not None]
    return starts_of(read.programs(), made)


def starts_of(programs: Sequence[Parser], made: Sequence[Parser]) -> list[Start]:
    """The ways to start a script.

    Args:
        programs: the parsers that read its command line.
        made: all of its parsers, in the order of the text.
    """
    commands = [one for one in made if one.word]
    shared = tuple(dict.fromkeys(argument for parser in programs for argument in parser.all_arguments))
    if not commands:
        return [plain_start(shared)] if shared else []
    with_own = {id(_above(command)) for command in commands}
    found = []
    for command in commands:
        if id(command) not in with_own:
            levels: list[Level] = []
            above: Parser | None = command
            while above is not None:
                levels.insert(0, Level(above.word, above.all_arguments))
                above = _above(above)
            found.append(Start((Level(None, shared), *levels)))
    return found


class _Read:
    """The parsers that a script makes, in the order of its text, with what is added to each."""

    def __init__(self, code: Code) -> None:
        self.code = code
        self.root = Parser()
        self.made: dict[int, Parser | None] = {}
        self.parsers: dict[str, Parser] = {}
        names = given_names(code)
        # The receiver of `a().b()` begins where the whole begins, and is there first.
        for call in sorted(code.all(ast.Call), key=lambda call: (call.end_lineno, call.end_col_offset)):
            if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument":
                self._receiver(call.func.value).add(code, call)
            elif made := self._maker(call):
                self.parsers |= dict.fromkeys(names.get(id(call), ()), made)

    def programs(self) -> list[Parser]:
        """The parsers that are neither a subcommand's nor there to be a parent."""
        made = [parser for parser in self.made.values() if parser is not None]
        parents = {id(parent) for parser in made for parent in parser.parents}
        return [self.root, *(one for one in made if one.is_program and id(one) not in parents)]

    def _receiver(self, node: ast.expr) -> Parser:
        """What a method is called of: a parser by its name, or one that is made right there."""
        if isinstance(node, ast.Call):
            return self._maker(node) or self.root
        return self.parsers.get(self.code.name(node), self.root)

    def _maker(self, call: ast.Call) -> Parser | None:
        """The parser, subparsers or group that a call makes, if it does."""
        if id(call) not in self.made:
            self.made[id(call)] = self._make(call)
        return self.made[id(call)]

    def _make(self, call: ast.Call) -> Parser | None:
        names = [self.code.name(one) for one in parents_of(call)]
        parents = [self.parsers[name] for name in names if name in self.parsers]
        if is_parser(self.code, call):
            return Parser(parents=parents, is_program=True)
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in MAKERS:
            return None
        made = self._receiver(call.func.value).make(self.code, call, call.func.attr)
        if made is not None and call.func.attr == "add_parser":
            made.parents = parents
        return made


def is_parser(code: Code, call: ast.Call) -> bool:
    """Whether a call makes a parser."""
    library, _, name = code.name(call.func).rpartition(".")
    return name in ("ArgumentParser", "ArgParser") and library not in ("jsonargparse", "simple_parsing")


def parents_of(call: ast.Call) -> Sequence[ast.expr]:
    """The parsers that a new one is told to take the arguments of."""
    listed = keywords(call).get("parents")
    return listed.elts if isinstance(listed, (ast.List, ast.Tuple)) else []


def _above(command: Parser) -> Parser | None:
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
