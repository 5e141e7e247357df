"""Files that a user wrote or will read: whatever lies in their place, and never half of one."""

from __future__ import annotations

import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_mlflow_check.errors import UserError, shown_path


def read_user_file(file: Path, *, largest: int, rule: str | None = None) -> str:
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
        with file.open("rb") as opened:
            content = opened.read(largest + 1)
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


@contextmanager
def draft(file: Path, text: str) -> Iterator[Path]:
    """A new file beside another one, with what that is to hold: to be moved or linked there in one step.

    Raises:
        OSError: it can't be written.
    """
    # A name of its own: that of the file may be as long as names can be.
    unfinished = file.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with unfinished.open("x", encoding="utf-8", newline="") as opened:
            opened.write(text)
        yield unfinished
    finally:
        with suppress(OSError):
            unfinished.unlink()
