"""Files of a copy that Git LFS hasn't fetched: a few lines of text stand in their place."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_LONGEST = 1023
"""Bytes that a pointer may have (the specification of Git LFS, docs/spec.md)."""

_BEGINNING = b"version https://git-lfs.github.com/spec/v1\n"


def lfs_pointers(copy: Path, sizes: Mapping[str, int]) -> list[str]:
    """The pointers among the files of a copy, by their path in it.

    Args:
        copy: the copy's root.
        sizes: bytes of each file, by its path. Where no `.gitattributes` among them names LFS, none is read.
    """
    attributes = [path for path in sizes if path.rpartition("/")[2] == ".gitattributes"]
    if not any(b"filter=lfs" in _start(copy / path, 1 << 16) for path in attributes):
        return []
    small = (path for path, size in sizes.items() if len(_BEGINNING) <= size <= _LONGEST)
    return sorted(path for path in small if _start(copy / path, len(_BEGINNING)) == _BEGINNING)


def _start(file: Path, count: int) -> bytes:
    with suppress(OSError), file.open("rb") as content:
        return content.read(count)
    return b""
