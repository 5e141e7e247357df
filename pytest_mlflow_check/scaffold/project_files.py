"""What lies in a project, as far as its first files need to know it."""

from __future__ import annotations

import os
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_mlflow_check.runtime.sandbox.workspace import SKIPPED, passed_over

_MOST = 20_000
"""Files and directories that are looked at."""

_MOST_HERE = 1_000
"""Of them in one directory: a data set of many files is no reason to miss the scripts beside it."""


@dataclass(frozen=True)
class Tree:
    """The files and directories of a project, relative to it, the upper ones first."""

    files: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()

    def has(self, path: str) -> bool:
        """Whether there is a file or directory of that path."""
        return path in self._all

    @cached_property
    def _all(self) -> frozenset[str]:
        return frozenset((*self.files, *self.directories))

    @cached_property
    def words(self) -> tuple[frozenset[str], ...]:
        """The words in the path of each file."""
        return tuple(frozenset(re.split(r"[^a-z0-9]+", path.lower())) for path in self.files)


def tree_of(project: Path) -> Tree:
    """What lies in a project, without what copies leave out, hidden files, links, and projects inside it."""
    files: list[str] = []
    directories: list[str] = []
    waiting = deque([""])
    while waiting and len(files) + len(directories) < _MOST:
        here = waiting.popleft()
        with suppress(OSError), os.scandir(project / here) as entries:
            found = sorted(entries, key=lambda entry: (not entry.name.endswith(".py"), entry.name))
            if here and any(entry.name.lower() == "mlproject" for entry in found):
                continue
            for entry in found[:_MOST_HERE]:
                path = f"{here}/{entry.name}" if here else entry.name
                if entry.name in SKIPPED or entry.name.startswith(".") or entry.is_symlink():
                    continue
                if not _is_text(entry.name):
                    continue
                if entry.is_file():
                    files.append(path)
                elif entry.is_dir() and not passed_over(Path(entry.path)):
                    directories.append(path)
                    waiting.append(path)
    return Tree(tuple(files), tuple(directories))


def _is_text(name: str) -> bool:
    """Whether a name can stand in a file of ours: some are bytes that aren't UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
