"""Recognises in a launch's output that it died of logging a param anew with another value."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.findings import Finding
from pytest_mlflow_check.records import Launch, Mode

_LONGEST_VALUE = 60

_CHANGING = "Changing param values is not allowed. "
"""How MLflow's messages begin: FileStore._validate_new_param_value, SqlAlchemyStore.log_param and
_log_params (3.17.2 and 2.22.5)."""

_ADVICE = "'.\n\nThe cause of this error is typically due to"
"""What TrackingServiceClient.log_param puts behind them."""

_TRACEBACK = "Traceback (most recent call last)"
_FRAME = re.compile(r'^ *File "(?P<file>(?!<)[^"\n]+)", line (?P<line>\d+)', re.MULTILINE)
"""A line of a traceback that names a file, and not `<string>` or the like."""

_NOT_THE_END = (
    "During handling of the above exception",
    "The above exception was the direct cause",
    "Exception ignored",
    "Exception in thread",
    "Error in atexit",
)
"""What stands above a traceback that continues another, or that didn't end the program."""


def rewritten_params(comparison: Comparison, mode: Mode, launch: Launch) -> Iterator[Finding]:
    """A finding for each param that a failed launch died of logging again, told by its standard error."""
    end = _last_exception(launch.stderr)
    changes: dict[str, tuple[str, str, int]] = {}
    for found in re.finditer(re.escape(_CHANGING), launch.stderr[end:]):
        position = end + found.start()
        message = launch.stderr[end + found.end() :].partition(_CHANGING)[0]
        for key, old, new in _changed_params(message):
            changes[key] = (old, new, position)
    for key, (old, new, position) in changes.items():
        line = _last_project_line(launch.stderr[:position], launch.directory)
        declared = comparison.declared(key)
        by_mlflow = mode == "mlflow-run" and comparison.given_by_mlflow(key)
        place = comparison.place(declared.line) if by_mlflow and declared else None
        first = (
            f"`mlflow run` logged {key} = {_shown(old)} by itself, from {place or 'its -P option'}"
            if by_mlflow
            else f"{key} = {_shown(old)} was logged already"
        )
        text = f"logged {_shown(old)}, then {_shown(new)}"
        yield Finding(
            rule="param-rewritten",
            subject=key,
            fluent=text if mode == "fluent" else None,
            mlflow_run=text if mode == "mlflow-run" else None,
            place=line or place,
            why=f"{first}; then {line or 'the code'} logged {key} = {_shown(new)}. "
            "A param can't be changed once it is logged, so the launch died there.",
            fix=f"log {key} only where it isn't logged yet, and the value in use as cfg_{key}",
        )


def _last_exception(text: str) -> int:
    """Where the last exception starts that may have ended the program, the ones it follows from included."""
    start = 0
    for found in re.finditer(rf"^{re.escape(_TRACEBACK)}", text, re.MULTILINE):
        above = text[: found.start()].rstrip().rpartition("\n")[2]
        if not above.startswith(_NOT_THE_END):
            start = found.start()
    return start


def _changed_params(message: str) -> list[tuple[str, str, str]]:
    """Key, old value and new value of each param in what follows the beginning of MLflow's message.

    The text is output and may be anything; what can't be read gives nothing.
    """
    single, batch = "Param with key='", "Params were already logged='"
    if message.startswith(batch):
        params, end, _ = message.removeprefix(batch).partition("]' for run ID='")
        try:
            listed = ast.literal_eval(params + end[:1])
            changes = [(one["key"], one["old_value"], one["new_value"]) for one in listed]
        except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError):
            return []
        return [change for change in changes if all(isinstance(text, str) for text in change)]
    if not message.startswith(single):
        return []
    # The values stand there as they are, with quotes and line ends of their own.
    key, _, rest = message.removeprefix(single).partition("' was already logged with value='")
    logged, attempted, rest = rest.partition("'. Attempted logging new value '")
    old = logged.rpartition("' for run ID='")[0]
    new, end, _ = rest.partition(_ADVICE)
    if not end and (found := re.search(r"'\.$", rest, re.MULTILINE) or re.search(r"'\.", rest)):
        new, end = rest[: found.start()], found.group()
    return [(key, old, new)] if attempted and end else []


def _last_project_line(text: str, directory: Path) -> str | None:
    """The innermost line of the project's own code in the last traceback of a text."""
    place = None
    for found in _FRAME.finditer(text[max(text.rfind(_TRACEBACK), 0) :]):
        file = directory / found["file"]
        if file.is_relative_to(directory):
            place = f"{file.relative_to(directory)}:{found['line']}"
    return place


def _shown(value: str) -> str:
    """The value in quotes; of a long one both ends."""
    if len(value) > _LONGEST_VALUE:
        half = (_LONGEST_VALUE - 1) // 2
        value = f"{value[:half]}…{value[-half:]}"
    return f'"{value}"'
