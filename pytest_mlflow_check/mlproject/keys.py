"""Keys of an MLproject that MLflow ignores in silence: misspelt, or in a place where it doesn't look.

Source of facts: `mlflow.projects._project_spec.load_project`, `EntryPoint` and `Parameter`, MLflow 3.17.2 and
2.22.5, which read the same keys. A key that is like none of theirs is somebody's note.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_mlflow_check.core.models import IgnoredKey
from pytest_mlflow_check.core.yaml_lines import MappingWithLines

_ALIKE = 0.8
_ENVIRONMENTS = ("python_env", "conda_env", "docker_env")
_WHICH = "name the file under the key for its kind:  python_env: python_env.yaml  or  conda_env: conda.yaml"


@dataclass(frozen=True)
class _Level:
    """What MLflow reads in one kind of mapping.

    Attributes:
        known: the keys.
        meant: other words that people write for them.
        moved: keys that it reads elsewhere, with where to write them.
    """

    known: tuple[str, ...]
    meant: Mapping[str, str]
    moved: Mapping[str, str]


_TOP = _Level(
    ("name", "entry_points", "databricks_spark_job", *_ENVIRONMENTS),
    {"conda": "conda_env", "conda_environment": "conda_env", "docker": "docker_env", "entry": "entry_points"},
    {
        "parameters": 'write it below an entry point, beside its "command"',
        "command": "write it below an entry point:  entry_points: {main: {command: …}}",
        **dict.fromkeys(("env", "environment", "virtualenv", "venv", "python"), _WHICH),
    },
)
_ENTRY_POINT = _Level(
    ("parameters", "command"),
    {"params": "parameters", "args": "parameters", "arguments": "parameters", "cmd": "command"},
    dict.fromkeys(_ENVIRONMENTS, "write it at the top level of the file: it holds for all entry points"),
)
_PARAMETER = _Level(("type", "default"), {"value": "default", "default_value": "default"}, {})
_DOCKER = _Level(
    ("image", "volumes", "environment"),
    {"env": "environment", "environment_variables": "environment"},
    {},
)


def ignored_at_top(document: MappingWithLines) -> tuple[IgnoredKey, ...]:
    """The keys at the top level of the file, and of its `docker_env`, that MLflow doesn't read."""
    where = "the top level"
    found = list(_ignored(document, _TOP, where))
    seen = {one.name for one in found}
    for key, value in document.items():
        # An entry point that isn't indented far enough.
        if str(key) not in {*_TOP.known, *seen} and isinstance(value, dict) and "command" in value:
            fix = 'write it below "entry_points:", indented'
            found.append(IgnoredKey(str(key), where, fix, document.lines[key]))
    if isinstance(docker := document.get("docker_env"), MappingWithLines):
        found += _ignored(docker, _DOCKER, '"docker_env"')
    if isinstance(entry_points := document.get("entry_points"), MappingWithLines):
        found += _repeated(entry_points, '"entry_points"')
    return (*found, *_repeated(document, where))


def ignored_in_entry_point(name: str, spec: MappingWithLines) -> tuple[IgnoredKey, ...]:
    """The keys of an entry point, and of its parameters, that MLflow doesn't read."""
    where = f'entry point "{name}"'
    found = [*_ignored(spec, _ENTRY_POINT, where), *_repeated(spec, where)]
    parameters = spec.get("parameters")
    if isinstance(parameters, MappingWithLines):
        found += _repeated(parameters, f"the parameters of {where}")
    for key, value in parameters.items() if isinstance(parameters, dict) else ():
        if isinstance(value, MappingWithLines):
            found += [
                *_ignored(value, _PARAMETER, f'parameter "{key}"'),
                *_repeated(value, f'parameter "{key}"'),
            ]
    return tuple(found)


def meant_by(key: str, known: tuple[str, ...]) -> str | None:
    """The known key that another one is a slip of."""
    plain = key.lower().replace("-", "_").replace(" ", "_")
    close = difflib.get_close_matches(plain, known, 1, _ALIKE)
    return close[0] if close else None


def _repeated(mapping: MappingWithLines, where: str) -> Iterator[IgnoredKey]:
    for key, line in mapping.repeated.items():
        fix = "keep one of them, or give them names of their own"
        yield IgnoredKey(str(key), where, fix, line, repeated=True)


def _ignored(mapping: MappingWithLines, level: _Level, where: str) -> Iterator[IgnoredKey]:
    for key in mapping:
        if not isinstance(key, str) or key in level.known:
            continue
        fix = level.moved.get(key)
        before, colon, _ = key.partition(":")
        if colon and before in level.known:
            fix = f"put a blank behind the colon:  {before}: {key.removeprefix(f'{before}:')}"
        meant = level.meant.get(key.lower()) or meant_by(key, level.known)
        if fix is None and meant:
            fix = f"write:  {meant}:" if meant not in mapping else f'remove it: "{meant}" is there too'
        if fix is not None:
            yield IgnoredKey(key, where, fix, mapping.lines[key])
