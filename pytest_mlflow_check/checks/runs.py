"""What is wrong with the runs of a launch as such, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.places import calls, place_of_start
from pytest_mlflow_check.findings import Finding
from pytest_mlflow_check.records import Launch, Mode, RunRecord

_Wanted = Callable[[Launch, RunRecord], bool]


def left_running(comparison: Comparison) -> Iterator[Finding]:
    """Runs that still count as running though their launch ended well."""
    for label, sides in _sides(comparison, lambda _, run: run.status == "RUNNING").items():
        run = next(iter(sides.values()))
        yield Finding(
            rule="run-left-running",
            subject=label,
            fluent=_status(sides.get("fluent")),
            mlflow_run=_status(sides.get("mlflow-run")),
            place=place_of_start(comparison, run),
            why="The launch ended with exit code 0, and nothing ended this run: a run made with "
            "MlflowClient.create_run isn't ended by itself.",
            fix="end it in a finally:  client.set_terminated(run_id); or use  with mlflow.start_run(): …",
        )


def closed_at_exit(comparison: Comparison) -> Iterator[Finding]:
    """Runs that only the end of the interpreter closed, in launches that ended well."""
    for label, sides in _sides(comparison, _closed_by_exit).items():
        run = next(iter(sides.values()))
        place = place_of_start(comparison, run)
        yield Finding(
            rule="run-closed-at-exit",
            subject=label,
            fluent=_status(sides.get("fluent"), "closed at exit"),
            mlflow_run=_status(sides.get("mlflow-run"), "closed at exit"),
            place=place,
            why="It was started without `with` and never ended, so MLflow closed it as FINISHED when Python "
            "ended. It would say FINISHED after a crash too.",
            fix=f"with mlflow.start_run(): …{f'  in {place}' if place else ''}",
        )


def failed_but_finished(comparison: Comparison, failed: Mapping[Mode, Launch]) -> Iterator[Finding]:
    """Runs of a failed launch that the end of the interpreter closed as FINISHED."""
    found = _sides(
        comparison,
        lambda launch, run: run.status == "FINISHED" and _closed_by_exit(launch, run),
        launches=failed,
    )
    for label, sides in found.items():
        run = next(iter(sides.values()))
        place = place_of_start(comparison, run)
        yield Finding(
            rule="failed-but-finished",
            subject=label,
            fluent=_status(sides.get("fluent")),
            mlflow_run=_status(sides.get("mlflow-run")),
            place=place,
            why="The launch failed, and its run says FINISHED: without `with`, MLflow closes the run at exit "
            "and knows nothing of the exception. The broken run looks like a good one.",
            fix=f"with mlflow.start_run(): …{f'  in {place}' if place else ''}, which ends it as FAILED",
        )


def counts_differ(comparison: Comparison) -> Iterator[Finding]:
    """Whether both launches logged as many runs, under the same parents."""
    counts = {mode: len(launch.runs) for mode, launch in comparison.launches.items()}
    matched = len(comparison.pairs)
    # As many in all, but under other parents.
    alike = len({*counts.values()}) == 1
    if len(counts) != 2 or all(count == matched for count in counts.values()):
        return
    more: Mode = "fluent" if counts["fluent"] > counts["mlflow-run"] else "mlflow-run"
    # A run that a client makes doesn't join the one of `mlflow run`: the usual reason.
    made = [call.place for call in calls(comparison, ["create_run"], mode=more) if call.place]
    started = [call.place for call in calls(comparison, ["start_run"], mode=more) if call.place]
    places = [*made[:1], *started[-1:]]
    yield Finding(
        rule="run-count-differs",
        subject="runs",
        fluent=runs_text(counts["fluent"], matched if alike else None),
        mlflow_run=runs_text(counts["mlflow-run"], matched if alike else None),
        place=places[0] if places else None,
        why="Under `mlflow run` the first start_run() joins the run that `mlflow run` made; a run "
        "created in another way is one more. Runs that can't be matched aren't compared.",
        fix="use mlflow.start_run() for the outermost run, and make the number of runs depend on "
        "the parameters alone",
    )


def runs_text(count: int, matched: int | None = None) -> str:
    """`1 run`, `3 runs`, or `3 runs, 2 of them matched`."""
    runs = "1 run" if count == 1 else f"{count} runs"
    return runs if matched is None else f"{runs}, {matched} of them matched"


def _closed_by_exit(launch: Launch, run: RunRecord) -> bool:
    return any(
        call.what == "end_run" and call.by == "exit" and call.run_id == run.run_id
        for call in launch.observations
    )


def _sides(
    comparison: Comparison,
    wanted: _Wanted,
    launches: Mapping[Mode, Launch] | None = None,
) -> dict[str, dict[Mode, RunRecord]]:
    """The runs that are as wanted, by what they are called: `run 2/1`, or `run` where there is only one."""
    found: dict[str, dict[Mode, RunRecord]] = {}
    for mode, launch in (comparison.launches if launches is None else launches).items():
        labels = {
            run.run_id: pair.label for pair in comparison.pairs for each, run in pair.sides if each == mode
        }
        for position, run in enumerate(launch.runs):
            if wanted(launch, run):
                label = labels.get(run.run_id, f"run {position + 1} of {len(launch.runs)}") or "run"
                found.setdefault(label, {})[mode] = run
    return found


def _status(run: RunRecord | None, text: str | None = None) -> str | None:
    return None if run is None else text or run.status
