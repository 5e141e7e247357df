"""How the runs of a launch were started: by which call, after which others, and while which were open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_mlflow_check.checks.source_lines import STARTING
from pytest_mlflow_check.core.records import Launch, Observation


@dataclass(frozen=True)
class RunStart:
    """A call of the user's code, or of a library that it called, that started a run.

    Attributes:
        call: the call.
        ended: the runs that its process had started and ended before, each by the calls that did so.
        still_open: the starts of the runs that were open then, in all processes; the first one first.
        joined: whether it is the run that `mlflow run` made, which the first start joins.
    """

    call: Observation
    ended: Sequence[tuple[Observation, Observation]]
    still_open: Sequence[Observation]
    joined: bool = False

    @property
    def run_id(self) -> str:
        """The run."""
        return self.call.run_id or ""


def top_level_starts(launch: Launch) -> Iterator[RunStart]:
    """The starts of the top-level runs of a launch, in their order."""
    top_level = {run.run_id for run in launch.runs if run.parent_id is None}
    by_mlflow = {call.run_id for call in launch.observations if call.by == "mlflow-run"}
    still_open: dict[str | None, Observation] = {}
    ended: dict[int, list[tuple[Observation, Observation]]] = defaultdict(list)
    for call in launch.observations:
        if call.what == "end_run" and call.run_id in still_open:
            start = still_open.pop(call.run_id)
            ended[start.process].append((start, call))
        elif call.what in STARTING and call.by in ("code", "autologging"):
            if call.run_id in top_level:
                others = [one for run_id, one in still_open.items() if run_id != call.run_id]
                yield RunStart(call, tuple(ended[call.process]), others, call.run_id in by_mlflow)
            still_open.setdefault(call.run_id, call)
