"""The index of a repository, told which of its files a copy of the work tree doesn't have.

The format is that of gitformat-index(5), versions 2 to 4.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator

_SIGNATURE = b"DIRC"
_UNCHANGED = 0x8000
"""Of an entry's flags: assume-unchanged, as `git update-index` sets it. Git then takes the
file for what the index says, also where it isn't there."""

_EXTENDED = 0x4000
_LENGTH = 0x0FFF


def assume_unchanged(index: bytes, differs: Callable[[str, int], bool], *, sha256: bool) -> bytes:
    """The index, with the files marked that git isn't to look for in the work tree.

    Args:
        index: the content of the file.
        differs: tells of the path and the mode of an entry whether it is to be marked.
        sha256: whether the repository names its objects by SHA-256 instead of SHA-1.

    Returns:
        the content to write; the same object where nothing is to be marked.

    Raises:
        ValueError: this is no index, or one of a version that isn't known.
    """
    try:
        marked = [flags for flags, mode, path in _entries(index, 32 if sha256 else 20) if differs(path, mode)]
    except (struct.error, IndexError):
        raise ValueError("the index is cut off") from None
    if not marked:
        return index
    changed = bytearray(index)
    for flags in marked:
        changed[flags] |= _UNCHANGED >> 8
    digest = hashlib.sha256() if sha256 else hashlib.sha1(usedforsecurity=False)
    # With `index.skipHash` there are only zeros in its place.
    if any(index[-digest.digest_size :]):
        digest.update(memoryview(changed)[: -digest.digest_size])
        changed[-digest.digest_size :] = digest.digest()
    return bytes(changed)


def _entries(index: bytes, hash_size: int) -> Iterator[tuple[int, int, str]]:
    """Where the flags of each entry are, its mode and its path."""
    signature, version, count = struct.unpack_from(">4sII", index)
    if signature != _SIGNATURE or version not in (2, 3, 4):
        raise ValueError(f"an index of version {version}")
    # Times, device and inode; the mode; owner and size; the object's name; the flags.
    entry = struct.Struct(f">24xI12x{hash_size}xH")
    position, path = 12, b""
    for _ in range(count):
        mode, bits = entry.unpack_from(index, position)
        after = position + entry.size
        name = after + 2 if bits & _EXTENDED else after
        if version == 4:
            stripped, name = _varint(index, name)
            end = index.index(b"\0", name)
            path = path[: len(path) - stripped] + index[name:end]
            position = end + 1
        else:
            length = bits & _LENGTH
            end = name + length if length < _LENGTH else index.index(b"\0", name)
            path = index[name:end]
            # Filled up with NULs, one at least.
            position += (end - position + 8) & ~7
        yield after - 2, mode, os.fsdecode(path)


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """A number as pack files encode offsets, and where the next byte is."""
    byte = content[position]
    value = byte & 0x7F
    while byte & 0x80:
        position += 1
        byte = content[position]
        value = (value + 1 << 7) + (byte & 0x7F)
    return value, position + 1
