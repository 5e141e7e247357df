"""What users write is passed on as data: no value and no name is run, and no path leads out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_mlflow_check.checks.comparison import matches_any
from pytest_mlflow_check.config.settings import ProjectConfig, load_settings
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.planning import cases_of
from pytest_mlflow_check.mlproject.command import render_command
from pytest_mlflow_check.mlproject.loader import read_project, resolve_entry_point
from support.projects import MakeProject

VALUES = {
    "spaces": "  a  b ",
    "quotes": """it's "so" `here`""",
    "substitution": "$(touch pwned) `touch pwned` ${HOME} $HOME",
    "commands": "a; touch pwned & touch pwned | touch pwned && touch pwned > pwned",
    "lines": "a\ntouch pwned\n\r\n\t",
    "closing": "'; touch pwned; '",
    "closing-twice": '"; touch pwned; "',
    "unicode": "é☃ \u202e \U0001f600 e\u0301",
    "control": "\x1b[31m\x07\x7f",
    "braces": "{x} {} {{}} %s %(x)s",
    "globs": "* ? [a] ~ !x",
    "upwards": "../../../etc/passwd",
    "option": "--help",
    "equals": "a=b=c",
    "backslashes": "\\n \\\\ \\",
    "empty": "",
    "comment": "# <b>|</b>",
    "long": "x" * 10_000,
}
SCRIPT = "import json, sys\nprint(json.dumps(sys.argv[1:]))\n"


def project(directory: Path, entry_points: Mapping[str, Any]) -> Path:
    """A project with a script that prints what it is given."""
    home = directory / "proj"
    home.mkdir()
    (home / "MLproject").write_text(yaml.safe_dump({"entry_points": dict(entry_points)}), encoding="utf-8")
    (home / "train.py").write_text(SCRIPT)
    return home


def cases(home: Path, **given: Any) -> list[Case]:
    return cases_of(load_settings(home, command_line=given))


def mistake(home: Path, **given: Any) -> str:
    with pytest.raises(UserError) as refusal:
        cases(home, **given)
    return str(refusal.value)


def nothing_ran(directory: Path) -> bool:
    return not list(directory.rglob("*pwned*"))


# values


@pytest.mark.launch
def test_both_launches_hand_over_the_same_data(tmp_path: Path) -> None:
    names = list(VALUES)
    command = " ".join(["python train.py", *(f"{{{name}}}" for name in names)])
    home = project(tmp_path, {"main": {"parameters": dict.fromkeys(names, "string"), "command": command}})
    # MLflow takes no param of more than 6,000 characters.
    values = {**VALUES, "long": "x" * 6000}
    extra = {"more": "$(touch pwned)"}
    case = cases(home, params={**values, **extra})[0]
    template = " ".join(["python train.py", *(f"{{{name}}}" for name in names), "--more {more}"])
    fluent_case = Case("own", case.project, case.entry_point, case.params, template)
    launcher = Launcher(tmp_path / "area", cache=tmp_path / "cache")
    both = launcher.launches(case, ProjectConfig())
    own = launcher.launches(fluent_case, ProjectConfig(launch="fluent"))["fluent"]
    for launch in (*both.values(), own):
        assert launch.exit_code == 0, launch.stderr
        assert json.loads(launch.stdout.splitlines()[-1]) == [*values.values(), "--more", extra["more"]]
    assert nothing_ran(tmp_path)


QUOTED = [
    ('"{x}"', "$(touch pwned)", True),
    ('"{x}"', "`touch pwned`", True),
    ('"{x}"', '"; touch pwned; "', True),
    ('"{x}"', "a; touch pwned", False),
    ("'{x}'", "a; touch pwned", True),
    ("'{x}'", "$(touch pwned)", True),
    ("'{x}'", "a\ntouch pwned", True),
    ("'{x}'", "two words", False),
    ("{x}", "$(touch pwned); touch pwned", False),
    ('"a" {x} "b"', "$(touch pwned)", False),
    ("\\\" {x} \\'", "$(touch pwned)", False),
    ('"$(echo {x})"', "$(touch pwned)", False),
    ('"$(echo "{x}")"', "$(touch pwned)", True),
    ('"it\'s {x}"', "$(touch pwned)", True),
    ("'$( {x}'", "$(touch pwned)", True),
    ('"a b {x}"', "plain", False),
    ('"{{a}} {x}"', "$(touch pwned)", True),
    ("'{{' {x}", "$(touch pwned)", False),
]


@pytest.mark.parametrize(("part", "value", "runs"), QUOTED)
def test_a_value_that_quotes_of_the_command_would_lay_open(
    tmp_path: Path, part: str, value: str, runs: bool
) -> None:
    """What is refused is what a shell runs, and nothing else is."""
    command = f"echo {part}"
    home = project(tmp_path, {"main": {"parameters": {"x": "string"}, "command": command}})
    read = read_project(home)
    case = Case("main", read, resolve_entry_point(read, "main"), {"x": value})
    subprocess.run(["bash", "-c", render_command(case, home)], cwd=home, capture_output=True, check=False)
    assert nothing_ran(tmp_path) is not runs
    if runs:
        assert mistake(home, params={"x": value}) == (
            f'{home}/MLproject: case "main": the command has {{x}} in quotes, and MLflow puts quotes '
            f"around values by itself: the shell would run a part of {value!r}\n  write {{x}} without quotes"
        )
    else:
        assert cases(home, params={"x": value})


def test_a_value_that_quotes_of_the_plain_command_would_lay_open(tmp_path: Path) -> None:
    home = project(tmp_path, {"main": {"command": "python train.py"}})
    text = "[[case]]\nparams = { x = '$(touch pwned)' }\nfluent = 'python train.py \"{x}\"'\n"
    (home / "mlflow-check.toml").write_text(text)
    assert "in quotes, and MLflow puts quotes around values by itself" in mistake(home)


@pytest.mark.parametrize(
    "name", ["a; touch pwned", "$(touch pwned)", "a b", "a\nb", "`a`", "a'b", "x>pwned", "*"]
)
def test_the_name_of_an_undeclared_parameter(tmp_path: Path, name: str) -> None:
    """MLflow 2.22 gives it to the shell as it is."""
    home = project(tmp_path, {"main": {"command": "python train.py"}})
    assert mistake(home, params={name: "1"}) == (
        f"{home}/MLproject: the parameter {name!r} would become an option of that name\n"
        "  give it a name of letters, digits, - and _"
    )


@pytest.mark.parametrize("name", ["a", "max-depth", "é", "a.b", "a/b", "x_1", "a:b", "a,b", "@a", "%a"])
def test_an_undeclared_parameter_with_a_usual_name(tmp_path: Path, name: str) -> None:
    assert cases(project(tmp_path, {"main": {"command": "python train.py"}}), params={name: "1"})


def test_any_name_of_a_declared_parameter(tmp_path: Path) -> None:
    """It stands in no command: only its value does."""
    name = "$(touch pwned); é ' \""
    home = project(tmp_path, {"main": {"parameters": {name: "string"}, "command": f"echo {{{name}}}"}})
    assert cases(home, params={name: "1"})


LIMIT = 32 * os.sysconf("SC_PAGESIZE") if sys.platform == "linux" else os.sysconf("SC_ARG_MAX")


@pytest.mark.parametrize("used", [True, False])
def test_a_value_that_no_process_can_be_started_with(tmp_path: Path, used: bool) -> None:
    command = "python train.py {x}" if used else "python train.py"
    home = project(tmp_path, {"main": {"parameters": {"x": "string"}, "command": command}})
    assert cases(home, params={"x": "y" * 100_000})
    message = mistake(home, params={"x": "y" * LIMIT})
    assert f'of which "x" has {LIMIT:,}, and the system starts none of more than {LIMIT - 1:,}' in message
    assert message.endswith("\n  write the long value into a file, and give the path of it")
    assert len(message) < 500


def test_a_value_just_short_enough_is_passed(tmp_path: Path) -> None:
    """The limit is the system's: what we let pass, it starts."""
    home = project(tmp_path, {"main": {"parameters": {"x": "string"}, "command": "test -n {x}"}})
    length = LIMIT - len("test -n ") - 1
    case = cases(home, params={"x": "y" * length})[0]
    launch = Launcher(tmp_path / "area", cache=tmp_path).launches(case, ProjectConfig(launch="fluent"))
    assert launch["fluent"].exit_code == 0
    assert mistake(home, params={"x": "y" * (length + 1)})


def test_variables_and_many_values_that_no_process_can_be_started_with(tmp_path: Path) -> None:
    home = project(tmp_path, {"main": {"command": "python train.py"}})
    (home / "mlflow-check.toml").write_text(f'[[case]]\nenv = {{ A = "{"y" * LIMIT}" }}\n')
    assert f'of which "A" has {LIMIT:,}' in mistake(home)
    (home / "mlflow-check.toml").unlink()
    many = {f"p{n}": "y" * 100_000 for n in range(os.sysconf("SC_ARG_MAX") // 100_000 + 1)}
    assert "the system starts none of more than" in mistake(home, params=many)


# paths


@pytest.mark.parametrize("name", ["../train.py", "a/../../train.py", "{absolute}"])
def test_a_script_outside_of_what_is_copied(tmp_path: Path, name: str) -> None:
    home = project(tmp_path, {"main": {"command": "python train.py"}})
    (home / "a").mkdir()
    (tmp_path / "train.py").write_text(SCRIPT)
    name = name.format(absolute=tmp_path / "train.py")
    assert mistake(home, entry_point=name) == (
        f'the script "{name}" lies outside of what is copied for a launch: {home}\n'
        "  name it relative to the project, and below that directory"
    )


def test_a_script_elsewhere_in_the_repository(tmp_path: Path) -> None:
    home = project(tmp_path, {"main": {"command": "python train.py"}})
    (tmp_path / ".git").mkdir()
    (tmp_path / "train.py").write_text(SCRIPT)
    case = cases(home, entry_point="../train.py")[0]
    launch = Launcher(tmp_path / "area", cache=tmp_path).launches(case, ProjectConfig(launch="fluent"))
    assert launch["fluent"].stdout == "[]\n"


def test_a_script_of_r_whose_name_would_be_run(tmp_path: Path) -> None:
    home = project(tmp_path, {"main": {"command": "python train.py"}})
    (home / "$(touch pwned).R").touch()
    assert mistake(home, entry_point="$(touch pwned).R").endswith("of that name\n  rename it")


@pytest.mark.parametrize("value", ["../../secret", "data/../../secret", "link/secret"])
def test_a_path_parameter_is_the_path_that_was_written(tmp_path: Path, value: str) -> None:
    """MLflow makes it absolute against the directory it runs in, and so does the plain command."""
    entry = {"parameters": {"x": "path"}, "command": "echo {x}"}
    home = project(tmp_path, {"main": entry})
    (home / "data").mkdir()
    (home / "link").symlink_to(tmp_path)
    for place in (tmp_path / "secret", tmp_path.parent / "secret"):
        place.touch()
    case = cases(home, params={"x": value})[0]
    copy = tmp_path / "copy"
    assert render_command(case, copy) == f"echo {os.path.normpath(copy / value)}"


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "..", "a/b/../../..", "x" * 10_000, "é\n/../..", "-rf"]
)
def test_the_name_of_an_entry_point_leads_nowhere(tmp_path: Path, name: str) -> None:
    home = project(tmp_path, {name: {"command": "python train.py"}})
    case = cases(home, entry_point=name)[0]
    area = tmp_path / "area"
    launch = Launcher(area, cache=tmp_path / "cache").launches(case, ProjectConfig(launch="fluent"))
    assert launch["fluent"].directory.resolve().is_relative_to(area.resolve())
    assert {path.name for path in tmp_path.iterdir()} <= {"proj", "area", "cache"}


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("a\nb", "a_b"),
        ("a::b", "a_b"),
        ("a[b]", "a_b_"),
        ("\x1b[31m", "__31m"),
        ("x" * 1000, "x" * 100 + "…"),
        ("é ☃.py", "é ☃.py"),
        ("jobs/train.py", "jobs/train.py"),
    ],
)
def test_the_name_of_an_entry_point_as_id(tmp_path: Path, name: str, id: str) -> None:
    home = project(tmp_path, {name: {"command": "python train.py"}})
    assert [case.id for case in cases(home, entry_point=name)] == [id]


def test_patterns_in_settings_are_patterns_of_fnmatch_and_no_more(tmp_path: Path) -> None:
    """None of them is a regular expression, which could take for ever."""
    home = project(tmp_path, {"main": {"command": "python train.py"}})
    evil = ["(a+)+$", "[", "[]", "*" * 40 + "b", "\\", "../*"]
    text = f"artifact_contents = {json.dumps(evil)}\nignore = {{ params = {json.dumps(evil)} }}\n"
    (home / "mlflow-check.toml").write_text(text)
    patterns = load_settings(home).values.ignore.params
    assert not matches_any("a" * 2000, patterns)


# a session, with all of it at once

LOGGING = """
import mlflow

mlflow.set_experiment("../$(touch pwned)é")
with mlflow.start_run(run_name="../../$(touch pwned)\\n\\x1b[31m<b>"):
    mlflow.set_tag("a tag", "$(touch pwned)\\n../..")
    mlflow.log_param("p", "../../x; touch pwned")
    for name in ("../x", "a/../../x", "/etc/x"):
        try:
            mlflow.log_metric(name, 1.0, step=1)
            print("logged", name)
        except Exception as error:
            print("refused", name)
    mlflow.log_text("x", "a b/it's $(touch pwned).txt")
"""


@pytest.mark.launch
def test_names_that_a_script_logs(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", {"train.py": LOGGING})
    result = pytester.runpytest(
        "--mlflow-project=proj",
        "--mlflow-entry-point=train.py",
        "--mlflow-launch=fluent",
        f"--basetemp={pytester.path / 'base'}",
    )
    result.assert_outcomes(passed=3, skipped=2)
    made = {path.name for path in pytester.path.rglob("*pwned*")}
    assert made == {"it's $(touch pwned).txt"}
    assert "\x1b[31m<b>" not in result.stdout.str()
    assert not (pytester.path.parent / "x").exists()
