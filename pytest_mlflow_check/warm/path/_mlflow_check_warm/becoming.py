"""What makes a fork like a process that has just been started."""

from __future__ import annotations

import importlib
import os
import site
import sys
from typing import Any


def become(request: dict[str, Any], *, path: list[str]) -> None:
    """Gives this process the directory, output, variables, import path and randomness of its own.

    Args:
        request: `cwd`, `stdout` and `stderr`, the last None for where standard output goes; `env`, all
            variables; `argv`, what `sys.argv` is to say.
        path: `sys.path` without PYTHONPATH.
    """
    _redirect(request["stdout"], request["stderr"])
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[:] = request["argv"]
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [*given, *path]
    importlib.invalidate_caches()
    # `random` sees to itself when it is forked; NumPy doesn't.
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
    # As Python does at its start. This is where the observer switches itself on.
    sys.modules.pop("sitecustomize", None)
    site.execsitecustomize()


def _redirect(stdout: str, stderr: Any) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    out = os.open(stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    err = os.open(stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) if stderr else out
    for source, target in ((nothing, 0), (out, 1), (err, 2)):
        os.dup2(source, target)
    for opened in {nothing, out, err}:
        os.close(opened)
