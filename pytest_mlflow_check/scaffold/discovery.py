"""Which files of a project are scripts to start, and how: by reading them, never by running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_mlflow_check.scripts.cli import argparse, click, sys_argv, typer
from pytest_mlflow_check.scripts.model import Start, parameters
from pytest_mlflow_check.scripts.options import OTHER_PARSERS
from pytest_mlflow_check.scripts.static_eval import Code

_USUAL = ("main", "train", "training", "train_model", "run", "fit")
"""Names of scripts that are usually started, the likeliest first."""

_NO_SCRIPTS = re.compile(
    r"(^|/)(tests?|docs?|build|dist)/|(^|/)(test_[^/]*|[^/]*_test|conftest|setup|noxfile|fabfile|__init__|__main__)\.py$"
)
_LOGGING = re.compile(
    rb"\b(start_run|autolog|log_(metric|param|artifact|model|dict|figure|text|table|image|input)s?|set_tags?"
    rb"|MLFlowLogger|MLflowCallback)\b|report_to"
)
_SERVERS = ("flask", "fastapi", "uvicorn", "streamlit", "gradio", "dash", "airflow", "bentoml")
"""What imports one of these waits for requests, and never ends."""

_FOLLOWED = 200
"""Modules that are followed from a script."""


@dataclass(frozen=True)
class Script:
    """A script that can be started.

    Attributes:
        path: relative to the project, with slashes.
        starts: the ways to start it, one for each subcommand; one at least.
        module: its name as a module where it has to be started as one (`python -m`).
        logs: whether it logs to MLflow, by itself or by a module of the project.
        not_read: what reads its command line, where that isn't understood.
    """

    path: str
    starts: tuple[Start, ...] = (Start(),)
    module: str | None = None
    logs: bool = True
    not_read: str | None = None


@dataclass(frozen=True)
class Found:
    """The scripts to start, the likeliest first; and what isn't Python, by path, with the reason."""

    scripts: tuple[Script, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)


def scripts_of(sources: Mapping[str, bytes]) -> Found:
    """The scripts of a project: those that log to MLflow; where none does, the likeliest.

    Args:
        sources: the Python files by path.
    """
    files = _Files(sources)
    candidates: list[Script] = []
    for path in sources:
        try:
            script = None if _NO_SCRIPTS.search(path) else _script(files, path)
        except RecursionError:
            files.broken[path] = f"{path}: nested too deep"
        else:
            candidates += [script] if script else []
    candidates.sort(key=lambda script: (not script.logs, *_likeliness(script.path)))
    logging = [script for script in candidates if script.logs]
    usual = [script for script in candidates if PurePosixPath(script.path).stem in _USUAL]
    broken = {path: why for path, why in files.broken.items() if not _NO_SCRIPTS.search(path)}
    return Found(tuple(logging or usual or candidates[:1]), broken)


class _Files:
    """The Python files of a project, each parsed when somebody asks for it."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self.sources = sources
        self.broken: dict[str, str] = {}
        self._codes: dict[str, Code | None] = {}
        self._logs: dict[str, bool] = {}

    def code(self, path: str) -> Code | None:
        """The code of a file; None where it isn't Python."""
        if path not in self._codes:
            self._codes[path] = None
            try:
                self._codes[path] = Code.of(self.sources[path])
            except SyntaxError as error:
                self.broken[path] = f"{path}:{error.lineno or 1}: {error.msg or error}"
        return self._codes[path]

    def logs(self, path: str) -> bool:
        """Whether a file by itself logs to MLflow, as far as its text tells."""
        if path not in self._logs:
            source = self.sources[path]
            self._logs[path] = b"mlflow" in source.lower() and _LOGGING.search(source) is not None
        return self._logs[path]

    def imported(self, path: str, code: Code) -> Iterator[str]:
        """The files of the project that a file imports."""
        for level, module in code.modules:
            yield from (one for one in _candidates(path, level, module) if one in self.sources)

    def below(self, path: str) -> Iterator[tuple[str, Code]]:
        """A file and all that it imports of the project, whatever is imported by that included."""
        waiting, seen = [path], {path}
        while waiting and len(seen) < _FOLLOWED:
            here = waiting.pop(0)
            if (code := self.code(here)) is None:
                continue
            yield here, code
            for other in self.imported(here, code):
                if other not in seen:
                    seen.add(other)
                    waiting.append(other)


def _candidates(path: str, level: int, module: str) -> list[str]:
    """Where a module may lie that the script at a path imports."""
    folder = PurePosixPath(path).parent
    bases = [folder, PurePosixPath(), PurePosixPath("src")]
    if level:
        bases = [([folder, *folder.parents][level - 1 : level] or [folder])[0]]
    name = module.replace(".", "/")
    return [f"{base / name}{end}" for base in bases for end in (".py", "/__init__.py") if name]


def _script(files: _Files, path: str) -> Script | None:
    source = files.sources[path]
    usual = PurePosixPath(path).stem in _USUAL
    if not usual and b"__main__" not in source and b"mlflow" not in source:
        return None
    code = files.code(path)
    if code is None or not _acts(code, usual) or code.imports_any(*_SERVERS):
        return None
    starts, not_read = _starts(files, path, code)
    return Script(
        path,
        tuple(parameters(one) for one in starts) or (Start(),),
        _module(files, path, code),
        any(files.logs(below) for below, _ in files.below(path)),
        not_read,
    )


def _acts(code: Code, usual: bool) -> bool:
    """Whether a file does something when it is started: not a module that others import."""
    for node in code.tree.body:
        if _is_guard(code, node):
            return True
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        calls = [code.name(one.func) for one in ast.walk(node) if isinstance(one, ast.Call)]
        if any(
            re.search(r"^mlflow\..*(start_run|log_\w+|autolog)$|\.(fit|parse_args)$", one) for one in calls
        ):
            return True
        if usual and calls and isinstance(node, (ast.Expr, ast.With, ast.For, ast.While)):
            return True
    return False


def _is_guard(code: Code, node: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and "__name__" in {code.name(one) for one in ast.walk(node.test)}


def _starts(files: _Files, path: str, code: Code) -> tuple[Sequence[Start], str | None]:
    """The ways to start a script, and what reads its command line where that isn't understood."""
    for reader, library in (
        (typer, ("typer",)),
        (click, ("click", "rich_click")),
        (argparse, ("argparse", "configargparse")),
    ):
        if code.imports_any(*library) and (found := reader.starts(code)):
            return found, None
    if other := next((name for module, name in OTHER_PARSERS.items() if _uses(code, module)), None):
        return [], other
    if found := sys_argv.starts(code):
        return found, None
    # Many keep their parser in a module of its own; that of another script is its own affair.
    for below, imported in files.below(path):
        its_own = below == path or any(_is_guard(imported, node) for node in imported.tree.body)
        if not its_own and imported.imports_any("argparse") and (found := argparse.starts(imported)):
            return found, None
    return [], None


def _uses(code: Code, module: str) -> bool:
    return code.imports_any(module) is not None or module in code.imports.values()


def _module(files: _Files, path: str, code: Code) -> str | None:
    """The script's name as a module, where Python finds what it imports only then."""
    parts = PurePosixPath(path).with_suffix("").parts
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        return None
    folder = PurePosixPath(path).parent
    relative = any(level for level, _ in code.modules)
    from_root = any(
        not level
        and not any(place in files.sources for place in _candidates(path, 0, module)[:2])
        and any(f"{module.replace('.', '/')}{end}" in files.sources for end in (".py", "/__init__.py"))
        for level, module in code.modules
    )
    return ".".join(parts) if folder.parts and (relative or from_root) else None


def _likeliness(path: str) -> tuple[int, int, str]:
    """What sorts scripts: by their name, how deep they lie, and the alphabet."""
    stem = PurePosixPath(path).stem
    rank = _USUAL.index(stem) if stem in _USUAL else len(_USUAL) + ("train" not in stem)
    return rank, path.count("/"), path
