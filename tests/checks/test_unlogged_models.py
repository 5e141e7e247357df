"""Models that are known by their path, or only saved as files; and files that aren't taken for models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from pytest_mlflow_check.checks.artifacts import check_artifacts
from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.unlogged_models import known_by_path
from pytest_mlflow_check.core.records import Observation, RunRecord, SavedFile
from pytest_mlflow_check.reporting.text import render
from support.builders import HOME, artifact, compare, launch, model, run, slugs

BEST = "runs/exp/weights/best.pt"
WEIGHTS = {BEST: SavedFile("torch weights", "torch._utils._rebuild_tensor_v2")}
RULE = "model-as-artifact"


def both(
    *runs: RunRecord,
    saved: Mapping[str, SavedFile],
    calls: tuple[Observation, ...] = (),
    **settings: object,
) -> Comparison:
    """Two launches that saved the same."""
    given = {"saved": saved, "observations": calls, "workspace": HOME, "origin": Path("/home/me/project")}
    return compare(launch("fluent", *runs, **given), launch("mlflow-run", *runs, **given), **settings)


def test_a_model_known_only_by_its_path_as_a_whole_text() -> None:
    named = run(params={"weights": BEST, "epochs": "3"})
    calls = (Observation("log_param", "weights", BEST, source_line="train.py:31"),)
    found = check_artifacts(both(named, saved=WEIGHTS, calls=calls))
    assert render(found) == snapshot("""\
artifacts: 1 that should be a model                          [model-as-artifact]

    artifact                    fluent                       mlflow run                   place
    runs/exp/weights/best.pt    torch weights, not logged    torch weights, not logged    train.py:31

    The run logs no model, only the path of one: the param 'weights' names this
    file, which was written and isn't logged. A path leads nowhere on another
    machine, and to another model after the next training; nothing can be
    registered or loaded by it.
    fix: log the object with its own flavor, for a network
         mlflow.pytorch.log_model(model, "best")  or the file with the wrapper
         below

    save this as torch_weights_wrapper.py in the project's directory:

        import mlflow
        import torch
        from my_network import MyNetwork  # <- the class of the network that the weights belong to


        class Wrapper(mlflow.pyfunc.PythonModel):
            def load_context(self, context):
                file = context.artifacts["model"]
                weights = torch.load(file, map_location="cpu", weights_only=False)
                for key in ("state_dict", "model_state_dict", "model"):  # of a checkpoint
                    weights = weights.get(key, weights)
                self.model = MyNetwork()
                self.model.load_state_dict(weights)
                self.model.eval()

            def predict(self, context, model_input, params=None):
                values = getattr(model_input, "values", model_input)  # of a DataFrame
                with torch.no_grad():
                    return self.model(torch.as_tensor(values, dtype=torch.float32)).numpy()


        mlflow.models.set_model(Wrapper())

    and log the file with it, inside the run, once it is written:

        mlflow.pyfunc.log_model(
            "best",
            python_model="torch_weights_wrapper.py",
            artifacts={"model": "runs/exp/weights/best.pt"},
            code_paths=["my_network.py"],  # <- the file of that class
            # input_example=X[:3],  # a few rows of what it predicts from: gives it a signature
        )

    more: pytest --mlflow-explain=model-as-artifact\
""")


@pytest.mark.parametrize(
    "value",
    [
        BEST,
        f"./{BEST}",
        f"{HOME}/{BEST}",
        f"/home/me/project/{BEST}",
        f"file://{HOME}/{BEST}",
        f"/mnt/work/{BEST}",
        "weights/best.pt",
        "best.pt",
        f"'{BEST}'",
    ],
)
def test_values_that_name_a_file(value: str) -> None:
    for named in (run(params={"a": value}), run(tags={"a": value})):
        assert slugs(check_artifacts(both(named, saved={BEST: SavedFile("pickle", "")}))) == [(RULE, BEST)]


@pytest.mark.parametrize(
    "value", ["", "/", ".", "pt", "test.pt", "other/best.pt", "best", "runs/exp/weights", "t.pt"]
)
def test_values_that_dont(value: str) -> None:
    named = run(params={"a": value}, tags={"mlflow.note.content": BEST})
    assert [*known_by_path(both(named, saved=WEIGHTS))] == []


def test_a_word_and_a_path_elsewhere_dont_name_a_file_in_the_project() -> None:
    named = run(params={"kind": "model", "base": "/data/pretrained/m.pkl"})
    saved = {"model": SavedFile("pickle", "numpy.x"), "m.pkl": SavedFile("hdf5")}
    found = check_artifacts(both(named, saved=saved))
    # Only the name of the file itself makes it a model.
    assert [(one.subject, "param" in one.why) for one in found] == [("model", False)]


def test_a_tag_is_named_with_its_line_and_a_file_is_told_once() -> None:
    runs = (run("r1", tags={"best": BEST}), run("r2", params={"weights": BEST}))
    calls = (Observation("set_tag", "best", BEST, source_line="train.py:7"),)
    (finding,) = check_artifacts(both(*runs, saved=WEIGHTS, calls=calls))
    assert (finding.source_line, finding.run) == ("train.py:7", "run 1")
    assert "the tag 'best' names this file" in finding.why


@pytest.mark.parametrize("where", ["r1", "r2", "r3"])
def test_a_path_beside_a_logged_model_is_fine(where: str) -> None:
    def models(of: str) -> list[object]:
        return [model("m")] if of == where else []

    runs = (
        run("r1", models=models("r1")),
        run("r2", parent="r1", params={"weights": BEST}, models=models("r2")),
        run("r3", parent="r1", models=models("r3")),
    )
    assert check_artifacts(both(*runs, saved=WEIGHTS)) == []
    # In a run of its own the model is another one.
    assert slugs(check_artifacts(both(*runs[1:2], run("r9", models=[model("m")]), saved=WEIGHTS)))[:1] == (
        [] if where == "r2" else [(RULE, BEST)]
    )


def test_a_model_only_saved_as_a_file() -> None:
    saved = {
        "out/clf.joblib": SavedFile("joblib", "sklearn.svm._classes.SVC"),
        "out/results.pkl": SavedFile("pickle", ""),
    }
    logged = run(params={"a": "1"})
    (finding,) = check_artifacts(both(logged, saved=saved))
    assert (finding.subject, finding.fluent, finding.source_line) == (
        "out/clf.joblib",
        "joblib, not logged",
        None,
    )
    assert finding.why == (
        "The launch wrote this model to a file, and no run logs a model: MLflow knows nothing of it, so it "
        "can't be found from its run, compared, registered or loaded."
    )
    assert check_artifacts(both(logged, saved=saved, ignore={"artifacts": ["out/*"]})) == []
    assert check_artifacts(both(logged, run("r2", models=[model("m")]), saved=saved)) == []


def test_of_many_saved_files_the_newest_is_told() -> None:
    saved = {f"out/epoch{i}.pt": SavedFile("torch", "my.Net") for i in (3, 2, 1)}
    (finding,) = check_artifacts(both(run(params={"a": "1"}), saved=saved))
    assert finding.subject == "out/epoch3.pt"
    assert finding.why.endswith("It is the newest of 3 such files.")


def test_a_file_beside_a_finding_of_the_same_kind_isnt_told() -> None:
    logged = run(artifacts=[artifact("a.pkl", format="pickle")])
    assert slugs(check_artifacts(both(logged, saved={"b.onnx": SavedFile("onnx")}))) == [(RULE, "a.pkl")]


@pytest.mark.parametrize("names", [("out/model-1.pkl", "out/model-2.pkl"), ("1/model.pkl", "2/model.pkl")])
@pytest.mark.parametrize("named", [True, False])
def test_a_path_with_a_date_in_it_is_one_file(names: tuple[str, str], named: bool) -> None:
    sides = [
        launch(
            mode, run(params={"a": name if named else "1"}), saved={name: SavedFile("pickle", "sklearn.X")}
        )
        for mode, name in zip(("fluent", "mlflow-run"), names, strict=True)
    ]
    (finding,) = check_artifacts(compare(*sides))
    shown = "pickle, not logged"
    assert (finding.subject, finding.fluent, finding.mlflow_run) == (names[0], shown, shown)
    assert (
        f'"{names[0]}"}},  # <- another one in each launch: put the variable here\n' in finding.code[1].text
    )


@pytest.mark.parametrize(
    ("path", "format", "holds", "is_model"),
    [
        ("m.onnx", "onnx", None, True),
        ("out/last.pt", "torch weights", "torch._utils._rebuild_tensor_v2", True),
        ("net.pt", "torch", "__main__.Net", True),
        ("x.pkl", "pickle", "sklearn.svm._classes.SVC", True),
        ("x.pkl", "pickle", "lightgbm.sklearn.LGBMClassifier", True),
        ("model.pkl", "pickle", "__main__.Model", True),
        ("model.pkl", "pickle", "", True),
        ("checkpoints/3.pkl", "pickle", "", True),
        ("weights.h5", "hdf5", None, True),
        # Anything may be in these.
        ("x.pkl", "pickle", "", False),
        ("x.pkl", "pickle", "__main__.Thing", False),
        ("x.h5", "hdf5", None, False),
        # Code, a tensor on its own, what prepares the data.
        ("model_pickle", "pickle", "cloudpickle.cloudpickle._make_function", False),
        ("train.pt", "torch", "torch._utils._rebuild_tensor_v2", False),
        ("x.pkl", "pickle", "sklearn.preprocessing._data.StandardScaler", False),
        ("final/model.safetensors", "transformers", None, True),
        # The state of a training, and data.
        ("last.ckpt", "torch checkpoint", None, False),
        ("adam.pt", "torch", "torch.optim.adam.Adam", False),
        ("a.pt", "torch", "torch.utils.data.dataset.TensorDataset", False),
        ("model/best_model.pt", "torch checkpoint", None, False),
        ("out/checkpoint-12/model.safetensors", "transformers checkpoint", None, False),
        ("model/optimizer.pt", "torch weights", "torch._utils._rebuild_tensor_v2", False),
        ("ckpt/scheduler.pt", "torch", "", False),
        ("ckpt/rng_state.pth", "torch", "", False),
        ("model/training_args.bin", "torch", "transformers.training_args.TrainingArguments", False),
        ("model_results.pkl", "pickle", "", False),
        ("data/model_input.pkl", "pickle", "", False),
        ("train_data.pkl", "pickle", "sklearn.utils._bunch.Bunch", False),
        ("model/label_encoder.pkl", "pickle", "sklearn.preprocessing._label.LabelEncoder", False),
    ],
)
def test_what_counts_as_a_model_without_being_named(
    path: str, format: str, holds: str | None, is_model: bool
) -> None:
    found = check_artifacts(both(run(params={"a": "1"}), saved={path: SavedFile(format, holds)}))
    assert slugs(found) == ([(RULE, path)] if is_model else [])


def test_files_of_one_format_share_a_wrapper() -> None:
    logged = run(artifacts=[artifact(f"{name}.pkl", format="pickle") for name in "abcdefg"])
    text = render(check_artifacts(both(logged, saved={})))
    assert text.count("save this as pickle_wrapper.py") == 1
    assert [name for name in "abcdefg" if f'"{name}",' in text] == ["a", "b", "c", "d"]
    assert "\n    and so for 3 more\n\n    more: " in text


@pytest.mark.parametrize(
    ("path", "holds", "data"),
    [
        ("best_params.pkl", "", True),
        ("models/feature_names.pkl", "", True),
        ("features.pkl", "", True),
        ("label_encoder.pkl", "sklearn.preprocessing._label.LabelEncoder", True),
        ("weights", "", False),
        ("trained.bin", "", False),
        ("out/model.pkl", "", False),
        ("m.pkl", "sklearn.svm._classes.SVC", False),
        ("m.bin", None, False),
    ],
)
def test_plain_data_is_no_model(path: str, holds: str | None, data: bool) -> None:
    record = run(
        params={"p": path, "dir": "x/y"}, artifacts=[replace(artifact(path, format="pickle"), holds=holds)]
    )
    assert (check_artifacts(both(record, saved={})) == []) is data
    saved = {path: SavedFile("pickle", holds)}
    known = check_artifacts(both(run(params={"p": path}), saved=saved))
    assert (known == []) is data


def test_a_checkpoint_that_a_param_names_is_no_model_that_was_forgotten() -> None:
    named = run(params={"resume_from": "ckpt/last.ckpt"})
    assert check_artifacts(both(named, saved={"ckpt/last.ckpt": SavedFile("torch checkpoint")})) == []
