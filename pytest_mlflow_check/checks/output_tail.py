"""What failed launches printed, as a finding shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pytest_mlflow_check.checks.comparison import spoken
from pytest_mlflow_check.checks.crash_records import crash_record, reasons
from pytest_mlflow_check.checks.exit_status import last_moments
from pytest_mlflow_check.checks.last_words import own_output
from pytest_mlflow_check.checks.tracebacks import without_observer
from pytest_mlflow_check.core.records import Launch, Mode
from pytest_mlflow_check.core.text import final

_TAIL_LINES = 20
_HEAD_LINES = 10
_OTHER_EACH_TIME = re.compile(
    r"\b[0-9a-f]{32}\b|\b0x[0-9a-f]{6,16}\b|\b\d\d:\d\d:\d\d(?:[.,]\d+)?|\bpid[ =]\d+"
)
"""Ids of runs, addresses, times: two launches that fail alike print others."""


def outputs_of(launches: Mapping[Mode, Launch]) -> str:
    """The ends of the launches' output; what both printed, once."""
    first, *others = launches.values()
    same = [other for other in others if _comparable(other) == _comparable(first) != ""]
    if not same:
        return "\n\n".join(
            "\n".join([output_of(launch), *last_moments(launch)]) for launch in launches.values()
        )
    modes = [mode for mode, launch in launches.items() if launch in same]
    told = {mode: last_moments(launch) for mode, launch in launches.items()}
    until = [
        line
        for mode, lines in told.items()
        for line in (
            [f"{spoken(mode)}: {one}" for one in lines] if mode in modes and lines != told[first.mode] else []
        )
    ]
    alike = f"(`{same[0].command}` printed the same)"
    return "\n".join([output_of(first, alike), *told[first.mode], *until])


def output_of(launch: Launch, alike: str = "") -> str:
    """The end of a launch's output: of standard error, or of standard output where that is empty."""
    path = launch.stderr_path if own_output(launch.stderr).strip() else launch.stdout_path
    lines = _lines(launch)
    if lines:
        head = f"the end of {path}:" if path else "the end of its output:"
    else:
        head = f"no output; its files are in {path.parent}" if path else "no output"
    command = f"{launch.command}  {alike}" if alike else launch.command
    shown = [f"  {line}" for line in lines[-_TAIL_LINES:]]
    return "\n".join([command, *_beginning(launch, shown), head, *shown])


def _beginning(launch: Launch, shown: Sequence[str]) -> list[str]:
    """How the message of the exception begins, where the end of the output doesn't show it."""
    record = crash_record(launch)
    if record is None:
        return []
    first = reasons(record)[0]
    message = launch.as_original(f"{first.kind}: {first.message}".replace(f"{launch.directory}/", ""))
    lines = message.rstrip().split("\n")
    if any(lines[0] in line for line in shown):
        return []
    more = ["  …"] if len(lines) > _HEAD_LINES else []
    return ["the exception:", *(f"  {line}" for line in lines[:_HEAD_LINES]), *more]


def _lines(launch: Launch) -> list[str]:
    stderr = own_output(final(launch.stderr))
    # The user's own files, not those of the copy, are where the fault is fixed.
    text = (
        without_observer(stderr if stderr.strip() else final(launch.stdout))
        .rstrip()
        .replace(f"{launch.directory}/", "")
    )
    return text.split("\n") if text else []


def _comparable(launch: Launch) -> str:
    return _OTHER_EACH_TIME.sub("…", launch.comparable("\n".join(_lines(launch)[-_TAIL_LINES:])))
