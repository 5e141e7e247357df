"""Projects that need more of a store than an empty file store, launched for real."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest
from packaging.version import Version

from support.projects import FILES, MakeProject

pytestmark = [pytest.mark.e2e, pytest.mark.launch, pytest.mark.mlflow]

MLFLOW_3 = Version(version("mlflow")).major >= 3
DATASET = """
import mlflow

with mlflow.start_run():
    mlflow.log_param("lr", 0.1)
    mlflow.genai.datasets.create_dataset(name="questions")
"""
REGISTERED = """
import mlflow

with mlflow.start_run():
    mlflow.log_param("lr", 0.1)
    mlflow.pyfunc.load_model("models:/fraud@champion")
"""


def said(result: pytest.RunResult) -> str:
    """The output, with the line ends of wrapped sentences as spaces."""
    return re.sub(r"\s+", " ", result.stdout.str())


@pytest.mark.skipif(not MLFLOW_3, reason="MLflow 2 has no evaluation datasets")
def test_a_dataset_needs_a_database(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(files={**FILES, "train.py": DATASET})
    result = pytester.runpytest_subprocess("--mlflow-project=proj")
    assert result.ret == 1
    assert "search_datasets needs a database" in said(result) or "create_dataset needs a" in said(result)
    assert "pytest-mlflow-check chose it" in said(result)
    assert "--mlflow-store=sqlite" in said(result)
    result = pytester.runpytest_subprocess("--mlflow-project=proj", "--mlflow-store=sqlite")
    assert result.ret == 0


def test_a_model_of_the_team(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(files={**FILES, "train.py": REGISTERED})
    result = pytester.runpytest_subprocess("--mlflow-project=proj")
    assert result.ret == 1
    assert "The code wants the model fraud, which isn't in this launch's registry" in said(result)
    assert "train.py:6" in said(result)
