"""What the MLproject alone tells, before anything is launched or in place of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.runner import Policy
from pytest_mlflow_check.core.findings import CHECKS, Finding
from pytest_mlflow_check.core.models import IgnoredKey
from pytest_mlflow_check.core.static_facts import (
    MissingFile,
    Refusal,
    StaticFacts,
    UnknownOption,
    WrongEnvironment,
)
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


# mlproject-missing-file

MISSING = MissingFile("trian.py", "script", 8)


def test_a_script_that_isnt_there() -> None:
    (finding,) = check_launches(compare(case=case(), facts=StaticFacts((MISSING,))))
    assert finding == Finding(
        rule="mlproject-missing-file",
        subject="trian.py",
        mlflow_run="not there",
        source_line="MLproject:8",
        why="The command starts trian.py, which isn't in the project.",
        fix="write another path in MLproject:8, or add trian.py to the project",
    )


def test_a_file_in_another_case() -> None:
    missing = MissingFile("Conf/a.yaml", "file", 8, alike="conf/a.yaml", sure=False)
    (finding,) = check_launches(compare(case=case(), facts=StaticFacts((missing,))))
    assert (finding.severity, finding.mlflow_run, finding.why, finding.fix) == (
        "warning",
        "there is conf/a.yaml",
        "The command names Conf/a.yaml, and the project has conf/a.yaml: only file systems that ignore case "
        "find it.",
        "in MLproject:8 write  conf/a.yaml",
    )


def test_a_script_with_another_name() -> None:
    missing = replace(MISSING, meant="train.py")
    of = case(command="python trian.py --x 1")
    (finding,) = check_launches(compare(case=of, facts=StaticFacts((missing,))))
    assert (finding.severity, finding.mlflow_run, finding.why, finding.fix) == (
        "error",
        "there is train.py",
        "The command starts trian.py, which isn't there; the project has train.py.",
        "in MLproject:8 write  python train.py --x 1",
    )


def test_backslashes_are_for_windows() -> None:
    missing = MissingFile(r"env\conda.yaml", "conda_env", 2, alike="env/conda.yaml")
    (finding,) = check_launches(compare(case=case(), facts=StaticFacts((missing,))))
    assert finding.why == (
        r"The key conda_env names env\conda.yaml, and the project has env/conda.yaml: only Windows finds it. "
        "`mlflow run` ends before anything is started."
    )


def test_what_a_launch_does_without_is_no_error() -> None:
    facts = StaticFacts((MISSING,), (UnknownOption("--x", "train.py", 8),))
    findings = check_launches(compare(*BOTH, case=case(), facts=facts))
    assert [(one.rule, one.severity) for one in findings] == [
        ("mlproject-missing-file", "warning"),
        ("mlproject-unknown-option", "warning"),
    ]


def test_a_launch_that_fails_of_it_isnt_told_twice() -> None:
    said = "python: can't open file '/copy/trian.py': [Errno 2] No such file or directory\n"
    dead = (launch("fluent", exit_code=2, stderr=said), launch("mlflow-run", exit_code=1, stderr=said))
    comparison = compare(*dead, case=case(), facts=StaticFacts((MISSING,)))
    assert slugs(judge("launches", comparison, Policy()).findings) == [("mlproject-missing-file", "trian.py")]
    off = judge("launches", comparison, Policy({"mlproject-missing-file": "off"}))
    assert slugs(off.findings) == [("launch-failed", "fluent and mlflow run")]
    # What failed of something else is told as well, and so is a plain command of the settings.
    others = [launch(one.mode, exit_code=1, stderr="ValueError: no\n") for one in dead]
    of = replace(comparison, launches={one.mode: one for one in others})
    assert [rule for rule, _ in slugs(check_launches(of))] == ["mlproject-missing-file", "launch-failed"]
    of = replace(comparison, case=case(fluent="python trian.py"))
    assert slugs(check_launches(of))[1:] == [("launch-failed", "fluent")]


# mlproject-unknown-option


def test_an_option_that_the_script_doesnt_have() -> None:
    option = UnknownOption("--learning_rate", "train.py", 9, ("--learning-rate", "--lr"))
    (finding,) = check_launches(compare(case=case(), facts=StaticFacts(unknown_options=(option,))))
    assert finding == Finding(
        rule="mlproject-unknown-option",
        subject="--learning_rate",
        mlflow_run="did you mean --learning-rate?",
        source_line="MLproject:9",
        why="The command gives train.py the option --learning_rate, which it doesn't have: it refuses to "
        "start.",
        fix="in MLproject:9 write  --learning-rate",
    )


def test_the_command_with_the_option_that_was_meant() -> None:
    option = UnknownOption("--lr", "train.py", 9, ("--batch-size", "--learning-rate"))
    facts = StaticFacts(unknown_options=(option,))
    of = case(command="python train.py --lr 1 --lr-decay 2 --x=--lr-x")
    (finding,) = check_launches(compare(case=of, facts=facts))
    assert finding.fix == "in MLproject:9 write  python train.py --learning-rate 1 --lr-decay 2 --x=--lr-x"


def test_an_option_that_is_like_none() -> None:
    option = UnknownOption("--seed", "train.py", 9, tuple(f"--o{number}" for number in range(14)))
    (finding,) = check_launches(compare(case=case(), facts=StaticFacts(unknown_options=(option,))))
    assert finding.mlflow_run == "no such option"
    assert finding.why.endswith(
        "It has --o0, --o1, --o2, --o3, --o4, --o5, --o6, --o7, --o8, --o9, --o10, --o11 and 2 more."
    )
    assert finding.fix == "take --seed out of MLproject:9, or add it to train.py"


# mlproject-absolute-path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/home/ann/data.csv", "/home/ann/data.csv"),
        ("--data=/Users/ann/x", "/Users/ann/x"),
        ("python /home/ann/venv/bin/x", "/home/ann/venv/bin/x"),
        (r"C:\data\x.csv", r"C:\data\x.csv"),
        ("D:/data", "D:/data"),
        ("file:///home/ann/x", "/home/ann/x"),
        ("sqlite:////home/ann/mlflow.db", "/home/ann/mlflow.db"),
    ],
)
def test_a_path_of_one_machine(text: str, path: str) -> None:
    of = case(parameter("a", default=text))
    (finding,) = check_launches(compare(*BOTH, case=of))
    assert (finding.rule, finding.subject, finding.source_line) == (
        "mlproject-absolute-path",
        path,
        "MLproject:5",
    )
    assert slugs(check_launches(compare(*BOTH, case=case(command=f"x {text}")))) == [
        ("mlproject-absolute-path", path)
    ]
    # In a container it may be right.
    assert (
        check_launches(compare(*BOTH, case=replace(of, project=replace(of.project, docker_image="i")))) == []
    )


@pytest.mark.parametrize(
    "text",
    [
        *("https://host/home/ann/x", "s3://bucket/Users/x", "dbfs:/home/ann", "hdfs://home/x", "data/home/x"),
        *(
            "~/data",
            "/home",
            "/home/{{user}}/x",
            "/home/$USER/x",
            "/data/x",
            "/opt/data",
            "ab:/x",
            "x:y",
            "../home/a/b",
            "/home/jovyan/work",
        ),
    ],
)
def test_paths_that_are_none_of_one_machine(text: str) -> None:
    assert check_launches(compare(*BOTH, case=case(command=f"x {text}"))) == []


# mlproject-wrong-environment


def test_a_conda_file_under_python_env() -> None:
    wrong = WrongEnvironment("python_env", "conda.yaml", 2, "conda_env")
    (finding,) = check_launches(compare(case=case(), facts=StaticFacts(environment=wrong)))
    assert finding == Finding(
        rule="mlproject-wrong-environment",
        subject="conda.yaml",
        mlflow_run="under python_env",
        source_line="MLproject:2",
        why="conda.yaml is no python_env file: MLflow takes python, build_dependencies and dependencies from "
        "it, and ends with a TypeError of anything else.",
        fix="in MLproject:2 write  conda_env: conda.yaml",
    )
    # Nothing reads it in a launch without an environment of its own.
    (finding,) = check_launches(compare(*BOTH, case=case(), facts=StaticFacts(environment=wrong)))
    assert finding.severity == "warning"
    facts = StaticFacts(environment=wrong)
    (finding,) = check_launches(compare(*BOTH, case=case(), facts=facts, env_manager="virtualenv"))
    assert finding.severity == "error"


def test_a_python_env_file_under_conda_env() -> None:
    wrong = WrongEnvironment("conda_env", "env.yaml", None, "python_env")
    (finding,) = check_launches(compare(case=case(), facts=StaticFacts(environment=wrong)))
    assert finding.severity == "warning"
    assert finding.fix == "in the MLproject write  python_env: env.yaml"


# mlproject-ignored-key


def test_keys_that_mlflow_ignores() -> None:
    top = IgnoredKey("entry_point", "the top level", "write:  entry_points:", 2)
    of = case(ignored_keys=(top,))
    assert check_launches(compare(*BOTH, case=of)) == []
    (finding,) = check_launches(compare(*BOTH, case=replace(of, reports_project=True)))
    assert finding == Finding(
        rule="mlproject-ignored-key",
        subject="entry_point",
        mlflow_run="ignored",
        source_line="MLproject:2",
        why="MLflow reads no key entry_point at the top level, and says nothing of it.",
        fix="in MLproject:2 write:  entry_points:",
    )


def test_a_key_that_is_there_twice() -> None:
    key = IgnoredKey("main", '"entry_points"', "keep one of them", 9, repeated=True)
    of = replace(case(ignored_keys=(key,)), reports_project=True)
    (finding,) = check_launches(compare(*BOTH, case=of))
    assert (finding.subject, finding.mlflow_run, finding.why, finding.fix) == (
        "main",
        "there twice",
        'main is a second time in "entry_points": MLflow takes the last one, and says nothing of the other.',
        "in MLproject:9 keep one of them",
    )


# what MLflow refuses


def test_a_command_that_cant_be_filled_in() -> None:
    refusal = Refusal("mlproject-undeclared-placeholder", "{b}", "It has {b}.", "declare it", 8)
    of = case(parameter("a"), command="x {b")
    (finding,) = check_launches(compare(case=of, facts=StaticFacts(refusal=refusal)))
    assert (finding.rule, finding.subject, finding.why, finding.fix, finding.source_line) == (
        *("mlproject-undeclared-placeholder", "{b}", "It has {b}.", "declare it"),
        "MLproject:8",
    )
