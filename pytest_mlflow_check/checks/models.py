"""The check `models`: the same models in both launches, and can they be registered, loaded and used?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_mlflow_check.checks.comparison import Comparison, not_matching
from pytest_mlflow_check.checks.model_registry import compare_registered
from pytest_mlflow_check.checks.model_validation import failed_validations, failed_version_validations
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.source_lines import source_line_of
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Model, RunRecord


def check_models(comparison: Comparison) -> list[Finding]:
    """Findings for every model that is missing, differs, or fails its validation."""
    findings: list[Finding] = []
    for pair in comparison.pairs:
        if pair.both:
            findings += _compare(comparison, pair, *pair.both)
        findings += failed_validations(comparison, pair)
        findings += _unsigned(comparison, pair)
    return [*findings, *compare_registered(comparison), *failed_version_validations(comparison)]


def _unsigned(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    sides = {mode: run.models for mode, run in pair.sides}
    names = {name for models in sides.values() for name in models}
    for name in not_matching(names, comparison.settings.ignore.models):
        without = {mode for mode, models in sides.items() if name in models and not models[name].signature}
        if without:
            yield Finding(
                rule="model-without-signature",
                subject=name,
                fluent="no signature" if "fluent" in without else None,
                mlflow_run="no signature" if "mlflow-run" in without else None,
                source_line=source_line_of(comparison, pair, ["log_model"], name),
                run=pair.label,
                why="Nothing checks what this model is given; Unity Catalog refuses to register it.",
                fix="give log_model a few rows of what it predicts from:  input_example=…  or the signature "
                "itself, from rows and their predictions:  signature=mlflow.models.infer_signature(…, …)",
            )


def logs_models(comparison: Comparison) -> bool:
    """Whether any of the runs holds a model that isn't ignored, or the registry does."""
    ignored = comparison.settings.ignore.models
    registered = [
        model.name for launch in comparison.launches.values() for model in launch.record.registered_models
    ]
    logged = [name for pair in comparison.pairs for _, run in pair.sides for name in run.models]
    return bool(not_matching([*logged, *registered], ignored))


def _compare(
    comparison: Comparison, pair: RunPair, fluent: RunRecord, mlflow_run: RunRecord
) -> Iterator[Finding]:
    for name in not_matching({*fluent.models, *mlflow_run.models}, comparison.settings.ignore.models):
        one, other = fluent.models.get(name), mlflow_run.models.get(name)
        if one is None or other is None:
            yield Finding(
                rule="model-missing",
                subject=name,
                fluent=_flavors(one) if one else None,
                mlflow_run=_flavors(other) if other else None,
                source_line=source_line_of(comparison, pair, ["log_model"], name),
                run=pair.label,
                why="The same code with the same values logged it in one launch only.",
                fix="log it whatever the launch mode, under a fixed name",
            )
        elif one.flavors != other.flavors:
            yield _differs(
                comparison,
                pair,
                name,
                "flavors",
                _flavors(one),
                _flavors(other),
                "log it with the same flavor",
            )
        elif one.signature != other.signature:
            here, there = _signatures(one, other)
            fix = "make both from rows and their predictions:  signature=infer_signature(…, …)"
            yield _differs(comparison, pair, name, "signatures", here, there, fix)


def _differs(
    comparison: Comparison, pair: RunPair, name: str, what: str, fluent: str, mlflow_run: str, fix: str
) -> Finding:
    return Finding(
        rule="model-differs",
        subject=name,
        fluent=fluent,
        mlflow_run=mlflow_run,
        source_line=source_line_of(comparison, pair, ["log_model"], name),
        run=pair.label,
        why=f"The {what} of the two models differ.",
        fix=fix,
    )


def _flavors(model: Model) -> str:
    return ", ".join(model.flavors) or f"no flavor ({model.status})"


def _signatures(*models: Model) -> list[str]:
    """The signatures in short; as they are where that can't be done, or doesn't show the difference."""
    try:
        short = [_signature(model) for model in models]
    except (ValueError, AttributeError, TypeError, KeyError):
        short = []
    return short if len({*short}) > 1 else [model.signature or "no signature" for model in models]


def _signature(model: Model) -> str:
    """`x: double -> y: long`: short enough for the difference to be seen."""
    if model.signature is None:
        return "no signature"
    parts = json.loads(model.signature)
    texts = {part: ", ".join(map(_column, columns)) for part, columns in parts.items() if columns}
    shown = " -> ".join(texts[part] for part in ("inputs", "outputs") if part in texts)
    return f"{shown}; params {texts['params']}" if "params" in texts else shown


def _column(column: Mapping[str, Any]) -> str:
    tensor = column.get("tensor-spec")
    kind = f"{tensor['dtype']} {tensor['shape']}" if tensor else str(column.get("type"))
    return f"{column['name']}: {kind}" if "name" in column else kind
