"""How a script is started so that Python finds what it imports, and the script the files that it names.

Source of facts: `sys.path` begins with the directory of the script, or with the current one for `python -m`.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_mlflow_check.scaffold.project_files import Tree
from pytest_mlflow_check.scripts.modules import Files, places_of
from pytest_mlflow_check.scripts.static_eval import Code

_ABOVE = re.compile(r"\.\.(/|$)")


@dataclass(frozen=True)
class Invocation:
    """How a script is started.

    Attributes:
        module: its name as a module where it has to be started as one (`python -m`).
        directory: where it is started, relative to the project; empty for the project itself.
        search: the directories of the project that Python has to look in besides, likewise.
    """

    module: str | None = None
    directory: str = ""
    search: tuple[str, ...] = ()


def invocation(files: Files, path: str, code: Code, tree: Tree, documents: str = "") -> Invocation:
    """How a script of a project is started.

    Args:
        files: the Python files of the project.
        path: the script's.
        code: its code.
        tree: all files of the project.
        documents: what the project says of itself, such as its README and Makefile.
    """
    folder = _text(PurePosixPath(path).parent)
    if not folder:
        return Invocation()
    shown = _is_shown(path, documents)
    directory = folder if not shown and _names_files_from(files, path, tree) else ""
    needed, own = _bases(files, path, code)
    ups = max((level for level, _ in code.modules), default=0)
    is_main = PurePosixPath(path).stem == "__main__"
    parts = PurePosixPath(path).with_suffix("").parts
    if is_main or ups:
        base = _package_base(files, folder, max(ups, 1), needed, is_main=is_main)
        module = _dotted(folder if is_main else posixpath.splitext(path)[0], base)
        if module:
            search = {base, *needed}
            return Invocation(module, directory, tuple(sorted(search - {directory})))
    if needed == {""} and not own and not directory and all(part.isidentifier() for part in parts):
        return Invocation(".".join(parts))
    return Invocation(None, directory, tuple(sorted(needed)))


def _is_shown(path: str, documents: str) -> bool:
    """Whether a document starts the script from the project's directory: `python src/train.py`."""
    return re.search(rf"\bpython[\d.]*\s+(-\w+\s+)*(\./)?{re.escape(path)}(?![\w.])", documents) is not None


def _bases(files: Files, path: str, code: Code) -> tuple[set[str], bool]:
    """The directories from which a script imports, without its own; and whether it imports from its own."""
    arranged = {code.name(call.func) for call in code.all(ast.Call)} & {"sys.path.append", "sys.path.insert"}
    if arranged:
        return set(), True
    found: set[str] = set()
    folder = _text(PurePosixPath(path).parent)
    for _, below in files.below(path):
        for level, module in below.modules:
            place = next((one for one in places_of(path, 0, module) if one in files.sources), None)
            if place and not level and module:
                found.add(_base_of(place, module))
    return found - {folder}, folder in found


def _base_of(place: str, module: str) -> str:
    whole = place.removesuffix("/__init__.py").removesuffix(".py")
    return whole.removesuffix(module.replace(".", "/")).rstrip("/")


def _package_base(files: Files, folder: str, ups: int, needed: Collection[str], *, is_main: bool) -> str:
    """The directory from which a script is imported as a part of its package."""
    if not is_main and set(needed) <= {""}:
        return ""
    above = [folder, *map(_text, PurePosixPath(folder).parents)]
    fitting = [base for base in above[ups:] if base in needed]
    if fitting:
        return fitting[0]
    rest = above[ups:] or [""]
    return next((base for base in rest if f"{base}/__init__.py".lstrip("/") not in files.sources), rest[-1])


def _dotted(path: str, base: str) -> str | None:
    parts = PurePosixPath(path).relative_to(base).parts if base else PurePosixPath(path).parts
    return ".".join(parts) if parts and all(part.isidentifier() for part in parts) else None


def _names_files_from(files: Files, path: str, tree: Tree) -> bool:
    """Whether a script names files relative to its own directory, and none relative to the project's."""
    folder = _text(PurePosixPath(path).parent)
    there = False
    for _, code in files.below(path):
        for text in code.named_paths:
            from_folder = posixpath.normpath(f"{folder}/{text}")
            here = not _ABOVE.match(text) and tree.has(posixpath.normpath(text))
            if here and not tree.has(from_folder):
                return False
            there = there or (bool(_ABOVE.match(text)) and not _ABOVE.match(from_folder))
            there = there or (tree.has(from_folder) and not here)
    return there


def _text(path: PurePosixPath) -> str:
    return "" if path == PurePosixPath() else str(path)
