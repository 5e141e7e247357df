"""Loads MLflow while it waits for requests, and carries out each of them in a fork."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .becoming import become
from .serving import serve

_LOADED_FIRST = ("mlflow", "mlflow.projects", "mlflow.projects.backend.local", "git")
"""What `mlflow run` needs; read off `sys.modules` after one, MLflow 3.17.2 and 2.22.5."""

_LOADED_LATER = (
    "mlflow.pyfunc",
    "mlflow.store.tracking.file_store",
    "mlflow.store.model_registry.file_store",
)
"""What registering, loading and predicting need besides."""


def main(listener: int) -> None:
    """Serves requests until standard input ends; in a fork, does what is asked for and exits.

    Args:
        listener: file descriptor of a Unix socket that listens.
    """
    # This process lives to fork: a collection would only copy the pages that the forks share with it.
    gc.disable()
    request = serve(listener, idle=_loading())
    if request is None:
        # Whoever started it waits for its end; there is nothing to clean up.
        os._exit(0)
    gc.enable()
    become(request, path=_own_path())
    _carry_out(request)


def _loading() -> Iterator[None]:
    """Imports a module each time it is asked, those first without which no request can be served."""
    for name in _LOADED_FIRST:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    yield
    for name in _LOADED_LATER:
        with suppress(ImportError):
            importlib.import_module(name)
        gc.freeze()
        yield


def _own_path() -> list[str]:
    """`sys.path` as Python makes it, without what PYTHONPATH and the name of the script put before it."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    script = Path(__file__).absolute().parents[1]
    return [entry for entry in sys.path if entry not in given and Path(entry).absolute() != script]


def _carry_out(request: dict[str, Any]) -> None:
    sys.path.insert(0, request["path"])
    function = getattr(importlib.import_module(request["module"]), request["function"])
    function(*request["arguments"])
