"""Many launches in one session: does anything pile up, and does the last one take longer than the first?

A session of 100 cases, 200 launches, four at a time. What it has of processes, descriptors, threads and
temporary directories is counted before the plugin has done anything, and when it has cleared up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Figure

_CASES = 100
_JOBS = 4

_SCRIPT = """
import os, sys
from pathlib import Path
from urllib.parse import urlsplit

store = Path(urlsplit(os.environ["MLFLOW_TRACKING_URI"]).path)
run = store / "0" / os.environ.get("MLFLOW_RUN_ID", "f00d")
(run / "metrics").mkdir(parents=True, exist_ok=True)
(run / "params").mkdir(parents=True, exist_ok=True)
(store / "0" / "meta.yaml").write_text("{experiment_id: '0', name: Default}")
if run.name == "f00d":
    (run / "meta.yaml").write_text("{run_id: f00d, run_name: r, status: 3, start_time: 1, end_time: 2}")
(run / "params" / "number").write_text(sys.argv[1])
(run / "metrics" / "loss").write_text("1 0.5 0\\n2 0.25 1\\n")
"""
"""Logs by hand: MLflow takes seconds for it, and only what happens around it is looked at here."""

_MLPROJECT = """
entry_points:
  main:
    parameters:
      number: int
    command: "python train.py {number}"
"""

_CONFTEST = """
import json, os, tempfile, threading
from pathlib import Path

def processes():
    mark, found = f"SOAK={os.environ['SOAK']}".encode(), 0
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and mark in (process / "environ").read_bytes().split(b"\\0"):
                found += 1
        except OSError:
            pass
    return found

def count():
    return {
        "processes": processes(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "temporary directories": len(os.listdir(tempfile.gettempdir())),
    }

def pytest_configure(config):
    before = count()
    # What was registered first is called last.
    config.add_cleanup(lambda: Path("counts.json").write_text(json.dumps([before, count()])))
"""


@dataclass(frozen=True)
class Soak:
    """One session.

    Attributes:
        before, after: the counts, by what was counted.
        launches: seconds that each launch took, in the order in which they began.
        failed: the lines that pytest ends with of the checks that failed, and what was raised.
    """

    before: dict[str, int]
    after: dict[str, int]
    launches: list[float]
    failed: list[str]

    @property
    def drift(self) -> float:
        """The median of the last quarter of the launches, over that of the first."""
        quarter = len(self.launches) // 4
        return median(self.launches[-quarter:]) / median(self.launches[:quarter])


def soak(scratch: Path, cases: int) -> Soak:
    """Runs the session, in an empty directory that it may use."""
    project, temporary = scratch / "proj", scratch / "tmp"
    project.mkdir()
    temporary.mkdir()
    (project / "MLproject").write_text(_MLPROJECT, encoding="utf-8")
    (project / "train.py").write_text(_SCRIPT, encoding="utf-8")
    settings = "".join(
        f'[[case]]\nid = "c{number}"\nparams = {{ number = {number} }}\n' for number in range(cases)
    )
    (project / "mlflow-check.toml").write_text(settings, encoding="utf-8")
    (scratch / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
    options = ["--mlflow-project=proj", f"--mlflow-jobs={_JOBS}", f"--basetemp={scratch / 'base'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        cwd=scratch,
        env={**os.environ, "SOAK": uuid.uuid4().hex, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    if not (scratch / "counts.json").exists():
        raise RuntimeError(done.stdout + done.stderr)
    before, after = json.loads((scratch / "counts.json").read_text(encoding="utf-8"))
    made = [json.loads(file.read_text(encoding="utf-8")) for file in (scratch / "base").rglob("launch.json")]
    made.sort(key=lambda launch: launch["started"])
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "E   "))]
    return Soak(before, after, [launch["duration"] for launch in made], failed)


def measure(scratch: Path, _: int) -> tuple[list[Figure], dict[str, Any]]:
    """Runs one session, however many rounds are asked for."""
    made = soak(scratch, _CASES)
    for what, count in made.before.items():
        print(f"{what}: {count} before, {made.after[what]} after")
    print(f"{len(made.launches)} launches, {len(made.failed)} lines of failures")
    more = sum(max(0, made.after[what] - count) for what, count in made.before.items())
    return [
        Figure(f"more of anything after {len(made.launches)} launches", str(more), "0"),
        Figure("last quarter of the launches ÷ the first", f"{made.drift:.2f}", "about 1"),
    ], {"soak": asdict(made)}
