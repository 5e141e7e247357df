"""The copy in which a launch runs, against `cp -a` of the same directory: 50,000 files, and 2 GB.

In each round both copy once, in turn. The disk is measured too, so that processor seconds tell more.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Figure, Spent, spend

_COPY = (
    "import sys; from pathlib import Path; "
    "from pytest_mlflow_check.runtime.sandbox.workspace import make_workspace; "
    "make_workspace(Path(sys.argv[1]), Path(sys.argv[2]))"
)


def _many(target: Path) -> None:
    for number in range(500):
        directory = target / str(number % 10) / str(number)
        directory.mkdir(parents=True)
        for file in range(100):
            (directory / str(file)).write_bytes(b"x" * 1000)


def _large(target: Path) -> None:
    target.mkdir()
    block = os.urandom(1 << 20)
    for number in range(8):
        with (target / str(number)).open("wb") as file:
            for _ in range(256):
                file.write(block)


_CASES: dict[str, Callable[[Path], None]] = {"50,000 files": _many, "2 GB": _large}


def measure(area: Path, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Copies in turn; gives the figures, and the seconds of each round."""
    figures, raw = [], {}
    for name, make in _CASES.items():
        source, copy = area / "source", area / "copy"
        make(source)
        contenders = {
            "ours": [sys.executable, "-c", _COPY, str(source), str(copy)],
            "cp": ["cp", "-a", str(source), str(copy)],
        }
        taken: list[dict[str, Spent]] = []
        for _ in range(rounds):
            turn = {}
            for who, command in contenders.items():
                turn[who] = spend(command, cwd=area, env=os.environ)
                shutil.rmtree(copy)
                os.sync()
            taken.append(turn)
            print(f"{name}: ours {turn['ours']}, cp {turn['cp']}", flush=True)
        shutil.rmtree(source)
        ratio = median(turn["ours"].wall / turn["cp"].wall for turn in taken)
        wall, cpu = (median(getattr(turn["ours"], kind) for turn in taken) for kind in ("wall", "cpu"))
        figures.append(
            Figure(f"copy of {name} ÷ `cp -a`", f"{ratio:.2f} ({wall:.1f} s, of the processor {cpu:.1f} s)")
        )
        raw[name] = [{who: asdict(one) for who, one in turn.items()} for turn in taken]
    return figures, raw
