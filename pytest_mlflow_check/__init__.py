"""Checks what a project logs to MLflow, started both as a plain command and with `mlflow run`.

The names below are imported when they are first used: pytest imports this package in every session, also
in those that have nothing to do with MLflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_mlflow_check.config.settings import load_settings
    from pytest_mlflow_check.core.errors import UserError
    from pytest_mlflow_check.engine.api import check_project
    from pytest_mlflow_check.engine.assertions import assert_runs_match

__all__ = ["UserError", "assert_runs_match", "check_project", "load_settings"]

_HOMES = {
    "UserError": "core.errors",
    "assert_runs_match": "engine.assertions",
    "check_project": "engine.api",
    "load_settings": "config.settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
