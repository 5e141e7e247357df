"""The environment variables of everything we start: built, not inherited blindly."""

from __future__ import annotations

import getpass
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.observer.inject import VARIABLE
from pytest_mlflow_check.runtime.process.runner import own_variables
from pytest_mlflow_check.runtime.sandbox.git_repository import LOCAL_VARIABLES
from pytest_mlflow_check.runtime.sandbox.workspace import map_into

_WITHHELD = ("MLFLOW_*", "_MLFLOW_*", "DATABRICKS_*", "OTEL_EXPORTER_*", "PYTEST_*", *LOCAL_VARIABLES)
"""Of the user's: they would send a launch to another server, into another run, its traces to a collector
instead of the store (`mlflow.tracing.utils.otlp`, 3.17.2), tell it that it is being tested (MLflow itself
behaves differently where PYTEST_CURRENT_TEST is set), or have git work in the user's own repository (git
starts hooks such as pre-commit with GIT_INDEX_FILE)."""

_CONDA = ("MLFLOW_CONDA_HOME", "MLFLOW_CONDA_CREATE_ENV_CMD")
"""Where conda is; that leads to no server."""

_ALWAYS = {
    # 3.13 and later refuse a file store without it; read in mlflow.store.tracking, 3.17.2.
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}

HERE = "127.0.0.1"
"""Where a server of ours is; no proxy is asked for it."""

_RETRIES = "2"
"""MLflow's own default retries an unreachable server for minutes (MLFLOW_HTTP_REQUEST_MAX_RETRIES)."""


def interpreter_directory() -> Path:
    """Where the running interpreter's `python` and `mlflow` lie; links are not followed, so that the
    directory of a virtual environment is found, not that of the Python it was made from."""
    return Path(sys.executable).parent


def mlflow_command() -> list[str]:
    """`mlflow` itself, not `python -m mlflow`, which would put the current directory on sys.path."""
    mlflow = shutil.which("mlflow", path=str(interpreter_directory()))
    return [mlflow] if mlflow else [sys.executable, "-m", "mlflow"]


def launch_environment(
    store: Store,
    *,
    root: Path,
    copy: Path,
    base: Mapping[str, str] | None = None,
    pass_env: Iterable[str] = (),
    extra: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The variables for a process that logs to the given store.

    Args:
        store: the launch's own store.
        root: the directory that was copied; PYTHONPATH entries below it lead into the copy instead.
        copy: its copy.
        base: what to start from; the environment of this process by default.
        pass_env: patterns of variables to pass on although they'd be withheld.
        extra: variables the case sets; they can't lead away from the store either.
    """
    env = _inherited(own_variables() if base is None else base, pass_env)
    if "PYTHONPATH" in env:
        entries = env["PYTHONPATH"].split(os.pathsep)
        mapped = [(entry, map_into(entry, root, copy)) for entry in entries]
        # An environment below the root isn't copied.
        env["PYTHONPATH"] = os.pathsep.join(new if Path(new).exists() else old for old, new in mapped)
    # Of a project in no repository: one around the directory for launches isn't its own.
    ceilings = [*filter(None, [env.get("GIT_CEILING_DIRECTORIES")]), str(copy.parent)]
    env["GIT_CEILING_DIRECTORIES"] = os.pathsep.join(ceilings)
    env |= dict(extra or {})
    env |= {
        "MLFLOW_TRACKING_URI": store.uri,
        "MLFLOW_REGISTRY_URI": store.uri,
        **_ALWAYS,
    }
    env.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES)
    # A project that runs another one gets environments made, by default in the user's home, where two
    # launches make the same one at a time (mlflow.utils.virtualenv, 3.17.2).
    env.setdefault("MLFLOW_ENV_ROOT", str(store.root.parent / "environments"))
    if store.address.startswith("http:"):
        # Of the two spellings `requests` takes the small one, curl too (requests.utils, 2.32).
        spared = ",".join(filter(None, [env.get("no_proxy") or env.get("NO_PROXY"), HERE]))
        env |= {"no_proxy": spared, "NO_PROXY": spared}
    if store.kind == "sqlite":
        # MLflow 3's only way to say where the artifacts of experiments go that a project creates in a
        # SQL store (mlflow.tracking._tracking_service.utils, 3.17.2). MLflow 2 puts them into ./mlruns
        # of the current directory, which is the workspace.
        env["_MLFLOW_SERVER_ARTIFACT_ROOT"] = str(store.artifact_root)
    return env


def server_environment(*, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables for an `mlflow server`, which does nothing but keep what it is sent.

    Args:
        base: what to start from; the environment of this process by default.
    """
    return {
        **_inherited(own_variables() if base is None else base),
        **_ALWAYS,
        # 3.x runs jobs (of GenAI evaluation) in processes of their own (mlflow.server._run_server, 3.17.2).
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # 2.x: by default gunicorn kills a worker that is busy for 30 seconds, as with a large artifact.
        "GUNICORN_CMD_ARGS": "--threads=4 --timeout=0",
    }


def fork_server_environment(
    roots: Iterable[Path], *, base: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The variables for a process that logs nothing itself, but forks for launches.

    Args:
        roots: the directories that will be copied; what lies below them isn't importable.
        base: what to start from; the environment of this process by default.
    """
    env = _inherited(own_variables() if base is None else base) | _ALWAYS
    entries = env.pop("PYTHONPATH", "").split(os.pathsep)
    kept = [
        entry
        for entry in entries
        if os.path.isabs(entry)
        and not any(Path(os.path.realpath(entry)).is_relative_to(one) for one in roots)
    ]
    return {**env, "PYTHONPATH": os.pathsep.join(kept)} if kept else env


def _inherited(base: Mapping[str, str], pass_env: Iterable[str] = ()) -> dict[str, str]:
    passed, withheld = (*_CONDA, *pass_env), _WITHHELD
    env = {
        name: value for name, value in base.items() if _matches(name, passed) or not _matches(name, withheld)
    }
    env["PATH"] = os.pathsep.join([str(interpreter_directory()), env.get("PATH", os.defpath)])
    # Empty: not of a launch, wherever it starts. The launch itself gets its own.
    env[VARIABLE] = ""
    if not _has_user_name(env):
        env["USER"] = str(os.getuid())
    return env


def _has_user_name(env: Mapping[str, str]) -> bool:
    """Whether MLflow finds the name it tags runs with; without one, `mlflow run` ends with a KeyError.

    In a container that is run with a user id alone there is none (mlflow.projects.utils, 3.17.2).
    """
    if any(env.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        return True
    try:
        return bool(getpass.getuser())
    # Before Python 3.13 it was a KeyError.
    except (KeyError, OSError):
        return False


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
