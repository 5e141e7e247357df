"""Check that the packages which this plugin depends on are installed, and new enough.

pip sees to that. `pip install --no-deps`, mlflow-skinny instead of MLflow, and packages changed later get
around it, and would end in a traceback from somewhere inside. Only metadata is read: nothing is imported.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

from pytest_mlflow_check.core.errors import UserError

_DISTRIBUTION = "pytest-mlflow-check"

_NEVER_IMPORTED = ("pytest-xdist",)
"""Declared so that `-n` works after installing, and left out by some: sessions work without it."""


def require_dependencies() -> None:
    """Check the requirements in this package's own metadata, which is the one place that has the versions.

    Raises:
        UserError: where a package is missing or too old; the message names the command that installs it.
    """
    unmet = list(_unmet())
    if unmet:
        needed = ", ".join(f"{requirement} ({state})" for requirement, state in unmet)
        packages = " ".join(f"'{requirement}'" for requirement, _ in unmet)
        raise UserError(f"{_DISTRIBUTION} needs {needed}: pip install {packages}")


def _unmet() -> Iterator[tuple[str, str]]:
    """Yield each requirement that isn't met, such as `mlflow>=2.22`, and what is installed instead."""
    # An idle plugin loads this module, and has no use for it.
    from packaging.requirements import Requirement

    for line in importlib.metadata.requires(_DISTRIBUTION) or ():
        requirement = Requirement(line)
        if requirement.name in _NEVER_IMPORTED:
            continue
        # Outside an extra the variable `extra` is empty.
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed = _version(requirement.name)
        wanted = f"{requirement.name}{requirement.specifier}"
        if installed is None:
            skinny = _version("mlflow-skinny") if requirement.name == "mlflow" else None
            yield wanted, f"only mlflow-skinny {skinny} is installed" if skinny else "not installed"
        elif not requirement.specifier.contains(installed, prereleases=True):
            yield wanted, f"{installed} is installed"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
