"""Runs that aren't where they belong: without a parent, started again, a library's own, or side by side."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.checks.stray_runs import stray_runs
from pytest_mlflow_check.core.findings import CHECKS, Finding
from pytest_mlflow_check.core.records import Observation, RunRecord
from support.builders import case, compare, judge, launch, parameter, run, slugs


def start(run_id: str, line: int, *options: str, what: str = "start_run", **fields: object) -> Observation:
    source_line = f"train.py:{line}"
    return Observation(what, run_id=run_id, source_line=source_line, options=options, **fields)  # type: ignore[arg-type]


def end(run_id: str) -> Observation:
    return Observation("end_run", run_id=run_id)


def found(*calls: Observation, parents: dict[str, str] | None = None) -> list[Finding]:
    """What is found of a launch in which these calls were made."""
    ids = dict.fromkeys(call.run_id or "" for call in calls)
    runs = [run(run_id, parent=(parents or {}).get(run_id), params={"a": run_id}) for run_id in ids]
    return list(stray_runs(compare(launch("fluent", *runs, observations=calls))))


PARENT = start("r1", 7)
TRIAL = start("r2", 9, "nested")
NESTED = "name the parent in train.py:9:  parent_run_id=parent.info.run_id"


def test_a_nested_run_in_a_thread() -> None:
    (finding,) = found(PARENT, TRIAL)
    assert (finding.rule, finding.subject, finding.fluent, finding.source_line) == (
        "run-without-parent",
        "run 2",
        "no parent",
        "train.py:9",
    )
    assert finding.why.endswith(
        "The one that train.py:7 started is active in another thread, so this run became a top-level one."
    )
    assert finding.fix == NESTED


def test_a_nested_run_in_another_process() -> None:
    (finding,) = found(PARENT, start("r2", 9, "nested", process=2))
    assert "active in another process" in finding.why


def test_all_of_them_and_an_outermost_one_that_is_nested_too() -> None:
    findings = found(start("r1", 7, "nested"), TRIAL, start("r3", 9, "nested"), end("r2"), end("r3"))
    assert slugs(findings) == [("run-without-parent", "run 2"), ("run-without-parent", "run 3")]


@pytest.mark.parametrize(
    ("library", "fix"),
    [
        ("optuna_integration.mlflow.mlflow.__call__", 'mlflow_kwargs={"nested": True, "parent_run_id"'),
        ("somelib.run", "give somelib the parent in train.py:9, by its parent_run_id= where it has one"),
    ],
)
def test_a_nested_run_of_a_library(library: str, fix: str) -> None:
    (finding,) = found(PARENT, start("r2", 9, "nested", via=library))
    assert fix in finding.fix


@pytest.mark.parametrize(
    "calls",
    [
        [PARENT, start("r2", 9, "nested", "parent_run_id")],
        [PARENT, start("r2", 9, "nested", "run_id")],
        [TRIAL, start("r3", 9, "nested")],
        [PARENT, end("r1"), TRIAL],
        [PARENT, start("r2", 9)],
    ],
    ids=["named parent", "named run", "siblings without a parent", "after it", "not nested"],
)
def test_runs_that_have_no_parent_for_another_reason(calls: Sequence[Observation]) -> None:
    assert found(*calls) == []


def test_a_run_that_got_its_parent() -> None:
    assert found(PARENT, TRIAL, parents={"r2": "r1"}) == []


TRAIN = start("r1", 7, via="transformers.trainer.train")


def test_an_evaluation_after_the_training_of_a_library() -> None:
    (finding,) = found(TRAIN, end("r1"), start("r2", 8, via="transformers.trainer.evaluate"))
    assert (finding.rule, finding.subject, finding.source_line) == (
        "run-started-again",
        "run 2",
        "train.py:8",
    )
    assert finding.why.startswith(
        "train.py:7 started a run, which transformers ended. evaluate() of transformers at train.py:8 finds "
    )
    assert finding.fix == ("start one around both, train.py:7 and train.py:8:  with mlflow.start_run():")


@pytest.mark.parametrize(
    ("library", "fix"),
    [
        ("ultralytics", ('before train.py:8 write  os.environ["MLFLOW_KEEP_RUN_ACTIVE"] = "true"')),
        (
            "somelib",
            "log it before train.py:8, or go on with the run:  mlflow.start_run(run_id=run.info.run_id)",
        ),
    ],
)
def test_a_run_of_the_code_that_a_library_ended(library: str, fix: str) -> None:
    ended = Observation("end_run", run_id="r1", source_line="train.py:8", via=f"{library}.model.train")
    (finding,) = found(PARENT, ended, start("r2", 9, "implicit"))
    assert (finding.rule, finding.source_line, finding.fix) == ("run-started-again", "train.py:9", fix)
    assert finding.why.startswith(
        f"{library}, called at train.py:8, ended the run that the code had started."
    )


def test_of_a_loop_each_evaluation_is_found() -> None:
    calls = []
    for train, evaluate in (("r1", "r2"), ("r3", "r4")):
        calls += [start(train, 7, via="transformers.trainer.train"), end(train)]
        calls += [start(evaluate, 8, via="transformers.trainer.evaluate"), end(evaluate)]
    assert [finding.subject for finding in found(*calls)] == ["run 2", "run 4"]


@pytest.mark.parametrize(
    "first", [PARENT, start("r1", 7, by="autologging"), TRAIN], ids=["with", "autologging", "library"]
)
def test_a_metric_after_the_end(first: Observation) -> None:
    (finding,) = found(first, end("r1"), start("r2", 9, "implicit"))
    assert (finding.rule, finding.source_line) == ("run-started-again", "train.py:9")
    assert "MLflow at train.py:9 finds none active and starts another one" in finding.why


@pytest.mark.parametrize(
    "calls",
    [
        [TRAIN, end("r1"), start("r2", 8, via="transformers.trainer.train")],
        [TRAIN, end("r1"), start("r2", 8, via="other.trainer.evaluate")],
        [TRAIN, start("r2", 8, via="transformers.trainer.evaluate")],
        [TRAIN, end("r1"), start("r2", 8, "run_id", via="transformers.trainer.evaluate")],
        [TRAIN, end("r1"), start("r2", 8, via="transformers.trainer.evaluate", process=2)],
        [start("r1", 7, "implicit"), end("r1"), start("r2", 9, "implicit")],
        [PARENT, end("r1"), start("r2", 9)],
        [start("r1", 7, by="autologging"), end("r1"), start("r2", 9, "implicit", by="autologging")],
    ],
    ids=[
        "two trainings",
        "two libraries",
        "not ended",
        "named run",
        "another process",
        "one implicit run after another",
        "two runs",
        "two runs of autologging",
    ],
)
def test_runs_that_were_started_one_after_the_other(calls: Sequence[Observation]) -> None:
    assert found(*calls) == []


def test_a_library_with_a_client_of_its_own() -> None:
    calls = [PARENT, start("r2", 9, what="create_run", via="lightning.pytorch.loggers.mlflow.experiment")]
    (finding,) = found(*calls)
    assert (finding.rule, finding.subject, finding.source_line) == (
        "logged-to-another-run",
        "run 2",
        "train.py:9",
    )
    assert finding.fix.startswith("write  MLFlowLogger(run_id=run.info.run_id")


def test_a_library_that_nobody_knows() -> None:
    (finding,) = found(PARENT, start("r2", 9, what="create_run", via="somelib.log"))
    assert finding.fix.startswith("give the logger of somelib the run")


@pytest.mark.parametrize(
    "calls",
    [
        [start("r2", 9, what="create_run", via="lightning.fit")],
        [PARENT, end("r1"), start("r2", 9, what="create_run", via="lightning.fit")],
        [PARENT, start("r2", 9, what="create_run")],
    ],
    ids=["no run", "after it", "the code itself"],
)
def test_runs_that_a_client_made(calls: Sequence[Observation]) -> None:
    assert found(*calls) == []


def test_the_only_run_is_a_librarys_own() -> None:
    created = start("r2", 9, what="create_run", via="lightning.pytorch.loggers.mlflow.experiment")
    record = run("r2", params={"a": "1"})
    empty = run("r1", params={"lr": "1"}, tags={"mlflow.project.entryPoint": "main"})
    (finding,) = check_launches(
        compare(
            launch("fluent", record, observations=[created]),
            launch("mlflow-run", empty, record, observations=[created]),
            case=case(parameter("lr")),
        )
    )
    assert finding.rule == "run-missing"
    assert finding.fix.startswith("write  MLFlowLogger(run_id=run.info.run_id")
    assert "use mlflow.start_run() for the outermost run" not in finding.fix


def joined(**fields: str) -> RunRecord:
    return run("r1", params={"b": "1", **fields}, tags={"mlflow.project.entryPoint": "main"}, name="one")


def test_several_top_level_runs() -> None:
    others = [run("r2", params={"b": "2"}), run("r3", params={"b": "3"})]
    first = run("r1", params={"b": "1"}, name="one")
    comparison = compare(
        launch("fluent", first, *others),
        launch("mlflow-run", joined(rates="1,2"), *others, observations=[PARENT]),
        case=case(parameter("rates")),
    )
    results = [judge(check, comparison, Policy()) for check in CHECKS]
    (finding,) = [finding for result in results for finding in result.findings]
    assert (finding.rule, finding.subject, finding.source_line) == (
        "several-top-level-runs",
        "3 runs",
        "train.py:7",
    )
    assert (finding.fluent, finding.mlflow_run) == ("without rates", "the first with rates")
    assert 'mlflow.log_param("rates", …)' in finding.fix


@pytest.mark.parametrize(
    ("fluent", "others"),
    [({"b": "1", "rates": "1,2"}, 1), ({"b": "1"}, 0)],
    ids=["logged in each launch", "one run"],
)
def test_top_level_runs_that_lack_nothing(fluent: dict[str, str], others: int) -> None:
    rest = [run("r2", params={"b": "2"})] * others
    sides = [launch("fluent", run("r1", params=fluent, name="one"), *rest)]
    sides.append(launch("mlflow-run", joined(rates="1,2"), *rest))
    assert list(stray_runs(compare(*sides, case=case(parameter("rates"))))) == []
