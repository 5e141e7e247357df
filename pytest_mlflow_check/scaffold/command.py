"""The first files of a project: an MLproject and a `mlflow-check.toml`, made of what its scripts say.

Scripts are read, never imported or run. What is there is never written to.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pytest_mlflow_check.config.settings import FILE_NAME, load_settings
from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.files import draft
from pytest_mlflow_check.core.models import EntryPoint, Project
from pytest_mlflow_check.core.text import listed, printable
from pytest_mlflow_check.mlproject.loader import read_project, resolve_entry_point
from pytest_mlflow_check.mlproject.unfinished import unfinished
from pytest_mlflow_check.scaffold.discovery import Found, scripts_of
from pytest_mlflow_check.scaffold.project_files import Tree, tree_of
from pytest_mlflow_check.scaffold.render import Entry, entries_of, mlproject_text, settings_text
from pytest_mlflow_check.scripts.model import Argument, plain_start

_LARGEST = 1024 * 1024
"""Bytes of a script; what is larger holds data."""

_DOCUMENT = re.compile(r".*\.(md|rst|sh)|(?i:makefile|justfile|dockerfile|readme.*)")
"""Files that show how a project is started."""

_SHOWN = 5
"""Entry points, and broken scripts, that are named on the terminal."""

_TOGETHER = 64 * 1024 * 1024
"""Bytes of all scripts."""


def initialise(directory: Path) -> str:
    """Writes what a project lacks of its first files, and gives what is to be told of it.

    Args:
        directory: the project's.

    Raises:
        UserError: the directory or a file of it can't be read, has nothing to start, or can't be written to.
    """
    project = read_project(directory)
    settings = load_settings(project.directory).file
    lines = [] if project.mlproject is None else [_already(project.mlproject)]
    lines += [] if settings is None else [_already(settings)]
    if len(lines) == 2:
        return "\n".join([*lines, "nothing written", *_next(project)])
    tree = tree_of(project.directory)
    found = Found()
    if project.mlproject is None:
        sources, documents = _sources(project.directory, tree), _documents(project.directory, tree)
        found = scripts_of(sources, tree, documents)
    entries, beyond = entries_of(found.scripts)
    if project.mlproject is not None:
        entries = [_declared(project, name) for name in project.entry_points]
    if not entries:
        raise UserError(_nothing(project, found))
    # First the settings: should the other file fail, the next attempt reads the same scripts again.
    if settings is None:
        settings = project.directory / FILE_NAME
        write_new(settings, settings_text(entries, tree))
        cases = "a case" if len(entries) == 1 else "a case each"
        lines.append(
            f"wrote {shown_path(settings)}: {cases} for {listed([one.name for one in entries], _SHOWN)}"
        )
    if project.mlproject is None:
        file = project.directory / "MLproject"
        write_new(file, mlproject_text(project.directory.name or "project", entries, beyond))
        made_of = [f"{one.name} ({one.script.path})" for one in entries if one.script]
        lines.append(f"wrote {shown_path(file)}: {listed(made_of, _SHOWN)}")
    lines += _hints(entries, found)
    todo = unfinished(load_settings(project.directory), read_project(project.directory))
    lines += [f"to be filled in: {place}" for place in todo]
    return "\n".join([*map(printable, lines), *_next(project, "fill that in, and  " if todo else "")])


def write_new(file: Path, text: str) -> None:
    """Writes a file that isn't there yet: whole, or not at all.

    Raises:
        UserError: it is there, or can't be written.
    """
    try:
        with draft(file, text) as unfinished:
            try:
                # Unlike a renaming, this fails where there is something.
                os.link(unfinished, file)
            except FileExistsError:
                raise
            except OSError:
                _without_links(file, text)
    except FileExistsError:
        raise UserError(f"{shown_path(file)} is there already: nothing is written over it") from None
    except OSError as error:
        raise UserError(
            f"{shown_path(file)}: can't be written: {error.strerror}\n"
            "  make room there, or let this user write in the directory"
        ) from None


def _without_links(file: Path, text: str) -> None:
    """The same on a file system that has no hard links."""
    with file.open("x", encoding="utf-8") as opened:
        try:
            opened.write(text)
            opened.flush()
        except BaseException:
            file.unlink()
            raise


def _sources(directory: Path, tree: Tree) -> dict[str, bytes]:
    """The Python files of a project, as far as they can be read and aren't too large."""
    found: dict[str, bytes] = {}
    together = 0
    for path in tree.files:
        if not path.endswith(".py") or together > _TOGETHER:
            continue
        with suppress(OSError), (directory / path).open("rb") as opened:
            content = opened.read(_LARGEST + 1)
            if len(content) <= _LARGEST:
                found[path] = content
                together += len(content)
    return found


def _documents(directory: Path, tree: Tree) -> str:
    """What the files beside the scripts say that tell how these are started."""
    texts = []
    for path in tree.files:
        if "/" not in path and _DOCUMENT.fullmatch(path):
            with suppress(OSError), (directory / path).open("rb") as opened:
                texts.append(opened.read(_LARGEST).decode(errors="replace"))
    return "\n".join(texts)


def _declared(project: Project, name: str) -> Entry:
    """An entry point that the MLproject has."""
    entry_point: EntryPoint = resolve_entry_point(project, name)
    arguments = [
        Argument(one.name, type=one.type, default=one.default, required=one.default is None)
        for one in entry_point.parameters.values()
    ]
    return Entry(name, plain_start(arguments))


def _already(file: Path) -> str:
    where = " [tool.mlflow-check]" if file.name == "pyproject.toml" else ""
    return f"{shown_path(file)}{where} is there already"


def _nothing(project: Project, found: Found) -> str:
    shown = shown_path(project.directory)
    if project.mlproject is not None:
        return f"{shown_path(project.mlproject)} has no entry points\n  write one, or remove the file"
    broken = "".join(f"\n  not Python: {why}" for why in _broken(found))
    return (
        f"nothing to start in {shown}: no MLproject, and no Python script to start{broken}\n"
        '  one is called main.py or train.py, logs to MLflow, or has  if __name__ == "__main__":\n'
        "  name the directory that has one:  pytest --mlflow-init --mlflow-project=DIR"
    )


def _hints(entries: Sequence[Entry], found: Found) -> list[str]:
    lines = [f"passed over, since it isn't Python: {why}" for why in _broken(found)]
    scripts = [entry.script for entry in entries if entry.script]
    if scripts and not any(script.logs for script in scripts):
        lines.append("none of these scripts logs to MLflow yet")
    return lines


def _broken(found: Found) -> list[str]:
    return list(found.broken.values())[:_SHOWN]


def _next(project: Project, before: str = "") -> list[str]:
    return ["", f"next:  {before}pytest --mlflow-project={shlex.quote(shown_path(project.directory))}"]
