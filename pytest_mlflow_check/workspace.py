"""The throw-away copy in which a launch runs.

What is copied is the repository around the project, so that `../data` works, or the project alone where
there is none. The user's files are only ever read.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path

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
        _copy_directory(root, destination, root=root, destination=destination)
    except OSError as error:
        raise UserError(f"{root}: can't be copied to {destination}: {error.strerror}") from error
    return destination / project.resolve().relative_to(root)


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


def _copy_directory(source: Path, target: Path, *, root: Path, destination: Path) -> None:
    with os.scandir(source) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    target.mkdir(parents=True)
    for entry in found:
        path = Path(entry.path)
        if entry.name in SKIPPED or path == destination:
            continue
        # What the script couldn't read either is left out, and what goes away in the meantime.
        with contextlib.suppress(PermissionError, FileNotFoundError):
            _copy_entry(entry, path, target / entry.name, root=root, destination=destination)


def _copy_entry(entry: os.DirEntry[str], path: Path, copy: Path, *, root: Path, destination: Path) -> None:
    if entry.is_symlink():
        _copy_link(path, copy, root=root, destination=destination)
    elif entry.is_dir():
        # A virtual environment by any other name, or launches.
        if not any((path / mark).is_file() for mark in ("pyvenv.cfg", _MARK)):
            _copy_directory(path, copy, root=root, destination=destination)
    elif entry.is_file():
        shutil.copy2(path, copy)
        copy.chmod(copy.stat().st_mode | stat.S_IWUSR)


def _copy_link(link: Path, copy: Path, *, root: Path, destination: Path) -> None:
    target = str(link.readlink())
    absolute = os.path.normpath(os.path.join(link.parent, target))
    mapped = map_into(absolute, root, destination)
    if mapped != absolute and not os.path.isabs(target):
        mapped = os.path.relpath(mapped, copy.parent)
    copy.symlink_to(mapped)


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # a user id without a home, as in containers
        return None
