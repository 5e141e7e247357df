"""Processes of one launch that log what one of them should."""

from __future__ import annotations

import pytest

from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.processes import several_processes
from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.core.findings import CHECKS, Finding
from pytest_mlflow_check.core.records import Launch, Mode, Observation, PythonProcess
from support.builders import compare, judge, launch, run, series, slugs

COMMAND = ("python", "train.py")
START = "train.py:8"


def call(what: str, process: int, run_id: str = "r1", *options: str, **fields: object) -> Observation:
    return Observation(
        what,
        run_id=run_id,
        process=process,
        options=options,
        **{"source_line": START, "time": float(process), **fields},  # type: ignore[arg-type]
    )


def process(number: int, *, rank: int | None = None, worker_of: str = "", parent: int = 1) -> PythonProcess:
    return PythonProcess(COMMAND, True, number=number, parent=parent, rank=rank, worker_of=worker_of)


def made(*calls: Observation, processes: list[PythonProcess], mode: Mode = "mlflow-run", **fields) -> Launch:  # type: ignore[no-untyped-def]
    runs = [run(run_id, params={"a": "1"}) for run_id in dict.fromkeys(one.run_id for one in calls)]
    return launch(mode, *runs, observations=calls, processes=tuple(processes), **fields)


def found(*launches: Launch) -> list[Finding]:
    return list(several_processes(compare(*launches)))


WORKERS = [process(2, worker_of="multiprocessing"), process(3, worker_of="multiprocessing")]
RANKS = [process(2, rank=0), process(3, rank=1)]


def test_ranks_that_all_log() -> None:
    (finding,) = found(
        made(call("start_run", 2), call("start_run", 3, "r2"), processes=RANKS, mode="fluent"),
        made(call("start_run", 2), call("start_run", 3), processes=RANKS),
    )
    assert (finding.rule, finding.subject, finding.source_line) == (
        "logged-by-several-processes",
        "RANK 0 and 1",
        START,
    )
    assert (finding.fluent, finding.mlflow_run) == ("2 processes, 2 runs", "2 processes, 1 run")
    assert finding.fix.startswith(f"with  import os  have one rank log, in {START}, and around")


def test_ranks_are_wrong_in_a_plain_launch_alone() -> None:
    alone = made(call("start_run", 2), call("start_run", 3, "r2"), processes=RANKS, mode="fluent")
    assert slugs(found(alone)) == [("logged-by-several-processes", "RANK 0 and 1")]


def test_a_process_that_started_the_other_ranks_by_itself_is_the_first() -> None:
    # As Lightning does.
    processes = [process(2), process(3, rank=1, parent=2)]
    (finding,) = found(made(call("start_run", 2), call("start_run", 3), processes=processes))
    assert finding.subject == "RANK 0 and 1"


def test_many_ranks() -> None:
    processes = [process(number + 2, rank=number) for number in range(8)]
    (finding,) = found(made(*[call("start_run", one.number) for one in processes], processes=processes))
    assert (finding.subject, finding.mlflow_run) == ("RANK 0 to 7", "8 processes, 1 run")


def test_ranks_that_log_one_metric_to_a_run_they_name() -> None:
    calls = [call("log_metric", number, key="loss", step=0) for number in (2, 3)]
    assert slugs(found(made(*calls, processes=RANKS))) == [("logged-by-several-processes", "RANK 0 and 1")]


def test_workers_that_inherit_the_run() -> None:
    (finding,) = found(
        made(call("start_run", 2), call("start_run", 3, "r2"), processes=WORKERS, mode="fluent"),
        made(call("start_run", 2), call("start_run", 3), processes=WORKERS),
    )
    assert (finding.subject, finding.source_line) == ("worker processes", START)
    assert (finding.fluent, finding.mlflow_run) == ("2 processes, 2 runs", "2 processes, 1 run")
    assert "inherits MLFLOW_RUN_ID" in finding.why
    assert "parent_run_id=" in finding.fix


def test_a_worker_that_did_all_before_another_one_came() -> None:
    made_by_mlflow = call("create_run", 9, "r1", by="mlflow-run")
    starts = [call("start_run", 2, "r1"), call("start_run", 2, "r2")]
    (finding,) = found(made(made_by_mlflow, *starts, processes=WORKERS))
    assert (finding.subject, finding.mlflow_run) == ("worker processes", "1 process, 2 runs")
    assert found(made(made_by_mlflow, starts[0], processes=WORKERS)) == []


def test_workers_without_a_run_beside_a_process_that_has_one() -> None:
    workers = [process(1, parent=0), *WORKERS]
    implicit = call("start_run", 2, "r2", "implicit", source_line="train.py:30")
    (finding,) = found(made(call("start_run", 1), implicit, processes=workers))
    assert (finding.subject, finding.source_line) == ("worker processes", "train.py:30")
    # The one process that logs may be a child.
    assert found(made(implicit, processes=WORKERS)) == []


def test_workers_that_load_data() -> None:
    loader = process(2, worker_of="torch.utils.data")
    implicit = call("start_run", 2, "r2", "implicit", source_line="train.py:30")
    (finding,) = found(made(call("start_run", 1), implicit, processes=[process(1), loader]))
    assert (finding.subject, finding.source_line) == ("DataLoader workers", "train.py:30")
    assert "in the main process" in finding.fix
    other = process(2, worker_of="paddle.io")
    (finding,) = found(made(implicit, processes=[process(1), other]))
    assert finding.subject == "paddle.io workers"


def test_children_that_log_at_the_same_time() -> None:
    children = [process(2), process(3)]
    calls = [call("start_run", 2, time=1.0), call("start_run", 3, time=2.0), call("log_param", 2, time=3.0)]
    (finding,) = found(made(*calls, processes=children))
    assert (finding.subject, finding.mlflow_run) == ("child processes", "2 processes, 1 run")


@pytest.mark.parametrize(
    ("processes", "calls"),
    [
        (RANKS, [call("start_run", 2), call("log_metric", 2, key="loss", step=0)]),
        (RANKS, [call("start_run", number, f"r{number}", "nested", "parent_run_id") for number in (2, 3)]),
        (RANKS, [call("log_metric", number, key=f"rank{number}/loss", step=0) for number in (2, 3)]),
        ([process(2, rank=0), process(3, rank=0)], [call("start_run", 2), call("start_run", 3)]),
        (WORKERS, [call("start_run", number, f"r{number}") for number in (2, 3)]),
        (WORKERS, [call("start_run", number, f"r{number}", "parent_run_id") for number in (2, 3)]),
        (WORKERS, [call("log_metric", number, key="score", step=number) for number in (2, 3)]),
        ([process(2), process(3)], [call("start_run", 2), call("start_run", 3)]),
        ([process(2), process(3)], [call("start_run", 2, "r1", "run_id"), call("start_run", 3)]),
        (
            [process(2, worker_of="torch.utils.data")],
            [call("log_metric", 2, key="seconds_to_load", step=0)],
        ),
        (
            [process(2), process(3, parent=2)],
            [call("start_run", 2), call("start_run", 3), call("log_param", 2, time=4.0)],
        ),
        ([], [call("start_run", 2), call("start_run", 3)]),
    ],
    ids=[
        "rank 0 alone",
        "ranks with runs below a parent",
        "ranks with metrics of their own",
        "processes of one rank, one after the other",
        "workers with runs of their own",
        "workers with runs below a parent",
        "workers that log steps of one metric",
        "stages, one after the other",
        "stages in a run that is named",
        "a loader that logs to a run it names",
        "a child that was given the run of its parent",
        "unknown processes",
    ],
)
def test_what_is_fine(processes: list[PythonProcess], calls: list[Observation]) -> None:
    assert found(made(*calls, processes=processes)) == []


def test_params_that_processes_fight_over() -> None:
    calls = [
        made_call
        for number, value in ((2, "0.1"), (3, "0.2"))
        for made_call in (
            call("start_run", number),
            call("log_param", number, key="lr", value=value, source_line="train.py:9"),
            call("log_param", number, key="same", value="1"),
        )
    ]
    _, finding = found(made(*calls, processes=WORKERS))
    assert (finding.rule, finding.subject, finding.source_line) == ("param-rewritten", "lr", "train.py:9")
    assert (finding.fluent, finding.mlflow_run) == (None, 'logged "0.1", then "0.2"')
    assert "cfg_lr" not in finding.fix
    assert "parent_run_id=" in finding.fix


def test_a_launch_that_such_a_param_ended_isnt_reported_as_failed_too() -> None:
    calls = [
        each
        for number, value in ((2, "0"), (3, "1"))
        for each in (call("start_run", number), call("log_param", number, key="fold", value=value))
    ]
    fine = launch("fluent", run(params={"a": "1"}))

    def rules(stderr: str) -> list[str]:
        failed = made(*calls, processes=WORKERS, exit_code=1, stderr=stderr)
        return [finding.rule for finding in check_launches(compare(fine, failed))]

    both = ["logged-by-several-processes", "param-rewritten"]
    assert rules("Changing param values is not allowed. Param with key='fold' was …") == both
    assert rules("ValueError: another reason") == [*both, "launch-failed"]


def test_runs_that_processes_mixed_arent_compared() -> None:
    comparison = compare(
        launch("fluent", run(metrics=[series("loss", [2, 1])]), run("r2", params={"b": "1"})),
        made(call("start_run", 2), call("start_run", 3), processes=RANKS),
    )
    results = [judge(check, comparison, Policy()) for check in CHECKS]
    assert [finding.rule for result in results for finding in result.findings] == [
        "logged-by-several-processes"
    ]
