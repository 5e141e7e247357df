"""Measures what the observer costs: `mlflow.log_metric` into a file store, with and without it.

    python benchmarks/observer.py [--calls 10000] [--rounds 5] [--json FILE]

Each round has two processes, one without the observer and one with it, each with its own store and run.
They take turns, a block of calls each, so that what else the machine does meets both alike. A round's ratio
is that of the medians of their blocks; the figure is the median of the rounds, by the clock and by CPU time.
What the observer costs apart from MLflow is measured too: the wrapper around a function that does nothing,
and the start of a Python that never imports MLflow. And what it saves: the ratio of a whole process that only
imports MLflow, with the collector looking on and with the observer keeping it out. Last, what the `.pth` file
and the entry point of MLflow, by which the guard comes, take in a process outside a launch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Figure, machine, output_of

from pytest_mlflow_check.core.store import Store
from pytest_mlflow_check.runtime.observer.inject import VARIABLE, observed
from pytest_mlflow_check.runtime.sandbox.environment import launch_environment

_CALLS = 10_000

_BLOCK = 250
"""Calls per turn."""

_LOGGING = """
import sys, time
import mlflow

with mlflow.start_run():
    for step in range(500):
        mlflow.log_metric("warm", step / 7, step=step)
    print("ready", flush=True)
    step = 0
    for line in sys.stdin:
        clock, cpu = time.perf_counter(), time.process_time()
        for step in range(step, step + int(line)):
            mlflow.log_metric("loss", step / 7, step=step)
        print(time.perf_counter() - clock, time.process_time() - cpu, flush=True)
"""

_ISOLATED = """
import sys, time
from types import SimpleNamespace

from _mlflow_check_observer import recorder, wrappers

def log_metric(key, value, step=None):
    pass

run = SimpleNamespace(info=SimpleNamespace(run_id="0" * 32))
own = recorder.Recorder(sys.argv[2], sys.argv[3], sys.argv[3], sys.argv[3])
wrapped = wrappers.metric_call(log_metric, own, lambda: run)

def seconds(function, count):
    start = time.perf_counter()
    for step in range(count):
        function("loss", step / 7, step=step)
    return time.perf_counter() - start

count = int(sys.argv[1])
seconds(wrapped, 200)
print((seconds(wrapped, count) - seconds(log_metric, count)) / count)
"""


_OUTSIDE = """
import sys, timeit
from pytest_mlflow_check.runtime.observer.pth import LINE
print(min(timeit.repeat(lambda: exec(LINE, {}), number=1000, repeat=5)) / 1000)
import mlflow
for name in [name for name in sys.modules if name.startswith("pytest_mlflow_check")]:
    del sys.modules[name]
started = timeit.default_timer()
from pytest_mlflow_check.runtime.observer.mlflow_plugin import NoExperimentProvider
NoExperimentProvider()
print(timeit.default_timer() - started)
"""


@dataclass(frozen=True)
class Round:
    """Median seconds of a block, by the clock and by CPU time."""

    off: float
    on: float
    off_cpu: float
    on_cpu: float


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=_CALLS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file too")
    options = parser.parse_args()
    here = machine()
    print(f"MLflow {here['mlflow']}, Python {here['python']}, file store")
    with tempfile.TemporaryDirectory() as scratch:
        _, raw = measure(Path(scratch).resolve(), options.rounds, options.calls)
    if options.json:
        options.json.write_text(json.dumps({**here, **raw}, indent=2) + "\n", encoding="utf-8")


def measure(area: Path, rounds: int, calls: int = _CALLS) -> tuple[list[Figure], dict[str, Any]]:
    """Measures, and prints a line a round; gives the figures, and all of them with the rounds."""
    (area / "project").mkdir()
    print(f"{calls} calls of log_metric per round and process; microseconds per call")
    print("round      off       on    ratio     off CPU   on CPU    ratio", flush=True)
    taken = []
    for number in range(rounds):
        one = _round(area, number, calls)
        taken.append(one)
        clock = f"{_us(one.off):8.1f} {_us(one.on):8.1f} {one.on / one.off:8.4f}"
        cpu = f"{_us(one.off_cpu):8.1f} {_us(one.on_cpu):8.1f} {one.on_cpu / one.off_cpu:8.4f}"
        print(f"{number + 1:5} {clock}    {cpu}", flush=True)
    ratio = median(one.on / one.off for one in taken)
    ratio_cpu = median(one.on_cpu / one.off_cpu for one in taken)
    wrapper_us = median(_isolated(area, calls) for _ in range(rounds)) * 1e6
    import_ratio = median(_import(area, number) for number in range(rounds))
    start_ms = median(_start(area, number) for number in range(rounds)) * 1e3
    line_us, entry_us = (seconds * 1e6 for seconds in _outside(area))
    print(f"median ratio               {ratio:.4f}, by CPU time {ratio_cpu:.4f}")
    print(f"the wrapper by itself      {wrapper_us:.1f} µs per call")
    print(f"import of MLflow, ratio    {import_ratio:.4f}, start to end of the process")
    print(f"start of a Python process  {start_ms:+.1f} ms")
    print(f"outside a launch           {line_us:.0f} µs, {entry_us:.0f} µs where MLflow is imported")
    figures = [
        Figure(
            f"observer: {calls:,} calls of `log_metric`, with it ÷ without",
            f"{ratio:.3f} (processor seconds {ratio_cpu:.3f})",
        ),
        Figure("observer: a process that only imports MLflow, with it ÷ without", f"{import_ratio:.3f}"),
        Figure("observer: start of a Python process, with it minus without", f"{start_ms:.0f} ms"),
        Figure("guard: `.pth` file in a Python process outside a launch", f"{line_us:.0f} µs"),
        Figure("guard: entry point of MLflow in a process outside a launch", f"{entry_us:.0f} µs"),
    ]
    return figures, {
        "calls": calls,
        "rounds": [asdict(one) for one in taken],
        "ratio": ratio,
        "ratio_cpu": ratio_cpu,
        "wrapper_us": wrapper_us,
        "import_ratio": import_ratio,
        "start_ms": start_ms,
        "outside_us": line_us,
        "outside_import_us": entry_us,
    }


def _round(area: Path, number: int, calls: int) -> Round:
    """One round: two processes that take turns."""
    with ExitStack() as stack:
        processes = []
        for kind in ("off", "on"):
            env = _environment(area, f"{kind}{number}", observing=kind == "on")
            command = [sys.executable, str(_script(area, "logging.py", _LOGGING))]
            pipe = subprocess.PIPE
            process = stack.enter_context(
                subprocess.Popen(command, cwd=area / "project", env=env, stdin=pipe, stdout=pipe, text=True)
            )
            processes.append(process)
        for process in processes:
            _answer(process)
        clocks: tuple[list[float], list[float]] = ([], [])
        cpus: tuple[list[float], list[float]] = ([], [])
        for turn in range(calls // _BLOCK):
            for side in (0, 1) if turn % 2 == 0 else (1, 0):
                process = processes[side]
                assert process.stdin is not None
                process.stdin.write(f"{_BLOCK}\n")
                process.stdin.flush()
                clock, cpu = _answer(process)
                clocks[side].append(float(clock))
                cpus[side].append(float(cpu))
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
    return Round(median(clocks[0]), median(clocks[1]), median(cpus[0]), median(cpus[1]))


def _outside(area: Path) -> list[float]:
    """Seconds of a process outside a launch for the line of the `.pth` file, and for the entry point."""
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    command = [sys.executable, "-c", _OUTSIDE]
    ended = subprocess.run(command, cwd=area, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return [float(line) for line in ended.stdout.split()]


def _us(block: float) -> float:
    return block / _BLOCK * 1e6


def _answer(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def _environment(area: Path, name: str, *, observing: bool) -> dict[str, str]:
    store, project = Store("file", area / name), area / "project"
    env = launch_environment(store, root=project, copy=project)
    if not observing:
        return env
    place = area / f"{name}-launch"
    place.mkdir(exist_ok=True)
    file = place / "calls.jsonl"
    return observed(env, place=place, file=file, directory=project, root=project, uri=store.uri, block=False)


def _script(area: Path, name: str, code: str) -> Path:
    script = area / "project" / f"measured_{name}"
    script.write_text(code, encoding="utf-8")
    return script


def _run(area: Path, env: Mapping[str, str], code: str, *arguments: str) -> float:
    return float(output_of(code, *arguments, cwd=area / "project", env=env))


def _isolated(area: Path, calls: int) -> float:
    """Seconds per call that the wrapper takes."""
    env = _environment(area, "isolated", observing=True)
    path = env["PYTHONPATH"].split(os.pathsep)[0]
    code = f"import sys; sys.path.insert(0, {path!r})\n{_ISOLATED}"
    return _run(area, env, code, str(calls), str(area / "isolated.jsonl"), str(area / "project"))


def _import(area: Path, number: int) -> float:
    """Ratio of the seconds that a process takes which only imports MLflow, with and without the observer."""

    def seconds(observing: bool) -> float:
        env = _environment(area, f"import{number}", observing=observing)
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import mlflow"], cwd=area / "project", env=env, check=True)
        return time.perf_counter() - start

    taken = {
        observing: seconds(observing) for observing in ((False, True) if number % 2 == 0 else (True, False))
    }
    return taken[True] / taken[False]


def _start(area: Path, number: int) -> float:
    """Seconds by which a process that does nothing takes longer."""
    code = "import subprocess, sys, time\ntimes = []\nfor _ in range(15):\n    start = time.perf_counter()\n"
    code += "    subprocess.run([sys.executable, '-c', ''])\n    times.append(time.perf_counter() - start)\n"
    code += "print(sorted(times)[len(times) // 2])"
    off, on = (
        _run(area, _environment(area, f"start{number}", observing=observing), code)
        for observing in (False, True)
    )
    return on - off


if __name__ == "__main__":
    main()
