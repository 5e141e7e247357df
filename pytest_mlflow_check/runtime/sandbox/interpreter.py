"""The Python that launches run with: this process's own, or that of an environment which MLflow makes.

`mlflow run --env-manager=uv` makes an environment under MLFLOW_ENV_ROOT, and takes one that is there already,
even half made, for whole. Two launches side by side would therefore race. So `mlflow run` is started once
beforehand, on a script that only says where it runs. That needs nothing but MLflow's public command, and
what it says is where MLflow really runs the project.

Read in mlflow.projects.backend.local, mlflow.utils.virtualenv and mlflow.utils.conda, MLflow 3.17.2 and
2.22.5.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from pytest_mlflow_check.config.settings import EnvManager
from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.models import Project
from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.observer.inject import add_to_environment
from pytest_mlflow_check.runtime.process.locks import exclusive_lock
from pytest_mlflow_check.runtime.process.runner import Processes
from pytest_mlflow_check.runtime.sandbox.environment import (
    interpreter_directory,
    launch_environment,
    mlflow_command,
)
from pytest_mlflow_check.runtime.sandbox.symlink_patterns import NO_LINKS, Links
from pytest_mlflow_check.runtime.sandbox.workspace import enclosing_root, make_workspace

_TIMEOUT = 1800.0
"""Seconds for making an environment, which no launch's timeout counts."""

_SHOWN_LINES = 8

_TELL = """\
import io, os, sys
with io.open(os.path.join(os.path.dirname(__file__), "prefix.txt"), "w", encoding="utf-8") as answer:
    answer.write(sys.prefix)
"""
"""The script that says where it runs; any Python understands it."""

_REFERENCES = re.compile(r"""(?:^|[\s"'])(?:-r|--requirement|-c|--constraint)[ =]*([^\s"']+)""", re.MULTILINE)
"""Other files that requirements name."""

_HINTS = (
    (
        r"No module named '?virtualenv",
        "this MLflow needs the package virtualenv beside it:  pip install virtualenv",
    ),
    (
        r"python-build: definition not found|Could not find python version that matches|BUILD FAILED",
        'name a Python that pyenv has, in full, as `pyenv versions` shows it:  python: "{python}"',
    ),
    (
        r"No interpreter found for|Failed to (?:inspect|query) Python interpreter|python-build-standalone",
        'name a Python that is installed, as `uv python list` shows it:  python: "{python}"',
    ),
    (
        r"No solution found when resolving|No matching distribution found",
        "fix the dependencies, or say where they are, in PIP_… or UV_… variables: uv doesn't read pip's "
        "configuration",
    ),
)
"""What to do about what pip, uv or pyenv say."""


@dataclass(frozen=True)
class Interpreter:
    """What launches run with.

    Attributes:
        manager: what MLflow makes or finds the environment with; `local` for the one pytest runs in.
        python: absolute path. Links are not followed: behind them lies the Python that the environment was
            made from.
        prefix: the environment's directory; None for `local`.
    """

    manager: EnvManager = "local"
    python: Path = Path(sys.executable)
    prefix: Path | None = None

    def activated(self, env: Mapping[str, str]) -> dict[str, str]:
        """The variables for a plain command: those of a shell in which the environment is activated."""
        if self.prefix is None:
            return dict(env)
        name = "CONDA_PREFIX" if self.manager == "conda" else "VIRTUAL_ENV"
        path = os.pathsep.join([str(self.python.parent), env["PATH"]])
        return {**env, "PATH": path, name: str(self.prefix)}

    def offered(self, env: Mapping[str, str], directory: Path) -> dict[str, str]:
        """The variables with which `mlflow run` finds the environment.

        Args:
            env: what to add to.
            directory: one that doesn't exist yet. Other environments, of projects that the code runs in its
                turn, are made there, and not beside this one, where other launches may make the same.
        """
        if self.prefix is None:
            return dict(env)
        directory.mkdir()
        (directory / self.prefix.name).symlink_to(self.prefix)
        return {**env, **_roots(directory, self.prefix.parent)}


def _roots(virtual: Path, conda: Path) -> dict[str, str]:
    """Where MLflow makes virtual environments, and where conda makes its own, which can't be links."""
    return {"MLFLOW_ENV_ROOT": str(virtual), "CONDA_ENVS_PATH": str(conda)}


def make_interpreter(
    project: Project,
    manager: EnvManager,
    *,
    cache: Path,
    session: Path,
    pass_env: Iterable[str] = (),
    processes: Processes | None = None,
    links: Links = NO_LINKS,
) -> Interpreter:
    """What to launch a project with. MLflow makes its environment, where that isn't there yet.

    A project with a `docker_env` has no other environment, whatever the manager.

    Args:
        project: the project.
        manager: as for `mlflow run --env-manager`.
        cache: a directory that lasts; the environments are kept in it.
        session: a directory that doesn't; it remembers what can't be made, which isn't tried again.
        pass_env: patterns of environment variables to pass on.
        processes: what starts MLflow for it, and may be stopped meanwhile.
        links: the files that are links in the copy in which MLflow is started.

    Raises:
        UserError: where MLflow can't make it, with what is missing or the end of what was printed.
        Stopped: where `processes` were stopped.
    """
    if manager == "local" or project.docker_image is not None:
        return Interpreter()
    _require(project, manager)
    environment_dir = cache.resolve() / "environments" / f"{manager}-{_identity(project)}"
    if shlex.quote(str(environment_dir)) != str(environment_dir):
        raise UserError(
            f"{environment_dir}: MLflow can't use an environment in a directory whose name needs quotes in a "
            "shell\n"
            f"  let pytest keep its cache elsewhere:  -o cache_dir=DIR\n{_instead()}"
        )
    environment_dir.mkdir(parents=True, exist_ok=True)
    processes = processes or Processes()
    with exclusive_lock(environment_dir / "lock", check=processes.check):
        prefix = _existing(environment_dir)
        if prefix is None:
            failed = session / f"{environment_dir.name}.txt"
            if failed.exists():
                raise UserError(failed.read_text(encoding="utf-8"))
            try:
                prefix = _make(project, manager, environment_dir, pass_env, processes, links)
            except UserError as error:
                failed.write_text(str(error), encoding="utf-8")
                raise
        add_to_environment(prefix)
    return Interpreter(manager, prefix / "bin" / "python", prefix)


def _require(project: Project, manager: EnvManager) -> None:
    """Refuses what MLflow is sure to fail at, without the seconds that it takes to say so."""
    if manager == "conda" and project.conda_env is None:
        raise UserError(
            f'{_dependency_file(project)}: env_manager is "conda", which MLflow takes only with a conda_env\n'
            "  name its file in the MLproject:  conda_env: conda.yaml\n"
            "  or write another:  --mlflow-env-manager=uv  or  --mlflow-env-manager=virtualenv"
        )
    program, how = {
        "uv": ("uv", "install it:  pip install uv"),
        "virtualenv": ("pyenv", "install it, and put its bin on PATH"),
        "conda": (
            _conda(),
            "install it and put its bin on PATH, or say where it is:  MLFLOW_CONDA_HOME=DIR",
        ),
    }[manager]
    # As in a launch, what is installed beside pytest comes first.
    places = [str(interpreter_directory()), os.environ.get("PATH", os.defpath)]
    if shutil.which(program, path=os.pathsep.join(places)) is None:
        where = "" if os.path.isabs(program) else " on PATH"
        raise UserError(
            f'env_manager is "{manager}", for which MLflow needs {Path(program).name}: '
            f"there is no {program}{where}\n  {how}\n{_instead()}"
        )


def _conda() -> str:
    """What MLflow starts for conda (mlflow.utils.conda.get_conda_bin_executable)."""
    if conda_home := os.environ.get("MLFLOW_CONDA_HOME"):
        return os.path.join(conda_home, "bin", "conda")
    executable = os.environ.get("CONDA_EXE")
    return str(Path(executable).with_name("conda")) if executable else "conda"


def _instead() -> str:
    return "  or run the project in the environment that pytest runs in:  --mlflow-env-manager=local"


def _dependency_file(project: Project) -> str:
    return shown_path(project.python_env or project.conda_env or project.mlproject or project.directory)


def _identity(project: Project) -> str:
    """The same for all that MLflow would make one environment for, as long as nothing of it changes.

    MLflow takes for it the content of the file with the dependencies, and of all files that it names.
    """
    digest = hashlib.sha256()
    versions = importlib.metadata.version("mlflow"), platform.python_version()
    # Its place too: the dependencies may name a package by its path.
    for text in (*versions, str(project.directory), *_texts(project)):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:12]


def _texts(project: Project) -> Iterator[str]:
    named = project.python_env or project.conda_env
    waiting = [] if named is None else [named]
    # With these two MLflow 3.17 lets uv install what they say, instead.
    waiting += [project.directory / name for name in ("uv.lock", "pyproject.toml")]
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        text = file.read_text(encoding="utf-8", errors="replace")
        # What the first file names is looked up in the project, and what another names beside that.
        base = project.directory if file == named else file.parent
        waiting += [Path(os.path.normpath(base / name)) for name in _REFERENCES.findall(text)]
        yield text


def _existing(environment_dir: Path) -> Path | None:
    """The environment that was made before, if its Python is still there."""
    record = environment_dir / "prefix.txt"
    prefix = Path(record.read_text(encoding="utf-8")) if record.is_file() else None
    return prefix if prefix and (prefix / "bin" / "python").exists() else None


def _make(
    project: Project,
    manager: EnvManager,
    environment_dir: Path,
    pass_env: Iterable[str],
    processes: Processes,
    links: Links,
) -> Path:
    environments, output, record = (
        environment_dir / "environments",
        environment_dir / "output.txt",
        environment_dir / "prefix.txt",
    )
    # MLflow would take for whole what one that was killed has left.
    shutil.rmtree(environments, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch).resolve()
        script, answer, copy = place / "where.py", place / "prefix.txt", place / "workspace"
        script.write_text(_TELL, encoding="utf-8")
        directory = make_workspace(project.directory, copy, links)
        store = Store("file", place / "store")
        env = launch_environment(
            store,
            root=enclosing_root(project.directory),
            copy=copy,
            base=processes.variables,
            pass_env=pass_env,
        )
        ended = processes.run(
            [*mlflow_command(), "run", ".", f"--env-manager={manager}", "-e", str(script)],
            cwd=directory,
            env={**env, **_roots(environments, environments)},
            stdout=output,
            stderr=None,
            timeout=_TIMEOUT,
        )
        if ended.exit_code != 0 or not answer.exists():
            _fail(project, manager, ended.exit_code is None, output)
        prefix = Path(answer.read_text(encoding="utf-8"))
    if not prefix.is_relative_to(environments):
        if manager == "conda":
            raise UserError(
                f"{_dependency_file(project)}: the environment that conda makes has no Python in it\n"
                f"  name one:  dependencies: [python={platform.python_version()}, …]\n{_instead()}"
            )
        version = importlib.metadata.version("mlflow")
        raise UserError(
            f'env_manager is "{manager}", of which `mlflow run` takes no notice in MLflow {version}: '
            f"it ran the project with the Python in {prefix}\n"
            "  write another, such as  --mlflow-env-manager=virtualenv,  or install a newer MLflow\n"
            f"{_instead()}"
        )
    unfinished = environment_dir / "prefix.txt.tmp"
    unfinished.write_text(str(prefix), encoding="utf-8")
    unfinished.replace(record)
    return prefix


def _fail(project: Project, manager: EnvManager, timed_out: bool, output: Path) -> NoReturn:
    text = output.read_text(encoding="utf-8", errors="replace")
    why = f" within {_TIMEOUT:g} seconds" if timed_out else ""
    hints = [hint for pattern, hint in _HINTS if re.search(pattern, text)]
    raise UserError(
        "\n".join(
            [
                f"{_dependency_file(project)}: MLflow can't make the environment with {manager}{why}",
                *(f"  {hint.format(python=platform.python_version())}" for hint in hints),
                f"  all that was printed is in {output}",
                "  the end of it:",
                *(f"    {line}" for line in _end(text)),
                _instead(),
            ]
        )
    )


def _end(text: str) -> list[str]:
    """The last lines of what pip, uv, pyenv or conda said, else of what MLflow did."""
    above = text.partition("Traceback (most recent call last)")[0].splitlines()
    said = [line for line in above if line.strip() and not re.match(r"\S+ \S+ (?:INFO|WARNING) mlflow", line)]
    return (said or text.splitlines())[-_SHOWN_LINES:]
