"""Names, descriptions, tags and datasets, on hand-made runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_mlflow_check.checks.launches import check_launches
from pytest_mlflow_check.checks.params import check_params
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Dataset, Observation, RunRecord
from support.builders import compare, compare_runs, launch, run, slugs


def logged(**fields: Any) -> RunRecord:
    return run(params={"a": "1"}, **fields)


def found(fluent: dict[str, Any], mlflow_run: dict[str, Any], **settings: Any) -> list[Finding]:
    return check_launches(compare_runs(logged(**fluent), logged(**mlflow_run), **settings))


def test_the_same_is_no_finding() -> None:
    said = {
        "name": "sweep",
        "tags": {"team": "a", "mlflow.note.content": "about"},
        "datasets": (Dataset("d", "1", "local", "training"),),
    }
    assert found(said, said) == []


def test_mlflows_own_tags_arent_compared() -> None:
    assert found({"tags": {"mlflow.user": "a"}}, {"tags": {"mlflow.project.env": "local"}}) == []


@pytest.mark.parametrize("other", ["", "bold-ant-123", "calm-bee-7"])
def test_invented_names_arent_compared(other: str) -> None:
    assert found({"name": "bold-ant-1"}, {"name": other}) == []


def test_a_name_in_one_launch() -> None:
    (finding,) = found({"name": "sweep"}, {"name": "bold-ant-1"})
    assert finding == Finding(
        rule="run-name-differs",
        subject="run",
        fluent="sweep",
        mlflow_run="a name that MLflow invented",
        why="The same code with the same values gave the run another name.",
        fix=(
            "make the name from the parameters alone, and give it to start_run() whatever the "
            "launch mode:  run_name=…"
        ),
    )


def test_a_tag_in_one_launch_with_its_line() -> None:
    call = Observation("set_tag", "team", "a", run_id="r1", source_line="train.py:4")
    comparison = compare(
        launch("fluent", logged(tags={"team": "a"}), observations=(call,)), launch("mlflow-run", logged())
    )
    assert check_launches(comparison) == [
        Finding(
            rule="tag-missing",
            subject="team",
            fluent="a",
            source_line="train.py:4",
            why="The same code with the same values set this tag in one launch only.",
            fix='set it whatever the launch mode:  mlflow.set_tag("team", …)',
        )
    ]


def test_a_tag_given_at_the_start_has_the_line_of_the_start() -> None:
    call = Observation("start_run", run_id="r1", source_line="train.py:2")
    comparison = compare(
        launch("fluent", logged(tags={"team": "a"}), observations=(call,)),
        launch("mlflow-run", logged(tags={"team": "b"})),
    )
    (finding,) = check_launches(comparison)
    assert (finding.rule, finding.source_line) == ("tag-differs", "train.py:2")
    assert (finding.fluent, finding.mlflow_run) == ("a", "b")


def test_a_description_in_one_launch() -> None:
    (finding,) = found({"tags": {"mlflow.note.content": "about"}}, {})
    assert (finding.rule, finding.fluent, finding.mlflow_run) == ("description-differs", "about", None)


def test_datasets_are_compared_by_name_and_context_and_all_digests() -> None:
    train, test = Dataset("d", "1", "local", "training"), Dataset("d", "2", "local", "testing")
    other = Dataset("d", "3", "local", "training")
    assert slugs(found({"datasets": (train, test)}, {"datasets": (train,)})) == [
        ("dataset-missing", "d (testing)")
    ]
    (finding,) = found({"datasets": (train, other)}, {"datasets": (other,)})
    assert (finding.rule, finding.subject) == ("dataset-differs", "d (training)")
    assert (finding.fluent, finding.mlflow_run) == ("1, 3", "3")
    assert found({"datasets": (other, train)}, {"datasets": (train, other)}) == []


def test_places_and_ids_differ_by_their_nature() -> None:
    def side(mode: Any, digit: str) -> Any:
        copy = Path(f"/area/{mode}/workspace")
        tags = {
            "data": f"{copy}/data.csv",
            "run": f"https://server/{digit * 32}",
            "mlflow.note.content": f"from {copy}/data.csv, see {digit * 32}",
        }
        record = run(digit * 32, params={"run": digit * 32}, tags=tags)
        return launch(mode, record, workspace=copy, origin=Path("/home/me"), directory=copy)

    comparison = compare(side("fluent", "a"), side("mlflow-run", "b"))
    assert [*check_launches(comparison), *check_params(comparison)] == []


def test_what_is_ignored() -> None:
    ignore = {"tags": ["work*"], "datasets": ["d"]}
    one = {"tags": {"worker": "1"}, "datasets": (Dataset("d", "1", "local"),)}
    other = {"tags": {"worker": "2"}, "datasets": ()}
    assert len(found(one, other)) == 2
    assert found(one, other, ignore=ignore) == []


def test_findings_of_nested_runs_say_which() -> None:
    children = [
        run("r2", parent="r1", name="trial-3", tags={"team": value}, params={"b": "1"}) for value in "ab"
    ]
    comparison = compare(
        launch("fluent", logged(name="sweep"), children[0]),
        launch("mlflow-run", logged(name="sweep"), children[1]),
    )
    (finding,) = check_launches(comparison)
    assert (finding.rule, finding.subject, finding.run) == ("tag-differs", "team", "sweep/trial-3")


def test_tags_that_a_library_sets_to_another_value_each_time() -> None:
    assert found({"tags": {"Run Time": "1.3", "USI": "a1"}}, {"tags": {"Run Time": "1.4", "USI": "b2"}}) == []
    (finding,) = found({"tags": {"Run Time": "1.3"}}, {})
    assert finding.rule == "tag-missing"


def test_moments_of_the_launch_in_tags() -> None:
    moments = ("2026-11-30 18:16:24.971022", "2026-11-30 18:16:48.474668")
    sides = [logged(tags={"begun": moment, "until": "2027-01-01 00:00:00"}) for moment in moments]
    starts = (1796062582.0, 1796062606.0)
    one, other = (
        launch(mode, side, started=start, duration=10.0)
        for mode, side, start in zip(("fluent", "mlflow-run"), sides, starts, strict=True)
    )
    assert check_launches(compare(one, other)) == []
