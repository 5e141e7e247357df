# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library and MLflow.
"""Loads MLflow while it waits for requests, and carries out each of them in a fork."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from .reset_process import reset_process
from .serve import serve

_LOADED = (
    "mlflow",
    "mlflow.projects",
    "mlflow.projects.backend.local",
    "mlflow.store.tracking.file_store",
    "git",
)
"""What `mlflow run` imports; read off `sys.modules` after one, MLflow 3.17.2 and 2.22.5."""


def main(listener: int, supervisor: str, path: str, module: str, function: str) -> None:
    """Serves requests until standard input ends; in a fork, does what is asked for and exits.

    Args:
        listener: file descriptor of a Unix socket that listens.
        supervisor: the directory that the supervisor's modules are imported from.
        path: the directory to import a module from.
        module: the module's name.
        function: the name of one that yields between the pieces of what else it can do beforehand.
    """
    # This process lives to fork: a collection would only copy the pages that the forks share with it.
    gc.disable()
    own = {path, str(Path(__file__).absolute().parents[1]), supervisor}
    request = serve(listener, idle=_getting_ready(path, module, function))
    if request is None:
        # Nobody is left for whom anything would have to be done at exit.
        os._exit(0)
    gc.enable()
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    reset_process(request, path=[entry for entry in sys.path if entry not in own.union(given)])
    _end(_carry_out(request))


def _getting_ready(path: str, module: str, function: str) -> Iterator[None]:
    for name in _LOADED:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    yield
    sys.path.insert(0, path)
    for _ in getattr(importlib.import_module(module), function)():
        gc.freeze()
        yield


def _carry_out(request: Mapping[str, Any]) -> int:
    """Makes the call; gives the exit code of a process whose script it is."""
    try:
        sys.path.insert(0, request["path"])
        function = getattr(importlib.import_module(request["module"]), request["function"])
        function(*request["arguments"])
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """Does all that is to be done at exit, as `multiprocessing.popen_fork` ends a fork.

    Python itself would go on to take apart, module by module, what the fork has from the fork server, and
    copy the memory for it: a quarter of a second.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
