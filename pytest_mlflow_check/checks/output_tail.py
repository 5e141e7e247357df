"""What a launch printed, as a finding shows it."""

from __future__ import annotations

from pytest_mlflow_check.checks.tracebacks import without_observer
from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.core.text import final

_TAIL_LINES = 20


def output_of(launch: Launch) -> str:
    """The end of a launch's output: of standard error, or of standard output where that is empty."""
    text, path = (
        (launch.stderr, launch.stderr_path) if launch.stderr.strip() else (launch.stdout, launch.stdout_path)
    )
    # The user's own files, not those of the copy, are where the fault is fixed.
    lines = without_observer(final(text)).rstrip().replace(f"{launch.directory}/", "").split("\n")
    lines = lines if any(lines) else []
    if lines:
        head = [f"the end of {path}:" if path else "the end of its output:"]
    else:
        head = [f"no output; its files are in {path.parent}" if path else "no output"]
    return "\n".join([f"{launch.command}", *head, *(f"  {line}" for line in lines[-_TAIL_LINES:])])
