"""What all benchmarks share: a process and what it took, a figure and its target, the machine."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_mlflow_check.runtime.process.locks import processors

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "example_project"
PROCESSORS = processors()


@dataclass(frozen=True)
class Spent:
    """Seconds a process took, by the clock, and of all processors with its children and theirs."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Figure:
    """A line of the table.

    Attributes:
        name: what was measured.
        measured: with its unit.
        target: what was asked for, or empty.
    """

    name: str
    measured: str
    target: str = ""


def spend(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Spent:
    """Runs a command to its end, and ends the benchmark where it fails.

    Children count that were waited for, as `wait4` has it (man 2 getrusage): a process that outlives the
    command doesn't.
    """
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=cwd, env=env, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        # 5: pytest found no test.
        if process.returncode not in (0, 5):
            sys.exit(f"{' '.join(command)}: exit code {process.returncode}\n{output.read().decode()}")
    return Spent(wall, usage.ru_utime + usage.ru_stime)


def output_of(code: str, *arguments: str, cwd: Path, env: Mapping[str, str]) -> str:
    """What a Python program prints; ends the benchmark where it fails."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def fresh_project(area: Path) -> Path:
    """A new copy of the reference project, in a directory of its own."""
    return shutil.copytree(PROJECT, Path(tempfile.mkdtemp(dir=area)) / PROJECT.name)


def user_environment(area: Path, project: Path) -> dict[str, str]:
    """The environment of a user who logs to a file store beside the code."""
    # Without compiled files every start would compile the plugin again.
    own = ("MLFLOW_", "PYTEST_", "PYTHONDONTWRITEBYTECODE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {
        **env,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}",
        "TMPDIR": str(area),
        "MLFLOW_TRACKING_URI": (project / "mlruns").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def machine() -> dict[str, str | int]:
    """What the figures depend on."""
    return {
        "date": datetime.date.today().isoformat(),
        "mlflow": importlib.metadata.version("mlflow"),
        "pytest": importlib.metadata.version("pytest"),
        "python": platform.python_version(),
        "processors": PROCESSORS,
    }


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    rows = ["| figure | measured | target |", "| --- | --- | --- |"]
    rows += [f"| {one.name} | {one.measured} | {one.target or '—'} |" for one in figures]
    return "\n".join(rows)
