"""Other plugins of pytest: those that no check can be made under, and those that end one early."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from pytest_mlflow_check.core.errors import UserError

_UNFIT = {
    "forked": (
        "--forked: a check waits for launches in the process that began them, which a fork can't: "
        "leave out --forked, or the checks:  -m 'not mlflow_check'"
    ),
    "benchmark_only": (
        "--benchmark-only: pytest-benchmark would skip every check, and the session would pass: "
        "leave it out, or name the tests to measure"
    ),
    # Each of them switches pytest-testmon on.
    **dict.fromkeys(
        ("testmon", "testmon_noselect", "testmon_nocollect", "testmon_forceselect"),
        "--testmon: pytest-testmon doesn't see what launches depend on, and would leave out checks of code "
        "that has changed: leave it out, or the checks:  -m 'not mlflow_check'; what spares launches is "
        "--mlflow-cache",
    ),
}
"""By the attribute of `config.option` that another plugin sets: why no check can be made then."""


def refuse_unfit(config: pytest.Config) -> None:
    """Refuses to make checks under what keeps them from being made, or from being seen.

    Raises:
        UserError: where such an option of another plugin is in force.
    """
    for option, why in _UNFIT.items():
        if getattr(config.option, option, False):
            raise UserError(why)


def interrupter(error: BaseException, config: pytest.Config) -> str | None:
    """The plugin that raised an exception in the middle of a check; None where the exception is our own.

    Plugins do that from signal handlers, as pytest-timeout does, or in what they put in place of functions.
    """
    names = {
        plugin.__name__.partition(".")[0]: str(distribution.project_name)
        for plugin, distribution in config.pluginmanager.list_plugin_distinfo()
        if hasattr(plugin, "__name__") and plugin.__name__.partition(".")[0] != __name__.partition(".")[0]
    }
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if module in names:
            return names[module]
        file = Path(frame.f_code.co_filename)
        if file.name == "conftest.py":
            return os.path.relpath(file, config.rootpath)
    # Nothing of ours calls `pytest.fail`.
    return "another plugin" if isinstance(error, pytest.fail.Exception) else None
