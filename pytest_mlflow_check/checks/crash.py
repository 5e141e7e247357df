"""A launch that crashed, as what looks for its cause sees it."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_mlflow_check.checks.comparison import Comparison
from pytest_mlflow_check.checks.crash_records import crash_line, crash_output, crash_record, reasons
from pytest_mlflow_check.checks.last_words import own_output
from pytest_mlflow_check.checks.tracebacks import Death, death, exceptions
from pytest_mlflow_check.core.findings import CodePart
from pytest_mlflow_check.core.records import Launch
from pytest_mlflow_check.core.surroundings import Surroundings


@dataclass(frozen=True)
class Known:
    """What is known about a failure.

    Attributes:
        why: what its message means.
        fix: what to change.
        source_line: the innermost line of the project's code, where the traceback has one.
        code: what the fix needs, to be pasted.
    """

    why: str
    fix: str
    source_line: str | None = None
    code: tuple[CodePart, ...] = ()


@dataclass(frozen=True)
class Crash:
    """A launch that crashed.

    Attributes:
        launch: the launch.
        comparison: both launches of its case.
    """

    launch: Launch
    comparison: Comparison

    @cached_property
    def output(self) -> str:
        """The traceback that it noted; else its standard error, without what `mlflow run` says of itself."""
        return own_output(crash_output(self.launch))

    @cached_property
    def death(self) -> Death:
        """What it crashed with."""
        return death(self.output)

    @cached_property
    def messages(self) -> tuple[str, ...]:
        """The exceptions that it noted, the first one first; else those that it printed, the last one first.

        All of the output where there is none.
        """
        if record := crash_record(self.launch):
            return tuple(f"{link.kind}: {link.message}" for link in reasons(record))
        return tuple(exceptions(self.death.text)) or (self.output,)

    @cached_property
    def source_line(self) -> str | None:
        """The innermost line of the project's code."""
        return crash_line(self.launch)

    @property
    def surroundings(self) -> Surroundings:
        """What lies around the project."""
        return self.comparison.surroundings

    @property
    def command(self) -> str:
        """The command with its placeholders, as the user wrote it."""
        case = self.comparison.case
        if case is None:
            return ""
        return case.fluent if self.is_fluent_override and case.fluent else case.entry_point.command

    @property
    def is_fluent_override(self) -> bool:
        """Whether the command stands under the settings key `fluent`."""
        case = self.comparison.case
        return self.launch.mode == "fluent" and case is not None and case.fluent is not None

    @property
    def command_place(self) -> str:
        """Where the command stands, as `MLproject:8`, or in words."""
        if self.is_fluent_override:
            return "the settings key fluent"
        case = self.comparison.case
        place = self.comparison.source_line(case.entry_point.command_line) if case else None
        return place or "the command"

    @property
    def command_line(self) -> str | None:
        """The line of the MLproject in which the command stands."""
        place = self.command_place
        return place if re.fullmatch(r".*:\d+", place) else None

    def relative(self, path: str) -> str | None:
        """A path that the code used, relative to the project; None for one that leads out of its copy."""
        whole = Path(os.path.normpath(self.launch.directory / path))
        workspace = self.launch.workspace or self.launch.directory
        return (
            Path(os.path.relpath(whole, self.launch.directory)).as_posix()
            if whole.is_relative_to(workspace)
            else None
        )

    def setting(self, variable: str, value: str) -> tuple[str, tuple[CodePart, ...]]:
        """How a variable of the environment is set for the case: in a sentence, and to be pasted."""
        case, cases = self.comparison.case, self.comparison.settings.case
        env = {**(case.env if case else {}), variable: value}
        shown = ", ".join(f"{name} = {json.dumps(text, ensure_ascii=False)}" for name, text in env.items())
        if not cases:
            return (
                f"set it for the case in mlflow-check.toml:  [[case]]  env = {{ {shown} }}",
                (CodePart("mlflow-check.toml", f"[[case]]\nenv = {{ {shown} }}"),),
            )
        of = f" whose id is {case.id}" if case and len(cases) > 1 else ""
        return f"set it in mlflow-check.toml, below the [[case]]{of}:  env = {{ {shown} }}", ()
