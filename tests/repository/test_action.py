"""The action for GitHub: its shape, and its steps executed with the shell that GitHub starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import ROOT
from support.projects import FILES, LOGGING

ACTION = ROOT / "action.yml"
SHELL = ["bash", "--noprofile", "--norc", "-eo", "pipefail"]
"""What `shell: bash` stands for ("Workflow syntax for GitHub Actions")."""

PIP = """#!/bin/sh
printf '%s\\n' "$@" > "$RUNNER_TEMP/pip"
"""


@pytest.fixture
def action() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(ACTION.read_text(encoding="utf-8"))
    return loaded


def test_its_shape(action: dict[str, Any]) -> None:
    """As "Metadata syntax for GitHub Actions" has it for composite actions."""
    assert action.keys() == {"name", "description", "inputs", "runs"}
    assert action["inputs"].keys() == {"project", "args", "python-version", "mlflow-version", "report"}
    for given in action["inputs"].values():
        assert given.keys() == {"description", "default"}
        assert isinstance(given["default"], str)
    assert action["runs"].keys() == {"using", "steps"}
    assert action["runs"]["using"] == "composite"
    setup, install, check = action["runs"]["steps"]
    assert setup.keys() == {"if", "uses", "with"}
    for step in (install, check):
        assert step.keys() == {"name", "shell", "env", "run"}
        assert step["shell"] == "bash"


def test_no_input_becomes_a_part_of_a_script(action: dict[str, Any]) -> None:
    used = set()
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        for value in (step.get("env") or step.get("with")).values():
            used.add(re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value)[1])  # type: ignore[index]
    assert used == action["inputs"].keys()


class Runner:
    """A runner of GitHub's, as far as the steps can tell."""

    def __init__(self, action: dict[str, Any], directory: Path) -> None:
        self._action, self.directory = action, directory
        self.temp, self.summary = directory / "temp", directory / "summary.md"
        self.repository = directory / "repository"
        self._bin = directory / "bin"
        for made in (self.temp, self.repository, self._bin):
            made.mkdir()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.repository / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")

    def replace_python(self, script: str) -> None:
        (self._bin / "python").write_text(script)
        (self._bin / "python").chmod(0o755)

    def run(self, name: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        """Executes the step of that name with these inputs, and the defaults of all others."""
        (step,) = [one for one in self._action["runs"]["steps"] if one.get("name") == name]
        values = {key: given["default"] for key, given in self._action["inputs"].items()}
        values |= {key.replace("_", "-"): value for key, value in inputs.items()}
        env = {
            variable: re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda found: values[found[1]], text)
            for variable, text in step["env"].items()
        }
        script = self.temp / "script.sh"
        script.write_text(step["run"])
        of_github = {
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "GITHUB_WORKSPACE": str(self.repository),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "RUNNER_TEMP": str(self.temp),
        }
        path = os.pathsep.join([str(self._bin), str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            [*SHELL, str(script)],
            cwd=self.repository,
            env={**os.environ, **of_github, **env, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def runner(action: dict[str, Any], tmp_path: Path) -> Runner:
    return Runner(action, tmp_path)


@pytest.mark.parametrize(
    ("given", "installed"),
    [
        ("", []),
        ("2.22.5", ["mlflow==2.22.5"]),
        ("<4", ["mlflow<4"]),
        ("~=3.1; echo $(id)", ["mlflow~=3.1; echo $(id)"]),
    ],
)
def test_what_is_installed(runner: Runner, given: str, installed: list[str]) -> None:
    runner.replace_python(PIP)
    done = runner.run("Install", mlflow_version=given)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (runner.temp / "pip").read_text().splitlines() == ["-m", "pip", "install", str(ROOT), *installed]


TELLS = r"""#!{python}
import os, sys
from pathlib import Path

if sys.argv[1] == "-c":
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
Path(os.environ["RUNNER_TEMP"], "pytest").write_text("\0".join(sys.argv[1:]))
(report,) = [one.partition("=")[2] for one in sys.argv if one.endswith(".md")]
Path(report).write_text("# all\n")
sys.exit(3)
"""


@pytest.mark.parametrize(
    ("args", "given"),
    [
        ("", []),
        ("-n 2  --mlflow-strict", ["-n", "2", "--mlflow-strict"]),
        ("-P \"text=two words\"\n-k 'a and b'", ["-P", "text=two words", "-k", "a and b"]),
        ("-P 'x=$(touch hacked)' -P y=`id`;ls", ["-P", "x=$(touch hacked)", "-P", "y=`id`;ls"]),
    ],
)
def test_what_pytest_is_given(runner: Runner, args: str, given: list[str]) -> None:
    runner.replace_python(TELLS.format(python=sys.executable))
    done = runner.run("Check", args=args, project="a b/$(id)", report="out")
    assert done.returncode == 3, done.stderr
    assert (runner.temp / "pytest").read_text().split("\0") == [
        *("-m", "pytest", "--mlflow-project=a b/$(id)", "--junitxml=out.xml", "--mlflow-report=out.html"),
        *(f"--mlflow-report={runner.temp}/mlflow-check.md", *given),
    ]
    assert runner.summary.read_text() == "# all\n"
    assert list(runner.repository.iterdir()) == []


def test_args_that_no_shell_would_take(runner: Runner) -> None:
    done = runner.run("Check", args="-k 'a")
    assert done.returncode != 0
    assert "No closing quotation" in done.stderr


@pytest.mark.e2e
@pytest.mark.launch
def test_a_project_with_a_mistake(runner: Runner) -> None:
    runner.write({f"train/{name}": text for name, text in {**FILES, "train.py": LOGGING}.items()})
    done = runner.run("Check", project="train", args="--mlflow-launch=fluent -p no:cacheprovider")
    assert done.returncode == 1, done.stdout + done.stderr
    (line,) = [one for one in done.stdout.splitlines() if one.startswith("::")]
    assert line.startswith(
        "::error file=train/MLproject,line=2,title=metrics%3A 1 with every point at step 0::"
    )
    assert "metric-without-step" in runner.summary.read_text()
    assert {path.name for path in runner.repository.iterdir()} == {
        "train",
        "mlflow-check.html",
        "mlflow-check.xml",
    }
