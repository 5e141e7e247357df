"""What `--mlflow-init` left for the user to fill in: the word TODO, as a value or in a command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_mlflow_check.config.settings import CaseSettings, ResolvedConfig, setting_line
from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.files import read_user_text
from pytest_mlflow_check.core.models import EntryPoint, Parameter, Project
from pytest_mlflow_check.core.text import listed

TODO = "TODO"

_WORD = re.compile(rf"(?<!\S){TODO}(?!\S)")
_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")
"""What the shell passes over."""

_ADVICE = re.compile(rf"#\s*{TODO}:\s*(.*\S)")
_LARGEST = 128 * 1024
"""Bytes of an MLproject, as in `core.yaml_lines`."""

_SHOWN = 20
"""Of them in a message."""


@dataclass(frozen=True)
class Unfinished:
    """A place that still says TODO.

    Attributes:
        source_line: file and line, as messages name them.
        entry_point: its name.
        subject: the parameter, or the command.
        advice: what to write there.
    """

    source_line: str
    entry_point: str
    subject: str
    advice: str

    def __str__(self) -> str:
        """The line of a message."""
        return f"{self.source_line}: {self.subject} of {self.entry_point}: {self.advice}"


def unfinished(
    settings: ResolvedConfig, project: Project, cases: Iterable[CaseSettings] | None = None
) -> list[Unfinished]:
    """Return what is still to be filled in before the cases can be launched.

    Args:
        settings: from `load_settings`.
        project: from `read_project`.
        cases: those that are wanted; None for all of the settings.
    """
    wanted = settings.values.case or (CaseSettings(),) if cases is None else cases
    places = (place for case in wanted for place in _of_case(settings, project, case))
    return list(dict.fromkeys(places))


def refuse_unfinished(settings: ResolvedConfig, project: Project, cases: Sequence[CaseSettings]) -> None:
    """Look whether the cases can be launched as they are.

    Raises:
        UserError: a value or a command is still TODO; all of them are named.
    """
    places = unfinished(settings, project, cases)
    if not places:
        return
    if len(places) == 1:
        (place,) = places
        subject = f"{place.subject} of {place.entry_point} is still {TODO}"
        raise UserError(f"{place.source_line}: {subject}, so nothing is launched\n  {place.advice}")
    shown = listed([place.source_line for place in places], 2)
    lines = [f"{len(places)} places are still {TODO}, so nothing is launched: {shown}"]
    lines += [f"  {place}" for place in places[:_SHOWN]]
    lines += [f"  and {len(places) - _SHOWN} more"] if len(places) > _SHOWN else []
    raise UserError("\n".join(lines))


def _of_case(settings: ResolvedConfig, project: Project, case: CaseSettings) -> Iterator[Unfinished]:
    name = case.entry_point or settings.values.entry_point
    entry_point = project.entry_points.get(name)
    values = {**settings.values.params, **case.params, **settings.params}
    for parameter, value in values.items():
        if value == TODO and parameter not in settings.params:
            yield _in_settings(settings, case, name, parameter)
    if entry_point is None:
        return
    for declared in entry_point.parameters.values():
        if declared.default == TODO and declared.name not in values:
            yield _default(project, name, declared)
    if _WORD.search(_COMMENT.sub("", entry_point.command)):
        yield _command(project, entry_point)


def _in_settings(settings: ResolvedConfig, case: CaseSettings, name: str, parameter: str) -> Unfinished:
    position = next((n for n, one in enumerate(settings.values.case) if one is case), None)
    own = parameter in case.params and position is not None
    keys = ("case", position, "params", parameter) if own else ("params", parameter)
    source_line, text = setting_line(settings, keys)  # type: ignore[arg-type]
    advice = found[1] if (found := _ADVICE.search(text)) else "write a value that it takes"
    return Unfinished(source_line, name, f'"{parameter}"', advice)


def _default(project: Project, name: str, parameter: Parameter) -> Unfinished:
    advice = f"write a {parameter.type} that it takes"
    return Unfinished(_line(project, parameter.line), name, f'the default of "{parameter.name}"', advice)


def _command(project: Project, entry_point: EntryPoint) -> Unfinished:
    first, line = entry_point.line, entry_point.command_line
    advice = ["write its options, or nothing"]
    if first is not None and line is not None and project.mlproject is not None:
        lines = read_user_text(project.mlproject, largest=_LARGEST).split("\n")
        comments = (found[1] for text in lines[first : line - 1] if (found := _ADVICE.search(text)))
        advice = list(comments) or advice
        # The command may be a text of several lines.
        line = next((n for n, text in enumerate(lines[line - 1 :], line) if _WORD.search(_bare(text))), line)
    return Unfinished(_line(project, line), entry_point.name, "the command", "\n  ".join(advice))


def _bare(text: str) -> str:
    return re.sub(r"[\"']", " ", text)


def _line(project: Project, line: int | None) -> str:
    file = shown_path(project.mlproject or project.directory)
    return file if line is None else f"{file}:{line}"
