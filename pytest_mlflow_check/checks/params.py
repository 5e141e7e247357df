"""The check `params`: do both launches log the same params with the same values, and as params should be?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pytest_mlflow_check.checks.comparison import Comparison, not_matching
from pytest_mlflow_check.checks.param_antipatterns import changing_params, duplicated_params, long_params
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.source_lines import source_line_of, source_line_of_start
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Mode, RunRecord


def check_params(comparison: Comparison) -> list[Finding]:
    """Findings for every param that is missing on one side, differs, or is no way to log a param."""
    findings: list[Finding] = []
    for pair in comparison.pairs:
        if pair.both:
            findings += _compare(comparison, pair, *pair.both)
        findings += duplicated_params(comparison, pair)
        findings += long_params(comparison, pair)
        findings += changing_params(comparison, pair)
    return findings


def _compare(
    comparison: Comparison, pair: RunPair, fluent: RunRecord, mlflow_run: RunRecord
) -> Iterator[Finding]:
    names = not_matching({*fluent.params, *mlflow_run.params}, comparison.settings.ignore.params)
    for name in names:
        one = _value(comparison, "fluent", fluent, name)
        other = _value(comparison, "mlflow-run", mlflow_run, name)
        if one == other:
            continue
        declared = comparison.declared(name)
        line = comparison.source_line(declared.line) if declared else None
        logged = source_line_of(comparison, pair, ["log_param"], name)
        # What isn't logged is missing after the line that starts the run.
        source_line = logged or (source_line_of_start(comparison, fluent) if one is None else None)
        rule, why, fix = _reason(comparison, name, one, other, source_line)
        yield Finding(
            rule=rule,
            subject=name,
            fluent=one,
            mlflow_run=other,
            source_line=line or source_line if rule == "param-quoted" else source_line or line,
            run=pair.label,
            why=why,
            fix=fix,
        )


def _reason(
    comparison: Comparison,
    name: str,
    fluent: str | None,
    mlflow_run: str | None,
    source_line: str | None,
) -> tuple[str, str, str]:
    """The rule, why, and what to change."""
    log = f'mlflow.log_param("{name}", …)'
    by_mlflow = comparison.given_by_mlflow(name)
    if fluent is None:
        why = (
            f"`mlflow run` logs the parameters of {_entry_point(comparison)} by itself. "
            f"{_plain_command(comparison)} doesn't, and the code never calls mlflow.log_param for them."
            if by_mlflow
            else "The code logged it under `mlflow run` and not when started by the plain command."
        )
        if not by_mlflow:
            return "param-missing-in-fluent", why, f"log it in both modes:  {log}"
        where = f" in {source_line}" if source_line else ""
        return "param-missing-in-fluent", why, f"log it after start_run(){where}:  {log}"
    if mlflow_run is None:
        why = "The code logged it when started by the plain command and not under `mlflow run`."
        return "param-missing-in-mlflow-run", why, f"log it in both modes:  {log}"
    if mlflow_run == shlex.quote(fluent):
        why = "`mlflow run` logs a parameter as it stands in the shell command, quotes included."
        return "param-quoted", why, f"log the value in use as cfg_{name}, or allow it with a reason"
    why = (
        "`mlflow run` logged the raw text it was given; the plain command's value is what the code logged."
        if by_mlflow
        else "The code logged different values in the two launches."
    )
    if not by_mlflow:
        return "param-differs", why, "log the same value however it is started, or allow it with a reason"
    return "param-differs", why, f"log the value in use as cfg_{name}, or allow it with a reason"


def _value(comparison: Comparison, mode: Mode, run: RunRecord, name: str) -> str | None:
    """The value without what differs by its nature: places, and ids of runs."""
    value = run.params.get(name)
    return None if value is None else comparison.comparable(mode, value)


def _entry_point(comparison: Comparison) -> str:
    line = comparison.source_line(comparison.case.entry_point.line) if comparison.case else None
    return line or "the entry point"


def _plain_command(comparison: Comparison) -> str:
    launch = comparison.launches.get("fluent")
    return f"`{launch.command}`" if launch else "The plain command"
