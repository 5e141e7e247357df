"""The confirming launch: made only where values differ that nothing known explains."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pytest_mlflow_check.checks.confirmation import Subject
from pytest_mlflow_check.checks.runner import CaseJudge
from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.files import draft
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.sources import sources_digest
from pytest_mlflow_check.engine.launcher import Launcher
from pytest_mlflow_check.engine.seeds import missing_seeds


def with_confirmation(
    judge: CaseJudge, checks: Iterable[str], launcher: Launcher, case: Case, values: ProjectConfig
) -> CaseJudge:
    """What judges a case, with a second fluent launch where values differ that nothing known explains.

    What varied is remembered for later sessions, until a Python file of the project changes.

    Args:
        judge: what judges it by the launches of both modes.
        checks: those that are made.
        launcher: what makes launches.
        case, values: what is launched.
    """
    if not values.confirm or set(judge.comparison.launches) != {"fluent", "mlflow-run"}:
        return judge
    checks = tuple(checks)
    if judge.comparison.confirming is None and not judge.unexplained(checks):
        return judge
    known = _known_from_earlier(launcher, case, values)
    if known - judge.comparison.known_to_vary:
        judge = replace(judge, comparison=replace(judge.comparison, known_to_vary=known))
    if judge.comparison.confirming is None:
        if not judge.unexplained(checks):
            return judge
        try:
            confirming = launcher.confirm(case, values)
        except UserError:
            # Without it there is less evidence, and no reason to fail.
            return judge
        seeds = missing_seeds(confirming.directory)
        comparison = replace(judge.comparison, confirming=confirming, missing_seeds=seeds)
        judge = replace(judge, comparison=comparison)
    if varying := judge.varying(checks) - known:
        _remember(launcher.varying_file(case, values), known | varying, case)
    return judge


def _remember(file: Path, subjects: Iterable[Subject], case: Case) -> None:
    said = {"sources": sources_digest(case.project.directory), "varying": sorted(subjects)}
    file.parent.mkdir(parents=True, exist_ok=True)
    with draft(file, json.dumps(said)) as unfinished:
        unfinished.replace(file)


def _known_from_earlier(launcher: Launcher, case: Case, values: ProjectConfig) -> frozenset[Subject]:
    """What varied in earlier sessions of the same code; nothing where the file can't be read."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads(launcher.varying_file(case, values).read_text(encoding="utf-8"))
        if said["sources"] == sources_digest(case.project.directory):
            return frozenset((str(rule), str(subject), str(run)) for rule, subject, run in said["varying"])
    return frozenset()
