"""What a launch did to the files it was given: which it changed, which it logged without writing them,
and which models it wrote without logging them."""

from __future__ import annotations

import filecmp
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pytest_mlflow_check.core.records import SavedFile
from pytest_mlflow_check.runtime.sandbox.workspace import SKIPPED
from pytest_mlflow_check.stores.readers.file_formats import sniff
from pytest_mlflow_check.stores.readers.pickle_names import names_in_pickle

_PASSING = re.compile(r"(^|/)(\.|[^/]*cache|te?mp/|wandb/|[0-9a-f]{32}/output\.pkl$)", re.IGNORECASE)
"""Hidden files, caches and what is meant to go away; `joblib.Memory` writes `<digest>/output.pkl`."""

Inventory = Mapping[str, tuple[int, int]]
"""Size in bytes and modification time in nanoseconds of each file, by its path below the workspace."""


def take_inventory(workspace: Path) -> Inventory:
    """The files of a workspace as they are before the launch; links and what is no file are left out."""
    start = len(str(workspace)) + 1
    return {entry.path[start:]: _state(entry) for entry in _entries(workspace)}


def take_state(root: Path, paths: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """What shows whether somebody changes files of the user's own, for those that launches are led to."""
    found: dict[str, tuple[int, ...]] = {}
    for path in paths:
        with suppress(OSError):
            status = os.stat(root / path)
            found[path] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def changed_files(inventory: Inventory, workspace: Path, origin: Path) -> tuple[str, ...]:
    """The files that are gone, or whose content is no longer that of the original they were copied from.

    Returns:
        paths below the workspace, sorted.
    """
    return tuple(
        path
        for path, before in sorted(inventory.items())
        if _state(workspace / path) != before and not _same(workspace / path, origin / path)
    )


def stale_files(
    inventory: Inventory, workspace: Path, directories: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """For directories logged whole: the files that came with the copy, where others were written beside them.

    A directory whose files all came along, or were all written, isn't mixed and isn't given. Hidden files
    such as `.gitkeep` don't count.

    Args:
        inventory: from before the launch.
        workspace: the copy.
        directories: paths as the code logged them; those outside the workspace are passed over.

    Returns:
        paths below the workspace, by the directory's own.
    """
    stale: dict[str, tuple[str, ...]] = {}
    for directory in dict.fromkeys(os.path.realpath(one) for one in directories):
        if not Path(directory).is_relative_to(workspace):
            continue
        found = {
            str(file.relative_to(workspace)): _state(file)
            for file in _files(Path(directory))
            if not file.name.startswith(".")
        }
        old = sorted(path for path, now in found.items() if inventory.get(path) == now)
        if old and len(old) < len(found):
            stale[str(Path(directory).relative_to(workspace))] = tuple(old)
    return stale


def saved_files(inventory: Inventory, workspace: Path, logged: Iterable[Path]) -> dict[str, SavedFile]:
    """The serialised objects that the launch wrote and that it didn't log, the newest first.

    Left out are hidden files, caches, what MLflow keeps in the workspace, and models that MLflow saved there.

    Args:
        inventory: from before the launch.
        workspace: the copy.
        logged: every file among the artifacts and in the models. A file of the same name counts as logged
            too: it was written again after that.

    Returns:
        by path below the workspace.
    """
    known = [*logged]
    names, sizes = {file.name for file in known}, _by_size(known)
    found: list[tuple[int, str, SavedFile]] = []
    for file in _files(workspace):
        path, (size, time) = file.relative_to(workspace).as_posix(), _state(file)
        if (
            inventory.get(path) == (size, time)
            or file.name in names
            or _PASSING.search(path)
            or SKIPPED.intersection(path.split("/"))
        ):
            continue
        format = sniff(file, size)
        if (
            format is not None
            and not any(_same(file, other) for other in sizes.get(size, ()))
            and not any((parent / "MLmodel").is_file() for parent in _parents(file, workspace))
        ):
            what = names_in_pickle(file, format)
            saved = SavedFile(format, what.object, what.of_script) if what else SavedFile(format)
            found.append((-time, path, saved))
    return {path: saved for _, path, saved in sorted(found, key=lambda one: one[:2])}


def _by_size(files: Iterable[Path]) -> dict[int, list[Path]]:
    sizes: dict[int, list[Path]] = {}
    for file in files:
        sizes.setdefault(_state(file)[0], []).append(file)
    return sizes


def _parents(file: Path, root: Path) -> list[Path]:
    return [parent for parent in file.parents if parent.is_relative_to(root)]


def _files(directory: Path) -> Iterator[Path]:
    return map(Path, (entry.path for entry in _entries(directory)))


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    """The regular files below a directory; links aren't followed, and what can't be listed is left out.

    Left out is `.git` too: even `git status` writes there.
    """
    waiting = [str(directory)]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != ".git":
                        waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry


def _state(file: Path | os.DirEntry[str]) -> tuple[int, int]:
    """Size and time of change; a file that is gone has a size below 0."""
    try:
        status = file.stat(follow_symlinks=False)
    except OSError:
        return -1, 0
    return (status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else (-1, 0)


def _same(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
