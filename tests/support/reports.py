"""Reports of cases that were put together by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_mlflow_check.checks.comparison import compare_launches
from pytest_mlflow_check.config.settings import ResolvedConfig, validate_settings
from pytest_mlflow_check.core.findings import CHECKS
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.models import Case
from pytest_mlflow_check.core.records import Launch, Mode, Observation
from pytest_mlflow_check.engine.planning import policy_of
from pytest_mlflow_check.reporting.builder import CaseResults, CheckOutcome, ProjectResults, build
from pytest_mlflow_check.reporting.model import Document
from support.builders import artifact, judge, launch, model, run, series, validation
from support.builders import case as make_case

VERSIONS = {"pytest-mlflow-check": "0.1.0", "mlflow": "3.17.2", "pytest": "9.0.0", "python": "3.11.7"}


def checked(*launches: Launch, case: Case | None = None, settings: ResolvedConfig) -> CaseResults:
    """A case without a contract whose checks were all made of these launches."""
    case, policy = case or make_case(), policy_of(settings)
    by_mode: dict[Mode, Launch] = {one.mode: one for one in launches}
    comparison = compare_launches(by_mode, settings=settings.values, case=case)
    checks = {}
    for check in (check for check in CHECKS if check != "contract"):
        result = judge(check, comparison, policy)
        failed = result.failed(strict=settings.values.strict)
        outcome = "skipped" if result.skipped else "failed" if failed else "passed"
        checks[check] = CheckOutcome(outcome, result, result.skipped or "", 0.5)  # type: ignore[arg-type]
    return CaseResults(case, by_mode, checks)


def settings_of(project: Path = Path("/copy/project"), **values: Any) -> ResolvedConfig:
    """Settings, by the keys of the file."""
    return ResolvedConfig(project, validate_settings(values, "test"), None, {}, None, {})


def report_of(
    *launches: Launch,
    case: Case | None = None,
    project: Path = Path("/copy/project"),
    secrets: Secrets | None = None,
    versions: Mapping[str, str] = VERSIONS,
    unwritten: Sequence[str] = (),
    **values: Any,
) -> Document:
    """The report of one case; the settings are given by the keys of the file."""
    settings = settings_of(project, **values)
    made = checked(*launches, case=case, settings=settings)
    return build(
        [ProjectResults("proj", settings, secrets or Secrets(), [made])],
        versions=versions,
        created="2026-01-02T03:04:05+00:00",
        seconds=12.5,
        unwritten=unwritten,
    )


SIGNATURE = json.dumps(
    {
        "inputs": [{"type": "double", "name": "alpha", "required": True}],
        "outputs": [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}],
    }
)


def pair() -> tuple[Launch, Launch]:
    """Two launches that differ in one thing of each kind."""
    calls = [
        Observation("start_run", source_line="train.py:1", time=11.0, run_id="r1"),
        *(
            Observation("log_metric", key, source_line="train.py:2", time=12.0 + step, run_id="r1", step=step)
            for step in range(3)
            for key in ("loss", "accuracy")
        ),
    ]
    fluent = launch(
        "fluent",
        run(
            params={"alpha": "0 5", "same": "1"},
            metrics=[series("loss", [3.0, 2.0, 1.0]), series("accuracy", [0.5])],
            artifacts=[artifact("log_dir/log.txt", size=2048)],
            models=[model("m", signature=SIGNATURE)],
            tags={"team": "vision", "mlflow.user": "me"},
        ),
        validations=[validation("m")],
        observations=tuple(calls),
        observed=True,
        started=10.0,
        stdout="50%\r100%\n",
    )
    mlflow_run = launch(
        "mlflow-run",
        run(
            "r2",
            params={"alpha": "'0 5'", "same": "1"},
            metrics=[series("loss", [3.0, 2.5, 1.0]), series("accuracy", [0.5])],
            models=[model("m", signature=SIGNATURE)],
        ),
        validations=[validation("m", loaded=False, error="ModuleNotFoundError: No module named 'net'")],
    )
    return fluent, mlflow_run


HOSTILE = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "'><img src=x onerror=alert(1)>",
    "</style></svg><svg onload=alert(1)>",
    "{{ 7 * 7 }} {% raw %}",
    "]]> <!-- &lt; &#0; \x00 \x1b[31m \x08 \ud800 \ufffe",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
    "| a | ``` @octocat #1 https://example.org www.example.org :smile: ~~x~~ [a](javascript:b) $x$",
    "\n\n</details>\n# heading\n- list",
)


def both_logged(text: str) -> tuple[Launch, Launch]:
    """Launches that logged a text wherever text can be."""

    def one(mode: str, other: str) -> Launch:
        logged = run(
            other,
            name=text,
            params={text: f"{text}{other}", f"a{text}": ""},
            metrics=[series(text, [1.0, 2.0, float(other == "r2")]), series(f"b{text}", [1.0])],
            artifacts=[artifact(f"{text}/{text}", format=text), artifact(other)],
            models=[
                model(text, flavors=(text,), signature=json.dumps({"inputs": [{"name": text, "type": text}]}))
            ],
            tags={text: text},
        )
        return launch(
            mode,  # type: ignore[arg-type]
            logged,
            command=text,
            stdout=text,
            stderr=text,
            notes=(text,),
            validations=[validation(text, loaded=False, error=text)],
            observations=(
                Observation(text, text, text, source_line=f"{text}:1", by=text, run_id=other, time=1.0),  # type: ignore[arg-type]
                Observation("log_metric", text, source_line=f"{text}.py:2", run_id=other, step=3, time=2.0),
            ),
        )

    return one("fluent", "r1"), one("mlflow-run", "r2")
