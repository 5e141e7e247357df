"""Why a launch crashed, where that can be told from what it said: the first cause that fits counts."""

from __future__ import annotations

from collections.abc import Callable

from pytest_mlflow_check.checks.crash import Crash, Known
from pytest_mlflow_check.checks.missing_files import missing_file, missing_script, missing_variable
from pytest_mlflow_check.checks.missing_modules import missing_module
from pytest_mlflow_check.checks.network_errors import network_error
from pytest_mlflow_check.checks.usage_errors import usage_error

_CAUSES: tuple[Callable[[Crash, str], Known | None], ...] = (
    missing_module,
    missing_variable,
    usage_error,
    missing_script,
    network_error,
    missing_file,
)


def crash_cause(crash: Crash) -> Known | None:
    """What a launch crashed with: the first exception that says it, of those of its chain."""
    if crash.launch.exit_code is None or crash.launch.exit_code < 0:
        return None
    for message in crash.messages:
        for cause in _CAUSES:
            if known := cause(crash, message):
                return known
    return None
