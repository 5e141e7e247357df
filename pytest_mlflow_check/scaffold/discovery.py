"""Which files of a project are scripts to start, and how: by reading them, never by running them."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pytest_mlflow_check.scaffold.project_files import Tree
from pytest_mlflow_check.scaffold.starting import Invocation, invocation
from pytest_mlflow_check.scripts.cli import absl, argparse, argparse_flow, click, fire, sys_argv, typer
from pytest_mlflow_check.scripts.model import COMPUTED, Argument, Start, parameters
from pytest_mlflow_check.scripts.modules import Files
from pytest_mlflow_check.scripts.options import OTHER_PARSERS
from pytest_mlflow_check.scripts.static_eval import Code, is_guard

_USUAL = ("main", "train", "training", "train_model", "run", "fit")
"""Names of scripts that are usually started, the likeliest first."""

_NO_SCRIPTS = re.compile(
    r"(^|/)(tests?|docs?|build|dist)/|(^|/)(conftest|setup|noxfile|fabfile|__init__)\.py$"
)
_TEST_NAME = re.compile(r"(^|/)(test_[^/]*|[^/]*_test)\.py$")
_SERVERS = ("flask", "fastapi", "uvicorn", "streamlit", "gradio", "dash", "airflow", "bentoml")
"""What imports one of these waits for requests, and never ends."""


@dataclass(frozen=True)
class Script:
    """A script that can be started.

    Attributes:
        path: relative to the project, with slashes.
        starts: the ways to start it, one for each subcommand; one at least.
        how: where it is started, and as what.
        logs: whether it logs to MLflow, by itself or by a module of the project.
        not_read: what reads its command line, where that isn't understood.
        unread: what of its command line only running it would tell: file, line, and what is there.
    """

    path: str
    starts: tuple[Start, ...] = (Start(),)
    how: Invocation = field(default_factory=Invocation)
    logs: bool = True
    not_read: str | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """The scripts to start, the likeliest first; and what isn't Python, by path, with the reason."""

    scripts: tuple[Script, ...] = ()
    broken: Mapping[str, str] = field(default_factory=dict)


def scripts_of(sources: Mapping[str, bytes], tree: Tree | None = None, documents: str = "") -> Found:
    """The scripts of a project: those that log to MLflow; where none does, the likeliest.

    Args:
        sources: the Python files by path.
        tree: all files of the project; None for the Python files only.
        documents: what the project says of itself, such as its README and Makefile.
    """
    tree = tree or Tree(tuple(sources))
    files = Files(sources)
    candidates: list[Script] = []
    for path in sources:
        try:
            script = None if _NO_SCRIPTS.search(path) else _script(files, path, tree, documents)
        except RecursionError:
            files.broken[path] = f"{path}: nested too deep"
        else:
            candidates += [script] if script else []
    candidates.sort(key=lambda script: (not script.logs, *_likeliness(script.path)))
    logging = [script for script in candidates if script.logs]
    usual = [script for script in candidates if PurePosixPath(script.path).stem in _USUAL]
    broken = {path: why for path, why in files.broken.items() if not _NO_SCRIPTS.search(path)}
    return Found(tuple(logging or usual or candidates[:1]), broken)


def _script(files: Files, path: str, tree: Tree, documents: str) -> Script | None:
    source = files.sources[path]
    usual = PurePosixPath(path).stem in (*_USUAL, "__main__")
    if not usual and b"__main__" not in source and b"mlflow" not in source:
        return None
    code = files.code(path)
    if code is None or not _acts(code, usual) or code.imports_any(*_SERVERS):
        return None
    if _TEST_NAME.search(path) and not (files.logs(path) and _runs_as_script(code)):
        return None
    read = _command_line(files, path, code)
    how = invocation(files, path, code, tree, documents)
    return Script(
        path,
        tuple(_located(parameters(one), how, tree) for one in read.starts) or (Start(),),
        how,
        any(files.logs(below) for below, _ in files.below(path)),
        read.not_read,
        read.unread,
    )


def _located(start: Start, how: Invocation, tree: Tree) -> Start:
    """A start whose defaults that are files of the project are named from where the script is started."""

    def located(one: Argument) -> Argument:
        if not one.anchored or one.default is None:
            return one
        if one.default != "." and not tree.has(one.default):
            return replace(one, default=None, left_out=COMPUTED, anchored=False)
        return replace(one, default=posixpath.relpath(one.default, how.directory or "."), anchored=False)

    levels = (replace(level, arguments=tuple(map(located, level.arguments))) for level in start.levels)
    return Start(tuple(levels))


def _runs_as_script(code: Code) -> bool:
    """Whether a file that is called like a test is none of pytest's or unittest's."""
    if code.imports_any("pytest", "unittest", "hypothesis"):
        return False
    tests = [
        node
        for node in code.tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and re.match("test_|Test", node.name)
    ]
    return not tests or any(is_guard(code, node) for node in code.tree.body)


def _acts(code: Code, usual: bool) -> bool:
    """Whether a file does something when it is started: not a module that others import."""
    for node in code.tree.body:
        if is_guard(code, node):
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


@dataclass(frozen=True)
class _CommandLine:
    """The ways to start a script, and what of its command line isn't understood, as in `Script`."""

    starts: Sequence[Start] = ()
    not_read: str | None = None
    unread: tuple[str, ...] = ()


def _command_line(files: Files, path: str, code: Code) -> _CommandLine:
    for reader, libraries in ((typer, ("typer",)), (click, ("click", "rich_click"))):
        for _, here in [(path, code), *_called_modules(files, path, code)]:
            if here.imports_any(*libraries) and (found := reader.starts(here)):
                return _CommandLine(found)
    if library := _has_commands_elsewhere(code):
        return _CommandLine(not_read=library)
    parses = any(b"parse_" in files.sources[below] for below, _ in files.below(path))
    if parses and (read := argparse_flow.command_line(files, path)):
        return _CommandLine(read.starts, unread=read.unread)
    if code.imports_any("argparse", "configargparse") and (found := argparse.starts(code)):
        return _CommandLine(found)
    if code.imports_any("fire") and (found := fire.starts(code)):
        return _CommandLine(found)
    if _uses(code, "absl.app") or _uses(code, "absl.flags"):
        codes = [imported for _, imported in files.below(path)]
        if not any(one.imports_any("ml_collections") for one in codes):
            return _CommandLine(absl.starts(codes))
    if other := next((name for module, name in OTHER_PARSERS.items() if _uses(code, module)), None):
        return _CommandLine(not_read=other)
    if found := sys_argv.starts(code):
        return _CommandLine(found)
    # Many keep their parser in a module of its own; that of another script is its own affair.
    for below, imported in files.below(path):
        its_own = below == path or any(is_guard(imported, node) for node in imported.tree.body)
        if not its_own and imported.imports_any("argparse") and (found := argparse.starts(imported)):
            return _CommandLine(found)
    return _CommandLine()


def _has_commands_elsewhere(code: Code) -> str | None:
    """The library whose group a script makes, where no command of that could be read."""
    used = {code.name(node) for kind in (ast.Name, ast.Attribute) for node in code.all(kind)}
    if used & {"click.group", "click.Group", "rich_click.group"}:
        return "click"
    return "typer" if "typer.Typer" in used else None


def _called_modules(files: Files, path: str, code: Code) -> Iterator[tuple[str, Code]]:
    """The modules of the project of which a script calls something: `from package.cli import app; app()`."""
    for call in code.all(ast.Call):
        name = code.text(call.func)
        found = files.defines(path, name) if name.partition(".")[0] in code.origins else None
        if found and found[0] != path and (there := files.code(found[0])):
            yield found[0], there


def _uses(code: Code, module: str) -> bool:
    return code.imports_any(module) is not None or module in code.imports.values()


def _likeliness(path: str) -> tuple[int, int, str]:
    """What sorts scripts: by their name, how deep they lie, and the alphabet."""
    stem = PurePosixPath(path).stem
    rank = _USUAL.index(stem) if stem in _USUAL else len(_USUAL) + ("train" not in stem)
    return rank, path.count("/"), path
