"""The hooks pytest sees. What they do lies elsewhere, and is imported only when it is asked for."""

from __future__ import annotations

import sys

import pytest

from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.plugin.fixtures import mlflow_launch, mlflow_launches, mlflow_store
from pytest_mlflow_check.plugin.options import (
    add_options,
    makes_launches,
    may_select_checks,
    project_directories,
)
from pytest_mlflow_check.plugin.requirements import require_dependencies
from pytest_mlflow_check.plugin.resources import start_fork_server
from pytest_mlflow_check.plugin.xdist import is_worker

__all__ = ["mlflow_launch", "mlflow_launches", "mlflow_store"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declares the options and their ini twins."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answers `--mlflow-explain` and `--mlflow-init`, and runs nothing then."""
    if config.option.help:
        return None
    try:
        if (slug := config.getoption("mlflow_explain")) is not None:
            from pytest_mlflow_check.rules import explain

            _print(explain(slug))
        elif config.getoption("mlflow_init"):
            from pytest_mlflow_check.scaffold.command import initialise

            for project in project_directories(config) or [config.invocation_params.dir]:
                _print(initialise(project))
        else:
            return None
    except UserError as error:
        raise pytest.UsageError(str(error)) from error
    return 0


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker; gets everything else going only where a project is to be checked."""
    config.addinivalue_line("markers", "mlflow_check: a check of what an MLflow project logs")
    # `--help` configures too, and has to work whatever the ini file names.
    projects = [] if config.option.help else project_directories(config)
    if projects:
        if not is_worker(config):
            try:
                require_dependencies()
            except UserError as error:
                raise pytest.UsageError(str(error)) from error
        if makes_launches(config):
            # First of all: while this process gets ready, it has MLflow loaded.
            start_fork_server(config, projects, begin=may_select_checks(config, projects))
        from pytest_mlflow_check.plugin.session import register

        register(config)


def _print(text: str) -> None:
    # Some terminals know ASCII only.
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding))
