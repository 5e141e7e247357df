"""What the MLproject alone tells, before anything is launched or in place of it."""

from __future__ import annotations

import pytest

from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.core.findings import CHECKS, Finding
from support.builders import case, compare, judge, launch, parameter, run, slugs

LOGGED = run(params={"index": "1"})
BOTH = (launch("fluent", LOGGED), launch("mlflow-run", LOGGED))


# mlproject-unused-parameter


def test_a_parameter_that_the_command_doesnt_use() -> None:
    of = case(parameter("index", line=6), parameter("log-dir", line=7), command="python train.py {index}")
    (finding,) = check_launches(compare(*BOTH, case=of))
    assert finding == Finding(
        rule="mlproject-unused-parameter",
        subject="log-dir",
        why="`mlflow run` logs its value, and the command, which has no placeholder for it, never gets it: "
        "the run claims a value that nothing used.",
        fix="pass it on in the command:  --log-dir {log-dir}  or remove it from the MLproject",
        fluent=None,
        mlflow_run="logged, not passed on",
        source_line="MLproject:7",
    )


@pytest.mark.parametrize("command", ["{a}", "x --a={a!s:>9}", "'{a}'", "{b:{a}}", "{a[0]}", "{a.x}"])
def test_any_placeholder_uses_its_parameter(command: str) -> None:
    of = case(parameter("a"), command=command)
    assert check_launches(compare(*BOTH, case=of)) == []


def test_a_plain_command_of_the_settings_doesnt_pass_it_on_under_mlflow_run() -> None:
    of = case(parameter("a"), command="python train.py", fluent="python train.py {a}")
    assert slugs(check_launches(compare(*BOTH, case=of))) == [("mlproject-unused-parameter", "a")]


def test_a_param_missing_for_want_of_a_placeholder_isnt_said_again() -> None:
    fluent, mlflow_run = run(params={"x": "1"}), run(params={"x": "1", "a": "1", "b": "1"})
    of = case(parameter("a"), parameter("b"), command="python train.py {b}")
    comparison = compare(launch("fluent", fluent), launch("mlflow-run", mlflow_run), case=of)
    results = [judge(check, comparison, Policy()) for check in ("launches", "params")]
    assert [slugs(result.findings) for result in results] == [
        [("mlproject-unused-parameter", "a")],
        [("param-missing-in-fluent", "b")],
    ]


# needs-docker


def test_docker_that_cant_be_reached_is_said_in_place_of_the_launches() -> None:
    comparison = compare(case=case(docker_image="trainer:1", docker_line=2), docker_missing=True)
    (finding,) = check_launches(comparison)
    assert finding == Finding(
        rule="needs-docker",
        subject="trainer:1",
        why="`mlflow run` starts this project in a container, whatever --env-manager says, and `docker info` "
        "fails here, so nothing was launched.",
        fix="start Docker, or check the plain command alone:  --mlflow-launch=fluent",
        fluent=None,
        mlflow_run="docker_env",
        source_line="MLproject:2",
    )
    reasons = {judge(check, comparison, Policy()).skipped for check in CHECKS[1:]}
    assert reasons == {"nothing was launched: needs-docker (see launches)"}


def test_all_obstacles_are_told_at_once() -> None:
    null = parameter("a", null_default=True)
    comparison = compare(case=case(null, docker_image="i"), unset=[null], docker_missing=True)
    assert slugs(check_launches(comparison)) == [("mlproject-null-default", "a"), ("needs-docker", "i")]


def test_docker_that_can_be_reached_is_no_finding() -> None:
    assert check_launches(compare(*BOTH, case=case(docker_image="i", docker_line=2))) == []


# needs-run-id

RUN_ID = Finding(
    rule="needs-run-id",
    subject="MLFLOW_RUN_ID",
    why="The command uses MLFLOW_RUN_ID, which only `mlflow run` sets.",
    fix="leave it out: mlflow.start_run() joins the run that MLFLOW_RUN_ID names, and makes one where "
    "there is none",
    fluent="not set",
    mlflow_run="set",
    source_line="MLproject:8",
)


def test_a_command_that_uses_the_run_id() -> None:
    assert check_launches(compare(*BOTH, case=case(command="python t.py --run $MLFLOW_RUN_ID"))) == [RUN_ID]
    assert check_launches(compare(*BOTH, case=case(command="python t.py ${{MLFLOW_RUN_ID}}"))) == [RUN_ID]


@pytest.mark.parametrize("text", ["${{MLFLOW_RUN_ID:-none}}", "${{MLFLOW_RUN_ID-}}", "$MLFLOW_RUN_IDS"])
def test_a_command_that_does_without_it(text: str) -> None:
    assert check_launches(compare(*BOTH, case=case(command=f"python t.py {text}"))) == []


def test_the_plain_command_is_what_counts() -> None:
    of = case(command="python t.py $MLFLOW_RUN_ID", fluent="python t.py")
    assert check_launches(compare(*BOTH, case=of)) == []
    of = case(command="python t.py", fluent="python t.py $MLFLOW_RUN_ID")
    (finding,) = check_launches(compare(*BOTH, case=of))
    assert finding.source_line is None
    assert finding.why == (
        "The command under the settings key fluent uses MLFLOW_RUN_ID, which only `mlflow run` sets."
    )


def test_a_plain_command_that_dies_of_it_isnt_said_again() -> None:
    of = case(command="python t.py --run $MLFLOW_RUN_ID")
    dead = launch("fluent", exit_code=2, stderr="error: argument --run: expected one argument\n")
    assert check_launches(compare(dead, BOTH[1], case=of)) == [RUN_ID]
    assert judge("launches", compare(dead, BOTH[1], case=of), Policy()).findings == (RUN_ID,)
    named = launch("fluent", exit_code=1, stderr="KeyError: 'MLFLOW_RUN_ID'\n")
    assert check_launches(compare(named, case=of)) == [RUN_ID]
    # Something else is wrong where both die, and nothing is known where only one was launched.
    both = compare(dead, launch("mlflow-run", exit_code=1), case=of)
    assert slugs(check_launches(both))[1:] == [
        ("launch-failed", "fluent"),
        ("launch-failed", "mlflow run"),
    ]
    assert slugs(check_launches(compare(dead, case=of)))[1:] == [("launch-failed", "fluent")]


def test_a_failure_stays_one_where_the_rule_that_explains_it_is_off() -> None:
    dead = launch("fluent", exit_code=1, changed=("config.yaml",), stderr="KeyError: 'MLFLOW_RUN_ID'\n")
    result = judge("launches", compare(dead, BOTH[1]), Policy({"needs-run-id": "off"}))
    assert slugs(result.findings) == [("launch-failed", "fluent"), ("project-dir-written", "config.yaml")]
