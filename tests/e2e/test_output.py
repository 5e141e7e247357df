"""What a session prints and how it ends, with launches of scripts that don't import MLflow."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.findings import CHECKS
from support.projects import FILES, LOGGING, MakeProject

PROJECT = "--mlflow-project=proj"
FLUENT = 'launch = "fluent"\n'
SILENT = {**FILES, "mlflow-check.toml": FLUENT}
WARNING = '[rules]\nmetric-without-step = "warning"\n'
ALLOWANCE = '[[allow]]\nrule = "param-differs"\nmatch = "x*"\nreason = "none"\n'
WARNS = {**FILES, "train.py": LOGGING, "mlflow-check.toml": FLUENT + WARNING + ALLOWANCE}

UNUSED_STRICT = """\
error (strict): proj: [[allow]] rule = "param-differs", match = "x*": nothing
  needed it; remove it"""
SKIPPED = "the fluent launch logged nothing (see launches)"
NOTHING_LOGGED = """\
launches: fluent logged nothing                                  [no-run-logged]

    launch    fluent    mlflow run
    fluent    no run    not launched

    `python train.py` ended with exit code 0, and its code logged nothing to
    MLflow.

    python train.py
    the end of AREA/fluent/stdout.txt:
      trained

    fix: in train.py write  import mlflow  at the top, a run around what trains:
         with mlflow.start_run():  and in it what is worth knowing:
         mlflow.log_metric("…", …)
    more: pytest --mlflow-explain=no-run-logged"""
HEAD = "case        launches  params   metrics  artifacts  models"


AREA = re.compile(r"/\S*/mlflow-check/[\w.-]+/([\w-]+)/attempt-\w+/")
"""Where launches are kept."""


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of pytest's own are as long as the terminal is wide."""
    monkeypatch.setenv("COLUMNS", "80")


def output(result: pytest.RunResult) -> str:
    """All after the progress lines, without seconds, lengths of lines, and where pytest keeps things."""
    text = result.stdout.str().rpartition("[100%]\n")[2].strip("\n")
    text = re.sub(r" in [\d.]+s\b", "", text)
    text = re.sub(r"^(FAILED \S+) - .*$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"^([=_])\1+ (.*?) \1+$", r"\1\1 \2 \1\1", text, flags=re.MULTILINE)
    text = re.sub(r"^(copies, stores and outputs of the launches):\s.*\n", "", text, flags=re.MULTILINE)
    return AREA.sub(r"AREA/\1/", text)


def table(result: pytest.RunResult) -> list[str]:
    """The lines of the summary."""
    lines = output(result).splitlines()
    return lines[lines.index("== mlflow-check ==") + 1 : -1]


def test_a_project_that_logs_nothing(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", SILENT)
    result = pytester.runpytest(PROJECT, "-rs")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert output(result) == snapshot("""\
== FAILURES ==
__ main::launches __
launches: fluent logged nothing                                  [no-run-logged]

    launch    fluent    mlflow run
    fluent    no run    not launched

    `python train.py` ended with exit code 0, and its code logged nothing to
    MLflow.

    python train.py
    the end of AREA/fluent/stdout.txt:
      trained

    fix: in train.py write  import mlflow  at the top, a run around what trains:
         with mlflow.start_run():  and in it what is worth knowing:
         mlflow.log_metric("…", …)
    more: pytest --mlflow-explain=no-run-logged
== mlflow-check ==
case        launches  params   metrics  artifacts  models
proj::main  FAILED    skipped  skipped  skipped    skipped
== short test summary info ==
SKIPPED [4] proj/MLproject:2: the fluent launch logged nothing (see launches)
== 1 failed, 4 skipped ==\
""")


def test_a_script_that_fails(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", {**SILENT, "train.py": "print('out')\nraise SystemExit('no data')\n"})
    result = pytester.runpytest(PROJECT)
    assert output(result).startswith(
        "== FAILURES ==\n"
        "__ main::launches __\n"
        "launches: fluent failed: exit code 1: no data                    [launch-failed]\n\n"
        "    launch    fluent         mlflow run\n"
        "    fluent    exit code 1    not launched\n\n"
        "    `python train.py` ended with exit code 1.\n\n"
        "    python train.py\n"
        "    the end of AREA/fluent/stderr.txt:\n"
        "      no data\n"
        "    logged until then: nothing\n\n"
        "    fix: start it by hand, and resolve what it says:  python train.py\n"
        "    more: pytest --mlflow-explain=launch-failed\n"
        "== mlflow-check ==\n"
    )


def test_warnings_and_unused_allowances(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", WARNS)
    result = pytester.runpytest(PROJECT)
    assert result.ret == pytest.ExitCode.OK
    assert output(result) == snapshot("""\
== mlflow-check ==
case        launches  params   metrics      artifacts  models
proj::main  passed    skipped  passed (1w)  passed     skipped
warning: proj::main: metrics: 1 with every point at step 0: loss (2 points at
  step 0) [metric-without-step]: Without `step` every point lands on step 0:
  MLflow doesn't count. fix: mlflow.log_metric("loss", …, step=…)
warning: proj: [[allow]] rule = "param-differs", match = "x*": nothing needed
  it; remove it
== 3 passed, 2 skipped ==\
""")


def test_a_failure_says_where_everything_is_stored(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", SILENT)
    result = pytester.runpytest(PROJECT)
    (kept,) = map(Path, re.findall(r"^copies, stores and outputs of .*:\s+(.*)", result.stdout.str(), re.M))
    assert [file.read_text() for file in kept.glob("proj-main-*/fluent/attempt-*/stdout.txt")] == [
        "trained\n"
    ]


def test_strict_fails_by_warnings(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", WARNS)
    result = pytester.runpytest(PROJECT, "--mlflow-strict")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert output(result) == snapshot("""\
== FAILURES ==
__ main::metrics __
warning: metrics: 1 with every point at step 0             [metric-without-step]

    metric    fluent                mlflow run
    loss      2 points at step 0    not launched

    Without `step` every point lands on step 0: MLflow doesn't count.
    fix: mlflow.log_metric("loss", …, step=…)
    more: pytest --mlflow-explain=metric-without-step
== mlflow-check ==
case        launches  params   metrics  artifacts  models
proj::main  passed    skipped  FAILED   passed     skipped
error (strict): proj: [[allow]] rule = "param-differs", match = "x*": nothing
  needed it; remove it
to look at what proj::main logged (fluent):
  MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri file:AREA/fluent/store
== short test summary info ==
FAILED proj/MLproject::main::metrics
== 1 failed, 2 passed, 2 skipped ==\
""")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_strict_fails_by_an_unused_allowance_alone(
    pytester: pytest.Pytester, make_project: MakeProject, workers: str
) -> None:
    off = WARNING.replace("warning", "off")
    make_project("proj", {**WARNS, "mlflow-check.toml": f"{FLUENT}strict = true\n{off}{ALLOWANCE}"})
    result = pytester.runpytest(PROJECT, "-n", workers)
    result.assert_outcomes(passed=3, skipped=2)
    assert "\n".join(table(result)[-2:]) == UNUSED_STRICT
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_used_allowance(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    used = '[[allow]]\nrule = "metric-without-step"\nmatch = "lo*"\nreason = "old plots"\n'
    make_project("proj", {**WARNS, "mlflow-check.toml": FLUENT + used})
    result = pytester.runpytest(PROJECT, "--mlflow-strict")
    assert result.ret == pytest.ExitCode.OK
    assert table(result) == [HEAD, "proj::main  passed    skipped  passed   passed     skipped"]


@pytest.mark.parametrize(
    "arguments",
    [
        "-k metrics",
        "--deselect=proj/MLproject::other.py",
        "--mlflow-entry-point=main",
        "-P x=1",
        "--mlflow-launch=fluent -o mlflow_store=file",
    ],
)
def test_what_is_left_out_cannot_tell_of_an_allowance(
    pytester: pytest.Pytester, make_project: MakeProject, arguments: str
) -> None:
    """An allowance may be needed by just what this session doesn't look at."""
    cases = '[[case]]\nentry_point = "main"\n[[case]]\nentry_point = "other.py"\n'
    launch = "" if "launch" in arguments else FLUENT
    make_project(
        "proj", {**WARNS, "other.py": LOGGING, "mlflow-check.toml": launch + WARNING + ALLOWANCE + cases}
    )
    result = pytester.runpytest(PROJECT, "--mlflow-strict", *arguments.split())
    assert "nothing needed it" not in str(result.stdout)


@pytest.mark.parametrize("selection", ["params", "params or models", "not launches"])
def test_a_failed_launch_is_reported_though_launches_is_deselected(
    pytester: pytest.Pytester, make_project: MakeProject, selection: str
) -> None:
    make_project("proj", SILENT)
    result = pytester.runpytest(PROJECT, "-k", selection)
    selected = [check for check in CHECKS[1:-1] if check in selection or selection == "not launches"]
    result.assert_outcomes(failed=1, skipped=len(selected) - 1, deselected=5 - len(selected))
    assert output(result).startswith(f"== FAILURES ==\n__ main::params __\n{NOTHING_LOGGED}\n== mlflow-check")


def test_a_launch_that_cannot_be_made_is_reported_once(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise UserError("no room:\n  make some")

    make_project("proj", SILENT)
    monkeypatch.setattr("pytest_mlflow_check.engine.launcher.make_launch", no_room)
    result = pytester.runpytest(PROJECT, "-rs")
    assert output(result) == snapshot("""\
== FAILURES ==
__ main::launches __
no room:
  make some
== mlflow-check ==
case        launches  params   metrics  artifacts  models
proj::main  FAILED    skipped  skipped  skipped    skipped
== short test summary info ==
SKIPPED [4] proj/MLproject:2: no launch could be made (see launches)
== 1 failed, 4 skipped ==\
""")
    pytester.runpytest(PROJECT, "-k", "models or metrics").assert_outcomes(failed=1, skipped=1, deselected=3)


def test_a_fault_of_ours_is_told_from_the_user_s(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("ours")

    make_project("proj", WARNS)
    monkeypatch.setattr("pytest_mlflow_check.checks.runner.CaseJudge.judge", broken)
    result = pytester.runpytest(PROJECT, "--mlflow-strict")
    result.assert_outcomes(failed=5)
    head = "INTERNAL ERROR in pytest-mlflow-check: a fault of the plugin, not of your project\n\n"
    parts = output(result).split(head)
    assert len(parts) == 6
    assert all("ZeroDivisionError: ours" in part and "def judge(self" in part for part in parts[1:])
    assert "pluggy" not in output(result)
    assert table(result)[1].split() == ["proj::main", *["FAILED"] * 5]
    assert "nothing needed it" not in str(result.stdout)


def test_junit_xml(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", SILENT)
    pytester.runpytest(PROJECT, "--junitxml=report.xml")
    cases = list(ET.parse(pytester.path / "report.xml").iter("testcase"))
    assert [(case.get("classname"), case.get("name")) for case in cases] == [
        ("proj.MLproject.main", check) for check in CHECKS[:-1]
    ]
    first, *others = [one for case in cases for one in case if one.tag != "properties"]
    assert first.tag == "failure"
    assert AREA.sub(r"AREA/\1/", first.text or "") == NOTHING_LOGGED
    assert [(other.tag, other.get("message")) for other in others] == [("skipped", SKIPPED)] * 4


COUNTING = """
import os
with open(os.environ["COUNTER"], "a") as counter:
    counter.write(os.environ["CASE"] + "\\n")
"""


def test_workers_share_launches_and_print_the_same(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    counter = pytester.path / "counter"

    def case(name: str) -> str:
        return f'[[case]]\nid = "{name}"\nenv = {{ CASE = "{name}", COUNTER = "{counter}" }}\n'

    make_project("z", {**FILES, "train.py": COUNTING, "mlflow-check.toml": FLUENT + case("z1") + case("a2")})
    make_project("b", {**FILES, "train.py": COUNTING + LOGGING, "mlflow-check.toml": FLUENT + case("b1")})
    pytester.makepyfile(test_more="def test_it(): pass")
    pytester.makeini("[pytest]\ntestpaths = test_more.py\nmlflow_project = z\n    b\n")
    tables = []
    for workers in ("0", "2"):
        result = pytester.runpytest("-n", workers)
        result.assert_outcomes(passed=3, failed=3, skipped=10)
        assert sorted(counter.read_text().split()) == ["a2", "b1", "z1"]
        counter.unlink()
        tables.append(table(result)[:4])
    assert tables[0] == tables[1]
    assert tables[0] == [
        "case   launches  params   metrics  artifacts  models",
        "z::z1  FAILED    skipped  skipped  skipped    skipped",
        "z::a2  FAILED    skipped  skipped  skipped    skipped",
        "b::b1  passed    skipped  FAILED   passed     skipped",
    ]


def test_another_order_of_items_changes_nothing(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    pytester.makeconftest("def pytest_collection_modifyitems(items): items.reverse()")
    make_project("proj", {**FILES, "mlflow-check.toml": FLUENT + '[[case]]\nid = "b"\n[[case]]\nid = "a"\n'})
    result = pytester.runpytest(PROJECT)
    result.assert_outcomes(failed=2, skipped=8)
    assert table(result)[:3] == [
        "case     launches  params   metrics  artifacts  models",
        "proj::b  FAILED    skipped  skipped  skipped    skipped",
        "proj::a  FAILED    skipped  skipped  skipped    skipped",
    ]


def test_launches_stored_inside_the_repository_are_not_copied_into_each_other(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = FLUENT + '[[case]]\nid = "one"\n[[case]]\nid = "two"\nenv = { SEED = "2" }\n'
    make_project("repository/proj", {**FILES, "mlflow-check.toml": cases})
    make_project("repository", {".git/HEAD": "", "pytest.ini": "[pytest]\n"})
    monkeypatch.chdir("repository")
    result = pytester.runpytest(PROJECT, "--basetemp=base")
    result.assert_outcomes(failed=2, skipped=8)
    assert len(list(pytester.path.rglob("base/**/train.py"))) == 2


@pytest.mark.skipif(pytest.version_tuple < (8, 1), reason="pytest 8.0 has no --xfail-tb")
def test_an_expected_failure(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    pytester.makeconftest(
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                if item.name == "launches":
                    item.add_marker("xfail")
                if item.name == "models":
                    item.add_marker("skip")
        """
    )
    make_project("proj", SILENT)
    result = pytester.runpytest(PROJECT, "-rx", "--xfail-tb")
    result.assert_outcomes(xfailed=1, skipped=4)
    assert NOTHING_LOGGED in AREA.sub(r"AREA/\1/", result.stdout.str())
    assert "Skipped: None" not in result.stdout.str()
    assert table(result)[1] == "proj::main  skipped   skipped  skipped  skipped    -"
