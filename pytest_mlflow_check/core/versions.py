"""The versions of what takes part, as reports and headers name them."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from functools import cache


@cache
def versions() -> Mapping[str, str]:
    """By name. To look one up takes a millisecond, and every item is told them."""
    packages = {
        name: importlib.metadata.version(name) for name in ("pytest-mlflow-check", "mlflow", "pytest")
    }
    return {**packages, "python": platform.python_version()}
