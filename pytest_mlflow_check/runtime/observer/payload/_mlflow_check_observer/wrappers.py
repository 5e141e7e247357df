# Runs inside the user's processes: Python 3.9 or later, standard library only.
"""Wrappers around functions: each notes a call and lets it happen as it is.

A logging call made within another isn't noted: `mlflow.log_metric` calls `MlflowClient.log_metric`. Runs that
begin or end are, whoever makes them, since a `log_param` without a run starts one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from types import FrameType
from typing import Any

from .mlflow_internals import GET_OR_START
from .recorder import CallSite, Recorder

Function = Callable[..., Any]


class Call:
    """One call as a describer sees it.

    Attributes:
        given: the arguments that were given, by name.
        run_id: the run that the call names, or the active one.
    """

    __slots__ = ("_recorder", "_site", "given", "run_id")

    def __init__(self, given: dict[str, Any], run_id: Any, recorder: Recorder, site: CallSite) -> None:
        self.given = given
        self.run_id = run_id
        self._recorder = recorder
        self._site = site

    def note(self, what: str, key: Any, value: Any = None, step: Any = None) -> None:
        """Writes one observation about it."""
        self._recorder.note(what, key, value, self.run_id, step, self._site)


Describer = Callable[[Call], None]
ActiveRun = Callable[[], Any]


def parameters(function: Function) -> tuple[str, ...]:
    """The names of a function's positional parameters, of the one within all wrappers."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = function.__code__
    return code.co_varnames[: code.co_argcount]


def logging_call(
    original: Function, recorder: Recorder, describe: Describer, active_run: ActiveRun
) -> Function:
    """Notes the outermost call before it is made, so that one that raises is seen too."""
    names = parameters(original)
    thread = recorder.thread

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if thread.logging:
            return original(*args, **kwargs)
        thread.logging = True
        try:
            try:
                given = {**dict(zip(names, args)), **kwargs}
                site = recorder.where(sys._getframe(1))
                describe(Call(given, _run_id(given, active_run), recorder, site))
            except Exception:
                pass
            try:
                return original(*args, **kwargs)
            except Exception as error:
                _note_raised(recorder, original, error, sys._getframe(1))
                raise
        finally:
            thread.logging = False

    return call


def metric_call(original: Function, recorder: Recorder, active_run: ActiveRun) -> Function:
    """`logging_call` for `log_metric`, of which there are thousands: the same with less in between."""
    names = parameters(original)
    thread, where, note, frame = recorder.thread, recorder.where, recorder.metric, sys._getframe
    key_at, value_at, step_at = (names.index(name) for name in ("key", "value", "step"))
    run_at = names.index("run_id") if "run_id" in names else len(names)

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if thread.logging:
            return original(*args, **kwargs)
        thread.logging = True
        try:
            try:
                count = len(args)
                run_id = args[run_at] if count > run_at else kwargs.get("run_id")
                if run_id is None and (run := active_run()) is not None:
                    run_id = run.info.run_id
                note(
                    args[key_at] if count > key_at else kwargs["key"],
                    args[value_at] if count > value_at else kwargs["value"],
                    run_id,
                    args[step_at] if count > step_at else kwargs.get("step"),
                    where(frame(1)),
                )
            except Exception:
                pass
            try:
                return original(*args, **kwargs)
            except Exception as error:
                _note_raised(recorder, original, error, frame(1))
                raise
        finally:
            thread.logging = False

    return call


def inner_call(
    original: Function, recorder: Recorder, describe: Describer, active_run: ActiveRun
) -> Function:
    """Notes every call, also one made within another, before it is made."""
    names = parameters(original)

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            given = {**dict(zip(names, args)), **kwargs}
            site = recorder.where(sys._getframe(1))
            describe(Call(given, _run_id(given, active_run), recorder, site))
        except Exception:
            pass
        return original(*args, **kwargs)

    return call


def starting_call(original: Function, recorder: Recorder, what: str) -> Function:
    """`start_run` and `create_run`: noted when the run is there; the second within the first isn't."""
    names = parameters(original)
    thread = recorder.thread

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if thread.starting:
            return original(*args, **kwargs)
        thread.starting = True
        try:
            run = original(*args, **kwargs)
        except Exception as error:
            _note_raised(recorder, original, error, sys._getframe(1))
            raise
        finally:
            thread.starting = False
        try:
            frame = sys._getframe(1)
            site = recorder.where(frame)
            given = {**dict(zip(names, args)), **kwargs}
            name = given.get("run_name") or (given.get("tags") or {}).get("mlflow.runName")
            options = tuple(option for option in _OPTIONS if given.get(option))
            if frame.f_code.co_name == GET_OR_START:
                options += ("implicit",)
            recorder.note(what, run.info.run_name or "", name, run.info.run_id, None, site, options)
        except Exception:
            pass
        return run

    return call


def ending_call(original: Function, recorder: Recorder, active_run: ActiveRun, exit_name: str) -> Function:
    """`end_run`, `set_terminated` and `update_run(status=…)`: noted before, where there is a run to end.

    Args:
        exit_name: the function that calls `end_run` when the interpreter ends.
    """
    names = parameters(original)
    needs_status = original.__name__ == "update_run"
    thread = recorder.thread

    @wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        if thread.ending:
            return original(*args, **kwargs)
        thread.ending = True
        try:
            try:
                given = {**dict(zip(names, args)), **kwargs}
                run_id, status = _run_id(given, active_run), given.get("status")
                if run_id is not None and (status in _FINAL or (status is None and not needs_status)):
                    frame = sys._getframe(1)
                    site = recorder.where(frame)
                    if frame.f_code.co_name == exit_name:
                        site = CallSite(site.source_line, "exit")
                    recorder.note("end_run", "", status or "FINISHED", run_id, None, site)
            except Exception:
                pass
            return original(*args, **kwargs)
        finally:
            thread.ending = False

    return call


def _note_raised(recorder: Recorder, original: Function, error: Exception, frame: FrameType) -> None:
    """Notes what a call raised: whoever made it may catch that, and go on."""
    try:
        said = f"{type(error).__name__}: {error}"
        recorder.note("raised", original.__name__, said, None, None, recorder.where(frame))
    except Exception:
        pass


_OPTIONS = ("run_id", "nested", "parent_run_id")
_FINAL = ("FINISHED", "FAILED", "KILLED")


def _run_id(given: dict[str, Any], active_run: ActiveRun) -> Any:
    run_id = given.get("run_id")
    if run_id is None:
        run = active_run()
        if run is not None:
            run_id = run.info.run_id
    return run_id
