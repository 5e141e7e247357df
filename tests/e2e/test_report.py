"""`--mlflow-report` in a session: written once, whole, and whatever happens."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from support.projects import LOGGING, MakeProject

MLPROJECT = """
entry_points:
  main:
    parameters:
      number: int
    command: "python train.py {number}"
"""

TWO_CASES = """
[[case]]
id = "one"
params = { number = 1 }

[[case]]
id = "two"
params = { number = 2 }
"""

SCRIPT = (
    LOGGING.replace('"f00d"\n', 'os.environ.get("MLFLOW_RUN_ID", "f00d")\n')
    .replace("(parents=True)", "(parents=True, exist_ok=True)")
    .replace("run_name: r,", "run_name: bold-ant-123,")
    .replace('(run / "meta.yaml")', 'run.name == "f00d" and (run / "meta.yaml")')
)
"""Logs the same by hand, in both modes."""

PROJECT = {"MLproject": MLPROJECT, "mlflow-check.toml": TWO_CASES, "train.py": SCRIPT}
FLUENT = ("--mlflow-project=proj", "--mlflow-launch=fluent")


def report_in(directory: Path, name: str = "report.json") -> dict[str, Any]:
    """The report that a session wrote."""
    parsed: dict[str, Any] = json.loads((directory / name).read_text(encoding="utf-8"))
    return parsed


def outcomes(report: dict[str, Any]) -> dict[str, list[str]]:
    """The outcomes of the checks, by case."""
    cases = [case for project in report["projects"] for case in project["cases"]]
    return {case["id"]: [check["outcome"] for check in case["checks"]] for case in cases}


_ANOTHER_EACH_TIME = r"/\S+|\b[0-9a-f]{32}\b|[a-z]+-[a-z]+-\d+|\d\d:\d\d:\d\d"


def without_times(part: Any) -> Any:
    """A report without what is another one each time: times, ids, directories, names that MLflow invents."""
    if isinstance(part, dict):
        times = ("seconds", "created", "first", "last", "files", "run_id")
        return {key: without_times(value) for key, value in part.items() if key not in times}
    if isinstance(part, list):
        return [without_times(one) for one in part]
    return re.sub(_ANOTHER_EACH_TIME, "…", part) if isinstance(part, str) else part


@pytest.mark.launch
@pytest.mark.parametrize(
    ("launch", "workers"), [("fluent", 2), pytest.param("both", 4, marks=pytest.mark.heavy)]
)
def test_the_report_is_the_same_with_workers_but_for_times(
    pytester: pytest.Pytester, make_project: MakeProject, launch: str, workers: int
) -> None:
    make_project("proj", PROJECT)
    options = ("--mlflow-project=proj", f"--mlflow-launch={launch}")
    alone = pytester.runpytest_subprocess(*options, "-n0", "--mlflow-report=alone.json")
    together = pytester.runpytest_subprocess(*options, f"-n{workers}", "--mlflow-report=together.json")
    assert (alone.ret, together.ret) == (1, 1)
    report = report_in(pytester.path, "alone.json")
    assert without_times(report) == without_times(report_in(pytester.path, "together.json"))
    assert together.stdout.str().count("report: together.json") == 1
    (project,) = report["projects"]
    assert [case["id"] for case in project["cases"]] == ["one", "two"]
    modes = [launch["mode"] for launch in project["cases"][1]["launches"]]
    assert modes == (["fluent", "mlflow-run"] if launch == "both" else ["fluent"])
    (finding,) = project["cases"][0]["checks"][2]["findings"]
    assert (finding["rule"], finding["subject"]) == ("metric-without-step", "loss")


@pytest.mark.launch
def test_each_suffix_gives_its_shape_and_what_cannot_be_written_is_one_message(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    right = SCRIPT.replace("2 0.25 0", "2 0.25 1")
    make_project("proj", {**PROJECT, "train.py": right})
    files = ("out/a.json", "out/a.md", "out/a.html", "proj/train.py/b.json")
    pytester.makeini("\n  ".join(["[pytest]\nmlflow_report =", *files]))
    result = pytester.runpytest_subprocess(*FLUENT)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            *(f"report: {file}" for file in files[:3]),
            "error: the report proj/train.py/b.json can't be written: File exists: name another place  "
            "--mlflow-report=FILE.json",
        ]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    out = pytester.path / "out"
    assert outcomes(report_in(out, "a.json")) == {
        "one": ["passed", "skipped", "passed", "passed", "skipped"],
        "two": ["passed", "skipped", "passed", "passed", "skipped"],
    }
    assert (out / "a.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert (out / "a.md").read_text(encoding="utf-8").startswith("## ✅ mlflow-check: ")


@pytest.mark.launch
def test_a_session_that_is_interrupted_reports_what_it_has(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", PROJECT)
    pytester.makepyfile(test_first="def test_it(): raise KeyboardInterrupt")
    result = pytester.runpytest_subprocess(*FLUENT, "--mlflow-report=report.json", "test_first.py")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "report: report.json" in result.outlines
    report = report_in(pytester.path)
    assert report["verdict"] == "incomplete"
    assert report["headline"] == "The session ended early: 10 of 10 checks in 2 cases weren't made."
    assert outcomes(report) == {"one": ["not-run"] * 5, "two": ["not-run"] * 5}


@pytest.mark.launch
@pytest.mark.heavy
def test_what_workers_did_not_come_to_is_marked(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", PROJECT)
    pytester.makepyfile(test_first="def test_it(): assert False")
    options = (*FLUENT, "--mlflow-report=report.json", "test_first.py", "-n2", "-x")
    assert "report: report.json" in pytester.runpytest_subprocess(*options).outlines
    assert "not-run" in {one for of_case in outcomes(report_in(pytester.path)).values() for one in of_case}


@pytest.mark.launch
def test_a_fault_of_ours_in_the_report_takes_nothing_away(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", PROJECT)
    pytester.makeconftest(
        """
        import pytest_mlflow_check.reporting.builder as building

        def build(*_, **__):
            raise RuntimeError("a mistake")

        building.build = build
        """
    )
    result = pytester.runpytest_subprocess(*FLUENT, "--mlflow-report=report.json")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(
        [
            "metrics: 1 with every point at step 0*",
            "INTERNAL ERROR in pytest-mlflow-check: a fault of the plugin, not of your project: there is *",
            "RuntimeError: a mistake",
        ]
    )


def test_another_suffix_is_refused(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", PROJECT)
    result = pytester.runpytest_inprocess(*FLUENT, "--mlflow-report=report.txt")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [
        "ERROR: --mlflow-report=report.txt: the suffix says what to write: name a file that ends in .json, "
        ".md or .html",
        "",
    ]


def test_a_directory_is_refused(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", PROJECT)
    (pytester.path / "report.md").mkdir()
    result = pytester.runpytest_inprocess(*FLUENT, "--mlflow-report=report.md")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == ["ERROR: --mlflow-report=report.md: this is a directory: name a file", ""]


def test_listing_writes_nothing(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", PROJECT)
    result = pytester.runpytest_inprocess(*FLUENT, "--mlflow-report=report.json", "--co")
    assert result.ret == 0
    assert not (pytester.path / "report.json").exists()


def test_none_is_promised_where_nothing_is_launched(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", PROJECT)
    result = pytester.runpytest_inprocess(*FLUENT, "--mlflow-report=report.json", "--mlflow-static")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [
        "ERROR: --mlflow-report: a report is made of launches: leave out --mlflow-static",
        "",
    ]
