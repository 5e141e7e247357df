"""Paths as a script computes them, by `pathlib` and `os.path`, without looking at any disk."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Sequence

from pytest_mlflow_check.scripts.model import UNKNOWN, PathObject, ProjectPath

_SAME = ("resolve", "absolute", "expanduser")
"""Methods of a path that name the same file."""

_SAME_TEXT = ("as_posix", "__str__", "__fspath__")
_PATHS = ("Path", "PosixPath", "PurePath", "PurePosixPath")
_OF_ONE = ("os.path.abspath", "os.path.realpath", "os.path.normpath", "os.path.expanduser")


def combined(how: ast.operator, left: str | ProjectPath, right: object) -> object:
    """What `left / right` or `left + right` is."""
    if isinstance(how, ast.Div):
        return _join([left, right], is_object=True)
    return joined([left, right]) if isinstance(how, ast.Add) else UNKNOWN


def joined(parts: Sequence[object]) -> object:
    """Texts in a row, as an f-string has them."""
    if any(isinstance(one, bool) or not isinstance(one, (str, int, ProjectPath)) for one in parts):
        return UNKNOWN
    text = "".join(one.path if isinstance(one, ProjectPath) else str(one) for one in parts)
    if not any(isinstance(one, ProjectPath) for one in parts):
        return text
    return _in_project(text, is_object=False) if isinstance(parts[0], ProjectPath) else UNKNOWN


def member(owner: object, name: str) -> object:
    """An attribute of a path."""
    return ancestor(owner, "parents", 0) if name == "parent" else UNKNOWN


def ancestor(owner: object, name: str, number: object) -> object:
    """`owner.parents[number]`."""
    if name != "parents" or not isinstance(number, int) or not 0 <= number < 20:
        return UNKNOWN
    if not isinstance(owner, ProjectPath):
        return UNKNOWN
    return _in_project("/".join([owner.path, *[".."] * (number + 1)]), is_object=True)


def method(owner: str | ProjectPath, name: str, values: Sequence[object]) -> object:
    """What a method of a path gives."""
    if name == "joinpath":
        return _join([owner, *values], is_object=True)
    if name in _SAME and isinstance(owner, ProjectPath):
        return owner
    if name in _SAME_TEXT:
        return function("str", [owner])
    return UNKNOWN


def function(name: str, values: Sequence[object]) -> object:
    """What a function makes of paths."""
    first = values[0] if values else UNKNOWN
    if name.rpartition(".")[2] in _PATHS and name.rpartition(".")[0] in ("", "pathlib") and values:
        return _join(values, is_object=True)
    if name == "os.path.join" and values:
        return _join(values, is_object=False)
    if len(values) != 1:
        return UNKNOWN
    if isinstance(first, ProjectPath) and name in (*_OF_ONE, "str", "os.fspath"):
        return ProjectPath(first.path)
    if isinstance(first, ProjectPath) and name == "os.path.dirname":
        return _in_project(f"{first.path}/..", is_object=False)
    if isinstance(first, str) and name in ("str", "os.fspath"):
        return str.__str__(first)
    return UNKNOWN


def _join(parts: Sequence[object], *, is_object: bool) -> object:
    if not all(isinstance(one, (str, ProjectPath)) for one in parts):
        return UNKNOWN
    texts = [one.path if isinstance(one, ProjectPath) else str(one) for one in parts]
    if any(isinstance(one, ProjectPath) for one in parts[1:]):
        # An absolute path, which drops all in front of it.
        last = max(n for n, one in enumerate(parts) if isinstance(one, ProjectPath))
        return _join(parts[last:], is_object=is_object)
    if isinstance(parts[0], ProjectPath):
        absolute = any(text.startswith(("/", "~")) for text in texts[1:])
        return UNKNOWN if absolute else _in_project("/".join(texts), is_object=is_object)
    if len(texts) == 1:
        return PathObject(texts[0]) if is_object else texts[0]
    text = posixpath.join(*texts)
    return PathObject(text) if is_object else text


def _in_project(text: str, *, is_object: bool) -> object:
    path = posixpath.normpath(text)
    return UNKNOWN if path.startswith("..") or posixpath.isabs(path) else ProjectPath(path, is_object)
