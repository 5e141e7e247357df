"""The settings of a project: what may be written where, and what holds in the end.

`mlflow-check.toml` beside the MLproject, or `[tool.mlflow-check]` in the `pyproject.toml` there.
Command line over project file over pytest ini over default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)

from pytest_mlflow_check.config.toml_lines import line_of, read_toml
from pytest_mlflow_check.core.errors import UserError, did_you_mean, shown_path

FILE_NAME = "mlflow-check.toml"

_SHOWN = 5
"""Mistakes in a message."""

_LONGEST = 200
"""Characters of a value in a message."""

EnvManager = Literal["local", "uv", "virtualenv", "conda"]
"""As for `mlflow run --env-manager`."""


def _text(value: object) -> object:
    return str(value) if isinstance(value, (bool, int, float)) else value


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("Input should be a number, not true or false")
    return value


def _no_null_character(text: str) -> str:
    if "\0" in text:
        raise ValueError("no command line and no environment variable can hold a null character")
    return text


Text = Annotated[str, BeforeValidator(_text), AfterValidator(_no_null_character)]
"""Text; a bare TOML number or boolean is taken as MLflow takes a YAML default, through `str`."""

Number = Annotated[float, BeforeValidator(_no_truth_value)]


def _known_store(text: str) -> str:
    if text not in ("file", "sqlite", "server") and not re.match(r"postgresql(\+\w+)?://", text):
        raise ValueError("write file, sqlite, server or postgresql://USER@HOST/DATABASE")
    return text


def shown_store(store: str) -> str:
    """What the setting `store` says, with stars for a password."""
    store = re.sub(r"(://[^:/?#]*):.*@", r"\1:***@", store)
    return re.sub(r"(?i)([?&][^=&]*pass[^=&]*=)[^&]*", r"\1***", store)


def shown_setting(key: str, value: object) -> str:
    """A setting as headers and reports have it.

    Args:
        key: as in the file.
        value: as in `ProjectConfig`.
    """
    if key == "timeout":
        return f"{value:g} s"
    if key == "store":
        return shown_store(str(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Ignore(_Strict):
    """Patterns (`fnmatch`) of what is never compared."""

    params: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    artifacts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


class Tolerance(_Strict):
    """How far two values may lie apart: `|a - b| <= max(rel * max(|a|, |b|), abs)`."""

    rel: Number = Field(default=1e-9, ge=0, allow_inf_nan=False)
    abs: Number = Field(default=0.0, ge=0, allow_inf_nan=False)


class Workspace(_Strict):
    """How the copies are made in which launches run.

    Patterns of `link` are relative to what is copied: the repository around the project, else the project.
    """

    link: tuple[str, ...] = ()

    @field_validator("link")
    @classmethod
    def _leads_nowhere_else(cls, link: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in link:
            if not pattern.strip("./") or pattern.startswith(("/", "~")) or ".." in pattern.split("/"):
                raise ValueError(
                    f"{pattern!r} isn't below the directory that is copied, the repository around the "
                    "project or else the project itself: write what lies in there, as in  "
                    'workspace = { link = ["data/**"] }'
                )
        return link


class CaseSettings(_Strict):
    """One `[[case]]`."""

    id: str | None = None
    entry_point: str | None = None
    params: dict[str, Text] = Field(default_factory=dict)
    fluent: str | None = None
    env: dict[str, Text] = Field(default_factory=dict)

    @field_validator("id")
    @classmethod
    def _fits_a_node_id(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\w[\w .+=-]*", value):
            raise ValueError("an id stands in pytest's node ids: use letters, digits, spaces and  _ . + = -")
        return value

    @field_validator("fluent")
    @classmethod
    def _is_a_command(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("the plain command is empty: write one, or leave the key out")
        return value

    @field_validator("env")
    @classmethod
    def _names_variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not name or "=" in name or "\0" in name:
                raise ValueError(f"{name!r} can't be the name of an environment variable")
        return value


class AllowSettings(_Strict):
    """One `[[allow]]`: a difference the user accepts, with the reason."""

    rule: str
    match: str = "*"
    reason: str

    @field_validator("reason")
    @classmethod
    def _not_blank(cls, reason: str) -> str:
        if not reason.strip():
            raise ValueError("an allowance needs a reason")
        return reason


class ProjectConfig(_Strict):
    """Everything that may stand in the project's settings file."""

    entry_point: str = "main"
    params: dict[str, Text] = Field(default_factory=dict)
    launch: Literal["both", "fluent", "mlflow-run"] = "both"
    store: Annotated[str, AfterValidator(_known_store)] = Field(default="file", repr=False)
    env_manager: EnvManager = "local"
    timeout: Number = Field(default=600.0, gt=0, allow_inf_nan=False)
    strict: bool = False
    observer: bool = True
    confirm: bool = True
    tracking_uri: Literal["redirect", "block"] = "redirect"
    probes: bool = False
    cache: bool = False
    ignore: Ignore = Ignore()
    artifact_contents: tuple[str, ...] = ()
    workspace: Workspace = Workspace()
    metric_tolerance: Tolerance = Tolerance()
    prediction_tolerance: Tolerance = Tolerance(rel=1e-5, abs=1e-8)
    pass_env: tuple[str, ...] = ()
    rules: dict[str, Literal["error", "warning", "off"]] = Field(default_factory=dict)
    case: tuple[CaseSettings, ...] = ()
    allow: tuple[AllowSettings, ...] = ()


@dataclass(frozen=True)
class ResolvedConfig:
    """What holds for one project, from all sources together.

    Attributes:
        project: absolute path of the project's directory.
        values: the settings themselves.
        file: the settings file that was read, or None.
        origins: for each key that was set, where: `command line`, `pytest ini` or the file's name.
        entry_point: an entry point named on the command line, which then decides over the cases.
        params: parameter values from the command line, which win over those of every case.
    """

    project: Path
    values: ProjectConfig
    file: Path | None
    origins: Mapping[str, str]
    entry_point: str | None
    params: Mapping[str, str]

    def origin(self, key: str) -> str:
        """Where the value of a key came from; `default` where nobody set it."""
        return self.origins.get(key, "default")

    @property
    def narrowed(self) -> bool:
        """Whether the command line asks for less than, or something else than, the settings of the project.

        Then nobody can say of an allowance that nothing needs it.
        """
        one_mode = self.values.launch != "both" and self.origin("launch") == "command line"
        return one_mode or self.entry_point is not None or bool(self.params)


def load_settings(
    project: Path,
    *,
    command_line: Mapping[str, Any] | None = None,
    ini: Mapping[str, Any] | None = None,
) -> ResolvedConfig:
    """The settings in force for a project.

    Args:
        project: the project's directory.
        command_line: what was given on the command line (or by a fixture), by the keys of the file.
        ini: what pytest's own ini file gives, by the same keys.

    Raises:
        UserError: for a file that can't be read, an unknown key, or a value that doesn't fit.
    """
    command_line, ini = dict(command_line or {}), dict(ini or {})
    file = _read_file(project)
    name, in_file = (file.name, file.values) if file else (FILE_NAME, {})
    validate_settings(ini, "pytest ini")
    validate_settings(in_file, file.source_line if file else name)
    validate_settings(command_line, "command line")
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, values in (("pytest ini", ini), (name, in_file), ("command line", command_line)):
        # Parameters add up, value by value; everything else is replaced as a whole.
        merged |= {**values, "params": {**merged.get("params", {}), **values.get("params", {})}}
        origins |= dict.fromkeys(values, origin)
    return ResolvedConfig(
        project=project,
        values=validate_settings(merged, name),
        file=file.path if file else None,
        origins=origins,
        entry_point=command_line.get("entry_point"),
        params=command_line.get("params", {}),
    )


def setting_line(settings: ResolvedConfig, keys: Sequence[int | str]) -> tuple[str, str]:
    """The place of a key in the settings file, as messages name it, and the text of that line.

    Args:
        settings: from `load_settings`.
        keys: the way to the key, such as `("case", 1, "params", "index")`.
    """
    file = _read_file(settings.project)
    if file is None:
        return "settings", ""
    line = line_of(file.text, keys, table=file.table)
    return file.source_line(keys), file.text.split("\n")[line - 1] if line else ""


def validate_settings(
    values: Mapping[str, Any], origin: str | Callable[[Sequence[int | str]], str]
) -> ProjectConfig:
    """Values checked against the schema.

    Args:
        values: by the keys of the settings file.
        origin: where they came from, for the message; or what tells that of a key.

    Raises:
        UserError: for an unknown key or a value that doesn't fit.
    """
    try:
        return ProjectConfig.model_validate(values)
    except ValidationError as error:
        locate = (lambda _: origin) if isinstance(origin, str) else origin
        problems = error.errors()
        lines = [f"{locate(one['loc'])}: {_explain(one['loc'], one)}" for one in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"and {len(problems) - _SHOWN} more")
        raise UserError("\n".join(lines)) from error


@dataclass(frozen=True)
class _File:
    """A settings file: where it is, how the header names it, what it holds, its text, and the table in it."""

    path: Path
    name: str
    values: dict[str, Any]
    text: str
    table: str = ""

    def source_line(self, keys: Sequence[int | str]) -> str:
        """File and line of a key, as messages name them; where the line isn't clear, the table's name."""
        line = line_of(self.text, keys, table=self.table)
        return shown_path(self.path) + (f":{line}" if line else self.name.removeprefix(self.path.name))


def _read_file(project: Path) -> _File | None:
    own, shared = project / FILE_NAME, project / "pyproject.toml"
    in_shared = _of_pyproject(shared) if shared.is_file() else None
    # What has this name is meant, be it a file or not.
    if not os.path.lexists(own):
        return in_shared
    if in_shared is not None:
        raise UserError(
            f"{shown_path(own)}: there are settings in {shown_path(shared)} too, under "
            "[tool.mlflow-check]: keep one of the two"
        )
    values, text = read_toml(own)
    return _File(own, FILE_NAME, values, text)


def _of_pyproject(pyproject: Path) -> _File | None:
    values, text = read_toml(pyproject)
    tools = values.get("tool")
    table = tools.get("mlflow-check") if isinstance(tools, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        line = line_of(text, ("mlflow-check",))
        source_line = f"{shown_path(pyproject)}:{line}" if line else shown_path(pyproject)
        raise UserError(f"{source_line}: tool.mlflow-check must be a table: write [tool.mlflow-check]")
    return _File(pyproject, "pyproject.toml [tool.mlflow-check]", table, text, "tool.mlflow-check")


# Where pydantic names Python's types, the words of TOML.
_MESSAGES = {
    "tuple_type": "Input should be a list",
    "dict_type": "Input should be a table",
    "model_type": "Input should be a table",
}


def _explain(loc: tuple[int | str, ...], problem: Any) -> str:
    key = _key(loc)
    if problem["type"] == "extra_forbidden":
        return f'unknown key "{key}": {did_you_mean(str(loc[-1]), _known_keys(loc[:-1]))}'
    if problem["type"] == "missing" and loc[-1] == "reason":
        return f'"{key}" is missing: an allowance says why, as in  reason = "…"'
    if problem["type"] == "missing":
        return f'"{key}" is missing'
    message = _MESSAGES.get(problem["type"]) or problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "tuple_type" and key in ("case", "allow"):
        message = f"Input should be a list of tables: write [[{key}]], with two brackets"
    got = problem["input"]
    if key == "store" and isinstance(got, str):
        got = shown_store(got)
    return f'"{key}": {message} (got {_shown(got)})'


def _shown(value: object) -> str:
    """A value as in Python, but short. Python writes no number of more than 4,300 digits."""
    try:
        text = repr(value)
    except ValueError:
        return "a number of too many digits"
    except RecursionError:
        return "tables too deep in each other"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _key(loc: tuple[int | str, ...]) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _known_keys(loc: tuple[int | str, ...]) -> Iterable[str]:
    nested: dict[str, type[BaseModel]] = {
        "ignore": Ignore,
        "workspace": Workspace,
        "metric_tolerance": Tolerance,
        "prediction_tolerance": Tolerance,
        "case": CaseSettings,
        "allow": AllowSettings,
    }
    return (nested.get(str(loc[0]), ProjectConfig) if loc else ProjectConfig).model_fields
