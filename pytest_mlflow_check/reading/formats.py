"""What kind of serialised object a file holds, told by its content.

Names don't tell: the reference project's pickle is called `model_pickle`. Only formats that show
themselves beyond doubt in a few bytes are in the table; ONNX and pickles of protocol 0 and 1 don't.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_HEAD_SIZE = 1024
# Protocols 4 and 5 open with a frame; what 2 and 3 open with in practice is a global, container or text.
_PICKLE_START = re.compile(rb"\x80(?:[\x04\x05]\x95|[\x02\x03][c(}\]X])")
# The magic number that `torch.save` pickled before it wrote zip files (up to PyTorch 1.5).
_TORCH_LEGACY_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_KERAS_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}


@dataclass(frozen=True)
class _Sample:
    file: Path
    size: int
    head: bytes
    last: bytes


def sniff(file: Path, size: int) -> str | None:
    """The name of the format of `file`, `size` bytes long; None for all others and for unreadable files."""
    try:
        with file.open("rb") as content:
            head = content.read(_HEAD_SIZE)
            content.seek(max(size - 1, 0))
            sample = _Sample(file, size, head, content.read(1))
    except OSError:
        return None
    return next((name for name, matches in _FORMATS if matches(sample)), None)


def _is_torch(sample: _Sample) -> bool:
    if sample.head.startswith(_TORCH_LEGACY_START):
        return True
    return any(name.endswith("/data.pkl") for name in _zip_members(sample))


def _is_keras(sample: _Sample) -> bool:
    return _zip_members(sample) >= _KERAS_MEMBERS


def _is_pickle(sample: _Sample) -> bool:
    return re.match(rb"\x80[\x02-\x05]", sample.head) is not None and sample.last == b"."


def _is_hdf5(sample: _Sample) -> bool:
    return sample.head.startswith(b"\x89HDF\r\n\x1a\n")


def _is_safetensors(sample: _Sample) -> bool:
    length = int.from_bytes(sample.head[:8], "little")
    return sample.head[8:10] == b'{"' and 2 <= length <= sample.size - 8


def _is_joblib(sample: _Sample) -> bool:
    # 47 lets zlib tell its own header and gzip's apart. Uncompressed joblib files are pickles.
    try:
        start = zlib.decompressobj(wbits=47).decompress(sample.head, 3)
    except zlib.error:
        return False
    return _PICKLE_START.match(start) is not None


def _zip_members(sample: _Sample) -> set[str]:
    if not sample.head.startswith(b"PK\x03\x04"):
        return set()
    try:
        with zipfile.ZipFile(sample.file) as archive:
            return set(archive.namelist())
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return set()


# The first that matches counts: an old PyTorch file starts like a pickle.
_FORMATS: tuple[tuple[str, Callable[[_Sample], bool]], ...] = (
    ("torch", _is_torch),
    ("keras", _is_keras),
    ("pickle", _is_pickle),
    ("hdf5", _is_hdf5),
    ("safetensors", _is_safetensors),
    ("joblib", _is_joblib),
)
