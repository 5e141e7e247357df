"""How long a report takes at the end of a session, and how large it is: an ordinary one, and a large one.

The large one is of launches that logged 500 metrics of 2,000 points, a million points a side, half of which
differ from a step on. Each report is made by a process of its own, which has read the launches and made the
checks before the clock starts; what the report alone needs (jinja2, matplotlib) is loaded while it runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

from measuring import Figure, fresh_project, output_of, user_environment

_METRICS, _POINTS = 500, 2_000

_MEASURED = """
import json, sys, time
from pathlib import Path
import numpy as np

from pytest_mlflow_check.checks.runner import CaseJudge, compare_launches
from pytest_mlflow_check.core.findings import CHECKS
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of, policy_of
from pytest_mlflow_check.core.records import Launch, MetricSeries, RunRecord, StoreRecord
from pytest_mlflow_check.reporting.builder import CheckOutcome, CaseResults, ProjectResults, build
from pytest_mlflow_check.reporting.formats import render
from pytest_mlflow_check.config.settings import load_settings

project, area, metrics, points = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
settings = load_settings(project)
(case, *_), policy = cases_of(settings), policy_of(settings)

def logged(mode, shift):
    numbers = np.random.default_rng(0)
    steps = np.arange(points)
    series = {}
    for key in range(metrics):
        values = np.exp(-3 * steps / points) * 10.0 ** (key % 4) + numbers.normal(0, 0.02, points)
        values[points // 2 :] += shift * (key % 2)
        series[f"loss_{key}"] = MetricSeries(f"loss_{key}", steps, values, steps)
    record = StoreRecord((RunRecord("r1", metrics=series),))
    return Launch(mode, "python train.py", 0, 1.0, project, "", record=record)

if metrics:
    launches = {"fluent": logged("fluent", 0.0), "mlflow-run": logged("mlflow-run", 0.1)}
else:
    launcher = Launcher(area / "launches", cache=area / "cache")
    launches = launcher.launches(case, settings.values)
    launcher.stop()
comparison = compare_launches(launches, settings=settings.values, case=case)
judge = CaseJudge(comparison, policy).judge
checks = {}
for check in CHECKS:
    result = judge(check)
    outcome = "skipped" if result.skipped else "failed" if result.failed(strict=False) else "passed"
    checks[check] = CheckOutcome(outcome, result)
checked = ProjectResults("project", settings, policy.secrets, [CaseResults(case, launches, checks)])

told = {}
for suffix in ("json", "md", "html"):
    clock, cpu = time.perf_counter(), time.process_time()
    text = render(build([checked], versions={}), Path(f"report.{suffix}"))
    spent = {"clock": time.perf_counter() - clock, "cpu": time.process_time() - cpu}
    told[suffix] = {**spent, "bytes": len(text.encode())}
print(json.dumps(told))
"""


def measure(area: Path, rounds: int) -> tuple[list[Figure], dict[str, Any]]:
    """Makes the reports; gives the figures, and what each round took."""
    project = fresh_project(area)
    env = user_environment(area, project)
    sizes = {"the reference project": (0, 0), "500 metrics, 10⁶ points a side": (_METRICS, _POINTS)}
    figures, raw = [], {}
    for name, size in sizes.items():
        arguments = (str(project), str(area), *map(str, size))
        turns = [json.loads(output_of(_MEASURED, *arguments, cwd=area, env=env)) for _ in range(rounds)]
        raw[name] = turns
        for suffix, target in (("json", ""), ("md", ""), ("html", "≤ 10 s, ≤ 5 MB" if size[0] else "≤ 2 s")):
            clock, cpu = (median(turn[suffix][kind] for turn in turns) for kind in ("clock", "cpu"))
            kilobytes = turns[0][suffix]["bytes"] / 1000
            measured = f"{clock:.2f} s (of the processor {cpu:.2f} s), {kilobytes:,.0f} kB"
            print(f"{name:32} {suffix:5} {measured}", flush=True)
            figures.append(Figure(f"report of {name}, {suffix}", measured, target))
    return figures, raw
