"""The runs of a case side by side, as a report has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pytest_mlflow_check import records
from pytest_mlflow_check.checks import Comparison
from pytest_mlflow_check.checks.comparison import matches_any
from pytest_mlflow_check.checks.metrics import first_difference
from pytest_mlflow_check.checks.pairing import RunPair
from pytest_mlflow_check.records import Mode, RunRecord, given_tags
from pytest_mlflow_check.report.curves import as_series
from pytest_mlflow_check.report.document import (
    Artifact,
    Entry,
    Metric,
    Model,
    ModelSide,
    Proof,
    Run,
    RunSide,
    State,
)

MOST_RUNS = 100
"""Of a case."""

MOST_METRICS = 1000
"""Of a run."""

_MOST_ROWS = 1000
"""Of all other kinds, of a run."""

_MOST_FIELDS = 50
"""Of a signature."""

_BY_MODE: Mapping[Mode, State] = {"fluent": "fluent-only", "mlflow-run": "mlflow-run-only"}

Row = TypeVar("Row", Entry, Metric, Artifact, Model)


def runs_of(comparison: Comparison, most_points: int) -> tuple[tuple[Run, ...], int]:
    """The runs of a case, and how many were left out.

    Args:
        comparison: the launches of the case.
        most_points: of each curve.
    """
    # Of a run that one launch lacks there is only one side, and what it logged is no difference of its own.
    pairs = [*comparison.pairs, *comparison.missing]
    runs = tuple(_run(comparison, pair, most_points) for pair in pairs[:MOST_RUNS])
    return runs, max(len(pairs) - MOST_RUNS, 0)


def _run(comparison: Comparison, pair: RunPair, most_points: int) -> Run:
    ignore = comparison.settings.ignore
    omitted: dict[str, int] = {}

    def entries(kind: str, told: Callable[[RunRecord], Mapping[str, str]], patterns: Sequence[str]) -> Any:
        rows = _entries(comparison, pair, told, patterns)
        return _bounded(rows, kind, _MOST_ROWS, omitted)

    return Run(
        label=pair.label,
        fluent=_side(pair.fluent),
        mlflow_run=_side(pair.mlflow_run),
        params=entries("params", lambda run: run.params, ignore.params),
        tags=entries("tags", lambda run: given_tags(run.tags), ignore.tags),
        datasets=entries("datasets", _datasets, ignore.datasets),
        metrics=_bounded(_metrics(comparison, pair, most_points), "metrics", MOST_METRICS, omitted),
        artifacts=_bounded(_artifacts(comparison, pair), "artifacts", _MOST_ROWS, omitted),
        models=_bounded(_models(comparison, pair), "models", _MOST_ROWS, omitted),
        omitted=omitted,
    )


def _bounded(rows: Iterable[Row], kind: str, most: int, omitted: dict[str, int]) -> tuple[Row, ...]:
    """As many rows as there may be; what is the same on both sides is left out first."""
    found = list(rows)
    if len(found) > most:
        omitted[kind] = len(found) - most
        chosen = sorted(range(len(found)), key=lambda position: found[position].state in _QUIET)[:most]
        found = [found[position] for position in sorted(chosen)]
    return tuple(found)


_QUIET = ("same", "ignored", "single")


def _side(run: RunRecord | None) -> RunSide | None:
    return None if run is None else RunSide(run.run_id, run.name, run.status)


def _names(pair: RunPair, told: Callable[[RunRecord], Collection[str]]) -> list[str]:
    return sorted({name for _, run in pair.sides for name in told(run)})


def _state(pair: RunPair, name: str, sides: Mapping[Mode, object], patterns: Sequence[str]) -> State:
    """How both sides of something stand to each other; `sides` holds those that are there."""
    if pair.both is None:
        return "single"
    if matches_any(name, patterns):
        return "ignored"
    if len(sides) == 1:
        return _BY_MODE[next(iter(sides))]
    one, other = sides.values()
    return "same" if one == other else "differs"


def _entries(
    comparison: Comparison,
    pair: RunPair,
    told: Callable[[RunRecord], Mapping[str, str]],
    patterns: Sequence[str],
) -> Iterable[Entry]:
    values = {mode: told(run) for mode, run in pair.sides}
    for name in _names(pair, told):
        sides = {mode: values[mode][name] for mode in values if name in values[mode]}
        comparable = {mode: _comparable(comparison, mode, value) for mode, value in sides.items()}
        yield Entry(
            name, sides.get("fluent"), sides.get("mlflow-run"), _state(pair, name, comparable, patterns)
        )


def _comparable(comparison: Comparison, mode: Mode, value: str) -> str:
    launch = comparison.launches.get(mode)
    return value if launch is None else launch.comparable(value)


def _datasets(run: RunRecord) -> Mapping[str, str]:
    return {
        f"{one.name} ({one.context})" if one.context else one.name: f"{one.digest}, {one.source_type}"
        for one in run.datasets
    }


def _metrics(comparison: Comparison, pair: RunPair, most_points: int) -> list[Metric]:
    found = []
    for key in _names(pair, lambda run: run.metrics):
        sides = {mode: run.metrics[key] for mode, run in pair.sides if key in run.metrics}
        one, other = sides.get("fluent"), sides.get("mlflow-run")
        first = None
        if one is not None and other is not None:
            first = first_difference(one, other, comparison.settings.metric_tolerance)
        # Both alike, or not, whatever they hold.
        alike: dict[Mode, object] = {mode: first is None or mode for mode in sides}
        found.append(
            Metric(
                key,
                None if one is None else as_series(one, most_points),
                None if other is None else as_series(other, most_points),
                _state(pair, key, alike, comparison.settings.ignore.metrics),
                first,
            )
        )
    return sorted(found, key=lambda metric: metric.state in _QUIET)


def _artifacts(comparison: Comparison, pair: RunPair) -> Iterable[Artifact]:
    contents = comparison.settings.artifact_contents
    for path in _names(pair, lambda run: run.artifacts):
        sides = {mode: run.artifacts[path] for mode, run in pair.sides if path in run.artifacts}
        told: dict[Mode, object] = {
            mode: _content(one) if matches_any(path, contents) else None for mode, one in sides.items()
        }
        one, other = sides.get("fluent"), sides.get("mlflow-run")
        yield Artifact(
            path,
            one.size if one else None,
            other.size if other else None,
            next((side.format for side in sides.values() if side.format), None),
            _state(pair, path, told, comparison.settings.ignore.artifacts),
        )


def _content(artifact: records.Artifact) -> str | None:
    try:
        return artifact.digest()
    except OSError:
        return None


def _models(comparison: Comparison, pair: RunPair) -> Iterable[Model]:
    for name in _names(pair, lambda run: run.models):
        sides = {mode: run.models[name] for mode, run in pair.sides if name in run.models}
        made = {mode: _model(comparison, mode, one) for mode, one in sides.items()}
        logged: dict[Mode, object] = {
            mode: (one.flavors, sides[mode].signature, one.status) for mode, one in made.items()
        }
        state = _state(pair, name, logged, comparison.settings.ignore.models)
        yield Model(name, made.get("fluent"), made.get("mlflow-run"), state)


def _model(comparison: Comparison, mode: Mode, model: records.Model) -> ModelSide:
    signature = _parsed(model.signature)
    launch = comparison.launches.get(mode)
    proof = launch.proofs.get(model.uri) if launch else None
    return ModelSide(
        flavors=model.flavors,
        inputs=_fields(signature.get("inputs")),
        outputs=_fields(signature.get("outputs")),
        signature=model.signature is not None,
        status=model.status,
        proof=None
        if proof is None
        else Proof(
            proof.registered,
            proof.loaded,
            proof.predicted,
            proof.error,
            tuple(name if has is None else f"{name} (installed: {has})" for name, has in proof.unmet),
            proof.unlisted,
        ),
    )


def _parsed(signature: str | None) -> Mapping[str, Any]:
    try:
        parsed = json.loads(signature or "{}")
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _fields(schema: object) -> tuple[str, ...]:
    """A line for each column or tensor (`mlflow.types.schema.Schema.to_dict`, MLflow 3.17.2 and 2.22.5)."""
    if not isinstance(schema, list):
        return ()
    lines = []
    for field in schema[:_MOST_FIELDS]:
        known = field if isinstance(field, dict) else {}
        tensor = known.get("tensor-spec")
        kind = str(known.get("type", field))
        if isinstance(tensor, dict):
            kind = f"{tensor.get('dtype')} {tensor.get('shape')}"
        lines.append(f"{known['name']}: {kind}" if known.get("name") else kind)
    more = len(schema) - _MOST_FIELDS
    return (*lines, f"and {more} more") if more > 0 else tuple(lines)
