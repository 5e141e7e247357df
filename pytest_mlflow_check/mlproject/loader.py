"""Reading a project directory and its MLproject file the way MLflow reads them, without importing MLflow.

Source of facts: `mlflow.projects._project_spec.load_project` and `Project.get_entry_point`, MLflow 3.17.2 and
2.22.5, which are the same. Where MLflow crashes on a file with whatever Python exception comes, this gives a
message that says what to write.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import NoReturn

from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.models import EntryPoint, EnvironmentFile, Parameter, Project
from pytest_mlflow_check.core.static_facts import Refusal
from pytest_mlflow_check.core.yaml_lines import MappingWithLines, kind, read_yaml
from pytest_mlflow_check.mlproject.command import (
    check_command,
    check_fluent,
    complete_params,
    extra_params,
    path_exists,
    render_command,
    unset_null_defaults,
)
from pytest_mlflow_check.mlproject.keys import ignored_at_top, ignored_in_entry_point, meant_by
from pytest_mlflow_check.runtime.sandbox.workspace import enclosing_root

__all__ = [
    "check_command",
    "check_fluent",
    "complete_params",
    "extra_params",
    "find_entry_point",
    "read_project",
    "refusal_of",
    "render_command",
    "resolve_entry_point",
    "unset_null_defaults",
]

_RULE = "mlproject-invalid"
_ENVIRONMENT_FIELDS = ("docker_env", "python_env", "conda_env")
_LONGEST = 4096
"""Characters of a path, which the system takes at most."""

_SCRIPT_SUFFIXES = (".py", ".sh", ".R")
_ENTRY_POINTS_SAMPLE = 'write:\n      entry_points:\n        main:\n          command: "python train.py"'
_COMMAND_SAMPLE = 'write below it:  command: "python train.py"'


def read_project(directory: Path, *, to_launch: bool = True) -> Project:
    """The project in a directory: its MLproject file, or a bare directory where there is none.

    The file may be spelt in any mix of upper and lower case. It is read as UTF-8. Commands are not looked at
    yet: `resolve_entry_point` does that for the one entry point that is used.

    Args:
        directory: the project's.
        to_launch: whether it has to be one that can be launched here: with the files that it names, and not
            for a Databricks cluster.

    Raises:
        UserError: the directory or the file can't be read, or MLflow couldn't make sense of the file.
    """
    # Path.resolve would follow symbolic links, and messages would name a path the user never wrote.
    directory = Path(os.path.abspath(directory))
    file = _find_mlproject(directory)
    if file is None:
        python_env, conda_env = _environment_files(directory, {})
        return Project(directory, python_env=python_env, conda_env=conda_env)
    document = read_yaml(file, rule=_RULE, sample=_ENTRY_POINTS_SAMPLE)
    _check_environment(file, document)
    if to_launch:
        _check_launchable(file, document)
    name = document.get("name")
    docker = document.get("docker_env")
    python_env, conda_env = _environment_files(directory, document)
    image = docker.get("image") if isinstance(docker, dict) else None
    return Project(
        directory,
        file,
        None if name is None else str(name),
        _entry_points(file, document),
        docker_image=None if image is None else str(image),
        docker_line=None if image is None else document.lines["docker_env"],
        python_env=python_env,
        conda_env=conda_env,
        environment=_named_environment(document),
        ignored_keys=ignored_at_top(document),
    )


def resolve_entry_point(project: Project, name: str) -> EntryPoint:
    """The entry point of that name: a declared one, else a script with the command MLflow gives it.

    Raises:
        UserError: there is neither; a script doesn't exist; a parameter has no name; or the command can't be
            filled in (see `command.check_command`).
    """
    entry_point = find_entry_point(project, name)
    _check_entry_point(project, entry_point)
    return entry_point


def find_entry_point(project: Project, name: str) -> EntryPoint:
    """Like `resolve_entry_point`, whatever MLflow makes of its command.

    Raises:
        UserError: there is none of that name, or a script doesn't exist.
    """
    return project.entry_points.get(name) or _script(project, name)


def refusal_of(project: Project, entry_point: EntryPoint) -> Refusal | None:
    """Why MLflow can't start an entry point, whatever values it is given; None where it can."""
    try:
        _check_entry_point(project, entry_point)
    except UserError as error:
        first, *others = str(error).splitlines()
        fix = "; ".join(line.strip() for line in others if not line.startswith("  more: "))
        why = first.partition(": ")[2] or first
        line = entry_point.command_line or entry_point.line
        subject = error.subject or entry_point.name
        return Refusal(error.rule or _RULE, subject, f"{why[0].upper()}{why[1:]}.", fix, line)
    return None


def _check_entry_point(project: Project, entry_point: EntryPoint) -> None:
    for parameter in entry_point.parameters.values():
        if parameter.nameless:
            assert project.mlproject is not None
            name = parameter.name
            what = f"YAML reads the name of this parameter as {name}, not as text: no value can be given"
            _fail(project.mlproject, parameter.line, what, "write the name in quotes")
    check_command(project, entry_point)


# the file


def _fail(file: Path, line: int | None, *message: str) -> NoReturn:
    source_line = shown_path(file) if line is None else f"{shown_path(file)}:{line}"
    raise UserError(f"{source_line}: " + "\n  ".join(message), rule=_RULE) from None


def _find_mlproject(directory: Path) -> Path | None:
    shown = shown_path(directory)
    try:
        found = sorted(entry for entry in directory.iterdir() if entry.name.lower() == "mlproject")
    except FileNotFoundError:
        raise UserError(
            f"there is no directory {shown}\n  name the one that holds the MLproject: --mlflow-project=DIR"
        ) from None
    except NotADirectoryError:
        parent = shlex.quote(shown_path(directory.parent))
        raise UserError(
            f"{shown} is not a directory\n  name the one it lies in: --mlflow-project={parent}"
        ) from None
    except OSError as error:
        raise UserError(
            f"can't read the directory {shown}: {error.strerror}\n"
            "  let this user read it, or name another: --mlflow-project=DIR"
        ) from None
    if len(found) > 1:
        raise UserError(
            f"{shown} has {len(found)} MLproject files: {', '.join(entry.name for entry in found)}\n"
            "  MLflow takes the one that the file system happens to list first: keep only one"
        )
    return found[0] if found else None


# its content


def _check_environment(file: Path, document: MappingWithLines) -> None:
    """Refuse what MLflow refuses about a project's environment, whatever lies beside the file."""
    fields = [name for name in _ENVIRONMENT_FIELDS if name in document]
    if len(fields) > 1:
        line = max(document.lines[name] for name in fields)
        _fail(file, line, f"MLflow takes only one of {', '.join(fields)}", "remove the others")
    if document.get("docker_env"):
        _check_docker(file, document.lines["docker_env"], document["docker_env"])
    for field in ("python_env", "conda_env"):
        named = document.get(field)
        if not named:
            continue
        line = document.lines[field]
        if not isinstance(named, str):
            what = f'"{field}" is {kind(named)}, and MLflow wants the name of a file'
            _fail(file, line, what, f"write the content into a file beside this one:  {field}: {field}.yaml")
        if len(named) > _LONGEST:
            what = f'"{field}" names a file with a name of {len(named):,} characters'
            _fail(file, line, what, f"write a path relative to {shown_path(file.parent)}, or remove the line")


def _check_launchable(file: Path, document: MappingWithLines) -> None:
    """Refuse projects for Databricks, and what names a file that isn't there."""
    if document.get("databricks_spark_job") is not None:
        line = document.lines["databricks_spark_job"]
        what = '"databricks_spark_job" needs a Databricks cluster: this project can\'t be launched locally'
        _fail(file, line, what, "remove the key, or check another project")
    if (environment := _named_environment(document)) is not None:
        field, named, line = environment.key, environment.name, environment.line
        if path_exists(file.parent / named) and not os.path.isfile(file.parent / named):  # noqa: PTH113
            what = f'"{field}" names {named}, which is no file'
            _fail(file, line, what, "name a file, or remove the line")
        if not path_exists(file.parent / named):
            what = f'"{field}" names the file {named}, which doesn\'t exist'
            _fail(file, line, what, f"write a path relative to {shown_path(file.parent)}, or remove the line")


def _named_environment(document: MappingWithLines) -> EnvironmentFile | None:
    """The file with dependencies that the MLproject names; None under `docker_env`, which wins."""
    if document.get("docker_env"):
        return None
    if named := document.get("python_env"):
        return EnvironmentFile("python_env", str(named), document.lines["python_env"])
    if named := document.get("conda_env"):
        return EnvironmentFile("conda_env", str(named), document.lines["conda_env"])
    return None


def _environment_files(
    directory: Path, document: Mapping[Hashable, object]
) -> tuple[Path | None, Path | None]:
    """The `python_env` or the `conda_env` of a project: what the MLproject names wins over the default."""
    if document.get("docker_env"):
        return None, None
    if named := document.get("python_env"):
        return directory / str(named), None
    if named := document.get("conda_env"):
        return None, directory / str(named)
    if path_exists(directory / "python_env.yaml"):
        return directory / "python_env.yaml", None
    default = directory / "conda.yaml"
    return None, default if path_exists(default) else None


def _check_docker(file: Path, line: int, docker: object) -> None:
    if not isinstance(docker, dict) or not docker.get("image"):
        _fail(file, line, '"docker_env" names no image', "write below it:  image: NAME")
    volumes = docker.get("volumes") or []
    if not isinstance(volumes, list) or not all(isinstance(volume, str) for volume in volumes):
        _fail(file, line, '"volumes" isn\'t a list of texts', 'write:  volumes: ["/here:/there"]')
    environment = docker.get("environment") or []
    if not isinstance(environment, list) or not all(isinstance(item, (list, str)) for item in environment):
        what = '"environment" isn\'t a list of names and of [name, value] pairs'
        _fail(file, line, what, 'write:  environment: ["COPIED", ["NEW", "value"]]')


def _entry_points(file: Path, document: MappingWithLines) -> dict[str, EntryPoint]:
    declared = document.get("entry_points", MappingWithLines())
    if not isinstance(declared, MappingWithLines):
        what = f'"entry_points" holds {kind(declared)}, not names with commands'
        _fail(file, document.lines["entry_points"], what, _ENTRY_POINTS_SAMPLE)
    entry_points = {}
    for name, spec in declared.items():
        line = declared.lines[name]
        if not isinstance(name, str):
            what = f"YAML reads the name of this entry point as {name}, not as text: it can never be started"
            _fail(file, line, what, "write the name in quotes")
        entry_points[name] = _entry_point(file, line, name, spec)
    return entry_points


def _entry_point(file: Path, line: int, name: str, spec: object) -> EntryPoint:
    if not isinstance(spec, MappingWithLines):
        _fail(
            file,
            line,
            f'entry point "{name}" holds {kind(spec)}, not a mapping with "command"',
            _COMMAND_SAMPLE,
        )
    command = spec.get("command")
    if command is None:
        what = f'entry point "{name}" has no command'
        if slip := next((key for key in spec if isinstance(key, str) and meant_by(key, ("command",))), None):
            _fail(file, spec.lines[slip], f'{what}; did you mean it by "{slip}"?', "write:  command:")
        _fail(file, line, what, _COMMAND_SAMPLE)
    if not isinstance(command, str):
        what = f'"command" of entry point "{name}" is {kind(command)}, not text'
        _fail(file, spec.lines["command"], what, 'write:  command: "python train.py"')
    declared = spec.get("parameters", MappingWithLines())
    if not isinstance(declared, MappingWithLines):
        what = f'"parameters" of entry point "{name}" holds {kind(declared)}, not names with types'
        how = "remove the key, or write below it:  alpha: {type: float, default: 0.5}"
        _fail(file, spec.lines["parameters"], what, how)
    parameters = [_parameter(file, declared.lines[key], key, value) for key, value in declared.items()]
    by_name = {parameter.name: parameter for parameter in parameters}
    ignored = ignored_in_entry_point(name, spec)
    return EntryPoint(name, command, by_name, line, spec.lines["command"], ignored)


def _parameter(file: Path, line: int, key: Hashable, spec: object) -> Parameter:
    # MLflow fills in the command under str(key) (`EntryPoint._sanitize_value_dict`).
    name = str(key)
    if isinstance(spec, str):
        spec = {"type": spec}
    if not isinstance(spec, dict):
        what = f'parameter "{name}" holds {kind(spec)}, and MLflow wants a type or a mapping'
        _fail(file, line, what, f"write:  {name}: {_parameter_sample(spec)}")
    default = spec.get("default")
    return Parameter(
        name=name,
        type=str(spec.get("type") or "string"),
        default=None if default is None else str(default),
        null_default=default is None and "default" in spec,
        line=line,
        nameless=default is None and not isinstance(key, str),
    )


def _parameter_sample(value: object) -> str:
    if isinstance(value, bool):
        return f"{{default: {str(value).lower()}}}"
    if isinstance(value, (int, float)):
        return f"{{type: {type(value).__name__}, default: {value}}}"
    return '{type: string, default: "text"}'


# scripts


def _script(project: Project, name: str) -> EntryPoint:
    # os.path.splitext, as MLflow uses: Path.suffix ignores a slash at the end.
    suffix = os.path.splitext(name)[1]  # noqa: PTH122
    if suffix not in _SCRIPT_SUFFIXES:
        raise UserError(_no_entry_point(project, name))
    if not os.path.isfile(project.directory / name):  # noqa: PTH113  (Path.is_file raises for a long name)
        raise UserError(_no_script(project, name))
    if not _within(project.directory, name):
        raise UserError(
            f'the script "{name}" lies outside of what is copied for a launch: '
            f"{shown_path(enclosing_root(project.directory))}\n"
            "  name it relative to the project, and below that directory"
        )
    quoted = shlex.quote(name)
    if suffix == ".R":
        if re.search(r"[$`]", name):
            raise UserError(
                f'the script "{name}": MLflow starts R with a command in which the shell would run a part of '
                "that name\n  rename it"
            )
        return EntryPoint(name, f"Rscript -e \"mlflow::mlflow_source('{quoted}')\" --args")
    interpreter = "python" if suffix == ".py" else os.environ.get("SHELL", "bash")
    return EntryPoint(name, f"{interpreter} {quoted}")


def _within(directory: Path, name: str) -> bool:
    """Whether a launch has the script in its copy."""
    script = Path(os.path.normpath(directory.resolve() / name))
    return not os.path.isabs(name) and script.is_relative_to(enclosing_root(directory))


def _scripts(directory: Path) -> list[str]:
    """The scripts in a directory, those first that are usually started."""
    names = [path.name for path in directory.glob("*") if path.suffix in _SCRIPT_SUFFIXES]
    usual = {"main", "train", "run"}
    return sorted(names, key=lambda name: (Path(name).stem not in usual, name))


def _choice(names: list[str], best: str) -> str:
    return f"--mlflow-entry-point={shlex.quote(best)}   (there are: {', '.join(names)})"


def _did_you_mean(name: str, names: list[str]) -> tuple[str, str | None]:
    """The end of a message's first line, and the name that is meant, if any."""
    close = difflib.get_close_matches(name, names, n=1)
    return (f'; did you mean "{close[0]}"?', close[0]) if close else ("", None)


def _no_entry_point(project: Project, name: str) -> str:
    declared = list(project.entry_points)
    scripts = _scripts(project.directory)
    # Nobody typed `main`: it is the default.
    question, meant = _did_you_mean(name, [*declared, *scripts]) if name != "main" else ("", None)
    if project.mlproject is not None:
        lines = [f'{shown_path(project.mlproject)} has no entry point "{name}"{question}']
    elif name == "main":
        lines = [f"no MLproject in {shown_path(project.directory)} and no entry point given."]
    else:
        directory = shown_path(project.directory)
        lines = [f'no MLproject in {directory}, so the entry point "{name}" has to be a script{question}']
    lines += [
        f"MLflow ignores the key {key.name} in line {key.line}: {key.fix}" for key in project.ignored_keys
    ]
    if declared:
        lines.append(f"name one:  {_choice(declared, meant if meant in declared else declared[0])}")
    if scripts:
        best = meant if meant in scripts else scripts[0]
        lines.append(f"{'or' if declared else 'name'} a script: {_choice(scripts, best)}")
    if not declared and not scripts:
        lines.append("there is no script (.py, .sh, .R) either: is this the right directory?")
    return "\n  ".join(lines)


def _no_script(project: Project, name: str) -> str:
    folder = Path(name).parent
    scripts = [str(folder / script) for script in _scripts(project.directory / folder)]
    names = [*project.entry_points, *(scripts or _scripts(project.directory))]
    question, meant = _did_you_mean(name, names)
    message = f'there is no script "{name}" in {shown_path(project.directory)}{question}'
    if not names:
        return f"{message}\n  there is no other script (.py, .sh, .R) either: is this the right directory?"
    return f"{message}\n  name one:  {_choice(names, meant or names[0])}"
