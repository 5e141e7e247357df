"""What the plugin costs those who don't ask for it, and what the pytest process never imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import FILES, LOGGING, MakeProject

HEAVY = ("mlflow", "numpy", "pandas", "pydantic", "yaml", "filelock")
TELL = f"""
import sys

def pytest_unconfigure(config):
    print("\\nloaded:", [name for name in {HEAVY} if name in sys.modules])
"""


def loaded(result: pytest.RunResult) -> str:
    """The heavy modules that the conftest of a session tells of."""
    (line,) = [line for line in result.outlines if line.startswith("loaded: ")]
    return line.removeprefix("loaded: ")


def test_importing_the_plugin_imports_little() -> None:
    code = f"import sys, pytest_mlflow_check.plugin; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


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
        assert loaded(result) == "[]"


@pytest.mark.parametrize("arguments", [("--co",), ("--mlflow-launch=fluent",)])
def test_a_session_with_a_project_imports_neither_mlflow_nor_pandas(
    pytester: pytest.Pytester, make_project: MakeProject, arguments: tuple[str, ...]
) -> None:
    make_project("proj", {**FILES, "train.py": LOGGING})
    pytester.makeconftest(TELL)
    result = pytester.runpytest_subprocess("--mlflow-project=proj", *arguments)
    assert "5 items" in result.stdout.str()
    assert "'mlflow'" not in loaded(result)
    assert "'pandas'" not in loaded(result)


def test_no_warning_comes_of_us(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project()
    command = [sys.executable, "-W", "error", "-m", "pytest", "-W", "error", "--mlflow-launch=fluent"]
    result = pytester.run(*command, "--mlflow-project=proj")
    result.assert_outcomes(failed=1, skipped=4)
    assert "Warning" not in result.stdout.str() + result.stderr.str()
