"""Measures how fast metric series are read and compared, against what MLflow's client takes to read them.

    python benchmarks/series.py [--points 1000 10000 100000 1000000] [--rounds 3] [--json FILE]

Two stores hold the same series, as two launches of a project leave it. Ours is the time to read both stores
whole and to check their metrics; the client's is that of `MlflowClient.get_metric_history` for both series,
and nothing else. Every turn is a process of its own, which has imported and opened everything before the
clock starts. In a round the client has one turn between two of ours, of which the mean counts, so that what
else the machine does meets both alike. The figures are medians of the rounds; from a million points on there
is one round, since the client takes minutes. Both must give the same series to the last bit.

Memory is the most that the process held at once while it read and compared (`VmHWM` of Linux), and the same
without what it held when the clock started, which is Python, numpy and the modules.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any, get_args

from measuring import Figure, machine, output_of, user_environment

from pytest_mlflow_check.core.store import Store, StoreKind

_LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
_MANY = 1_000_000

_FILL = """
import random, sqlite3, sys
from pathlib import Path
from mlflow import MlflowClient

uri, path, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
start = 1_700_000_000_000
client = MlflowClient(uri)
run_id = client.create_run("0", start_time=start).info.run_id
client.log_metric(run_id, "loss", 0.5, timestamp=start, step=0)
# The rest isn't logged, which would take hours, but written as the store would have written it.
numbers = random.Random(0)
points = [(numbers.random(), start + 100 * step, step) for step in range(1, count)]
if path.is_dir():
    with (path / "0" / run_id / "metrics" / "loss").open("a") as file:
        file.writelines(f"{stamp} {value} {step}\\n" for value, stamp, step in points)
else:
    with sqlite3.connect(path) as connection:
        connection.executemany(
            "INSERT INTO metrics (key, run_uuid, value, timestamp, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)",
            (("loss", run_id, *point) for point in points),
        )
"""

_MEASURED = """
import hashlib, json, sys, time
from pathlib import Path
import numpy as np

{imports}

def status(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024

try:
    # Forgets the peak of the imports (man 5 proc).
    Path("/proc/self/clear_refs").write_text("5")
except OSError:
    pass
before, clock, cpu = status("VmRSS"), time.perf_counter(), time.process_time()
{measured}
figures = dict(clock=time.perf_counter() - clock, cpu=time.process_time() - cpu)
figures |= dict(peak=status("VmHWM"), before=before)
digest = hashlib.sha256()
for side in sides:
    for column in side:
        digest.update(np.ascontiguousarray(column))
print(json.dumps(dict(figures=figures, digest=digest.hexdigest())))
"""

_OURS = _MEASURED.format(
    imports="""
from pytest_mlflow_check.checks.runner import compare_launches
from pytest_mlflow_check.checks.metrics import check_metrics
from pytest_mlflow_check.stores.readers import read_store
from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.store import Store

kind, *roots = sys.argv[1:]
stores = dict(zip(["fluent", "mlflow-run"], (Store(kind, Path(root)) for root in roots)))
""",
    measured="""
launches = {
    mode: Launch(mode, "", 0, 1.0, store.root, store.uri, record=read_store(store))
    for mode, store in stores.items()
}
findings = check_metrics(compare_launches(launches, settings=ProjectConfig()))
assert not findings, findings
series = [launch.record.runs[0].metrics["loss"] for launch in launches.values()]
sides = [(one.steps, one.values, one.timestamps) for one in series]
""",
)

_CLIENT = _MEASURED.format(
    imports="""
from mlflow import MlflowClient
from pytest_mlflow_check.core.store import Store

kind, *roots = sys.argv[1:]
clients = [MlflowClient(Store(kind, Path(root)).uri) for root in roots]
runs = [client.search_runs(["0"], max_results=1)[0].info.run_id for client in clients]
""",
    measured="""
histories = [client.get_metric_history(run_id, "loss") for client, run_id in zip(clients, runs)]
""",
).replace(
    "digest = ",
    """sides = [
    (
        np.array([point.step for point in history], dtype=np.int64),
        np.array([point.value for point in history], dtype=np.float64),
        np.array([point.timestamp for point in history], dtype=np.int64),
    )
    for history in histories
]
digest = """,
)


@dataclass(frozen=True)
class Turn:
    """One process: seconds by the clock and by CPU time, and megabytes at most and when the clock started."""

    clock: float
    cpu: float
    peak: float
    before: float


@dataclass(frozen=True)
class Line:
    """One kind of store and length of series, as medians of the rounds."""

    store: StoreKind
    points: int
    rounds: int
    ours: float
    client: float
    ratio: float
    ratio_cpu: float
    peak_mb: float
    peak_without_imports_mb: float


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--points", type=int, nargs="+", default=_LENGTHS, help="lengths of the series")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file too")
    options = parser.parse_args()
    here = machine()
    print(f"MLflow {here['mlflow']}, Python {here['python']}, {here['processors']} processors")
    with tempfile.TemporaryDirectory() as scratch:
        lines = compare(Path(scratch).resolve(), options.points, options.rounds)
    if options.json:
        figures = {**here, "lines": [asdict(line) for line in lines]}
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(area: Path, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Measures all lengths in both kinds of stores; gives the figures, and all lines."""
    lines = compare(area, _LENGTHS, rounds)
    figures = []
    for line in lines:
        if line.points >= _MANY:
            name = f"2 × {line.points:,} points read and compared, `{line.store}` store"
            times = f"{line.client:.0f} s ÷ {line.ours:.1f} s; processor seconds {line.ratio_cpu:.0f}"
            figures += [
                Figure(f"{name}: client ÷ ours", f"{line.ratio:.0f} ({times})", "≥ 50"),
                Figure(f"{name}: peak memory", f"{line.peak_mb:.0f} MB", "≤ 300 MB"),
            ]
        else:
            name = f"2 × {line.points:,} points, `{line.store}` store: client ÷ ours"
            figures.append(Figure(name, f"{line.ratio:.1f} ({line.client:.2f} s ÷ {line.ours:.3f} s)"))
    return figures, {"lines": [asdict(line) for line in lines]}


def compare(area: Path, lengths: Sequence[int], rounds: int) -> list[Line]:
    """Prints a line for each kind of store and length."""
    print(f"load {os.getloadavg()[0]:.1f}")
    print("two series in two stores; seconds, megabytes (in brackets: without what importing costs)")
    print("store      points  rounds     ours     client    ratio  ratio CPU      peak MB", flush=True)
    lines = []
    for kind in get_args(StoreKind):
        for points in lengths:
            line = _compare(area, kind, points, 1 if points >= _MANY else rounds)
            lines.append(line)
            print(
                f"{line.store:6} {line.points:10} {line.rounds:7} {line.ours:8.4f} {line.client:10.4f} "
                f"{line.ratio:8.1f} {line.ratio_cpu:10.1f} "
                f"{line.peak_mb:6.0f} ({line.peak_without_imports_mb:.0f})",
                flush=True,
            )
    print(f"load {os.getloadavg()[0]:.1f}")
    return lines


def _compare(parent: Path, kind: StoreKind, points: int, rounds: int) -> Line:
    """Fills two stores and lets both read them in turn."""
    with tempfile.TemporaryDirectory(dir=parent) as scratch:
        area = Path(scratch)
        stores = [Store(kind, area / name) for name in ("fluent", "mlflow-run")]
        for store in stores:
            if kind == "sqlite":
                store.root.mkdir()
            path = store.root if kind == "file" else store.database
            _run(area, _FILL, store.uri, str(path), str(points))
        arguments = (kind, *(str(store.root) for store in stores))
        ours: list[tuple[Turn, Turn]] = []
        client: list[Turn] = []
        for _ in range(rounds):
            results = [json.loads(_run(area, code, *arguments)) for code in (_OURS, _CLIENT, _OURS)]
            if len({result["digest"] for result in results}) != 1:
                sys.exit(f"{kind}, {points} points: the client gives other points than we")
            first, middle, last = (Turn(**result["figures"]) for result in results)
            ours.append((first, last))
            client.append(middle)
    return Line(
        store=kind,
        points=points,
        rounds=rounds,
        ours=median(mean(turn.clock for turn in pair) for pair in ours),
        client=median(turn.clock for turn in client),
        ratio=median(_ratios(client, ours, "clock")),
        ratio_cpu=median(_ratios(client, ours, "cpu")),
        peak_mb=max(turn.peak for pair in ours for turn in pair),
        peak_without_imports_mb=max(turn.peak - turn.before for pair in ours for turn in pair),
    )


def _ratios(client: list[Turn], ours: list[tuple[Turn, Turn]], name: str) -> list[float]:
    return [
        getattr(theirs, name) / mean(getattr(turn, name) for turn in pair)
        for theirs, pair in zip(client, ours, strict=True)
    ]


def _run(area: Path, code: str, *arguments: str) -> str:
    # In a directory of its own: MLflow makes `mlruns` where it is called.
    return output_of(code, *arguments, cwd=area, env=user_environment(area, area))


if __name__ == "__main__":
    main()
