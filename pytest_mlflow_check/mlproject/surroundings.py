"""Reads what lies around a project whose launch failed: files, and packages that it says it needs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.files import read_user_text
from pytest_mlflow_check.core.models import Project
from pytest_mlflow_check.core.surroundings import Surroundings, normalised
from pytest_mlflow_check.runtime.sandbox.workspace import contents

_MOST = 50_000
"""Files and directories that are looked at."""

_LARGEST = 1 << 20
_REQUIREMENTS = re.compile(
    r"requirements[\w.-]*\.(?:txt|in)|environment\.ya?ml|conda[\w.-]*\.ya?ml|python_env\.ya?ml"
)
_PACKAGE = re.compile(
    r"""\s*(?:-\s+)?["']?(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?\s*(?:[=<>!~;@#"',].*)?"""
)
_LISTED = re.compile(r"\s*-\s")
_QUOTED = re.compile(r"""["'](?P<name>[A-Za-z][\w.-]*)(?:\[[^\]]*\])?\s*[=<>!~;@"']""")
_INSTALLABLE = ("pyproject.toml", "setup.py", "setup.cfg")


def read_surroundings(project: Project, root: Path) -> Surroundings:
    """What lies around a project.

    Args:
        project: the project.
        root: the directory that launches get a copy of.
    """
    directory = project.directory
    names = [entry.path for entry in islice(contents(root), _MOST) if entry.kind != "directory"]
    here = os.path.relpath(directory, root)
    files = frozenset(os.path.relpath(f"/{name}", f"/{here}") for name in names)
    own = [file for file in (project.python_env, project.conda_env) if file is not None]
    beside = sorted(file for file in files if "/" not in file and _REQUIREMENTS.fullmatch(file))
    others = [file for file in _INSTALLABLE if file in files]
    dependencies: dict[str, str] = {}
    for file in dict.fromkeys([*own, *(directory / name for name in [*beside, *others])]):
        shown = os.path.relpath(file, directory)
        for line, name in _packages(file):
            dependencies.setdefault(normalised(name), f"{shown}:{line}")
    above = [directory, *(parent for parent in directory.parents if parent.is_relative_to(root))]
    installable = next((one for one in above if any((one / name).is_file() for name in _INSTALLABLE)), None)
    return Surroundings(
        files, dependencies, None if installable is None else os.path.relpath(installable, directory)
    )


def _packages(file: Path) -> Iterator[tuple[int, str]]:
    """The packages that a file names, with their lines; of anything but a plain list, as far as that goes."""
    try:
        lines = read_user_text(file, largest=_LARGEST).splitlines()
    except UserError:
        return
    for number, line in enumerate(lines, 1):
        if file.suffix in (".yaml", ".yml"):
            if _LISTED.match(line) and (found := _PACKAGE.fullmatch(line)):
                yield number, found["name"]
        elif file.suffix in (".txt", ".in"):
            if found := _PACKAGE.fullmatch(line):
                yield number, found["name"]
        else:
            yield from ((number, found["name"]) for found in _QUOTED.finditer(line))
