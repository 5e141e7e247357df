# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library and MLflow.
"""What makes a fork like a process that has just been started."""

from __future__ import annotations

import importlib
import os
import site
import sys
import tempfile
from collections.abc import Mapping
from typing import Any


def reset_process(request: Mapping[str, Any], *, path: list[str]) -> None:
    """Gives this process the directory, variables, import path and randomness of its own.

    Args:
        request: `cwd`; `env`, all variables; `argv`, what `sys.argv` is to say.
        path: `sys.path` without PYTHONPATH.
    """
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[:] = request["argv"]
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [*given, *path]
    importlib.invalidate_caches()
    # Where temporary files go is looked up once (tempfile.gettempdir).
    tempfile.tempdir = None
    # `random` sees to itself when it is forked; NumPy doesn't.
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    # As Python does at its start. This is where the observer switches itself on.
    sys.modules.pop("sitecustomize", None)
    site.execsitecustomize()
