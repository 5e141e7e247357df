"""What of a launch's store couldn't be read."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Damage, Mode


def damages(comparison: Comparison) -> Iterator[Finding]:
    """A finding for each file or table, told of both launches together."""
    found: dict[tuple[str, str], dict[Mode, Damage]] = {}
    for mode, launch in comparison.launches.items():
        for damage in launch.record.damages:
            # A run has another id in each launch, also one that isn't among those that could be read.
            where = damage.where.replace(damage.run_id, "RUN") if damage.run_id else damage.where
            found.setdefault((launch.comparable(where), _label(comparison, damage)), {})[mode] = damage
    for (where, label), sides in found.items():
        fluent, mlflow_run = sides.get("fluent"), sides.get("mlflow-run")
        yield Finding(
            rule="store-damaged",
            subject=where,
            fluent=fluent.why if fluent else None,
            mlflow_run=mlflow_run.why if mlflow_run else None,
            run=label,
            why="What it held is missing from all checks. Paths are relative to the launch's store, and RUN "
            "stands for the id of a run.",
            fix="leave the files of the store to MLflow, and end the process that still writes",
        )


def _label(comparison: Comparison, damage: Damage) -> str:
    for pair in (*comparison.pairs, *comparison.missing):
        if any(run.run_id == damage.run_id for _, run in pair.sides):
            return pair.label
    return ""
