"""The process that validates models: its parts by themselves, and all of it on a project that deserves it."""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import importlib.util
import json
import pickle
import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cloudpickle
import numpy as np
import pytest

from pytest_mlflow_check.core.records import Model, ModelVersion, RegisteredModel, RunRecord, StoreRecord
from pytest_mlflow_check.runtime.model_validation import client
from pytest_mlflow_check.runtime.model_validation.client import ModelToValidate, models_to_validate
from support.sessions import findings, run_session

Load = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def load() -> Iterator[Load]:
    """Modules of what runs in the process of its own."""
    path = str(Path(client.__file__).with_name("payload"))
    sys.path.insert(0, path)
    yield lambda name: importlib.import_module(f"_mlflow_check_validator.{name}")
    sys.path.remove(path)


# What is validated


def record(*models: Model, versions: tuple[ModelVersion, ...] = ()) -> StoreRecord:
    run = RunRecord("r1", models={model.name: model for model in models})
    return StoreRecord((run,), (RegisteredModel("net", versions),) if versions else ())


def test_models_are_validated_and_those_left_half_written_are_not() -> None:
    good = Model("good", "models:/m-1", Path("/store/m-1"), ("sklearn",), loader="mlflow.sklearn")
    half = Model("half", "models:/m-2", Path("/store/m-2"), status="FAILED")
    # Stands for something elsewhere.
    external = Model("agent", "models:/m-3", Path("/store/m-3"))
    models, validations = models_to_validate(record(good, half, external))
    assert models == [ModelToValidate("models:/m-1", loader="mlflow.sklearn")]
    assert [(validation.uri, validation.registered, validation.error) for validation in validations] == [
        ("models:/m-2", False, "log_model left it FAILED")
    ]


@pytest.mark.parametrize("source", ["models:/m-1", "/store/m-1", "file:///store/m-1"])
def test_a_version_of_a_logged_model_is_that_model(source: str) -> None:
    good = Model("good", "models:/m-1", Path("/store/m-1"), ("sklearn",), model_id="m-1")
    assert len(models_to_validate(record(good, versions=(ModelVersion("1", source),)))[0]) == 1


def test_a_version_of_something_else_is_validated_itself() -> None:
    models, _ = models_to_validate(record(versions=(ModelVersion("3", "/store/0/r1/artifacts/model"),)))
    assert models == [ModelToValidate("models:/net/3", registered=True)]


PATIENT = """
import sys
from pathlib import Path
from _mlflow_check_validator import main

main.validate = lambda uri, *_: {"uri": uri}
main._in_a_fork({"uri": "models:/m-1", "name": "m"}, Path(sys.argv[1]), 10**10)
"""


@pytest.mark.mlflow
def test_more_seconds_than_an_alarm_takes(tmp_path: Path) -> None:
    path, answer = Path(client.__file__).with_name("payload"), tmp_path / "0.json"
    subprocess.run([sys.executable, "-c", PATIENT, str(answer)], env={"PYTHONPATH": str(path)}, check=True)
    assert json.loads(answer.read_text()) == {"uri": "models:/m-1"}


# What exceptions say


def test_the_chain_of_an_exception(load: Load) -> None:
    try:
        try:
            importlib.import_module("no_such_module.inside")
        except ImportError as error:
            raise ValueError("can't be loaded") from error
    except ValueError as error:
        said = load("errors").described(error)
    assert said == {
        "error": "ValueError: can't be loaded",
        "chain": ["ValueError: can't be loaded", "ModuleNotFoundError: No module named 'no_such_module'"],
        "module": "no_such_module",
        "lacks": None,
        "network": False,
    }


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("Can't get attribute 'Net' on <module '__main__' from 'a'>", "__main__"),
        ("Can't get attribute 'Net' on <module 'pkg.net' from 'a'>", "pkg.net"),
        ("Can't get attribute 'Net' from module '__main__'", "__main__"),
        ("module '__main__' has no attribute 'Net'", "__main__"),
        # Another version of a package, or a mistake.
        ("module 'numpy' has no attribute 'float_'", None),
        ("'Net' object has no attribute 'x'", None),
    ],
)
def test_the_module_that_lacks_something(load: Load, text: str, module: str | None) -> None:
    said = load("errors").described(AttributeError(text))
    assert (said["module"], said["lacks"]) == (module, module and "Net")


def test_an_exception_that_leads_to_itself(load: Load) -> None:
    error = ValueError("a" * 5000)
    other = KeyError("b")
    error.__cause__, other.__cause__ = other, error
    said = load("errors").described(error)
    assert len(said["chain"]) == 2
    assert len(said["error"]) < 2100


# Predictions as data

Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.array([[1.5, 2.0]]), [[1.5, 2.0]]),
        (np.float32(0.5), 0.5),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array(3), 3),
        ({"a": np.arange(2), 1: (True, None)}, {"a": [0, 1], "1": [True, None]}),
        (Point(1, 2), [1, 2]),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (object(), {"type": "builtins.object"}),
        (SimpleNamespace(toarray=lambda: np.eye(2)), [[1.0, 0.0], [0.0, 1.0]]),
        (SimpleNamespace(model_dump=lambda: {"a": 1}), {"a": 1}),
    ],
)
def test_any_prediction_is_told_as_data(load: Load, value: Any, plain: Any) -> None:
    assert load("serialize").plain(value) == plain


@pytest.mark.parametrize(
    ("kind", "arguments", "plain"),
    [
        ("DataFrame", {"data": {"a": [1, 2], "b": ["x", "y"]}}, {"a": [1, 2], "b": ["x", "y"]}),
        ("DataFrame", {"data": [[1, 2]], "columns": ["a", "a"]}, {"a": [2]}),
        ("Series", {"data": [1, 2]}, [1, 2]),
    ],
)
def test_any_prediction_of_pandas_is_told_as_data(
    load: Load, kind: str, arguments: dict[str, Any], plain: Any
) -> None:
    import pandas

    assert load("serialize").plain(getattr(pandas, kind)(**arguments)) == plain


def test_a_tensor(load: Load) -> None:
    class Tensor:
        def detach(self) -> Tensor:
            return self

        def cpu(self) -> Tensor:
            return self

        def tolist(self) -> list[float]:
            return [1.0]

    assert load("serialize").plain(Tensor()) == [1.0]


def test_long_predictions_are_cut(load: Load) -> None:
    values = load("serialize")
    assert len(values.plain(np.zeros((1000, 1000)))) == values.MOST
    assert len(values.plain([0] * 20_000)) == values.MOST


class Reluctant:
    def tolist(self) -> None:
        raise RuntimeError("no")


def test_an_object_that_cant_be_asked_is_told_by_its_type(load: Load) -> None:
    assert load("serialize").plain([1, Reluctant()])[1] == {"type": f"{Reluctant.__module__}.Reluctant"}


def test_a_frame_without_positions(load: Load) -> None:
    polars = SimpleNamespace(columns=["a"], to_dict=lambda: {"a": np.arange(2)})
    assert load("serialize").plain(polars) == {"a": [0, 1]}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ([0.1], [0.1 + 1e-12], True),
        ([0.1], [0.2], False),
        ({"id": "a"}, {"id": "b"}, False),
        ("x 1.5", "x 1.5", True),
    ],
)
def test_answers_that_come_twice(load: Load, one: Any, other: Any, same: bool) -> None:
    assert load("serialize").same(one, other) is same


def test_examples_that_look_the_same_have_the_same_digest(load: Load) -> None:
    digest = load("serialize").digest
    assert digest(np.arange(3)) == digest([0, 1, 2]) != digest([0, 1, 3])


# Requirements


def model_with(directory: Path, requirements: str, **files: str | bytes) -> Path:
    (directory / "requirements.txt").write_text(requirements)
    for name, content in files.items():
        file = directory / name.replace("__", "/").replace("_py", ".py").replace("_pkl", ".pkl")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return directory


def unlisted(load: Load, model: Path) -> list[str]:
    requirements = load("requirements")
    found: list[str] = requirements.unlisted(model, requirements.read_requirements(model))
    return found


def test_requirements_that_arent_met(load: Load, tmp_path: Path) -> None:
    numpy = importlib.metadata.version("numpy")
    options = "--extra-index-url https://example.org/\n"
    text = (
        options
        + f"numpy=={numpy}\nnumpy<1.0  # old\n\n# no\nno-such-package>=2\npytest; python_version < '3'\n"
    )
    requirements = load("requirements")
    found = requirements.unmet(requirements.read_requirements(model_with(tmp_path, text)))
    assert found == [["numpy<1.0", numpy], ["no-such-package>=2", None]]


@pytest.mark.parametrize("text", ["-r other.txt", "./here", "numpy==1==2"])
def test_requirements_that_cant_be_read_are_none(load: Load, tmp_path: Path, text: str) -> None:
    assert load("requirements").read_requirements(model_with(tmp_path, f"numpy\n{text}\n")) is None
    assert load("requirements").read_requirements(tmp_path / "nowhere") is None


def test_imports_that_no_requirement_brings(load: Load, tmp_path: Path) -> None:
    code = """
import json, numpy.linalg
import own, code_own
from execnet import gateway
from . import beside
if TYPE_CHECKING:
    import filelock
def later():
    import xdist.plugin
try:
    import filelock
except ImportError:
    filelock = None
"""
    never_loaded = "import hypothesis"
    model = model_with(tmp_path, "numpy\n", own_py=code, code__code_own_py="", code__other_py=never_loaded)
    assert unlisted(load, model) == ["execnet", "pytest-xdist"]


def test_a_requirement_brings_what_it_requires_itself(load: Load, tmp_path: Path) -> None:
    assert unlisted(load, model_with(tmp_path, "pytest-xdist\n", a_py="import execnet, pytest, pluggy")) == []


def test_imports_of_a_module_that_is_loaded(load: Load, tmp_path: Path) -> None:
    model = model_with(tmp_path, "numpy\n", code__loaded_here_py="import execnet")
    spec = importlib.util.spec_from_file_location("loaded_here", model / "code" / "loaded_here.py")
    assert spec is not None
    module = sys.modules["loaded_here"] = importlib.util.module_from_spec(spec)
    try:
        assert module.__file__ is not None
        assert unlisted(load, model) == ["execnet"]
    finally:
        del sys.modules["loaded_here"]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_classes_in_a_pickle(load: Load, tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps([np.arange(3), {"a": pytest.approx}, np.arange(3)], protocol)
    assert unlisted(load, model_with(tmp_path, "mlflow-skinny\n", m_pkl=content)) == ["numpy", "pytest"]


def test_modules_in_a_pickle_by_value(load: Load, tmp_path: Path) -> None:
    namespace: dict[str, Any] = {}
    exec("import xdist\ndef predict(x):\n    return xdist, x", namespace)
    content = cloudpickle.dumps(namespace["predict"])
    assert unlisted(load, model_with(tmp_path, "cloudpickle\n", m_pkl=content)) == ["pytest-xdist"]


def test_what_is_no_code_and_no_pickle_says_nothing(load: Load, tmp_path: Path) -> None:
    assert unlisted(load, model_with(tmp_path, "\n", a_py="def (", m_pkl=b"\x00no")) == []


# Confinement, in a process that can't get out of it again

CONFINED = """
import socket, sys, urllib.request
sys.path.insert(0, {path!r})
from _mlflow_check_validator.isolation import cut_network, withhold
sys.path += [{inside!r}, "/elsewhere"]
withhold([{withheld!r}])
assert {inside!r} not in sys.path and "/elsewhere" in sys.path, sys.path
cut_network()
own = socket.create_server(("127.0.0.1", 0))
socket.create_connection(own.getsockname()).close()
for host in ("example.org", "192.0.2.1"):
    try:
        urllib.request.urlopen("http://" + host, timeout=5)
    except OSError as error:
        assert "there is no network" in str(error), error
    else:
        raise SystemExit("reached " + host)
"""


def test_the_network_is_gone_but_for_the_machine_itself(pytester: pytest.Pytester, tmp_path: Path) -> None:
    path = str(Path(client.__file__).with_name("payload"))
    script = CONFINED.format(path=path, inside=str(tmp_path / "src"), withheld=str(tmp_path))
    done = pytester.run(sys.executable, "-c", script)
    assert done.ret == 0


# All of it

BROKEN = {
    "model-not-loadable": {
        "absolute",
        "crash",
        "custom",
        "loader",
        "maker",
        "of_main",
        "online",
        "own_module",
        "relative",
        "untrusted",
        "by_hand, version 1",
    },
    "model-not-registrable": {"half"},
    "model-requirements-wrong": {"from_code", "pinned"},
    "model-rejects-example": {"refuses"},
}
REASONS = [
    "absolute registers, but it holds the absolute path of weights.txt,",
    "crash registers, but the whole process ends with it:",
    "custom registers, but its only flavor fancy is a custom one,",
    "loader registers, but its flavor python_function names the loader module myloader,",
    "maker registers, but while it is loaded or predicts, it makes",
]
"""Of the first five; a failure text says no more."""


@pytest.mark.launch
def test_models_that_break_for_every_reason(tmp_path: Path) -> None:
    output, report = run_session(
        tmp_path, "--mlflow-project=tests/projects/broken_models", "--mlflow-launch=fluent"
    )
    (failure,) = report.iter("failure")
    expected = {rule: set(names) for rule, names in BROKEN.items()}
    if importlib.metadata.version("mlflow").startswith("2."):
        # There a model is an artifact of its run, and one that couldn't be logged leaves nothing.
        expected["model-not-loadable"] -= {"untrusted", "by_hand, version 1"}
        del expected["model-not-registrable"]
    assert findings((failure.text or "") + "\n") == expected, output
    unwrapped = re.sub(r"\s+", " ", output)
    assert [reason for reason in REASONS if reason not in unwrapped] == []
