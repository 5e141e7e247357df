"""What lies around a project, as far as it tells why a launch didn't find something."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Surroundings:
    """The repository that a project lies in.

    Attributes:
        files: all that goes into a launch's copy, relative to the project: `train.py`, `../lib/net.py`.
        dependencies: the packages that the project's own files name, by their normalised names, and where, as
            `conda.yaml:7`.
        installable: the directory that `pip install -e` takes, relative to the project; None for none.
    """

    files: frozenset[str] = frozenset()
    dependencies: Mapping[str, str] = field(default_factory=dict)
    installable: str | None = None

    def named_alike(self, path: str) -> list[str]:
        """The files of the same name, whatever the case and the directory: the likeliest first."""
        wanted = PurePosixPath(path)
        alike = [file for file in self.files if PurePosixPath(file).name.lower() == wanted.name.lower()]
        return sorted(
            alike,
            key=lambda file: (
                file.lower() != str(wanted).lower(),
                PurePosixPath(file).name != wanted.name,
                file.count("/"),
                file,
            ),
        )

    def directories_with(self, module: str) -> list[str]:
        """The directories, relative to the project, that a module can be imported from: the nearest first."""
        path = module.replace(".", "/")
        found = {
            file[: -len(end)] for end in (f"{path}.py", f"{path}/__init__.py") for file in self._ending(end)
        }
        # A package needs no __init__.py.
        found |= {
            file[: file.index(f"/{path}/") + 1]
            for file in self.files
            if f"/{path}/" in file and file.endswith(".py")
        }
        if any(file.startswith(f"{path}/") and file.endswith(".py") for file in self.files):
            found.add("")
        return sorted(
            {directory.rstrip("/") or "." for directory in found}, key=lambda one: (one.count("/"), one)
        )

    def _ending(self, end: str) -> Iterator[str]:
        return (file for file in self.files if file == end or file.endswith(f"/{end}"))

    def dependency(self, names: Iterable[str]) -> tuple[str, str] | None:
        """The first of several names of a package that is named as a dependency, and where."""
        return next(
            (
                (name, self.dependencies[normalised(name)])
                for name in names
                if normalised(name) in self.dependencies
            ),
            None,
        )


def normalised(package: str) -> str:
    """The name of a package as PyPI compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()
