"""Whether Docker can be reached, which `mlflow run` needs for a project with `docker_env`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

_TIMEOUT = 15.0
"""Seconds; a daemon that is there answers in one or two."""


def docker_reachable(variables: Mapping[str, str]) -> bool:
    """Whether `docker info` ends well: what MLflow asks too (mlflow.projects.docker, 3.17.2).

    Args:
        variables: the environment to ask in.
    """
    docker = shutil.which("docker", path=variables.get("PATH"))
    if docker is None:
        return False
    try:
        done = subprocess.run(
            [docker, "info"],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
