"""The parsers of argparse that read the command line of a script, wherever in the project they are built.

Nothing is run. The statements of the script are gone through in their order, in all branches, and calls of
the project's own functions and classes are followed. Only parsers, instances and functions are known values.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_mlflow_check.scripts.cli.argparse import MAKERS, Parser, is_parser, starts_of
from pytest_mlflow_check.scripts.model import COMPUTED, Start
from pytest_mlflow_check.scripts.modules import Files
from pytest_mlflow_check.scripts.static_eval import Code, is_guard, keywords

_STRICT = ("parse_args", "parse_intermixed_args")
_LENIENT = ("parse_known_args", "parse_known_intermixed_args")
_DEEPEST = 30
"""Calls in each other that are followed."""

_MOST = 100_000
"""Nodes of the tree that are gone through."""

_NAMES_TOLD = 5
"""Options that exclude each other, in a message."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class CommandLine:
    """A command line as a script reads it.

    Attributes:
        starts: the ways to start the script; empty where it takes no argument.
        unread: what only running it would tell: file, line, and what is there.
    """

    starts: Sequence[Start]
    unread: tuple[str, ...] = ()


def command_line(files: Files, path: str) -> CommandLine | None:
    """The command line of a script; None where it reads none by a parser that can be followed."""
    follower = _Follower(files)
    try:
        follower.module(path, is_script=True)
    except (_TooMuch, RecursionError):
        return None
    return follower.result()


class _TooMuch(Exception):
    """The script is larger than anybody wants to wait for."""


@dataclass(eq=False)
class _Scope:
    """The names of a module or of a function that is gone through."""

    path: str
    code: Code
    names: dict[str, object] = field(default_factory=dict)
    outer: _Scope | None = None
    is_script: bool = False
    owner: _Class | None = None
    """The class of the method."""

    receiver: object = None
    """What the method is called of."""

    module_names: set[str] = field(default_factory=set)
    """Those that the function declares `global`."""

    returned: object = None

    @property
    def module(self) -> _Scope:
        """The scope of the whole module."""
        return self.outer.module if self.outer else self


@dataclass(eq=False)
class _Callable:
    """A function of the project, with what a method is called of."""

    scope: _Scope
    node: _Function
    receiver: object = None
    owner: _Class | None = None


@dataclass(eq=False)
class _Class:
    scope: _Scope
    node: ast.ClassDef


@dataclass(eq=False)
class _Instance:
    made_of: _Class
    values: dict[str, object] = field(default_factory=dict)


@dataclass(eq=False)
class _Super:
    """What `super()` gives inside a method."""

    receiver: object
    owner: _Class


class _Follower:
    """Goes through a script, and notes the parsers on its way."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._modules: dict[str, _Scope] = {}
        self._made: list[Parser] = []
        self._strict: dict[Parser, str] = {}
        self._lenient: dict[Parser, str] = {}
        self._without: bool = False
        self._unread: list[str] = []
        self._groups: dict[Parser, str] = {}
        self._classes: dict[Parser, _Class] = {}
        self._active: set[int] = set()
        self._called: dict[int, object] = {}
        self._seen = 0

    def result(self) -> CommandLine | None:
        """The command line, once the script was gone through."""
        strict = list(self._strict)
        programs = [*self._lenient, *strict[:1]]
        if not programs:
            return CommandLine([]) if self._without else None
        unread = list(self._unread)
        if len(strict) > 1:
            # Each of them refuses what only the others take.
            others = ", ".join(self._strict[one] for one in strict)
            unread.append(f"{others}: several parsers, of which one is used")
        of_these = [one for one in self._made if _program(one) in programs]
        for parser in (*programs, *of_these):
            for group in parser.groups:
                if group.lacking and group in self._groups:
                    options = ", ".join(group.options[:_NAMES_TOLD])
                    unread.append(f"{self._groups.pop(group)}: one of {options} has to be given")
        return CommandLine(starts_of(programs, of_these), tuple(dict.fromkeys(unread)))

    def module(self, path: str, *, is_script: bool = False) -> _Scope | None:
        """The names of a module, which is gone through when it is first asked for."""
        if path not in self._modules:
            code = self._files.code(path)
            if code is None:
                return None
            scope = self._modules[path] = _Scope(path, code, is_script=is_script)
            for node in code.tree.body:
                self._define(node, scope)
            self._block(code.tree.body, scope)
        return self._modules[path]

    # statements

    def _block(self, statements: Sequence[ast.stmt], scope: _Scope) -> None:
        for node in statements:
            self._statement(node, scope)

    def _statement(self, node: ast.stmt, scope: _Scope) -> None:
        self._count()
        if self._define(node, scope):
            return
        if isinstance(node, ast.Assign):
            value = self._value(node.value, scope)
            for target in node.targets:
                self._bind(target, value, scope)
        elif isinstance(node, ast.AnnAssign):
            self._bind(node.target, self._value(node.value, scope), scope)
        elif isinstance(node, ast.Return):
            scope.returned = scope.returned or self._value(node.value, scope)
        elif isinstance(node, ast.Global):
            scope.module_names.update(node.names)
        elif isinstance(node, ast.If) and is_guard(scope.code, node) and not scope.is_script:
            self._block(node.orelse, scope)
        else:
            self._parts(node, scope)

    def _define(self, node: ast.stmt, scope: _Scope) -> bool:
        if isinstance(node, _Function):
            scope.names[node.name] = _Callable(scope, node)
        elif isinstance(node, ast.ClassDef):
            scope.names[node.name] = _Class(scope, node)
        else:
            return False
        return True

    def _parts(self, node: ast.AST, scope: _Scope) -> None:
        """Whatever a statement or expression consists of, in its order."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self._statement(child, scope)
            elif isinstance(child, ast.expr):
                self._value(child, scope)
            elif isinstance(child, ast.withitem):
                value = self._value(child.context_expr, scope)
                if child.optional_vars is not None:
                    self._bind(child.optional_vars, value, scope)
            else:
                self._parts(child, scope)

    def _bind(self, target: ast.expr, value: object, scope: _Scope) -> None:
        if isinstance(target, ast.Name):
            where = scope.module if target.id in scope.module_names else scope
            # What is known in one branch stays known behind all of them.
            if value is not None or target.id not in where.names:
                where.names[target.id] = value
        elif isinstance(target, ast.Attribute):
            owner = self._value(target.value, scope)
            if isinstance(owner, _Instance) and value is not None:
                owner.values[target.attr] = value
        elif isinstance(target, (ast.Tuple, ast.List)):
            values = value if isinstance(value, tuple) else (None,) * len(target.elts)
            for one, part in zip(target.elts, values, strict=False):
                self._bind(one, part, scope)

    # expressions

    def _value(self, node: ast.expr | None, scope: _Scope) -> object:
        self._count()
        if isinstance(node, ast.Name):
            return self._named(node.id, scope)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope)
        if isinstance(node, ast.Call):
            return self._call(node, scope)
        if isinstance(node, (ast.Tuple, ast.List)):
            return tuple([self._value(one, scope) for one in node.elts])
        if isinstance(node, (ast.IfExp, ast.BoolOp)):
            parts = [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.expr)]
            values = [self._value(one, scope) for one in parts]
            return next((one for one in values if one is not None), None)
        if isinstance(node, ast.Await):
            return self._value(node.value, scope)
        if isinstance(node, ast.NamedExpr):
            value = self._value(node.value, scope)
            self._bind(node.target, value, scope)
            return value
        if node is not None and not isinstance(node, (ast.Lambda, ast.Constant)):
            self._parts(node, scope)
        return None

    def _named(self, name: str, scope: _Scope) -> object:
        here: _Scope | None = scope
        while here is not None:
            if name in here.names:
                return here.names[name]
            here = here.outer
        return self._imported(name, scope)

    def _imported(self, name: str, scope: _Scope) -> object:
        """What a name stands for that comes from another module of the project."""
        found = self._files.defines(scope.path, name)
        if found is None or found[0] == scope.path:
            return None
        module = self.module(found[0])
        value: object = module.names.get(found[1][0]) if module else None
        for attribute in found[1][1:]:
            value = self._member(value, attribute)
        return value

    def _attribute(self, node: ast.Attribute, scope: _Scope) -> object:
        owner = self._value(node.value, scope)
        if owner is not None:
            return self._member(owner, node.attr)
        parts: list[str] = [node.attr]
        inner: ast.expr = node.value
        while isinstance(inner, ast.Attribute):
            parts.insert(0, inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in scope.code.origins:
            return self._imported(".".join([inner.id, *parts]), scope)
        return None

    def _member(self, owner: object, name: str) -> object:
        """An attribute of an instance, a class, a parser of the project's own kind, or `super()`."""
        classes: list[_Class] = []
        receiver = owner
        if isinstance(owner, _Instance):
            if name in owner.values:
                return owner.values[name]
            classes = self._line(owner.made_of)
        elif isinstance(owner, _Class):
            classes = self._line(owner)
        elif isinstance(owner, Parser) and owner in self._classes:
            classes = self._line(self._classes[owner])
        elif isinstance(owner, _Super):
            receiver = owner.receiver
            of_all = self._line_of(receiver) or self._line(owner.owner)
            classes = of_all[of_all.index(owner.owner) + 1 :] if owner.owner in of_all else []
        for made_of in classes:
            for node in made_of.node.body:
                if isinstance(node, _Function) and node.name == name:
                    return self._method(made_of, node, receiver)
        return None

    def _method(self, owner: _Class, node: _Function, receiver: object) -> object:
        kinds = {owner.scope.code.name(one) for one in node.decorator_list}
        if "staticmethod" in kinds or (isinstance(receiver, _Class) and "classmethod" not in kinds):
            return _Callable(owner.scope, node, owner=owner)
        if "classmethod" in kinds and isinstance(receiver, _Instance):
            receiver = receiver.made_of
        method = _Callable(owner.scope, node, receiver, owner)
        return self._followed(method, (), {}) if "property" in kinds else method

    def _line_of(self, receiver: object) -> list[_Class]:
        if isinstance(receiver, _Instance):
            return self._line(receiver.made_of)
        if isinstance(receiver, Parser):
            return self._line(self._classes[receiver]) if receiver in self._classes else []
        return self._line(receiver) if isinstance(receiver, _Class) else []

    def _line(self, made_of: _Class) -> list[_Class]:
        """A class of the project and those above it, in the order in which Python looks in them."""
        found, waiting = [made_of], [made_of]
        while waiting and len(found) < _DEEPEST:
            here = waiting.pop(0)
            for base in here.node.bases:
                value = self._value(base, here.scope)
                if isinstance(value, _Class) and value not in found:
                    found.append(value)
                    waiting.append(value)
        return found

    # calls

    def _call(self, call: ast.Call, scope: _Scope) -> object:
        args = [None if isinstance(one, ast.Starred) else self._value(one, scope) for one in call.args]
        given = {one.arg: self._value(one.value, scope) for one in call.keywords}
        named = {name: value for name, value in given.items() if name is not None}
        if isinstance(call.func, ast.Attribute):
            receiver = self._value(call.func.value, scope)
            if isinstance(receiver, Parser) and (known := self._of_parser(receiver, call, scope, named)):
                return known[0]
        if isinstance(call.func, ast.Name) and call.func.id == "super" and scope.owner is not None:
            return _Super(scope.receiver, scope.owner)
        called = self._value(call.func, scope)
        if isinstance(called, _Class):
            return self._new(called, args, named)
        if isinstance(called, _Callable):
            return self._followed(called, args, named)
        if is_parser(scope.code, call):
            return self._new_parser(named)
        values = [*args, *named.values()]
        for one in values:
            if isinstance(one, _Callable):
                # `spawn(main)`, `app.run(main)`
                self._followed(one, (), {})
        # `parser = Trainer.add_argparse_args(parser)`
        return next((one for one in values if isinstance(one, Parser)), None)

    def _new_parser(self, named: Mapping[str, object]) -> Parser:
        listed = named.get("parents")
        parents = [one for one in listed if isinstance(one, Parser)] if isinstance(listed, tuple) else []
        return Parser(parents=parents, is_program=True)

    def _new(self, made_of: _Class, args: Sequence[object], named: Mapping[str, object]) -> object:
        line = self._line(made_of)
        bases = [(one.scope.code, base) for one in line for base in one.node.bases]
        made: object = _Instance(made_of)
        if any(code.name(base).rpartition(".")[2] == "ArgumentParser" for code, base in bases):
            made = parser = self._new_parser(named)
            self._classes[parser] = made_of
        constructor = self._member(made, "__init__")
        if isinstance(constructor, _Callable):
            self._followed(constructor, args, named)
        return made

    def _of_parser(
        self, parser: Parser, call: ast.Call, scope: _Scope, named: Mapping[str, object]
    ) -> tuple[object] | None:
        """What a method of a parser gives, in a tuple; None for one that argparse doesn't have."""
        assert isinstance(call.func, ast.Attribute)
        method, place = call.func.attr, f"{scope.path}:{call.lineno}"
        if method == "add_argument":
            added = parser.add(scope.code, call)
            if _is_doubtful(scope.code, call, added=added):
                self._unread.append(f"{place}: an argument that only running it tells")
        elif method in MAKERS:
            made = parser.make(scope.code, call, method)
            if made is None:
                self._unread.append(f"{place}: a subcommand that only running it tells")
                return (None,)
            if method == "add_parser":
                made.parents = self._new_parser(named).parents
            self._made.append(made)
            self._groups[made] = place
            return (made,)
        elif method == "set_defaults":
            _set_defaults(parser, set(keywords(call)))
        elif method in (*_STRICT, *_LENIENT):
            first = call.args[0] if call.args else keywords(call).get("args")
            if isinstance(first, (ast.List, ast.Tuple)):
                self._without = True
            else:
                (self._strict if method in _STRICT else self._lenient).setdefault(parser, place)
        else:
            return None
        return (None,)

    def _followed(self, called: _Callable, args: Sequence[object], named: Mapping[str, object]) -> object:
        """What a function of the project returns."""
        node = called.node
        plain = called.receiver is None and not any(one is not None for one in (*args, *named.values()))
        if plain and id(node) in self._called:
            return self._called[id(node)]
        if id(node) in self._active or len(self._active) > _DEEPEST:
            return None
        taken = [*node.args.posonlyargs, *node.args.args]
        values = [called.receiver, *args] if called.receiver is not None else args
        names: dict[str, object] = dict.fromkeys([one.arg for one in (*taken, *node.args.kwonlyargs)])
        names |= {one.arg: value for one, value in zip(taken, values, strict=False)}
        names |= {name: value for name, value in named.items() if name in names}
        scope = _Scope(
            called.scope.path,
            called.scope.code,
            names,
            called.scope,
            called.scope.is_script,
            called.owner,
            called.receiver,
        )
        self._active.add(id(node))
        self._block(node.body, scope)
        self._active.discard(id(node))
        if plain:
            self._called[id(node)] = scope.returned
        return scope.returned

    def _count(self) -> None:
        self._seen += 1
        if self._seen > _MOST:
            raise _TooMuch


def _program(parser: Parser) -> Parser:
    """The parser that a subcommand's belongs to in the end."""
    while parser.above is not None:
        parser = parser.above
    return parser


def _is_doubtful(code: Code, call: ast.Call, *, added: bool) -> bool:
    """Whether a script may not start without what a call of `add_argument` adds."""
    first = call.args[0] if call.args else None
    unpacked = any(one.arg is None for one in call.keywords)
    if added:
        return unpacked
    if code.value(keywords(call).get("action")) in ("help", "version"):
        return False
    start = first.values[0] if isinstance(first, ast.JoinedStr) and first.values else first
    start = start.left if isinstance(start, ast.BinOp) else start
    text = start.value if isinstance(start, ast.Constant) else None
    is_option = isinstance(text, str) and text.startswith("-")
    return unpacked or not is_option or "required" in keywords(call)


def _set_defaults(parser: Parser, names: set[str]) -> None:
    """Leave out what gets its default elsewhere."""
    for position, one in enumerate(parser.arguments):
        if one.name in names and not one.left_out and not one.required:
            parser.arguments[position] = replace(one, default=None, left_out=COMPUTED)
