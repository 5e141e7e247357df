"""Runs as such: left running, closed at exit, empty; stores named in the code; changed files."""

from __future__ import annotations

import pytest

from pytest_mlflow_check.checks.artifacts import check_artifacts
from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.models import check_models
from pytest_mlflow_check.checks.runner import CaseJudge, Comparison, Policy
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Mode, Observation, RunRecord
from support.builders import artifact, case, compare, judge, launch, model, parameter, run, series, slugs

START = Observation("start_run", run_id="r1", source_line="train.py:7")
EXIT = Observation("end_run", value="FINISHED", run_id="r1", by="exit")
SET = Observation("redirect", "http://me:***@prod:5000", "mlflow.set_tracking_uri", source_line="train.py:3")
LOGGED = run(metrics=[series("score", [0.5])])


def both(record: RunRecord, *calls: Observation, **settings: object) -> Comparison:
    sides = [launch(mode, record, observations=calls) for mode in ("fluent", "mlflow-run")]
    return compare(*sides, **settings)  # type: ignore[arg-type]


def only(comparison: Comparison) -> Finding:
    (finding,) = check_launches(comparison)
    return finding


def test_a_run_left_running() -> None:
    finding = only(both(run(params={"a": "1"}, status="RUNNING"), START))
    assert (finding.rule, finding.subject, finding.fluent, finding.source_line) == (
        "run-left-running",
        "run",
        "RUNNING",
        "train.py:7",
    )


def test_runs_are_named_where_there_are_several() -> None:
    child = run("r2", parent="r1", params={"a": "1"}, status="RUNNING")
    sides = [launch(mode, LOGGED, child) for mode in ("fluent", "mlflow-run")]
    assert only(compare(*sides)).subject == "run 1/1"


def test_a_run_of_a_launch_that_failed_may_still_be_running() -> None:
    sides = [launch(mode, run(status="RUNNING"), exit_code=-9) for mode in ("fluent", "mlflow-run")]
    assert slugs(check_launches(compare(*sides))) == [("launch-failed", "fluent and mlflow run")]


def test_a_run_closed_only_at_exit() -> None:
    finding = only(both(LOGGED, START, EXIT))
    assert (finding.rule, finding.fluent, finding.source_line) == (
        "run-closed-at-exit",
        "closed at exit",
        "train.py:7",
    )
    assert finding.fix == (
        "start it around all that it logs, in train.py:7:  with mlflow.start_run():  or, where "
        "a `with` can't be, end it after the last of that, and in a finally:  mlflow.end_run()"
    )


@pytest.mark.parametrize("by", ["code", "mlflow"])
def test_a_run_ended_by_anybody_else_was_ended(by: str) -> None:
    end = Observation("end_run", value="FINISHED", run_id="r1", by=by)  # type: ignore[arg-type]
    assert check_launches(both(LOGGED, START, end)) == []


def test_a_failed_launch_whose_run_says_finished() -> None:
    sides = [
        launch(mode, LOGGED, exit_code=1, observations=[START, EXIT]) for mode in ("fluent", "mlflow-run")
    ]
    second, first = check_launches(compare(*sides))
    assert (first.rule, first.fluent, first.mlflow_run, first.source_line) == (
        "failed-but-finished",
        "FINISHED",
        "FINISHED",
        "train.py:7",
    )
    assert second.rule == "launch-failed"


def test_a_failed_launch_whose_run_says_failed() -> None:
    failed = run(status="FAILED", params={"a": "1"})
    sides = [
        launch(mode, failed, exit_code=1, observations=[START, EXIT]) for mode in ("fluent", "mlflow-run")
    ]
    assert slugs(check_launches(compare(*sides))) == [("launch-failed", "fluent and mlflow run")]


def test_a_store_named_in_the_code() -> None:
    assert only(both(LOGGED, SET)) == Finding(
        rule="tracking-uri-hardcoded",
        subject="http://me:***@prod:5000",
        why="train.py:3 leads MLflow to http://me:***@prod:5000 with mlflow.set_tracking_uri, wherever the "
        "run was started for. It was led back to the launch's own store; nothing was sent there.",
        fix=("remove it from train.py:3, and give it from outside:  MLFLOW_TRACKING_URI=… python train.py"),
        fluent="mlflow.set_tracking_uri",
        mlflow_run="mlflow.set_tracking_uri",
        source_line="train.py:3",
    )


def test_a_launch_stopped_at_such_a_line_isnt_reported_as_failed_too() -> None:
    sides = [launch(mode, exit_code=1, observations=[SET]) for mode in ("fluent", "mlflow-run")]
    assert slugs(check_launches(compare(*sides, tracking_uri="block"))) == [
        ("tracking-uri-hardcoded", "http://me:***@prod:5000")
    ]


def test_a_launch_that_failed_after_it_was_led_back_failed_all_the_same() -> None:
    sides = [launch(mode, exit_code=1, observations=[SET]) for mode in ("fluent", "mlflow-run")]
    assert [finding.rule for finding in check_launches(compare(*sides))] == [
        "tracking-uri-hardcoded",
        "launch-failed",
    ]


def test_files_of_the_project_that_were_changed() -> None:
    sides: list[Launch] = [
        launch("fluent", LOGGED, changed=("../b", "a")),
        launch("mlflow-run", LOGGED, changed=("a",)),
    ]
    found = [(one.rule, one.subject, one.fluent, one.mlflow_run) for one in check_launches(compare(*sides))]
    assert found == [
        ("project-dir-written", "../b", "changed", None),
        ("project-dir-written", "a", "changed", "changed"),
    ]


INDEX = case(parameter("index"))
OWN = run(params={"index": "10"})


@pytest.mark.parametrize(
    ("fluent", "mlflow_run", "said"),
    [
        (LOGGED, OWN, [("run-empty", "mlflow run")]),
        (run(), run(params={"index": "10", "seed": "1"}), [("run-empty", "fluent")]),
        (run(), OWN, [("no-run-logged", "fluent and mlflow run")]),
        # Code that leaves out what `mlflow run` logged by itself.
        (OWN, OWN, []),
        (run(params={"index": "10", "seed": "1"}), OWN, [("run-empty", "mlflow run")]),
    ],
)
def test_empty_runs(fluent: RunRecord, mlflow_run: RunRecord, said: list[tuple[str, str]]) -> None:
    comparison = compare(launch("fluent", fluent), launch("mlflow-run", mlflow_run), case=INDEX)
    assert slugs(check_launches(comparison)) == said


def test_an_empty_run_leaves_nothing_else_to_say() -> None:
    comparison = compare(launch("fluent", LOGGED), launch("mlflow-run", OWN), case=INDEX)
    assert (
        judge("metrics", comparison, Policy()).skipped
        == "the mlflow run launch logged nothing (see launches)"
    )


@pytest.mark.parametrize("mode", ["fluent", "mlflow-run"])
def test_one_launch_alone_that_logged_nothing(mode: Mode) -> None:
    assert slugs(check_launches(compare(launch(mode, run()), case=INDEX))) == [
        ("no-run-logged", mode.replace("-", " "))
    ]


def test_stale_files_in_a_directory_logged_whole() -> None:
    call = Observation("log_artifacts", "plots", "/copy/project/out", source_line="train.py:9")
    record = run(artifacts=[artifact("plots/old.png"), artifact("plots/new.png")])
    sides = [
        launch(mode, record, observations=[call], stale={"out": ("out/old.png",)})
        for mode in ("fluent", "mlflow-run")
    ]
    (finding,) = check_artifacts(compare(*sides))
    assert (finding.rule, finding.subject, finding.fluent, finding.source_line) == (
        "artifact-stale",
        "out/old.png",
        "logged with out",
        "train.py:9",
    )
    assert check_artifacts(compare(*sides, ignore={"artifacts": ["out/*"]})) == []


def test_the_line_of_an_artifact_logged_by_itself_or_with_its_directory() -> None:
    calls = [
        Observation("log_artifacts", "", "/copy/project/out", source_line="train.py:1"),
        Observation("log_artifacts", "plots", "/copy/project/plots", source_line="train.py:2"),
        Observation("log_artifact", "plots/a.png", source_line="train.py:3"),
    ]
    sides = [
        launch(
            "fluent", run(artifacts=[artifact("plots/a.png"), artifact("plots/b.png")]), observations=calls
        ),
        launch("mlflow-run", run(params={"a": "1"})),
    ]
    assert {one.subject: one.source_line for one in check_artifacts(compare(*sides))} == {
        "plots/a.png": "train.py:3",
        "plots/b.png": "train.py:2",
    }


def test_a_model_without_a_signature() -> None:
    call = Observation("log_model", "m", "sklearn", source_line="train.py:9")
    sides = [
        launch(mode, run(models=[model("m", signature=None)]), observations=[call])
        for mode in ("fluent", "mlflow-run")
    ]
    (finding,) = check_models(compare(*sides))
    assert (finding.rule, finding.subject, finding.fluent, finding.source_line) == (
        "model-without-signature",
        "m",
        "no signature",
        "train.py:9",
    )


def test_a_model_that_is_missing_isnt_told_to_have_a_signature() -> None:
    sides = [launch("fluent", run(models=[model("m", signature=None)])), launch("mlflow-run", run())]
    comparison = compare(*sides)
    left = CaseJudge(comparison, Policy()).without_superseded(check_models(comparison))
    assert slugs(left) == [("model-missing", "m")]
