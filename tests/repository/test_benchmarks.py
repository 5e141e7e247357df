"""The benchmarks start, and the suite they compare a session with finds what the session finds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT


def test_the_command_starts() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "run.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "{session,cases,series,idle,soak,observer,workspace,report}" in done.stdout


@pytest.mark.e2e
@pytest.mark.heavy
@pytest.mark.launch
@pytest.mark.parametrize(
    ("right", "wrong", "failed"),
    [
        ("", "", set()),
        ("i, step=i)", "i)", {"test_both_log_the_same_metrics"}),
        ('"index": index,', "", {"test_both_log_the_same_params"}),
        ('mlflow.log_artifacts(cfg_log_dir, "log_dir")', "pass", {"test_both_log_the_same_artifacts"}),
        (
            "        log_model(Path(cfg_model_dir))\n",
            '        mlflow.log_artifacts(cfg_model_dir, "iterate_model")\n',
            {"test_the_model_registers_loads_and_predicts"},
        ),
    ],
    ids=["right", "no step", "missing param", "missing artifact", "model as artifact"],
)
def test_the_handwritten_suite_fails_where_the_project_is_wrong(
    tmp_path: Path, right: str, wrong: str, failed: set[str]
) -> None:
    project = shutil.copytree(ROOT / "example_project", tmp_path / "project")
    code = (project / "iterate.py").read_text(encoding="utf-8")
    assert right in code
    (project / "iterate.py").write_text(code.replace(right, wrong), encoding="utf-8")
    suite = ["-m", "pytest", "-p", "no:cacheprovider", "-rf", str(ROOT / "benchmarks" / "handwritten")]
    done = subprocess.run(
        [sys.executable, *suite, f"--basetemp={tmp_path / 'base'}"],
        env={**os.environ, "ITERATE_PROJECT": str(project)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == bool(failed), done.stdout
    assert set(re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE)) == failed
