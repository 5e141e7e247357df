"""What the plugin costs those who don't ask for it, and what the pytest process never imports."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from support.projects import FILES, LOGGING, MakeProject

LAUNCHING = ("mlflow", "numpy", "pandas", "sqlite3", "filelock")
OUR_LAUNCHING = (
    "pytest_mlflow_check.checks.runner",
    "pytest_mlflow_check.core.records",
    "pytest_mlflow_check.engine.api",
    "pytest_mlflow_check.engine.launch",
    "pytest_mlflow_check.engine.launcher",
    "pytest_mlflow_check.stores.readers",
)
OF_CONTRACT = tuple(f"pytest_mlflow_check.contract.{name}" for name in ("compare", "build", "save"))
REPORTING = ("jinja2", "matplotlib", "pytest_mlflow_check.plugin.report_writer")
HEAVY = (
    *LAUNCHING,
    *OUR_LAUNCHING,
    *OF_CONTRACT,
    *REPORTING,
    "pydantic",
    "yaml",
    "pytest_mlflow_check.plugin.session",
)
TELL = f"""
import sys

def pytest_unconfigure(config):
    print("\\nloaded:", *(name for name in {HEAVY} if name in sys.modules))
"""

WITH_ALL_SETTINGS = {
    "MLproject": """
entry_points:
  main:
    parameters: {alpha: {type: float, default: 0.5}}
    command: "python train.py {alpha}"
""",
    "mlflow-check.toml": """
probes = true
rules = { param-quoted = "off" }

[[case]]
params = { alpha = 0.1 }

[[case]]
id = "other"
params = { alpha = 0.2 }

[[allow]]
rule = "param-differs"
reason = "allowances are worked out too"
""",
    "mlflow-contract.yaml": "version: 1",
}


def loaded(result: pytest.RunResult) -> set[str]:
    """The heavy modules that the conftest of a session tells of."""
    (line,) = [line for line in result.outlines if line.startswith("loaded:")]
    return set(line.removeprefix("loaded:").split())


@pytest.mark.parametrize("name", [name for name in HEAVY if name.startswith("pytest_mlflow_check")])
def test_modules_that_may_not_be_loaded_exist(name: str) -> None:
    assert importlib.util.find_spec(name)


def test_importing_the_plugin_imports_little() -> None:
    show = f"print([name for name in {HEAVY} if name in sys.modules])"
    code = f"import sys, pytest_mlflow_check.plugin.hooks; {show}"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.usefixtures("own_fork_server")
@pytest.mark.parametrize(
    "arguments", [("--co",), (), ("-p", "no:xdist"), ("--mlflow-explain=param-differs",)]
)
def test_a_session_without_a_project_imports_little(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    pytester.makeconftest(TELL)
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess(*arguments)
    assert result.ret == 0
    if "--mlflow-explain=param-differs" not in arguments:
        assert loaded(result) == set()


@pytest.mark.usefixtures("own_fork_server")
def test_a_session_with_a_project_imports_neither_mlflow_nor_pandas(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", {**FILES, "train.py": LOGGING})
    pytester.makeconftest(TELL)
    result = pytester.runpytest_subprocess("--mlflow-project=proj", "--mlflow-launch=fluent")
    assert "5 items" in result.stdout.str()
    absent = {"mlflow", "pandas", "pytest_mlflow_check.engine.api", *OF_CONTRACT, *REPORTING}
    assert loaded(result) == {*HEAVY} - absent


@pytest.mark.usefixtures("own_fork_server")
def test_collecting_a_project_imports_nothing_that_launches_reads_or_judges(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", WITH_ALL_SETTINGS)
    pytester.makeconftest(TELL)
    result = pytester.runpytest_subprocess("--mlflow-project=proj", "--co")
    assert "22 tests collected" in result.stdout.str()
    assert loaded(result) == {"pydantic", "yaml", "pytest_mlflow_check.plugin.session"}


@pytest.mark.usefixtures("own_fork_server")
def test_no_warning_comes_of_us(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project()
    command = [sys.executable, "-W", "error", "-m", "pytest", "-W", "error", "--mlflow-launch=fluent"]
    result = pytester.run(*command, "--mlflow-project=proj")
    result.assert_outcomes(failed=1, skipped=4)
    assert "Warning" not in result.stdout.str() + result.stderr.str()
