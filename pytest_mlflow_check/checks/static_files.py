"""Files, options and keys of the MLproject that lead nowhere, told by the text of the files alone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.core.findings import Finding, Severity
from pytest_mlflow_check.core.models import IgnoredKey
from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.core.static_facts import MissingFile, UnknownOption, WrongEnvironment

_EVERYBODYS = "jovyan|onyxia|airflow|sagemaker-user|runner|vscode|app|user"
"""Names of homes that a platform gives to everybody's container."""

_ONE_MACHINE = re.compile(
    r"(?<![\w.:/\\-])(?:(?:file|sqlite):/{2,3})?"
    rf"(?P<path>/(?:home|Users)/(?!(?:{_EVERYBODYS})(?:/|$|\s))"
    r"[^/\s'\"`,;:{}$*]+(?:/[^\s'\"`,;]*)?"
    r"|[A-Za-z]:[\\/](?![\\/])\w[^\s'\"`,;]*)"
)
"""Below somebody's home directory, or on a drive of Windows; not a part of a URL or of another path."""

_MAX_OPTIONS = 12


def refusals(comparison: Comparison) -> Iterator[Finding]:
    """Why MLflow can't start the entry point, whatever it is given."""
    if refusal := comparison.facts.refusal:
        yield Finding(
            rule=refusal.rule,
            subject=refusal.subject,
            mlflow_run="refused",
            source_line=comparison.source_line(refusal.line),
            why=refusal.why,
            fix=refusal.fix,
        )


def lost_files_and_options(comparison: Comparison) -> Iterator[Finding]:
    """What the command names and isn't there: an error where the command surely fails of it."""
    for missing in comparison.facts.missing:
        yield _missing_file(comparison, missing)
    for option in comparison.facts.unknown_options:
        yield _unknown_option(comparison, option)


def wrong_places(comparison: Comparison) -> Iterator[Finding]:
    """What stands in the MLproject where it is of no use, to MLflow or to others."""
    case = comparison.case
    assert case is not None
    if wrong := comparison.facts.environment:
        yield _wrong_environment(comparison, wrong)
    keys = (*(case.project.ignored_keys if case.reports_project else ()), *case.entry_point.ignored_keys)
    yield from (_ignored_key(comparison, key) for key in keys)
    # In a container paths are its own.
    if case.project.docker_image is None:
        yield from _absolute_paths(comparison)


def told_by_files(comparison: Comparison, launch: Launch) -> bool:
    """Whether a launch failed of what the files tell already."""
    case, facts = comparison.case, comparison.facts
    if case is None or (launch.mode == "fluent" and case.fluent is not None):
        return False
    names = [one.name for one in facts.missing if one.sure]
    names += [one.name for one in facts.unknown_options if one.sure]
    return any(name in launch.stderr for name in names)


def _severity(comparison: Comparison, *, sure: bool) -> Severity:
    """An error for what surely breaks, and for nothing that was launched without breaking."""
    launched = [launch for launch in comparison.launches.values() if launch.exit_code == 0]
    return "error" if sure and not launched else "warning"


def _missing_file(comparison: Comparison, missing: MissingFile) -> Finding:
    place = comparison.source_line(missing.line)
    environment = missing.role in ("python_env", "conda_env")
    what = f"The key {missing.role}" if environment else "The command"
    does = {"script": "starts", "module": "starts the module"}.get(missing.role, "names")
    if missing.alike:
        who = "only Windows finds" if "\\" in missing.name else "only file systems that ignore case find"
        lies = f"and the project has {missing.alike}: {who} it."
        instead = missing.alike if environment else _instead(comparison, missing.name, missing.alike)
        fix = f"in {place} write  {instead}"
    elif missing.meant:
        lies = f"which isn't there; the project has {missing.meant}."
        fix = f"in {place} write  {_instead(comparison, missing.name, missing.meant)}"
    else:
        lies = "which isn't in the project."
        fix = f"write another path in {place}, or add {missing.name} to the project"
    why = f"{what} {does} {missing.name}, {lies}"
    if environment:
        why += " `mlflow run` ends before anything is started."
    return Finding(
        rule="mlproject-missing-file",
        subject=missing.name,
        mlflow_run=f"there is {missing.alike or missing.meant}"
        if missing.alike or missing.meant
        else "not there",
        source_line=place,
        why=why,
        fix=fix,
        severity=_severity(comparison, sure=missing.sure),
    )


def _unknown_option(comparison: Comparison, option: UnknownOption) -> Finding:
    place = comparison.source_line(option.line)
    meant = _meant(option)
    shown = ", ".join(option.known[:_MAX_OPTIONS])
    more = f" and {len(option.known) - _MAX_OPTIONS} more" if len(option.known) > _MAX_OPTIONS else ""
    has = f" It has {shown}{more}." if option.known and not meant else ""
    return Finding(
        rule="mlproject-unknown-option",
        subject=option.name,
        mlflow_run=f"did you mean {meant}?" if meant else "no such option",
        source_line=place,
        why=f"The command gives {option.script} the option {option.name}, which it doesn't have: it refuses "
        f"to start.{has}",
        fix=f"in {place} write  {_instead(comparison, option.name, meant)}"
        if meant
        else f"take {option.name} out of {place}, or add it to {option.script}",
        severity=_severity(comparison, sure=option.sure),
    )


def _meant(option: UnknownOption) -> str | None:
    """The option that was meant: the same but for dashes and case, its initials' one, or the likeliest."""

    def plain(name: str) -> str:
        return name.strip("-").replace("-", "_").lower()

    def initials(name: str) -> str:
        return "".join(part[:1] for part in plain(name).split("_"))

    same = [one for one in option.known if plain(one) == plain(option.name)]
    same = same or [one for one in option.known if initials(one) == plain(option.name)]
    close = same or difflib.get_close_matches(option.name, option.known, 1, 0.7)
    return close[0] if close else None


def _instead(comparison: Comparison, old: str, new: str) -> str:
    """The command with another word, if it is one line and has the word once; else that word alone."""
    command = comparison.case.entry_point.command.strip() if comparison.case else ""
    whole = re.compile(rf"(?<![\w./-]){re.escape(old)}(?![\w./-])")
    single = "\n" not in command and len(whole.findall(command)) == 1
    return whole.sub(lambda _: new, command) if single else new


def _wrong_environment(comparison: Comparison, wrong: WrongEnvironment) -> Finding:
    place = comparison.source_line(wrong.line)
    if wrong.key == "python_env":
        why = (
            f"{wrong.name} is no python_env file: MLflow takes python, build_dependencies and dependencies "
            "from it, and ends with a TypeError of anything else."
        )
    else:
        why = (
            f"{wrong.name} is a python_env file: read as one of conda, its python and what it lists as "
            "`-r requirements.txt` are left out."
        )
    move = (
        f"write  {wrong.belongs}: {wrong.name}"
        if wrong.belongs
        else "name a file that has these keys, with the requirements in one list"
    )
    unused = bool(comparison.launches) and comparison.settings.env_manager == "local"
    return Finding(
        rule="mlproject-wrong-environment",
        subject=wrong.name,
        mlflow_run=f"under {wrong.key}",
        source_line=place,
        why=why,
        fix=f"in {place} {move}" if place else f"in the MLproject {move}",
        severity="warning" if unused or wrong.key == "conda_env" else "error",
    )


def _ignored_key(comparison: Comparison, key: IgnoredKey) -> Finding:
    place = comparison.source_line(key.line)
    of = "at" if key.where == "the top level" else "of"
    return Finding(
        rule="mlproject-ignored-key",
        subject=key.name,
        mlflow_run="there twice" if key.repeated else "ignored",
        source_line=place,
        why=f"{key.name} is a second time in {key.where}: MLflow takes the last one, and says nothing of the "
        "other."
        if key.repeated
        else f"MLflow reads no key {key.name} {of} {key.where}, and says nothing of it.",
        fix=f"in {place} {key.fix}",
    )


def _absolute_paths(comparison: Comparison) -> Iterator[Finding]:
    """Paths of one machine in the command, and in defaults."""
    assert comparison.case is not None
    entry_point = comparison.case.entry_point
    places = [("The command", entry_point.command, entry_point.command_line)]
    places += [
        (f"The default of {one.name}", one.default, one.line)
        for one in entry_point.parameters.values()
        if one.default is not None
    ]
    seen: set[str] = set()
    for where, text, line in places:
        for found in _ONE_MACHINE.finditer(text):
            path = found["path"]
            if path not in seen:
                seen.add(path)
                yield Finding(
                    rule="mlproject-absolute-path",
                    subject=path,
                    mlflow_run="one machine's",
                    source_line=comparison.source_line(line),
                    why=f"{where} names {path}, which is on one machine only.",
                    fix="name it relative to the project, or have it given as a parameter without a default",
                )
