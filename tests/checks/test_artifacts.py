"""Artifacts: the same files, the same bytes where asked, and no model among them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_mlflow_check.checks.artifacts import check_artifacts
from pytest_mlflow_check.checks.pyfunc_snippets import ModelFile, parts
from pytest_mlflow_check.core.findings import Finding
from pytest_mlflow_check.core.records import Artifact, Mode, Observation, StoreRecord
from pytest_mlflow_check.rules.policy import Policy
from support.builders import HOME, artifact, compare, compare_runs, launch, model, quick, run, slugs, written

MODES: tuple[Mode, ...] = ("fluent", "mlflow-run")


def test_equal_paths_are_fine_whatever_their_sizes() -> None:
    here = run(artifacts=[artifact("a.txt", size=1), artifact("log/b.txt")])
    there = run(artifacts=[artifact("log/b.txt"), artifact("a.txt", size=99)])
    assert check_artifacts(compare_runs(here, there)) == []


def test_an_artifact_of_one_launch_only_is_missing() -> None:
    (finding,) = check_artifacts(compare_runs(run(artifacts=[artifact("log/a.txt", size=12)]), run()))
    assert finding == Finding(
        rule="artifact-missing",
        subject="log/a.txt",
        why="The same code with the same values logged it in one launch only.",
        fix=(
            "log it whatever the launch mode, by a name that depends on the parameters alone; what "
            "needn't be there isn't compared with:  ignore.artifacts = [\"log/a.txt\"]"
        ),
        fluent="12 bytes",
        mlflow_run=None,
    )


@pytest.mark.parametrize(("size", "shown"), [(0, "0 bytes"), (1, "1 byte"), (2, "2 bytes")])
def test_sizes_are_said_in_words(size: int, shown: str) -> None:
    (finding,) = check_artifacts(compare_runs(run(), run(artifacts=[artifact("a", size=size)])))
    assert (finding.fluent, finding.mlflow_run) == (None, shown)


def test_content_is_compared_only_where_asked(tmp_path: Path) -> None:
    here, there = (
        run(
            artifacts=[
                written("log/a.txt", tmp_path / mode, mode.encode()),
                written("log/same.txt", tmp_path / mode, b"same"),
                # Comparing these two would fail: they aren't there to be read.
                artifact("other.txt", size=len(mode)),
            ]
        )
        for mode in ("one", "other")
    )
    assert check_artifacts(compare_runs(here, there)) == []
    (finding,) = check_artifacts(compare_runs(here, there, artifact_contents=["log/*.txt"]))
    assert finding == Finding(
        rule="artifact-content-differs",
        subject="log/a.txt",
        why="It matches a pattern of artifact_contents, and its bytes differ (size, SHA-256).",
        fix=(
            "make its content depend on the parameters alone, or leave its pattern out:  "
            "artifact_contents = []"
        ),
        fluent="3 bytes, 7692c3ad…",
        mlflow_run="5 bytes, d9298a10…",
    )


def test_content_of_equal_size_is_compared_byte_by_byte(tmp_path: Path) -> None:
    here = run(artifacts=[written("a", tmp_path / "here", b"\x00\xff")])
    there = run(artifacts=[written("a", tmp_path / "there", b"\xff\x00")])
    found = check_artifacts(compare_runs(here, there, artifact_contents=["*"]))
    assert slugs(found) == [("artifact-content-differs", "a")]


def test_an_artifact_missing_on_one_side_has_no_content_to_compare() -> None:
    found = check_artifacts(compare_runs(run(artifacts=[artifact("a")]), run(), artifact_contents=["*"]))
    assert slugs(found) == [("artifact-missing", "a")]


def test_a_serialised_object_in_a_run_without_a_model_should_be_one() -> None:
    record = run(artifacts=[artifact("out/model_pickle", size=20, format="pickle"), artifact("log.txt")])
    (finding,) = check_artifacts(compare_runs(record, record))
    assert finding == Finding(
        rule="model-as-artifact",
        subject="out/model_pickle",
        why="The run logs no model, but this file holds a serialised object. An artifact has no flavor, no "
        "signature and no requirements, and can't be registered.",
        fix="log the object with its own flavor, for a scikit-learn model  mlflow.sklearn.log_model(model, "
        '"model_pickle")  or the file with the wrapper below',
        fluent="pickle, 20 bytes",
        mlflow_run="pickle, 20 bytes",
        code=parts(
            ModelFile(
                "out/model_pickle", "pickle", taken="out/model_pickle", note="the path of the file on disk"
            ),
            "and log the file with it, inside the run",
        ),
    )
    (finding,) = check_artifacts(compare(launch("fluent", record)))
    assert (finding.fluent, finding.mlflow_run) == ("pickle, 20 bytes", None)


@pytest.mark.parametrize(
    ("call", "path", "note"),
    [
        (Observation("log_artifact", "m/a.pkl", "out/a.pkl"), "out/a.pkl", ""),
        (Observation("log_artifact", "m/a.pkl", "/copy/out/a.pkl"), "../out/a.pkl", ""),
        (Observation("log_artifact", "m/a.pkl", "/tmp/x/a.pkl"), "/tmp/x/a.pkl", "  # <- as t.py:3 has it"),
        (Observation("log_artifacts", "m", "out"), "out/a.pkl", ""),
        (Observation("log_artifacts", "", "out"), "out/m/a.pkl", ""),
        (Observation("log_artifacts", "", "."), "m/a.pkl", ""),
        (
            Observation("log_artifact", "m/other.pkl", "out/a.pkl"),
            "m/a.pkl",
            "  # <- the path of the file on disk",
        ),
    ],
)
def test_the_wrapper_takes_the_path_that_the_code_logs(call: Observation, path: str, note: str) -> None:
    record = run(artifacts=[artifact("m/a.pkl", format="joblib")])
    seen = launch("fluent", record, observations=[replace(call, source_line="t.py:3")], workspace=HOME.parent)
    (finding,) = check_artifacts(compare(seen))
    wrapper, log = finding.code
    assert wrapper.title == "save this as joblib_wrapper.py in the project's directory"
    assert f'    artifacts={{"model": "{path}"}},{note}\n' in log.text
    where = ", where t.py:3 logs it now" if finding.source_line else ""
    assert log.title == f"and log the file with it, inside the run{where}"


def test_a_pickle_beside_a_logged_model_is_fine() -> None:
    record = run(artifacts=[artifact("optimizer.pkl", format="pickle")], models=[model("m")])
    assert check_artifacts(compare_runs(record, record)) == []


def test_a_pickle_beside_a_model_that_one_launch_lacks_is_left_to_the_models() -> None:
    pickle = artifact("optimizer.pkl", format="pickle")
    here, there = run(artifacts=[pickle], models=[model("m")]), run(artifacts=[pickle])
    assert check_artifacts(compare_runs(here, there)) == []
    assert check_artifacts(compare_runs(there, here)) == []


def test_a_pickle_in_a_run_beside_the_run_with_the_model_should_be_one() -> None:
    runs = (run("r1", models=[model("m")]), run("r2", artifacts=[artifact("weights", format="torch")]))
    (finding,) = check_artifacts(compare(launch("fluent", *runs), launch("mlflow-run", *runs)))
    assert (finding.rule, finding.subject, finding.run) == ("model-as-artifact", "weights", "run 2")


def test_ignored_artifacts_are_neither_compared_nor_taken_for_models() -> None:
    here = run(artifacts=[artifact("tmp/a.pkl", format="pickle"), artifact("tmp/deep/b.txt")])
    there = run(artifacts=[artifact("tmp/a.pkl", format="pickle"), artifact("Tmp/c.txt")])
    comparison = compare_runs(here, there, ignore={"artifacts": ["tmp/*"]}, artifact_contents=["*"])
    assert slugs(check_artifacts(comparison)) == [("artifact-missing", "Tmp/c.txt")]


PATHS = st.lists(
    st.tuples(st.sampled_from(["a", "b", "d/a", "d/b"]), st.sampled_from([None, "pickle"])),
    unique_by=lambda one: one[0],
)


@quick
@given(PATHS, PATHS)
def test_which_side_is_which_makes_no_difference(
    one: list[tuple[str, str | None]], other: list[tuple[str, str | None]]
) -> None:
    here, there = (run(artifacts=[artifact(path, format=format) for path, format in x]) for x in (one, other))
    forth, back = check_artifacts(compare_runs(here, there)), check_artifacts(compare_runs(there, here))
    assert sorted(slugs(forth)) == sorted(slugs(back))
    assert {(two.subject, two.fluent, two.mlflow_run) for two in forth} == {
        (two.subject, two.mlflow_run, two.fluent) for two in back
    }
    missing = {subject for rule, subject in slugs(forth) if rule == "artifact-missing"}
    assert missing == {path for path, _ in one} ^ {path for path, _ in other}


UUIDS = ("3fa85f64-5717-4562-b3fc-2c963f66afa6", "0b1c5f64-5717-4562-b3fc-2c963f66afa7")


def images(key: str, steps: list[int], launch: int = 0, *, mark: str = "+") -> list[Artifact]:
    """What `mlflow.log_image(key=…)` writes in one of two launches: two files for each image."""
    found = []
    for number, step in enumerate(steps):
        uuid = f"{number:08x}{UUIDS[launch][8:]}"
        stem = mark.join(
            [
                f"images/{key}",
                "step",
                str(step),
                "timestamp",
                str(1796062582000 + 7777 * launch + number),
                uuid,
            ]
        )
        found += [artifact(f"{stem}.png", size=9 + number), artifact(f"{stem}{mark}compressed.webp")]
    return found


@pytest.mark.parametrize("mark", ["+", "%"])
def test_images_are_the_same_by_key_step_and_order(mark: str) -> None:
    here, there = (run(artifacts=images("dogs~big", [0, 1, 1, 10], number, mark=mark)) for number in range(2))
    assert check_artifacts(compare_runs(here, there)) == []


def test_a_lost_image_is_one_finding_with_its_line() -> None:
    here, there = run("r1", artifacts=images("a~b", [0, 1, 2])), run("r2", artifacts=images("a~b", [0, 1], 1))
    call = Observation("log_artifact", "a/b", run_id="r1", source_line="train.py:9")
    (finding,) = check_artifacts(
        compare(launch("fluent", here, observations=(call,)), launch("mlflow-run", there))
    )
    assert finding == Finding(
        rule="artifact-missing",
        subject="images of a/b at step 2",
        fluent="1 image",
        mlflow_run=None,
        source_line="train.py:9",
        why="The same code with the same values logged them in one launch only.",
        fix="log them with the same key and step whatever the launch mode:  "
        'mlflow.log_image(…, key="a/b", step=…)',
    )


def test_lost_images_are_one_finding_a_key() -> None:
    here, there = run(artifacts=images("a", [*range(6)])), run(artifacts=images("b", [0, 1, 4], 1))
    found = check_artifacts(compare_runs(here, there))
    assert [(one.subject, one.fluent, one.mlflow_run) for one in found] == [
        ("images of a at 6 steps from 0 to 5", "6 images", None),
        ("images of b at steps 0, 1 and 4", None, "3 images"),
    ]


def test_names_with_an_id_or_the_time_of_the_launch_are_the_same() -> None:
    names = [
        ("tb/events.out.tfevents.1796062583.a.12.0.v2", "plots/20261130_181623.png", f"t/{UUIDS[0]}/x.png"),
        ("tb/events.out.tfevents.1796062683.a.99.0.v2", "plots/20261130_181803.png", f"t/{UUIDS[1]}/x.png"),
    ]
    sides = [run(artifacts=[artifact(name) for name in of]) for of in names]
    one, other = (
        launch(mode, side, started=1796062582.0 + 100 * number, duration=5.0)
        for number, (mode, side) in enumerate(zip(MODES, sides, strict=True))
    )
    assert check_artifacts(compare(one, other)) == []
    more = replace(other, record=StoreRecord((run(artifacts=[artifact(name) for name in names[1][1:]]),)))
    (finding,) = check_artifacts(compare(one, more))
    assert (finding.rule, finding.subject) == ("artifact-missing", names[0][0])


def test_content_is_compared_of_images_that_have_another_name(tmp_path: Path) -> None:
    sides = [
        run(artifacts=[written(images("a", [0], number)[0].path, tmp_path, bytes([number]))])
        for number in range(2)
    ]
    (finding,) = check_artifacts(compare_runs(*sides, artifact_contents=["images/*"]))
    assert finding.rule == "artifact-content-differs"


def test_logged_checkpoints_are_one_warning() -> None:
    paths = [f"model/checkpoints/epoch={n}/epoch={n}.ckpt" for n in range(3)]
    record = run(artifacts=[artifact(path, format="torch checkpoint") for path in paths])
    (finding,) = check_artifacts(compare_runs(record, record))
    assert (finding.rule, finding.subject) == ("model-as-artifact", "model/checkpoints/*.ckpt")
    assert (finding.fluent, finding.mlflow_run) == ("3 checkpoints", "3 checkpoints")
    assert finding.code == ()
    assert finding.fix.endswith('mlflow.pytorch.log_model(model, "model")')
    (result,) = Policy().apply("artifacts", [finding]).findings
    assert result.severity == "warning"
    (result,) = Policy({"model-as-artifact": "error"}).apply("artifacts", [finding]).findings
    assert result.severity == "error"


def test_a_checkpoint_beside_a_logged_model_is_fine() -> None:
    record = run(artifacts=[artifact("last.ckpt", format="torch checkpoint")], models=[model("m")])
    assert check_artifacts(compare_runs(record, record)) == []


def test_checkpoints_of_transformers_name_its_own_flavor() -> None:
    names = ("model.safetensors", "optimizer.pt", "rng_state.pth")
    record = run(
        artifacts=[artifact(f"out/checkpoint-12/{name}", format="transformers checkpoint") for name in names]
    )
    (finding,) = check_artifacts(compare_runs(record, record))
    assert finding.subject == "out/checkpoint-12/*"
    assert "mlflow.transformers.log_model({" in finding.fix


def test_a_directory_of_transformers_is_one_finding() -> None:
    names = [f"final/model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    record = run(artifacts=[artifact(name, format="transformers") for name in names])
    (finding,) = check_artifacts(compare_runs(record, record))
    assert (finding.subject, finding.severity) == (names[0], "error")
    assert finding.fix.endswith('mlflow.transformers.log_model("final", "final_model", task="…")')
