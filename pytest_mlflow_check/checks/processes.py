"""Runs that several processes of a launch log to, or start, without knowing of one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.param_conflicts import shown
from pytest_mlflow_check.checks.source_lines import STARTING
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, Mode, Observation, PythonProcess
from pytest_mlflow_check.core.text import counted, enumerated

_POOL = "multiprocessing"


@dataclass(frozen=True)
class _Logger:
    """A process of a launch that logs.

    Attributes:
        process: what is known of it.
        calls: those of the user's code that start runs or log.
        rank: as in `PythonProcess`; 0 for the process that started the others by itself.
    """

    process: PythonProcess
    calls: Sequence[Observation]
    rank: int | None

    @property
    def loads_data(self) -> bool:
        return self.process.worker_of not in ("", _POOL)

    @property
    def unguided_starts(self) -> list[Observation]:
        """The starts for which neither a run nor a parent was named."""
        return [
            call
            for call in self.calls
            if call.what == "start_run" and not {"run_id", "parent_run_id"} & set(call.options)
        ]

    @property
    def runs(self) -> set[str | None]:
        """The runs that it started or joined without naming them."""
        return {call.run_id for call in self.unguided_starts}

    def started(self, other: _Logger) -> bool:
        """Whether this one is the parent of the other."""
        return other.process.parent == self.process.number

    def overlaps(self, other: _Logger) -> bool:
        """Whether both logged at the same time."""
        return self.calls[0].time <= other.calls[-1].time and other.calls[0].time <= self.calls[-1].time


@dataclass(frozen=True)
class _Group:
    """Processes of a launch that log what one of them should, and what they are to each other."""

    kind: str
    loggers: Sequence[_Logger]

    @property
    def runs(self) -> set[str | None]:
        return {call.run_id for logger in self.loggers for call in logger.calls if call.run_id}

    @property
    def call(self) -> Observation:
        """The call of the last process that shouldn't have been made there."""
        last = self.loggers[-1]
        return next(iter(last.unguided_starts), last.calls[0])

    @property
    def subject(self) -> str:
        if self.kind == _RANKS:
            ranks = sorted({logger.rank for logger in self.loggers if logger.rank is not None})
            return f"RANK {_listed(list(map(str, ranks)))}"
        if self.kind == _LOADERS:
            library = self.loggers[0].process.worker_of
            return f"{'DataLoader' if library == 'torch.utils.data' else library} workers"
        return self.kind

    @property
    def text(self) -> str:
        """How many processes log how many runs."""
        count, runs = len(self.loggers), len(self.runs)
        return f"{counted(count, 'process', 'processes')}, {counted(runs, 'run')}"


_RANKS, _LOADERS, _WORKERS, _CHILDREN = "ranks", "loaders", "worker processes", "child processes"


def several_processes(comparison: Comparison) -> Iterator[Finding]:
    """A finding for each kind of processes that log what one should, and for each param they fight over."""
    loggers = {mode: _loggers(launch) for mode, launch in comparison.launches.items()}
    found: dict[str, dict[Mode, _Group]] = defaultdict(dict)
    for mode, of_launch in loggers.items():
        for group in _groups(of_launch, _made_by_mlflow_run(comparison.launches[mode])):
            found[group.kind][mode] = group
    for kind, groups in found.items():
        group = groups.get("mlflow-run") or next(iter(groups.values()))
        # Where the launches differ, the other one's processes are right, and shown beside.
        others = {
            mode: _Group(kind, alike)
            for mode, of_launch in loggers.items()
            if (alike := _of_kind(kind, of_launch))
        }
        sides = {mode: each.text for mode, each in {**others, **groups}.items()}
        yield Finding(
            rule="logged-by-several-processes",
            subject=group.subject,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            source_line=group.call.source_line,
            why=_why(group),
            fix=_fix(group),
        )
        for mode, each in groups.items():
            yield from _rewritten(mode, each)


def _loggers(launch: Launch) -> list[_Logger]:
    """The processes that log, those first that began first."""
    known = {process.number: process for process in launch.processes or ()}
    calls: dict[int, list[Observation]] = {}
    for call in launch.observations:
        if call.by in ("code", "autologging") and _logs(call):
            calls.setdefault(call.process, []).append(call)
    # Lightning tells only those that it starts which one they are.
    started = [known[number] for number in calls if number in known and known[number].rank is not None]
    first = {process.parent for process in started} - {process.number for process in started}
    return [
        _Logger(process, made, 0 if number in first else process.rank)
        for number, made in calls.items()
        if (process := known.get(number))
    ]


def _logs(call: Observation) -> bool:
    return call.what in STARTING or call.what.startswith(("log_", "set_tag"))


def _made_by_mlflow_run(launch: Launch) -> set[str | None]:
    return {
        call.run_id for call in launch.observations if call.what == "create_run" and call.by == "mlflow-run"
    }


def _groups(loggers: Sequence[_Logger], handed_down: set[str | None]) -> Iterator[_Group]:
    """The processes that log what one should, by kind.

    Args:
        loggers: all that log.
        handed_down: the runs that MLFLOW_RUN_ID named.
    """
    if loaders := [one for one in _of_kind(_LOADERS, loggers) if one.unguided_starts]:
        yield _Group(_LOADERS, loaders)
    ranks = _of_kind(_RANKS, loggers)
    if len({one.rank for one in ranks}) > 1 and (together := _in_each_others_way(ranks, starting=True)):
        yield _Group(_RANKS, together)
        return
    workers = _of_kind(_WORKERS, loggers)
    implicit = [one for one in workers if any("implicit" in call.options for call in one.unguided_starts)]
    # A quick worker may have done all of it, before another one joined the same run.
    starting = [one for one in workers if one.unguided_starts]
    heirs = starting if any(one.runs & handed_down for one in starting) else []
    several = sum(len(one.unguided_starts) for one in heirs) > 1
    if together := (
        _in_each_others_way(workers) or (implicit if len(loggers) > 1 else []) or (heirs if several else [])
    ):
        yield _Group(_WORKERS, together)
    if together := _in_each_others_way(_of_kind(_CHILDREN, loggers), overlapping=True):
        yield _Group(_CHILDREN, together)


def _of_kind(kind: str, loggers: Sequence[_Logger]) -> list[_Logger]:
    if kind == _LOADERS:
        return [one for one in loggers if one.loads_data]
    if kind == _RANKS:
        return [one for one in loggers if one.rank is not None and not one.loads_data]
    if kind == _WORKERS:
        return [one for one in loggers if one.process.worker_of == _POOL]
    return [one for one in loggers if not one.process.worker_of]


def _in_each_others_way(
    loggers: Sequence[_Logger], *, starting: bool = False, overlapping: bool = False
) -> list[_Logger]:
    """The processes that start one run without naming it, or log one thing to one run.

    Args:
        loggers: the processes.
        starting: whether it is enough that two start runs, whichever.
        overlapping: whether only those count that log at the same time.
    """
    met: dict[int, _Logger] = {}
    for one, other in combinations(loggers, 2):
        # What a process starts may have been given its run.
        if overlapping and (not one.overlaps(other) or one.started(other) or other.started(one)):
            continue
        if (starting and one.runs and other.runs) or one.runs & other.runs or _points(one) & _points(other):
            met |= {each.process.number: each for each in (one, other)}
    return [one for one in loggers if one.process.number in met]


def _points(logger: _Logger) -> set[tuple[str | None, str, int]]:
    """The points of metrics that it logs, by run, key and step."""
    return {
        (call.run_id, call.key, call.step)
        for call in logger.calls
        if call.what == "log_metric" and call.step is not None
    }


def _rewritten(mode: Mode, group: _Group) -> Iterator[Finding]:
    """The params that processes log with different values to one run: the second one crashes there."""
    logged = sorted(
        (
            (call.run_id, call.key, call.time, logger.process.number, call)
            for logger in group.loggers
            for call in logger.calls
            if call.what == "log_param" and call.run_id
        ),
        key=lambda each: each[:4],
    )
    for (_, key), same in groupby(logged, key=lambda each: each[:2]):
        (*_, number, first), *rest = same
        for *_, other, call in rest:
            if other != number and call.value != first.value:
                text = f"logged {shown(first.value or '')}, then {shown(call.value or '')}"
                yield Finding(
                    rule="param-rewritten",
                    subject=key,
                    fluent=text if mode == "fluent" else None,
                    mlflow_run=text if mode == "mlflow-run" else None,
                    source_line=call.source_line,
                    why=f"One process logged {key} = {shown(first.value or '')} to this run, and another one "
                    f"{key} = {shown(call.value or '')}. A param can't be changed once it is logged, so the "
                    "second one crashed there.",
                    fix=_fix(group),
                )
                break


def _why(group: _Group) -> str:
    line = group.call.source_line or "the code"
    if group.kind == _LOADERS:
        return (
            f"{line} is reached in the processes that load the data. They have no active run, so MLflow "
            "starts another run in each of them, and nothing ends it. The run of the training has none of "
            "what they log."
        )
    if group.kind == _RANKS:
        return (
            f"Each rank reaches {line}. Started with a plain command, each makes a run of its own; under "
            "`mlflow run` all join the one that MLFLOW_RUN_ID names, which then has every point once a rank."
        )
    if any("implicit" in call.options for call in group.loggers[-1].unguided_starts):
        return (
            f"{line} is reached in a worker process, which has no active run: MLflow starts one in each, or "
            "has them all join the one that MLFLOW_RUN_ID names."
        )
    return (
        f"{line} is reached in several processes at once. Under `mlflow run` each inherits MLFLOW_RUN_ID, so "
        "all join one run, where a plain command makes a run for each."
    )


def _fix(group: _Group) -> str:
    line = group.call.source_line
    there = f", in {line}" if line else ""
    if group.kind == _LOADERS:
        return "return it with the batch, and log it in the main process, where the loop over the batches is"
    if group.kind == _RANKS:
        return (
            f"with  import os  have one rank log{there}, and around every other call of MLflow:  "
            'if int(os.environ.get("RANK", 0)) == 0:'
        )
    return (
        "start a run in the main process around them, which also takes MLFLOW_RUN_ID out of their way:  "
        "with mlflow.start_run() as parent:  give each  parent.info.run_id  as parent_id, and have it start"
        f"{there}  mlflow.start_run(nested=True, parent_run_id=parent_id)"
    )


def _listed(names: Sequence[str]) -> str:
    """`0 and 1`, or `0, 1 and 2`; of many the ends."""
    return f"{names[0]} to {names[-1]}" if len(names) > 4 else enumerated(names)
