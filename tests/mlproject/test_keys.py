"""Keys that MLflow ignores: those that are meant for its own, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_mlflow_check.core.models import IgnoredKey
from pytest_mlflow_check.mlproject.loader import read_project

MAIN = "entry_points:\n  main:\n    command: ls\n"


def ignored(tmp_path: Path, text: str) -> list[IgnoredKey]:
    (tmp_path / "MLproject").write_text(text)
    project = read_project(tmp_path, to_launch=False)
    return [
        *project.ignored_keys,
        *(key for one in project.entry_points.values() for key in one.ignored_keys),
    ]


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("entry_point: {}", 'remove it: "entry_points" is there too'),
        ("Entry-Points: {}", 'remove it: "entry_points" is there too'),
        ("conda-env: c.yaml", "write:  conda_env:"),
        ("conda: c.yaml", "write:  conda_env:"),
        ("pyton_env: c.yaml", "write:  python_env:"),
        (
            "env: c.yaml",
            "name the file under the key for its kind:  python_env: python_env.yaml  or  conda_env: "
            "conda.yaml",
        ),
        ("parameters: {}", 'write it below an entry point, beside its "command"'),
        ("train: {command: ls}", 'write it below "entry_points:", indented'),
        ("'name:x': ", "put a blank behind the colon:  name: x"),
    ],
)
def test_keys_at_the_top(tmp_path: Path, line: str, fix: str) -> None:
    (key,) = ignored(tmp_path, f"{MAIN}{line}\n")
    assert (key.where, key.fix, key.line) == ("the top level", fix, 4)


@pytest.mark.parametrize(
    ("lines", "where", "fix"),
    [
        ("    params: {a: float}", 'entry point "main"', "write:  parameters:"),
        (
            "    conda_env: c.yaml",
            'entry point "main"',
            "write it at the top level of the file: it holds for all entry points",
        ),
        ("    parameters: {a: {type: float, defualt: 1}}", 'parameter "a"', "write:  default:"),
        ("    parameters: {a: {type: float, Default: 1}}", 'parameter "a"', "write:  default:"),
        ("docker_env: {image: i, volume: []}", '"docker_env"', "write:  volumes:"),
    ],
)
def test_keys_below(tmp_path: Path, lines: str, where: str, fix: str) -> None:
    (key,) = ignored(tmp_path, f"{MAIN}{lines}\n")
    assert (key.where, key.fix, key.line) == (where, fix, 4)


def test_keys_of_mlflow_and_notes_of_others(tmp_path: Path) -> None:
    text = (
        f"name: x\ndescription: y\nversion: 1\nauthor: me\nx-common: {{a: b}}\ntags: [a]\n{MAIN}"
        "    description: lists\n    parameters: {default: string, a: {type: int, default: 1, help: h}}\n"
        "docker_env: {image: i, volumes: [], environment: []}\n"
    )
    assert ignored(tmp_path, text) == []


def test_keys_that_are_there_twice(tmp_path: Path) -> None:
    text = (
        "entry_points:\n  main:\n    command: ls\n    command: pwd\n    parameters:\n      a: int\n"
        "      a: {type: int, type: float}\n  main: &m\n    command: date\n    command: ls\n  b:\n"
        "    <<: *m\n    command: id\nname: x\nname: y\n"
    )
    found = ignored(tmp_path, text)
    assert all(one.repeated for one in found)
    assert [(one.name, one.where, one.line) for one in found] == [
        ("main", '"entry_points"', 8),
        ("name", "the top level", 15),
        ("command", 'entry point "main"', 10),
    ]


def test_a_parameter_that_is_there_twice(tmp_path: Path) -> None:
    text = f"{MAIN}    parameters:\n      a: int\n      a: {{type: int, type: float}}\n"
    assert [(one.name, one.where, one.line) for one in ignored(tmp_path, text)] == [
        ("a", 'the parameters of entry point "main"', 6),
        ("type", 'parameter "a"', 6),
    ]
