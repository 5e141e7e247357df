"""A session on the reference project, against one bare start of it and a suite written by hand.

In each round every contender starts once, each on a new copy of the project. The figures are the medians of
the rounds' ratios. `as typed` leaves the store to MLflow, which makes an SQLite database (3.17.2); the others
log to files.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Figure, Spent, fresh_project, spend, user_environment

_PYTEST = [sys.executable, "-m", "pytest"]
_SESSION = [*_PYTEST, "--mlflow-project=.", "-P", "index=10"]
_SUITE = [*_PYTEST, "-p", "no:mlflow-check", str(Path(__file__).resolve().parent / "handwritten")]
_BARE = ["python", "iterate.py", "-i", "10"]
_CONTENDERS = {
    "as typed": _BARE,
    "bare": _BARE,
    "suite": [*_SUITE, "--rootdir=."],
    "session": _SESSION,
    "session -n 2": [*_SESSION, "-n", "2"],
}


def measure(area: Path, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Starts all contenders in turn; gives the figures, and the seconds of each round."""
    print("whole processes; seconds by the clock, and (in brackets) of all processors")
    print("round  " + "".join(f"{name:>17}" for name in _CONTENDERS), flush=True)
    # Whoever comes first would pay for reading MLflow from the disk.
    _start(area, "bare")
    taken: list[dict[str, Spent]] = []
    for number in range(rounds):
        taken.append({name: _start(area, name) for name in _CONTENDERS})
        cells = (f"{one.wall:8.2f} ({one.cpu:6.2f})" for one in taken[-1].values())
        print(f"{number + 1:5}  " + "".join(cells), flush=True)
    figures = [
        Figure(
            "whole session ÷ `python iterate.py -i 10` as typed",
            _ratio(taken, "session", "as typed"),
            "≤ 1.25",
        ),
        Figure("whole session ÷ the same with a file store", _ratio(taken, "session", "bare"), "≤ 1.25"),
        Figure("session with `-n 2` ÷ the same with a file store", _ratio(taken, "session -n 2", "bare")),
        Figure("hand-written suite ÷ whole session", _ratio(taken, "suite", "session"), "≥ 2.5"),
        *(Figure(f"{name}, seconds", _seconds(taken, name)) for name in _CONTENDERS),
    ]
    return figures, {"rounds": [{name: asdict(one) for name, one in turn.items()} for turn in taken]}


def _start(area: Path, name: str) -> Spent:
    project = fresh_project(area)
    env = {**user_environment(area, project), "ITERATE_PROJECT": str(project)}
    if name == "as typed":
        del env["MLFLOW_TRACKING_URI"]
    return spend(_CONTENDERS[name], cwd=project, env=env)


def _ratio(taken: list[dict[str, Spent]], one: str, other: str) -> str:
    wall = median(turn[one].wall / turn[other].wall for turn in taken)
    cpu = median(turn[one].cpu / turn[other].cpu for turn in taken)
    return f"{wall:.2f} (processor seconds {cpu:.2f})"


def _seconds(taken: list[dict[str, Spent]], name: str) -> str:
    wall, cpu = (median(getattr(turn[name], kind) for turn in taken) for kind in ("wall", "cpu"))
    return f"{wall:.1f} (processor seconds {cpu:.1f})"
