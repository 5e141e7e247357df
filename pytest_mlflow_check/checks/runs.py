"""What is wrong with the runs of a launch as such, whatever they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.library_runs import into_the_open_run
from pytest_mlflow_check.checks.source_lines import calls, source_line_of_start, start_of
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Mode, RunRecord
from pytest_mlflow_check.core.text import counted

_Wanted = Callable[[Launch, RunRecord], bool]


def left_running(comparison: Comparison) -> Iterator[Finding]:
    """Runs that still count as running though their launch ended well."""
    for label, sides in sides_of_runs(comparison, lambda _, run: run.status == "RUNNING").items():
        run = next(iter(sides.values()))
        start = start_of(comparison, run)
        made = start is None or start.what == "create_run"
        last = _last_line(comparison, run)
        there = f", after {last}" if last else ""
        yield Finding(
            rule="run-left-running",
            subject=label,
            fluent=_status(sides.get("fluent")),
            mlflow_run=_status(sides.get("mlflow-run")),
            source_line=source_line_of_start(comparison, run),
            why="The launch ended with exit code 0, and nothing ended this run: "
            + (
                "a run made with MlflowClient.create_run isn't ended by itself."
                if made
                else "its process ended where MLflow, which ends runs when Python does, wasn't asked."
            ),
            fix=f"end it where all is logged{there}:  mlflow.MlflowClient().set_terminated(…)"
            if made
            else f"end it before its process ends{there}:  mlflow.end_run()",
        )


def closed_at_exit(comparison: Comparison) -> Iterator[Finding]:
    """Runs that only the end of the interpreter closed, in launches that ended well."""
    for label, sides in sides_of_runs(comparison, _closed_by_exit).items():
        run = next(iter(sides.values()))
        yield Finding(
            rule="run-closed-at-exit",
            subject=label,
            fluent=_status(sides.get("fluent"), "closed at exit"),
            mlflow_run=_status(sides.get("mlflow-run"), "closed at exit"),
            source_line=source_line_of_start(comparison, run),
            why="It was started without `with` and never ended, so MLflow closed it as FINISHED when Python "
            "ended. It would say FINISHED after a crash too.",
            fix=f"{_with_start_run(comparison, run)}  or, where a `with` can't be, end it after the last of "
            "that, and in a finally:  mlflow.end_run()",
        )


def failed_but_finished(comparison: Comparison, failed: Mapping[Mode, Launch]) -> Iterator[Finding]:
    """Runs of a failed launch that the end of the interpreter closed as FINISHED."""
    found = sides_of_runs(
        comparison,
        lambda launch, run: run.status == "FINISHED" and _closed_by_exit(launch, run),
        launches=failed,
    )
    for label, sides in found.items():
        run = next(iter(sides.values()))
        yield Finding(
            rule="failed-but-finished",
            subject=label,
            fluent=_status(sides.get("fluent")),
            mlflow_run=_status(sides.get("mlflow-run")),
            source_line=source_line_of_start(comparison, run),
            why="The launch failed, and its run says FINISHED: without `with`, MLflow closes the run at exit "
            "and knows nothing of the exception. The broken run looks like a good one.",
            fix=f"{_with_start_run(comparison, run)}  which ends it as FAILED; where a `with` can't be, end "
            'it in an except:  mlflow.end_run("FAILED")',
        )


def _with_start_run(comparison: Comparison, run: RunRecord) -> str:
    """How to start a run so that it is ended whatever happens."""
    start = start_of(comparison, run)
    code = "with mlflow.start_run():"
    if start is None:
        return f"start it around all that it logs:  {code}"
    implicit = "implicit" in start.options
    return (
        f"start it around all that it logs, {'from' if implicit else 'in'} {start.source_line}"
        f"{' on' if implicit else ''}:  {code}"
    )


def _last_line(comparison: Comparison, run: RunRecord) -> str | None:
    """The line that logged to a run last."""
    for launch in comparison.launches.values():
        lines = [call.source_line for call in launch.calls_about(run.run_id) if call.source_line]
        if lines:
            return lines[-1]
    return None


def runs_missing(comparison: Comparison) -> Iterator[Finding]:
    """The runs that only one of both launches logged; what is nested in them goes with them."""
    for pair in comparison.missing:
        ((mode, run),) = pair.sides
        top_level = "/" not in pair.label
        # A run that a client makes doesn't join the one of `mlflow run`: the usual reason.
        created = [call for call in calls(comparison, ["create_run"], mode=mode) if call.source_line]
        made = [call.source_line for call in created]
        library = next((call.library for call in created if call.library), "") if top_level else ""
        yield Finding(
            rule="run-missing",
            subject=pair.label,
            fluent=_holds(run, comparison) if mode == "fluent" else None,
            mlflow_run=_holds(run, comparison) if mode == "mlflow-run" else None,
            source_line=source_line_of_start(comparison, run) or (made[0] if made and top_level else None),
            why="Under `mlflow run` the first start_run() joins the run that `mlflow run` made; a run "
            f"created in another way{f', as {library} does,' if library else ''} is one more. A run that "
            "can't be matched isn't compared."
            if top_level
            else "The other launch has its siblings and not this run, nor what is nested in it. A run that "
            "can't be matched isn't compared.",
            fix=into_the_open_run(library)
            if library
            else f"remove create_run() in {made[0]}, and start the outermost run without run_id=, so that it "
            "joins that of `mlflow run`:  mlflow.start_run()"
            if top_level and made
            else "start the outermost run by  mlflow.start_run()  and make the number of runs depend on the "
            "parameters alone"
            if top_level
            else "make the number of nested runs depend on the parameters alone",
        )


def _holds(run: RunRecord, comparison: Comparison) -> str:
    """What is missed with a run: `empty`, or `3 params, 1 metric, 2 nested runs`."""
    runs = [one for launch in comparison.launches.values() for one in launch.runs]
    nested, parents = 0, {run.run_id}
    for one in runs:
        if one.parent_id in parents:
            nested, parents = nested + 1, parents | {one.run_id}
    counts = {
        "param": len(run.params),
        "metric": len(run.metrics),
        "artifact": len(run.artifacts),
        "model": len(run.models),
        "nested run": nested,
    }
    held = [counted(count, what) for what, count in counts.items() if count]
    return ", ".join(held) or "empty"


def _closed_by_exit(launch: Launch, run: RunRecord) -> bool:
    return any(call.what == "end_run" and call.by == "exit" for call in launch.calls_about(run.run_id))


def sides_of_runs(
    comparison: Comparison,
    wanted: _Wanted,
    launches: Mapping[Mode, Launch] | None = None,
) -> dict[str, dict[Mode, RunRecord]]:
    """The runs that are as wanted, by what they are called: `run 2/1`, or `run` where there is only one."""
    found: dict[str, dict[Mode, RunRecord]] = {}
    for mode, launch in (comparison.launches if launches is None else launches).items():
        labels = {
            run.run_id: pair.label
            for pair in (*comparison.pairs, *comparison.missing)
            for each, run in pair.sides
            if each == mode
        }
        for position, run in enumerate(launch.runs):
            if wanted(launch, run):
                label = labels.get(run.run_id, f"run {position + 1} of {len(launch.runs)}") or "run"
                found.setdefault(label, {})[mode] = run
    return found


def _status(run: RunRecord | None, text: str | None = None) -> str | None:
    return None if run is None else text or run.status
