"""The printed wrappers: whole texts, and whether they load the file they are for."""

from __future__ import annotations

import importlib.util
import pickle
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from inline_snapshot import snapshot

from mutants.mutant import Edit, Mutant
from mutants.sklearn_trainer import IMPORT, LOG_MODEL
from pytest_mlflow_check.checks.pyfunc_snippets import (
    CHECKPOINTS,
    DIRECTORIES,
    FORMATS,
    ModelFile,
    fix,
    logging_call,
    parts,
    wrapper,
    wrapper_file,
)
from pytest_mlflow_check.stores.readers import file_formats
from pytest_mlflow_check.stores.readers.file_formats import sniff
from support import ROOT


def test_every_format_has_a_wrapper_or_a_call() -> None:
    assert {name for name, _ in file_formats._FORMATS} == FORMATS | DIRECTORIES | CHECKPOINTS.keys()


def test_a_directory_is_logged_as_the_model_that_it_is() -> None:
    file = ModelFile("out/final-2/model.safetensors", "transformers")
    assert fix(file) == (
        "log the directory as the model that it is:  "
        'mlflow.transformers.log_model("out/final-2", "final_2", task="…")'
    )
    assert parts(file, "there") == ()


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_wrappers_are_python(format: str) -> None:
    compile(wrapper(format), wrapper_file(format), "exec")
    call = logging_call(ModelFile("out/model.bin", format))
    compile(call, "train.py", "exec")
    for line in (wrapper(format) + call).splitlines():
        assert len(line) <= 100
    assert wrapper_file(format).removesuffix(".py").isidentifier()
    assert f'python_model="{wrapper_file(format)}"' in call


def test_the_documents_show_one() -> None:
    page = ROOT / "docs" / "how-to" / "models.md"
    assert f"```python\n{wrapper('pickle')}```\n" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "taken", "name"),
    [
        ("out/best.pt", "", "best"),
        ("model.v2.joblib", "", "model_v2"),
        ("modèle.pkl", "", "mod_le"),
        ("数.pkl", "", "model"),
        ("model", "model", "model_model"),
        ("weights/weights.pt", "weights/weights.pt", "weights_model"),
        ("weights.pt", "weights.pt", "weights"),
    ],
)
def test_names_that_mlflow_takes(path: str, taken: str, name: str) -> None:
    assert ModelFile(path, "pickle", taken=taken).name == name


@pytest.mark.parametrize("path", ["a b/ü.pkl", 'say "so".pkl', "back\\slash.pkl", "line\nend.pkl"])
def test_any_path_is_quoted(path: str) -> None:
    seen: dict[str, Any] = {}
    log = SimpleNamespace(log_model=lambda name, **given: seen.update(given))
    call = logging_call(ModelFile(path, "pickle", note="as train.py:1 has it"))
    exec(call, {"mlflow": SimpleNamespace(pyfunc=log)})
    assert seen["artifacts"] == {"model": path}


def test_the_call_for_a_state_dict_brings_the_class_along() -> None:
    assert logging_call(ModelFile("runs/exp/weights/best.pt", "torch weights")) == snapshot("""\
mlflow.pyfunc.log_model(
    "best",
    python_model="torch_weights_wrapper.py",
    artifacts={"model": "runs/exp/weights/best.pt"},
    code_paths=["my_network.py"],  # <- the file of that class
    # input_example=X[:3],  # a few rows of what it predicts from: gives it a signature
)
""")


def test_the_flavor_of_a_format_is_named() -> None:
    assert fix(ModelFile("out/m.onnx", "onnx")) == (
        "log the object with its own flavor, for an ONNX model  mlflow.onnx.log_model(model, "
        '"m")  or the file with the wrapper below'
    )


def test_a_class_of_the_script_has_to_move() -> None:
    file = ModelFile("net.pt", "torch", "__main__.Net", "Net")
    assert fix(file) == (
        "log the object with its own flavor, for a network  mlflow.pytorch.log_model(model, "
        '"net")  or the file with the wrapper below; but first move Net into a module: the '
        "file knows it as __main__.Net, which only the script has"
    )
    assert '    code_paths=["net.py"],  # <- the file that Net was moved to\n' in logging_call(file)


@pytest.mark.parametrize(
    ("holds", "line"),
    [
        ("nets.small.Net", '    # code_paths=["nets.py"],  # if nets is a module of your own\n'),
        ("sklearn.svm._classes.SVC", ""),
        ("cloudpickle.cloudpickle._make_function", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_module_of_ones_own_goes_along(holds: str | None, line: str) -> None:
    call = logging_call(ModelFile("net.pkl", "pickle", holds))
    assert [one for one in call.splitlines(keepends=True) if "code_paths" in one] == ([line] if line else [])


# Real files, loaded and used

X = np.linspace(-1.0, 1.0, 24, dtype=np.float32).reshape(12, 2)
Y = (X.sum(axis=1) > 0.3).astype(int)


def classifier() -> Any:
    return pytest.importorskip("sklearn.linear_model").LogisticRegression().fit(X, Y)


def pickled(file: Path) -> Any:
    model = classifier()
    file.write_bytes(pickle.dumps(model))
    return model.predict(X)


def joblibbed(file: Path) -> Any:
    model = classifier()
    pytest.importorskip("joblib").dump(model, file)
    return model.predict(X)


def compressed(file: Path) -> Any:
    model = classifier()
    pytest.importorskip("joblib").dump(model, file, compress=3)
    return model.predict(X)


def skopsed(file: Path) -> Any:
    model = classifier()
    pytest.importorskip("skops.io").dump(model, file)
    return model.predict(X)


def lightgbm(file: Path) -> Any:
    library = pytest.importorskip("lightgbm")
    model = library.train({"verbose": -1, "min_data_in_leaf": 1}, library.Dataset(X, Y), 2)
    model.save_model(file)
    return model.predict(X)


def xgboost(file: Path) -> Any:
    library = pytest.importorskip("xgboost")
    model = library.train({}, library.DMatrix(X, Y), 2)
    model.save_model(file.with_suffix(".ubj"))
    file.with_suffix(".ubj").rename(file)
    return model.predict(library.DMatrix(X))


def catboost(file: Path) -> Any:
    library = pytest.importorskip("catboost")
    model = library.CatBoostRegressor(iterations=2, verbose=False, allow_writing_files=False).fit(X, Y)
    model.save_model(str(file))
    return model.predict(X)


def onnx(file: Path) -> Any:
    pytest.importorskip("onnxruntime")
    model = pytest.importorskip("skl2onnx").to_onnx(classifier(), X)
    file.write_bytes(model.SerializeToString())
    return classifier().predict(X)


def network() -> Any:
    return pytest.importorskip("torch").nn.Linear(2, 1)


def torch_module(file: Path) -> Any:
    net = network()
    pytest.importorskip("torch").save(net, file)
    return net(pytest.importorskip("torch").as_tensor(X)).detach().numpy()


def torch_checkpoint(file: Path) -> Any:
    net = network()
    pytest.importorskip("torch").save({"epoch": 3, "model": net}, file)
    return net(pytest.importorskip("torch").as_tensor(X)).detach().numpy()


def torch_state_dict(file: Path) -> Any:
    net = network()
    pytest.importorskip("torch").save(net.state_dict(), file)
    return net(pytest.importorskip("torch").as_tensor(X)).detach().numpy()


def torch_state_dict_among_others(file: Path) -> Any:
    net = network()
    pytest.importorskip("torch").save({"epoch": 3, "state_dict": net.state_dict()}, file)
    return net(pytest.importorskip("torch").as_tensor(X)).detach().numpy()


def safetensors(file: Path) -> Any:
    net = network()
    pytest.importorskip("safetensors.torch").save_file(net.state_dict(), file)
    return net(pytest.importorskip("torch").as_tensor(X)).detach().numpy()


@pytest.mark.mlflow
@pytest.mark.parametrize(
    ("format", "save"),
    [
        ("pickle", pickled),
        ("joblib", joblibbed),
        ("joblib", compressed),
        ("skops", skopsed),
        ("lightgbm", lightgbm),
        ("xgboost", xgboost),
        ("catboost", catboost),
        ("onnx", onnx),
        ("torch", torch_module),
        ("torch", torch_checkpoint),
        ("torch weights", torch_state_dict),
        ("torch weights", torch_state_dict_among_others),
        ("safetensors", safetensors),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_file_is_told_loaded_and_used(
    format: str, save: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "model.bin"
    expected = save(file)
    assert sniff(file, file.stat().st_size) == format
    script = tmp_path / wrapper_file(format)
    script.write_text(wrapper(format).replace("mlflow.models.set_model(Wrapper())\n", ""))
    (tmp_path / "my_network.py").write_text(
        "import torch\n\n\ndef MyNetwork():\n    return torch.nn.Linear(2, 1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location("a_wrapper", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.Wrapper()
    model.load_context(SimpleNamespace(artifacts={"model": str(file)}))
    given: Any = X
    if format not in ("catboost", "lightgbm"):
        given = pytest.importorskip("pandas").DataFrame(X)
    np.testing.assert_allclose(np.ravel(model.predict(None, given)), np.ravel(expected), rtol=1e-5)


# Pasted as printed

PASTED = re.compile(
    r"^    save this as (?P<file>\S+) in the project's directory:\n\n(?P<wrapper>.*?)\n"
    r"^    and log the file with it[^:]*(?::\d+[^:]*)?:\n\n(?P<call>.*?)\n^    more: ",
    re.MULTILINE | re.DOTALL,
)


def run_session(project: Path, base: Path) -> tuple[int, str, dict[str, str]]:
    """Exit code, output, and the failure text of each item."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", f"--mlflow-project={project}"]
    options = [f"--basetemp={base}", f"--junitxml={base}.xml"]
    done = subprocess.run([*command, *options], cwd=project, capture_output=True, text=True, check=False)
    failures = {
        item.attrib["name"]: failure.text or ""
        for item in ET.parse(f"{base}.xml").getroot().iter("testcase")
        for failure in item.iter("failure")
    }
    return done.returncode, done.stdout + done.stderr, failures


LOG_FILE = """    Path("out").mkdir(exist_ok=True)
    Path("out/classifier.pkl").write_bytes(pickle.dumps(model))
"""


@pytest.mark.launch
@pytest.mark.parametrize(
    ("log", "subject"),
    [
        pytest.param(
            '    mlflow.log_artifact("out/classifier.pkl", "models")\n',
            "models/classifier.pkl",
            marks=pytest.mark.heavy,
        ),
        pytest.param(
            '    mlflow.log_param("weights", "out/classifier.pkl")\n',
            "out/classifier.pkl",
            marks=pytest.mark.heavy,
        ),
        ("", "out/classifier.pkl"),
    ],
    ids=["artifact", "path", "file"],
)
def test_what_is_pasted_as_printed_passes(tmp_path: Path, log: str, subject: str) -> None:
    project, script = tmp_path / "project", tmp_path / "project" / "train.py"
    edits = (
        Edit(
            "train.py", IMPORT, "import argparse\nimport pickle\nfrom pathlib import Path\n\nimport mlflow\n"
        ),
        Edit("train.py", LOG_MODEL, f"{LOG_FILE}{log}    # paste here\n"),
    )
    Mutant("pasted", "sklearn", edits).write(project)
    code, output, failures = run_session(project, tmp_path / "one")
    assert (code, {*failures}) == (1, {"artifacts"}), output
    assert subject in failures["artifacts"]
    printed = PASTED.search(failures["artifacts"])
    assert printed is not None, failures["artifacts"]
    (project / printed["file"]).write_text(dedent(printed["wrapper"]))
    call = "".join(f"    {line}" for line in dedent(printed["call"]).splitlines(keepends=True))
    script.write_text(script.read_text().replace("    # paste here\n", call))
    code, output, failures = run_session(project, tmp_path / "two")
    assert (code, failures) == (0, {}), output
    named = re.findall(r"\[([a-z]+(?:-[a-z]+)+)\](?=:|$)", output, re.MULTILINE)
    assert {*named} == {"model-without-signature"}
    if log:
        # The last line is the same one in all of them.
        return
    # The last line of the call, with the project's own name for its data.
    script.write_text(script.read_text().replace("# input_example=X[:3]", "input_example=x[:3]"))
    code, output, failures = run_session(project, tmp_path / "three")
    assert (code, failures) == (0, {}), output
    assert "warning:" not in output
