"""The relatives of the reference project: kinds of projects that people have, as they should be (`main`), and
with the mistake that is made most often in each (`mistaken`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sessions import outcome, run_session

pytestmark = pytest.mark.e2e

RELATIVES = "tests/projects/relatives"

LIGHT: dict[str, dict[str, dict[str, set[str]]]] = {
    # Dozens of values in a configuration object. What is logged under the MLproject's names is typed:
    # `0.0005` where `mlflow run` has logged `5e-4`. A file store names the first of three that differ.
    "many_params": {},
    "many_params/mistaken": {"launches": {"param-rewritten": {"lr"}}},
    # The weights are written to a file, and the run knows its path.
    "path_only": {},
    "path_only/mistaken": {"artifacts": {"model-as-artifact": {"runs/train/exp/weights/best.pkl"}}},
    # Hyper-parameters evolve from trial to trial. Without runs of their own the second trial dies.
    "nested_sweep": {},
    "nested_sweep/mistaken": {"launches": {"param-rewritten": {"lr"}}},
    # One run, and a model for each epoch. The mistake logs one growing directory of pickles again and again.
    "model_per_epoch": {},
    "model_per_epoch/mistaken": {
        "artifacts": {
            "model-as-artifact": {
                "epoch-1/model-1.pkl",
                "epoch-2/model-1.pkl",
                "epoch-2/model-2.pkl",
                "epoch-3/model-1.pkl",
                "epoch-3/model-2.pkl",
                "epoch-3/model-3.pkl",
            }
        }
    },
    # Its steps are runs of MLflow, which makes environments for them unless told not to.
    "orchestrating": {},
    "orchestrating/mistaken": {"launches": {"inner-run-environment": {"conda"}}},
}
"""The findings of each case: by check and rule, what they are about."""


@pytest.mark.launch
def test_every_relative_gives_exactly_its_findings(tmp_path: Path) -> None:
    projects = dict.fromkeys(case.partition("/")[0] for case in LIGHT)
    output, report = run_session(
        tmp_path, "-n", "2", *(f"--mlflow-project={RELATIVES}/{name}" for name in projects)
    )
    found = outcome(report)
    assert found == {f"{RELATIVES}/{case}": expected for case, expected in LIGHT.items()}, output
    assert "warning:" not in output


@pytest.mark.heavy
def test_the_callback_of_a_trainer_loses_every_param_behind_one_that_is_written_another_way(
    tmp_path: Path,
) -> None:
    """Hugging Face's callback logs all its arguments in a thread. `mlflow run` has logged
    `num_train_epochs` as `2`, the callback says `2.0`; MLflow refuses, the thread writes a line into the
    output, and more than 60 arguments that come after it are missing. The exit code is 0."""
    output, report = run_session(tmp_path, "-n", "2", "-rs", f"--mlflow-project={RELATIVES}/callback_trainer")
    assert outcome(report) == {
        f"{RELATIVES}/callback_trainer": {},
        f"{RELATIVES}/callback_trainer/mistaken": {
            "launches": {"async-logging-failed": {"num_train_epochs"}}
        },
    }, output
    # The params that are missing for it are its symptoms.
    assert "async-logging-failed (see launches)" in output
    assert "warning:" not in output
