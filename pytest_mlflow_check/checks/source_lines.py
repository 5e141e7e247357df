"""Where in the user's code a thing was logged, told by the observed calls."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.core.records import Mode, Observation, RunRecord

STARTING = ("start_run", "create_run")


def calls(
    comparison: Comparison, kinds: Collection[str], *, run: RunRecord | None = None, mode: Mode | None = None
) -> Iterator[Observation]:
    """The observed calls of the given kinds that the user's code made, those of the fluent launch first.

    Args:
        comparison: whose launches are searched.
        kinds: values of `Observation.what`.
        run: only calls about this run, and those that name no run.
        mode: only calls of this launch.
    """
    for each, launch in comparison.launches.items():
        if mode in (None, each):
            seen = launch.calls_about(run.run_id, or_none=True) if run else launch.observations
            yield from (call for call in seen if call.what in kinds and call.by in ("code", "autologging"))


def source_line_of(
    comparison: Comparison,
    pair: RunPair,
    kinds: Collection[str],
    key: str,
) -> str | None:
    """The line that made the first matching call about one of the pair's runs; None where none was seen.

    Args:
        comparison: whose launches are searched.
        pair: the run, in both launches.
        kinds: values of `Observation.what`.
        key: what the call was about.
    """
    for mode, run in pair.sides:
        for call in calls(comparison, kinds, run=run, mode=mode):
            if call.source_line and call.key == key:
                return call.source_line
    return None


def source_line_of_start(comparison: Comparison, run: RunRecord) -> str | None:
    """The line that started a run, or joined it under `mlflow run`."""
    call = start_of(comparison, run)
    return call.source_line if call else None


def start_of(comparison: Comparison, run: RunRecord) -> Observation | None:
    """The call that started a run, or joined it under `mlflow run`; None where none has a line."""
    for launch in comparison.launches.values():
        for call in launch.calls_about(run.run_id):
            if call.what in STARTING and call.source_line:
                return call
    return None


def call_of_artifact(comparison: Comparison, pair: RunPair, path: str) -> Observation | None:
    """The call that logged an artifact, by itself or with the nearest directory above it."""
    parents = [str(parent) for parent in PurePosixPath(path).parents]
    above = [("log_artifacts", "" if parent == "." else parent) for parent in parents]
    for kind, key in [("log_artifact", path), *above]:
        for mode, run in pair.sides:
            for call in calls(comparison, [kind], run=run, mode=mode):
                if call.source_line and call.key == key:
                    return call
    return None


def source_line_of_artifact(comparison: Comparison, pair: RunPair, path: str) -> str | None:
    """The line that logged an artifact, by itself or with the nearest directory above it."""
    call = call_of_artifact(comparison, pair, path)
    return call.source_line if call else None
