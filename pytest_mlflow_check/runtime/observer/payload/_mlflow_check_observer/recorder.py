# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Finds the user's line behind a call, and appends one line of JSON to the observations."""

from __future__ import annotations

import atexit
import os
import sys
from _thread import _local
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import wraps
from json.encoder import encode_basestring_ascii as quoted
from os import write as write_to
from time import time_ns
from types import CodeType, FrameType
from typing import Any

from . import process_log
from .mlflow_internals import AUTOLOGGING_PATHS, PROJECT_PATHS

# What kind of code a frame runs.
_WORKSPACE, _ELSEWHERE, _LIBRARY, _MLFLOW, _AUTOLOGGING, _PROJECTS = range(6)

_HIGH = 400
"""Descriptors below are left to the program; often a process may have 1,024."""

_MOST = 10_000
"""Entries of what is kept to be fast; more, and it starts anew."""

_NUMBERS = (float, int)

_PATIENCE = 20_000_000
"""Nanoseconds after a write for which metrics may wait for others."""

_CROWD = 50
"""Metrics that wait at most."""

_KEPT = 500
"""Characters kept of each end of a long text."""


class Thread(_local):
    """What this thread is in the middle of.

    `_thread._local` is `threading.local` without importing `threading`, which some programs want to patch
    before anybody else has it.
    """

    logging = False
    starting = False
    ending = False
    behalf: CallSite | None = None
    attempt: tuple[str, str, str | None] | None = None


class CallSite:
    """Where a call comes from.

    Attributes:
        source_line: the user's line, or None.
        by: who made the call, as in `records.Observation`.
        text: what the line of JSON says of them.
    """

    __slots__ = ("by", "source_line", "text")

    def __init__(self, source_line: str | None, by: str, via: str = "") -> None:
        self.source_line = source_line
        self.by = by
        self.text = (
            ("" if by == "code" else f',"by":"{by}"')
            + ("" if source_line is None else f',"place":{quoted(source_line)}')
            + (f',"via":{quoted(via)}' if via else "")
        )


class Recorder:
    """Writes the observations of one process and of those forked from it.

    MLflow itself takes some 250 µs for a metric; this is to take a hundredth of it. Hence what is kept: the
    place of a line, the text about a metric, the open file.

    Attributes:
        thread: what the current thread is in the middle of.
        directory: the project.
    """

    def __init__(self, file: str, directory: str, root: str, start: str) -> None:
        self.thread = Thread()
        self.directory = directory
        self._file = file
        # On some systems the temporary directory is a link: Python names files as it was given them.
        self._roots = tuple(dict.fromkeys([(root, directory), (_real(root), _real(directory))]))
        self._start = start
        prefixes = {os.path.dirname(os.__file__), sys.prefix, sys.base_prefix, sys.exec_prefix}
        prefixes.add(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self._installed = tuple(os.path.join(each, "") for each in prefixes if each != os.sep)
        # An environment within the workspace isn't the user's code.
        self._inner = tuple(each for each in self._installed if _within(each, self._roots[-1][0]))
        self._mlflow: str | None = None
        self._files: dict[str, tuple[int, str | None]] = {}
        # By instruction. The code is kept, or its number could come to stand for another.
        self._sites: dict[tuple[int, int], tuple[CallSite, CodeType]] = {}
        self._heads: dict[tuple[Any, Any, CallSite], str] = {}
        self._descriptor = -1
        self._process = os.getpid()
        self._waiting: deque[tuple[str, Any, CallSite, int, float, int | None]] = deque()
        self._crowd = _CROWD
        self._written = 0
        os.register_at_fork(before=self.flush, after_in_child=self._forked)
        # Where MLflow isn't loaded yet, its own are registered later, and come before.
        atexit.register(self._finish)
        for name in ("_exit", "execv", "execve"):
            setattr(os, name, self._flushing(getattr(os, name)))

    def mlflow_found(self, directory: str) -> None:
        """Says where MLflow lies."""
        self._mlflow = directory
        self._files.clear()

    def where(self, frame: FrameType | None) -> CallSite:
        """The user's line that led to a frame, and who made the call in between.

        Args:
            frame: the one that made the call.
        """
        if self.thread.behalf is not None:
            return self.thread.behalf
        if frame is None:
            return CallSite(None, "code")
        code, instruction = frame.f_code, frame.f_lasti
        known = self._sites.get((id(code), instruction))
        if known is not None:
            return known[0]
        if self._kind(code)[0] != _WORKSPACE:
            return self._search(frame)
        site = CallSite(f"{self._kind(code)[1]}:{frame.f_lineno}", "code")
        if len(self._sites) >= _MOST:
            self._sites.clear()
        self._sites[id(code), instruction] = site, code
        return site

    def through(self, frame: FrameType | None) -> str:
        """The function of MLflow that the user's code called to get to a frame; empty where it made the call
        by itself."""
        name = ""
        while frame is not None:
            kind, _ = self._kind(frame.f_code)
            if kind in (_WORKSPACE, _ELSEWHERE):
                break
            if kind >= _MLFLOW:
                name = f"{frame.f_globals.get('__name__', 'mlflow')}.{frame.f_code.co_name}"
            frame = frame.f_back
        return name

    def note(
        self,
        what: str,
        key: Any,
        value: Any,
        run_id: Any,
        step: Any,
        site: CallSite,
        options: tuple[str, ...] = (),
    ) -> None:
        """Appends one observation; where that isn't possible, nothing happens.

        Args:
            what, key, value, run_id, step, options: as in `records.Observation`; nothing is too strange.
            site: as `where` gives it.
        """
        line = f'{self._head(what, key, run_id, site)},"time":{time_ns()}e-9'
        if value is not None:
            text = str(value)
            short = _short(text)
            line += f',"value":{quoted(short)}'
            if short is not text:
                line += f',"length":{len(text)}'
        if step is not None:
            line += f',"step":{int(step)}'
        if options:
            line += f',"options":[{",".join(map(quoted, options))}]'
        self._append(f"{line}}}\n")

    def metric(self, key: Any, value: Any, run_id: Any, step: Any, site: CallSite) -> None:
        """`note` for a metric.

        In a burst, metrics wait for one another for some milliseconds: put into words one after the other,
        and written together, they take a fraction of the time.
        """
        if isinstance(value, _NUMBERS) and (step is None or type(step) is int) and type(key) is str:
            now = time_ns()
            waiting = self._waiting
            waiting.append((key, run_id, site, now, value, step))
            if now - self._written > _PATIENCE or len(waiting) > self._crowd:
                self._written = now
                self._append("")
        else:
            self.note("log_metric", key, value, run_id, step, site)

    def flush(self) -> None:
        """Writes what waits."""
        if self._waiting:
            self._append("")

    def _finish(self) -> None:
        self._crowd = 0
        self.flush()

    def _flushing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A way to end the process without `atexit`, with what waits written before."""

        @wraps(function)
        def ending(*args: Any, **kwargs: Any) -> Any:
            with suppress(Exception):
                self.flush()
            return function(*args, **kwargs)

        return ending

    def _head(self, what: str, key: Any, run_id: Any, site: CallSite) -> str:
        """The first part of a line; put together by hand, in a fraction of the time of `json.dumps`."""
        head = f'{{"process":{self._process},"what":"{what}","key":{quoted(_short(str(key)))}{site.text}'
        return head if run_id is None else f'{head},"run_id":{quoted(str(run_id))}'

    def _append(self, line: str) -> None:
        """One write to a file opened for appending: the lines of several processes and threads don't mix."""
        if self._waiting:
            line = "".join([*self._taken(), line])
        content = line.encode("ascii")
        try:
            write_to(self._descriptor, content)
        except OSError:
            self._open()
            with suppress(OSError):
                write_to(self._descriptor, content)

    def _taken(self) -> Iterator[str]:
        """The lines of the metrics that wait. Another thread may take some of them; each is taken once."""
        heads = self._heads
        with suppress(IndexError):
            while True:
                key, run_id, site, time, value, step = self._waiting.popleft()
                head = heads.get((key, run_id, site))
                if head is None:
                    if len(heads) >= _MOST:
                        heads.clear()
                    head = heads[key, run_id, site] = self._head("log_metric", key, run_id, site)
                given = "" if step is None else f',"step":{step}'
                yield f'{head},"time":{time}e-9,"value":"{value!s}"{given}}}\n'

    def _open(self) -> None:
        """Opens the file.

        Programs close all descriptors to become daemons, and the number of a closed one soon stands for a
        file of theirs. A high number makes that unlikely: numbers are given from below. And they fork
        first, after which the file is opened anew.
        """
        self._descriptor = -1
        process_log.note_logging(os.path.dirname(self._file))
        with suppress(OSError):
            low = os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._descriptor = low
            with suppress(OSError, ValueError, ImportError):
                from fcntl import F_DUPFD_CLOEXEC, fcntl

                self._descriptor = fcntl(low, F_DUPFD_CLOEXEC, _HIGH)
                os.close(low)

    def _forked(self) -> None:
        self._process = os.getpid()
        self._descriptor = -1
        self._heads.clear()
        # Those of threads that logged while the parent forked; the parent has them too.
        self._waiting.clear()

    def _search(self, frame: FrameType) -> CallSite:
        """As `where`, for a call that wasn't made by a line of the workspace."""
        by: str | None = None
        between = None
        mlflow = False
        other: str | None = None
        entered: FrameType | None = None
        each: FrameType | None = frame
        while each is not None:
            kind, shown = self._kind(each.f_code)
            if kind == _WORKSPACE:
                return CallSite(f"{shown}:{each.f_lineno}", by or between or "code", _function(entered))
            if kind == _ELSEWHERE:
                by = by or between or "code"
                if shown is not None and other is None:
                    other = f"{shown}:{each.f_lineno}"
            elif kind == _LIBRARY and shown is not None:
                if entered is None or each.f_code.co_name not in _WRAPPERS:
                    entered = each
            elif kind >= _MLFLOW:
                mlflow = True
                if kind == _AUTOLOGGING:
                    between = between or "autologging"
                elif kind == _PROJECTS:
                    between = between or "mlflow-run"
            each = each.f_back
        # In a thread of a library no line of the user's is on the stack.
        via = "" if mlflow else _function(entered)
        return CallSite(other, by or between or ("mlflow" if mlflow else "code"), via)

    def _kind(self, code: CodeType) -> tuple[int, str | None]:
        """What kind of code it is, and how its file is shown."""
        name = code.co_filename
        found = self._files.get(name)
        if found is None:
            found = self._files[name] = self._classify(name)
        return found

    def _classify(self, name: str) -> tuple[int, str | None]:
        if name.startswith("<"):
            # Typed in, or given with -c; other such names stand for generated or frozen code.
            return (_ELSEWHERE if name in ("<string>", "<stdin>") else _LIBRARY), None
        # Names are relative where sys.path is, to the directory in which Python was started.
        path = os.path.normpath(os.path.join(self._start, name))
        if self._mlflow is not None and _within(path, self._mlflow):
            rest = path[len(self._mlflow) :]
            if rest.startswith(AUTOLOGGING_PATHS):
                return _AUTOLOGGING, None
            return (_PROJECTS if rest.startswith(PROJECT_PATHS) else _MLFLOW), None
        if _within(path, _FORK_SERVER_FOLDER):
            # It makes the call that the command `mlflow run` makes.
            return _PROJECTS, None
        if path.startswith(_OBSERVER_FOLDER):
            return _LIBRARY, None
        for folder in ("site-packages", "dist-packages"):
            if f"{os.sep}{folder}{os.sep}" in path:
                return _LIBRARY, folder
        for candidate in dict.fromkeys([path, _real(path)]):
            for root, directory in self._roots:
                if _within(candidate, root) and not candidate.startswith(self._inner):
                    return _WORKSPACE, os.path.relpath(candidate, directory)
        # Commands such as `mlflow` have no suffix.
        if path.startswith(self._installed) or not path.endswith((".py", ".pyw")):
            return _LIBRARY, None
        return _ELSEWHERE, path if os.path.exists(path) else None


_FORK_SERVER_FOLDER = os.path.normpath(
    os.path.join(os.path.abspath(__file__), "..", "..", "..", "..", "forkserver")
)


_OBSERVER_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")


_WRAPPERS = frozenset(
    (
        *("wrapper", "_wrapper", "wrapped", "_wrapped", "wrapped_fn", "wrapped_func", "wrapper_func"),
        *("inner", "inner_fn", "decorated", "decorate_context", "get_experiment"),
    )
)
"""What decorators call the functions that they put around others, as `torch.no_grad` and Lightning's
`rank_zero_only` do: these say nothing of what was called."""


def _function(frame: FrameType | None) -> str:
    """The function that a frame runs, with its module; empty for no frame."""
    return "" if frame is None else f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_name}"


def _short(text: str) -> str:
    return text if len(text) <= 2 * _KEPT else f"{text[:_KEPT]}…{text[-_KEPT:]}"


def _real(path: str) -> str:
    return os.path.realpath(path)


def _within(path: str, directory: str) -> bool:
    return path.startswith(os.path.join(directory, ""))
