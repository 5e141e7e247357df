"""`assert_runs_match`: the same findings as the items have, for launches or runs held in hand."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlflow_check import assert_runs_match
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.records import Launch, RunRecord
from pytest_mlflow_check.reporting.text import render
from support.builders import artifact, launch, model, quick, run, series, validation, written

Side = Launch | RunRecord


def said(fluent: Side, mlflow_run: Side, **settings: Any) -> str:
    """The text of the failure."""
    with pytest.raises(AssertionError) as error:
        assert_runs_match(fluent, mlflow_run, **settings)
    return str(error.value)


def launches(fluent: RunRecord, mlflow_run: RunRecord) -> tuple[Launch, Launch]:
    return launch("fluent", fluent), launch("mlflow-run", mlflow_run)


HERE = run(params={"a": "1"}, metrics=[series("loss", [3, 2])])
THERE = run("r9", params={"a": "1.0"}, metrics=[series("loss", [3, 2])])


def test_runs_that_match() -> None:
    assert_runs_match(HERE, HERE)
    assert_runs_match(run(), run())


def test_launches_that_match() -> None:
    assert_runs_match(*launches(HERE, HERE), strict=True)


def test_runs_that_differ_are_reported_as_by_the_items() -> None:
    expected = """
        params: 1 with different values                                  [param-differs]

            param    fluent    mlflow run
            a        1         1.0

            The code logged different values in the two launches.
            fix: log the same value however it is started, or allow it with a reason
            more: pytest --mlflow-explain=param-differs
    """
    assert said(HERE, THERE) == dedent(expected).strip("\n")
    assert said(*launches(HERE, THERE)) == said(HERE, THERE)


def test_all_checks_are_made_in_order() -> None:
    there = run(params={"a": "2"}, artifacts=[artifact("x")], models=[model("m")])
    rules = [
        line.split("[")[1] for line in said(HERE, there).splitlines() if line.endswith("]") and "  [" in line
    ]
    assert rules == ["param-differs]", "metric-missing]", "artifact-missing]", "model-missing]"]


def test_a_failed_launch_is_all_there_is_to_say_of_launches() -> None:
    failed = launch("mlflow-run", exit_code=3)
    assert said(launch("fluent", HERE), failed).splitlines()[0].startswith("launches: mlflow run failed")
    assert "loss" not in said(launch("fluent", HERE), failed)


def test_launches_bring_proofs_of_their_models() -> None:
    record = run(models=[model("m")])
    sides = (
        launch("fluent", record, validations=[validation("m")]),
        launch("mlflow-run", record, validations=[validation("m", loaded=False)]),
    )
    assert "models: 1 can't be loaded back" in said(*sides)
    assert_runs_match(record, record)


def test_runs_dont_need_to_be_top_level() -> None:
    assert_runs_match(run("r2", parent="r1"), run("r3", parent="gone"))


def test_one_of_each_is_a_mistake_of_the_test() -> None:
    for sides in ((HERE, launch("mlflow-run", HERE)), (launch("fluent", HERE), HERE)):
        with pytest.raises(TypeError, match="takes two launches or two runs, not one of each"):
            assert_runs_match(*sides)


# Settings


def test_ignored() -> None:
    assert_runs_match(HERE, THERE, ignore={"params": ["a"]})
    assert "param-differs" in said(HERE, THERE, ignore={"metrics": ["a"]})


def test_tolerance() -> None:
    sides = run(metrics=[series("m", [1.0])]), run(metrics=[series("m", [1.25])])
    assert_runs_match(*sides, metric_tolerance={"abs": 0.25})
    assert_runs_match(*sides, metric_tolerance={"rel": 0.2})
    assert "metric-values-differ" in said(*sides, metric_tolerance={"rel": 0.19})
    assert "metric-values-differ" in said(*sides)


def test_contents(tmp_path: Path) -> None:
    sides = [run(artifacts=[written("a.txt", tmp_path / mode, mode.encode())]) for mode in ("one", "two")]
    assert_runs_match(*sides)
    assert "artifact-content-differs" in said(*sides, artifact_contents=["*.txt"])


QUOTED = run(params={"a": ""}), run(params={"a": "''"})


def test_warnings_pass_unless_strict() -> None:
    assert_runs_match(*QUOTED)
    assert said(*QUOTED, strict=True).startswith("warning: params: 1 shell-quoted by mlflow run")
    assert said(*QUOTED, rules={"param-quoted": "error"}).startswith("params: 1 shell-quoted by mlflow run")


def test_a_failure_shows_the_warnings_too() -> None:
    fluent = run(params={"a": "", "b": "1"})
    text = said(fluent, run(params={"a": "''", "b": "2"}))
    assert "[param-quoted]" in text
    assert "[param-differs]" in text


def test_rules_that_are_off_or_warnings() -> None:
    assert_runs_match(HERE, THERE, rules={"param-differs": "off"}, strict=True)
    assert_runs_match(HERE, THERE, rules={"param-differs": "warning"})
    assert "param-differs" in said(HERE, THERE, rules={"param-differs": "warning"}, strict=True)


def test_allowances() -> None:
    allowance = {"rule": "param-differs", "match": "a*", "reason": "known"}
    assert_runs_match(HERE, THERE, allow=[allowance], strict=True)
    assert_runs_match(HERE, THERE, allow=(one for one in [allowance]))
    assert "param-differs" in said(HERE, THERE, allow=[{**allowance, "match": "b"}])
    # One that nothing needed is no failure here.
    assert_runs_match(HERE, HERE, allow=[allowance], strict=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rules": {"param-difers": "off"}},
            'assert_runs_match: unknown rule "param-difers": did you mean "param-differs"?',
        ),
        (
            {"allow": [{"rule": "metrics-missing", "reason": "x"}]},
            'assert_runs_match: unknown rule "metrics-missing": did you mean "metric-missing"?',
        ),
        (
            {"allow": [{"rule": "param-differs"}]},
            'assert_runs_match: "allow[0].reason" is missing: an allowance says why, as in  reason = "…"',
        ),
        (
            {"ignore": {"metric": ["a"]}},
            'assert_runs_match: unknown key "ignore.metric": did you mean "metrics"?',
        ),
        (
            {"ignore": {"metrics": "a"}},
            "assert_runs_match: \"ignore.metrics\": Input should be a list (got 'a')",
        ),
        (
            {"metric_tolerance": {"rel": -1}},
            'assert_runs_match: "metric_tolerance.rel": Input should be greater than or equal to 0 (got -1)',
        ),
        (
            {"artifact_contents": "*.txt"},
            "assert_runs_match: \"artifact_contents\": Input should be a list (got '*.txt')",
        ),
        (
            {"rules": {"param-differs": "ignore"}},
            "assert_runs_match: \"rules.param-differs\": Input should be 'error', 'warning' or 'off' "
            "(got 'ignore')",
        ),
    ],
)
def test_settings_that_dont_fit(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        assert_runs_match(HERE, HERE, **settings)
    assert str(error.value) == message


# Any records

NAMES = st.text("abc/-_", min_size=1, max_size=3)
POINTS = st.lists(st.tuples(st.integers(0, 3), st.floats()), min_size=1, max_size=3)


@st.composite
def records(draw: st.DrawFn) -> RunRecord:
    """Runs in which nothing is wrong by itself: no series without steps, no model among the artifacts."""
    metrics = draw(st.dictionaries(NAMES, POINTS, max_size=3))
    return run(
        params=draw(st.dictionaries(NAMES, st.text(max_size=5), max_size=3)),
        metrics=[
            series(key, [value for _, value in points], [i + step for i, (step, _) in enumerate(points)])
            for key, points in metrics.items()
        ],
        artifacts=[artifact(path) for path in draw(st.sets(NAMES, max_size=3))],
        models=[model(name) for name in draw(st.sets(NAMES, max_size=2))],
    )


HABITS = {"metric-step-repeated": "off", "metric-not-finite": "off"}
"""Rules that look at one side alone."""


@quick
@given(records())
def test_a_run_matches_itself(record: RunRecord) -> None:
    assert_runs_match(record, record, strict=True, rules=HABITS)
    assert_runs_match(*launches(record, record), strict=True, rules=HABITS | {"no-run-logged": "off"})


@quick
@given(records(), records())
def test_runs_match_when_they_log_the_same_and_only_then(one: RunRecord, other: RunRecord) -> None:
    def content(record: RunRecord) -> object:
        points = {
            key: (one.steps.tolist(), [repr(value + 0.0) for value in one.values.tolist()])
            for key, one in record.metrics.items()
        }
        return record.params, points, set(record.artifacts), set(record.models)

    exact = {"metric_tolerance": {"rel": 0}, "strict": True, "rules": HABITS}
    if content(one) == content(other):
        assert_runs_match(one, other, **exact)  # type: ignore[arg-type]
    else:
        assert said(one, other, **exact) != render([])
