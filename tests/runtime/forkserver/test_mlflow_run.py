"""`mlflow run` in a fork of the fork server logs, says and ends as the command does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pytest_mlflow_check.config.settings import load_settings
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.records import Launch, Observation, RunRecord
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.plugin.resources import preparation
from pytest_mlflow_check.runtime.forkserver.client import ForkServer, ForkServerProcess, unsupported_reason
from pytest_mlflow_check.runtime.sandbox.environment import fork_server_environment
from support.projects import MakeProject
from support.sessions import ROOT

pytestmark = pytest.mark.skipif(unsupported_reason() is not None, reason=unsupported_reason() or "")

PROJECTS = [
    *(f"tests/projects/stage{stage}" for stage in ("0", "1", "1b", "2", "4", "5", "6")),
    "example_project",
    *(
        f"tests/projects/relatives/{name}"
        for name in ("many_params", "path_only", "nested_sweep", "model_per_epoch", "orchestrating")
    ),
]
"""All stages and relatives that `mlflow run` can start, and that need no large libraries."""


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    process = ForkServerProcess(fork_server_environment([ROOT]), preparation())
    yield process
    process.stop()


def both(
    tmp_path: Path, fork_server: ForkServer, case: Case, **values: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the command and a fork did, one beside the other."""
    given = {"launch": "mlflow-run", **values}
    settings = load_settings(case.project.directory, command_line=given).values

    def launched(name: str) -> dict[str, Any]:
        launcher = Launcher(
            tmp_path / name, cache=tmp_path, fork_server=fork_server if name == "forked" else None
        )
        return told(launcher.launch(case, "mlflow-run", settings))

    with ThreadPoolExecutor(2) as pool:
        plain, forked = pool.map(launched, ("plain", "forked"))
    assert fork_server.failure is None
    return plain, forked


def told(launch: Launch) -> dict[str, Any]:
    """Everything of a launch but what differs from one to the next: ids, times, places."""
    runs = {run.run_id: run for run in launch.record.runs}
    return {
        "exit_code": launch.exit_code,
        "command": launch.command,
        "runs": [told_run(run, runs, launch) for run in launch.record.runs],
        "registered": [one.name for one in launch.record.registered_models],
        "observed": launch.observed,
        "observations": sorted(
            (one.what, key_of(one), str(one.step), one.by, str(one.source_line))
            for one in launch.observations
        ),
        "validations": sorted(
            (one.registered, one.loaded, str(one.predicted)) for one in launch.validations.values()
        ),
        "changed": launch.changed,
        "saved": sorted(launch.saved),
        "stdout": steady(launch.stdout, launch),
        "said": said(launch),
    }


def key_of(observation: Observation) -> str:
    """What it is about; MLflow gives runs random names."""
    return "" if observation.what.endswith("_run") else observation.key


def told_run(run: RunRecord, runs: Mapping[str, RunRecord], launch: Launch) -> dict[str, Any]:
    # Ids, random names and places.
    ids = ("mlflow.parentRunId", "mlflow.log-model.history", "mlflow.runName", "mlflow.source.name")
    return {
        "params": {name: steady(value, launch) for name, value in run.params.items()},
        "tags": {name: value for name, value in run.tags.items() if name not in ids},
        "metrics": {key: [*zip(one.steps, one.values, strict=True)] for key, one in run.metrics.items()},
        "artifacts": sorted(run.artifacts),
        "models": [(model.name, model.flavors, model.status) for model in run.models.values()],
        "status": run.status,
        "experiment": run.experiment,
        "parent": run.parent_id in runs,
        "children": len(run.children),
    }


def steady(text: str, launch: Launch) -> str:
    text = text.replace(str(launch.stdout_path.parent), "AREA") if launch.stdout_path else text
    return re.sub(r"\b[0-9a-f]{32}\b|m-[0-9a-f]{32}|(?<=/)tmp\w+", "ID", text)


def said(launch: Launch) -> list[str]:
    """What MLflow's own lines say, and how a traceback ends."""
    lines = re.findall(
        r"^\S+ \S+ (?:INFO|WARNING|ERROR) mlflow.*|^[\w.]+(?:Error|Exception): .*", launch.stderr, re.M
    )
    return [re.sub(r"^\d\S+ \d\S+ ", "", steady(line, launch)) for line in lines]


def case_of(project: Path) -> Case:
    return cases_of(load_settings(project))[0]


@pytest.mark.heavy
@pytest.mark.parametrize("project", PROJECTS)
def test_every_stage_and_relative(tmp_path: Path, fork_server: ForkServer, project: str) -> None:
    for case in cases_of(load_settings(ROOT / project)):
        plain, forked = both(tmp_path, fork_server, case)
        assert forked == plain


TRAIN = "import mlflow\nmlflow.log_metric('loss', 0.5, step=1)\nprint('trained')\n"
PROJECT = "entry_points:\n  main:\n    parameters:\n      lr: {type: float, default: 0.1}\n"
PROJECT += '    command: "python train.py {lr}"\n'


@pytest.mark.launch
@pytest.mark.parametrize("store", ["file", "sqlite"])
def test_what_is_logged(
    tmp_path: Path, fork_server: ForkServer, make_project: MakeProject, store: str
) -> None:
    case = case_of(make_project(files={"MLproject": PROJECT, "train.py": TRAIN}))
    plain, forked = both(tmp_path, fork_server, replace(case, params={"lr": "1e-3"}), store=store)
    assert forked == plain
    assert forked["exit_code"] == 0
    assert forked["stdout"] == "trained\n"
    (run,) = forked["runs"]
    assert run["params"] == {"lr": "1e-3"}
    assert run["metrics"] == {"loss": [(1, 0.5)]}
    assert run["tags"]["mlflow.source.type"] == "PROJECT"
    assert ("log_metric", "loss") in {one[:2] for one in forked["observations"]}


FAILING = {
    "a script that exits": ("import sys; sys.exit(3)", {}, 1),
    "a script that raises": ("raise ValueError('on purpose')", {}, 1),
    "a script that is killed": ("import os; os.kill(os.getpid(), 9)", {}, 1),
    "an experiment of its own": (
        "import mlflow; mlflow.log_param('p', 1)",
        {"MLFLOW_EXPERIMENT_NAME": "own"},
        0,
    ),
    "an experiment that isn't there": ("print('trained')", {"MLFLOW_EXPERIMENT_ID": "77"}, 1),
    "two experiments": (
        "print('trained')",
        {"MLFLOW_EXPERIMENT_ID": "0", "MLFLOW_EXPERIMENT_NAME": "own"},
        2,
    ),
}


@pytest.mark.launch
@pytest.mark.parametrize("kind", FAILING)
def test_errors_and_exit_codes(
    tmp_path: Path, fork_server: ForkServer, make_project: MakeProject, kind: str
) -> None:
    script, env, exit_code = FAILING[kind]
    case = case_of(make_project(files={"MLproject": PROJECT, "train.py": script}))
    plain, forked = both(tmp_path, fork_server, replace(case, env=env))
    assert forked == plain
    # What the command itself refuses ends with 1 in MLflow 2.
    assert forked["exit_code"] == (1 if exit_code == 2 and version("mlflow") < "3" else exit_code)


@pytest.mark.launch
def test_a_script_as_entry_point(tmp_path: Path, fork_server: ForkServer, make_project: MakeProject) -> None:
    directory = make_project(files={"train.py": TRAIN})
    (directory / "MLproject").unlink(missing_ok=True)
    settings = load_settings(directory, command_line={"entry_point": "train.py"})
    plain, forked = both(tmp_path, fork_server, cases_of(settings)[0])
    assert forked == plain
    assert forked["exit_code"] == 0


@pytest.mark.launch
def test_unobserved(tmp_path: Path, fork_server: ForkServer, make_project: MakeProject) -> None:
    case = case_of(make_project(files={"MLproject": PROJECT, "train.py": TRAIN}))
    plain, forked = both(tmp_path, fork_server, case, observer=False)
    assert forked == plain
    assert forked["observations"] == []
