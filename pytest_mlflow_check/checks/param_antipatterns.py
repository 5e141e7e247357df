"""Params that both launches log alike, and that are logged in a way that loses something or helps nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_mlflow_check.checks.comparison import Comparison, not_matching
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.source_lines import calls, source_line_of
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Mode, RunRecord

_LONGEST = 6000
"""Characters of a value that MLflow keeps (mlflow.utils.validation.MAX_PARAM_VAL_LENGTH, 3.17.2, 2.22.5)."""

_FEWEST = 3
"""Names with a counter that make a series of them."""


def duplicated_params(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    """Params that `mlflow run` logs with dashes and the code with underscores, as in `max-depth`."""
    for name in not_matching(
        {name for _, run in pair.sides for name in run.params}, comparison.settings.ignore.params
    ):
        twin = name.replace("-", "_")
        if twin == name or not comparison.given_by_mlflow(name):
            continue
        if not any(twin in run.params and name in run.params for _, run in pair.sides):
            continue
        # Code that logs both names logs the same whichever way it is started.
        if pair.fluent is not None and name in pair.fluent.params:
            continue
        declared = comparison.declared(name)
        line = comparison.source_line(declared.line) if declared else None
        yield Finding(
            rule="param-duplicated",
            subject=name,
            fluent=_names(pair.fluent, name, twin),
            mlflow_run=_names(pair.mlflow_run, name, twin),
            source_line=line or source_line_of(comparison, pair, ["log_param"], twin),
            run=pair.label,
            why=f"`mlflow run` logs {name}, as {line or 'the command line'} spells it; the code logs {twin}.",
            fix=_renamed(comparison, name, twin, line),
        )


def _renamed(comparison: Comparison, name: str, twin: str, line: str | None) -> str:
    case = comparison.case
    command = comparison.source_line(case.entry_point.command_line) if case else None
    if line is None or command is None:
        return f"give it as {twin} too, or log it in the code as {name}"
    return f"call it  {twin}  in {line}, and write  {{{twin}}}  in the command in {command}"


def long_params(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    """Params whose value is as long as MLflow keeps, so that more of it was cut away."""
    long: dict[str, dict[Mode, str]] = {}
    for mode, run in pair.sides:
        for name in not_matching(run.params, comparison.settings.ignore.params):
            if len(run.params[name]) >= _LONGEST:
                long.setdefault(name, {})[mode] = f"{len(run.params[name])} characters kept"
    for name, sides in long.items():
        yield Finding(
            rule="param-too-long",
            subject=name,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            source_line=source_line_of(comparison, pair, ["log_param"], name),
            run=pair.label,
            why="MLflow cuts a value off after 6,000 characters; what came behind is lost.",
            fix=f'log it as a file in place of the param:  mlflow.log_dict(…, "{name}.json")',
        )


def changing_params(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    """Params that one line logs again and again, each time with another number in the name, as it trains."""
    found: dict[str, tuple[str, dict[Mode, int]]] = {}
    for mode, run in pair.sides:
        for stem, source_line, count in _counted(comparison, mode, run):
            found.setdefault(stem, (source_line, {}))[1][mode] = count
    for stem, (source_line, counts) in found.items():
        yield Finding(
            rule="param-changes-per-step",
            subject=stem,
            fluent=_params(counts.get("fluent")),
            mlflow_run=_params(counts.get("mlflow-run")),
            source_line=source_line,
            run=pair.label,
            why=f"{source_line} logs a param with a new name each time it comes by, while metrics are "
            "logged. Params are constants of a run.",
            fix=f"log a metric in {source_line}:  "
            f'mlflow.log_metric("{stem.replace("*", "").strip("_-. ")}", …, step=…)',
        )


def _counted(comparison: Comparison, mode: Mode, run: RunRecord) -> Iterator[tuple[str, str, int]]:
    """Name with `*` for the number, place and count, for each line that logs such params between metrics."""
    names: dict[tuple[str, str], list[str]] = {}
    rounds: dict[tuple[str, str], int] = {}
    since: dict[tuple[str, str], bool] = {}
    for call in calls(comparison, ["log_param", "log_metric"], run=run, mode=mode):
        if call.what == "log_metric":
            since = dict.fromkeys(names, True)
            continue
        stem = re.sub(r"\d+", "*", call.key)
        if stem == call.key or call.source_line is None:
            continue
        line = (stem, call.source_line)
        if call.key not in names.setdefault(line, []):
            names[line].append(call.key)
            rounds[line] = rounds.get(line, 0) + (since.pop(line, False))
    for (stem, source_line), keys in names.items():
        if len(keys) >= _FEWEST and rounds[stem, source_line] >= _FEWEST - 1:
            yield stem, source_line, len(keys)


def _names(run: RunRecord | None, *names: str) -> str | None:
    return None if run is None else ", ".join(name for name in names if name in run.params) or None


def _params(count: int | None) -> str | None:
    return None if count is None else f"{count} params"
