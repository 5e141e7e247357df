"""Every rule: its texts, and that it fires for what deserves it, alone, and not for normal practice."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_mlflow_check.checks.runner import Comparison, Policy
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.findings import CHECKS
from pytest_mlflow_check.core.models import IgnoredKey
from pytest_mlflow_check.core.records import (
    Damage,
    Dataset,
    ModelValidation,
    Observation,
    PythonProcess,
    RegisteredModel,
    RunRecord,
    StoreRecord,
)
from pytest_mlflow_check.core.static_facts import (
    MissingFile,
    StaticFacts,
    UnknownOption,
    WrongEnvironment,
)
from pytest_mlflow_check.rules import RULES, Rule, check_slugs, explain
from support.builders import (
    HOME,
    artifact,
    case,
    compare,
    compare_runs,
    judge,
    launch,
    model,
    parameter,
    run,
    series,
    validation,
    written,
)

NULL = parameter("model_dir", null_default=True)
IGNORED = IgnoredKey("entry_point", "the top level", "write:  entry_points:", 2)
LOGGED = run(params={"a": "1"}, metrics=[series("m", [3, 2, 1])], artifacts=[artifact("a.txt")])
PICKLE = run(artifacts=[artifact("weights", format="pickle")])


def one_model(*, fluent: bool = True, loaded: bool = True, registered: bool = True) -> Comparison:
    validated = [validation("m", registered=registered, loaded=loaded)]
    return compare(
        launch(
            "fluent", run(params={"a": "1"}, models=[model("m")] if fluent else []), validations=validated
        ),
        launch("mlflow-run", run(params={"a": "1"}, models=[model("m")]), validations=validated),
    )


def validated(other: dict[str, Any] | None = None, **fields: Any) -> Comparison:
    """Both launches logging one model, with what its validations say."""
    record, uri = run(params={"a": "1"}, models=[model("m")]), "models:/m-m"
    validations = [ModelValidation(uri, True, True, **{**fields, **each}) for each in ({}, other or {})]
    return compare(
        launch("fluent", record, validations=validations[:1]),
        launch("mlflow-run", record, validations=validations[1:]),
    )


def registering(fluent: list[RegisteredModel], mlflow_run: list[RegisteredModel]) -> Comparison:
    fluent_record, other_record = (StoreRecord((LOGGED,), tuple(side)) for side in (fluent, mlflow_run))
    return compare(
        replace(launch("fluent"), record=fluent_record), replace(launch("mlflow-run"), record=other_record)
    )


def other_content(directory: Path) -> Comparison:
    sides = [run(artifacts=[written("a", directory / mode, mode.encode())]) for mode in ("one", "other")]
    return compare_runs(*sides, artifact_contents=["a"])


def params(fluent: dict[str, str], mlflow_run: dict[str, str]) -> Comparison:
    return compare_runs(run(params={"same": "1"} | fluent), run(params={"same": "1"} | mlflow_run))


def metrics(fluent: list[float], mlflow_run: list[float], *, steps: tuple[int, int] = (0, 0)) -> Comparison:
    sides = [
        run(metrics=[series("m", values, range(start, start + len(values)))])
        for values, start in zip((fluent, mlflow_run), steps, strict=True)
    ]
    return compare_runs(*sides)


def runs_named(fluent: str, mlflow_run: str) -> Comparison:
    return compare_runs(run(params={"a": "1"}, name=fluent), run(params={"a": "1"}, name=mlflow_run))


def tags(fluent: dict[str, str], mlflow_run: dict[str, str]) -> Comparison:
    return compare_runs(run(params={"a": "1"}, tags=fluent), run(params={"a": "1"}, tags=mlflow_run))


def datasets(fluent: list[Dataset], mlflow_run: list[Dataset]) -> Comparison:
    sides = [run(params={"a": "1"}, datasets=tuple(side)) for side in (fluent, mlflow_run)]
    return compare_runs(*sides)


def both(record: RunRecord, *calls: Observation, **fields: Any) -> Comparison:
    """Both launches logging the same, by the same calls."""
    return compare(
        launch("fluent", record, observations=calls, **fields),
        launch("mlflow-run", record, observations=calls, **fields),
    )


def stray(*calls: Observation) -> Comparison:
    """Both launches starting a run, then these calls, which start another."""
    start = Observation("start_run", run_id="r1", source_line="train.py:7")
    sides = [
        launch(mode, LOGGED, run("r2", params={"b": "1"}), observations=(start, *calls))
        for mode in ("fluent", "mlflow-run")
    ]
    return compare(*sides)  # type: ignore[arg-type]


CLOSED = Observation("end_run", value="FINISHED", run_id="r1", by="exit")
STEPLESS = run(metrics=[series("m", [3, 2, 1], [0, 0, 0])])
REWRITING = (
    "Changing param values is not allowed. Param with key='a' was already logged with value='1' for run "
    "ID='0123'. Attempted logging new value '1.0'."
)

OTHER_EXPERIMENT = (
    "Cannot start run with ID 0123 because active experiment ID does not match environment run ID. Make sure"
)
INNER_RUN = """Traceback (most recent call last):
  File "/lib/mlflow/projects/__init__.py", line 355, in run
  File "/lib/mlflow/utils/conda.py", line 250, in get_or_create_conda_env
ExecutionException: Could not find Conda executable at conda.
"""
USAGE_ERRORS = {"mlproject-invalid", "mlproject-undeclared-placeholder"}
"""Told before there is a case to judge."""


def again(comparison: Comparison, record: RunRecord, **fields: Any) -> Comparison:
    """The launches, and a second fluent one."""
    return replace(comparison, confirming=launch("fluent", record, **fields))


def varying_content(directory: Path) -> Comparison:
    third = run(artifacts=[written("a", directory / "third", b"third")])
    sides = [run(artifacts=[written("a", directory / mode, mode.encode())]) for mode in ("one", "other")]
    of_modes = compare(launch("fluent", sides[0]), launch("mlflow-run", sides[1]), artifact_contents=["a"])
    return again(of_modes, third)


def varying(*records: RunRecord) -> Comparison:
    return again(compare(launch("fluent", records[0]), launch("mlflow-run", records[1])), records[2])


def predicting(prediction: list[int]) -> ModelValidation:
    return ModelValidation("models:/m-m", True, True, predicted=True, prediction=prediction)


MISTAKES: dict[str, Callable[[Path], Comparison]] = {
    "mlproject-null-default": lambda _: compare(case=case(NULL), unset=[NULL]),
    "launch-failed": lambda _: compare(launch("fluent", exit_code=3), launch("mlflow-run", LOGGED)),
    "param-rewritten": lambda _: compare(
        launch("fluent", LOGGED), launch("mlflow-run", exit_code=1, stderr=REWRITING)
    ),
    "store-damaged": lambda _: compare(
        replace(launch("fluent"), record=StoreRecord(damages=(Damage("0/r/meta.yaml", "is missing", "r"),))),
        launch("mlflow-run", LOGGED),
    ),
    "no-run-logged": lambda _: compare(launch("fluent"), launch("mlflow-run", LOGGED)),
    "run-missing": lambda _: compare(
        launch("fluent", LOGGED), launch("mlflow-run", LOGGED, run("r2", params={"b": "1"}))
    ),
    "run-name-differs": lambda _: runs_named("first", "second"),
    "description-differs": lambda _: tags({"mlflow.note.content": "a"}, {}),
    "tag-missing": lambda _: tags({"team": "a"}, {}),
    "tag-varies": lambda _: varying(*(run(params={"a": "1"}, tags={"t": value}) for value in "abc")),
    "tag-differs": lambda _: tags({"team": "a"}, {"team": "b"}),
    "dataset-missing": lambda _: datasets([Dataset("d", "1", "local")], []),
    "dataset-differs": lambda _: datasets([Dataset("d", "1", "local")], [Dataset("d", "2", "local")]),
    "dataset-varies": lambda _: varying(
        *(run(params={"a": "1"}, datasets=(Dataset("d", value, "local"),)) for value in "abc")
    ),
    "mlproject-unused-parameter": lambda _: compare(
        launch("fluent", LOGGED), launch("mlflow-run", LOGGED), case=case(parameter("a"), command="ls")
    ),
    "mlproject-missing-file": lambda _: compare(
        case=case(), facts=StaticFacts((MissingFile("train.py", "script", 8),))
    ),
    "mlproject-unknown-option": lambda _: compare(
        case=case(), facts=StaticFacts(unknown_options=(UnknownOption("--x", "train.py", 8),))
    ),
    "mlproject-wrong-environment": lambda _: compare(
        case=case(),
        facts=StaticFacts(environment=WrongEnvironment("python_env", "conda.yaml", 2, "conda_env")),
    ),
    "mlproject-absolute-path": lambda _: compare(
        launch("fluent", LOGGED), launch("mlflow-run", LOGGED), case=case(command="ls /home/ann/data")
    ),
    "mlproject-ignored-key": lambda _: compare(
        launch("fluent", LOGGED),
        launch("mlflow-run", LOGGED),
        case=replace(case(ignored_keys=(IGNORED,)), reports_project=True),
    ),
    "needs-docker": lambda _: compare(case=case(), docker_missing=True),
    "experiment-hardcoded": lambda _: compare(
        launch("fluent", LOGGED), launch("mlflow-run", exit_code=1, stderr=OTHER_EXPERIMENT)
    ),
    "needs-run-id": lambda _: compare(
        launch("fluent", exit_code=2), launch("mlflow-run", LOGGED), case=case(command="ls $MLFLOW_RUN_ID")
    ),
    "inner-run-environment": lambda _: compare(
        launch("fluent", exit_code=1, stderr=INNER_RUN), launch("mlflow-run", LOGGED)
    ),
    "file-outside-workspace": lambda _: compare(
        launch(
            "fluent", exit_code=1, stderr="cat: ../../x: No such file or directory", workspace=HOME.parent
        ),
        launch("mlflow-run", LOGGED),
    ),
    "autologging-failed": lambda _: compare(
        launch("fluent", LOGGED),
        launch("mlflow-run", stderr="Encountered unexpected error during sklearn autologging: no"),
    ),
    "async-logging-failed": lambda _: compare(
        launch("fluent", LOGGED),
        launch("mlflow-run", LOGGED, stderr=f"Run Id {'0' * 32}: Failed to log run data: Exception: no"),
    ),
    "run-empty": lambda _: compare(
        launch("fluent", LOGGED), launch("mlflow-run", run(params={"a": "1"})), case=case(parameter("a"))
    ),
    "logged-by-several-processes": lambda _: compare(
        launch("fluent", LOGGED, run("r2", params={"a": "1"})),
        launch(
            "mlflow-run",
            LOGGED,
            observations=[
                Observation(what, run_id="r1", process=number)
                for number in (1, 2)
                for what in ("start_run", "log_param")
            ],
            processes=tuple(PythonProcess(("python", "t.py"), number=rank + 1, rank=rank) for rank in (0, 1)),
        ),
    ),
    "run-without-parent": lambda _: stray(
        Observation("start_run", run_id="r2", options=("nested",), source_line="train.py:9")
    ),
    "run-started-again": lambda _: stray(
        Observation("end_run", run_id="r1"),
        Observation("start_run", run_id="r2", options=("implicit",), source_line="train.py:9"),
    ),
    "logged-to-another-run": lambda _: stray(
        Observation("create_run", run_id="r2", via="lightning.fit", source_line="train.py:9")
    ),
    "several-top-level-runs": lambda _: compare(
        launch("fluent", run(name="one", params={"b": "1"}), run("r2", params={"b": "2"})),
        launch(
            "mlflow-run",
            run(name="one", params={"a": "1", "b": "1"}, tags={"mlflow.project.entryPoint": "main"}),
            run("r2", params={"b": "2"}),
        ),
        case=case(parameter("a")),
    ),
    "run-left-running": lambda _: both(run(params={"a": "1"}, status="RUNNING")),
    "run-closed-at-exit": lambda _: both(LOGGED, CLOSED),
    "failed-but-finished": lambda _: compare(
        launch("fluent", LOGGED, exit_code=1, observations=[CLOSED]), launch("mlflow-run", LOGGED)
    ),
    "tracking-uri-hardcoded": lambda _: both(
        LOGGED,
        Observation("redirect", "http://prod:5000", "mlflow.set_tracking_uri", source_line="train.py:3"),
    ),
    "launch-unobserved": lambda _: both(
        LOGGED, processes=(PythonProcess(("python", "-S", "train.py"), observed=False),)
    ),
    "linked-file-written": lambda _: compare(
        launch("fluent", LOGGED, changed_originals=("data/x.csv",)), launch("mlflow-run", LOGGED)
    ),
    "project-dir-written": lambda _: compare(
        launch("fluent", LOGGED, changed=("config.yaml",)), launch("mlflow-run", LOGGED)
    ),
    "param-duplicated": lambda _: compare_runs(
        run(params={"a_b": "1"}), run(params={"a_b": "1", "a-b": "1"}), case=case(parameter("a-b"))
    ),
    "param-too-long": lambda _: params({"a": "x" * 6000}, {"a": "x" * 6000}),
    "param-changes-per-step": lambda _: both(
        run(params={"lr_0": "3", "lr_1": "2", "lr_2": "1"}),
        *[
            call
            for i in range(3)
            for call in (
                Observation("log_param", f"lr_{i}", source_line="train.py:3"),
                Observation("log_metric", "loss", source_line="train.py:4"),
            )
        ],
    ),
    "metric-step-repeated": lambda _: both(run(metrics=[series("m", [2, 1], [3, 3])])),
    "metric-not-finite": lambda _: metrics([1, math.inf], [1, math.inf]),
    "metric-all-at-end": lambda _: both(run(metrics=[series("m", range(20))], start_time=-3000)),
    "artifact-stale": lambda _: compare(
        launch("fluent", LOGGED, stale={"out": ("out/old.png",)}), launch("mlflow-run", LOGGED)
    ),
    "model-without-signature": lambda _: both(run(models=[model("m", signature=None)])),
    "param-missing-in-fluent": lambda _: params({}, {"a": "1"}),
    "param-missing-in-mlflow-run": lambda _: params({"a": "1"}, {}),
    "param-differs": lambda _: params({"a": "1.0"}, {"a": "1"}),
    "param-quoted": lambda _: params({"a": ""}, {"a": "''"}),
    "metric-missing": lambda _: compare_runs(LOGGED, run(params={"a": "1"}, artifacts=[artifact("a.txt")])),
    "metric-without-step": lambda _: compare_runs(STEPLESS, STEPLESS),
    "metric-points-differ": lambda _: metrics([1, 2], [1, 2, 3]),
    "metric-steps-differ": lambda _: metrics([1, 2], [1, 2], steps=(0, 1)),
    "metric-values-differ": lambda _: metrics([1, 2], [1, 3]),
    "artifact-missing": lambda _: compare_runs(
        LOGGED, run(params={"a": "1"}, metrics=LOGGED.metrics.values())
    ),
    "metric-varies": lambda _: varying(*(run(metrics=[series("m", [1, last])]) for last in (1, 2, 3))),
    "param-varies": lambda _: varying(*(run(params={"a": value, "b": "1"}) for value in "abc")),
    "artifact-varies": varying_content,
    "prediction-varies": lambda _: again(
        validated(predicted=True, prediction=[1], other={"prediction": [2]}),
        run(params={"a": "1"}, models=[model("m")]),
        validations=[predicting([3])],
    ),
    "artifact-content-differs": other_content,
    "model-as-artifact": lambda _: compare_runs(PICKLE, PICKLE),
    "model-missing": lambda _: one_model(fluent=False),
    "model-differs": lambda _: compare_runs(
        run(models=[model("m", flavors=["sklearn"])]), run(models=[model("m", flavors=["torch"])])
    ),
    "model-not-registrable": lambda _: one_model(registered=False, loaded=False),
    "model-not-loadable": lambda _: one_model(loaded=False),
    "model-rejects-example": lambda _: validated(predicted=False),
    "model-requirements-wrong": lambda _: validated(unlisted=("humanize",)),
    "prediction-differs": lambda _: validated(predicted=True, prediction=[1], other={"prediction": [2]}),
    "registered-model-missing": lambda _: registering([RegisteredModel("net")], []),
    "registered-model-differs": lambda _: registering(
        [RegisteredModel("net", tags={"a": "1"})], [RegisteredModel("net")]
    ),
}
"""By rule the least that deserves it."""


def test_every_rule_has_its_mistake_here() -> None:
    # Those of the contract need one: test_contract.py has them.
    of_contract = {slug for slug, rule in RULES.items() if rule.check == "contract"}
    assert MISTAKES.keys() == RULES.keys() - USAGE_ERRORS - of_contract


@pytest.mark.parametrize("slug", MISTAKES)
def test_one_mistake_gives_one_finding_in_the_check_of_its_rule(slug: str, tmp_path: Path) -> None:
    comparison = MISTAKES[slug](tmp_path)
    results = [judge(check, comparison, Policy()) for check in CHECKS]
    found = [(result.check, one.rule) for result in results for one in result.findings]
    # That the launch failed is a fault of its own; what its run says of it is another.
    before = [("launches", "launch-failed")] if slug == "failed-but-finished" else []
    assert found == [*before, (RULES[slug].check, slug)]


@pytest.mark.parametrize("slug", MISTAKES)
def test_a_rule_that_is_off_leaves_nothing(slug: str, tmp_path: Path) -> None:
    policy = Policy({slug: "off", "launch-failed": "off"})
    results = [judge(check, MISTAKES[slug](tmp_path), policy) for check in CHECKS]
    left = {one.rule for result in results for one in result.findings}
    # The symptoms it stood in front of are told now.
    assert left <= {*RULES[slug].supersedes, *RULES[slug].supersedes_same_subject}


@pytest.mark.parametrize("modes", [("fluent",), ("mlflow-run",), ("fluent", "mlflow-run")])
def test_what_projects_normally_log_gives_no_finding(modes: tuple[str, ...]) -> None:
    record = run(
        params={"index": "10", "empty": "", "max-depth": "3", "max_depth": "3"},
        metrics=[series("score", [0.9]), series("loss", [3, 2], [5, 6]), series("nan", [float("nan")] * 2)],
        artifacts=[artifact("optimizer.pkl", format="pickle"), artifact("log/a.txt")],
        models=[model("m")],
        tags={"mlflow.user": "me"},
    )
    nested = run("r2", parent="r1", params={"lr": "0.1"})
    launches = [launch(mode, record, nested, validations=[validation("m")]) for mode in modes]  # type: ignore[arg-type]
    of = case(parameter("index"), parameter("max-depth"), parameter("empty", default=""))
    comparison = compare(*launches, case=of)
    results = [judge(check, comparison, Policy()) for check in CHECKS]
    assert [result.findings for result in results] == [()] * len(CHECKS)
    alone = "only one launch was made, so there is nothing to compare"
    assert [result.skipped for result in results] == [
        None,
        alone if len(modes) == 1 else None,
        *[None] * 4,
    ]


# Texts


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.slug)
def test_texts_of_a_rule(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", rule.slug)
    assert rule.check in CHECKS
    assert rule.severity in ("error", "warning")
    for text in (rule.title, rule.summary, rule.explanation, rule.example, rule.fix):
        assert text
        assert text == text.strip()
        assert text.isprintable() or text.replace("\n", "").isprintable()
    assert rule.title.format(n=3, subjects="a, b") != rule.title
    assert rule.title.startswith("MLproject: " if rule.slug.startswith("mlproject") else f"{rule.check}: ")
    assert "\n" not in rule.title + rule.summary + rule.explanation
    # A row of a table, and a sentence of its own in `explain`.
    assert "|" not in rule.summary
    assert not rule.summary.endswith(".")
    assert rule.explanation.endswith((".", "…"))


def test_rules_are_listed_by_slug_check_by_check() -> None:
    assert [rule.slug for rule in RULES.values()] == list(RULES)
    order = [CHECKS.index(rule.check) for rule in RULES.values()]
    assert order == sorted(order)


def test_only_what_loses_nothing_is_a_warning() -> None:
    assert {rule.slug for rule in RULES.values() if rule.severity == "warning"} == {
        "mlproject-unused-parameter",
        "mlproject-absolute-path",
        "mlproject-ignored-key",
        "run-closed-at-exit",
        "run-name-differs",
        "project-dir-written",
        "metric-varies",
        "param-varies",
        "tag-varies",
        "dataset-varies",
        "artifact-varies",
        "prediction-varies",
        "param-quoted",
        "param-duplicated",
        "param-changes-per-step",
        "metric-step-repeated",
        "metric-not-finite",
        "metric-all-at-end",
        "artifact-stale",
        "model-without-signature",
        "model-requirements-wrong",
        "contract-outdated",
    }


def test_a_rule_supersedes_others_that_exist() -> None:
    for rule in RULES.values():
        assert set(rule.supersedes) <= RULES.keys() - {rule.slug}


MADE_UP = Rule(
    slug="made-up",
    check="params",
    severity="warning",
    title="params: {n} made up",
    summary="a param of MLflow is made up, and this summary is so long it has to go on in a line of its own",
    explanation="Nobody logs it. " * 8 + "Really.",
    example='mlflow.log_param("x", 1)\n\nmlflow.log_param("y", 2)',
    fix="Leave it out:\n\npass",
)


def test_explain_is_what_is_known_of_a_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "made-up", MADE_UP)
    assert explain("made-up") == "\n".join(
        [
            "made-up (warning, check: params)",
            "",
            "A param of MLflow is made up, and this summary is so long it has to go on in a",
            "line of its own.",
            "",
            "Nobody logs it. Nobody logs it. Nobody logs it. Nobody logs it. Nobody logs it.",
            "Nobody logs it. Nobody logs it. Nobody logs it. Really.",
            "",
            "example:",
            '    mlflow.log_param("x", 1)',
            "",
            '    mlflow.log_param("y", 2)',
            "",
            "instead:",
            "    Leave it out:",
            "",
            "    pass",
        ]
    )


@pytest.mark.parametrize("slug", RULES)
def test_every_rule_can_be_explained(slug: str) -> None:
    lines = explain(slug).splitlines()
    assert lines[0] == f"{slug} ({RULES[slug].severity}, check: {RULES[slug].check})"
    assert lines[2][0] == lines[2][0].upper()
    prose = lines[2 : lines.index("example:")]
    assert max(map(len, prose)) <= 80
    # Names of rules and options stay whole.
    assert not any(line.endswith("-") for line in prose)


def test_an_unknown_rule_is_a_mistake_with_a_suggestion() -> None:
    with pytest.raises(UserError) as error:
        explain("metric-without-steps")
    assert str(error.value) == (
        '--mlflow-explain: unknown rule "metric-without-steps": did you mean "metric-without-step"?'
    )
    with pytest.raises(UserError) as error:
        check_slugs(["param-differs", "", "also wrong"], where="here, [rules]")
    assert str(error.value) == f'here, [rules]: unknown rule "": known: {", ".join(sorted(RULES))}'
