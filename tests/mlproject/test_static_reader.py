"""What an entry point's files tell: scripts, modules, configuration files, options, environments."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.static_facts import (
    MissingFile,
    StaticFacts,
    UnknownOption,
    WrongEnvironment,
)
from pytest_mlflow_check.mlproject.loader import read_project
from pytest_mlflow_check.mlproject.static_reader import read_static_facts

PARSER = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--learning-rate")
args = parser.parse_args()
"""


def facts(directory: Path, command: str, files: dict[str, str] | None = None, top: str = "") -> StaticFacts:
    """What is read of a project with these files."""
    for name, text in {"train.py": "", **(files or {})}.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    shown = "".join(f"      {line}\n" for line in command.splitlines())
    (directory / "MLproject").write_text(f"{top}\nentry_points:\n  main:\n    command: |\n{shown}")
    project = read_project(directory, to_launch=False)
    return read_static_facts(Case("main", project, project.entry_points["main"], reports_project=True))


def missing(found: StaticFacts) -> list[tuple[str, str | None, bool]]:
    return [(one.name, one.alike, one.sure) for one in found.missing]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python train.py", []),
        ("python ./train.py", []),
        ("cd src && python ../train.py && python net.py", []),
        ("python trian.py", [("trian.py", None, True)]),
        ("python Train.py", [("Train.py", "train.py", True)]),
        ("cd src && python Net.py", [("Net.py", "net.py", True)]),
        ("python Src/net.py", [("Src/net.py", "src/net.py", True)]),
        ("wget x && python made.py", []),
        ("wget x && python Train.py", [("Train.py", "train.py", False)]),
        ("python submodule/train.py", []),
        ("python pkg", []),
        ("bash run.sh", [("run.sh", None, True)]),
        ("python -m pkg.net", []),
        ("python -m pkg", []),
        ("python -m pkg.nte", [("pkg.nte", None, True)]),
        ("python -m Pkg.net", [("Pkg.net", "pkg.net", True)]),
        ("python -m src.nte", []),
        ("python -m installed.module", []),
        ("python -m installed", []),
        ("python train.py --config src/a.yaml", []),
        ("python train.py --config a.yaml", []),
        ("python train.py --config b.yaml", [("b.yaml", None, False)]),
        ("python train.py --config Src/a.yaml", [("Src/a.yaml", "src/a.yaml", False)]),
        (f"python {'x' * 300}.py", [(f"{'x' * 300}.py", None, True)]),
        ("pip install -r requirements.txt", [("requirements.txt", None, True)]),
    ],
)
def test_files(tmp_path: Path, command: str, expected: list[tuple[str, str | None, bool]]) -> None:
    files = {
        "src/net.py": "",
        "src/a.yaml": "",
        "pkg/__init__.py": "",
        "pkg/net.py": "",
        "pkg/__main__.py": "",
    }
    (tmp_path / "submodule").mkdir()
    assert missing(facts(tmp_path, command, files)) == expected


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        ("python trian.py", "train.py"),
        ("python net.py", "src/net.py"),
        ("cd src && python train.py", "../train.py"),
        ("cd src && python nets.py", "net.py"),
        ("python other.py", None),
        ("bash train.sh", None),
    ],
)
def test_the_script_that_may_be_meant(tmp_path: Path, command: str, meant: str | None) -> None:
    (file,) = facts(tmp_path, command, {"src/net.py": ""}).missing
    assert file.meant == meant


def test_lines_of_a_command(tmp_path: Path) -> None:
    found = facts(tmp_path, "echo a\npython trian.py\npython train.py \\\n  --rate 1", {"train.py": PARSER})
    assert found.missing == (MissingFile("trian.py", "script", 6, meant="train.py"),)
    assert found.unknown_options == (UnknownOption("--rate", "train.py", 8, ("--learning-rate",)),)


@pytest.mark.parametrize(
    ("command", "unknown"),
    [
        ("python train.py --learning_rate {{x}}", ["--learning_rate"]),
        ("python train.py --learning-rate 1 --learn=2", []),
        ("cd src && python -m net --a 1", ["--a"]),
        ("python -m src.net --a 1", ["--a"]),
        ("torchrun train.py --a 1 --a 2", ["--a"]),
        ("python open.py --a 1", []),
        ("python broken.py --a 1", []),
        ("bash run.sh --a 1", []),
    ],
)
def test_options(tmp_path: Path, command: str, unknown: list[str]) -> None:
    files = {
        "train.py": PARSER,
        "src/net.py": PARSER,
        "open.py": PARSER.replace("parse_args", "parse_known_args"),
        "broken.py": "def (",
        "run.sh": "",
    }
    assert [one.name for one in facts(tmp_path, command, files).unknown_options] == unknown


CONDA = "name: x\nchannels: [a]\ndependencies: [python=3.11, {pip: [mlflow]}]\n"
PYTHON = "python: '3.11'\ndependencies: ['-r requirements.txt']\n"


@pytest.mark.parametrize(
    ("top", "files", "expected"),
    [
        ("python_env: e.yaml", {"e.yaml": CONDA}, WrongEnvironment("python_env", "e.yaml", 1, "conda_env")),
        ("conda_env: e.yaml", {"e.yaml": PYTHON}, WrongEnvironment("conda_env", "e.yaml", 1, "python_env")),
        (
            "",
            {"python_env.yaml": CONDA},
            WrongEnvironment("python_env", "python_env.yaml", None, "conda_env"),
        ),
        ("python_env: r.txt", {"r.txt": "mlflow"}, WrongEnvironment("python_env", "r.txt", 1, None)),
        (
            "python_env: e.yaml",
            {"e.yaml": "python: '3'\ndependencies: [{pip: [a]}]"},
            WrongEnvironment("python_env", "e.yaml", 1, None),
        ),
        ("python_env: e.yaml", {"e.yaml": PYTHON}, None),
        ("conda_env: e.yaml", {"e.yaml": CONDA}, None),
        ("conda_env: e.yaml", {"e.yaml": f"python: '3'\n{CONDA}"}, None),
        ("python_env: e.yaml", {"e.yaml": "dependencies: [mlflow]"}, None),
        ("python_env: e.yaml", {"e.yaml": "- not yet"}, None),
    ],
)
def test_environments(
    tmp_path: Path, top: str, files: dict[str, str], expected: WrongEnvironment | None
) -> None:
    assert facts(tmp_path, "ls", files, top) == StaticFacts(environment=expected)


def test_an_environment_that_isnt_there(tmp_path: Path) -> None:
    found = facts(tmp_path, "ls", {"conda.yml": CONDA}, "conda_env: Conda.yml")
    assert found.missing == (MissingFile("Conda.yml", "conda_env", 1, "conda.yml"),)


def test_what_concerns_the_project_is_told_with_one_case(tmp_path: Path) -> None:
    facts(tmp_path, "ls", {"python_env.yaml": CONDA})
    project = read_project(tmp_path)
    assert read_static_facts(Case("other", project, project.entry_points["main"])) == StaticFacts()


def test_a_command_that_mlflow_cant_fill_in(tmp_path: Path) -> None:
    refusal = facts(tmp_path, "python trian.py {alpha}").refusal
    assert refusal is not None
    assert (refusal.rule, refusal.subject) == ("mlproject-undeclared-placeholder", "{alpha}")
    assert (
        refusal.why == 'Entry point "main": the command has the placeholder {alpha}, which is no parameter.'
    )
