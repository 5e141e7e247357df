"""What a pickle holds, told by the names it refers to; nothing of it is loaded."""

from __future__ import annotations

import pickletools
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST = 1 << 16
"""Bytes that are looked at. The class of an object stands before its content."""

_MOST_OF_ALL = 1 << 26
"""Bytes of a pickle that are searched: it has some hundred for each tensor, which lie outside of it."""

_PLAIN = frozenset(
    {
        *("builtins", "__builtin__", "_codecs", "copyreg", "copy_reg", "collections", "array", "types"),
        *("datetime", "decimal", "fractions", "pathlib", "uuid", "zoneinfo", "random", "enum"),
        *("numpy", "pandas", "scipy", "pyarrow", "polars", "joblib"),
    }
)
"""Packages whose objects are data."""

_TEXTS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_GETS = frozenset({"BINGET", "LONG_BINGET"})


@dataclass(frozen=True)
class PickleNames:
    """What a `pickle`, `joblib` or `torch` file holds.

    Attributes:
        object: whole name of the object's class, such as `sklearn.svm._classes.SVC`, or of the function that
            makes it again: the first one that isn't plain data, and empty where there is none.
        of_script: the first class or function that the file knows as one of `__main__`, the script that wrote
            it; empty where there is none.
    """

    object: str
    of_script: str


def names_in_pickle(file: Path, format: str) -> PickleNames | None:
    """What a file holds; None for other formats and for what can't be read."""
    try:
        content = _content(file, format)
    except Exception:  # Of a damaged archive zipfile, zlib and lzma raise all sorts.
        return None
    if content is None:
        return None
    own = (name.removeprefix("__main__.") for name in _names(content) if name.startswith("__main__."))
    return PickleNames(first_object(content), next(own, ""))


def first_object(content: bytes) -> str:
    """The first name in a pickle that isn't one of plain data; empty where there is none."""
    return next((name for name in _names(content) if name.partition(".")[0] not in _PLAIN), "")


def torch_pickle(file: Path) -> bytes:
    """The beginning of the pickle within a file of `torch.save` (PyTorch 1.6 and later).

    Raises:
        KeyError: where there is none.
    """
    return _read_torch_pickle(file, _MOST)


def torch_mentions(file: Path, words: Iterable[bytes]) -> bool:
    """Whether one of the words stands anywhere in the pickle within a file of `torch.save`.

    Raises:
        KeyError: where there is none.
    """
    content = _read_torch_pickle(file, _MOST_OF_ALL)
    return any(word in content for word in words)


def _read_torch_pickle(file: Path, most: int) -> bytes:
    with zipfile.ZipFile(file) as archive:
        name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), "data.pkl")
        with archive.open(name) as content:
            return content.read(most)


def _content(file: Path, format: str) -> bytes | None:
    if format in ("torch", "torch weights"):
        return torch_pickle(file)
    if format not in ("pickle", "joblib"):
        return None
    with file.open("rb") as opened:
        start = opened.read(_MOST)
    # Uncompressed joblib files are pickles.
    return start if start.startswith(b"\x80") else zlib.decompressobj(wbits=47).decompress(start, _MOST)


def _names(content: bytes) -> Iterator[str]:
    texts: list[str] = []
    memo: dict[int, str] = {}
    last = ""
    try:
        for code, argument, _ in pickletools.genops(content):
            if code.name == "GLOBAL":
                yield str(argument).replace(" ", ".", 1)
            elif code.name == "STACK_GLOBAL":
                yield ".".join(texts[-2:])
            elif code.name in _TEXTS or code.name in _GETS:
                last = str(argument) if code.name in _TEXTS else memo.get(argument or 0, "")
                texts = [*texts[-1:], last]
                continue
            elif code.name == "MEMOIZE":
                memo[len(memo)] = last
            last = ""
    except Exception:
        # The end of what was read, or a joblib file's arrays, which stand between the parts of its pickle.
        return
