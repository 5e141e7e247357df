"""The check `metrics`: the same series, with the same steps and values, and steps at all?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pytest_mlflow_check.checks.comparison import Comparison, not_matching
from pytest_mlflow_check.checks.library_metrics import logged_without_step_by_mlflow
from pytest_mlflow_check.checks.logging_snippets import blanks
from pytest_mlflow_check.checks.metric_antipatterns import all_at_end, not_finite, step_repeated
from pytest_mlflow_check.checks.metric_subjects import by_subject, without_repeats
from pytest_mlflow_check.checks.run_matching import RunPair
from pytest_mlflow_check.checks.source_lines import STARTING, calls
from pytest_mlflow_check.config.settings import Tolerance
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.first_rows import first_rows
from pytest_mlflow_check.core.known_variation import is_measured, is_unsteady
from pytest_mlflow_check.core.records import MetricSeries
from pytest_mlflow_check.core.text import counted

_TOLERANCES = ("1e-6", "1e-5", "1e-4", "1e-3", "1e-2")
"""What a fix proposes; more isn't the same number any more."""


def check_metrics(comparison: Comparison) -> list[Finding]:
    """Findings for every series that lacks steps, or differs between the launches.

    One finding a series: what makes the rest of a comparison meaningless stands in front of it, in the
    order missing, without step, number of points, steps, values, repeated steps, not finite, all at the end.
    """
    return [finding for pair in comparison.pairs for finding in _compare(comparison, pair)]


def _compare(comparison: Comparison, pair: RunPair) -> Iterator[Finding]:
    sides: dict[str, Mapping[str, MetricSeries]] = {mode: run.metrics for mode, run in pair.sides}
    names = {name for metrics in sides.values() for name in metrics}
    for name in not_matching(names, comparison.settings.ignore.metrics):
        if is_unsteady(name):
            continue
        series = {mode: without_repeats(metrics[name]) for mode, metrics in sides.items() if name in metrics}
        call = _call(comparison, pair, name)
        judgement = _judge(call, series, [*sides.values()], comparison) or _habit(
            call, series, _starts(comparison, pair)
        )
        if judgement is not None:
            rule, fluent, mlflow_run, why, fix = judgement
            yield Finding(
                rule=rule,
                subject=name,
                fluent=fluent,
                mlflow_run=mlflow_run,
                source_line=call.source_line,
                run=pair.label,
                why=why,
                fix=fix,
            )


_Judgement = tuple[str, str | None, str | None, str, str]


@dataclass(frozen=True)
class _Call:
    """The call that logs a metric, as far as it was observed.

    Attributes:
        key: the metric.
        source_line: its line; None where none was observed.
        step: as given; None where it was left out.
        together: the metrics that the line logs, this one among them.
    """

    key: str
    source_line: str | None = None
    step: int | None = None
    together: tuple[str, ...] = ()

    def written(self, *, steps: bool = True) -> str:
        """How to log it, with what the same line logs."""
        step = ", step=…" if steps else ""
        if len(self.together) > 1:
            return f"mlflow.log_metrics({{{blanks(self.together)}}}{step})"
        return f'mlflow.log_metric("{self.key}", …{step})'

    @property
    def here(self) -> str:
        return f" in {self.source_line}" if self.source_line else ""


def _call(comparison: Comparison, pair: RunPair, name: str) -> _Call:
    for mode, run in pair.sides:
        seen = [call for call in calls(comparison, ["log_metric"], run=run, mode=mode) if call.source_line]
        if first := next((call for call in seen if call.key == name), None):
            together = {call.key for call in seen if call.source_line == first.source_line}
            return _Call(name, first.source_line, first.step, tuple(sorted(together)))
    return _Call(name)


def _judge(
    call: _Call,
    series: Mapping[str, MetricSeries],
    sides: Sequence[Mapping[str, MetricSeries]],
    comparison: Comparison,
) -> _Judgement | None:
    fluent, mlflow_run = series.get("fluent"), series.get("mlflow-run")
    if len(sides) > 1 and (fluent is None or mlflow_run is None):
        return (
            "metric-missing",
            _points(fluent),
            _points(mlflow_run),
            "The same code with the same values logged it in one launch only.",
            f"log it whatever the launch mode:  {call.written(steps=_has_steps(series))}",
        )
    if any(_without_step(one) for one in series.values()):
        return (
            "metric-without-step",
            _points(fluent),
            _points(mlflow_run),
            *(
                logged_without_step_by_mlflow(call.key, sides)
                or ("Without `step` every point lands on step 0: MLflow doesn't count.", _give_step(call))
            ),
        )
    if fluent is None or mlflow_run is None or is_measured(call.key):
        return None
    return _difference(fluent, mlflow_run, comparison.settings.metric_tolerance)


def _give_step(call: _Call) -> str:
    if call.source_line is None:
        return call.written()
    instead = f"  in place of {call.step}" if call.step is not None else ""
    return f"give the call{call.here} the number of the iteration:  step=…{instead}"


def _has_steps(series: Mapping[str, MetricSeries]) -> bool:
    return any(len(one) > 1 or one.steps.any() for one in series.values())


def _habit(call: _Call, series: Mapping[str, MetricSeries], starts: Mapping[str, int]) -> _Judgement | None:
    """What is wrong with a series however alike the launches logged it."""
    if said := _by_mode(series, _step_repeated):
        return (
            "metric-step-repeated",
            *said,
            "Two different values stand at one step; nobody can tell which counts.",
            f"give the call{call.here} another number each time:  step=…",
        )
    if said := _by_mode(series, not_finite):
        return (
            "metric-not-finite",
            *said,
            "What is trained after such a value is usually lost, and a database keeps inf as 1.797e308.",
            f"with  import math  end the training before it is logged{call.here}:  "
            f'if not math.isfinite(…): raise ValueError("{call.key} is not finite")',
        )
    late = {mode: all_at_end(one, starts[mode]) for mode, one in series.items() if mode in starts}
    if any(late.values()):
        return (
            "metric-all-at-end",
            late.get("fluent"),
            late.get("mlflow-run"),
            "The points were collected, and logged when the training was over: there is nothing to see while "
            "it trains, and nothing left if it dies.",
            f"log each when it is known, and not{call.here}:  {call.written()}",
        )
    return None


def _starts(comparison: Comparison, pair: RunPair) -> dict[str, int]:
    """When the code began each side's run, in milliseconds since the epoch.

    The run that `mlflow run` makes begins before the code does, and before its imports: of that one only the
    observed start_run() tells.
    """
    starts = {} if pair.fluent is None else {"fluent": pair.fluent.start_time}
    if pair.mlflow_run is not None:
        for call in calls(comparison, STARTING, run=pair.mlflow_run, mode="mlflow-run"):
            starts.setdefault("mlflow-run", round(call.time * 1000))
    return starts


def _by_mode(
    series: Mapping[str, MetricSeries], habit: Callable[[MetricSeries], str | None]
) -> tuple[str | None, str | None] | None:
    said = {mode: habit(one) for mode, one in series.items()}
    return (said.get("fluent"), said.get("mlflow-run")) if any(said.values()) else None


def _step_repeated(series: MetricSeries) -> str | None:
    return next(filter(None, map(step_repeated, by_subject(series))), None)


def _without_step(series: MetricSeries) -> bool:
    """Whether a series, more than one point about the same, lies at step 0 as a whole."""
    return not series.steps.any() and any(len(one) > 1 for one in by_subject(series))


def _difference(fluent: MetricSeries, mlflow_run: MetricSeries, tolerance: Tolerance) -> _Judgement | None:
    fluent, mlflow_run = _aligned(fluent, mlflow_run)
    if len(fluent) != len(mlflow_run):
        return (
            "metric-points-differ",
            _points(fluent),
            _points(mlflow_run),
            "The same loop with the same values logged a different number of points.",
            "make the number of iterations depend on the parameters alone",
        )
    steps = np.flatnonzero(fluent.steps != mlflow_run.steps)
    if steps.size:
        first = steps[0]
        return (
            "metric-steps-differ",
            f"point {first + 1} at step {fluent.steps[first]}",
            f"point {first + 1} at step {mlflow_run.steps[first]}",
            f"{steps.size} of {len(fluent)} points have other steps, or stand in another order.",
            "log the same steps in the same order, whatever the launch mode",
        )
    values = np.flatnonzero(~_close(fluent.values, mlflow_run.values, tolerance))
    if values.size:
        first = values[0]
        step = fluent.steps[first]
        room = _room(fluent.values, mlflow_run.values)
        return (
            "metric-values-differ",
            f"{fluent.values[first]!s} at step {step}",
            f"{mlflow_run.values[first]!s} at step {step}",
            f"{values.size} of {len(fluent)} values differ; the first is shown.",
            "log the same numbers whatever the launch mode"
            + (f"; or say how far they may differ:  metric_tolerance = {{ rel = {room} }}" if room else ""),
        )
    return None


def first_difference(fluent: MetricSeries, mlflow_run: MetricSeries, tolerance: Tolerance) -> int | None:
    """The step of the first point at which two series differ, or which only the longer one has.

    None where the check finds them alike.
    """
    if (
        is_unsteady(fluent.key)
        or is_measured(fluent.key)
        or _difference(fluent, mlflow_run, tolerance) is None
    ):
        return None
    fluent, mlflow_run = _aligned(fluent, mlflow_run)
    both = min(len(fluent), len(mlflow_run))
    one, other = (series.at(np.arange(both)) for series in (fluent, mlflow_run))
    differing = np.flatnonzero((one.steps != other.steps) | ~_close(one.values, other.values, tolerance))
    if differing.size:
        return int(one.steps[differing[0]])
    return int((fluent if len(fluent) > both else mlflow_run).steps[both])


def _aligned(fluent: MetricSeries, mlflow_run: MetricSeries) -> tuple[MetricSeries, MetricSeries]:
    """Two series as they are compared: without what the store or the order of threads made of them."""
    if not np.array_equal(fluent.steps, mlflow_run.steps):
        # A store drops a point that repeats another to the millisecond; where it does so is chance.
        fluent, mlflow_run = _distinct(fluent), _distinct(mlflow_run)
    if len(fluent) == len(mlflow_run) and not np.array_equal(fluent.steps, mlflow_run.steps):
        # Asynchronous logging writes points in any order; their times are those of the calls.
        fluent, mlflow_run = _by_time(fluent), _by_time(mlflow_run)
    return fluent, mlflow_run


def _distinct(series: MetricSeries) -> MetricSeries:
    """The series without points that repeat step and value of an earlier one."""
    return series.at(first_rows(series.steps, (series.values + 0.0).view(np.int64)))


def _by_time(series: MetricSeries) -> MetricSeries:
    """The series in the order of its timestamps, and of its steps within one."""
    return series.at(np.lexsort((series.steps, series.timestamps)))


def _close(one: NDArray[np.float64], other: NDArray[np.float64], tolerance: Tolerance) -> NDArray[np.bool_]:
    """Where two values count as equal; NaN equals NaN, and an infinity only itself."""
    # Infinities: inf - inf is NaN and inf * rel is inf; both are settled by plain equality.
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.abs(one - other)
        room = np.maximum(tolerance.rel * np.maximum(np.abs(one), np.abs(other)), tolerance.abs)
    near = np.isfinite(one) & np.isfinite(other) & (gap <= room)
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)) | near)


def _room(one: NDArray[np.float64], other: NDArray[np.float64]) -> str | None:
    """A relative tolerance, as text, that takes in all differences of two series; None for no small one."""
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return None
    larger = np.maximum(np.abs(one), np.abs(other))
    with np.errstate(over="ignore"):
        gaps = np.divide(np.abs(one - other), larger, out=np.zeros_like(one), where=larger > 0)
    gap = float(np.max(gaps))
    return next((text for text in _TOLERANCES if gap <= float(text)), None)


def _points(series: MetricSeries | None) -> str | None:
    if series is None:
        return None
    points = counted(len(series), "point")
    return f"{points} at step 0" if _without_step(series) else points
