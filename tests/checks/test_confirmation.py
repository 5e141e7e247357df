"""Chance or launch mode: what a second fluent launch tells of values that differ."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_mlflow_check.checks.confirmation import VARIES, explained
from pytest_mlflow_check.checks.runner import CaseJudge, Policy, compare_launches
from pytest_mlflow_check.config.settings import ProjectConfig, load_settings
from pytest_mlflow_check.core.findings import Allowance, Finding
from pytest_mlflow_check.core.records import Dataset, Launch, MissingSeed, RunRecord
from pytest_mlflow_check.engine.seeds import missing_seeds
from pytest_mlflow_check.rules import RULES
from support.builders import case, launch, parameter, run, series, written

TORCH = MissingSeed("torch", "train.py:2", "torch.manual_seed", "torch.manual_seed(0)")


def judge(
    fluent: RunRecord,
    mlflow_run: RunRecord,
    again: RunRecord | None = None,
    *,
    policy: Policy | None = None,
    exit_code: int = 0,
    known: frozenset[tuple[str, str, str]] = frozenset(),
    **settings: object,
) -> CaseJudge:
    made: dict[str, Launch] = {
        "fluent": launch("fluent", fluent),
        "mlflow-run": launch("mlflow-run", mlflow_run),
    }
    comparison = compare_launches(made, settings=ProjectConfig.model_validate(settings))  # type: ignore[arg-type]
    confirming = None if again is None else launch("fluent", again, exit_code=exit_code)
    comparison = replace(
        comparison, confirming=confirming, missing_seeds=(TORCH,) if again else (), known_to_vary=known
    )
    return CaseJudge(comparison, policy or Policy())


def losing(*values: float) -> RunRecord:
    return run(metrics=[series("loss", values)])


def found(judged: CaseJudge, check: str = "metrics") -> list[Finding]:
    return list(judged.judge(check).findings)


def test_what_differs_in_two_fluent_launches_is_a_warning() -> None:
    (finding,) = found(judge(losing(1, 2), losing(1, 3), losing(1, 4)))
    assert (finding.rule, finding.severity) == ("metric-varies", "warning")
    assert finding.fluent == "2.0 at step 1; again: 4.0 at step 1"
    assert finding.mlflow_run == "3.0 at step 1"
    assert finding.why == (
        "It differs between two fluent launches too, so the launch mode isn't the reason. "
        "train.py:2 imports torch, and no file calls torch.manual_seed."
    )
    assert "torch.manual_seed(0)" in finding.fix


def test_what_is_the_same_in_two_fluent_launches_is_an_error() -> None:
    (finding,) = found(judge(losing(1, 2), losing(1, 3), losing(1, 2)))
    assert (finding.rule, finding.severity) == ("metric-values-differ", "error")
    assert finding.why.endswith(
        "Two fluent launches logged the same, so the launch mode makes the difference."
    )


@pytest.mark.parametrize(("again", "exit_code"), [(None, 0), (losing(1, 4), 1)], ids=["not made", "failed"])
def test_without_evidence_nothing_is_said_of_chance(again: RunRecord | None, exit_code: int) -> None:
    (finding,) = found(judge(losing(1, 2), losing(1, 3), again, exit_code=exit_code))
    assert finding.rule == "metric-values-differ"
    assert "seed" not in finding.why + finding.fix
    assert "launch mode makes" not in finding.why


def test_a_series_may_vary_in_another_way_each_time() -> None:
    """An early stop: now the number of points differs, now the values do."""
    (finding,) = found(judge(losing(1, 2), losing(1, 3), losing(1, 2, 3)))
    assert finding.rule == "metric-varies"


def test_a_run_is_the_same_one_where_a_launch_has_more_runs() -> None:
    """The runs of the two fluent launches have no labels: there is one in each."""
    two_runs = launch("mlflow-run", losing(1, 3), run("second"))
    made = {"fluent": launch("fluent", losing(1, 2)), "mlflow-run": two_runs}
    comparison = compare_launches(made, settings=ProjectConfig())
    comparison = replace(comparison, confirming=launch("fluent", losing(1, 4)))
    findings = found(CaseJudge(comparison, Policy()))
    assert "metric-varies" in [finding.rule for finding in findings]
    assert "metric-values-differ" not in [finding.rule for finding in findings]


def test_what_is_known_to_vary_needs_no_launch() -> None:
    known = frozenset({("metric-values-differ", "loss", "")})
    judged = judge(losing(1, 2), losing(1, 3), known=known)
    assert judged.unexplained(["metrics"]) == []
    (finding,) = found(judged)
    assert finding.rule == "metric-varies"
    assert "in an earlier session" in finding.why


def test_only_what_a_launch_can_explain_asks_for_one(tmp_path: Path) -> None:
    assert judge(losing(1, 2), losing(1, 3)).unexplained(["metrics"])
    # The other check differs, and isn't asked for.
    assert not judge(losing(1, 2), losing(1, 3)).unexplained(["params", "launches"])
    assert not judge(losing(1, 2), losing(1, 2)).unexplained(["metrics"])
    assert not judge(losing(1, 2), run(params={"a": "1"})).unexplained(["metrics"])
    off = Policy({"metric-values-differ": "off"})
    assert not judge(losing(1, 2), losing(1, 3), policy=off).unexplained(["metrics"])
    allowed = Policy(allowances=(Allowance("metric-values-differ", "loss", "it may"),))
    assert not judge(losing(1, 2), losing(1, 3), policy=allowed).unexplained(["metrics"])


def test_what_mlflow_run_logs_by_itself_asks_for_none() -> None:
    judged = judge(run(params={"lr": "0.10"}), run(params={"lr": "0.1"}))
    assert judged.unexplained(["params"])
    declared = replace(judged, comparison=replace(judged.comparison, case=case(parameter("lr"))))
    assert not declared.unexplained(["params"])


def test_what_varied_is_told_by_all_the_ways_it_may_differ() -> None:
    judged = judge(losing(1, 2), losing(1, 3), losing(1, 4))
    assert judged.varying(["metrics"]) == {
        (rule, "loss", "") for rule, varies in VARIES.items() if varies == "metric-varies"
    }
    assert judged.varying(["params"]) == frozenset()


@pytest.mark.parametrize("rule", sorted(VARIES))
def test_each_rule_has_a_warning_beside_it(rule: str) -> None:
    assert RULES[VARIES[rule]].severity == "warning"
    assert RULES[VARIES[rule]].check == RULES[rule].check


def kinds(directory: Path, number: int) -> RunRecord:
    return run(
        params={"same": "1", "made": str(number)},
        tags={"when": str(number)},
        datasets=(Dataset("data", f"digest{number}", "local"),),
        artifacts=[written("report.txt", directory / str(number), str(number).encode())],
    )


def test_each_kind_that_varies(tmp_path: Path) -> None:
    judged = judge(*(kinds(tmp_path, number) for number in range(3)), artifact_contents=["*.txt"])
    for check, rules in {
        "params": ["param-varies"],
        "launches": ["tag-varies", "dataset-varies"],
        "artifacts": ["artifact-varies"],
    }.items():
        assert [finding.rule for finding in found(judged, check)] == rules
        assert {finding.severity for finding in found(judged, check)} == {"warning"}


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("import torch\n", ["torch.manual_seed"]),
        ("from torch import nn\ntorch.manual_seed(1)\n", []),
        ("import os, random\n", ["random.seed"]),
        ("import random\nrandom.seed(args.seed)\n", []),
        ("import numpy as np\nrng = np.random.default_rng()\n", ["numpy.random.seed"]),
        ("import numpy as np\nrng = np.random.default_rng(7)\n", []),
        ("from sklearn.svm import SVC\nSVC(random_state=0)\n", []),
        ("import torch, numpy\nlightning.seed_everything(0)\n", []),
        ("import torchvision\n", []),
    ],
)
def test_missing_seeds(text: str, calls: list[str], tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(text)
    (tmp_path / "other.py").write_text("print()\n")
    seeds = missing_seeds(tmp_path)
    assert [seed.call for seed in seeds] == calls
    assert all(seed.place == "train.py:1" for seed in seeds)


@pytest.mark.parametrize(
    ("rule", "subject", "setting"),
    [
        ("metric-values-differ", "loss", 'ignore.metrics = ["loss"]'),
        ("dataset-differs", "rates (training)", 'ignore.datasets = ["rates"]'),
        ("description-differs", "run 1", 'rules.tag-varies = "off"'),
        ("tag-differs", "when", 'ignore.tags = ["when"]'),
    ],
)
def test_the_setting_that_is_printed_is_one_that_holds(
    rule: str, subject: str, setting: str, tmp_path: Path
) -> None:
    """As what an earlier session found is told, which needs no launch."""
    found = Finding(rule=rule, subject=subject, why="Because.", fix="fix it")
    comparison = replace(
        compare_launches({}, settings=ProjectConfig()), known_to_vary=frozenset({(rule, subject, "")})
    )
    (said,) = explained(comparison, [found], lambda _: [])
    assert said.fix.endswith(setting)
    # One line of TOML, as it is pasted.
    (tmp_path / "mlflow-check.toml").write_text(setting)
    load_settings(tmp_path)
