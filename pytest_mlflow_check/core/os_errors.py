"""What the machine has no more of, or doesn't let us do: told as something that its user can fix."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_mlflow_check.core.errors import UserError

_ELSEWHERE = "name a directory with more room, or with rights:  pytest --basetemp=DIR"

_LEAST = 1 << 16
"""Bytes: with less left on a disk, it counts as full."""


_NOT_STARTED = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ELOOP)
"""What the system says of a command that isn't there, or may not be run."""


class CommandError(OSError):
    """A command that can't be started: it isn't there, or may not be run."""


@contextmanager
def os_errors_explained(directory: Path) -> Iterator[None]:
    """Turns what the machine refuses into a message: room, rights, files, processes, memory.

    Args:
        directory: our own directory. Rights that are missing elsewhere are no matter of the machine.

    Raises:
        UserError: instead of an error of the operating system.
    """
    try:
        yield
    except OSError as error:
        if fault := fault_of(error, directory):
            raise UserError(fault) from error
        raise
    except RuntimeError as error:
        # What Python makes of EAGAIN there (Modules/_threadmodule.c).
        if "can't start new thread" in str(error):
            raise UserError(_no_process()) from error
        raise


def fault_of(error: OSError, directory: Path) -> str | None:
    """What the machine refused, and what to do; None where it is something else.

    Args:
        error: what the operating system said.
        directory: our own directory.
    """
    number, said = error.errno, error.strerror
    ours = isinstance(error.filename, str) and Path(error.filename).is_relative_to(directory)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"{directory}: no room for the launches: {said}\n  make room there, or {_ELSEWHERE}"
    if number == errno.EFBIG:
        return (
            f"{directory}: a file would become larger than this process may write: {said}\n"
            "  raise the limit before pytest:  ulimit -f unlimited"
        )
    if isinstance(error, CommandError) and number in _NOT_STARTED:
        return f"{error.filename}: can't be started: {said}\n  see that it is there, and may be run"
    if number == errno.EROFS or (number in (errno.EACCES, errno.EPERM) and ours):
        return f"{error.filename or directory}: can't be written to: {said}\n  {_ELSEWHERE}"
    if number == errno.EMFILE:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return (
            f"no file can be opened any more: this process may have {most} open at a time\n"
            "  raise the limit before pytest:  ulimit -n 1024"
        )
    if number == errno.ENFILE:
        return f"no file can be opened any more on this machine: {said}\n  end what has so many open"
    if number == errno.EAGAIN:
        return _no_process()
    if number == errno.ENOMEM:
        return f"no memory is left: {said}\n  have fewer launches at a time:  --mlflow-jobs=1"
    return None


def no_directory(error: OSError, base: Path | str) -> str:
    """What to do where pytest can't make its own directory."""
    fault = fault_of(error, Path(base))
    return fault or f"{base}: can't be made: {error.strerror or error}\n  {_ELSEWHERE}"


def refuse_full(directory: Path) -> None:
    """For after a launch: what was written to a full disk isn't all that should have been.

    Raises:
        OSError: where nothing is left of the disk.
    """
    status = os.statvfs(directory)
    left = (status.f_bfree if os.geteuid() == 0 else status.f_bavail) * status.f_frsize
    # Some file systems have no fixed size or number of files, and say 0.
    if (status.f_blocks and left < _LEAST) or (status.f_files and not status.f_ffree):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))


def removed(directory: Path) -> None:
    """Takes away what is only half there, as far as that goes."""
    shutil.rmtree(directory, ignore_errors=True)


def _no_process() -> str:
    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    limit = "" if most == resource.RLIM_INFINITY else f": this user may have {most} at a time"
    return (
        f"no process or thread can be started any more{limit}\n"
        "  end some, or raise the limit before pytest:  ulimit -u unlimited"
    )
