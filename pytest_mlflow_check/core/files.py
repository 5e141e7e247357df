"""Files that a user wrote or will read: whatever lies in their place, and never half of one."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pytest_mlflow_check.core.errors import UserError, shown_path


def read_user_text(file: Path, *, largest: int, rule: str | None = None) -> str:
    """The text of a file in UTF-8, with its line ends as they are.

    Args:
        file: what to read.
        largest: bytes that it may have. What reads the text afterwards takes seconds for megabytes.
        rule: the rule that a message about the content names.

    Raises:
        UserError: it is no regular file, can't be read, is too large, or isn't UTF-8.
    """
    shown = shown_path(file)
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UserError(
                f"{shown}: this is a directory, where a file of that name is read\n  rename the directory"
            )
        # Whoever opens a pipe waits for its other end, and some devices never end.
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{shown}: this is a pipe, a socket or a device\n  put a file in its place")
        with file.open("rb") as stream:
            content = stream.read(largest + 1)
    except OSError as error:
        raise UserError(
            f"{shown}: can't read the file: {error.strerror}\n  let this user read it, or remove it"
        ) from None
    if len(content) > largest:
        raise UserError(
            f"{shown}: the file has more than {largest // 1024} kB\n"
            "  keep in it only what is meant for this file, and data in files of their own",
            rule=rule,
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = f"the byte 0x{error.object[error.start]:02x} is not UTF-8\n  save the file as UTF-8"
        raise UserError(f"{shown}:{line}: {problem}", rule=rule) from None


def open_regular(file: Path, largest: int | None = None) -> BinaryIO:
    """Open a regular file for reading bytes.

    Raises:
        OSError: it can't be read, isn't a regular file, or has more than `largest` bytes.
    """
    # A named pipe would block whoever opens it, and a device may have no end.
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError("isn't a regular file")
    content = file.open("rb")
    if largest is not None and os.fstat(content.fileno()).st_size > largest:
        content.close()
        raise OSError(f"is larger than {largest:,} bytes")
    return content


@contextmanager
def draft(file: Path, text: str) -> Iterator[Path]:
    """A new file beside another one, with what that is to hold: to be moved or linked there in one step.

    Raises:
        OSError: it can't be written.
    """
    # A name of its own: that of the file may be as long as names can be.
    unfinished = file.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("x", encoding="utf-8", newline="") as stream:
            stream.write(text)
        yield unfinished
    finally:
        with suppress(OSError):
            unfinished.unlink()
