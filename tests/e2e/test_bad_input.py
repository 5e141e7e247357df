"""What a user may get wrong: one whole message, exit code 4, nothing left. Names that only look wrong."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.store import Store, prepare_store
from support.projects import FILES, MakeProject

INDEX = """
entry_points:
  main:
    parameters:
      index: int
      data: {type: path, default: "."}
    command: "python train.py {index} {data}"
"""
ALPHA = (
    'entry_points:\n  main:\n    parameters:\n      alpha: float\n    command: "python train.py {alpah}"\n'
)

HOW_TO_GIVE = """
  on the command line:  -P index=VALUE
  or in mlflow-check.toml beside the MLproject:
      [[case]]
      params = { index = 10 }"""

NO_DIRECTORY = """there is no directory {}
  name the one that holds the MLproject: --mlflow-project=DIR"""

MESSAGES: list[tuple[Mapping[str, str], str, str]] = [
    # the project
    (
        {"MLproject": "entry_points:\n\tmain: x\n"},
        "",
        "proj/MLproject:2:1: not valid YAML: while scanning for the next token, "
        "found character '\\t' that cannot start any token\n"
        "      \tmain: x\n      ^\n  indent with spaces: YAML takes no tabs\n"
        "  more: pytest --mlflow-explain=mlproject-invalid",
    ),
    (
        FILES,
        "--mlflow-entry-point=mian",
        'proj/MLproject has no entry point "mian"; did you mean "main"?\n'
        "  name one:  --mlflow-entry-point=main   (there are: main)\n"
        "  or a script: --mlflow-entry-point=train.py   (there are: train.py)",
    ),
    (
        {"train.py": ""},
        "",
        "no MLproject in proj and no entry point given.\n"
        "  name a script: --mlflow-entry-point=train.py   (there are: train.py)",
    ),
    (
        {"train.py": ""},
        "--mlflow-entry-point=trian.py",
        'there is no script "trian.py" in proj; did you mean "train.py"?\n'
        "  name one:  --mlflow-entry-point=train.py   (there are: train.py)",
    ),
    (
        {"README": ""},
        "",
        "no MLproject in proj and no entry point given.\n"
        "  there is no script (.py, .sh, .R) either: is this the right directory?",
    ),
    # parameters
    (
        {"MLproject": INDEX},
        "",
        f'proj/MLproject:5: entry point "main" needs a value for parameter "index" (int){HOW_TO_GIVE}',
    ),
    (
        {"MLproject": INDEX},
        "-P indx=3",
        'proj/MLproject:5: entry point "main" has no parameter "indx"; did you mean "index"?\n'
        "  on the command line:  -P index=3\n"
        '  in mlflow-check.toml:  params = { index = "3" }\n'
        '  if the command is to get --indx besides, give "index" a value too',
    ),
    (
        {"MLproject": INDEX},
        "-P index=ten",
        f'proj/MLproject:5: parameter "index" of entry point "main" is an int, and "ten" is not{HOW_TO_GIVE}',
    ),
    (
        {"MLproject": INDEX},
        "-P index=1 -P data=nowhere",
        'proj/MLproject:6: parameter "data" of entry point "main" is a path, '
        'and there is no "nowhere" in proj'
        + HOW_TO_GIVE.replace("index", "data").replace("10", '"some/path"'),
    ),
    (
        {"MLproject": ALPHA},
        "-P alpha=1",
        'proj/MLproject:2: entry point "main": the command has the placeholder {alpah}, '
        "which is no parameter\n"
        "  did you mean  {alpha}\n"
        '  declare it under "parameters:" of "main":  alpah: string\n'
        "  or, where the braces are meant as they are, double them:  {{alpah}}\n"
        "  more: pytest --mlflow-explain=mlproject-undeclared-placeholder",
    ),
    (FILES, "-P novalue", '-P "novalue": a parameter is given as NAME=VALUE, as in  -P index=10'),
    (FILES, "-P =1", '-P "=1": a parameter is given as NAME=VALUE, as in  -P index=10'),
    (FILES, "-P a=1 -P a=2", '-P "a=2": the parameter "a" is given twice'),
    # the settings file
    (
        {"mlflow-check.toml": "ignor = {}"},
        "",
        'proj/mlflow-check.toml:1: unknown key "ignor": did you mean "ignore"?',
    ),
    (
        {"mlflow-check.toml": "[[case]]\nparam = {}"},
        "",
        'proj/mlflow-check.toml:2: unknown key "case[0].param": did you mean "params"?',
    ),
    (
        {"mlflow-check.toml": '[rules]\nmetric-without-steps = "off"'},
        "",
        'proj/mlflow-check.toml, [rules]: unknown rule "metric-without-steps": '
        'did you mean "metric-without-step"?',
    ),
    (
        {"mlflow-check.toml": '[[allow]]\nrule = "parm-differs"\nreason = "x"'},
        "",
        'proj/mlflow-check.toml, [[allow]]: unknown rule "parm-differs": did you mean "param-differs"?',
    ),
    (
        {"mlflow-check.toml": "metric_tolerance = { rel = -1 }"},
        "",
        'proj/mlflow-check.toml:1: "metric_tolerance.rel": '
        "Input should be greater than or equal to 0 (got -1)",
    ),
    (
        {"mlflow-check.toml": '[[allow]]\nrule = "param-differs"'},
        "",
        'proj/mlflow-check.toml:1: "allow[0].reason" is missing: an allowance says why, as in  reason = "…"',
    ),
    (
        {"mlflow-check.toml": "[[case]]\n[[case]]"},
        "",
        'proj/mlflow-check.toml: two cases have the id "main": give each an id of its own',
    ),
    # the command line, and the ini file
    (FILES, "--mlflow-timeout=0", 'command line: "timeout": Input should be greater than 0 (got 0.0)'),
    (
        FILES,
        "--mlflow-store=mysql",
        'command line: "store": write file, sqlite, server or '
        "postgresql://USER@HOST/DATABASE (got 'mysql')",
    ),
    (
        FILES,
        "-o mlflow_store=mysql",
        "pytest ini: \"store\": write file, sqlite, server or postgresql://USER@HOST/DATABASE (got 'mysql')",
    ),
    (
        FILES,
        "-o mlflow_strict=maybe",
        "pytest ini: \"strict\": Input should be a valid boolean, unable to interpret input (got 'maybe')",
    ),
    (
        FILES,
        "-o mlflow_param=x",
        'mlflow_param "x": a parameter is given as NAME=VALUE, as in  mlflow_param index=10',
    ),
    # the directory
    (FILES, "--mlflow-project=gone", NO_DIRECTORY.format("gone")),
    (FILES, "--mlflow-project=proj[1]", NO_DIRECTORY.format("proj[1]")),
    (
        FILES,
        "--mlflow-project=proj/MLproject",
        "proj/MLproject is not a directory\n  name the one it lies in: --mlflow-project=proj",
    ),
]


def tree(directory: Path) -> dict[str, bytes | None]:
    """All that lies below a directory."""
    found = sorted(directory.rglob("*"))
    return {str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in found}


def refused(pytester: pytest.Pytester, *arguments: str) -> str:
    """The message of a session that ends before it began."""
    before = tree(pytester.path)
    result = pytester.runpytest(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stdout.str() == ""
    assert tree(pytester.path) == before
    return result.stderr.str().removeprefix("ERROR: ").rstrip("\n")


@pytest.mark.parametrize(
    ("files", "arguments", "message"), MESSAGES, ids=[message.splitlines()[0] for *_, message in MESSAGES]
)
def test_a_mistake_is_one_whole_message(
    pytester: pytest.Pytester,
    make_project: MakeProject,
    files: Mapping[str, str],
    arguments: str,
    message: str,
) -> None:
    settings_only = files.keys() == {"mlflow-check.toml"}
    make_project("proj", {**FILES, **files} if settings_only else files)
    assert refused(pytester, "--mlflow-project=proj", *shlex.split(arguments)) == message


def test_a_mistake_in_an_ini_file(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmlflow_project = gone\n")
    pytester.makepyfile("def test_it(): pass")
    assert refused(pytester) == NO_DIRECTORY.format("gone")
    assert refused(pytester, "-n", "2") == NO_DIRECTORY.format("gone")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_directory(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    project = make_project()
    project.chmod(0)
    try:
        result = pytester.runpytest("--mlflow-project=proj")
    finally:
        project.chmod(0o755)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stderr.str().rstrip("\n") == snapshot("""\
ERROR: can't read the directory proj: Permission denied
  let this user read it, or name another: --mlflow-project=DIR\
""")


@pytest.mark.parametrize("option", ["--mlflow-launch=mlflow", "--mlflow-timeout=soon"])
def test_options_refused_by_the_command_line(
    pytester: pytest.Pytester, make_project: MakeProject, option: str
) -> None:
    make_project()
    name, value = option.split("=")
    message = refused(pytester, "--mlflow-project=proj", option)
    assert f"error: argument {name}: invalid" in message
    assert f"'{value}'" in message


LOGGING = """
import mlflow
with open("left_by_the_script", "w"):
    pass
mlflow.log_metric("score", 1.0)
"""
NAME = """it's "so" #1 ü; $(touch x) `touch y`&"""


@pytest.mark.launch
@pytest.mark.parametrize(
    ("store", "name", "basetemp"),
    [("file", f"{NAME} %41?*~", f"{NAME} %41?*~ base"), ("sqlite", "a b", NAME)],
)
def test_any_name_of_a_directory_can_be_launched(
    pytester: pytest.Pytester, make_project: MakeProject, store: str, name: str, basetemp: str
) -> None:
    make_project(name, {"train.py": LOGGING})
    before = tree(pytester.path)
    base = pytester.path.parent / basetemp
    result = pytester.runpytest(
        f"--mlflow-project={name}",
        "--mlflow-entry-point=train.py",
        "--mlflow-launch=fluent",
        f"--mlflow-store={store}",
        f"--basetemp={base}",
        *("-p", "no:cacheprovider"),
    )
    # Nothing to compare for `params`, no model for `models`.
    result.assert_outcomes(passed=3, skipped=2)
    assert tree(pytester.path) == before
    assert not [path for path in base.rglob("*") if path.name in "xy"]


def test_a_sqlite_store_where_its_uri_would_lead_elsewhere(tmp_path: Path) -> None:
    store = Store("sqlite", tmp_path / "a%41b" / "store")
    with pytest.raises(UserError) as failure:
        prepare_store(store, tmp_path / "template.db")
    assert str(failure.value) == (
        f'{store.root}: a SQLite store can\'t lie in a directory with "%" or "?" in its name\n'
        "  let pytest make its temporary directories elsewhere:  --basetemp=DIR\n"
        "  or use the other store:  --mlflow-store=file"
    )
    assert tree(tmp_path) == {}
