"""The check `params`: do both launches log the same params with the same values, and as params should be?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_mlflow_check.checks.comparison import Comparison, not_matching
from pytest_mlflow_check.checks.logging_snippets import (
    in_use,
    log_params,
    log_where_missing,
    place_to_log,
    survives,
)
from pytest_mlflow_check.checks.param_antipatterns import changing_params, duplicated_params, long_params
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.setting_lines import allowance
from pytest_mlflow_check.checks.source_lines import source_line_of
from pytest_mlflow_check.core.findings import CodePart, Finding, Severity
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


@dataclass(frozen=True)
class _Difference:
    """A param that the launches of a run don't log alike."""

    name: str
    fluent: str | None
    mlflow_run: str | None
    by_mlflow: bool
    source_line: str | None

    @property
    def alike(self) -> tuple[bool, bool, str | None]:
        """What those have in common that one call can log: the side, and where."""
        return self.fluent is None, self.by_mlflow, None if self.by_mlflow else self.source_line


@dataclass(frozen=True)
class _Reason:
    """What is said of a param: the rule, why, and what to change."""

    rule: str
    why: str
    fix: str
    code: tuple[CodePart, ...] = ()
    severity: Severity = "error"


def _compare(
    comparison: Comparison, pair: RunPair, fluent: RunRecord, mlflow_run: RunRecord
) -> Iterator[Finding]:
    names = not_matching({*fluent.params, *mlflow_run.params}, comparison.settings.ignore.params)
    differences = []
    for name in names:
        one = _value(comparison, "fluent", fluent, name)
        other = _value(comparison, "mlflow-run", mlflow_run, name)
        if one != other:
            line = source_line_of(comparison, pair, ["log_param"], name)
            differences.append(_Difference(name, one, other, comparison.given_by_mlflow(name), line))
    for difference in differences:
        reason = _reason(comparison, pair, difference, differences)
        declared = comparison.declared(difference.name)
        line = comparison.source_line(declared.line) if declared else None
        logged = difference.source_line
        # What isn't logged is missing after the line that starts the run.
        if logged is None and difference.fluent is None:
            logged = place_to_log(comparison, fluent)[1]
        yield Finding(
            rule=reason.rule,
            subject=difference.name,
            fluent=difference.fluent,
            mlflow_run=difference.mlflow_run,
            source_line=line or logged if reason.rule == "param-quoted" else logged or line,
            run=pair.label,
            why=reason.why,
            fix=reason.fix,
            code=reason.code,
            severity=reason.severity,
        )


def _reason(
    comparison: Comparison, pair: RunPair, difference: _Difference, all_of_run: Sequence[_Difference]
) -> _Reason:
    if difference.fluent is not None and difference.mlflow_run is not None:
        return _other_value(comparison, pair, difference)
    together = [
        one for one in all_of_run if one.alike == difference.alike and None in (one.fluent, one.mlflow_run)
    ]
    names = [one.name for one in together]
    if difference.fluent is None and difference.by_mlflow:
        return _left_to_mlflow(comparison, pair, together)
    here = f" at {difference.source_line}" if difference.source_line else ""
    fix = f"log {'it' if len(names) == 1 else 'them'} in both modes{here}:  {log_params(names)}"
    if difference.fluent is None:
        why = "The code logged it under `mlflow run` and not when started by the plain command."
        return _Reason("param-missing-in-fluent", why, fix)
    why = "The code logged it when started by the plain command and not under `mlflow run`."
    return _Reason("param-missing-in-mlflow-run", why, fix)


def _left_to_mlflow(comparison: Comparison, pair: RunPair, together: Sequence[_Difference]) -> _Reason:
    names = [one.name for one in together]
    where = place_to_log(comparison, pair.fluent)[0] if pair.fluent else "within the run"
    why = (
        f"`mlflow run` logs the parameters of {_entry_point(comparison)} by itself. "
        f"{_plain_command(comparison)} doesn't, and the code never calls mlflow.log_param for them."
    )
    them = "it" if len(names) == 1 else "them"
    if all(survives(one.mlflow_run or "", comparison.declared(one.name)) for one in together):
        return _Reason("param-missing-in-fluent", why, f"log {them} {where}:  {log_params(names)}")
    return _Reason(
        "param-missing-in-fluent",
        f"{why} Where `mlflow run` has logged another text of a value, as 1 for 1.0 or with quotes, to log "
        "it again would crash.",
        f"log {them} where `mlflow run` hasn't",
        (log_where_missing(names, where),),
    )


def _other_value(comparison: Comparison, pair: RunPair, difference: _Difference) -> _Reason:
    """What is said of a param that both launches logged, with two values."""
    name = difference.name
    quoted = difference.mlflow_run == shlex.quote(difference.fluent or "")
    if not quoted and not difference.by_mlflow:
        return _Reason(
            "param-differs",
            "The code logged different values in the two launches.",
            "log the same value however it is started, or allow it with a reason",
            # Two runs from elsewhere have no settings.
            (allowance("param-differs", name, "…"),) if comparison.case else (),
        )
    rule = "param-quoted" if quoted else "param-differs"
    why = (
        "`mlflow run` logs a parameter as it stands in the shell command, quotes included."
        if quoted
        else "`mlflow run` logged the raw text it was given; the plain command's value is what the code "
        "logged."
    )
    other = in_use(name)
    if other is None:
        return _Reason(rule, why, "accept it", (allowance(rule, name, "the raw value"),))
    accepted = (allowance(rule, name, f"the raw value; {other} is the value in use"),)
    values = {_value(comparison, mode, run, other) for mode, run in pair.sides}
    if len(values) == 1 and values != {None}:
        why = f"{why} {other} has the value in use, alike in both."
        return _Reason(rule, why, f"search by {other}, or allow it with a reason", accepted, "warning")
    there = f" after {difference.source_line}" if difference.source_line else ""
    return _Reason(
        rule,
        why,
        f'log the value in use as well{there}:  mlflow.log_param("{other}", …)  and allow the raw one with '
        "a reason",
        accepted,
    )


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
