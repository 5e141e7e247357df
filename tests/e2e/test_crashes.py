"""What a launch failed of, however the program says it, and what it went on without."""

from __future__ import annotations

import pytest

from support.projects import MakeProject

pytestmark = [pytest.mark.e2e, pytest.mark.launch]

MLPROJECT = 'entry_points: {main: {command: "python train.py"}}\n'

BOXED = """\
import sys

def boxed(kind, error, _):
    print("┌ it went wrong ┐", file=sys.stderr)

sys.excepthook = boxed

def load():
    try:
        return {}["lr"]
    except KeyError as error:
        raise RuntimeError("no configuration") from error

load()
"""

STEPS = """\
import subprocess, sys

ended = subprocess.run([sys.executable, "etl.py"], stderr=subprocess.DEVNULL)
if ended.returncode:
    print("a step failed")
    sys.exit(ended.returncode)
"""

SWALLOWED = """\
import mlflow

mlflow.set_experiment("mine")
try:
    with mlflow.start_run():
        mlflow.log_metric("loss", 1.0, step=1)
except Exception as error:
    print("no tracking today:", type(error))
"""


@pytest.mark.parametrize(
    ("files", "title", "why"),
    [
        (
            {"train.py": BOXED},
            "failed: KeyError: 'lr' (then RuntimeError: no configuration)",
            "`python train.py` ended with KeyError in train.py:10.",
        ),
        (
            {"train.py": STEPS, "etl.py": "rows = []\nprint(rows[3])\n"},
            "failed: IndexError: list index out of range",
            "`python train.py` started etl.py, which ended with IndexError in etl.py:2.",
        ),
    ],
    ids=["boxed", "step"],
)
def test_the_exception_is_that_of_the_process(
    files: dict[str, str], title: str, why: str, pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project(files={"MLproject": MLPROJECT, **files})
    result = pytester.runpytest("--mlflow-project=proj", "-k", "launches")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*launches: fluent and mlflow run " + title.replace("[", "[[]") + "*"])
    assert why in " ".join(result.stdout.str().split())


@pytest.mark.mlflow
def test_a_run_that_the_code_went_on_without_is_named(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project(files={"MLproject": MLPROJECT, "train.py": SWALLOWED})
    result = pytester.runpytest("--mlflow-project=proj", "-k", "launches")
    result.assert_outcomes(failed=1)
    said = " ".join(result.stdout.str().split())
    assert "[experiment-hardcoded]" in said
    assert "train.py:5 went on without it" in said
    assert "train.py:3" in said
    assert "run-empty" not in said


def test_headings_name_the_project_where_there_are_several(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    for directory in ("first", "second"):
        make_project(directory, {"MLproject": MLPROJECT, "train.py": "1 / 0\n"})
    both = ("--mlflow-project=first", "--mlflow-project=second")
    result = pytester.runpytest(*both, "-k", "launches", "--mlflow-launch=fluent")
    result.stdout.fnmatch_lines(["_* first::main::launches _*", "_* second::main::launches _*"])
