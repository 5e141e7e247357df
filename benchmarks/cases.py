"""Many cases in one session, against what the processors need at least: the launched scripts alone.

A session of N cases launches 2 × N scripts. What these need alone is the median of bare starts of one of
them, made before and after the session, times 2 × N; spread over all processors without a gap it is the
least that any session could take.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measuring import PROCESSORS, Figure, Spent, fresh_project, spend, user_environment

_COUNTS = (1, 4, 16)
_FIRST_INDEX = 10
_SETTINGS = """
artifact_contents = ["log_dir/*.txt"]

[[allow]]
rule = "param-quoted"
match = "model_dir"
reason = "the raw command-line value; cfg_model_dir holds the value in use"
"""

# Every process of a machine reads the same clock (CLOCK_MONOTONIC of Linux and macOS).
_CONFTEST = """
import os, time
from pathlib import Path

def pytest_runtest_logreport(report):
    file = Path(os.environ["FIRST_RESULT"])
    if report.when == "call" and not file.exists():
        file.write_text(str(time.monotonic()))
"""


@dataclass(frozen=True)
class Session:
    """One session.

    Attributes:
        cases: how many.
        whole: what it took.
        first: seconds until the first check had its result.
        bare: what the bare starts around it took.
    """

    cases: int
    whole: Spent
    first: float
    bare: tuple[Spent, ...]

    @property
    def least(self) -> float:
        """Seconds that the launched scripts alone keep all processors busy."""
        return 2 * self.cases * median(one.cpu for one in self.bare) / PROCESSORS

    @property
    def ratio(self) -> float:
        """How much longer it took, by the clock."""
        return self.whole.wall / self.least


def measure(area: Path, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Times sessions of 1, 4 and 16 cases; the long one once, since it averages by itself."""
    print(f"least: 2 × cases × processor seconds of a bare start ÷ {PROCESSORS}")
    print("cases    wall     CPU   first   least   ratio", flush=True)
    sessions: list[Session] = []
    for count in _COUNTS:
        for _ in range(1 if count == max(_COUNTS) else rounds):
            one = _session(area, count)
            sessions.append(one)
            took = f"{one.whole.wall:7.1f} {one.whole.cpu:7.1f} {one.first:7.1f}"
            print(f"{count:5} {took} {one.least:7.1f} {one.ratio:7.2f}", flush=True)
    figures = [
        Figure(
            f"{_cases(count)}: wall time ÷ (processor seconds of the launched scripts alone ÷ {PROCESSORS})",
            f"{median(one.ratio for one in sessions if one.cases == count):.2f}",
            "≤ 1.15" if count == max(_COUNTS) else "",
        )
        for count in _COUNTS
    ]
    of_most = [one for one in sessions if one.cases == max(_COUNTS)]
    figures.append(
        Figure(
            f"{_cases(max(_COUNTS))}: seconds",
            f"{median(one.whole.wall for one in of_most):.0f}, "
            f"until the first result {median(one.first for one in of_most):.0f}",
        )
    )
    return figures, {"sessions": [{**asdict(one), "least": one.least} for one in sessions]}


def _session(area: Path, count: int) -> Session:
    project = fresh_project(area)
    cases = (
        f'[[case]]\nid = "case-{index}"\nparams = {{ index = {index} }}\n'
        for index in range(_FIRST_INDEX, _FIRST_INDEX + count)
    )
    (project / "mlflow-check.toml").write_text(_SETTINGS + "\n".join(cases), encoding="utf-8")
    (project / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    stamp = project.parent / "first"
    env = {**user_environment(area, project), "FIRST_RESULT": str(stamp)}
    before = _bare(area, count)
    start = time.monotonic()
    whole = spend([sys.executable, "-m", "pytest", "--mlflow-project=."], cwd=project, env=env)
    first = float(stamp.read_text(encoding="utf-8")) - start
    return Session(count, whole, first, (*before, *_bare(area, count)))


def _bare(area: Path, count: int) -> list[Spent]:
    """Two bare starts, with the least and the most that a case counts."""
    started = []
    for index in (_FIRST_INDEX, _FIRST_INDEX + count - 1):
        project = fresh_project(area)
        command = ["python", "iterate.py", "-i", str(index)]
        started.append(spend(command, cwd=project, env=user_environment(area, project)))
    return started


def _cases(count: int) -> str:
    return f"{count} case" if count == 1 else f"{count} cases"
