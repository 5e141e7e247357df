"""Which exception a launch failed with, as the process itself noted it, and where the user's code raised it.

What a program prints of an exception may be anything: rich draws boxes, click prints one line, a framework
logs it. What the process noted doesn't depend on that.
"""

from __future__ import annotations

import re
from pathlib import Path

from pytest_mlflow_check.checks.exit_status import exit_code_of_command
from pytest_mlflow_check.checks.tracebacks import death, last_project_line
from pytest_mlflow_check.core.records import Launch, ProcessCrash, RaisedException

_ABOUT_CHILDREN = frozenset(
    {
        "subprocess.CalledProcessError",
        "mlflow.utils.process.ShellCommandException",
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError",
        "torch.multiprocessing.spawn.ProcessExitedException",
        "torch.multiprocessing.spawn.ProcessRaisedException",
    }
)
"""Exceptions that say no more than that another process failed."""

_RUN_FAILED = re.compile(r"Run \(ID '\w+'\) failed")
"""`mlflow.exceptions.ExecutionException` of a command that failed (mlflow.projects, 3.17.2 and 2.22.5)."""

_CLI = re.compile(r"[/\\]mlflow[/\\]cli(?:\.py|[/\\]__init__\.py)")
"""MLflow's own command, which prints in one line what it refuses."""

_NO_REASON = re.compile(r"(?:click\.exceptions|typer)\.(?:Exit|Abort)|.*\b_?RemoteTraceback")
"""What only carries an exit code, or the text of another process's traceback."""

_USAGE = re.compile(r"(?:argparse|click|typer)\b.*")
"""What a parser of options raises; it ends with exit code 2, and prints what is wrong by itself."""

_USAGE_EXIT_CODE = 2


def crash_record(launch: Launch) -> ProcessCrash | None:
    """What the process ended with that a launch failed with; None where that isn't known for certain."""
    if not launch.exit_code or launch.exit_code < 0:
        return None
    crashes = [crash for crash in launch.crashes if _fits(launch, crash)]
    if not crashes:
        return None
    last = crashes[-1]
    if not _is_about_children(last):
        return last
    children = [crash for crash in crashes[:-1] if crash.parent == last.process] or crashes[:-1]
    # Of several that work together the others fail since the first one has.
    told = [crash for crash in children if not _is_about_children(crash)]
    return told[0] if told else None


def crash_output(launch: Launch) -> str:
    """The traceback that a launch failed with, as Python prints it; else its standard error."""
    record = crash_record(launch)
    return launch.stderr if record is None else record.traceback


def reasons(record: ProcessCrash) -> tuple[RaisedException, ...]:
    """The exceptions of a chain that say something, the first one first."""
    return tuple(link for link in record.chain if not _NO_REASON.fullmatch(link.kind))


def crash_line(launch: Launch) -> str | None:
    """The user's innermost line that raised the first exception of a chain, or the next that has one."""
    record = crash_record(launch)
    for link in record.chain if record else ():
        if _NO_REASON.fullmatch(link.kind) and (line := last_project_line(link.message, launch.directory)):
            return line
        for file, number in reversed(link.frames):
            path = Path(launch.directory, file)
            if not file.startswith("<") and path.is_relative_to(launch.directory):
                return f"{path.relative_to(launch.directory)}:{number}"
    return last_project_line(death(crash_output(launch)).text, launch.directory)


def started_script(launch: Launch) -> str:
    """The script of the process that a launch failed with, where another process of the launch started it."""
    record = crash_record(launch)
    others = {process.number for process in launch.processes or ()}
    if record is None or record.parent not in others or not record.command:
        return ""
    script = Path(record.command[0]).name
    # `-c`, and `-m` until the module is found.
    return "" if script.startswith("-") else script


def in_words(record: ProcessCrash) -> str:
    """A chain in one line: its first exception, and what came of it.

    An exception that came up while another one was handled says by itself what went wrong, and the other one
    how it came to that; one raised `from` another only wraps it.
    """
    first, *others = reasons(record)
    if not others or _said(first) == _said(others[-1]):
        return _said(others[-1] if others else first)
    last = others[-1]
    if first.message and first.message in last.message:
        return _said(last)
    if all(link.is_cause for link in (first, *others[:-1])):
        return f"{_said(first)} (then {_said(last)})"
    return f"{_said(last)} (while handling {_said(first)})"


def _said(link: RaisedException) -> str:
    kind, message = link.kind.rpartition(".")[2], link.message.strip().partition("\n")[0]
    return f"{kind}: {message}" if message else kind


def _fits(launch: Launch, crash: ProcessCrash) -> bool:
    """Whether a process may have failed the launch: the command ended with its exit code."""
    told = reasons(crash)
    is_usage = crash.exit_code == _USAGE_EXIT_CODE and any(_USAGE.fullmatch(link.kind) for link in told)
    ended = crash.exit_code & 0xFF == exit_code_of_command(launch)
    return bool(told) and not is_usage and ended and not _is_of_mlflow_run(crash)


def _is_about_children(crash: ProcessCrash) -> bool:
    return crash.chain[-1].kind in _ABOUT_CHILDREN


def _is_of_mlflow_run(crash: ProcessCrash) -> bool:
    """Whether it says no more than `mlflow run` does: of its own process, or of a project's command."""
    return any(
        link.kind == "mlflow.exceptions.ExecutionException"
        and (_RUN_FAILED.match(link.message) or any(_CLI.search(file) for file, _ in link.frames))
        for link in crash.chain
    )
