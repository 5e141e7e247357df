"""What the shell and the system would make of a case's command: no value may be run, or be too long to pass.

MLflow puts each value in quotes for the shell (`EntryPoint._sanitize_value_dict`, 3.17.2 and 2.22.5). Where
the command has quotes of its own around a placeholder, these end where the value's begin, and the shell takes
what stands between them for commands. MLflow 2.22 leaves the names of undeclared parameters as they are.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.models import Case, looked_up, placeholders
from pytest_mlflow_check.mlproject.command import complete_params, extra_params, render_command

_RUN = {'"': re.compile(r'[$`"]'), "'": re.compile(r"[;&|<>$`()\n]")}
"""By the quotes around a placeholder: what in a value the shell would act upon."""

_NAME = re.compile(r"[\s;&|<>()$`\"'\\*?\[\]{}#~!]")
"""What no option of a program has in its name, and the shell takes for something else."""


def check_shell(case: Case, directory: Path) -> None:
    """Look whether the values of a case reach its program as data.

    Args:
        case: one that can be filled in.
        directory: the project's.

    Raises:
        UserError: the shell would run a part of a value or of a name; or the command is too long to start.
    """
    file = shown_path(case.project.mlproject or case.project.directory)
    extra, declared = extra_params(case), complete_params(case)
    for name in extra:
        if _NAME.search(name):
            raise UserError(
                f"{file}: the parameter {name[:80]!r} would become an option of that name\n"
                "  give it a name of letters, digits, - and _"
            )
    for template in (case.entry_point.command, case.fluent or ""):
        for name, quotes in _in_quotes(template):
            value = {**extra, **declared}.get(name, "")
            if _RUN[quotes].search(value):
                raise UserError(
                    f'{file}: case "{case.id}": the command has {{{name}}} in quotes, and MLflow puts '
                    f"quotes around values by itself: the shell would run a part of {value[:80]!r}\n"
                    f"  write {{{name}}} without quotes"
                )
    _refuse_length(case, directory, {**declared, **extra}, file)


def _in_quotes(template: str) -> Iterator[tuple[str, str]]:
    """The placeholders that stand in quotes of the shell, with these quotes."""
    open_quotes = [""]
    for before, field, _ in placeholders(template):
        for mark in re.findall(r"\\.|\$\(|['\")]", before, re.DOTALL):
            _follow(open_quotes, mark)
        if open_quotes[-1]:
            yield looked_up(field), open_quotes[-1]


def _follow(open_quotes: list[str], mark: str) -> None:
    """Takes in a mark of the shell; inside `$(…)` quotes begin anew."""
    inside = open_quotes[-1]
    if mark == "$(" and inside != "'":
        open_quotes.append("")
    elif mark == ")" and not inside and len(open_quotes) > 1:
        open_quotes.pop()
    elif mark in ("'", '"') and inside in ("", mark):
        open_quotes[-1] = "" if inside else mark


def _refuse_length(case: Case, directory: Path, values: Mapping[str, str], file: str) -> None:
    # MAX_ARG_STRLEN of Linux, for each argument and each variable; elsewhere only the sum of all counts.
    total = os.sysconf("SC_ARG_MAX")
    longest = 32 * os.sysconf("SC_PAGESIZE") if sys.platform == "linux" else total
    commands = [render_command(case, directory)]
    if case.fluent is not None:
        commands.append(render_command(case, directory, template=case.fluent))
    pairs = [f"{name}={value}" for name, value in {**values, **case.env}.items()]
    inherited = sum(len(os.fsencode(name + value)) + 10 for name, value in os.environ.items())
    sizes = [len(os.fsencode(text)) for text in (*commands, *pairs)]
    if max(sizes) < longest and sum(sizes) + inherited < total:
        return
    name, value = max({**values, **case.env}.items(), key=lambda pair: len(pair[1]), default=("", ""))
    what = f', of which "{name}" has {len(value):,}' if len(value) > 1000 else ""
    raise UserError(
        f'{file}: case "{case.id}": the command with its values has {max(sizes):,} characters{what}, '
        f"and the system starts none of more than {longest - 1:,}\n"
        "  write the long value into a file, and give the path of it"
    )
