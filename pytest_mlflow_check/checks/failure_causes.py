"""Faults that a launch's standard error tells, and that are rules of their own."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.crash_records import crash_output
from pytest_mlflow_check.checks.library_runs import no_experiment_of_its_own
from pytest_mlflow_check.checks.logging_snippets import in_use, log_where_missing
from pytest_mlflow_check.checks.param_conflicts import CHANGING, changed_params, rewritten_params, shown
from pytest_mlflow_check.checks.source_lines import calls
from pytest_mlflow_check.checks.tracebacks import death, last_project_line
from pytest_mlflow_check.core.findings import CodePart, Finding
from pytest_mlflow_check.core.records import Launch, Mode, Observation

_Explanation = Callable[[Comparison, Mode, Launch], Iterator[Finding]]

_LONGEST_MESSAGE = 200

_MISMATCH = re.compile(
    r"Cannot start run with ID \S{1,64} because active (?:experiment|run) ID does not match environment run"
)
"""mlflow.tracking.fluent.start_run; 2.22.5 says `run`, 3.17.2 `experiment`."""

_PROJECTS = re.compile(r"[/\\]mlflow[/\\]projects[/\\]__init__\.py$")
_ENVIRONMENTS = re.compile(r"[/\\]mlflow[/\\]utils[/\\](virtualenv|conda)\.py$")
_MANAGERS = (
    ("conda", re.compile(r"[Cc]onda executable")),
    ("pyenv", re.compile(r"pyenv binary|'None'|pyenv', 'install'")),
    ("virtualenv", re.compile(r"virtualenv binary|'virtualenv'")),
    ("uv", re.compile(r"'uv'")),
)
"""What an inner project lacks, by the end of the message. MLflow starts `None` where it finds no pyenv."""

_HALF_MADE = re.compile(r"[/\\]mlflow-[0-9a-f]{40}[/\\]bin[/\\]activate: No such file or directory")
"""An environment that another run is still making, or never finished, and that MLflow takes for one."""

_LACKING = re.compile(
    r"=== Running command 'source \S*[/\\]mlflow-[0-9a-f]{40}[/\\]bin[/\\]activate && "
    r".*?^ModuleNotFoundError: No module named '(?P<module>[\w.]+)'$",
    re.MULTILINE | re.DOTALL,
)
"""What a command misses in an environment that MLflow made: of a project that declares none it is empty, so
not even MLflow is there (mlflow.projects.backend.local, 3.17.2 and 2.22.5)."""

MISSING_FILE = re.compile(
    r"""No such file or directory: b?(?P<quoted>'[^'\n]{1,1000}'|"[^"\n]{1,1000}")"""
    r"""|can't open file (?P<script>'[^'\n]{1,1000}'): \[Errno 2\]"""
    r"""|^[\w./-]{1,60}: (?:line \d+: )?(?:cannot access |cannot stat |cannot open )?"""
    r"""(?P<plain>[^\s:'"][^:\n]{0,1000}?|'[^'\n]{1,1000}'): No such file or directory$""",
    re.MULTILINE,
)
"""As Python, its interpreter, and shells and their commands say it."""

_AUTOLOGGING = re.compile(
    r"Encountered unexpected error during (?:(?P<flavor>[\w. -]{1,40}?) )?autologging: (?P<message>[^\n]*)"
)
"""mlflow.utils.autologging_utils.safety, which names no flavor in some places."""

_ASYNC = re.compile(r"Run Id [0-9a-f]{32}: Failed to log run data: Exception: (?P<message>[^\n]*)")
"""mlflow.utils.async_logging.async_logging_queue (3.17.2 and 2.22.5)."""

_RUN_ID = re.compile(r"\b[0-9a-f]{32}\b")


def explanations(comparison: Comparison, mode: Mode, launch: Launch) -> list[Finding]:
    """What a failed launch crashed with, where it is something that a rule is about."""
    # What a launch was saying when its time was over isn't what it crashed with.
    for explain in _EXPLANATIONS if launch.exit_code is not None else (rewritten_params,):
        if findings := list(explain(comparison, mode, launch)):
            return findings
    return []


def autologging_failures(comparison: Comparison) -> Iterator[Finding]:
    """Autologging that gave up with a mere warning, however the launch ended."""
    found: dict[tuple[str, str, str], dict[Mode, str]] = {}
    for mode, launch in comparison.launches.items():
        for match in _AUTOLOGGING.finditer(launch.stderr):
            said = _RUN_ID.sub("…", launch.as_original(match["message"].strip()))
            reason, fix = _reason(comparison, mode, said)
            found.setdefault((match["flavor"] or "autologging", reason, fix), {})[mode] = "failed"
    for (flavor, reason, fix), sides in found.items():
        source_lines = [
            call.source_line for mode in sides for call in calls(comparison, ["autolog"], mode=mode)
        ]
        yield Finding(
            rule="autologging-failed",
            subject=flavor,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            source_line=next((source_line for source_line in reversed(source_lines) if source_line), None),
            why="Autologging catches its own errors and only warns; what it was about to log is missing. "
            f"{reason}",
            fix=fix,
        )


def async_failures(comparison: Comparison) -> Iterator[Finding]:
    """What MLflow refused to the thread that logs with `synchronous=False`, however the launch ended."""
    found: dict[tuple[str, str], dict[Mode, str]] = {}
    for mode, launch in comparison.launches.items():
        for match in _ASYNC.finditer(launch.stderr):
            message = match["message"].strip()
            changes = [one for part in message.split(CHANGING)[1:] for one in changed_params(part)]
            for key, old, new in changes:
                found.setdefault((key, ""), {})[mode] = f"logged {shown(old)}, then {shown(new)}"
            if not changes:
                said = _RUN_ID.sub("…", launch.as_original(message))
                found.setdefault(("run data", f" MLflow says: {_cut(said)}"), {})[mode] = "refused"
    for (subject, said), sides in found.items():
        logging = [
            call
            for mode in sides
            for call in calls(comparison, ["log_param"], mode=mode)
            if call.key == subject and call.source_line
        ]
        call = logging[0] if logging else None
        fix, code = _async_fix(comparison, subject, call)
        yield Finding(
            rule="async-logging-failed",
            subject=subject,
            fluent=sides.get("fluent"),
            mlflow_run=sides.get("mlflow-run"),
            source_line=call.source_line if call else None,
            why="It was logged with synchronous=False, by a thread. MLflow refused, the thread wrote that "
            f"into the output, and the launch went on without it and more of the same call.{said}",
            fix="resolve what MLflow says" if said else fix,
            code=() if said else code,
        )


def swallowed_mismatches(comparison: Comparison) -> dict[Mode, Finding]:
    """By launch, that MLflow refused to start its run, and that the code, or autologging, went on without."""
    found: dict[Mode, Finding] = {}
    for mode, launch in comparison.launches.items():
        refused = [call for call in swallowed(launch) if _MISMATCH.search(call.value or "")]
        if refused:
            found[mode] = _hardcoded(comparison, mode, launch, "no run", refused[0].source_line)
    return found


def swallowed(launch: Launch) -> list[Observation]:
    """The calls that raised an exception, in a launch that ended well all the same."""
    return [call for call in launch.observations if call.what == "raised"] if launch.exit_code == 0 else []


def _async_fix(
    comparison: Comparison, key: str, call: Observation | None
) -> tuple[str, tuple[CodePart, ...]]:
    """How to log a param that `mlflow run` has logged; where a library logs it, how to call it."""
    if call is None or call.library or not comparison.given_by_mlflow(key):
        return _left_alone(comparison, "mlflow-run", key), ()
    other = in_use(key)
    where = f"in place of {call.source_line}, with all else that it logs"
    part = log_where_missing([key], where, besides=[other] if other else ())
    return f"log {key} only where `mlflow run` hasn't", (part,)


def _experiment_hardcoded(comparison: Comparison, mode: Mode, launch: Launch) -> Iterator[Finding]:
    died = death(crash_output(launch))
    if _MISMATCH.search(died.without_code):
        line = last_project_line(died.text, launch.directory)
        yield _hardcoded(comparison, mode, launch, "died", line)


def _hardcoded(comparison: Comparison, mode: Mode, launch: Launch, side: str, line: str | None) -> Finding:
    """The experiment that the code chose, in a launch whose run is in another; the line is its start."""
    chosen = [
        call
        for call in launch.observations
        if call.what == "set_experiment" and call.by == "code" and call.source_line
    ]
    call = chosen[-1] if chosen else Observation("set_experiment")
    place = f"  in {call.source_line}" if call.source_line else ""
    name = shlex.quote(call.key) if call.key else "…"
    command = comparison.launches["fluent"].command if "fluent" in comparison.launches else "python …"
    outside = f"MLFLOW_EXPERIMENT_NAME={name} {command}  and  mlflow run . --experiment-name={name}"
    caught = f" {line or 'A library'} went on without it." if launch.exit_code == 0 else ""
    return _finding(
        mode,
        side,
        rule="experiment-hardcoded",
        subject=call.key or "set_experiment",
        source_line=call.source_line or line,
        why="`mlflow run` had already made the run, in the experiment it was started for. "
        f"{call.library or 'The code'} chose "
        f"{f'the experiment {shown(call.key)}' if call.key else 'another experiment'}, and a run can't be in "
        f"two, so start_run() refused.{caught}",
        fix=f"{no_experiment_of_its_own(call.library)}{place}; choose from outside:  {outside}"
        if call.library
        else f"remove set_experiment() from {call.source_line or 'the code'}, and choose from outside:  "
        f"{outside}",
    )


def _needs_run_id(_: Comparison, mode: Mode, launch: Launch) -> Iterator[Finding]:
    died = death(crash_output(launch))
    first = died.message.strip().partition("\n")[0]
    last = died.message.strip().rpartition("\n")[2]
    if mode != "fluent" or not any(
        "MLFLOW_RUN_ID" in line for line in (first if died.frames else last, last)
    ):
        return
    source_line = last_project_line(died.text, launch.directory)
    yield _finding(
        mode,
        "died",
        rule="needs-run-id",
        subject="MLFLOW_RUN_ID",
        source_line=source_line,
        why=f"{source_line or 'The code'} needs MLFLOW_RUN_ID, which only `mlflow run` sets.",
        fix="start the run by  mlflow.start_run()  which joins the run that MLFLOW_RUN_ID names, and makes "
        f"one where there is none; and remove {source_line or 'what asks for the variable'}",
    )


def _inner_run_environment(_: Comparison, mode: Mode, launch: Launch) -> Iterator[Finding]:
    died = death(crash_output(launch))
    files = [frame.file for frame in died.frames]
    through = next((position for position, file in enumerate(files) if _PROJECTS.search(file)), None)
    if through is None:
        return
    manager = next((name for name, missing in _MANAGERS if missing.search(died.message)), None)
    half_made, lacking = _HALF_MADE.search(launch.stderr), _LACKING.search(launch.stderr)
    if half_made or lacking:
        manager = "virtualenv"
    elif manager is None or not any(_ENVIRONMENTS.search(file) for file in files[through:]):
        return
    trouble = "found that one half made" if half_made else "that is missing here"
    if lacking:
        trouble = f"that one has no {lacking['module']}"
    elif "'install'" in died.message:
        trouble = "that one can't install the Python for it"
    source_line = last_project_line(died.text, launch.directory)
    yield _finding(
        mode,
        "died",
        rule="inner-run-environment",
        subject=manager,
        source_line=source_line,
        why=f"{source_line or 'The code'} runs a project with MLflow, which makes an environment for it with "
        f"{manager}, and {trouble}. The environment manager that the outer `mlflow run` was given doesn't "
        "hold for an inner one.",
        fix='give mlflow.run() the environment that is there:  env_manager="local"'
        + ("  or name in a python_env.yaml all that it needs" if lacking else ""),
    )


def _file_outside_workspace(_: Comparison, mode: Mode, launch: Launch) -> Iterator[Finding]:
    if launch.workspace is None:
        return
    died = death(crash_output(launch))
    for found in MISSING_FILE.finditer(died.without_code):
        path = unquoted(found["quoted"] or found["script"] or found["plain"])
        if path is None or not _outside(path, launch, launch.workspace):
            continue
        source_line = last_project_line(died.text, launch.directory)
        whole = Path(os.path.normpath(launch.directory / path))
        beside = os.path.isabs(path) and _beside_the_copy(whole, launch.workspace)
        shown_as = os.path.relpath(whole, launch.directory) if beside else path
        yield _finding(
            mode,
            "not found",
            rule="file-outside-workspace",
            subject=shown_as,
            source_line=source_line,
            why=f"{shown_as} leads out of what is copied for a launch: the repository around the project, or "
            "the project alone where it lies in none. `mlflow run` of a Git URI doesn't bring it along "
            "either.",
            fix=_bring_in(shown_as, source_line),
        )
        return


def _bring_in(path: str, source_line: str | None) -> str:
    """How to have a file inside the project; of a place that was never there, in words."""
    name = Path(path).name
    if os.path.isabs(path) or not name:
        return "keep the file inside the repository, or give its absolute path as a parameter"
    there = f" in {source_line}" if source_line else ""
    return (
        f"copy it into the project:  cp {shlex.quote(path)} {shlex.quote(name)}  and read{there}  "
        f"{json.dumps(name, ensure_ascii=False)}  or give its absolute path as a parameter"
    )


_EXPLANATIONS: tuple[_Explanation, ...] = (
    rewritten_params,
    _experiment_hardcoded,
    _needs_run_id,
    _inner_run_environment,
    _file_outside_workspace,
)
"""A launch crashes for one reason: the first that fits counts."""


def _finding(
    mode: Mode, side: str, *, rule: str, subject: str, source_line: str | None, why: str, fix: str
) -> Finding:
    return Finding(
        rule=rule,
        subject=subject,
        fluent=side if mode == "fluent" else None,
        mlflow_run=side if mode == "mlflow-run" else None,
        source_line=source_line,
        why=why,
        fix=fix,
    )


def _outside(path: str, launch: Launch, workspace: Path) -> bool:
    """Whether a path leads out of the copy, or names a file of the original that the copy lacks."""
    whole = Path(os.path.normpath(launch.directory / path))
    if whole.is_relative_to(workspace):
        return False
    if not os.path.isabs(path) or (launch.origin is not None and whole.is_relative_to(launch.origin)):
        return True
    return _beside_the_copy(whole, workspace)


def _beside_the_copy(path: Path, workspace: Path) -> bool:
    """Whether a path leads to where the copies lie, as `Path(__file__).parents[2] / "data"` may."""
    above = [parent for parent in workspace.parents[:3] if parent != parent.parent]
    return any(path.is_relative_to(parent) for parent in above)


def unquoted(text: str) -> str | None:
    """The path that a message names, with or without quotes."""
    if not text.startswith(("'", '"')):
        return text
    try:
        path = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return path if "\0" not in path else None


def _reason(comparison: Comparison, mode: Mode, message: str) -> tuple[str, str]:
    """MLflow's message, and what to do; of params that were logged already, which and with what values."""
    # One exception is shown inside another, with as many backslashes before its quotes.
    parts = re.sub(r"\\+(['\"])", r"\1", message).split(CHANGING)[1:]
    changes = dict.fromkeys(change for part in parts for change in changed_params(part))
    if changes:
        listed = ", ".join(f"{key} ({shown(old)}, then {shown(new)})" for key, old, new in changes)
        return (
            f"A param can't be changed once it is logged, and autologging logged others anew: {listed}.",
            "; ".join(_left_alone(comparison, mode, key) for key, _, _ in changes),
        )
    return f"MLflow says: {_cut(message)}", "resolve what MLflow says, or log it yourself"


def _left_alone(comparison: Comparison, mode: Mode, key: str) -> str:
    """How to leave the name of a param to what logs it, too."""
    declared = comparison.declared(key)
    if mode == "mlflow-run" and declared is not None and comparison.case is not None:
        other = f"given_{key}"
        line = comparison.source_line(declared.line)
        command = comparison.source_line(comparison.case.entry_point.command_line)
        return f"call the parameter  {other}  in {line}, and write  {{{other}}}  in the command in {command}"
    if mode == "mlflow-run" and comparison.given_by_mlflow(key):
        return f"call the parameter {key} something else"
    logged = calls(comparison, ["log_param"], mode=mode)
    line = next((call.source_line for call in logged if call.key == key and call.by == "code"), None)
    return f"leave {key} to autologging: remove what logs it{f' in {line}' if line else ''}"


def _cut(message: str) -> str:
    return f"{message[:_LONGEST_MESSAGE]}…" if len(message) > _LONGEST_MESSAGE else message
