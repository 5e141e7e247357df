"""Runs that aren't where they belong: without a parent, started again, a library's own, or side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.library_runs import below_another_thread, into_the_open_run, keep_open
from pytest_mlflow_check.checks.logging_snippets import log_params
from pytest_mlflow_check.checks.run_starts import RunStart, top_level_starts
from pytest_mlflow_check.checks.runs import sides_of_runs
from pytest_mlflow_check.checks.source_lines import source_line_of_start
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Mode, Observation, RunRecord

_ENTRY_POINT = "mlflow.project.entryPoint"
"""A tag that `mlflow run` sets on the run it makes (`mlflow.utils.mlflow_tags`, 3.17.2 and 2.22.5)."""

_EVALUATIONS = {"evaluate", "predict", "score", "test", "val", "validate"}
"""How libraries call what comes after a training, and belongs to it."""

_Stray = tuple[RunStart, Observation]
"""The start of a run, and the call that started, or ended, the run to which it belongs."""

_Sides = Mapping[Mode, RunRecord]


def stray_runs(comparison: Comparison) -> Iterator[Finding]:
    """All of them."""
    yield from _each(comparison, "run-without-parent", _orphans, "no parent", _orphan)
    yield from _each(comparison, "run-started-again", _repeated, "another run", _again)
    yield from _each(comparison, "logged-to-another-run", _of_libraries, "a run of its own", _own)
    yield from side_by_side(comparison)


def _each(
    comparison: Comparison,
    rule: str,
    choose: Callable[[Iterable[RunStart]], Iterator[_Stray]],
    text: str,
    say: Callable[[RunStart, Observation], tuple[str, str]],
) -> Iterator[Finding]:
    """A finding for each run that is chosen, with reason and fix as they are said of its first start."""
    found: dict[Mode, dict[str, _Stray]] = {
        mode: {stray[0].run_id: stray for stray in choose(top_level_starts(launch))}
        for mode, launch in comparison.launches.items()
    }
    sides = sides_of_runs(comparison, lambda launch, run: run.run_id in found[launch.mode])
    for label, runs in sides.items():
        mode, run = next(iter(runs.items()))
        start, other = found[mode][run.run_id]
        why, fix = say(start, other)
        yield Finding(
            rule=rule,
            subject=label,
            fluent=text if "fluent" in runs else None,
            mlflow_run=text if "mlflow-run" in runs else None,
            source_line=start.call.source_line,
            why=why,
            fix=fix,
        )


def _orphans(starts: Iterable[RunStart]) -> Iterator[_Stray]:
    """Runs started as nested while the parent was open in another thread or process."""
    found: set[str | None] = set()
    for start in starts:
        options = set(start.call.options)
        # It has no parent since `mlflow run` made it.
        if start.joined:
            continue
        if start.call.what != "start_run" or "nested" not in options or options & {"run_id", "parent_run_id"}:
            continue
        # Runs of the same line are siblings.
        parents = [
            one
            for one in start.still_open
            if one.run_id not in found and one.source_line != start.call.source_line
        ]
        if parents:
            found.add(start.run_id)
            yield start, parents[0]


def _orphan(start: RunStart, parent: Observation) -> tuple[str, str]:
    where = "thread" if parent.process == start.call.process else "process"
    return (
        f"nested=True takes the active run of its own {where} as the parent. The one that "
        f"{_line(parent)} started is active in another {where}, so this run became a top-level one.",
        below_another_thread(start.call),
    )


def _repeated(starts: Iterable[RunStart]) -> Iterator[_Stray]:
    """Runs that MLflow or a library started by itself, after the one they belong to had been ended."""
    found: set[str | None] = set()
    for start in starts:
        call = start.call
        if call.what != "start_run" or "run_id" in call.options or call.by == "autologging":
            continue
        # Of a loop that trains and evaluates, the next training is no repetition of the last evaluation.
        before = [
            (one, end)
            for one, end in reversed(start.ended)
            if one.run_id not in found and one.source_line != call.source_line and _goes_on(one, call)
        ]
        if before:
            found.add(start.run_id)
            one, end = before[0]
            # A library that ends a run of the code would end one around both, too.
            yield start, end if end.library and not _by_itself(one) else one


def _goes_on(before: Observation, call: Observation) -> bool:
    """Whether a run that was started by itself belongs to one before."""
    if call.library:
        evaluates = call.via.rpartition(".")[2] in _EVALUATIONS
        return evaluates and call.library == before.library and call.via != before.via
    return "implicit" in call.options and "implicit" not in before.options


def _again(start: RunStart, before: Observation) -> tuple[str, str]:
    call = start.call
    at = f"{call.via.rpartition('.')[2]}() of {call.library} at" if call.library else "MLflow at"
    then = (
        f"{at} {_line(call)} finds none active and starts another one: what is logged there is missing from "
        "the first."
    )
    if before.what == "end_run":
        return (
            f"{before.library}, called at {_line(before)}, ended the run that the code had started. {then}",
            keep_open(before),
        )
    if not _by_itself(before):
        return (
            f"{_line(before)} started a run, and it was ended. {then}",
            f"log it within that run; or go on with the run around {_line(call)}:  "
            "with mlflow.start_run(run_id=….info.run_id):",
        )
    ended = f", which {before.library or 'autologging'} ended"
    both = f", {_line(before)} and {_line(call)}" if before.source_line and call.source_line else ""
    return (
        f"{_line(before)} started a run{ended}. {then}",
        f"start one around both{both}:  with mlflow.start_run():",
    )


def _by_itself(call: Observation) -> bool:
    return bool(call.library) or call.by == "autologging"


def _of_libraries(starts: Iterable[RunStart]) -> Iterator[_Stray]:
    """Runs that a library made with a client while one was open."""
    for start in starts:
        open_here = [one for one in start.still_open if one.process == start.call.process]
        if start.call.what == "create_run" and start.call.library and open_here:
            yield start, open_here[-1]


def _own(start: RunStart, open_run: Observation) -> tuple[str, str]:
    return (
        f"{start.call.library} doesn't look for the run that {_line(open_run)} started: it makes another one "
        "with a client of its own, and logs to that.",
        into_the_open_run(start.call.library),
    )


def _line(call: Observation) -> str:
    return call.source_line or "the code"


def side_by_side(comparison: Comparison) -> Iterator[Finding]:
    """Several top-level runs, the first of which takes the run, and the params, that `mlflow run` made."""
    top_level: dict[Mode, Sequence[RunRecord]] = {
        mode: [run for run in launch.runs if run.parent_id is None]
        for mode, launch in comparison.launches.items()
    }
    if len(top_level) < 2 or min(map(len, top_level.values())) < 2:
        return
    for pair in comparison.pairs:
        if pair.both is None or _ENTRY_POINT not in pair.both[1].tags or pair.both[1].parent_id is not None:
            continue
        fluent, joined = pair.both
        given = [key for key in joined.params if comparison.given_by_mlflow(key) and key not in fluent.params]
        if not given:
            continue
        line = source_line_of_start(comparison, joined)
        yield Finding(
            rule="several-top-level-runs",
            subject=f"{len(top_level['mlflow-run'])} runs",
            fluent=f"without {', '.join(given)}",
            mlflow_run=f"the first with {', '.join(given)}",
            source_line=line,
            why="`mlflow run` makes one run, and logs the parameters to it. The first run that the code "
            "starts joins that one; the others are made beside it, without the parameters, and nothing leads "
            "to them.",
            fix="open a parent run around all of them, which joins that of `mlflow run`:  "
            f"with mlflow.start_run():  log in it  {log_params(given)}  and start each one within it"
            f"{f' in {line}' if line else ''} with  nested=True",
        )
