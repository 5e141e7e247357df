# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""The process: MLflow is loaded once, and each model is validated by a fork of it.

A process of its own for each: what one model put on `sys.path` or into `sys.modules` would let the next one
load, and a crash takes only one along.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Optional

from .isolation import cut_network, withhold
from .validate import validate

_LONGEST = 2**31 - 1
"""Seconds; `signal.alarm` takes no more."""


def main(request: str, answers: str) -> None:
    """Validates what is asked for.

    Args:
        request: a JSON file: `withheld`, directories to take off `sys.path`; `models`, a list of objects
            with `uri`, `name` (None for a version that is registered already) and `loader`, the module that
            loads it; `seconds` for all of them together.
        answers: a directory; the answer to the model with number N is written to `N.json`.
    """
    asked = json.loads(Path(request).read_text(encoding="utf-8"))
    deadline = time.monotonic() + asked["seconds"]
    gone = [directory for directory in asked["withheld"] if not os.path.lexists(directory)]
    withhold(asked["withheld"])
    cut_network()
    import mlflow  # noqa: F401

    for loader in {model["loader"] for model in asked["models"]}:
        # What MLflow's own loaders import is shared by all; what else a model needs isn't.
        if loader and loader.startswith("mlflow."):
            with suppress(Exception):
                importlib.import_module(loader)
    for number, model in enumerate(asked["models"]):
        seconds = int(deadline - time.monotonic())
        answer = Path(answers, f"{number}.json")
        if seconds > 0:
            _in_a_fork(model, answer, seconds)
            if made := _made_in(gone):
                _blame(answer, made)
        else:
            _write(answer, {"untried": True})


def _in_a_fork(model: dict[str, Any], answer: Path, seconds: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            _write(answer, {**_unfinished(model, answer), "error": _ended(status, seconds)})
        return
    code = 1
    # Ends the process, whatever it is busy with.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(min(seconds, _LONGEST))
    try:
        if model["name"] is None:
            import mlflow

            # A version that the project registered itself stands in the registry of its launch.
            mlflow.set_registry_uri(os.environ["MLFLOW_TRACKING_URI"])
        _write(answer, validate(model["uri"], model["name"], partial(_write, answer)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Nothing of the parent's is ended twice: no exit handlers.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _unfinished(model: dict[str, Any], answer: Path) -> dict[str, Any]:
    """The answer as far as it came; where the model had loaded, it's the prediction that failed."""
    if not answer.exists():
        return {"uri": model["uri"], "registered": model["name"] is None, "loaded": False}
    known: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    return {**known, "predicted": False} if known["loaded"] else known


def _made_in(gone: list[str]) -> Optional[str]:
    """The path that a model made in directories that had been moved away; they are gone again afterwards."""
    made = None
    for directory in gone:
        for path, _, files in os.walk(directory):
            made = os.path.join(path, *files[:1])
        shutil.rmtree(directory, ignore_errors=True)
    return made


def _blame(answer: Path, made: str) -> None:
    """Has a model not count as loaded that made something where the project was trained."""
    known: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    # What keeps it from loading anyway says more.
    if known["loaded"]:
        error = f"it made {made}"
        kept = {name: known[name] for name in ("uri", "registered")}
        _write(answer, {**kept, "loaded": False, "error": error, "chain": [error], "made": made})


def _write(file: Path, answer: dict[str, Any]) -> None:
    unfinished = file.with_suffix(".tmp")
    unfinished.write_text(json.dumps(answer), encoding="utf-8")
    unfinished.replace(file)


def _ended(status: int, seconds: int) -> str:
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return f"it didn't end within {seconds} seconds"
    if os.WIFSIGNALED(status):
        return f"the process was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"the process ended with exit code {os.WEXITSTATUS(status)}"
