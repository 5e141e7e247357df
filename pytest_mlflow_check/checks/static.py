"""What the MLproject alone tells, whether or not anything was launched."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.static_files import lost_files_and_options, refusals, wrong_places
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.models import EntryPoint, looked_up, placeholders

_RUN_ID = re.compile(r"MLFLOW_RUN_ID(?!\w|:?[-+=])")
"""The variable, and not `${MLFLOW_RUN_ID:-…}`, which says what holds where it isn't set."""


def obstacle(comparison: Comparison) -> str | None:
    """The rule that says why nothing was launched; None where something was."""
    if comparison.unset:
        return "mlproject-null-default"
    return "needs-docker" if comparison.docker_missing else None


def without_run_id(comparison: Comparison) -> bool:
    """Whether the plain command's own text uses MLFLOW_RUN_ID, which only `mlflow run` sets."""
    case = comparison.case
    return case is not None and _RUN_ID.search(case.fluent or case.entry_point.command) is not None


def static_findings(comparison: Comparison) -> Iterator[Finding]:
    """Findings about the entry point of the case."""
    if comparison.case is None:
        return
    yield from lost_files_and_options(comparison)
    yield from wrong_places(comparison)
    yield from _null_defaults(comparison, comparison.case.entry_point)
    if comparison.facts.refusal:
        yield from refusals(comparison)
    else:
        yield from _unused_parameters(comparison, comparison.case.entry_point)
    if comparison.docker_missing:
        yield _needs_docker(comparison)
    if without_run_id(comparison):
        yield _needs_run_id(comparison, comparison.case.entry_point)


def _null_defaults(comparison: Comparison, entry_point: EntryPoint) -> Iterator[Finding]:
    for parameter in entry_point.parameters.values():
        if parameter.null_default:
            source_line = comparison.source_line(parameter.line)
            nothing = ", so nothing was launched" if comparison.unset else ""
            yield Finding(
                rule="mlproject-null-default",
                subject=parameter.name,
                mlflow_run="null",
                source_line=source_line,
                why="MLflow takes `default: null` for no default at all; without a value `mlflow run` ends "
                f'with "No value given for missing parameters"{nothing}.',
                fix=f'in {source_line} write  {parameter.name}: {{type: {parameter.type}, default: ""}}  '
                'and take the empty text for "not given" in the code',
            )


def _unused_parameters(comparison: Comparison, entry_point: EntryPoint) -> Iterator[Finding]:
    used = {looked_up(field) for _, field, _ in placeholders(entry_point.command)}
    for parameter in entry_point.parameters.values():
        if parameter.name not in used:
            yield Finding(
                rule="mlproject-unused-parameter",
                subject=parameter.name,
                mlflow_run="logged, not passed on",
                source_line=comparison.source_line(parameter.line),
                why="`mlflow run` logs its value, and the command, which has no placeholder for it, never "
                "gets it: the run claims a value that nothing used.",
                fix=f"pass it on in the command:  --{parameter.name} {{{parameter.name}}}  or remove it from "
                "the MLproject",
            )


def _needs_docker(comparison: Comparison) -> Finding:
    assert comparison.case is not None
    project = comparison.case.project
    return Finding(
        rule="needs-docker",
        subject=project.docker_image or "docker_env",
        mlflow_run="docker_env",
        source_line=comparison.source_line(project.docker_line),
        why="`mlflow run` starts this project in a container, whatever --env-manager says, and `docker info` "
        "fails here, so nothing was launched.",
        fix="start Docker, or check the plain command alone:  --mlflow-launch=fluent",
    )


def _needs_run_id(comparison: Comparison, entry_point: EntryPoint) -> Finding:
    assert comparison.case is not None
    own = comparison.case.fluent is not None
    return Finding(
        rule="needs-run-id",
        subject="MLFLOW_RUN_ID",
        fluent="not set",
        mlflow_run="set",
        source_line=None if own else comparison.source_line(entry_point.command_line),
        why=f"The command {'under the settings key fluent ' if own else ''}uses MLFLOW_RUN_ID, which only "
        "`mlflow run` sets.",
        fix="leave it out: mlflow.start_run() joins the run that MLFLOW_RUN_ID names, and makes one where "
        "there is none",
    )
