"""Environments in which the observer is on, also where MLflow has been loaded before, as in a fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_mlflow_check.runtime.observer.inject import VARIABLE, observed

_CODE = """\
import contextlib, importlib, json, os, runpy, sys

for name in ("mlflow", "mlflow.projects", "mlflow.pyfunc", "mlflow.sklearn"):
    with contextlib.suppress(ImportError):
        importlib.import_module(name)
env = json.loads(sys.argv[1])
os.environ.clear()
os.environ.update(env)
sys.path[:0] = env["PYTHONPATH"].split(os.pathsep)
sys.modules.pop("sitecustomize", None)
import sitecustomize
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def with_own_store(directory: Path, env: Mapping[str, str], *, block: bool) -> dict[str, str]:
    """An observed environment with these variables, for a script in a directory whose store is `file:///own`."""
    return observed(
        {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": "file:///own", **env},
        place=directory,
        file=directory / "calls.jsonl",
        directory=directory,
        root=directory,
        uri="file:///own",
        block=block,
    )


def afterwards(command: Sequence[str], env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """What to start, in which environment, for the observer to be on when MLflow has been loaded.

    Args:
        command: a Python script with its arguments.
        env: the environment of a launch, observed.
    """
    later = ("PYTHONPATH", VARIABLE, "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: value for name, value in env.items() if name not in later}
    return [sys.executable, "-c", _CODE, json.dumps(dict(env)), *command], before


def start(
    code: str, tmp_path: Path, *options: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs code in a Python that is observed, in an empty project."""
    (tmp_path / "ws" / "proj").mkdir(parents=True, exist_ok=True)
    base = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": "file:///own", **(env or {})}
    whole = observed(
        base,
        place=tmp_path,
        file=tmp_path / "calls.jsonl",
        directory=tmp_path / "ws" / "proj",
        root=tmp_path / "ws",
        uri="file:///own",
        block=False,
    )
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, cwd=tmp_path / "ws" / "proj", env=whole, capture_output=True, text=True)
