"""Launches in which MLflow ran where nobody could watch it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_mlflow_check.checks.comparison import compare_launches
from pytest_mlflow_check.checks.unobserved import unobserved
from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.records import Launch, PythonProcess
from pytest_mlflow_check.runtime.observer.read_processes import read_processes, unobserved_code
from support.builders import launch, run

LOGGED = run(params={"a": "1"})
PARENT = PythonProcess(("python", "main.py"))


def said(made: Launch) -> list[str]:
    findings = unobserved(compare_launches({"fluent": made}, settings=ProjectConfig()))
    return [finding.subject for finding in findings]


@pytest.mark.parametrize(
    ("made", "subjects"),
    [
        (launch("fluent", LOGGED, processes=(PythonProcess(("python", "train.py"), True),)), []),
        (launch("fluent", LOGGED, processes=()), ["python train.py"]),
        (launch("fluent", LOGGED, processes=(PARENT,), unobserved_code=("child.py",)), ["child.py"]),
        (launch("fluent", LOGGED, processes=(PARENT,)), []),
        (launch("fluent", LOGGED, processes=(), command="Rscript train.R"), []),
        (launch("fluent", processes=()), []),
        (launch("fluent", processes=(), unobserved_code=("train.py",)), ["train.py"]),
        (launch("fluent", processes=(), unobserved_code=("train.py",), exit_code=1), []),
        (launch("fluent", LOGGED), []),
        (
            launch("fluent", LOGGED, processes=(PythonProcess(("python", "-S", "a b.py"), True, False),)),
            ["python -S 'a b.py'"],
        ),
    ],
    ids=[
        "observed",
        "logged by none",
        "logged by a child",
        "logged without MLflow",
        "another language",
        "no code that uses MLflow",
        "code that uses MLflow",
        "failed before",
        "not known",
        "too late",
    ],
)
def test_what_went_unobserved(made: Launch, subjects: list[str]) -> None:
    assert said(made) == subjects


def test_processes_are_read(tmp_path: Path) -> None:
    (tmp_path / "processes.txt").write_text(
        "1 started ['python', '/bin/mlflow', 'run', '.', '--storage-dir', 'd']\n"
        "1 loaded\n"
        "2 started ['python', 'a b.py']\n"
        "3 unobserved ['python', '-S', 'c.py']\n"
        "2 loaded\n"
        "4 loaded\n"
        "5 started [broken\n"
        "nonsense\n"
        "2 logs 1 0 -\n"
        "6 logs 2 x multiprocessing\n"
        "7 logs 2 - torch.utils.data\n"
        "8 st"
    )
    assert read_processes(tmp_path) == (
        PythonProcess(("python", "a b.py"), loaded_mlflow=True, number=2, parent=1, rank=0),
        PythonProcess(("python", "-S", "c.py"), observed=False, number=3),
        # Forked: their command is that of their parent.
        PythonProcess(("python", "a b.py"), True, number=6, parent=2, worker_of="multiprocessing"),
        PythonProcess(("python", "a b.py"), True, number=7, parent=2, worker_of="torch.utils.data"),
    )
    assert read_processes(tmp_path / "none") == ()


def test_code_that_nobody_saw(tmp_path: Path) -> None:
    for name, text in {
        "main.py": "import subprocess\nsubprocess.run(['python', '-S', 'child.py'])\n",
        "child.py": "from mlflow import log_metric\n",
        "tools/other.py": "import mlflow\n",
        "tools/plain.py": "import mlflow_like\n",
        ".tox/x.py": "import mlflow\n",
        "env/pyvenv.cfg": "",
        "env/lib/x.py": "import mlflow\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert unobserved_code(tmp_path, "python main.py", ()) == ("child.py", "tools/other.py")
    # Named by a script that was observed.
    assert unobserved_code(tmp_path, "python main.py", (PARENT,)) == ("child.py",)
    # Observed, and it never came to import MLflow.
    child = PythonProcess(("python", "child.py"))
    assert unobserved_code(tmp_path, "python main.py", (PARENT, child)) == ()
