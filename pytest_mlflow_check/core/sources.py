"""The Python files of a project, read as text and never run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pytest_mlflow_check.core.files import open_regular

_MOST_FILES = 2_000
_LARGEST_FILE = 1 << 20


def python_files(project: Path) -> Iterator[Path]:
    """The Python files below a directory, 2,000 at most, without those of tools and environments."""
    count = 0
    for directory, directories, names in os.walk(project):
        # An environment, or what tools keep.
        directories[:] = sorted(
            name
            for name in directories
            if not name.startswith(".") and not Path(directory, name, "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if name.endswith(".py"):
                count += 1
                if count > _MOST_FILES:
                    return
                yield Path(directory, name)


def sources_digest(project: Path) -> str:
    """The same as long as no Python file below a directory changes."""
    digest = hashlib.sha256()
    for file in python_files(project):
        digest.update(f"{file.relative_to(project)}\0{source_text(file)}\0".encode("utf-8", "replace"))
    return digest.hexdigest()


def source_text(file: Path) -> str:
    """The text of a file, of a large one its first megabyte; empty where it can't be read."""
    try:
        with open_regular(file) as content:
            return content.read(_LARGEST_FILE).decode("utf-8", "replace")
    except OSError:
        return ""
