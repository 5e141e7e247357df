"""Params: missing on one side, other values, and what the shell quotes of `mlflow run` make of them."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlflow_check.checks.params import check_params
from pytest_mlflow_check.checks.runner import CaseJudge, Comparison, Policy, compare_launches
from pytest_mlflow_check.checks.setting_lines import allowance
from pytest_mlflow_check.config.settings import ProjectConfig
from pytest_mlflow_check.core.findings import Allowance, Finding
from pytest_mlflow_check.core.records import Launch, Mode, Observation
from support.builders import case, compare, compare_runs, judge, launch, parameter, quick, run, slugs

TEXTS = st.text(max_size=20)
PARAMS = st.dictionaries(st.text("abc_-", min_size=1, max_size=3), TEXTS, max_size=5)


def compared(fluent: dict[str, str], mlflow_run: dict[str, str], **more: Any) -> Comparison:
    return compare_runs(run(params=fluent), run(params=mlflow_run), **more)


def only(comparison: Comparison) -> Finding:
    (finding,) = CaseJudge(comparison, Policy()).without_superseded(check_params(comparison))
    return finding


def test_equal_params_in_any_order_are_fine() -> None:
    assert check_params(compared({"a": "1", "b": ""}, {"b": "", "a": "1"})) == []


def test_a_declared_param_missing_in_fluent_is_explained_by_mlflow_run_logging_it() -> None:
    finding = only(compared({}, {"index": "10"}, case=case(parameter("index", line=6))))
    assert finding == Finding(
        rule="param-missing-in-fluent",
        subject="index",
        why="`mlflow run` logs the parameters of MLproject:3 by itself. `python train.py` doesn't, and the "
        "code never calls mlflow.log_param for them.",
        fix='log it within the run:  mlflow.log_param("index", …)',
        fluent=None,
        mlflow_run="10",
        source_line="MLproject:6",
    )


def test_a_param_given_with_p_and_not_declared_is_logged_by_mlflow_run_too() -> None:
    finding = only(compared({}, {"extra": "10"}, case=case(params={"extra": "10"})))
    assert finding.rule == "param-missing-in-fluent"
    assert finding.why.startswith("`mlflow run` logs the parameters of MLproject:3 by itself.")
    assert finding.source_line is None


@pytest.mark.parametrize("with_case", [True, False])
def test_a_param_only_the_code_logs_under_mlflow_run_isnt_blamed_on_mlflow_run(with_case: bool) -> None:
    finding = only(compared({}, {"seed": "1"}, case=case(parameter("index")) if with_case else None))
    assert finding.rule == "param-missing-in-fluent"
    assert finding.why == "The code logged it under `mlflow run` and not when started by the plain command."


def test_a_param_missing_under_mlflow_run() -> None:
    assert only(compared({"seed": "1"}, {})) == Finding(
        rule="param-missing-in-mlflow-run",
        subject="seed",
        why="The code logged it when started by the plain command and not under `mlflow run`.",
        fix='log it in both modes:  mlflow.log_param("seed", …)',
        fluent="1",
        mlflow_run=None,
    )


def test_an_empty_value_is_not_a_missing_one() -> None:
    assert check_params(compared({"a": ""}, {"a": ""})) == []
    assert only(compared({"a": ""}, {})).fluent == ""


@pytest.mark.parametrize(
    ("plain", "quoted"),
    [("", "''"), ("a b", "'a b'"), ("it's", "'it'\"'\"'s'"), ("$HOME", "'$HOME'"), ("a\nb", "'a\nb'")],
)
def test_shell_quotes_added_by_mlflow_run_are_a_kind_of_their_own(plain: str, quoted: str) -> None:
    finding = only(compared({"name": plain}, {"name": quoted}, case=case(parameter("name"))))
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("param-quoted", plain, quoted)
    assert finding.why == (
        "`mlflow run` logs a parameter as it stands in the shell command, quotes included."
    )
    assert finding.fix == (
        'log the value in use as well:  mlflow.log_param("cfg_name", …)  and allow the raw one with a reason'
    )


@pytest.mark.parametrize(
    ("fluent", "mlflow_run"),
    [
        ("'a b'", "a b"),  # the other way round
        ("''", ""),
        ("a b", '"a b"'),  # other quotes
        ("ab", "'ab'"),  # quotes that the shell doesn't need
        ("a b", "'a  b'"),
        ("1.0", "1"),
    ],
)
def test_other_differences_are_no_shell_quotes(fluent: str, mlflow_run: str) -> None:
    assert only(compared({"name": fluent}, {"name": mlflow_run})).rule == "param-differs"


def test_a_declared_param_that_differs_is_explained_by_the_raw_text() -> None:
    finding = only(compared({"out": "default"}, {"out": "''"}, case=case(parameter("out", line=8))))
    assert finding == Finding(
        rule="param-differs",
        subject="out",
        why="`mlflow run` logged the raw text it was given; the plain command's value is what the code "
        "logged.",
        fix='log the value in use as well:  mlflow.log_param("cfg_out", …)  and allow the raw one with a '
        "reason",
        code=(allowance("param-differs", "out", "the raw value; cfg_out is the value in use"),),
        fluent="default",
        mlflow_run="''",
        source_line="MLproject:8",
    )


def test_a_raw_value_beside_the_value_in_use_is_a_note() -> None:
    """The value in use is logged alike in both: nothing is lost, and the next run is green."""
    logged = {"cfg_out": "default", "out": "default"}
    finding = only(compared(logged, {**logged, "out": "x"}, case=case(parameter("out", line=8))))
    assert (finding.rule, finding.severity) == ("param-differs", "warning")
    assert "cfg_out has the value in use, alike in both" in finding.why
    assert "log_param" not in finding.fix
    # Where the value in use differs as well, something is wrong.
    both = check_params(compared(logged, {"cfg_out": "x", "out": "x"}, case=case(parameter("out"))))
    assert {finding.severity for finding in both} == {"error"}
    assert "cfg_cfg_" not in str(both)


def test_the_value_in_use_may_be_a_path_of_each_copy() -> None:
    places = {mode: Path(f"/copies/{mode}/ws") for mode in ("fluent", "mlflow-run")}
    raw = {"fluent": "/copies/fluent/ws/data.csv", "mlflow-run": "../data.csv"}
    made = [
        launch(
            mode,
            run(params={"data": raw[mode], "cfg_data": f"{place}/data.csv"}),
            directory=place / "project",
            workspace=place,
            origin=Path("/home/repository"),
        )
        for mode, place in places.items()
    ]
    (finding,) = check_params(compare(*made, case=case(parameter("data", type="path"))))
    assert (finding.rule, finding.severity) == ("param-differs", "warning")


def test_an_allowance_of_a_raw_value_is_still_needed() -> None:
    logged = {"cfg_out": "default", "out": "default"}
    comparison = compared(logged, {**logged, "out": "x"}, case=case(parameter("out")))
    result = judge("params", comparison, Policy(allowances=(Allowance("param-differs", "out", "raw"),)))
    assert (result.findings, result.used_allowances) == ((), (0,))


def test_several_missing_params_are_logged_by_one_call() -> None:
    comparison = compared(
        {"seed": "1"},
        {"seed": "1", "index": "10", "lr": "0.1"},
        case=case(parameter("index"), parameter("lr", type="float")),
    )
    fixes = {finding.fix for finding in check_params(comparison)}
    assert fixes == {'log them within the run:  mlflow.log_params({"index": …, "lr": …})'}


@pytest.mark.parametrize(
    ("value", "kind"), [("'a b'", "string"), ("1", "float"), ("1e-3", "float"), ("data/x.csv", "path")]
)
def test_a_missing_param_that_code_logs_as_another_text_is_logged_where_it_is_missing(
    value: str, kind: str
) -> None:
    """Logging it in both modes would crash under `mlflow run`."""
    finding = only(compared({"a": "1"}, {"a": "1", "x": value}, case=case(parameter("x", type=kind))))
    (part,) = finding.code
    assert "if name not in already_logged" in part.text
    assert '"x": …' in part.text


def test_a_run_that_a_call_of_mlflow_started_has_no_start_run() -> None:
    start = Observation("start_run", run_id="r1", source_line="train.py:14", options=("implicit",))
    comparison = compare(
        launch("fluent", run(params={"a": "1"}), observations=(start,)),
        launch("mlflow-run", run(params={"a": "1", "index": "10"}), observations=(start,)),
        case=case(parameter("index")),
    )
    assert only(comparison).fix == (
        "log it before train.py:14, where the first call of MLflow starts the run:  "
        'mlflow.log_param("index", …)'
    )


def test_a_param_of_the_code_that_differs_isnt_blamed_on_mlflow_run() -> None:
    finding = only(compared({"seed": "1"}, {"seed": "2"}, case=case(parameter("out"))))
    assert finding.why == "The code logged different values in the two launches."


def test_one_param_under_two_names_isnt_missing_as_well() -> None:
    comparison = compared(
        {"max_depth": "3"}, {"max_depth": "3", "max-depth": "3"}, case=case(parameter("max-depth"))
    )
    assert only(comparison) == Finding(
        rule="param-duplicated",
        subject="max-depth",
        why="`mlflow run` logs max-depth, as MLproject:5 spells it; the code logs max_depth.",
        fix=("call it  max_depth  in MLproject:5, and write  {max_depth}  in the command in MLproject:8"),
        fluent="max_depth",
        mlflow_run="max-depth, max_depth",
        source_line="MLproject:5",
    )


def test_two_names_of_the_codes_own_are_two_params() -> None:
    both = {"max-depth": "3", "max_depth": "3"}
    assert check_params(compared(both, both)) == []
    assert check_params(compared(both, both, case=case(parameter("index"), params={"index": "1"}))) == []


@pytest.mark.parametrize(("length", "said"), [(5999, []), (6000, [("param-too-long", "a")])])
def test_a_value_as_long_as_mlflow_keeps(length: int, said: list[tuple[str, str]]) -> None:
    assert slugs(check_params(compared({"a": "x" * length}, {"a": "x" * length}))) == said


def observed(mode: Mode, *calls: Observation, params: dict[str, str]) -> Launch:
    return launch(mode, run(params=params), observations=calls)


def logged(key: str, source_line: str | None = "train.py:3", what: str = "log_param") -> Observation:
    return Observation(what, key, source_line=source_line)


def test_a_param_with_a_counter_logged_while_it_trains() -> None:
    params = {"lr_0": "3", "lr_1": "2", "lr_2": "1"}
    loss = logged("loss", "train.py:4", "log_metric")
    calls = [call for key in params for call in (logged(key), loss)]
    sides = [observed(mode, *calls, params=params) for mode in ("fluent", "mlflow-run")]
    assert only(compare(*sides)) == Finding(
        rule="param-changes-per-step",
        subject="lr_*",
        why="train.py:3 logs a param with a new name each time it comes by, while metrics are logged. Params "
        "are constants of a run.",
        fix='log a metric in train.py:3:  mlflow.log_metric("lr", …, step=…)',
        fluent="3 params",
        mlflow_run="3 params",
        source_line="train.py:3",
    )


@pytest.mark.parametrize(
    "calls",
    [
        # Of layers, before the training.
        [logged("units_0"), logged("units_1"), logged("units_2"), logged("loss", what="log_metric")],
        # Each from a line of its own.
        [
            call
            for i in range(3)
            for call in (logged(f"lr_{i}", f"a.py:{i}"), logged("loss", what="log_metric"))
        ],
        # By a call whose line isn't known.
        [call for i in range(3) for call in (logged(f"lr_{i}", None), logged("loss", what="log_metric"))],
        # Twice, as in a warm-up and a training.
        [call for i in range(2) for call in (logged(f"lr_{i}"), logged("loss", what="log_metric"))],
    ],
)
def test_numbered_params_that_are_constants(calls: list[Observation]) -> None:
    params = {call.key: "1" for call in calls if call.what == "log_param"}
    assert (
        check_params(
            compare(observed("fluent", *calls, params=params), observed("mlflow-run", params=params))
        )
        == []
    )


def test_the_line_that_logs_it_is_the_place() -> None:
    comparison = compare(
        observed("fluent", logged("seed", "train.py:9"), params={"seed": "1"}),
        observed("mlflow-run", params={"seed": "2"}),
    )
    assert only(comparison).source_line == "train.py:9"


def test_what_is_never_logged_belongs_behind_the_start_of_the_run() -> None:
    start = Observation("start_run", run_id="r1", source_line="train.py:7")
    finding = only(
        compare(
            observed("fluent", start, params={"a": "1"}),
            launch("mlflow-run", run(params={"a": "1", "index": "10"})),
            case=case(parameter("index", line=6)),
        )
    )
    assert finding.source_line == "train.py:7"
    assert finding.fix == 'log it after start_run() in train.py:7:  mlflow.log_param("index", …)'


def test_ignored_params_are_never_compared() -> None:
    comparison = compared({"tmp/a": "1", "b": "1"}, {"tmp/b": "1", "b": "2"}, ignore={"params": ["tmp/*"]})
    assert slugs(check_params(comparison)) == [("param-differs", "b")]


def test_findings_are_sorted_by_name() -> None:
    found = check_params(compared({"b": "1", "a": "1", "C": "1"}, {"c": "1"}))
    assert [finding.subject for finding in found] == ["C", "a", "b", "c"]


def test_runs_are_told_apart_where_there_are_several() -> None:
    sides = [(run("r1", params={"a": "1"}), run("r2", params={"b": value})) for value in ("1", "2")]
    found = check_params(compare(launch("fluent", *sides[0]), launch("mlflow-run", *sides[1])))
    assert [(finding.subject, finding.run) for finding in found] == [("b", "run 2")]


def test_a_launch_alone_has_nothing_to_compare() -> None:
    assert check_params(compare(launch("fluent", run(params={"a": "1"})))) == []


@quick
@given(PARAMS, st.text("abc_-", min_size=1, max_size=3), TEXTS)
def test_any_single_change_is_found(params: dict[str, str], name: str, value: str) -> None:
    changed = params | {name: value}
    expected = [] if changed == params else [name]
    assert [finding.subject for finding in check_params(compared(params, changed))] == expected
    assert [finding.subject for finding in check_params(compared(changed, params))] == expected


@quick
@given(TEXTS)
def test_every_value_quoted_by_the_shell_is_equal_or_param_quoted(value: str) -> None:
    found = check_params(compared({"a": value}, {"a": shlex.quote(value)}))
    assert slugs(found) == ([] if shlex.quote(value) == value else [("param-quoted", "a")])


def test_places_in_the_copies_are_the_same_place() -> None:
    """Each launch has a copy of its own; a param means the place in the user's own directory."""

    def logged(mode: Mode, file: str) -> Launch:
        copy = Path("/area", mode, "workspace")
        return launch(mode, run(params={"data": f"{copy}/{file}"}), workspace=copy, origin=Path("/home/me"))

    one, same = logged("fluent", "a.csv"), logged("mlflow-run", "a.csv")
    assert check_params(compare_launches({"fluent": one, "mlflow-run": same}, settings=ProjectConfig())) == []
    other = logged("mlflow-run", "b.csv")
    finding = only(compare_launches({"fluent": one, "mlflow-run": other}, settings=ProjectConfig()))
    assert (finding.fluent, finding.mlflow_run) == ("/home/me/a.csv", "/home/me/b.csv")


def test_where_a_store_keeps_its_artifacts_is_no_difference() -> None:
    def at(mode: Mode, directory: str) -> Launch:
        params = {"where": f"{directory}/artifacts/0/RUN", "uri": f"sqlite:///{directory}/mlflow.db"}
        return replace(launch(mode, run(params=params)), store_uri=f"sqlite:///{directory}/mlflow.db")

    assert check_params(compare(at("fluent", "/a/store"), at("mlflow-run", "/b/store"))) == []
    elsewhere = replace(at("mlflow-run", "/b/store"), store_uri="sqlite:////c/store/mlflow.db")
    assert slugs(check_params(compare(at("fluent", "/a/store"), elsewhere))) != []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<function f at 0x7f3a5c1d2e50>", "<function f at 0x7ffa5c1d2e50>"),
        ("/tmp/tmpab12cd34/x", "/tmp/tmpzz99_d34/x"),
        ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "3fa85f64-0000-4562-b3fc-2c963f66afa6"),
    ],
)
def test_what_is_another_one_in_each_process_is_no_difference(one: str, other: str) -> None:
    assert check_params(compared({"a": one}, {"a": other})) == []
    assert only(compared({"a": one}, {"a": f"{other}!"})).rule == "param-differs"
