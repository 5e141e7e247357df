"""Code that logs what is missing, and where it goes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.source_lines import start_of
from pytest_mlflow_check.core.findings import CodePart
from pytest_mlflow_check.core.models import Parameter
from pytest_mlflow_check.core.records import RunRecord

LOGGED = "mlflow.get_run(mlflow.active_run().info.run_id).data.params"
"""What the active run has: under `mlflow run` also what that logged before the code started."""

_FILTERED = "mlflow.log_params({name: value for name, value in to_log.items() if name not in already_logged})"
"""The names are none that the code around it is likely to have: `params` and `logged` are in many."""


def log_params(names: Iterable[str]) -> str:
    """The call that logs params: one for all of them."""
    first, *others = names
    if not others:
        return f'mlflow.log_param("{first}", …)'
    return f"mlflow.log_params({{{blanks([first, *others])}}})"


def log_where_missing(names: Iterable[str], where: str, *, besides: Iterable[str] = ()) -> CodePart:
    """The lines that log those params which `mlflow run` hasn't logged.

    Args:
        names: the params.
        where: where the lines go.
        besides: params to log whether or not these are there.
    """
    lines = [f"already_logged = {LOGGED}", f"to_log = {{{blanks(names)}}}", _FILTERED]
    if besides := list(besides):
        lines.append(log_params(besides))
    return CodePart(where, "\n".join(lines))


def in_use(name: str) -> str | None:
    """The name under which the value in use of a parameter is logged; None for what is such a name."""
    return None if name.startswith("cfg_") else f"cfg_{name}"


def survives(value: str, parameter: Parameter | None) -> bool:
    """Whether code that logs a parameter's value logs the text that `mlflow run` has logged.

    Args:
        value: as `mlflow run` logged it: quoted for the shell.
        parameter: as the MLproject declares it.
    """
    if shlex.quote(value) != value or (parameter is not None and parameter.type in ("path", "uri")):
        return False
    try:
        number = float(value)
    except ValueError:
        return True
    if parameter is not None and parameter.type == "float":
        return str(number) == value
    return value in (str(number), str(int(number)) if number.is_integer() else "")


def place_to_log(comparison: Comparison, run: RunRecord) -> tuple[str, str | None]:
    """In words where a run is open for more to be logged, and the line that these name."""
    call = start_of(comparison, run)
    line = call.source_line if call else None
    if call is None or line is None:
        return "within the run", None
    if "implicit" in call.options:
        return f"before {line}, where the first call of MLflow starts the run", line
    if call.library:
        return f"before {line}, with  with mlflow.start_run():  around both", line
    if call.what == "create_run":
        return f"in the run that {line} makes", line
    return f"after start_run() in {line}", line


def script_of(command: str) -> str:
    """The script that a command starts, as far as its text tells."""
    found = re.search(r"[\w./-]+\.py", command)
    return found[0] if found else "the script"


def values_given(comparison: Comparison) -> Mapping[str, str]:
    """What `mlflow run` logs by itself, as it does."""
    case = comparison.case
    if case is None:
        return {}
    declared = case.entry_point.parameters.values()
    defaults = {one.name: one.default for one in declared if one.default is not None}
    return {name: shlex.quote(value) for name, value in {**defaults, **case.params}.items()}


def blanks(names: Iterable[str]) -> str:
    """Items of a dictionary whose values are left open."""
    return ", ".join(f'"{name}": …' for name in names)
