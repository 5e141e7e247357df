"""The contract: what is held of launches, how that stands in its file, and what is said of others."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.config.settings import Ignore
from pytest_mlflow_check.contract.build import contract_of
from pytest_mlflow_check.contract.compare import judge_contract
from pytest_mlflow_check.contract.load import Source, read_contract, read_text
from pytest_mlflow_check.contract.merge import merged
from pytest_mlflow_check.contract.normalize import Normalizer
from pytest_mlflow_check.contract.save import save, updated
from pytest_mlflow_check.contract.schema import CaseContract
from pytest_mlflow_check.contract.yaml_edit import Flow, edited, entry, scalar
from pytest_mlflow_check.core.errors import UserError
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.masking import Secrets
from pytest_mlflow_check.core.records import (
    Dataset,
    Launch,
    Mode,
    ModelVersion,
    Observation,
    RegisteredModel,
    RunRecord,
    StoreRecord,
)
from pytest_mlflow_check.reporting.text import render
from pytest_mlflow_check.rules.policy import Policy
from support.builders import artifact, case, compare, judge, launch, model, run, series, slugs

MODES: tuple[Mode, Mode] = ("fluent", "mlflow-run")
FILE = Path("mlflow-contract.yaml")
LOSS = series("loss", [3, 2, 1])
SIGNATURE = '{"inputs": [{"name": "x", "type": "double", "required": true}], "outputs": null, "params": null}'
LOGGED = run(
    params={"lr": "0.1", "seed": "17"},
    metrics=[LOSS, series("score", [0.9])],
    tags={"team": "vision", "mlflow.user": "me"},
    artifacts=[artifact("plots/roc.png"), artifact("log.txt")],
    models=[model("m", signature=SIGNATURE)],
    datasets=(Dataset("train", "abc", "local", "training"),),
)


def made(*samples: RunRecord, view: Normalizer | None = None, **fields: Any) -> CaseContract:
    """The contract of a case whose fluent launches logged these runs, one each, and so did `mlflow run`."""
    return of({mode: [launch(mode, one, **fields) for one in samples] for mode in MODES}, view)


def of(samples: Mapping[Mode, list[Launch]], view: Normalizer | None = None) -> CaseContract:
    return contract_of(samples, view or Normalizer())


def source(contract: CaseContract) -> Source:
    return read_text(FILE, updated(None, {"main": contract}), ["main"])


def body(contract: CaseContract) -> str:
    """What stands in the file below the case."""
    _, _, text = updated(None, {"main": contract}).partition("  main:\n    runs:\n")
    return text


def judged(contract: CaseContract, *runs: RunRecord, **settings: Any) -> list[Finding]:
    """What is said where both launches logged these runs."""
    comparison = compare(*(launch(mode, *runs) for mode in MODES), case=case(), **settings)
    return judge_contract(source(contract), comparison)


# What is held


def test_the_whole_file() -> None:
    registered = (RegisteredModel("prod", (ModelVersion("1", run_id="r1"),)),)
    launches = {
        mode: [replace(launch(mode), record=StoreRecord((LOGGED,), registered))] * 2 for mode in MODES
    }
    assert updated(None, {"main": of(launches)}) == snapshot("""\
# What the cases of this project log to MLflow. pytest-mlflow-check holds each launch to it.
# Written from two launches of each kind: what differed between them isn't held (null: any value).
# After a change that is meant, write it anew, and look at the difference:
#     pytest --mlflow-project=. --mlflow-update
# Edit it as you like: names may be patterns (plots/*.png), a value may be null, a step or a line removed.
# Comments stay, and so does what you made looser, as long as it holds.

version: 1
cases:
  main:
    runs:
      run 1:
        params:
          lr: "0.1"
          seed: "17"
        metrics:
          loss: {first: 0, last: 2, count: 3, regular: true}
          score: {first: 0, last: 0, count: 1}
        tags:
          team: vision
        datasets:
          train (training): abc
        artifacts:
          - log.txt
          - plots/roc.png
        models:
          m:
            flavors: [python_function]
            inputs:
              - "x: double"
            outputs: []
        registered:
          - prod
""")


def test_what_varies_by_itself_isnt_held() -> None:
    other = run(
        params={"lr": "0.1", "seed": "23"},
        metrics=[series("loss", [3, 2, 1, 0]), series("score", [0.8]), series("now and then", [1])],
        tags={"team": "vision"},
        artifacts=[artifact("plots/roc.png"), artifact("log.txt"), artifact("events/tf.1764.a7")],
        models=[model("m", flavors=["sklearn"], signature=SIGNATURE)],
        datasets=(Dataset("train", "abd", "local", "training"),),
    )
    one = replace(LOGGED, artifacts=LOGGED.artifacts | {"events/tf.1763.b": artifact("events/tf.1763.b")})
    assert body(made(one, other)) == snapshot("""\
      run 1:
        params:
          lr: "0.1"
          seed: null
        metrics:
          loss: {first: 0, regular: true}
          score: {first: 0, last: 0, count: 1}
        tags:
          team: vision
        datasets:
          train (training): null
        artifacts:
          - "events/tf.*.*"
          - log.txt
          - plots/roc.png
        models:
          m:
            inputs:
              - "x: double"
            outputs: []
        sometimes:
          metrics:
            now and then: {}
""")
    for each in (one, other):
        assert judged(made(one, other), each) == []


@pytest.mark.parametrize(
    ("names", "others", "expected"),
    [
        (["a/epoch-1.png"], ["a/epoch-2.png", "a/epoch-3.png"], ["a/epoch-*.png"]),
        (["a/xq.png"], ["a/yz.png"], ["a/*.png"]),
        (["tmpabc/x"], ["tmpqrs/x"], []),
        (["x"], ["y"], []),
        (["a[1].txt"], ["a[2].txt"], ['"a[[]*].txt"']),
        (["ckpt.17.pt", "same"], ["ckpt.18.pt", "same"], ["ckpt.*.pt", "same"]),
    ],
)
def test_names_that_vary_become_patterns(names: list[str], others: list[str], expected: list[str]) -> None:
    one, other = (run(artifacts=[artifact(name) for name in each]) for each in (names, others))
    held, _, sometimes = body(made(one, other)).partition("sometimes:")
    assert [line.strip("- ").strip('"') for line in held.splitlines()[2:] if line.strip()] == [
        text.strip('"') for text in expected
    ]
    assert bool(sometimes) == (expected == [])
    for each in (one, other):
        assert judged(made(one, other), each) == []


def test_no_path_of_a_copy_no_id_no_day_and_no_secret_is_held() -> None:
    day = 1_764_127_739  # 2025-11-26
    record = run(
        "0123456789abcdef0123456789abcdef",
        params={
            "id": "0123456789abcdef0123456789abcdef",
            "copy": "/copy/project/data",
            "absolute": "data=/home/me/x.csv",
            "relative": "data/x.csv",
            "url": "https://example.org/x",
            "day": "trained 2025-11-26",
            "secret": "the key is hunter2hunter2",
            "long": "x" * 501,
        },
        artifacts=[artifact("2025-11-26/log.txt"), artifact("hunter2hunter2.txt")],
    )
    view = Normalizer(masked=Secrets(("hunter2hunter2",)).masked)
    assert body(made(record, record, view=view, started=day, duration=1.0)) == snapshot("""\
      run 1:
        params:
          absolute: null
          copy: null
          day: null
          id: null
          long: null
          relative: data/x.csv
          secret: null
          url: "https://example.org/x"
        artifacts:
          - "***.txt"
          - "*/log.txt"
""")


def test_no_commit_is_held() -> None:
    commit = "1a2b3c4d5e6f70819203a4b5c6d7e8f901234567"
    record = run(
        name="train-1a2b3c4",
        params={
            "commit": commit,
            "short": "1a2b3c4",
            "describe": "v1.0-3-g1a2b3c4d-dirty",
            "version": "0.1.dev3+g1a2b3c4d.d20250101",
            "other": "7e8f901",
            "number": "123456",
            "within": "x1a2b3c4",
        },
        tags={"mlflow.source.git.commit": commit},
        artifacts=[artifact("model_1a2b3c4.txt")],
    )
    assert body(made(record, record)) == snapshot("""\
      run 1:
        params:
          commit: null
          describe: null
          number: "123456"
          other: "7e8f901"
          short: null
          version: null
          within: x1a2b3c4
        artifacts:
          - "model_*.txt"
""")
    # Without a repository the same texts are texts like any other.
    bare = replace(record, tags={}, name="train")
    assert "commit: null" not in body(made(bare, bare))


def test_what_is_known_to_vary_is_not_held() -> None:
    contract = made(
        run(
            params={"f": "<function f at 0x7f3a5c1d2e50>", "lr": "0.1"},
            tags={"Run Time": "1.3", "state": "COMPLETE"},
            metrics=[series("system/cpu", [1.0]), series("train_runtime", [1.0])],
            artifacts=[artifact("tb/events.out.tfevents.1701368184.host.1234.0")],
        )
    )
    (held,) = contract.runs.values()
    assert held.params == {"f": None, "lr": "0.1"}
    assert held.tags == {"Run Time": None, "state": "COMPLETE"}
    assert list(held.metrics) == ["train_runtime"]
    assert list(held.artifacts) == ["tb/events.out.tfevents.*"]


def test_no_day_in_words_and_no_name_of_the_machine_or_its_user_is_held() -> None:
    day = datetime(2025, 11, 26, 12, tzinfo=timezone.utc).timestamp()
    record = run(
        params={
            "made": "Wed Nov 26 12:00:00 2025",
            "short": "251126-1200",
            "written": "26. November",
            "host": socket.gethostname(),
            "user": getpass.getuser(),
        }
    )
    held = made(record, record, started=day, duration=1.0).runs["run 1"].params
    assert {name for name, value in held.items() if value is not None} == {"written"}


def test_no_value_from_the_environment_is_held() -> None:
    variables = {
        "TEAM_BUCKET": "bucket-of-anna",
        "OWNER": "anna",
        "SEED": "17",
        "SHLVL": "1",
        "DEBUG": "true",
        "DB_PASS": "abc",
    }
    record = run(
        params={
            "owner_name": "anna",
            "data": "s3://bucket-of-anna/train",
            "bucket": "bucket-of-annabel",
            "cfg_seed": "17",
            "folds": "17",
            "n": "1",
            "shuffle": "true",
            "planner": "annabel",
            "db_pass": "abc",
            "other": "abcd",
        },
        tags={"who": "anna", "level": "1", "api_key": "abc"},
    )
    held = made(record, record, view=Normalizer(variables=variables)).runs["run 1"]
    assert {name for name, value in held.params.items() if value is None} == {
        "owner_name",
        "data",
        "cfg_seed",
        "db_pass",
    }
    assert {name for name, value in held.tags.items() if value is None} == {"who", "api_key"}


def test_no_name_of_a_run_from_the_environment_is_held() -> None:
    record = run(name="of-anna-smith", params={"a": "1"}, tags={"mlflow.runName": "of-anna-smith"})
    named = {
        variable: made(record, record, view=Normalizer(variables={variable: value})).runs
        for variable, value in {"OWNER": "anna-smith", "WHOLE": "of-anna-smith", "OTHER": "anna"}.items()
    }
    assert {variable: [*runs] for variable, runs in named.items()} == {
        "OWNER": ["run 1"],
        "WHOLE": ["run 1"],
        "OTHER": ["of-anna-smith"],
    }


def test_a_contract_that_leaves_a_value_open_fits_any() -> None:
    view = Normalizer(variables={"OWNER": "anna"})
    contract = made(run(params={"owner": "anna"}), run(params={"owner": "anna"}), view=view)
    for owner in ("anna", "bob"):
        assert judged(contract, run(params={"owner": owner})) == []


def test_an_update_takes_a_value_of_the_environment_out() -> None:
    logged = run(params={"owner": "anna", "seed": "17"})
    new = made(logged, logged, view=Normalizer(variables={"OWNER": "anna"}))
    assert merged(made(logged, logged), new).runs["run 1"].params == {"owner": None, "seed": "17"}


@pytest.mark.parametrize("default", ["hunter2hunter2", "/home/me/x"])
def test_no_secret_and_no_path_of_a_signature_is_held(default: str) -> None:
    column = {"name": "key", "type": "string", "default": default, "shape": None}
    logged = run(models=[model("m", signature=json.dumps({"inputs": None, "params": [column]}))])
    held = made(logged, logged, view=Normalizer(masked=Secrets(("hunter2hunter2",)).masked))
    assert default not in body(held)
    (shape,) = held.runs["run 1"].models.values()
    assert (shape.inputs, shape.params) == ((), None)


@pytest.mark.parametrize(
    ("signature", "inputs"),
    [("[]", ()), ('{"inputs": [{"type": "tensor", "tensor-spec": {"shape": [1]}}]}', ("tensor",))],
)
def test_a_signature_written_by_hand_is_taken_as_far_as_it_goes(
    signature: str, inputs: tuple[str, ...]
) -> None:
    logged = run(models=[model("m", signature=signature)])
    assert made(logged, logged).runs["run 1"].models["m"].inputs == inputs


def test_what_only_one_launch_logs_is_held_of_that_one() -> None:
    fluent = run(params={"a": "1", "model_dir": "", "mine": "x"})
    other = run(params={"a": "1", "model_dir": "''", "index": "10"})
    contract = of({"fluent": [launch("fluent", fluent)] * 2, "mlflow-run": [launch("mlflow-run", other)] * 2})
    assert body(contract) == snapshot("""\
      run 1:
        params:
          a: "1"
        fluent:
          params:
            mine: x
            model_dir: ""
        mlflow-run:
          params:
            index: "10"
            model_dir: "''"
""")
    assert slugs(
        judge_contract(
            source(contract), compare(launch("fluent", fluent), launch("mlflow-run", fluent), case=case())
        )
    ) == [
        ("contract-missing", "param index"),
        ("contract-value-differs", "param model_dir"),
        ("contract-outdated", "param mine"),
    ]


def test_a_contract_of_one_launch_holds_that_one() -> None:
    contract = of({"fluent": [launch("fluent", LOGGED)] * 2})
    assert (
        updated(None, {"main": contract}).partition("cases:\n")[2].startswith("  main:\n    launch: fluent\n")
    )
    assert slugs(judged(contract, LOGGED)) == [("contract-outdated", "launch mlflow run")]
    alone = compare(launch("fluent", run(params={"lr": "0.2"})), case=case())
    assert ("contract-value-differs", "param lr") in slugs(judge_contract(source(contract), alone))
    other = compare(launch("mlflow-run", run()), case=case())
    assert slugs(judge_contract(source(contract), other)) == [("contract-outdated", "launch mlflow run")]


def test_a_tree_of_runs() -> None:
    runs = (
        run("a", name="sweep", params={"trials": "2"}),
        run("b", parent="a", name="bold-ant-12", metrics=[LOSS]),
        run("c", parent="a", name="last", metrics=[series("f1", [1])]),
    )
    contract = of({mode: [launch(mode, *runs)] * 2 for mode in MODES})
    assert body(contract) == snapshot("""\
      sweep:
        params:
          trials: "2"
        runs:
          run 1:
            metrics:
              loss: {first: 0, last: 2, count: 3, regular: true}
          last:
            metrics:
              f1: {first: 0, last: 0, count: 1}
""")
    assert judged(contract, *runs) == []
    (missing,) = judged(contract, runs[0], runs[1])
    assert (missing.rule, missing.subject, missing.run) == ("contract-missing", "run sweep/last", "")
    (renamed,) = judged(contract, replace(runs[0], name="search"), *runs[1:])
    assert (renamed.rule, renamed.subject, renamed.fluent) == ("contract-renamed", "run sweep", "search")
    (inside,) = judged(contract, *runs[:2], replace(runs[2], metrics={}))
    assert (inside.subject, inside.run, inside.source_line) == (
        "metric f1",
        "sweep/last",
        "mlflow-contract.yaml:21",
    )
    (new,) = judged(contract, *runs, run("d", parent="a", name="more"))
    assert (new.rule, new.subject) == ("contract-outdated", "run sweep/more")


def test_a_number_that_the_code_puts_behind_a_name_belongs_to_it() -> None:
    runs = [run(str(number), name=f"fold#{number}") for number in (1, 2)]
    launches = {mode: [launch(mode, *runs)] * 2 for mode in MODES}
    assert list(of(launches).runs) == ["fold#1", "fold#2"]
    assert judged(of(launches), *runs) == []


def test_a_run_that_began_before_its_parent_is_still_nested_in_it() -> None:
    runs = [run("b", parent="a", name="fold"), run("a", name="sweep")]
    contract = of({mode: [launch(mode, *runs)] * 2 for mode in MODES})
    assert [list(contract.runs), list(contract.runs["sweep"].runs)] == [["sweep"], ["fold"]]
    assert judged(contract, *runs) == []


def test_what_is_ignored_is_neither_held_nor_new() -> None:
    ignore = {"metrics": ("sc*",), "models": ("m",), "tags": ("*",)}
    contract = made(LOGGED, LOGGED, view=Normalizer(Ignore(**ignore)))
    assert "score" not in body(contract)
    assert "models:" not in body(contract)
    assert judged(contract, LOGGED, ignore=ignore) == []


# What is said


def test_a_finding_as_it_is_shown() -> None:
    contract = made(LOGGED, LOGGED)
    now = replace(
        LOGGED,
        params={"learning_rate": "0.1", "seed": "18"},
        metrics={"loss": series("loss", [3, 2, 1], [0, 0, 0])},
    )
    calls = (Observation("log_metric", "loss", run_id="r1", source_line="train.py:8"),)
    launches = [launch(mode, now, observations=calls) for mode in MODES]
    findings = judge_contract(source(contract), compare(*launches, case=case()))
    assert render(findings) == snapshot("""\
contract: no longer logged: metric score                      [contract-missing]

    what            fluent    mlflow run    place
    metric score    —         —             mlflow-contract.yaml:18

    The contract has it, and it isn't logged any more.
    fix: log it again; if it is meant to be gone:
         pytest --mlflow-project=/copy/project --mlflow-update

    mlflow-contract.yaml:18:

        - score: {first: 0, last: 0, count: 1}

    more: pytest --mlflow-explain=contract-missing

contract: renamed: param lr                                   [contract-renamed]

    what        fluent           mlflow run       place
    param lr    learning_rate    learning_rate    mlflow-contract.yaml:14

    What the contract calls lr is logged as learning_rate. Searches, charts and
    code that ask for the old name find nothing.
    fix: log it under the name it had; if the new one is meant:
         pytest --mlflow-project=/copy/project --mlflow-update

    mlflow-contract.yaml:14:

        - lr: "0.1"
        + learning_rate: "0.1"

    more: pytest --mlflow-explain=contract-renamed

contract: other values: param seed                      [contract-value-differs]

    what          fluent    mlflow run    place
    param seed    18        18            mlflow-contract.yaml:15

    The contract has 17.
    fix: log the value it had; if the new one is meant:
         pytest --mlflow-project=/copy/project --mlflow-update

    mlflow-contract.yaml:15:

        - seed: "17"
        + seed: "18"

    more: pytest --mlflow-explain=contract-value-differs

contract: other steps: metric loss                       [contract-steps-differ]

    what           fluent                mlflow run            place
    metric loss    3 points at step 0    3 points at step 0    mlflow-contract.yaml:17

    The contract has 3 points, 0 to 2; it is logged in train.py:8.
    fix: log it at the steps it had; if the new ones are meant:
         pytest --mlflow-project=/copy/project --mlflow-update

    mlflow-contract.yaml:17:

        - loss: {first: 0, last: 2, count: 3, regular: true}
        + loss: {first: 0, last: 0, count: 3, regular: false}

    more: pytest --mlflow-explain=contract-steps-differ\
""")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"params": {"lr": "0.1"}}, ("contract-missing", "param seed")),
        ({"params": {"lr": "0.1", "random_seed": "17"}}, ("contract-renamed", "param seed")),
        ({"params": {"lr": "0.1", "seed": ""}}, ("contract-value-differs", "param seed")),
        ({"metrics": {"score": series("score", [0.9])}}, ("contract-missing", "metric loss")),
        (
            {"metrics": {"score": series("score", [0.9]), "train_loss": LOSS}},
            ("contract-renamed", "metric loss"),
        ),
        (
            {"metrics": {"loss": series("loss", [3, 2]), "score": series("score", [0.9])}},
            ("contract-steps-differ", "metric loss"),
        ),
        ({"tags": {}}, ("contract-missing", "tag team")),
        ({"tags": {"team": "audio"}}, ("contract-value-differs", "tag team")),
        ({"artifacts": {"log.txt": artifact("log.txt")}}, ("contract-missing", "artifact plots/roc.png")),
        (
            {"artifacts": {name: artifact(name) for name in ("log.txt", "figures/roc.png")}},
            ("contract-renamed", "artifact plots/roc.png"),
        ),
        ({"models": {}}, ("contract-missing", "model m")),
        ({"models": {"other": model("other", signature=SIGNATURE)}}, ("contract-renamed", "model m")),
        ({"models": {"m": model("m", signature=None)}}, ("contract-model-differs", "model m")),
        (
            {"models": {"m": model("m", flavors=["a"], signature=SIGNATURE)}},
            ("contract-model-differs", "model m"),
        ),
        ({"datasets": ()}, ("contract-missing", "dataset train (training)")),
        (
            {"datasets": (Dataset("train", "abd", "local", "training"),)},
            ("contract-value-differs", "dataset train (training)"),
        ),
        ({"params": {**LOGGED.params, "new": "1"}}, ("contract-outdated", "param new")),
    ],
)
def test_each_change_is_named(change: dict[str, Any], expected: tuple[str, str]) -> None:
    assert slugs(judged(made(LOGGED, LOGGED), replace(LOGGED, **change))) == [expected]


def test_where_very_many_names_change_none_is_taken_for_another() -> None:
    # Compared each with each, these would take a minute.
    held, logged = (
        run(artifacts=[artifact(f"{name}/{number:05d}.bin") for number in range(800)])
        for name in ("weights", "checkpoints")
    )
    found = judged(made(held, held), logged)
    assert [one.rule for one in found] == ["contract-missing"] * 800 + ["contract-outdated"] * 800


def test_what_has_its_own_line_is_no_patterns() -> None:
    one, other = (
        run(params={"a": "1", f"a{end}": "x"}, artifacts=[artifact(f"b{end}"), artifact("b")])
        for end in ("b", "c")
    )
    contract = made(one, other)
    assert contract.runs["run 1"].params == {"a": "1", "a*": "x"}
    assert judged(contract, one) == judged(contract, other) == []
    # It may be another value then, and still has to be there.
    lost = replace(one, params={"ab": "x"})
    assert slugs(judged(contract, lost)) == [("contract-missing", "param a")]
    assert merged(contract, made(one, other)) == contract


def test_a_signature_without_params_may_be_written_down() -> None:
    text = updated(None, {"main": made(LOGGED, LOGGED)}).replace(
        "outputs: []", "outputs: []\n            params: []"
    )
    comparison = compare(*(launch(mode, LOGGED) for mode in MODES), case=case())
    assert judge_contract(read_text(FILE, text), comparison) == []


def test_a_loss_in_one_launch_names_it() -> None:
    launches = [launch("fluent", replace(LOGGED, tags={})), launch("mlflow-run", LOGGED)]
    (finding,) = judge_contract(source(made(LOGGED, LOGGED)), compare(*launches, case=case()))
    assert (finding.fluent, finding.mlflow_run) == (None, "vision")
    assert finding.why == "The contract has it, and the fluent launch doesn't log it any more."


def test_a_case_without_a_contract_is_told() -> None:
    text = updated(None, {"other": made(LOGGED, LOGGED)})
    comparison = compare(*(launch(mode, LOGGED) for mode in MODES), case=case())
    (finding,) = judge_contract(read_text(FILE, text), comparison)
    assert (finding.rule, finding.subject) == ("contract-outdated", "case main")
    assert finding.fix == "pytest --mlflow-project=/copy/project --mlflow-update -k 'main'"


def test_policy_and_failed_launches_hold_here_too() -> None:
    contract = source(made(LOGGED, LOGGED))
    comparison = compare(launch("fluent", exit_code=1), launch("mlflow-run", LOGGED), case=case())
    result = judge("contract", comparison, Policy(), lambda one: judge_contract(contract, one))
    assert result.skipped == "the fluent launch failed (see launches)"
    lost = compare(*(launch(mode, replace(LOGGED, tags={})) for mode in MODES), case=case())
    policy = Policy({"contract-missing": "off"})
    assert judge("contract", lost, policy, lambda one: judge_contract(contract, one)).findings == ()


# What somebody wrote


def test_what_was_made_looser_stays_while_it_holds() -> None:
    text = updated(None, {"main": made(LOGGED, LOGGED)})
    for old, new in (
        ('lr: "0.1"', "lr: null"),
        ("{first: 0, last: 2, count: 3, regular: true}", "{first: 0}"),
        ("          - log.txt\n          - plots/roc.png", '          - "*"'),
        ('          seed: "17"\n', ""),
        ("          team: vision", "          gone: x\n          team: null"),
        ("        models:", "        sometimes:\n          params:\n            seed: null\n        models:"),
    ):
        assert old in text
        text = text.replace(old, new)
    before = read_text(FILE, text, ["main"])
    # Nothing else has changed but what doesn't hold any more.
    after = updated(before, {"main": merged(before.contract.cases["main"], made(LOGGED, LOGGED))})
    assert after == text.replace("          gone: x\n", "")
    # The count of points is open, the first step isn't.
    other = replace(LOGGED, metrics={**LOGGED.metrics, "loss": series("loss", [1, 2], [5, 6])})
    again = updated(before, {"main": merged(before.contract.cases["main"], made(other, other))})
    assert again == after.replace("{first: 0}", "{first: 5, last: 6, count: 2, regular: true}")


OLD = """\
# mine
version: 1   # one
cases:
    other:   {runs: {}}   # untouched   \n
    main:
        # about the run
        runs:
            run 1:
                params:
                    # why alpha
                    alpha:   "1"   # one
                    # why beta
                    "beta":  '2'
                artifacts:
                -   b.txt   # b
                -   c.txt

        # the end
"""


def test_comments_layout_and_other_cases_stay_byte_for_byte() -> None:
    before = read_text(FILE, OLD)
    logged = run(params={"alpha": "3", "gamma": "2"}, artifacts=[artifact("a.txt"), artifact("b.txt")])
    after = updated(before, {"main": merged(before.contract.cases["main"], made(logged, logged))})
    assert after == snapshot("""\
# mine
version: 1   # one
cases:
    other:   {runs: {}}   # untouched  \x20

    main:
        # about the run
        runs:
            run 1:
                params:
                    # why alpha
                    alpha: "3"   # one
                    gamma: "2"
                    # why beta
                artifacts:
                -   b.txt   # b
                - a.txt

        # the end
""")
    assert updated(read_text(FILE, after), {"main": read_text(FILE, after).contract.cases["main"]}) == after


def test_a_layout_that_cant_be_edited_gives_way_but_nothing_is_lost() -> None:
    text = '{version: 1, cases: {main: {runs: {run 1: {params: {a: "1"}}}}, other: {}}}'
    logged = run(params={"a": "2"})
    after = updated(read_text(FILE, text), {"main": made(logged, logged)})
    read = read_text(FILE, after).contract
    assert read.cases == {"main": made(logged, logged), "other": CaseContract()}


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\ncases: !!map\n  other: {}\n",
        "version: 1\ncases:\n  ? main\n  : runs: {}\n",
    ],
)
def test_yaml_that_few_write_can_be_updated(text: str) -> None:
    contract = made(LOGGED, LOGGED)
    after = updated(read_text(FILE, text), {"main": contract})
    assert read_text(FILE, after).contract.cases["main"] == contract


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words", "plain words"),
        ("a/b_c.d-e", "a/b_c.d-e"),
        ("", '""'),
        ("0.5", '"0.5"'),
        ("1e3", '"1e3"'),
        ("no", '"no"'),
        ("Null", '"Null"'),
        (".inf", '".inf"'),
        ("2025-11-26", '"2025-11-26"'),
        ("a: b", '"a: b"'),
        ("a #b", '"a #b"'),
        ("*x", '"*x"'),
        ("!!python/object", '"!!python/object"'),
        ('say "x\\"', '"say \\"x\\\\\\""'),
        ("a\nb\x1b\u2028\U000e0001", '"a\\x0ab\\x1b\\u2028\\U000e0001"'),
        ("é☃", '"é☃"'),
    ],
)
def test_text_that_could_be_taken_for_something_else_is_quoted(text: str, expected: str) -> None:
    import yaml

    assert scalar(text) == expected
    assert yaml.safe_load(scalar(text)) == text
    assert yaml.safe_load("\n".join(entry(text, Flow([text])))) == {text: [text]}


def test_a_file_without_an_end_of_line_gets_one_where_something_follows() -> None:
    assert edited("a: 1\nb: 2", {"a": 1, "b": 2, "c": 3}) == snapshot("""\
a: 1
b: 2
c: 3
""")
    assert edited("a: 1\r\nb: 2\r\n", {"b": 3, "c": [1]}) == snapshot("""\
b: 3\r
c:\r
  - 1\r
""")


# Mistakes in the file

HEAD = "version: 1\ncases:\n  main:\n    runs:\n      run 1:\n"
MISTAKES = [
    ("", "1: the file is empty\n  write it with  pytest --mlflow-project=… --mlflow-update"),
    ("cases: {}", '1: "version" is missing\n  write  version: 1'),
    ("version: 2", '1: "version": this package reads version 1\n  write  version: 1, or install a newer one'),
    ("version: 1\ncase: {}", '2: unknown key "case": did you mean "cases"?'),
    (
        "version: 1\ncases:\n  mian: {}",
        '3: "cases.mian": the project has no such case: did you mean "main"?\n  rename it, or remove it',
    ),
    (f"{HEAD}        param: {{}}", '6: unknown key "cases.main.runs.run 1.param": did you mean "params"?'),
    (
        f"{HEAD}        params:\n          lr: 0.1",
        '7: "cases.main.runs.run 1.params.lr": this is a number, which has to be in quotes\n'
        '  write  lr: "0.1"',
    ),
    (
        f"{HEAD}        params:\n          lr: [1]",
        '7: "cases.main.runs.run 1.params.lr": this is a list\n'
        "  write text in quotes, or  lr: null  for any value",
    ),
    (
        f"{HEAD}        params:\n          1: x",
        '7: "cases.main.runs.run 1.params.1": a name has to be text, and this is a number\n  write  "1": …',
    ),
    (
        f"{HEAD}        metrics:\n          loss: 3",
        '7: "cases.main.runs.run 1.metrics.loss": this is a number\n'
        "  write as in  loss: {first: 0, last: 9, count: 10, regular: true}",
    ),
    (
        f"{HEAD}        metrics:\n          loss: {{frist: 0}}",
        '7: unknown key "cases.main.runs.run 1.metrics.loss.frist": did you mean "first"?',
    ),
    (
        f'{HEAD}        metrics:\n          loss: {{first: "0"}}',
        '7: "cases.main.runs.run 1.metrics.loss.first": this is text\n  write as in  first: 0',
    ),
    (
        f"{HEAD}        artifacts:\n          - a\n          - 1",
        '8: "cases.main.runs.run 1.artifacts.1": this is a number, which has to be in quotes\n  write  - "1"',
    ),
    (
        f"{HEAD}        artifacts: a",
        '6: "cases.main.runs.run 1.artifacts": this is text\n  write as in  artifacts: [name]',
    ),
    (
        f"{HEAD}        only: both",
        '6: "cases.main.runs.run 1.only": this is text that isn\'t known here\n'
        "  write one of  'fluent', 'mlflow-run' or 'sometimes'",
    ),
    (
        f"{HEAD}        mlflow_run: {{}}",
        '6: unknown key "cases.main.runs.run 1.mlflow_run": did you mean "mlflow-run"?',
    ),
    (
        f"{HEAD}        params: {{}}\n        params: {{}}",
        '7: "cases.main.runs.run 1.params" stands there twice\n  remove one of them',
    ),
]


@pytest.mark.parametrize(("text", "expected"), MISTAKES, ids=[text for _, text in MISTAKES])
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, expected: str) -> None:
    with pytest.raises(UserError) as refusal:
        read_text(FILE, text, ["main"])
    assert str(refusal.value) == f"mlflow-contract.yaml:{expected}"


def test_aliases_can_be_read_and_not_updated() -> None:
    text = f'{HEAD}        params: &all {{a: "1"}}\n        tags: *all\n'
    read = read_text(FILE, text, ["main"])
    assert read.contract.cases["main"].runs["run 1"].tags == {"a": "1"}
    with pytest.raises(UserError, match=r"^mlflow-contract.yaml:7: a file with aliases can't be updated"):
        updated(read, {"main": CaseContract()})


# The file itself


def test_it_is_written_in_one_step_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "mlflow-contract.yaml"
    assert save(file, "version: 1\n", before=None)
    file.chmod(0o640)
    assert save(file, "version: 1\ncases: {}\n", before="version: 1\n")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("version: 1\ncases: {}\n", 0o640)
    assert list(tmp_path.iterdir()) == [file]


def test_what_somebody_wrote_meanwhile_isnt_lost(tmp_path: Path) -> None:
    file = tmp_path / "mlflow-contract.yaml"
    file.write_text("version: 1 # edited\n")
    assert not save(file, "version: 1\n", before="version: 1\n")
    assert not save(file, "version: 1\n", before=None)
    assert file.read_text() == "version: 1 # edited\n"


def test_a_link_is_followed_inside_the_project_only(tmp_path: Path) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside.yaml"
    (project / "sub").mkdir(parents=True)
    link = project / "mlflow-contract.yaml"
    link.symlink_to("sub/real.yaml")
    assert save(link, "version: 1\n", before=None)
    assert link.is_symlink()
    assert (project / "sub" / "real.yaml").read_text() == "version: 1\n"
    link.unlink()
    outside.write_text("mine")
    link.symlink_to(outside)
    with pytest.raises(UserError, match="this is a link that leads out of the project"):
        save(link, "version: 1\n", before="mine")
    assert outside.read_text() == "mine"


def test_there_is_none_where_there_is_no_file(tmp_path: Path) -> None:
    assert read_contract(tmp_path) is None
    (tmp_path / "mlflow-contract.yaml").mkdir()
    with pytest.raises(UserError, match="this is a directory"):
        read_contract(tmp_path)
