"""The check `launches`: did both launches end well, and did they log runs?"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.rewritten import rewritten_params
from pytest_mlflow_check.findings import Finding
from pytest_mlflow_check.records import Launch, Mode, RunRecord

_TAIL_LINES = 20


def check_launches(comparison: Comparison) -> list[Finding]:
    """Findings about the launches as such; what the runs hold is for the other checks."""
    findings = list(_null_defaults(comparison))
    if comparison.unset:
        return findings
    if failed := failed_launches(comparison.launches):
        return findings + list(_explain_failures(comparison, failed))
    if empty := empty_launches(comparison):
        return [*findings, _nothing_logged(comparison, empty)]
    return findings + list(_run_counts(comparison))


def failed_launches(launches: Mapping[Mode, Launch]) -> dict[Mode, Launch]:
    """The launches that didn't end with exit code 0."""
    return {mode: launch for mode, launch in launches.items() if launch.exit_code != 0}


def empty_launches(comparison: Comparison) -> list[Mode]:
    """The launches whose code logged nothing.

    What `mlflow run` logs by itself, a run with the entry point's parameters, doesn't count; beside a
    fluent launch that did log, such a run is for the checks to compare.
    """
    launches = comparison.launches
    if "fluent" in launches and any(not _is_empty(run) for run in launches["fluent"].runs):
        return []
    return [mode for mode, launch in launches.items() if not _code_logged(comparison, mode, launch)]


def launch_failed(failed: Mapping[Mode, Launch]) -> Finding:
    """The finding for launches that failed for no reason we know."""
    sides = {mode: _how(launch) for mode, launch in failed.items()}
    first = next(iter(failed.values()))
    late = first.exit_code is None
    return Finding(
        rule="launch-failed",
        subject=" and ".join(_spoken(mode) for mode in failed),
        fluent=sides.get("fluent"),
        mlflow_run=sides.get("mlflow-run"),
        why=f"`{first.command}` didn't end within its time and was ended."
        if late
        else f"`{first.command}` didn't end with exit code 0.",
        fix="give it a smaller case, or more time:  --mlflow-timeout=SECONDS"
        if late
        else "mend what the output above says; paths in it are relative to the project",
        detail="\n\n".join(_output(launch) for launch in failed.values()),
    )


def _null_defaults(comparison: Comparison) -> Iterator[Finding]:
    if comparison.case is None:
        return
    for parameter in comparison.case.entry_point.parameters.values():
        if parameter.null_default:
            place = comparison.place(parameter.line)
            nothing = ", so nothing was launched" if comparison.unset else ""
            yield Finding(
                rule="mlproject-null-default",
                subject=parameter.name,
                mlflow_run="null",
                place=place,
                why="MLflow takes `default: null` for no default at all; without a value `mlflow run` ends "
                f'with "No value given for missing parameters"{nothing}.',
                fix=f'in {place} write  {parameter.name}: {{type: {parameter.type}, default: ""}}  '
                'and take the empty text for "not given" in the code',
            )


def _explain_failures(comparison: Comparison, failed: Mapping[Mode, Launch]) -> Iterator[Finding]:
    explained = {mode: list(rewritten_params(comparison, mode, launch)) for mode, launch in failed.items()}
    yield from _merged(finding for findings in explained.values() for finding in findings)
    unexplained = {mode: launch for mode, launch in failed.items() if not explained[mode]}
    if unexplained:
        yield launch_failed(unexplained)


def _merged(findings: Iterable[Finding]) -> Iterable[Finding]:
    """The findings, with what is said alike of both launches said once."""
    merged: dict[tuple[str, str | None, str], Finding] = {}
    for finding in findings:
        key = (finding.subject, finding.place, finding.why)
        other = merged.get(key, finding)
        merged[key] = replace(
            other,
            fluent=other.fluent or finding.fluent,
            mlflow_run=other.mlflow_run or finding.mlflow_run,
        )
    return merged.values()


def _nothing_logged(comparison: Comparison, empty: list[Mode]) -> Finding:
    said = {mode: _content(comparison, mode, launch) for mode, launch in comparison.launches.items()}
    first = comparison.launches[empty[0]]
    return Finding(
        rule="no-run-logged",
        subject=" and ".join(_spoken(mode) for mode in empty),
        fluent=said.get("fluent"),
        mlflow_run=said.get("mlflow-run"),
        why=f"`{first.command}` ended with exit code 0, and its code logged nothing to MLflow.",
        fix="log inside a run:  with mlflow.start_run(): …",
    )


def _content(comparison: Comparison, mode: Mode, launch: Launch) -> str:
    if not launch.runs:
        return "no run"
    runs = _runs(len(launch.runs))
    if _code_logged(comparison, mode, launch):
        return runs
    return f"{runs}, only mlflow run's own params" if mode == "mlflow-run" else f"{runs}, empty"


def _code_logged(comparison: Comparison, mode: Mode, launch: Launch) -> bool:
    by_mlflow: set[str] = set()
    if mode == "mlflow-run" and comparison.case is not None:
        by_mlflow = {*comparison.case.entry_point.parameters, *comparison.case.params}
    return any(not _is_empty(run, by_mlflow) for run in launch.runs)


def _is_empty(run: RunRecord, by_mlflow: set[str] | frozenset[str] = frozenset()) -> bool:
    own_tags = [tag for tag in run.tags if not tag.startswith("mlflow.")]
    return not (
        run.params.keys() - by_mlflow
        or run.metrics
        or run.artifacts
        or run.models
        or run.datasets
        or own_tags
    )


def _run_counts(comparison: Comparison) -> Iterator[Finding]:
    counts = {mode: len(launch.runs) for mode, launch in comparison.launches.items()}
    matched = len(comparison.pairs)
    # As many in all, but under other parents.
    alike = len({*counts.values()}) == 1
    if len(counts) == 2 and any(count != matched for count in counts.values()):
        yield Finding(
            rule="run-count-differs",
            subject="runs",
            fluent=_runs(counts["fluent"], matched if alike else None),
            mlflow_run=_runs(counts["mlflow-run"], matched if alike else None),
            why="Under `mlflow run` the first start_run() joins the run that `mlflow run` made; a run "
            "created in another way is one more. Runs that can't be matched aren't compared.",
            fix="use mlflow.start_run() for the outermost run, and make the number of runs depend on "
            "the parameters alone",
        )


def _runs(count: int, matched: int | None = None) -> str:
    runs = "1 run" if count == 1 else f"{count} runs"
    return runs if matched is None else f"{runs}, {matched} of them matched"


def _how(launch: Launch) -> str:
    if launch.exit_code is None:
        return f"not ended after {launch.duration:.0f} s"
    if launch.exit_code < 0:
        return f"killed by {_signal_name(-launch.exit_code)}"
    return f"exit code {launch.exit_code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Real-time signals but for the first and the last have no name.
        return f"signal {number}"


def _output(launch: Launch) -> str:
    """The end of a launch's output: of standard error, or of standard output where that is empty."""
    text, path = (
        (launch.stderr, launch.stderr_path) if launch.stderr.strip() else (launch.stdout, launch.stdout_path)
    )
    # The user's own files, not those of the copy, are where the fault is mended.
    lines = text.rstrip().replace(f"{launch.directory}/", "").splitlines()
    if lines:
        head = [f"the end of {path}:" if path else "the end of its output:"]
    else:
        head = [f"no output; its files are in {path.parent}" if path else "no output"]
    return "\n".join([f"{launch.command}", *head, *(f"  {line}" for line in lines[-_TAIL_LINES:])])


def _spoken(mode: Mode) -> str:
    return mode.replace("-", " ")
