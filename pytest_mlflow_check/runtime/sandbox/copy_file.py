"""One file copied into a workspace: it shares its blocks with the original where the file system can that."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator

_SMALL = 1 << 16
"""Bytes up to which a file is read and written whole: anything cleverer takes longer."""

_BLOCK = 1 << 20

_FICLONE = 0x40049409 if sys.platform == "linux" else None
"""The request that makes a file share the blocks of another one (man 2 ioctl_ficlone): btrfs, XFS."""


def copy_file(source: str, copy: str) -> None:
    """Copies content, time and permissions of a regular file; its owner can write to the copy.

    Permission bits that lend somebody's rights (set-user-id and such) don't go along, nor do extended
    attributes. What isn't a regular file any more is passed over.

    Raises:
        OSError: where it can't be read, or can't be written; what was written until then stays.
    """
    with _open_descriptor(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as old:
        status = os.fstat(old)
        if not stat.S_ISREG(status.st_mode):
            return
        mode = mode_of_copy(status.st_mode)
        with _open_descriptor(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode) as new:
            if status.st_size > _SMALL:
                if not clone(old, new):
                    _copy_data(old, new, status.st_size)
            else:
                _write(new, os.read(old, _SMALL))
            os.fchmod(new, mode)
            os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))


def clone_file(source: str, copy: str) -> bool:
    """Makes a file that shares the blocks of another one until one is written to, where that can be."""
    with _open_descriptor(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) as old:
        status = os.fstat(old)
        mode = mode_of_copy(status.st_mode)
        with _open_descriptor(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode) as new:
            cloned = clone(old, new)
            if cloned:
                os.fchmod(new, mode)
                os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    if not cloned:
        os.unlink(copy)
    return cloned


def mode_of_copy(mode: int) -> int:
    """The permissions of a copy."""
    return mode & 0o777 | stat.S_IWUSR


def clone(old: int, new: int) -> bool:
    """Has a new file share the blocks of an old one; False where the file system can't."""
    if _FICLONE is None:
        return False
    try:
        fcntl.ioctl(new, _FICLONE, old)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
            raise
        return False
    return True


def _copy_data(old: int, new: int, size: int) -> None:
    for start, end in _data(old, size):
        start = _copied_inside(old, new, start, end)
        os.lseek(old, start, os.SEEK_SET)
        os.lseek(new, start, os.SEEK_SET)
        while start < end and (block := os.read(old, min(_BLOCK, end - start))):
            _write(new, block)
            start += len(block)
    # It may end in a hole, or have become shorter meanwhile.
    os.ftruncate(new, min(size, os.fstat(old).st_size))


def _copied_inside(old: int, new: int, start: int, end: int) -> int:
    """Has the kernel copy as much of a range as it can, a third of the work; gives how far it came."""
    if sys.platform == "linux":
        try:
            while start < end and (count := os.copy_file_range(old, new, end - start, start, start)):
                start += count
        except OSError as error:
            # Another file system, or one that has no such copies.
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
    return start


def _data(file: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file holds data, from and to; the rest are holes."""
    end = 0
    while end < size:
        if not hasattr(os, "SEEK_DATA"):
            yield 0, size
            return
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
            end = os.lseek(file, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            # A file system that doesn't know of holes.
            start, end = end, size
        yield start, end


def _write(file: int, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(file, rest) :]


@contextlib.contextmanager
def _open_descriptor(path: str, flags: int, mode: int = 0o600) -> Iterator[int]:
    file = os.open(path, flags | os.O_CLOEXEC, mode)
    try:
        yield file
    finally:
        os.close(file)
