"""Metrics: series with the same steps and values, and with steps at all; one finding a series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlflow_check.checks.metrics import check_metrics
from pytest_mlflow_check.checks.runner import Comparison
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Launch, MetricSeries, Mode, Observation, RunRecord
from support.builders import compare, compare_runs, launch, quick, run, series, slugs

INF, NAN = math.inf, math.nan
LARGEST = float(np.finfo(np.float64).max)


def compared(fluent: MetricSeries | None, mlflow_run: MetricSeries | None, **settings: Any) -> Comparison:
    sides = [run(metrics=[] if one is None else [one]) for one in (fluent, mlflow_run)]
    return compare_runs(*sides, **settings)


def found(fluent: MetricSeries | None, mlflow_run: MetricSeries | None, **settings: Any) -> list[Finding]:
    return check_metrics(compared(fluent, mlflow_run, **settings))


def rules(fluent: MetricSeries | None, mlflow_run: MetricSeries | None, **settings: Any) -> list[str]:
    return [finding.rule for finding in found(fluent, mlflow_run, **settings)]


def values_match(one: float, other: float, **tolerance: float) -> bool:
    said = rules(series("m", [one]), series("m", [other]), metric_tolerance=tolerance)
    assert said in ([], ["metric-not-finite"], ["metric-values-differ"])
    return said != ["metric-values-differ"]


@pytest.mark.parametrize(
    "one",
    [
        series("m", [0.5]),  # a final score, logged without step
        series("m", [0.5], [7]),
        series("m", [1, 2, 3]),
        series("m", [1, 2, 3], [5, 6, 7]),
        series("m", [1, 2], [0, 10]),
        series("m", [1, 1, 3], [1, 1, 2]),  # the same value once more
        series("m", [NAN, NAN, 3], [1, 1, 2]),
        series("m", [1, 2, 3], [2, 1, 0]),
        series("m", [1, 2], [-1, 0]),
        series("m", []),
        series("m", [NAN]),
        series("m", [NAN, NAN, NAN]),  # undefined all the time
        series("m", [NAN, 1, NAN, 2]),
    ],
)
def test_normal_series_have_no_findings(one: MetricSeries) -> None:
    assert found(one, one) == []
    assert check_metrics(compare(launch("fluent", run(metrics=[one])))) == []


@pytest.mark.parametrize(
    ("fluent", "mlflow_run"),
    [
        # Each value was logged twice; where both came within a millisecond, the store kept one of them.
        ([0, 0, 1, 1], [0, 1, 1]),
        ([0, 0, 1], [0, 1, 1]),
    ],
)
def test_a_repeated_point_may_be_dropped_by_the_store(fluent: list[int], mlflow_run: list[int]) -> None:
    sides = [series("m", [0.5 + step for step in steps], steps) for steps in (fluent, mlflow_run)]
    assert rules(*sides) == []


def test_a_metric_of_one_launch_only_is_missing() -> None:
    (finding,) = found(series("loss", [1, 2, 3]), None)
    assert finding == Finding(
        rule="metric-missing",
        subject="loss",
        why="The same code with the same values logged it in one launch only.",
        fix='log it whatever the launch mode:  mlflow.log_metric("loss", …, step=…)',
        fluent="3 points",
        mlflow_run=None,
    )
    (finding,) = found(None, series("loss", [1]))
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("metric-missing", None, "1 point")


def test_a_series_without_points_is_told_from_none_at_all() -> None:
    (finding,) = found(series("m", []), None)
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("metric-missing", "0 points", None)
    (finding,) = found(series("m", []), series("m", [1]))
    assert (finding.rule, finding.fluent, finding.mlflow_run) == (
        "metric-points-differ",
        "0 points",
        "1 point",
    )


def test_a_missing_series_isnt_reported_for_its_steps_as_well() -> None:
    (finding,) = found(series("m", [1, 2], [0, 0]), None)
    assert (finding.rule, finding.fluent) == ("metric-missing", "2 points at step 0")


def test_several_points_at_step_0_lack_their_step() -> None:
    stepless = series("loss", [3, 2, 1], [0, 0, 0])
    (finding,) = found(stepless, stepless)
    assert finding == Finding(
        rule="metric-without-step",
        subject="loss",
        why="Without `step` every point lands on step 0: MLflow doesn't count.",
        fix='mlflow.log_metric("loss", …, step=…)',
        fluent="3 points at step 0",
        mlflow_run="3 points at step 0",
    )


@pytest.mark.parametrize(
    ("step", "fix"),
    [
        (None, "give the call in train.py:9 the number of the iteration:  step=…"),
        # As the points of log_batch() have it, which takes no step.
        (0, "give the call in train.py:9 the number of the iteration:  step=…  in place of 0"),
    ],
)
def test_the_step_is_asked_of_the_call_that_is_there(step: int | None, fix: str) -> None:
    record = run(metrics=[series("loss", [3, 2, 1], [0, 0, 0])])
    seen = Observation("log_metric", "loss", run_id="r1", step=step, source_line="train.py:9")
    sides = [launch(mode, record, observations=(seen,)) for mode in ("fluent", "mlflow-run")]
    (finding,) = check_metrics(compare(*sides))
    assert (finding.fix, finding.source_line) == (fix, "train.py:9")


def test_metrics_that_one_line_logs_are_logged_by_one_call() -> None:
    record = run(metrics=[series("a", [3]), series("b", [2])])
    seen = [Observation("log_metric", key, run_id="r1", source_line="train.py:9") for key in "ab"]
    sides = [launch("fluent", record, observations=seen), launch("mlflow-run", run(params={"x": "1"}))]
    fixes = {finding.fix for finding in check_metrics(compare(*sides))}
    assert fixes == {'log it whatever the launch mode:  mlflow.log_metrics({"a": …, "b": …})'}


@pytest.mark.parametrize(
    ("other", "line"), [(1 + 2e-6, "metric_tolerance = { rel = 1e-5 }"), (1.1, ""), (float("nan"), "")]
)
def test_a_tolerance_is_proposed_where_a_small_one_does(other: float, line: str) -> None:
    (finding,) = found(series("m", [1.0]), series("m", [other]))
    assert finding.fix.partition("  ")[2] == line


def test_equal_values_at_step_0_are_a_series_all_the_same() -> None:
    constant = series("m", [1, 1], [0, 0])
    assert rules(constant, constant) == ["metric-without-step"]


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        (series("m", [9, 8]), "2 points"),
        (series("m", [3, 2, 1], [0, 1, 2]), "3 points"),
        (series("m", [5]), "1 point"),
        (series("m", []), "0 points"),
    ],
)
def test_a_stepless_side_is_said_once_and_the_other_side_is_shown(other: MetricSeries, shown: str) -> None:
    stepless = series("m", [3, 2, 1], [0, 0, 0])
    for sides, expected in (
        ((stepless, other), ("3 points at step 0", shown)),
        ((other, stepless), (shown, "3 points at step 0")),
    ):
        (finding,) = found(*sides)
        assert finding.rule == "metric-without-step"
        assert (finding.fluent, finding.mlflow_run) == expected


def test_steps_are_looked_at_where_only_one_launch_was_made() -> None:
    stepless = run(metrics=[series("m", [1, 2], [0, 0]), series("fine", [1, 2])])
    (finding,) = check_metrics(compare(launch("mlflow-run", stepless)))
    assert (finding.subject, finding.fluent, finding.mlflow_run) == ("m", None, "2 points at step 0")


def test_another_number_of_points() -> None:
    (finding,) = found(series("m", [1, 2, 3]), series("m", [9, 9, 9, 9], [4, 5, 6, 7]))
    assert finding == Finding(
        rule="metric-points-differ",
        subject="m",
        why="The same loop with the same values logged a different number of points.",
        fix="make the number of iterations depend on the parameters alone",
        fluent="3 points",
        mlflow_run="4 points",
    )


def test_other_steps_are_said_before_other_values() -> None:
    (finding,) = found(series("m", [1, 2, 3], [0, 1, 2]), series("m", [9, 9, 9], [0, 2, 4]))
    assert finding == Finding(
        rule="metric-steps-differ",
        subject="m",
        why="2 of 3 points have other steps, or stand in another order.",
        fix="log the same steps in the same order, whatever the launch mode",
        fluent="point 2 at step 1",
        mlflow_run="point 2 at step 2",
    )


def test_the_order_of_points_counts() -> None:
    assert rules(series("m", [1, 2], [0, 1]), series("m", [2, 1], [1, 0])) == ["metric-steps-differ"]


def test_other_values_show_the_first_of_them() -> None:
    (finding,) = found(series("m", [1, 0.5, 0.25], [5, 6, 7]), series("m", [1, 0.75, NAN], [5, 6, 7]))
    assert finding == Finding(
        rule="metric-values-differ",
        subject="m",
        why="2 of 3 values differ; the first is shown.",
        fix="log the same numbers whatever the launch mode",
        fluent="0.5 at step 6",
        mlflow_run="0.75 at step 6",
    )


@pytest.mark.parametrize(
    ("one", "other", "match"),
    [
        (NAN, NAN, True),
        (NAN, 1.0, False),
        (NAN, INF, False),
        (INF, INF, True),
        (-INF, -INF, True),
        (INF, -INF, False),
        (INF, LARGEST, False),
        (0.0, -0.0, True),
        (LARGEST, -LARGEST, False),
        (5e-324, 0.0, False),
    ],
)
@pytest.mark.parametrize("rel", [0.0, 1e-9])
def test_values_that_are_no_ordinary_numbers(one: float, other: float, match: bool, rel: float) -> None:
    assert values_match(one, other, rel=rel) is match
    assert values_match(other, one, rel=rel) is match


@pytest.mark.parametrize(
    ("one", "other", "tolerance", "match"),
    [
        (1.0, 1.0 + 1e-10, {}, True),
        (1.0, 1.0 + 1e-8, {}, False),
        (0.0, 1e-300, {}, False),  # relative to nothing, nothing is near
        (100.0, 75.0, {"rel": 0.25}, True),  # exactly on the edge, of the larger value
        (100.0, 74.99, {"rel": 0.25}, False),
        (-100.0, -75.0, {"rel": 0.25}, True),
        (0.0, 0.5, {"rel": 0, "abs": 0.5}, True),
        (0.0, 0.5000001, {"rel": 0, "abs": 0.5}, False),
        (0.1 + 0.2, 0.3, {"rel": 0}, False),
        (1000.0, 1001.0, {"rel": 0.01, "abs": 0.5}, True),  # the larger of the two rooms
        (LARGEST, -LARGEST, {"rel": 2.5}, True),
    ],
)
def test_the_tolerance(one: float, other: float, tolerance: dict[str, float], match: bool) -> None:
    assert values_match(one, other, **tolerance) is match
    assert values_match(other, one, **tolerance) is match


@quick
@given(st.floats(), st.floats(), st.floats(0, 0.9), st.floats(0, 1e6))
def test_the_tolerance_is_that_of_math_isclose(one: float, other: float, rel: float, room: float) -> None:
    close = math.isclose(one, other, rel_tol=rel, abs_tol=room) or (math.isnan(one) and math.isnan(other))
    assert values_match(one, other, rel=rel, abs=room) is close


def test_ignored_metrics_are_never_compared() -> None:
    here = run(metrics=[series("system/cpu", [1]), series("epoch_seconds", [1]), series("loss", [1])])
    there = run(metrics=[series("epoch_seconds", [2, 3], [0, 0]), series("loss", [2])])
    comparison = compare_runs(here, there, ignore={"metrics": ["system/*", "*_seconds"]})
    assert slugs(check_metrics(comparison)) == [("metric-values-differ", "loss")]


def test_runs_are_told_apart_where_there_are_several() -> None:
    def side(mode: Mode, value: float) -> Launch:
        return launch(mode, run("r1"), run("r2", parent="r1", metrics=[series("m", [value])]))

    (finding,) = check_metrics(compare(side("fluent", 1), side("mlflow-run", 2)))
    assert finding.run == "run 1/1"


POINTS = st.lists(st.tuples(st.integers(-3, 3), st.floats(width=16)), max_size=4)


@st.composite
def all_series(draw: st.DrawFn) -> list[MetricSeries]:
    named = draw(st.dictionaries(st.sampled_from("abcd"), POINTS))
    return [
        series(key, [value for _, value in points], [step for step, _ in points])
        for key, points in named.items()
    ]


@quick
@given(all_series())
def test_a_run_compared_with_itself_differs_in_nothing(metrics: list[MetricSeries]) -> None:
    record = run(metrics=metrics)
    said = check_metrics(compare_runs(record, record))
    stepless = sorted(one.key for one in metrics if len(one) > 1 and set(one.steps.tolist()) == {0})
    assert [one.subject for one in said if one.rule == "metric-without-step"] == stepless
    assert {one.rule for one in said} <= {"metric-without-step", "metric-step-repeated", "metric-not-finite"}


@pytest.mark.parametrize(
    ("values", "steps", "said"),
    [
        ([1, 2, 3], [1, 1, 1], "3 values at step 1"),
        ([1, 2, 3, 4], [0, 5, 3, 5], "2 values at step 5"),
        ([1, 2, 3], [0, 0, 1], "2 values at step 0"),
        ([1, NAN, 3], [2, 2, 3], "2 values at step 2"),
        ([INF, INF, 1, INF], [1, 1, 2, 2], "2 values at step 2"),
    ],
)
def test_two_values_at_one_step(values: list[float], steps: list[int], said: str) -> None:
    one = series("m", values, steps)
    finding = found(one, one)[0]
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("metric-step-repeated", said, said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, INF, 2], "inf at step 1"),
        ([1, 2, -INF], "-inf at step 2"),
        ([1, LARGEST], "inf at step 1"),  # what SQLite makes of it
        ([2, 1, NAN], "nan from step 2 to the end"),
        ([2, NAN, NAN, NAN], "nan from step 1 to the end"),
        ([NAN, 1, NAN], "nan from step 2 to the end"),
    ],
)
def test_values_that_end_a_training(values: list[float], said: str) -> None:
    one = series("m", values)
    finding = found(one, one)[0]
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("metric-not-finite", said, said)


def timed(times: Sequence[int]) -> MetricSeries:
    return replace(series("loss", range(len(times))), timestamps=np.array(times, dtype=np.int64))


def late(*times: int, started: int = 1_000) -> list[str]:
    sides = [run(metrics=[timed(times)], start_time=started)] * 2
    return [finding.rule for finding in check_metrics(compare_runs(*sides))]


def test_a_long_series_logged_back_to_back_long_after_the_start() -> None:
    assert late(*range(4_000, 4_020)) == ["metric-all-at-end"]
    assert late(*range(3_000, 3_153, 8)) == ["metric-all-at-end"]


@pytest.mark.parametrize(
    "times",
    [
        [4_000 + i for i in range(19)],  # too short to be called a series
        [2_999 + i for i in range(20)],  # at once
        [4_000 + 9 * i for i in range(20)],  # something happens in between
        [4_000 + 3 * i for i in range(300)],  # almost as long as all before it
    ],
)
def test_a_series_logged_while_it_trains(times: list[int]) -> None:
    assert late(*times) == []


@pytest.mark.parametrize(("joined", "said"), [(None, []), (1.0, ["metric-all-at-end"]), (3.9, [])])
def test_a_run_of_mlflow_run_begins_where_the_code_joins_it(joined: float | None, said: list[str]) -> None:
    record = run(metrics=[timed(range(4_000, 4_020))], start_time=1_000)
    calls = [] if joined is None else [Observation("start_run", run_id="r1", time=joined)]
    comparison = compare(launch("mlflow-run", record, observations=calls))
    assert [finding.rule for finding in check_metrics(comparison)] == said


def test_a_repeated_point_is_dropped_by_chance_and_makes_no_difference() -> None:
    here, there = series("m", [2, NAN, NAN, 1, 1], [0, 1, 1, 2, 2]), series("m", [2, NAN, 1], [0, 1, 2])
    assert rules(here, there) == []
    assert rules(series("m", [2, 5, 5, 1], [0, 1, 1, 2]), there) == ["metric-values-differ"]
    assert rules(series("m", [2, 1, 1, 5], [0, 1, 2, 3]), there) == ["metric-points-differ"]


def test_points_that_asynchronous_logging_wrote_in_another_order() -> None:
    here = timed([5, 6, 7, 7])
    there = replace(
        here,
        steps=np.array([0, 3, 2, 1]),
        values=np.array([0.0, 3, 2, 1]),
        timestamps=np.array([8, 9, 9, 8]),
    )
    assert rules(here, there) == []
    assert rules(here, replace(there, timestamps=np.array([8, 8, 9, 9]))) == ["metric-steps-differ"]


def test_the_first_call_that_logged_it_is_the_place() -> None:
    one = run(metrics=[series("loss", [2, 1], [0, 0])])
    calls = [
        Observation("log_metric", "loss", source_line="train.py:4"),
        Observation("log_metric", "loss", source_line="train.py:9"),
    ]
    finding = check_metrics(compare(launch("fluent", one, observations=calls), launch("mlflow-run", one)))[0]
    assert finding.source_line == "train.py:4"


@quick
@given(all_series(), all_series())
def test_which_side_is_which_makes_no_difference(one: list[MetricSeries], other: list[MetricSeries]) -> None:
    there = check_metrics(compare_runs(run(metrics=one), run(metrics=other)))
    back = check_metrics(compare_runs(run(metrics=other), run(metrics=one)))
    assert slugs(there) == slugs(back)
    assert [(two.mlflow_run, two.fluent) for two in there] == [(two.fluent, two.mlflow_run) for two in back]
    assert len({finding.subject for finding in there}) == len(there)


@quick
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.data())
def test_any_single_change_of_a_series_is_found(values: list[float], data: st.DataObject) -> None:
    steps = list(range(1, len(values) + 1))
    position = data.draw(st.integers(0, len(values) - 1))
    more = series("m", [*values, 0.0], [*steps, len(values) + 1])
    moved = series("m", values, [step + 10 * (i == position) for i, step in enumerate(steps)])
    other = series("m", [value + 1 * (i == position) for i, value in enumerate(values)], steps)
    here = series("m", values, steps)
    assert rules(here, more) == ["metric-points-differ"]
    assert rules(here, moved) == ["metric-steps-differ"]
    assert rules(here, other) == ["metric-values-differ"]
    assert rules(here, None) == ["metric-missing"]


@pytest.mark.parametrize("name", ["mean_fit_time", "std_score_time", "train_runtime", "latency/mean"])
def test_times_that_a_library_measures_arent_compared(name: str) -> None:
    sides = [run(params={"a": "1"}, metrics=[series(name, [value])]) for value in (0.1, 0.2)]
    assert check_metrics(compare_runs(*sides)) == []
    missing = compare_runs(sides[0], run(params={"a": "1"}))
    assert [one.rule for one in check_metrics(missing)] == ["metric-missing"]


def test_of_system_metrics_nothing_is_compared() -> None:
    sides = [
        run(metrics=[series("loss", [1.0]), series(f"system/{name}", [0.1] * points, [0] * points)])
        for name, points in (("cpu", 2), ("gpu", 3))
    ]
    assert check_metrics(compare_runs(*sides)) == []


def scored(values: list[float], subjects: list[int], steps: list[int] | None = None) -> RunRecord:
    one = series("accuracy", values, steps or [0] * len(values))
    return run(metrics=[replace(one, subjects=np.array(subjects, dtype=np.int64))])


def test_what_evaluate_writes_twice_is_one_point() -> None:
    here, there = scored([0.5, 0.5], [1, 1]), scored([0.5], [1])
    assert check_metrics(compare_runs(here, here)) == []
    assert check_metrics(compare_runs(here, there)) == []
    (finding,) = check_metrics(compare_runs(here, scored([0.6, 0.6], [1, 1])))
    assert (finding.rule, finding.fluent) == ("metric-values-differ", "0.5 at step 0")


def test_scores_of_several_datasets_are_several_series() -> None:
    here = scored([0.5, 0.5, 0.6, 0.6], [1, 1, 2, 2])
    assert check_metrics(compare_runs(here, here)) == []
    again = scored([0.5, 0.6], [1, 1])
    assert [one.rule for one in check_metrics(compare_runs(again, again))] == ["metric-without-step"]
    stepped = scored([0.5, 0.6, 0.7], [1, 2, 2], [3, 3, 3])
    assert [one.rule for one in check_metrics(compare_runs(stepped, stepped))] == ["metric-step-repeated"]


def test_points_about_the_run_alone_may_repeat() -> None:
    here = scored([0.5, 0.5], [0, 0])
    assert [one.rule for one in check_metrics(compare_runs(here, here))] == ["metric-without-step"]


def test_a_step_that_mlflows_own_callback_leaves_out_is_not_asked_of_the_user() -> None:
    logged = [series("validation_loss", [3.0, 2.0], [0, 0]), series("val_loss", [3.0, 2.0])]
    (finding,) = check_metrics(compare_runs(run(metrics=logged), run(metrics=logged)))
    assert (finding.rule, finding.subject) == ("metric-without-step", "validation_loss")
    assert finding.why.startswith("mlflow/keras (the library's own call) logs it")
    assert finding.fix == (
        'use val_loss, and leave this one out in the settings:  ignore = { metrics = ["validation_*"] }'
    )
    own = run(metrics=logged[:1])
    (finding,) = check_metrics(compare_runs(own, own))
    assert finding.fix == 'mlflow.log_metric("validation_loss", …, step=…)'
