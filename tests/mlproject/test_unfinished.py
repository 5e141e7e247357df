"""What `--mlflow-init` left as TODO ends a session before anything is launched, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.config.settings import load_settings
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.engine.planning import cases_of

MLPROJECT = """
entry_points:
  main:
    parameters:
      data: string
      target: {type: string, default: TODO}
      n: int
    command: "python train.py {data} {target} {n}"
  conf:
    # hydra reads its command line
    command: >-
      python
      conf.py
      TODO
  TODO list:
    command: "python TODO.py 'xTODO' TODOs # TODO tidy"
"""
SETTINGS = """
[params]
n = 3

[[case]]
entry_point = "main"
[case.params]
data = "TODO"   # TODO: write a file or directory that the project has

[[case]]
entry_point = "conf"
params = { seed = "TODO" }

[[case]]
entry_point = "TODO list"
params = { n = "TODOs" }
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("MLproject").write_text(MLPROJECT)
    Path("mlflow-check.toml").write_text(SETTINGS)


def refused(**command_line: object) -> str:
    with pytest.raises(UserError) as error:
        cases_of(load_settings(Path.cwd(), command_line=command_line))
    return str(error.value)


def test_all_that_is_still_to_be_filled_in_is_one_message() -> None:
    assert refused() == snapshot("""\
4 places are still TODO, so nothing is launched: mlflow-check.toml:8, MLproject:6 and 2 more
  mlflow-check.toml:8: "data" of main: write a file or directory that the project has
  MLproject:6: the default of "target" of main: write a string that it takes
  mlflow-check.toml:12: "seed" of conf: write a value that it takes
  MLproject:14: the command of conf: write its options, or nothing\
""")


def test_of_the_cases_that_are_asked_for_only() -> None:
    assert refused(entry_point="main", params={"data": "x"}) == snapshot("""\
MLproject:6: the default of "target" of main is still TODO, so nothing is launched
  write a string that it takes\
""")
    Path("mlflow-check.toml").write_text(SETTINGS.replace('"TODO"', '"1"'))
    assert refused(entry_point="conf") == snapshot("""\
MLproject:14: the command of conf is still TODO, so nothing is launched
  write its options, or nothing\
""")
    assert [
        case.id for case in cases_of(load_settings(Path.cwd(), command_line={"entry_point": "TODO list"}))
    ]


def test_in_the_settings_of_all_cases_and_in_pyproject() -> None:
    Path("mlflow-check.toml").unlink()
    Path("pyproject.toml").write_text('[tool.mlflow-check]\nparams = { data = "TODO", n = "TODO" }\n')
    Path("MLproject").write_text(MLPROJECT.replace("default: TODO", "default: x"))
    assert refused() == snapshot("""\
2 places are still TODO, so nothing is launched: pyproject.toml:2, pyproject.toml:2
  pyproject.toml:2: "data" of main: write a value that it takes
  pyproject.toml:2: "n" of main: write a value that it takes\
""")


def test_what_the_command_line_says_is_meant() -> None:
    values = {"data": "TODO", "target": "TODO"}
    settings = load_settings(Path.cwd(), command_line={"entry_point": "main", "params": values})
    assert cases_of(settings)[0].params["data"] == "TODO"
