# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""What a model's `requirements.txt` asks for, held against what is installed and what its code imports."""

from __future__ import annotations

import ast
import importlib.metadata
import pickletools
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Optional

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_OPTIONS = ("#", "--index-url", "--extra-index-url", "--find-links", "--trusted-host", "--no-", "--pre")


def read_requirements(model: Path) -> Optional[list[Requirement]]:
    """The requirements that hold for this interpreter; None where there are none to read.

    A file with lines that name packages in another way (`-r other.txt`, a path) counts as none: what it asks
    for isn't known. Options that only say where packages are (`--index-url …`) are passed over.
    """
    file = model / "requirements.txt"
    if not file.is_file():
        return None
    lines = (line.split(" #")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    try:
        requirements = [Requirement(line) for line in lines if line and not line.startswith(_OPTIONS)]
    except InvalidRequirement:
        return None
    return [each for each in requirements if each.marker is None or each.marker.evaluate()]


def unmet(requirements: Iterable[Requirement]) -> list[list[Optional[str]]]:
    """The requirements that aren't met here, each with the version that is installed, or None."""
    found: list[list[Optional[str]]] = []
    for requirement in requirements:
        version = _version(requirement.name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            found.append([str(requirement), version])
    return found


def unlisted(model: Path, requirements: Iterable[Requirement]) -> list[str]:
    """The installed packages that its own code or pickles import, and that no requirement brings along.

    Code is read, not run: that at the top of the model, which is models-from-code, and the modules that are
    loaded. Imports within `try` and `if` are left out, since the code goes on without them.
    """
    provided = _closure(requirements)
    provider = providers()
    code = list(model.rglob("*.py"))
    own = {name for file in code for name in (file.stem, file.parent.name)}
    wanted = {name.partition(".")[0] for name in _imports(model, code)} - own - _standard_library()
    missing: set[str] = set()
    for name in wanted:
        packages = {canonicalize_name(each) for each in provider.get(name, [])}
        if packages and not packages & provided:
            missing.add(min(packages))
    return sorted(missing)


@cache
def providers() -> Mapping[str, list[str]]:
    """The installed packages by the modules that they bring; none before Python 3.10."""
    if sys.version_info < (3, 10):
        return {}
    return importlib.metadata.packages_distributions()


def _standard_library() -> frozenset[str]:
    return frozenset() if sys.version_info < (3, 10) else sys.stdlib_module_names


def _version(name: str) -> Optional[str]:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _closure(requirements: Iterable[Requirement]) -> set[str]:
    """The packages asked for, and all they ask for in turn."""
    found: set[str] = set()
    waiting = [(each.name, frozenset(each.extras)) for each in requirements]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found.add(canonicalize_name(name))
        try:
            texts = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for needed in map(Requirement, texts):
            if needed.marker is None or any(
                needed.marker.evaluate({"extra": extra}) for extra in (extras or {""})
            ):
                waiting.append((needed.name, frozenset(needed.extras)))
    return found


def _imports(model: Path, code: Iterable[Path]) -> Iterator[str]:
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    for file in code:
        if file.parent != model and str(file) not in loaded:
            continue
        try:
            yield from _imported(ast.parse(file.read_bytes()))
        except SyntaxError:
            continue
    for file in model.rglob("*.pkl"):
        try:
            yield from _pickled(file.read_bytes())
        except ValueError:
            continue


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, (ast.Try, ast.If)):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def _pickled(content: bytes) -> Iterator[str]:
    """The modules that a pickle names: those of its classes and functions, and those cloudpickle imports.

    Follows only texts through the pickle, as far as `GLOBAL`, `STACK_GLOBAL` and `subimport` need them.
    """
    memo: dict[int, str] = {}
    texts: list[str] = []
    importing, last = False, ""
    for opcode, argument, _ in pickletools.genops(content):
        name = opcode.name
        if name == "MEMOIZE":
            memo[len(memo)] = last
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[int(argument or 0)] = last
        elif name in ("BINGET", "LONG_BINGET"):
            last = memo.get(int(argument or 0), "")
            texts.append(last)
        elif "UNICODE" in name:
            last = str(argument)
            texts.append(last)
            if importing:
                yield last
            importing = False
        elif name == "GLOBAL":
            last = ""
            yield str(argument).partition(" ")[0]
        elif name == "STACK_GLOBAL" and len(texts) > 1:
            yield texts[-2]
            importing, last = texts[-1] == "subimport", ""
        else:
            last = ""
