"""Launches in which MLflow ran where nobody could watch it: what is known of them isn't all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from pytest_mlflow_check.checks.comparison import Comparison, spoken
from pytest_mlflow_check.checks.empty_launch import empty_launches
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Mode

_OTHER_LANGUAGES = re.compile(r"\b(?:Rscript|java|scala|spark-submit|spark-shell|node|julia)\b")
"""In a command: what may log to MLflow without Python."""

_FIX = (
    "start it with the python that stands first on PATH, without -S, and leave it its variables or start it "
    "in the project"
)


def unobserved(comparison: Comparison) -> Iterator[Finding]:
    """A finding for what went unobserved, with the launches it concerns."""
    found: dict[str, dict[Mode, str]] = {}
    for mode, launch in comparison.launches.items():
        if what := _unobserved(comparison, mode, launch):
            found.setdefault(what[0], {})[mode] = what[1]
    for subject, sides in found.items():
        yield Finding(
            rule="launch-unobserved",
            subject=subject,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            why=f"In the {' and the '.join(map(spoken, sides))} launch {next(iter(sides.values()))}. What "
            "it logs has no lines, and may have gone to a server that its code names.",
            fix=_fix([subject, *(comparison.launches[mode].command for mode in sides)]),
        )


def _fix(commands: Iterable[str]) -> str:
    """How to start a process; where one of the commands has -S, the same without it."""
    for command in commands:
        words = command.split()
        if "-S" in words:
            script = next((number for number, word in enumerate(words) if word.endswith(".py")), len(words))
            start = [word for word in words[: script + 1] if word != "-S"]
            return f"start it without -S:  {' '.join([PurePosixPath(start[0]).name, *start[1:]])}"
    return _FIX


def _unobserved(comparison: Comparison, mode: Mode, launch: Launch) -> tuple[str, str] | None:
    """What went unobserved, and how it is known."""
    processes = launch.processes
    if processes is None or _in_docker(comparison, mode):
        return None
    for process in processes:
        if not process.observed:
            return shlex.join(process.command), "this process had loaded MLflow before it could be observed"
    if launch.exit_code != 0 or any(process.loaded_mlflow for process in processes):
        return None
    if launch.unobserved_code:
        files = " and ".join(launch.unobserved_code[:3])
        return files, f"no process that could be observed has loaded MLflow, which {files} imports"
    logged = mode not in empty_launches(comparison)
    if logged and not processes and not _OTHER_LANGUAGES.search(launch.command):
        return launch.command, "something was logged, and no Python process could be observed"
    return None


def _in_docker(comparison: Comparison, mode: Mode) -> bool:
    return mode == "mlflow-run" and comparison.case is not None and bool(comparison.case.project.docker_image)
