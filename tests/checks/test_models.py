"""Models: the same in both launches, and validated to register and load."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_mlflow_check.checks.models import check_models
from pytest_mlflow_check.checks.runner import Comparison, Policy
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Model, ModelValidation
from support.builders import compare, judge, launch, model, run, slugs, validation


def compared(
    fluent: list[Model],
    mlflow_run: list[Model],
    validations: tuple[list[ModelValidation], list[ModelValidation]] = ([], []),
    **settings: Any,
) -> Comparison:
    return compare(
        launch("fluent", run(models=fluent), validations=validations[0]),
        launch("mlflow-run", run(models=mlflow_run), validations=validations[1]),
        **settings,
    )


def signature(**parts: list[dict[str, object]]) -> str:
    return json.dumps({"inputs": None, "outputs": None, "params": None} | parts)


def test_equal_models_that_load_are_fine() -> None:
    models = [model("m", signature=signature(inputs=[{"type": "double", "name": "x"}])), model("n")]
    validations = [validation("m"), validation("n")]
    assert check_models(compared(models, models, (validations, validations))) == []


def test_models_are_the_same_by_name_whatever_their_uri() -> None:
    assert check_models(compared([model("m", uri="models:/m-1")], [model("m", uri="models:/m-2")])) == []


def test_a_model_of_one_launch_only_is_missing() -> None:
    (finding,) = check_models(compared([], [model("m", flavors=["python_function", "sklearn"])]))
    assert finding == Finding(
        rule="model-missing",
        subject="m",
        why="The same code with the same values logged it in one launch only.",
        fix="log it whatever the launch mode, under a fixed name",
        fluent=None,
        mlflow_run="python_function, sklearn",
    )


def test_a_second_model_of_the_same_name_is_one_of_its_own() -> None:
    found = check_models(compared([model("m"), model("m#2")], [model("m")]))
    assert slugs(found) == [("model-missing", "m#2")]


def test_other_flavors_are_said_before_another_signature() -> None:
    here = model("m", flavors=["python_function"], signature=signature())
    there = model("m", flavors=["sklearn"])
    (finding,) = check_models(compared([here], [there]))
    assert finding == Finding(
        rule="model-differs",
        subject="m",
        why="The flavors of the two models differ.",
        fix="log it with the same flavor",
        fluent="python_function",
        mlflow_run="sklearn",
    )


DOUBLE: dict[str, object] = {"type": "double", "name": "x", "required": True}
LONG: dict[str, object] = {"type": "long", "required": True}
TENSOR: dict[str, object] = {"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 3]}}


@pytest.mark.parametrize(
    ("here", "there", "shown"),
    [
        (signature(inputs=[DOUBLE], outputs=[LONG]), None, ("x: double -> long", "no signature")),
        (
            signature(inputs=[DOUBLE]),
            signature(inputs=[DOUBLE | {"name": "y"}]),
            ("x: double", "y: double"),
        ),
        (
            signature(inputs=[TENSOR]),
            signature(inputs=[TENSOR], params=[{"name": "a", "default": 1, "shape": None, "type": "long"}]),
            ("int64 [-1, 3]", "int64 [-1, 3]; params a: long"),
        ),
    ],
)
def test_another_signature_is_said_in_short(here: str, there: str | None, shown: tuple[str, str]) -> None:
    (finding,) = judge(
        "models", compared([model("m", signature=here)], [model("m", signature=there)]), Policy()
    ).findings
    assert (finding.rule, finding.why) == ("model-differs", "The signatures of the two models differ.")
    assert (finding.fluent, finding.mlflow_run) == shown


@pytest.mark.parametrize(
    ("here", "there"),
    [
        # In short these look alike.
        (signature(inputs=[DOUBLE]), signature(inputs=[DOUBLE | {"required": False}])),
        (signature(), json.dumps({"inputs": []})),
        # These are nothing that MLflow writes.
        ("not json", "neither"),
        (json.dumps({"inputs": "text"}), json.dumps({"inputs": [1]})),
        ("[]", "5"),
        (json.dumps({"inputs": [{"tensor-spec": 1}]}), json.dumps({"inputs": {"a": 1}})),
    ],
)
def test_signatures_that_cant_be_told_apart_in_short_are_shown_as_they_are(here: str, there: str) -> None:
    (finding,) = judge(
        "models", compared([model("m", signature=here)], [model("m", signature=there)]), Policy()
    ).findings
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("model-differs", here, there)


def test_a_model_the_registry_refuses() -> None:
    refused = validation("m", registered=False, loaded=False, error="log_model left it FAILED")
    models = [model("m", flavors=[], status="FAILED")]
    (finding,) = judge("models", compared(models, models, ([refused], [refused])), Policy()).findings
    assert finding == Finding(
        rule="model-not-registrable",
        subject="m",
        why="m was left half-written: log_model died, and left it FAILED.",
        fix="let log_model end without an exception; don't catch what it raises",
        fluent="not registered",
        mlflow_run="not registered",
        detail="log_model left it FAILED",
    )


def test_a_model_left_half_written_in_one_launch_is_reported_once() -> None:
    refused = validation("m", registered=False, loaded=False, error="log_model left it FAILED")
    half = model("m", flavors=[], status="FAILED")
    (finding,) = judge(
        "models", compared([model("m")], [half], ([validation("m")], [refused])), Policy()
    ).findings
    assert (finding.rule, finding.fluent, finding.mlflow_run) == (
        "model-not-registrable",
        "loads",
        "not registered",
    )
    assert finding.detail == "log_model left it FAILED"


def test_a_model_that_doesnt_load() -> None:
    broken = validation("m", loaded=False, error="ModuleNotFoundError: No module named 'net'")
    (finding,) = check_models(compared([model("m")], [model("m")], ([broken], [broken])))
    assert finding == Finding(
        rule="model-not-loadable",
        subject="m",
        why="m registers, but `models:/NAME/1` doesn't load as it would on another machine, without the "
        "project and the network.",
        fix="resolve what the message says; modules go into code_paths=[…], files into artifacts={…}",
        fluent="doesn't load",
        mlflow_run="doesn't load",
        detail="ModuleNotFoundError: No module named 'net'",
    )


def test_sides_that_fail_in_two_ways_are_two_findings() -> None:
    refused, broken = (
        validation("m", registered=False, loaded=False),
        validation("m", loaded=False, error="why"),
    )
    found = check_models(compared([model("m")], [model("m")], ([refused], [broken])))
    assert slugs(found) == [("model-not-registrable", "m"), ("model-not-loadable", "m")]
    assert {(one.fluent, one.mlflow_run) for one in found} == {("not registered", "doesn't load")}
    assert [one.detail for one in found] == ["", "why"]


def test_a_model_without_a_validation_is_compared_and_no_more() -> None:
    assert check_models(compared([model("m", status="PENDING")], [model("m")])) == []


def test_models_are_validated_where_only_one_launch_was_made() -> None:
    one = launch("fluent", run(models=[model("m")]), validations=[validation("m", loaded=False)])
    (finding,) = check_models(compare(one))
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("model-not-loadable", "doesn't load", None)


def test_ignored_models_are_neither_compared_nor_validated() -> None:
    broken = validation("tmp-1", loaded=False)
    comparison = compared([model("tmp-1"), model("m")], [], ([broken], []), ignore={"models": ["tmp-*"]})
    assert slugs(check_models(comparison)) == [("model-missing", "m")]


def test_without_a_model_that_counts_the_check_is_skipped() -> None:
    record = run(params={"a": "1"}, models=[model("tmp")])
    ignored = compare(launch("fluent", record), ignore={"models": ["tmp"]})
    without = compare(launch("fluent", run(params={"a": "1"})))
    for comparison in (ignored, without):
        assert judge("models", comparison, Policy()).skipped == "no model was logged"


def test_runs_are_told_apart_where_there_are_several() -> None:
    runs = (run("r1", models=[model("a")]), run("r2", models=[model("b")]))
    others = (run("r1", models=[model("a")]), run("r2"))
    (finding,) = check_models(compare(launch("fluent", *runs), launch("mlflow-run", *others)))
    assert (finding.subject, finding.run) == ("b", "run 2")
