"""Small helpers that build by hand what launches leave behind; nothing is started or read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import settings

from pytest_mlflow_check.checks.runner import CaseJudge, Comparison, Policy, compare_launches
from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.findings import CheckResult, Finding
from pytest_mlflow_check.core.models import Case, EntryPoint, Parameter, Project
from pytest_mlflow_check.core.records import (
    Artifact,
    Launch,
    MetricSeries,
    Mode,
    Model,
    ModelValidation,
    RunRecord,
    StoreRecord,
)
from pytest_mlflow_check.core.static_facts import StaticFacts

quick = settings()
"""For property tests: as the profile says, see conftest.py."""

HOME = Path("/copy/project")
"""The directory in which hand-made launches ran."""


def series(key: str, values: Sequence[float], steps: Sequence[int] | None = None) -> MetricSeries:
    """A series; the steps count from 0 unless given."""
    numbers = range(len(values)) if steps is None else steps
    return MetricSeries(
        key,
        np.array(numbers, dtype=np.int64),
        np.array(values, dtype=np.float64),
        np.arange(len(values), dtype=np.int64),
    )


def artifact(path: str, *, size: int = 10, format: str | None = None, file: Path | None = None) -> Artifact:
    """An artifact; its file exists only if given."""
    return Artifact(path, size, format, file or Path("nowhere") / path)


def written(path: str, directory: Path, content: bytes) -> Artifact:
    """An artifact whose file is written below a directory."""
    file = directory / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return artifact(path, size=len(content), file=file)


def model(
    name: str,
    *,
    flavors: Sequence[str] = ("python_function",),
    signature: str | None = "{}",
    status: str = "READY",
    uri: str | None = None,
) -> Model:
    """A logged model; its uri is made of its name."""
    return Model(name, uri or f"models:/m-{name}", Path("models") / name, tuple(flavors), signature, status)


def validation(
    name: str, *, registered: bool = True, loaded: bool = True, error: str | None = None
) -> ModelValidation:
    """What became of the model of that name."""
    return ModelValidation(f"models:/m-{name}", registered, loaded, error)


def run(
    run_id: str = "r1",
    *,
    parent: str | None = None,
    params: Mapping[str, str] | None = None,
    metrics: Iterable[MetricSeries] = (),
    artifacts: Iterable[Artifact] = (),
    models: Iterable[Model] = (),
    tags: Mapping[str, str] | None = None,
    **fields: Any,
) -> RunRecord:
    """A run with what it logged."""
    return RunRecord(
        run_id=run_id,
        parent_id=parent,
        params=params or {},
        metrics={one.key: one for one in metrics},
        artifacts={one.path: one for one in artifacts},
        models={one.name: one for one in models},
        tags=tags or {},
        **fields,
    )


def launch(
    mode: Mode,
    *runs: RunRecord,
    exit_code: int | None = 0,
    command: str | None = None,
    stdout: str = "",
    stderr: str = "",
    directory: Path = HOME,
    duration: float = 1.0,
    validations: Iterable[ModelValidation] = (),
    **fields: Any,
) -> Launch:
    """A launch that logged these runs."""
    return Launch(
        mode=mode,
        command=command or {"fluent": "python train.py", "mlflow-run": "mlflow run ."}[mode],
        exit_code=exit_code,
        duration=duration,
        directory=directory,
        store_uri="file:///store",
        stdout=stdout,
        stderr=stderr,
        record=StoreRecord(runs),
        validations={one.uri: one for one in validations},
        **fields,
    )


def parameter(name: str, *, line: int | None = 5, **fields: Any) -> Parameter:
    """A declared parameter, on line 5 of the MLproject file unless said otherwise."""
    return Parameter(name, line=line, **fields)


def case(
    *parameters: Parameter,
    params: Mapping[str, str] | None = None,
    command: str | None = None,
    fluent: str | None = None,
    **project: Any,
) -> Case:
    """A case of the entry point `main` with these parameters, and these values given with `-P`.

    Its command uses all of the parameters unless said otherwise.
    """
    if command is None:
        command = " ".join(["python train.py", *(f"{{{one.name}}}" for one in parameters)])
    entry_point = EntryPoint("main", command, {one.name: one for one in parameters}, line=3, command_line=8)
    home = Project(HOME, HOME / "MLproject", "sample", {"main": entry_point}, **project)
    return Case("main", home, entry_point, params or {}, fluent)


def compare(
    *launches: Launch,
    case: Case | None = None,
    unset: Sequence[Parameter] = (),
    docker_missing: bool = False,
    facts: StaticFacts | None = None,
    **settings: Any,
) -> Comparison:
    """The launches side by side; the settings are given by the keys of the file."""
    values = ProjectConfig.model_validate(settings)
    by_mode: dict[Mode, Launch] = {one.mode: one for one in launches}
    return compare_launches(
        by_mode,
        settings=values,
        case=case,
        unset=tuple(unset),
        docker_missing=docker_missing,
        facts=facts,
    )


def compare_runs(
    fluent: RunRecord, mlflow_run: RunRecord, *, case: Case | None = None, **settings: Any
) -> Comparison:
    """Two launches that logged one run each."""
    return compare(launch("fluent", fluent), launch("mlflow-run", mlflow_run), case=case, **settings)


def finding(
    rule: str, subject: str = "x", *, why: str = "Because.", fix: str = "fix it", **fields: Any
) -> Finding:
    """A finding with short texts."""
    return Finding(rule=rule, subject=subject, why=why, fix=fix, **fields)


def slugs(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Rule and subject of each finding."""
    return [(one.rule, one.subject) for one in findings]


def judge(
    check: str,
    comparison: Comparison,
    policy: Policy,
    find: Callable[[Comparison], list[Finding]] | None = None,
) -> CheckResult:
    """Makes one check of a case."""
    return CaseJudge(comparison, policy).judge(check, find)
