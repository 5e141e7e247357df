"""The command line and its ini twins, and the settings that come of them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_mlflow_check.core.errors import UserError, shown_path

if TYPE_CHECKING:
    from pytest_mlflow_check.config.settings import ResolvedConfig

_SCALARS = {
    "entry_point": "mlflow_entry_point",
    "launch": "mlflow_launch",
    "store": "mlflow_store",
    "env_manager": "mlflow_env_manager",
    "timeout": "mlflow_timeout",
    "strict": "mlflow_strict",
    "probes": "mlflow_probe",
    "cache": "mlflow_cache",
}
"""Keys of the settings file, and what their ini twins are called, and their options with dashes."""


def add_options(parser: pytest.Parser) -> None:
    """Declares the options, in the group `mlflow-check`, and their ini twins."""
    group = parser.getgroup("mlflow-check", "what a project logs to MLflow")
    group.addoption(
        "--mlflow-project",
        action="append",
        metavar="DIR",
        help="check this MLflow project (repeatable). Nothing else happens without it.",
    )
    group.addoption(
        "--mlflow-param",
        "-P",
        action="append",
        metavar="NAME=VALUE",
        help="a parameter value for the entry point (repeatable)",
    )
    group.addoption(
        "--mlflow-entry-point",
        metavar="NAME",
        help="entry point to launch, or a script such as train.py, as with `mlflow run -e`. Default: main",
    )
    group.addoption(
        "--mlflow-launch",
        choices=("both", "fluent", "mlflow-run"),
        help="launch as a plain command, with `mlflow run`, or both. Default: both",
    )
    group.addoption(
        "--mlflow-store",
        metavar="file|sqlite|server|postgresql://…",
        help="what the launches log to: `server` is an `mlflow server` of this session; at a PostgreSQL "
        "server each launch gets a database. Default: file",
    )
    group.addoption(
        "--mlflow-env-manager",
        choices=("local", "uv", "virtualenv", "conda"),
        help="what MLflow makes the project's environment with; both launches run in it. Default: local, "
        "the environment that pytest runs in",
    )
    group.addoption("--mlflow-timeout", type=float, metavar="SECONDS", help="for each launch. Default: 600")
    group.addoption("--mlflow-strict", action="store_const", const=True, help="warnings fail too")
    group.addoption(
        "--mlflow-probe",
        action="store_const",
        const=True,
        help="also check with values derived from the MLproject: 1 for a float, a text with a space, …",
    )
    group.addoption(
        "--mlflow-jobs",
        type=_count,
        metavar="N",
        help="how many launches there may be at a time. Default: as many as processors",
    )
    group.addoption(
        "--mlflow-cache",
        action="store_const",
        const=True,
        help="don't launch again what passed, as long as nothing changes that it depends on",
    )
    group.addoption(
        "--mlflow-update",
        action="store_true",
        help="write or rewrite mlflow-contract.yaml for the cases that are selected and pass; they are "
        "launched twice",
    )
    group.addoption(
        "--mlflow-update-in-ci", action="store_true", help="the same where the variable CI is set too"
    )
    group.addoption(
        "--mlflow-init",
        action="store_true",
        help="write a first mlflow-check.toml, and an MLproject where there is none, made of what the "
        "project's scripts say; overwrite and run nothing",
    )
    group.addoption(
        "--mlflow-static",
        action="store_const",
        const=True,
        help="check only what the MLproject and the files it names tell, of every entry point and without "
        "values: launch nothing, and collect nothing that isn't named",
    )
    group.addoption(
        "--mlflow-report",
        action="append",
        metavar="FILE",
        help="write a report, as .json, .md or .html by its suffix (repeatable)",
    )
    group.addoption(
        "--mlflow-explain", metavar="RULE", help="print what a rule means, with example and fix; run nothing"
    )
    parser.addini("mlflow_project", "twin of --mlflow-project, relative to this file", "paths", [])
    parser.addini("mlflow_param", "twin of --mlflow-param, one NAME=VALUE a line", "linelist", [])
    parser.addini("mlflow_report", "twin of --mlflow-report, relative to this file", "paths", [])
    parser.addini("mlflow_jobs", "twin of --mlflow-jobs", "string", "")
    parser.addini("mlflow_static", "twin of --mlflow-static", "string", "")
    for name in _SCALARS.values():
        parser.addini(name, f"twin of --{name.replace('_', '-')}", "string", "")


def project_directories(config: pytest.Config) -> list[Path]:
    """The projects to check, as absolute paths, each once: from the command line, else from the ini."""
    given: Iterable[str | Path] = config.getoption("mlflow_project") or config.getini("mlflow_project")
    projects: dict[str, Path] = {}
    for path in given:
        project = Path(os.path.abspath(config.invocation_params.dir / path))
        projects.setdefault(os.path.realpath(project), project)
    return list(projects.values())


def named_on_command_line(config: pytest.Config) -> bool:
    """Whether a project was named in this very call: not by an ini file, and not in its `addopts`."""
    return any(str(arg).startswith("--mlflow-project") for arg in config.invocation_params.args)


def may_select_checks(config: pytest.Config, projects: Iterable[Path]) -> bool:
    """Whether a check may be selected, as far as that is known before anything is collected."""
    if "not mlflow_check" in config.option.markexpr:
        return False
    if named_on_command_line(config):
        return True
    if config.args_source != config.ArgsSource.ARGS:
        return True
    files = (argument.partition("::")[0] for argument in config.args)
    places = {Path(os.path.abspath(config.invocation_params.dir / file)) for file in files}
    # Of files in a project's directory, only the MLproject is it without doubt.
    places |= {place.parent for place in places if place.name.lower() == "mlproject"}
    return any(places.intersection((project, *project.parents)) for project in projects)


def launch_jobs(config: pytest.Config) -> int | None:
    """How many launches there may be at a time; None where nobody said so.

    Raises:
        UserError: where the ini file says something else than a number.
    """
    given: int | None = config.getoption("mlflow_jobs")
    text = config.getini("mlflow_jobs")
    if given is not None or not text:
        return given
    try:
        return _count(text)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"mlflow_jobs = {text}: {error}") from error


def report_files(config: pytest.Config) -> list[Path]:
    """Where reports are wanted, as absolute paths, each once: from the command line, else from the ini.

    Raises:
        UserError: where a suffix doesn't say of what shape one is to be, a directory has its name, or the
            command line wants one of a session that launches nothing.
    """
    if config.getoption("mlflow_report") and static_only(config):
        raise UserError("--mlflow-report: a report is made of launches: leave out --mlflow-static")
    given: Iterable[str | Path] = config.getoption("mlflow_report") or config.getini("mlflow_report")
    files = [Path(os.path.abspath(config.invocation_params.dir / file)) for file in given]
    for file in files:
        # Most sessions want none.
        from pytest_mlflow_check.reporting.formats import SHAPES

        if file.suffix.lower() not in SHAPES:
            *suffixes, last = SHAPES
            raise UserError(
                f"--mlflow-report={shown_path(file)}: the suffix says what to write: name a file that ends "
                f"in {', '.join(suffixes)} or {last}"
            )
        if file.is_dir():
            raise UserError(f"--mlflow-report={shown_path(file)}: this is a directory: name a file")
    return list(dict.fromkeys(files))


def uses_launch_cache(config: pytest.Config) -> bool:
    """Whether command line or ini file ask for the launches of earlier sessions; a project's file may too."""
    return _switched_on(config, "mlflow_cache")


def static_only(config: pytest.Config) -> bool:
    """Whether only what files tell is checked."""
    return _switched_on(config, "mlflow_static")


def _switched_on(config: pytest.Config, name: str) -> bool:
    return config.getoption(name) or config.getini(name).lower() in ("true", "yes", "on", "1")


def asks_to_update(config: pytest.Config) -> bool:
    """Whether the contract is to be written. No ini file can ask for it: every session would then agree with
    whatever has changed."""
    return bool(config.getoption("mlflow_update")) or forces_update(config)


def forces_update(config: pytest.Config) -> bool:
    """Whether it is to be written in CI too."""
    return bool(config.getoption("mlflow_update_in_ci"))


def makes_launches(config: pytest.Config) -> bool:
    """Whether this session goes beyond collecting, listing what there is, and reading files."""
    listing = ("collectonly", "showfixtures", "show_fixtures_per_test", "setupplan", "markers", "help")
    return not static_only(config) and not any(getattr(config.option, name, False) for name in listing)


def project_settings(config: pytest.Config, project: Path, **given: Any) -> ResolvedConfig:
    """The settings in force for a project.

    Args:
        config: where options and ini are looked up.
        project: absolute path.
        given: by the keys of the settings file; wins over everything. None counts as not given.

    Raises:
        UserError: where a value doesn't fit.
    """
    from pytest_mlflow_check.config.settings import load_settings

    options = {key: config.getoption(name) for key, name in _SCALARS.items()}
    options["params"] = _pairs(config.getoption("mlflow_param") or (), "-P")
    ini = {key: config.getini(name) for key, name in _SCALARS.items()}
    ini["params"] = _pairs(config.getini("mlflow_param"), "mlflow_param")
    return load_settings(project, command_line=_set(options) | _set(given), ini=_set(ini))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is no number of launches: write  --mlflow-jobs=2')
    return int(text)


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value not in (None, "", {})}


def _pairs(texts: Iterable[str], where: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UserError(f'{where} "{text}": a parameter is given as NAME=VALUE, as in  {where} index=10')
        if name in pairs:
            raise UserError(f'{where} "{text}": the parameter "{name}" is given twice')
        pairs[name] = value
    return pairs
