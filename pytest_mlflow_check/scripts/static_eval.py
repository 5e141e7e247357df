"""A script as its syntax tree tells it, without running a line of it: names, imports, constants."""

from __future__ import annotations

import ast
import operator
import posixpath
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from pytest_mlflow_check.scripts.model import UNKNOWN, PathObject, ProjectPath, Type
from pytest_mlflow_check.scripts.path_values import ancestor, combined, function, joined, member, method

_Node = TypeVar("_Node", bound=ast.AST)

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_LARGEST = 10**30
"""Of numbers."""

_DEEPEST = 50
"""Of expressions in each other."""

_PATH = re.compile(r"[\w.@+~=-]+(/[\w.@+~=-]+)*/?")
_FILE_NAME = re.compile(r"\w\.[a-z]\w{1,7}$")
_LONGEST_PATH = 200
"""Characters of a text that names a file."""

_TYPES: dict[str, Type] = {
    "int": "int",
    "float": "float",
    "str": "string",
    "Path": "path",
    "pathlib.Path": "path",
    "pathlib.PosixPath": "path",
    "open": "path",
    "argparse.FileType": "path",
}


@dataclass(frozen=True)
class Code:
    """The tree of a script, its path in the project, and what its names stand for."""

    tree: ast.Module
    path: str = ""
    _found: dict[type, list[ast.AST]] = field(default_factory=dict)

    @staticmethod
    def of(source: bytes, path: str = "") -> Code:
        """Reads a script, in the encoding that it names.

        Args:
            source: its text.
            path: relative to the project, with slashes; empty where it isn't known.

        Raises:
            SyntaxError: it isn't Python, or is nested too deep for Python itself.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return Code(ast.parse(source), path)
        except (ValueError, RecursionError, MemoryError) as error:
            raise SyntaxError(str(error) or "nested too deep") from None

    def all(self, kind: type[_Node]) -> list[_Node]:
        """The nodes of a kind, in the order of the text."""
        if kind not in self._found:
            found = self._by_kind.get(kind, [])
            self._found[kind] = sorted(found, key=lambda one: (one.lineno, one.col_offset))  # type: ignore[attr-defined]
        return self._found[kind]  # type: ignore[return-value]

    @cached_property
    def _by_kind(self) -> Mapping[type, list[ast.AST]]:
        found: dict[type, list[ast.AST]] = {}
        for node in ast.walk(self.tree):
            found.setdefault(type(node), []).append(node)
        return found

    @cached_property
    def imports(self) -> Mapping[str, str]:
        """What each imported name stands for: `ap` for `argparse`, `option` for `click.option`."""
        found = {}
        for node in self.all(ast.Import):
            for name in node.names:
                top = name.name.partition(".")[0]
                found[name.asname or top] = name.name if name.asname else top
        for imported in self.all(ast.ImportFrom):
            if imported.module and not imported.level:
                for name in imported.names:
                    found[name.asname or name.name] = f"{imported.module}.{name.name}"
        return found

    @cached_property
    def origins(self) -> Mapping[str, tuple[int, str, str | None]]:
        """Where each imported name comes from: dots in front, module, and the name there, if it is one."""
        found: dict[str, tuple[int, str, str | None]] = {}
        for node in self.all(ast.Import):
            for name in node.names:
                top = name.name.partition(".")[0]
                found[name.asname or top] = (0, name.name if name.asname else top, None)
        for imported in self.all(ast.ImportFrom):
            for name in imported.names:
                found[name.asname or name.name] = (imported.level, imported.module or "", name.name)
        return found

    @cached_property
    def modules(self) -> tuple[tuple[int, str], ...]:
        """The modules that are imported, each with the number of dots in front: `(1, "options")`."""
        found = [(0, name.name) for node in self.all(ast.Import) for name in node.names]
        for node in self.all(ast.ImportFrom):
            module = node.module or ""
            found.append((node.level, module))
            # `from package import module`
            found += [(node.level, f"{module}.{name.name}".strip(".")) for name in node.names]
        return tuple(dict.fromkeys(found))

    def imports_any(self, *names: str) -> str | None:
        """The first of these packages that is imported."""
        imported = {module for level, module in self.modules if not level}
        for name in names:
            if any(f"{module}.".startswith(f"{name}.") for module in imported):
                return name
        return None

    @cached_property
    def assigned(self) -> Mapping[str, ast.expr]:
        """What names stand for that the whole file sets once, in the module or in a function."""
        set_at_all = Counter(node.id for node in self.all(ast.Name) if isinstance(node.ctx, ast.Store))
        set_at_all.update(node.arg for node in self.all(ast.arg))
        attributes = {id(node) for made in self.all(ast.ClassDef) for node in made.body}
        found: dict[str, ast.expr] = {}
        nodes: list[ast.Assign | ast.AnnAssign] = [*self.all(ast.Assign), *self.all(ast.AnnAssign)]
        for node in sorted(nodes, key=lambda one: (one.lineno, one.col_offset)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is None or id(node) in attributes or not isinstance(targets[0], ast.Name):
                continue
            if len(targets) == 1 and set_at_all[targets[0].id] == 1:
                found[targets[0].id] = node.value
        return found

    @cached_property
    def constants(self) -> Mapping[str, object]:
        """The values of names that the file sets once, to something that can be told."""
        found: dict[str, object] = {}
        for name, value in self.assigned.items():
            found[name] = self._value(value, found)
        return found

    @cached_property
    def enumerations(self) -> Mapping[str, Mapping[str, object]]:
        """The members of the enumerations that the script defines, with their values."""
        return {
            node.name: {
                target.id: self.value(one.value)
                for one in node.body
                if isinstance(one, ast.Assign)
                for target in one.targets
                if isinstance(target, ast.Name)
            }
            for node in self.all(ast.ClassDef)
            if any(self.name(base).endswith("Enum") for base in node.bases)
        }

    @cached_property
    def named_paths(self) -> tuple[str, ...]:
        """The texts in the file that look like a path, without those that are put behind its own place."""
        anchored = {"__file__"}
        for name, value in self.assigned.items():
            if _mentions(value, anchored):
                anchored.add(name)
        # Behind `__file__`, and in hydra's `config_path`, they are relative to the file.
        uses = any(self.text(one) in anchored for one in self.all(ast.Name))
        found: list[str] = []
        waiting: list[ast.AST] = [self.tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Constant):
                found += [node.value] if isinstance(node.value, str) and is_path(node.value) else []
                continue
            if isinstance(node, ast.Call) and "hydra" in self.name(node.func):
                continue
            if uses and isinstance(node, (ast.BinOp, ast.Call, ast.JoinedStr)) and _mentions(node, anchored):
                continue
            if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
                waiting += ast.iter_child_nodes(node)
        return tuple(dict.fromkeys(found))

    def value(self, node: ast.AST | None) -> object:
        """What an expression comes to; None for no expression, UNKNOWN where only running it would tell."""
        return None if node is None else self._value(node, self.constants)

    def name(self, node: ast.AST | None) -> str:
        """The full name of what an expression names, such as `argparse.ArgumentParser`; empty for none."""
        head, dot, rest = self.text(node).partition(".")
        return f"{self.imports.get(head, head)}{dot}{rest}"

    def text(self, node: ast.AST | None) -> str:
        """The name of what an expression names, as it stands there; empty for none."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        return ".".join([node.id, *parts]) if isinstance(node, ast.Name) else ""

    def type_of(self, node: ast.AST | None) -> Type | None:
        """What MLproject calls a type or converter of Python; None for one that only the code knows."""
        if isinstance(node, ast.Call):
            node = node.func
        return _TYPES.get(self.name(node))

    def _value(self, node: ast.AST, names: Mapping[str, object], depth: int = 0) -> object:
        if depth > _DEEPEST:
            return UNKNOWN
        if isinstance(node, ast.Constant) and node.value is not Ellipsis:
            return node.value if _can_be_given(node.value) else UNKNOWN
        if isinstance(node, ast.Name):
            return (
                ProjectPath(self.path) if node.id == "__file__" and self.path else names.get(node.id, UNKNOWN)
            )
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return [self._value(one, names, depth + 1) for one in node.elts]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._value(node.operand, names, depth + 1)
            return -value if isinstance(value, (int, float)) else UNKNOWN
        if isinstance(node, ast.BinOp):
            left, right = (self._value(one, names, depth + 1) for one in (node.left, node.right))
            if isinstance(left, (str, ProjectPath)):
                return combined(node.op, left, right)
            return _computed(node.op, left, right)
        if isinstance(node, ast.Attribute):
            return member(self._value(node.value, names, depth + 1), node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
            # `Path(__file__).parents[1]`
            owner = self._value(node.value.value, names, depth + 1)
            return ancestor(owner, node.value.attr, self._value(node.slice, names, depth + 1))
        if isinstance(node, ast.JoinedStr):
            parts = [one.value if isinstance(one, ast.FormattedValue) else one for one in node.values]
            formatted = any(isinstance(one, ast.FormattedValue) and one.format_spec for one in node.values)
            return UNKNOWN if formatted else joined([self._value(one, names, depth + 1) for one in parts])
        if isinstance(node, ast.Call) and not node.keywords:
            values = [self._value(one, names, depth + 1) for one in node.args]
            if isinstance(node.func, ast.Attribute) and not self.name(node.func).startswith("os."):
                owner = self._value(node.func.value, names, depth + 1)
                if isinstance(owner, (PathObject, ProjectPath)):
                    return method(owner, node.func.attr, values)
            return function(self.name(node.func), values)
        return UNKNOWN


def _can_be_given(value: object) -> bool:
    """Whether a constant is something that a command line can hold."""
    if isinstance(value, int):
        return abs(value) < _LARGEST
    if isinstance(value, str):
        # Halves of surrogate pairs have no place in a file.
        return "\0" not in value and not re.search("[\ud800-\udfff]", value)
    return not isinstance(value, (bytes, complex))


def is_path(text: str) -> bool:
    """Whether a text looks like the path of a file or directory, relative to the current one."""
    if len(text) > _LONGEST_PATH or not _PATH.fullmatch(text) or posixpath.normpath(text) == ".":
        return False
    return "/" in text or text == ".." or _FILE_NAME.search(text) is not None


def _mentions(node: ast.AST, names: Collection[str]) -> bool:
    return any(isinstance(one, ast.Name) and one.id in names for one in ast.walk(node))


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    """The arguments that a call gives by name."""
    return {one.arg: one.value for one in call.keywords if one.arg}


def is_guard(code: Code, node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and "__name__" in {code.name(one) for one in ast.walk(node.test)}


def given_names(code: Code) -> Mapping[int, list[str]]:
    """By the `id` of each expression that is assigned: the names that it is given."""
    found: dict[int, list[str]] = {}
    for node in code.all(ast.Assign):
        found[id(node.value)] = [name for target in node.targets if (name := code.name(target))]
    for annotated in code.all(ast.AnnAssign):
        found[id(annotated.value)] = [code.name(annotated.target)]
    return found


def decorators(
    code: Code, function: ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[tuple[str, ast.Call]]:
    """What a function is decorated with, by full name, as a call even where it has no parentheses."""
    for one in function.decorator_list:
        call = one if isinstance(one, ast.Call) else ast.Call(func=one, args=[], keywords=[])
        yield code.name(call.func), call


def _computed(how: ast.operator, left: object, right: object) -> object:
    if (
        type(how) not in _OPERATORS
        or not isinstance(left, (int, float))
        or not isinstance(right, (int, float))
    ):
        return UNKNOWN
    try:
        value = _OPERATORS[type(how)](left, right)
    except (ArithmeticError, ValueError):
        return UNKNOWN
    return value if abs(value) < _LARGEST else UNKNOWN
