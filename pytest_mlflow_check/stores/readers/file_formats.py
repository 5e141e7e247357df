"""What kind of serialised object a file holds, told by its content, and by what lies beside it.

Its own name doesn't tell: the reference project's pickle is called `model_pickle`. Only what shows itself
beyond doubt is in the table: pickles of protocol 0 and 1 don't, and of JSON only what has the whole shape of
a model.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_mlflow_check.stores.readers.onnx import is_onnx
from pytest_mlflow_check.stores.readers.pickle_names import first_object, torch_mentions, torch_pickle

_HEAD_SIZE = 1024
_TAIL_SIZE = 4096
_START_SIZE = 1 << 20
_LONGEST_SCHEMA = 1 << 26
# Protocols 4 and 5 open with a frame; what 2 and 3 open with in practice is a global, container or text.
_PICKLE_START = re.compile(rb"\x80(?:[\x04\x05]\x95|[\x02\x03][c(}\]X])")
# The magic number that `torch.save` pickled before it wrote zip files (up to PyTorch 1.5).
_TORCH_LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_DICTIONARIES = (b"\x80\x02}", b"\x80\x02ccollections\nOrderedDict\n")
# Keys of an optimizer's state (`Optimizer.state_dict`, PyTorch 2.13), and of a checkpoint of Lightning 2.6.
_TRAINING_KEYS = (b"param_groups", b"pytorch-lightning_version")
# What Trainer (transformers 5.24) and Accelerator.save_state (accelerate 1.15) write beside the weights.
# Trainer can leave the optimizer out, and puts its own state beside a final model too (`save_state`).
_OPTIMIZERS = ("optimizer.pt", "optimizer.bin")
_TRAINER_STATE = ("trainer_state.json",)
_TRAINER_DIRECTORY = re.compile(r"checkpoint-\d+")
# What `save_pretrained` writes beside the weights: transformers 5.24, and PEFT 0.18 for its adapters.
_CONFIGS = ("config.json", "adapter_config.json")
_CONFIG_KEYS = (b'"transformers_version"', b'"model_type"', b'"peft_type"')
_KERAS_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
_LIGHTGBM_START = re.compile(rb"tree\n(version=v\d+\n)?num_class=\d+\n")
# XGBoost writes keys in order. `Booster.save_config()` gives the same two keys, and no attributes.
_XGBOOST_START = re.compile(rb'\s*\{\s*"learner"\s*:\s*\{\s*"attributes"\s*:\s*\{')
_XGBOOST_END = re.compile(
    rb'"objective"\s*:\s*\{.*\}\s*,\s*"version"\s*:\s*\[\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\]\s*\}\s*\Z', re.DOTALL
)
_XGBOOST_UBJSON_START = b"{L\0\0\0\0\0\0\0\x07learner{L\0\0\0\0\0\0\0\x0aattributes{"
_XGBOOST_UBJSON_END = re.compile(rb"\}L\0{7}\x07version\[[^}]{1,40}\}\Z", re.DOTALL)
# Up to XGBoost 3.0: 34 numbers, then the names of objective and booster with their lengths.
_XGBOOST_BINARY = re.compile(
    rb"(?:binf)?.{136}[\x01-\x7f]\0{7}(?:reg|binary|multi|rank|count|survival):[a-z_:0-9]+"
    rb"(?:\x06\0{7}gbtree|\x08\0{7}gblinear|\x04\0{7}dart)",
    re.DOTALL,
)


@dataclass(frozen=True)
class _Sample:
    file: Path
    size: int
    head: bytes
    tail: bytes


def sniff(file: Path, size: int) -> str | None:
    """The name of the format of `file`, `size` bytes long; None for all others and for unreadable files."""
    try:
        with file.open("rb") as content:
            head = content.read(_HEAD_SIZE)
            content.seek(max(size - _TAIL_SIZE, 0))
            sample = _Sample(file, size, head, content.read(_TAIL_SIZE))
    except OSError:
        return None
    return next((name for name, matches in _FORMATS if _safely(matches, sample)), None)


def _safely(matches: Callable[[_Sample], bool], sample: _Sample) -> bool:
    """Whether it matches; a damaged archive has zipfile, zlib and lzma raise all sorts of exceptions."""
    try:
        return matches(sample)
    except Exception:
        return False


def _is_torch(sample: _Sample) -> bool:
    if sample.head.startswith(_TORCH_LEGACY_START):
        return True
    return any(name.endswith("/data.pkl") for name in _zip_members(sample))


def _is_torch_state_dict(sample: _Sample) -> bool:
    """Tensors by name, without the network they belong to: what `torch.save(net.state_dict(), …)` writes."""
    if not _is_torch(sample):
        return False
    content = torch_pickle(sample.file)
    return content.startswith(_DICTIONARIES) and first_object(content).startswith("torch._utils.")


def _is_torch_checkpoint(sample: _Sample) -> bool:
    """What a training resumes from: the state of an optimizer, mostly with weights, or weights beside it."""
    if _is_torch(sample):
        keyed = torch_pickle(sample.file).startswith(_DICTIONARIES)
        if keyed and torch_mentions(sample.file, _TRAINING_KEYS):
            return True
    elif not _is_safetensors(sample) and not _is_pickle(sample):
        return False
    return _has_beside(sample, _OPTIMIZERS)


def _is_transformers_checkpoint(sample: _Sample) -> bool:
    if not _has_beside(sample, _TRAINER_STATE) or not (_is_torch(sample) or _is_safetensors(sample)):
        return False
    return _has_beside(sample, _OPTIMIZERS) or bool(_TRAINER_DIRECTORY.fullmatch(sample.file.parent.name))


def _is_transformers(sample: _Sample) -> bool:
    """The weights in a directory that `from_pretrained` loads."""
    if not _is_safetensors(sample) and not _is_torch_state_dict(sample):
        return False
    return any(_mentions(sample.file.with_name(name), _CONFIG_KEYS) for name in _CONFIGS)


def _is_sentence_transformers(sample: _Sample) -> bool:
    """The weights in a directory of `SentenceTransformer.save`, which lists its parts in a file."""
    return _has_beside(sample, ("modules.json",)) and _is_transformers(sample)


def _has_beside(sample: _Sample, names: Iterable[str]) -> bool:
    return any(sample.file.with_name(name).is_file() for name in names)


def _mentions(file: Path, keys: Iterable[bytes]) -> bool:
    if not file.is_file():
        return False
    with file.open("rb") as content:
        start = content.read(_START_SIZE)
    return any(key in start for key in keys)


def _is_skops(sample: _Sample) -> bool:
    if "schema.json" not in _zip_members(sample):
        return False
    with zipfile.ZipFile(sample.file) as archive, archive.open("schema.json") as schema:
        # A small archive may hold gigabytes of it.
        return b'"_skops_version"' in schema.read(_LONGEST_SCHEMA)


def _is_keras(sample: _Sample) -> bool:
    return _zip_members(sample) >= _KERAS_MEMBERS


def _is_pickle(sample: _Sample) -> bool:
    return re.match(rb"\x80[\x02-\x05]", sample.head) is not None and sample.tail.endswith(b".")


def _is_hdf5(sample: _Sample) -> bool:
    return sample.head.startswith(b"\x89HDF\r\n\x1a\n")


def _is_safetensors(sample: _Sample) -> bool:
    length = int.from_bytes(sample.head[:8], "little")
    return sample.head[8:10] == b'{"' and 2 <= length <= sample.size - 8


def _is_joblib(sample: _Sample) -> bool:
    if _is_pickle(sample):
        # Uncompressed, with arrays between the parts of the pickle, which only joblib can load.
        with sample.file.open("rb") as content:
            return b"NumpyArrayWrapper" in content.read(_START_SIZE)
    # 47 lets zlib tell its own header and gzip's apart.
    start = zlib.decompressobj(wbits=47).decompress(sample.head, 3)
    return _PICKLE_START.match(start) is not None


def _is_onnx(sample: _Sample) -> bool:
    return sample.head.startswith(b"\x08") and is_onnx(sample.file)


def _is_lightgbm(sample: _Sample) -> bool:
    return _LIGHTGBM_START.match(sample.head) is not None


def _is_xgboost(sample: _Sample) -> bool:
    if sample.head.startswith(_XGBOOST_UBJSON_START):
        return _XGBOOST_UBJSON_END.search(sample.tail) is not None
    if _XGBOOST_BINARY.match(sample.head):
        return True
    return _XGBOOST_START.match(sample.head) is not None and _XGBOOST_END.search(sample.tail) is not None


def _is_catboost(sample: _Sample) -> bool:
    length = int.from_bytes(sample.head[4:8], "little")
    return sample.head.startswith(b"CBM1") and 0 < length <= sample.size - 8


def _zip_members(sample: _Sample) -> set[str]:
    if not sample.head.startswith(b"PK\x03\x04"):
        return set()
    with zipfile.ZipFile(sample.file) as archive:
        return set(archive.namelist())


# The first that matches counts: an old PyTorch file starts like a pickle, and so may one of joblib.
_FORMATS: tuple[tuple[str, Callable[[_Sample], bool]], ...] = (
    ("transformers checkpoint", _is_transformers_checkpoint),
    ("torch checkpoint", _is_torch_checkpoint),
    ("sentence transformers", _is_sentence_transformers),
    ("transformers", _is_transformers),
    ("torch weights", _is_torch_state_dict),
    ("torch", _is_torch),
    ("keras", _is_keras),
    ("skops", _is_skops),
    ("joblib", _is_joblib),
    ("pickle", _is_pickle),
    ("hdf5", _is_hdf5),
    ("safetensors", _is_safetensors),
    ("lightgbm", _is_lightgbm),
    ("catboost", _is_catboost),
    ("xgboost", _is_xgboost),
    ("onnx", _is_onnx),
)
