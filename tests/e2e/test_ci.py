"""What CI services get of a session: properties in JUnit reports, and annotations."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import xml.etree.ElementTree as ET

import pytest
from inline_snapshot import snapshot

from support.projects import FILES, LOGGING, MakeProject

PROJECT = "--mlflow-project=proj"
FLUENT = 'launch = "fluent"\n'
VERSIONS = {
    "mlflow_check.version": importlib.metadata.version("pytest-mlflow-check"),
    "mlflow_check.mlflow": importlib.metadata.version("mlflow"),
    "mlflow_check.python": platform.python_version(),
}
USUAL = {"mlflow_check.rules": "", "mlflow_check.store": "file", "mlflow_check.cached": "false"} | VERSIONS
SECONDS = "mlflow_check.fluent.seconds"


def properties(pytester: pytest.Pytester) -> dict[str, dict[str, str]]:
    """Those of each item in the JUnit report, by case and check; with none of them twice."""
    found = {}
    for item in ET.parse(pytester.path / "report.xml").iter("testcase"):
        pairs = [(one.attrib["name"], one.attrib["value"]) for one in item.iter("property")]
        assert len(dict(pairs)) == len(pairs)
        found[f"{item.attrib['classname'].rpartition('.')[2]}::{item.attrib['name']}"] = dict(pairs)
    return found


def test_properties_of_each_item(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", {**FILES, "train.py": LOGGING, "mlflow-check.toml": FLUENT})
    pytester.makepyfile(test_own="def test_it(): pass")
    result = pytester.runpytest(PROJECT, "test_own.py", "--junitxml=report.xml")
    result.assert_outcomes(passed=3, failed=1, skipped=2)
    found = properties(pytester)
    assert found.pop("test_own::test_it") == {}
    seconds = {values.pop(SECONDS) for values in found.values()}
    assert len(seconds) == 1
    assert re.fullmatch(r"\d+\.\d{3}", seconds.pop())
    assert found == {
        "main::launches": USUAL,
        "main::params": USUAL,
        "main::metrics": {**USUAL, "mlflow_check.rules": "metric-without-step"},
        "main::artifacts": USUAL,
        "main::models": USUAL,
    }


def test_properties_of_a_launch_of_an_earlier_session(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    settings = f'{FLUENT}cache = true\nrules = {{ metric-without-step = "warning" }}\n'
    make_project("proj", {**FILES, "train.py": LOGGING, "mlflow-check.toml": settings})
    for cached in ("false", "true"):
        pytester.runpytest(PROJECT, "--junitxml=report.xml")
        assert {one["mlflow_check.cached"] for one in properties(pytester).values()} == {cached}


def test_without_launches_there_are_no_seconds(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", {**FILES, "mlflow-check.toml": FLUENT})
    pytester.runpytest(PROJECT, "--mlflow-static", "--junitxml=report.xml")
    assert properties(pytester)["main::launches"].keys() == {
        *VERSIONS,
        "mlflow_check.rules",
        "mlflow_check.store",
        "mlflow_check.cached",
    }


def test_an_item_that_is_run_again_has_each_property_once(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    """As pytest-rerunfailures does it."""
    make_project("proj", FILES)
    pytester.makeconftest("""
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item):
            item.user_properties.append(("own", "kept"))
            runtestprotocol(item, log=False, nextitem=item)
    """)
    pytester.runpytest(PROJECT, "--mlflow-static", "--junitxml=report.xml").assert_outcomes(passed=1)
    found = properties(pytester)["main::launches"]
    assert found == {"own": "kept", **USUAL}


def test_no_broken_line_begins_with_a_command(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    """GitHub takes one at the beginning of a line, also behind blanks."""
    parameter = f"{'a' * 60} ::stop-commands::x"
    mlproject = f"""\
entry_points:
  main:
    parameters:
      "{parameter}": {{type: string, default: b}}
    command: "python train.py"
"""
    make_project("proj", {**FILES, "MLproject": mlproject})
    result = pytester.runpytest(PROJECT, "--mlflow-static")
    result.assert_outcomes(passed=1)
    lines = [line for line in result.outlines if "stop-commands" in line]
    assert "  : :stop-commands::x (mlflow run: logged, not passed on; MLproject:4)" in lines
    assert not [line for line in lines if line.lstrip().startswith("::")]


def test_hostile_names_leave_the_report_valid(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    """A project's own metric, with what XML can't hold, and what it takes for markup."""
    script = LOGGING.replace('"loss"', "\"]]><a b='c'>&\\x0b\\x1b[31m\"")
    make_project("proj", {**FILES, "train.py": script, "mlflow-check.toml": FLUENT})
    pytester.runpytest(PROJECT, "--junitxml=report.xml").assert_outcomes(passed=2, failed=1, skipped=2)
    assert properties(pytester)["main::metrics"]["mlflow_check.rules"] == "metric-without-step"


ANNOTATIONS = snapshot(
    [
        "::error file=proj/MLproject,line=2,title=launches%3A fluent logged nothing::"
        "`python train.py` ended with exit code 0, and its code logged nothing to MLflow.%0A"
        "fluent: no run%0Afix: in train.py write  import mlflow  at the top, a run around what trains:  "
        'with mlflow.start_run():  and in it what is worth knowing:  mlflow.log_metric("…", …)%0A'
        "more: pytest --mlflow-explain=no-run-logged%0Acases: proj::one, proj::two",
        "::warning file=proj/MLproject,line=2,title=metrics%3A 1 with every point at step 0::"
        "Without `step` every point lands on step 0: MLflow doesn't count.%0A"
        'loss: 2 points at step 0%0Afix: mlflow.log_metric("loss", …, step=…)%0A'
        "more: pytest --mlflow-explain=metric-without-step%0Acase: proj::logs",
    ]
)
CASES = """\
[rules]
metric-without-step = "warning"
[[case]]
id = "one"
[[case]]
id = "two"
env = { SEED = "2" }
[[case]]
id = "logs"
fluent = "python logs.py"
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_annotations(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    make_project("proj", {**FILES, "logs.py": LOGGING, "mlflow-check.toml": FLUENT + CASES})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    result = pytester.runpytest(PROJECT, "-n", workers, "--color=yes", "--junitxml=report.xml")
    assert [line for line in result.outlines if line.startswith("::")] == ANNOTATIONS
    found = properties(pytester)["logs::metrics"]
    assert float(found.pop(SECONDS)) > 0
    assert found == {**USUAL, "mlflow_check.rules": "metric-without-step"}


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_failure_is_one_line_in_junit_and_in_the_short_summary(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    script = LOGGING + "\nraise RuntimeError('the optimizer diverged')\n"
    make_project("proj", {**FILES, "train.py": script, "mlflow-check.toml": FLUENT})
    monkeypatch.setenv("CI", "true")
    result = pytester.runpytest(PROJECT, "-n", workers, "--junitxml=report.xml")
    title = "launches: fluent failed: RuntimeError: the optimizer diverged"
    (failure,) = ET.parse(pytester.path / "report.xml").iter("failure")
    assert failure.get("message") == title
    assert failure.text is not None
    assert "fix: resolve that in train.py:" in failure.text
    summary = result.outlines[[*map(_is_summary, result.outlines)].index(True) + 1 :]
    assert summary[0] == f"FAILED proj/MLproject::main::launches - {title}"
    assert summary[1].startswith("=")


def _is_summary(line: str) -> bool:
    return "short test summary info" in line


def test_no_annotations_elsewhere(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", {**FILES, "mlflow-check.toml": FLUENT})
    assert "::error" not in pytester.runpytest(PROJECT).stdout.str()


def test_expected_failures_are_not_annotated_and_refusals_are(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest(
        """
        def pytest_collection_modifyitems(items):
            for item in items:
                item.add_marker("xfail")
        """
    )
    make_project("proj", {**FILES, "mlflow-check.toml": FLUENT})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = pytester.runpytest(PROJECT)
    result.assert_outcomes(xfailed=1, skipped=4)
    assert "::error" not in result.stdout.str()


def test_why_a_launch_could_not_be_made_is_annotated(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_mlflow_check.core.errors import UserError

    def no_room(*_: object, **__: object) -> None:
        raise UserError("no room:\n  make some")

    make_project("proj", {**FILES, "mlflow-check.toml": FLUENT})
    monkeypatch.setattr("pytest_mlflow_check.engine.launcher.make_launch", no_room)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    result = pytester.runpytest(PROJECT)
    assert [line for line in result.outlines if line.startswith("::")] == [
        "::error file=proj/MLproject,line=2,title=proj/MLproject%3A%3Amain%3A%3Alaunches::"
        "no room:%0A  make some%0Acase: proj::main"
    ]


@pytest.mark.parametrize(
    "place", ["a\x00b.py:3", "train.py:" + "9" * 5000, "a\n::error::b.py:3", "\ud800.py:1"]
)
def test_places_that_a_launch_made_up(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """An observation is a line in a file that the launch can write to."""
    said = json.dumps(
        {"process": 1, "what": "log_metric", "key": "loss", "run_id": "f00d", "place": place, "time": 1.5}
    )
    script = f"""{LOGGING}
import json
with open(json.loads(open(os.environ["PYTEST_MLFLOW_CHECK_OBSERVER"]).readlines()[2])["file"], "a") as file:
    file.write({said + chr(10)!r})
"""
    make_project("proj", {**FILES, "train.py": script, "mlflow-check.toml": FLUENT})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    result = pytester.runpytest(PROJECT)
    result.assert_outcomes(passed=2, failed=1, skipped=2)
    (line,) = [line for line in result.outlines if line.startswith("::")]
    assert re.match(r"::error file=proj/[^,]*,line=\d+,title=metrics%3A 1 with every point", line)
