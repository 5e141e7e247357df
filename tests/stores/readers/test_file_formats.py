"""What kind of serialised object a file holds. The bytes are as the libraries themselves write them."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_mlflow_check.stores.readers.file_formats import sniff
from pytest_mlflow_check.stores.readers.pickle_names import PickleNames, names_in_pickle
from support.builders import quick

XGBOOST_UBJSON = (
    b"{L\0\0\0\0\0\0\0\x07learner{L\0\0\0\0\0\0\0\x0aattributes{}}"
    b"L\0\0\0\0\0\0\0\x07version[#L\0\0\0\0\0\0\0\x03i\x03i\x02i\0}"
)


def xgboost_json(indent: int | str | None = None) -> bytes:
    """What `Booster.save_model("m.json")` writes, shortened in the middle."""
    learner = {
        "attributes": {},
        "feature_names": [],
        "gradient_booster": {"model": {"trees": ["t" * 6000]}, "name": "gbtree"},
        "learner_model_param": {"num_class": "0"},
        "objective": {"name": "binary:logistic", "reg_loss_param": {"scale_pos_weight": "1"}},
    }
    return json.dumps({"learner": learner, "version": [3, 2, 0]}, indent=indent).encode()


def xgboost_binary(booster: bytes) -> bytes:
    """What XGBoost before 3.1 wrote without a suffix, shortened at the end."""
    names = [len(name).to_bytes(8, "little") + name for name in (b"binary:logistic", booster)]
    return b"\xdd7\n?".ljust(136, b"\0") + b"".join(names) + b"\x03\0"


def field(number: int, content: bytes | int) -> bytes:
    """A field of a protobuf message: text and messages by length, numbers as they are."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    more = number >> 7
    return bytes([number & 0x7F | 0x80]) + varint(more) if more else bytes([number])


NODE = field(1, field(1, b"a") + field(2, b"b") + field(4, b"Relu"))
OUTPUT = field(12, field(1, b"b"))
WEIGHTS = field(5, field(1, 1000) + field(8, b"w") + field(9, bytes(4000)))
GRAPH = field(7, NODE + field(2, b"g") + WEIGHTS + field(11, field(1, b"a")) + OUTPUT)
OPSET = field(8, field(1, b"") + field(2, 28))
ONNX = field(1, 14) + field(2, b"skl2onnx") + field(5, 2**63) + GRAPH + OPSET + field(8, field(2, 1))


def sniffed(content: bytes, directory: Path) -> str | None:
    """The format of a file with this content."""
    file = directory / "file"
    file.write_bytes(content)
    return sniff(file, len(content))


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return content.getvalue()


sample = {"weights": list(range(100)), "name": "model"}
safetensors = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        *((pickle.dumps(sample, protocol), "pickle") for protocol in (2, 3, 4, 5)),
        *((pickle.dumps(sample, protocol), None) for protocol in (0, 1)),
        (pickle.dumps(sample, 4)[:-1], None),
        (pickle.dumps(None, 4), "pickle"),
        (b"\x80\x06 a later protocol.", None),
        (b"", None),
        (b".", None),
        (b"\x80", None),
        (b"plain text.", None),
        *((zlib.compress(pickle.dumps(sample, protocol)), "joblib") for protocol in (2, 3, 4, 5)),
        (gzip.compress(pickle.dumps(sample), mtime=0), "joblib"),
        (gzip.compress(b"plain text.", mtime=0), None),
        (b"x^ begins like zlib", None),
        (zipped("archive/data.pkl", "archive/version"), "torch"),
        (b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02 old torch", "torch"),
        (zipped("metadata.json", "config.json", "model.weights.h5"), "keras"),
        (zipped("notes/data.txt"), None),
        (zipped("archive/data.pkl")[:-10], None),
        (b"PK\x03\x04 and no more", None),
        (b"\x89HDF\r\n\x1a\n\x00", "hdf5"),
        (len(safetensors).to_bytes(8, "little") + safetensors + b"\0\0\0\0", "safetensors"),
        (len(safetensors).to_bytes(8, "little") + safetensors[:-5], None),
        (b'\0\0\0\0\0\0\0\0{"a": 1}', None),
        (b"tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\n", "lightgbm"),
        (b"tree\nnum_class=1\nlabel_index=0\n", "lightgbm"),
        (b"tree\nversion=v4\n", None),
        (b" tree\nversion=v4\nnum_class=1\n", None),
        (b"tree\nversion: 4\nnum_class: 1\n", None),
        (b"CBM1\x04\0\0\0coreparts", "catboost"),
        (b"CBM1\x04\0\0\0cor", None),
        (b"CBM1\0\0\0\0", None),
        (b"CBM1 is what CatBoost's models begin with", None),
        *((xgboost_json(indent), "xgboost") for indent in (None, 2, "\t")),
        (xgboost_json()[:-1], None),
        (xgboost_json() + b" ", "xgboost"),
        (xgboost_json() + b" more", None),
        (b'{"learner": {"attributes": {}, "objective": {}}}', None),
        # What `Booster.save_config()` gives.
        (b'{"learner":{"generic_param":{"device":"cpu"},"objective":{"name":"x"}},"version":[3,2,0]}', None),
        (b'{"version": [3, 2, 0], "learner": {"attributes": {}, "objective": {"name": "x"}}}', None),
        (b'{"learner": "Ada", "attributes": {}}', None),
        (XGBOOST_UBJSON, "xgboost"),
        (XGBOOST_UBJSON.replace(b"attributes", b"attributed"), None),
        (XGBOOST_UBJSON[:-1], None),
        (XGBOOST_UBJSON + b"}", None),
        *(
            (start + xgboost_binary(booster), "xgboost")
            for start in (b"binf", b"")
            for booster in (b"gbtree", b"gblinear", b"dart")
        ),
        (b"binf" + xgboost_binary(b"forest"), None),
        (b"binf" + xgboost_binary(b"gbtree").replace(b"binary:", b"binary "), None),
        (b"binf is all", None),
    ],
)
def test_formats_are_told_by_content(content: bytes, expected: str | None, tmp_path: Path) -> None:
    assert sniffed(content, tmp_path) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (ONNX, "onnx"),
        (field(1, 3) + GRAPH + OPSET, "onnx"),
        # Not all of it, more than that, or something else in between.
        (ONNX[:-1], None),
        (ONNX[: len(ONNX) // 2], None),
        (ONNX + b"\n", None),
        (ONNX + field(9, b""), None),
        (field(2, b"skl2onnx") + GRAPH + OPSET, None),
        (field(1, 3) + OPSET, None),
        (field(1, 3) + GRAPH, None),
        (field(1, 3) + GRAPH + GRAPH + OPSET, None),
        (field(1, 3) + GRAPH + field(8, b""), None),
        (field(1, 3) + GRAPH + field(8, b"text"), None),
        (field(1, 3) + field(7, b"text") + OPSET, None),
        (field(1, 3) + field(7, OUTPUT) + OPSET, None),
        (field(1, 3) + field(7, 1) + OPSET, None),
        # TensorFlow's SavedModel and CoreML begin alike.
        (field(1, 1) + field(2, field(1, b"serve") + field(2, b"graph")), None),
        (field(1, 1) + field(2, b"features") + field(500, b"trees"), None),
        (b"\x08", None),
        (b"\x08" + b"\xff" * 20, None),
        (b"\x08\x03\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", None),
    ],
)
def test_onnx_is_told_by_all_of_its_structure(content: bytes, expected: str | None, tmp_path: Path) -> None:
    assert sniffed(content, tmp_path) == expected


@given(st.data())
@quick
def test_no_part_of_a_model_is_taken_for_one(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("sniff")
    for content in (ONNX, xgboost_json(), b"CBM1\x04\0\0\0core"):
        end = data.draw(st.integers(0, len(content) - 1))
        assert sniffed(content[:end], directory) is None


# Not st.binary(): Hypothesis also tries the constants that stand in our code, which are how formats begin.
NOISE = st.tuples(st.randoms(use_true_random=False), st.integers(0, 3000)).map(
    lambda drawn: bytes(drawn[0].getrandbits(8) for _ in range(drawn[1]))
)


@given(st.one_of(st.text(st.characters(codec="utf-8", exclude_characters="{")).map(str.encode), NOISE))
@example(b"tree\n")
@example(b"{}")
@quick
def test_text_and_noise_are_no_models(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    assert sniffed(content, tmp_path_factory.mktemp("sniff")) is None


@pytest.mark.parametrize("value", [{}, [], {"learner": {}}, {"learner": {"attributes": {}}}, {"tree": 1}])
def test_json_in_general_is_no_model(value: object, tmp_path: Path) -> None:
    for indent in (None, 2):
        assert sniffed(json.dumps(value, indent=indent).encode(), tmp_path) is None


def test_joblibs_own_files_are_known(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    values = {"array": np.arange(10_000), "name": "model"}
    for compress, expected in ((0, "joblib"), (3, "joblib"), (("gzip", 3), "joblib")):
        joblib.dump(values, tmp_path / "m", compress=compress)
        assert sniff(tmp_path / "m", (tmp_path / "m").stat().st_size) == expected
    # Without arrays it is a pickle like any other.
    joblib.dump({"name": "model"}, tmp_path / "m")
    assert sniff(tmp_path / "m", (tmp_path / "m").stat().st_size) == "pickle"


def archive(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as written:
        for name, member in members.items():
            written.writestr(name.replace("__", "/").replace("_", "."), member)
    return content.getvalue()


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # As net.state_dict() and a checkpoint begin, a whole network, and a tensor on its own.
        (
            archive(archive__data_pkl=b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01" + TENSOR),
            "torch weights",
        ),
        (archive(archive__data_pkl=b"\x80\x02}q\x00(X\x05\x00\x00\x00epochK\x03" + TENSOR), "torch weights"),
        # With the state of an optimizer far behind, as Lightning writes it, and a network that holds one.
        (
            archive(
                archive__data_pkl=b"\x80\x02}q\x00(X\x05\x00\x00\x00model" + TENSOR * 3000 + b"param_groups"
            ),
            "torch checkpoint",
        ),
        (
            archive(archive__data_pkl=b"\x80\x02}q\x00(X\x19\x00\x00\x00pytorch-lightning_version" + TENSOR),
            "torch checkpoint",
        ),
        (archive(archive__data_pkl=b"\x80\x02c__main__\nNet\nq\x00)param_groups"), "torch"),
        (archive(archive__data_pkl=b"\x80\x02ctorch.nn.modules.linear\nLinear\nq\x00)"), "torch"),
        (archive(archive__data_pkl=b"\x80\x02}q\x00ctorch.nn.modules.linear\nLinear\n" + TENSOR), "torch"),
        (archive(archive__data_pkl=b"\x80\x02" + TENSOR), "torch"),
        (archive(schema_json=b'{"__class__": "SVC", "_skops_version": "0.13.0"}'), "skops"),
        (archive(schema_json=b'{"title": "a table"}'), None),
    ],
)
def test_archives_are_told_by_what_is_in_them(content: bytes, expected: str | None, tmp_path: Path) -> None:
    assert sniffed(content, tmp_path) == expected


WEIGHTS = (20).to_bytes(8, "little") + b'{"a":1}' + b" " * 30
STATE = archive(archive__data_pkl=b"\x80\x02}q\x00(" + TENSOR)
CONFIG = b'{"model_type": "bert"}'


@pytest.mark.parametrize(
    ("name", "content", "beside", "expected"),
    [
        ("out/final/model.safetensors", WEIGHTS, {"config.json": CONFIG}, "transformers"),
        ("out/final/model-00001-of-00002.safetensors", WEIGHTS, {"config.json": CONFIG}, "transformers"),
        ("out/final/pytorch_model.bin", STATE, {"config.json": CONFIG}, "transformers"),
        (
            "lora/adapter_model.safetensors",
            WEIGHTS,
            {"adapter_config.json": b'{"peft_type": "LORA"}'},
            "transformers",
        ),
        (
            "st/model.safetensors",
            WEIGHTS,
            {"config.json": CONFIG, "modules.json": b"[]"},
            "sentence transformers",
        ),
        ("own/model.safetensors", WEIGHTS, {"config.json": b'{"layers": 3}'}, "safetensors"),
        ("own/net.pt", STATE, {"config.json": b"{}"}, "torch weights"),
        # Beside a final model, where Trainer.save_state() was called.
        (
            "out/model.safetensors",
            WEIGHTS,
            {"config.json": CONFIG, "trainer_state.json": b"{}"},
            "transformers",
        ),
        (
            "out/checkpoint-12/model.safetensors",
            WEIGHTS,
            {"config.json": CONFIG, "trainer_state.json": b"{}"},
            "transformers checkpoint",
        ),
        (
            "out/best/model.safetensors",
            WEIGHTS,
            {"config.json": CONFIG, "trainer_state.json": b"{}", "optimizer.pt": STATE},
            "transformers checkpoint",
        ),
        ("state/model.safetensors", WEIGHTS, {"optimizer.bin": STATE}, "torch checkpoint"),
        ("state/random_states_0.pkl", b"\x80\x04K\x01.", {"optimizer.bin": STATE}, "torch checkpoint"),
        ("state/notes.txt", b"text", {"optimizer.bin": STATE}, None),
    ],
)
def test_what_lies_beside_tells_too(
    name: str, content: bytes, beside: dict[str, bytes], expected: str | None, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    for other, text in beside.items():
        file.with_name(other).write_bytes(text)
    assert sniff(file, len(content)) == expected


class Own:
    """A class of the user's."""


def count() -> None:
    """A function of the user's."""


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.0, "text"]}, ""),
        ({"array": np.arange(3), "path": Path("x")}, ""),
        (Own(), f"{__name__}.Own"),
        ([{"a": np.arange(3)}, Own()], f"{__name__}.Own"),
        (count, f"{__name__}.count"),
    ],
    ids=["data", "arrays", "object", "object-within", "function"],
)
def test_what_a_pickle_holds(value: object, expected: str, protocol: int, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(pickle.dumps(value, protocol))
    assert names_in_pickle(tmp_path / "m", "pickle") == PickleNames(expected, "")
    (tmp_path / "z").write_bytes(zlib.compress(pickle.dumps(value, protocol)))
    assert names_in_pickle(tmp_path / "z", "joblib") == PickleNames(expected, "")


def test_what_cloudpickle_makes_of_functions_and_models(tmp_path: Path) -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    (tmp_path / "m").write_bytes(cloudpickle.dumps(lambda: 1))
    assert names_in_pickle(tmp_path / "m", "pickle") == PickleNames(
        "cloudpickle.cloudpickle._make_function", ""
    )
    model = pytest.importorskip("sklearn.linear_model").LinearRegression().fit([[0], [1]], [0, 1])
    for dump in (cloudpickle.dump, pickle.dump, pytest.importorskip("joblib").dump):
        with (tmp_path / "m").open("wb") as file:
            dump(model, file)
        assert names_in_pickle(tmp_path / "m", "joblib") == PickleNames(
            "sklearn.linear_model._base.LinearRegression", ""
        )


def test_classes_of_the_script_itself_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Own, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "Own", Own, raising=False)
    for protocol in (2, 4):
        (tmp_path / "m").write_bytes(pickle.dumps({"array": np.arange(3), "a": Own()}, protocol))
        assert names_in_pickle(tmp_path / "m", "pickle") == PickleNames("__main__.Own", "Own")


def test_what_other_files_hold_isnt_told(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"CBM1")
    assert names_in_pickle(tmp_path / "m", "catboost") is None
    assert names_in_pickle(tmp_path / "m", "torch") is None
    assert names_in_pickle(tmp_path / "none", "pickle") is None


def test_what_cant_be_read_has_no_format(tmp_path: Path) -> None:
    assert sniff(tmp_path, 0) is None
    assert sniff(tmp_path / "none", 10) is None
