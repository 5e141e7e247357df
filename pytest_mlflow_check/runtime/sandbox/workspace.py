"""The throw-away copy in which a launch runs.

What is copied is the repository around the project, so that `../data` works, or the project alone where
there is none. The user's files are only ever read. `.git` isn't copied but made anew (`git_repository.py`).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.os_errors import fault_of
from pytest_mlflow_check.runtime.sandbox.copy_file import clone_file, copy_file
from pytest_mlflow_check.runtime.sandbox.git_repository import copy_repository
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import NO_LINKS, Links

SKIPPED = frozenset(
    {
        *(".git", ".hg", ".svn"),
        *("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints"),
        *(".tox", ".nox", ".venv", "venv", "node_modules"),
        *("mlruns", "mlartifacts", "mlflow.db"),
        "mlflow-contract.yaml",
    }
)
"""Version control, caches, environments, what MLflow leaves behind, our contract: nothing a script reads."""

_REPORT = re.compile(
    rb'\{\n "schema": \d+,\n "verdict": .*"pytest-mlflow-check": |'
    rb'<!doctype html>.*<meta name="generator" content="pytest-mlflow-check |'
    rb"## \S+ mlflow-check: ",
    re.DOTALL,
)
"""How the reports of a session begin, which no script reads and each session writes anew."""

_ANNEX = "/.git/annex/"

_MARK = ".mlflow-check-launches"
"""The file that tells a directory for launches from the user's own."""


UNREADABLE: tuple[type[OSError], ...] = (PermissionError, FileNotFoundError)
"""What a file or directory raises that is left out: the script couldn't read it either, or it went away."""


@dataclass(frozen=True)
class Entry:
    """Something that goes into a workspace.

    Attributes:
        kind: `link` for a symbolic link, whatever it leads to.
        path: relative to the root.
        source: where it is.
    """

    # Texts, and no more for each file than needed: there may be very many.
    kind: Literal["directory", "file", "link"]
    path: str
    source: str


def enclosing_root(project: Path) -> Path:
    """The directory to copy: the repository that holds the project, else the project itself.

    Links on the way to the project are followed, or a launch could end up behind one, in the user's own
    files. A home directory under version control isn't taken for the project's repository.
    """
    project = project.resolve()
    for directory in (project, *project.parents):
        if directory in (_home_directory(), Path(project.anchor)):
            break
        if (directory / ".git").exists():
            return directory
    return project


def make_workspace(project: Path, destination: Path, links: Links = NO_LINKS) -> Path:
    """Copies the project, with the repository around it, and returns the project's place in the copy.

    Symbolic links inside the copied tree stay links into the copy; those that lead out of it go on
    leading to where they led. Sockets, pipes and what can't be read are left out.

    Args:
        project: absolute path of the project's directory.
        destination: a directory that doesn't exist yet; it may lie inside the project.
        links: the files that are links to the originals. Where the file system can make a file that shares
            the original's blocks, they are that instead, and can be written to without harm.

    Raises:
        UserError: where there is no room for the copy.
    """
    root, destination = enclosing_root(project), destination.resolve()
    work_trees = [(str(root), str(destination))]
    copied: set[str] = set()
    try:
        destination.mkdir(parents=True)
        for entry in contents(root, without=destination):
            copy = os.path.join(destination, entry.path)
            try:
                _copy(entry, copy, root, destination, links)
            except UNREADABLE as error:
                if error.filename != entry.source:
                    raise
                continue
            if entry.kind == "file" and not links.take(entry.path):
                copied.add(entry.source)
            # A submodule, or a repository within the other.
            elif entry.kind == "directory" and os.path.lexists(os.path.join(entry.source, ".git")):
                work_trees.append((entry.source, copy))
        for original, copy in work_trees:
            copy_repository(original, copy, copied)
    except OSError as error:
        fault = fault_of(error, destination)
        which = "" if error.filename in (None, str(root), str(destination)) else f" ({error.filename})"
        raise UserError(
            fault or f"{root}: can't be copied to {destination}: {error.strerror}{which}"
        ) from error
    return destination / project.resolve().relative_to(root)


def linked_files(copy: Path, root: Path, links: Links) -> list[str]:
    """The files of a workspace that are links to the user's own, by their path in it."""
    if not links.patterns:
        return []
    return [
        entry.path
        for entry in contents(copy)
        if entry.kind == "link"
        and links.take(entry.path)
        and os.readlink(entry.source) == os.path.join(root, entry.path)
    ]


def contents(root: Path, *, without: Path | None = None) -> Iterator[Entry]:
    """All that goes into a workspace of a directory, in an order that only names decide.

    Sockets, pipes and directories that can't be read are left out; whether files can be isn't looked at.

    Args:
        root: the directory to copy, which isn't given itself.
        without: something below it that doesn't go along.
    """
    top, kept_out = str(root), None if without is None else str(without)
    waiting = [iter(_listed(top))]
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            continue
        if entry.name in SKIPPED or entry.path == kept_out:
            continue
        path = os.path.relpath(entry.path, top) if top == "/" else entry.path[len(top) + 1 :]
        if entry.is_symlink():
            yield Entry("link", path, entry.path)
        elif entry.is_dir():
            with contextlib.suppress(*UNREADABLE):
                found = _listed(entry.path)
                if not _passed_over(found):
                    yield Entry("directory", path, entry.path)
                    waiting.append(iter(found))
        elif entry.is_file() and not _is_report(entry):
            yield Entry("file", path, entry.path)


def passed_over(directory: Path) -> bool:
    """Whether a directory below the root doesn't go along, for what is in it."""
    try:
        return _passed_over(_listed(str(directory)))
    except OSError:
        return True


def led_to(link: str, root: Path, copy: Path) -> str:
    """Where a symbolic link leads in a workspace, as an absolute path: into the copy, or out of it."""
    target = os.path.normpath(os.path.join(os.path.dirname(link), os.readlink(link)))
    # Where git-annex has the content of large files; it doesn't go along.
    return target if _ANNEX in target else map_into(target, root, copy)


def mark_session_dir(session_dir: Path) -> None:
    """Makes a directory for launches, of which no workspace gets a copy should it lie in a repository."""
    session_dir.mkdir(parents=True, exist_ok=True)
    (session_dir / _MARK).touch()


def map_into(path: str, root: Path, copy: Path) -> str:
    """The place in the copy for an absolute path that leads below the root; any other path as it is."""
    if os.path.isabs(path):
        # First by its text: a link in the tree is itself in the copy.
        for place in (os.path.normpath(path), os.path.realpath(path)):
            if Path(place).is_relative_to(root):
                return str(copy / Path(place).relative_to(root))
    return path


def _listed(directory: str) -> list[os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_report(entry: os.DirEntry[str]) -> bool:
    if not entry.name.lower().endswith((".json", ".md", ".html")):
        return False
    with contextlib.suppress(*UNREADABLE), open(entry.path, "rb") as file:
        return _REPORT.match(file.read(1024)) is not None
    return False


def _passed_over(found: list[os.DirEntry[str]]) -> bool:
    """Whether a directory with this in it is an environment by any name, a cache of pytest, or launches."""
    for entry in found:
        if entry.name in ("pyvenv.cfg", _MARK) and entry.is_file():
            return True
        if entry.name == "conda-meta" and entry.is_dir():
            return True
        if entry.name == "CACHEDIR.TAG" and entry.is_file():
            # Others tag what scripts do read: the downloads of huggingface_hub are one such cache.
            with contextlib.suppress(*UNREADABLE), open(entry.path, "rb") as tag:
                if b"created by pytest" in tag.read(256):
                    return True
    return False


def _copy(entry: Entry, copy: str, root: Path, destination: Path, links: Links) -> None:
    if entry.kind == "directory":
        os.mkdir(copy)
    elif entry.kind == "link":
        target, mapped = os.readlink(entry.source), led_to(entry.source, root, destination)
        if Path(mapped).is_relative_to(destination) and not os.path.isabs(target):
            mapped = os.path.relpath(mapped, os.path.dirname(copy))
        os.symlink(mapped, copy)
    elif not links.take(entry.path):
        copy_file(entry.source, copy)
    elif not clone_file(entry.source, copy):
        os.symlink(entry.source, copy)


def _home_directory() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # a user id without a home, as in containers
        return None
