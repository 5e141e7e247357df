"""What the plugin costs a session that doesn't ask for it, and one that only collects.

"Installed" and "not installed" are two directories of packages, alike but for the plugin: links to all that
is installed here but other plugins, which take longer than ours, and in one of them a copy of ours with its
metadata, as pip leaves it. Python is started with `-S`, so that it sees these alone. (`-p no:mlflow-check`
wouldn't do: pytest reads the metadata all the same.) The sessions take turns, and the figures are medians of
the differences.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path
from statistics import median
from typing import Any

from measuring import ROOT, Figure, Spent, fresh_project, spend, user_environment

_TURNS = 5
"""Of each session, in a round."""

_PACKAGE = "pytest_mlflow_check"
(_ENTRY_POINT,) = entry_points(group="pytest11", name="mlflow-check")
_METADATA = {
    "METADATA": "Metadata-Version: 2.1\nName: pytest-mlflow-check\nVersion: 0.1.0\n",
    "entry_points.txt": f"[pytest11]\nmlflow-check = {_ENTRY_POINT.value}\n",
}


def measure(area: Path, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Lets the sessions take turns; gives the figures, and the seconds of each turn."""
    project = fresh_project(area)
    empty = area / "empty"
    empty.mkdir()
    env = user_environment(area, project)
    without, with_it = (
        {**env, "PYTHONPATH": str(_packages(area / name, plugin=name == "installed"))}
        for name in ("not_installed", "installed")
    )
    sessions: dict[str, tuple[Path, Mapping[str, str], list[str]]] = {
        "not installed": (empty, without, []),
        "installed": (empty, with_it, []),
        "beside a project": (project.parent, with_it, []),
        "with the project": (project.parent, with_it, [f"--mlflow-project={project.name}"]),
    }
    turns: list[dict[str, Spent]] = []
    for turn in range(rounds * _TURNS + 1):
        # There and back again, so that a machine that gets slower or faster meets all alike.
        order = list(sessions) if turn % 2 else list(reversed(sessions))
        turns.append({name: _collect(*sessions[name]) for name in order})
    # The first one compiles.
    del turns[0]
    print(f"pytest --co, medians of {len(turns)} turns: milliseconds by the clock, and of all processors")
    for name in sessions:
        clock, cpu = (median(getattr(turn[name], kind) for turn in turns) for kind in ("wall", "cpu"))
        print(f"{name:20} {clock * 1e3:8.1f} {cpu * 1e3:8.1f}", flush=True)
    figures = [
        Figure(
            "`pytest --co` in an empty directory, plugin installed minus not installed",
            _difference(turns, "installed", "not installed"),
            "≤ 15 ms",
        ),
        Figure(
            "`--co --mlflow-project=example_project` minus `--co`",
            _difference(turns, "with the project", "beside a project"),
            "≤ 300 ms",
        ),
    ]
    return figures, {"turns": [{name: asdict(one) for name, one in turn.items()} for turn in turns]}


def _packages(directory: Path, *, plugin: bool) -> Path:
    """All packages installed here, and the plugin or not."""
    directory.mkdir()
    for folder in filter(os.path.isdir, sys.path):
        if Path(folder).name not in ("site-packages", "dist-packages"):
            continue
        for entry in Path(folder).iterdir():
            link = directory / entry.name
            if entry.suffix != ".pth" and not (link.is_symlink() or _is_plugin(entry)):
                link.symlink_to(entry)
    if plugin:
        copy = directory / _PACKAGE
        shutil.copytree(ROOT / _PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        files = [path.relative_to(directory) for path in copy.rglob("*") if path.is_file()]
        metadata = directory / f"{_PACKAGE}-0.1.0.dist-info"
        metadata.mkdir()
        for name, text in {**_METADATA, "RECORD": "".join(f"{file},,\n" for file in files)}.items():
            (metadata / name).write_text(text, encoding="utf-8")
    return directory


def _is_plugin(entry: Path) -> bool:
    """Whether it is our package, or the metadata of a plugin, ours or another, that make pytest load it."""
    names = entry / "entry_points.txt"
    return entry.name == _PACKAGE or (names.is_file() and "[pytest11]" in names.read_text(encoding="utf-8"))


def _collect(cwd: Path, env: Mapping[str, str], arguments: list[str]) -> Spent:
    command = [sys.executable, "-S", "-m", "pytest", "--co", "-p", "no:cacheprovider", *arguments]
    return spend(command, cwd=cwd, env=env)


def _difference(turns: list[dict[str, Spent]], one: str, other: str) -> str:
    clock = median(turn[one].wall - turn[other].wall for turn in turns)
    cpu = median(turn[one].cpu - turn[other].cpu for turn in turns)
    return f"{clock * 1e3:.0f} ms (of the processor {cpu * 1e3:.0f} ms)"
