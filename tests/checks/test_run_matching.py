"""Which run of one launch is matched with which of the other, and what is said of runs on one side only."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.run_matching import given_names, pair_runs
from pytest_mlflow_check.checks.runner import Comparison, Policy
from pytest_mlflow_check.core.findings import CHECKS, Finding
from pytest_mlflow_check.core.records import Observation, RunRecord
from support.builders import artifact, compare, judge, launch, quick, run, series

Ids = list[tuple[str, str | None, str | None]]


def tree(*parents: str | None) -> tuple[RunRecord, ...]:
    """Runs r0, r1, … with these parents, each of which logged its own number."""
    return tuple(run(f"r{i}", parent=parent, params={"number": str(i)}) for i, parent in enumerate(parents))


def paired(fluent: tuple[RunRecord, ...], mlflow_run: tuple[RunRecord, ...]) -> Comparison:
    return compare(launch("fluent", *fluent), launch("mlflow-run", *mlflow_run))


def ids(comparison: Comparison) -> Ids:
    """Label and run ids of every pair, then of every run on one side only."""
    return [
        (pair.label, pair.fluent and pair.fluent.run_id, pair.mlflow_run and pair.mlflow_run.run_id)
        for pair in (*comparison.pairs, *comparison.missing)
    ]


def subjects(comparison: Comparison) -> list[tuple[str, str]]:
    return [(one.rule, one.subject) for one in check_launches(comparison)]


def test_nested_runs_are_matched_by_order_below_their_parents() -> None:
    def same(*parents: str | None) -> tuple[RunRecord, ...]:
        return tuple(run(f"r{i}", parent=parent, params={"a": "1"}) for i, parent in enumerate(parents))

    fluent = same(None, "r0", None, "r2", "r0", "r1")
    # Logged in another order, so under other ids.
    mlflow_run = same(None, None, "r0", "r0", "r1", "r2")
    assert ids(paired(fluent, mlflow_run)) == [
        ("run 1", "r0", "r0"),
        ("run 1/1", "r1", "r2"),
        ("run 1/1/1", "r5", "r5"),
        ("run 1/2", "r4", "r3"),
        ("run 2", "r2", "r1"),
        ("run 2/1", "r3", "r4"),
    ]
    assert check_launches(paired(fluent, mlflow_run)) == []


def test_a_run_alone_needs_no_label() -> None:
    assert [pair.label for pair in paired(tree(None), tree(None)).pairs] == [""]


def test_a_parent_that_isnt_there_makes_a_top_level_run() -> None:
    assert [pair.label for pair in paired(tree("gone", None), tree(None, None)).pairs] == ["run 1", "run 2"]


def test_one_launch_alone_keeps_all_its_runs() -> None:
    comparison = compare(launch("mlflow-run", *tree(None, "r0")))
    assert ids(comparison) == [("run 1", None, "r0"), ("run 1/1", None, "r1")]
    assert [pair.both for pair in comparison.pairs] == [None, None]
    assert check_launches(comparison) == []


def named(*names: str, parent: str | None = "top", first: str = "a") -> list[RunRecord]:
    return [run(f"{first}{i}", parent=parent, name=name) for i, name in enumerate(names)]


TOP = run("top", name="sweep", params={"a": "1"})


def test_given_names_win_over_order() -> None:
    comparison = paired(
        (TOP, *named("trial-1", "trial-2", "trial-3")),
        (TOP, *named("trial-3", "trial-1", "trial-2", first="b")),
    )
    assert ids(comparison) == [
        ("sweep", "top", "top"),
        ("sweep/trial-1", "a0", "b1"),
        ("sweep/trial-2", "a1", "b2"),
        ("sweep/trial-3", "a2", "b0"),
    ]
    assert check_launches(comparison) == []


def test_a_named_run_on_one_side_only_is_one_finding_with_all_that_is_nested_in_it() -> None:
    fluent = (
        TOP,
        *named("trial-1", "trial-2"),
        run("deep", parent="a1", metrics=[series("m", [1])]),
        run("deeper", parent="deep"),
    )
    comparison = paired(fluent, (TOP, *named("trial-1", first="b")))
    assert check_launches(comparison) == [
        Finding(
            rule="run-missing",
            subject="sweep/trial-2",
            fluent="2 nested runs",
            why="The other launch has its siblings and not this run, nor what is nested in it. A run that "
            "can't be matched isn't compared.",
            fix="make the number of nested runs depend on the parameters alone",
        )
    ]
    assert {judge(check, comparison, Policy()).findings for check in CHECKS[1:]} == {()}


def test_several_runs_of_one_name_are_numbered() -> None:
    sides = (TOP, *named("fold", "fold", "fold")), (TOP, *named("fold", "fold", first="b"))
    assert ids(paired(*sides)) == [
        ("sweep", "top", "top"),
        ("sweep/fold", "a0", "b0"),
        ("sweep/fold#2", "a1", "b1"),
        ("sweep/fold#3", "a2", None),
    ]


def test_invented_names_say_nothing() -> None:
    """With a seed, MLflow's names come again, under `mlflow run` one run later."""
    comparison = paired(
        (TOP, *named("bold-ant-1", "calm-bee-2", "dear-cat-3")),
        (TOP, *named("zany-yak-9", "bold-ant-1", "calm-bee-2", first="b")),
    )
    assert [pair.label for pair in comparison.pairs] == ["sweep", "sweep/1", "sweep/2", "sweep/3"]
    assert [pair[1:] for pair in ids(comparison)[1:]] == [("a0", "b0"), ("a1", "b1"), ("a2", "b2")]
    assert check_launches(comparison) == []


@pytest.mark.parametrize("what", ["start_run", "create_run"])
def test_a_name_that_looks_invented_counts_where_it_was_seen_given(what: str) -> None:
    record = run("r1", name="lucky-trial-3")
    asked = Observation(what, "lucky-trial-3", "lucky-trial-3", run_id="r1")
    left_out = Observation(what, "lucky-trial-3", None, run_id="r1")
    assert given_names(launch("fluent", record, observations=(asked,))) == {"r1": "lucky-trial-3"}
    assert given_names(launch("fluent", record, observations=(left_out,))) == {}
    assert given_names(launch("fluent", record)) == {}
    renamed = Observation("set_tag", "mlflow.runName", "lucky-trial-3", run_id="r1")
    assert given_names(launch("fluent", record, observations=(renamed,))) == {"r1": "lucky-trial-3"}
    assert given_names(None) == {}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("bold-ant-123", False),
        ("bold-ant-1000", False),
        ("rumbling-hippopotamu", False),
        ("trial-3", True),
        ("bold ant 123", True),
        ("a-b-c", True),
        ("sweep", True),
        ("", False),
    ],
)
def test_what_counts_as_invented(name: str, given: bool) -> None:
    assert bool(given_names(launch("fluent", run(name=name)))) is given


def trials(*rates: str, first: str) -> list[RunRecord]:
    return [run(f"{first}{i}", parent="top", params={"rate": rate}) for i, rate in enumerate(rates)]


def test_runs_without_a_name_are_matched_by_equal_params() -> None:
    """As where they run in parallel, and start in another order each time."""
    comparison = paired(
        (TOP, *trials("0.1", "0.2", "0.3", first="a")), (TOP, *trials("0.3", "0.1", "0.2", first="b"))
    )
    assert ids(comparison)[1:] == [("sweep/1", "a0", "b1"), ("sweep/2", "a1", "b2"), ("sweep/3", "a2", "b0")]
    assert check_launches(comparison) == []


def test_a_run_more_is_the_one_unlike_the_others() -> None:
    """A run that a client makes doesn't join the one of `mlflow run`."""
    made = run("r1", params={"a": "1"}, metrics=[series("m", [1])], artifacts=[artifact("x/y")])
    called = Observation("create_run", run_id="r1", source_line="train.py:3")
    comparison = compare(
        launch("fluent", made, observations=(called,)),
        launch("mlflow-run", run("r0", params={"b": "1"}), made, observations=(called,)),
    )
    assert ids(comparison) == [("run 2", "r1", "r1"), ("run 1", None, "r0")]
    assert check_launches(comparison) == [
        Finding(
            rule="run-missing",
            subject="run 1",
            mlflow_run="1 param",
            source_line="train.py:3",
            why="Under `mlflow run` the first start_run() joins the run that `mlflow run` made; a run "
            "created in another way is one more. A run that can't be matched isn't compared.",
            fix=(
                "remove create_run() in train.py:3, and start the outermost run without run_id=, so "
                "that it joins that of `mlflow run`:  mlflow.start_run()"
            ),
        )
    ]


def test_no_run_under_mlflow_run_where_fluent_logged_some() -> None:
    (finding,) = check_launches(compare(launch("fluent", *tree(None)), launch("mlflow-run")))
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("no-run-logged", "1 run", "no run")


def test_a_nested_run_more_leaves_the_others_to_compare() -> None:
    comparison = paired(tree(None, "r0", "r0"), tree(None, "r0"))
    assert subjects(comparison) == [("run-missing", "run 1/2")]
    assert ids(comparison) == [("run 1", "r0", "r0"), ("run 1/1", "r1", "r1"), ("run 1/2", "r2", None)]


def test_as_many_runs_under_other_parents() -> None:
    comparison = paired(tree(None, None, "r0", "r0"), tree(None, None, "r0", "r1"))
    assert subjects(comparison) == [("run-missing", "run 1/2"), ("run-missing", "run 2/1")]


def grown(mode: str, children: int, grandchildren: int, leave_out: str = "") -> list[RunRecord]:
    """A tree of three levels, named on the second, and with the same params everywhere on the third."""
    runs = [run(f"{mode}-top", name="search")]
    for i in range(children):
        one = f"{mode}-{i}"
        name = f"trial {i}"
        if name != leave_out:
            runs.append(run(one, parent=f"{mode}-top", name=name, params={"rate": str(i)}))
            runs += [
                run(f"{one}-{j}", parent=one, params={"fold": "1"}, metrics=[series("m", [1, 2, 3])])
                for j in range(grandchildren)
            ]
    return runs


def test_three_levels_with_fifty_children_each_are_matched_within_a_second() -> None:
    fluent = launch("fluent", *grown("f", 50, 50))
    mlflow_run = launch("mlflow-run", *grown("m", 50, 50, leave_out="trial 7"))
    started = time.process_time()
    pairs, missing = pair_runs(fluent, mlflow_run)
    # A second of CPU time is 20 times what it takes; the figure itself is no claim of speed.
    assert time.process_time() - started < 1
    assert len(pairs) == 1 + 49 + 49 * 50
    assert [pair.label for pair in missing] == ["search/trial 7"]
    assert pairs[-1].label == "search/trial 49/50"


@quick
@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_every_run_stands_in_one_place(ours: list[str], theirs: list[str]) -> None:
    fluent = [run(f"f{i}", params={one: "1"}) for i, one in enumerate(ours)]
    mlflow_run = [run(f"m{i}", params={one: "2"}) for i, one in enumerate(theirs)]
    pairs, missing = pair_runs(launch("fluent", *fluent), launch("mlflow-run", *mlflow_run))
    assert len(pairs) == min(len(ours), len(theirs))
    seen = [record.run_id for pair in (*pairs, *missing) for _, record in pair.sides]
    assert sorted(seen) == sorted([one.run_id for one in (*fluent, *mlflow_run)])
    if sorted(ours) == sorted(theirs):
        # Each shape as often on both sides: it is matched with its own.
        assert all(pair.both and [*pair.both[0].params] == [*pair.both[1].params] for pair in pairs)


@quick
@given(st.integers(0, 12), st.integers(0, 12))
def test_runs_that_are_alike_are_matched_in_order(ours: int, theirs: int) -> None:
    fluent = [run(f"f{i}") for i in range(ours)]
    mlflow_run = [run(f"m{i}") for i in range(theirs)]
    pairs, missing = pair_runs(launch("fluent", *fluent), launch("mlflow-run", *mlflow_run))
    places = [(one.run_id, other.run_id) for one, other in (pair.both for pair in pairs if pair.both)]
    assert places == [(f"f{i}", f"m{i}") for i in range(min(ours, theirs))]
    assert len(missing) == abs(ours - theirs)


def test_runs_of_one_name_in_another_order_are_told_apart_by_their_params() -> None:
    """As those of a pool of threads, all called `trial`."""

    def pool(*rates: str, first: str) -> list[RunRecord]:
        return [
            run(f"{first}{i}", parent="top", name="trial", params={"rate": rate})
            for i, rate in enumerate(rates)
        ]

    comparison = paired((TOP, *pool("1", "2", "3", first="a")), (TOP, *pool("3", "1", "2", first="b")))
    assert [pair[1:] for pair in ids(comparison)[1:]] == [("a0", "b1"), ("a1", "b2"), ("a2", "b0")]


def test_runs_without_name_and_params_are_told_apart_by_tags_then_by_shape() -> None:
    def folds(*numbers: int, first: str, tagged: bool) -> list[RunRecord]:
        return [
            run(
                f"{first}{i}",
                parent="top",
                tags={"fold": str(number)} if tagged else {},
                metrics=[series("acc" if tagged else f"acc_{number}", [number])],
            )
            for i, number in enumerate(numbers)
        ]

    for tagged in (True, False):
        comparison = paired(
            (TOP, *folds(1, 2, 3, first="a", tagged=tagged)), (TOP, *folds(2, 3, 1, first="b", tagged=tagged))
        )
        assert [pair[1:] for pair in ids(comparison)[1:]] == [("a0", "b2"), ("a1", "b0"), ("a2", "b1")]


def test_a_name_that_the_code_asked_for_in_vain_is_given() -> None:
    """MLflow 2.22 leaves a run that `mlflow run` made its name."""
    asked = Observation("start_run", "bold-ant-1", "top", run_id="r1")
    record = run("r1", name="bold-ant-1", params={"a": "1"})
    comparison = compare(
        launch("fluent", run("r1", name="top", params={"a": "1"})),
        launch("mlflow-run", record, observations=(asked,)),
    )
    assert check_launches(comparison) == []
