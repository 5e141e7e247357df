"""Launches whose code logged nothing, which an exit code of 0 doesn't tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_mlflow_check.checks.comparison import Comparison, spoken
from pytest_mlflow_check.checks.failure_causes import swallowed
from pytest_mlflow_check.checks.logging_snippets import log_params, script_of
from pytest_mlflow_check.checks.output_tail import output_of
from pytest_mlflow_check.checks.source_lines import source_line_of_start
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Mode, RunRecord, given_tags
from pytest_mlflow_check.core.text import counted


def empty_launches(comparison: Comparison) -> list[Mode]:
    """The launches whose code logged nothing.

    What `mlflow run` logs by itself, a run with the entry point's parameters, doesn't count; where a plain
    command logs these and nothing else, code that leaves them out under `mlflow run` has nothing else to log.
    """
    launches, own = comparison.launches, mlflows_own_params(comparison)
    empty = [mode for mode in launches if not _code_logged(comparison, mode)]
    fluent = launches["fluent"].runs if "fluent" in launches else ()
    if empty == ["mlflow-run"] and fluent and all(_is_empty(run, own) for run in fluent):
        return []
    return empty


def nothing_logged(comparison: Comparison, empty: Sequence[Mode]) -> Iterator[Finding]:
    """One finding for the launches that logged no run, or none that anybody needs, and one for empty runs."""
    said = {mode: _content(comparison, mode, launch) for mode, launch in comparison.launches.items()}
    all_empty = len(empty) == len(comparison.launches)
    for rule, modes in (
        ("no-run-logged", [mode for mode in empty if all_empty or not comparison.launches[mode].runs]),
        ("run-empty", [mode for mode in empty if not all_empty and comparison.launches[mode].runs]),
    ):
        if not modes:
            continue
        first = comparison.launches[modes[0]]
        yield Finding(
            rule=rule,
            subject=" and ".join(spoken(mode) for mode in modes),
            fluent=said.get("fluent"),
            mlflow_run=said.get("mlflow-run"),
            source_line=source_line_of_start(comparison, first.runs[0]) if first.runs else None,
            why=_why(rule, first),
            fix=_fix(comparison, rule, first),
            # Of an exception that is caught, this may be all that is left.
            detail=output_of(first) if first.stdout.strip() or first.stderr.strip() else "",
        )


def _why(rule: str, launch: Launch) -> str:
    caught = swallowed(launch)
    raised = ""
    if caught:
        said = launch.as_original(caught[0].value or "").partition("\n")[0]
        raised = f" {caught[0].source_line or 'A library'} called {caught[0].key}(), which raised {said}"
    if rule == "no-run-logged":
        return f"`{launch.command}` ended with exit code 0, and {_what_it_did(launch)}.{raised}"
    return (
        f"`{launch.command}` ended with exit code 0 and its run is {launch.runs[0].status}, but "
        f"its code logged nothing; the other launch's code did.{raised}"
    )


def _fix(comparison: Comparison, rule: str, launch: Launch) -> str:
    if caught := swallowed(launch):
        place = caught[0].source_line
        return f"resolve that, and let no except hide it{f' around {place}' if place else ''}"
    if rule == "run-empty":
        return "look for an exception that is caught and forgotten, or code that asks how it was started"
    return "leave the run where it is" if _deleted_all(launch) else _log_inside(comparison, launch)


def _log_inside(comparison: Comparison, launch: Launch) -> str:
    """What to write into a script that logs nothing."""
    given = sorted(mlflows_own_params(comparison))
    code = log_params(given) if given else 'mlflow.log_metric("…", …)'
    return (
        f"in {script_of(launch.command)} write  import mlflow  at the top, a run around what trains:  "
        f"with mlflow.start_run():  and in it what is worth knowing:  {code}"
    )


def _deleted_all(launch: Launch) -> bool:
    return bool(launch.record.deleted) and not launch.runs


def _what_it_did(launch: Launch) -> str:
    if _deleted_all(launch):
        return f"deleted all that it had logged ({counted(len(launch.record.deleted), 'run')})"
    return "its code logged nothing to MLflow"


def _content(comparison: Comparison, mode: Mode, launch: Launch) -> str:
    if not launch.runs:
        deleted = len(launch.record.deleted)
        return f"no run, {deleted} deleted" if deleted else "no run"
    runs = counted(len(launch.runs), "run")
    if _code_logged(comparison, mode):
        return runs
    return f"{runs}, only mlflow run's own params" if mode == "mlflow-run" else f"{runs}, empty"


def mlflows_own_params(comparison: Comparison) -> frozenset[str]:
    """The params that `mlflow run` logs by itself."""
    case = comparison.case
    return frozenset({*case.entry_point.parameters, *case.params}) if case else frozenset()


def _code_logged(comparison: Comparison, mode: Mode) -> bool:
    own = mlflows_own_params(comparison) if mode == "mlflow-run" else frozenset()
    return any(not _is_empty(run, own) for run in comparison.launches[mode].runs)


def _is_empty(run: RunRecord, by_mlflow: frozenset[str]) -> bool:
    return not (
        run.params.keys() - by_mlflow
        or run.metrics
        or run.artifacts
        or run.models
        or run.datasets
        or given_tags(run.tags)
    )
