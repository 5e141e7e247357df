"""The observer: has the processes of a launch write down each logging call, and keeps them at their store.

What lies in `payload/` runs inside the user's processes. It is first on PYTHONPATH, where Python finds its
`sitecustomize` when it starts, in every process of the launch. Python started with `-S`, `-E` or `-I`, or
with another PYTHONPATH, goes unobserved.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "PYTEST_MLFLOW_CHECK_OBSERVER"
"""Tells the processes of a launch what they need to know; without it nothing is observed."""

STACKS_VARIABLE = "PYTEST_MLFLOW_CHECK_STACKS"
"""Tells them where to write down where their threads stand, and at which signal."""

STACKS_SIGNAL: int | None = signal.SIGRTMAX - 3 if hasattr(signal, "SIGRTMAX") else None
"""One that nobody uses; None where the system has no such signals (macOS)."""


def observed(
    env: Mapping[str, str],
    *,
    file: Path,
    directory: Path,
    root: Path,
    uri: str,
    block: bool,
    stacks: Path | None = None,
) -> dict[str, str]:
    """The environment of a launch with the observer switched on.

    Args:
        env: the environment without it.
        file: where the observations go; `observer.read_calls` reads them.
        directory: the project, in which the launch starts; places are relative to it.
        root: the workspace; what lies in it is the user's code.
        uri: tracking and registry URI of the launch's own store.
        block: whether an attempt to reach another store raises, instead of being led to the own one.
        stacks: a directory that is there, in which each process keeps a file for where its threads stand when
            it crashes, or gets `STACKS_SIGNAL`; `observer.read_stacks` reads them.
    """
    path = str(Path(__file__).absolute().with_name("payload"))
    inherited = env.get("PYTHONPATH")
    settings = {
        "file": str(file.absolute()),
        "directory": str(directory.absolute()),
        "root": str(root.absolute()),
        "uri": uri,
        "block": block,
    }
    if stacks is not None and STACKS_SIGNAL is not None:
        env = {**env, STACKS_VARIABLE: f"{STACKS_SIGNAL}:{stacks.absolute()}"}
    return {
        **env,
        # An empty entry would put the current directory on the path.
        "PYTHONPATH": os.pathsep.join([path, inherited] if inherited else [path]),
        VARIABLE: json.dumps(settings),
    }
