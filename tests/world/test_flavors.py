"""Models of many flavors, really logged, registered and loaded back outside the project."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.sessions import ROOT, outcome, run_session

pytestmark = pytest.mark.e2e

FLAVORS = "tests/projects/flavors"


def found_in(tmp_path: Path, case: str) -> tuple[str, dict[str, dict[str, set[str]]]]:
    """The output of a session on one case of the project, and its findings; all of its items did run."""
    output, report = run_session(tmp_path, f"--mlflow-project={FLAVORS}", "-k", case)
    assert [item.attrib["name"] for item in report.iter("testcase") if item.find("skipped") is not None] == []
    (checks,) = outcome(report).values()
    return output, checks


def line_of(call: str) -> int:
    lines = (ROOT / FLAVORS / "mistaken.py").read_text(encoding="utf-8").splitlines()
    (number,) = (number for number, line in enumerate(lines, 1) if call in line)
    return number


@pytest.mark.launch
def test_what_comes_with_mlflow_loads(tmp_path: Path) -> None:
    """pyfunc objects, one of the script's own class and one whose module is taken along, pyfunc from code,
    and scikit-learn."""
    output, found = found_in(tmp_path, "main")
    assert found == {}, output
    assert "warning:" not in output


@pytest.mark.launch
def test_what_needs_code_that_is_at_home_only(tmp_path: Path) -> None:
    """A class from a module beside the script, without `code_paths`; and a function of the script's own,
    pickled by its name. cloudpickle, MLflow's default for pyfunc, takes the script's own code along."""
    output, found = found_in(tmp_path, "mistaken")
    assert found == {"models": {"model-not-loadable": {"beside", "in_script"}}}, output
    unwrapped = re.sub(r"\s+", " ", output)
    for name, call, why in (
        (
            "beside",
            'log_model("beside"',
            "it needs the module beside, which is beside.py of the project and isn't in the model.",
        ),
        (
            "in_script",
            'log_model(doubled, "in_script"',
            "double was pickled from __main__: a pickle keeps only the name, and elsewhere mistaken.py isn't "
            "__main__.",
        ),
    ):
        assert f"{name} registers, but {why}" in unwrapped
        assert f"{name} doesn't load doesn't load mistaken.py:{line_of(call)}" in unwrapped


@pytest.mark.heavy
def test_what_needs_a_library_of_its_own(tmp_path: Path) -> None:
    """XGBoost, its scikit-learn interface, LightGBM and PyTorch, whose module is of the script's class."""
    output, found = found_in(tmp_path, "heavy")
    assert found == {}, output
    assert "warning:" not in output
