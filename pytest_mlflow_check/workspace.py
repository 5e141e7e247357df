"""The throw-away copy in which a launch runs.

What is copied is the repository around the project, so that `../data` works, or the project alone where
there is none. The user's files are only ever read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_mlflow_check.errors import UserError

SKIPPED = frozenset(
    {
        *(".git", ".hg", ".svn"),
        *("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"),
        *(".tox", ".nox", ".venv", "venv", "node_modules"),
        *("mlruns", "mlartifacts", "mlflow.db"),
    }
)
"""Version control, caches, environments and what MLflow leaves behind: nothing a script reads."""

_MARK = ".mlflow-check-launches"
"""The file that tells a directory for launches from the user's own."""


UNREADABLE = (PermissionError, FileNotFoundError)
"""What a file or directory raises that is left out: the script couldn't read it either, or it went away."""


@dataclass(frozen=True)
class Entry:
    """Something that goes into a workspace.

    Attributes:
        kind: `link` for a symbolic link, whatever it leads to.
        path: relative to the root.
        source: where it is.
    """

    kind: Literal["directory", "file", "link"]
    path: str
    source: Path


def enclosing_root(project: Path) -> Path:
    """The directory to copy: the repository that holds the project, else the project itself.

    Links on the way to the project are followed, or a launch could end up behind one, in the user's own
    files. A home directory under version control isn't taken for the project's repository.
    """
    project = project.resolve()
    for directory in (project, *project.parents):
        if directory in (_home(), Path(project.anchor)):
            break
        if (directory / ".git").exists():
            return directory
    return project


def make_workspace(project: Path, destination: Path) -> Path:
    """Copies the project, with the repository around it, and returns the project's place in the copy.

    Symbolic links inside the copied tree stay links into the copy; those that lead out of it go on
    leading to where they led. Sockets, pipes and what can't be read are left out.

    Args:
        project: absolute path of the project's directory.
        destination: a directory that doesn't exist yet; it may lie inside the project.

    Raises:
        UserError: where there is no room for the copy.
    """
    root, destination = enclosing_root(project), destination.resolve()
    try:
        destination.mkdir(parents=True)
        for entry in contents(root, without=destination):
            with contextlib.suppress(*UNREADABLE):
                _copy(entry, destination / entry.path, root=root, destination=destination)
    except OSError as error:
        raise UserError(f"{root}: can't be copied to {destination}: {error.strerror}") from error
    return destination / project.resolve().relative_to(root)


def contents(root: Path, *, without: Path | None = None) -> Iterator[Entry]:
    """All that goes into a workspace of a directory, in an order that only names decide.

    Sockets, pipes and directories that can't be read are left out; whether files can be isn't looked at.

    Args:
        root: the directory to copy, which isn't given itself.
        without: something below it that doesn't go along.
    """
    return _contents(root, root, without)


def led_to(link: Path, root: Path, copy: Path) -> str:
    """Where a symbolic link leads in a workspace, as an absolute path: into the copy, or out of it."""
    return map_into(os.path.normpath(os.path.join(link.parent, link.readlink())), root, copy)


def mark_area(area: Path) -> None:
    """Makes a directory for launches, of which no workspace gets a copy should it lie in a repository."""
    area.mkdir(parents=True, exist_ok=True)
    (area / _MARK).touch()


def map_into(path: str, root: Path, copy: Path) -> str:
    """The place in the copy for an absolute path that leads below the root; any other path as it is."""
    if os.path.isabs(path):
        # First by its text: a link in the tree is itself in the copy.
        for place in (os.path.normpath(path), os.path.realpath(path)):
            if Path(place).is_relative_to(root):
                return str(copy / Path(place).relative_to(root))
    return path


def _contents(directory: Path, root: Path, without: Path | None) -> Iterator[Entry]:
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    if directory != root:
        yield Entry("directory", os.path.relpath(directory, root), directory)
    for entry in found:
        path = Path(entry.path)
        if entry.name in SKIPPED or path == without:
            continue
        if entry.is_symlink():
            yield Entry("link", os.path.relpath(path, root), path)
        elif entry.is_dir():
            with contextlib.suppress(*UNREADABLE):
                # A virtual environment by any other name, or launches.
                if not any((path / mark).is_file() for mark in ("pyvenv.cfg", _MARK)):
                    yield from _contents(path, root, without)
        elif entry.is_file():
            yield Entry("file", os.path.relpath(path, root), path)


def _copy(entry: Entry, copy: Path, *, root: Path, destination: Path) -> None:
    if entry.kind == "directory":
        copy.mkdir()
    elif entry.kind == "link":
        target, mapped = str(entry.source.readlink()), led_to(entry.source, root, destination)
        if Path(mapped).is_relative_to(destination) and not os.path.isabs(target):
            mapped = os.path.relpath(mapped, copy.parent)
        copy.symlink_to(mapped)
    else:
        shutil.copy2(entry.source, copy)
        copy.chmod(copy.stat().st_mode | stat.S_IWUSR)


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # a user id without a home, as in containers
        return None
