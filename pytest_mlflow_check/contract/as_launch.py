"""A contract as if it were a launch, so that its runs are matched as those of two launches are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_mlflow_check.contract.build import is_unnamed
from pytest_mlflow_check.contract.schema import CaseContract, RunShape
from pytest_mlflow_check.core.records import (
    Artifact,
    Launch,
    MetricSeries,
    Mode,
    Model,
    RunRecord,
    StoreRecord,
)

_AGAIN = re.compile(r"#\d+$")


@dataclass(frozen=True)
class ContractRun:
    """A run of a contract: the names that lead to it, and what stands there."""

    path: tuple[str, ...]
    shape: RunShape
    name: str | None
    """That the code gives the run; None for one without."""


def numbered(contract: CaseContract) -> dict[str, ContractRun]:
    """Every run of a contract, each parent before its children, by the id that it has in `as_launch`."""
    return {str(number): run for number, run in enumerate(_contract_runs(contract.runs, ()))}


def as_launch(contract: CaseContract, mode: Mode | None) -> Launch:
    """A launch that logged what the contract says: of one mode, or with None of all."""
    runs_by_id = numbered(contract)
    ids = {run.path: number for number, run in runs_by_id.items()}
    runs = tuple(
        _record(number, ids.get(run.path[:-1]), run, mode)
        for number, run in runs_by_id.items()
        if mode is None or all(_logs(one, mode) for one in _with_parents(run, runs_by_id, ids))
    )
    return Launch(mode or "fluent", "", 0, 0.0, Path(), "", record=StoreRecord(runs))


def _with_parents(
    run: ContractRun, runs_by_id: Mapping[str, ContractRun], ids: Mapping[tuple[str, ...], str]
) -> Iterator[RunShape]:
    for depth in range(1, len(run.path) + 1):
        yield runs_by_id[ids[run.path[:depth]]].shape


def _logs(shape: RunShape, mode: Mode) -> bool:
    return shape.only in (None, "sometimes", mode)


def _contract_runs(runs: Mapping[str, RunShape], above: tuple[str, ...]) -> Iterator[ContractRun]:
    for name, shape in runs.items():
        # Only where another run has the name is `#2` ours, and not a part of it.
        first = _AGAIN.sub("", name)
        yield ContractRun(
            (*above, name), shape, None if is_unnamed(name) else first if first in runs else name
        )
        yield from _contract_runs(shape.runs, (*above, name))


def _record(number: str, parent: str | None, run: ContractRun, mode: Mode | None) -> RunRecord:
    scopes = [run.shape, run.shape.fluent, run.shape.mlflow_run]
    if mode is not None:
        scopes = [run.shape, run.shape.scope(mode)]
    empty = np.zeros(0, np.int64)
    return RunRecord(
        run_id=number,
        name=run.name or "",
        parent_id=parent,
        params={key: value or "" for one in scopes for key, value in one.params.items()},
        tags={key: value or "" for one in scopes for key, value in one.tags.items()},
        metrics={
            key: MetricSeries(key, empty, empty.astype(float), empty) for one in scopes for key in one.metrics
        },
        artifacts={path: Artifact(path, 0, None, Path(path)) for one in scopes for path in one.artifacts},
        models={name: Model(name, "", Path(name)) for one in scopes for name in one.models},
    )
