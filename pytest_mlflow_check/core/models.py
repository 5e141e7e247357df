"""What is to be launched: a project, its entry points and parameters, and a case.

Plain data, in MLflow's own words. `project` makes these from an MLproject file, `launch` starts them,
and the checks look things up in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter
from typing import Literal


@dataclass(frozen=True)
class Parameter:
    """One parameter of an entry point.

    Attributes:
        name: the name as written in the MLproject file.
        type: `string`, `float`, `path` and `uri` mean something to MLflow; any other word is kept as it
            is and treated as a string (mlflow.projects._project_spec.Parameter, MLflow 3.17).
        default: the default as text, the way MLflow passes it on, or None where there is none.
        null_default: whether the file says `default: null`, which MLflow counts as no default at all.
        line: 1-based line of the MLproject file; None for a parameter that stands in no file.
        nameless: whether YAML reads its name as something else than text, and it has no default: no value can
            be given then.
    """

    name: str
    type: str = "string"
    default: str | None = None
    null_default: bool = False
    line: int | None = None
    nameless: bool = False


@dataclass(frozen=True)
class IgnoredKey:
    """A key of the MLproject that MLflow doesn't read: one that is meant for another, or stands there again.

    Attributes:
        name: as it is written.
        where: what it stands in: `the top level`, `entry point "main"`.
        fix: what to write instead.
        line: 1-based, of the MLproject file.
        repeated: whether it is read, and what stands under it further up isn't.
    """

    name: str
    where: str
    fix: str
    line: int
    repeated: bool = False


@dataclass(frozen=True)
class EnvironmentFile:
    """The file with dependencies that an MLproject names.

    Attributes:
        key: the key that names it.
        name: as it is written there.
        line: 1-based, of the MLproject file.
    """

    key: Literal["python_env", "conda_env"]
    name: str
    line: int


@dataclass(frozen=True)
class EntryPoint:
    """A command that MLflow can run.

    Attributes:
        name: `main`, another name from the MLproject file, or a script such as `train.py`.
        command: the shell command with `{placeholders}` (`str.format`).
        parameters: the declared parameters by name, in the order of the file.
        line: 1-based line of the MLproject file; None for a script.
        command_line: the line of its command, likewise.
        ignored_keys: its keys, and those of its parameters, that MLflow doesn't read.
    """

    name: str
    command: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    line: int | None = None
    command_line: int | None = None
    ignored_keys: tuple[IgnoredKey, ...] = ()


@dataclass(frozen=True)
class Project:
    """A directory MLflow can run.

    Attributes:
        directory: absolute path.
        mlproject: absolute path of the MLproject file, or None for a bare directory.
        name: the project's own name, if it gives one.
        entry_points: the declared entry points by name.
        docker_image, docker_line: what `docker_env` names, and its line; None where there is none.
        python_env, conda_env: absolute path of the file with the project's dependencies: the one that the
            MLproject names, else MLflow's default where it is there. At most one is set.
        environment: which of both the MLproject names, if it does.
        ignored_keys: the keys at the file's top level, and of its `docker_env`, that MLflow doesn't read.
    """

    directory: Path
    mlproject: Path | None = None
    name: str | None = None
    entry_points: Mapping[str, EntryPoint] = field(default_factory=dict)
    docker_image: str | None = None
    docker_line: int | None = None
    python_env: Path | None = None
    conda_env: Path | None = None
    environment: EnvironmentFile | None = None
    ignored_keys: tuple[IgnoredKey, ...] = ()

    def source_line(self, line: int | None) -> str | None:
        """`MLproject:6` for line 6 of this project's file; None where there is no such line."""
        if self.mlproject is None or line is None:
            return None
        return f"{self.mlproject.name}:{line}"


@dataclass(frozen=True)
class Case:
    """One entry point with one set of parameter values.

    Attributes:
        id: stands in the node id; unique within the project.
        project: the project it belongs to.
        entry_point: what is run.
        params: the values given by the user, as text; parameters left out keep their default.
        fluent: the plain command, with `{placeholders}`, or None for the entry point's own command.
        env: environment variables that both launches get.
        probe: what a derived case changes, such as `alpha=1`; None for a case of the user's.
        probe_of: the id of the case that it comes from.
        reports_project: whether what concerns the whole project is told with this case: one case's task.
    """

    id: str
    project: Project
    entry_point: EntryPoint
    params: Mapping[str, str] = field(default_factory=dict)
    fluent: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    probe: str | None = None
    probe_of: str | None = None
    reports_project: bool = False


def placeholders(text: str) -> Iterator[tuple[str, str, str]]:
    """The text before each placeholder, its field (`alpha` in `{alpha!r:>9}`), and the whole placeholder.

    Raises:
        ValueError: unbalanced braces.
    """
    before = ""
    for literal, name, spec, conversion in Formatter().parse(text):
        # A doubled brace ends a literal too, and is no placeholder.
        before += literal
        if name is not None:
            whole = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            yield before, name, f"{{{whole}}}"
            yield from placeholders(spec or "")
            before = ""


def looked_up(field: str) -> str:
    """The name that `str.format` looks up for a field: all before an attribute or an index."""
    return re.split(r"[.\[]", field, maxsplit=1)[0]
