"""The values of a case's parameters and the command line it is started with, as MLflow computes both.

Source of facts: `mlflow.projects._project_spec.EntryPoint` and `Parameter`, MLflow 3.17.2. MLflow 2.22.5
does the same but for one thing: it doesn't shell-quote the names of extra parameters.
"""

from __future__ import annotations

import difflib
import json
import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml

from pytest_mlflow_check.core.errors import UserError, shown_path
from pytest_mlflow_check.core.models import Case, EntryPoint, Parameter, Project, looked_up, placeholders

# What a TOML file could say for a parameter of that type; everything else is text.
_TOML_SAMPLES = {
    "int": "10",
    "integer": "10",
    "float": "0.5",
    "bool": '"true"',
    "boolean": '"true"',
    "path": '"some/path"',
    "uri": '"s3://bucket/data"',
}
_TEXT_SAMPLE = '"text"'
_NUMBERS = {"int": ("an int", int), "integer": ("an int", int), "float": ("a float", float)}


def path_exists(path: Path) -> bool:
    """As `os.path.exists`, which MLflow uses: False for too long a name, where `Path.exists` raises."""
    return os.path.exists(path)  # noqa: PTH110


def extra_params(case: Case) -> dict[str, str]:
    """The given values under undeclared names, which MLflow appends to the command as ` --name value`."""
    return {name: value for name, value in case.params.items() if name not in case.entry_point.parameters}


def unset_null_defaults(case: Case) -> tuple[Parameter, ...]:
    """The parameters whose default is `null` and that the case gives no value.

    MLflow refuses to run these ("No value given for missing parameters").
    """
    parameters = case.entry_point.parameters.values()
    return tuple(p for p in parameters if p.null_default and p.name not in case.params)


def complete_params(case: Case) -> dict[str, str]:
    """The values in use for the declared parameters, given or default, in the order of the file.

    Parameters that `unset_null_defaults` gives are left out. Extra parameters are not among them either.

    MLflow itself looks at the types `path` and `uri` only. `int` and `float` are looked at here, in values
    that were given: a default such as `{type: int, default: None}` is what the project's authors run.

    Raises:
        UserError: a value is missing, doesn't fit its type, or stands under a name that looks like a
            mistyped declared one.
    """
    _refuse_mistyped_names(case)
    _refuse_missing_values(case)
    values: dict[str, str] = {}
    for parameter in case.entry_point.parameters.values():
        value = case.params.get(parameter.name, parameter.default)
        if value is not None:
            values[parameter.name] = value
    _refuse_misfits(case, values)
    return values


def check_command(project: Project, entry_point: EntryPoint) -> None:
    """Look whether MLflow can fill in the entry point's command (`str.format` with declared names only).

    Raises:
        UserError: a placeholder that isn't declared, a positional one, or unbalanced braces.
    """
    names = list(entry_point.parameters)
    _check_format(_command_subject(project, entry_point), entry_point.command, names, entry_point)


def check_fluent(case: Case) -> None:
    """Look whether the case's own plain command, the settings key `fluent`, can be filled in.

    It may name any declared parameter and any extra one that the case gives a value.

    Raises:
        UserError: as in `check_command`.
    """
    if case.fluent is not None:
        _check_format(_fluent_subject(case), case.fluent, _fluent_names(case), None)


def render_command(case: Case, directory: Path, *, template: str | None = None) -> str:
    """The shell command of a case, text for text what MLflow runs (`EntryPoint.compute_command`).

    Every value is shell-quoted. A local value of type `path` becomes an absolute path; a remote one, which
    MLflow would download, stays as it is. Extra parameters are appended, in one way MLflow users rarely
    expect: when the command ends with a newline (`command: |`), they form a line of their own.

    Args:
        case: what is started.
        directory: where it is started: the copy of the project, against which local paths are resolved.
        template: the case's own `fluent` text instead of the entry point's command. It may name extra
            parameters as well, and nothing is appended to it.

    Raises:
        UserError: as in `complete_params`; or the command can't be filled in.
    """
    declared = case.entry_point.parameters
    values = {
        name: shlex.quote(_absolute(value, directory) if declared[name].type == "path" else value)
        for name, value in complete_params(case).items()
    }
    extra = {name: shlex.quote(value) for name, value in extra_params(case).items()}
    if template is not None:
        _check_format(_fluent_subject(case), template, _fluent_names(case), None)
        _refuse_unset_placeholders(case, template)
        return _fill(_fluent_subject(case), template, {**extra, **values})
    check_command(case.project, case.entry_point)
    _refuse_unset_placeholders(case, case.entry_point.command)
    subject = _command_subject(case.project, case.entry_point)
    command = _fill(subject, case.entry_point.command, values, "mlproject-invalid")
    return " ".join([command, *(f"--{shlex.quote(name)} {value}" for name, value in extra.items())])


# values


def _refuse_mistyped_names(case: Case) -> None:
    open_names = [name for name in case.entry_point.parameters if name not in case.params]
    for given, value in extra_params(case).items():
        meant = _mistyped(given, open_names)
        if meant is None:
            continue
        assignment = shlex.quote(f"{meant}={value}")
        raise UserError(
            f"{_source_line(case.project, case.entry_point.parameters[meant].line)}: "
            f'entry point "{case.entry_point.name}" has no parameter "{given}"; did you mean "{meant}"?\n'
            f"  on the command line:  -P {assignment}\n"
            f"  in mlflow-check.toml:  params = {{ {toml_key(meant)} = {toml_text(value)} }}\n"
            f'  if the command is to get --{given} besides, give "{meant}" a value too'
        )


def _mistyped(given: str, declared: list[str]) -> str | None:
    """The declared name that `given` looks like a slip of, or None.

    `learning_rate_decay` beside `learning_rate` and `layer2` beside `layer1` are names of their own.
    """
    plain = {_plain(name): name for name in declared}
    for match in difflib.get_close_matches(_plain(given), plain, n=len(plain) or 1, cutoff=0.8):
        longer, shorter = sorted((_plain(given), match), key=len, reverse=True)
        numbered = longer != shorter and re.sub(r"\d", "", longer) == re.sub(r"\d", "", shorter)
        if not numbered and not longer.startswith(f"{shorter}_"):
            return plain[match]
    return None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _refuse_missing_values(case: Case) -> None:
    missing = [
        parameter
        for name, parameter in case.entry_point.parameters.items()
        if name not in case.params and parameter.default is None and not parameter.null_default
    ]
    if not missing:
        return
    names = ", ".join(f'"{p.name}" ({p.type})' for p in missing)
    wanted = f"a value for parameter {names}" if len(missing) == 1 else f"values for the parameters {names}"
    raise UserError(
        f'{_source_line(case.project, missing[0].line)}: entry point "{case.entry_point.name}" needs '
        f"{wanted}\n"
        f"{_how_to_give(case, missing)}"
    )


def _refuse_misfits(case: Case, values: Mapping[str, str]) -> None:
    misfits = []
    problems = []
    for name, value in values.items():
        parameter = case.entry_point.parameters[name]
        problem = _misfit(parameter, value, case.project.directory)
        if problem is not None:
            misfits.append(parameter)
            problems.append(
                f'{_source_line(case.project, parameter.line)}: parameter "{name}" of entry point '
                f'"{case.entry_point.name}" {problem}'
            )
    if misfits:
        raise UserError("\n".join([*problems, _how_to_give(case, misfits)]))


def _misfit(parameter: Parameter, value: str, directory: Path) -> str | None:
    """What is wrong with the value, as the end of a sentence, or None."""
    if parameter.type == "uri":
        return None if _scheme(value) else f"is a uri, and {toml_text(value)} has no scheme such as s3://"
    if parameter.type == "path":
        return _path_misfit(value, directory)
    if parameter.type in _NUMBERS and value != parameter.default:
        kind, parse = _NUMBERS[parameter.type]
        try:
            parse(value)
        except ValueError:
            return f"is {kind}, and {toml_text(value)} is not"
    return None


def _path_misfit(value: str, directory: Path) -> str | None:
    if not value:
        return "is a path, and its value is empty"
    try:
        local = _local_path(value)
    except ValueError as error:
        return f"is a path, and {toml_text(value)} is none: {error}"
    if local is not None and not path_exists(directory / local):
        return f"is a path, and there is no {toml_text(value)} in {shown_path(directory)}"
    return None


def _scheme(value: str) -> str:
    """The URI scheme of the value, or nothing (mlflow.utils.data_utils.is_uri, MLflow 3.17.2)."""
    try:
        return urlsplit(value).scheme
    except ValueError:
        return ""


def _local_path(value: str) -> str | None:
    """The local path that the value names, or None for a remote URI.

    As `mlflow.utils.file_utils.get_local_path_or_none` does it, MLflow 3.17.2: percent signs are decoded.

    Raises:
        ValueError: the value is a broken URI such as `http://[`.
    """
    parts = urlsplit(value)
    if parts.scheme and (parts.scheme != "file" or parts.netloc):
        return None
    return unquote(parts.path if value.startswith("file:") else value)


def _absolute(value: str, directory: Path) -> str:
    local = _local_path(value)
    return value if local is None else os.path.normpath(directory / local)


def _how_to_give(case: Case, parameters: list[Parameter]) -> str:
    """The lines of a message that say where values of these parameters are written."""
    flags = [f"-P {shlex.quote(f'{p.name}=VALUE')}" for p in parameters]
    samples = ", ".join(f"{toml_key(p.name)} = {_TOML_SAMPLES.get(p.type, _TEXT_SAMPLE)}" for p in parameters)
    table = ["[[case]]", f"params = {{ {samples} }}"]
    name = case.entry_point.name
    if name != "main":
        flags.insert(0, f"--mlflow-entry-point={shlex.quote(name)}")
        table.insert(1, f"entry_point = {toml_text(name)}")
    return "\n".join(
        [
            f"  on the command line:  {' '.join(flags)}",
            "  or in mlflow-check.toml beside the MLproject:",
            *(f"      {line}" for line in table),
        ]
    )


def toml_key(name: str) -> str:
    """A name as a key of TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else toml_text(name)


def toml_text(text: str) -> str:
    """A text as TOML's basic string, which takes JSON's escapes; JSON leaves DEL and its like as they are."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(one if one.isprintable() else f"\\U{ord(one):08x}" for one in quoted)


# command


def _source_line(project: Project, line: int | None) -> str:
    file = shown_path(project.mlproject or project.directory)
    return file if line is None else f"{file}:{line}"


def _command_subject(project: Project, entry_point: EntryPoint) -> str:
    return f'{_source_line(project, entry_point.line)}: entry point "{entry_point.name}": the command'


def _fluent_subject(case: Case) -> str:
    return (
        f'{_source_line(case.project, None)}: case "{case.id}": the command under the settings key "fluent"'
    )


def _fluent_names(case: Case) -> list[str]:
    return [*case.entry_point.parameters, *extra_params(case)]


def _check_format(subject: str, text: str, names: list[str], entry_point: EntryPoint | None) -> None:
    """Raise a UserError unless `text` can be filled in with these names.

    `entry_point` is the one in whose MLproject a name could be declared; None for a `fluent` text.
    """
    rule = "mlproject-undeclared-placeholder" if entry_point and entry_point.line else None
    try:
        fields = list(placeholders(text))
    except ValueError as error:
        raise UserError(
            f"{subject} can't be filled in: {error}\n"
            f"  braces around a parameter's name make a placeholder; double all others:  {{{{ and }}}}",
            rule=rule,
        ) from None
    for before, field, whole in fields:
        name = looked_up(field)
        if not name or name.isdecimal():
            raise UserError(
                f"{subject} has the positional placeholder {whole}, and MLflow fills in by name only\n"
                f"  write a parameter's name:  {{{names[0] if names else 'name'}}}\n"
                f"  or, where the braces are meant as they are, double them:  {{{whole}}}",
                rule=rule,
                subject=whole,
            )
        if name not in names:
            hints = _unknown_name_hints(before, field, whole, names, entry_point)
            raise UserError(
                "\n  ".join([f"{subject} has the placeholder {whole}, which is no parameter", *hints]),
                rule=rule,
                subject=whole,
            )
    # `{alpha[1]}` and `{alpha:{width}}` depend on the values, which only render_command has.
    if not any("[" in whole or "{" in whole[1:] for _, _, whole in fields):
        _fill(subject, text, dict.fromkeys(names, "1"), rule and "mlproject-invalid")


def _unknown_name_hints(
    before: str, field: str, whole: str, names: list[str], entry_point: EntryPoint | None
) -> list[str]:
    doubled = f"{{{whole}}}"
    if field in names:
        return ['a name with "." or "[" can\'t be a placeholder: rename the parameter']
    if before.endswith("$"):
        return [f"for a variable of the shell double the braces:  ${doubled}"]
    if not re.fullmatch(r"[^\W\d][\w-]*", field):
        return [f"double the braces where they are meant as they are:  {doubled}"]
    hints = []
    if (key := _yaml_key(field)) != field and key in names:
        return [f'YAML reads the name {field} as {key}: write it in quotes under "parameters:":  "{field}":']
    if close := difflib.get_close_matches(field, names, n=1):
        hints.append(f"did you mean  {{{close[0]}}}")
    if entry_point is None:
        hints.append(f'give it a value in the case:  params = {{ {toml_key(field)} = "text" }}')
    elif entry_point.line is not None:
        hints.append(f'declare it under "parameters:" of "{entry_point.name}":  {field}: string')
    hints.append(f"or, where the braces are meant as they are, double them:  {doubled}")
    return hints


def _yaml_key(text: str) -> str:
    """How MLflow names a parameter whose name stands unquoted in the file: `on` is `True`."""
    return str(yaml.safe_load(text))


def _refuse_unset_placeholders(case: Case, text: str) -> None:
    used = {looked_up(field) for _, field, _ in placeholders(text)}
    unset = [parameter for parameter in unset_null_defaults(case) if parameter.name in used]
    if unset:
        names = ", ".join(f'"{p.name}"' for p in unset)
        raise UserError(
            f'{_source_line(case.project, unset[0].line)}: entry point "{case.entry_point.name}": {names} '
            f"{'has' if len(unset) == 1 else 'have'} the default null, which MLflow counts as no value\n"
            f"  write a default, such as the empty text, in the MLproject:  "
            f'{unset[0].name}: {{default: ""}}\n'
            f"  or give a value:\n{_how_to_give(case, unset)}"
        )


def _fill(subject: str, text: str, values: Mapping[str, str], rule: str | None = None) -> str:
    try:
        return text.format(**values)
    except (ValueError, AttributeError, LookupError, TypeError) as error:
        raise UserError(
            f"{subject} can't be filled in: {error}\n"
            f"  MLflow passes every value on as text: write plain placeholders such as {{name}}",
            rule=rule,
        ) from None
