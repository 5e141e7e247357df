"""What a failed launch said last: in one line, and whole."""

from __future__ import annotations

import re

from pytest_mlflow_check.checks.crash_records import crash_record, in_words, reasons
from pytest_mlflow_check.checks.exit_status import how_it_ended
from pytest_mlflow_check.checks.tracebacks import death, exceptions
from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.core.text import final

_BY_MLFLOW_RUN = re.compile(
    r"^(?:\d{4}/\d\d/\d\d \d\d:\d\d:\d\d )?"
    r"(?:INFO mlflow\.projects[\w.]*: ===[^\n]*|ERROR mlflow\.cli: === Run \(ID '\w+'\) failed ===[^\n]*)\n?",
    re.MULTILINE,
)
"""What `mlflow run` says of every run (mlflow.projects, mlflow.cli; 3.17.2 and 2.22.5)."""

_REFUSED = re.compile(r"^(?:\S+ \S+ )?ERROR mlflow\.cli: === (?P<said>[^\n]*) ===\s*$", re.MULTILINE)
"""Why `mlflow run` started nothing."""

_EXCEPTION = re.compile(r"(?:[A-Za-z_]\w*\.)*(?P<kind>[A-Za-z_]\w*)(?P<said>: .*|)")
_USAGE = re.compile(
    r"^(?:(?:\S{1,200}: error|Error): (?P<said>\S[^\n]*)|(?P<hydra>Could not override [^\n]*))$", re.MULTILINE
)
"""As argparse, click and Hydra say it."""

_LOGGED = re.compile(r"\b(?:INFO|DEBUG|WARNING)\b|Warning: ")


def own_output(text: str) -> str:
    """A launch's standard error without the lines that `mlflow run` adds."""
    return _BY_MLFLOW_RUN.sub("", text)


def last_words(launch: Launch) -> str:
    """The exception or message that a launch ended with, in one line; empty where it said nothing of it."""
    return _reason(launch) or _last_line(launch)


def headline(launch: Launch) -> str:
    """Why a launch failed, as its title says it."""
    how = how_it_ended(launch)
    if reason := _reason(launch):
        return reason
    return f"{how}: {line}" if (line := _last_line(launch)) else how


def kind_of_end(launch: Launch) -> str:
    """The kind of the exception that a launch ended with, or its exit code, or the signal that killed it."""
    if record := None if _was_killed(launch) else crash_record(launch):
        return reasons(record)[0].kind.rpartition(".")[2]
    kind, said, _ = _reason(launch).partition(":")
    return kind if said and kind.isidentifier() else how_it_ended(launch)


def _reason(launch: Launch) -> str:
    """The exception, or what a parser of options or `mlflow run` refused."""
    if _was_killed(launch):
        return ""
    if record := crash_record(launch):
        return _line(launch, in_words(record))
    text = own_output(launch.stderr)
    if refused := _REFUSED.search(text):
        return _line(launch, refused["said"])
    message = next(iter(exceptions(death(text).text)), "").strip().partition("\n")[0]
    if raised := _EXCEPTION.fullmatch(message):
        return _line(launch, raised["kind"] + raised["said"])
    usage = _USAGE.search(text)
    return _line(launch, usage["said"] or usage["hydra"]) if usage else ""


def _was_killed(launch: Launch) -> bool:
    """Whether something from outside ended it: what it was saying then isn't why."""
    how = how_it_ended(launch)
    return launch.exit_code is None or how.startswith("killed") or "(SIG" in how


def _last_line(launch: Launch) -> str:
    """The last line of the output, where it may say why."""
    if _was_killed(launch):
        return ""
    line = final(own_output(launch.stderr)).rstrip().rpartition("\n")[2].rstrip()
    return _line(launch, line) if line[:1].isalnum() and not _LOGGED.search(line) else ""


def _line(launch: Launch, text: str) -> str:
    # Whole: what is cut short before secrets are masked no longer looks like one.
    return " ".join(launch.as_original(text.replace(f"{launch.directory}/", "")).split())
