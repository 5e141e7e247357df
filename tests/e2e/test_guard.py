"""Whole sessions of projects whose commands are unlike ours: what the guard could not hold is said."""

from __future__ import annotations

import pytest

from support.projects import MakeProject

pytestmark = [pytest.mark.e2e, pytest.mark.launch]


def test_a_child_that_nobody_saw_is_named(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    """Its variables arrive, so that its run is there; without them there would be none."""
    make_project(
        "proj",
        {
            "MLproject": 'entry_points: {main: {command: "python main.py"}}\n',
            "main.py": "import subprocess, sys\n"
            "code = f'import sys; sys.path += {sys.path}; import runpy; runpy.run_path(\"child.py\")'\n"
            "subprocess.run([sys.executable, '-S', '-c', code], check=True)\n",
            "child.py": "import mlflow\nwith mlflow.start_run():\n    mlflow.log_metric('loss', 1.0)\n",
        },
    )
    result = pytester.runpytest("--mlflow-project=proj")
    result.stdout.fnmatch_lines(["launches: MLflow ran unobserved: *launch-unobserved?"])
    result.stdout.no_fnmatch_line("*logged nothing*")
    assert result.ret == 1


def test_code_that_no_process_ran_is_no_logging_of_nothing(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    """Without variables and without `site` nothing of it can be known, and that is said."""
    make_project(
        "proj",
        {
            "MLproject": 'entry_points: {main: {command: "env -i $(which python) -S train.py || true"}}\n',
            "train.py": "import mlflow\nmlflow.log_metric('loss', 1.0)\n",
        },
    )
    result = pytester.runpytest("--mlflow-project=proj")
    result.stdout.fnmatch_lines(["launches: MLflow ran unobserved: train.py *launch-unobserved?"])
    result.stdout.no_fnmatch_line("*logged nothing to MLflow*")
    assert result.ret == 1
