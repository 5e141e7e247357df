"""The observer and the guard: calls are written down, and MLflow is kept at the launch's own store.

What lies in `payload/` runs inside the user's processes. It gets there on two ways, of which one is enough:

- by a `.pth` file beside the packages of the interpreter, which Python reads whatever is in its environment
  (`site` of the standard library; not with `-S`). The wheel brings one; `add_to_environment` puts one into
  an environment that MLflow makes. It knows a launch by `VARIABLE`, or by the directory or the script where
  a command has dropped all variables.
- by PYTHONPATH, on which lies a `sitecustomize`: in interpreters that have no such file, as long as the
  command leaves PYTHONPATH alone.

A Python that is started with `-S` and finds MLflow all the same is guarded by `mlflow_plugin`, which is too
late to observe it. `checks.unobserved` tells of what was missed.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_mlflow_check.runtime.observer import pth

VARIABLE = "PYTEST_MLFLOW_CHECK_OBSERVER"
"""Names the file with what the processes of a launch need to know; empty in other processes of ours."""

SETTINGS = "observer.settings"
"""The name of that file, beside the workspace. Its lines: the directory of the payload, the variables that a
process must have, and the settings as JSON."""

_RESTORED = ("MLFLOW_*", "_MLFLOW_*", "PYTEST_MLFLOW_CHECK_*")
"""Patterns of the variables of a launch that a process gets back which was started without any."""

_OF_ONE_RUN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
"""Of these, those that a command loses for good when it drops its variables."""

_PAYLOAD = Path(__file__).absolute().with_name("payload")

STACKS_VARIABLE = "PYTEST_MLFLOW_CHECK_STACKS"
"""Tells them where to write down where their threads stand, and at which signal."""

STACKS_SIGNAL: int | None = signal.SIGRTMAX - 3 if hasattr(signal, "SIGRTMAX") else None
"""One that nobody uses; None where the system has no such signals (macOS)."""


def observed(
    env: Mapping[str, str],
    *,
    place: Path,
    file: Path,
    directory: Path,
    root: Path,
    uri: str,
    block: bool,
    observe: bool = True,
    stacks: Path | None = None,
) -> dict[str, str]:
    """The environment of a launch with the guard and the observer switched on.

    Args:
        env: the environment without them.
        place: the directory of the launch, which holds the workspace. The settings are written there.
        file: where the observations go; `observer.read_calls` reads them.
        directory: the project, in which the launch starts; places are relative to it.
        root: the workspace; what lies in it is the user's code.
        uri: tracking and registry URI of the launch's own store.
        block: whether an attempt to reach another store raises, instead of being led to the own one.
        observe: whether calls are written down; attempts to reach another store always are.
        stacks: a directory that is there, in which each process keeps a file for where its threads stand when
            it crashes, or gets `STACKS_SIGNAL`; `observer.read_stacks` reads them.
    """
    inherited = env.get("PYTHONPATH")
    # Where the user has none it is written in another way, by which the payload knows that.
    entries = [str(_PAYLOAD), inherited] if inherited else [os.path.join(_PAYLOAD, ".")]
    settings = {
        "file": str(file.absolute()),
        "directory": str(directory.absolute()),
        "root": str(root.absolute()),
        "uri": uri,
        "block": block,
        "observe": observe,
    }
    written = place.absolute() / SETTINGS
    given = {**env, VARIABLE: str(written)}
    if stacks is not None and STACKS_SIGNAL is not None:
        given[STACKS_VARIABLE] = f"{STACKS_SIGNAL}:{stacks.absolute()}"
    restored = [
        f"{name}={value}"
        for name, value in given.items()
        if any(fnmatchcase(name, pattern) for pattern in _RESTORED)
        and name not in _OF_ONE_RUN
        and "\n" not in value
    ]
    written.touch(mode=0o600)
    written.write_text(
        "\n".join([str(_PAYLOAD), "\0".join(restored), json.dumps(settings)]), encoding="utf-8"
    )
    return {**given, "PYTHONPATH": os.pathsep.join(entries)}


def forget_settings(place: Path) -> None:
    """Deletes the settings of a launch that has ended: its variables may hold the password of its store.

    Args:
        place: as for `observed`.
    """
    (place / SETTINGS).unlink(missing_ok=True)


def add_to_environment(prefix: Path) -> None:
    """Puts the `.pth` file into an environment, where it isn't there or another one is.

    Args:
        prefix: the directory of a virtual or a conda environment that is ours.
    """
    for packages in prefix.glob("lib/python*/site-packages"):
        file = packages / pth.NAME
        if not file.is_file() or file.read_text(encoding="utf-8") != pth.CONTENT:
            file.write_text(pth.CONTENT, encoding="ascii")
