"""Options and their ini twins: each works from both, and the header says which of all sources won."""

from __future__ import annotations

import importlib.metadata
from itertools import product
from typing import Any

import pytest

from pytest_mlflow_check.plugin.options import project_directories, project_settings
from pytest_mlflow_check.plugin.session import CheckSession
from pytest_mlflow_check.rules import RULES, explain
from support.projects import FILES, MakeProject

VERSIONS = "mlflow-check: {}, mlflow {}".format(
    *(importlib.metadata.version(name) for name in ("pytest-mlflow-check", "mlflow"))
)

SOURCES: dict[str, tuple[tuple[str, Any], tuple[str, Any], tuple[str, Any], Any]] = {
    "entry_point": (("one", "one"), ('"two"', "two"), ("three", "three"), "main"),
    "launch": (("fluent", "fluent"), ('"mlflow-run"', "mlflow-run"), ("fluent", "fluent"), "both"),
    "store": (("sqlite", "sqlite"), ('"file"', "file"), ("sqlite", "sqlite"), "file"),
    "env_manager": (("uv", "uv"), ('"conda"', "conda"), ("virtualenv", "virtualenv"), "local"),
    "timeout": (("1.5", 1.5), ("2", 2.0), ("30", 30.0), 600.0),
    "strict": (("", True), ("false", False), ("true", True), False),
    "cache": (("", True), ("false", False), ("true", True), False),
}
"""By key: as written on the command line, in mlflow-check.toml, in the ini file, and the default."""

ORIGINS = ("command line", "mlflow-check.toml", "pytest ini")


@pytest.mark.parametrize("given", list(product([True, False], repeat=3)))
@pytest.mark.parametrize("key", SOURCES)
def test_the_order_of_sources(
    pytester: pytest.Pytester, make_project: MakeProject, key: str, given: tuple[bool, bool, bool]
) -> None:
    *texts, default = SOURCES[key]
    on_command_line, in_file, in_ini = given
    project = make_project("proj", {"mlflow-check.toml": f"{key} = {texts[1][0]}\n" if in_file else ""})
    pytester.makeini(f"[pytest]\nmlflow_{key} = {texts[2][0]}\n" if in_ini else "[pytest]\n")
    option = f"--mlflow-{key.replace('_', '-')}" + (f"={texts[0][0]}" if texts[0][0] else "")
    config = pytester.parseconfig(*([option] if on_command_line else []))
    settings = project_settings(config, project)
    wanted = [(value, name) for (_, value), name, there in zip(texts, ORIGINS, given, strict=True) if there]
    assert (getattr(settings.values, key), settings.origin(key)) == [*wanted, (default, "default")][0]


def test_parameters_add_up_name_by_name(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    pytester.makeini("[pytest]\nmlflow_param =\n    ini=1\n    file=1\n    line=1\n    text=a b = c\n")
    project = make_project("proj", {"mlflow-check.toml": "params = { file = 2, line = 2 }"})
    config = pytester.parseconfig("-P", "line=3", "--mlflow-param=empty=", "-Pquoted='a b'")
    settings = project_settings(config, project)
    line = {"line": "3", "empty": "", "quoted": "'a b'"}
    assert settings.values.params == {"ini": "1", "file": "2", "text": "a b = c", **line}
    assert settings.params == line


def test_a_case_stands_between_file_and_command_line(
    pytester: pytest.Pytester, make_project: MakeProject
) -> None:
    case = 'params = { a = 1, b = 1, c = 1 }\n[[case]]\nid = "x"\nparams = { b = 2, c = 2 }\n'
    make_project("proj", {**FILES, "mlflow-check.toml": case})
    config = pytester.parseconfig("--mlflow-project=proj", "-P", "c=3")
    assert CheckSession(config).projects[0].cases[0].params == {"a": "1", "b": "2", "c": "3"}


def test_the_project_by_option_and_by_ini(
    pytester: pytest.Pytester, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]\nmlflow_project = a/b\n    c\n")
    monkeypatch.chdir(make_project("a/b"))
    path = pytester.path
    assert project_directories(pytester.parseconfig(".")) == [path / "a" / "b", path / "c"]
    by_option = pytester.parseconfig(*(f"--mlflow-project={name}" for name in ("../x", path, ".")))
    assert project_directories(by_option) == [path / "a" / "x", path, path / "a" / "b"]


@pytest.mark.parametrize(
    ("arguments", "ini", "toml", "expected"),
    [
        ("", "", "", "store file, launch both, timeout 600 s, strict false (default)"),
        (
            "--mlflow-timeout=0.25 --mlflow-strict",
            "mlflow_launch = fluent",
            'store = "sqlite"',
            "store sqlite (mlflow-check.toml); launch fluent (pytest ini); "
            "timeout 0.25 s, strict true (command line)",
        ),
        (
            "--mlflow-env-manager=uv",
            "",
            "",
            "store file, launch both, timeout 600 s, strict false (default); env_manager uv (command line)",
        ),
        (
            "",
            "mlflow_cache = true",
            "",
            "store file, launch both, timeout 600 s, strict false (default); cache true (pytest ini)",
        ),
        (
            "--mlflow-store=file -o mlflow_timeout=1200",
            "mlflow_timeout = 5",
            'store = "sqlite"',
            "store file (command line); launch both, strict false (default); timeout 1200 s (pytest ini)",
        ),
    ],
)
def test_the_header_says_what_holds_and_why(
    pytester: pytest.Pytester, make_project: MakeProject, arguments: str, ini: str, toml: str, expected: str
) -> None:
    make_project("proj", {**FILES, "mlflow-check.toml": toml})
    make_project("more")
    pytester.makeini(f"[pytest]\n{ini}\n")
    result = pytester.runpytest("--co", "--mlflow-project=proj", "--mlflow-project=more", *arguments.split())
    header = [line for line in result.outlines if line.startswith("mlflow-check: ")]
    assert header[:2] == [VERSIONS, f"mlflow-check: proj: {expected}"]
    assert header[2].startswith("mlflow-check: more: ")
    assert len(header) == 3


def test_settings_in_pyproject(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project("proj", {**FILES, "pyproject.toml": '[tool.mlflow-check]\nlaunch = "fluent"\n'})
    result = pytester.runpytest("--co", "--mlflow-project=proj")
    assert (
        "mlflow-check: proj: store file, timeout 600 s, strict false (default); "
        "launch fluent (pyproject.toml [tool.mlflow-check])"
    ) in result.outlines


def test_explain_prints_and_runs_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_broken="raise SystemExit('imported')")
    result = pytester.runpytest("--mlflow-explain=metric-without-step", "--mlflow-project=nowhere")
    assert result.ret == 0
    assert result.stdout.str() == explain("metric-without-step")
    assert result.stderr.str() == ""


def test_explain_refuses_an_unknown_rule(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--mlflow-explain=metrics-without-steps")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines == [
        'ERROR: --mlflow-explain: unknown rule "metrics-without-steps": did you mean "metric-without-step"?',
        "",
    ]
    unlike = pytester.runpytest("--mlflow-explain=x")
    assert unlike.errlines[0].endswith(f"known: {', '.join(sorted(RULES))}")


def test_nothing_happens_without_a_project(pytester: pytest.Pytester, make_project: MakeProject) -> None:
    make_project(".", {**FILES, "mlflow-check.toml": "nonsense"})
    pytester.makepyfile(
        "def test_it(pytestconfig): assert not pytestconfig.pluginmanager.hasplugin('mlflow-check-session')"
    )
    pytester.makeini("[pytest]\nmlflow_store = nonsense\naddopts = --strict-markers --strict-config\n")
    result = pytester.runpytest("-P", "x", "--mlflow-strict", "--mlflow-entry-point=nowhere")
    result.assert_outcomes(passed=1)
    assert "mlflow-check:" not in result.stdout.str()


def test_help_and_markers(pytester: pytest.Pytester) -> None:
    shown = pytester.runpytest("--help").stdout.str()
    for name in (
        "project",
        "param",
        "entry-point",
        "launch",
        "store",
        "env-manager",
        "timeout",
        "strict",
        "cache",
        "explain",
    ):
        assert f"--mlflow-{name}" in shown
    for name in ("project", "param", *SOURCES):
        assert f"mlflow_{name} (" in shown
    markers = pytester.runpytest("--markers")
    assert "@pytest.mark.mlflow_check: a check of what an MLflow project logs" in markers.outlines
