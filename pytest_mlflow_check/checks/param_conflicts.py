"""Recognises in a launch's output that it crashed on logging a param anew with another value."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import TypedDict

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.crash_records import crash_output
from pytest_mlflow_check.checks.logging_snippets import in_use, log_where_missing
from pytest_mlflow_check.checks.tracebacks import last_exception, last_project_line
from pytest_mlflow_check.core.findings import CodePart, Finding
from pytest_mlflow_check.core.models import Parameter
from pytest_mlflow_check.core.records import Launch, Mode

_LONGEST_VALUE = 60

CHANGING = "Changing param values is not allowed. "
"""How MLflow's messages begin: FileStore._validate_new_param_value, SqlAlchemyStore.log_param and
_log_params (3.17.2 and 2.22.5)."""

_ADVICE = "'.\n\nThe cause of this error is typically due to"
"""What TrackingServiceClient.log_param puts behind them."""


def rewritten_params(comparison: Comparison, mode: Mode, launch: Launch) -> Iterator[Finding]:
    """Find each param that a failed launch crashed on, having logged it before, in its standard error."""
    output = crash_output(launch)
    end = last_exception(output)
    changes: dict[str, tuple[str, str, int]] = {}
    for found in re.finditer(re.escape(CHANGING), output[end:]):
        position = end + found.start()
        message = output[end + found.end() :].partition(CHANGING)[0]
        for key, old, new in changed_params(message):
            changes[key] = (old, new, position)
    for key, (old, new, position) in changes.items():
        line = last_project_line(output[:position], launch.directory)
        declared = comparison.declared(key)
        by_mlflow = mode == "mlflow-run" and comparison.given_by_mlflow(key)
        source_line = comparison.source_line(declared.line) if by_mlflow and declared else None
        first = (
            f"`mlflow run` logged {key} = {shown(old)} by itself, from {source_line or 'its -P option'}"
            if by_mlflow
            else f"{key} = {shown(old)} was logged already"
        )
        text = f"logged {shown(old)}, then {shown(new)}"
        yield Finding(
            rule="param-rewritten",
            subject=key,
            fluent=text if mode == "fluent" else None,
            mlflow_run=text if mode == "mlflow-run" else None,
            source_line=line or source_line,
            why=f"{first}; then {line or 'the code'} logged {key} = {shown(new)}. "
            "A param can't be changed once it is logged, so the launch crashed there.",
            **_fix(key, line, _default(declared, old, new, source_line), by_mlflow=by_mlflow),
        )


class _Fix(TypedDict):
    fix: str
    code: tuple[CodePart, ...]


def _default(declared: Parameter | None, old: str, new: str, source_line: str | None) -> str:
    """The default that the code logs as it stands, where it is the number that was meant."""
    if declared is None or declared.default != old or source_line is None or not _is_number(old, new):
        return ""
    return f"write in {source_line}  {declared.name}: {{type: {declared.type}, default: {new}}}  or "


def _is_number(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def _fix(key: str, line: str | None, default: str, *, by_mlflow: bool) -> _Fix:
    """What to change, and what to paste for it."""
    if not by_mlflow:
        there = f" around {line}" if line else ""
        code = "with mlflow.start_run(nested=True):"
        return {
            "fix": f"log {key} once a run; what repeats it gets a run of its own{there}:  {code}",
            "code": (),
        }
    other = in_use(key)
    where = f"in place of {line}, with all else that it logs" if line else "where it is logged"
    fix = f"{default}log {key} only where `mlflow run` hasn't"
    if other is not None:
        fix += f", and the value in use as {other}"
    return {"fix": fix, "code": (log_where_missing([key], where, besides=[other] if other else ()),)}


def changed_params(message: str) -> list[tuple[str, str, str]]:
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


def shown(value: str) -> str:
    """The value in quotes; of a long one both ends."""
    if len(value) > _LONGEST_VALUE:
        half = (_LONGEST_VALUE - 1) // 2
        value = f"{value[:half]}…{value[-half:]}"
    return f'"{value}"'
