# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library only.
"""What a launch prints, in a file of bounded size."""

from __future__ import annotations

import os
from contextlib import suppress

HEAD = 1024 * 1024
"""Bytes that are kept of the beginning."""

TAIL = 1024 * 1024
"""Bytes that are kept of the end."""

_CHUNK = 64 * 1024
_MOST_AT_THE_END = 1024
"""Chunks that are taken when all is over: a pipe holds fewer, unless somebody goes on writing."""


class Output:
    """Takes what comes out of a pipe: its beginning goes into a file at once, its end when all is over.

    Attributes:
        reading: this end of the pipe.
        writing: the other end, to be given away.
    """

    def __init__(self, path: str) -> None:
        """Makes the file and the pipe.

        Raises:
            OSError: where that isn't possible.
        """
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self._room = HEAD
        self._end = bytearray()
        self._left_out = 0

    def take(self) -> bool:
        """Takes what has come; gives whether more may come."""
        try:
            data = os.read(self.reading, _CHUNK)
        except BlockingIOError:
            return True
        self._keep(data)
        return bool(data)

    def finish(self) -> None:
        """Takes what is left in the pipe, and writes the end."""
        with suppress(BlockingIOError):
            for _ in range(_MOST_AT_THE_END):
                data = os.read(self.reading, _CHUNK)
                if not data:
                    break
                self._keep(data)
        if self._left_out:
            self._shorten()
            self._write(b"\n[... pytest-mlflow-check left out %d bytes ...]\n" % self._left_out)
        self._write(self._end)
        self.close()

    def close(self) -> None:
        """Closes the file, and this end of the pipe."""
        os.close(self._file)
        os.close(self.reading)

    def _keep(self, data: bytes) -> None:
        head = data[: self._room]
        self._room -= len(head)
        self._write(head)
        self._end += data[len(head) :]
        if len(self._end) > 2 * TAIL:
            self._shorten()

    def _shorten(self) -> None:
        surplus = max(0, len(self._end) - TAIL)
        del self._end[:surplus]
        self._left_out += surplus

    def _write(self, data: bytes | bytearray) -> None:
        # On a full disk the launch goes on, and fails by itself where it needs more room.
        with suppress(OSError), memoryview(data) as left:
            written = 0
            while written < len(left):
                written += os.write(self._file, left[written:])
