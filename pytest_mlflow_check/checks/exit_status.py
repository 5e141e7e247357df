"""How a launch ended that didn't end well: what is known of its last moments."""

from __future__ import annotations

import signal
from dataclasses import replace

from pytest_mlflow_check.core.records import Frame, Launch, Observation, Stack
from pytest_mlflow_check.core.text import counted

_SHELL = 128
"""What a shell adds to the number of the signal that ended its command."""

_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
"""At which Python writes down where it stood."""

_MOST_THREADS = 12


def how_it_ended(launch: Launch) -> str:
    """In words for a table: its exit code, or the name of a signal, or that it didn't end."""
    if launch.exit_code is None:
        return f"not ended after {launch.duration:.0f} s"
    code = exit_code_of_command(launch)
    if code < 0:
        return f"killed by {_signal_name(-code)}"
    if code > _SHELL and code - _SHELL in list(signal.Signals):
        return f"exit code {code} ({_signal_name(code - _SHELL)})"
    return f"exit code {code}"


def exit_code_of_command(launch: Launch) -> int:
    """Return the exit code of a launch's command, below 0 for a signal; of one that ended.

    `mlflow run` turns every exit code into 1: that of the command itself is given where it was observed.
    """
    assert launch.exit_code is not None
    if launch.mode == "mlflow-run" and launch.exit_code == 1:
        # The last one is that of `mlflow run` itself: those of inner projects have ended before.
        for call in reversed(launch.observations):
            if call.what == "command_ended" and call.value is not None:
                return int(call.value) or launch.exit_code
    return launch.exit_code


def last_moments(launch: Launch) -> list[str]:
    """What it had logged until then, and where its threads stood; a line each."""
    lines = [_logged(launch)]
    shown = _stacks(launch)
    if shown:
        crashed = shown[0].reason
        lines.append(f"{crashed}, at" if crashed else "where it stood when its time was over:")
        lines += [f"  {line}" for line in dict.fromkeys(map(_standing, shown[:_MOST_THREADS]))]
        if len(shown) > _MOST_THREADS:
            lines.append(f"  and {len(shown) - _MOST_THREADS} more threads")
    return lines


def last_source_line(launch: Launch) -> str | None:
    """The project's line at which its main thread stood, or another thread where that stood at none."""
    own = [stack for stack in _stacks(launch) if _is_own(stack)]
    main = [stack for stack in own if stack.frames[-1].function == "<module>"]
    for stack in main or own:
        frame = _own_frame(stack)
        return f"{frame.file}:{frame.line}"
    return None


def _stacks(launch: Launch) -> list[Stack]:
    """Where the threads stood that tell of its end: a process beside it may have crashed, and it went on."""
    late = launch.exit_code is None
    if not late and not _crashed(exit_code_of_command(launch)):
        return []
    found = [stack for stack in launch.stacks if bool(stack.reason) != late]
    return [stack for stack in found if _is_own(stack)] or found


def _crashed(code: int) -> bool:
    return max(-code, code - _SHELL) in _CRASHES


def _is_own(stack: Stack) -> bool:
    return any(frame.own for frame in stack.frames)


def _logged(launch: Launch) -> str:
    counts = [
        (len(launch.runs), "run"),
        (sum(len(run.params) for run in launch.runs), "param"),
        (sum(len(run.metrics) for run in launch.runs), "metric"),
        (sum(len(run.artifacts) for run in launch.runs), "artifact"),
        (sum(len(run.models) for run in launch.runs), "model"),
    ]
    told = [counted(count, what) for count, what in counts if count]
    line = f"logged until then: {', '.join(told) or 'nothing'}"
    last = _last_call(launch)
    return line if last is None else f"{line}; the last was {_call(last, launch)}"


def _last_call(launch: Launch) -> Observation | None:
    last = next((call for call in reversed(launch.observations) if _logs(call)), None)
    if last is None or last.what != "log_metric":
        return last
    # Metrics of a burst are written down together. One that was killed didn't come to it; the store has them.
    points = [
        (int(series.timestamps[-1]), int(series.steps[-1]))
        for run in launch.runs
        if run.run_id == last.run_id
        for series in run.metrics.values()
        if series.key == last.key and len(series)
    ]
    newest, step = max(points, default=(0, 0))
    if last.step is None or newest / 1000 <= last.time:
        return last
    return replace(last, step=step, time=newest / 1000)


def _logs(call: Observation) -> bool:
    return call.by in ("code", "autologging") and call.what.startswith(("log_", "set_tag", "register_"))


def _call(call: Observation, launch: Launch) -> str:
    text = call.what + (f"({call.key!r}" if call.key else "(")
    text += f", step={call.step})" if call.step is not None else ")"
    if call.source_line:
        text += f" at {call.source_line}"
    before = launch.started + launch.duration - call.time
    return f"{text}, {max(before, 0.0):.0f} s before" if launch.exit_code is None and launch.started else text


def _standing(stack: Stack) -> str:
    inner = stack.frames[0]
    if inner.own or not _is_own(stack):
        return _line(inner)
    return f"{_line(_own_frame(stack))}, in {inner.file}:{inner.line} ({inner.function})"


def _own_frame(stack: Stack) -> Frame:
    return next(frame for frame in stack.frames if frame.own)


def _line(frame: Frame) -> str:
    return f"{frame.file}:{frame.line} ({frame.function})"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        # Real-time signals but for the first and the last have no name.
        return f"signal {number}"
