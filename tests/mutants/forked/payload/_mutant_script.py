"""Called in the fork server, to load what the mutants import, and in a fork of it, to become their script."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType

_LOADED = ("click", "mlflow.sklearn", "sklearn.linear_model", "skops.io")
"""Imported by the scripts, or by MLflow 3 where it saves their models; the rest is there with MLflow."""


def prepare() -> Iterator[None]:
    """Do what the plugin has the fork server do beforehand, then load more; a piece at a time."""
    path = os.environ["MUTANTS_PREPARATION"]
    sys.path.insert(0, path)
    preload = importlib.import_module("_mlflow_check_validator.preload")
    yield from preload.prepare()
    sys.path.remove(path)
    for name in _LOADED:
        with suppress(ImportError):
            importlib.import_module(name)
        yield


def run(script: str) -> None:
    """Run a script as `python SCRIPT` does: as `__main__`, with its directory first on the import path."""
    path = os.path.abspath(script)
    # It stands where this module was found.
    sys.path[0] = str(Path(path).parent)
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __builtins__=__builtins__)
    sys.modules["__main__"] = main
    try:
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec")
        exec(code, main.__dict__)
    except Exception as error:
        # A traceback starts in the script, not here.
        frames = error.__traceback__
        error.__traceback__ = frames and frames.tb_next
        sys.excepthook(type(error), error, error.__traceback__)
        sys.exit(1)
