"""The session that launches nothing, and the pre-commit hook that starts one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from inline_snapshot import snapshot

from pytest_mlflow_check.config.settings import load_settings
from pytest_mlflow_check.engine.planning import static_cases_of
from pytest_mlflow_check.mlproject.loader import read_project
from support import ROOT
from support.projects import MakeProject

STATIC = ("--mlflow-static", "--mlflow-project=proj")
WRITES = 'open("launched", "w").close()\n'
MISTAKE = {
    "MLproject": """\
entry_points:
  main:
    parameters:
      index: int
      model_dir: {type: string, default: null}
    command: "python train.py {index} {model_dir}"
  other:
    command: "python train.py"
""",
    "train.py": WRITES,
    "mlflow-check.toml": """\
probes = true
cache = true
params = { index = 3, alpha = 0.5 }

[[case]]

[[case]]
entry_point = "other"
""",
}
RIGHT = {"MLproject": 'entry_points: {main: {command: "python train.py"}}\n', "train.py": WRITES}
TELL = """
import sys

def pytest_unconfigure():
    ours = ("engine.api", "engine.launch", "engine.launcher", "runtime.forkserver.client")
    ours += ("runtime.model_validation.client",)
    names = ("mlflow", "pandas", "filelock", *(f"pytest_mlflow_check.{name}" for name in ours))
    print("\\nloaded:", *(name for name in names if name in sys.modules))
"""


def test_what_it_says(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", MISTAKE)
    result = pytester.runpytest(*STATIC)
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "\nmlflow-check: static: nothing is launched\nrootdir: " in text
    text = re.sub(r" in [\d.]+s\b", "", text[text.index("= FAILURES =") :])
    assert re.sub(r"^[=_]+ | [=_]+$", "", text, flags=re.MULTILINE) == snapshot("""\
FAILURES
main::launches
MLproject: the default null of model_dir                [mlproject-null-default]

    param        fluent    mlflow run    place
    model_dir    —         null          MLproject:5

    MLflow takes `default: null` for no default at all; without a value `mlflow
    run` ends with "No value given for missing parameters", so nothing was
    launched.
    fix: in MLproject:5 write  model_dir: {type: string, default: ""}  and take
         the empty text for "not given" in the code
    more: pytest --mlflow-explain=mlproject-null-default
mlflow-check
case         launches
proj::main   FAILED
proj::other  passed
short test summary info
FAILED proj/MLproject::main::launches - MLproject: the default null of model_dir
1 failed, 1 passed\
""")


@pytest.mark.usefixtures("own_fork_server")
def test_nothing_is_launched_and_nothing_for_it_loaded(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", RIGHT)
    pytester.makeconftest(TELL)
    result = pytester.runpytest_subprocess(*STATIC)
    result.assert_outcomes(passed=1)
    assert result.outlines[-1] == "loaded:"
    assert list(pytester.path.rglob("launched")) == []


@pytest.mark.parametrize(
    ("arguments", "ini", "passed"),
    [
        ("--mlflow-static", "mlflow_project = proj", 1),
        ("", "mlflow_project = proj\nmlflow_static = true", 1),
        ("--mlflow-static test_own.py", "mlflow_project = proj", 2),
        ("--mlflow-static proj/MLproject::main::launches", "mlflow_project = proj", 1),
    ],
)
def test_other_tests_run_only_where_they_are_named(
    pytester: pytest.Pytester, make_project: MakeProject, arguments: str, ini: str, passed: int
) -> None:
    make_project("proj", RIGHT)
    pytester.makepyfile(test_own="def test_it(): pass", test_other="def test_it(): assert False")
    pytester.makeini(f"[pytest]\ntestpaths = .\n{ini}\n")
    pytester.runpytest(*arguments.split()).assert_outcomes(passed=passed)


def test_a_mistake_that_keeps_a_case_from_being_one(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", {**RIGHT, "MLproject": "entry_points: {main: {commnd: x}}\n"})
    result = pytester.runpytest(*STATIC)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[0].startswith("ERROR: proj/MLproject:1: ")


ALL = {
    "MLproject": """\
conda-env: conda.yaml
entry_points:
  prepare:
    parameters: {data: path, rate: float}
    command: "python prepare.py {data} --rate_ {rate}"
  train:
    command: "python Train.py /home/ann/data.csv {lr}"
""",
    "prepare.py": """\
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("--rate")
args = parser.parse_args()
""",
    "train.py": WRITES,
}


def test_every_entry_point_is_checked_without_values_and_without_main(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    make_project("proj", ALL)
    result = pytester.runpytest(*STATIC)
    result.assert_outcomes(failed=2)
    text = result.stdout.str()
    found = re.findall(r"^(?:warning: )?(\S[^\n]*?) +\[(mlproject-[a-z-]+)\]$", text, flags=re.MULTILINE)
    assert found == snapshot(
        [
            ("MLproject: the script has no option --rate_", "mlproject-unknown-option"),
            ("MLproject: MLflow ignores conda-env", "mlproject-ignored-key"),
            ("MLproject: not in the project: Train.py", "mlproject-missing-file"),
            ("MLproject: no parameter for {lr}", "mlproject-undeclared-placeholder"),
            ("MLproject: on one machine only: /home/ann/data.csv", "mlproject-absolute-path"),
        ]
    )


@pytest.mark.parametrize(
    ("mlproject", "settings", "cases"),
    [
        ("entry_points: {a: {command: ls}, b: {command: ls}}", "", ["a", "b"]),
        ("entry_points: {a: {parameters: {x: path}, command: 'ls {x}'}}", "", ["a"]),
        ("entry_points: {a: {command: ls}, main: {command: ls}}", "", ["main", "a"]),
        (
            "entry_points: {a: {command: ls}, b: {command: ls}}",
            "[[case]]\nid = 'b'\nentry_point = 'a'\n",
            ["b", "b again"],
        ),
        ("entry_points: {a: {command: ls}}", "entry_point = 'train.py'\n", ["train.py", "a"]),
        ("name: no entry points\n", "", ["MLproject"]),
        ("python_env: none.yaml\nentry_points: {a: {command: ls}}", "", ["a"]),
        ("databricks_spark_job: {python_file: train.py}\n", "", ["MLproject"]),
    ],
)
def test_the_cases_of_a_session_that_launches_nothing(
    tmp_path: Path, mlproject: str, settings: str, cases: list[str]
) -> None:
    (tmp_path / "MLproject").write_text(mlproject)
    (tmp_path / "train.py").touch()
    (tmp_path / "mlflow-check.toml").write_text(settings)
    project = read_project(tmp_path, to_launch=False)
    found = static_cases_of(load_settings(tmp_path), project)
    assert [case.id for case in found] == cases
    assert [case.reports_project for case in found] == [True] + [False] * (len(cases) - 1)


HOOKS = ROOT / ".pre-commit-hooks.yaml"
INI = """\
[pytest]
asyncio_mode = auto
filterwarnings = error
strict_config = true
addopts = --strict-config --no-such-option
mlflow_param = index=3
"""


@pytest.mark.parametrize(("files", "ret"), [(RIGHT, 0), (MISTAKE, 1)])
def test_the_hook_works_whatever_the_tests_are_configured_with(
    pytester: pytest.Pytester, make_project: MakeProject, files: dict[str, str], ret: int
) -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    project = make_project(".", files)
    pytester.makeconftest("raise SystemExit('loaded')")
    (project / "pytest.ini").write_text(INI)
    before = {*pytester.path.rglob("*")}
    result = pytester.run(*shlex.split(hook["entry"]), *hook["args"])
    assert result.ret == ret
    assert "loaded" not in result.stdout.str() + result.stderr.str()
    assert {path for path in pytester.path.rglob("*") if path.name not in ("stdout", "stderr")} == before


def test_the_hook_is_started_by_the_files_that_it_reads() -> None:
    (hook,) = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    # Its other keys, as pre-commit declares them (clientlib.MANIFEST_HOOK_DICT, 4.3).
    assert hook.keys() == {
        *("id", "name", "description", "entry", "args", "language", "files", "pass_filenames")
    }
    names = ["MLproject", "a/b/MLproject", "mlproject", "a/mlflow-check.toml", "pyproject.toml"]
    names += ["src/train.py", "run.sh", "conda.yaml", "requirements.txt"]
    assert [bool(re.search(hook["files"], name)) for name in names] == [True] * len(names)
    others = ["MLproject.md", "xMLproject", "train.ipynb", "mlflow-check.tomlx"]
    assert [bool(re.search(hook["files"], name)) for name in others] == [False] * len(others)
