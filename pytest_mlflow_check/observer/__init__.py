"""The observer: has the processes of a launch write down each logging call, and keeps them at their store.

What lies in `path/` runs inside the user's processes. It is put first on PYTHONPATH, where Python finds its
`sitecustomize` when it starts, in every process of the launch. Python started with `-S`, `-E` or `-I`, or
with another PYTHONPATH, goes unobserved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "PYTEST_MLFLOW_CHECK_OBSERVER"
"""Tells the processes of a launch what they need to know; without it nothing is observed."""


def observed(
    env: Mapping[str, str], *, file: Path, directory: Path, root: Path, uri: str, block: bool
) -> dict[str, str]:
    """The environment of a launch with the observer switched on.

    Args:
        env: the environment without it.
        file: where the observations go; `reading.observations` reads them.
        directory: the project, in which the launch starts; places are relative to it.
        root: the workspace; what lies in it is the user's code.
        uri: tracking and registry URI of the launch's own store.
        block: whether an attempt to reach another store raises, instead of being led to the own one.
    """
    path = str(Path(__file__).absolute().with_name("path"))
    inherited = env.get("PYTHONPATH")
    settings = {
        "file": str(file.absolute()),
        "directory": str(directory.absolute()),
        "root": str(root.absolute()),
        "uri": uri,
        "block": block,
    }
    return {
        **env,
        # An empty entry would put the current directory on the path.
        "PYTHONPATH": os.pathsep.join([path, inherited] if inherited else [path]),
        VARIABLE: json.dumps(settings),
    }
