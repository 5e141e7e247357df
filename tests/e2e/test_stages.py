"""The reference project and every stage it grew through: real launches, exactly the findings named."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from support.sessions import findings, outcome, run_session

pytestmark = pytest.mark.e2e

STAGES: dict[str, dict[str, dict[str, set[str]]]] = {
    "tests/projects/stage0": {"launches": {"no-run-logged": {"fluent and mlflow run"}}},
    "tests/projects/stage1": {"params": {"param-missing-in-fluent": {"index", "log_dir", "model_dir"}}},
    "tests/projects/stage1b": {
        "params": {"param-missing-in-fluent": {"index", "log_dir", "model_dir"}},
        "metrics": {"metric-without-step": {"current_iter"}},
    },
    "tests/projects/stage2": {},
    "tests/projects/stage3": {"launches": {"mlproject-null-default": {"model_dir"}}},
    "tests/projects/stage4": {"launches": {"param-rewritten": {"model_dir"}}},
    "tests/projects/stage5": {},
    "tests/projects/stage6": {"artifacts": {"model-as-artifact": {"model_dir/model_pickle"}}},
    "example_project": {},
}
"""The findings of each project: by check and rule, what they are about."""

MISTAKES: dict[str, dict[str, set[str]]] = {
    "params": {
        "param-differs": {"alpha"},
        "param-missing-in-mlflow-run": {"only_fluent"},
        "param-missing-in-fluent": {"only_under_mlflow_run"},
        "param-quoted": {"text"},
    },
    "metrics": {
        "metric-missing": {"missing_fluent", "missing_under_mlflow_run"},
        "metric-points-differ": {"points"},
        "metric-without-step": {"stepless"},
        "metric-steps-differ": {"steps"},
        "metric-values-differ": {"values"},
    },
    "artifacts": {
        "artifact-missing": {"folder/one.txt", "folder/other.txt"},
        "artifact-content-differs": {"same-name.txt"},
        "model-as-artifact": {"weights"},
    },
    "models": {
        "model-differs": {"differs"},
        "model-missing": {"missing"},
        "model-not-registrable": {"half"},
        "model-not-loadable": {"unloadable"},
    },
}


@pytest.mark.launch
@pytest.mark.parametrize(("store", "workers"), [("file", "2"), ("sqlite", "0")])
def test_every_stage_gives_exactly_its_findings(tmp_path: Path, store: str, workers: str) -> None:
    projects = [f"--mlflow-project={project}" for project in STAGES]
    output, report = run_session(tmp_path, "-n", workers, f"--mlflow-store={store}", *projects)
    assert outcome(report) == STAGES, output
    # Clean means clean: no warning either, and no allowance that nothing needed.
    assert "warning:" not in output


@pytest.mark.launch
def test_every_mistake_of_a_real_project_is_found_once(tmp_path: Path) -> None:
    output, report = run_session(tmp_path, "--mlflow-project=tests/projects/mistakes")
    found = {
        item.attrib["name"]: findings((failure.text or "") + "\n")
        for item in report.iter("testcase")
        if item.attrib["classname"].endswith(".main")
        for failure in item.iter("failure")
    }
    expected = {check: dict(rules) for check, rules in MISTAKES.items()}
    if importlib.metadata.version("mlflow").startswith("2."):
        # MLflow 2 leaves nothing behind of a model that it couldn't log.
        del expected["models"]["model-not-registrable"]
    assert found == expected, output
    assert "[run-missing]" in output


@pytest.mark.launch
def test_autologging_passes_with_values_that_survive_as_text(tmp_path: Path) -> None:
    """`C=0.5` is `0.5` in the shell and in Python; what autologging logs again is the same."""
    output, report = run_session(tmp_path, "--mlflow-project=tests/projects/sklearn_autolog")
    assert outcome(report) == {"tests/projects/sklearn_autolog": {}}, output


@pytest.mark.launch
def test_autologging_loses_every_param_when_one_is_written_another_way(tmp_path: Path) -> None:
    """`C=1` is `1` in the shell and `1.0` in Python: MLflow refuses the whole batch, and autologging only
    warns. Twelve hyper-parameters are gone, with exit code 0."""
    output, report = run_session(
        tmp_path, "--mlflow-project=tests/projects/sklearn_autolog", "-P", "C=1", "-rs"
    )
    found = outcome(report)["tests/projects/sklearn_autolog"]
    assert found == {"launches": {"autologging-failed": {"sklearn"}}}, output
    # The params that are missing for it are its symptoms.
    assert "autologging-failed (see launches)" in output
