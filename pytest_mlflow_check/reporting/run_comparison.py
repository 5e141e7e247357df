"""The runs of a case side by side, as a report has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from pytest_mlflow_check.checks.artifacts import artifact_pairs
from pytest_mlflow_check.checks.comparison import matches_any
from pytest_mlflow_check.checks.metrics import first_difference
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.runner import Comparison
from pytest_mlflow_check.core import records
from pytest_mlflow_check.core.known_variation import is_tag_of_one_run, is_unsteady
from pytest_mlflow_check.core.masking import MASK
from pytest_mlflow_check.core.records import Mode, RunRecord, given_tags
from pytest_mlflow_check.core.secret_names import is_secret
from pytest_mlflow_check.reporting.downsampling import as_series
from pytest_mlflow_check.reporting.run_model import (
    QUIET,
    Artifact,
    Entry,
    Metric,
    Model,
    ModelSide,
    Run,
    RunSide,
    State,
    Validation,
)
from pytest_mlflow_check.rules import RULES

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


Found = Collection[tuple[str, str]]
"""Check and subject of each finding."""


def runs_of(comparison: Comparison, found: Found, most_points: int) -> tuple[tuple[Run, ...], int]:
    """The runs of a case, and how many were left out.

    Args:
        comparison: the launches of the case.
        found: what the checks had to say.
        most_points: of each curve.
    """
    # Of a run that one launch lacks there is only one side, and what it logged is no difference of its own.
    pairs = [*comparison.pairs, *comparison.missing]
    runs = tuple(_run(_Sides(comparison, pair, found), most_points) for pair in pairs[:MOST_RUNS])
    return runs, max(len(pairs) - MOST_RUNS, 0)


def _run(sides: _Sides, most_points: int) -> Run:
    ignore = sides.comparison.settings.ignore
    omitted: dict[str, int] = {}

    def bounded(kind: str, rows: Iterable[Row], most: int = _MOST_ROWS) -> tuple[Row, ...]:
        return _bounded(rows, kind, most, omitted)

    return Run(
        label=sides.pair.label,
        fluent=_side(sides.pair.fluent),
        mlflow_run=_side(sides.pair.mlflow_run),
        params=bounded("params", sides.entries("params", lambda run: run.params, ignore.params)),
        tags=bounded("tags", sides.entries("launches", lambda run: given_tags(run.tags), ignore.tags)),
        datasets=bounded("datasets", sides.entries("launches", _datasets, ignore.datasets)),
        metrics=bounded("metrics", sides.metrics(most_points), MOST_METRICS),
        artifacts=bounded("artifacts", sides.artifacts()),
        models=bounded("models", sides.models()),
        omitted=omitted,
    )


def _bounded(rows: Iterable[Row], kind: str, most: int, omitted: dict[str, int]) -> tuple[Row, ...]:
    """As many rows as there may be; what is the same on both sides is left out first."""
    found = list(rows)
    if len(found) > most:
        omitted[kind] = len(found) - most
        chosen = sorted(range(len(found)), key=lambda position: found[position].state in QUIET)[:most]
        found = [found[position] for position in sorted(chosen)]
    return tuple(found)


def _side(run: RunRecord | None) -> RunSide | None:
    return None if run is None else RunSide(run.run_id, run.name, run.status)


@dataclass(frozen=True)
class _Sides:
    """Both sides of a run, with what the checks had to say of them."""

    comparison: Comparison
    pair: RunPair
    found: Found

    def entries(
        self, check: str, logged: Callable[[RunRecord], Mapping[str, str]], ignored: Sequence[str]
    ) -> Iterator[Entry]:
        values = {mode: logged(run) for mode, run in self.pair.sides}
        for name in self._names(logged):
            sides = {mode: values[mode][name] for mode in values if name in values[mode]}
            told = {mode: self._comparable(check, mode, name, value) for mode, value in sides.items()}
            state = self._state(check, name, told, ignored)
            shown = {mode: MASK if is_secret(name, value) else value for mode, value in sides.items()}
            yield Entry(name, shown.get("fluent"), shown.get("mlflow-run"), state)

    def metrics(self, most_points: int) -> list[Metric]:
        settings, found = self.comparison.settings, []
        for key in self._names(lambda run: run.metrics):
            sides = {mode: run.metrics[key] for mode, run in self.pair.sides if key in run.metrics}
            one, other = sides.get("fluent"), sides.get("mlflow-run")
            first = None
            ignored = [*settings.ignore.metrics, *([key] if is_unsteady(key) else [])]
            if one is not None and other is not None:
                first = first_difference(one, other, settings.metric_tolerance)
            # Where they differ, each is like itself alone.
            told = {mode: None if first is None else mode for mode in sides}
            found.append(
                Metric(
                    key,
                    None if one is None else as_series(one, most_points),
                    None if other is None else as_series(other, most_points),
                    self._state("metrics", key, told, ignored),
                    first,
                )
            )
        return sorted(found, key=lambda metric: metric.state in QUIET)

    def artifacts(self) -> Iterator[Artifact]:
        settings = self.comparison.settings
        for pair in artifact_pairs(self.comparison, self.pair):
            path, one, other = pair.name, pair.fluent, pair.mlflow_run
            both: dict[Mode, records.Artifact | None] = {"fluent": one, "mlflow-run": other}
            sides = {mode: side for mode, side in both.items() if side is not None}
            compared = matches_any(path, settings.artifact_contents)
            told = {mode: _content(side) if compared else None for mode, side in sides.items()}
            yield Artifact(
                path,
                one.size if one else None,
                other.size if other else None,
                next((side.format for side in sides.values() if side.format), None),
                self._state("artifacts", path, told, settings.ignore.artifacts),
            )

    def models(self) -> Iterator[Model]:
        for name in self._names(lambda run: run.models):
            sides = {mode: run.models[name] for mode, run in self.pair.sides if name in run.models}
            told = {mode: (one.flavors, one.signature, one.status) for mode, one in sides.items()}
            state = self._state("models", name, told, self.comparison.settings.ignore.models)
            made = {mode: _model(self.comparison, mode, one) for mode, one in sides.items()}
            yield Model(name, made.get("fluent"), made.get("mlflow-run"), state)

    def _names(self, told: Callable[[RunRecord], Collection[str]]) -> list[str]:
        return sorted({name for _, run in self.pair.sides for name in told(run)})

    def _comparable(self, check: str, mode: Mode, name: str, value: str) -> str:
        if check == "launches" and is_tag_of_one_run(name):
            return ""
        return self.comparison.comparable(mode, value)

    def _state(self, check: str, name: str, told: Mapping[Mode, object], ignored: Sequence[str]) -> State:
        """How both sides of something stand to each other; `told` has a value for each that is there."""
        if self.pair.both is None:
            return "single"
        if matches_any(name, ignored):
            return "ignored"
        if len(told) == 2 and len(set(told.values())) == 1:
            return "same"
        if (check, name) not in self.found and self._allowed(check, name):
            return "allowed"
        return _BY_MODE[next(iter(told))] if len(told) == 1 else "differs"

    def _allowed(self, check: str, name: str) -> bool:
        return any(
            RULES[one.rule].check == check and fnmatchcase(name, one.match)
            for one in self.comparison.settings.allow
        )


def _datasets(run: RunRecord) -> Mapping[str, str]:
    return {one.label: f"{one.digest}, {one.source_type}" for one in run.datasets}


def _content(artifact: records.Artifact) -> str | None:
    try:
        return artifact.digest()
    except OSError:
        return None


def _model(comparison: Comparison, mode: Mode, model: records.Model) -> ModelSide:
    signature = _parsed(model.signature)
    launch = comparison.launches.get(mode)
    validation = launch.validations.get(model.uri) if launch else None
    return ModelSide(
        flavors=model.flavors,
        inputs=_fields(signature.get("inputs")),
        outputs=_fields(signature.get("outputs")),
        signature=model.signature is not None,
        status=model.status,
        proof=None
        if validation is None
        else Validation(
            validation.registered,
            validation.loaded,
            validation.predicted,
            validation.error,
            tuple(name if has is None else f"{name} (installed: {has})" for name, has in validation.unmet),
            validation.unlisted,
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
