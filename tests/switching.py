"""Switching the observer on in a process that has loaded MLflow before, as one forked from a warm one has."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence

from pytest_mlflow_check.observer import VARIABLE

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


def afterwards(command: Sequence[str], env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """What to start, in which environment, for the observer to be on when MLflow has been loaded.

    Args:
        command: a Python script with its arguments.
        env: the environment of a launch, observed.
    """
    later = ("PYTHONPATH", VARIABLE, "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
    before = {name: value for name, value in env.items() if name not in later}
    return [sys.executable, "-c", _CODE, json.dumps(dict(env)), *command], before
