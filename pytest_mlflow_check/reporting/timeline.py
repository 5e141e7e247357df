"""When what was logged, and from which line: the observed calls of a launch, those alike together."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.reporting.run_model import Call

_MOST = 200
_MOST_KEYS = 6


def timeline_of(launch: Launch, labels: Mapping[str, str]) -> tuple[tuple[Call, ...], int]:
    """The calls in the order of the first of each kind, and how many kinds were left out.

    Args:
        launch: what was observed.
        labels: what runs are called, by run id.
    """
    kinds: dict[tuple[str, str, str | None, str], _Kind] = {}
    for call in launch.observations:
        key = (call.what, call.by, call.source_line, labels.get(call.run_id or "", ""))
        if key not in kinds:
            kinds[key] = _Kind(call.time)
        kinds[key].add(call.key, call.step, call.time)
    start = launch.started or min((kind.first for kind in kinds.values()), default=0.0)
    calls = tuple(
        Call(
            what=what,
            keys=tuple(list(kind.keys)[:_MOST_KEYS]),
            more_keys=max(len(kind.keys) - _MOST_KEYS, 0),
            count=kind.count,
            first=round(max(kind.first - start, 0.0), 3),
            last=round(max(kind.last - start, 0.0), 3),
            first_step=kind.lowest,
            last_step=kind.highest,
            by=by,
            place=place,
            run=run,
        )
        for (what, by, place, run), kind in kinds.items()
    )
    return calls[:_MOST], max(len(calls) - _MOST, 0)


class _Kind:
    """Calls of one kind, counted as they come: there may be a million."""

    def __init__(self, time: float) -> None:
        self.first = self.last = time
        self.count = 0
        self.keys: dict[str, None] = {}
        self.lowest: int | None = None
        self.highest: int | None = None

    def add(self, key: str, step: int | None, time: float) -> None:
        self.count += 1
        self.first, self.last = min(self.first, time), max(self.last, time)
        if key:
            self.keys.setdefault(key)
        if step is not None:
            self.lowest = step if self.lowest is None else min(self.lowest, step)
            self.highest = step if self.highest is None else max(self.highest, step)
